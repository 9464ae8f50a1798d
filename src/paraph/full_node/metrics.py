"""What a full node tells Prometheus of itself: the chain, what waits, what is asked, the index.

Each node has a registry of its own. Nothing here decides anything: a figure that cannot be had is NaN, and the node
goes on.
"""

import math
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paraph.flows.mempool import Mempool
from paraph.proofs.request import SETTLEMENT

LABELS_MAX: Final = 200
"""Different values of one label; there are fewer methods than this. Any more would be a stranger's words."""
OTHER: Final = "other"
FAST_S: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""From a read of state to the longest that a call may take."""
BLOCK_S: Final = (0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The figures of one node. Methods may be called from any thread."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._height = self._gauge("block_height", "Height of the last block kept")
        self._time = self._gauge("block_time_seconds", "Unix time of the last block kept")
        self._interval = Histogram(
            "paraph_block_interval_seconds",
            "Time of a block less its parent's",
            buckets=BLOCK_S,
            registry=self.registry,
        )
        self._transactions = Counter("paraph_transactions", "Transactions in blocks kept", registry=self.registry)
        self._apply = Histogram(
            "paraph_block_apply_seconds", "Working out one block", buckets=FAST_S, registry=self.registry
        )
        self._calls = Histogram(
            "paraph_call_apply_seconds",
            "Working out one transaction, by what it calls",
            ("contract", "method"),
            buckets=FAST_S,
            registry=self.registry,
        )
        self._rpc = Counter(
            "paraph_rpc_requests", "JSON-RPC calls by method and outcome", ("method", "outcome"), registry=self.registry
        )
        self._rpc_s = Histogram(
            "paraph_rpc_seconds", "Answering one JSON-RPC call", ("method",), buckets=FAST_S, registry=self.registry
        )
        self._limited = Counter("paraph_rpc_limited", "Requests refused by a limit", ("limit",), registry=self.registry)
        self._labels: dict[str, set[str]] = {}
        self._last_time_s: int | None = None

    # --- what happens ---

    def block(self, height: int, time_s: int, transactions: int, apply_s: float) -> None:
        """A block was kept."""
        self._height.set(height)
        self._time.set(time_s)
        self._transactions.inc(transactions)
        self._apply.observe(apply_s)
        if self._last_time_s is not None:
            self._interval.observe(time_s - self._last_time_s)
        self._last_time_s = time_s

    def call_applied(self, contract: str, method: str, seconds: float) -> None:
        """A transaction of a block was worked out."""
        self._calls.labels(self._bounded("contract", contract), self._bounded("call", method)).observe(seconds)

    def rpc(self, method: str, outcome: str, seconds: float) -> None:
        """A JSON-RPC call was answered: `ok`, `error` (the caller's), `fault` (ours), `timeout` or `limited`."""
        name = self._bounded("rpc", method)
        self._rpc.labels(name, outcome).inc()
        self._rpc_s.labels(name).observe(seconds)

    def limited(self, limit: str) -> None:
        """A request was refused: `rate`, `busy` or `size`; a WebSocket was let go: `slow`."""
        self._limited.labels(limit).inc()

    # --- what is looked at when Prometheus asks ---

    def follow_peers(self, count: Callable[[], float]) -> None:
        """Other nodes connected."""
        self._follow("peers", "Other nodes connected", count)

    def follow_mempool(self, mempool: Mempool) -> None:
        """What waits for a block; and of it, settlements."""
        self._follow("mempool_transactions", "Transactions that wait for a block", lambda: len(mempool))
        self._follow("mempool_bytes", "Their bytes", lambda: mempool.size_bytes)
        self._follow(
            "settlement_backlog",
            "Transactions to the settlement contract that wait for a block",
            lambda: sum(1 for signed in mempool if signed.tx.to == SETTLEMENT),
        )

    def follow_verify_queue(self, count: Callable[[], float]) -> None:
        """Transactions whose form waits to be checked."""
        self._follow("verify_queue", "Transactions whose form waits to be checked", count)

    def follow_sockets(self, connections: Callable[[], float], subscriptions: Callable[[], float]) -> None:
        """WebSockets, and what they listen to."""
        self._follow("websocket_connections", "Open WebSockets", connections)
        self._follow("websocket_subscriptions", "Open subscriptions", subscriptions)

    def follow_index(
        self, height: Callable[[], int | None], behind: Callable[[], int], failed: Callable[[], bool]
    ) -> None:
        """The event index."""
        self._follow("index_height", "Last block in the event index", lambda: _or_nan(height()))
        self._follow("index_behind_blocks", "Blocks kept and not yet indexed", behind)
        self._follow("index_failed", "1 when the event index does not work", failed)

    def app(self) -> Starlette:
        """`GET /metrics`, to be served on an address of its own: it is for the operator."""
        return Starlette(routes=[Route("/metrics", self._scraped, methods=["GET"])])

    async def _scraped(self, _request: Request) -> Response:
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(f"paraph_{name}", says, registry=self.registry)

    def _follow(self, name: str, says: str, look: Callable[[], float]) -> None:
        def safely() -> float:
            try:
                return float(look())
            except Exception:  # noqa: BLE001  one figure that fails must not hide all the others
                return math.nan

        self._gauge(name, says).set_function(safely)

    def _bounded(self, label: str, value: str) -> str:
        seen = self._labels.setdefault(label, set())
        if value not in seen and len(seen) >= LABELS_MAX:
            return OTHER
        seen.add(value)
        return value


def _or_nan(value: int | None) -> float:
    return math.nan if value is None else value
