"""A card turns numbers into a model's integers and back, and is read only as it is written."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.provers.card import Card, card_from_bytes
from paraph.adapters.provers.certificate import Certificate
from paraph.core.encode import canonical
from paraph.core.errors import Malformed, Rejected

DIGEST = "0x" + "ab" * 32
CERTIFICATE = Certificate(DIGEST, DIGEST, DIGEST, 3, 10, DIGEST, DIGEST, 9, 0.1, 1e-7, 12.0, {"numpy": "2.4"})
UNITS = (0.1, 2.0, 1e-9), (0.0, -1.5, 7.25)
CARD = Card("x", (3,), *UNITS, 0.3, 2, "argmax", ("no", "yes"), "scores", ("Softmax",), CERTIFICATE)
ANYTHING = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3), lambda each: st.lists(each, max_size=3), max_leaves=6
)
finite = st.floats(allow_nan=False, allow_infinity=False)


def test_a_card_is_read_as_it_was_written() -> None:
    """Writing and reading gives the card."""
    assert card_from_bytes(CARD.bytes) == CARD
    assert card_from_bytes(replace(CARD, certificate=None).bytes) == replace(CARD, certificate=None)


@given(finite.filter(bool), finite)
def test_numbers_come_back_to_the_last_bit(scale: float, offset: float) -> None:
    """Any scale and offset is the same double after writing and reading."""
    card = replace(CARD, scale=(scale,), offset=(offset,))

    found = card_from_bytes(card.bytes)

    assert (found.scale, found.offset) == ((scale,), (offset,))


def test_inputs_become_the_nearest_steps() -> None:
    """Each feature by its own scale and offset, halves to even, and held within int8."""
    card = replace(CARD, scale=(0.5, 1.0, 2.0), offset=(0.0, 10.0, 0.0))

    found = card.to_int8(np.array([[0.25, 9.0, 5.0], [1.0, 1e9, -1e9]]))

    assert found.tolist() == [[0, -1, 2], [2, 127, -128]]


def test_scales_may_be_one_for_each_channel() -> None:
    """Two channels of two elements: each channel's scale counts for both of its elements."""
    card = replace(CARD, input=(2, 1, 2), scale=(1.0, 2.0), offset=(0.0,))

    assert card.to_int8(np.array([[4.0, 6.0, 4.0, 6.0]])).tolist() == [[4, 6, 2, 3]]


@pytest.mark.parametrize(
    "rows",
    [np.zeros((1, 4)), np.zeros(3), np.array([[1, np.nan, 1]]), np.zeros((0, 3))],
    ids=["long", "flat", "nan", "empty"],
)
def test_other_inputs_are_refused(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    """Rows of the model's length, of finite numbers."""
    with pytest.raises(Rejected, match=r"exact\.input"):
        CARD.to_int8(rows)


def test_outputs_become_scores_and_answers() -> None:
    """Scores by the output's scale; the answer by the largest, or the sign of the only one, or none."""
    sign = replace(CARD, outputs=1, decision="sign")

    assert CARD.from_int32(np.array([[10, -20]], np.int32)).tolist() == [[3.0, -6.0]]
    assert [CARD.answer(each) for each in ([1, 2], [2, 2])] == ["yes", "no"]
    assert [sign.answer(each) for each in ([1], [0])] == ["yes", "no"]
    assert replace(CARD, labels=()).answer([1, 2]) == "1"
    assert replace(CARD, decision="none", labels=()).answer([1, 2]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"scale": (1.0, 2.0)},
        {"scale": (0.0,)},
        {"offset": ()},
        {"output_scale": 0.0},
        {"labels": ("one",)},
        {"decision": "sign", "labels": ()},
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    """A card's parts fit each other."""
    with pytest.raises(Malformed, match=r"exact\.card"):
        replace(CARD, **change)  # type: ignore[arg-type]


def test_only_one_spelling_is_read() -> None:
    """A digit more, another order, or a space makes it another file, which is refused."""
    data = CARD.bytes

    for other in (data.replace(b'"0.1"', b'"0.10"'), data + b" ", data.replace(b'"0.1"', b'"nan"')):
        with pytest.raises(Malformed):
            card_from_bytes(other)


@given(ANYTHING, st.data())
def test_any_other_json_is_refused(value: Any, data: st.DataObject) -> None:
    """A card with one member replaced by anything else is refused as malformed, or is another card."""
    tree: dict[str, Any] = dict(CARD.as_json())
    inner = data.draw(st.sampled_from(["input", "output", "certificate", ""]))
    place = dict(tree[inner]) if inner else tree
    place[data.draw(st.sampled_from(sorted(place)))] = value
    spelled = canonical({**tree, inner: place} if inner else tree)

    try:
        found = card_from_bytes(spelled)
    except Malformed:
        return
    assert found.bytes == spelled
