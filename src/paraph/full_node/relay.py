"""Handing transactions to the engine, which spreads them among the validators, until a block has them.

A full engine says no, and may drop what it said yes to. So what this node took in is told again until it is in a block
or waits no longer; whoever handed it in need not ask twice.
"""

import asyncio
from typing import Final

import structlog

from paraph.adapters.comet.home import RPC_BATCH_MAX
from paraph.adapters.comet.rpc import EngineRpc, Full
from paraph.core.errors import ParaphError
from paraph.core.ident import Digest
from paraph.flows.mempool import Mempool
from paraph.ledger.tx import SignedTx

TELLERS: Final = 4
"""Requests to the engine under way at the same time."""
TOLD_BYTES_MAX: Final = 1 << 18
"""A request that has so many bytes takes no further transaction; with the largest as its last it still fits, in base64,
into what the engine reads."""
AGAIN_S: Final = 5
"""After so long without a block that has it, a transaction is told again."""
PAUSE_S: Final = 0.5
"""How long to leave an engine alone that is full or does not answer."""

_log = structlog.get_logger()


class Relay:
    """Tells the engine what this node took in.

    Args:
        engine: the engine's RPC.
        mempool: what still waits for a block.
    """

    def __init__(self, engine: EngineRpc, mempool: Mempool) -> None:
        self._engine = engine
        self._mempool = mempool
        self._new: asyncio.Queue[Digest] = asyncio.Queue()
        self._told: dict[Digest, float] = {}

    def send(self, tx_hash: Digest) -> None:
        """Have a waiting transaction told."""
        self._new.put_nowait(tx_hash)

    async def run(self) -> None:
        """Tell until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remind())
            for _ in range(TELLERS):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            waiting = await self._next()
            try:
                answers = await self._engine.broadcast_all([each.raw for each in waiting])
            except ParaphError as error:
                _log.debug("relay.waits", code=error.code, reason=error.message)
                answers = (Full(),) * len(waiting)
            now_s = asyncio.get_running_loop().time()
            again: list[Digest] = []
            for each, answer in zip(waiting, answers, strict=True):
                if isinstance(answer, Full):
                    again.append(each.hash)
                else:
                    self._told[each.hash] = now_s
            if again:
                await asyncio.sleep(PAUSE_S)
                for tx_hash in again:
                    self.send(tx_hash)

    async def _next(self) -> list[SignedTx]:
        """What is to be told next, as much as goes in one request."""
        found: list[SignedTx] = []
        size = 0
        while not found or (not self._new.empty() and len(found) < RPC_BATCH_MAX and size < TOLD_BYTES_MAX):
            waiting = self._mempool.get(await self._new.get())
            if waiting is not None:
                found.append(waiting)
                size += len(waiting.raw)
        return found

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            now_s = asyncio.get_running_loop().time()
            for tx_hash, told_s in list(self._told.items()):
                if self._mempool.get(tx_hash) is None:
                    del self._told[tx_hash]
                elif now_s - told_s >= AGAIN_S:
                    del self._told[tx_hash]
                    self.send(tx_hash)
