"""What CometBFT asks of an application, in plain values: the methods of ABCI 2.0, and two of the app mempool.

One protocol for each of the engine's four connections. Nothing here knows protobuf; `server.py` translates. What must
be deterministic, and what may read a clock, follows the ABCI specification, "Requirements for the Application".
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Power:
    """A validator's voting power; 0 takes it out of the set.

    Args:
        key: ed25519 public key, 32 bytes.
        power: votes, 0 to 2^60 − 1 in all.
    """

    key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """What a validator was proved to have done.

    Args:
        kind: 1 signed two blocks of one height and round, 2 took part in an attack on light clients.
        validator: its consensus address: the first 20 bytes of SHA-256 of its key.
        power: its power at that height.
        height, time_s: when it did so.
        total: the power of the whole set at that height.
    """

    kind: int
    validator: bytes
    power: int
    height: int
    time_s: int
    total: int


@dataclass(frozen=True, slots=True)
class Proposed:
    """A block as the engine proposes, judges or decides it.

    Args:
        height: its height, from 1.
        time_s: its time, Unix seconds (the engine's nanoseconds rounded down).
        proposer: consensus address of its proposer, 20 bytes.
        transactions: raw, in order.
        absent: consensus addresses of validators whose votes for the previous block are not in it.
        misbehaviour: what was proved against validators.
        extensions: vote extensions of the previous height by consensus address: in PrepareProposal alone.
    """

    height: int
    time_s: int
    proposer: bytes
    transactions: tuple[bytes, ...]
    absent: tuple[bytes, ...] = ()
    misbehaviour: tuple[Misbehaviour, ...] = ()
    extensions: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Executed:
    """One transaction's result as the engine keeps it.

    Args:
        code: 0 succeeded; others fail. Part of the next header's last_results_hash, as `data` and gas are.
        data: bytes that stand for the result.
        log: a sentence for people; hashed nowhere.
        gas_wanted, gas_used: gas.
    """

    code: int
    data: bytes
    log: str
    gas_wanted: int
    gas_used: int


@dataclass(frozen=True, slots=True)
class Finalized:
    """What a decided block did.

    Args:
        results: one per transaction.
        powers: changes of the validator set.
        root: of all state after the block.
        version: the application version whose rules applied it; headers of later blocks carry it.
        evidence_s_max: for how long misbehaviour can be proved from the next block on, and for as many blocks at
            least; None where that is as before.
    """

    results: tuple[Executed, ...]
    powers: tuple[Power, ...]
    root: bytes
    version: int
    evidence_s_max: int | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What CheckTx says: 0 takes it in; any other code refuses it, with a sentence."""

    code: int
    log: str
    gas_wanted: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The last block that was kept: what the engine replays from. Height 0 and no root before the first."""

    height: int
    root: bytes
    version: int
    """The application version: which rules run."""


@dataclass(frozen=True, slots=True)
class Found:
    """A key's value at a height, and its proof operations as (type, key, data), none when not asked for."""

    code: int
    log: str
    key: bytes
    value: bytes
    height: int
    proof: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot of state that others may start from.

    Args:
        height: of the state. format: of the chunks.
        chunks: how many.
        hash: names it.
        metadata: the application's own, bounded to a kibibyte or so.
    """

    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes


class Consensus(Protocol):
    """The consensus connection. One call at a time, in the order of the blocks; runs off the event loop, in a thread.

    What raises here stops the connection, and with it the engine: nothing may go on after a broken rule.
    """

    def begin(self, genesis: bytes, powers: tuple[Power, ...]) -> bytes:
        """InitChain: `app_state` of the engine's genesis, as JSON, and its validators. Returns the first root.

        The engine may spell the JSON otherwise than its genesis file does: decode it, do not hash its bytes.
        """
        ...

    def propose(self, block: Proposed, bytes_max: int) -> tuple[bytes, ...]:
        """PrepareProposal: the transactions to propose, chosen among `block.transactions` and our own.

        They take at most `bytes_max` bytes in all as the engine counts them: each with a tag and its length before it.
        """
        ...

    def judge(self, block: Proposed) -> str:
        """ProcessProposal: empty to accept; otherwise why not. A function of state and block alone."""
        ...

    def finalize(self, block: Proposed) -> Finalized:
        """FinalizeBlock: apply, keep nothing yet."""
        ...

    def commit(self) -> int:
        """Commit: keep what `finalize` did, durably, in one step. Returns the lowest height to retain, 0 for all."""
        ...

    def extend(self, height: int, block_hash: bytes) -> bytes:
        """ExtendVote: may read the outside world. Below a kilobyte."""
        ...

    def judge_extension(self, height: int, validator: bytes, extension: bytes) -> str:
        """VerifyVoteExtension: empty to accept; otherwise why not. A function of its arguments and state alone."""
        ...


class Pool(Protocol):
    """The mempool connection: transactions that ask to wait. Many calls at once; answers go back in order."""

    def check(self, raw: bytes, again: bool) -> Checked | Awaitable[Checked]:
        """CheckTx, answered at once or later; `again` after each block, for what still waits."""
        ...

    def insert(self, raw: bytes) -> Checked | Awaitable[Checked]:
        """InsertTx (engine 0.40, `app` mempool): take a transaction heard of."""
        ...

    def reap(self, bytes_max: int, gas_max: int) -> Awaitable[tuple[bytes, ...]]:
        """ReapTxs: those that others have not been told of; 0 means no limit."""
        ...


class Reading(Protocol):
    """The query connection. `kept` runs in the consensus thread, after what waits there; `query` in the reading one."""

    def kept(self) -> Kept:
        """Info: where the application is."""
        ...

    def query(self, path: str, data: bytes, height: int, prove: bool) -> Found:
        """Query: never raises; what cannot be answered has a code and a sentence."""
        ...


class Snapshots(Protocol):
    """The snapshot connection: to serve state to those who join, and to join by it.

    `offer` and `apply` run in the consensus thread, `snapshots` and `load` in the reading thread.
    """

    def snapshots(self) -> tuple[Snapshot, ...]:
        """ListSnapshots."""
        ...

    def load(self, height: int, kind: int, chunk: int) -> bytes:
        """LoadSnapshotChunk; empty when there is none."""
        ...

    def offer(self, snapshot: Snapshot, root: bytes) -> str:
        """OfferSnapshot: `root` is what the engine's light client verified.

        Returns `accept`, `reject`, `reject_format` or `abort`.
        """
        ...

    def apply(self, index: int, chunk: bytes, sender: str) -> str:
        """ApplySnapshotChunk: returns `accept`, `retry`, `retry_snapshot`, `reject_snapshot` or `abort`."""
        ...


class Application(Consensus, Pool, Reading, Snapshots, Protocol):
    """All of it."""
