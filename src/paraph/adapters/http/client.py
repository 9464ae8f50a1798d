"""Drives flows against the world over HTTP: one synchronous driver, one asynchronous, with the same effects.

Replies are bounded in size, redirects are not followed, and what a server says becomes a typed error.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, Generic, Self, TypeVar

import httpx

from paraph.adapters.http.replies import ERROR_TEXT_MAX, Lines, bounded, error_of, event_of, in_the_clear, unsealed
from paraph.adapters.http.sealing import Opening, seal
from paraph.adapters.http.tls import pinned
from paraph.core.encode import Json, JsonObject, as_object, decode
from paraph.core.errors import ParaphError, Rejected, Unavailable, Unverified
from paraph.core.ident import Digest
from paraph.core.ohttp import REQUEST_TYPE, RESPONSE_TYPE, SECRET_BYTES
from paraph.flows.effect import Draw, Effect, Flow, Get, Hear, Listen, Now, Post, Rpc, Show, Sign, Wait, Witnesses

T = TypeVar("T")

TIMEOUT: Final = httpx.Timeout(connect=5, read=600, write=30, pool=30)
"""Seconds. Reading waits as long as a model may think."""
ERROR_BYTES: Final = 1 << 20
"""What is read of an error that answers a stream."""
RPC_TIMEOUT: Final = httpx.Timeout(30, connect=5)
"""Seconds. A ledger read takes milliseconds; whoever waits for one holds a place in a queue."""
RPC_UNAVAILABLE: Final = (-32002, -32005, -32603)
"""JSON-RPC errors that say nothing against the request: not available, over a limit, internal (EIP-1474)."""
HEADERS: Final = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    # A few compressed bytes could unfold to gigabytes.
    "accept-encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A chunk of an answer that is not verified yet."""

    chunk: JsonObject


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What the flow returned."""

    value: T


@dataclass(frozen=True, slots=True)
class Means:
    """What a driver needs to act for somebody.

    Args:
        rpc_url: the full node asked; it is believed nothing.
        now_ms: the clock.
        draw: random bytes.
        sign: the payer's signature over a digest, or None where nothing is to be signed.
        witnesses: other full nodes, asked whether they hold the same chain.
    """

    rpc_url: str
    now_ms: Callable[[], int]
    draw: Callable[[int], bytes]
    sign: Callable[[Digest], bytes] | None = None
    witnesses: tuple[str, ...] = ()

    def server(self, index: int) -> str:
        """The full node of that number: 0 the one asked, the witnesses from 1."""
        return (self.rpc_url, *self.witnesses)[index]


class AsyncDriver:
    """Runs flows in an event loop. One driver may run many flows at a time; each listens to its own stream."""

    def __init__(self, means: Means, http: httpx.AsyncClient | None = None) -> None:
        self._means = means
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT, headers=HEADERS, cookies=_jar(), trust_env=False)
        self._pinned: dict[Digest, httpx.AsyncClient] = {}

    async def run(self, flow: Flow[T]) -> T:
        """The flow's result; chunks it shows are passed over."""
        async with aclosing(self.play(flow)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Done):
                    return event.value
        raise AssertionError("a flow ends with Done")

    async def play(self, flow: Flow[T]) -> AsyncIterator[Shown | Done[T]]:
        """Chunks as they are shown, then the result."""
        stream: AsyncIterator[Json] | None = None
        reply: object = None
        failure: ParaphError | None = None
        try:
            while True:
                try:
                    effect = flow.send(reply) if failure is None else flow.throw(failure)
                except StopIteration as done:
                    yield Done(done.value)
                    return
                reply, failure = None, None
                try:
                    if isinstance(effect, Show):
                        yield Shown(effect.chunk)
                    elif isinstance(effect, Listen):
                        if stream is not None:
                            await stream.aclose()  # type: ignore[attr-defined]
                        stream = self._listen(effect)
                    elif isinstance(effect, Hear):
                        reply = None if stream is None else await anext(stream, None)
                    else:
                        reply = await self._do(effect)
                except ParaphError as error:
                    failure = error
        finally:
            if stream is not None:
                await stream.aclose()  # type: ignore[attr-defined]
            flow.close()

    async def close(self) -> None:
        """Close connections."""
        for each in (self._http, *self._pinned.values()):
            await each.aclose()

    async def _do(self, effect: Effect[Any]) -> object:
        match effect:
            case Rpc():
                return _rpc_result(await self._post(self._means.server(effect.server), _rpc_body(effect), RPC_TIMEOUT))
            case Post():
                return await self._send(effect)
            case Get():
                return await self._get(effect.url)
            case Wait():
                await asyncio.sleep(effect.milliseconds / 1000)
                return None
            case _:
                return _local(self._means, effect)

    def _to(self, url: str, tls_key: Digest | None) -> httpx.AsyncClient:
        """What reaches the holder of that key and nobody else."""
        if tls_key is None:
            return self._http
        _need_tls(url)
        if tls_key not in self._pinned:
            self._pinned[tls_key] = httpx.AsyncClient(
                timeout=TIMEOUT, headers=HEADERS, cookies=_jar(), trust_env=False, verify=pinned(tls_key)
            )
        return self._pinned[tls_key]

    async def _post(self, url: str, body: JsonObject, patience: httpx.Timeout) -> Json:
        with _reach(url):
            async with self._http.stream("POST", url, content=json.dumps(body), timeout=patience) as response:
                return _reply(response.status_code, await _whole(response))

    async def _get(self, url: str) -> Json:
        with _reach(url):
            async with self._http.stream("GET", url) as response:
                return _reply(response.status_code, await _whole(response))

    async def _send(self, effect: Post) -> Json:
        out = _Out.of(effect, self._means)
        with _reach(out.url):
            http = self._to(out.url, effect.tls_key)
            async with http.stream("POST", out.url, content=out.data, headers=out.headers) as response:
                if out.opening is None or not _is_sealed(response):
                    return _reply(response.status_code, await _whole(response), sealed=out.opening is not None)
                data = bytearray()
                async for part in response.aiter_bytes():
                    data += out.opening.feed(part)
                    bounded(data)
                data += out.opening.finish()
                return _reply(out.opening.status, bytes(data))

    async def _listen(self, effect: Listen) -> AsyncIterator[Json]:
        lines = Lines()
        out = _Out.of(effect, self._means)
        with _reach(out.url):
            http = self._to(out.url, effect.tls_key)
            async with http.stream("POST", out.url, content=out.data, headers=out.headers) as response:
                if response.status_code != httpx.codes.OK:
                    raise out.refused(response.status_code, await _first(response.aiter_bytes(ERROR_BYTES)))
                if out.opening is not None and not _is_sealed(response):
                    raise in_the_clear()
                async for part in response.aiter_bytes():
                    lines.feed(out.content(part))
                    while lines.events:
                        yield event_of(lines.events.pop(0))
                lines.feed(out.rest())
                while lines.events:
                    yield event_of(lines.events.pop(0))


class SyncDriver:
    """Runs flows in the calling thread."""

    def __init__(self, means: Means, http: httpx.Client | None = None) -> None:
        self._means = means
        self._http = http or httpx.Client(timeout=TIMEOUT, headers=HEADERS, cookies=_jar(), trust_env=False)
        self._pinned: dict[Digest, httpx.Client] = {}

    def run(self, flow: Flow[T]) -> T:
        """The flow's result; chunks it shows are passed over."""
        for event in self.play(flow):
            if isinstance(event, Done):
                return event.value
        raise AssertionError("a flow ends with Done")

    def play(self, flow: Flow[T]) -> Iterator[Shown | Done[T]]:
        """Chunks as they are shown, then the result."""
        stream: Iterator[Json] | None = None
        reply: object = None
        failure: ParaphError | None = None
        try:
            while True:
                try:
                    effect = flow.send(reply) if failure is None else flow.throw(failure)
                except StopIteration as done:
                    yield Done(done.value)
                    return
                reply, failure = None, None
                try:
                    if isinstance(effect, Show):
                        yield Shown(effect.chunk)
                    elif isinstance(effect, Listen):
                        if stream is not None:
                            stream.close()  # type: ignore[attr-defined]
                        stream = self._listen(effect)
                    elif isinstance(effect, Hear):
                        reply = None if stream is None else next(stream, None)
                    else:
                        reply = self._do(effect)
                except ParaphError as error:
                    failure = error
        finally:
            if stream is not None:
                stream.close()  # type: ignore[attr-defined]
            flow.close()

    def close(self) -> None:
        """Close connections."""
        for each in (self._http, *self._pinned.values()):
            each.close()

    def _do(self, effect: Effect[Any]) -> object:
        match effect:
            case Rpc():
                return _rpc_result(self._post(self._means.server(effect.server), _rpc_body(effect), RPC_TIMEOUT))
            case Post():
                return self._send(effect)
            case Get():
                return self._get(effect.url)
            case Wait():
                time.sleep(effect.milliseconds / 1000)
                return None
            case _:
                return _local(self._means, effect)

    def _to(self, url: str, tls_key: Digest | None) -> httpx.Client:
        """What reaches the holder of that key and nobody else."""
        if tls_key is None:
            return self._http
        _need_tls(url)
        if tls_key not in self._pinned:
            self._pinned[tls_key] = httpx.Client(
                timeout=TIMEOUT, headers=HEADERS, cookies=_jar(), trust_env=False, verify=pinned(tls_key)
            )
        return self._pinned[tls_key]

    def _post(self, url: str, body: JsonObject, patience: httpx.Timeout) -> Json:
        with _reach(url), self._http.stream("POST", url, content=json.dumps(body), timeout=patience) as response:
            return _reply(response.status_code, _whole_now(response))

    def _get(self, url: str) -> Json:
        with _reach(url), self._http.stream("GET", url) as response:
            return _reply(response.status_code, _whole_now(response))

    def _send(self, effect: Post) -> Json:
        out = _Out.of(effect, self._means)
        with _reach(out.url):
            http = self._to(out.url, effect.tls_key)
            with http.stream("POST", out.url, content=out.data, headers=out.headers) as response:
                if out.opening is None or not _is_sealed(response):
                    return _reply(response.status_code, _whole_now(response), sealed=out.opening is not None)
                data = bytearray()
                for part in response.iter_bytes():
                    data += out.opening.feed(part)
                    bounded(data)
                data += out.opening.finish()
                return _reply(out.opening.status, bytes(data))

    def _listen(self, effect: Listen) -> Iterator[Json]:
        lines = Lines()
        out = _Out.of(effect, self._means)
        with _reach(out.url):
            http = self._to(out.url, effect.tls_key)
            with http.stream("POST", out.url, content=out.data, headers=out.headers) as response:
                if response.status_code != httpx.codes.OK:
                    raise out.refused(response.status_code, next(response.iter_bytes(ERROR_BYTES), b""))
                if out.opening is not None and not _is_sealed(response):
                    raise in_the_clear()
                for part in response.iter_bytes():
                    lines.feed(out.content(part))
                    while lines.events:
                        yield event_of(lines.events.pop(0))
                lines.feed(out.rest())
                while lines.events:
                    yield event_of(lines.events.pop(0))


# --- what both share ---------------------------------------------------------------------------------------------


def _jar() -> CookieJar:
    """Nothing is remembered of whom was asked: a cookie would tie a caller's requests together."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _local(means: Means, effect: Effect[Any]) -> object:
    match effect:
        case Now():
            return means.now_ms()
        case Witnesses():
            return len(means.witnesses)
        case Draw():
            return means.draw(effect.size)
        case Sign():
            if means.sign is None:
                raise Rejected("wallet.none", "this needs a signature, and no key was given")
            return means.sign(effect.digest)
        case _:
            raise AssertionError(f"no driver knows the effect {type(effect).__name__}")


class _reach:  # noqa: N801
    """Turns what the network does into `Unavailable`; so too an address that is none: a node may register anything."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        try:
            port = httpx.URL(self._url).port
        except (httpx.InvalidURL, UnicodeError) as error:
            raise self._unreachable(error) from error
        if port is not None and not 0 < port < 1 << 16:
            raise self._unreachable(httpx.InvalidURL(f"no port {port}"))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.HTTPError | httpx.InvalidURL | httpx.StreamError | UnicodeError):
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unavailable:
        reason = str(error) or type(error).__name__
        return Unavailable("http.unreachable", f"{self._url[:300]}: {reason[:300]}", url=self._url[:300])


def _need_tls(url: str) -> None:
    if not url.startswith("https://"):
        raise Unverified((("tls.plain", f"{url[:300]} is not https: there is no key to know the other end by"),))


async def _first(parts: AsyncIterator[bytes]) -> bytes:
    return await anext(parts, b"")


async def _whole(response: httpx.Response) -> bytes:
    data = bytearray()
    async for part in response.aiter_bytes():
        data += part
        bounded(data)
    return bytes(data)


def _whole_now(response: httpx.Response) -> bytes:
    data = bytearray()
    for part in response.iter_bytes():
        data += part
        bounded(data)
    return bytes(data)


def _reply(status: int, data: bytes, *, sealed: bool = False) -> Json:
    if status != httpx.codes.OK:
        raise unsealed(error_of(status, data)) if sealed else error_of(status, data)
    if sealed:
        raise in_the_clear()
    return decode(data)


@dataclass(frozen=True, slots=True)
class _Out:
    """What is posted for an effect: as it is, or sealed, and then what opens the answer."""

    url: str
    data: bytes
    headers: dict[str, str]
    opening: Opening | None
    gathered: bytearray = field(default_factory=bytearray)

    @classmethod
    def of(cls, effect: Post | Listen, means: Means) -> Self:
        if effect.sealing is None:
            return cls(effect.url, json.dumps(effect.body).encode(), {}, None)
        now_s, ephemeral = means.now_ms() // 1000, means.draw(SECRET_BYTES)
        url, data, opening = seal(effect.url, effect.body, HEADERS, effect.sealing, now_s, ephemeral)
        return cls(url, data, {"content-type": REQUEST_TYPE, "accept": RESPONSE_TYPE}, opening)

    def refused(self, status: int, data: bytes) -> ParaphError:
        """The error of an answer that is no stream."""
        return error_of(status, data) if self.opening is None else unsealed(error_of(status, data))

    def content(self, part: bytes) -> bytes:
        """Content of a stream of events; what an error says is kept until it is whole."""
        if self.opening is None:
            return part
        found = self.opening.feed(part)
        if self.opening.status in (0, httpx.codes.OK):
            return found
        self.gathered.extend(found)
        bounded(self.gathered)
        return b""

    def rest(self) -> bytes:
        """The last content. Raises what the node answered, and `Malformed` where the answer was cut."""
        if self.opening is None:
            return b""
        found = self.opening.finish()
        if self.opening.status == httpx.codes.OK:
            return found
        raise error_of(self.opening.status, bytes(self.gathered) + found)


def _is_sealed(response: httpx.Response) -> bool:
    return response.status_code == httpx.codes.OK and response.headers.get("content-type") == RESPONSE_TYPE


def _rpc_body(effect: Rpc) -> dict[str, Json]:
    return {"jsonrpc": "2.0", "id": 1, "method": effect.method, "params": list(effect.params)}


def _rpc_result(reply: Json) -> Json:
    found = as_object(reply, "a JSON-RPC reply")
    error = found.get("error")
    if error is not None:
        said = as_object(error, "error")
        kind = Unavailable if said.get("code") in RPC_UNAVAILABLE else Rejected
        raise kind("rpc.error", str(said.get("message"))[:ERROR_TEXT_MAX], rpc_code=str(said.get("code"))[:20])
    return found.get("result")
