"""Block production: a door that closes when a block cannot be kept, and the seal that a producer puts on state."""

import asyncio
from typing import Any

import pytest
from tests.support_ledger.world import ALICE
from tests.unit.full_node.world import PRODUCER, Desk, genesis, transfer

from paraph.core.digest import keccak256
from paraph.core.errors import Rejected, Unavailable, Unverified
from paraph.proofs.seal import ProducerSeal, believe


@pytest.fixture
def desk() -> Desk:
    return Desk()


def go(main: Any) -> Any:
    return asyncio.run(main)


def test_submitted_waits_for_a_block(desk: Desk) -> None:
    """What is taken is named by its hash and waits; the next block has it."""
    assert go(desk.production.submit(transfer(0))) == keccak256(transfer(0))
    assert len(desk.production.mempool) == 1

    applied = desk.production.produce()

    assert [result.hash for result in applied.results] == [keccak256(transfer(0))]
    assert len(desk.production.mempool) == 0


def test_newest_state_is_sealed(desk: Desk) -> None:
    """The newest state has a seal at once, of genesis too, which whoever pins the producer believes."""
    trust = desk.chain.genesis.trust()
    seals = [go(desk.production.newest())]
    desk.settle(transfer(0))
    seals.append(go(desk.production.newest()))

    for height, seal in enumerate(seals):
        assert isinstance(seal, ProducerSeal)
        assert (seal.height, seal.state_root) == (height, desk.chain.header(height).state_root)
        assert str(height) in believe(seal, trust)
    with pytest.raises(Unverified):
        believe(seals[0], genesis(network="other").trust())


def test_no_validators_here(desk: Desk) -> None:
    """A solo network has no light blocks, and says so."""
    with pytest.raises(Rejected) as caught:
        go(desk.production.light_block(0))

    assert caught.value.code == "light.none"


def test_failure_closes_the_door(desk: Desk) -> None:
    """After a block that could not be kept none is made and nothing is taken; reads and seals go on."""
    desk.settle(transfer(0))
    desk.chain._tables.store.write = None  # type: ignore[method-assign,assignment]

    with pytest.raises(TypeError):
        desk.production.produce()

    assert desk.production.failure.startswith("TypeError")
    for attempt in (lambda: go(desk.production.submit(transfer(1))), desk.production.produce):
        with pytest.raises(Unavailable) as caught:
            attempt()
        assert caught.value.code == "node.stopped"
    assert desk.chain.next_nonce(ALICE.address) == 1
    assert go(desk.production.newest()).signed.signed_by(PRODUCER.address)


def test_failure_while_running(desk: Desk) -> None:
    """Production that runs by itself ends with the failure told, and is closed without a second one."""

    async def scene() -> None:
        desk.chain.commit = None  # type: ignore[method-assign,assignment]
        await desk.production.submit(transfer(0))
        await asyncio.wait_for(desk.production.run(), 10)
        await desk.production.close()

    go(scene())

    assert desk.production.failure.startswith("TypeError")


def test_running_ends_when_cancelled(desk: Desk) -> None:
    """Stopping is no failure."""

    async def scene() -> None:
        running = asyncio.create_task(desk.production.run())
        await desk.production.submit(transfer(0))
        await desk.production.engine.produced(10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    go(scene())

    assert (desk.production.failure, desk.chain.height) == ("", 1)
