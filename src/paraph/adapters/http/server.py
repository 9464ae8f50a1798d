"""An HTTP server for one ASGI application, bounded in everything a stranger may send it.

Started and stopped inside a running event loop, so that a house can serve beside its other work.
"""

import asyncio
import json
import signal
import socket
import ssl
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, TypeVar

import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from paraph.core.errors import ParaphError, Unavailable

HEAD_BYTES_MAX: Final = 64 * 1024
"""A request line with its headers: wallets send under 2 kB, a payment header under 8."""
HEAD_S_MAX: Final = 20
"""From an opened connection or a request's first byte to the end of its headers."""
BODY_S_MAX: Final = 60
"""For a whole body to arrive: 5 MiB over a line of a megabit."""
KEEP_ALIVE_S: Final = 75
"""Longer than the minute that most clients and proxies keep an idle connection, so that they close it, not we."""
CONNECTIONS_MAX: Final = 1_000
"""Open connections: beyond, a request is answered 503. Below the 1 024 file descriptors a process has by default."""
STOP_S_MAX: Final = 5
"""What requests in work may still take when the server stops."""

T = TypeVar("T")


class HttpServer:
    """A server of one application on one address.

    Args:
        app: the application.
        host: address to listen on.
        port: 0 lets the system choose.
        websocket: what speaks it, if anything does.
        tls: the server's certificate and key; None serves in the clear.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str = "127.0.0.1",
        port: int = 0,
        websocket: type[asyncio.Protocol] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._scheme = "http" if tls is None else "https"
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Bounded,
                ws=websocket or "none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_S_MAX,
                ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen. Returns the base URL, with the real port.

        Raises:
            Unavailable: `http.address`: the address cannot be used.
        """
        listener = _listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self._port}"

    async def stop(self) -> None:
        """Take no more connections, finish what is in work, close. Stopping twice is stopping once."""
        if self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._task = None


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The whole body of a request.

    Raises:
        HTTPException: 413 as soon as it is known to be larger than `bytes_max`, 408 when it comes too slowly, 400 when
            the client leaves before its end.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 12 or int(announced) > bytes_max):
        raise _too_large(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError as error:
        raise HTTPException(408, "the body came too slowly", {"connection": "close"}) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the client left before the end of its body") from error
    return bytes(body)


async def unless_gone(request: Request, waiting: Coroutine[Any, Any, T]) -> T:
    """What is waited for, unless the client goes away first: then it is cancelled.

    Raises:
        Unavailable: `http.gone`: the client went away.
    """
    answer = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise Unavailable("http.gone", "the client went away")
        return answer.result()
    finally:
        gone.cancel()
        answer.cancel()
        with suppress(asyncio.CancelledError, ParaphError):
            await answer


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's main coroutine, on uvloop where it is installed."""
    with asyncio.Runner(loop_factory=uvicorn.Config(_no_app).get_loop_factory()) as runner:
        return runner.run(main)


class Served(Protocol):
    """A house that can be started, giving its base URL, and stopped."""

    async def start(self) -> str: ...

    async def stop(self) -> None: ...


async def serve(house: Served) -> None:
    """Run a house as a program: say its URL in a line of JSON, and stop it gracefully at SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        url = await house.start()
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        await stopping.wait()
    finally:
        await house.stop()


def _too_large(bytes_max: int) -> HTTPException:
    # The connection stays, and the rest of the body is thrown away as it comes. Closing with bytes unread would reset
    # the connection, and the client might never see this answer.
    return HTTPException(413, f"the body is larger than {bytes_max} bytes")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: asyncio turns off Nagle's algorithm only on sockets that say they are TCP, and with it
    # on, an answer in two parts waits 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable("http.address", f"cannot listen on {host}:{port}: {error.strerror}", port=port) from error
    return listener


async def _no_app(_scope: object, _receive: object, _send: object) -> None:
    """Stand in where uvicorn's settings want an application and none is served."""


class _Server(uvicorn.Server):
    """Uvicorn's server, which leaves the process's signals to the process: a subclass because nothing else stops it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Bounded(HttpToolsProtocol):
    """Uvicorn's connection, with the two limits it lacks: the size of a request's head, and the time it may take."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_begins()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_ends()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_begins()

    def on_headers_complete(self) -> None:
        self._head_ends()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Still in a head after all these bytes: none of them was body.
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.transport.abort()

    def _head_begins(self) -> None:
        self._head_ends()
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_S_MAX, self.transport.abort)

    def _head_ends(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
