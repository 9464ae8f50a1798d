"""What one stranger may ask of a node: how much at once, how fast, how large. Counted by the client's address.

A public node answers anyone, so that the work of one must have an end. Limits are counted in the node's memory: behind
several nodes, or for millions of clients, put a proxy in front that counts too.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Final

from paraph.core.errors import Rejected, Unavailable
from paraph.full_node.rpc import BATCH_MAX, BODY_BYTES_MAX

COSTS: Final = {
    "eth_call": 2,
    "eth_estimateGas": 4,
    "eth_feeHistory": 10,
    "eth_getBlockReceipts": 10,
    "eth_getFilterChanges": 2,
    "eth_getFilterLogs": 20,
    "eth_getLogs": 20,
    "eth_sendRawTransaction": 2,
    "eth_subscribe": 5,
    "paraph_getBlock": 10,
    "paraph_getProof": 5,
    "paraph_getSettled": 10,
    "paraph_getTransactions": 5,
    "paraph_produceBlock": 20,
    "paraph_reportFork": 2_500,
}
"""What a call takes from its client's budget; those not named here take 1.
Set by how long each may keep a node busy, roughly."""
COMPUTES: Final = frozenset({"eth_call", "eth_estimateGas"})
"""Calls that run a contract: verifying an enclave's evidence takes a hundred times what reading a balance takes."""
COST_PER_MS: Final = 10
"""What each millisecond of those costs beside: at the default, one client keeps half a core busy."""
CLIENTS_MAX: Final = 10_000
"""Budgets remembered; who asked longest ago is forgotten first, and begins with a full one."""
PREFIX_BITS: Final = 64
"""Of an IPv6 address: one subscriber has a whole such network, and must not count as 2^64 clients."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a node's door.

    Args:
        cost_per_s: what each client may spend a second; see `COSTS`.
        cost_burst: what it may spend at once after a pause.
        requests_max: HTTP requests in work, of all clients.
        requests_per_client_max: of one client.
        body_bytes_max: of one request or WebSocket message.
        batch_calls_max: calls in one batch.
        call_ms_max: for one call, where it waits for something; what computes is bounded by its own limits.
        sockets_max: open WebSockets, of all clients.
        sockets_per_client_max: of one client.
        subscriptions_max: of one WebSocket.
        queue_messages_max: messages that wait to be sent on one WebSocket: a client that reads slower is let go.
        queue_bytes_max: their bytes.
        proxies_trusted: how many proxies of your own stand before the node, each of which adds the address it saw to
            `X-Forwarded-For`. With 0 the header is not read: anyone can write it.

    Raises:
        Rejected: `limits.value`.
    """

    cost_per_s: int = 5_000
    cost_burst: int = 25_000
    requests_max: int = 256
    requests_per_client_max: int = 64
    body_bytes_max: int = BODY_BYTES_MAX
    batch_calls_max: int = BATCH_MAX
    call_ms_max: int = 10_000
    sockets_max: int = 400
    sockets_per_client_max: int = 16
    subscriptions_max: int = 32
    queue_messages_max: int = 1_000
    queue_bytes_max: int = 16 * 1024 * 1024
    proxies_trusted: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        highest = {"body_bytes_max": BODY_BYTES_MAX, "proxies_trusted": 8}
        for field in fields(self):
            value: int = getattr(self, field.name)
            low, high = int(field.name != "proxies_trusted"), highest.get(field.name, 2**53)
            if not low <= value <= high:
                raise Rejected("limits.value", f"{field.name} is {value}; it must be {low} to {high}", name=field.name)


@dataclass(slots=True)
class _Budget:
    left: float
    seen_s: float


class Gate:
    """Counts what clients use.

    Args:
        limits: the limits.
        clock_s: seconds that never run backwards.
    """

    def __init__(self, limits: Limits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock_s = clock_s
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()
        self._requests: dict[str, int] = {}
        self._sockets: dict[str, int] = {}

    @property
    def sockets(self) -> int:
        """Open WebSockets."""
        return sum(self._sockets.values())

    def spend(self, client: str, cost: int) -> None:
        """Take a call's cost from a client's budget. A cost above the whole budget takes all of it.

        Raises:
            Unavailable: `rpc.rate`: not enough is left; `retry_after_ms` says when it is.
        """
        budget = self._budget(client)
        wanted = min(cost, self._limits.cost_burst)
        if budget.left < wanted:
            wait_ms = int((wanted - budget.left) * 1000 / self._limits.cost_per_s) + 1
            raise Unavailable(
                "rpc.rate", f"rate limit exceeded: try again in {wait_ms} ms, or ask less often", retry_after_ms=wait_ms
            )
        budget.left -= wanted

    def charge(self, client: str, cost: int) -> None:
        """Take what a call turned out to cost beside; never more than is left, since it is done."""
        budget = self._budget(client)
        budget.left = max(0.0, budget.left - cost)

    def need_budget(self, client: str) -> None:
        """Refuse a client that has nothing left, before its request is even read. Raises as `spend`."""
        self.spend(client, 1)
        self._budgets[client].left += 1

    @contextmanager
    def request(self, client: str) -> Iterator[None]:
        """One HTTP request in work. Raises `Unavailable` (`rpc.busy`)."""
        limits = self._limits
        with _one_more(self._requests, client, limits.requests_max, limits.requests_per_client_max, "requests"):
            yield

    @contextmanager
    def socket(self, client: str) -> Iterator[None]:
        """One open WebSocket. Raises `Unavailable` (`rpc.busy`)."""
        limits = self._limits
        with _one_more(self._sockets, client, limits.sockets_max, limits.sockets_per_client_max, "WebSockets"):
            yield

    def _budget(self, client: str) -> _Budget:
        now_s, limits = self._clock_s(), self._limits
        budget = self._budgets.get(client)
        if budget is None:
            budget = self._budgets[client] = _Budget(limits.cost_burst, now_s)
            if len(self._budgets) > CLIENTS_MAX:
                self._budgets.popitem(last=False)
        self._budgets.move_to_end(client)
        budget.left = min(limits.cost_burst, budget.left + (now_s - budget.seen_s) * limits.cost_per_s)
        budget.seen_s = now_s
        return budget


@contextmanager
def _one_more(used: dict[str, int], client: str, most: int, most_of_one: int, what: str) -> Iterator[None]:
    mine = used.get(client, 0)
    if mine >= most_of_one or sum(used.values()) >= most:
        raise Unavailable("rpc.busy", f"too many {what} at once: close some, or try again", retry_after_ms=1_000)
    used[client] = mine + 1
    try:
        yield
    finally:
        used[client] -= 1
        if not used[client]:
            del used[client]


def client_of(peer: str, forwarded: str, proxies_trusted: int) -> str:
    """The client that limits count by.

    Args:
        peer: the address that the connection comes from; empty for one without.
        forwarded: all of `X-Forwarded-For`, joined by commas: client, then each proxy but the last.
        proxies_trusted: how many of the entries, counted from the end, were written by proxies of our own.
    """
    listed = [each.strip() for each in forwarded.split(",")] if proxies_trusted else []
    # With n proxies of ours, the nth entry from the end is what the outermost of them saw. If it is missing, the
    # request came past that proxy.
    told = listed[-proxies_trusted] if 0 < proxies_trusted <= len(listed) else peer
    try:
        address = ipaddress.ip_address(told)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), PREFIX_BITS), strict=False))
