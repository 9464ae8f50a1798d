"""`paraph chat` shows text as it comes and says whether it verified; what did not is never left standing unmarked."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result
from tests.support.build import TRUST, build, valid

from paraph.adapters.http.client import Done, Shown
from paraph.cli.program import paraph
from paraph.core.errors import Rejected, Unverified
from paraph.proofs.check import verify
from paraph.sdk.answer import Answer
from paraph.sdk.stream import Stream

LIE = Unverified((("stream.digest", "what was shown is not what the receipt signs"),))


class FakeClient:
    """Stands for the SDK's client: plays events, and remembers the messages."""

    def __init__(self, *turns: Any) -> None:
        self.turns = list(turns)
        self.asked: list[tuple[Any, dict[str, Any]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def models(self) -> dict[bytes, Any]:
        return {b"1": SimpleNamespace(name="m", kind="text"), b"2": SimpleNamespace(name="t", kind="tensor")}

    def offer(self, model: str) -> None:
        if model != "m":
            raise Rejected("models.unknown", "no such model")

    def chat(self, model: str, messages: Any, **options: Any) -> Answer:
        self.asked.append((messages, options))
        return Answer(verify(self.turns.pop(0), TRUST))

    def chat_stream(self, model: str, messages: Any, **options: Any) -> Stream:
        self.asked.append((messages, options))
        return Stream(self._play(self.turns.pop(0)))

    def settled(self, answer: Answer, patience_s: float = 30) -> Answer:
        return Answer(verify(valid("text").bundle, TRUST))

    def _play(self, turn: Any) -> Iterator[Any]:
        for piece in ("Par", "is."):
            yield Shown({"text": piece})
        if isinstance(turn, Exception):
            raise turn
        yield Done(verify(turn, TRUST))


def run(client: FakeClient, monkeypatch: pytest.MonkeyPatch, *words: str, **more: Any) -> Result:
    monkeypatch.setattr("paraph.cli.chat.open_client", lambda *arguments: client)
    return CliRunner().invoke(paraph, ["chat", *words], **more)


BUNDLE = valid("text", settled=False).bundle


def test_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The options reach the request, the text standard output, the verdict standard error, the bundle its file."""
    client = FakeClient(BUNDLE)
    words = ["m", "hi", "--system", "s", "--max-tokens", "3", "--seed", "4", "--stop", "x", "--max-price", "0.5"]

    result = run(client, monkeypatch, *words, "--save", str(tmp_path / "a.json"))

    messages, options = client.asked[0]
    assert result.stdout == "Paris.\n"
    assert "✓ verified" in result.stderr
    assert "not settled yet" in result.stderr
    assert [message["role"] for message in messages] == ["system", "user"]
    assert options | {"max_tokens": 3, "seed": 4, "stop": ["x"], "max_price": 5 * 10**17} == options
    assert "temperature" not in options
    assert (tmp_path / "a.json").read_bytes().strip() == BUNDLE.encode()


def test_unverified_text_is_marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Text that was shown and does not verify is called so; nothing is saved, and the exit code is 1."""
    result = run(FakeClient(LIE), monkeypatch, "m", "hi", "--save", str(tmp_path / "a.json"))

    assert result.exit_code == 1
    assert "NOT VERIFIED: do not rely on the text above" in result.stderr
    assert "[stream.digest]" in result.stderr
    assert "✓" not in result.output
    assert not (tmp_path / "a.json").exists()


def test_wait_saves_the_settlement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With --wait the saved file has the proof of the settlement."""
    result = run(FakeClient(BUNDLE), monkeypatch, "m", "hi", "--wait", "--save", str(tmp_path / "a.json"))

    assert "· settled ·" in result.stderr
    assert (tmp_path / "a.json").read_bytes().strip() == valid("text").bundle.encode()


def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json nothing but JSON, and only when it verified."""
    result = run(FakeClient(BUNDLE), monkeypatch, "m", "hi", "--json")
    changed = build("text", receipt={"price": 3}).bundle
    refused = run(FakeClient(changed), monkeypatch, "m", "hi", "--json")

    assert json.loads(result.stdout)["text"] == "Paris."
    assert json.loads(result.stdout)["verified"] is True
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert json.loads(refused.stderr)["error"]["code"] == "registry.price"


def test_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of a pipe are turns; the history is sent along; an empty line ends it."""
    client = FakeClient(BUNDLE, BUNDLE)

    result = run(client, monkeypatch, input="one\ntwo\n\nnever\n")

    assert result.exit_code == 0
    assert [message["content"] for message in client.asked[1][0]] == ["one", "Paris.", "two"]


def test_conversation_stops_at_an_error_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads on in a pipe: what does not verify ends it, and enters no history."""
    client = FakeClient(LIE, BUNDLE)

    result = run(client, monkeypatch, "m", input="one\ntwo\n")

    assert result.exit_code == 1
    assert len(client.asked) == 1


def test_message_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is all of standard input."""
    client = FakeClient(BUNDLE)

    run(client, monkeypatch, "--model", "m", "-", input="line one\nline two\n")

    assert client.asked[0][0][0]["content"] == "line one\nline two\n"


def test_unknown_model_is_told_before_the_first_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped name of a model ends the conversation before it begins."""
    client = FakeClient()

    result = run(client, monkeypatch, "mm", input="one\n")

    assert result.exit_code == 1
    assert client.asked == []
