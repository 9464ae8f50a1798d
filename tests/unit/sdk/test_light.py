"""The light client's JSON-RPC: what it answers is what an honest node answers; a liar's words go no further."""

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, START_S
from tests.unit.full_node.world import Asker, Desk, calling, native, text, transfer

from paraph.adapters.ethereum import rpc
from paraph.adapters.ethereum.rpc import INVALID_PARAMS, METHOD_NOT_FOUND
from paraph.adapters.http.client import AsyncDriver, Means
from paraph.core.amount import Wei
from paraph.core.errors import Malformed, ParaphError, Unavailable, Unverified
from paraph.core.ident import to_hex
from paraph.core.limits import TX_BYTES_MAX
from paraph.flows.effect import Effect, Rpc
from paraph.flows.verified.follow import view
from paraph.full_node.rpc import answer as node_answer
from paraph.ledger.contract import REVERT
from paraph.ledger.tx import Tx, check_form
from paraph.sdk.light import light as light_module
from paraph.sdk.light.light import Light
from paraph.sdk.light.methods import LOGS_MAX, WHY_NOT, Table, why_not
from paraph.sdk.light.rpc import BATCH_MAX, BODY_BYTES_MAX, FACT_CHARS_MAX, UNVERIFIED, answer
from paraph.sdk.light.server import app
from paraph.sdk.light.wire import read_call
from paraph.sdk.light.witnesses import REST_S, Patience

Lie = Callable[[str, Any], Any]


def honest(_method: str, result: Any) -> Any:
    return result


class Wallet(Asker):
    """A wallet's view: a light client before a desk, whose results pass through `lie`."""

    def __init__(self, desk: Desk, evidence: Path) -> None:
        self.desk = desk
        self.lie: Lie = honest
        self.asked: list[str] = []
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._node))
        driver = AsyncDriver(Means("http://node.test", desk.clock.now_ms, bytes), http)
        self.light = Light(desk.chain.genesis.trust(), driver, evidence)
        self.table = Table(self.light)
        self.methods = self.table.methods()
        super().__init__(lambda body: asyncio.run(answer(self.methods, why_not, body)))

    async def _node(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        self.asked.append(asked["method"])
        found = json.loads(await node_answer(self.desk.methods, request.content))
        if "result" in found:
            found["result"] = self.lie(asked["method"], found["result"])
        return httpx.Response(200, json=found)


@pytest.fixture
def wallet(tmp_path: Path) -> Wallet:
    """A chain with transactions of all three types, one that failed, events, and empty blocks."""
    desk = Desk()
    desk.settle(transfer(0), transfer(1, tip=2), calling(2, "Opg", "transfer", BOB.address, 5))
    legacy = Tx(0, CHAIN_ID, 3, 10**10, 10**10, 50_000, BOB.address, Wei(1), b"\1\0").sign(ALICE)
    listed = Tx(1, CHAIN_ID, 4, 10**10, 10**10, 90_000, BOB.address, Wei(1), b"", ((bytes(20), (bytes(32),)),))
    desk.settle(legacy, listed.sign(ALICE))
    desk.settle(calling(0, "Opg", "transferFrom", ALICE.address, BOB.address, 5, sender=CAROL))
    desk.engine.produce()
    desk.settle(calling(5, "Escrow", "deposit", value=10**18), transfer(0, sender=BOB))
    desk.engine.produce()
    return Wallet(desk, tmp_path / "evidence")


# --- the same as a full node -------------------------------------------------------------------------------------


def like_ours(result: Any) -> Any:
    """A full node's result without what no root commits to."""
    if isinstance(result, list):
        return [like_ours(each) for each in result]
    if not isinstance(result, dict):
        return result
    found = {name: value for name, value in result.items() if name != "size"}
    if "revertReason" in found:
        found["revertReason"] = to_hex(REVERT.call("accounts.allowance"))
    return found


def without_size(result: Any) -> Any:
    return {name: value for name, value in result.items() if name != "size"} if isinstance(result, dict) else result


def everything(desk: Desk) -> list[tuple[str, tuple[Any, ...]]]:
    """Every question that a wallet may ask of this chain."""
    questions: list[tuple[str, tuple[Any, ...]]] = [
        (name, ()) for name in ("eth_chainId", "net_version", "net_listening", "eth_syncing", "eth_accounts")
    ]
    questions += [(name, ()) for name in ("eth_blockNumber", "eth_gasPrice", "eth_maxPriorityFeePerGas")]
    for who in (ALICE, BOB, CAROL):
        questions += [(name, (text(who), "latest")) for name in ("eth_getBalance", "eth_getTransactionCount")]
        questions += [("eth_getTransactionCount", (text(who), "pending")), ("eth_getBalance", (text(who),))]
    questions += [("eth_getCode", (native("Opg"), "latest")), ("eth_getCode", (text(BOB), "latest"))]
    questions += [("web3_sha3", ("0x1234",))]
    heights = [hex(height) for height in range(desk.chain.height + 2)]
    for place in (*heights, "latest", "earliest", "safe", "finalized"):
        questions += [("eth_getBlockByNumber", (place, full)) for full in (True, False)]
        questions += [("eth_getBlockReceipts", (place,)), ("eth_getBlockTransactionCountByNumber", (place,))]
        questions += [("eth_getTransactionByBlockNumberAndIndex", (place, index)) for index in ("0x0", "0x7")]
    for block in desk.chain.blocks(0, desk.chain.height):
        block_hash = to_hex(block.header.hash())
        questions += [("eth_getBlockByHash", (block_hash, True)), ("eth_getBlockReceipts", (block_hash,))]
        questions += [("eth_getBlockTransactionCountByHash", (block_hash,))]
        questions += [("eth_getTransactionByBlockHashAndIndex", (block_hash, "0x0"))]
        questions += [("eth_getLogs", ({"blockHash": block_hash},))]
        for result in block.results:
            questions += [
                (name, (to_hex(result.hash),)) for name in ("eth_getTransactionByHash", "eth_getTransactionReceipt")
            ]
    transfers = desk.result("eth_getLogs", {"fromBlock": "earliest"})[0]["topics"]
    for more in (
        {},
        {"address": native("Opg")},
        {"address": [native("Escrow"), native("Opg")]},
        {"address": text(BOB)},
        {"topics": [transfers[0]]},
        {"topics": [None, [transfers[1], None]]},
        {"topics": [[], transfers[1], transfers[2]]},
        {"topics": ["0x" + "00" * 32]},
        {"topics": [transfers[0]] * 4},
    ):
        questions += [("eth_getLogs", ({"fromBlock": "earliest", "toBlock": "latest", **more},))]
    questions += [("eth_getLogs", ({"fromBlock": "0x2", "toBlock": "0x3"},)), ("eth_getLogs", ({},))]
    for percentiles in ([], [0, 10.5, 50, 100]):
        questions += [("eth_feeHistory", (count, "latest", percentiles)) for count in ("0x1", 3, "0x64", 0)]
        questions += [("eth_feeHistory", ("0x2", "0x3", percentiles))]
    named = {"from": text(ALICE), "to": native("Opg"), "data": "0x06fdde03"}
    for call in (
        named,
        {**named, "gas": "0x100000"},
        {"to": text(BOB)},
        {**named, "gasPrice": "0x1", "input": "0x06fdde03"},
    ):
        questions += [
            ("eth_call", (call, "latest")),
            ("eth_estimateGas", (call,)),
            ("eth_call", (call, "latest", {}, {})),
        ]
    listed = {**named, "accessList": [{"address": text(BOB), "storageKeys": ["0x" + "00" * 32]}]}
    questions += [("eth_call", (listed,)), ("eth_estimateGas", (listed, "pending"))]
    return questions


def test_same_as_an_honest_full_node(wallet: Wallet) -> None:
    """Every answer is a full node's, but for what no root commits to: a block's size, sentences of failures."""
    for method, params in everything(wallet.desk):
        ours, theirs = wallet.result(method, *params), wallet.desk.result(method, *params)

        assert without_size(ours) == like_ours(theirs), (method, params)


def test_reads_of_every_kind_are_verified(wallet: Wallet) -> None:
    """Nothing that the node says of blocks, transactions, logs, calls or state is passed on as it is."""
    for method, params in everything(wallet.desk):
        wallet.result(method, *params)

    assert set(wallet.asked) == {
        "paraph_getProof",
        "paraph_getBlock",
        "eth_getBlockByHash",
        "eth_getTransactionReceipt",
    }


def spoilt(value: Any) -> Any:
    """The same form with other content."""
    if isinstance(value, str) and value.startswith("0x") and len(value) > 2:
        last = "1" if value[-1] != "1" else "2"
        return value[:-1] + last
    if isinstance(value, list):
        return [spoilt(each) for each in value]
    if isinstance(value, dict):
        return {name: spoilt(each) for name, each in value.items()}
    return value


@pytest.mark.parametrize(
    "target", ["paraph_getProof", "paraph_getBlock", "eth_getTransactionReceipt", "eth_getBlockByHash"]
)
def test_spoilt_replies_are_never_shown(wallet: Wallet, target: str) -> None:
    """With every byte of a reply's values changed, the true answer is given or none; never another one."""
    true = {str(each): wallet.result(each[0], *each[1]) for each in everything(wallet.desk)}
    wallet.light.kept.blocks.clear()
    wallet.lie = lambda method, result: spoilt(result) if method == target else result

    refused = 0
    for question in everything(wallet.desk):
        found = wallet.ask(question[0], *question[1])
        refused += "error" in found
        assert "error" in found or found["result"] in (true[str(question)], None)

    assert refused > 10


def test_null_is_the_nodes_word(wallet: Wallet) -> None:
    """A node can hide a transaction: the answer is then null, as for one that waits, and never a made-up one."""
    receipt = wallet.desk.chain.block(1).results[0].hash
    wallet.lie = lambda method, result: None if method == "eth_getTransactionReceipt" else result

    assert wallet.result("eth_getTransactionReceipt", to_hex(receipt)) is None


# --- calls and state ---------------------------------------------------------------------------------------------


def test_revert(wallet: Wallet) -> None:
    """A call that would revert says why, in the form that clients decode."""
    asked = {"from": text(CAROL), "to": native("Opg"), "data": "0x23b872dd" + "00" * 12 + text(ALICE)[2:] + "00" * 12
             + text(BOB)[2:] + "00" * 31 + "05"}  # fmt: skip

    ours, theirs = wallet.error("eth_call", asked), wallet.desk.error("eth_call", asked)

    assert ours == theirs
    assert ours["code"] == 3


def test_state_of_an_older_block(wallet: Wallet) -> None:
    """State is proved for the newest block alone; naming it is well, naming another one is refused."""
    head = wallet.desk.chain.head.header
    call = {"to": native("Opg"), "data": "0x06fdde03"}

    for place in (
        hex(head.height),
        to_hex(head.hash()),
        {"blockNumber": hex(head.height)},
        {"blockHash": to_hex(head.hash())},
    ):
        assert wallet.result("eth_getBalance", text(BOB), place) == wallet.desk.result("eth_getBalance", text(BOB))
        assert wallet.result("eth_call", call, place) == wallet.desk.result("eth_call", call)
    for method, params in (("eth_getBalance", (text(BOB), "0x1")), ("eth_call", (call, "0x1"))):
        assert wallet.error(method, *params)["data"]["code"] == "verified.height"


def test_fee_history_while_the_chain_goes_on(wallet: Wallet) -> None:
    """The base fee after the last block is that block's successor's once there is one."""
    found = wallet.result("eth_feeHistory", 2, "0x2")

    assert found["baseFeePerGas"][-1] == hex(wallet.desk.chain.header(3).base_fee)
    assert wallet.error("eth_feeHistory", 2, "0xffff")["data"]["code"] == "verified.no_block"


def test_logs_of_no_block_and_of_too_many(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown block and an answer that is too long are refused: neither looks whole."""
    assert wallet.error("eth_getLogs", {"blockHash": "0x" + "11" * 32})["data"]["code"] == "verified.no_block"
    monkeypatch.setattr("paraph.sdk.light.methods.LOGS_MAX", 1)
    assert wallet.error("eth_getLogs", {"fromBlock": "earliest"})["data"]["code"] == "verified.logs"
    assert LOGS_MAX > 1


# --- sending -----------------------------------------------------------------------------------------------------


def test_sending(wallet: Wallet) -> None:
    """What was handed on counts as pending, is shown, and is committed when its block is sealed."""
    raws = [transfer(6), transfer(7)]

    hashes = [wallet.send(raw) for raw in raws]
    waiting = wallet.result("eth_getTransactionByHash", hashes[1])

    assert hashes == [to_hex(check_form(raw, CHAIN_ID).hash) for raw in raws]
    assert waiting == wallet.desk.result("eth_getTransactionByHash", hashes[1])
    assert wallet.result("eth_getTransactionReceipt", hashes[0]) is None
    assert wallet.result("eth_getTransactionCount", text(ALICE), "pending") == "0x8"
    assert wallet.result("eth_getTransactionCount", text(ALICE), "latest") == "0x6"
    wallet.desk.engine.produce()
    assert wallet.result("eth_getTransactionReceipt", hashes[0])["status"] == "0x1"
    assert wallet.result("eth_getTransactionCount", text(ALICE), "pending") == "0x8"


def test_sent_transactions_are_remembered_within_limits(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those handed on longest ago are forgotten first."""
    monkeypatch.setattr("paraph.sdk.light.methods.SENT_MAX", 1)

    first, second = wallet.send(transfer(6)), wallet.send(transfer(7))

    assert wallet.result("eth_getTransactionByHash", first) is None
    assert wallet.result("eth_getTransactionByHash", second) is not None


def test_sending_what_is_refused(wallet: Wallet) -> None:
    """What is no transaction of this chain is refused here; what the node refuses, in its words."""
    assert wallet.error("eth_sendRawTransaction", "0x01")["code"] == -32000
    assert wallet.error("eth_sendRawTransaction", to_hex(transfer(6, chain_id=1)))["data"]["code"] == "tx.chain_id"
    assert "nonce too low" in wallet.error("eth_sendRawTransaction", to_hex(transfer(0)))["message"]


def test_sending_to_a_liar(wallet: Wallet) -> None:
    """A node that names another hash than the transaction's is not believed."""
    wallet.lie = lambda method, result: "0x" + "11" * 32 if method == "eth_sendRawTransaction" else result

    assert wallet.error("eth_sendRawTransaction", to_hex(transfer(6)))["data"]["code"] == "verified.hash"


# --- forks -------------------------------------------------------------------------------------------------------


def test_fork_stops_everything(wallet: Wallet) -> None:
    """Two signed histories: the evidence is written for its owner alone, and nothing more is shown, of any kind."""
    wallet.result("eth_blockNumber")
    other = Desk()
    for _ in range(wallet.desk.chain.height + 2):
        other.engine.produce()
    wallet.desk = other

    error = wallet.error("eth_getBalance", text(BOB))
    again = wallet.error("eth_getBlockByNumber", "0x1", False)

    assert error == again
    assert (error["code"], error["data"]["code"]) == (UNVERIFIED, "verified.rewritten")
    place = Path(error["data"]["facts"]["evidence"])
    assert str(place) in error["message"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    kept = json.loads(place.read_text())
    assert kept["code"] == "verified.rewritten"
    assert kept["evidence"]["first"]["header"] != kept["evidence"]["second"]["header"]
    assert wallet.light.health()[0] == 503


def test_what_was_under_way_at_a_fork_is_not_shown(wallet: Wallet) -> None:
    """An answer that was being looked for when the client stopped stays untold."""
    wallet.result("eth_blockNumber")

    async def main() -> None:
        def stop(_method: str, result: Any) -> Any:
            wallet.light.stopped = Unverified((("light.fork", "two blocks are signed"),))
            return result

        wallet.lie = stop
        await wallet.light.run(view(wallet.light.follower, ()))

    with pytest.raises(Unverified, match="two blocks"):
        asyncio.run(main())


def test_evidence_that_cannot_be_written(wallet: Wallet, tmp_path: Path) -> None:
    """A full or forbidden folder does not keep the client from stopping, and is told."""
    (tmp_path / "evidence").write_text("a file where the folder should be")
    wallet.result("eth_blockNumber")
    other = Desk()
    for _ in range(wallet.desk.chain.height + 2):
        other.engine.produce()
    wallet.desk = other

    assert "could not be written" in wallet.error("eth_blockNumber")["message"]


def test_following_by_itself(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody asks the chain is followed; a node that is down is trouble for as long as it lasts."""
    monkeypatch.setattr(light_module, "POLL_S", 0.01)
    heard: list[int] = []
    troubles: list[Any] = []

    async def main() -> None:
        light = wallet.light
        light._moved = lambda _: heard.append(light.follower.newest.header.height)  # type: ignore[union-attr]
        following = asyncio.create_task(light.follow())
        await until(lambda: bool(heard))
        wallet.lie = stopped
        await until(lambda: light.health()[0] == 503)
        troubles.append(light.health()[1]["trouble"])
        wallet.lie = honest
        wallet.desk.engine.produce()
        await until(lambda: light.health()[0] == 200 and heard[-1] == wallet.desk.chain.height)
        following.cancel()

    asyncio.run(main())

    assert troubles[0]["code"] == "http.unreachable"


def stopped(_method: str, _result: Any) -> Any:
    raise httpx.ConnectError("nobody there")


async def until(truth: Callable[[], bool]) -> None:
    for _ in range(500):
        if truth():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


# --- JSON-RPC ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "eth_newFilter",
        "eth_subscribe",
        "eth_sendTransaction",
        "debug_traceTransaction",
        "paraph_getProof",
        "eth_mining",
    ],
)
def test_methods_that_are_not_offered(wallet: Wallet, name: str) -> None:
    """What cannot be verified is not offered, and it says why."""
    error = wallet.error(name)

    assert error["code"] == METHOD_NOT_FOUND
    assert why_not(name) in error["message"]
    assert len({reason for _, reason in WHY_NOT}) == len(WHY_NOT)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", ()),
        ("eth_getBalance", ("0x12",)),
        ("eth_getBalance", (5,)),
        ("eth_getBalance", ("0x" + "zz" * 20,)),
        ("eth_getBalance", ("0x" + "11" * 20, "0x01")),
        ("eth_getBalance", ("0x" + "11" * 20, "soon")),
        ("eth_getBalance", ("0x" + "11" * 20, "latest", 1)),
        ("eth_getBlockByNumber", ("latest", "yes")),
        ("eth_getBlockByNumber", (hex(2**63),)),
        ("eth_getLogs", ([],)),
        ("eth_getLogs", ({"fromBlock": "0x5", "toBlock": "0x4"},)),
        ("eth_getLogs", ({"fromBlock": "0x5", "blockHash": "0x" + "11" * 32},)),
        ("eth_getLogs", ({"fromBlock": "0x" + "11" * 32},)),
        ("eth_getLogs", ({"topics": ["0x11"]},)),
        ("eth_call", ({"to": "0x12"},)),
        ("eth_call", ({"data": "0x1", "to": None},)),
        ("eth_call", ({"data": "0x11", "input": "0x12"},)),
        ("eth_call", ({"accessList": {}},)),
        ("eth_call", ({}, "latest", {"0x" + "11" * 20: {}})),
        ("eth_feeHistory", (1, "latest", [50, 10])),
        ("eth_feeHistory", (1, "latest", [101])),
        ("eth_feeHistory", (1, "latest", [True])),
        ("eth_feeHistory", (-1, "latest")),
        ("eth_sendRawTransaction", ("0x1",)),
    ],
)
def test_parameters_are_read_strictly(wallet: Wallet, method: str, params: tuple[Any, ...]) -> None:
    """What is not in the right form is the caller's fault, and nobody is asked."""
    assert wallet.error(method, *params)["code"] == INVALID_PARAMS
    assert wallet.asked == []


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"{", -32700),
        (b"[]", -32600),
        (json.dumps([{}] * 101).encode(), -32600),
        (b"5", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":[],"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":5}', -32602),
    ],
)
def test_bodies_that_are_no_calls(wallet: Wallet, body: bytes, number: int) -> None:
    """Each wrong body has its number."""
    found = json.loads(wallet.post(body))

    assert (found[0] if isinstance(found, list) else found)["error"]["code"] == number


def test_batches_and_notifications(wallet: Wallet) -> None:
    """A batch is answered in order, without those that want no answer; a lone notification by nothing."""
    call = {"jsonrpc": "2.0", "method": "eth_chainId"}

    found = wallet.body([{**call, "id": 1}, call, {**call, "id": "two", "params": None}, {**call, "method": "no"}])

    assert [each["id"] for each in found] == [1, "two"]
    assert wallet.post(json.dumps(call).encode()) == b""
    assert wallet.post(json.dumps([call]).encode()) == b""


def test_fault_of_ours_is_not_told(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is an internal error, and no more of it is said."""

    async def fault() -> Any:
        raise ZeroDivisionError("secret")

    wallet.methods["eth_chainId"] = rpc.Method(fault)

    assert wallet.error("eth_chainId") == {"code": -32603, "message": "internal error"}


def test_errors_of_each_branch(wallet: Wallet) -> None:
    """Each branch of errors has its number; one of no branch is internal."""

    def failing(error: ParaphError) -> int:
        async def fail() -> Any:
            raise error

        wallet.methods["eth_chainId"] = rpc.Method(fail)
        return int(wallet.error("eth_chainId")["code"])

    assert failing(Unavailable("a.b", "gone", size=2**60)) == rpc.UNAVAILABLE
    assert failing(ParaphError("a.b", "what")) == rpc.INTERNAL_ERROR


def test_bounds_of_this_door(wallet: Wallet) -> None:
    """A body, a batch, a fact, data and an access list may be so large and no larger."""
    entry, chain_id = {"address": text(BOB), "storageKeys": []}, {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
    body = json.dumps(chain_id).encode().ljust(BODY_BYTES_MAX)

    async def fail() -> Any:
        raise Unavailable("a.b", "gone", what="x" * (FACT_CHARS_MAX + 1))

    wallet.methods["fail"] = rpc.Method(fail)
    facts = wallet.error("fail")["data"]["facts"]

    assert "result" in json.loads(wallet.post(body))
    assert json.loads(wallet.post(body + b" "))["error"]["code"] == rpc.PARSE_ERROR
    assert len(wallet.body([chain_id] * BATCH_MAX)) == BATCH_MAX
    assert wallet.body([chain_id] * (BATCH_MAX + 1))["error"]["code"] == rpc.INVALID_REQUEST
    assert facts == {"what": "x" * FACT_CHARS_MAX}
    assert "result" in wallet.ask("web3_sha3", "0x" + "00" * TX_BYTES_MAX)
    assert wallet.error("web3_sha3", "0x" + "00" * (TX_BYTES_MAX + 1))["code"] == INVALID_PARAMS
    assert len(read_call({"accessList": [entry] * 1_000}, "it").access_list) == 1_000
    with pytest.raises(Malformed):
        read_call({"accessList": [entry] * 1_001}, "it")


WORDS = ["2.0", "eth_call", "latest", "0x", "0x0", "0x1", "0xzz", "0x" + "11" * 20, "0x" + "22" * 32]
MEMBERS = ["jsonrpc", "id", "method", "params", "to", "from", "gas", "input", "accessList", "topics", "address",
           "blockHash", "fromBlock"]  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(WORDS),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_answered(wallet: Wallet, body: bytes) -> None:
    """Whatever comes, JSON goes out, or nothing for a notification."""
    found = wallet.post(body)

    assert not found or json.loads(found)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["eth_call", "eth_getLogs", "eth_getBalance", "eth_feeHistory", "eth_getBlockByNumber"]),
    params=st.lists(
        st.none()
        | st.integers(-1, 9)
        | st.sampled_from(WORDS)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            st.none() | st.sampled_from(WORDS) | st.lists(st.text(max_size=3), max_size=2),
        ),
        max_size=4,
    ),
)
def test_any_parameters_are_answered(wallet: Wallet, method: str, params: list[Any]) -> None:
    """Whatever the parameters, the answer is a result or an error that is not ours."""
    found = wallet.ask(method, *params)

    assert found.get("error", {}).get("code") != rpc.INTERNAL_ERROR


# --- the door ----------------------------------------------------------------------------------------------------

CALL = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "chrome-extension://abc"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "null"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "["}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://["}, 403),
        ({"content-type": "text/plain"}, 415),
    ],
)
def test_door(wallet: Wallet, headers: dict[str, str], status: int) -> None:
    """This machine's wallets are let in; other names, other sites' pages and other types are not."""
    door = TestClient(app(wallet.light), base_url="http://127.0.0.1:8550")

    assert door.post("/", json=CALL, headers=headers).status_code == status


def test_door_answers(wallet: Wallet) -> None:
    """A call is answered, a notification with nothing, and the health says how far the chain is followed."""
    door = TestClient(app(wallet.light), base_url="http://127.0.0.1:8550")

    assert door.get("/health").status_code == 503
    assert door.post("/", json={**CALL, "method": "eth_blockNumber"}).json()["result"] == hex(wallet.desk.chain.height)
    assert door.post("/", json={"jsonrpc": "2.0", "method": "eth_chainId"}).status_code == 204
    health = door.get("/health")
    assert (health.status_code, health.json()["height"]) == (200, wallet.desk.chain.height)
    assert health.json()["time"] >= START_S
    assert door.get("/health", headers={"host": "evil.example"}).status_code == 403
    assert (
        door.post("/", content=b"x" * (BODY_BYTES_MAX + 1), headers={"content-type": "application/json"}).status_code
        == 413
    )


# --- witnesses ---------------------------------------------------------------------------------------------------


def test_patience() -> None:
    """A witness that did not answer is asked again only after its rest; what it answers wrongly is no rest."""
    now_s = [0.0]
    patience = Patience(lambda: now_s[0])

    def flow() -> Any:
        try:
            return (yield Rpc("eth_chainId", (), 1))
        except ParaphError as error:
            return error.code

    def asked(reply: Callable[[], Any]) -> tuple[bool, Any]:
        wrapped = patience.around(flow())
        try:
            effect: Effect[Any] = next(wrapped)
        except StopIteration as done:
            return False, done.value
        assert isinstance(effect, Rpc)
        try:
            wrapped.send(reply()) if reply is good else wrapped.throw(reply())
        except StopIteration as done:
            return True, done.value
        raise AssertionError("the flow asks once")

    def good() -> Any:
        return "0x1"

    def wrong() -> Any:
        return ParaphError("rpc.error", "no")

    def silent() -> Any:
        return Unavailable("http.unreachable", "nobody")

    assert asked(good) == (True, "0x1")
    assert asked(wrong) == (True, "rpc.error")
    assert asked(silent) == (True, "http.unreachable")
    assert asked(good) == (False, "light.witness")
    now_s[0] = REST_S
    assert asked(good) == (True, "0x1")


def test_view_may_be_run_as_it_is(wallet: Wallet) -> None:
    """A flow of a caller's own runs with the client's follower."""
    found = asyncio.run(wallet.light.run(view(wallet.light.follower, ())))

    assert found.header == wallet.desk.chain.head.header
