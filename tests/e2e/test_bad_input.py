"""Bad input over real sockets: hostile bytes, broken clients, a full outbox; each a typed error, and nothing lost."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.sim.market import Market, chat_body, opened
from tests.support_ledger.world import ALICE
from tests.unit.inference_node.engines import FULL, FullStore, SlowText

from paraph.adapters.http.client import TIMEOUT
from paraph.adapters.http.server import HttpServer
from paraph.core.limits import JSON_BYTES_MAX

pytestmark = pytest.mark.e2e


class Live:
    """A node on loopback in a thread of its own.

    Args:
        market: what is served.
        url: where.
        loop: its event loop.
    """

    def __init__(self, market: Market, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.market, self.url, self.loop = market, url, loop
        self.port = int(url.rsplit(":", 1)[1])

    def there(self, what: Callable[[], Any]) -> Any:
        """Do something in the node's loop."""

        async def done() -> Any:
            found = what()
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(20)


@contextmanager
def live(**parts: Callable[[], Any]) -> Iterator[Live]:
    """A node while the block lasts; afterwards no job is left."""
    ready: list[Live] = []
    started, stopping = threading.Event(), asyncio.Event()

    async def serve() -> None:
        market = Market(opened(), **{name: make() for name, make in parts.items()})
        server = HttpServer(market.app)
        ready.append(Live(market, await server.start(), asyncio.get_running_loop()))
        started.set()
        await stopping.wait()
        await server.stop()
        await market.close()
        assert market.service._jobs == {}

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(20)
    try:
        yield ready[0]
    finally:
        ready[0].loop.call_soon_threadsafe(stopping.set)
        thread.join(20)
    assert not thread.is_alive()


def works(node: Live, key: bytes = b"still works") -> bool:
    """True when the node answers a good request."""
    message = node.market.message(chat_body(), key=key)
    return httpx.post(f"{node.url}/paraph/v1/answer", json=message, timeout=TIMEOUT).status_code == 200


def raw(node: Live, *parts: bytes, end: bool = True) -> bytes:
    """Bytes on a socket, and what comes back."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as wire:
        for part in parts:
            wire.sendall(part)
        if end:
            wire.shutdown(socket.SHUT_WR)
        found = b""
        try:
            while part := wire.recv(65536):
                found += part
        except (TimeoutError, ConnectionResetError):
            pass
        return found


HEAD = b"POST /paraph/v1/answer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /paraph/v1/answer HTTP/1.1\r\n\r\n",
        HEAD + b"content-length: 100\r\n\r\n{",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{",
        HEAD + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
    ids=["tls", "version", "no body", "half a body", "length", "chunks", "half a chunk", "long head"],
)
def test_broken_http(data: bytes) -> None:
    """No broken request keeps the next client from its answer."""
    with live() as node:
        raw(node, data)

        assert works(node)


def test_oversized_body_is_refused_as_it_comes() -> None:
    """A body beyond the limit is refused with 413, announced or not."""
    with live() as node:
        body = b'{"a": "' + b"x" * JSON_BYTES_MAX + b'"}'
        announced = httpx.post(f"{node.url}/paraph/v1/answer", content=body)
        chunked = httpx.post(f"{node.url}/paraph/v1/answer", content=iter((body[: 1 << 24], body[1 << 24 :])))

        assert [each.status_code for each in (announced, chunked)] == [413, 413]
        assert announced.json()["error"]["code"] == "http.size"
        assert works(node)


def test_client_that_vanishes_in_a_stream() -> None:
    """A client that hangs up in mid-stream stops the engine, and pays for what was generated until then."""
    with live(text=SlowText) as node:
        engine = node.market.text
        assert isinstance(engine, SlowText)
        message = node.market.message(chat_body(max_tokens=200), stream=True)
        node.there(lambda: engine.let(4))
        with httpx.stream("POST", f"{node.url}/paraph/v1/answer", json=message, timeout=10) as response:
            lines = response.iter_lines()
            first = next(line for line in lines if line.startswith("data: "))

        async def ended() -> Any:
            for _ in range(500):
                await asyncio.sleep(0.01)
                engine.let(1)
                if found := node.market.outbox.pending(1):
                    return found[0]
            return None

        entry = node.there(ended)
        assert "chunk" in json.loads(first[6:])
        assert entry.answer.response["finish_reason"] == "cancelled"
        assert entry.answer.receipt.receipt.output_units < 200


def test_outbox_full_and_free_again() -> None:
    """While the outbox is full the node answers 503 and charges nothing; when there is room it serves again."""
    with live(store=FullStore) as node:
        store = node.market.store
        assert isinstance(store, FullStore)
        store.error = FULL
        url = f"{node.url}/paraph/v1/answer"
        refused = [httpx.post(url, json=node.market.message(chat_body(), key=key)) for key in (b"1", b"2")]
        store.error = None
        node.there(node.market.outbox.probe)

        assert [each.status_code for each in refused] == [503, 503]
        assert node.market.service._promised == {}
        assert works(node, b"1")
        assert httpx.get(f"{node.url}/v2/health/ready").status_code == 200


def test_many_at_once_with_one_key() -> None:
    """Twenty connections at once under one key get one answer, charged once."""
    with live() as node:
        message = node.market.message(chat_body())
        found: list[bytes] = []
        threads = [
            threading.Thread(
                target=lambda: found.append(httpx.post(f"{node.url}/paraph/v1/answer", json=message).content)
            )
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert len(found) == 20
        assert len(set(found)) == 1
        entry = node.market.outbox.pending(9)
        assert len(entry) == 1
        assert node.market.service._promised == {ALICE.address: entry[0].answer.receipt.receipt.price}
