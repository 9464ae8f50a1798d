"""Escrow: money set aside, that a settlement may still take while it leaves."""

from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB, OPG, World, code, events, receipt, request, signed

from paraph.ledger.rooms.escrow.keys import ADDRESS
from paraph.ledger.rooms.nodes.keys import ADDRESS as NODES

DELAY_S = 10_800


def opened() -> World:
    world = World.new()
    world.must(ALICE, "Escrow", "deposit", value=10)
    return world


def account(world: World, payer: bytes = ALICE.address) -> Any:
    return world.view("Escrow", "account", payer)


def test_deposit() -> None:
    """What is deposited is available, for oneself or for another."""
    world = opened()

    result = world.must(BOB, "Escrow", "depositFor", ALICE.address, value=5)

    assert account(world) == (15, 0, 0)
    assert account(world, BOB.address) == (0, 0, 0)
    assert world.balance(ADDRESS) == 15
    assert events(result) == [
        ("Transfer", (BOB.address, ADDRESS, 5)),
        ("Deposited", (ALICE.address, BOB.address, 5)),
    ]


def test_deposit_refused() -> None:
    """A deposit of nothing, or for a contract that signs no requests, is refused."""
    world = World.new()

    assert code(world.call(ALICE, "Escrow", "deposit")) == "escrow.amount"
    assert code(world.call(ALICE, "Escrow", "depositFor", NODES, value=1)) == "accounts.reserved"


def test_withdraw() -> None:
    """What is asked back goes home after the delay, to the second, and once."""
    world = opened()

    asked = world.must(ALICE, "Escrow", "requestWithdrawal", 7)
    unlock = world.now + DELAY_S
    assert events(asked) == [("WithdrawalRequested", (ALICE.address, 7, unlock))]
    assert account(world) == (3, 7, unlock)
    world.wait(DELAY_S - 2)
    assert code(world.call(ALICE, "Escrow", "withdraw")) == "escrow.locked"
    result = world.must(ALICE, "Escrow", "withdraw")

    assert events(result) == [("Transfer", (ADDRESS, ALICE.address, 7)), ("Withdrawn", (ALICE.address, 7))]
    assert account(world) == (3, 0, 0)
    assert code(world.call(ALICE, "Escrow", "withdraw")) == "escrow.amount"


def test_an_emptied_account_leaves_no_key() -> None:
    """An account with nothing in it is not kept."""
    world = opened()
    world.must(ALICE, "Escrow", "requestWithdrawal", 10)
    world.wait(DELAY_S)

    world.must(ALICE, "Escrow", "withdraw")

    assert not [key for key in world.state if key.startswith(b"escrow/")]


def test_asking_again_restarts_the_delay() -> None:
    """A second request adds to the first, and the delay runs anew for both."""
    world = opened()
    world.must(ALICE, "Escrow", "requestWithdrawal", 4)
    world.wait(DELAY_S - 10)

    world.must(ALICE, "Escrow", "requestWithdrawal", 6)

    assert account(world) == (0, 10, world.now + DELAY_S)
    world.wait(100)
    assert code(world.call(ALICE, "Escrow", "withdraw")) == "escrow.locked"


@pytest.mark.parametrize("amount", [0, 11, 2**256 - 1])
def test_withdrawal_refused(amount: int) -> None:
    """Nothing, or more than is available, is not asked back."""
    assert code(opened().call(ALICE, "Escrow", "requestWithdrawal", amount)) == "escrow.amount"


def test_cancel() -> None:
    """A cancelled withdrawal is available again, and there is nothing left to cancel."""
    world = opened()
    world.must(ALICE, "Escrow", "requestWithdrawal", 7)

    result = world.must(ALICE, "Escrow", "cancelWithdrawal")

    assert events(result) == [("WithdrawalCancelled", (ALICE.address, 7))]
    assert account(world) == (10, 0, 0)
    assert code(world.call(ALICE, "Escrow", "cancelWithdrawal")) == "escrow.amount"
    assert code(world.call(ALICE, "Escrow", "withdraw")) == "escrow.amount"


def test_nobody_touches_anothers() -> None:
    """A deposit by a stranger neither locks nor delays what is leaving."""
    world = opened()
    world.must(ALICE, "Escrow", "requestWithdrawal", 10)
    unlock = account(world)[2]

    world.must(BOB, "Escrow", "depositFor", ALICE.address, value=1)

    assert account(world) == (1, 10, unlock)
    world.wait(DELAY_S)
    world.must(ALICE, "Escrow", "withdraw")


PRICE = 1_400


@pytest.mark.parametrize(
    ("available", "leaving", "after"),
    [
        (PRICE, 0, (0, 0)),
        (PRICE, 5, (0, 5)),
        (PRICE - 1, 1, (0, 0)),
        (PRICE - 1, 2, (0, 1)),
        (1, PRICE, (0, 1)),
        (0, PRICE, (0, 0)),
        (PRICE + 1, PRICE, (1, PRICE)),
    ],
)
def test_debit_takes_what_leaves_last(available: int, leaving: int, after: tuple[int, int]) -> None:
    """A settlement takes what is available first and then what is leaving, to the last wei."""
    world = World.open()
    world.must(BOB, "Escrow", "deposit", value=available + leaving)
    if leaving:
        world.must(BOB, "Escrow", "requestWithdrawal", leaving)
    unlock = account(world, BOB.address)[2]
    asked = request(BOB, now=world.now)

    assert world.settle(signed(asked, receipt(asked, world.now), BOB))[0] == [""]

    assert account(world, BOB.address) == (*after, unlock if after[1] else 0)


def test_empty() -> None:
    """One wei short, available and leaving together, is not enough."""
    world = World.open()
    world.must(BOB, "Escrow", "deposit", value=PRICE - 1)
    asked = request(BOB, now=world.now)

    assert world.settle(signed(asked, receipt(asked, world.now), BOB))[0] == ["escrow.empty"]
    assert account(world, BOB.address) == (PRICE - 1, 0, 0)


def test_withdrawal_never_wins() -> None:
    """A receipt begun before its payer asked the money back is still paid in the last second it may be settled."""
    world = World.open(parameters={"withdraw_delay_s": 3_600 + 3_600 + 60 + 1})
    world.must(BOB, "Escrow", "deposit", value=PRICE)
    begun = world.now
    asked = request(BOB, now=begun, deadline=begun + 3_600)
    item = signed(asked, receipt(asked, begun), BOB)
    world.must(BOB, "Escrow", "requestWithdrawal", PRICE)
    world.wait(asked.deadline + 3_600 - world.now - 2)

    assert code(world.call(BOB, "Escrow", "withdraw")) == "escrow.locked"
    assert world.settle(item)[0] == [""]
    assert world.now == asked.deadline + 3_600
    assert account(world, BOB.address) == (0, 0, 0)


def test_settled_before_withdrawn() -> None:
    """After a withdrawal the escrow is empty for receipts that come too late."""
    world = World.open()
    world.must(BOB, "Escrow", "deposit", value=OPG)
    world.must(BOB, "Escrow", "requestWithdrawal", OPG)
    world.wait(DELAY_S)
    world.must(BOB, "Escrow", "withdraw")
    asked = request(BOB, now=world.now)

    assert world.settle(signed(asked, receipt(asked, world.now), BOB))[0] == ["escrow.empty"]
