"""The engine that is another server: vLLM, SGLang, llama-server or anything else that speaks the OpenAI API.

A node in front of a GPU server uses this. Nothing is promised about bits, and what the server says of itself is not
checked; that it honours the parameters it is declared to honour is the operator's word.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from paraph.adapters.engines.embeddings import as_number, read_vectors
from paraph.adapters.engines.events import body, events, parsed, text
from paraph.adapters.engines.request import ALWAYS, SAMPLING, read_request
from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_object, as_text, canonical
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.flows.ports import Finish, Given, Piece, TextEvent
from paraph.proofs.profile import EngineProfile

DEADLINE_S: Final = 600.0
"""One answer: as for the engine of our own."""

SILENCE_S: Final = 120.0
"""Longest wait for the next piece: a busy server queues."""

STANDARD: Final = frozenset(
    {"temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "logprobs", "top_logprobs"}
)
"""Parameters that every server of this kind honours."""

EXTENDED: Final = SAMPLING | STANDARD | {"tools", "tool_choice", "response_format"}
"""Parameters that a server may be declared to honour."""

_REFUSALS: Final = frozenset({400, 404, 405, 413, 415, 422})
_NO_LOGPROB: Final = -9999.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the server is and what it is declared to do.

    Args:
        base_url: up to and with `/v1`.
        model: the model's name there.
        context_tokens: tokens of prompt and answer together.
        parameters: members of the effective request that it honours, of `EXTENDED`.
        names: its own names for members, e.g. `{"repeat_penalty": "repetition_penalty"}` for vLLM.
        version: what stands in the profile; empty to take what `/v1/models` says.
        embeddings: whether it serves `/v1/embeddings` for this model.
        api_key: sent as a bearer token; empty for none. Never shown.
        deadline_s: seconds that one answer may take.
    """

    base_url: str
    model: str
    context_tokens: int
    parameters: frozenset[str] = STANDARD
    names: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    embeddings: bool = False
    api_key: str = field(default="", repr=False)
    deadline_s: float = DEADLINE_S


class OpenAIUpstream:
    """A `TextEngine` that asks another server. Make it with `open_upstream`.

    `Given.text` is the exact JSON that was sent, for what the server puts before the model is not known. Token ids are
    not known either. Reasoning that a server sends beside the answer is not passed on.
    """

    def __init__(self, upstream: Upstream, version: str) -> None:
        self._upstream = upstream
        self._client: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None
        self._profile = EngineProfile(
            engine="openai-upstream",
            engine_version=version[:256],
            isa="",
            threads=0,
            optimisation="",
            batch_class="",
            flash_attention="",
            kv_type="",
            chat_template_digest="",
            sampler="",
            bit_exact="no",
        )

    @property
    def profile(self) -> EngineProfile:
        """What runs the model, as far as it is known."""
        return self._profile

    @property
    def parameters(self) -> frozenset[str]:
        """Members of the effective request that the server is declared to honour."""
        return self._upstream.parameters

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and answer together, as declared; the server itself refuses what exceeds its own limit."""
        return self._upstream.context_tokens

    async def generate(self, request: JsonObject) -> AsyncIterator[TextEvent]:
        """Answer one request; see `TextEngine.generate`.

        Raises:
            Rejected: `engine.parameter`, `engine.request`, `engine.context`; `engine.upstream` when the server refuses
                the request; `engine.time_limit`.
            Unavailable: `engine.upstream`, `engine.upstream_key`, `engine.answer`.
        """
        wanted = read_request(request, self._upstream.parameters)
        if wanted.max_tokens >= self._upstream.context_tokens:
            # The rest of the check needs the tokenizer, and is the server's.
            raise Rejected(
                "engine.context",
                f"{wanted.max_tokens} tokens of answer exceed the context of {self._upstream.context_tokens}",
                max_tokens=wanted.max_tokens,
                context_tokens=self._upstream.context_tokens,
            )
        asked = self._asked(request, wanted.kind)
        path = "/chat/completions" if wanted.kind == "chat" else "/completions"
        end = asyncio.get_running_loop().time() + self._upstream.deadline_s
        reason = ""
        usage: JsonObject | None = None
        async with self._posted(path, asked) as response:
            yield Given(canonical(asked).decode(), None)
            async for event in events(response):
                if asyncio.get_running_loop().time() > end:
                    raise Rejected("engine.time_limit", f"the answer took more than {self._upstream.deadline_s:g} s")
                if "error" in event:
                    raise Unavailable("engine.upstream", f"the upstream server broke off: {_said(event)}")
                piece = Piece("")
                with _reading():
                    if event.get("usage") is not None:
                        usage = as_object(event["usage"], "usage")
                    for choice in as_list(event.get("choices", ()), "choices", items_max=1):
                        chosen = as_object(choice, "choice")
                        piece = _chat_piece(chosen) if wanted.kind == "chat" else _completion_piece(chosen)
                        if chosen.get("finish_reason") is not None:
                            reason = as_text(chosen["finish_reason"], "finish_reason", bytes_max=40)
                if piece != Piece(""):
                    yield piece
        if not reason or usage is None:
            raise Unavailable("engine.answer", "the upstream server ended without a finish reason or without usage")
        with _reading():
            tokens_in = as_integer(usage.get("prompt_tokens"), "prompt_tokens")
            tokens_out = as_integer(usage.get("completion_tokens"), "completion_tokens")
        yield Finish(reason, tokens_in, tokens_out)

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[tuple[float, ...], ...], int]:
        """One vector for each text, and the tokens read.

        Raises:
            Rejected: `engine.no_embeddings` when not declared; `engine.upstream`.
            Unavailable: as `generate`.
        """
        if not self._upstream.embeddings:
            raise Rejected("engine.no_embeddings", "this engine has no embeddings")
        asked = {"model": self._upstream.model, "input": list(texts), "encoding_format": "float"}
        async with self._posted("/embeddings", asked) as response:
            answer = await body(response)
        return read_vectors(answer, len(texts))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None and self._client[0] is asyncio.get_running_loop():
            await self._client[1].aclose()

    def _asked(self, request: JsonObject, kind: str) -> dict[str, Json]:
        """The server's request: every member of ours under its name there, and nothing else that shapes the answer."""
        asked: dict[str, Json] = {
            self._upstream.names.get(name, name): value for name, value in request.items() if name not in ALWAYS
        }
        asked |= {"model": self._upstream.model, "max_tokens": request["max_tokens"], "stream": True}
        asked["stream_options"] = {"include_usage": True}
        if kind == "chat":
            asked["messages"] = request["messages"]
            if not asked.get("logprobs"):
                # Servers refuse a number of alternatives when no log-probabilities are asked for.
                asked.pop("top_logprobs", None)
        else:
            asked["prompt"] = request["prompt"]
            # The older API has one member for both.
            top = asked.pop("top_logprobs", 0)
            if asked.pop("logprobs", False):
                asked["logprobs"] = top
        return asked

    @asynccontextmanager
    async def _posted(self, path: str, asked: JsonObject) -> AsyncIterator[httpx.Response]:
        loop = asyncio.get_running_loop()
        if self._client is None or self._client[0] is not loop:
            self._client = (loop, _client(self._upstream))
        try:
            async with self._client[1].stream(
                "POST", self._upstream.base_url + path, content=canonical(asked)
            ) as response:
                await _check(response)
                yield response
        except httpx.TimeoutException as error:
            raise Unavailable("engine.upstream", f"the upstream server was silent for {SILENCE_S:g} s") from error
        except httpx.HTTPError as error:
            raise Unavailable("engine.upstream", f"the upstream server went away: {type(error).__name__}") from error


async def open_upstream(upstream: Upstream) -> OpenAIUpstream:
    """Ask the server for its models, and make an engine if ours is among them.

    Raises:
        Rejected: `engine.parameter` for a declared parameter that does not exist; `engine.upstream_model`.
        Unavailable: `engine.upstream`, `engine.upstream_key`, `engine.answer`.
    """
    unknown = sorted(upstream.parameters - EXTENDED)
    if unknown:
        raise Rejected("engine.parameter", f"no such parameters: {', '.join(unknown)}; there are {sorted(EXTENDED)}")
    try:
        async with _client(upstream) as client, client.stream("GET", upstream.base_url + "/models") as response:
            await _check(response)
            answer = await body(response)
    except httpx.HTTPError as error:
        raise Unavailable(
            "engine.upstream", f"{upstream.base_url} cannot be reached: {type(error).__name__}"
        ) from error
    with _reading():
        models = [as_object(each, "model") for each in as_list(answer.get("data"), "data", items_max=10_000)]
        found = next((each for each in models if each.get("id") == upstream.model), None)
    if found is None:
        names = [str(each.get("id")) for each in models]
        raise Rejected("engine.upstream_model", f"the upstream server has {names[:20]}, not {upstream.model!r}")
    return OpenAIUpstream(upstream, upstream.version or str(found.get("owned_by") or "unknown"))


def _client(upstream: Upstream) -> httpx.AsyncClient:
    headers = {"Content-Type": "application/json"}
    if upstream.api_key:
        headers["Authorization"] = f"Bearer {upstream.api_key}"
    # Proxies from the environment could read the key and the conversation; name a proxy in base_url instead.
    return httpx.AsyncClient(trust_env=False, timeout=SILENCE_S, headers=headers)


async def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status == httpx.codes.OK:
        return
    answer = await text(response, 1 << 16)
    try:
        said = _said(parsed(answer))
    except ParaphError:
        said = answer[:300].decode("utf-8", "replace")
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise Unavailable("engine.upstream_key", f"the upstream server refuses our key ({status})", status=status)
    if status in _REFUSALS:
        raise Rejected("engine.upstream", f"the upstream server refuses the request ({status}): {said}", status=status)
    raise Unavailable("engine.upstream", f"the upstream server answers {status}: {said}", status=status)


def _said(answer: JsonObject) -> str:
    error = answer.get("error", answer)
    said = error.get("message") if isinstance(error, Mapping) else error
    return str(said)[:300]


class _reading:  # noqa: N801 - reads as a statement
    """Turns a shape that is not the protocol's into `Unavailable`: the server's fault, not the caller's."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Malformed):
            raise Unavailable("engine.answer", f"the upstream's answer cannot be read: {error.message}") from error


def _chat_piece(choice: JsonObject) -> Piece:
    delta = as_object(choice.get("delta") or {}, "delta")
    calls = as_list(delta.get("tool_calls") or (), "tool_calls", items_max=128)
    return Piece(
        as_text(delta.get("content") or "", "content"),
        (),
        _logprobs(choice.get("logprobs")),
        tuple(as_object(call, "tool call") for call in calls),
    )


def _completion_piece(choice: JsonObject) -> Piece:
    return Piece(as_text(choice.get("text") or "", "text"), (), _logprobs(choice.get("logprobs")))


def _logprobs(value: Json) -> tuple[JsonObject, ...]:
    """Log-probabilities in the chat form, from it or from the older form of parallel lists."""
    if value is None:
        return ()
    found = as_object(value, "logprobs")
    if "content" in found:
        entries = as_list(found["content"] or (), "logprobs.content", items_max=65536)
        return tuple(_chat_entry(as_object(entry, "logprobs entry")) for entry in entries)
    tokens = as_list(found.get("tokens") or (), "tokens", items_max=65536)
    values = as_list(found.get("token_logprobs") or (), "token_logprobs", items_max=65536)
    tops = as_list(found.get("top_logprobs") or [None] * len(tokens), "top_logprobs", items_max=65536)
    if not len(tokens) == len(values) == len(tops):
        raise Malformed("json.shape", "logprobs: lists of different lengths")
    return tuple(
        {
            **_entry(as_text(token, "token"), logprob),
            "top_logprobs": [_entry(other, each) for other, each in as_object(top or {}, "top_logprobs").items()],
        }
        for token, logprob, top in zip(tokens, values, tops, strict=True)
    )


def _chat_entry(entry: JsonObject) -> JsonObject:
    others = as_list(entry.get("top_logprobs") or (), "top_logprobs", items_max=64)
    return {**_plain(entry), "top_logprobs": [_plain(as_object(other, "entry")) for other in others]}


def _plain(entry: JsonObject) -> dict[str, Json]:
    made = _entry(as_text(entry.get("token"), "token"), entry.get("logprob"))
    if entry.get("bytes") is not None:
        made["bytes"] = [as_integer(each, "byte", 0, 255) for each in as_list(entry["bytes"], "bytes", items_max=4096)]
    return made


def _entry(token: str, logprob: Json) -> dict[str, Json]:
    return {
        "token": token,
        "logprob": _NO_LOGPROB if logprob is None else as_number(logprob),
        "bytes": list(token.encode("utf-8", "replace")),
    }
