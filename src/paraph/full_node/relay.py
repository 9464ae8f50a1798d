"""Handing transactions to the engine, which spreads them among the validators, until a block has them.

A full engine says no, and may drop what it said yes to. So what this node took in is told again until it is in a block
or waits no longer; whoever handed it in need not ask twice.
"""

import asyncio
from typing import Final

import structlog

from paraph.adapters.comet.rpc import EngineRpc, Full
from paraph.core.errors import ParaphError
from paraph.core.ident import Digest
from paraph.flows.mempool import Mempool

TOLD_AT_ONCE_MAX: Final = 32
"""Transactions being told to the engine at the same time."""
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
            for _ in range(TOLD_AT_ONCE_MAX):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            tx_hash = await self._new.get()
            while (waiting := self._mempool.get(tx_hash)) is not None:
                try:
                    if not isinstance(await self._engine.broadcast(waiting.raw), Full):
                        self._told[tx_hash] = asyncio.get_running_loop().time()
                        break
                except ParaphError as error:
                    _log.debug("relay.waits", code=error.code, reason=error.message)
                await asyncio.sleep(PAUSE_S)

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
