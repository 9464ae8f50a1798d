"""The auditor of promised proofs: each truth holds of a whole world, and is seen to fail when state is changed."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support_ledger.promises import GRAPH, Node, exact_world, expire, pass_blocks, prove, told
from tests.support_ledger.world import BOB, CAROL, MODEL, OPERATOR, World

from paraph.core.ident import ModelId
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.models.keys import EXACT, GRAPH_WORK, GRAPHS
from paraph.ledger.rooms.nodes.keys import PROMISES
from paraph.ledger.rooms.proofs.keys import (
    ADDRESS,
    COUNTS,
    DUE_COUNT,
    DUES,
    MISSED,
    MISSED_COUNT,
    PROVEN,
    PROVEN_COUNT,
)
from paraph.ledger.state import State
from paraph.ledger.truths import TRUTHS, broken
from paraph.proofs.records import Proven

NODE = Node()
OTHER = ModelId(bytes(31) + b"\1")


def whole() -> tuple[World, dict[str, bytes]]:
    """A world with a proof that was missed, one that was taken and one that is due, and their places."""
    judge = told()
    world = exact_world(judge)
    missed = NODE.due(world, 1)
    pass_blocks(world, 601)
    assert expire(world, missed.place).error == ""
    taken, due = NODE.due(world, 2), NODE.due(world, 3)
    judge.told = [(NODE.statement(world, taken), b"a proof")]
    assert prove(world, taken.item, beacon=world.height - 1).error == ""
    found = {"missed": missed, "taken": taken, "due": due}
    return world, {name: each.payer + each.key for name, each in found.items()}


Tamper = Callable[[State, dict[str, bytes]], None]


def price_more(state: State, at: dict[str, bytes]) -> None:
    found = DUES.get(state, at["due"])
    assert found is not None
    DUES.put(state, at["due"], replace(found, price=found.price + 1))


def price_lost(state: State, _: dict[str, bytes]) -> None:
    BALANCES.add(state, ADDRESS, -1)
    BALANCES.add(state, CAROL.address, 1)


def counted_more(state: State, _: dict[str, bytes]) -> None:
    COUNTS.add(state, PROVEN_COUNT, 1)


def counted_less(state: State, _: dict[str, bytes]) -> None:
    COUNTS.add(state, DUE_COUNT, -1)


def taken_twice(state: State, at: dict[str, bytes]) -> None:
    found = PROVEN.get(state, at["taken"])
    assert isinstance(found, Proven)
    PROVEN.put(state, at["missed"], found)
    COUNTS.add(state, PROVEN_COUNT, 1)


def missed_and_taken(state: State, at: dict[str, bytes]) -> None:
    MISSED.put(state, at["taken"], 9)
    COUNTS.add(state, MISSED_COUNT, 1)


def owed_more(state: State, _: dict[str, bytes]) -> None:
    PROMISES.add(state, OPERATOR.address, 1)


def owed_less(state: State, _: dict[str, bytes]) -> None:
    PROMISES.add(state, OPERATOR.address, -1)


def owed_by_another(state: State, _: dict[str, bytes]) -> None:
    PROMISES.add(state, CAROL.address, 1)


def of_no_exact_model(state: State, at: dict[str, bytes]) -> None:
    found = DUES.get(state, at["due"])
    assert found is not None
    DUES.put(state, at["due"], replace(found, model_id=OTHER))


def of_no_settlement(state: State, at: dict[str, bytes]) -> None:
    MISSED.put(state, BOB.address + at["missed"][20:], 9)
    COUNTS.add(state, MISSED_COUNT, 1)


def exact_and_no_model(state: State, _: dict[str, bytes]) -> None:
    found = EXACT.get(state, MODEL)
    assert found is not None
    EXACT.put(state, OTHER, found)


def graph_lost(state: State, _: dict[str, bytes]) -> None:
    state.put(GRAPHS + GRAPH.digest, None)


def work_lost(state: State, _: dict[str, bytes]) -> None:
    GRAPH_WORK.put(state, GRAPH.digest, 0)


def graph_changed(state: State, _: dict[str, bytes]) -> None:
    state.put(GRAPHS + GRAPH.digest, b"another")


TAMPERED: list[tuple[Tamper, str]] = [
    (price_more, "prices_are_held"),
    (price_lost, "prices_are_held"),
    (counted_more, "promises_end_once"),
    (counted_less, "promises_end_once"),
    (taken_twice, "promises_end_once"),
    (missed_and_taken, "promises_end_once"),
    (owed_more, "promises_are_counted_by_node"),
    (owed_less, "promises_are_counted_by_node"),
    (owed_by_another, "promises_are_counted_by_node"),
    (of_no_exact_model, "promises_are_of_exact_models"),
    (of_no_settlement, "promises_are_settled"),
    (exact_and_no_model, "exact_models_are_whole"),
    (graph_lost, "exact_models_are_whole"),
    (work_lost, "exact_models_are_whole"),
    (graph_changed, "exact_models_are_whole"),
]


@pytest.mark.parametrize(("tamper", "truth"), TAMPERED, ids=[tamper.__name__ for tamper, _ in TAMPERED])
def test_tampering_is_seen(tamper: Tamper, truth: str) -> None:
    """Each way to tamper breaks the truth that guards against it, and no other."""
    world, places = whole()
    assert broken(world.state) == []
    state = State(world.state.get)
    tamper(state, places)
    state.keep()
    world.commit(state.changes())
    found = broken(world.state)

    assert {sentence.partition(":")[0] for sentence in found} == {truth}


def test_every_truth_is_seen_to_fail() -> None:
    """No truth of promised proofs stands without a way to break it."""
    rooms = ("paraph.ledger.rooms.proofs.truths",)
    mine = {truth.__name__ for truth in TRUTHS if truth.__module__ in rooms}

    assert mine | {"promises_are_settled", "exact_models_are_whole"} == {truth for _, truth in TAMPERED}
