"""The engine for language models in GGUF: llama.cpp in a confined process, with the same tokens every time.

With quantised weights and flash attention on, token ids and log-probabilities are equal bit for bit whatever else
the server does at the time, measured over threads, batches and prompt caches. Weights in floating point do not have
that property, so for them one request runs at a time and no prompt is remembered.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import httpx

from paraph.adapters.engines.embeddings import read_vectors
from paraph.adapters.engines.events import body, events, parsed, text
from paraph.adapters.engines.inspect_gguf import Gguf, read_gguf
from paraph.adapters.engines.machine import isa_class
from paraph.adapters.engines.request import SAMPLING, TextRequest, read_request
from paraph.adapters.engines.sandbox import Sandbox
from paraph.adapters.engines.schema import asked_schema
from paraph.adapters.engines.stops import Stops
from paraph.adapters.engines.template import ChatTemplate
from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_object, as_text
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.flows.ports import Finish, Given, Piece, TextEvent
from paraph.proofs.profile import EngineProfile

DEADLINE_S: Final = 600.0
"""One answer: 4096 tokens at seven a second, the slowest model worth serving."""

SILENCE_S: Final = 120.0
"""Longest wait for the next token; reading a long prompt comes first and takes the most of it."""

MEMORY_BYTES: Final = 2 * 1024 * 1024 * 1024
"""Address space beside twice the file and the cache: the server takes 0.2 GB of its own."""

PENALISED_TOKENS: Final = 64
"""How far back the penalties look: llama.cpp's own choice."""

SAMPLER: Final = ("penalties", "top_k", "top_p", "min_p", "temperature")
"""The sampler chain in its order; every other sampler of llama.cpp is left out."""

RANDOM_SEED: Final = 2**32 - 1
"""The seed by which llama.cpp means `take any`: no answer to it can be checked."""

PARAMETERS: Final = SAMPLING | {"stop", "logprobs", "top_logprobs", "response_format"}
NO_LOGPROB: Final = -9999.0
"""What OpenAI writes for a probability of zero, for which JSON has no form."""


@dataclass(frozen=True, slots=True)
class _Token:
    """What one event of the server's stream tells: text, the id it ends with, and how many ids were made by then."""

    text: str
    ids: tuple[int, ...]
    count: int
    logprobs: tuple[JsonObject, ...]


class LlamaEngine:
    """A `TextEngine` for one GGUF file. Make it with `open_llama`.

    Tools are not honoured. A log-probability entry for a character of several tokens tells that of the last one.
    """

    def __init__(
        self,
        profile: EngineProfile,
        sandbox: Sandbox,
        key: str,
        template: ChatTemplate | None,
        *,
        context_tokens: int,
        slots: int,
        embeddings: bool,
        deadline_s: float,
    ) -> None:
        self._profile = profile
        self._sandbox = sandbox
        self._key = key
        self._template = template
        self._context_tokens = context_tokens
        self._embeddings = embeddings
        self._deadline_s = deadline_s
        self._slots = asyncio.Semaphore(slots)
        self._client: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None

    @property
    def profile(self) -> EngineProfile:
        """What runs the model; part of every receipt."""
        return self._profile

    @property
    def parameters(self) -> frozenset[str]:
        """Members of the effective request that are honoured."""
        return PARAMETERS

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and answer together."""
        return self._context_tokens

    @property
    def worker_pid(self) -> int | None:
        """The server's process id while it lives, for operators and tests."""
        return self._sandbox.pid

    async def generate(self, request: JsonObject) -> AsyncIterator[TextEvent]:
        """Answer one request; see `TextEngine.generate`.

        Raises:
            Rejected: `engine.parameter`, `engine.request`, `engine.no_template`, `engine.template…`, `engine.seed`,
                `engine.context`, `engine.schema` before any piece; `engine.time_limit`.
            Unavailable: `engine.died`, `engine.answer`, `engine.closed`.
        """
        wanted = read_request(request, PARAMETERS)
        if wanted.seed == RANDOM_SEED:
            raise Rejected("engine.seed", f"llama.cpp takes the seed {RANDOM_SEED} for a random one; choose another")
        settings = _settings(wanted)
        prompt = await self._prompt(wanted)
        async with self._slots, self._server() as server:
            ids = await self._tokenize(server, prompt, special=wanted.kind == "completion")
            self._check_context(len(ids), wanted.max_tokens)
            async for event in self._answer(server, {**settings, "prompt": ids}, wanted, Given(prompt, ids)):
                yield event

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[tuple[float, ...], ...], int]:
        """One vector for each text, of length one, and the tokens read.

        Raises:
            Rejected: `engine.no_embeddings` unless the engine was opened for them; `engine.request`.
            Unavailable: as `generate`.
        """
        if not self._embeddings:
            raise Rejected("engine.no_embeddings", "this engine was not opened for embeddings")
        async with self._slots, self._server() as server:
            answer = await server.post("/v1/embeddings", {"model": "model", "input": list(texts)})
        return read_vectors(answer, len(texts))

    async def close(self) -> None:
        """End the server and the template's process."""
        if self._client is not None and self._client[0] is asyncio.get_running_loop():
            await self._client[1].aclose()
        await self._sandbox.close()
        if self._template is not None:
            await self._template.close()

    async def _prompt(self, wanted: TextRequest) -> str:
        if wanted.kind == "completion":
            return wanted.prompt
        if self._template is None:
            raise Rejected("engine.no_template", "this model has no chat template; ask for a completion")
        if any(message.keys() - {"role", "content", "name"} for message in wanted.messages):
            raise Rejected(
                "engine.parameter", "this engine does not honour tools, so messages hold role and content only"
            )
        return await self._template.render(wanted.messages)

    async def _tokenize(self, server: "_Server", prompt: str, *, special: bool) -> tuple[int, ...]:
        # A chat template prints the special tokens itself; a bare prompt gets the model's first token, if it has one.
        answer = await server.post("/tokenize", {"content": prompt, "add_special": special, "parse_special": True})
        return _ids(answer.get("tokens"))

    def _check_context(self, prompt_tokens: int, max_tokens: int) -> None:
        if prompt_tokens == 0:
            raise Rejected("engine.request", "the prompt is empty")
        if prompt_tokens + max_tokens > self._context_tokens:
            raise Rejected(
                "engine.context",
                f"{prompt_tokens} tokens of prompt and {max_tokens} of answer exceed the context of "
                f"{self._context_tokens}",
                prompt_tokens=prompt_tokens,
                max_tokens=max_tokens,
                context_tokens=self._context_tokens,
            )

    async def _answer(
        self, server: "_Server", asked: dict[str, Json], wanted: TextRequest, given: Given
    ) -> AsyncIterator[TextEvent]:
        end = asyncio.get_running_loop().time() + self._deadline_s
        stops = Stops(wanted.stop)
        known: list[int] = []
        count = 0
        whole = True
        reason = "stop"
        async with server.stream("/completion", asked) as stream:
            yield given
            async for event in stream:
                if asyncio.get_running_loop().time() > end:
                    raise Rejected("engine.time_limit", f"the answer took more than {self._deadline_s:g} s")
                token = _token(event, wanted)
                if event.get("stop") is True:
                    count = token.count
                    reason = "length" if event.get("stop_type") == "limit" else "stop"
                    break
                # The server keeps the ids of a character's first tokens to itself; they are asked for at the end.
                whole = whole and token.count == len(known) + len(token.ids)
                known.extend(token.ids if whole else ())
                count = token.count
                shown = stops.feed(token.text)
                yield Piece(shown, token.ids if whole else (), token.logprobs)
                if stops.found:
                    break
            else:
                raise Unavailable("engine.answer", "llama.cpp broke the answer off without an end")
        rest = stops.rest()
        missing: tuple[int, ...] = ()
        if len(known) != count:
            missing = await self._missing(server, asked, count, known)
        if rest or missing:
            yield Piece(rest, missing)
        yield Finish(reason, len(given.token_ids or ()), count)

    async def _missing(
        self, server: "_Server", asked: dict[str, Json], count: int, known: list[int]
    ) -> tuple[int, ...]:
        """The ids that the stream did not tell, by asking for the same answer in one piece.

        Raises:
            Unavailable: `engine.diverged`: the same request gave other tokens; the engine is not what it promises.
        """
        again = await server.post("/completion", {**asked, "stream": False, "n_predict": count, "n_probs": 0})
        ids = _ids(again.get("tokens"))[:count]
        if len(ids) != count or list(ids[: len(known)]) != known:
            raise Unavailable("engine.diverged", "llama.cpp gave another answer to the same request")
        return ids[len(known) :]

    @asynccontextmanager
    async def _server(self) -> AsyncIterator["_Server"]:
        """The living server; errors of its connection become ours, and a dead or silent one is replaced."""
        welcome = await self._sandbox.started()
        pid = self._sandbox.pid
        loop = asyncio.get_running_loop()
        if self._client is None or self._client[0] is not loop:
            # Loopback only: no proxies from the environment, no certificates to load.
            self._client = (loop, httpx.AsyncClient(trust_env=False, verify=False, timeout=SILENCE_S))  # noqa: S501
        try:
            yield _Server(self._client[1], as_text(welcome.get("address"), "address"), self._key)
        except httpx.TimeoutException as error:
            self._end(pid)
            raise Rejected("engine.time_limit", f"llama.cpp was silent for {SILENCE_S:g} s and was ended") from error
        except httpx.HTTPError as error:
            self._end(pid)
            raise Unavailable("engine.died", f"llama.cpp's process went away: {type(error).__name__}") from error

    def _end(self, pid: int | None) -> None:
        if self._sandbox.pid == pid:  # another request may have started the next one already
            self._sandbox.kill()


class _Server:
    """HTTP to the server of this start."""

    def __init__(self, client: httpx.AsyncClient, address: str, key: str) -> None:
        self._client = client
        self._address = address
        self._headers = {"Authorization": f"Bearer {key}"}

    async def post(self, path: str, asked: Mapping[str, Json]) -> JsonObject:
        async with self._client.stream("POST", self._address + path, json=asked, headers=self._headers) as response:
            await _check(response)
            return await body(response)

    @asynccontextmanager
    async def stream(self, path: str, asked: Mapping[str, Json]) -> AsyncIterator[AsyncIterator[JsonObject]]:
        async with self._client.stream("POST", self._address + path, json=asked, headers=self._headers) as response:
            await _check(response)
            yield events(response)


async def _check(response: httpx.Response) -> None:
    if response.status_code == httpx.codes.OK:
        return
    answer = await text(response)
    try:
        error = as_object(parsed(answer).get("error"), "error")
        said = as_text(error.get("message"), "message")[:300]
    except ParaphError:
        said = answer[:300].decode("utf-8", "replace")
    if response.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.NOT_IMPLEMENTED):
        raise Rejected("engine.request", f"llama.cpp refuses the request: {said}")
    raise Unavailable("engine.answer", f"llama.cpp answers {response.status_code}: {said}", status=response.status_code)


def _settings(wanted: TextRequest) -> dict[str, Json]:
    """The server's request but for the prompt. Every setting is spelled out: defaults change with versions."""
    asked: dict[str, Json] = {
        "n_predict": wanted.max_tokens,
        "stream": True,
        "return_tokens": True,
        "samplers": SAMPLER,
        "temperature": wanted.temperature,
        "top_k": wanted.top_k,
        "top_p": wanted.top_p,
        "min_p": wanted.min_p,
        "repeat_penalty": wanted.repeat_penalty,
        "repeat_last_n": PENALISED_TOKENS,
        "presence_penalty": wanted.presence_penalty,
        "frequency_penalty": wanted.frequency_penalty,
        "seed": wanted.seed,
        "n_probs": max(1, wanted.top_logprobs) if wanted.logprobs else 0,
        "post_sampling_probs": False,
        "min_keep": 0,
        "n_keep": 0,
        "ignore_eos": False,
        "stop": (),
    }
    if wanted.response_format is not None:
        schema = asked_schema(wanted.response_format)
        if schema is not None:
            asked["json_schema"] = schema
    return asked


def _token(event: JsonObject, wanted: TextRequest) -> _Token:
    try:
        entries = as_list(event.get("completion_probabilities", ()), "probabilities", items_max=4096)
        return _Token(
            as_text(event.get("content"), "content"),
            _ids(event.get("tokens")),
            as_integer(event.get("tokens_predicted"), "tokens_predicted"),
            tuple(_logprob(entry, wanted.top_logprobs) for entry in entries) if wanted.logprobs else (),
        )
    except Malformed as error:
        raise Unavailable("engine.answer", f"llama.cpp's answer cannot be read: {error.message}") from error


def _ids(value: Json) -> tuple[int, ...]:
    try:
        return tuple(as_integer(token, "token id") for token in as_list(value, "tokens", items_max=1 << 24))
    except Malformed as error:
        raise Unavailable("engine.answer", f"llama.cpp's answer cannot be read: {error.message}") from error


def _logprob(value: Json, top: int) -> JsonObject:
    entry = as_object(value, "probability")
    others = as_list(entry.get("top_logprobs", ()), "top_logprobs", items_max=64)
    return {**_entry(entry), "top_logprobs": [_entry(as_object(other, "probability")) for other in others[:top]]}


def _entry(entry: JsonObject) -> dict[str, Json]:
    logprob = entry.get("logprob")
    return {
        "token": as_text(entry.get("token"), "token"),
        "logprob": float(logprob) if isinstance(logprob, int | float) else NO_LOGPROB,
        "bytes": [
            as_integer(byte, "byte", 0, 255) for byte in as_list(entry.get("bytes", ()), "bytes", items_max=4096)
        ],
    }


async def open_llama(
    path: Path,
    *,
    context_tokens: int = 4096,
    slots: int = 4,
    threads: int = 1,
    embeddings: bool = False,
    chat_template: str | None = None,
    deadline_s: float = DEADLINE_S,
    memory_bytes: int | None = None,
) -> LlamaEngine:
    """Inspect a GGUF file and load it in a confined process.

    Args:
        path: the model.
        context_tokens: tokens of prompt and answer of one request; at most what the model was trained for.
        slots: requests that run at once; always one for weights in floating point.
        threads: threads that compute.
        embeddings: serve embeddings.
        chat_template: Jinja text in place of the one in the file.
        deadline_s: seconds that one answer may take.
        memory_bytes: address space of the process; by default 2 GiB, twice the file and twice the cache.

    Raises:
        Malformed: `model.gguf`.
        Rejected: `model.gguf_…`, `engine.model`, `engine.template`, `engine.context`.
        Unavailable: `engine.died`.
    """
    model, size, whole_path = await asyncio.to_thread(_read, path)
    trained = model.context_tokens
    if trained and context_tokens > trained:
        raise Rejected(
            "engine.context",
            f"the model was trained for {trained} tokens of context; asked for {context_tokens}",
            limit=trained,
            got=context_tokens,
        )
    slots = slots if model.quantised else 1
    key = secrets.token_urlsafe(32)
    sandbox = Sandbox(
        "paraph.adapters.engines.llama_worker",
        memory_bytes=memory_bytes or MEMORY_BYTES + 2 * size + 2 * model.cache_bytes(context_tokens * slots),
        hello={
            "path": whole_path,
            "context_tokens": context_tokens,
            "slots": slots,
            "threads": threads,
            "cache_prompt": model.quantised,
            "embeddings": embeddings,
            "pooled": f"{model.architecture}.pooling_type" in model.metadata,
            "key": key,
        },
    )
    jinja = model.chat_template if chat_template is None else chat_template
    template = ChatTemplate(jinja, bos=model.special_token("bos"), eos=model.special_token("eos")) if jinja else None
    engine = LlamaEngine(
        _profile(model, jinja, threads),
        sandbox,
        key,
        template,
        context_tokens=context_tokens,
        slots=slots,
        embeddings=embeddings,
        deadline_s=deadline_s,
    )
    try:
        await sandbox.started()
        if template is not None:
            await template.started()
    except BaseException:
        await engine.close()
        raise
    return engine


def _read(path: Path) -> tuple[Gguf, int, str]:
    return read_gguf(path), path.stat().st_size, str(path.resolve())


def _profile(model: Gguf, jinja: str, threads: int) -> EngineProfile:
    isa = isa_class()
    return EngineProfile(
        engine="llama.cpp",
        engine_version=f"xllamacpp {version('xllamacpp')}",
        # The wheel is built for AVX2 and nothing above it, so every x86 node computes alike.
        isa="x86_64-avx2" if isa.startswith("x86_64") else isa,
        threads=threads,
        optimisation="",
        batch_class="invariant" if model.quantised else "single",
        flash_attention="on",
        kv_type="f16",
        chat_template_digest="0x" + hashlib.sha256(jinja.encode()).hexdigest() if jinja else "",
        sampler=";".join(SAMPLER),
        bit_exact="yes",
    )
