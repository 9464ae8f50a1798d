"""Another server's answers are passed on whole, and its failures are named."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from paraph.adapters.engines.openai_upstream import EXTENDED, OpenAIUpstream, Upstream, open_upstream
from paraph.core.encode import JsonObject
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.flows.ports import Finish, Given, Piece, TextEvent

CHAT: JsonObject = {"kind": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
USAGE: JsonObject = {"prompt_tokens": 3, "completion_tokens": 2}


class Server(BaseHTTPRequestHandler):
    """Answers what the test put into `script`, and keeps what it was asked."""

    script: ClassVar[list[Any]] = []
    status: ClassVar[int] = 200
    asked: ClassVar[list[Any]] = []
    headers_seen: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [{"id": "m", "owned_by": "someone 1.2"}]}).encode())

    def do_POST(self) -> None:
        type(self).asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        type(self).headers_seen.append(dict(self.headers))
        if self.status != 200 or not isinstance(self.script, list):
            self._send(self.status, json.dumps(self.script).encode())
            return
        lines = [line if isinstance(line, bytes) else b"data: " + json.dumps(line).encode() for line in self.script]
        self._send(200, b"\r\n\r\n".join(lines) + b"\n\n")

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Server.script, Server.status, Server.asked, Server.headers_seen = [], 200, [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def with_upstream(address: str, work: Any, **settings: Any) -> Any:
    async def run() -> Any:
        settings.setdefault("parameters", EXTENDED)
        engine = await open_upstream(Upstream(address, "m", 100, **settings))
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


def answer(address: str, request: JsonObject = CHAT, **settings: Any) -> list[TextEvent]:
    async def work(engine: OpenAIUpstream) -> list[TextEvent]:
        return [event async for event in engine.generate(request)]

    found: list[TextEvent] = with_upstream(address, work, **settings)
    return found


def fails(address: str, request: JsonObject = CHAT, **settings: Any) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        answer(address, request, **settings)
    return caught.value


def delta(finish: str | None = None, logprobs: Any = None, **members: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": members, "finish_reason": finish, "logprobs": logprobs}]}


END = [delta("stop"), {"choices": [], "usage": USAGE}, b"data: [DONE]"]


def test_pieces_are_passed_on_as_they_come(address: str) -> None:
    """Text, tool calls and log-probabilities; the end with reason and usage."""
    call: JsonObject = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}
    entry: JsonObject = {"token": "B", "logprob": -0.5, "bytes": [66], "top_logprobs": []}
    Server.script = [
        b": a comment",
        delta(role="assistant", content=""),
        delta(content="B", logprobs={"content": [entry]}),
        delta(tool_calls=[call]),
        delta("tool_calls"),
        {"choices": [], "usage": USAGE},
        b"data: [DONE]",
        b"data: what comes after is not read",
    ]

    events = answer(address)

    assert events[1:] == [Piece("B", (), (entry,)), Piece("", (), (), (call,)), Finish("tool_calls", 3, 2)]


def test_every_member_reaches_the_server_and_none_else(address: str) -> None:
    """Under the server's own names; what was sent is what `Given` tells."""
    Server.script = END
    request = {
        **CHAT, "temperature": 0.5, "top_k": 3, "repeat_penalty": 1.1, "seed": 9, "stop": ["x"], "logprobs": False,
        "top_logprobs": 0, "tools": [{"type": "function"}], "tool_choice": "auto", "response_format": {"type": "text"},
    }  # fmt: skip

    events = answer(address, request, names={"repeat_penalty": "repetition_penalty"}, api_key="k")

    assert Server.asked == [
        {
            "model": "m", "messages": CHAT["messages"], "max_tokens": 5, "stream": True, "temperature": 0.5, "top_k": 3,
            "stream_options": {"include_usage": True}, "repetition_penalty": 1.1, "seed": 9, "stop": ["x"],
            "logprobs": False, "tools": [{"type": "function"}], "tool_choice": "auto",
            "response_format": {"type": "text"},
        }
    ]  # fmt: skip
    assert isinstance(events[0], Given)
    assert json.loads(events[0].text) == Server.asked[0]
    assert Server.headers_seen[0]["Authorization"] == "Bearer k"


def test_completions_use_the_older_form(address: str) -> None:
    """Log-probabilities are asked for by number and come as parallel lists."""
    lists = {"tokens": ["é"], "token_logprobs": [None], "top_logprobs": [{"é": -1, "e": -2.5}]}
    Server.script = [{"choices": [{"text": "é", "logprobs": lists, "finish_reason": "length"}], "usage": USAGE}]

    events = answer(
        address, {"kind": "completion", "prompt": "x", "max_tokens": 1, "logprobs": True, "top_logprobs": 2}
    )

    entry: JsonObject = {
        "token": "é",
        "logprob": -9999.0,
        "bytes": [195, 169],
        "top_logprobs": [
            {"token": "é", "logprob": -1.0, "bytes": [195, 169]},
            {"token": "e", "logprob": -2.5, "bytes": [101]},
        ],
    }
    assert events[1:] == [Piece("é", (), (entry,)), Finish("length", 3, 2)]
    assert Server.asked[0]["logprobs"] == 2
    assert "top_logprobs" not in Server.asked[0]


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, Rejected, "engine.upstream"),
        (404, Rejected, "engine.upstream"),
        (422, Rejected, "engine.upstream"),
        (401, Unavailable, "engine.upstream_key"),
        (403, Unavailable, "engine.upstream_key"),
        (429, Unavailable, "engine.upstream"),
        (500, Unavailable, "engine.upstream"),
        (503, Unavailable, "engine.upstream"),
        (302, Unavailable, "engine.upstream"),
    ],
)
def test_a_status_becomes_what_the_caller_can_do(address: str, status: int, kind: type, code: str) -> None:
    """A refusal of the request is the caller's to change; anything else may be tried again."""
    Server.status, Server.script = status, {"error": {"message": "because"}}  # type: ignore[assignment]

    error = fails(address, api_key="hunter2")

    assert (type(error), error.code) == (kind, code)
    assert "hunter2" not in str(error.as_json())


def test_the_servers_reason_is_told(address: str) -> None:
    """Its message stands in ours."""
    Server.status, Server.script = 400, {"error": {"message": "max_tokens is too large"}}  # type: ignore[assignment]

    assert "max_tokens is too large" in fails(address).message


@pytest.mark.parametrize(
    "script",
    [
        [delta(content="B")],
        [delta("stop", content="B"), b"data: [DONE]"],
        [{"choices": [], "usage": USAGE}],
        [b"data: {nonsense"],
        [b"data: 3"],
        [delta(content=3)],
        [{"choices": [1]}],
        [delta("stop"), {"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 1}}],
        [delta(content="B", logprobs={"tokens": ["B"], "token_logprobs": []})],
        [{"error": {"message": "out of memory"}}],
        [b"error: out of memory"],
    ],
    ids=[
        "cut",
        "no usage",
        "no reason",
        "no json",
        "no object",
        "text",
        "choice",
        "usage",
        "logprobs",
        "error",
        "error line",
    ],
)
def test_an_answer_that_is_not_whole_is_unavailable(address: str, script: list[Any]) -> None:
    """No answer without an end, a reason and a count is passed for one."""
    Server.script = script

    error = fails(address)

    assert isinstance(error, Unavailable)
    assert error.code in ("engine.answer", "engine.upstream")


def test_only_declared_parameters_are_sent(address: str) -> None:
    """A server that was not declared to honour a member is never asked to."""
    error = fails(address, {**CHAT, "top_k": 3}, parameters=frozenset({"seed"}))

    assert (error.code, Server.asked) == ("engine.parameter", [])


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"parameters": frozenset({"magic"})}, "engine.parameter"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "engine.upstream"),
    ],
    ids=["parameter", "address"],
)
def test_a_wrong_setting_is_told_at_the_start(address: str, settings: dict[str, Any], code: str) -> None:
    """Before the node announces the model."""
    with pytest.raises(ParaphError) as caught:
        asyncio.run(open_upstream(Upstream(**{"base_url": address, "model": "m", "context_tokens": 9, **settings})))

    assert caught.value.code == code


def test_a_model_that_the_server_has_not_is_told(address: str) -> None:
    """With the names of those it has."""
    with pytest.raises(Rejected) as caught:
        asyncio.run(open_upstream(Upstream(address, "other", 9)))

    assert caught.value.code == "engine.upstream_model"
    assert "'m'" in caught.value.message


def test_the_profile_promises_nothing(address: str) -> None:
    """What the server says of itself stands in it, and that its bits may change."""
    profile = with_upstream(address, lambda engine: asyncio.sleep(0, engine.profile))

    assert (profile.engine, profile.engine_version, profile.bit_exact) == ("openai-upstream", "someone 1.2", "no")


def test_the_key_is_not_shown() -> None:
    """Not even in the settings' own text."""
    assert "hunter2" not in repr(Upstream("http://x/v1", "m", 9, api_key="hunter2"))


def test_embeddings_come_in_the_order_of_the_texts(address: str) -> None:
    """Whatever order the server sends them in."""
    Server.script = {  # type: ignore[assignment]
        "data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 4},
    }

    assert with_upstream(address, lambda engine: engine.embed(("a", "b")), embeddings=True) == (((0.5,), (2.0,)), 4)


@pytest.mark.parametrize(
    "data", [[], [{"index": 0, "embedding": ["x"]}], [{"index": 1, "embedding": [1]}], [{}]], ids=str
)
def test_embeddings_that_do_not_fit_are_unavailable(address: str, data: list[Any]) -> None:
    """A vector for each text, of numbers."""
    Server.script = {"data": data, "usage": {"prompt_tokens": 4}}  # type: ignore[assignment]

    with pytest.raises(Unavailable) as caught:
        with_upstream(address, lambda engine: engine.embed(("a",)), embeddings=True)

    assert caught.value.code == "engine.answer"
