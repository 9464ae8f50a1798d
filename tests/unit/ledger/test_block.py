"""Blocks: their order, the price of gas, what a failed call leaves behind, and what is skipped without a trace."""

from typing import Any

import pytest
from tests.support_ledger.world import (
    ALICE,
    BASE_FEE_FLOOR,
    BOB,
    CAROL,
    GOVERNOR,
    OPG,
    PROPOSER,
    World,
    call,
    code,
    person,
    sentence,
    tree_of,
)

from paraph.core import rlp
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_ADDRESS, ZERO_DIGEST, Address
from paraph.ledger.block import Applied, Block, Result, apply_block, next_base_fee, result_from_rlp
from paraph.ledger.contract import Log
from paraph.ledger.rooms.accounts.keys import STAKERS, TREASURY
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.tx import GAS_INTRINSIC

TARGET = 15_000_000
LIMIT = 30_000_000


@pytest.mark.parametrize(("height", "seconds"), [(0, 1), (2, 1), (1, -1)], ids=["again", "far", "earlier"])
def test_order(height: int, seconds: int) -> None:
    """A block follows the last one: the next height, and no earlier time."""
    world = World.new()

    with pytest.raises(Rejected) as caught:
        apply_block(world.state.get, Block(height, world.now + seconds, PROPOSER, ()))

    assert caught.value.code == "block.order"


def test_an_empty_block() -> None:
    """An empty block, even in the same second, moves the height and nothing else."""
    world = World.new()

    applied = world.apply(seconds=0)

    assert applied == Applied({b"chain/height": b"\x01", **kept(world)}, (), 0, LIMIT, BASE_FEE_FLOOR)


def kept(world: World) -> dict[bytes, bytes | None]:
    """What every block writes again."""
    return {b"chain/time_s": rlp.from_uint(world.now), b"chain/base_fee": rlp.from_uint(BASE_FEE_FLOOR)}


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "after"),
    [
        (10**9, TARGET, 10**9),
        (10**9, LIMIT, 1_125_000_000),
        (10**9, 0, 875_000_000),
        (10**9, 20_000_000, 1_041_666_666),
        (10**9, TARGET + 1, 10**9 + 8),
        (10**9, TARGET - 1, 10**9 - 8),
        (8, 20_000_000, 9),
        (7, LIMIT, 8),
        (7, 0, 7),
        (1_000_000_007, 9_999_999, 958_333_332),
    ],
)
def test_base_fee_vectors(base_fee: int, gas_used: int, after: int) -> None:
    """The base fee follows EIP-1559: by at most an eighth, at least 1 up, rounded as the EIP rounds."""
    assert next_base_fee(base_fee, gas_used, LIMIT, 1) == after


def test_base_fee_floor() -> None:
    """However empty the blocks, the base fee stays at its floor."""
    assert next_base_fee(100, 0, LIMIT, 99) == 99
    assert next_base_fee(100, LIMIT, LIMIT, 200) == 200


def test_base_fee_rises_after_a_full_block() -> None:
    """A block above its target makes the next one dearer, and what it charges is the fee of its parent."""
    world = World.new()
    world.must(GOVERNOR, "Params", "set", "gas_limit", 1_000_000)

    nonce = world.nonce(ALICE.address)
    raw = [world.tx(ALICE, BOB.address, nonce=nonce + at, gas_limit=21_000).sign(ALICE) for at in range(47)]
    applied = world.apply(*raw)

    assert (applied.gas_used, applied.gas_limit, applied.base_fee) == (987_000, 1_000_000, BASE_FEE_FLOOR)
    assert world.base_fee() == next_base_fee(BASE_FEE_FLOOR, 987_000, 1_000_000, 1) > BASE_FEE_FLOOR


def test_a_transfer() -> None:
    """The value goes to the payee, the tip to the proposer, the base fee to the treasury, the rest of the gas back."""
    world = World.new()
    before = world.balance(ALICE.address)

    result = world.send(ALICE, person("new").address, value=5, tip_max=3)

    gas = GAS_INTRINSIC
    assert (result.status, result.gas_used, result.gas_price) == (1, gas, BASE_FEE_FLOOR + 3)
    assert world.balance(person("new").address) == 5
    assert world.balance(PROPOSER) == 3 * gas
    assert world.balance(TREASURY) == BASE_FEE_FLOOR * gas
    assert world.balance(ALICE.address) == before - 5 - gas * (BASE_FEE_FLOOR + 3)
    assert len(result.logs) == 1


def test_proposer_pays_itself() -> None:
    """A proposer's own transaction costs it the base fee alone."""
    world = World.new()
    before = world.balance(ALICE.address)

    world.apply(world.tx(ALICE, ALICE.address, value=9, tip_max=3).sign(ALICE), proposer=ALICE.address)

    assert world.balance(ALICE.address) == before - GAS_INTRINSIC * BASE_FEE_FLOOR


def test_failed_call_is_undone_and_paid() -> None:
    """A refused call leaves its gas and its nonce, and nothing of its value, writes or logs."""
    world = World.new()
    before, escrow = world.balance(ALICE.address), world.balance(ESCROW)

    result = world.call(ALICE, "Escrow", "requestWithdrawal", 1, value=7)

    assert (result.status, code(result), result.logs) == (0, "call.value", ())
    assert sentence(result) == result.error
    assert world.nonce(ALICE.address) == 1
    assert world.balance(ESCROW) == escrow
    assert world.balance(ALICE.address) == before - result.gas_used * result.gas_price


def test_late_failure_is_undone() -> None:
    """What a rule wrote before it refused is undone: an authorization is not used up by a transfer that fails."""
    world = World.new()
    world.must(ALICE, "Opg", "approve", BOB.address, 10)

    result = world.call(BOB, "Opg", "transferFrom", ALICE.address, ZERO_ADDRESS, 4)

    assert code(result) == "accounts.reserved"
    assert world.view("Opg", "allowance", ALICE.address, BOB.address) == 10


def test_out_of_gas_takes_all() -> None:
    """A call that runs out of gas pays its whole limit and leaves nothing else."""
    world = World.new()
    data = call("Escrow", "deposit")

    result = world.send(ALICE, ESCROW, data, value=5, gas_limit=30_000)

    assert (result.status, code(result), result.gas_used) == (0, "gas.out", 30_000)
    assert (result.output, result.logs) == (b"", ())
    assert world.balance(ESCROW) == 0


def test_exact_gas_suffices() -> None:
    """Gas to the last unit is enough: a method costs what its declaration says beyond the bytes."""
    world = World.new()
    data = call("Escrow", "deposit")
    exact = world.tx(ALICE, ESCROW, data).intrinsic_gas() + world.simulate(ALICE.address, ESCROW, data, 5).gas_used

    assert world.send(ALICE, ESCROW, data, value=5, gas_limit=exact - 1).status == 0
    result = world.send(ALICE, ESCROW, data, value=5, gas_limit=exact)
    assert (result.status, result.gas_used) == (1, exact)


@pytest.mark.parametrize(
    ("changes", "code_"),
    [
        ({"nonce": 0}, "tx.nonce"),
        ({"nonce": 2}, "tx.nonce"),
        ({"fee_max": BASE_FEE_FLOOR - 1}, "tx.fee"),
        ({"value": 10**27}, "tx.funds"),
        ({"fee_max": 10**22}, "tx.funds"),
        ({"gas_limit": LIMIT + 1}, "tx.block_full"),
        ({"chain_id": 1}, "tx.chain_id"),
    ],
    ids=["stale", "far", "cheap", "poor", "poor for gas", "full", "foreign"],
)
def test_skipped_leaves_no_trace(changes: dict[str, Any], code_: str) -> None:
    """What cannot be paid for is skipped: no gas, no nonce, no key of state differs from an empty block's."""
    world, empty = World.new(), World.new()
    for each in (world, empty):
        each.send(ALICE, BOB.address)
    empty.wait(1)

    result = world.send(ALICE, BOB.address, **changes)

    assert (result.status, code(result), result.gas_used, result.output, result.logs) == (2, code_, 0, b"", ())
    assert (result.hash == ZERO_DIGEST) == (code_ == "tx.chain_id")
    assert world.state == empty.state


def test_funds_to_the_wei() -> None:
    """An account that holds exactly value and gas may send; one wei less may not."""
    world = World.new()
    poor = person("poor")
    need = 21_000 * 2 * BASE_FEE_FLOOR + 5
    world.send(ALICE, poor.address, value=need - 1)

    assert code(world.send(poor, BOB.address, value=5, gas_limit=21_000)) == "tx.funds"
    world.send(ALICE, poor.address, value=1)
    assert world.send(poor, BOB.address, value=5, gas_limit=21_000).status == 1


def test_a_fee_of_the_base_fee_suffices() -> None:
    """A sender who pays the base fee and not a wei more is not skipped."""
    world = World.new()

    assert world.send(ALICE, BOB.address, fee_max=BASE_FEE_FLOOR, tip_max=0).status == 1


def test_block_full() -> None:
    """A transaction that does not fit is skipped, a smaller one after it still fits."""
    world = World.new()
    world.must(GOVERNOR, "Params", "set", "gas_limit", 1_000_000)
    raw = [
        world.tx(ALICE, BOB.address, gas_limit=1_000_000).sign(ALICE),
        world.tx(BOB, CAROL.address, gas_limit=979_001).sign(BOB),
        world.tx(CAROL, ALICE.address, gas_limit=979_000).sign(CAROL),
    ]

    applied = world.apply(*raw)

    assert [code(result) for result in applied.results] == ["", "tx.block_full", ""]
    assert applied.gas_used == 42_000


def test_nonces_in_one_block() -> None:
    """Several transactions of one sender in a block run in the order of their nonces; a repeated one is skipped."""
    world = World.new()
    first, second = (world.tx(ALICE, BOB.address, nonce=at).sign(ALICE) for at in (0, 1))

    applied = world.apply(second, first, first, second)

    assert [code(result) for result in applied.results] == ["tx.nonce", "", "tx.nonce", ""]


def test_garbage_is_skipped() -> None:
    """Bytes that are no transaction stop nothing: the block's other transactions run."""
    world = World.new()

    applied = world.apply(b"", b"\x02garbage", world.tx(ALICE, BOB.address).sign(ALICE))

    assert [result.status for result in applied.results] == [2, 2, 1]
    assert applied.results[0].hash == ZERO_DIGEST


@pytest.mark.parametrize("to", [ZERO_ADDRESS, STAKERS, TREASURY, Address(bytes(18) + b"\x0a\xff")])
def test_money_is_not_sent_into_the_void(to: Address) -> None:
    """Value sent to an address that nobody holds a key for is refused; a bare call of it is not."""
    world = World.new()

    assert code(world.send(ALICE, to, value=1)) == "accounts.reserved"
    assert world.send(ALICE, to, b"ignored").status == 1


@pytest.mark.parametrize(
    "result",
    [
        Result(1, ZERO_DIGEST, 21_000, 7, b"", "", ()),
        Result(0, ZERO_DIGEST, 9, 7, b"\x01", "a.b: said", (Log(BOB.address, (bytes(32), b"\x01" * 32), b"d"),)),
    ],
)
def test_results_round_trip(result: Result) -> None:
    """A result reads back from its bytes."""
    assert result_from_rlp(result.encode()) == result


@pytest.mark.parametrize(
    "item",
    [
        b"",
        [],
        [b""] * 8,
        [b"\x01", bytes(31), b"", b"", b"", b"", []],
        [b"\x01", bytes(32), b"", b"", b"", b"\xff", []],
        [b"\x01", bytes(32), b"", b"", b"", b"", b""],
        [b"\x01", bytes(32), b"", b"", b"", b"", [[bytes(20), []]]],
        [b"\x01", bytes(32), b"", b"", b"", b"", [[bytes(19), [], b""]]],
        [b"\x01", bytes(32), b"", b"", b"", b"", [[bytes(20), [bytes(31)], b""]]],
    ],
)
def test_malformed_results(item: rlp.Rlp) -> None:
    """Bytes that are no result are refused as malformed, whatever is wrong with them."""
    with pytest.raises(Malformed):
        result_from_rlp(rlp.encode(item))


def test_changes_are_sorted() -> None:
    """A block's changes come in the order of their keys, whatever the order of its transactions."""
    world = World.new()
    raw = [world.tx(who, BOB.address, value=1).sign(who) for who in (CAROL, ALICE)]

    keys = list(world.apply(*raw).changes)

    assert keys == sorted(keys)


def test_simulation_keeps_nothing() -> None:
    """A simulated call shows output, gas and logs, and state stays as it was."""
    world = World.new()
    before = dict(world.state)

    found = world.simulate(ALICE.address, ESCROW, call("Escrow", "deposit"), 3 * OPG)

    assert (found.output, found.gas_used, len(found.logs)) == (b"", 20_000, 2)
    assert world.state == before


def test_simulation_shows_the_refusal() -> None:
    """A simulated call raises what the transaction would revert with."""
    world = World.new()

    with pytest.raises(Rejected) as caught:
        world.simulate(ALICE.address, ESCROW, call("Escrow", "withdraw"))
    with pytest.raises(Rejected) as out_of_gas:
        world.simulate(ALICE.address, ESCROW, call("Escrow", "withdraw"), gas_limit=29_999)

    assert (caught.value.code, out_of_gas.value.code) == ("escrow.amount", "gas.out")


def test_same_blocks_same_root() -> None:
    """Two worlds with the same blocks have the same root."""
    roots = []
    for _ in range(2):
        world = World.open()
        roots.append(tree_of(world.state).root)

    assert roots[0] == roots[1]
