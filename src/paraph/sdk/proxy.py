"""A local OpenAI API: any stock client asks it, and it signs, pays and verifies on its behalf.

A whole answer that does not verify is an error (502 with its code), never text. In a stream the text passes as it
comes, and one that does not verify ends in an error event, with no finish reason and no [DONE]; `buffer` verifies
before the first byte instead.

Whoever reaches the proxy spends the payer's escrow. So it listens on the loopback address, answers only to the name of
this machine, and refuses what a web page sends: a page in a browser could otherwise buy answers by a plain form.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from paraph.adapters.http import openai
from paraph.adapters.http.client import AsyncDriver, Done, Means, Shown
from paraph.adapters.http.server import read_body, unless_gone
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.amount import format_opg
from paraph.core.encode import Json, JsonObject, as_object, as_text, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import to_hex
from paraph.core.keys import PrivateKey
from paraph.core.limits import JSON_BYTES_MAX
from paraph.flows import registry
from paraph.proofs.bundle import Bundle
from paraph.proofs.verdict import Verified
from paraph.sdk.answer import Answer
from paraph.sdk.network import Network
from paraph.sdk.options import Options
from paraph.sdk.orders import Orders

PORT: Final = 11_435
"""Beside Ollama's 11434, which clients of local models know."""
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
STATUS_BY_CODE: Final = {
    "models.unknown": 404,
    "models.not_served": 404,
    "nodes.none": 404,
    "proxy.path": 404,
    "proxy.method": 405,
    "proxy.stranger": 403,
    "http.size": 413,
    "request.cap": 402,
    "escrow.empty": 402,
    "engine.no_embeddings": 501,
    "node.busy": 429,
}
STATUS_BY_BRANCH: Final = {"malformed": 400, "rejected": 400, "unavailable": 503, "unverified": 502}

T = TypeVar("T")
Events = AsyncIterator[Shown | Done[Verified[Bundle]]]
log = structlog.get_logger("paraph.proxy")


@dataclass(frozen=True, slots=True)
class Settings:
    """How the proxy buys and answers.

    Args:
        options: the terms of every purchase: layer, price cap, node.
        aliases: names that clients use, and the models that are meant.
        buffer: verify streamed answers too before the first byte.
        save: a folder that keeps every verified answer, or None.
        loopback_only: answer only to the names of this machine, and to no web page.
    """

    options: Options = field(default_factory=Options)
    aliases: Mapping[str, str] = field(default_factory=dict)
    buffer: bool = False
    save: Path | None = None
    loopback_only: bool = True


class Proxy:
    """The proxy: `app` is to be served; `close` ends it.

    Args:
        network: whom to ask, and what is trusted.
        key: who pays.
        settings: how.
    """

    def __init__(self, network: Network, key: PrivateKey, settings: Settings) -> None:
        self._trust = network.trust
        self._orders = Orders(network.trust, key.address)
        self._driver = AsyncDriver(Means(network.rpc_url, SystemClock().now_ms, random_bytes, key.sign))
        self._settings = settings
        self.app: Final = Starlette(
            routes=[
                Route("/v1/models", self._door(self._models), methods=["GET"]),
                Route("/v1/models/{model:path}", self._door(self._model), methods=["GET"]),
                Route("/v1/chat/completions", self._door(self._text("chat")), methods=["POST"]),
                Route("/v1/completions", self._door(self._text("completion")), methods=["POST"]),
                Route("/v1/embeddings", self._door(self._embeddings), methods=["POST"]),
            ],
            exception_handlers={HTTPException: _elsewhere},
        )

    async def close(self) -> None:
        """Close connections."""
        await self._driver.close()

    def _door(
        self, answer: Callable[[HttpRequest], Awaitable[Response]]
    ) -> Callable[[HttpRequest], Awaitable[Response]]:
        async def guarded(request: HttpRequest) -> Response:
            try:
                if self._settings.loopback_only:
                    _refuse_strangers(request)
                return await answer(request)
            except ParaphError as error:
                log.info("refused", code=error.code, message=error.message)
                return error_response(error)

        return guarded

    # --- doors ---

    async def _models(self, _: HttpRequest) -> Response:
        return _json({"object": "list", "data": list((await self._listed()).values())})

    async def _model(self, request: HttpRequest) -> Response:
        name = request.path_params["model"]
        found = (await self._listed()).get(name)
        if found is None:
            raise Rejected("models.unknown", f"no model named {name[:80]!r} is served on {self._trust.network}")
        return _json(found)

    async def _listed(self) -> dict[str, JsonObject]:
        """Language models that a node serves, by the names that clients may use."""
        nodes = await self._driver.run(registry.nodes(self._trust))
        served = {model_id for node in nodes.values() for model_id in node.models}
        found: dict[str, JsonObject] = {}
        for model_id, model in (await self._driver.run(registry.models(self._trust))).items():
            if model_id in served and model.kind == "text":
                about: JsonObject = {"model_id": to_hex(model_id), "layers": model.layers}
                names = (model.name, *(alias for alias, meant in self._settings.aliases.items() if meant == model.name))
                for name in names:
                    owner = to_hex(model.owner)
                    found[name] = {"id": name, "object": "model", "created": 0, "owned_by": owner, "paraph": about}
        return found

    def _text(self, kind: str) -> Callable[[HttpRequest], Awaitable[Response]]:
        async def answer(request: HttpRequest) -> Response:
            asked, name, model = await self._asked(request)
            stream, wants_usage = openai.travel(asked)
            # A stream that is shown only when it verified needs no stream behind it.
            flowing = stream and not self._settings.buffer
            flow = self._orders.openai(kind, model, asked, self._settings.options, stream=flowing)
            events = self._driver.play(flow)
            if flowing:
                return await self._flowing(request, events, name, kind, wants_usage=wants_usage)
            bought = await unless_gone(request, _last(events))
            if stream:
                return _events(self._verified_stream(bought, name, kind, wants_usage=wants_usage))
            response, receipt = bought.response, bought.receipt
            shown = openai.completion(_id(bought), name, {"kind": kind}, response, receipt)
            return _json(shown | {"paraph": await self._summary(bought)})

        return answer

    async def _embeddings(self, request: HttpRequest) -> Response:
        asked, name, model = await self._asked(request)
        encoding = asked.get("encoding_format") or "float"
        if asked.get("stream"):
            raise Malformed("request.parameter", "embeddings are not streamed", parameter="stream")
        if encoding not in ("float", "base64"):
            raise Malformed("request.parameter", "encoding_format must be float or base64", parameter="encoding_format")
        events = self._driver.play(self._orders.openai("embeddings", model, asked, self._settings.options))
        bought = await unless_gone(request, _last(events))
        return _json(openai.embeddings(name, bought.response, str(encoding)) | {"paraph": await self._summary(bought)})

    async def _asked(self, request: HttpRequest) -> tuple[JsonObject, str, str]:
        """The body, the model's name as the client has it, and the model that is meant."""
        try:
            data = await read_body(request, JSON_BYTES_MAX)
        except HTTPException as error:
            raise Malformed("http.size" if error.status_code == 413 else "http.body", error.detail) from error
        asked = as_object(decode(data), "the body")
        name = as_text(asked.get("model"), "model", bytes_max=256)
        return asked, name, self._settings.aliases.get(name, name)

    # --- streams ---

    async def _flowing(
        self, request: HttpRequest, events: Events, name: str, kind: str, *, wants_usage: bool
    ) -> Response:
        # What fails before the first piece is still an error with its status.
        first = await unless_gone(request, _next(events))
        answer_id, created = f"paraph-{random_bytes(12).hex()}", int(time.time())
        body: JsonObject = {"kind": kind}

        async def shown() -> AsyncIterator[bytes]:
            try:
                event = first
                while isinstance(event, Shown):
                    yield _event(openai.chunk(answer_id, name, body, created, event.chunk, None))
                    event = await _next(events)
                for part in await self._end(Answer(event.value), answer_id, name, body, created, wants_usage):
                    yield part
            except ParaphError as error:
                log.warning("the stream ends in an error", code=error.code, message=error.message)
                yield _event({"error": openai.error_json(error)})
            finally:
                await events.aclose()  # type: ignore[attr-defined]

        return _events(shown())

    async def _verified_stream(
        self, bought: Answer, name: str, kind: str, *, wants_usage: bool
    ) -> AsyncIterator[bytes]:
        """A verified answer as a stream of one piece."""
        body: JsonObject = {"kind": kind}
        created = bought.receipt.started_ms // 1000
        yield _event(openai.chunk(_id(bought), name, body, created, _as_chunk(bought), None))
        for part in await self._end(bought, _id(bought), name, body, created, wants_usage):
            yield part

    async def _end(
        self, bought: Answer, answer_id: str, name: str, body: JsonObject, created: int, wants_usage: bool
    ) -> list[bytes]:
        """What closes a stream, once its answer verified, and never before."""
        last = openai.chunk(answer_id, name, body, created, None, bought.finish_reason)
        events = [_event(last | {"paraph": await self._summary(bought)})]
        if wants_usage:
            events.append(_event(openai.usage_chunk(answer_id, name, body, created, bought.response)))
        return [*events, b"data: [DONE]\n\n"]

    # --- what is told of an answer ---

    async def _summary(self, bought: Answer) -> JsonObject:
        """The member `paraph` beside an answer: that it verified, what was paid to whom, and where it was kept."""
        receipt = bought.receipt
        saved: str | None = None
        if self._settings.save is not None:
            place = self._settings.save / f"{bought.request_key[2:26]}.json"
            try:
                await asyncio.to_thread(bought.save, place)
                saved = str(place)
            except Unavailable as error:
                # It verified and is paid for: a full disk is no reason to withhold it. `saved` says what happened.
                log.warning("an answer cannot be kept", reason=error.message)
        price = {"wei": str(bought.price), "opg": format_opg(bought.price)}
        log.info("verified", key=bought.request_key, price=price["opg"], node=to_hex(receipt.node))
        return {
            "verified": bought.verdict.verified,
            "price": price,
            "receipt": {
                "request_key": bought.request_key,
                "payer": to_hex(receipt.payer),
                "node": to_hex(receipt.node),
                "signer": to_hex(receipt.signer),
                "model_id": to_hex(receipt.model_id),
                "layer": receipt.layer.word,
                "trust_class": None if bought.trust is None else bought.trust.word,
                "height": receipt.height,
                "started_ms": receipt.started_ms,
                "ended_ms": receipt.ended_ms,
                "hash": to_hex(receipt.hash()),
            },
            "questions": [question.as_json() for question in bought.verdict.questions],
            "not_checked": list(bought.verdict.not_checked),
            "saved": saved,
        }


# --- parts -------------------------------------------------------------------------------------------------------


def error_response(error: ParaphError) -> Response:
    """The HTTP answer for an error."""
    status = STATUS_BY_CODE.get(error.code, STATUS_BY_BRANCH[error.branch])
    # OpenAI's clients ask again by themselves after 429 and 5xx. A new question is a new payment, and what could be
    # tried again under the same key was: only a full queue is worth it.
    again = "true" if status == 429 else "false"
    return _json({"error": openai.error_json(error)}, status, {"x-should-retry": again})


def _refuse_strangers(request: HttpRequest) -> None:
    """Raises `Rejected` (`proxy.stranger`) for another machine's name (DNS rebinding) and for other sites' pages."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "none")
    if host not in LOOPBACK:
        raise Rejected("proxy.stranger", "this proxy answers to localhost only")
    if (origin is not None and urlsplit(origin).hostname not in LOOPBACK) or site == "cross-site":
        raise Rejected("proxy.stranger", "this proxy answers no web page: it would let any site spend your escrow")


async def _elsewhere(_: HttpRequest, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return error_response(Rejected("proxy.method", "this path takes another method"))
    return error_response(
        Rejected("proxy.path", "the proxy has /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings")
    )


async def _next(events: Events) -> Shown | Done[Verified[Bundle]]:
    return await anext(events)


async def _last(events: Events) -> Answer:
    try:
        while True:
            event = await _next(events)
            if isinstance(event, Done):
                return Answer(event.value)
    finally:
        await events.aclose()  # type: ignore[attr-defined]


def _as_chunk(bought: Answer) -> JsonObject:
    """A whole answer as one piece of a stream."""
    found: dict[str, Json] = {"text": bought.text}
    if bought.response["logprobs"] is not None:
        found["logprobs"] = bought.response["logprobs"]
    if bought.tool_calls:
        found["tool_calls"] = [{"index": index, **call} for index, call in enumerate(bought.tool_calls)]
    return found


def _id(bought: Answer) -> str:
    return f"paraph-{bought.request_key[2:26]}"


def _event(value: Json) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _events(parts: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(parts, media_type="text/event-stream", headers={"cache-control": "no-store"})


def _json(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, headers, media_type="application/json")
