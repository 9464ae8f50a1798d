"""Rows at hand: never more than agreed, never another value than the store's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_ledger.world import ALICE, BOB, CAROL
from tests.unit.full_node.world import Desk, calling, transfer

from paraph.adapters.fakes.store import MemoryStore
from paraph.full_node import tables as module
from paraph.full_node.tables import STATE, TREE, AtHand

ALL = [bytes((number,)) for number in range(12)]
KEYS = st.sampled_from(ALL)
VALUES = st.none() | st.binary(max_size=2)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "forget"]), KEYS, VALUES), max_size=80)


@given(STEPS, st.integers(min_value=1, max_value=5))
def test_at_hand_is_the_last_put_or_nothing(steps: list[tuple[str, bytes, Any]], rows_max: int) -> None:
    """What is found is what was put last; the last one is found; there are at most twice as many."""
    at_hand, put = AtHand(rows_max), dict[bytes, Any]()
    for what, key, value in steps:
        put.pop(key, None)
        if what == "put":
            at_hand.put(key, value)
            put[key] = value
        else:
            at_hand.forget(key)

        found = {each: at_hand.find(each) for each in ALL}
        assert {each: value[0] for each, value in found.items() if value}.items() <= put.items()
        assert found[key] == ((value,) if what == "put" else None)
        assert sum(value is not None for value in found.values()) <= 2 * rows_max


@pytest.mark.parametrize(("rows_max", "bytes_max"), [(1, 0), (2, 3), (7, 256), (50_000, 256)])
def test_same_chain_whatever_is_at_hand(monkeypatch: pytest.MonkeyPatch, rows_max: int, bytes_max: int) -> None:
    """Values that come, grow, shrink and go again read as the store has them, and the roots are the same."""
    plain = Desk(store=MemoryStore())
    monkeypatch.setattr(module, "AT_HAND_MAX", rows_max)
    monkeypatch.setattr(module, "AT_HAND_BYTES_MAX", bytes_max)
    store = MemoryStore()
    desk = Desk(store=store)

    for nonce in range(12):
        amount = (0, 1, 2**200)[nonce % 3]
        raws = [
            transfer(2 * nonce, to=(BOB, CAROL)[nonce % 2].address, value=nonce),
            calling(2 * nonce + 1, "Opg", "approve", BOB.address, amount, sender=ALICE),
        ]
        plain.settle(*raws)
        desk.settle(*raws)

        assert desk.chain.head == plain.chain.head
        kept = dict(store.items(STATE))
        seen = {key for key, _ in store.items(STATE)} | {b"accounts/allowance/" + ALICE.address + BOB.address}
        assert {key: desk.chain.read(key) for key in seen} == {key: kept.get(key) for key in seen}
        desk.chain.audit()


def test_node_of_the_past_is_read_from_the_store() -> None:
    """What a reader of proofs looks at takes no place at hand from what blocks use."""
    store = MemoryStore()
    desk = Desk(store=store)
    desk.settle(transfer(0))
    desk.chain._tables.put_away()

    desk.chain.prove(b"accounts/balance/" + ALICE.address)

    nodes = [node for node, _ in store.items(TREE)]
    assert [desk.chain._tables._nodes.find(node) for node in nodes] == [None] * len(nodes)
