"""The engine's RPC when it lies or fails: every answer is bounded, and none is taken for another.

What it answers when all is well is tested with the real engine, in `test_engine.py`.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraph.adapters.comet import rpc as module
from paraph.adapters.comet.rpc import Accepted, EngineRpc, Full, Known, Refused
from paraph.core.encode import JsonObject
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable

Answer = Callable[[dict[str, Any]], bytes]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[EngineRpc]:
    """A client of a server that gives each request's body to `answer` and sends what it returns."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            writer.write(answer(json.loads(await reader.readexactly(size))))
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    with TemporaryDirectory() as folder:
        path = Path(folder) / "rpc.sock"
        server = await asyncio.start_unix_server(serve, path)
        rpc = EngineRpc(path)
        try:
            yield rpc
        finally:
            await rpc.close()
            server.close()


def http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def result(value: object) -> Answer:
    return lambda _: http(json.dumps({"jsonrpc": "2.0", "id": 0, "result": value}).encode())


def refusal(words: str) -> Answer:
    error = {"code": -32603, "message": "Internal error", "data": words}
    return lambda _: http(json.dumps({"jsonrpc": "2.0", "id": 0, "error": error}).encode())


def ask(answer: Answer, call: Callable[[EngineRpc], Coroutine[Any, Any, object]]) -> object:
    async def run() -> object:
        async with answering(answer) as rpc:
            return await call(rpc)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mempool is full: number of txs 5000 (max: 5000), total txs bytes 1 (max: 2)", Full()),
        ("mempool is still rechecking after a new committed block, so it is considered as full", Full()),
        ("tx already exists in cache", Known()),
        ("tx already seen", Known()),
    ],
    ids=["full", "rechecking", "cache", "seen"],
)
def test_words_of_a_broadcast(words: str, expected: object) -> None:
    """The engine says by words alone why it takes no transaction; each is told from the others."""
    assert ask(refusal(words), lambda rpc: rpc.broadcast(b"x")) == expected


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        ("Tx too large. Max size is 5, but got 6", Rejected, "comet.transaction_size"),
        ("endpoint is closed while node is catching up", Unavailable, "comet.catching_up"),
        ("something else", Unavailable, "comet.rpc"),
    ],
    ids=["size", "catching up", "other"],
)
def test_errors_of_a_broadcast(words: str, kind: type[ParaphError], code: str) -> None:
    """What says nothing of the transaction is an error of its own."""
    with pytest.raises(kind) as caught:
        ask(refusal(words), lambda rpc: rpc.broadcast(b"x"))

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda _: http(b"not json"), "json.syntax"),
        (lambda _: http(b"[]"), "json.shape"),
        (lambda _: http(b'{"id": 0, "result": 5}'), "json.shape"),
        (lambda _: http(b'{"id": 0, "result": {"code": -1, "log": ""}}'), "json.shape"),
        (lambda _: http(b'{"id": 0, "result": {"code": 1, "log": 5}}'), "json.shape"),
        (lambda _: http(b'{"error": "text"}'), "json.shape"),
        (lambda _: http(b"{}"), "comet.height"),
        (lambda _: http(b'{"result": null}'), "comet.height"),
        (lambda _: http(b'{"id": 1, "result": {"code": 0}}'), "comet.rpc_answer"),
        (lambda _: b"", "comet.rpc_unreachable"),
        (lambda _: b"SSH-2.0\r\n\r\n", "comet.rpc_unreachable"),
        (lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "comet.rpc_unreachable"),
    ],
    ids=[
        "text",
        "list",
        "number",
        "code",
        "log",
        "error",
        "empty",
        "null",
        "other call",
        "silence",
        "other protocol",
        "cut",
    ],
)
def test_answer_that_is_none(answer: Answer, code: str) -> None:
    """What is no answer is an error with a code, and never taken for an acceptance."""
    with pytest.raises(ParaphError) as caught:
        ask(answer, lambda rpc: rpc.broadcast(b"x"))

    assert caught.value.code == code


def several(*numbers: int) -> Answer:
    told = [{"jsonrpc": "2.0", "id": number, "result": {"code": number, "log": "no"}} for number in numbers]
    return lambda _: http(json.dumps(told).encode())


def test_broadcast_of_several() -> None:
    """Each transaction of a request has its own answer, in order."""
    assert ask(several(0, 1, 2), lambda rpc: rpc.broadcast_all([b"x", b"y", b"z"])) == (
        Accepted(),
        Refused(1, "no"),
        Refused(2, "no"),
    )


@pytest.mark.parametrize(
    "answer",
    [several(0, 1), several(0, 2, 1), result({"code": 0})],
    ids=["too few", "out of order", "one for all"],
)
def test_wrong_answers_to_several(answer: Answer) -> None:
    """Answers that are not one for each, in order, are taken for none."""
    with pytest.raises(Malformed) as caught:
        ask(answer, lambda rpc: rpc.broadcast_all([b"x", b"y", b"z"]))

    assert caught.value.code == "comet.rpc_answer"


@settings(max_examples=30)
@given(st.binary(max_size=300))
def test_any_bytes_are_no_acceptance(body: bytes) -> None:
    """Whatever bytes come back, a client either refuses them or has read them as an answer."""
    with pytest.raises(ParaphError):
        ask(lambda _: http(body), lambda rpc: rpc.status())


def test_answer_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless answer is cut off at the limit, not read to its end."""
    monkeypatch.setattr(module, "JSON_BYTES_MAX", 1_000)

    with pytest.raises(Malformed) as caught:
        ask(lambda _: http(b" " * 1_001), lambda rpc: rpc.status())

    assert caught.value.code == "comet.rpc_answer"


def test_validators_are_read_page_by_page() -> None:
    """A set of 250 takes three pages, and comes out in order."""

    def answer(request: dict[str, Any]) -> bytes:
        first = (int(request["params"]["page"]) - 1) * 100
        items = [{"n": number} for number in range(first, min(first + 100, 250))]
        return result({"block_height": "5", "validators": items, "count": str(len(items)), "total": "250"})(request)

    found = ask(answer, lambda rpc: rpc.validators(5))

    assert found == tuple({"n": number} for number in range(250))


@pytest.mark.parametrize(("given", "total"), [(5, "6"), (100, "99"), (0, "1")], ids=["few", "many", "none"])
def test_pages_that_do_not_add_up(given: int, total: str) -> None:
    """A set that is not as large as it says is refused, and asking ends."""
    page = {"validators": [{}] * given, "total": total}

    with pytest.raises(Malformed) as caught:
        ask(result(page), lambda rpc: rpc.validators(5))

    assert caught.value.code == "comet.rpc_answer"


def test_no_engine() -> None:
    """Where nobody listens, the engine is unreachable."""

    async def run() -> None:
        rpc = EngineRpc(Path("/nonexistent/rpc.sock"))
        try:
            await rpc.status()
        finally:
            await rpc.close()

    with pytest.raises(Unavailable) as caught:
        asyncio.run(run())

    assert caught.value.code == "comet.rpc_unreachable"


def test_voter_is_read() -> None:
    """The key that votes for the node, and its votes, are the engine's; outside the set there are none."""
    told = {"validator_info": {"pub_key": {"type": "tendermint/PubKeyEd25519", "value": "AAEC"}, "voting_power": "7"}}

    assert ask(result(told), lambda rpc: rpc.voter()) == (bytes((0, 1, 2)), 7)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"pub_key": {}, "voting_power": "7"},
        {"pub_key": {"value": "%"}, "voting_power": "7"},
        {"pub_key": {"value": "AAEC"}},
    ],
)
def test_voter_that_is_none(told: object) -> None:
    """An answer without a key, or without a number, is none."""
    with pytest.raises(Malformed):
        ask(result({"validator_info": told}), lambda rpc: rpc.voter())


EVIDENCE: JsonObject = {"type": "tendermint/DuplicateVoteEvidence", "value": {}}


def test_evidence_is_handed_in() -> None:
    """The engine names evidence that it takes by its hash."""
    asked: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> bytes:
        asked.append(body)
        return result({"hash": base64.b64encode(bytes(range(32))).decode()})(body)

    assert ask(answer, lambda rpc: rpc.broadcast_evidence(EVIDENCE)) == bytes(range(32))
    assert (asked[0]["method"], asked[0]["params"]) == ("broadcast_evidence", {"evidence": EVIDENCE})


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (refusal("failed to add evidence: Invalid evidence: too old. Evidence: " + 9_000 * "x"), Rejected, "evidence"),
        (refusal("evidence.ValidateBasic failed: duplicate votes in invalid order"), Rejected, "evidence"),
        (refusal("error converting json params to arguments"), Unavailable, "rpc"),
        (result({"hash": "AAAA"}), Malformed, "rpc_answer"),
        (result({"hash": "not base64!"}), Malformed, "rpc_answer"),
        (result({"hash": 45 * "A" + "==="}), Malformed, "rpc_answer"),
        (result({}), Malformed, "json"),
    ],
    ids=["added", "basic", "form", "short", "base64", "padding", "none"],
)
def test_evidence_is_refused(answer: Answer, kind: type[ParaphError], code: str) -> None:
    """Why the engine refuses is told in a few words, however much it says; what is no hash is no answer."""
    with pytest.raises(kind) as caught:
        ask(answer, lambda rpc: rpc.broadcast_evidence(EVIDENCE))

    assert caught.value.code in (f"comet.{code}", "json.shape")
    assert len(caught.value.message) < 500
