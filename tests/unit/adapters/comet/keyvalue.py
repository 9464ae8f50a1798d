"""A small application for the engine's tests: keys with values, on disk, with everything ABCI asks for.

A transaction is `key=value`; `validator=<hex of a key>:<votes>` changes the validator set; `version=<n>` the rules.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from paraph.adapters.comet.application import (
    Checked,
    Executed,
    Finalized,
    Found,
    Kept,
    Power,
    Proposed,
    Snapshot,
)

CHUNK_BYTES = 64
FORMAT = 1


@dataclass(frozen=True)
class Kv:
    height: int = 0
    version: int = 7
    rows: tuple[tuple[str, str], ...] = ()

    @property
    def root(self) -> bytes:
        return sha256(json.dumps([self.version, self.rows]).encode()).digest()

    def dump(self) -> bytes:
        return json.dumps({"height": self.height, "version": self.version, "rows": self.rows}).encode()


def load(data: bytes) -> Kv:
    document = json.loads(data)
    return Kv(document["height"], document["version"], tuple((key, value) for key, value in document["rows"]))


@dataclass
class KeyValue:
    """What it was asked is remembered in `calls`, as (method, facts)."""

    folder: Path
    snapshot_every: int = 0
    calls: list[tuple[str, object]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    blocks: dict[int, Proposed] = field(default_factory=dict)
    extensions: dict[int, tuple[tuple[bytes, bytes], ...]] = field(default_factory=dict)
    break_at: int = 0
    pool: list[bytes] = field(default_factory=list)
    told: set[bytes] = field(default_factory=set)
    _next: Kv | None = None
    _taken: dict[int, Kv] = field(default_factory=dict)
    _offered: Snapshot | None = None
    _parts: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "kept.json"
        self.state = load(file.read_bytes()) if file.exists() else Kv()

    # --- consensus ---

    def begin(self, genesis: bytes, powers: tuple[Power, ...]) -> bytes:
        self._note("begin", (json.loads(genesis), powers))
        self.state = Kv(0, 7, tuple(sorted(json.loads(genesis).items())))
        return self.state.root

    def propose(self, block: Proposed, bytes_max: int) -> tuple[bytes, ...]:
        self._note("propose", block.height)
        self.extensions[block.height] = block.extensions
        return (*block.transactions, *(raw for raw in self.pool if raw not in block.transactions))

    def judge(self, block: Proposed) -> str:
        self._note("judge", block.height)
        return "" if all(b"=" in raw for raw in block.transactions) else "not a pair"

    def finalize(self, block: Proposed) -> Finalized:
        self._note("finalize", block.height)
        assert block.height == self.state.height + 1, "a block was played twice or left out"
        if block.height == self.break_at:
            raise AssertionError("a rule is broken")
        self.blocks[block.height] = block
        rows, version, powers = dict(self.state.rows), self.state.version, []
        for raw in block.transactions:
            key, _, value = raw.decode().partition("=")
            rows[key] = value
            if key == "validator":
                public, _, votes = value.partition(":")
                powers.append(Power(bytes.fromhex(public), int(votes)))
            if key == "version":
                version = int(value)
        self._next = Kv(block.height, version, tuple(sorted(rows.items())))
        results = tuple(Executed(0, b"ok", "done", 1, 1) for _ in block.transactions)
        return Finalized(results, tuple(powers), self._next.root, version)

    def commit(self) -> int:
        assert self._next is not None
        self._note("commit", self._next.height)
        self.state, self._next = self._next, None
        self._keep()
        done = self.blocks[self.state.height].transactions
        self.pool = [raw for raw in self.pool if raw not in done]
        if self.snapshot_every and self.state.height % self.snapshot_every == 0:
            self._taken[self.state.height] = self.state
        return 0

    def extend(self, height: int, block_hash: bytes) -> bytes:
        self._note("extend", height)
        return b"seen %d" % height

    def judge_extension(self, height: int, validator: bytes, extension: bytes) -> str:
        return "" if extension == b"seen %d" % height else "not what was seen"

    # --- mempool ---

    def check(self, raw: bytes, again: bool) -> Checked | Awaitable[Checked]:
        self.calls.append(("recheck" if again else "check", raw))
        return self._checked(raw) if again else self._later(raw)

    async def _later(self, raw: bytes) -> Checked:
        await asyncio.sleep(0)
        return self._checked(raw)

    def _checked(self, raw: bytes) -> Checked:
        if b"=" not in raw:
            return Checked(5, "a transaction is key=value", 0)
        if raw not in self.pool:
            self.pool.append(raw)
        return Checked(0, "", 1)

    async def insert(self, raw: bytes) -> Checked:
        self.calls.append(("insert", raw))
        if raw not in self.pool:
            self.pool.append(raw)
        return Checked(0, "", 1)

    async def reap(self, bytes_max: int, gas_max: int) -> tuple[bytes, ...]:
        self.calls.append(("reap", (bytes_max, gas_max)))
        news = tuple(raw for raw in self.pool if raw not in self.told)
        self.told.update(news)
        return news

    # --- query ---

    def kept(self) -> Kept:
        height = self.state.height
        return Kept(height, self.state.root if height else b"", self.state.version)

    def query(self, path: str, data: bytes, height: int, prove: bool) -> Found:
        value = dict(self.state.rows).get(data.decode(), "").encode()
        proof = (("test", data, b"proof"),) if prove else ()
        return Found(0 if value else 1, "" if value else "none", data, value, self.state.height, proof)

    # --- snapshots ---

    def snapshots(self) -> tuple[Snapshot, ...]:
        self._note("snapshots", None)
        return tuple(self._snapshot(state) for state in self._taken.values())

    def load(self, height: int, kind: int, chunk: int) -> bytes:
        self._note("load", (height, chunk))
        state = self._taken.get(height)
        return b"" if state is None else state.dump()[chunk * CHUNK_BYTES : (chunk + 1) * CHUNK_BYTES]

    def offer(self, snapshot: Snapshot, root: bytes) -> str:
        self._note("offer", (snapshot.height, root))
        if snapshot.format != FORMAT:
            return "reject_format"
        self._offered, self._wanted, self._parts = snapshot, root, []
        return "accept"

    def apply(self, index: int, chunk: bytes, sender: str) -> str:
        self._note("apply", index)
        assert self._offered is not None
        self._parts.append(chunk)
        if len(self._parts) < self._offered.chunks:
            return "accept"
        state = load(b"".join(self._parts))
        if state.root != self._wanted:
            return "reject_snapshot"
        self.state = state
        self._keep()
        return "accept"

    def _snapshot(self, state: Kv) -> Snapshot:
        data = state.dump()
        return Snapshot(state.height, FORMAT, -(-len(data) // CHUNK_BYTES), sha256(data).digest(), b"")

    def _keep(self) -> None:
        draft = self.folder / "kept.draft"
        draft.write_bytes(self.state.dump())
        draft.replace(self.folder / "kept.json")

    def _note(self, method: str, facts: object) -> None:
        self.calls.append((method, facts))
        self.threads.add(threading.current_thread().name)
