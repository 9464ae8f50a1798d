"""The HTTP server: real ports, bounded heads and bodies, graceful stops."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from paraph.adapters.http import server as module
from paraph.adapters.http.server import HEAD_BYTES_MAX, HttpServer, read_body, run
from paraph.core.errors import Unavailable

LIMIT = 1_000


async def size(request: Request) -> Response:
    return PlainTextResponse(str(len(await read_body(request, LIMIT))))


async def slow(_request: Request) -> Response:
    await asyncio.sleep(0.3)
    return PlainTextResponse("done")


APP = Starlette(routes=[Route("/", size, methods=["POST"]), Route("/slow", slow)])


def serve(scene: Callable[[str], Coroutine[Any, Any, Any]]) -> Any:
    """Play a scene against a running server."""

    async def play() -> Any:
        server = HttpServer(APP)
        url = await server.start()
        try:
            return await scene(url)
        finally:
            await server.stop()
            await server.stop()

    return run(play())


async def raw(url: str, *parts: bytes, pause: float = 0) -> bytes:
    """Send bytes as they are; what comes back until the server closes."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    found = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        found = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        pass
    finally:
        writer.close()
    return found


def test_real_port() -> None:
    """Port 0 becomes a real one, in the URL that start returns."""

    async def scene(url: str) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.post(url, content=b"12345")).text

    assert serve(scene) == "5"


@pytest.mark.parametrize(("length", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (10 * LIMIT, 413)])
@pytest.mark.parametrize("announced", [True, False])
def test_body_is_bounded(length: int, status: int, announced: bool) -> None:
    """A body of exactly the limit is read, one byte more is not, announced or in chunks."""

    async def chunks() -> Any:
        for _ in range(length):
            yield b"x"

    async def scene(url: str) -> int:
        async with httpx.AsyncClient() as client:
            return (await client.post(url, content=bytes(length) if announced else chunks())).status_code

    assert serve(scene) == status


@pytest.mark.parametrize("length", [b"5000", b"9" * 30])
def test_announced_too_large_is_refused_unread(length: bytes) -> None:
    """A body announced too large is refused before it comes."""
    head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: " + length + b"\r\n\r\n"

    found = serve(lambda url: raw(url, head))

    assert found.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


def test_slow_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come is not waited for."""
    monkeypatch.setattr(module, "BODY_S_MAX", 0.1)

    found = serve(lambda url: raw(url, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc"))

    assert found.startswith(b"HTTP/1.1 408")


def test_endless_head_is_cut() -> None:
    """Headers beyond the limit end the connection without an answer."""
    line = b"x-header: " + b"a" * 1_000 + b"\r\n"

    found = serve(lambda url: raw(url, b"POST / HTTP/1.1\r\n", *[line] * (HEAD_BYTES_MAX // 1_000 + 2)))

    assert b"200" not in found


def test_head_within_the_limit_is_read() -> None:
    """Many headers, still within the limit, are read."""
    lines = (b"x-header: " + b"a" * 1_000 + b"\r\n") * (HEAD_BYTES_MAX // 1_000 - 2)
    tail = b"connection: close\r\ncontent-length: 3\r\n\r\nabc"

    found = serve(lambda url: raw(url, b"POST / HTTP/1.1\r\nhost: x\r\n", lines, tail))

    assert found.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nhost: x\r\n"])
def test_slow_head_is_cut(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """A connection that never says what it wants is closed."""
    monkeypatch.setattr(module, "HEAD_S_MAX", 0.1)

    assert serve(lambda url: raw(url, sent)) == b""


def test_connection_is_kept_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for a head does not run between requests."""
    monkeypatch.setattr(module, "HEAD_S_MAX", 0.2)
    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na"
    last = request.replace(b"host: x", b"host: x\r\nconnection: close")

    found = serve(lambda url: raw(url, request, last, pause=0.6))

    assert found.count(b"HTTP/1.1 200") == 2


def test_garbage_is_refused() -> None:
    """What is not HTTP is answered 400."""
    assert serve(lambda url: raw(url, b"\x16\x03\x01 garbage\r\n\r\n")).startswith(b"HTTP/1.1 400")


def test_stop_finishes_what_is_in_work() -> None:
    """A request in work is answered before the server is gone; after that nothing listens."""

    async def play() -> tuple[str, bool]:
        server = HttpServer(APP)
        url = await server.start()
        async with httpx.AsyncClient() as client:
            asked = asyncio.create_task(client.get(url + "/slow"))
            await asyncio.sleep(0.1)
            await server.stop()
            try:
                await client.get(url + "/slow")
            except httpx.ConnectError:
                return (await asked).text, True
        return (await asked).text, False

    assert run(play()) == ("done", True)


def test_address_in_use() -> None:
    """An address that is taken is a typed error."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        async def play() -> str:
            await HttpServer(APP, port=taken.getsockname()[1]).start()
            return "started"

        with pytest.raises(Unavailable) as caught:
            run(play())

    assert caught.value.code == "http.address"


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """Answers over one connection come at once: Nagle's algorithm is off, on either event loop."""

    async def scene(url: str) -> float:
        async with httpx.AsyncClient() as client:
            await client.post(url, content=b"1")
            times = []
            for _ in range(9):
                began = asyncio.get_running_loop().time()
                await client.post(url, content=b"1")
                times.append(asyncio.get_running_loop().time() - began)
            return sorted(times)[4]

    async def play() -> float:
        server = HttpServer(APP)
        try:
            return await scene(await server.start())
        finally:
            await server.stop()

    assert run(play()) < 0.03
    assert asyncio.run(play()) < 0.03
