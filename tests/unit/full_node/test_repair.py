"""Repair of a stopped node: what is whole replaces what is damaged, and what must not be lost is never touched.

With its engine and other nodes it is tested in `tests/e2e/test_operators.py`.
"""

import fcntl
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support_ledger.staking import account, genesis_validator
from tests.support_ledger.world import ALICE, START_S
from tests.unit.full_node.world import genesis, transfer

from paraph.adapters.comet.keys import identity
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.amount import Wei
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import Digest
from paraph.full_node import repair
from paraph.full_node.agreement import ENGINE
from paraph.full_node.chain import Chain, Decided
from paraph.full_node.config import Config, Store
from paraph.full_node.lock import Lock
from paraph.full_node.node import CHAIN, INDEX
from paraph.full_node.repair import SNAPSHOTS, VOTED, forget_all, forget_chain, restore, write_snapshot
from paraph.full_node.setup import make_home
from paraph.full_node.snapshots import ABOUT
from paraph.ledger.genesis import Genesis


def agreed(network: str = "test") -> Genesis:
    """The network of the tests, with a validator in the place of its producer."""
    first, *rest = genesis().allocations
    validator = genesis_validator("dan")
    allocations = (replace(first, amount=Wei(first.amount - validator.bond)), *rest)
    return genesis(network=network, producers=(), validators=(validator,), allocations=allocations)


def made(home: Path, network: str = "test") -> Path:
    """A stopped node's home, whose chain has three blocks."""
    make_home(home, agreed(network), Config(store=Store(snapshots_kept=2)))
    identity(home / ENGINE)
    blocks(home, 3)
    return home


def blocks(home: Path, count: int) -> Digest:
    """Make blocks, each of a transfer. Returns the state root."""
    store = LmdbStore(home / CHAIN)
    chain = Chain(store, agreed())
    for _ in range(count):
        raw = transfer(chain.next_nonce(ALICE.address))
        chain.finalize(Decided(START_S + chain.height, account("dan"), (raw,)))
        chain.commit()
    root = chain.head.header.state_root
    store.close()
    return root


def state(home: Path) -> tuple[int, Digest]:
    """Height and root of a home's chain, worked out again from every key."""
    store = LmdbStore(home / CHAIN)
    chain = Chain(store, agreed())
    chain.audit()
    found = chain.height, chain.head.header.state_root
    store.close()
    return found


def files(home: Path) -> dict[str, bytes]:
    """What lies in a home."""
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def damage(home: Path) -> None:
    """Have a disk lie about the store."""
    place = home / CHAIN / "data.mdb"
    data = bytearray(place.read_bytes())
    for at in range(8192, len(data), 997):
        data[at] ^= 0xFF
    place.write_bytes(bytes(data))


def refused(home: Path, folder: Path) -> ParaphError:
    """Why a snapshot is not restored."""
    with pytest.raises(ParaphError) as caught:
        restore(home, folder)
    return caught.value


def test_snapshot_repairs_a_damaged_chain(tmp_path: Path) -> None:
    """What was written before the damage is in its place afterwards, and the chain goes on from there."""
    home = made(tmp_path)
    kept = state(home)
    folder = write_snapshot(home)
    blocks(home, 2)
    damage(home)

    header = restore(home, folder)

    assert folder == home / SNAPSHOTS / "3"
    assert (header.height, header.state_root) == kept == state(home)
    assert blocks(home, 1) != kept[1]
    assert not (home / repair.FRESH).exists()
    assert not (home / repair.OLD).exists()


def test_snapshot_repairs_a_chain_that_is_gone(tmp_path: Path) -> None:
    """A folder that is not there is filled too, and what an interrupted repair left is no matter."""
    home = made(tmp_path)
    kept = state(home)
    folder = write_snapshot(home)
    (home / CHAIN).rename(home / repair.OLD)
    (home / repair.FRESH).mkdir()
    (home / repair.FRESH / "data.mdb").write_bytes(b"half")

    restore(home, folder)

    assert state(home) == kept
    assert not (home / repair.OLD).exists()


def test_damaged_snapshot_changes_nothing(tmp_path: Path) -> None:
    """A snapshot with a flipped bit, without a part, of another network, or none at all leaves the home as it was."""
    home = made(tmp_path / "a")
    folder = write_snapshot(home)
    other = made(tmp_path / "b", network="test")
    (other / "genesis.json").unlink()
    make_home(other, agreed("another"), Config())
    before = files(home)
    chunk = folder / "000000"
    whole = chunk.read_bytes()

    chunk.write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
    flipped = refused(home, folder).code
    chunk.unlink()
    missing = refused(home, folder).code
    chunk.write_bytes(whole)
    (folder / ABOUT).write_bytes(b"{}")
    none = refused(home, folder).code
    (folder / ABOUT).write_bytes(before[str((folder / ABOUT).relative_to(home))])
    (other / CHAIN).rename(other / "away")
    stranger = refused(other, folder).code

    assert (flipped, missing, none, stranger) == (
        "snapshot.chunk",
        "snapshot.read",
        "json.shape",
        "snapshot.genesis",
    )
    assert files(home) == before


def test_damaged_chain_makes_no_snapshot(tmp_path: Path) -> None:
    """A snapshot is of a state that its header commits to, or is not written."""
    home = made(tmp_path)
    damage(home)

    with pytest.raises((Rejected, Unavailable)):
        write_snapshot(home)

    assert not list((home / SNAPSHOTS).glob("*") if (home / SNAPSHOTS).exists() else ())


def test_as_many_snapshots_as_kept(tmp_path: Path) -> None:
    """The oldest goes when there are more than the settings say."""
    home = made(tmp_path)
    for _ in range(3):
        write_snapshot(home)
        blocks(home, 1)

    assert sorted(path.name for path in (home / SNAPSHOTS).iterdir()) == ["4", "5"]


def test_forgotten_chain_leaves_the_engine(tmp_path: Path) -> None:
    """To replay, chain and index go; the engine's blocks, keys, settings and snapshots stay."""
    home = made(tmp_path)
    write_snapshot(home)
    (home / INDEX).write_bytes(b"x")
    (home / f"{INDEX}-wal").write_bytes(b"x")
    (home / ENGINE / "data" / "blockstore.db").mkdir()
    (home / ENGINE / "data" / "blockstore.db" / "000001.log").write_bytes(b"x")
    before = files(home)

    forget_chain(home)

    gone = {name for name in before if name not in files(home)}
    assert gone == {"chain/data.mdb", "chain/lock.mdb", INDEX, f"{INDEX}-wal"}
    assert state(home)[0] == 0


def test_forgetting_all_keeps_the_last_vote(tmp_path: Path) -> None:
    """Everything that others have goes; keys and the record of the last vote are not touched."""
    home = made(tmp_path)
    data = home / ENGINE / "data"
    (data / VOTED).write_text('{"height": "7", "round": 0, "step": 3}')
    for name in ("blockstore.db", "state.db", "cs.wal"):
        (data / name).mkdir()
        (data / name / "file").write_bytes(b"x")
    before = files(home)

    forget_all(home)

    after = files(home)
    assert [path.name for path in data.iterdir()] == [VOTED]
    assert not (home / CHAIN).exists()
    kept = [name for name in before if not name.startswith((CHAIN, f"{ENGINE}/data/")) or name.endswith(VOTED)]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_running_node_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a node, or an engine that it left behind, runs in the home, nothing of it is changed."""
    monkeypatch.setattr(repair, "LOCK_S_MAX", 0.2)
    home = made(tmp_path)
    folder = write_snapshot(home)
    before = files(home)

    with Lock(home):
        for work in (lambda: forget_all(home), lambda: forget_chain(home), lambda: restore(home, folder)):
            with pytest.raises(Unavailable) as caught:
                work()
            assert caught.value.code == "node.running"
    with (home / ENGINE / "engine.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Unavailable) as caught:
            forget_all(home)

    assert caught.value.code == "node.running"
    assert {name: data for name, data in files(home).items() if name in before} == before


def test_solo_network_has_nobody_to_repair_from(tmp_path: Path) -> None:
    """Where one producer makes the blocks, an older state would be a second history: it is refused."""
    make_home(tmp_path, genesis(), Config())

    for work in (lambda: forget_all(tmp_path), lambda: forget_chain(tmp_path), lambda: restore(tmp_path, tmp_path)):
        with pytest.raises(Rejected) as caught:
            work()
        assert caught.value.code == "repair.solo"


def test_what_cannot_be_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses is an error with the path."""
    home = made(tmp_path)

    def refuse(path: Path) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(Unavailable) as caught:
        forget_chain(home)

    assert caught.value.code == "repair.write"
    assert str(home / CHAIN) in caught.value.message


def test_home_is_held_once(tmp_path: Path) -> None:
    """A home has one holder, is free again when released, and must be a folder."""
    with Lock(tmp_path / "home"), pytest.raises(Unavailable) as caught:
        Lock(tmp_path / "home")
    Lock(tmp_path / "home").release()
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable) as other:
        Lock(tmp_path / "file")

    assert (caught.value.code, other.value.code) == ("node.running", "node.home")
