"""Blocks: their order, the price of gas, what a failed call leaves behind, and what is skipped without a trace."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support_ledger.staking import LEAST, key, proof
from tests.support_ledger.world import (
    ALICE,
    BASE_FEE_FLOOR,
    BOB,
    CAROL,
    CHAIN_ID,
    GOVERNOR,
    OPG,
    PROPOSER,
    START_S,
    World,
    call,
    code,
    differing,
    genesis,
    person,
    sentence,
    tree_of,
)

from paraph.core import rlp
from paraph.core.digest import keccak256
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest
from paraph.core.limits import TIME_S_MAX
from paraph.core.merkle import root as merkle_root
from paraph.ledger.block import Applied, Block, Result, apply_block, next_base_fee, result_from_rlp
from paraph.ledger.contract import Log
from paraph.ledger.rooms.accounts.keys import STAKERS, TREASURY
from paraph.ledger.rooms.bonds.keys import ADDRESS as STAKING
from paraph.ledger.rooms.bonds.rules import consensus_address
from paraph.ledger.rooms.bonds.types import DOUBLE_SIGN, Fault, SetChange
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.truths import broken
from paraph.ledger.tx import GAS_INTRINSIC
from paraph.proofs.header import HASHES_KEPT, HEAD_KEY, Head, hash_key

TARGET = 15_000_000
LIMIT = 30_000_000


@pytest.mark.parametrize(("height", "seconds"), [(0, 1), (2, 1), (1, -1)], ids=["again", "far", "earlier"])
def test_order(height: int, seconds: int) -> None:
    """A block follows the last one: the next height, and no earlier time."""
    world = World.new()

    with pytest.raises(Rejected) as caught:
        apply_block(world.state.get, Block(height, world.now + seconds, PROPOSER, (), ZERO_DIGEST))

    assert caught.value.code == "block.order"


def test_an_empty_block() -> None:
    """An empty block, even in the same second, moves the height and nothing else."""
    world = World.new()

    applied = world.apply(seconds=0)

    head = Head(
        CHAIN_ID, genesis().digest(), 1, START_S, ZERO_DIGEST, PROPOSER, merkle_root([]), merkle_root([]), 0, LIMIT,
        BASE_FEE_FLOOR,
    )  # fmt: skip
    written: dict[bytes, bytes | None] = {
        b"chain/base_fee": rlp.from_uint(BASE_FEE_FLOOR),
        b"chain/hash/\0\0": ZERO_DIGEST,
        b"chain/head": head.encode(),
    }
    assert applied == Applied(written, (), (), head, (), 1)


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

    assert (applied.head.gas_used, applied.head.gas_limit, applied.head.base_fee) == (
        987_000,
        1_000_000,
        BASE_FEE_FLOOR,
    )
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
    """What cannot be paid for is skipped: only the head, which commits to its bytes, is not an empty block's."""
    world, empty = World.new(), World.new()
    for each in (world, empty):
        each.send(ALICE, BOB.address)
    empty.wait(1)

    result = world.send(ALICE, BOB.address, **changes)

    assert (result.status, code(result), result.gas_used, result.output, result.logs) == (2, code_, 0, b"", ())
    assert (result.hash == ZERO_DIGEST) == (code_ == "tx.chain_id")
    assert differing(world, empty) == {b"chain/head"}


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
    assert applied.head.gas_used == 42_000


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


# --- what a block may be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_s", "proposer", "refusal"),
    [
        (TIME_S_MAX, PROPOSER, ""),
        (TIME_S_MAX + 1, PROPOSER, "block.time"),
        (START_S, ZERO_ADDRESS, "block.proposer"),
        (START_S, ESCROW, "block.proposer"),
        (START_S, TREASURY, "block.proposer"),
    ],
)
def test_time_and_proposer(time_s: int, proposer: Address, refusal: str) -> None:
    """A block is made before the last second that counts, by an account that can be paid."""
    world = World.new()
    block = Block(1, time_s, proposer, (), ZERO_DIGEST)
    found = ""

    try:
        apply_block(world.state.get, block)
    except Rejected as error:
        found = error.code

    assert found == refusal


# --- what a block leaves of itself ---------------------------------------------------------------------------------


def test_head_is_in_the_state() -> None:
    """The state holds the block's own head, which with the state's root is its header."""
    world = World.new()

    applied = world.apply(world.tx(ALICE, BOB.address).sign(ALICE), b"garbage")

    head = Head.decode(world.state[HEAD_KEY])
    assert head == applied.head
    assert (head.height, head.time_s, head.proposer, head.gas_used) == (1, START_S + 1, PROPOSER, GAS_INTRINSIC)
    assert head.results_root == merkle_root([result.leaf() for result in applied.results])
    header = head.header(tree_of(world.state).root)
    assert (header.head(), header.state_root) == (head, tree_of(world.state).root)


def test_ring_of_hashes() -> None:
    """The hash of each earlier block stands in the state for as many blocks as EIP-2935 says, then makes room."""
    world = World.new()
    world.audited = False
    made: list[bytes] = []
    for height in range(1, 4):
        made.append(keccak256(b"%d" % height))
        world.commit(apply_block(world.state.get, Block(height, START_S, PROPOSER, (), Digest(made[-1]))).changes)
    assert [world.state[hash_key(height)] for height in range(3)] == made

    far = replace(Head.decode(world.state[HEAD_KEY]), height=HASHES_KEPT)
    world.state[HEAD_KEY] = far.encode()
    last = Digest(keccak256(b"last"))
    world.commit(apply_block(world.state.get, Block(HASHES_KEPT + 1, START_S, PROPOSER, (), last)).changes)

    assert HASHES_KEPT == 8_191
    assert hash_key(HASHES_KEPT) == hash_key(0)
    assert [world.state[hash_key(height)] for height in range(3)] == [last, *made[1:]]
    assert len({hash_key(height) for height in range(2 * HASHES_KEPT)}) == HASHES_KEPT


def test_sentences_are_not_committed_to() -> None:
    """Another sentence, or revert data made of it, is the same leaf; another code, status, gas or event is not."""
    failed = Result(0, ZERO_DIGEST, 21_000, 7, b"revert data", "escrow.amount: a sentence", ())
    log = Log(BOB.address, (bytes(32),), b"d")

    for same in ({"error": "escrow.amount: worded anew"}, {"output": b"other"}, {"error": "escrow.amount"}):
        assert replace(failed, **same).leaf() == failed.leaf()
    changes: list[dict[str, Any]] = [
        {"error": "escrow.other: a sentence"}, {"status": 2}, {"hash": keccak256(b"")}, {"gas_used": 1},
        {"gas_price": 1}, {"logs": (log,)},
    ]  # fmt: skip
    leaves = {replace(failed, **each).leaf() for each in changes}
    assert len(leaves | {failed.leaf()}) == len(changes) + 1


def test_output_of_success_is_committed_to() -> None:
    """What a successful call returned is in its leaf."""
    found = Result(1, ZERO_DIGEST, 21_000, 7, b"one", "", ())

    assert found.leaf() == found.encode()
    assert replace(found, output=b"two").leaf() != found.leaf()


# --- faults --------------------------------------------------------------------------------------------------------


def test_faults_come_first() -> None:
    """A proved fault is struck before the transactions and leaves no result: the roots of those are as without it."""
    worlds = []
    for faulty in (False, True):
        world = World.new()
        for who, name in ((BOB, "bob"), (CAROL, "carol")):
            world.must(who, "Staking", "createValidator", key(name), proof(name), name, value=LEAST)
        fault = Fault(DOUBLE_SIGN, consensus_address(key("bob")), 1, world.now)
        raw = (world.tx(ALICE, CAROL.address).sign(ALICE),)
        block = Block(world.height + 1, world.now, PROPOSER, raw, ZERO_DIGEST, (fault,) if faulty else ())
        applied = apply_block(world.state.get, block)
        world.commit(applied.changes)
        assert broken(world.state) == []
        worlds.append((world, applied))
    (plain, before), (struck, after) = worlds

    assert after.results == before.results
    assert after.head == before.head
    assert (before.powers, after.powers) == ((), (SetChange(key("bob"), 0),))
    lost = plain.balance(STAKING) - struck.balance(STAKING)
    assert lost == LEAST // 20
    assert struck.balance(TREASURY) - plain.balance(TREASURY) == lost
    assert tree_of(plain.state).root != tree_of(struck.state).root


def test_fault_of_nobody_changes_nothing() -> None:
    """A fault of a key that nobody has is passed over."""
    world, other = World.new(), World.new()
    strange = Fault(DOUBLE_SIGN, bytes(20), 1, world.now)

    changed = apply_block(world.state.get, Block(1, START_S, PROPOSER, (), ZERO_DIGEST, (strange,)))

    assert changed == apply_block(other.state.get, Block(1, START_S, PROPOSER, (), ZERO_DIGEST))
