"""The stock OpenAI client against `paraph proxy`: it gets verified answers, or an error, and never anything else."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from paraph.devnet.network import Devnet
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import verify
from paraph.proofs.policy import decode_trust
from paraph.sdk import Client

pytestmark = [pytest.mark.e2e, pytest.mark.models]

MODEL = "smollm2-135m-instruct"
FORGED = "‽"
"""What the model never says by itself."""
HELLO: Any = [{"role": "user", "content": "Say hello to Ada."}]


@contextmanager
def proxied(devnet: Devnet, *options: str) -> Iterator[openai.OpenAI]:
    """A client of a proxy that pays with the devnet's user."""
    command = [sys.executable, "-m", "paraph.cli", "proxy", "--port", "0", "--json", *options]
    wallet = ["--wallet", str(devnet.key_file("user")), "--password-file", str(devnet.home / "password")]
    process = subprocess.Popen(
        [*command, "--network", str(devnet.network_file), *wallet],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        with openai.OpenAI(base_url=told["base_url"], api_key="none") as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "answers"


@pytest.fixture(scope="module")
def client(devnet: Devnet, kept: Path) -> Iterator[openai.OpenAI]:
    with proxied(devnet, "--save-dir", str(kept), "--map", f"gpt-4o-mini={MODEL}") as found:
        yield found


@pytest.fixture(scope="module")
def buffered(devnet: Devnet) -> Iterator[openai.OpenAI]:
    with proxied(devnet, "--buffer") as found:
        yield found


# --- honest nodes ------------------------------------------------------------------------------------------------


def test_models_are_listed(client: openai.OpenAI) -> None:
    """The language models that a node serves, under their names and the names given to them."""
    assert {model.id for model in client.models.list()} == {MODEL, "gpt-4o-mini"}
    assert client.models.retrieve(MODEL).id == MODEL


def test_chat(client: openai.OpenAI, devnet: Devnet, kept: Path) -> None:
    """A chat answer comes with its usage and its verdict, and the kept file verifies offline."""
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=12, temperature=0)

    about: Any = answer.model_extra["paraph"]  # type: ignore[index]
    bundle = decode_bundle(Path(about["saved"]).read_bytes())
    assert about["verified"] is True
    assert verify(bundle, decode_trust(devnet.trust_file.read_bytes())).verdict.verified
    assert answer.choices[0].message.content == bundle.answer.response["text"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == bundle.answer.receipt.receipt.output_units


def test_chat_under_another_name(client: openai.OpenAI) -> None:
    """A client that insists on a name gets the model that was meant."""
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, max_tokens=4)

    assert answer.model == "gpt-4o-mini"
    assert answer.choices[0].message.content


@pytest.mark.parametrize("which", ["client", "buffered"])
def test_stream(which: str, request: pytest.FixtureRequest) -> None:
    """A stream gives text, then a finish reason with the verdict, then the usage that was asked for."""
    asked: openai.OpenAI = request.getfixturevalue(which)

    events = list(
        asked.chat.completions.create(
            model=MODEL,
            messages=HELLO,
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    whole = asked.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=8, temperature=0)
    texts = [event.choices[0].delta.content or "" for event in events if event.choices]
    about: Any = events[-2].model_extra["paraph"]  # type: ignore[index]
    assert "".join(texts) == whole.choices[0].message.content
    assert [event.choices[0].finish_reason for event in events if event.choices][-1] == "length"
    assert about["verified"] is True
    assert events[-1].usage == whole.usage
    assert len(texts) > 3 or which == "buffered"


def test_completion(client: openai.OpenAI) -> None:
    """The older completions API works as well, streamed and not."""
    whole = client.completions.create(model=MODEL, prompt="Once upon a", max_tokens=6, temperature=0)
    stream = client.completions.create(model=MODEL, prompt="Once upon a", max_tokens=6, temperature=0, stream=True)

    assert whole.choices[0].text
    assert "".join(event.choices[0].text for event in stream) == whole.choices[0].text


def test_embeddings_are_refused_clearly(client: openai.OpenAI) -> None:
    """A model that makes no embeddings says so, with a code."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model=MODEL, input="hello")

    assert caught.value.status_code == 501
    assert caught.value.code == "engine.no_embeddings"


@pytest.mark.parametrize(
    ("asked", "kind", "code"),
    [
        ({"model": "nobody/nothing"}, openai.NotFoundError, "models.unknown"),
        ({"temperature": 9}, openai.BadRequestError, "request.parameter"),
        ({"user": "me"}, openai.BadRequestError, "request.unknown_parameter"),
        ({"n": 2}, openai.BadRequestError, "request.unknown_parameter"),
        ({"stream_options": {"include_usage": True}}, openai.BadRequestError, "request.parameter"),
    ],
)
def test_refusals(client: openai.OpenAI, asked: dict[str, Any], kind: type[openai.APIStatusError], code: str) -> None:
    """What cannot be honoured is refused with a code and the right status; nothing is dropped."""
    arguments: dict[str, Any] = {"model": MODEL, "messages": HELLO, **asked}

    with pytest.raises(kind) as caught:
        client.chat.completions.create(**arguments)

    assert caught.value.code == code


def test_tools_reach_the_engine(client: openai.OpenAI) -> None:
    """Tools are passed on; this engine has none and says so, instead of leaving them out."""
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}

    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=HELLO, tools=[tool])

    assert caught.value.code == "request.unhonoured_parameter"


# --- a node that lies --------------------------------------------------------------------------------------------

Lie = Callable[[dict[str, Any]], None]


def in_text(answer: dict[str, Any]) -> None:
    """One letter of the text."""
    text = answer["response"]["text"]
    answer["response"]["text"] = chr(ord(text[0]) ^ 1) + text[1:]


def in_price(answer: dict[str, Any]) -> None:
    """One wei of the price."""
    answer["receipt"]["price"] = str(int(answer["receipt"]["price"]) + 1)


def in_signature(answer: dict[str, Any]) -> None:
    """One bit of the signature."""
    signature = answer["receipt"]["signature"]
    answer["receipt"]["signature"] = (
        signature[:10] + "0123456789abcdef"["1032547698badcfe".index(signature[10])] + signature[11:]
    )


@contextmanager
def tampering(devnet: Devnet, lie: Lie, *, chunks: bool = False) -> Iterator[list[str]]:
    """The devnet's node seen through a machine that changes its answers (or with `chunks` its third piece).

    Yields the paths that were asked. The ledger names that machine as the node's endpoint meanwhile.
    """
    asked: list[str] = []
    with Client.open(devnet.network_file, devnet.key("operator")) as operator:
        mine = operator.nodes()[operator.account]

        class Between(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                reply = httpx.post(mine.endpoint + self.path, content=body, timeout=60, trust_env=False)
                kind = reply.headers["content-type"]
                data = changed_stream(reply.text) if kind.startswith("text/event-stream") else changed(reply.json())
                self.send_response(reply.status_code)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                pass

        def changed(answer: dict[str, Any]) -> bytes:
            lie(answer)
            return json.dumps(answer).encode()

        def changed_stream(text: str) -> bytes:
            events = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
            if chunks:
                events[2]["chunk"]["text"] += FORGED
            else:
                lie(events[-1]["answer"])
            return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Between)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            operator.transact(NODES, "update", url, mine.layers, mine.models)
            yield asked
        finally:
            operator.transact(NODES, "update", mine.endpoint, mine.layers, mine.models)
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.mark.parametrize("lie", [in_text, in_price, in_signature])
def test_a_changed_answer_is_an_error(client: openai.OpenAI, devnet: Devnet, kept: Path, lie: Lie) -> None:
    """A changed answer is a 502 with a code, asked for once, and kept nowhere."""
    before = set(kept.glob("*")) if kept.exists() else set()

    with tampering(devnet, lie) as asked, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=6)

    assert caught.value.status_code == 502
    assert caught.value.type == "unverified"
    # A second question would be a second payment.
    assert len(asked) == 1
    assert (set(kept.glob("*")) if kept.exists() else set()) == before


@pytest.mark.parametrize("lie", [in_text, in_price, in_signature])
def test_a_changed_end_ends_a_stream_in_an_error(client: openai.OpenAI, devnet: Devnet, lie: Lie) -> None:
    """The text has passed; what follows is an error, no finish reason, and nothing that says verified."""
    events: list[Any] = []

    with tampering(devnet, lie), pytest.raises(openai.APIError) as caught:
        events.extend(client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=6, stream=True))

    assert caught.value.type == "unverified"
    assert all(event.choices[0].finish_reason is None and not event.model_extra for event in events)


def test_a_changed_piece_is_not_shown(client: openai.OpenAI, devnet: Devnet) -> None:
    """A piece whose running digest does not hold is not passed on, nor any after it."""
    events: list[Any] = []

    with tampering(devnet, in_text, chunks=True), pytest.raises(openai.APIError):
        events.extend(client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=6, stream=True))

    assert len(events) == 2
    assert FORGED not in "".join(event.choices[0].delta.content for event in events)


@pytest.mark.parametrize("lie", [in_text, in_signature])
def test_buffered_shows_nothing_of_a_lie(buffered: openai.OpenAI, devnet: Devnet, lie: Lie) -> None:
    """With --buffer, a streamed answer that does not verify is a 502 before its first byte."""
    with tampering(devnet, lie), pytest.raises(openai.InternalServerError) as caught:
        buffered.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=6, stream=True)

    assert caught.value.status_code == 502


# --- strangers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"host": "evil.example"}, {"sec-fetch-site": "cross-site"}],
    ids=["another site", "another name", "a page's form"],
)
def test_strangers_are_refused(client: openai.OpenAI, headers: dict[str, str]) -> None:
    """A web page cannot spend the escrow through the proxy, whatever it sends."""
    body = {"model": MODEL, "messages": HELLO}

    reply = httpx.post(f"{client.base_url}chat/completions", json=body, headers=headers, trust_env=False)

    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "proxy.stranger"
