"""Networks of real validators on this machine, alike but for their application: ours, one that does nothing, Go's.

All have the same engine with the same configuration; each validator is processes of its own, in a home of its own.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, Self
from urllib.request import urlopen

from bench.processes import cpu_by_program
from bench.wallets import founding, person
from paraph.adapters.comet import home as engine_home
from paraph.adapters.comet import launch
from paraph.adapters.comet.engine import VERSION, find_binary
from paraph.core.amount import WEI_PER_OPG, Wei
from paraph.core.ident import Digest
from paraph.full_node.agreement import ENGINE, engine_settings
from paraph.full_node.config import Config, Consensus, Rpc, Store
from paraph.full_node.limits import Limits
from paraph.full_node.setup import make_home, make_keys
from paraph.ledger.genesis import Genesis
from paraph.ledger.rooms.bonds.types import GenesisValidator

PAUSE_MS: Final = 200
"""After each block, on every network."""
BOND: Final = Wei(20_000 * WEI_PER_OPG)
LOUD: Final = Limits(cost_per_s=10**9, cost_burst=10**9, requests_per_client_max=256)
"""A door that counts nothing: the whole load comes from one address."""
PATIENCE_S: Final = 60
METAS: Final = 20
"""Blocks in one answer of the engine's."""


class App(Enum):
    """What runs behind the engines."""

    KVSTORE = "CometBFT's Go kvstore"
    KVSTORE_SOCKET = "CometBFT's Go kvstore behind a socket"
    NOOP = "noop"
    PARAPH = "paraph"


@dataclass(frozen=True, slots=True)
class Block:
    """A decided block: when its validators proposed it (Unix seconds), and how many transactions it has."""

    height: int
    time_s: float
    transactions: int


class Network:
    """So many validators of equal power.

    Args:
        folder: for their homes.
        app: what they run.
        validators: how many.
        form_workers: processes that check signatures, of each of our nodes.
    """

    def __init__(self, folder: Path, app: App, validators: int, form_workers: int = 1) -> None:
        self.app: Final = app
        self._homes = [folder / str(number) for number in range(validators)]
        made = [make_keys(home) for home in self._homes]
        ports = iter(_free_ports(3 * validators))
        self._configs = [
            Config(
                rpc=Rpc(listen=_local(next(ports))),
                limits=LOUD,
                consensus=Consensus(
                    listen=_local(next(ports)),
                    rpc_listen=_local(next(ports)),
                    private_network=True,
                    block_pause_ms=PAUSE_MS,
                    form_workers=form_workers,
                ),
                store=Store(index=""),
            )
            for _ in self._homes
        ]
        self.engines: Final = [each.consensus.rpc_listen for each in self._configs]
        """Where each engine's RPC listens."""
        self.doors: Final = [each.rpc.listen for each in self._configs]
        """Where each of our nodes listens."""
        keys = [each.validator_key for each in made]
        self.genesis: Final = founding(
            int(time.time()) - 1,
            [GenesisValidator(person(f"validator {n}").address, key, BOND, f"v{n}") for n, key in enumerate(keys)],
        )
        for number, config in enumerate(self._configs):
            peers = tuple(
                f"{made[other].node_id}@{self._configs[other].consensus.listen}"
                for other in range(validators)
                if other != number
            )
            _prepare(self._homes[number], app, self.genesis, _with_peers(config, peers))
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for home in self._homes:
            with home.with_suffix(".log").open("wb") as log:
                # The engine's sockets are named from its home.
                folder = home / ENGINE if self.app in (App.KVSTORE, App.KVSTORE_SOCKET) else None
                for command in _commands(self.app, home):
                    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
                    self._processes.append(process)
        try:
            for engine in self.engines:
                self._until(engine, 3)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # An application that went before its engine would leave it in a panic.
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(PATIENCE_S)

    def cpu(self) -> Counter[str]:
        """Seconds of processor time of all validators so far, by program."""
        found: Counter[str] = Counter()
        for process in self._processes:
            found.update(cpu_by_program(process.pid))
        return found

    def height(self) -> int:
        """Of the first validator's last block."""
        return int(ask(self.engines[0], "status")["sync_info"]["latest_block_height"])

    def blocks(self, first: int, last: int) -> list[Block]:
        """Those blocks, as the first validator has them."""
        found = []
        for low in range(first, last + 1, METAS):
            query = f"blockchain?minHeight={low}&maxHeight={min(low + METAS - 1, last)}"
            for meta in reversed(ask(self.engines[0], query)["block_metas"]):
                header = meta["header"]
                found.append(Block(int(header["height"]), _seconds(header["time"]), int(meta["num_txs"])))
        return found

    def transactions(self, height: int) -> list[str]:
        """A block's transactions, in base64."""
        found: list[str] = ask(self.engines[0], f"block?height={height}")["block"]["data"]["txs"] or []
        return found

    def settle(self) -> int:
        """Wait until nothing waits for a block, and two blocks more; the height."""
        end_s = time.monotonic() + PATIENCE_S
        while any(int(ask(engine, "num_unconfirmed_txs")["total"]) for engine in self.engines):
            assert time.monotonic() < end_s, f"transactions still wait\n{self._said()}"
            time.sleep(0.05)
        wanted = self.height() + 2
        self._until(self.engines[0], wanted)
        return wanted

    def _until(self, engine: str, height: int) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                if int(ask(engine, "status")["sync_info"]["latest_block_height"]) >= height:
                    return
            except OSError:
                pass  # it is not there yet
            assert time.monotonic() < end_s, f"no block {height}\n{self._said()}"
            time.sleep(0.05)

    def _said(self) -> str:
        return "\n".join(home.with_suffix(".log").read_text(errors="replace")[-2_000:] for home in self._homes)


def ask(address: str, question: str) -> Any:
    """What an engine's RPC answers."""
    with urlopen(f"http://{address}/{question}", timeout=30) as reply:
        return json.load(reply)["result"]


def _prepare(home: Path, app: App, genesis: Genesis, config: Config) -> None:
    if app is App.PARAPH:
        make_home(home, genesis, config)
        return
    place = home / ENGINE
    document = engine_home.Genesis(
        chain_id="bench",
        time_s=genesis.time_s,
        validators=tuple(engine_home.Validator(each.moniker, each.key, 20_000) for each in genesis.validators),
        root=Digest(bytes(32)),
        state={},
        version=1,
        evidence_s_max=60,
        evidence_blocks_max=60,
    )
    engine_home.write_home(place, engine_settings(config, 60), document)
    if app is App.KVSTORE:
        settings = place / "config" / "config.toml"
        lines = settings.read_text().splitlines()
        found = ['proxy_app = "kvstore"' if line.startswith("proxy_app =") else line for line in lines]
        assert found != lines
        settings.write_text("\n".join(found) + "\n")


def _commands(app: App, home: Path) -> Sequence[Sequence[str]]:
    """The programs of one validator; each of ours starts its engine itself."""
    binary, place = find_binary(os.environ), home / ENGINE
    engine = (sys.executable, "-I", launch.__file__, str(os.getpid()), str(binary), "start", "--home", str(place))
    match app:
        case App.PARAPH:
            return ((sys.executable, "-m", "paraph.full_node", "--home", str(home)),)
        case App.NOOP:
            return ((sys.executable, "-m", "bench.noop", str(place)),)
        case App.KVSTORE:
            return (engine,)
        case App.KVSTORE_SOCKET:
            socket = f"unix://{engine_home.abci_socket(place)}"
            return ((str(_abci_cli(binary)), "kvstore", "--address", socket, "--log_level", "error"), engine)


def _abci_cli(engine: Path) -> Path:
    """The engine's example application: beside the engine, or where `make bench` builds it."""
    built = Path(__file__).parents[1] / "build" / "tools" / f"cometbft-{VERSION}" / "abci-cli"
    found = next((each for each in (engine.with_name("abci-cli"), built) if each.exists()), None)
    assert found, f"the engine's abci-cli is not there: `make {built.relative_to(Path(__file__).parents[1])}` builds it"
    return found


def _with_peers(config: Config, peers: tuple[str, ...]) -> Config:
    return replace(config, consensus=replace(config.consensus, peers=peers))


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    found = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return found


def _local(port: int) -> str:
    return f"127.0.0.1:{port}"


def _seconds(text: str) -> float:
    """The engine's time, of nanoseconds, to microseconds."""
    head, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{rest[:6]:0<6}+00:00").timestamp()
