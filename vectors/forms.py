"""The cases of a response's form: true ones of each kind, and one that breaks each rule."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from vectors import world
from vectors.world import TENSOR, TENSOR_BODY, TENSOR_RESPONSE, TEXT, TEXT_BODY, TEXT_GIVEN, TEXT_RESPONSE, fp32

from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Malformed, must
from paraph.core.tensor import Tensor
from paraph.proofs.check import check_form

EMBEDDINGS_BODY: Final[JsonObject] = {
    "kind": "embeddings",
    "model": TEXT_BODY["model"],
    "inputs": ["Brot", "Brötchen"],
}
EMBEDDINGS: Final[JsonObject] = {
    "kind": "embeddings",
    "embeddings": [fp32("embedding-0", (2,), (0.6, 0.8)), fp32("embedding-1", (2,), (1.0, 0.0))],
    "usage": {"input_tokens": 4, "output_tokens": 0},
}


def response_forms() -> Json:
    """Bodies, what was given, and responses; whether the one is of the form that the other asks for."""
    good = [_case(name, True, *parts) for name, parts in _good()]
    return good + [_case(name, False, *parts) for name, parts in _bad()]


def _case(name: str, holds: bool, body: JsonObject, given: Json, response: JsonObject) -> Json:
    try:
        check_form(body, given, response)
        found = True
    except Malformed:
        found = False
    must(found == holds, f"{name}: the form should {'' if holds else 'not '}hold")
    return {"name": name, "body": body, "given": given, "response": response, "holds": holds}


def text(body: Mapping[str, Json] = {}, given: Json = "as given", **response: Json) -> Any:
    """The text story with some members changed."""
    given = TEXT_GIVEN if given == "as given" else given
    return {**TEXT_BODY, **body}, given, {**TEXT_RESPONSE, **response}


def tensors(outputs: Json, shown: Json, given: Json = None) -> Any:
    """The tensor story with other outputs asked for, and shown."""
    return {**TENSOR_BODY, "outputs": outputs}, given, {**TENSOR_RESPONSE, "outputs": shown}


def embeddings(body: Mapping[str, Json] = {}, given: Json = None, **response: Json) -> Any:
    """Embeddings with some members changed."""
    return {**EMBEDDINGS_BODY, **body}, given, {**EMBEDDINGS, **response}


def used(tokens_in: Json, tokens_out: Json) -> Json:
    """A usage."""
    return {"input_tokens": tokens_in, "output_tokens": tokens_out}


ONE: Final = fp32("one", (1,), (1.0,))
TWO: Final = fp32("two", (), (2.0,))
EVERY: Final = (
    ("BOOL", b"\x00\x01"), ("UINT8", bytes(2)), ("INT8", bytes(2)), ("UINT16", bytes(4)), ("INT16", bytes(4)),
    ("FP16", bytes(4)), ("BF16", bytes(4)), ("UINT32", bytes(8)), ("INT32", bytes(8)), ("FP32", bytes(8)),
    ("UINT64", bytes(16)), ("INT64", bytes(16)), ("FP64", bytes(16)), ("BYTES", b"\x01\0\0\0a\0\0\0\0"),
)  # fmt: skip


def _good() -> Iterator[tuple[str, Any]]:
    yield "a chat", (TEXT.body, TEXT.given, TEXT.response)
    yield "a completion", text({"kind": "completion", "prompt": "x"})
    yield "as many tokens as asked for", text({"max_tokens": 5})
    yield "no ids in", text(given={"text": "x", "token_ids": None}, usage=used(9, 5))
    yield "no ids out", text(token_ids=None, usage=used(5, 32))
    yield "no tokens", text(given={"text": "", "token_ids": []}, text="", token_ids=None, usage=used(0, 0))
    yield "cut short, all ids shown", text(finish_reason="cancelled")
    yield "cut short, some ids shown", text(finish_reason="cancelled", usage=used(5, 7))
    yield "a member more", text(more=1)
    yield "all tensors", (TENSOR.body, TENSOR.given, TENSOR.response)
    yield "a tensor by its name", tensors(["one"], [ONE])
    yield "two tensors by their names", tensors(["two", "one"], [TWO, ONE])
    yield "all of two tensors", tensors([], [ONE, TWO])
    yield "every datatype", tensors([], [Tensor(name, name, (2,), data).as_json() for name, data in EVERY])
    yield "no rows", tensors([], [fp32("none", (0, 2**53 - 1), ())])
    yield "embeddings", (EMBEDDINGS_BODY, None, EMBEDDINGS)
    yield "embeddings without numbers", embeddings(embeddings=[fp32("a", (0,), ()), fp32("a", (0,), ())])


def _bad() -> Iterator[tuple[str, Any]]:
    kinds: Mapping[str, tuple[JsonObject, Json, JsonObject]] = {
        "chat": text(),
        "infer": tensors([], [ONE]),
        "embeddings": embeddings(),
    }
    for asked, (body, _, _) in kinds.items():
        for answered, (_, given, response) in kinds.items():
            if asked != answered:
                yield f"a body for {asked} answered as for {answered}", (body, given, response)
    yield "a body of another kind", text({"kind": "image"})
    yield "a body whose kind is a list", text({"kind": ["chat"]})
    yield "a body of no kind", ({}, TEXT_GIVEN, TEXT_RESPONSE)
    yield "a response of no kind", (TEXT_BODY, TEXT_GIVEN, {})
    yield "nothing given", text(given=None)
    yield "given with a member more", text(given={**TEXT_GIVEN, "more": 1})
    yield "given without ids", text(given={"text": ""})
    yield "a given text that is none", text(given={**TEXT_GIVEN, "text": 1})
    yield "given ids that are a text", text(given={**TEXT_GIVEN, "token_ids": "12345"})
    yield "given ids with a fraction", text(given={**TEXT_GIVEN, "token_ids": [1, 2, 3, 4, 5.5]})
    yield "a text that is none", text(text=None)
    yield "ids that are an object", text(token_ids={})
    yield "ids with one below zero", text(token_ids=[1, 2, 3, 4, -5])
    yield "no usage", text(usage=None)
    yield "a usage of text", text(usage=used("5", "5"))
    yield "more tokens in than ids", text(usage=used(6, 5))
    yield "fewer tokens in than ids", text(usage=used(4, 5))
    yield "more tokens out than ids", text(usage=used(5, 6))
    yield "fewer tokens out than ids", text(usage=used(5, 4))
    yield "cut short, fewer tokens out than ids", text(finish_reason="cancelled", usage=used(5, 4))
    yield "more tokens than asked for", text({"max_tokens": 4})
    yield "more tokens than asked for, cut short", text({"max_tokens": 4}, finish_reason="cancelled")
    yield "no bound asked for", text({"max_tokens": None})
    yield "a bound that is a text", text({"max_tokens": "32"})
    yield "given beside tensors", tensors([], [ONE], given={})
    yield "a tensor of another name", tensors(["two"], [ONE])
    yield "a tensor more", tensors(["one"], [ONE, TWO])
    yield "a tensor too few", tensors(["one", "two"], [ONE])
    yield "tensors in another order", tensors(["one", "two"], [TWO, ONE])
    yield "two tensors of one name", tensors([], [ONE, ONE])
    yield "no tensors", tensors([], [])
    yield "257 tensors", tensors([], [fp32(str(at), (), (0.0,)) for at in range(257)])
    yield "names that are no list", tensors(None, [ONE])
    broken: Mapping[str, dict[str, Json]] = {
        "rows that are not there": {"shape": [2]},
        "a side below zero": {"shape": [-1]},
        "a side that is a fraction": {"shape": [0.5]},
        "17 sides": {"shape": [1] * 17},
        "no name": {"name": ""},
        "a name of 129 bytes": {"name": "é" * 64 + "x"},
        "an unknown datatype": {"datatype": "FP8"},
        "a BOOL of 2": {"datatype": "BOOL", "data": "Ag=="},
        "an element past the end": {"datatype": "BYTES", "data": "AgAAAGE="},
        "an element too few": {"datatype": "BYTES", "data": ""},
        "base64 without padding": {"data": "AACAPw"},
        "base64 with stray bits": {"data": "AACAPx=="},
        "base64 of the other alphabet": {"data": "__-_Pw=="},
        "base64 with a space": {"data": "AACA Pw=="},
        "data that is null": {"data": None},
        "a member more": {"more": 1},
    }
    for name, changed in broken.items():
        yield f"a tensor with {name}", tensors([], [ONE | changed])
    yield "given beside texts", embeddings(given=TEXT_GIVEN)
    yield "a vector too few", embeddings({"inputs": ["one", "two", "three"]})
    yield "a vector more", embeddings({"inputs": ["one"]})
    yield "a vector of rows", embeddings(embeddings=[fp32("a", (2,), (1, 0)), fp32("b", (1, 2), (1, 0))])
    yield "a vector of doubles", embeddings(embeddings=[Tensor("a", "FP64", (1,), bytes(8)).as_json()] * 2)
    yield "a vector that is a list", embeddings(embeddings=[[0.5], [0.5]])
    yield "embeddings with tokens out", embeddings(usage=used(4, 1))
    yield "texts that are one text", embeddings({"inputs": "ab"})


MODEL_OF_ANOTHER: Final[JsonObject] = {**TEXT_BODY, "model": world.TENSOR_BODY["model"]}
"""A body that names another model than the request."""
