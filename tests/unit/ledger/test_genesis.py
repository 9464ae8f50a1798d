"""Genesis: the whole supply or nothing, and no parameters that contradict each other."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support_ledger.staking import LEAST, genesis_validator, key
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, GOVERNOR, PEOPLE, PROPOSER, START_S, World, genesis

from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.encode import canonical
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_ADDRESS, Address, to_hex
from paraph.ledger.genesis import Allocation, Genesis, decode_genesis
from paraph.ledger.rooms.bonds.types import GenesisValidator
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.truths import broken
from paraph.proofs.light.types import Anchor, Validator, ordered

WHOLE = (Allocation(ALICE.address, SUPPLY_WEI, "all"),)
VALIDATOR = genesis_validator("alice", LEAST)
SHOWN = {"operator": to_hex(VALIDATOR.operator), "key": to_hex(VALIDATOR.key), "bond": str(LEAST), "moniker": "a"}


def test_state() -> None:
    """The first state holds the supply, its head, base fee, governor and version of rules, and nothing else."""
    world = World.new(allocations=WHOLE)

    assert world.balance(ALICE.address) == SUPPLY_WEI
    assert sorted(world.state) == [
        b"accounts/balance/" + ALICE.address,
        b"bonds/settled",
        b"chain/base_fee",
        b"chain/head",
        b"params/governor",
        b"params/version",
    ]
    assert broken(world.state) == []
    assert world.view("Params", "governor") == GOVERNOR.address


def test_allocations_add_up() -> None:
    """Two allocations to one account are one balance."""
    halves = tuple(Allocation(ALICE.address, Wei(SUPPLY_WEI // 2), purpose) for purpose in ("one", "two"))

    assert World.new(allocations=halves).balance(ALICE.address) == SUPPLY_WEI


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"allocations": (replace(WHOLE[0], amount=Wei(SUPPLY_WEI - 1)),)}, "genesis.supply"),
        ({"allocations": (replace(WHOLE[0], amount=Wei(SUPPLY_WEI + 1)),)}, "genesis.supply"),
        ({"allocations": ()}, "genesis.supply"),
        ({"allocations": (replace(WHOLE[0], account=ZERO_ADDRESS),)}, "genesis.reserved"),
        ({"allocations": (replace(WHOLE[0], account=ESCROW),)}, "genesis.reserved"),
        ({"producers": ()}, "genesis.producers"),
        ({"producers": (PROPOSER, ESCROW)}, "genesis.reserved"),
        ({"parameters": {"unknown": 1}}, "genesis.parameters"),
        ({"parameters": {"gas_limit": 1}}, "params.bounds"),
        ({"parameters": {"settle_window_s": 86_400}}, "params.bounds"),
    ],
)
def test_refused(changes: dict[str, Any], code: str) -> None:
    """A document that would lose money, or that contradicts itself, means no state at all."""
    with pytest.raises((Malformed, Rejected)) as caught:
        genesis(**changes).state()

    assert caught.value.code == code


def test_parameters_are_judged_together() -> None:
    """Parameters that fit together are accepted, though neither would fit the other's default."""
    parameters = {"settle_window_s": 86_400, "withdraw_delay_s": 200_000}

    world = World.new(parameters=parameters)

    assert {name: world.view("Params", "get", name) for name in parameters} == parameters


def test_base_fee_starts_at_the_floor() -> None:
    """The first base fee is the floor that the document sets."""
    assert World.new(parameters={"base_fee_min_wei": 77}).base_fee() == 77


@pytest.mark.parametrize("validators", [(), (VALIDATOR, replace(VALIDATOR, operator=BOB.address, key=key("bob")))])
def test_round_trip(validators: tuple[GenesisValidator, ...]) -> None:
    """The document reads back from its JSON, with one digest."""
    found = genesis(parameters={"gas_limit": 2_000_000}, devnet=False, validators=validators)

    again = decode_genesis(canonical(found.as_json()))

    assert again == found
    assert again.digest() == found.digest()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "paraph/genesis/2"),
        ("devnet", 1),
        ("network", "n" * 129),
        ("chain_id", 0),
        ("chain_id", 2**32 + 1),
        ("time_s", -1),
        ("producers", ["0x00"]),
        ("producers", ["0x" + "11" * 20] * 17),
        ("governor", "nobody"),
        ("allocations", {}),
        ("allocations", [{"account": "0x" + "11" * 20, "amount": str(SUPPLY_WEI + 1), "purpose": ""}]),
        ("allocations", [{"account": "0x" + "11" * 20, "amount": 1, "purpose": ""}]),
        ("parameters", {"gas_limit": 1}),
        ("parameters", {"gas_limit": str(2**128 + 1)}),
        ("parameters", []),
        ("validators", None),
        ("validators", [{}]),
        ("validators", [{**SHOWN, "operator": "0x00"}]),
        ("validators", [{**SHOWN, "key": "0x" + "11" * 31}]),
        ("validators", [{**SHOWN, "bond": 1}]),
        ("validators", [{**SHOWN, "bond": str(SUPPLY_WEI + 1)}]),
        ("validators", [{**SHOWN, "moniker": "m" * 129}]),
        ("validators", [{**SHOWN, "power": "1"}]),
        ("validators", [SHOWN] * 101),
        ("time_s", 2**40 + 1),
        ("extra", 1),
    ],
)
def test_malformed_documents(name: str, value: Any) -> None:
    """Whatever member is of another shape or size, the document is refused."""
    with pytest.raises(Malformed):
        decode_genesis(canonical(genesis().as_json() | {name: value}))


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "other"},
        {"chain_id": CHAIN_ID + 1},
        {"time_s": START_S + 1},
        {"producers": (Address(b"\x78" * 20),)},
        {"governor": BOB.address},
        {"devnet": False},
        {"allocations": WHOLE},
        {"parameters": {"gas_limit": 2_000_000}},
        {"validators": (VALIDATOR,)},
        {"validators": (replace(VALIDATOR, moniker="another"),)},
    ],
)
def test_every_member_names_the_network(changes: dict[str, Any]) -> None:
    """Whatever differs between two documents, their digests differ."""
    assert genesis(**changes).digest() != genesis().digest()


def test_order_of_parameters_is_of_no_account() -> None:
    """The order in which parameters are written changes neither digest nor state."""
    one = {"gas_limit": 2_000_000, "clock_drift_s": 30}
    other = dict(reversed(one.items()))

    assert genesis(parameters=one).digest() == genesis(parameters=other).digest()
    assert genesis(parameters=one).state() == genesis(parameters=other).state()


def test_people_share_the_supply() -> None:
    """The test's own genesis allocates the whole supply."""
    assert sum(World.new().balance(who.address) for who in PEOPLE) == SUPPLY_WEI


# --- validators ----------------------------------------------------------------------------------------------------


def agreed(*names: str, **changes: Any) -> Genesis:
    """A network where validators agree: each has twice the bond of the one before."""
    bonds = tuple(genesis_validator(name, LEAST << at) for at, name in enumerate(names))
    rest = SUPPLY_WEI - sum(each.bond for each in bonds)
    allocations = (Allocation(CAROL.address, Wei(rest), "the rest"),)
    return genesis(**{"producers": (), "validators": bonds, "allocations": allocations, **changes})


def test_validators_are_the_first_set() -> None:
    """Validators of genesis hold their bonds and are the set that is trusted from the first block on."""
    found = agreed("alice", "bob")

    world = World()
    world.commit(found.state())
    trust = found.trust()

    assert broken(world.state) == []
    keys, powers = world.view("Staking", "activeSet")
    assert dict(zip(keys, powers, strict=True)) == {key("alice"): 10_000, key("bob"): 20_000}
    expected = ordered([Validator(key("alice"), 10_000), Validator(key("bob"), 20_000)])
    assert trust.anchor == Anchor(1, expected, START_S)
    assert trust.trusting_period_s == 14 * 86_400 * 2 // 3
    assert (trust.network, trust.chain_id, trust.genesis) == (found.network, CHAIN_ID, found.digest())


def test_trust_pins_only_who_is_in_the_set() -> None:
    """Where the set is smaller than the list, the anchor has the strongest; the period follows the delay."""
    trust = agreed("alice", "bob", "carol", parameters={"validators_max": 2, "unbond_delay_s": 900}).trust()

    assert trust.anchor is not None
    assert [each.key for each in trust.anchor.validators] == [key("carol"), key("bob")]
    assert trust.trusting_period_s == 600


def test_trust_of_a_solo_network() -> None:
    """A network of a producer pins the producer and no validators."""
    trust = genesis().trust()

    assert (trust.producers, trust.anchor, trust.trusting_period_s) == ((PROPOSER,), None, 0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bond": Wei(LEAST + 1)}, "genesis.supply"),
        ({"operator": ESCROW}, "genesis.reserved"),
        ({"operator": ZERO_ADDRESS}, "genesis.reserved"),
        ({"operator": BOB.address}, "bonds.exists"),
        ({"key": key("bob")}, "bonds.key_used"),
        ({"key": bytes(32)}, "bonds.key"),
        ({"moniker": ""}, "bonds.moniker"),
        ({"moniker": "caf\u00e9"}, "bonds.moniker"),
    ],
)
def test_bad_validators_are_refused(change: dict[str, Any], code: str) -> None:
    """A validator that the rules would refuse means no state, and nothing to trust."""
    found = agreed("bob", "alice")
    bad = replace(found, validators=(found.validators[0], replace(found.validators[1], **change)))

    for asked in (bad.state, bad.trust):
        with pytest.raises((Malformed, Rejected)) as caught:
            asked()
        assert caught.value.code == code


def test_bond_below_the_least_is_refused() -> None:
    """A validator of genesis bonds at least what any other would."""
    with pytest.raises(Rejected) as caught:
        agreed("alice", parameters={"validator_bond_min_wei": LEAST + 1}).state()

    assert caught.value.code == "bonds.bond"
