"""Block production by one process: as soon as something waits, or at an interval.

What it decides, it decides alone; a client that trusts a solo network trusts its one producer.
"""

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from paraph.core.ident import Digest
from paraph.core.limits import BLOCK_GAS_MAX
from paraph.flows.mempool import Mempool
from paraph.flows.ports import Application, Clock
from paraph.ledger.block import LATER, Applied, next_base_fee

GATHER_S: Final = 0.02
"""On demand: how long a first transaction waits for company."""


class Proposable(Application, Protocol):
    """An application that can also be asked before deciding, as ABCI's PrepareProposal asks.

    `preview` keeps nothing. What it skips would leave no trace in state and pay for nothing, so that a producer who
    includes it gives its block's bytes away.
    """

    def preview(self, time_s: int, transactions: tuple[bytes, ...]) -> Applied: ...


class Solo:
    """The engine.

    Args:
        application: the ledger.
        clock: gives blocks their time.
        interval_s: seconds between blocks; 0 makes a block whenever something waits, and none otherwise.
    """

    def __init__(self, application: Proposable, clock: Clock, interval_s: float = 0) -> None:
        self.mempool = Mempool()
        self._application = application
        self._clock = clock
        self._interval_s = interval_s
        self._wake = asyncio.Event()
        self._produced = asyncio.Condition()
        # What the last block says of the next: none was made yet.
        self._gas_limit = BLOCK_GAS_MAX
        self._base_fee = 0

    def submit(self, raw: bytes) -> Digest:
        """Take a raw transaction; returns its hash.

        Raises:
            Malformed, Rejected: it can never or not now be included. Unavailable: the pool is full.
        """
        signed = self._application.check(raw)
        self.mempool.add(signed, self._application.next_nonce(signed.sender))
        self._wake.set()
        return signed.hash

    def produce(self) -> Applied:
        """Make one block now, of whatever waits and can go in, even of nothing."""
        time_s = self._clock.now_ms() // 1000
        chosen = self.mempool.select(self._application.next_nonce, self._gas_limit, self._base_fee)
        preview = self._application.preview(time_s, tuple(signed.raw for signed in chosen))
        kept: list[bytes] = []
        for signed, result in zip(chosen, preview.results, strict=True):
            if result.status != 2:
                kept.append(signed.raw)
            elif not result.error.startswith(LATER):
                self.mempool.drop(signed)
        applied = self._application.commit(time_s, tuple(kept))
        head = applied.head
        self._gas_limit = head.gas_limit
        # The real base fee may have a higher floor; what then cannot pay is skipped by the preview, and waits.
        self._base_fee = next_base_fee(head.base_fee, head.gas_used, head.gas_limit, 1)
        self.mempool.forget(self._application.next_nonce)
        return applied

    async def run(self) -> None:
        """Make blocks until cancelled."""
        while True:
            if self._interval_s:
                await asyncio.sleep(self._interval_s)
                await self._produce_and_tell()
            else:
                await self._wake.wait()
                self._wake.clear()
                await self._work_off()

    async def _work_off(self) -> None:
        """Make blocks while something is ready; empty ones where it waits for the base fee to fall."""
        base_fee = -1
        while True:
            await asyncio.sleep(GATHER_S)
            if not self.mempool.select(self._application.next_nonce, self._gas_limit, 0):
                return
            applied = await self._produce_and_tell()
            if not applied.results and applied.head.base_fee == base_fee:
                return  # the base fee falls no further: what is left cannot pay even that
            base_fee = applied.head.base_fee

    async def _produce_and_tell(self) -> Applied:
        applied = self.produce()
        async with self._produced:
            self._produced.notify_all()
        return applied

    async def produced(self, timeout_s: float) -> None:
        """Wait for the next block, or for the time to pass."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._produced:
                await self._produced.wait()
