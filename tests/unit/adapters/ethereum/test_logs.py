"""Which logs are asked for: addresses, topics, alternatives and free positions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.ethereum.logs import ALTERNATIVES_MAX, TOPICS_MAX, Criteria, read_criteria
from paraph.adapters.ethereum.wire import Reading
from paraph.core.errors import Malformed
from paraph.core.ident import Address, to_hex
from paraph.ledger.contract import Log

READING = Reading(number_max=1_000, access_list_max=2)
ALICE, BOB = Address(b"\x11" * 20), Address(b"\x22" * 20)
A, B, C = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("found", "topics", "asked"),
    [
        ({}, (), True),
        ({}, (A, B, C), True),
        ({"address": to_hex(ALICE)}, (), True),
        ({"address": to_hex(BOB)}, (), False),
        ({"address": [to_hex(BOB), to_hex(ALICE)]}, (), True),
        ({"address": []}, (), True),
        ({"topics": []}, (), True),
        ({"topics": None}, (A,), True),
        ({"topics": [to_hex(A)]}, (A, B), True),
        ({"topics": [to_hex(A)]}, (B, A), False),
        ({"topics": [to_hex(A)]}, (), False),
        ({"topics": [None]}, (), False),
        ({"topics": [None, to_hex(B)]}, (A, B), True),
        ({"topics": [None, to_hex(B)]}, (A, C), False),
        ({"topics": [[to_hex(A), to_hex(B)]]}, (B,), True),
        ({"topics": [[to_hex(A), to_hex(B)]]}, (C,), False),
        ({"topics": [[to_hex(A), None]]}, (C,), True),
        ({"topics": [[], to_hex(B)]}, (C, B), True),
        ({"topics": [[], to_hex(B)]}, (C,), False),
        ({"address": to_hex(BOB), "topics": [to_hex(A)]}, (A,), False),
    ],
)
def test_match(found: dict[str, Any], topics: tuple[bytes, ...], asked: bool) -> None:
    """A log of Alice's is chosen as execution-apis says."""
    assert read_criteria(found, "it", READING).match(Log(ALICE, topics, b"")) is asked


@pytest.mark.parametrize(
    "found",
    [
        {"address": "0x12"},
        {"address": 5},
        {"address": {}},
        {"address": [None]},
        {"address": [to_hex(BOB)] * (ALTERNATIVES_MAX + 1)},
        {"topics": to_hex(A)},
        {"topics": ["0x12"]},
        {"topics": [5]},
        {"topics": [[["0x12"]]]},
        {"topics": [None] * (TOPICS_MAX + 1)},
        {"topics": [[to_hex(A)] * (ALTERNATIVES_MAX + 1)]},
    ],
)
def test_bad_criteria(found: dict[str, Any]) -> None:
    """Wrong forms, and more than is allowed, are refused."""
    with pytest.raises(Malformed):
        read_criteria(found, "it", READING)


def test_bounds_themselves_are_allowed() -> None:
    """As many alternatives and topics as allowed are read."""
    found = read_criteria(
        {"address": [to_hex(BOB)] * ALTERNATIVES_MAX, "topics": [[to_hex(A)] * ALTERNATIVES_MAX] + [None] * 3},
        "it",
        READING,
    )

    assert found == Criteria(frozenset({BOB}), (frozenset({A}), None, None, None))


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=4) | st.sampled_from([to_hex(ALICE), to_hex(A), "0x"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"address": values, "topics": values}))
def test_anything_is_read_or_refused(found: dict[str, Any]) -> None:
    """Whatever the members are, they are read or `Malformed`; what was read can be matched."""
    try:
        criteria = read_criteria(found, "it", READING)
    except Malformed:
        return

    assert criteria.match(Log(ALICE, (A,), b"")) in (True, False)
