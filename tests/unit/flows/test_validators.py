"""Reads of validators: bonds, votes and money on its way out are proved, and who is none is told so."""

import pytest
from tests.sim.market import Ledger, local, play
from tests.support_ledger.staking import DAY_S, LEAST, key, proof
from tests.support_ledger.world import ALICE, BOB, CAROL, OPG, START_S

from paraph.adapters.fakes.clock import FakeClock
from paraph.core.errors import Rejected
from paraph.flows import validators


def with_two() -> Ledger:
    """A ledger where Alice, and with more Bob, operate validators; Alice has taken some out."""
    ledger = Ledger(FakeClock((START_S + 10) * 1000))
    ledger.call(ALICE, "Staking", "createValidator", key("alice"), proof("alice"), "first", value=LEAST + 9 * OPG)
    ledger.call(BOB, "Staking", "createValidator", key("bob"), proof("bob"), "second", value=2 * LEAST)
    ledger.call(ALICE, "Staking", "unbond", 4 * OPG)
    ledger.call(ALICE, "Staking", "unbond", 5 * OPG)
    return ledger


def test_validators_stand_by_their_votes() -> None:
    """All are found, the most powerful first."""
    ledger = with_two()

    found = play(validators.validators(ledger.trust), local(ledger))

    assert [(operator, each.validator.moniker, each.power) for operator, each in found.items()] == [
        (BOB.address, "second", 20_000),
        (ALICE.address, "first", 10_000),
    ]


def test_one_shows_what_leaves() -> None:
    """Of one validator the amounts that wait are read too, oldest first."""
    ledger = with_two()

    found = play(validators.validator(ledger.trust, ALICE.address), local(ledger))

    assert (found.validator.key, found.validator.bond, found.power) == (key("alice"), LEAST, 10_000)
    assert [each.amount for each in found.unbonding] == [4 * OPG, 5 * OPG]
    assert all(each.mature_s >= START_S + 14 * DAY_S for each in found.unbonding)


def test_who_left_has_no_votes() -> None:
    """A validator that unbonded everything stays known, last, without votes."""
    ledger = with_two()
    ledger.call(BOB, "Staking", "unbond", 2 * LEAST)

    found = play(validators.validators(ledger.trust), local(ledger))

    assert [(operator, each.power) for operator, each in found.items()] == [(ALICE.address, 10_000), (BOB.address, 0)]


def test_no_validators() -> None:
    """Where nobody bonded there are none, and whoever is asked for is unknown."""
    ledger = Ledger(FakeClock((START_S + 10) * 1000))

    assert play(validators.validators(ledger.trust), local(ledger)) == {}
    with pytest.raises(Rejected) as caught:
        play(validators.validator(ledger.trust, CAROL.address), local(ledger))
    assert caught.value.code == "bonds.unknown"
