"""Validators: becoming one, adding to a bond and taking from it, and the set that follows from the bonds."""

from typing import Any

import pytest
from tests.support_ledger.staking import (
    DAY_S,
    GENESIS_BOND,
    LEAST,
    Chain,
    account,
    genesis_validator,
    key,
    proof,
)
from tests.support_ledger.world import ALICE as ALICE_KEY
from tests.support_ledger.world import BOB as BOB_KEY
from tests.support_ledger.world import CHAIN_ID, OPG, PROPOSER, START_S, World, call, code

from paraph.core.amount import Wei
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_DIGEST, Address
from paraph.core.limits import NAME_BYTES_MAX
from paraph.ledger.block import Block, apply_block
from paraph.ledger.rooms.accounts.rules import reserved
from paraph.ledger.rooms.bonds import rules
from paraph.ledger.rooms.bonds.keys import ADDRESS
from paraph.ledger.rooms.bonds.types import DOUBLE_SIGN, ActiveSet, Fault, GenesisValidator, SetChange
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.state import State
from paraph.ledger.truths import broken

ALICE, BOB = account("alice"), account("bob")
NAMES = ("alice", "bob", "carol", "dave", "erin")
DELAY_S = 14 * DAY_S


def founded() -> Chain:
    return Chain((genesis_validator("zoe"),))


def joined() -> Chain:
    chain = founded()
    chain.join("alice", 2 * LEAST)
    return chain


# --- becoming one ------------------------------------------------------------------------------------------------


def test_create() -> None:
    """A validator can be read by operator and by key, its bond is held, and it is in the set after the block."""
    chain = founded()
    least = LEAST + OPG - 1

    made = chain.must("alice", "createValidator", key("alice"), proof("alice"), "Alice", value=least)

    assert made.events == [("CreateValidator", (ALICE, key("alice"), "Alice", least))]
    assert chain.must("bob", "validator", ALICE).values == (key("alice"), "Alice", least, 10_000, False, 0)
    assert chain.end() == {key("alice"): 10_000}
    assert chain.must("bob", "validator", ALICE).values == (key("alice"), "Alice", least, 10_000, True, 0)
    assert chain.must("bob", "validatorByKey", key("alice")).values == ALICE
    assert chain.must("bob", "validators", 0, 10).values == (account("zoe"), ALICE)
    assert chain.must("bob", "unbonding", ALICE).values == ((), ())
    assert chain.balance(ADDRESS) == GENESIS_BOND + least


@pytest.mark.parametrize(
    ("arguments", "value", "refusal"),
    [
        ((key("alice"), proof("alice"), "Alice"), LEAST - 1, "bonds.bond"),
        ((key("alice"), proof("alice"), "Alice"), 0, "bonds.bond"),
        ((key("alice"), proof("alice"), ""), LEAST, "bonds.moniker"),
        ((key("alice"), proof("alice"), "a" * (NAME_BYTES_MAX + 1)), LEAST, "bonds.moniker"),
        ((key("alice"), proof("alice"), "\u00c4lice"), LEAST, "bonds.moniker"),
        ((key("alice"), proof("alice"), "a\nb"), LEAST, "bonds.moniker"),
        ((key("alice"), b"", "Alice"), LEAST, "bonds.key_proof"),
        ((key("alice"), proof("alice") + b"\0", "Alice"), LEAST, "bonds.key_proof"),
        ((key("alice"), proof("bob", "alice"), "Alice"), LEAST, "bonds.key_proof"),
        ((key("alice"), proof("alice", "bob"), "Alice"), LEAST, "bonds.key_proof"),
        ((key("alice"), proof("alice", chain_id=CHAIN_ID + 1), "Alice"), LEAST, "bonds.key_proof"),
        ((bytes(32), proof("alice"), "Alice"), LEAST, "bonds.key_proof"),
        ((key("zoe"), proof("zoe", "alice"), "Alice"), LEAST, "bonds.key_used"),
    ],
)
def test_create_refused(arguments: tuple[Any, ...], value: int, refusal: str) -> None:
    """Too small a bond, a name that is none, and a key that is another's or not proved are refused; no money stays."""
    chain = founded()

    assert chain.call("alice", "createValidator", *arguments, value=value).code == refusal
    assert chain.end() == {}
    assert chain.balance(ADDRESS) == GENESIS_BOND


def test_the_longest_moniker() -> None:
    """A moniker of the longest length is accepted."""
    founded().must("alice", "createValidator", key("alice"), proof("alice"), "a" * NAME_BYTES_MAX, value=LEAST)


def test_one_validator_for_each_account() -> None:
    """An account operates one validator ever: no second beside it, and none after it has left."""
    chain = joined()
    second = (key("second"), proof("second", "alice"), "Alice")

    assert chain.call("alice", "createValidator", *second, value=LEAST).code == "bonds.exists"
    chain.must("alice", "unbond", 2 * LEAST)
    chain.end(DELAY_S)
    chain.must("alice", "withdraw")
    assert chain.call("alice", "createValidator", *second, value=LEAST).code == "bonds.exists"


def test_a_key_never_comes_back() -> None:
    """The key of a validator that left is not registered again, by nobody."""
    chain = joined()
    chain.must("alice", "unbond", 2 * LEAST)
    chain.end()

    again = (key("alice"), proof("alice", "bob"), "Bob")
    assert chain.call("bob", "createValidator", *again, value=LEAST).code == "bonds.key_used"
    assert chain.must("bob", "validatorByKey", key("alice")).values == ALICE


# --- bonding and unbonding ---------------------------------------------------------------------------------------


def test_bond() -> None:
    """What is added to a bond counts as soon as it is a whole OPG; less changes no power, and nothing is told."""
    chain = joined()

    added = chain.must("alice", "bond", value=OPG - 1)
    assert added.events == [("Bond", (ALICE, OPG - 1, 2 * LEAST + OPG - 1))]
    assert chain.end() == {}
    chain.must("alice", "bond", value=1)
    assert chain.end() == {key("alice"): 20_001}


def test_bond_refused() -> None:
    """No bond without money, without a validator, or after leaving."""
    chain = joined()

    assert chain.call("alice", "bond").code == "bonds.amount"
    assert chain.call("bob", "bond", value=OPG).code == "bonds.unknown"
    chain.must("alice", "unbond", 2 * LEAST)
    assert chain.call("alice", "bond", value=LEAST).code == "bonds.left"


def test_unbond() -> None:
    """Power falls in the same block; the money is paid out from the second in which its delay is over, once."""
    chain = joined()
    begun = chain.now

    left = chain.must("alice", "unbond", LEAST)
    assert left.events == [("Unbond", (ALICE, LEAST, begun + DELAY_S))]
    assert chain.must("bob", "unbonding", ALICE).values == ((LEAST,), (begun + DELAY_S,))
    assert chain.end(DELAY_S - 1) == {key("alice"): 10_000}
    assert chain.call("alice", "withdraw").code == "bonds.locked"
    chain.end(1)
    before = chain.balance(ALICE)
    paid = chain.must("alice", "withdraw")

    assert paid.events == [("Transfer", (ADDRESS, ALICE, LEAST)), ("Withdraw", (ALICE, LEAST))]
    assert chain.balance(ALICE) == before + LEAST
    assert chain.call("alice", "withdraw").code == "bonds.locked"
    chain.end()


@pytest.mark.parametrize(
    ("amount", "refusal"),
    [
        (0, "bonds.amount"),
        (2 * LEAST + 1, "bonds.amount"),
        (2**256 - 1, "bonds.amount"),
        (LEAST + 1, "bonds.bond"),
        (2 * LEAST - 1, "bonds.bond"),
        (LEAST, ""),
        (2 * LEAST, ""),
    ],
)
def test_what_may_be_unbonded(amount: int, refusal: str) -> None:
    """What stays is the least bond, more, or nothing."""
    assert joined().call("alice", "unbond", amount).code == refusal


def test_to_leave() -> None:
    """Who unbonds all is out of the set and has no votes; the record stays, and says that nothing is bonded."""
    chain = joined()

    chain.must("alice", "unbond", 2 * LEAST)

    assert chain.end() == {key("alice"): 0}
    assert chain.must("bob", "validator", ALICE).values == (key("alice"), "alice", 0, 0, False, 0)
    assert chain.call("alice", "unbond", 1).code == "bonds.amount"


def test_seven_amounts_wait() -> None:
    """Seven amounts wait at a time, not eight; one withdrawal pays all that are due and makes room."""
    chain = founded()
    chain.join("alice", 20 * LEAST)
    for _ in range(7):
        chain.must("alice", "unbond", OPG)
        chain.end(DAY_S)

    assert chain.call("alice", "unbond", OPG).code == "bonds.queue"
    chain.end(DELAY_S - 5 * DAY_S)
    paid = chain.must("alice", "withdraw")
    assert paid.events[-1] == ("Withdraw", (ALICE, 3 * OPG))
    amounts, times = chain.must("bob", "unbonding", ALICE).values
    assert amounts == (OPG,) * 4
    assert times == tuple(START_S + 1 + day * DAY_S + DELAY_S for day in range(3, 7))
    chain.must("alice", "unbond", OPG)
    chain.end()


def test_a_shorter_delay_is_for_later_amounts() -> None:
    """Each amount keeps the delay it was given, and a later one may be due first."""
    chain = joined()
    chain.must("alice", "unbond", OPG)
    params.put(chain.state, {"unbond_delay_s": 10})
    chain.must("alice", "unbond", 2 * OPG)
    chain.end(10)

    paid = chain.must("alice", "withdraw")

    assert paid.events[-1] == ("Withdraw", (ALICE, 2 * OPG))
    assert chain.must("bob", "unbonding", ALICE).values == ((OPG,), (START_S + 1 + DELAY_S,))
    chain.end()


def test_a_bond_below_a_raised_minimum() -> None:
    """Where the least bond was raised above it, a bond stays, counts, may grow, and may leave whole but not in part."""
    chain = joined()
    params.put(chain.state, {"validator_bond_min_wei": 3 * LEAST})

    assert chain.end() == {}
    chain.must("alice", "bond", value=OPG)
    assert chain.call("alice", "unbond", OPG).code == "bonds.bond"
    chain.must("alice", "unbond", 2 * LEAST + OPG)


@pytest.mark.parametrize(
    ("method", "arguments", "refusal"),
    [
        ("unbond", (1,), "bonds.unknown"),
        ("withdraw", (), "bonds.unknown"),
        ("validator", (BOB,), "bonds.unknown"),
        ("unbonding", (BOB,), "bonds.unknown"),
        ("validatorByKey", (key("bob"),), "bonds.key_unknown"),
    ],
)
def test_unknown(method: str, arguments: tuple[Any, ...], refusal: str) -> None:
    """Who never was a validator has nothing to unbond, withdraw or read."""
    assert founded().call("bob", method, *arguments).code == refusal


@pytest.mark.parametrize("method", ["unbond", "withdraw", "activeSet"])
def test_money_is_sent_to_payable_methods_alone(method: str) -> None:
    """A method that takes no money refuses it."""
    arguments = (1,) if method == "unbond" else ()

    assert joined().call("alice", method, *arguments, value=1).code == "call.value"


def test_pages() -> None:
    """A page has at most a hundred rows, whatever is asked for."""
    chain = joined()

    assert chain.must("bob", "validators", 1, 1).values == (ALICE,)
    assert chain.must("bob", "validators", 2, 100).values == ()
    assert chain.must("bob", "validators", 0, 2**256 - 1).values == (account("zoe"), ALICE)


# --- the set -----------------------------------------------------------------------------------------------------


def test_the_best_are_chosen() -> None:
    """The set is the best by power; who comes above its last takes the place, and whose bond falls loses it."""
    chain = Chain(rich=NAMES, validators_max=2)
    for bond, name in enumerate(NAMES[:3], 1):
        chain.join(name, bond * LEAST)

    assert chain.told == {key("bob"): 20_000, key("carol"): 30_000}
    chain.must("carol", "unbond", LEAST + OPG)
    chain.must("alice", "bond", value=LEAST + OPG)
    assert chain.end() == {key("alice"): 20_001, key("carol"): 0}


def test_ties_go_to_the_smaller_address() -> None:
    """Of two with the same power the smaller operator's address is in."""
    chain = Chain(rich=NAMES, validators_max=1)
    first, second = sorted(NAMES[:2], key=account)

    chain.join(second)
    assert chain.told == {key(second): 10_000}
    chain.must(first, "createValidator", key(first), proof(first), first, value=LEAST)
    assert chain.end() == {key(first): 10_000, key(second): 0}


def test_the_size_of_the_set_changes() -> None:
    """A new size of the set counts at the end of the block in which it was set, though no bond changed."""
    chain = Chain(tuple(genesis_validator(name, (9 - at) * LEAST) for at, name in enumerate(NAMES)), ("rich",))

    params.put(chain.state, {"validators_max": 3})
    assert chain.end() == {key("dave"): 0, key("erin"): 0}
    params.put(chain.state, {"validators_max": 4})
    assert chain.end() == {key("dave"): 60_000}


def test_the_set_never_becomes_empty() -> None:
    """When the last validator leaves, the set stays as it was, until another comes and takes its place."""
    chain = founded()
    chain.must("zoe", "unbond", GENESIS_BOND)

    assert chain.end() == {}
    assert chain.told == {key("zoe"): 50_000}
    assert chain.must("bob", "validator", account("zoe")).values[2:5] == (0, 0, True)
    chain.must("alice", "createValidator", key("alice"), proof("alice"), "Alice", value=LEAST)
    assert chain.end() == {key("alice"): 10_000, key("zoe"): 0}


def test_without_validators() -> None:
    """A chain that starts without validators has an empty set and tells consensus nothing, until the first comes."""
    chain = Chain()

    assert chain.end() == {}
    assert chain.must("bob", "activeSet").values == ((), ())
    assert rules.active_set(chain.state) == ()
    chain.must("alice", "createValidator", key("alice"), proof("alice"), "Alice", value=LEAST)
    assert chain.end() == {key("alice"): 10_000}


def test_what_happens_and_unhappens_in_a_block() -> None:
    """A power that is at the end of a block what it was at its begin is not told."""
    chain = joined()
    chain.must("alice", "bond", value=OPG)
    chain.must("alice", "unbond", OPG)

    assert chain.end() == {}


def test_a_block_without_changes_is_cheap() -> None:
    """Where no power changed, the end of a block reads two numbers and writes nothing."""
    chain = joined()
    reads: list[bytes] = []

    def read(place: bytes) -> bytes | None:
        reads.append(place)
        return chain.dump.get(place)

    state = State(read)
    assert rules.end_block(state) == ()
    state.keep()
    assert reads == [b"params/value/validators_max", b"bonds/settled"]
    assert state.changes() == {}


def test_active_set() -> None:
    """The set is read whole, sorted by key, as it was told at the end of the last block."""
    chain = joined()
    expected = tuple(sorted([(key("alice"), 20_000), (key("zoe"), 50_000)]))
    chain.must("alice", "bond", value=OPG)

    keys, powers = chain.must("bob", "activeSet").values

    assert tuple(zip(keys, powers, strict=True)) == expected
    assert rules.active_set(chain.state) == tuple(SetChange(*member) for member in expected)


def test_a_full_set() -> None:
    """A set of the largest size there may be is chosen, told, kept and read."""
    names = [f"validator {number}" for number in range(101)]
    chain = Chain(tuple(genesis_validator(name, LEAST + at * OPG) for at, name in enumerate(names)), validators_max=100)

    assert chain.told == {key(name): 10_000 + at for at, name in enumerate(names) if at}
    assert len(chain.must("bob", "activeSet").values[0]) == 100


def test_in_a_block() -> None:
    """A block of transactions tells consensus what its calls changed, and a proved fault comes before them."""
    world = World.new()
    for who, name in ((ALICE_KEY, "alice"), (BOB_KEY, "bob")):
        world.must(who, "Staking", "createValidator", key(name), proof(name), name, value=LEAST)
        assert world.last is not None
        assert world.last.powers == (SetChange(key(name), 10_000),)
    fault = Fault(DOUBLE_SIGN, rules.consensus_address(key("bob")), world.height, world.now)
    late = world.tx(BOB_KEY, ADDRESS, call("Staking", "bond"), OPG).sign(BOB_KEY)
    block = Block(world.height + 1, world.now + 1, PROPOSER, (late,), ZERO_DIGEST, (fault,))

    applied = apply_block(world.state.get, block)

    world.commit(applied.changes)
    assert applied.powers == (SetChange(key("bob"), 0),)
    assert [code(result) for result in applied.results] == ["bonds.tombstoned"]
    assert world.balance(ADDRESS) == 2 * LEAST - LEAST // 20
    assert broken(world.state) == []


# --- genesis -----------------------------------------------------------------------------------------------------


def test_genesis() -> None:
    """Validators of genesis are the first set, which consensus is not told of again, and their bonds are held."""
    chain = Chain((genesis_validator("zoe"), genesis_validator("alice", LEAST)), ("bob",))

    assert chain.told == {key("zoe"): 50_000, key("alice"): 10_000}
    assert chain.end() == {}
    assert chain.balance(ADDRESS) == GENESIS_BOND + LEAST
    assert chain.must("bob", "validators", 0, 9).values == (account("zoe"), ALICE)


@pytest.mark.parametrize(
    ("validator", "refusal"),
    [
        (GenesisValidator(account("zoe"), key("alice"), Wei(LEAST), "Zoe"), "bonds.exists"),
        (GenesisValidator(ALICE, key("zoe"), Wei(LEAST), "Alice"), "bonds.key_used"),
        (GenesisValidator(ALICE, key("alice")[:31], Wei(LEAST), "Alice"), "bonds.key"),
        (GenesisValidator(ALICE, bytes(32), Wei(LEAST), "Alice"), "bonds.key"),
        (GenesisValidator(ALICE, key("alice"), Wei(LEAST - 1), "Alice"), "bonds.bond"),
        (GenesisValidator(ALICE, key("alice"), Wei(LEAST), ""), "bonds.moniker"),
    ],
)
def test_genesis_refused(validator: GenesisValidator, refusal: str) -> None:
    """A genesis that repeats an operator or a key, or that has a validator which the rules refuse, is refused."""
    with pytest.raises(Rejected) as caught:
        Chain((genesis_validator("zoe"), validator))

    assert caught.value.code == refusal


# --- names and records -------------------------------------------------------------------------------------------


def test_operator_of() -> None:
    """The operator behind a consensus address is found also once it has left; a strange address is nobody's."""
    chain = joined()
    chain.must("alice", "unbond", 2 * LEAST)

    assert rules.operator_of(chain.state, rules.consensus_address(key("alice"))) == ALICE
    assert rules.operator_of(chain.state, rules.consensus_address(key("bob"))) is None
    assert rules.operator_of(chain.state, b"") is None


def test_consensus_address() -> None:
    """A consensus address is what CometBFT derives from a key: here one that `cometbft gen-validator` printed."""
    public = bytes.fromhex("523ac7fbe721fd52e109548d12491c78d9400a180dd29423e0910fd470c6efa0")

    assert rules.consensus_address(public).hex().upper() == "13B8C3517ACFB802A0711A6D6748C69254BF1EB6"


@pytest.mark.parametrize("place", ["0800", "0801", "08ff"])
def test_addresses_are_reserved(place: str) -> None:
    """Money is not sent to addresses that are kept for staking and its neighbours; one past them is an account's."""
    assert reserved(Address(bytes(18) + bytes.fromhex(place)))
    assert not reserved(Address(bytes(18) + bytes.fromhex("07ff")))
    assert not reserved(Address(bytes(18) + bytes.fromhex("0900")))


def test_the_set_round_trips() -> None:
    """A set reads back from its bytes."""
    found = ActiveSet(((key("alice"), 1), (key("bob"), 2**60)))

    assert ActiveSet.decode(found.encode()) == found
    assert ActiveSet.decode(ActiveSet(()).encode()) == ActiveSet(())


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"\x80", "rlp.shape"),
        (b"\xc1\x80", "rlp.shape"),
        (b"\xc2\xc1\x80", "record.form"),
        (b"\xc3\xc2\x80\x01", "rlp.shape"),
    ],
)
def test_what_is_no_set(data: bytes, refusal: str) -> None:
    """Bytes that are no list of keys with powers are refused."""
    with pytest.raises(Malformed) as caught:
        ActiveSet.decode(data)

    assert caught.value.code == refusal
