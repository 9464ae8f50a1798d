"""The full node as a whole, on loopback: its door, its health, and how it fails."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support_ledger.world import ALICE, CHAIN_ID
from tests.unit.full_node.world import PRODUCER, Desk, Live, genesis, live, text, transfer

from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, save_key
from paraph.core.encode import canonical
from paraph.core.errors import Rejected, Unavailable
from paraph.core.keys import PrivateKey
from paraph.full_node.config import Config, Rpc
from paraph.full_node.node import FullNode
from paraph.full_node.production import Production
from paraph.full_node.rpc import BODY_BYTES_MAX

CALL = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
JSON = {"content-type": "application/json"}


def test_door(tmp_path: Path) -> None:
    """The door answers calls, tells its health, and refuses what is none of its business."""
    with live(tmp_path) as node, httpx.Client(base_url=node.url) as stranger:
        assert stranger.post("/", content=CALL, headers=JSON).json()["result"] == hex(CHAIN_ID)
        assert stranger.post("/", content=b"{", headers=JSON).json()["error"]["code"] == -32700
        notification = stranger.post("/", content=CALL.replace(b'"id":1,', b""), headers=JSON)
        assert (notification.status_code, notification.content) == (204, b"")
        health = stranger.get("/health")
        assert (health.status_code, health.json()["height"]) == (200, 0)
        # The index has a thread of its own, and may be a moment behind.
        end_s = time.monotonic() + 20
        while health.json()["index"]["behind"] and time.monotonic() < end_s:
            time.sleep(0.01)
            health = stranger.get("/health")
        index = {"height": 0, "behind": 0, "failure": None}
        told = {"height": 0, "time": 0, "network": "test", "chain_id": CHAIN_ID, "index": index}
        told |= {"peers": 0, "syncing": False}
        assert {**health.json(), "time": 0} == told
        assert "server" not in health.headers
        assert stranger.get("/").status_code == 405
        assert stranger.get("/nothing").status_code == 404
        assert stranger.post("/", content=CALL, headers={"content-type": "text/plain"}).status_code == 415
        assert stranger.post("/", content=CALL).status_code == 415
        charset = {"content-type": "Application/JSON; charset=utf-8"}
        assert stranger.post("/", content=CALL, headers=charset).status_code == 200
        assert stranger.post("/", content=b" " * (BODY_BYTES_MAX + 1), headers=JSON).status_code == 413


async def produced(node: Live) -> None:
    """The next block, or ten seconds."""
    engine = node.node.engine
    assert isinstance(engine, Production)
    await engine.engine.produced(10)


def test_transactions_make_blocks(tmp_path: Path) -> None:
    """A transaction handed in is in a block soon; the node started again goes on from there."""
    with live(tmp_path) as node:
        key = node.send(transfer(0))
        asyncio.run_coroutine_threadsafe(produced(node), node.loop).result(20)
        receipt = node.result("eth_getTransactionReceipt", key)
        assert receipt["status"] == "0x1"

    with live(tmp_path, interval_s=0.05) as node:
        assert node.result("eth_getTransactionReceipt", key) == receipt
        asyncio.run_coroutine_threadsafe(produced(node), node.loop).result(20)
        assert int(node.result("eth_blockNumber"), 16) > 1


def test_one_process_a_home(tmp_path: Path) -> None:
    """Two nodes never share a home; a closed one leaves it free."""
    with live(tmp_path), pytest.raises(Unavailable) as caught:
        FullNode(tmp_path, genesis(), PRODUCER)

    assert caught.value.code == "node.running"
    with pytest.raises(Rejected):
        FullNode(tmp_path, genesis(network="other"), PRODUCER)
    with live(tmp_path):
        pass


def test_port_in_use(tmp_path: Path) -> None:
    """An address that is taken is a typed error, and nothing stays open behind it."""

    async def scene(port: int) -> str:
        node = FullNode(tmp_path / "b", genesis(), PRODUCER, config=Config(Rpc(f"127.0.0.1:{port}")))
        try:
            await node.start()
        except Unavailable as error:
            return error.code
        finally:
            await node.stop()
            await node.stop()
        return ""

    with live(tmp_path / "a") as node:
        assert asyncio.run(scene(int(node.url.rpartition(":")[2]))) == "http.address"


def test_failing_production_stops_writing(tmp_path: Path) -> None:
    """When a block cannot be kept the node takes no more, its health says why, and reads go on."""

    def refuse(*_: object) -> Any:
        raise Unavailable("store.full", "the disk is full")

    with live(tmp_path) as node:
        node.node.chain._tables.store.write = refuse  # type: ignore[method-assign,assignment]
        node.send(transfer(0))
        health = node.http.get("/health")
        for _ in range(400):
            if health.status_code != 200:
                break
            time.sleep(0.02)
            health = node.http.get("/health")

        assert health.status_code == 503
        assert "the disk is full" in health.json()["failure"]
        assert node.error("eth_sendRawTransaction", "0x" + transfer(1).hex())["data"]["code"] == "node.stopped"
        assert node.result("eth_getTransactionCount", text(ALICE), "latest") == "0x0"

    with live(tmp_path) as node:
        assert node.node.chain.height == 0


def test_broken_block_by_hand_stops_the_node() -> None:
    """A block that fails by hand stops production as one that fails by itself."""
    desk = Desk()
    desk.chain.commit = None  # type: ignore[method-assign,assignment]

    assert desk.error("paraph_produceBlock")["code"] == -32603
    assert desk.production.failure.startswith("TypeError")
    assert desk.error("paraph_produceBlock")["data"]["code"] == "node.stopped"


# --- as a program --------------------------------------------------------------------------------------------------


def home(folder: Path, key: PrivateKey = PRODUCER, mode: int = 0o600) -> list[str]:
    """A folder to run in, and the command."""
    (folder / "genesis.json").write_bytes(canonical(genesis().as_json()))
    save_key(folder / "producer.key.json", key, "secret words", scrypt_n=SCRYPT_N_LIGHT)
    password = folder / "producer.password"
    password.write_text("secret words\n")
    password.chmod(mode)
    return [sys.executable, "-m", "paraph.full_node", "--home", str(folder), "--port", "0"]


def test_program(tmp_path: Path) -> None:
    """The program prints its URL when ready, serves, logs in JSON without secrets, and stops at SIGTERM."""
    process = subprocess.Popen(home(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    height = httpx.post(url, content=CALL, headers=JSON).json()["result"]
    process.send_signal(signal.SIGTERM)
    rest, log = process.communicate(timeout=20)

    assert (height, process.returncode, rest) == (hex(CHAIN_ID), 0, "")
    events = [json.loads(line) for line in log.splitlines()]
    assert [each["event"] for each in events] == ["full_node.started", "full_node.stopped"]
    assert events[0]["url"] == url
    assert "secret" not in log
    assert PRODUCER.dangerous_secret().hex() not in log


@pytest.mark.parametrize(("problem", "says"), [("mode", "chmod 600"), ("genesis", "genesis.json"), ("key", "producer")])
def test_program_that_cannot_run(tmp_path: Path, problem: str, says: str) -> None:
    """What is missing or unsafe is told in one line, with exit code 1."""
    command = home(tmp_path, ALICE if problem == "key" else PRODUCER, 0o644 if problem == "mode" else 0o600)
    if problem == "genesis":
        (tmp_path / "genesis.json").unlink()

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "NO_COLOR": "1"})

    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
