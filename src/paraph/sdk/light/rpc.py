"""The terms on which a light client answers JSON-RPC: what did not verify has a number of its own."""

from collections.abc import Callable
from typing import Final

from paraph.adapters.ethereum import rpc
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified

UNVERIFIED: Final = -32080
"""An answer of the node did not verify, so there is none. Of the numbers that JSON-RPC 2.0 leaves to servers."""

BODY_BYTES_MAX: Final = 3 * 1024 * 1024
"""One request: the largest transaction in hex."""
BATCH_MAX: Final = 100
"""Calls in one batch: libraries gather at most 100."""
FACT_CHARS_MAX: Final = 1_000


async def answer(methods: rpc.Methods, why_not: Callable[[str], str], body: bytes) -> bytes:
    """Answer one body on a light client's terms. See `rpc.answer`.

    Args:
        methods: the table.
        why_not: why a method that is not in the table is not there.
        body: from whoever connects.
    """
    terms = rpc.Terms(
        body_bytes_max=BODY_BYTES_MAX,
        batch_max=BATCH_MAX,
        answers_bytes_max=None,
        fact_chars_max=FACT_CHARS_MAX,
        missing=lambda name: f"is not available here: {why_not(name)}",
        number=_number,
        no_params=(rpc.INVALID_PARAMS, rpc.BY_POSITION),
        fault="light.internal",
    )
    return await rpc.answer(methods, terms, body)


def _number(error: ParaphError) -> int:
    match error:
        case Rejected():
            return rpc.INVALID_INPUT
        case Unavailable():
            return rpc.UNAVAILABLE
        case Malformed() | Unverified():
            # A reply that cannot even be read did not verify either.
            return UNVERIFIED
        case _:
            return rpc.INTERNAL_ERROR
