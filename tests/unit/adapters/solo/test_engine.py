"""The solo engine over a real chain: what it puts in blocks, what it keeps for later, and what it drops."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support_ledger.world import ALICE, BOB, CAROL, GOVERNOR
from tests.unit.full_node.world import GWEI, Desk, calling, transfer

from paraph.adapters.solo.engine import GATHER_S
from paraph.core.digest import keccak256
from paraph.core.errors import Rejected
from paraph.core.keys import PrivateKey
from paraph.full_node.chain import NONCE_AHEAD_MAX
from paraph.ledger.genesis import Genesis

SHORT = 10 * GATHER_S


@pytest.fixture
def desk() -> Desk:
    return Desk()


def code(desk: Desk, raw: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        desk.engine.submit(raw)
    return caught.value.code


def work(desk: Desk, *raw: bytes, until: Callable[[], bool] | None = None) -> None:
    """Let the engine run while transactions come in: until something is so, and a little longer."""

    async def scene() -> None:
        running = asyncio.create_task(desk.engine.run())
        for each in raw:
            desk.engine.submit(each)
        async with asyncio.timeout(30):
            while until is not None and not until():  # noqa: ASYNC110  the engine's own signal belongs to one event loop
                await asyncio.sleep(GATHER_S)
        await asyncio.sleep(SHORT)
        running.cancel()

    asyncio.run(scene())


def test_block_of_what_waits(desk: Desk) -> None:
    """What waits goes into one block, and then waits no more."""
    work(desk, *(transfer(nonce) for nonce in range(5)), until=lambda: desk.chain.height > 0)

    assert desk.chain.height == 1
    assert [result.status for result in desk.chain.head.results] == [1] * 5
    assert len(desk.engine.mempool) == 0


def test_no_block_of_nothing(desk: Desk) -> None:
    """On demand, nothing ready makes no block: not when nothing waits, not when only a gap does."""
    work(desk)
    work(desk, transfer(3))

    assert desk.chain.height == 0
    assert len(desk.engine.mempool) == 1


def test_interval_makes_blocks_of_nothing() -> None:
    """At an interval, a block comes whether or not something waits."""
    desk = Desk()
    desk.engine._interval_s = GATHER_S

    work(desk, until=lambda: desk.chain.height >= 3)

    assert not any(block.transactions for block in desk.chain.blocks(1, 3))


def test_gap_filled_later(desk: Desk) -> None:
    """Transactions sent ahead go in when the one before them comes."""
    work(desk, transfer(2), transfer(1))
    work(desk, transfer(0), until=lambda: desk.chain.height > 0)

    assert desk.chain.next_nonce(ALICE.address) == 3


def test_stale_nonce_is_refused(desk: Desk) -> None:
    """A nonce that was used is refused."""
    desk.settle(transfer(0))

    assert code(desk, transfer(0)) == "tx.nonce"


def test_far_nonce_is_refused(desk: Desk) -> None:
    """A nonce may be so far ahead, and not one further."""
    desk.engine.submit(transfer(NONCE_AHEAD_MAX))

    assert code(desk, transfer(NONCE_AHEAD_MAX + 1)) == "tx.nonce"


@pytest.mark.parametrize("nonce", [0, 1])
def test_poor_sender_takes_no_place(desk: Desk, nonce: int) -> None:
    """Who could not pay in turn cannot queue ahead of it either."""
    poor = PrivateKey(b"\7" * 32)

    assert code(desk, transfer(nonce, sender=poor)) == "tx.funds"
    assert code(desk, transfer(nonce, fee=GWEI // 2, tip=1)) == "tx.fee"


def test_more_gas_than_a_block_has_is_refused(desk: Desk) -> None:
    """What no block can hold does not wait for one."""
    assert code(desk, transfer(0, gas=30_000_001)) == "tx.gas_block"

    desk.engine.submit(transfer(0, gas=30_000_000))


def half_a_block(nonce: int) -> bytes:
    """A transaction that uses 14.9 million gas: two fill a block but for 198 000."""
    return transfer(nonce, gas=14_901_000, data=b"\1" * 930_000, fee=50 * GWEI)


def test_full_block_leaves_the_rest_for_the_next(desk: Desk) -> None:
    """What finds no room in a block is in the next, and is no part of the first."""
    work(desk, *(half_a_block(nonce) for nonce in range(3)), until=lambda: desk.chain.height > 1)

    assert [len(block.transactions) for block in desk.chain.blocks(1, 9)] == [2, 1]


def test_block_holds_nothing_skipped(desk: Desk) -> None:
    """A transaction that could pay when it came and cannot now is dropped; its bytes are in no block."""
    everything = int(desk.result("eth_getBalance", "0x" + ALICE.address.hex()), 16) - 2 * 10**16
    drain = calling(0, "Opg", "transfer", CAROL.address, everything)
    later = [transfer(nonce, value=10**17) for nonce in range(1, 4)]

    work(desk, drain, *later, until=lambda: desk.chain.height > 0)

    assert [len(block.transactions) for block in desk.chain.blocks(1, 9)] == [1]
    assert [result.status for result in desk.chain.head.results] == [1]
    waiting = [desk.engine.mempool.get(keccak256(raw)) is not None for raw in later]
    assert waiting == [False, True, True]


def test_waits_for_the_base_fee_to_fall(desk: Desk) -> None:
    """What paid enough when it came, and too little now, goes in when the base fee has fallen again."""
    modest = transfer(0, sender=BOB, fee=GWEI + GWEI // 20, tip=0, gas=300_000)

    work(
        desk, *(half_a_block(nonce) for nonce in range(4)), modest, until=lambda: desk.chain.next_nonce(BOB.address) > 0
    )

    assert desk.chain.next_nonce(ALICE.address) == 4
    assert desk.chain.next_nonce(BOB.address) == 1
    blocks = list(desk.chain.blocks(1, 99))
    assert max(block.header.base_fee for block in blocks) > GWEI + GWEI // 20
    assert any(not block.transactions for block in blocks)


def test_floor_of_the_base_fee_ends_the_waiting(desk: Desk) -> None:
    """When even the least base fee is too much, no more empty blocks are made."""
    raised = calling(0, "Params", "set", "base_fee_min_wei", 2 * GWEI, sender=GOVERNOR)
    work(desk, transfer(1, fee=GWEI, tip=0), raised, until=lambda: desk.chain.height > 0)
    assert desk.chain.height == 1

    work(desk, transfer(0, fee=9 * GWEI), until=lambda: desk.chain.height > 2)

    assert desk.chain.height == 3
    assert len(desk.engine.mempool) == 1


def test_produced_wakes_who_waits(desk: Desk) -> None:
    """Who waits for a block hears of it; without one, the wait ends in time."""

    async def scene() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(desk.engine.run())
        began = loop.time()
        await desk.engine.produced(0.05)
        idle = loop.time() - began
        desk.engine.submit(transfer(0))
        await desk.engine.produced(10)
        running.cancel()
        return idle, loop.time() - began - idle

    idle, busy = asyncio.run(scene())

    assert idle >= 0.04
    assert busy < 5
    assert desk.chain.height == 1


def test_preview_keeps_nothing(desk: Desk) -> None:
    """A preview changes nothing; the block made after it is the block it showed."""
    before = desk.chain.dump()
    time_s = desk.clock.now_ms() // 1000

    preview = desk.application.preview(time_s, (transfer(0), transfer(0), transfer(1)))

    assert desk.chain.dump() == before
    assert [result.status for result in preview.results] == [1, 2, 1]
    applied = desk.application.commit(time_s, (transfer(0), transfer(1)))
    fresh = Desk().application.commit(time_s, (transfer(0), transfer(1)))
    assert applied == fresh


def test_preview_of_another_block_is_not_used(desk: Desk) -> None:
    """A block that differs from the one previewed is applied afresh."""
    time_s = desk.clock.now_ms() // 1000
    desk.application.preview(time_s, (transfer(0),))

    applied = desk.application.commit(time_s, (transfer(0), transfer(1)))

    assert [result.status for result in applied.results] == [1, 1]


def network(**parameters: int) -> Genesis:
    found = Desk().chain.genesis
    return replace(found, parameters=parameters)


def test_gas_limit_of_the_network_counts() -> None:
    """A network with smaller blocks refuses what is too large for them."""
    desk = Desk(network(gas_limit=1_000_000))

    assert code(desk, transfer(0, gas=1_000_001)) == "tx.gas_block"
