"""The proxy gives verified answers and errors, whatever the flows behind it do, and serves nobody but this machine."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.build import PAYER, TRUST, build, valid

from paraph.adapters.http.client import Done, Shown
from paraph.adapters.http.openai import travel
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified
from paraph.core.tensor import Tensor
from paraph.proofs.bundle import Bundle, decode_bundle
from paraph.proofs.check import verify
from paraph.sdk.network import Network
from paraph.sdk.proxy import Proxy, Settings

LIE = Unverified((("receipt.digests", "not what the receipt signs"),))
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def said(**response: Json) -> Bundle:
    return build("text", response={**valid("text").bundle.answer.response, **response}).bundle


class World:
    """Stands for the flows and their driver: plays what it is told, and remembers what was asked."""

    def __init__(self, *events: Bundle | JsonObject | ParaphError) -> None:
        self.events = events
        self.asked: list[dict[str, Any]] = []
        self.closed = 0

    def openai(self, kind: str, model: str, asked: JsonObject, options: Any, *, stream: bool = False) -> None:
        self.asked.append({"kind": kind, "model": model, "asked": asked, "options": options, "stream": stream})

    async def play(self, flow: None) -> AsyncIterator[Shown | Done[Any]]:
        try:
            for event in self.events:
                if isinstance(event, ParaphError):
                    raise event
                yield Done(verify(event, TRUST)) if isinstance(event, Bundle) else Shown(event)
        finally:
            self.closed += 1


Ask = Callable[..., Any]


def proxy(world: World, settings: Settings | None = None) -> Proxy:
    made = Proxy(Network("http://127.0.0.1:1", TRUST), PAYER, settings or Settings())
    made._orders = made._driver = world  # type: ignore[assignment]
    return made


def ask(
    world: World,
    body: Any = CHAT,
    *,
    path: str = "/v1/chat/completions",
    settings: Settings | None = None,
    headers: dict[str, str] | None = None,
    method: str = "POST",
) -> httpx.Response:
    """What the proxy answers."""
    import asyncio

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(proxy(world, settings).app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:11435") as client:
            return await client.request(
                method, path, content=body if isinstance(body, bytes) else json.dumps(body), headers=headers
            )

    return asyncio.run(asked())


def events_of(reply: httpx.Response) -> list[Any]:
    assert reply.headers["content-type"].startswith("text/event-stream")
    lines = [line[6:] for line in reply.text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


# --- whole answers -----------------------------------------------------------------------------------------------


def test_whole_answer() -> None:
    """A verified answer has its text, usage and finish, and beside them the verdict, the receipt and the price."""
    world = World(said())

    reply = ask(world, {**CHAT, "max_tokens": 5})

    found = reply.json()
    assert found["choices"][0]["message"] == {"role": "assistant", "content": "Paris."}
    assert found["choices"][0]["finish_reason"] == "stop"
    assert found["usage"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    assert found["model"] == "m"
    assert found["paraph"]["verified"] is True
    assert found["paraph"]["price"]["opg"] == "0.001018"
    assert found["id"] == "paraph-" + found["paraph"]["receipt"]["request_key"][2:26]
    assert world.asked[0]["asked"]["max_tokens"] == 5
    assert world.asked[0]["stream"] is False


def test_completion() -> None:
    """A text completion has its older form."""
    reply = ask(World(said()), {"model": "m", "prompt": "x"}, path="/v1/completions")

    assert reply.json()["object"] == "text_completion"
    assert reply.json()["choices"][0]["text"] == "Paris."


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(encoding: str) -> None:
    """Embeddings come as floats or as base64 of them."""
    row = Tensor("embedding-0", "FP32", (2,), b"\0\0\x80\x3f\0\0\0\x40")
    response: JsonObject = {
        "kind": "embeddings",
        "embeddings": [row.as_json()],
        "usage": {"input_tokens": 2, "output_tokens": 0},
    }
    body: JsonObject = {"kind": "embeddings", "model": valid("text").bundle.body["model"], "inputs": ["hi"]}
    bundle = build("text", body=body, given=None, response=response).bundle

    reply = ask(World(bundle), {"model": "m", "input": "hi", "encoding_format": encoding}, path="/v1/embeddings")

    expected = [1.0, 2.0] if encoding == "float" else "AACAPwAAAEA="
    assert reply.json()["data"][0]["embedding"] == expected
    assert reply.json()["paraph"]["verified"] is True


@pytest.mark.parametrize(
    ("error", "status", "again"),
    [
        (LIE, 502, "false"),
        (Malformed("request.parameter", "no", parameter="top_p"), 400, "false"),
        (Rejected("request.x", "no"), 400, "false"),
        (Rejected("models.unknown", "no"), 404, "false"),
        (Rejected("escrow.empty", "deposit first"), 402, "false"),
        (Unavailable("http.unreachable", "nobody"), 503, "false"),
        (Unavailable("node.busy", "later"), 429, "true"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(error: ParaphError, status: int, again: str, stream: bool) -> None:
    """What fails before a byte is sent has its status and code; only a full queue is worth asking again."""
    reply = ask(World(error), {**CHAT, "stream": stream})

    found = reply.json()["error"]
    assert reply.status_code == status
    assert (found["code"], found["type"], found["message"]) == (error.code, error.branch, error.message)
    assert found["param"] == error.facts.get("parameter")
    assert reply.headers["x-should-retry"] == again


# --- streams -----------------------------------------------------------------------------------------------------

PIECES: list[JsonObject] = [{"text": "Par"}, {"text": "is.", "logprobs": [{"token": "is"}]}]


@pytest.mark.parametrize("usage", [False, True])
def test_stream(usage: bool) -> None:
    """Pieces as they come, the finish with the verdict, the usage if it was asked for, and [DONE]."""
    world = World(*PIECES, said())
    options = {"stream_options": {"include_usage": True}} if usage else {}

    events = events_of(ask(world, {**CHAT, "stream": True, **options}))

    assert [event["choices"][0]["delta"]["content"] for event in events[:2]] == ["Par", "is."]
    assert events[1]["choices"][0]["logprobs"]["content"] == [{"token": "is"}]
    assert events[2]["choices"][0]["finish_reason"] == "stop"
    assert events[2]["paraph"]["verified"] is True
    assert events[-1] == "[DONE]"
    assert len(events) == (5 if usage else 4)
    assert len({event["id"] for event in events[:-1]}) == 1
    assert world.closed == 1


def test_stream_that_does_not_verify() -> None:
    """Its last event is the error: no finish, no verdict, no [DONE]."""
    events = events_of(ask(World(*PIECES, LIE), {**CHAT, "stream": True}))

    assert events[-1]["error"]["code"] == "receipt.digests"
    assert len(events) == 3
    assert all("paraph" not in event for event in events)
    assert all(event["choices"][0]["finish_reason"] is None for event in events[:-1])


def test_stream_without_a_piece() -> None:
    """An answer of nothing is a stream of its end."""
    events = events_of(ask(World(said()), {**CHAT, "stream": True}))

    assert [event if isinstance(event, str) else event["choices"][0]["finish_reason"] for event in events] == [
        "stop",
        "[DONE]",
    ]


def test_buffered_stream() -> None:
    """With `buffer` the whole verified answer is one piece; the node is not asked for a stream."""
    calls: Json = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    world = World(said(tool_calls=calls))

    events = events_of(ask(world, {**CHAT, "stream": True}, settings=Settings(buffer=True)))

    delta = events[0]["choices"][0]["delta"]
    assert delta["content"] == "Paris."
    assert delta["tool_calls"][0] | {"index": 0, "id": "1"} == delta["tool_calls"][0]
    assert events[0]["choices"][0]["logprobs"]["content"]
    assert events[1]["paraph"]["verified"] is True
    assert world.asked[0]["stream"] is False


def test_buffered_stream_that_does_not_verify() -> None:
    """Nothing of it is shown: a 502, although pieces had come."""
    reply = ask(World(*PIECES, LIE), {**CHAT, "stream": True}, settings=Settings(buffer=True))

    assert reply.status_code == 502
    assert "Par" not in reply.text


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (False, False)),
        ({"stream": None, "stream_options": None}, (False, False)),
        ({"stream": True}, (True, False)),
        ({"stream": True, "stream_options": {}}, (True, False)),
        ({"stream": True, "stream_options": {"include_usage": True}}, (True, True)),
    ],
)
def test_travel(asked: JsonObject, expected: tuple[bool, bool]) -> None:
    """How an answer travels."""
    assert travel(asked) == expected


@pytest.mark.parametrize(
    "asked",
    [
        {"stream": 1},
        {"stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"include_usage": 1}},
        {"stream": True, "stream_options": {"other": True}},
        {"stream": True, "stream_options": []},
    ],
)
def test_bad_travel(asked: JsonObject) -> None:
    """Anything else is refused, not dropped."""
    with pytest.raises(Malformed):
        travel(asked)


# --- settings ----------------------------------------------------------------------------------------------------


def test_aliases() -> None:
    """The model that is meant is asked; the name that was used is answered."""
    world = World(said())

    reply = ask(world, {**CHAT, "model": "gpt-4o"}, settings=Settings(aliases={"gpt-4o": "a/b"}))

    assert world.asked[0]["model"] == "a/b"
    assert reply.json()["model"] == "gpt-4o"


def test_terms() -> None:
    """The proxy's terms are those of every purchase."""
    world = World(said())

    ask(world, settings=Settings(options={"max_price": 7}))

    assert world.asked[0]["options"] == {"max_price": 7}


def test_answers_are_kept(tmp_path: Path) -> None:
    """A kept answer is a bundle that verifies; what does not verify is not kept."""
    kept = Settings(save=tmp_path)

    saved = ask(World(said()), settings=kept).json()["paraph"]["saved"]
    ask(World(LIE), settings=kept)

    assert [str(file) for file in tmp_path.iterdir()] == [saved]
    assert verify(decode_bundle(Path(saved).read_bytes()), TRUST).verdict.verified


def test_answer_that_cannot_be_kept(tmp_path: Path) -> None:
    """A disk that is full withholds no answer; `saved` says that it was not kept."""
    reply = ask(World(said()), settings=Settings(save=tmp_path / "nowhere"))

    assert reply.status_code == 200
    assert reply.json()["paraph"]["saved"] is None


# --- strangers and nonsense --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": ""},
        {"host": "127.0.0.1.evil.example:11435"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
    ids=str,
)
def test_strangers_are_refused(headers: dict[str, str]) -> None:
    """Other names of this machine and pages of other sites get nothing, and nothing is asked for them."""
    world = World(said())

    reply = ask(world, headers=headers)

    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "proxy.stranger"
    assert world.asked == []


@pytest.mark.parametrize(
    "headers",
    [{"host": "localhost:1"}, {"host": "[::1]:1"}, {"origin": "http://localhost:3000"}, {"sec-fetch-site": "none"}],
    ids=str,
)
def test_this_machine_is_served(headers: dict[str, str]) -> None:
    """This machine's own names and pages are served."""
    assert ask(World(said()), headers=headers).status_code == 200


def test_anyone_is_served_where_that_was_asked_for() -> None:
    """`dangerous_listen_anywhere` serves every name."""
    reply = ask(World(said()), headers={"host": "gpu.example"}, settings=Settings(loopback_only=False))

    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("body", "path", "status"),
    [
        (b"", "/v1/chat/completions", 400),
        (b"[]", "/v1/chat/completions", 400),
        (b'{"model": 1}', "/v1/chat/completions", 400),
        (b'{"model": "m", "model": "m"}', "/v1/chat/completions", 400),
        (b"\xff", "/v1/completions", 400),
        (b"[" * 9_999, "/v1/embeddings", 400),
        (b" " * (17 << 20), "/v1/completions", 413),
        (b'{"model": "m", "stream": true}', "/v1/embeddings", 400),
        (b'{"model": "m", "encoding_format": "hex"}', "/v1/embeddings", 400),
        (b"{}", "/v1/images/generations", 404),
    ],
)
def test_nonsense(body: bytes, path: str, status: int) -> None:
    """What is no request is an error in OpenAI's form, and costs nothing."""
    world = World(said())

    reply = ask(world, body, path=path)

    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "code", "param"}
    assert world.closed == 0


def test_other_methods() -> None:
    """A path asked with another method says so."""
    assert ask(World(), method="DELETE").status_code == 405


def test_unverified_bundle_never_becomes_an_answer() -> None:
    """Only what `verify` returned is shown: a bundle with a changed text raises before it gets here."""
    bundle = said()
    answer = replace(bundle.answer, response={**bundle.answer.response, "text": "Rome."})

    reply = ask(World(replace(bundle, answer=answer)))

    assert reply.status_code == 502
    assert "Rome" not in reply.text
