"""The auditor of validators: each truth holds of a whole chain, and is seen to fail when state is tampered with."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from tests.support_ledger.staking import LEAST, Chain, account, genesis_validator, key, proof
from tests.support_ledger.world import OPG

from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.bonds import rules
from paraph.ledger.rooms.bonds.keys import (
    ACTIVE,
    ADDRESS,
    KEYS,
    LIST,
    PLACES,
    SEAT_COUNT,
    SEATS,
    UNBONDINGS,
    VALIDATORS,
)
from paraph.ledger.rooms.bonds.ranking import place_key, rank, seat_at
from paraph.ledger.rooms.bonds.types import ActiveSet, KeyOwner, Seat, Unbonding
from paraph.ledger.state import State
from paraph.ledger.truths import TRUTHS, broken

ALICE, BOB, CAROL = account("alice"), account("bob"), account("carol")
T = TypeVar("T")


def whole() -> Chain:
    """A chain with validators in and outside the set, one put out, one that left, and money that waits."""
    chain = Chain(
        (genesis_validator("zoe"), genesis_validator("yan")),
        ("alice", "bob", "carol", "dave"),
        validators_max=2,
    )
    for number, name in enumerate(("alice", "bob", "carol", "dave")):
        chain.join(name, (number + 2) * LEAST)
    for _ in range(7):
        chain.must("bob", "unbond", OPG)
    chain.must("carol", "unbond", 4 * LEAST)
    chain.end()
    chain.strike("yan")
    chain.must("alice", "unbond", OPG)
    chain.end()
    chain.must("alice", "unbond", OPG)
    chain.end()
    return chain


def there(found: T | None) -> T:
    assert found is not None
    return found


Tamper = Callable[[State], None]


def bond_more(state: State) -> None:
    found = there(VALIDATORS.get(state, ALICE))
    VALIDATORS.put(state, ALICE, replace(found, bond=found.bond + 1))


def waiting_more(state: State) -> None:
    found = there(UNBONDINGS.get(state, ALICE + b"\0"))
    UNBONDINGS.put(state, ALICE + b"\0", replace(found, amount=found.amount + 1))


def money_lost(state: State) -> None:
    BALANCES.add(state, ADDRESS, -1)
    BALANCES.add(state, ALICE, 1)


def key_lost(state: State) -> None:
    KEYS.remove(state, rules.consensus_address(key("alice")))


def key_invented(state: State) -> None:
    KEYS.put(state, rules.consensus_address(key("nobody")), KeyOwner(ALICE))


def key_taken(state: State) -> None:
    KEYS.put(state, rules.consensus_address(key("alice")), KeyOwner(BOB))


def key_of_two(state: State) -> None:
    found = there(VALIDATORS.get(state, ALICE))
    KEYS.remove(state, rules.consensus_address(found.key))
    VALIDATORS.put(state, ALICE, replace(found, key=key("bob")))


def not_listed(state: State) -> None:
    state.put(LIST.prefix + (2).to_bytes(8, "big"), None)


def listed_twice(state: State) -> None:
    LIST.append(state, ALICE)


def waiting_of_nobody(state: State) -> None:
    entry = there(UNBONDINGS.get(state, ALICE + b"\1"))
    UNBONDINGS.remove(state, ALICE + b"\1")
    UNBONDINGS.put(state, account("nobody") + b"\0", entry)


def waiting_out_of_order(state: State) -> None:
    first, second = (there(UNBONDINGS.get(state, ALICE + slot)) for slot in (b"\0", b"\1"))
    UNBONDINGS.put(state, ALICE + b"\0", second)
    UNBONDINGS.put(state, ALICE + b"\1", first)


def waiting_in_a_wrong_place(state: State) -> None:
    UNBONDINGS.put(state, ALICE + b"\2", there(UNBONDINGS.get(state, ALICE + b"\1")))
    UNBONDINGS.remove(state, ALICE + b"\1")


def too_many_waiting(state: State) -> None:
    found = there(UNBONDINGS.get(state, BOB + b"\6"))
    UNBONDINGS.put(state, BOB + b"\6", replace(found, amount=found.amount - 1))
    UNBONDINGS.put(state, BOB + b"\7", replace(found, amount=1))


def nothing_waits(state: State) -> None:
    UNBONDINGS.put(state, ALICE + b"\2", Unbonding(0, 99, 99))


def rank_wrong(state: State) -> None:
    seat = there(SEATS.get(state, place_key(1)))
    SEATS.put(state, place_key(1), replace(seat, power=seat.power + 1))


def rank_lost(state: State) -> None:
    rank(state, ALICE, 0)


def put_out_but_ranked(state: State) -> None:
    rank(state, account("yan"), 1)


def ranked_twice(state: State) -> None:
    count = SEAT_COUNT.get(state)
    again = next(seat for place in range(1, count + 1) if (seat := seat_at(state, place)).operator == ALICE)
    SEATS.put(state, place_key(count + 1), again)
    SEAT_COUNT.put(state, b"", count + 1)


def rank_counted_wrong(state: State) -> None:
    SEAT_COUNT.add(state, b"", 1)


def rank_with_a_gap(state: State) -> None:
    count = SEAT_COUNT.get(state)
    SEATS.put(state, place_key(count + 1), seat_at(state, count))
    SEATS.remove(state, place_key(count))


def place_wrong(state: State) -> None:
    PLACES.add(state, ALICE, 1)


def worse_above(state: State) -> None:
    first, second = seat_at(state, 1), seat_at(state, 2)
    _swap(state, first, second)


def _swap(state: State, first: Seat, second: Seat) -> None:
    SEATS.put(state, place_key(1), second)
    SEATS.put(state, place_key(2), first)
    PLACES.put(state, second.operator, 1)
    PLACES.put(state, first.operator, 2)


def set_with_another_power(state: State) -> None:
    (who, power), second = there(ACTIVE.get(state, b"")).members
    ACTIVE.put(state, b"", ActiveSet(((who, power + 1), second)))


def set_without_the_best(state: State) -> None:
    ACTIVE.put(state, b"", ActiveSet(there(ACTIVE.get(state, b"")).members[1:]))


def set_with_who_was_put_out(state: State) -> None:
    members = there(ACTIVE.get(state, b"")).members
    ACTIVE.put(state, b"", ActiveSet((*members, (key("yan"), 1))))


TAMPERED: list[tuple[Tamper, str]] = [
    (bond_more, "stake_is_held"),
    (waiting_more, "stake_is_held"),
    (money_lost, "stake_is_held"),
    (key_lost, "one_key_has_one_operator"),
    (key_invented, "one_key_has_one_operator"),
    (key_taken, "one_key_has_one_operator"),
    (key_of_two, "one_key_has_one_operator"),
    (not_listed, "one_key_has_one_operator"),
    (listed_twice, "one_key_has_one_operator"),
    (waiting_of_nobody, "unbonding_is_in_order"),
    (waiting_out_of_order, "unbonding_is_in_order"),
    (waiting_in_a_wrong_place, "unbonding_is_in_order"),
    (too_many_waiting, "unbonding_is_in_order"),
    (nothing_waits, "unbonding_is_in_order"),
    (rank_wrong, "ranking_follows_power"),
    (rank_lost, "ranking_follows_power"),
    (put_out_but_ranked, "ranking_follows_power"),
    (ranked_twice, "ranking_follows_power"),
    (rank_counted_wrong, "ranking_follows_power"),
    (rank_with_a_gap, "ranking_follows_power"),
    (place_wrong, "ranking_follows_power"),
    (worse_above, "ranking_follows_power"),
    (set_with_another_power, "set_follows_power"),
    (set_without_the_best, "set_follows_power"),
    (set_with_who_was_put_out, "set_follows_power"),
]


@pytest.mark.parametrize(("tamper", "truth"), TAMPERED, ids=[tamper.__name__ for tamper, _ in TAMPERED])
def test_tampering_is_seen(tamper: Tamper, truth: str) -> None:
    """Each way to tamper breaks the truth that guards against it, and no other."""
    chain = whole()

    found = tampered(chain, tamper)

    assert found
    assert {sentence.partition(":")[0] for sentence in found} == {truth}


def test_a_strange_last_set_is_seen() -> None:
    """With no validator left, the set in force is still one of known keys."""
    chain = Chain((genesis_validator("zoe"),))
    chain.strike("zoe")
    chain.end()

    found = tampered(chain, lambda state: ACTIVE.put(state, b"", ActiveSet(((key("nobody"), 1),))))

    assert [sentence.partition(":")[0] for sentence in found] == ["set_follows_power"]


def test_every_truth_is_seen_to_fail() -> None:
    """No truth of the room stands without a way to break it."""
    mine = {truth.__name__ for truth in TRUTHS if truth.__module__ == "paraph.ledger.rooms.bonds.truths"}

    assert mine == {truth for _, truth in TAMPERED}
    assert len(mine) == 5


def test_a_whole_chain_has_all_of_it() -> None:
    """The chain that is tampered with has validators of each kind, so that no truth holds of nothing."""
    chain = whole()

    assert len(chain.told) == 2
    assert SEAT_COUNT.get(chain.state) == 4
    assert chain.call("carol", "bond", value=1).code == "bonds.left"
    assert chain.must("bob", "validator", account("yan")).values[5] > 0
    taken = (key("yan"), proof("yan", "nobody"), "x")
    assert chain.call("nobody", "createValidator", *taken).code == "bonds.key_used"
    assert [len(chain.must("bob", "unbonding", who).values[0]) for who in (ALICE, BOB, CAROL)] == [2, 7, 1]


def tampered(chain: Chain, tamper: Tamper) -> list[str]:
    tamper(chain.state)
    chain.state.keep()
    changes = chain.state.changes()
    return broken({k: v for k, v in (chain.dump | changes).items() if v is not None})
