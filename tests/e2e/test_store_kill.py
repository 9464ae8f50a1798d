"""Killed at any moment, a store and a full node lose nothing that was committed and keep nothing by halves.

`kill -9` shows that the process cannot lose a committed block; what a power cut does is the operating system's promise.
"""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.support_ledger.world import ALICE, BOB, CAROL
from tests.unit.full_node.world import PRODUCER, genesis, rebuilt, transfer

from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, save_key
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.digest import keccak256
from paraph.core.encode import canonical
from paraph.core.ident import to_hex
from paraph.full_node.chain import Chain
from paraph.full_node.tables import BLOCKS, TREE
from paraph.ledger.truths import broken

pytestmark = pytest.mark.e2e

STORE_KILLS: Final = int(os.environ.get("PARAPH_KILLS", "30"))
NODE_KILLS: Final = STORE_KILLS // 6
"""`PARAPH_KILLS=1000` makes a night of it."""

# --- a store -------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from paraph.adapters.store.lmdb import LmdbStore
store = LmdbStore(Path(sys.argv[1]))
number = len(list(store.items("a")))
while True:
    key = number.to_bytes(8, "big")
    rows = {("a", key): key * (1 + number % 700), ("b", key): key}
    rows |= {("c", bytes((slot,))): key * 100 for slot in range(40)}
    store.write(rows)
    number += 1
    print(number, flush=True)
"""


def kill_writer(folder: Path, delay_s: float) -> int:
    """Run the writer, kill it some time after its first commit; how many commits it reported in all."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        threading.Timer(delay_s, process.kill).start()
        lines = (first + process.stdout.read()).splitlines(keepends=True)
        assert process.wait(20) == -9
    return int([line for line in lines if line.endswith("\n")][-1])


def test_killed_writer_loses_nothing(tmp_path: Path) -> None:
    """After each kill: every write that was reported is there, whole, and at most one more, whole."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(STORE_KILLS):
        reported = kill_writer(tmp_path, chance.random() * 0.03)

        store = LmdbStore(tmp_path)
        rows = list(store.items("a"))
        keys = [number.to_bytes(8, "big") for number in range(len(rows))]
        assert reported <= len(rows) <= reported + 1
        assert rows == [(key, key * (1 + number % 700)) for number, key in enumerate(keys)]
        assert list(store.items("b")) == [(key, key) for key in keys]
        assert list(store.items("c")) == [(bytes((slot,)), keys[-1] * 100) for slot in range(40)]
        store.close()


# --- a full node ---------------------------------------------------------------------------------------------------


class Load:
    """Transfers by three people, sent until the node is gone; it remembers every receipt it was shown."""

    def __init__(self) -> None:
        self.receipts: dict[str, Any] = {}
        self.sent = 0

    def run(self, url: str) -> None:
        """Send and look, until the node does not answer."""
        with httpx.Client(base_url=url, headers={"content-type": "application/json"}) as client:
            try:
                self._run(client)
            except httpx.TransportError:
                return

    def _run(self, client: httpx.Client) -> None:
        people = (ALICE, BOB, CAROL)
        nonces = [
            int(found["result"], 16)
            for found in self._ask(
                client, *(("eth_getTransactionCount", to_hex(who.address), "latest") for who in people)
            )
        ]
        while True:
            raw = [
                transfer(nonce + ahead, sender=who)
                for who, nonce in zip(people, nonces, strict=True)
                for ahead in range(4)
            ]
            nonces = [nonce + 4 for nonce in nonces]
            hashes = [to_hex(keccak256(each)) for each in raw]
            self._ask(client, *(("eth_sendRawTransaction", to_hex(each)) for each in raw))
            self.sent += len(raw)
            waiting = set(hashes)
            while waiting:
                for found in self._ask(client, *(("eth_getTransactionReceipt", each) for each in sorted(waiting))):
                    receipt = found["result"]
                    if receipt is not None:
                        self.receipts[receipt["transactionHash"]] = receipt
                        waiting.discard(receipt["transactionHash"])

    def _ask(self, client: httpx.Client, *calls: Any) -> list[Any]:
        body = [{"jsonrpc": "2.0", "id": 1, "method": name, "params": params} for name, *params in calls]
        answers: list[Any] = client.post("/", content=json.dumps(body)).json()
        return answers


def audit(home: Path, load: Load) -> Chain:
    """Open the chain that a killed node left, and check all of it against itself and against what was shown."""
    store = LmdbStore(home / "chain")
    chain = Chain(store, genesis())
    fresh = rebuilt(chain)
    assert broken(chain.dump()) == []
    assert chain.head.header.state_root == fresh.root
    # Beside the nodes of the last state stand those of the near past.
    assert set(fresh.added) <= {node for node, _ in store.items(TREE)}
    chain.audit()
    assert len(list(store.items(BLOCKS))) == chain.height + 1
    parents = [block.header.parent for block in chain.blocks(1, chain.height)]
    assert parents == [block.header.hash() for block in chain.blocks(0, chain.height - 1)]
    for tx_hash, receipt in load.receipts.items():
        place = chain.find(bytes.fromhex(tx_hash[2:]))
        assert place == (int(receipt["blockNumber"], 16), int(receipt["transactionIndex"], 16))
        assert to_hex(chain.block(place[0]).header.hash()) == receipt["blockHash"]
    included = sum(len(block.transactions) for block in chain.blocks(1, chain.height))
    assert included == sum(chain.next_nonce(who.address) for who in (ALICE, BOB, CAROL))
    store.close()
    return chain


def test_killed_node_loses_no_block(tmp_path: Path) -> None:
    """Under load, after each kill: state, tree, blocks and indexes agree, and every receipt once shown holds."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    (tmp_path / "genesis.json").write_bytes(canonical(genesis().as_json()))
    save_key(tmp_path / "producer.key.json", PRODUCER, "x", scrypt_n=SCRYPT_N_LIGHT)
    (tmp_path / "producer.password").touch(0o600)
    (tmp_path / "producer.password").write_text("x")
    command = [sys.executable, "-m", "paraph.full_node", "--home", str(tmp_path), "--port", "0"]
    load, height = Load(), 0
    for _ in range(NODE_KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            threading.Timer(0.05 + chance.random() * 0.4, process.kill).start()
            load.run(url)
            assert process.wait(20) == -9

        chain = audit(tmp_path, load)
        assert chain.height >= height
        height = chain.height

    assert height > 0
    assert load.receipts
