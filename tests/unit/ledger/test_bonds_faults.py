"""Faults that consensus proved: what they cost, whom they put out, and when nothing happens."""

import pytest
from tests.support_ledger.staking import DAY_S, GENESIS_BOND, LEAST, Chain, account, genesis_validator, key, proof
from tests.support_ledger.world import CHAIN_ID, OPG, PROPOSER

from paraph.ledger.contract import Facts
from paraph.ledger.rooms.accounts.keys import TREASURY
from paraph.ledger.rooms.bonds import rules
from paraph.ledger.rooms.bonds.keys import ADDRESS
from paraph.ledger.rooms.bonds.types import DOUBLE_SIGN, LIGHT_CLIENT_ATTACK, Fault
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.state import State

ALICE = account("alice")
DELAY_S = 14 * DAY_S


def joined(bond: int = 4 * LEAST) -> Chain:
    chain = Chain((genesis_validator("zoe"),))
    chain.join("alice", bond)
    return chain


@pytest.mark.parametrize("kind", [DOUBLE_SIGN, LIGHT_CLIENT_ATTACK])
def test_strike(kind: int) -> None:
    """A fault takes a twentieth of the bond to the treasury and puts the validator out of the set for ever."""
    chain = joined()

    found = chain.strike("alice", kind)

    lost = 4 * LEAST // 20
    assert found == [("Transfer", (ADDRESS, TREASURY, lost)), ("Slashed", (ALICE, kind, chain.height, lost))]
    assert chain.balance(TREASURY) == lost
    assert chain.must("bob", "validator", ALICE).values == (
        key("alice"),
        "alice",
        4 * LEAST - lost,
        0,
        True,
        chain.now,
    )
    assert chain.end() == {key("alice"): 0}
    assert chain.must("bob", "validator", ALICE).values[4] is False


def test_once_for_each_key() -> None:
    """A validator is struck once, however many faults are proved."""
    chain = joined()
    chain.strike("alice")
    lost = chain.balance(TREASURY)

    assert chain.strike("alice") == []
    chain.end()
    assert chain.strike("alice", LIGHT_CLIENT_ATTACK) == []
    assert chain.balance(TREASURY) == lost


@pytest.mark.parametrize("kind", [0, 3])
def test_unknown_kind(kind: int) -> None:
    """A fault of no known kind costs nothing."""
    chain = joined()

    assert chain.strike("alice", kind) == []
    assert chain.end() == {}


def test_nobody_is_struck() -> None:
    """A fault of a key that nobody registered costs nothing."""
    chain = joined()

    assert chain.strike("bob") == []
    assert chain.end() == {}


def test_old_faults() -> None:
    """A fault as old as the delay still counts; one a second older does not."""
    chain = joined()
    committed = chain.now
    chain.end(DELAY_S)

    assert chain.strike("alice", height=1, time_s=committed - 1) == []
    assert chain.strike("alice", height=1, time_s=committed) != []


def test_what_was_unbonded_before_is_spared() -> None:
    """Amounts that were bonded at the fault answer, one from the block before it too; older ones do not."""
    chain = joined(10 * LEAST)
    for part in (1, 2, 3, 4):
        chain.must("alice", "unbond", part * 10_000)
        chain.end()
    heights = range(chain.height - 4, chain.height)

    found = chain.strike("alice", height=heights[2])

    rest = 10 * LEAST - 100_000
    lost = rest * 5 // 100 + (20_000 + 30_000 + 40_000) * 5 // 100
    assert found[-1] == ("Slashed", (ALICE, DOUBLE_SIGN, heights[2], lost))
    assert chain.must("bob", "unbonding", ALICE).values[0] == (10_000, 19_000, 28_500, 38_000)
    chain.end()


def test_who_has_left_answers() -> None:
    """Who leaves in the block before the fault is struck: all of its waiting money answers, and it is tombstoned."""
    chain = joined()
    chain.must("alice", "unbond", 4 * LEAST)
    chain.end()

    found = chain.strike("alice")

    assert found[-1] == ("Slashed", (ALICE, DOUBLE_SIGN, chain.height, 4 * LEAST // 20))
    assert chain.must("bob", "unbonding", ALICE).values[0] == (4 * LEAST * 19 // 20,)
    assert chain.must("bob", "validator", ALICE).values[5] == chain.now
    chain.end()


def test_parts_are_rounded_down() -> None:
    """What is taken is rounded down, in favour of the validator: of 19 wei nothing, of 21 wei one."""
    chain = joined(LEAST + 40)
    chain.must("alice", "unbond", 19)
    chain.must("alice", "unbond", 21)

    found = chain.strike("alice")

    assert found[-1] == ("Slashed", (ALICE, DOUBLE_SIGN, chain.height, LEAST // 20 + 1))
    assert chain.must("bob", "unbonding", ALICE).values[0] == (19, 20)
    chain.end()


def test_all_of_it() -> None:
    """Where a fault costs everything, nothing is left, and what is left of nothing does not wait."""
    chain = joined()
    chain.must("alice", "unbond", LEAST)
    params.put(chain.state, {"slash_double_sign_bps": 10_000})

    chain.strike("alice")

    assert chain.balance(TREASURY) == 4 * LEAST
    assert chain.must("bob", "unbonding", ALICE).values == ((), ())
    assert chain.call("alice", "withdraw").code == "bonds.locked"
    assert chain.call("alice", "bond", value=LEAST).code == "bonds.tombstoned"
    assert chain.end() == {key("alice"): 0}
    assert chain.balance(ADDRESS) == GENESIS_BOND


def test_the_rest_goes_home() -> None:
    """Who was put out adds nothing to its bond and has no votes, but takes what is left of it home."""
    chain = joined()
    chain.strike("alice")
    rest = 4 * LEAST * 19 // 20

    assert chain.call("alice", "bond", value=LEAST).code == "bonds.tombstoned"
    chain.must("alice", "unbond", rest - LEAST)
    chain.must("alice", "unbond", LEAST)
    assert chain.end(DELAY_S) == {key("alice"): 0}
    paid = chain.must("alice", "withdraw")
    assert paid.events[-1] == ("Withdraw", (ALICE, rest))
    chain.end()


def test_a_key_put_out_never_comes_back() -> None:
    """Nobody registers the key of a tombstoned validator again, nor its operator another key."""
    chain = joined()
    chain.strike("alice")
    chain.end()

    again = (key("alice"), proof("alice", "bob"), "Bob")
    assert chain.call("bob", "createValidator", *again, value=LEAST).code == "bonds.key_used"
    other = (key("other"), proof("other", "alice"), "Alice")
    assert chain.call("alice", "createValidator", *other, value=LEAST).code == "bonds.exists"


def test_the_last_validator_is_struck() -> None:
    """If the only validator is put out, its power stays in force until another comes: a set is never empty."""
    chain = Chain((genesis_validator("zoe"),))
    chain.strike("zoe")

    assert chain.end() == {}
    assert chain.told == {key("zoe"): 50_000}
    chain.must("alice", "createValidator", key("alice"), proof("alice"), "Alice", value=LEAST)
    assert chain.end() == {key("alice"): 10_000, key("zoe"): 0}


def test_someone_takes_the_place() -> None:
    """The best of those who waited outside the set takes the place of who was put out."""
    chain = Chain((genesis_validator("zoe"),), validators_max=1)
    chain.join("alice")
    assert chain.told == {key("zoe"): 50_000}

    chain.strike("zoe")

    assert chain.end() == {key("alice"): 10_000, key("zoe"): 0}


def test_at_the_begin_of_time() -> None:
    """A validator put out at second zero is put out all the same."""
    chain = joined()
    fault = Fault(DOUBLE_SIGN, rules.consensus_address(key("alice")), 1, 0)

    rules.strike(chain.state, Facts(CHAIN_ID, 2, 0, PROPOSER, 1), fault)

    assert chain.must("bob", "validator", ALICE).values[5] == 1
    chain.end()


def test_a_strike_that_changes_nothing_writes_nothing() -> None:
    """What does not count leaves the state untouched."""
    chain = joined()
    state = State(chain.dump.get)

    rules.strike(state, chain.facts, Fault(DOUBLE_SIGN, rules.consensus_address(key("bob")), 1, chain.now))
    state.keep()

    assert state.changes() == {}


def test_what_is_bonded_after_a_fault_answers() -> None:
    """The bond answers as it is when the fault is proved, also for what was added since."""
    chain = joined()
    height = chain.height
    chain.must("alice", "bond", value=2 * LEAST)
    chain.end()

    found = chain.strike("alice", height=height)

    assert found[-1][1][-1] == 6 * LEAST // 20
    chain.must("alice", "unbond", 6 * LEAST * 19 // 20)
    chain.end()
    assert chain.balance(TREASURY) == 6 * LEAST // 20 < OPG * LEAST
