"""web3.py, unchanged, over `paraph light` before a real validator; and before one whose every answer passes a liar."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from tests.support.lights import Lie, Middle, light
from tests.support.member import until
from tests.support.validators import Network
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder

from paraph.core.encode import canonical
from paraph.ledger.versions import BY_NAME
from paraph.sdk.network import Network as NetworkFile
from paraph.sdk.network import load_network, save_network

pytestmark = pytest.mark.e2e

PATIENCE_S = 60


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One validator under the real engine."""
    with Network(tmp_path_factory.mktemp("light"), validators=1) as found:
        found.start(4)
        yield found


@pytest.fixture
def middle(network: Network) -> Iterator[Middle]:
    found = Middle(network.members[0].url)
    yield found
    found.close()


@pytest.fixture
def file(network: Network, middle: Middle, tmp_path: Path) -> Path:
    """A network file that names the middle as its node, and the node itself as a witness."""
    place = tmp_path / "network.json"
    save_network(NetworkFile(middle.url, network.genesis.trust(), (network.members[0].url,)), place)
    return place


@pytest.fixture
def url(file: Path, tmp_path: Path) -> Iterator[str]:
    with light(tmp_path, file) as found:
        yield found


def connected(url: str) -> tuple[Any, LocalAccount]:
    """web3.py as its documentation sets it up, with Alice's key."""
    me: LocalAccount = Account.from_key(ALICE.dangerous_secret())
    web3: Any = Web3(Web3.HTTPProvider(url))
    web3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(me), layer=0)
    web3.eth.default_account = me.address
    return web3, me


def contract(web3: Any, name: str) -> Any:
    found = BY_NAME[name]
    return web3.eth.contract(Web3.to_checksum_address(found.address), abi=found.abi_json)


def asked(url: str, method: str, *params: Any) -> Any:
    return httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, timeout=60).json()


def test_wallet_over_the_light_client(network: Network, url: str) -> None:
    """Balance, transfer, receipt, contract call, refusal, event and fees, all through web3.py."""
    web3, me = connected(url)
    bob = Web3.to_checksum_address(BOB.address)
    opg = contract(web3, "Opg")
    before = web3.eth.get_balance(bob)

    sent = web3.eth.send_transaction({"to": bob, "value": 7})
    receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=PATIENCE_S, poll_latency=0.1)
    called = web3.eth.wait_for_transaction_receipt(
        opg.functions.transfer(bob, 5).transact(), timeout=PATIENCE_S, poll_latency=0.1
    )

    assert web3.eth.chain_id == CHAIN_ID
    assert receipt["status"] == called["status"] == 1
    assert web3.eth.get_balance(bob) == before + 12 == opg.functions.balanceOf(bob).call()
    (event,) = opg.events.Transfer.get_logs(from_block=called["blockNumber"], to_block=called["blockNumber"])
    assert (event["args"]["from"], event["args"]["value"]) == (me.address, 5)
    assert web3.eth.get_transaction(sent)["value"] == 7
    block = web3.eth.get_block(receipt["blockNumber"], full_transactions=True)
    assert [each["hash"] for each in block["transactions"]] == [sent]
    assert block["hash"].to_0x_hex() == network.members[0].block(receipt["blockNumber"])["hash"]
    assert (
        web3.eth.get_transaction_count(me.address) == web3.eth.get_transaction(called["transactionHash"])["nonce"] + 1
    )
    with pytest.raises(ContractLogicError, match=r"accounts\.allowance"):
        opg.functions.transferFrom(bob, me.address, 5).call()
    assert web3.eth.fee_history(3, "latest", [50])["baseFeePerGas"]


CHANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a balance": ("paraph_getProof", lambda r: [each.update(value="0x7fffffff") for each in r["proofs"][2:]]),
    "a balance hidden": ("paraph_getProof", lambda r: [each.update(value=None) for each in r["proofs"][2:]]),
    "a state root": (
        "paraph_getProof",
        lambda r: r["seal"]["blocks"][-1]["header"].update(app_hash="0x" + "11" * 32),
    ),
    "the time": (
        "paraph_getProof",
        lambda r: r["seal"]["blocks"][-1]["header"]["time"].update(nanos=1),
    ),
    "the votes": ("paraph_getProof", lambda r: r["seal"]["blocks"][-1]["commit"].update(signatures=[None])),
    "a transaction more": ("paraph_getBlock", lambda r: r["transactions"].append("0x02")),
    "a result more": ("paraph_getBlock", lambda r: r["results"].append("0xc0")),
    "a header": ("paraph_getBlock", lambda r: r.update(header=r["header"][:-140] + "1" * 140)),
    "a place": ("eth_getTransactionReceipt", lambda r: r.update(blockNumber="0x1")),
    "a hash": ("eth_getBlockByHash", lambda r: r.update(number="0x1")),
}


def changing(target: str, change: Callable[[Any], Any]) -> Lie:
    """The lie that changes the results of one method."""

    def lie(method: str, result: Any) -> Any:
        if method == target and result is not None:
            change(result)
        return result

    return lie


def test_lying_middle(network: Network, middle: Middle, url: str) -> None:
    """Whatever the middle changes is refused, with a code that says what was wrong, and never shown."""
    web3, _ = connected(url)
    bob = Web3.to_checksum_address(BOB.address)
    sent = web3.eth.send_transaction({"to": bob, "value": 1})
    place = web3.eth.wait_for_transaction_receipt(sent, timeout=PATIENCE_S, poll_latency=0.1)["blockNumber"]
    block = network.members[0].block(place)
    call = {"to": BY_NAME["Opg"].address.hex().join(("0x", "")), "data": "0x70a08231" + "00" * 12 + BOB.address.hex()}
    truth = network.members[0].ask("eth_getBalance", bob, "latest")
    refused: dict[str, set[str]] = {}

    for name, (target, change) in CHANGES.items():
        middle.lie = changing(target, change)
        answers = [
            asked(url, "eth_getBalance", bob, "latest"),
            asked(url, "eth_call", call, "latest"),
            asked(url, "eth_getTransactionReceipt", sent.to_0x_hex()),
            asked(url, "eth_getBlockByHash", block["hash"], False),
        ]
        for found in answers:
            if "error" in found:
                refused.setdefault(name, set()).add(found["error"]["data"]["code"])
        shown = [found.get("result") for found in answers]
        assert shown[0] in (None, truth)
        assert shown[1] is None or int(shown[1], 16) == int(truth, 16)
        assert shown[2] is None or int(shown[2]["blockNumber"], 16) == place
        assert shown[3] is None or shown[3]["hash"] == block["hash"]

    assert refused.keys() >= {
        "a balance",
        "a balance hidden",
        "a state root",
        "the time",
        "the votes",
        "a place",
        "a hash",
    }
    assert "verified.proof" in refused["a balance"]
    assert "verified.transaction" in refused["a place"]
    assert "verified.block" in refused["a hash"]
    middle.lie = lambda _method, result: result
    assert asked(url, "eth_getBalance", bob, "latest")["result"] == truth
    with pytest.raises(Web3RPCError, match="filters are kept"):
        web3.eth.filter("latest")


def test_lie_about_blocks_never_seen(middle: Middle, url: str) -> None:
    """Blocks that were not verified before are refused when anything of them is changed."""
    for name in ("a transaction more", "a header", "a result more"):
        target, change = CHANGES[name]
        middle.lie = changing(target, change)
        assert asked(url, "eth_getBlockByNumber", "0x2", False)["error"]["data"]["code"].startswith(
            ("verified.", "rlp.", "header.", "ident.")
        )
    middle.lie = lambda _method, result: result
    assert asked(url, "eth_getBlockByNumber", "0x2", False)["result"]["number"] == "0x2"


def test_anchor_is_refreshed_and_pinned(network: Network, file: Path, tmp_path: Path) -> None:
    """`refresh` follows from genesis to the head and tells the block; `anchor` pins that block in another file."""

    def run(*words: str) -> Any:
        command = [sys.executable, "-m", "paraph.cli", "network", *words, "--json"]
        done = subprocess.run(
            command, capture_output=True, timeout=PATIENCE_S, env={**os.environ, "PARAPH_HOME": str(tmp_path)}
        )
        return json.loads(done.stdout or done.stderr)

    other = tmp_path / "other.json"
    other.write_bytes(file.read_bytes())

    told = run("refresh", "--network", str(file))
    pinned = run(
        "anchor", "--network", str(other), "--height", str(told["anchor_height"]), "--hash", told["anchor_hash"]
    )
    wrong = run("anchor", "--network", str(other), "--height", "2", "--hash", "0x" + "11" * 32)

    assert told["anchor_height"] > 2
    assert told["witnesses_silent"] == []
    assert pinned["trusted_s"] > 0
    assert load_network(file).trust == load_network(other).trust != network.genesis.trust()
    assert (tmp_path / "trust-1.json").read_bytes().rstrip(b"\n") == canonical(network.genesis.trust().as_json())
    assert wrong["error"]["code"] == "verified.anchor"


def test_health(url: str, network: Network) -> None:
    """The light client follows the chain while nobody asks."""
    first = until("it follows", lambda: httpx.get(f"{url}/health").json()["height"])

    until("it follows on", lambda: httpx.get(f"{url}/health").json()["height"] > first)
    assert httpx.get(f"{url}/health").json()["witnesses_silent"] == []
    assert network.members[0].height() >= first
