"""The relay: sealed bytes pass, and nothing else of either side; nobody but its nodes is posted to."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from paraph.adapters.http import relay as module
from paraph.adapters.http.relay import Relay, Target
from paraph.adapters.http.server import HttpServer, run
from paraph.adapters.system import random_bytes
from paraph.core import bhttp
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest, ModelId
from paraph.core.ohttp import REQUEST_TYPE, RESPONSE_TYPE, Binding, ResponseSealer, open_request, seal_request

KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
BINDING = Binding(777, Address(b"\x0a" * 20), Digest(b"\x0b" * 32))
PROMPT, ANSWER = b"where is the treasure buried", b"under the third palm tree"
CLIENT = {
    "content-type": REQUEST_TYPE,
    "user-agent": "a client of mine",
    "cookie": "who=me",
    "x-forwarded-for": "198.51.100.7",
    "forwarded": "for=198.51.100.7",
    "authorization": "Bearer me",
    "referer": "https://my.page/",
    "accept-language": "rm-CH",
    "x-request-id": "one-of-mine",
}
Scene = Callable[[str, httpx.AsyncClient], Awaitable[Any]]


async def node(request: Request) -> Response:
    """A node that answers one prompt, in chunks, with a cookie and words of its own about itself."""
    opened = open_request(KEY, BINDING, await request.body())
    _, inner = opened.read()
    assert inner.content == PROMPT
    sealer = ResponseSealer(opened, random_bytes(32))

    async def parts() -> AsyncIterator[bytes]:
        yield sealer.seal(bhttp.response_head(200, ()))
        yield sealer.seal(bhttp.response_content(ANSWER))
        yield sealer.finish(bhttp.response_end())

    headers = {"set-cookie": "who=you", "x-node": "me", "server": "mine"}
    return StreamingResponse(parts(), media_type=RESPONSE_TYPE, headers=headers)


class Tap:
    """Everything that passes by an application, either way."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.heads: list[dict[str, str]] = []
        self.peers: list[Any] = []
        self.bytes = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.heads.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.bytes += scope["path"].encode() + b"".join(name + value for name, value in scope["headers"])

        async def taken() -> Any:
            message = await receive()
            self.bytes += message.get("body", b"")
            return message

        async def given(message: Any) -> None:
            self.bytes += message.get("body", b"") + b"".join(a + b for a, b in message.get("headers", ()))
            await send(message)

        await self.app(scope, taken, given)


def node_of(endpoint: Any) -> Starlette:
    return Starlette(routes=[Route("/paraph/v1/sealed", endpoint, methods=["POST"])])


def relayed(scene: Scene, app: ASGIApp, taps: list[Tap] | None = None) -> Any:
    """Play a scene with a client of a relay to a node."""

    async def main() -> Any:
        behind = Tap(app)
        server = HttpServer(behind)
        relay = Relay([Target(await server.start() + "/paraph/v1/sealed")])
        front = Tap(relay.app)
        before = HttpServer(front)
        url = await before.start()
        try:
            async with httpx.AsyncClient(timeout=10) as http:
                return await scene(url, http)
        finally:
            await before.stop()
            await relay.close()
            await server.stop()
            if taps is not None:
                taps.extend((front, behind))

    return run(main())


def sealed_prompt() -> tuple[bytes, Any]:
    request = bhttp.Request("POST", "https", "node", "/paraph/v1/answer", (), PROMPT)
    key = KEY.public_key().public_bytes_raw()
    return seal_request(key, BINDING, ModelId(b"\x0c" * 32), 1_800_000_000, request, random_bytes(32))


async def asked(url: str, http: httpx.AsyncClient) -> tuple[httpx.Response, bytes]:
    data, opener = sealed_prompt()
    found = await http.post(url, content=data, headers=CLIENT)
    reader = bhttp.ResponseReader()
    content = b"".join(reader.feed(each) for each in opener.feed(found.content)) + reader.feed(opener.finish())
    reader.finish()
    return found, content


async def plain(url: str, http: httpx.AsyncClient) -> tuple[int, str]:
    found = await http.post(url, content=b"sealed", headers={"content-type": REQUEST_TYPE})
    return found.status_code, found.json()["error"]["code"]


# --- what passes --------------------------------------------------------------------------------------------------


def test_answer_passes_and_nobody_reads_it() -> None:
    """Prompt and answer go through, and of all the bytes on both sides of the relay none shows either."""
    taps: list[Tap] = []

    found, content = relayed(asked, node_of(node), taps)

    assert content == ANSWER
    assert found.headers["content-type"] == RESPONSE_TYPE
    for tap in taps:
        assert len(tap.bytes) > 1024
        assert not any(text[at : at + 6] in tap.bytes for text in (PROMPT, ANSWER) for at in range(len(text) - 5))


def test_nothing_of_the_client_passes() -> None:
    """The node sees the sealed bytes' headers and no other: not one name or value of the client's."""
    taps: list[Tap] = []

    relayed(asked, node_of(node), taps)

    (head,) = taps[1].heads
    assert set(head) == {"host", "content-type", "content-length", "accept", "accept-encoding"}
    assert not any(value in head.values() for name, value in CLIENT.items() if name != "content-type")
    assert taps[0].heads[0]["cookie"] == "who=me"


def test_nothing_of_the_node_passes() -> None:
    """The client sees no header of the node's, and no cookie comes again at the next request."""
    taps: list[Tap] = []

    async def scene(url: str, http: httpx.AsyncClient) -> httpx.Response:
        await asked(url, http)
        return (await asked(url, http))[0]

    found = relayed(scene, node_of(node), taps)

    assert not {"set-cookie", "x-node", "server"} & set(found.headers)
    assert "cookie" not in taps[1].heads[1]


def test_answer_is_streamed() -> None:
    """A chunk is there before the next is made."""

    async def scene(url: str, http: httpx.AsyncClient) -> bytes:
        async with http.stream("POST", url, content=b"x", headers={"content-type": REQUEST_TYPE}) as answer:
            first = await anext(answer.aiter_raw())
            more.set()
            return first

    async def slow(_request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.wait_for(more.wait(), 5)
            yield b"second"

        return StreamingResponse(parts(), media_type=RESPONSE_TYPE)

    more = asyncio.Event()

    assert relayed(scene, node_of(slow)) == b"first"


@pytest.mark.parametrize("kind", ["application/problem+json", "application/json"])
def test_errors_of_the_node_pass(kind: str) -> None:
    """A node's own error passes with its status and type, and none of its other headers."""

    async def refuse(_request: Request) -> Response:
        return Response('{"error":{"code":"seal.key"}}', 400, {"x-node": "me"}, media_type=kind)

    async def scene(url: str, http: httpx.AsyncClient) -> httpx.Response:
        return await http.post(url, content=b"x", headers={"content-type": REQUEST_TYPE})

    found = relayed(scene, node_of(refuse))

    assert (found.status_code, found.headers["content-type"], found.json()["error"]["code"]) == (400, kind, "seal.key")
    assert "x-node" not in found.headers


# --- what does not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response(status_code=302, headers={"location": "http://127.0.0.1:1/"}),
        lambda: Response(status_code=307, headers={"location": "/elsewhere"}),
        lambda: Response("text", media_type="text/html"),
        lambda: Response("text", 500, media_type="text/html"),
        lambda: Response("{}", media_type="application/json"),
        lambda: Response(bytes(module.ERROR_BYTES_MAX + 1), 400, media_type="application/json"),
    ],
    ids=["redirect", "redirect here", "page", "error page", "unsealed", "long error"],
)
def test_other_answers_do_not_pass(answer: Callable[[], Response]) -> None:
    """Redirects are not followed; pages, unsealed answers and long errors are not passed on."""
    taps: list[Tap] = []

    async def other(_request: Request) -> Response:
        return answer()

    assert relayed(plain, node_of(other), taps) == (502, "relay.answer")
    assert len(taps[1].heads) == 1


def test_other_targets() -> None:
    """Nobody but its nodes is posted to, whatever path or host a client names."""
    taps: list[Tap] = []

    async def scene(url: str, http: httpx.AsyncClient) -> list[Any]:
        return [await plain(f"{url}/{name}", http) for name in ("127.0.0.1:1", "http://127.0.0.1:1/", "%2e%2e", "a/b")]

    assert relayed(scene, node_of(node), taps) == 4 * [(404, "relay.unknown")]
    assert taps[1].heads == []


def test_other_types_methods_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no sealed request, or too large a one, goes nowhere."""
    monkeypatch.setattr(module, "REQUEST_BYTES_MAX", 10)
    taps: list[Tap] = []

    async def scene(url: str, http: httpx.AsyncClient) -> list[int]:
        found = await http.post(url, content=b"x", headers={"content-type": "application/json"})
        large = await http.post(url, content=bytes(11), headers={"content-type": REQUEST_TYPE})
        return [found.status_code, large.status_code, (await http.get(url)).status_code]

    assert relayed(scene, node_of(node), taps) == [415, 413, 405]
    assert taps[1].heads == []


def test_node_that_is_not_there() -> None:
    """A node that cannot be reached is told as such, without a word of why."""

    async def main() -> Any:
        relay = Relay([Target("http://127.0.0.1:1/sealed")])
        try:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(relay.app), base_url="http://relay") as http:
                return await plain("/", http)
        finally:
            await relay.close()

    assert run(main()) == (502, "relay.unreachable")


def test_slow_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that does not answer is given up, and its place is free again."""
    monkeypatch.setattr(module, "ANSWER_S_MAX", 0.2)
    monkeypatch.setattr(module, "IN_WORK_MAX", 1)

    async def never(_request: Request) -> Response:
        await asyncio.sleep(1)
        raise AssertionError

    async def scene(url: str, http: httpx.AsyncClient) -> list[Any]:
        return [await plain(url, http), await plain(url, http)]

    assert relayed(scene, node_of(never)) == 2 * [(502, "relay.unreachable")]


def test_slow_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not end is cut: what came before it is all the client gets."""
    monkeypatch.setattr(module, "ANSWER_S_MAX", 0.3)

    async def endless(_request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.sleep(1)

        return StreamingResponse(parts(), media_type=RESPONSE_TYPE)

    async def scene(url: str, http: httpx.AsyncClient) -> bytes:
        found = b""
        async with http.stream("POST", url, content=b"x", headers={"content-type": REQUEST_TYPE}) as answer:
            try:
                async for part in answer.aiter_raw():
                    found += part
            except httpx.RemoteProtocolError:
                return found
        return b"the end was not cut"

    assert relayed(scene, node_of(endless)) == b"first"


def test_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond the limit is cut."""
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 1_000)

    async def long(_request: Request) -> Response:
        return StreamingResponse((bytes(600) for _ in range(100)), media_type=RESPONSE_TYPE)

    async def scene(url: str, http: httpx.AsyncClient) -> int:
        return len((await http.post(url, content=b"x", headers={"content-type": REQUEST_TYPE})).content)

    assert relayed(scene, node_of(long)) <= 1_000


def test_requests_at_a_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the answer is 503, until one is done."""
    monkeypatch.setattr(module, "IN_WORK_MAX", 1)
    go_on = asyncio.Event()
    begun = asyncio.Event()

    async def wait(_request: Request) -> Response:
        begun.set()
        await asyncio.wait_for(go_on.wait(), 5)
        return Response(b"x", media_type=RESPONSE_TYPE)

    async def scene(url: str, http: httpx.AsyncClient) -> list[Any]:
        first = asyncio.create_task(http.post(url, content=b"x", headers={"content-type": REQUEST_TYPE}))
        await begun.wait()
        second = await plain(url, http)
        go_on.set()
        status = (await first).status_code
        third = await http.post(url, content=b"x", headers={"content-type": REQUEST_TYPE})
        return [status, second, third.status_code]

    assert relayed(scene, node_of(wait)) == [200, (503, "relay.busy"), 200]


# --- who answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "targets",
    [
        [],
        [Target("ftp://node/")],
        [Target("node")],
        [Target("https://")],
        [Target("http://no\nde/")],
        [Target("http://node:99999/")],
        [Target("https://me:secret@node/")],
        [Target("http://node/", Digest(bytes(32)))],
        [Target("http://node/a"), Target("http://node/b")],
    ],
)
def test_targets_refused(targets: list[Target]) -> None:
    """No URL, a key where there is no TLS, the same node twice, no node: refused at the start."""
    with pytest.raises(Malformed) as caught:
        Relay(targets)

    assert caught.value.code == "relay.target"


@pytest.mark.parametrize("known", [True, False], ids=["the node's key", "another key"])
def test_node_is_known_by_its_key(known: bool, tmp_path: Path) -> None:
    """To a node known by its key goes what is meant for it; to another at its address goes not a byte."""
    own = Ed25519PrivateKey.generate()
    spki = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = Digest(hashlib.sha256(spki).digest() if known else bytes(32))
    heard: list[bytes] = []

    async def main() -> Any:
        async with tls_server(own, tmp_path, heard) as url:
            relay = Relay([Target(url, pin)])
            try:
                async with httpx.AsyncClient(transport=httpx.ASGITransport(relay.app), base_url="http://r") as http:
                    return await http.post("/", content=b"sealed", headers={"content-type": REQUEST_TYPE})
            finally:
                await relay.close()

    found = run(main())

    if known:
        assert (found.status_code, found.content) == (200, b"answer")
        assert b"".join(heard).endswith(b"sealed")
    else:
        assert (found.status_code, json.loads(found.content)["error"]["code"]) == (502, "relay.tls_key")
        assert b"".join(heard) == b""


@pytest.mark.parametrize("certificate", [b"", b"0\x03\2\1\1"])
def test_certificate_that_cannot_be_read(certificate: bytes) -> None:
    """Bytes that are no certificate are nobody's."""
    assert module._tls_key(certificate) is None


@asynccontextmanager
async def tls_server(key: Ed25519PrivateKey, folder: Path, heard: list[bytes]) -> AsyncIterator[str]:
    """A server under a certificate that it signed itself; what it hears is kept."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    start = datetime.now(UTC) - timedelta(hours=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=1))
    pem = builder.sign(key, None).public_bytes(Encoding.PEM)
    (folder / "node.pem").write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "node.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not b"".join(heard).endswith(b"sealed"):
                data = await reader.read(1 << 16)
                if not data:
                    return
                heard.append(data)
            head = f"HTTP/1.1 200 OK\r\ncontent-type: {RESPONSE_TYPE}\r\ncontent-length: 6\r\n\r\n"
            writer.write(head.encode() + b"answer")
            await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/sealed"
    finally:
        server.close()
        await server.wait_closed()
