"""What the engine is told: everything that waits, in few requests, again when it was full, and nothing that is gone."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID
from tests.unit.adapters.comet.test_rpc import answering, http
from tests.unit.full_node.world import transfer

from paraph.core.encode import canonical
from paraph.flows.mempool import Mempool
from paraph.full_node import relay as module
from paraph.full_node.relay import Relay
from paraph.ledger.tx import SignedTx, check_form

FULL: dict[str, Any] = {"error": {"code": -32603, "data": "mempool is full: number of txs 5"}}
TAKEN: dict[str, Any] = {"result": {"code": 0, "log": ""}}


class Pool:
    """An engine that says of each transaction what it is told to, and remembers what it was handed, by request."""

    def __init__(self, says: Callable[[bytes, int], dict[str, Any]]) -> None:
        self.handed: list[list[bytes]] = []
        self._says = says

    def __call__(self, asked: Any) -> bytes:
        raws = [base64.b64decode(each["params"]["tx"]) for each in asked]
        told = [{"id": each["id"], **self._says(raw, len(self.handed))} for each, raw in zip(asked, raws, strict=True)]
        self.handed.append(raws)
        return http(canonical(told if len(told) > 1 else told[0]))

    @property
    def all(self) -> list[bytes]:
        return [raw for each in self.handed for raw in each]


def waiting(*raws: bytes) -> tuple[Mempool, list[SignedTx]]:
    pool = Mempool()
    found = [check_form(raw, CHAIN_ID) for raw in raws]
    for each in found:
        pool.add(each, 0)
    return pool, found


def relayed(engine: Pool, pool: Mempool, sent: list[SignedTx], until: Callable[[], bool]) -> None:
    """Run a relay that is given these, until so much has come to pass."""

    async def scene() -> None:
        async with asyncio.timeout(20), answering(engine) as rpc:
            relay = Relay(rpc, pool)
            for each in sent:
                relay.send(each.hash)
            running = asyncio.create_task(relay.run())
            while not until():  # noqa: ASYNC110  the engine is a plain function
                await asyncio.sleep(0.005)
            running.cancel()

    asyncio.run(scene())


def test_told_together_and_once() -> None:
    """What waits is told in as few requests as it fits, each once, in the order it came."""
    raws = [transfer(nonce, sender=sender) for nonce in range(50) for sender in (ALICE, BOB)]
    pool, sent = waiting(*raws)
    engine = Pool(lambda raw, request: TAKEN)

    relayed(engine, pool, sent, lambda: len(engine.all) >= 100)

    assert [len(each) for each in engine.handed] == [64, 36]
    assert sorted(engine.all) == sorted(raws)


def test_large_ones_go_in_several_requests() -> None:
    """A request that has many bytes takes no further transaction."""
    pool, sent = waiting(*(transfer(nonce, data=bytes(200_000), gas=5_000_000) for nonce in range(3)))
    engine = Pool(lambda raw, request: TAKEN)

    relayed(engine, pool, sent, lambda: len(engine.all) >= 3)

    assert sorted(len(each) for each in engine.handed) == [1, 2]


def test_full_engine_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full pool refused is told again, and only that; what was let go meanwhile is not."""
    monkeypatch.setattr(module, "PAUSE_S", 0.02)
    first, second, third = transfer(0), transfer(1), transfer(2)
    pool, sent = waiting(first, second, third)

    def says(raw: bytes, request: int) -> dict[str, Any]:
        if request == 0:
            pool.drop(sent[2])
        return FULL if request == 0 and raw != first else TAKEN

    engine = Pool(says)

    relayed(engine, pool, sent, lambda: len(engine.handed) >= 2)

    assert engine.handed == [[first, second, third], [second]]


def test_engine_that_fails_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is none loses nothing."""
    monkeypatch.setattr(module, "PAUSE_S", 0.02)
    pool, sent = waiting(transfer(0), transfer(1))
    engine = Pool(lambda raw, request: {"result": 5} if request == 0 else TAKEN)

    relayed(engine, pool, sent, lambda: len(engine.handed) >= 2)

    assert engine.handed == [[transfer(0), transfer(1)]] * 2


def test_reminded_until_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told and still waits is told again after a while: an engine may drop what it took."""
    monkeypatch.setattr(module, "AGAIN_S", 0.05)
    pool, sent = waiting(transfer(0), transfer(1))
    engine = Pool(lambda raw, request: TAKEN)

    def done() -> bool:
        if len(engine.handed) == 1:
            pool.drop(sent[1])
        return len(engine.handed) >= 3

    relayed(engine, pool, sent, done)

    assert engine.handed[0] == [transfer(0), transfer(1)]
    assert engine.handed[-1] == [transfer(0)]
