"""ABI, for any types and values: the bytes of eth-abi, read back, and only one form."""

from typing import Any

from eth_abi.abi import encode as reference
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import damaged, outcome, parameters

from paraph.core.abi import Field, decode, encode

Parameters = tuple[tuple[Field, ...], tuple[Any, ...]]


@given(parameters())
def test_bytes_are_those_of_eth_abi(made: Parameters) -> None:
    """Whatever the types, eth-abi writes the same bytes."""
    fields, values = made

    assert encode(fields, values) == reference([each.type.name for each in fields], values)


@given(parameters())
def test_values_survive(made: Parameters) -> None:
    """What is written is read."""
    fields, values = made

    assert decode(fields, encode(fields, values)) == values


@given(parameters(), st.data())
def test_one_value_has_one_form(made: Parameters, data: st.DataObject) -> None:
    """Damaged bytes are refused by name, or are the one form of the values that they hold."""
    fields, values = made
    hostile = data.draw(damaged(encode(fields, values)) | st.binary(max_size=200))

    found, code = outcome(lambda: decode(fields, hostile))

    assert code in ("", "abi.form")
    assert found is None or encode(fields, found) == hostile
