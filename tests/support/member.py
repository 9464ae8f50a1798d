"""One node of a test's network: its processes, which can be hurt, and what it says when it is asked."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from tests.support.cometbft import cometbft_binary
from tests.support_ledger.world import person

from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.keys import PrivateKey
from paraph.full_node.chain import Chain
from paraph.full_node.config import FILE, Config, encode_config
from paraph.full_node.node import CHAIN
from paraph.ledger.genesis import Genesis

T = TypeVar("T")

PATIENCE_S: Final = 90
"""Until something that must happen counts as not happening: the machine may be shared with other tests."""
STARTED_S_MAX: Final = 60
LOG_TAIL_BYTES: Final = 2_500
ROOT: Final = Path(__file__).parents[2]


def until(what: str, truth: Callable[[], T | None], told: Callable[[], str] = str, patience_s: float = PATIENCE_S) -> T:
    """Wait until `truth` gives something true, which is returned; what it raises over the wire counts as not yet."""
    end_s = time.monotonic() + patience_s
    seen: object = None
    while time.monotonic() < end_s:
        try:
            found = truth()
        except httpx.HTTPError as error:
            seen = error
        else:
            if found:
                return found
            seen = found
        time.sleep(0.05)
    message = f"not within {patience_s:.0f} s: {what}; last seen {seen!r}\n{told()}"
    raise AssertionError(message)


@dataclass(eq=False)
class Member:
    """One node of the network.

    Args:
        name: of its folder, its operator and its validator.
        home: its folder.
        node_id: its id among peers.
        key: its validator's ed25519 key, public.
        config: what its `node.toml` says.
    """

    name: str
    home: Path
    node_id: str
    key: bytes
    config: Config
    genesis: Genesis | None = field(default=None, repr=False)
    process: subprocess.Popen[bytes] | None = None
    prefix: tuple[str, ...] = ()
    """A command that runs the node's, as `nsenter` does."""

    @property
    def operator(self) -> PrivateKey:
        """The key that holds its bond."""
        return person(self.name)

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://{self.config.rpc.listen}"

    @property
    def peer(self) -> str:
        """How others connect to it directly."""
        return f"{self.node_id}@{self.config.consensus.listen}"

    @property
    def log(self) -> Path:
        """What it and its engine said."""
        return self.home.with_suffix(".log")

    @property
    def tail(self) -> str:
        """The end of it."""
        if not self.log.exists():
            return f"--- {self.name}: no log"
        return f"--- {self.name}:\n{self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors='replace')}"

    # --- processes ---

    def start(self, *fault: str) -> None:
        """Start it and wait until it answers; with a fault, as `faulty_node` explains it."""
        self.launch(*fault)
        assert self.process is not None
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], STARTED_S_MAX)
        assert ready, f"{self.name} does not start\n{self.tail}"
        assert self.process.stdout.readline(), f"{self.name} ended at once\n{self.tail}"

    def launch(self, *fault: str) -> None:
        """Start it and wait for nothing."""
        assert self.process is None, f"{self.name} runs already"
        self._write_config()
        module = "tests.support.faulty_node" if fault else "paraph.full_node"
        command = [*self.prefix, sys.executable, "-m", module, *fault, "--home", str(self.home)]
        environment = {**os.environ, "PARAPH_COMETBFT": str(cometbft_binary()), "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait until its process has ended; its exit code."""
        assert self.process is not None
        engine = self.engine_pid
        code = self.process.wait(patience_s)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        if engine is not None:
            # Its parent's death ends it a moment later.
            until(f"{self.name}'s engine ends", lambda: not _alive(engine), lambda: self.tail)
        return code

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the node by a signal, its engine with it; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """`kill -9` of the node alone; its engine sees it go."""
        self.end(signal.SIGKILL)

    @property
    def node_pid(self) -> int:
        """The node's process."""
        assert self.process is not None
        return self.process.pid

    @property
    def engine_pid(self) -> int | None:
        """The engine's process, or None while there is none."""
        if self.process is None:
            return None
        found = _children(self.process.pid, "cometbft")
        return found[0] if found else None

    def kill_engine(self) -> int:
        """`kill -9` of the engine alone; which process that was."""
        pid = until(f"{self.name} has an engine", lambda: self.engine_pid, lambda: self.tail)
        os.kill(pid, signal.SIGKILL)
        return pid

    def pause(self) -> None:
        """Stop node and engine in the middle of whatever they do; nobody is told."""
        for pid in self._both():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        for pid in self._both():
            os.kill(pid, signal.SIGCONT)

    def _both(self) -> tuple[int, ...]:
        assert self.process is not None
        engine = self.engine_pid
        return (self.process.pid,) if engine is None else (self.process.pid, engine)

    def _write_config(self) -> None:
        (self.home / FILE).write_bytes(encode_config(self.config))

    # --- asking ---

    def answer(self, method: str, *params: Any) -> dict[str, Any]:
        """The whole answer to a call."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        found: dict[str, Any] = httpx.post(self.url, json=body, timeout=20).json()
        return found

    def ask(self, method: str, *params: Any) -> Any:
        """The result of a call, which must succeed."""
        found = self.answer(method, *params)
        assert "error" not in found, f"{self.name}: {method}: {found['error']}"
        return found["result"]

    def height(self) -> int:
        """Of its last block."""
        return int(self.ask("eth_blockNumber"), 16)

    def block(self, height: int) -> dict[str, Any]:
        """One of its blocks."""
        found: dict[str, Any] = self.ask("eth_getBlockByNumber", hex(height), False)
        return found

    def engine_ask(self, path: str) -> Any:
        """What the engine's own RPC answers, over TCP."""
        return httpx.get(f"http://{self.config.consensus.rpc_listen}/{path}", timeout=20).json()["result"]

    def metric(self, name: str) -> float:
        """One figure of its metrics."""
        for line in httpx.get(f"http://{self.config.metrics.listen}/metrics", timeout=20).text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        message = f"{self.name} has no metric {name}"
        raise AssertionError(message)

    def said(self, words: str) -> bool:
        """Whether its log has these words."""
        return words in self.log.read_text(errors="replace")

    @contextmanager
    def chain(self) -> Iterator[Chain]:
        """The chain in its store, while it does not run."""
        assert self.process is None, f"{self.name} runs: its store is its own"
        assert self.genesis is not None
        store = LmdbStore(self.home / CHAIN)
        try:
            yield Chain(store, self.genesis, self.config.store.history_blocks)
        finally:
            store.close()


def _children(pid: int, program: str) -> list[int]:
    """The processes below one that run a program, nearest first."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop(0)
        with suppress(OSError):
            below = [
                int(child)
                for task in Path(f"/proc/{parent}/task").iterdir()
                for child in (task / "children").read_text().split()
            ]
            waiting += below
            found += [child for child in below if program in _program(child)]
    return found


def _program(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/exe").readlink().name
    return ""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
