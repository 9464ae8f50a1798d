"""The sealed door: opens a sealed request, has the node's own application answer it, and seals the answer.

So whoever carries the bytes, or ends the TLS connection before the enclave, reads neither prompt nor answer.

What does not open is refused in one way, whatever the fault: a stranger learns nothing by trying. Only old keys are
told apart, and nothing secret tells them apart. Whoever sealed a request is told everything, in a sealed answer.

A request is answered once. Its encapsulated key is remembered as long as its time lies in the window, and a time
outside is refused; so memory is bounded by the window and, against a flood, by a number. The memory goes with the
process, and so must the key: a gateway for a key that outlives it answers again what was sealed in the last minutes.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paraph.adapters.http.openai import error_json
from paraph.adapters.http.server import read_body
from paraph.core import bhttp, ohttp
from paraph.core.encode import Json, as_object, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import ModelId
from paraph.core.ohttp import NO_MODEL, SEALED_PATH, Binding, Opened, ResponseSealer
from paraph.flows.meet import PATH as ATTESTATION_PATH
from paraph.flows.ports import Clock
from paraph.inference_node.doors import error_response, signed_header
from paraph.proofs.request import request_from_json

WINDOW_S: Final = 120
"""How far a request's time may be from ours, either way: clocks of home computers are a minute off at worst."""
SEEN_MAX: Final = 100_000
"""Requests remembered: some 10 MB, and 400 a second for the whole window. Beyond, new ones are refused, none forgotten:
a flood costs service, as it does at any door, and never a second answer."""
EVENT_BYTES: Final = 256
"""Streamed events are lengthened to a multiple: the lengths of tokens, seen one by one, would give the text away."""
ANSWER_BYTES: Final = 1024
"""Answers are lengthened to a multiple."""
KEY_PROBLEM: Final = "https://iana.org/assignments/http-problem-types#ohttp-key"
"""RFC 9458, section 5.3."""

_HEADERS: Final = ((b"content-type", ohttp.RESPONSE_TYPE.encode()), (b"cache-control", b"no-store"))
_OURS: Final = frozenset({"content-length", "host"})
_NOT_CARRIED: Final = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "trailer", "transfer-encoding", "upgrade"}
)

ModelOf = Callable[[HttpRequest, bytes], ModelId]


def sealed_route(
    app: ASGIApp,
    key: X25519PrivateKey,
    bindings: Callable[[], Sequence[Binding]],
    clock: Clock,
    draw: Callable[[int], bytes],
    model_of: "ModelOf | None" = None,
) -> Route:
    """The route `SEALED_PATH`.

    Args:
        app: answers what was sealed, in process.
        key: the attested key for sealing, no older than this process.
        bindings: the network, the node, and the digest of each keyset that the key is in and that counts now.
        clock: tells what is old.
        draw: random bytes.
        model_of: which model a request asks; by default, the one that its signed part names.
    """
    gateway = Gateway(app, key, bindings, clock, draw, model_of or asked_model)
    return Route(SEALED_PATH, gateway, methods=["POST"])


def asked_model(request: HttpRequest, content: bytes) -> ModelId:
    """The model that the signed request names, which stands in its header, or in the body of the native door.

    Raises:
        Rejected: `seal.unsigned`: nothing in it is signed. Malformed: as the parts it reads.
    """
    if request.scope["path"] == ATTESTATION_PATH:
        return NO_MODEL
    signed = signed_header(request)
    if signed is None:
        body = as_object(decode(content), "the body") if content else {}
        if "request" not in body:
            raise Rejected("seal.unsigned", "only a signed request may be sealed: it says which model is asked")
        signed = request_from_json(body["request"])
    return signed.request.model_id


@dataclass(slots=True)
class Seen:
    """The requests of the window, by the second they were sealed in."""

    by_time: dict[int, set[bytes]] = field(default_factory=dict)
    now_s: int = 0

    def admit(self, encapsulated: bytes, time_s: int, now_s: int) -> None:
        """Let a request in, once.

        Raises:
            Rejected: `seal.time`: too old, or too new. `seal.replayed`: it was let in before.
            Unavailable: `seal.busy`: too many to remember more.
        """
        # A clock set back must not reopen a second that was forgotten.
        self.now_s = max(self.now_s, now_s)
        for second in [each for each in self.by_time if each < self.now_s - WINDOW_S]:
            del self.by_time[second]
        if abs(self.now_s - time_s) > WINDOW_S:
            raise Rejected(
                "seal.time",
                f"sealed at {time_s}; it is {self.now_s} here, and {WINDOW_S} s apart are too many",
                time_s=time_s,
                now_s=self.now_s,
            )
        if encapsulated in self.by_time.get(time_s, ()):
            raise Rejected("seal.replayed", "this request was answered before; seal it anew")
        if sum(map(len, self.by_time.values())) >= SEEN_MAX:
            raise Unavailable("seal.busy", "too many sealed requests at once; try again in a minute")
        self.by_time.setdefault(time_s, set()).add(encapsulated)


@dataclass(slots=True)
class Gateway:
    """What stands behind the route: an ASGI application that calls another. Args: as `sealed_route`."""

    app: ASGIApp
    key: X25519PrivateKey
    bindings: Callable[[], Sequence[Binding]]
    clock: Clock
    draw: Callable[[int], bytes]
    model_of: ModelOf
    seen: Seen = field(default_factory=Seen)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open, check, have answered, seal."""
        request = HttpRequest(scope, receive)
        opened = await self._opened(request)
        if isinstance(opened, Response):
            await opened(scope, receive, send)
            return
        sealing = _Sealing(ResponseSealer(opened, self.draw(ohttp.SECRET_BYTES)), send)
        try:
            inner, content = self._checked(opened, scope)
        except ParaphError as error:
            await error_response(error)(scope, receive, sealing.send)
            return
        body: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

        async def asked() -> Message:
            # After the body only the client's leaving can come, and it means the same to the application.
            return body.pop() if body else await receive()

        # Where it fails before its end, there is no final chunk: whoever opens the answer sees that it was cut.
        await self.app(inner, asked, sealing.send)

    async def _opened(self, request: HttpRequest) -> Opened | Response:
        if request.headers.get("content-type") != ohttp.REQUEST_TYPE:
            return _plain(Rejected("seal.type", f"post {ohttp.REQUEST_TYPE}"), 415)
        data = await read_body(request, ohttp.REQUEST_BYTES_MAX)
        stale = Rejected("seal.key", "sealed to other keys than this node's now; fetch them, and seal again")
        answer = _plain(stale, 400, KEY_PROBLEM)
        for binding in self.bindings():
            try:
                return ohttp.open_request(self.key, binding, data)
            except Rejected:
                continue
            except Malformed:
                answer = _plain(Rejected("seal.refused", "this does not open here"), 400)
        return answer

    def _checked(self, opened: Opened, outer: Scope) -> tuple[Scope, bytes]:
        """The request to run, as ASGI has it, once its time, novelty, route and model are in order."""
        head, request = opened.read()
        self.seen.admit(opened.encapsulated, head.time_s, self.clock.now_ms() // 1000)
        scope = _scope(request, outer)
        if scope["path"] == SEALED_PATH:
            raise Rejected("seal.nested", "a sealed request in a sealed request is not opened")
        model = self.model_of(HttpRequest(scope), request.content)
        if model != head.model_id:
            raise Rejected("seal.model", f"sealed for model {head.model_id.hex()}, and it asks {model.hex()}")
        return scope, request.content


def _plain(error: ParaphError, status: int, problem: str = "about:blank") -> Response:
    told: dict[str, Json] = {"type": problem, "title": error.message, "error": error_json(error)}
    return Response(json.dumps(told), status, media_type="application/problem+json")


def _scope(request: bhttp.Request, outer: Scope) -> Scope:
    path, _, query = request.path.partition("?")
    fields = [(name, value) for name, value in request.fields if name not in _OURS]
    fields += [("host", request.authority), ("content-length", str(len(request.content)))]
    return {
        "type": "http",
        "asgi": outer["asgi"],
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in fields],
        "client": None,
        "server": None,
    }


# --- answers ------------------------------------------------------------------------------------------------------


class _Sealing:
    """Takes a response as ASGI has it, and sends it on as sealed Binary HTTP, padded so that its lengths say little."""

    def __init__(self, sealer: ResponseSealer, send: Send) -> None:
        self._sealer = sealer
        self._send = send
        self._head = b""
        self._events = False
        self._begun = False
        self._bytes = 0

    async def send(self, message: Message) -> None:
        """The next message of the application's."""
        if message["type"] == "http.response.start":
            fields = _fields(message.get("headers", ()))
            self._events = dict(fields).get("content-type", "").startswith("text/event-stream")
            # Kept until there is content, to be in one chunk with it.
            self._head = bhttp.response_head(message["status"], fields)
            return
        more = message.get("more_body", False)
        data = self._framed(message.get("body", b""))
        # The last content is in one with the padding: a chunk of its own would tell its length.
        sealed = self._sealer.seal(data) if more else self._sealer.finish(self._end(data))
        self._bytes += len(data)
        if not self._begun:
            self._begun = True
            length = [] if more else [(b"content-length", str(len(sealed)).encode())]
            await self._send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *length]})
        await self._send({"type": "http.response.body", "body": sealed, "more_body": more})

    def _framed(self, content: bytes) -> bytes:
        if self._events and content.endswith(b"\n\n"):
            content += _comment(-len(content) % EVENT_BYTES)
        head, self._head = self._head, b""
        return head + bhttp.response_content(content)

    def _end(self, data: bytes) -> bytes:
        return bhttp.padded(data + bhttp.response_end(), ANSWER_BYTES, self._bytes)


def _comment(size: int) -> bytes:
    """A line of that length, or of a step more, that readers of an event stream pass over."""
    if size == 0:
        return b""
    return b":" + b" " * ((size - 2) % EVENT_BYTES) + b"\n"


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> bhttp.Fields:
    fields = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
    return tuple((name, value) for name, value in fields if name not in _NOT_CARRIED)
