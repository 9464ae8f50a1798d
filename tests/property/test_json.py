"""JSON, for any value: one form, read back exactly, the same under any spelling."""

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import doubles, json_values, outcome

from paraph.core.encode import Json, canonical, decode, decode_exact, spelled


@given(json_values)
def test_canonical_form_is_a_fixed_point(value: Json) -> None:
    """What is written is read by both readers and written the same again."""
    data = canonical(value)

    assert canonical(decode(data)) == canonical(decode_exact(data)) == data


@given(json_values, st.booleans(), st.sampled_from([None, 1]))
def test_spelling_does_not_matter_to_the_form(value: Json, ascii_only: bool, indent: int | None) -> None:
    """However another library spells a value, its canonical form is one."""
    spelling = json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    assert canonical(decode(spelling.encode())) == canonical(value)


@given(json_values)
def test_values_survive(value: Json) -> None:
    """What is read equals what was written, as Python's own reader sees it."""
    assert decode(canonical(value)) == json.loads(canonical(value)) == value_of(value)


def value_of(value: Json) -> Json:
    """The value with -0.0 and whole floats as integers, which is how the form has them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [value_of(item) for item in value]
    if isinstance(value, dict):
        return {name: value_of(item) for name, item in value.items()}
    return value


@given(doubles)
def test_spelling_carries_the_double(number: float) -> None:
    """The spelling of any double is read back as that double, and is the shortest Python knows."""
    text = spelled(number)

    assert float(text) == number
    assert len(text.partition("e")[0].replace(".", "").lstrip("-0")) <= 17


@given(json_values, json_values)
def test_different_values_differ(one: Json, two: Json) -> None:
    """Two values share a form only when they are one value; `True` is not 1."""
    same = canonical(one) == canonical(two)

    assert not same or repr(value_of(one)) == repr(value_of(two)) or value_of(one) == value_of(two)


@given(st.floats() | st.integers())
def test_numbers_are_written_or_refused(number: float) -> None:
    """Any number is spelled in a way that is read again, or refused by name."""
    data, code = outcome(lambda: canonical(number))

    assert code in ("", "json.number")
    assert data is None or decode_exact(data) == number
