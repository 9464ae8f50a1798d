"""What the node knows of the ledger: proved reads, kept for a moment, so that a request does not wait for each.

A payer's escrow is counted down by what this node was promised since; it is read again as soon as it seems too small.
"""

from typing import Final

from paraph.adapters.http.client import AsyncDriver
from paraph.core.ident import Address, ModelId
from paraph.flows import exact, registry
from paraph.flows.effect import Flow
from paraph.flows.ports import Clock
from paraph.flows.registry import Offer
from paraph.ledger.rooms.escrow.types import Account
from paraph.proofs.policy import Trust

FRESH_MS: Final = 1_000
"""How old a read may be. Work begun within it after a price has changed is the node's loss: the ledger refuses the old
schedule for it, and the payer is not charged."""


class LedgerView:
    """Reads of one network through one full node.

    Args:
        driver: reaches the full node.
        trust: what every read is proved against.
        clock: tells how old a read is.
    """

    def __init__(self, driver: AsyncDriver, trust: Trust, clock: Clock) -> None:
        self.driver = driver
        self.trust = trust
        self._clock = clock
        self._offers: dict[ModelId, tuple[int, Offer]] = {}
        self._escrows: dict[Address, tuple[int, Account]] = {}
        self._height: tuple[int, int] = (0, -1)
        self._window: tuple[int, int] = (-1, 0)

    async def offer(self, model_id: ModelId) -> Offer:
        """The model and its price. Raises `Rejected` (`models.unknown`)."""
        at_ms, found = self._offers.get(model_id, (0, None))
        if found is None or self._old(at_ms):
            found = await self.driver.run(registry.offer(self.trust, model_id))
            self._offers[model_id] = (self._clock.now_ms(), found)
        return found

    async def escrow(self, payer: Address, *, fresh: bool = False) -> Account:
        """The payer's escrow; with `fresh`, read now."""
        at_ms, found = self._escrows.get(payer, (0, None))
        if found is None or fresh or self._old(at_ms):
            found = await self.driver.run(registry.escrow(self.trust, payer))
            if len(self._escrows) >= PAYERS_KEPT:
                self._escrows.clear()
            self._escrows[payer] = (self._clock.now_ms(), found)
        return found

    def forget_escrow(self, payer: Address) -> None:
        """Read this payer's escrow again next time: a settlement changed it."""
        self._escrows.pop(payer, None)

    async def height(self) -> int:
        """A recent block height, of a believed header: a receipt that named a later one would be refused."""
        at_ms, height = self._height
        if height < 0 or self._old(at_ms):
            height = await self.driver.run(_height(self.trust))
            self._height = (self._clock.now_ms(), height)
        return height

    async def proof_window(self, height: int) -> int:
        """Blocks from a receipt of that block until its proof is due at the latest."""
        known, window = self._window
        if known != height:
            window = await self.driver.run(exact.window(self.trust, height))
            self._window = (height, window)
        return window

    def _old(self, at_ms: int) -> bool:
        # A clock that was set back makes everything old.
        return not 0 <= self._clock.now_ms() - at_ms <= FRESH_MS


PAYERS_KEPT: Final = 10_000
"""Escrows kept at a time: some MB."""


def _height(trust: Trust) -> Flow[int]:
    return (yield from registry.read(trust)).seal.height
