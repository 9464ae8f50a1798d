"""Block production by the solo engine, and its end: when a block cannot be kept, no more are made and none taken.

Reads go on: what is committed is whole. The reason is logged once and shown at `/health`.
"""

from typing import Final

import structlog

from paraph.adapters.solo.engine import Solo
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected, Unavailable
from paraph.core.ident import Digest
from paraph.flows.mempool import Mempool
from paraph.flows.ports import Clock
from paraph.full_node.solo import SoloApplication
from paraph.ledger.block import Applied
from paraph.proofs.light.types import LightBlock
from paraph.proofs.seal import ProducerSeal

_log = structlog.get_logger()


class Production:
    """The solo engine behind a door that closes when it fails (`Engine`).

    Args:
        application: the chain and the key that signs its blocks.
        clock: gives blocks their time.
        interval_s: seconds between blocks; 0 makes one whenever a transaction waits.
    """

    def __init__(self, application: SoloApplication, clock: Clock, interval_s: float = 0) -> None:
        self.engine: Final = Solo(application, clock, interval_s)
        self.mempool: Final[Mempool] = self.engine.mempool
        self._application = application
        self.failure = ""
        self.peers = 0
        self.syncing = False

    async def submit(self, raw: bytes) -> Digest:
        """As `Solo.submit`. Raises `Unavailable` (`node.stopped`) after a failure."""
        self._need_health()
        return self.engine.submit(raw)

    def produce(self) -> Applied:
        """As `Solo.produce`. Raises `Unavailable` (`node.stopped`) after a failure, whatever it was."""
        self._need_health()
        try:
            return self.engine.produce()
        except Exception as error:
            self._fail(error)
            raise

    async def newest(self) -> ProducerSeal:
        """See `Seals.newest`: the head, signed."""
        return ProducerSeal(self._application.sealed())

    async def light_block(self, height: int) -> LightBlock:
        """See `Seals.light_block`: there is none."""
        raise Rejected("light.none", f"one producer signs this network; no validators voted for block {height}")

    async def decided(self, height: int) -> LightBlock:
        """See `Court.decided`: there is none."""
        return await self.light_block(height)

    async def accuse(self, evidence: JsonObject) -> Digest:  # noqa: ARG002  the engine's signature
        """See `Court.accuse`: nobody can be accused."""
        raise Rejected("light.none", "one producer signs this network; there are no validators to accuse")

    async def run(self) -> None:
        """Make blocks until cancelled or until one fails."""
        try:
            await self.engine.run()
        except Exception as error:  # noqa: BLE001  whatever it was, there is no next block: stop, and say so
            self._fail(error)

    async def close(self) -> None:
        """Nothing is left to close."""

    def _fail(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}"
        _log.error("block_production.stopped", reason=self.failure, exc_info=error)

    def _need_health(self) -> None:
        if self.failure:
            raise Unavailable("node.stopped", f"this node makes no more blocks: {self.failure}")
