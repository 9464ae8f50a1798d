"""JSON-RPC 2.0: exact error numbers, batches, notifications, and what each door's terms decide."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.unit.full_node.world import Asker

from paraph.adapters.ethereum import rpc
from paraph.adapters.ethereum.rpc import Method, Terms, answer
from paraph.core.encode import Json
from paraph.core.errors import Malformed, Rejected, Unavailable

TERMS = Terms(
    body_bytes_max=10_000,
    batch_max=20,
    answers_bytes_max=250_000,
    fact_chars_max=None,
    missing=lambda name: f"is not here: it has {len(name)} letters",
    number=lambda error: rpc.UNAVAILABLE if isinstance(error, Unavailable) else rpc.INTERNAL_ERROR,
    no_params=(rpc.INVALID_REQUEST, "invalid request: params must be an array"),
    fault="test.internal",
)


def echo(value: object) -> Any:
    return value


def read_text(value: object, _what: str) -> object:
    return value


async def late(value: object) -> Any:
    return value


def fail() -> Any:
    raise ZeroDivisionError


def away() -> Any:
    raise Unavailable("test.away", "not now", size=2**60)


def wrong(_value: object, _what: str) -> object:
    raise Malformed("test.wrong", "it is wrong")


def refused(_value: object, _what: str) -> object:
    raise Rejected("test.refused", "it is refused")


TABLE = {
    "echo": Method(echo, (read_text,), 1),
    "late": Method(late, (read_text,)),
    "fail": Method(fail),
    "away": Method(away),
    "wrong": Method(echo, (wrong,)),
    "refused": Method(echo, (refused,)),
}


def asking(terms: Terms) -> Asker:
    return Asker(lambda body: asyncio.run(answer(TABLE, terms, body)))


@pytest.fixture
def asker() -> Asker:
    return asking(TERMS)


def call(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "echo", "params": [5]} | members


@pytest.mark.parametrize("key", ["a", "", 0, -3, 7, 1.5, None])
def test_id_comes_back(asker: Asker, key: object) -> None:
    """An answer carries the id of its call, text or number."""
    assert asker.body(call(id=key)) == {"jsonrpc": "2.0", "id": key, "result": 5}


def test_late_result_is_awaited(asker: Asker) -> None:
    """A method may take its time."""
    assert asker.body(call(method="late"))["result"] == 5


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","jsonrpc":"2.0"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":[NaN]}', -32700),
        (b'{"jsonrpc":"2.0","id":99999999999999999999,"method":"echo","params":[1]}', -32700),
        (b"[" * 40 + b"]" * 40, -32700),
        (b"null", -32600),
        (b"[]", -32600),
        (b"7", -32600),
        (b'"echo"', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"echo"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":7}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"echo","params":[1]}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"echo","params":[1]}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"nothing"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo"}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":[null]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":[1,2]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{"value":1}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"fail"}', -32603),
    ],
)
def test_errors_have_their_numbers(asker: Asker, body: bytes, number: int) -> None:
    """Each kind of bad call is answered with its number of the specification."""
    found = json.loads(asker.post(body))

    assert found["error"]["code"] == number
    assert found["jsonrpc"] == "2.0"
    assert found["id"] in (1, None)


def test_fault_of_ours_is_not_told(asker: Asker) -> None:
    """Of a fault of ours the caller hears that it happened, and nothing of what it was."""
    assert asker.error("fail") == {"code": -32603, "message": "internal error"}


def test_our_code_is_in_the_data(asker: Asker) -> None:
    """An error of ours keeps its stable code and its facts; a number beyond 2^53 goes as text."""
    assert asker.error("away") == {
        "code": rpc.UNAVAILABLE,
        "message": "not now",
        "data": {"code": "test.away", "message": "not now", "facts": {"size": str(2**60)}},
    }


def test_batch_is_answered_in_order_without_notifications(asker: Asker) -> None:
    """A batch has one answer for each call with an id, bad ones included."""
    notification = {"jsonrpc": "2.0", "method": "echo", "params": [1]}

    found = asker.body([call(id=1), notification, 5, call(id=2, method="nothing"), call(id=3)])

    assert [each["id"] for each in found] == [1, None, 2, 3]
    assert [each.get("error", {}).get("code") for each in found] == [None, -32600, -32601, None]


@pytest.mark.parametrize("asked", [call(), call(method="nothing"), call(method="fail")])
def test_notification_has_no_answer(asker: Asker, asked: dict[str, Any]) -> None:
    """A call without an id is not answered, whatever becomes of it."""
    del asked["id"]

    assert asker.post(json.dumps(asked).encode()) == b""
    assert asker.post(json.dumps([asked, asked]).encode()) == b""


def test_batch_is_bounded(asker: Asker) -> None:
    """A batch of one more than the limit is refused whole."""
    assert len(asker.body([call()] * TERMS.batch_max)) == TERMS.batch_max
    assert asker.body([call()] * (TERMS.batch_max + 1))["error"]["code"] == -32600


def test_answers_of_a_batch_are_bounded() -> None:
    """What no longer fits the answer to a batch is refused by itself; where nothing bounds it, all is given."""
    batch = [call(id=1), call(id=2, params=["x" * 300]), call(id=3)]

    found = asking(replace(TERMS, answers_bytes_max=250)).body(batch)

    assert [each.get("error", {}).get("code") for each in found] == [None, rpc.LIMIT_EXCEEDED, None]
    whole = asking(replace(TERMS, answers_bytes_max=None)).body(batch)
    assert [each["result"] for each in whole] == [5, "x" * 300, 5]


def test_body_is_bounded(asker: Asker) -> None:
    """A body of one byte more than the limit is not read."""
    body = json.dumps(call(params=["x" * 9_000])).encode()
    full = body + b" " * (TERMS.body_bytes_max - len(body))

    assert "result" in json.loads(asker.post(full))
    assert json.loads(asker.post(full + b" "))["error"]["code"] == rpc.PARSE_ERROR


def test_facts_are_bounded() -> None:
    """Of a fact that is told as text, so much is told and no more."""
    found = asking(replace(TERMS, fact_chars_max=3)).error("away")

    assert found["data"]["facts"] == {"size": str(2**60)[:3]}


@pytest.mark.parametrize(("method", "code"), [("wrong", "test.wrong"), ("refused", "test.refused")])
def test_reader_that_refuses(asker: Asker, method: str, code: str) -> None:
    """What a reader refuses, whether for its form or its meaning, is the caller's fault, and says which argument."""
    error = asker.error(method, 5)

    assert (error["code"], error["message"][:19]) == (rpc.INVALID_PARAMS, "invalid argument 0:")
    assert error["data"]["code"] == code


def test_terms_have_the_words(asker: Asker) -> None:
    """What is said of a method that is not there, and of parameters that are no array or object, is the door's."""
    assert asker.error("nothing")["message"] == "the method nothing is not here: it has 7 letters"
    assert asker.error("x" * 200)["message"].startswith(f"the method {'x' * 80} is not here: it has 200")
    other = asking(replace(TERMS, no_params=(rpc.INVALID_PARAMS, "no")))
    assert other.body(call(params=7))["error"] == {"code": rpc.INVALID_PARAMS, "message": "no"}


def test_fault_is_logged() -> None:
    """Of a fault of ours, the log has what the caller is not told, under the door's own event."""
    with capture_logs() as logs:
        asking(TERMS).error("fail")

    assert [(each["event"], each["method"]) for each in logs] == [("test.internal", "fail")]


def test_around_hears_known_names_only() -> None:
    """Who runs the calls is told the names of the table, and never the words of a stranger."""
    names: list[str] = []

    def around(name: str, run: Callable[[], Awaitable[Json]]) -> Awaitable[Json]:
        names.append(name)
        return run()

    batch = json.dumps([call(), call(method="nothing"), 5, call(method=["echo"])]).encode()
    asyncio.run(answer(TABLE, TERMS, batch, around))

    assert names == ["echo", rpc.UNKNOWN, rpc.UNKNOWN, rpc.UNKNOWN]


members = st.sampled_from(["jsonrpc", "id", "method", "params", "x"])
near = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["2.0", *TABLE]) | st.text(max_size=5)


@given(
    st.binary(max_size=200)
    | st.recursive(near, lambda inner: st.lists(inner) | st.dictionaries(members, inner)).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_any_body_is_answered(body: bytes) -> None:
    """Any bytes at all have an answer that is JSON, or are made of notifications."""
    found = asyncio.run(answer(TABLE, TERMS, body))

    assert found == b"" or json.loads(found)
