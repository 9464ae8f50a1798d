"""Genesis: the whole supply or nothing, and no parameters that contradict each other."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID, GOVERNOR, PEOPLE, PROPOSER, START_S, World, genesis

from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.encode import canonical
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_ADDRESS, Address
from paraph.ledger.genesis import Allocation, decode_genesis
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.truths import broken

WHOLE = (Allocation(ALICE.address, SUPPLY_WEI, "all"),)


def test_state() -> None:
    """The first state holds the supply, the chain, its clock, its base fee and its governor, and nothing else."""
    world = World.new(allocations=WHOLE)

    assert world.balance(ALICE.address) == SUPPLY_WEI
    assert sorted(world.state) == [
        b"accounts/balance/" + ALICE.address,
        b"chain/base_fee",
        b"chain/id",
        b"chain/time_s",
        b"params/governor",
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


def test_round_trip() -> None:
    """The document reads back from its JSON, with one digest."""
    found = genesis(parameters={"gas_limit": 2_000_000}, devnet=False)

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
