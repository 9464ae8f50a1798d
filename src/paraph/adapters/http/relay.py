"""A relay for sealed requests: it hides from the node who asks, and is itself told nothing of what is asked.

It takes sealed bytes, posts them to a node it was started for, and streams the sealed answer back. Nothing of the
client goes on but those bytes: no header, no cookie, no address. Nothing of the node comes back but status, type and
bytes. It writes nothing down.

Who runs it sees who asks, which node, when and how much; the node sees the relay. Together they see all but the text.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import httpx
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from paraph.adapters.http.openai import error_json
from paraph.adapters.http.server import read_body
from paraph.core.digest import sha256
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import Digest
from paraph.core.ohttp import REQUEST_BYTES_MAX, REQUEST_TYPE, RESPONSE_TYPE

ANSWER_BYTES_MAX: Final = 128 * 1024 * 1024
"""One answer: the longest a client reads, with what sealing and padding add."""
ERROR_BYTES_MAX: Final = 64 * 1024
"""An answer that is not sealed: an error of a few hundred bytes."""
ANSWER_S_MAX: Final = 900
"""From the request to the answer's end: as long as a model may think, and half as long to say it."""
IN_WORK_MAX: Final = 128
"""Requests at a time: each holds its body, 16 MiB at most, so 2 GiB in all. Beyond, the answer is 503."""
TIMEOUT: Final = httpx.Timeout(connect=5, read=600, write=30, pool=30)
"""Seconds."""
PLAIN_TYPES: Final = ("application/problem+json", "application/json")
"""What a node's unsealed errors come as."""

_HEADERS: Final = {"cache-control": "no-store"}
_NO_COOKIES: Final = DefaultCookiePolicy(allowed_domains=())


@dataclass(frozen=True, slots=True)
class Target:
    """Where a relay posts to.

    Args:
        url: the sealed door of a node.
        tls_key: SHA-256 of the SubjectPublicKeyInfo of its TLS certificate, by which alone it is known. None: whoever
            certificate authorities know by that name; over plain HTTP, anybody. It never sees more than ciphertext.
    """

    url: str
    tls_key: Digest | None = None


class Relay:
    """A relay to some nodes. A node's requests are posted to `/HOST:PORT`, as in its URL; a single node's also to `/`.

    Args:
        targets: the nodes; nobody else is ever posted to.

    Raises:
        Malformed: `relay.target`: a URL that is none, a key without https, the same host twice, or none at all.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self._lines = _lines(targets)
        self._in_work = 0
        self.app = Starlette(routes=[Route("/{name:path}", self, methods=["POST"])])

    @property
    def paths(self) -> tuple[str, ...]:
        """Where requests are posted to, in the order of the targets."""
        return tuple(f"/{name}" for name in self._lines)

    async def close(self) -> None:
        """Close connections."""
        for line in self._lines.values():
            await line.http.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one request there and its answer back."""
        until = asyncio.get_running_loop().time() + ANSWER_S_MAX
        async with AsyncExitStack() as stack:
            response = await self._answer(Request(scope, receive), stack, until)
            # Too late now for another answer: what is cut lacks its final chunk, and so shows.
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await response(scope, receive, send)

    async def _answer(self, request: Request, stack: AsyncExitStack, until: float) -> Response:
        name: str = request.path_params["name"]
        line = next(iter(self._lines.values())) if not name and len(self._lines) == 1 else self._lines.get(name)
        if line is None:
            return _refusal(Rejected("relay.unknown", "this relay does not post there"), 404)
        if request.headers.get("content-type") != REQUEST_TYPE:
            return _refusal(Rejected("relay.type", f"post {REQUEST_TYPE}"), 415)
        if self._in_work >= IN_WORK_MAX:
            return _refusal(Unavailable("relay.busy", "too many requests at a time; try again"), 503)
        self._in_work += 1
        stack.callback(self._done)
        body = await read_body(request, REQUEST_BYTES_MAX)
        try:
            async with asyncio.timeout_at(until):
                return await line.post(body, stack)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
            # Its kind alone: the reason may hold words of the node's own.
            return _refusal(Unavailable("relay.unreachable", f"the node: {type(error).__name__}"), 502)
        except Unavailable as error:
            return _refusal(error, 502)

    def _done(self) -> None:
        self._in_work -= 1


@dataclass(frozen=True, slots=True)
class _Line:
    """The connections to one node."""

    target: Target
    http: httpx.AsyncClient

    async def post(self, body: bytes, stack: AsyncExitStack) -> Response:
        request = self.http.build_request("POST", self.target.url, content=body, extensions={"trace": self._known})
        answer = await self.http.send(request, stream=True)
        stack.push_async_callback(answer.aclose)
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if answer.status_code == httpx.codes.OK and kind == RESPONSE_TYPE:
            return StreamingResponse(_bounded(answer), media_type=RESPONSE_TYPE, headers=_HEADERS)
        if answer.status_code < httpx.codes.BAD_REQUEST or kind not in PLAIN_TYPES:
            raise Unavailable("relay.answer", f"the node answered {answer.status_code} with no sealed answer")
        told = bytearray()
        async for part in answer.aiter_raw():
            told += part
            if len(told) > ERROR_BYTES_MAX:
                raise Unavailable("relay.answer", f"the node's error is longer than {ERROR_BYTES_MAX} bytes")
        return Response(bytes(told), answer.status_code, media_type=kind, headers=_HEADERS)

    async def _known(self, event: str, info: Mapping[str, Any]) -> None:
        """Look at the certificate of each new connection, before anything is sent over it."""
        if event != "connection.start_tls.complete" or self.target.tls_key is None:
            return
        stream = info["return_value"]
        if _tls_key(stream.get_extra_info("ssl_object").getpeercert(binary_form=True)) != self.target.tls_key:
            await stream.aclose()
            raise Unavailable("relay.tls_key", "another key than the node's answers at its address")


def _tls_key(certificate: bytes) -> Digest | None:
    """What a target is known by; None of a certificate that cannot be read, which is nobody's."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


async def _bounded(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The answer's bytes as they come. Where they are too many, or break off, the final chunk is missing: it shows."""
    passed = 0
    with suppress(httpx.HTTPError, httpx.StreamError):
        async for part in answer.aiter_raw():
            passed += len(part)
            if passed > ANSWER_BYTES_MAX:
                break
            yield part


def _lines(targets: Sequence[Target]) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    for target in targets:
        try:
            url = httpx.URL(target.url)
        except httpx.InvalidURL as error:
            raise Malformed("relay.target", f"{target.url[:200]!r} is no URL") from error
        secure = url.scheme == "https"
        known = secure or (url.scheme == "http" and target.tls_key is None)
        if not known or not url.host or url.userinfo or not 0 < (url.port or 1) < 1 << 16:
            raise Malformed("relay.target", f"{target.url[:200]!r}: https with or without a key, or http without one")
        name = url.netloc.decode()
        if name in lines:
            raise Malformed("relay.target", f"{name} is named twice")
        lines[name] = _Line(target, _client(target))
    if not lines:
        raise Malformed("relay.target", "a relay needs a node to post to")
    return lines


def _client(target: Target) -> httpx.AsyncClient:
    context = ssl.create_default_context()
    if target.tls_key is not None:
        # The key is all that identifies such a node: its certificate is signed by itself.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    limits = httpx.Limits(max_connections=IN_WORK_MAX)
    client = httpx.AsyncClient(verify=context, timeout=TIMEOUT, limits=limits, trust_env=False, follow_redirects=False)
    for name in list(client.headers):
        del client.headers[name]
    client.headers.update({"content-type": REQUEST_TYPE, "accept": RESPONSE_TYPE, "accept-encoding": "identity"})
    client.cookies.jar.set_policy(_NO_COOKIES)
    return client


def _refusal(error: ParaphError, status: int) -> Response:
    return JSONResponse({"error": error_json(error)}, status, _HEADERS)
