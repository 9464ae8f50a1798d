"""WebSockets on real sockets: what is told, in which order, and how it ends."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.full_node import Doorstep, doorstep
from tests.support_ledger.world import ALICE, CAROL
from tests.unit.full_node.world import calling, native, text, transfer
from web3 import AsyncWeb3, WebSocketProvider
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from paraph.adapters.ethereum import rpc
from paraph.core.ident import to_hex
from paraph.full_node import subscriptions
from paraph.full_node.door import DoorConfig
from paraph.full_node.limits import Limits
from paraph.ledger.rooms.accounts.rules import TRANSFER


@pytest.fixture(scope="module")
def door() -> Iterator[Doorstep]:
    with doorstep() as found:
        yield found


def nonce(door: Doorstep) -> int:
    return int(door.result("eth_getTransactionCount", text(ALICE), "latest"), 16)


def ask(client: ClientConnection, method: str, *params: Any) -> Any:
    client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return hear(client)


def hear(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=10))


def test_calls_are_answered(door: Doorstep) -> None:
    """Ordinary calls and batches go over a WebSocket too, as text or bytes."""
    call = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "eth_chainId"})
    with connect(door.socket_url) as client:
        client.send(call)
        one = hear(client)
        client.send(f"[{call},{call}]".encode())
        two = hear(client)
        client.send(call.replace('"id": 7, ', ""))

        assert one == {"jsonrpc": "2.0", "id": 7, "result": door.result("eth_chainId")}
        assert two == [one, one]
        assert ask(client, "eth_blockNumber")["id"] == 1


def test_new_heads(door: Doorstep) -> None:
    """Each new block's header is told once, in order, after the subscription's number."""
    with connect(door.socket_url) as client:
        key = ask(client, "eth_subscribe", "newHeads")["result"]
        door.settle(transfer(nonce(door)))
        door.settle()
        found = [hear(client), hear(client)]

    height = door.desk.chain.height
    assert [each["method"] for each in found] == ["eth_subscription"] * 2
    assert [each["params"]["subscription"] for each in found] == [key] * 2
    for at, each in enumerate(found):
        whole = door.result("eth_getBlockByNumber", hex(height - 1 + at), False)
        missing = {"transactions", "size", "uncles"}
        assert each["params"]["result"] == {name: value for name, value in whole.items() if name not in missing}


def test_logs(door: Doorstep) -> None:
    """Events that match are told as `eth_getLogs` shows them; others are not."""
    criteria = {"address": native("Opg"), "topics": [to_hex(TRANSFER.topic), None, "0x" + "00" * 12 + text(CAROL)[2:]]}
    with connect(door.socket_url) as client:
        ask(client, "eth_subscribe", "logs", criteria)
        first = nonce(door)
        door.settle(
            transfer(first), transfer(first + 1, to=CAROL.address), calling(first + 2, "Escrow", "deposit", value=7)
        )
        found = hear(client)["params"]["result"]
        nothing = ask(client, "eth_chainId")

    assert [found] == door.result("eth_getLogs", criteria)
    assert "result" in nothing


def test_pending(door: Doorstep) -> None:
    """Each transaction handed in is told by its hash."""
    with connect(door.socket_url) as client:
        ask(client, "eth_subscribe", "newPendingTransactions", False)
        sent = door.send(transfer(nonce(door)))
        found = hear(client)["params"]["result"]
    door.settle()

    assert found == sent


def test_unsubscribed_is_silent(door: Doorstep) -> None:
    """What was unsubscribed tells no more; doing it twice says so."""
    with connect(door.socket_url) as client:
        key = ask(client, "eth_subscribe", "newHeads")["result"]
        first, second = ask(client, "eth_unsubscribe", key), ask(client, "eth_unsubscribe", key)
        door.settle()

        assert (first["result"], second["result"]) == (True, False)
        assert ask(client, "eth_chainId")["id"] == 1


@pytest.mark.parametrize(
    "params",
    [
        [],
        ["syncing"],
        [7],
        [[]],
        ["newHeads", {"x": 1}],
        ["newPendingTransactions", True],
        ["logs", []],
        ["logs", {"topics": [1]}],
        ["logs", {"fromBlock": "0x1"}],
        ["logs", {"blockHash": "0x" + "11" * 32}],
        ["logs", {}, {}],
    ],
)
def test_bad_subscription(door: Doorstep, params: list[Any]) -> None:
    """What cannot be told is refused with a number."""
    with connect(door.socket_url) as client:
        assert ask(client, "eth_subscribe", *params)["error"]["code"] == rpc.INVALID_PARAMS


def test_not_by_post(door: Doorstep) -> None:
    """Without a WebSocket there are no notifications, in geth's words."""
    error = door.error("eth_subscribe", "newHeads")

    assert (error["code"], error["message"][:27]) == (rpc.METHOD_NOT_FOUND, "notifications not supported")


def test_subscriptions_are_bounded() -> None:
    """One connection has so many subscriptions and no more; closing one makes room."""
    with doorstep(DoorConfig(Limits(subscriptions_max=2))) as door, connect(door.socket_url) as client:
        key = ask(client, "eth_subscribe", "newHeads")["result"]
        ask(client, "eth_subscribe", "logs")
        refused = ask(client, "eth_subscribe", "newHeads")
        ask(client, "eth_unsubscribe", key)

        assert refused["error"]["code"] == rpc.LIMIT_EXCEEDED
        assert "result" in ask(client, "eth_subscribe", "newHeads")


def test_connections_are_bounded() -> None:
    """A client has so many connections and no more; closing one makes room."""
    with doorstep(DoorConfig(Limits(sockets_per_client_max=2))) as door, connect(door.socket_url):
        with connect(door.socket_url), pytest.raises(InvalidStatus) as caught:
            connect(door.socket_url)
        time.sleep(0.2)
        with connect(door.socket_url) as third:
            assert "result" in ask(third, "eth_chainId")

    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["retry-after"] == "1"


def test_large_message_closes() -> None:
    """A message that is too large ends the connection with its code."""
    with doorstep(DoorConfig(Limits(body_bytes_max=1_000))) as door, connect(door.socket_url) as client:
        client.send(" " * 1_001)
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=10)

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009


def test_slow_reader_is_let_go() -> None:
    """Who does not read is let go with a reason, and others are told on."""
    with doorstep(DoorConfig(Limits(queue_messages_max=50, cost_burst=50_000))) as door:
        slow = socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        with connect(door.socket_url) as lively, connect(door.socket_url, sock=slow, max_queue=4) as client:
            ask(lively, "eth_subscribe", "newPendingTransactions")
            for _ in range(30):
                ask(client, "eth_subscribe", "newHeads")
            for _ in range(400):
                door.settle()
                if not door.subscriptions.count - 1:
                    break
            closed = None
            try:
                for _ in range(100_000):
                    client.recv(timeout=10)
            except ConnectionClosed as error:
                closed = error.rcvd
            sent = door.send(transfer(0))

            assert closed is not None
            assert (closed.code, closed.reason) == (1008, "this client reads too slowly")
            assert hear(lively)["params"]["result"] == sent
    assert door.metrics.registry.get_sample_value("paraph_rpc_limited_total", {"limit": "slow"}) == 1


def test_too_much_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is more to tell than can be told, listeners are let go, and no memory fills."""
    monkeypatch.setattr(subscriptions, "EVENTS_MAX", 3)
    with doorstep() as door, connect(door.socket_url) as client:
        ask(client, "eth_subscribe", "newHeads")

        async def burst() -> None:
            for _ in range(5):
                door.subscriptions._heard(door.desk.chain.head)

        door.run(burst())
        with pytest.raises(ConnectionClosed) as caught:
            tuple(iter(client.recv, None))

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008


def test_fault_of_ours_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """When an event cannot be put into words, listeners are told that they miss something; the next ones hear again."""

    def fail(_block: object) -> None:
        raise ZeroDivisionError

    with doorstep() as door:
        with connect(door.socket_url) as client, monkeypatch.context() as patched:
            patched.setattr(subscriptions, "header_json", fail)
            ask(client, "eth_subscribe", "newHeads")
            door.settle()
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(timeout=10)
        with connect(door.socket_url) as client:
            ask(client, "eth_subscribe", "newHeads")
            door.settle()
            assert hear(client)["params"]["result"]["number"] == "0x2"

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.reason == "internal error: connect again"


def test_foreign_page_is_refused() -> None:
    """A page whose origin is not allowed opens no WebSocket; an allowed one, and programs that have none, do."""
    with doorstep(DoorConfig(origins=("https://mine.example",))) as door:
        with pytest.raises(InvalidStatus) as caught:
            connect(door.socket_url, origin=Origin("https://evil.example"))
        with connect(door.socket_url, origin=Origin("https://mine.example")) as client:
            assert "result" in ask(client, "eth_chainId")

    assert caught.value.response.status_code == 403


def test_nobody_listens() -> None:
    """Events that nobody hears leave nothing behind, before, between and after connections."""
    with doorstep() as door:
        door.settle()
        with connect(door.socket_url) as client:
            ask(client, "eth_subscribe", "newHeads")
        for _ in range(100):
            if door.subscriptions.count == 0:
                break
            time.sleep(0.02)
        door.settle()

        assert door.subscriptions.count == 0
        assert door.subscriptions._events == type(door.subscriptions._events)()
    door.desk.engine.produce()


def test_web3(door: Doorstep) -> None:
    """web3.py's WebSocket provider subscribes, hears and calls."""

    async def scene() -> tuple[list[Any], int]:
        async with AsyncWeb3(WebSocketProvider(door.socket_url)) as web3:
            heads = await web3.eth.subscribe("newHeads")
            events = await web3.eth.subscribe("logs", {"address": web3.to_checksum_address(native("Opg"))})
            raw = transfer(nonce_now)
            sent = await web3.eth.send_raw_transaction(raw)
            assert door.loop is not None
            door.loop.call_soon_threadsafe(door.desk.engine.produce)
            found: dict[str, Any] = {}
            async for each in web3.socket.process_subscriptions():
                found[each["subscription"]] = each["result"]
                if len(found) == 2:
                    break
            assert found[events]["transactionHash"] == sent
            return [found[heads]["number"], found[events]["blockNumber"]], await web3.eth.block_number

    nonce_now = nonce(door)
    numbers, height = asyncio.run(asyncio.wait_for(scene(), 30))

    assert numbers == [height, height]


@given(st.lists(st.binary(max_size=80) | st.text(alphabet='{}[]":,0x\\ue1method', max_size=60), min_size=1, max_size=5))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_messages_are_answered(door: Doorstep, messages: list[bytes | str]) -> None:
    """Any message has an answer that is JSON, and the connection lives on."""
    with connect(door.socket_url) as client:
        for each in messages:
            client.send(each)
            assert isinstance(hear(client), dict | list)

        assert "result" in ask(client, "eth_chainId")


@given(st.binary(max_size=200))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_frames_end_quietly(door: Doorstep, capfd: pytest.CaptureFixture[str], garbage: bytes) -> None:
    """Any bytes after the handshake end the connection or wait for more; the door stays open and logs no traceback."""
    with socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])), timeout=10) as line:
        line.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert line.recv(4_096).startswith(b"HTTP/1.1 101")
        line.sendall(garbage)

    with connect(door.socket_url) as client:
        assert "result" in ask(client, "eth_chainId")
    assert "Traceback" not in "".join(capfd.readouterr())


@given(st.binary(max_size=300))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_requests_end_quietly(door: Doorstep, capfd: pytest.CaptureFixture[str], garbage: bytes) -> None:
    """Any bytes on a fresh connection are refused or waited for; the door stays open and logs no traceback."""
    with socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])), timeout=10) as line:
        line.sendall(garbage)

    assert "result" in door.ask("eth_chainId")
    assert "Traceback" not in "".join(capfd.readouterr())
