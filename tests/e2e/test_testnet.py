"""What `make testnet` does, on four real validators; and what one of them stopped, and all of them stopped, change."""

import time
from pathlib import Path

import httpx
import pytest
from tests.support.cometbft import cometbft_binary

from paraph.cli.program import paraph
from paraph.devnet import demo
from paraph.devnet.models import patient
from paraph.devnet.network import Devnet
from paraph.devnet.shape import Shape
from paraph.full_node.__main__ import load_genesis
from paraph.sdk.client import Client

pytestmark = [pytest.mark.e2e, pytest.mark.models]

STOPPED = "full-node-2"
"""Neither the node that the client asks nor the one that the inference node asks."""
PATIENCE_S = 60


def verify(file: Path, trust: Path) -> int:
    """The exit code of `paraph verify`, in this process."""
    words = ["verify", str(file), "--trust", str(trust), "--min-trust", "simulated"]
    code: int = paraph.main(words, standalone_mode=False)
    return code


def block(devnet: Devnet, name: str, tag: str) -> dict[str, str]:
    """A block as one full node has it, as soon as it has it: one that was stopped fetches what it missed."""
    url = devnet.status()[name]["url"]  # type: ignore[index]
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [tag, False]}
    end = time.monotonic() + PATIENCE_S
    while True:
        found: dict[str, str] | None = httpx.post(url, json=call).json()["result"]
        if found is not None:
            return found
        assert time.monotonic() < end, f"{name} has no block {tag} after {PATIENCE_S} s"
        time.sleep(0.2)


def bought(devnet: Devnet, file: Path) -> None:
    """Buy a decision, wait until it is settled, and save it."""
    measurements, _ = patient(3)
    with Client.open(devnet.network_file, devnet.key("user")) as client:
        answer = client.infer("breast-cancer", {"measurements": [[*measurements]]})
        client.settled(answer).save(file)


# One test, because a network of validators takes a while and parallel workers would each start one.
def test_testnet(tmp_path: Path) -> None:
    """The journey ends well; started again it is the same chain; without one validator it goes on; all files verify."""
    cometbft_binary()
    trust = tmp_path / "trust.json"

    assert demo.main(Shape(4, block_pause_ms=300), tmp_path) == 0

    devnet = Devnet(tmp_path / "devnet")
    try:
        devnet.up(lambda _: None)
        first = block(devnet, "full-node-1", "0x1")
        assert devnet.stop([STOPPED]) == [STOPPED]
        bought(devnet, tmp_path / "with-three.json")
        head = block(devnet, "full-node-1", "latest")

        devnet.up(lambda _: None)

        bought(devnet, tmp_path / "with-four.json")
        again = [block(devnet, name, head["number"]) for name in devnet.shape.full_nodes]
        assert {(each["hash"], each["stateRoot"]) for each in again} == {(head["hash"], head["stateRoot"])}
        assert int(head["number"], 16) > int(first["number"], 16)
    finally:
        stopped = devnet.down()

    assert stopped == ["inference-node", "enclave-node", *devnet.shape.full_nodes]
    assert trust.read_bytes().strip() == load_genesis(devnet.home / "full-node-1").trust().encode()
    for name in (*demo.ANSWERS, "with-three.json", "with-four.json"):
        assert verify(tmp_path / name, trust) == 0
