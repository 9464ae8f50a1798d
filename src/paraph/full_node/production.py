"""Block production, and its end: when a block cannot be kept, the node makes no more and takes no more.

Reads go on: what is committed is whole. The reason is logged once and shown at `/health`.
"""

import structlog

from paraph.adapters.solo.engine import Solo
from paraph.core.errors import Unavailable
from paraph.core.ident import Digest
from paraph.ledger.block import Applied

_log = structlog.get_logger()


class Production:
    """The engine behind a door that closes when it fails.

    Args:
        engine: makes the blocks.
    """

    def __init__(self, engine: Solo) -> None:
        self._engine = engine
        self.failure = ""

    def submit(self, raw: bytes) -> Digest:
        """As `Solo.submit`. Raises `Unavailable` (`node.stopped`) after a failure."""
        self._need_health()
        return self._engine.submit(raw)

    def produce(self) -> Applied:
        """As `Solo.produce`. Raises `Unavailable` (`node.stopped`) after a failure, whatever it was."""
        self._need_health()
        try:
            return self._engine.produce()
        except Exception as error:
            self._fail(error)
            raise

    async def run(self) -> None:
        """Make blocks until cancelled or until one fails."""
        try:
            await self._engine.run()
        except Exception as error:  # noqa: BLE001  whatever it was, there is no next block: stop, and say so
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}"
        _log.error("block_production.stopped", reason=self.failure, exc_info=error)

    def _need_health(self) -> None:
        if self.failure:
            raise Unavailable("node.stopped", f"this node makes no more blocks: {self.failure}")
