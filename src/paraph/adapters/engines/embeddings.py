"""The answer of `/v1/embeddings`, read."""

from typing import Final

from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_object
from paraph.core.errors import Malformed, Unavailable

DIMENSIONS_MAX: Final = 1 << 16
"""Numbers in one vector: models in use give up to 8192."""


def read_vectors(answer: JsonObject, count: int) -> tuple[tuple[tuple[float, ...], ...], int]:
    """One vector for each of `count` texts, in their order, and the tokens read.

    Raises:
        Unavailable: `engine.answer`: another number of vectors, or not the protocol's shape.
    """
    try:
        rows = [as_object(row, "row") for row in as_list(answer.get("data"), "data", items_max=count)]
        rows.sort(key=lambda row: as_integer(row.get("index"), "index"))
        if [row["index"] for row in rows] != list(range(count)):
            raise Malformed("json.shape", f"{len(rows)} vectors for {count} texts")
        vectors = tuple(
            tuple(as_number(each) for each in as_list(row.get("embedding"), "embedding", items_max=DIMENSIONS_MAX))
            for row in rows
        )
        return vectors, as_integer(as_object(answer.get("usage"), "usage").get("prompt_tokens"), "prompt_tokens")
    except Malformed as error:
        raise Unavailable("engine.answer", f"the engine's embeddings cannot be read: {error.message}") from error


def as_number(value: Json) -> float:
    """`value` if it is a number. Raises `Malformed` (`json.shape`) otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed("json.shape", "not a number")
    return float(value)
