"""The sealed door: answers what was sealed to it once, for what it was sealed for, and tells strangers nothing."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp
from tests.sim.market import TENSOR_ID, TEXT_ID, Market, chat_body, go

from paraph.adapters.fakes.clock import FakeClock
from paraph.adapters.http.server import HttpServer
from paraph.adapters.system import random_bytes
from paraph.core import bhttp, hpke, ohttp
from paraph.core.encode import JsonObject
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import Address, Digest, ModelId
from paraph.core.ohttp import REQUEST_TYPE, RESPONSE_TYPE, SEALED_PATH, Binding, ResponseOpener, seal_request
from paraph.inference_node import sealed
from paraph.inference_node.sealed import EVENT_BYTES, KEY_PROBLEM, WINDOW_S, Seen, sealed_route
from paraph.proofs.bundle import answer_from_json

KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
BINDING = Binding(777, Address(b"\x0a" * 20), Digest(b"\x0b" * 32))
ROUTE = "/paraph/v1/answer"
NOW_S = 1_800_000_000
MODEL = ModelId(b"\x0c" * 32)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back and was opened."""

    status: int
    fields: bhttp.Fields
    content: bytes

    @property
    def code(self) -> str:
        found: str = json.loads(self.content)["error"]["code"]
        return found


def gateway(app: ASGIApp) -> Starlette:
    clock = FakeClock(NOW_S * 1000)
    return Starlette(routes=[sealed_route(app, KEY, lambda: (BINDING,), clock, random_bytes, lambda *_: MODEL)])


def asked(content: bytes = b"{}", path: str = ROUTE, fields: bhttp.Fields = (), method: str = "POST") -> bhttp.Request:
    return bhttp.Request(method, "https", "node.test", path, (("content-type", "application/json"), *fields), content)


def closed(
    request: bhttp.Request, model: ModelId = MODEL, time_s: int = NOW_S, binding: Binding = BINDING
) -> tuple[bytes, ResponseOpener]:
    return seal_request(KEY.public_key().public_bytes_raw(), binding, model, time_s, request, random_bytes(32))


def opened(opener: ResponseOpener, data: bytes) -> Answer:
    reader = bhttp.ResponseReader()
    content = b"".join(reader.feed(each) for each in opener.feed(data)) + reader.feed(opener.finish())
    reader.finish()
    return Answer(reader.status, reader.fields, content)


@asynccontextmanager
async def client(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node.test") as http:
        yield http


async def posted(http: httpx.AsyncClient, data: bytes) -> httpx.Response:
    return await http.post(SEALED_PATH, content=data, headers={"content-type": REQUEST_TYPE})


async def answer_of(http: httpx.AsyncClient, request: bhttp.Request, **changes: Any) -> Answer:
    data, opener = closed(request, **changes)
    found = await posted(http, data)
    assert (found.status_code, found.headers["content-type"]) == (200, RESPONSE_TYPE)
    return opened(opener, found.content)


def with_node(test: Callable[[Market, httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run a test against a market's node, its doors as they are, behind a sealed one."""

    async def main() -> None:
        market = Market()
        app = Starlette(routes=[sealed_route(market.app, KEY, lambda: (BINDING,), market.clock, random_bytes)])
        async with client(app) as http:
            await test(market, http)
        await market.close()

    go(main())


def native(market: Market, body: JsonObject, **changes: Any) -> bhttp.Request:
    return asked(json.dumps(market.message(body, **changes)).encode())


async def echo(request: HttpRequest) -> Response:
    told = {name: value for name, value in request.headers.items() if name.startswith("x-") or name == "host"}
    return Response(json.dumps([request.method, request.url.path, request.url.query, told, len(await request.body())]))


ECHO = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])


def played(request: bhttp.Request, app: ASGIApp = ECHO, **changes: Any) -> Answer:
    async def main() -> Answer:
        async with client(gateway(app)) as http:
            return await answer_of(http, request, **changes)

    return go(main())


# --- a node behind it ---------------------------------------------------------------------------------------------


def test_node_answers() -> None:
    """A sealed request is answered as an open one is, receipt and all."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        request = native(market, chat_body())
        found = await answer_of(http, request, model=TEXT_ID, time_s=market.clock.now_ms() // 1000)
        async with market.door() as door:
            plain = await door.post(ROUTE, content=request.content)

        assert found.status == 200
        assert found.content == plain.content
        assert answer_from_json(json.loads(found.content)).as_json() == json.loads(plain.content)

    with_node(test)


def test_node_streams() -> None:
    """A streamed answer comes as the same events, lengthened by what every reader of events passes over."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        request = asked(json.dumps({**market.message(chat_body()), "stream": True}).encode())
        found = await answer_of(http, request, model=TEXT_ID, time_s=market.clock.now_ms() // 1000)
        async with market.door() as door:
            plain = await door.post(ROUTE, content=request.content)
        lines = [each for each in found.content.split(b"\n") if each and not each.startswith(b":")]

        assert dict(found.fields)["content-type"].startswith("text/event-stream")
        assert lines == [each for each in plain.content.split(b"\n") if each]
        assert len(lines) > 2
        assert len(found.content) % EVENT_BYTES == 0

    with_node(test)


def test_openai_door_behind_it() -> None:
    """Where the signed request stands in a header, the model is read there."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        body = chat_body()
        header = base64.b64encode(json.dumps(market.sign(body).as_json()).encode()).decode()
        plain = {"model": "test/words", "messages": body["messages"], "max_tokens": body["max_tokens"]}
        request = asked(json.dumps(plain).encode(), "/v1/chat/completions", (("paraph-request", header),))
        now_s = market.clock.now_ms() // 1000

        right = await answer_of(http, request, model=TEXT_ID, time_s=now_s)
        wrong = await answer_of(http, request, model=TENSOR_ID, time_s=now_s)

        assert right.status == 200
        assert (wrong.status, wrong.code) == (400, "seal.model")

    with_node(test)


def test_sealed_for_another_model() -> None:
    """A request sealed for one model that asks another is not run: nothing is paid."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        found = await answer_of(
            http, native(market, chat_body()), model=TENSOR_ID, time_s=market.clock.now_ms() // 1000
        )

        assert (found.status, found.code) == (400, "seal.model")
        assert market.promised == 0

    with_node(test)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"{}", "seal.unsigned"), (b"", "seal.unsigned"), (b"[]", "json.shape"), (b'{"request":1}', "json.shape")],
)
def test_unsigned(content: bytes, code: str) -> None:
    """What names no model by a signature is not run, and says so to whoever sealed it."""

    async def test(market: Market, http: httpx.AsyncClient) -> None:
        found = await answer_of(http, asked(content), model=TEXT_ID, time_s=market.clock.now_ms() // 1000)

        assert (found.status, found.code) == (400, code)

    with_node(test)


# --- what is run --------------------------------------------------------------------------------------------------


def test_request_as_sealed() -> None:
    """The application sees method, path, query, host, fields and length as they were sealed."""
    found = played(asked(b"12345", "/a%20b?c=d%20e", (("x-one", "1"), ("host", "evil"), ("content-length", "9"))))

    assert json.loads(found.content) == ["POST", "/a b", "c=d%20e", {"x-one": "1", "host": "node.test"}, 5]


def test_status_and_fields_come_back() -> None:
    """Status and fields come back, without those of a connection."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"X-One", b"1"), (b"content-length", b"2"), (b"server", b"s"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 418, "headers": fields})
        await send({"type": "http.response.body", "body": b"hi"})

    assert played(asked(), app) == Answer(418, (("x-one", "1"),), b"hi")


@pytest.mark.parametrize("sizes", [(10, 900), (1100, 1900)])
def test_length_of_an_answer_is_hidden(sizes: tuple[int, int]) -> None:
    """Answers of less than a kilobyte's difference are as long as each other."""

    async def lengths() -> list[int]:
        found = []
        for size in sizes:
            text = size * "x"

            async def tell(_request: HttpRequest, text: str = text) -> Response:
                return PlainTextResponse(text)

            async with client(gateway(Starlette(routes=[Route(ROUTE, tell, methods=["POST"])]))) as http:
                found.append(len((await posted(http, closed(asked())[0])).content))
        return found

    first, second = go(lengths())

    assert first == second


@pytest.mark.parametrize("length", range(8, 8 + EVENT_BYTES + 2, 3))
def test_events_are_lengthened(length: int) -> None:
    """An event of any length becomes one of a multiple, and says the same."""
    event = b"data: " + (length - 8) * b"x" + b"\n\n"

    async def parts() -> AsyncIterator[bytes]:
        yield event
        yield b"half of o"

    async def stream(_request: HttpRequest) -> Response:
        return StreamingResponse(parts(), media_type="text/event-stream")

    found = played(asked(), Starlette(routes=[Route(ROUTE, stream, methods=["POST"])])).content

    assert found.startswith(event)
    assert found.endswith(b"half of o")
    assert (len(found) - 9) % EVENT_BYTES == 0
    assert found[len(event) : -9].strip(b": \n") == b""


def test_sealed_in_sealed() -> None:
    """A sealed request inside a sealed one is not opened."""
    assert played(asked(path=SEALED_PATH)).code == "seal.nested"


def test_application_that_fails() -> None:
    """An application that fails before its end leaves an answer without a final chunk, which its reader refuses."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"data: one\n\n"
        raise ValueError("no more")

    async def stream(_request: HttpRequest) -> Response:
        return StreamingResponse(parts(), media_type="text/event-stream")

    with pytest.raises(Malformed) as caught:
        played(asked(), Starlette(routes=[Route(ROUTE, stream, methods=["POST"])]))

    assert caught.value.code == "seal.not_final"


def test_application_that_fails_at_once() -> None:
    """A failure that the application itself turned into a 500 is told sealed."""

    async def fail(_request: HttpRequest) -> Response:
        raise ValueError("at once")

    assert played(asked(), Starlette(routes=[Route(ROUTE, fail, methods=["POST"])])).status == 500


def test_answer_comes_as_it_is_made() -> None:
    """A chunk is there before the next is made; when its reader leaves, the application is told."""
    told = asyncio.Event()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
        try:
            await receive()
        finally:
            told.set()

    async def main() -> bytes:
        server = HttpServer(gateway(app))
        url = await server.start()
        data, opener = closed(asked())
        reader, found = bhttp.ResponseReader(), b""
        try:
            async with httpx.AsyncClient() as http:
                sent = {"content": data, "headers": {"content-type": REQUEST_TYPE}}
                async with http.stream("POST", url + SEALED_PATH, **sent) as answer:  # type: ignore[arg-type]
                    async for part in answer.aiter_raw():
                        found += b"".join(map(reader.feed, opener.feed(part)))
                        if found:
                            break
            async with asyncio.timeout(5):
                await told.wait()
        finally:
            await server.stop()
        return found

    assert go(main()).startswith(b"data: one\n\n")


# --- what is refused ----------------------------------------------------------------------------------------------


def refusals(*bodies: bytes) -> list[httpx.Response]:
    async def main() -> list[httpx.Response]:
        async with client(gateway(ECHO)) as http:
            return [await posted(http, body) for body in bodies]

    return go(main())


def test_what_does_not_open_is_refused_in_one_way() -> None:
    """Cut, altered, for another node or network, no point at all: the same status and the same bytes."""
    data = closed(asked())[0]
    others = [replace(BINDING, chain_id=778), replace(BINDING, node=Address(bytes(20)))]
    bodies = [b"", data[:38], data[:-1], data[:60] + b"\0" + data[61:], data[:7] + bytes(32) + data[39:]]

    found = refusals(*bodies, *(closed(asked(), binding=each)[0] for each in others))

    assert {(each.status_code, each.content) for each in found} == {(400, found[0].content)}
    assert found[0].json()["error"]["code"] == "seal.refused"
    assert found[0].headers["content-type"] == "application/problem+json"


def test_stale_keys_are_told_apart() -> None:
    """A request sealed to yesterday's keys is refused as RFC 9458 has it."""
    old = replace(BINDING, keyset=Digest(bytes(32)))

    (found,) = refusals(closed(asked(), binding=old)[0])

    assert (found.status_code, found.headers["content-type"]) == (400, "application/problem+json")
    assert found.json()["type"] == KEY_PROBLEM
    assert found.json()["error"]["code"] == "seal.key"


def test_other_types_and_sizes() -> None:
    """Another media type is 415, a body beyond the limit 413, and nothing is opened."""

    async def main() -> list[int]:
        async with client(gateway(ECHO)) as http:
            plain = await http.post(SEALED_PATH, content=b"x", headers={"content-type": "application/json"})
            large = await posted(http, bytes(ohttp.REQUEST_BYTES_MAX + 1))
            return [plain.status_code, large.status_code]

    assert go(main()) == [415, 413]


def test_replay() -> None:
    """The same bytes are answered once."""

    async def main() -> list[Answer]:
        data, opener = closed(asked())
        again = ResponseOpener(opener._secret, opener._encapsulated)
        async with client(gateway(ECHO)) as http:
            first, second = [(await posted(http, data)).content for _ in range(2)]
        return [opened(opener, first), opened(again, second)]

    first, second = go(main())

    assert first.status == 200
    assert (second.status, second.code) == (400, "seal.replayed")


@pytest.mark.parametrize(("apart_s", "code"), [(WINDOW_S, ""), (-WINDOW_S, ""), (WINDOW_S + 1, "seal.time")])
def test_window(apart_s: int, code: str) -> None:
    """A time at the window's edge is let in, one second beyond is not."""
    found = played(asked(), time_s=NOW_S + apart_s)

    assert (found.status, found.code if code else "") == ((400, code) if code else (200, ""))


def test_route_that_is_not_the_sealed_one() -> None:
    """A request whose head names another route than it takes is refused, sealed."""

    async def main() -> Answer:
        sender = hpke.sender(KEY.public_key().public_bytes_raw(), BINDING.info(), random_bytes(32))
        head = ohttp.Head(NOW_S, MODEL, "POST /v1/embeddings").encode()
        first = sender.seal(head, b"")
        last = sender.seal(asked().encode(), b"final" + head)
        data = BINDING.header() + sender.encapsulated + bhttp.varint(len(first)) + first + b"\0" + last
        opener = ResponseOpener(sender.export(b"paraph/sealed-response/1", 32), sender.encapsulated)
        async with client(gateway(ECHO)) as http:
            return opened(opener, (await posted(http, data)).content)

    found = go(main())

    assert (found.status, found.code) == (400, "seal.route")


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), kept=st.integers(0, 200))
def test_any_bytes(data: bytes, kept: int) -> None:
    """Bytes from anybody are refused, never a fault."""
    (found,) = refusals(closed(asked())[0][:kept] + data)

    assert found.status_code == 400
    assert found.json()["error"]["code"] in {"seal.refused", "seal.key"}


# --- what is remembered -------------------------------------------------------------------------------------------


def refused(seen: Seen, key: bytes, time_s: int, now_s: int) -> str:
    with pytest.raises(ParaphError) as caught:
        seen.admit(key, time_s, now_s)
    assert isinstance(caught.value, Rejected | Unavailable)
    return caught.value.code


def test_forgotten_when_too_old_to_come_again() -> None:
    """What is forgotten would be refused for its time."""
    seen = Seen()
    seen.admit(b"a", NOW_S, NOW_S)
    seen.admit(b"b", NOW_S + WINDOW_S + 1, NOW_S + WINDOW_S + 1)

    assert list(seen.by_time) == [NOW_S + WINDOW_S + 1]
    assert refused(seen, b"a", NOW_S, NOW_S + WINDOW_S + 1) == "seal.time"


def test_remembered_to_the_last_second() -> None:
    """As long as its time would do, a request is remembered."""
    seen = Seen()
    seen.admit(b"a", NOW_S + WINDOW_S, NOW_S)

    assert refused(seen, b"a", NOW_S + WINDOW_S, NOW_S + 2 * WINDOW_S) == "seal.replayed"


def test_clock_set_back() -> None:
    """A clock set back does not let a forgotten request in again."""
    seen = Seen()
    seen.admit(b"a", NOW_S, NOW_S)
    seen.admit(b"b", NOW_S + 200, NOW_S + 200)

    assert refused(seen, b"a", NOW_S, NOW_S) == "seal.time"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no more can be remembered, new ones are refused and none is forgotten."""
    monkeypatch.setattr(sealed, "SEEN_MAX", 2)
    seen = Seen()
    seen.admit(b"a", NOW_S, NOW_S)
    seen.admit(b"b", NOW_S + 1, NOW_S)

    assert refused(seen, b"c", NOW_S, NOW_S) == "seal.busy"
    assert refused(seen, b"a", NOW_S, NOW_S) == "seal.replayed"
    seen.admit(b"c", NOW_S + 300, NOW_S + 300)


@given(steps=st.lists(st.tuples(st.binary(max_size=1), st.integers(-300, 300), st.integers(0, 100)), max_size=40))
def test_never_twice(steps: list[tuple[bytes, int, int]]) -> None:
    """Whatever comes whenever, none is let in twice."""
    seen, now_s, let_in = Seen(), NOW_S, set()
    for key, apart_s, passed_s in steps:
        now_s += passed_s
        try:
            seen.admit(key, NOW_S + apart_s, now_s)
        except Rejected:
            continue
        assert (key, apart_s) not in let_in
        let_in.add((key, apart_s))
