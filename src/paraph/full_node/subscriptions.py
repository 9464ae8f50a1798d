"""Subscriptions over a WebSocket: new blocks, their events, and transactions that came to wait, told as they come.

A block is turned into words once, whoever hears it. Who reads slower than the chain grows is let go with a reason,
never waited for: it connects again, and asks for what it missed.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias, assert_never

import structlog

from paraph.adapters.ethereum.logs import Criteria
from paraph.adapters.ethereum.rpc import INVALID_PARAMS, LIMIT_EXCEEDED, Method, RpcError
from paraph.adapters.ethereum.shapes import header_json, log_json, placed_logs
from paraph.adapters.ethereum.wire import quantity, read_quantity
from paraph.adapters.system import random_bytes
from paraph.core.encode import Json, JsonObject
from paraph.core.ident import Digest, to_hex
from paraph.full_node.limits import Limits
from paraph.full_node.logs import Turn, read_search
from paraph.full_node.shapes import included
from paraph.full_node.tables import StoredBlock
from paraph.full_node.wire import Named
from paraph.ledger.contract import Log

EVENTS_MAX: Final = 1_000
"""Blocks and transactions that wait to be told. More means that there is more to tell than can be told."""


_log = structlog.get_logger()


class Kind(Enum):
    """What can be subscribed to."""

    HEADS = "newHeads"
    LOGS = "logs"
    PENDING = "newPendingTransactions"


Event: TypeAlias = StoredBlock | Digest
"""A new block, or a transaction that came to wait."""


@dataclass(slots=True)
class _Subscription:
    """What one client wants to hear. `held` keeps what comes before the client was told its number."""

    kind: Kind
    criteria: Criteria
    held: list[bytes] | None = field(default_factory=list)


class Subscriptions:
    """Everyone who listens, on all connections.

    Args:
        limits: of each connection.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._connections: list[Connection] = []
        self._events: deque[Event] = deque()
        self._waiting = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """Open subscriptions."""
        return sum(len(each.subscriptions) for each in self._connections)

    def block(self, stored: StoredBlock) -> None:
        """Tell of a new block. From any thread; quick, and never raises."""
        self._hand_over(stored)

    def pending(self, tx_hash: Digest) -> None:
        """Tell of a transaction that now waits. From any thread; quick, and never raises."""
        self._hand_over(tx_hash)

    @contextmanager
    def connection(self) -> Iterator["Connection"]:
        """A client's connection, while the block lasts. Must be entered in the event loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._tell())
        found = Connection(self._limits)
        self._connections.append(found)
        try:
            yield found
        finally:
            self._connections.remove(found)
            if not self._connections and self._task is not None:
                self._task.cancel()
                self._task = self._loop = None
                self._events.clear()

    def _hand_over(self, event: Event) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed: nobody listens any more
                loop.call_soon_threadsafe(self._heard, event)

    def _heard(self, event: Event) -> None:
        if len(self._events) >= EVENTS_MAX:
            self._events.clear()
            for each in self._connections:
                each.let_go("more came than could be told: connect again")
        self._events.append(event)
        self._waiting.set()

    async def _tell(self) -> None:
        turn = Turn()
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._events:
                told = _Told(self._events.popleft())
                for each in tuple(self._connections):
                    try:
                        each.hear(told)
                    except Exception:  # noqa: BLE001  whatever it was, the others hear on
                        # The fault is ours. Who would now miss something is told so, and the others hear on.
                        _log.exception("subscriptions.internal")
                        each.let_go("internal error: connect again")
                    await turn.share()


class _Told:
    """An event in words, made when the first one asks for them."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._head: bytes | None = None
        self._logs: list[tuple[Log, bytes]] | None = None

    def to(self, subscription: _Subscription) -> Iterator[bytes]:
        """What a subscriber hears of it."""
        match subscription.kind:
            case Kind.HEADS:
                if not isinstance(self._event, bytes):
                    self._head = self._head or _json(header_json(self._event))
                    yield self._head
            case Kind.LOGS:
                if not isinstance(self._event, bytes):
                    self._logs = _logs(self._event) if self._logs is None else self._logs
                    yield from (text for log, text in self._logs if subscription.criteria.match(log))
            case Kind.PENDING:
                if isinstance(self._event, bytes):
                    yield _json(to_hex(self._event))
            case _:
                assert_never(subscription.kind)


class Connection:
    """One client: what it listens to, and what waits to be sent to it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.subscriptions: dict[int, _Subscription] = {}
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._filled, self._drained, self._gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._drained.set()
        self._why = ""

    def methods(self) -> dict[str, Method]:
        """The methods that only a connection has, by name."""
        return {
            "eth_subscribe": Method(self.subscribe, (_read_kind, _as_it_is), 1),
            "eth_unsubscribe": Method(self.unsubscribe, (read_quantity,), 1),
        }

    def subscribe(self, kind: Kind, options: Json) -> Json:
        """`eth_subscribe`."""
        criteria = _read_criteria(kind, options)
        if len(self.subscriptions) >= self._limits.subscriptions_max:
            raise RpcError(LIMIT_EXCEEDED, f"a connection has at most {self._limits.subscriptions_max} subscriptions")
        key = int.from_bytes(random_bytes(16), "big")
        self.subscriptions[key] = _Subscription(kind, criteria)
        return quantity(key)

    def unsubscribe(self, key: int) -> Json:
        """`eth_unsubscribe`: true when there was such a subscription."""
        return self.subscriptions.pop(key, None) is not None

    def hear(self, told: _Told) -> None:
        """Queue what this client wants to hear of an event."""
        for key, each in tuple(self.subscriptions.items()):
            for text in told.to(each):
                message = _notification(key, text)
                if each.held is None:
                    self._put(message)
                elif len(each.held) < self._limits.queue_messages_max:
                    each.held.append(message)
                else:
                    self.let_go("more came than could be told: connect again")

    def reply(self, answer: bytes) -> None:
        """Queue the answer to a message; then what new subscriptions heard meanwhile, which must not come before."""
        if answer:
            self._append(answer)
        for each in self.subscriptions.values():
            held, each.held = each.held, None
            for message in held or ():
                self._put(message)

    async def next(self) -> bytes:
        """The next message to send."""
        while not self._queue:
            self._filled.clear()
            self._drained.set()
            await self._filled.wait()
        message = self._queue.popleft()
        self._bytes -= len(message)
        return message

    async def drained(self) -> None:
        """Wait until all that waited is sent: who does not read answers may ask nothing more."""
        await self._drained.wait()

    def let_go(self, why: str) -> None:
        """Give this client up: it reads slower than there is to tell."""
        self._why = self._why or why
        self.subscriptions.clear()
        self._gone.set()

    async def until_let_go(self) -> str:
        """Wait until it is given up. Returns why."""
        await self._gone.wait()
        return self._why

    def _put(self, message: bytes) -> None:
        limits = self._limits
        if len(self._queue) >= limits.queue_messages_max or self._bytes + len(message) > limits.queue_bytes_max:
            self.let_go("this client reads too slowly")
            return
        self._append(message)

    def _append(self, message: bytes) -> None:
        self._queue.append(message)
        self._bytes += len(message)
        self._drained.clear()
        self._filled.set()


def _logs(block: StoredBlock) -> list[tuple[Log, bytes]]:
    return [(placed.log, _json(log_json(placed))) for each in included(block) for placed in placed_logs(each)]


def _notification(key: int, result: bytes) -> bytes:
    head = b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"'
    return head + quantity(key).encode() + b'","result":' + result + b"}}"


def _json(value: JsonObject | str) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _read_kind(value: Json, what: str) -> Kind:
    names: dict[Json, Kind] = {kind.value: kind for kind in Kind}
    if not isinstance(value, str) or value not in names:
        raise RpcError(INVALID_PARAMS, f"{what}: no such subscription; there are {', '.join(map(str, names))}")
    return names[value]


def _as_it_is(value: Json, _what: str) -> Json:
    """Leave options for `subscribe` to read: what they mean depends on the kind."""
    return value


def _read_criteria(kind: Kind, options: Json) -> Criteria:
    if kind is not Kind.LOGS:
        if options not in (None, False):
            raise RpcError(INVALID_PARAMS, f"invalid argument 1: {kind.value} takes no options")
        return Criteria(None, ())
    search = read_search({} if options is None else options, "argument 1")
    if search.block is not None or (search.first, search.last) != (Named.HEAD, Named.HEAD):
        raise RpcError(INVALID_PARAMS, "invalid argument 1: logs are told as they come; name no blocks")
    return search.criteria
