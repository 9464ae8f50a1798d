"""Block production by one process: as soon as something waits, or at an interval.

What it decides, it decides alone; a client that trusts a solo network trusts its one producer.
"""

import asyncio
from contextlib import suppress
from typing import Final

from paraph.adapters.solo.mempool import Mempool
from paraph.core.ident import Digest
from paraph.core.limits import BLOCK_GAS_MAX
from paraph.flows.ports import Application, Clock
from paraph.ledger.block import Applied

GATHER_S: Final = 0.02
"""On demand: how long a first transaction waits for company."""


class Solo:
    """The engine.

    Args:
        application: the ledger.
        clock: gives blocks their time.
        interval_s: seconds between blocks; 0 makes a block whenever something waits, and none otherwise.
    """

    def __init__(self, application: Application, clock: Clock, interval_s: float = 0) -> None:
        self.mempool = Mempool()
        self._application = application
        self._clock = clock
        self._interval_s = interval_s
        self._wake = asyncio.Event()
        self._produced = asyncio.Condition()

    def submit(self, raw: bytes) -> Digest:
        """Take a raw transaction; returns its hash.

        Raises:
            Malformed, Rejected: it can never or not now be included. Unavailable: the pool is full.
        """
        signed = self._application.check(raw)
        self.mempool.add(signed)
        self._wake.set()
        return signed.hash

    def produce(self) -> Applied:
        """Make one block now, of whatever waits, even of nothing."""
        chosen = self.mempool.select(self._application.next_nonce, BLOCK_GAS_MAX)
        applied = self._application.commit(self._clock.now_ms() // 1000, tuple(signed.raw for signed in chosen))
        for signed, result in zip(chosen, applied.results, strict=True):
            if result.status == 2 and not result.error.startswith("tx.block_full"):
                self.mempool.drop(signed)
        self.mempool.forget(self._application.next_nonce)
        return applied

    async def run(self) -> None:
        """Make blocks until cancelled."""
        while True:
            if self._interval_s:
                await asyncio.sleep(self._interval_s)
            else:
                await self._wake.wait()
                await asyncio.sleep(GATHER_S)
            self._wake.clear()
            before = len(self.mempool)
            self.produce()
            # What could not go in yet (a gap in nonces, a full block) is tried again with the next block.
            if 0 < len(self.mempool) < before:
                self._wake.set()
            async with self._produced:
                self._produced.notify_all()

    async def produced(self, timeout_s: float) -> None:
        """Wait for the next block, or for the time to pass."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._produced:
                await self._produced.wait()
