"""The door of a full node: JSON-RPC by POST and by WebSocket on one address, its health, and who is let in.

Everything a stranger can send comes through here, and everything that bounds him is applied here.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.server import ServerProtocol

from paraph.adapters.ethereum.rpc import (
    INTERNAL_ERROR,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    Group,
    Method,
    Methods,
    RpcError,
    failure,
    refusal,
)
from paraph.adapters.http.server import read_body
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Unavailable
from paraph.full_node.limits import COMPUTES, COST_PER_MS, COSTS, Gate, Limits, client_of
from paraph.full_node.metrics import Metrics
from paraph.full_node.rpc import BODY_BYTES_MAX, answer
from paraph.full_node.subscriptions import Connection, Subscriptions

CONTENT_TYPES: Final = ("application/json", "application/json-rpc", "application/jsonrequest")
"""What a call may be sent as. A web page may send other types anywhere unasked; these it may not."""
PUBLIC: Final = frozenset({Group.READ, Group.SUBMIT})
"""What a node offers unless told otherwise: reads, and taking what others signed."""
PREFLIGHT_S: Final = 600
"""How long a browser remembers what it was allowed."""
PING_S: Final = 20.0
"""Between pings of an idle WebSocket, and for each answer: below the minute after which proxies cut a silent line."""
CLOSE_S_MAX: Final = 5.0
"""For a WebSocket that is closed to take what it was still sent."""
NORMAL, POLICY, TOO_LARGE, RESTART = 1000, 1008, 1009, 1012
"""Why a WebSocket is closed (RFC 6455, section 7.4.1)."""


@dataclass(frozen=True, slots=True)
class DoorConfig:
    """Who is let in.

    Args:
        limits: what each may ask.
        origins: web pages that may ask from a browser, as `https://example.org`; `*` is any; by default none.
        groups: the methods that are offered.
    """

    limits: Limits = field(default_factory=Limits)
    origins: tuple[str, ...] = ()
    groups: frozenset[Group] = PUBLIC


class Door:
    """The door.

    Args:
        methods: all that the node could offer.
        subscriptions: told of what happens; serves WebSockets.
        health: the HTTP status and what to say.
        config: who is let in.
        metrics: told of each call.
    """

    def __init__(
        self,
        methods: Methods,
        subscriptions: Subscriptions,
        health: Callable[[], tuple[int, JsonObject]],
        config: DoorConfig,
        metrics: Metrics,
    ) -> None:
        offered = {name: method for name, method in methods.items() if method.group in config.groups}
        self._by_post: Methods = offered | {"eth_subscribe": Method(_by_socket_only, (_anything, _anything))}
        self._by_socket: Methods = offered
        self._subscriptions = subscriptions
        self._health = health
        self._config = config
        self._metrics = metrics
        self._gate = Gate(config.limits)
        metrics.follow_sockets(lambda: self._gate.sockets, lambda: subscriptions.count)

    def app(self) -> Starlette:
        """The application."""
        routes = [
            Route("/", self._post, methods=["POST"]),
            WebSocketRoute("/", self._socket),
            Route("/health", self._tell_health, methods=["GET"]),
        ]
        origins = self._config.origins
        cors = Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["content-type"],
            expose_headers=["retry-after"],
            max_age=PREFLIGHT_S,
        )
        return Starlette(routes=routes, middleware=[cors] if origins else [])

    # --- by POST ---

    async def _post(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in CONTENT_TYPES:
            return JSONResponse({"error": f"send {CONTENT_TYPES[0]}"}, 415)
        client, limits = self._client(request), self._config.limits
        visit = _Visit(self._gate, client, limits, self._metrics)
        try:
            self._gate.need_budget(client)
            with self._gate.request(client):
                body = await self._body(request)
                found = await answer(self._by_post, body, visit.around, limits.batch_calls_max)
        except Unavailable as error:
            visit.refused(error)
            found = failure(None, refusal(LIMIT_EXCEEDED, error.message, error))
        if visit.wait_ms and not visit.served:
            retry_s = -(-visit.wait_ms // 1000)
            return Response(found, 429, {"retry-after": str(retry_s)}, "application/json")
        return Response(found, 200 if found else 204, media_type="application/json")

    async def _body(self, request: Request) -> bytes:
        try:
            return await read_body(request, self._config.limits.body_bytes_max)
        except HTTPException as error:
            if error.status_code == 413:
                self._metrics.limited("size")
            raise

    async def _tell_health(self, _request: Request) -> Response:
        status, told = self._health()
        return JSONResponse(told, status)

    # --- by WebSocket ---

    async def _socket(self, websocket: WebSocket) -> None:
        # Browsers let any page open a WebSocket anywhere, and say only whose page it is; other programs say nothing.
        origin = websocket.headers.get("origin")
        if origin is not None and not {origin, "*"} & set(self._config.origins):
            await websocket.send_denial_response(JSONResponse({"error": "this origin is not allowed"}, 403))
            return
        client = self._client(websocket)
        try:
            with self._gate.socket(client), self._subscriptions.connection() as connection:
                await websocket.accept()
                await self._converse(websocket, connection, client)
        except Unavailable as error:
            self._metrics.limited("busy")
            told = JSONResponse({"error": error.message}, 429, {"retry-after": "1"})
            await websocket.send_denial_response(told)

    async def _converse(self, websocket: WebSocket, connection: Connection, client: str) -> None:
        """Read, write and watch until one of them ends; then say why, to whom still listens."""
        tasks: list[asyncio.Task[tuple[int, str]]] = [
            asyncio.ensure_future(self._read(websocket, connection, client)),
            asyncio.ensure_future(_write(websocket, connection)),
            asyncio.ensure_future(self._watch(connection)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code, why = next(each for each in tasks if each in done).result()
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if code:
            with suppress(RuntimeError, WebSocketDisconnect, OSError):  # it has just gone by itself
                await websocket.close(code, why)

    async def _read(self, websocket: WebSocket, connection: Connection, client: str) -> tuple[int, str]:
        limits = self._config.limits
        methods = {**self._by_socket, **connection.methods()}
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return 0, ""
            text, data = message.get("text"), message.get("bytes")
            body: bytes = text.encode() if text is not None else data or b""
            if len(body) > limits.body_bytes_max:
                self._metrics.limited("size")
                return TOO_LARGE, f"a message is at most {limits.body_bytes_max} bytes"
            visit = _Visit(self._gate, client, limits, self._metrics)
            connection.reply(await answer(methods, body, visit.around, limits.batch_calls_max))
            await connection.drained()

    async def _watch(self, connection: Connection) -> tuple[int, str]:
        why = await connection.until_let_go()
        self._metrics.limited("slow")
        return POLICY, why

    def _client(self, connection: HTTPConnection) -> str:
        peer = connection.client.host if connection.client else ""
        forwarded = ",".join(connection.headers.getlist("x-forwarded-for"))
        return client_of(peer, forwarded, self._config.limits.proxies_trusted)


async def _write(websocket: WebSocket, connection: Connection) -> tuple[int, str]:
    with suppress(WebSocketDisconnect, OSError):
        while True:
            await websocket.send_text((await connection.next()).decode())
    return 0, ""


class _Visit:
    """The calls of one request: each is paid for, timed and counted."""

    def __init__(self, gate: Gate, client: str, limits: Limits, metrics: Metrics) -> None:
        self._gate = gate
        self._client = client
        self._limits = limits
        self._metrics = metrics
        self.served = 0
        self.wait_ms = 0

    async def around(self, name: str, call: Callable[[], Awaitable[Json]]) -> Json:
        """See `rpc.Around`."""
        started_s, outcome = time.perf_counter(), "fault"
        try:
            self._pay(name)
            async with asyncio.timeout(self._limits.call_ms_max / 1000):
                result = await call()
            outcome = "ok"
            return result
        except Unavailable as error:
            outcome = "limited"
            raise refusal(LIMIT_EXCEEDED, error.message, error) from error
        except TimeoutError as error:
            outcome = "timeout"
            most = self._limits.call_ms_max
            raise RpcError(LIMIT_EXCEEDED, f"query timeout exceeded: more than {most} ms; ask for less") from error
        except RpcError as error:
            outcome = "fault" if error.number == INTERNAL_ERROR else "error"
            raise
        finally:
            took_s = time.perf_counter() - started_s
            if name in COMPUTES and outcome != "limited":
                self._gate.charge(self._client, int(took_s * 1000) * COST_PER_MS)
            self._metrics.rpc(name, outcome, took_s)

    def refused(self, error: Unavailable) -> None:
        """Remember that a limit was met, and for how long."""
        self._metrics.limited(error.code.removeprefix("rpc."))
        wait_ms = error.facts.get("retry_after_ms")
        self.wait_ms = max(self.wait_ms, wait_ms if isinstance(wait_ms, int) else 0)

    def _pay(self, name: str) -> None:
        try:
            self._gate.spend(self._client, COSTS.get(name, 1))
        except Unavailable as error:
            self.refused(error)
            raise
        self.served += 1


def _by_socket_only(*_asked: object) -> Json:
    raise RpcError(METHOD_NOT_FOUND, "notifications not supported: connect by WebSocket to subscribe")


def _anything(value: Json, _what: str) -> Json:
    return value


_silent: Final = logging.Logger("silent", logging.CRITICAL + 1)  # noqa: LOG001  of no tree, so that nothing is heard
"""What strangers do wrong is answered, not logged: a log that they write is theirs to fill."""


class Socket(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket, with what it lacks against strangers: a subclass because no setting does these.

    Nothing is compressed, so that no message grows on arrival. While the client does not read, nothing of it is read
    either, so that pings cannot fill memory with pongs. A client that does not take the last word is cut off.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.conn = ServerProtocol(max_size=BODY_BYTES_MAX, logger=_silent)
        self.ping_interval = self.ping_timeout = PING_S
        self.logger = _silent
        self._stuck = False

    def pause_writing(self) -> None:
        """Stop reading too."""
        super().pause_writing()
        self._stuck = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on, unless a message still waits to be answered."""
        super().resume_writing()
        self._stuck = False
        if not self.read_paused:
            self.transport.resume_reading()

    async def send(self, message: Any) -> None:
        """Send; a close is never kept waiting by a client that does not read."""
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)

    async def receive(self) -> Any:
        """Receive; the line stays paused while the client does not read."""
        message = await super().receive()
        if self._stuck and not self.transport.is_closing():
            self.transport.pause_reading()
        return message

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Cut the line when what was sent last is not taken."""
        super().on_task_complete(task)
        self.loop.call_later(CLOSE_S_MAX, self.transport.abort)
