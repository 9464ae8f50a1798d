"""The HTTP driver: bounded replies, no redirects, typed errors, events split at any byte, streams closed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.http import replies
from paraph.adapters.http.client import AsyncDriver, Done, Means, Shown, SyncDriver
from paraph.adapters.http.replies import error_of
from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import Digest
from paraph.flows.effect import Draw, Effect, Flow, Hear, Listen, Now, Post, Rpc, Show, Sign, Wait, ask

URL = "http://node.test/x"
Handler = Callable[[httpx.Request], httpx.Response]
MEANS = Means("http://rpc.test", lambda: 7, lambda size: b"r" * size, lambda digest: digest[:3])


def run_sync(flow: Flow[Any], handler: Handler, means: Means = MEANS) -> Any:
    driver = SyncDriver(means, httpx.Client(transport=httpx.MockTransport(handler)))
    try:
        return driver.run(flow)
    finally:
        driver.close()


def run_async(flow: Flow[Any], handler: Handler, means: Means = MEANS) -> Any:
    async def main() -> Any:
        driver = AsyncDriver(means, httpx.AsyncClient(transport=httpx.MockTransport(handler)))
        try:
            return await driver.run(flow)
        finally:
            await driver.close()

    return asyncio.run(main())


both = pytest.mark.parametrize("run", [run_sync, run_async], ids=["sync", "async"])


def reply(content: bytes, status: int = 200) -> Handler:
    return lambda request: httpx.Response(status, content=content)


def heard() -> Flow[list[Json]]:
    """All events of a stream."""
    yield from ask(Listen(URL, {}))
    found: list[Json] = []
    while (event := (yield from ask(Hear()))) is not None:
        found.append(event)
    return found


@both
def test_effects(run: Any) -> None:
    """Each effect gets what its docstring says."""

    def flow() -> Flow[Any]:
        yield from ask(Wait(1))
        yield from ask(Show({"text": "seen"}))
        return (
            (yield from ask(Now())),
            (yield from ask(Draw(2))),
            (yield from ask(Sign(sha256(b"x")))),
            (yield from ask(Rpc("m", (1,)))),
            (yield from ask(Post(URL, {"a": 1}))),
            (yield from ask(Hear())),
        )

    def handler(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        if request.url.host == "rpc.test":
            assert asked == {"jsonrpc": "2.0", "id": 1, "method": "m", "params": [1]}
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": "0x1"})
        return httpx.Response(200, json=asked)

    assert run(flow(), handler) == (7, b"rr", sha256(b"x")[:3], "0x1", {"a": 1}, None)


@both
def test_no_key_no_signature(run: Any) -> None:
    """A driver without a key signs nothing."""
    with pytest.raises(Rejected) as caught:
        run(ask(Sign(sha256(b"x"))), reply(b""), Means("http://rpc.test", lambda: 0, lambda size: b""))

    assert caught.value.code == "wallet.none"


@both
def test_unknown_effect(run: Any) -> None:
    """An effect that no driver knows is a fault of ours."""
    with pytest.raises(AssertionError):
        run(ask(Effect()), reply(b""))


@both
@pytest.mark.parametrize(
    ("code", "kind"),
    [(-32002, Unavailable), (-32005, Unavailable), (-32603, Unavailable), (-32000, Rejected), (3, Rejected)],
)
def test_rpc_errors(run: Any, code: int, kind: type[ParaphError]) -> None:
    """What says nothing against the call may be tried again; a refusal may not. The words are passed on, bounded."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "m" * 9999}}).encode()

    with pytest.raises(kind) as caught:
        run(ask(Rpc("m", ())), reply(body))

    assert caught.value.code == "rpc.error"
    assert len(caught.value.message) == replies.ERROR_TEXT_MAX
    assert caught.value.facts["rpc_code"] == str(code)


@both
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"error": 7}', b'{"a":1,"a":2}', b"NaN", b"\xff", b"[" * 99],
    ids=lambda body: body[:8].hex() or "empty",
)
def test_junk_from_the_rpc(run: Any, body: bytes) -> None:
    """A reply that is no JSON-RPC is malformed."""
    with pytest.raises(Malformed):
        run(ask(Rpc("m", ())), reply(body))


@both
def test_oversize_reply(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply beyond the limit is not read to its end."""
    monkeypatch.setattr(replies, "JSON_BYTES_MAX", 1000)

    with pytest.raises(Malformed) as caught:
        run(ask(Post(URL, {})), reply(b" " * 1001))

    assert caught.value.code == "http.size"


@both
def test_redirects_are_not_followed(run: Any) -> None:
    """A signed request goes where the registry says and nowhere else."""
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(307, headers={"location": "http://elsewhere.test/"})

    with pytest.raises(Rejected) as caught:
        run(ask(Post(URL, {})), handler)

    assert caught.value.code == "http.307"
    assert len(asked) == 1


@both
@pytest.mark.parametrize(
    "make", [lambda url, body: ask(Post(url, body)), lambda url, body: heard()], ids=["post", "listen"]
)
def test_unreachable(run: Any, make: Any) -> None:
    """A node that cannot be reached, and an address that is none, are unavailable."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset")

    with pytest.raises(Unavailable) as caught:
        run(make(URL, {}), broken)

    assert caught.value.code == "http.unreachable"


ADDRESSES = (
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:0/",
    "http://" + "a" * 70 + ".test/",
    "http://.../",
    "http://[::1/",
    "http://a\x00b/",
    "http://xn--a/",
    "http://:80/",
    "http://",
    "http://" + "a" * 70_000,
)


@pytest.mark.parametrize("url", ADDRESSES, ids=range(len(ADDRESSES)))
def test_bad_addresses(url: str) -> None:
    """Whatever a node registers as its endpoint, a client that asks there finds it unavailable, and goes on."""

    async def ask_there() -> None:
        driver = AsyncDriver(MEANS)
        with pytest.raises(Unavailable):
            await driver.run(ask(Post(url, {})))
        await driver.close()

    driver = SyncDriver(MEANS)
    with pytest.raises(Unavailable):
        driver.run(ask(Post(url, {})))
    driver.close()
    asyncio.run(ask_there())


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"type": "malformed", "code": "a.b", "message": "m"}, Malformed, "a.b"),
        (400, {"type": "rejected", "code": "a.b"}, Rejected, "a.b"),
        (400, {"type": "unavailable", "code": "a.b"}, Unavailable, "a.b"),
        (429, {"code": "a.b"}, Unavailable, "a.b"),
        (503, {}, Unavailable, "http.503"),
        (404, {"type": "odd"}, Rejected, "http.404"),
        (400, {"code": 7, "message": ["m"]}, Rejected, "7"),
    ],
    ids=str,
)
def test_errors_are_typed(status: int, body: Any, kind: type[ParaphError], code: str) -> None:
    """An error of ours keeps its branch and code; another's is judged by its status."""
    found = error_of(status, json.dumps({"error": body}).encode())

    assert (type(found), found.code, found.facts["status"]) == (kind, code, status)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"[]", b'{"error": "no"}', b"\xff"], ids=lambda data: data.hex() or "empty"
)
def test_errors_in_other_forms(data: bytes) -> None:
    """An error page that is not ours is judged by its status."""
    assert (error_of(502, data).code, error_of(403, data).branch) == ("http.502", "rejected")


class Parts(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in parts; it knows whether it was closed."""

    def __init__(self, parts: list[bytes], error: Exception | None = None) -> None:
        self.parts, self.error, self.closed = parts, error, False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.error:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def streaming(*parts: bytes, error: Exception | None = None) -> tuple[Handler, Parts]:
    body = Parts(list(parts), error)
    return (lambda request: httpx.Response(200, stream=body)), body


@given(st.data())
def test_events_split_at_any_byte(data: st.DataObject) -> None:
    """However the bytes of a stream are cut, its events are the same; comments and [DONE] are none."""
    text = ': hi\n\ndata: {"a": "é"}\n\ndata:{"b":2}\r\n\r\nevent: x\ndata: [DONE]\n\n'.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    parts = [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert run_sync(heard(), streaming(*parts)[0]) == [{"a": "é"}, {"b": 2}]


@both
def test_stream_errors(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error status, an error event, a broken line, an event that is no JSON or too long: each is a typed error."""
    monkeypatch.setattr(replies, "JSON_BYTES_MAX", 1000)
    told = json.dumps({"error": {"type": "rejected", "code": "a.b", "message": "m"}}).encode()
    cases: list[tuple[Handler, type[ParaphError], str]] = [
        (reply(told, 400), Rejected, "a.b"),
        (reply(b"", 502), Unavailable, "http.502"),
        (streaming(b"data: " + told + b"\n\n")[0], Rejected, "a.b"),
        (streaming(b"data: {}\n\n", error=httpx.ReadError("reset"))[0], Unavailable, "http.unreachable"),
        (streaming(b"data: {\n\n")[0], Malformed, "json.syntax"),
        (streaming(b"data: 7\n\n")[0], Malformed, "json.shape"),
        (streaming(*[b"x" * 100] * 20)[0], Malformed, "http.event"),
    ]
    for handler, kind, code in cases:
        with pytest.raises(kind) as caught:
            run(heard(), handler)
        assert caught.value.code == code


def test_long_event_in_small_parts_is_quick() -> None:
    """An event of megabytes that comes in small parts takes time by its length, not by its square."""
    text = b'data: {"a": "' + b"x" * 8_000_000 + b'"}\n'
    parts = [text[start : start + 1000] for start in range(0, len(text), 1000)]
    began = time.process_time()

    run_sync(heard(), streaming(*parts)[0])

    assert time.process_time() - began < 5


@both
def test_streams_are_closed(run: Any) -> None:
    """A stream is closed when the flow ends, listens elsewhere, or fails."""
    first_handler, first = streaming(b"data: {}\n", b"data: {}\n")
    second_handler, second = streaming(b"data: {}\n", b"data: {}\n")

    def handler(request: httpx.Request) -> httpx.Response:
        return second_handler(request) if first.closed else first_handler(request)

    def flow() -> Flow[None]:
        for _ in range(2):
            yield from ask(Listen(URL, {}))
            yield from ask(Hear())
        raise Rejected("a.b", "enough")

    with pytest.raises(Rejected):
        run(flow(), handler)

    assert (first.closed, second.closed) == (True, True)


def showing() -> Flow[int]:
    yield from ask(Listen(URL, {}))
    yield from ask(Hear())
    yield from ask(Show({"text": "a"}))
    yield from ask(Show({"text": "b"}))
    return 7


def test_play_and_leave() -> None:
    """Chunks come as they are shown, then the result; whoever stops reading closes stream and flow."""
    handler, body = streaming(b"data: {}\n")
    driver = SyncDriver(MEANS, httpx.Client(transport=httpx.MockTransport(handler)))

    whole = list(driver.play(showing()))
    playing = driver.play(showing())
    next(playing)
    body.closed = False
    playing.close()  # type: ignore[attr-defined]
    driver.close()

    assert whole == [Shown({"text": "a"}), Shown({"text": "b"}), Done(7)]
    assert body.closed


def test_play_and_leave_asynchronously() -> None:
    """The same in an event loop, and when the task is cancelled while it waits."""

    async def main() -> None:
        handler, body = streaming(b"data: {}\n")
        driver = AsyncDriver(MEANS, httpx.AsyncClient(transport=httpx.MockTransport(handler)))
        whole = [event async for event in driver.play(showing())]
        playing = driver.play(showing())
        await anext(playing)
        body.closed = False
        await playing.aclose()  # type: ignore[attr-defined]
        waiting = asyncio.ensure_future(driver.run(ask(Wait(60_000))))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await driver.close()

        assert whole[-1] == Done(7)
        assert body.closed
        assert waiting.cancelled()

    asyncio.run(main())


@both
@pytest.mark.parametrize("kind", [Post, Listen])
def test_pinned_keys_have_their_own_connections(run: Any, kind: type[Post | Listen]) -> None:
    """What goes to one key never goes over the connections that certificate authorities vouch for."""
    reached = []

    def flow(url: str) -> Flow[Any]:
        effect: Effect[Any] = kind(url, {}, Digest(b"k" * 32))
        yield from ask(effect)
        return (yield from ask(Hear()))

    def handler(request: httpx.Request) -> httpx.Response:
        reached.append(request.url)
        return httpx.Response(200, content=b"{}")

    for url, code in ((URL, "tls.plain"), ("https://127.0.0.1:1/x", "http.unreachable")):
        with pytest.raises(ParaphError) as caught:
            run(flow(url), handler)
        assert caught.value.code == code
    assert reached == []


def test_own_clients() -> None:
    """A driver without a given client makes one that follows nobody and asks for nothing compressed."""
    driver = SyncDriver(MEANS)
    other = AsyncDriver(MEANS)

    assert driver._http.follow_redirects is False
    assert driver._http.headers["accept-encoding"] == "identity"
    driver.close()
    asyncio.run(other.close())
