"""Reading what Ethereum clients write: exact forms, and bounds that are the reader's own."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.ethereum.wire import Reading, quantity, read_flag, read_quantity
from paraph.core.amount import UINT256_MAX, Wei
from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.ident import ZERO_ADDRESS, Address, Digest
from paraph.core.limits import TX_BYTES_MAX
from paraph.flows.verified.calls import CallRequest

READING = Reading(number_max=1_000, access_list_max=2, data_bytes_max=40)
WIDE = Reading(number_max=2**64 - 1, access_list_max=10)
BOB, KEY = Address(b"\x22" * 20), Digest(b"\x33" * 32)
BOB_TEXT, KEY_TEXT = "0x" + "22" * 20, "0x" + "33" * 32
NAMES = {"latest": None, "earliest": 0}


def refused(read: Callable[[Any, str], object], value: Any) -> str:
    """The sentence by which a value is refused."""
    with pytest.raises(Malformed) as caught:
        read(value, "it")
    assert caught.value.code == "rpc.params"
    return caught.value.message


@given(st.integers(0, UINT256_MAX))
def test_quantity_comes_back(number: int) -> None:
    """A quantity that was written is read as the same number."""
    assert read_quantity(quantity(number), "it") == number


@pytest.mark.parametrize("value", ["", "0x", "0x01", "0x00", "0X1", "1", "0xg", "0x1 ", "0x\u0661", "0x" + "1" * 65])
def test_quantity_has_one_form(value: str) -> None:
    """A quantity has a prefix, at least one digit, and no leading zeros."""
    assert "without leading zeros" in refused(read_quantity, value)


@pytest.mark.parametrize("value", [None, 1, True, 1.0, [], {}])
def test_quantity_is_text(value: Any) -> None:
    """A JSON number is no quantity."""
    assert "hex quantity" in refused(read_quantity, value)


def test_quantity_is_bounded() -> None:
    """The bound itself is read, one more is not."""
    assert read_quantity("0xff", "it", 255) == 255
    with pytest.raises(Malformed, match="above 0xff"):
        read_quantity("0x100", "it", 255)


@pytest.mark.parametrize(("value", "number"), [(0, 0), (1_000, 1_000), ("0x3e8", 1_000), ("0x0", 0)])
def test_count(value: Any, number: int) -> None:
    """A count is a JSON number or a quantity, up to the reader's bound."""
    assert READING.count(value, "it") == number


@pytest.mark.parametrize("value", [-1, 1_001, "0x3e9", True, 1.0, None, "5"])
def test_bad_count(value: Any) -> None:
    """What is negative, above the bound or no whole number is no count."""
    assert refused(READING.count, value)


def test_data_is_bounded_where_the_reader_says() -> None:
    """Data is read up to the reader's bound; without one, whatever came in."""
    longest = "0x" + "ab" * 40

    assert READING.data(longest, "it") == b"\xab" * 40
    assert refused(READING.data, longest + "ab").endswith("two digits a byte, at most 40 bytes")
    assert WIDE.data(longest + "ab", "it") == b"\xab" * 41


@pytest.mark.parametrize("value", ["", "0", "0x1", "0xgg", "0X11", "11", "0x 11", None, 5, []])
def test_data_has_one_form(value: Any) -> None:
    """Data has a prefix and two digits a byte."""
    assert refused(WIDE.data, value).endswith("0x and two digits a byte")


@pytest.mark.parametrize(("read", "size"), [(WIDE.address, 20), (WIDE.digest, 32)])
def test_sizes_are_exact(read: Callable[[Any, str], bytes], size: int) -> None:
    """An address has 20 bytes and a hash 32, not one more or less."""
    assert read("0x" + "Ab" * size, "it") == b"\xab" * size
    for wrong in (size - 1, size + 1):
        assert refused(read, "0x" + "ab" * wrong) == f"it must be {size} bytes, not {wrong}"


def test_flag() -> None:
    """True and false are flags; what only looks like one is not."""
    assert (read_flag(value=True, what="it"), read_flag(value=False, what="it")) == (True, False)
    for value in (0, 1, "true", None):
        assert "true or false" in refused(read_flag, value)


@pytest.mark.parametrize(
    ("value", "place"), [("latest", None), ("earliest", 0), ("0x3e8", 1_000), ("0x0", 0), (KEY_TEXT, KEY)]
)
def test_place(value: str, place: Any) -> None:
    """A block is meant by one of the names, by a height or by a hash."""
    assert READING.place(value, "it", NAMES) == place


@pytest.mark.parametrize("value", ["pending", "Latest", "0x3e9", "0x" + "33" * 33, "0x" + "zz" * 32, 5, None, {}, []])
def test_bad_place(value: Any) -> None:
    """Other names, heights above the bound and other sizes are refused."""
    assert refused(lambda value, what: READING.place(value, what, NAMES), value)


def test_call() -> None:
    """Every member of a transaction object has its place."""
    asked: Json = {
        "from": BOB_TEXT,
        "to": BOB_TEXT,
        "value": "0x5",
        "data": "0x1234",
        "gas": "0x5208",
        "maxFeePerGas": "0x7",
        "accessList": [{"address": BOB_TEXT, "storageKeys": [KEY_TEXT]}],
    }

    assert READING.call(asked, "it") == CallRequest(BOB, BOB, Wei(5), b"\x12\x34", 21_000, 7, ((BOB, (KEY,)),))


@pytest.mark.parametrize("to", [None, "0x"])
def test_call_of_nothing(to: Any) -> None:
    """What is left out has its default; no recipient is none."""
    assert READING.call({"to": to}, "it") == CallRequest(ZERO_ADDRESS, None, Wei(0), b"")


def test_call_data_has_two_names() -> None:
    """`data` and `input` may both be there if they agree."""
    assert READING.call({"data": "0x12", "input": "0x12"}, "it").data == b"\x12"
    assert refused(READING.call, {"data": "0x12", "input": "0x13"}) == "it: data and input differ; use input"


def test_call_data_is_no_larger_than_a_transaction() -> None:
    """Where nothing else bounds data, that of a call is bounded by what a transaction may be."""
    assert len(WIDE.call({"data": "0x" + "00" * TX_BYTES_MAX}, "it").data) == TX_BYTES_MAX
    longer = {"data": "0x" + "00" * (TX_BYTES_MAX + 1)}
    assert refused(WIDE.call, longer) == "it.input is larger than a transaction may be"


def test_gas_price_stands_for_the_fee() -> None:
    """An older client names `gasPrice`; where both are named, the newer counts."""
    assert READING.call({"gasPrice": "0x5"}, "it").fee == 5
    assert READING.call({"gasPrice": "0x5", "maxFeePerGas": "0x6"}, "it").fee == 6


def test_access_list_is_bounded() -> None:
    """Entries, and keys of an entry, are read up to the reader's bound."""
    entry = {"address": BOB_TEXT, "storageKeys": [KEY_TEXT] * 2}

    assert READING.call({"accessList": [entry] * 2}, "it").access_list == ((BOB, (KEY, KEY)),) * 2
    for longer in ([entry] * 3, [{**entry, "storageKeys": [KEY_TEXT] * 3}]):
        with pytest.raises(Malformed):
            READING.call({"accessList": longer}, "it")


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 2**53)
    | st.text(max_size=8)
    | st.sampled_from(["0x", "0x0", "0x1", "latest", BOB_TEXT, KEY_TEXT]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("from to data input value gas accessList address storageKeys".split()), inner)
    ),
    max_leaves=10,
)


@given(anything)
def test_anything_is_read_or_refused(value: Any) -> None:
    """Whatever comes is read or `Malformed`, by every reader."""
    for read in (
        read_quantity,
        read_flag,
        READING.count,
        READING.data,
        READING.address,
        READING.digest,
        READING.call,
        lambda value, what: READING.place(value, what, NAMES),
    ):
        with suppress(Malformed):
            read(value, "it")
