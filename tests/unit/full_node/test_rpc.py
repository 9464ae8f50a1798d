"""A full node's JSON-RPC: the numbers, words and bounds of its door, and garbage of every kind."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_ledger.world import ALICE
from tests.unit.full_node.world import Asker, Desk, native, text, transfer

from paraph.adapters.ethereum import rpc
from paraph.adapters.ethereum.rpc import Method
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified
from paraph.core.limits import TX_BYTES_MAX
from paraph.full_node.rpc import ANSWER_BYTES_MAX, BATCH_MAX, BODY_BYTES_MAX, answer
from paraph.full_node.wire import read_call, read_count, read_data, read_tag


def asking(**table: Any) -> Asker:
    methods = {name: Method(run) for name, run in table.items()}
    return Asker(lambda body: asyncio.run(answer(methods, body)))


def call(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "five", "params": []} | members


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (Malformed("test.form", "wrong"), -32602),
        (Rejected("test.no", "no"), -32000),
        (Unavailable("test.away", "not now"), -32002),
        (Unverified((("test.claim", "unproved"),)), -32603),
        (ParaphError("test.what", "what"), -32603),
    ],
)
def test_errors_of_each_branch(error: ParaphError, number: int) -> None:
    """Each branch of errors has its number; one that a full node has no business with is internal."""

    def fail() -> Any:
        raise error

    found = asking(fail=fail).error("fail")

    assert (found["code"], found["message"], found["data"]["code"]) == (number, error.message, error.code)


def test_words_of_this_door() -> None:
    """An unknown method and wrong parameters are refused in geth's words and numbers."""
    asker = asking(five=lambda: 5)

    assert asker.error("nothing") == {"code": -32601, "message": "the method nothing does not exist/is not available"}
    assert asker.body(call(params=7))["error"]["code"] == -32600
    assert asker.body(call(params={"value": 1}))["error"]["code"] == -32602


def test_batch_is_bounded() -> None:
    """A batch of one more than the limit is refused whole; a node may set a lower one."""
    asker = asking(five=lambda: 5)
    two = Asker(lambda body: asyncio.run(answer({}, body, batch_max=2)))

    assert len(asker.body([call()] * BATCH_MAX)) == BATCH_MAX
    assert asker.body([call()] * (BATCH_MAX + 1))["error"]["code"] == -32600
    assert len(two.body([call()] * 2)) == 2
    assert two.body([call()] * 3)["error"]["code"] == -32600


def test_body_is_bounded() -> None:
    """A body of one byte more than the limit is not read."""
    asker = asking(five=lambda: 5)
    body = json.dumps(call()).encode().ljust(BODY_BYTES_MAX)

    assert json.loads(asker.post(body))["result"] == 5
    assert json.loads(asker.post(body + b" "))["error"]["code"] == -32700


def test_answers_of_a_batch_are_bounded() -> None:
    """What no longer fits the answer to a batch is refused by itself."""
    asker = asking(five=lambda: 5, half=lambda: "x" * (ANSWER_BYTES_MAX // 2))

    found = asker.body([call(method="half"), call(method="half"), call()])

    assert [each.get("error", {}).get("code") for each in found] == [None, rpc.LIMIT_EXCEEDED, None]


def test_bounds_of_parameters() -> None:
    """An access list, a height and a count may be so large and no larger; data is bounded by the body alone."""
    entry = {"address": text(ALICE), "storageKeys": []}

    assert len(read_call({"accessList": [entry] * 10_000}, "it").access_list) == 10_000
    assert len(read_data("0x" + "00" * (TX_BYTES_MAX + 1), "it")) == TX_BYTES_MAX + 1
    for read in (read_tag, read_count):
        assert read(hex(2**64 - 1), "it") == 2**64 - 1
        with pytest.raises(Malformed):
            read(hex(2**64), "it")
    with pytest.raises(Malformed):
        read_call({"accessList": [entry] * 10_001}, "it")


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
