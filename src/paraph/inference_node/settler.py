"""The settler: brings what is pending in the outbox to the ledger, batch by batch, until it is done.

It keeps no state of its own. After any kill it starts again from the outbox; the ledger makes it once.
"""

import asyncio
from typing import Final, TypeVar

import structlog

from paraph.adapters.http.client import AsyncDriver
from paraph.core.amount import Wei
from paraph.core.errors import ParaphError
from paraph.core.ident import Address
from paraph.flows.effect import Flow
from paraph.flows.settle import Outcome, Owed, settle
from paraph.flows.transact import Sent, transact
from paraph.inference_node.outbox import Entry, Outbox, place_of
from paraph.inference_node.promises import rows_of_outcome
from paraph.inference_node.service import Service
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.proofs.request import Layer

BATCH_MAX: Final = 400
"""Receipts in a batch: 400 take about 15 million gas, half a block."""
BACKOFF_S_MAX: Final = 30.0
REST_S_FIRST: Final = 30.0
REST_S_MAX: Final = 600.0
"""How long a receipt rests whose payer's escrow is empty; the settle window is an hour or more."""

T = TypeVar("T")

log = structlog.get_logger("paraph.settler")


class Settler:
    """Settles a service's answers.

    Args:
        driver: reaches the full node, and signs with the hot key, which pays the gas.
        service: told what is settled.
        outbox: what is pending.
        interval_s: how often it looks.
    """

    def __init__(self, driver: AsyncDriver, service: Service, outbox: Outbox, interval_s: float) -> None:
        self._driver = driver
        self.service = service
        self._outbox = outbox
        self._interval_s = interval_s
        # The hot key's transactions go one after the other, or two would take the same nonce.
        self._sending = asyncio.Lock()
        self._resting: dict[bytes, tuple[float, float]] = {}
        """Of a receipt that waits for its payer's deposit: when it is tried again, and how long it rested last."""

    async def run(self) -> None:
        """Settle until cancelled. What fails is tried again, less and less often."""
        wait_s = self._interval_s
        while True:
            await asyncio.sleep(wait_s)
            try:
                done = await self.settle_pending()
                wait_s = 0 if done == BATCH_MAX else self._interval_s
            except ParaphError as error:
                wait_s = min(max(wait_s, 0.5) * 2, BACKOFF_S_MAX)
                log.warning("settlement failed", code=error.code, reason=error.message, again_in_s=wait_s)
            except Exception:
                # The fault is ours; a settler that dies of it would go unnoticed, and the node unpaid.
                wait_s = BACKOFF_S_MAX
                log.exception("settlement failed", again_in_s=wait_s)

    async def settle_pending(self) -> int:
        """Settle one batch; returns how many receipts left the outbox.

        Raises:
            Rejected, Unavailable: the ledger could not be used; everything is still pending.
        """
        now_s = asyncio.get_running_loop().time()
        entries = self._outbox.pending(BATCH_MAX, {place for place, rest in self._resting.items() if rest[0] > now_s})
        if not entries:
            return 0
        identity = self.service.identity
        owed = [Owed(entry.request, entry.answer.receipt) for entry in entries]
        outcomes = await self.in_turn(settle(identity.chain_id, identity.key.address, owed))
        by_place = {entry.place: entry for entry in entries}
        final: list[tuple[Entry, Outcome]] = []
        for outcome in outcomes:
            entry = by_place[place_of(outcome.payer, outcome.key)]
            if outcome.final:
                final.append((entry, outcome))
            else:
                # It stands aside for a while, longer each time: others get their turn, and refusals cost gas.
                _, rested_s = self._resting.get(entry.place, (0, REST_S_FIRST / 2))
                rest_s = min(2 * rested_s, REST_S_MAX)
                self._resting[entry.place] = (now_s + rest_s, rest_s)
        await asyncio.gather(*(self._close(entry, outcome) for entry, outcome in final))
        done = len(final)
        log.info(
            "settled",
            receipts=sum(each.settled for each in outcomes),
            refused=sum(not each.settled for each in outcomes),
        )
        return done

    async def heartbeat(self, every_s: float) -> None:
        """Tell the ledger that the node lives, until cancelled."""
        while True:
            try:
                await self.beat()
            except ParaphError as error:
                log.warning("heartbeat failed", code=error.code, reason=error.message)
            except Exception:
                # As in `run`: a node that stops saying that it lives must not do so silently.
                log.exception("heartbeat failed")
            await asyncio.sleep(every_s)

    async def in_turn(self, flow: Flow[T]) -> T:
        """Run a flow that sends a transaction of the hot key's, when no other does. Raises what the flow raises."""
        async with self._sending:
            return await self._driver.run(flow)

    async def beat(self) -> None:
        """Tell the ledger now that the node lives. Raises `Unavailable`, `Rejected`."""
        await self.in_turn(self._beat())

    def _beat(self) -> Flow[Sent]:
        identity = self.service.identity
        data = NODES.method("heartbeat").call()
        return transact(identity.chain_id, Address(identity.key.address), NODES.address, Wei(0), data)

    async def _close(self, entry: Entry, outcome: Outcome) -> None:
        word = "settled" if outcome.settled else "refused"
        rows = rows_of_outcome(entry, outcome.height if outcome.settled else None)
        await self._outbox.close_entry(entry.place, f"{word} {outcome.reason}", rows)
        self._resting.pop(entry.place, None)
        self.service.settled(outcome.payer, entry.answer.receipt.receipt.price)
        if not outcome.settled:
            if entry.request.request.layer is Layer.ZK:
                self.service.load.done(entry.request.request.model_id)
            log.warning("receipt refused", payer=outcome.payer.hex(), key=outcome.key.hex(), reason=outcome.reason)
