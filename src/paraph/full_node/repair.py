"""Repairing a stopped node: its chain from a snapshot or from its engine's blocks, or everything from the others.

A node keeps its chain twice: the state in `chain`, the blocks in the engine's `comet/data`. As long as one of them is
whole, the other follows from it, or from the other nodes. What was signed is kept nowhere else: the record of the last
vote is never touched, for a validator that forgets it may vote twice, and is slashed.
"""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.full_node.__main__ import load_genesis
from paraph.full_node.agreement import ENGINE
from paraph.full_node.chain import Chain
from paraph.full_node.config import load_config
from paraph.full_node.lock import Lock
from paraph.full_node.node import CHAIN, INDEX
from paraph.full_node.snapshots import Snapshots
from paraph.ledger.genesis import Genesis
from paraph.proofs.header import Header

SNAPSHOTS: Final = "snapshots"
FRESH, OLD = "chain.new", "chain.old"
VOTED: Final = "priv_validator_state.json"
"""The engine's record of its last vote."""
LOCK_S_MAX: Final = 10.0
"""An engine whose node was killed takes a moment to end."""


def write_snapshot(home: Path) -> Path:
    """Write a snapshot of a stopped node's last block. Returns its folder.

    Raises:
        Unavailable: `node.running`, `store.…`, `snapshot.write`. Rejected: `chain.corrupt`: the state is damaged.
    """
    with Lock(home), _opened(home / CHAIN, load_genesis(home), home) as chain:
        chain.audit()
        kept = load_config(home).store.snapshots_kept
        return Snapshots(chain, home / SNAPSHOTS, 0, kept).write_now()


def restore(home: Path, folder: Path) -> Header:
    """Put a snapshot in the place of a stopped node's chain, once every chunk and the state root are checked.

    The engine's blocks stay: at its next start it gives the node those after the snapshot, and compares the snapshot's
    root with what the validators signed in the next block.

    Raises:
        Rejected: `snapshot.…`, `chain.snapshot`: it is none of this network, or damaged; nothing was changed.
            `repair.solo`. Malformed: it is no snapshot. Unavailable: `node.running`, `snapshot.read`.
    """
    with Lock(home):
        genesis = _agreed(home)
        fresh = home / FRESH
        _remove(fresh)
        try:
            with _opened(fresh, genesis, home) as chain:
                header = Snapshots(chain, home / SNAPSHOTS, 0, 1).restore(folder)
        except ParaphError:
            _remove(fresh)
            raise
        _remove(home / OLD)
        if (home / CHAIN).exists():
            (home / CHAIN).rename(home / OLD)
        fresh.rename(home / CHAIN)
        _remove(home / OLD)
        return header


def forget_chain(home: Path) -> None:
    """Drop a stopped node's chain and index; it works them out again from the engine's blocks, from the first on.

    Raises:
        Rejected: `repair.solo`. Unavailable: `node.running`, `repair.write`.
    """
    with Lock(home):
        _agreed(home)
        _forget_chain(home)


def forget_all(home: Path) -> None:
    """Drop a stopped node's chain and its engine's blocks; it fetches them from the other nodes.

    Keys, the record of the last vote, settings and snapshots stay.

    Raises:
        Rejected: `repair.solo`. Unavailable: `node.running`, `repair.write`.
    """
    with Lock(home):
        _agreed(home)
        with _engine_stopped(home / ENGINE):
            _forget_chain(home)
            data = home / ENGINE / "data"
            for path in sorted(data.iterdir()) if data.exists() else ():
                if path.name != VOTED:
                    _remove(path)


def _forget_chain(home: Path) -> None:
    for path in (home / CHAIN, home / FRESH, home / OLD, *sorted(home.glob(f"{INDEX}*"))):
        _remove(path)


def _agreed(home: Path) -> Genesis:
    genesis = load_genesis(home)
    if genesis.producers:
        raise Rejected(
            "repair.solo",
            f"{home} is a solo network's: nobody else has its blocks, and made again they would be a second history; "
            "restore a copy of the whole folder",
        )
    return genesis


@contextmanager
def _opened(folder: Path, genesis: Genesis, home: Path) -> Iterator[Chain]:
    store = LmdbStore(folder)
    try:
        yield Chain(store, genesis, load_config(home).store.history_blocks)
    finally:
        store.close()


@contextmanager
def _engine_stopped(engine: Path) -> Iterator[None]:
    """Hold the engine's own lock."""
    engine.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_S_MAX
    with (engine / "engine.lock").open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Unavailable("node.running", f"an engine still runs in {engine}; stop it first") from error
                time.sleep(0.1)
        yield


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable("repair.write", f"{path} cannot be deleted: {error.strerror}") from error
