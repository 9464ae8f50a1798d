"""The driver's sealed line: over real sockets, to a node's own key, by a relay or not; what comes back was sealed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from paraph.adapters.http import tls
from paraph.adapters.http.client import AsyncDriver, Means, SyncDriver
from paraph.adapters.http.relay import Relay, Target
from paraph.adapters.http.sealing import seal
from paraph.adapters.http.server import HttpServer
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.encode import Json
from paraph.core.errors import Malformed, ParaphError
from paraph.core.ident import Address, Digest, ModelId
from paraph.core.ohttp import RESPONSE_TYPE, SEALED_PATH, Binding
from paraph.flows.effect import Flow, Hear, Listen, Post, Sealing, ask
from paraph.inference_node.sealed import sealed_route

KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))
TLS: Final = tls.key_from(random_bytes(48))
BINDING: Final = Binding(777, Address(b"\x0a" * 20), Digest(b"\x0b" * 32))
MODEL: Final = ModelId(b"\x0c" * 32)
SEALING: Final = Sealing(KEY.public_key().public_bytes_raw(), BINDING, MODEL)
MEANS: Final = Means("http://rpc.test", SystemClock().now_ms, random_bytes)
CERTIFIED: Final = tls.public_digest(TLS)

Alter = Callable[[ASGIApp], ASGIApp]


async def said(request: Request) -> Response:
    """Says again what it was told."""
    return JSONResponse({"told": await request.json(), "accepts": request.headers["accept"]})


async def counted(request: Request) -> Response:
    """Events, as a model's answer comes."""

    async def events() -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"data: {json.dumps({'number': number})}\n\n".encode()

    return StreamingResponse(events(), media_type="text/event-stream")


async def refused(request: Request) -> Response:
    """Refuses, as a node does."""
    error = {"type": "rejected", "code": "escrow.empty", "message": "deposit first"}
    return JSONResponse({"error": error}, 402)


def node() -> Starlette:
    """A node with a sealed door."""
    doors = [Route(f"/{each.__name__}", each, methods=["POST"]) for each in (said, counted, refused)]
    inner = Starlette(routes=doors)
    door = sealed_route(inner, KEY, lambda: (BINDING,), SystemClock(), random_bytes, lambda *_: MODEL)
    return Starlette(routes=[*doors, door])


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """A server of it, over TLS."""
    server = HttpServer(app, tls=tls.serving(TLS, SystemClock().now_ms() // 1000))
    try:
        yield await server.start()
    finally:
        await server.stop()


def run(flow_of: Callable[[str, str], Flow[Any]], alter: Alter = lambda app: app, *, threads: bool) -> Any:
    """A flow's result against a node behind a relay, by the asynchronous driver, or the other in a thread."""

    async def main() -> Any:
        async with serving(alter(node())) as url:
            relay = Relay([Target(url + SEALED_PATH, CERTIFIED)])
            front = HttpServer(relay.app)
            flow = flow_of(url, await front.start())
            try:
                if threads:
                    driver = SyncDriver(MEANS)
                    try:
                        return await asyncio.to_thread(driver.run, flow)
                    finally:
                        driver.close()
                other = AsyncDriver(MEANS)
                try:
                    return await other.run(flow)
                finally:
                    await other.close()
            finally:
                await front.stop()
                await relay.close()

    return asyncio.run(main())


def heard(listen: Listen) -> Flow[list[Json]]:
    """All events of a stream."""
    yield from ask(listen)
    found: list[Json] = []
    while (event := (yield from ask(Hear()))) is not None:
        found.append(event)
    return found


both = pytest.mark.parametrize("threads", [True, False], ids=["sync", "async"])
ways = pytest.mark.parametrize("relayed", [True, False], ids=["by a relay", "straight"])


def line(url: str, relay: str, relayed: bool) -> tuple[Digest | None, Sealing]:
    """How the node is reached: by the relay its own TLS key is nobody's."""
    return (None, replace(SEALING, relay=relay)) if relayed else (CERTIFIED, SEALING)


@both
@ways
def test_sealed_there_and_back(threads: bool, relayed: bool) -> None:
    """JSON goes and comes sealed, and so do events, each as it comes."""
    found = run(lambda url, relay: ask(Post(f"{url}/said", {"a": 1}, *line(url, relay, relayed))), threads=threads)
    events = run(lambda url, relay: heard(Listen(f"{url}/counted", {}, *line(url, relay, relayed))), threads=threads)

    assert found["told"] == {"a": 1}
    assert events == [{"number": 0}, {"number": 1}, {"number": 2}]


@both
def test_the_nodes_refusal_is_its_own(threads: bool) -> None:
    """What the node refuses inside comes out typed, asked for at once or as events."""
    for flow_of in (
        lambda url, relay: ask(Post(f"{url}/refused", {}, CERTIFIED, SEALING)),
        lambda url, relay: heard(Listen(f"{url}/refused", {}, CERTIFIED, SEALING)),
    ):
        with pytest.raises(ParaphError) as caught:
            run(flow_of, threads=threads)
        assert caught.value.code == "escrow.empty"


def plainly(app: ASGIApp) -> ASGIApp:
    """Someone in between who answers himself."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"told": "by somebody else"})(scope, receive, send)

    return other


def cut(app: ASGIApp) -> ASGIApp:
    """Someone in between who cuts the sealed answer's end off."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(bytes(40), media_type=RESPONSE_TYPE)(scope, receive, send)

    return other


def unwilling(app: ASGIApp) -> ASGIApp:
    """A node that refuses before it opens."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        error = {"type": "unavailable", "code": "seal.busy", "message": "later"}
        await JSONResponse({"error": error}, 503)(scope, receive, send)

    return other


@both
@pytest.mark.parametrize(
    ("alter", "code"), [(plainly, "seal.plain"), (cut, "seal."), (unwilling, "seal.busy")], ids=["plain", "cut", "busy"]
)
def test_whoever_answers_in_between(threads: bool, alter: Alter, code: str) -> None:
    """An answer in the clear, or one that is cut, is refused; an error in the clear is passed on as such."""
    for flow_of in (
        lambda url, relay: ask(Post(f"{url}/said", {}, CERTIFIED, SEALING)),
        lambda url, relay: heard(Listen(f"{url}/counted", {}, CERTIFIED, SEALING)),
    ):
        with pytest.raises(ParaphError) as caught:
            run(flow_of, alter, threads=threads)
        assert caught.value.code.startswith(code)


@both
def test_sealed_to_other_keys(threads: bool) -> None:
    """What was sealed to another keyset does not open, and it is said which error that is."""
    other = replace(SEALING, binding=replace(BINDING, keyset=Digest(b"\x0d" * 32)))

    with pytest.raises(ParaphError) as caught:
        run(lambda url, relay: ask(Post(f"{url}/said", {}, CERTIFIED, other)), threads=threads)
    assert caught.value.code == "seal.key"


def test_a_relay_adds_nothing_to_the_path() -> None:
    """Where it is posted: the node's sealed door, or the relay's path for that node; a URL that is none is refused."""
    posted = [
        seal("https://node.test:1/x?y=1", {}, {}, each, 1, bytes(32))[0]
        for each in (SEALING, replace(SEALING, relay="https://relay.test/a/"))
    ]

    assert posted == ["https://node.test:1/paraph/v1/sealed", "https://relay.test/a/node.test:1"]
    with pytest.raises(Malformed) as caught:
        seal("https://" + "a" * 70_000, {}, {}, SEALING, 1, bytes(32))
    assert caught.value.code == "seal.url"
