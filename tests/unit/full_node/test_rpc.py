"""JSON-RPC 2.0: exact error numbers, batches, notifications, and garbage of every kind."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_ledger.world import ALICE
from tests.unit.full_node.world import Asker, Desk, native, text, transfer

from paraph.core.errors import Unavailable
from paraph.full_node import rpc
from paraph.full_node.rpc import BATCH_MAX, Method, answer


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


TABLE = {
    "echo": Method(echo, (read_text,), 1),
    "late": Method(late, (read_text,)),
    "fail": Method(fail),
    "away": Method(away),
}


@pytest.fixture
def asker() -> Asker:
    return Asker(lambda body: asyncio.run(answer(TABLE, body)))


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
    assert len(asker.body([call()] * BATCH_MAX)) == BATCH_MAX
    assert asker.body([call()] * (BATCH_MAX + 1))["error"]["code"] == -32600


def test_answers_of_a_batch_are_bounded(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no longer fits the answer to a batch is refused by itself."""
    monkeypatch.setattr(rpc, "ANSWER_BYTES_MAX", 250)

    found = asker.body([call(id=1), call(id=2, params=["x" * 300]), call(id=3)])

    assert [each.get("error", {}).get("code") for each in found] == [None, rpc.LIMIT_EXCEEDED, None]


# --- garbage -----------------------------------------------------------------------------------------------------

DESK = Desk()
DESK.settle(transfer(0))
HASH = DESK.result("eth_getBlockByNumber", "0x1", False)

near_values = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            "0x",
            "0x0",
            "0x1",
            "0x01",
            "0X1",
            "0x2",
            "0x" + "f" * 64,
            "0x" + "f" * 65,
            "latest",
            "pending",
            "earliest",
            "safe",
            "Latest",
            HASH["hash"],
            HASH["transactions"][0],
            text(ALICE),
            native("Opg"),
            "0x" + "00" * 31,
            "0x" + transfer(1).hex(),
            {},
            [],
            [50.0, 25],
            {"blockNumber": "0x1"},
            {"blockHash": HASH["hash"], "requireCanonical": True},
            {"from": text(ALICE), "to": native("Opg"), "data": "0x70a08231"},
            {"to": native("Settlement"), "data": "0x" + "ff" * 200, "gas": "0xffffffff"},
            {"from": text(ALICE), "to": text(ALICE), "value": "0x" + "f" * 64},
            {"fromBlock": "0x0", "toBlock": "0x9", "topics": [None, [HASH["hash"], None], []]},
            {"to": native("Opg"), "accessList": [{"address": text(ALICE), "storageKeys": [HASH["hash"]]}]},
            ["0x" + b"chain/height".hex(), "0xff"],
        ]
    ),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.text(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
fields = st.sampled_from(
    "from to data input value gas fromBlock toBlock address topics blockHash blockNumber storageKeys accessList".split()
)
values = st.recursive(
    near_values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields, inner, max_size=5), max_leaves=8
)


@given(method=st.sampled_from(sorted(DESK.methods)), params=st.lists(values, max_size=4))
def test_near_miss_is_never_a_fault_of_ours(method: str, params: list[Any]) -> None:
    """Whatever the parameters, each method answers with a result or with an error that names the caller's mistake."""
    found = DESK.ask(method, *params)

    assert set(found) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    assert found.get("error", {}).get("code") != rpc.INTERNAL_ERROR, found


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0x\\ue1', max_size=60).map(str.encode))
def test_garbage_is_answered(body: bytes) -> None:
    """Any bytes at all have an answer that is JSON."""
    found = json.loads(DESK.post(body))

    errors = found if isinstance(found, list) else [found]
    assert {each["error"]["code"] for each in errors} <= {rpc.PARSE_ERROR, rpc.INVALID_REQUEST}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "x"]), inner)
        ),
    )
)
def test_wrong_shape_is_answered(body: Any) -> None:
    """Any JSON at all is answered, or is made of notifications."""
    found = DESK.post(json.dumps(body).encode())

    assert found == b"" or json.loads(found)
