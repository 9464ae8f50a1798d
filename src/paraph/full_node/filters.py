"""Filters over JSON-RPC: what is new since a client last asked. Forgotten when nobody asks any more."""

from dataclasses import dataclass, field
from typing import Final

from paraph.adapters.ethereum.rpc import INVALID_INPUT, LIMIT_EXCEEDED, Method, RpcError
from paraph.adapters.ethereum.wire import quantity, read_quantity
from paraph.adapters.system import random_bytes
from paraph.core.encode import Json
from paraph.core.ident import Digest, to_hex
from paraph.flows.ports import Clock
from paraph.full_node.chain import Chain
from paraph.full_node.logs import RESULTS_MAX, Logs, Search, Turn, height_of, matching, read_search
from paraph.full_node.wire import Named

FILTERS_MAX: Final = 1_000
"""Open filters, of all clients together."""
IDLE_MS_MAX: Final = 5 * 60 * 1000
"""A filter that nobody asked for so long is closed, as in geth."""
STEP_BLOCKS_MAX: Final = 100
"""Blocks that one poll looks at; the rest comes with the next."""
HASHES_MAX: Final = 5_000
"""Pending transactions kept for one poll: as many as may wait."""


@dataclass(slots=True)
class _Filter:
    """An open filter. `search` is None for one of blocks, `pending` None for all but one of waiting transactions."""

    search: Search | None
    height_next: int
    asked_ms: int
    pending: list[Digest] | None = field(default=None)


class Filters:
    """Open filters.

    Args:
        chain: what they look at.
        logs: answers a filter's whole search again.
        clock: by which idle ones are closed.
    """

    def __init__(self, chain: Chain, logs: Logs, clock: Clock) -> None:
        self._chain = chain
        self._logs = logs
        self._clock = clock
        self._open: dict[int, _Filter] = {}

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {
            "eth_newFilter": Method(self.open_logs, (read_search,), 1),
            "eth_newBlockFilter": Method(self.open_blocks),
            "eth_newPendingTransactionFilter": Method(self.open_pending),
            "eth_getFilterChanges": Method(self.changes, (read_quantity,), 1),
            "eth_getFilterLogs": Method(self.all_logs, (read_quantity,), 1),
            "eth_uninstallFilter": Method(self.close, (read_quantity,), 1),
        }

    def open_logs(self, search: Search) -> Json:
        """`eth_newFilter`."""
        if search.block is None:
            height_of(self._chain, search.first)
            height_of(self._chain, search.last)
        return self._add(_Filter(search, self._chain.height + 1, 0))

    def open_blocks(self) -> Json:
        """`eth_newBlockFilter`."""
        return self._add(_Filter(None, self._chain.height + 1, 0))

    def open_pending(self) -> Json:
        """`eth_newPendingTransactionFilter`."""
        return self._add(_Filter(None, 0, 0, []))

    def saw(self, tx_hash: Digest) -> None:
        """Tell of a transaction that now waits for a block."""
        for each in self._open.values():
            if each.pending is not None and len(each.pending) < HASHES_MAX:
                each.pending.append(tx_hash)

    async def changes(self, key: int) -> Json:
        """`eth_getFilterChanges`: what is new since the last time; after a long absence, in portions."""
        found = self._get(key)
        if found.pending is not None:
            hashes: list[Json] = [to_hex(tx_hash) for tx_hash in found.pending]
            found.pending.clear()
            return hashes
        start = found.height_next
        try:
            return await self._portion(found, min(self._last(found), start + STEP_BLOCKS_MAX - 1))
        except BaseException:
            # Not told after all: the next poll begins where this one did.
            found.height_next = min(found.height_next, start)
            raise

    async def _portion(self, found: _Filter, last: int) -> Json:
        new: list[Json] = []
        turn = Turn()
        while found.height_next <= last and len(new) < RESULTS_MAX:
            block = self._chain.block(found.height_next)
            # Counted before others are let in, so that two polls at once share the blocks and tell none twice.
            found.height_next += 1
            if found.search is None:
                new.append(to_hex(block.header.hash()))
            else:
                new.extend(matching(block, found.search.criteria))
            await turn.share()
        return new

    async def all_logs(self, key: int) -> Json:
        """`eth_getFilterLogs`: everything the filter's search finds."""
        found = self._get(key)
        if found.search is None:
            raise RpcError(INVALID_INPUT, "filter not found: this one is not of logs")
        return await self._logs.search(found.search)

    def close(self, key: int) -> Json:
        """`eth_uninstallFilter`."""
        return self._open.pop(key, None) is not None

    def _last(self, found: _Filter) -> int:
        search = found.search
        if search is None or (search.block is None and isinstance(search.last, Named)):
            return self._chain.height
        return min(self._chain.height, -1 if search.block else height_of(self._chain, search.last))

    def _add(self, new: _Filter) -> Json:
        new.asked_ms = self._clock.now_ms()
        idle = [key for key, each in self._open.items() if new.asked_ms - each.asked_ms > IDLE_MS_MAX]
        for key in idle:
            del self._open[key]
        if len(self._open) >= FILTERS_MAX:
            raise RpcError(LIMIT_EXCEEDED, f"{FILTERS_MAX} filters are open: uninstall those no longer needed")
        key = int.from_bytes(random_bytes(16), "big")
        self._open[key] = new
        return quantity(key)

    def _get(self, key: int) -> _Filter:
        found, now = self._open.get(key), self._clock.now_ms()
        if found is None or now - found.asked_ms > IDLE_MS_MAX:
            self._open.pop(key, None)
            raise RpcError(INVALID_INPUT, "filter not found")
        found.asked_ms = now
        return found
