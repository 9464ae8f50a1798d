"""A replay says bit-equal, or names the first place where two answers differ, whatever differs there."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.build import Case, build, profile_of, valid

from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Malformed
from paraph.core.tensor import Tensor
from paraph.flows.replay import Again, Comparison, Difference, compare


def again(case: Case, given: Json = "as saved", **changed: Json) -> Again:
    """The saved answer, come out again with these members changed."""
    answer = case.bundle.answer
    found = answer.given if given == "as saved" else given
    return Again(answer.profile, found, {**answer.response, **changed})


def first(case: Case, here: Again) -> Difference:
    found = compare(case.bundle, here)
    assert not found.equal
    assert found.first is not None
    return found.first


@pytest.mark.parametrize("kind", ["text", "tensor"])
def test_the_same_answer_is_equal(kind: Any) -> None:
    """The same bits under the same profile: equal, and nothing to say."""
    case = valid(kind)

    found = compare(case.bundle, again(case))

    assert found == Comparison((), (), None, whole=True)
    assert found.equal
    assert found.as_json()["first_difference"] is None


@pytest.mark.parametrize(
    ("changed", "part", "place", "signed", "here"),
    [
        ({"token_ids": [9, 11]}, "token_ids", 1, "10", "11"),
        ({"token_ids": [9]}, "token_ids", 1, "10", "nothing more"),
        ({"token_ids": [9, 10, 12]}, "token_ids", 2, "nothing more", "12"),
        ({"token_ids": None}, "token_ids", None, "[9,10]", "null"),
        ({"text": "Paris!"}, "text", 5, '"Paris."', '"Paris!"'),
        ({"text": "Paris. " + "x" * 60}, "text", 6, '"Paris."', '"Paris. ' + "x" * 32 + "…"),
        ({"logprobs": None}, "logprobs", None, '[{"logprob":-0.25,"token":"Paris","top_l…', "null"),
        ({"tool_calls": [{}]}, "tool_calls", 0, "nothing more", "{}"),
        ({"finish_reason": "length"}, "finish_reason", 0, '"stop"', '"length"'),
        ({"usage": {}}, "usage", None, '{"input_tokens":4,"output_tokens":2}', "{}"),
        ({"kind": "tensors"}, "kind", 2, '"text"', '"tensors"'),
        ({"added": True}, "added", None, "null", "true"),
    ],
)
def test_text_differs(changed: JsonObject, part: str, place: int | None, signed: str, here: str) -> None:
    """Each part of a text answer that differs is named with its place and both sides."""
    case = valid("text")

    found = first(case, again(case, **changed))

    assert (found.part, found.place) == (part, place)
    assert (found.signed, found.here) == (signed, here)


def test_kind_is_not_a_number() -> None:
    """`true` and 1 are different bits, although Python calls them equal."""
    case = build("text", response={**valid("text").bundle.answer.response, "added": 1})

    assert first(case, again(case, added=True)).part == "added"


def test_text_shows_what_stands_before() -> None:
    """Of a long text the neighbourhood of the difference is shown, not its beginning."""
    case = build("text", response={**valid("text").bundle.answer.response, "text": "a" * 50 + "b"})

    found = first(case, again(case, text="a" * 50 + "c"))

    assert (found.place, found.signed) == (50, f'"{"a" * 12}b"')


@pytest.mark.parametrize(
    ("given", "part", "place"),
    [
        ({"text": "<|system|>answer", "token_ids": [1, 15, 2048, 7]}, "given text", 10),
        (
            {"text": "<|system|>Answer in one word.<|user|>Où est …", "token_ids": [1, 15, 2049, 7]},
            "given token_ids",
            2,
        ),
        (
            {"text": "<|system|>Answer in one word.<|user|>Où est …", "token_ids": [1, 15, 2048, 7], "x": 1},
            "given",
            None,
        ),
        (None, "given", None),
    ],
)
def test_given_comes_first(given: Json, part: str, place: int | None) -> None:
    """What the model was given is compared before what it said: it caused the rest."""
    case = valid("text")

    found = first(case, again(case, given, text="other"))

    assert (found.part, found.place) == (part, place)


def tensors(*listed: Tensor) -> list[Json]:
    return [tensor.as_json() for tensor in listed]


LABEL = Tensor("label", "INT64", (2,), (7).to_bytes(8, "little") * 2)


@pytest.mark.parametrize(
    ("outputs", "part", "place", "here"),
    [
        (
            [replace(LABEL, data=LABEL.data[:8] + b"\x08" + LABEL.data[9:])],
            "output label (element)",
            1,
            "0x0800000000000000",
        ),
        ([replace(LABEL, data=b"\x07\x01" + LABEL.data[2:])], "output label (element)", 0, "0x0701000000000000"),
        ([replace(LABEL, shape=(2, 1))], "output label", None, "label INT64 [2, 1]"),
        ([replace(LABEL, name="other")], "output label", None, "other INT64 [2]"),
        ([replace(LABEL, datatype="UINT64")], "output label", None, "label UINT64 [2]"),
        ([LABEL, replace(LABEL, name="more")], "outputs", None, "2 tensors"),
        ([], "outputs", None, "0 tensors"),
    ],
)
def test_tensors_differ(outputs: list[Tensor], part: str, place: int | None, here: str) -> None:
    """A tensor that differs is named with the element, or with what it is."""
    case = valid("tensor")

    found = first(case, again(case, outputs=tensors(*outputs)))

    assert (found.part, found.place, found.here) == (part, place, here)


def test_tensors_of_bytes_differ() -> None:
    """Elements of BYTES have sizes of their own, so the byte is named."""
    saved = Tensor("names", "BYTES", (1,), b"\x02\x00\x00\x00ab")
    case = build("tensor", response={"kind": "tensors", "outputs": tensors(saved)})

    found = first(case, again(case, outputs=tensors(replace(saved, data=b"\x02\x00\x00\x00ac"))))

    assert (found.part, found.place, found.signed, found.here) == ("output names (byte)", 5, "0x62", "0x63")


def test_tensors_become_something_else() -> None:
    """Outputs that are no list at all are a difference too."""
    case = valid("tensor")

    assert first(case, again(case, outputs=None)).part == "outputs"


def test_unreadable_tensor_is_malformed() -> None:
    """A saved tensor that is none is refused, not compared."""
    case = valid("tensor")
    answer = replace(case.bundle.answer, response={"kind": "tensors", "outputs": ["not a tensor"]})

    with pytest.raises(Malformed):
        compare(replace(case.bundle, answer=answer), again(case))


def test_profile_is_compared_first() -> None:
    """Every member of the profile that is not the same here is named; the bits may be equal all the same."""
    case = valid("text")
    here = replace(profile_of("text"), isa="aarch64", threads=1)

    found = compare(case.bundle, replace(again(case), profile=here))

    assert [(each.part, each.signed, each.here) for each in found.profile] == [
        ("isa", '"x86_64-avx2"', '"aarch64"'),
        ("threads", "4", "1"),
    ]
    assert found.equal
    assert found.as_json()["profile_equal"] is False
    assert found.profile[1].sentence == "threads: the file has 4, this run 1"


@pytest.mark.parametrize("part", ["given", "response", "profile"])
def test_what_is_not_signed_is_not_equal(part: str) -> None:
    """A file whose parts are not what its receipt signs is not equal, even if the same comes out."""
    case = valid("text")
    other: Any = {
        "given": {"text": "x", "token_ids": None},
        "response": {**case.bundle.answer.response, "text": "Rome."},
        "profile": replace(case.bundle.answer.profile, threads=9),
    }
    answer = replace(case.bundle.answer, **{part: other[part]})
    bundle = replace(case.bundle, answer=answer)

    found = compare(bundle, Again(answer.profile, answer.given, answer.response))

    assert found.unsigned == (part,)
    assert found.first is None
    assert not found.equal


# --- cancelled answers -------------------------------------------------------------------------------------------


def cancelled(**more: Json) -> Case:
    response = {**valid("text").bundle.answer.response, "finish_reason": "cancelled", **more}
    return build("text", response=response)


def test_cancelled_is_compared_as_far_as_it_went() -> None:
    """Where the saved answer was stopped, this run goes on: the beginning is compared."""
    case = cancelled()
    usage = {"input_tokens": 4, "output_tokens": 9}
    more: Json = [{"token": "Paris", "logprob": -0.25, "top_logprobs": []}, {"token": " is"}]

    found = compare(
        case.bundle,
        again(case, text="Paris. It is", token_ids=[9, 10, 11], logprobs=more, finish_reason="stop", usage=usage),
    )

    assert found.equal
    assert not found.whole


def test_cancelled_before_the_first_token() -> None:
    """An answer of nothing is the beginning of every answer."""
    case = cancelled(text="", token_ids=None, logprobs=None)

    assert compare(case.bundle, again(case, text="Paris.", token_ids=[9], logprobs=[{}], finish_reason="stop")).equal


def test_cancelled_may_differ() -> None:
    """A beginning that is another is a difference."""
    case = cancelled()

    assert first(case, again(case, token_ids=[9, 12, 11], finish_reason="stop")).place == 1
    assert first(case, again(case, token_ids=None, finish_reason="stop")).place is None


def test_difference_in_words() -> None:
    """A difference is told in one sentence, and as JSON."""
    found = Difference("token_ids", 3, "1", "2")

    assert found.sentence == "token_ids at 3: the file has 1, this run 2"
    assert found.as_json() == {"part": "token_ids", "place": 3, "signed": "1", "here": "2"}
