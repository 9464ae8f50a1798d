"""200 paid requests while node and full node are killed at random moments: every answer is paid for exactly once.

Everything is real: processes, sockets, disks, `kill -9`. When the SDK gives up, the same signed request is sent again.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.standard.small_models import double
from tests.support.cometbft import free_port

from paraph.adapters.blobs.folder import FolderBlobs
from paraph.adapters.http.client import Means, SyncDriver
from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, save_key, write_private
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, Wei
from paraph.core.digest import sha256
from paraph.core.encode import canonical
from paraph.core.errors import Unavailable
from paraph.core.ident import Address
from paraph.core.keys import PrivateKey
from paraph.flows.effect import Rpc, ask
from paraph.full_node.__main__ import GENESIS
from paraph.full_node.__main__ import KEY as PRODUCER_KEY
from paraph.full_node.__main__ import PASSWORD as PRODUCER_PASSWORD
from paraph.full_node.chain import Chain
from paraph.inference_node import config as node_config
from paraph.inference_node.models import describe, keep
from paraph.inference_node.outbox import Outbox
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.escrow.types import Account
from paraph.ledger.rooms.models.calls import CONTRACT as MODELS
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.nodes.rules import key_proof_digest
from paraph.ledger.rooms.settlement.keys import SETTLED
from paraph.ledger.state import State
from paraph.ledger.truths import broken
from paraph.proofs.policy import Trust
from paraph.proofs.receipt import Receipt
from paraph.sdk.client import Client
from paraph.sdk.network import Network

pytestmark = pytest.mark.e2e

REQUESTS: Final = 200
PAYERS: Final = 4
KILLS_EACH: Final = 8
PATIENCE_S: Final = 80
CHAIN_ID: Final = 10_740_777
DEPOSIT: Final = WEI_PER_OPG


def person(name: str) -> PrivateKey:
    """A key that the name alone makes."""
    return PrivateKey(sha256(b"killed: " + name.encode()))


PRODUCER, OPERATOR, HOT, OWNER = (person(name) for name in ("producer", "operator", "hot", "owner"))


@dataclass
class Net:
    """A full node and an inference node as processes, in a folder."""

    home: Path
    ports: dict[str, int] = field(default_factory=lambda: {"full": free_port(), "node": free_port()})
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        held = [Allocation(who.address, Wei(10_000 * WEI_PER_OPG), "test") for who in (OPERATOR, HOT, OWNER)]
        held += [
            Allocation(person(f"payer {number}").address, Wei(WEI_PER_OPG * 10), "test") for number in range(PAYERS)
        ]
        rest = SUPPLY_WEI - sum(each.amount for each in held)
        held.append(Allocation(person("rest").address, Wei(rest), "test"))
        now_s = int(time.time())
        self.genesis = Genesis("killed", CHAIN_ID, now_s, (PRODUCER.address,), OWNER.address, True, tuple(held))
        trust = Trust("killed", CHAIN_ID, self.genesis.digest(), self.genesis.producers, devnet=True)
        self.network = Network(self.url("full"), trust)
        (self.home / "node" / node_config.MANIFESTS).mkdir(parents=True)
        for name, key, key_name, password_name in (
            ("full", PRODUCER, PRODUCER_KEY, PRODUCER_PASSWORD),
            ("node", HOT, node_config.KEY, node_config.PASSWORD),
        ):
            save_key(self.home / name / key_name, key, "open", scrypt_n=SCRYPT_N_LIGHT)
            write_private(self.home / name / password_name, b"open")
        (self.home / "full" / GENESIS).write_bytes(canonical(self.genesis.as_json()))
        # Everyone here has one address.
        (self.home / "full" / "node.toml").write_text("[limits]\ncost_per_s = 100000\ncost_burst = 500000\n")
        self.manifest, places = describe(double(self.home / "double.onnx"), "double", "tensor")
        keep(FolderBlobs(self.home / "node" / "blobs"), self.manifest, places)
        (self.home / "node" / node_config.MANIFESTS / "double.json").write_bytes(canonical(self.manifest.as_json()))
        config = node_config.Config(
            self.home / "node",
            self.network.rpc_url,
            trust,
            OPERATOR.address,
            (self.manifest,),
            port=self.ports["node"],
            settle_interval_ms=100,
        )
        (self.home / "node" / node_config.FILE).write_text(json.dumps(config.as_json()))

    def url(self, name: str) -> str:
        """Where a process listens."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, name: str) -> None:
        """Start a process and wait until it is ready."""
        module = {
            "full": ["paraph.full_node", "--home", str(self.home / "full"), "--port", str(self.ports["full"])],
            "node": ["paraph.inference_node", "--home", str(self.home / "node")],
        }[name]
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", *module], stdout=subprocess.PIPE, stderr=log)
        self.running[name] = process
        assert process.stdout is not None
        assert process.stdout.readline(), (self.home / f"{name}.log").read_text()[-2000:]

    def end(self, name: str, number: signal.Signals) -> None:
        """End a process by a signal and wait for it."""
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()

    def open(self) -> None:
        """Start both, register model and node, and deposit for every payer."""
        self.start("full")
        with Client(self.network, OWNER) as owner:
            ids = (self.manifest.model_id(), self.manifest.digest(), "double", "tensor")
            owner.transact(MODELS, "register", *ids, 1_000, 1, 1_000, 10, 30)
        with Client(self.network, OPERATOR) as operator:
            proof = HOT.sign(key_proof_digest(CHAIN_ID, OPERATOR.address))
            arguments = (self.url("node"), HOT.address, proof, 1, (self.manifest.model_id(),))
            operator.transact(NODES, "register", *arguments, value=1_000 * WEI_PER_OPG)
        for number in range(PAYERS):
            with Client(self.network, person(f"payer {number}")) as payer:
                payer.deposit(DEPOSIT)
        self.start("node")


class Buyer(threading.Thread):
    """One payer's thread: each request is asked under its own key until it is answered, however often that takes."""

    def __init__(self, net: Net, number: int, answered: dict[bytes, Receipt], end_s: float) -> None:
        super().__init__(daemon=True)
        self.key = person(f"payer {number}")
        self.failure: BaseException | None = None
        self.given_up = 0
        self._net, self._number, self._answered, self._end_s = net, number, answered, end_s

    def run(self) -> None:
        try:
            for index in range(REQUESTS // PAYERS):
                self._buy(index)
        except BaseException as error:  # noqa: BLE001  the test raises it
            self.failure = error

    def _buy(self, index: int) -> None:
        # The same key and the same deadline make the same signed request.
        now_ms = int(time.time() * 1000)
        drawn = sha256(b"key %d %d" % (self._number, index))
        client = Client(self._net.network, self.key)
        client.close()
        means = Means(self._net.network.rpc_url, lambda: now_ms, lambda size: drawn[:size], self.key.sign)
        client._driver = SyncDriver(means)
        rows = [[float(self._number), float(index), 1.0, 2.0]]
        with client:
            while time.monotonic() < self._end_s:
                try:
                    answer = client.infer("double", {"x": rows})
                except Unavailable:
                    self.given_up += 1
                    time.sleep(0.02)
                    continue
                assert answer.outputs["y"] == [2 * value for value in rows[0]]
                self._answered[self.key.address + drawn] = answer.receipt
                return
        raise TimeoutError(f"request {index} of payer {self._number} was never answered")


def schedule(seed: int) -> list[tuple[int, str, float, float]]:
    """When to kill whom: after so many answers and a delay, and how long to leave it dead; the seed says it all."""
    chance = random.Random(seed)
    moments = sorted(chance.sample(range(1, REQUESTS - PAYERS), 2 * KILLS_EACH))
    victims = ["full", "node"] * KILLS_EACH
    chance.shuffle(victims)
    return [
        (moment, who, chance.random() * 0.1, chance.random() * 0.2)
        for moment, who in zip(moments, victims, strict=True)
    ]


def kill_along(
    net: Net, plan: list[tuple[int, str, float, float]], answered: dict[bytes, Receipt], buyers: list[Buyer]
) -> int:
    """Follow the plan; how many were killed."""
    killed = 0
    for moment, victim, delay_s, dead_s in plan:
        while len(answered) < moment and any(buyer.is_alive() for buyer in buyers):
            time.sleep(0.002)
        time.sleep(delay_s)
        net.end(victim, signal.SIGKILL)
        killed += 1
        time.sleep(dead_s)
        net.start(victim)
    return killed


def test_every_answer_is_paid_once_whoever_is_killed(tmp_path: Path) -> None:
    """With 8 kills of each process during 200 requests, every payer is debited once for each answer."""
    seed = int(os.environ.get("PARAPH_SEED", random.randrange(2**32)))
    print(f"seed {seed}")
    net = Net(tmp_path)
    answered: dict[bytes, Receipt] = {}
    try:
        net.open()
        end_s = time.monotonic() + PATIENCE_S
        buyers = [Buyer(net, number, answered, end_s) for number in range(PAYERS)]
        for buyer in buyers:
            buyer.start()
        killed = kill_along(net, schedule(seed), answered, buyers)
        for buyer in buyers:
            buyer.join(PATIENCE_S)
            if buyer.failure is not None:
                raise buyer.failure
        await_settled(net, end_s)
    finally:
        for name in list(net.running):
            net.end(name, signal.SIGTERM)

    print(f"{killed} kills; given up {sum(buyer.given_up for buyer in buyers)} times")
    assert killed == 2 * KILLS_EACH
    assert len(answered) == REQUESTS
    audit(net, answered)


def await_settled(net: Net, end_s: float) -> None:
    """Until the ledger holds as many settlements as were asked for."""
    driver = SyncDriver(Means(net.network.rpc_url, lambda: 0, bytes))
    waiting = [
        (person(f"payer {n}").address, sha256(b"key %d %d" % (n, i)))
        for n in range(PAYERS)
        for i in range(REQUESTS // PAYERS)
    ]
    while waiting and time.monotonic() < end_s:
        payer, key = waiting[-1]
        if driver.run(ask(Rpc("paraph_getSettled", ("0x" + payer.hex(), "0x" + key.hex())))) is None:
            time.sleep(0.05)
        else:
            waiting.pop()
    driver.close()
    # The node notes it after the ledger has it.
    time.sleep(0.5)
    assert not waiting, f"{len(waiting)} requests are not settled"


def audit(net: Net, answered: dict[bytes, Receipt]) -> None:
    """All that was answered is settled, once, for its price; escrows fell by exactly that; all truths hold."""
    store = LmdbStore(net.home / "full" / "chain")
    chain = Chain(store, net.genesis)
    state = chain.dump()
    assert broken(state) == []
    spent: dict[Address, int] = {}
    for place, receipt in answered.items():
        found = SETTLED.get(State(state.get), place)
        assert found is not None
        assert found.price == receipt.price
        spent[receipt.payer] = spent.get(receipt.payer, 0) + receipt.price
    for payer, price in spent.items():
        left = Account.decode(state[b"escrow/account/" + payer])
        assert (left.available, left.leaving) == (DEPOSIT - price, 0)
    assert sum(1 for key in state if key.startswith(SETTLED.prefix)) == len(answered)
    store.close()
    outbox_store = LmdbStore(net.home / "node" / "outbox")
    outbox: Any = Outbox(outbox_store)
    assert outbox.pending(1) == []
    assert all(outbox.find(Address(place[:20]), place[20:]) is not None for place in answered)
    outbox_store.close()
