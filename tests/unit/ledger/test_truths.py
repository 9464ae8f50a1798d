"""The auditor: each truth holds of a whole world, and is seen to fail when state is tampered with."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support_ledger.world import (
    ALICE,
    BOB,
    CAROL,
    HOT,
    MODEL,
    OPERATOR,
    World,
    person,
    request,
)

from paraph.core.ident import Digest
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.escrow.keys import ACCOUNTS
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.rooms.models.keys import MODELS, PRICES, price_place
from paraph.ledger.rooms.nodes.keys import ADDRESS as NODES_CONTRACT
from paraph.ledger.rooms.nodes.keys import HOT_KEYS, KEYS_CLOSED_S, NODES
from paraph.ledger.rooms.params.keys import VALUES
from paraph.ledger.rooms.settlement.keys import BATCH_COUNT, BATCHES, SETTLED
from paraph.ledger.state import State
from paraph.ledger.truths import TRUTHS, broken


def test_a_whole_world_is_true() -> None:
    """All truths hold of a world in which every room holds something."""
    world = World.whole()

    assert world.view("Settlement", "batches") == 2
    assert broken(world.state) == []


Tamper = Callable[[State], None]


def mint(state: State) -> None:
    BALANCES.add(state, CAROL.address, 1)


def burn(state: State) -> None:
    BALANCES.add(state, CAROL.address, -1)


def escrow_more(state: State) -> None:
    held = ACCOUNTS.get(state, ALICE.address)
    assert held is not None
    ACCOUNTS.put(state, ALICE.address, replace(held, leaving=held.leaving + 1))


def escrow_lost(state: State) -> None:
    BALANCES.add(state, ESCROW, -1)
    BALANCES.add(state, CAROL.address, 1)


def bond_more(state: State) -> None:
    node = NODES.get(state, OPERATOR.address)
    assert node is not None
    NODES.put(state, OPERATOR.address, replace(node, bond=node.bond + 1))


def bond_lost(state: State) -> None:
    BALANCES.add(state, NODES_CONTRACT, -1)
    BALANCES.add(state, CAROL.address, 1)


def stray_key(state: State) -> None:
    key = HOT_KEYS.get(state, HOT.address)
    assert key is not None
    HOT_KEYS.put(state, CAROL.address, replace(key, node=CAROL.address))


def second_key(state: State) -> None:
    key = HOT_KEYS.get(state, HOT.address)
    assert key is not None
    HOT_KEYS.put(state, CAROL.address, replace(key, height_last=0))


def key_reopened(state: State) -> None:
    key = HOT_KEYS.get(state, HOT.address)
    assert key is not None
    HOT_KEYS.put(state, HOT.address, replace(key, height_last=0))


def key_removed(state: State) -> None:
    HOT_KEYS.remove(state, person("new hot").address)


def closing_lost(state: State) -> None:
    KEYS_CLOSED_S.put(state, HOT.address, 0)


def closing_invented(state: State) -> None:
    KEYS_CLOSED_S.put(state, person("new hot").address, 1)


def schedule_missing(state: State) -> None:
    PRICES.remove(state, price_place(MODEL, 1))


def schedule_reopened(state: State) -> None:
    price = PRICES.get(state, price_place(MODEL, 1))
    assert price is not None
    PRICES.put(state, price_place(MODEL, 1), replace(price, ended_s=0))


def schedule_ended(state: State) -> None:
    price = PRICES.get(state, price_place(MODEL, 2))
    assert price is not None
    PRICES.put(state, price_place(MODEL, 2), replace(price, ended_s=1))


def version_ahead(state: State) -> None:
    model = MODELS.get(state, MODEL)
    assert model is not None
    MODELS.put(state, MODEL, replace(model, price_version=3))


def out_of_bounds(state: State) -> None:
    VALUES.put(state, b"stakers_bps", 2_002)


def contradicting(state: State) -> None:
    VALUES.put(state, b"settle_window_s", 86_401)


def settled_lost(state: State) -> None:
    SETTLED.remove(state, ALICE.address + request(number=1).key)


def settled_twice(state: State) -> None:
    found = SETTLED.get(state, ALICE.address + request(number=1).key)
    assert found is not None
    SETTLED.put(state, BOB.address + request(number=1).key, found)


def settled_nowhere(state: State) -> None:
    found = SETTLED.get(state, ALICE.address + request(number=1).key)
    assert found is not None
    SETTLED.put(state, BOB.address + request(number=1).key, replace(found, batch=9))


def batch_larger(state: State) -> None:
    found = BATCHES.get(state, (1).to_bytes(8, "big"))
    assert found is not None
    BATCHES.put(state, (1).to_bytes(8, "big"), replace(found, size=2))


def batch_lost(state: State) -> None:
    BATCHES.remove(state, (1).to_bytes(8, "big"))


def batch_invented(state: State) -> None:
    found = BATCHES.get(state, (1).to_bytes(8, "big"))
    assert found is not None
    BATCHES.put(state, (3).to_bytes(8, "big"), replace(found, root=Digest(bytes(32)), size=0))


def count_ahead(state: State) -> None:
    BATCH_COUNT.put(state, b"", 3)


TAMPERED: list[tuple[Tamper, str]] = [
    (mint, "supply_is_conserved"),
    (burn, "supply_is_conserved"),
    (escrow_more, "escrow_is_held"),
    (escrow_lost, "escrow_is_held"),
    (bond_more, "bonds_are_held"),
    (bond_lost, "bonds_are_held"),
    (stray_key, "keys_belong_to_nodes"),
    (second_key, "keys_belong_to_nodes"),
    (key_reopened, "keys_belong_to_nodes"),
    (key_removed, "keys_belong_to_nodes"),
    (closing_lost, "keys_belong_to_nodes"),
    (closing_invented, "keys_belong_to_nodes"),
    (schedule_missing, "one_price_is_in_force"),
    (schedule_reopened, "one_price_is_in_force"),
    (schedule_ended, "one_price_is_in_force"),
    (version_ahead, "one_price_is_in_force"),
    (out_of_bounds, "parameters_fit_together"),
    (contradicting, "parameters_fit_together"),
    (settled_lost, "batches_are_whole"),
    (settled_twice, "batches_are_whole"),
    (settled_nowhere, "batches_are_whole"),
    (batch_larger, "batches_are_whole"),
    (batch_lost, "batches_are_whole"),
    (batch_invented, "batches_are_whole"),
    (count_ahead, "batches_are_whole"),
]


@pytest.mark.parametrize(("tamper", "truth"), TAMPERED, ids=[tamper.__name__ for tamper, _ in TAMPERED])
def test_tampering_is_seen(tamper: Tamper, truth: str) -> None:
    """Each way to tamper breaks the truth that guards against it, and no other."""
    world = World.whole()
    state = State(world.state.get)
    tamper(state)
    state.keep()
    world.commit(state.changes())

    found = broken(world.state)

    assert found
    assert {sentence.partition(":")[0] for sentence in found} == {truth}


def test_every_truth_is_seen_to_fail() -> None:
    """No truth stands here without a way to break it; others are broken in files of their own."""
    rooms = ("paraph.ledger.rooms.bonds.truths", "paraph.ledger.rooms.proofs.truths")
    elsewhere = {truth.__name__ for truth in TRUTHS if truth.__module__ in rooms}
    elsewhere |= {"enclaves_belong_to_nodes", "releases_are_whole", "promises_are_settled", "exact_models_are_whole"}

    assert {truth.__name__ for truth in TRUTHS} - elsewhere == {truth for _, truth in TAMPERED}
