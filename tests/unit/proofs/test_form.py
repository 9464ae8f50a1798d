"""The form of a response: it is what the body asks for, and shows the units that it counts."""

from collections.abc import Mapping

import pytest
from tests.support.build import body_of, given_of_kind, response_of

from paraph.core.encode import Json, as_object
from paraph.core.errors import Malformed
from paraph.core.tensor import Tensor
from paraph.proofs.check import check_form

CHAT, GIVEN, TEXT = body_of("text"), as_object(given_of_kind("text"), "it"), response_of("text")
INFER, TENSORS = body_of("tensor"), response_of("tensor")
EMBED: dict[str, Json] = {"kind": "embeddings", "inputs": ["one", "two"]}


def usage(tokens_in: Json, tokens_out: Json) -> dict[str, Json]:
    return {"usage": {"input_tokens": tokens_in, "output_tokens": tokens_out}}


def vector(shape: tuple[int, ...] = (2,), datatype: str = "FP32", size: int = 4) -> dict[str, Json]:
    sides = 1
    for side in shape:
        sides *= side
    return Tensor("v", datatype, shape, bytes(size * sides)).as_json()


def vectors(*shown: Json, tokens_out: int = 0) -> dict[str, Json]:
    return {"kind": "embeddings", "embeddings": list(shown), **usage(5, tokens_out)}


def outputs(*names: str, rows: int = 1) -> dict[str, Json]:
    return {"kind": "tensors", "outputs": [Tensor(name, "UINT8", (rows,), bytes(rows)).as_json() for name in names]}


Parts = tuple[Mapping[str, Json], Json, Mapping[str, Json]]

GOOD: dict[str, Parts] = {
    "a chat": (CHAT, GIVEN, TEXT),
    "a completion": ({**CHAT, "kind": "completion"}, GIVEN, TEXT),
    "as many tokens as asked for": ({**CHAT, "max_tokens": 2}, GIVEN, TEXT),
    "no ids in": (CHAT, {**GIVEN, "token_ids": None}, {**TEXT, **usage(9, 2)}),
    "no ids out": (CHAT, GIVEN, {**TEXT, "token_ids": None, **usage(4, 16)}),
    "nothing at all": (CHAT, {"text": "", "token_ids": []}, {**TEXT, "text": "", "token_ids": None, **usage(0, 0)}),
    "cut short, with all ids": (CHAT, GIVEN, {**TEXT, "finish_reason": "cancelled"}),
    "cut short, with some ids": (CHAT, GIVEN, {**TEXT, "finish_reason": "cancelled", **usage(4, 3)}),
    "more members": (CHAT, GIVEN, {**TEXT, "more": 1}),
    "tensors named": (INFER, None, TENSORS),
    "two tensors named": ({**INFER, "outputs": ["a", "b"]}, None, outputs("a", "b")),
    "all tensors": ({**INFER, "outputs": []}, None, outputs("a", "b")),
    "no rows": ({**INFER, "outputs": []}, None, outputs("a", rows=0)),
    "embeddings": (EMBED, None, vectors(vector(), vector())),
    "an embedding of nothing": ({**EMBED, "inputs": [""]}, None, vectors(vector((0,)))),
}


@pytest.mark.parametrize("name", GOOD)
def test_answers_have_their_form(name: str) -> None:
    """What engines answer is of the form."""
    body, given, response = GOOD[name]

    check_form(body, given, response)


BAD: dict[str, tuple[Parts, str]] = {
    "a chat answered by tensors": ((CHAT, GIVEN, TENSORS), "response.form"),
    "a chat answered by embeddings": ((CHAT, None, vectors(vector())), "response.form"),
    "tensors answered by text": ((INFER, None, TEXT), "response.form"),
    "embeddings answered by text": ((EMBED, GIVEN, TEXT), "response.form"),
    "embeddings answered by tensors": ((EMBED, None, TENSORS), "response.form"),
    "a body of no kind": (({}, GIVEN, TEXT), "response.form"),
    "a body of another kind": (({**CHAT, "kind": "image"}, GIVEN, TEXT), "response.form"),
    "a body whose kind is a list": (({**CHAT, "kind": ["chat"]}, GIVEN, TEXT), "response.form"),
    "a response of no kind": ((CHAT, GIVEN, {}), "response.form"),
    "nothing given to a chat": ((CHAT, None, TEXT), "json.shape"),
    "given with a member more": ((CHAT, {**GIVEN, "more": 1}, TEXT), "json.shape"),
    "given without ids": ((CHAT, {"text": ""}, TEXT), "json.shape"),
    "given text that is none": ((CHAT, {**GIVEN, "text": None}, TEXT), "json.shape"),
    "given ids that are text": ((CHAT, {**GIVEN, "token_ids": "1234"}, TEXT), "json.shape"),
    "given ids that are no numbers": ((CHAT, {**GIVEN, "token_ids": [1, 2, 3, None]}, TEXT), "json.shape"),
    "a text that is none": ((CHAT, GIVEN, {**TEXT, "text": ["Paris."]}), "json.shape"),
    "no text": ((CHAT, GIVEN, {name: each for name, each in TEXT.items() if name != "text"}), "json.shape"),
    "ids that are text": ((CHAT, GIVEN, {**TEXT, "token_ids": "12"}), "json.shape"),
    "ids below zero": ((CHAT, GIVEN, {**TEXT, "token_ids": [9, -1]}), "json.shape"),
    "no usage": ((CHAT, GIVEN, {**TEXT, "usage": None}), "response.units"),
    "more tokens in than ids": ((CHAT, GIVEN, {**TEXT, **usage(5, 2)}), "response.form"),
    "fewer tokens in than ids": ((CHAT, GIVEN, {**TEXT, **usage(3, 2)}), "response.form"),
    "more tokens out than ids": ((CHAT, GIVEN, {**TEXT, **usage(4, 3)}), "response.form"),
    "fewer tokens out than ids": ((CHAT, GIVEN, {**TEXT, **usage(4, 1)}), "response.form"),
    "cut short, with fewer tokens out than ids": (
        (CHAT, GIVEN, {**TEXT, "finish_reason": "cancelled", **usage(4, 1)}),
        "response.form",
    ),
    "more tokens than asked for": (({**CHAT, "max_tokens": 1}, GIVEN, TEXT), "response.form"),
    "more tokens than asked for, cut short": (
        (CHAT, GIVEN, {**TEXT, "finish_reason": "cancelled", **usage(4, 17)}),
        "response.form",
    ),
    "no bound asked for": (({**CHAT, "max_tokens": None}, GIVEN, TEXT), "json.shape"),
    "given beside tensors": ((INFER, {}, TENSORS), "response.form"),
    "other tensors": ((INFER, None, outputs("other")), "response.form"),
    "a tensor more": ((INFER, None, outputs("label", "more")), "response.form"),
    "a tensor too few": (({**INFER, "outputs": ["a", "b"]}, None, outputs("a")), "response.form"),
    "tensors in another order": (({**INFER, "outputs": ["a", "b"]}, None, outputs("b", "a")), "response.form"),
    "two tensors of one name": (({**INFER, "outputs": []}, None, outputs("a", "a")), "response.form"),
    "no tensors": (({**INFER, "outputs": []}, None, outputs()), "response.units"),
    "too many tensors": (({**INFER, "outputs": []}, None, outputs(*map(str, range(257)))), "json.shape"),
    "outputs asked for that are no list": (({**INFER, "outputs": None}, None, TENSORS), "json.shape"),
    "rows that are not there": (
        (INFER, None, {"kind": "tensors", "outputs": [{**vector((2,), "UINT8", 1), "name": "label", "shape": [3]}]}),
        "tensor.data",
    ),
    "a tensor with a member more": (
        ({**INFER, "outputs": []}, None, {"kind": "tensors", "outputs": [{**vector(), "more": 1}]}),
        "json.shape",
    ),
    "given beside texts": ((EMBED, GIVEN, vectors(vector(), vector())), "response.form"),
    "fewer vectors than texts": ((EMBED, None, vectors(vector())), "response.form"),
    "more vectors than texts": ((EMBED, None, vectors(vector(), vector(), vector())), "json.shape"),
    "a vector of rows": ((EMBED, None, vectors(vector(), vector((1, 2)))), "response.form"),
    "a vector of doubles": ((EMBED, None, vectors(vector(), vector((2,), "FP64", 8))), "response.form"),
    "a vector that is no tensor": ((EMBED, None, vectors(vector(), [0.5])), "json.shape"),
    "embeddings with tokens out": ((EMBED, None, vectors(vector(), vector(), tokens_out=1)), "response.form"),
    "texts that are no list": (({**EMBED, "inputs": "one"}, None, vectors(vector())), "json.shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_answers_are_refused(name: str) -> None:
    """One thing is not as asked for, or is counted otherwise than shown: it is found."""
    (body, given, response), code = BAD[name]

    with pytest.raises(Malformed) as caught:
        check_form(body, given, response)

    assert caught.value.code == code
