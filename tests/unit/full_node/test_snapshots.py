"""Snapshots: a state in files, taken over by others who believe nothing of them but what a header commits to."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.strategies import damaged, outcome
from tests.support_ledger.world import ALICE, START_S
from tests.unit.full_node.world import PRODUCER, Desk, genesis, transfer

from paraph.adapters.comet.application import Snapshot
from paraph.adapters.fakes.store import MemoryStore
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core import rlp
from paraph.core.amount import WEI_PER_OPG, Wei
from paraph.core.digest import sha256
from paraph.core.encode import canonical, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import Address
from paraph.full_node import snapshots as module
from paraph.full_node.chain import Chain, Decided
from paraph.full_node.snapshots import ABOUT, FORMAT, Snapshots, read_about, read_chunk
from paraph.ledger.genesis import Allocation, Genesis

RICH: Final = 200
"""Accounts at genesis: enough for chunks of a few rows."""


@cache
def network() -> Genesis:
    """A network with many accounts, so that its state takes several chunks where chunks are small."""
    many = tuple(
        Allocation(Address(b"\x55" * 19 + bytes((at,))), Wei(WEI_PER_OPG), "one of many") for at in range(RICH)
    )
    first, *rest = genesis().allocations
    return genesis(allocations=(replace(first, amount=Wei(first.amount - RICH * WEI_PER_OPG)), *rest, *many))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of some rows each."""
    monkeypatch.setattr(module, "CHUNK_BYTES", 1_000)


@pytest.fixture
def desk() -> Desk:
    """A node that has made three blocks."""
    found = Desk(network())
    for nonce in range(3):
        found.settle(transfer(nonce))
    return found


def offered(served: Snapshots, joining: Snapshots) -> tuple[Snapshot, str]:
    """The newest snapshot of one, offered to the other as a light client would: with the root it believes."""
    snapshot = served.listed()[0]
    root = read_about(snapshot.metadata)[0].state_root
    return snapshot, joining.offer(snapshot, root)


def files(folder: Path) -> dict[str, bytes]:
    """What lies in a folder."""
    return {place.name: place.read_bytes() for place in folder.iterdir()}


@pytest.mark.usefixtures("small")
def test_another_node_starts_from_it(desk: Desk, tmp_path: Path) -> None:
    """Offered, and its chunks given in any order, a snapshot makes another node's chain the same as this one."""
    served = Snapshots(desk.chain, tmp_path / "a", 0, 2)
    served.write_now()
    other = Desk(network())
    joining = Snapshots(other.chain, tmp_path / "b", 0, 2)

    snapshot, word = offered(served, joining)
    chunks = [served.chunk(snapshot.height, snapshot.format, index) for index in range(snapshot.chunks)]
    words = [joining.apply(index, chunks[index]) for index in reversed(range(snapshot.chunks))]

    assert snapshot.chunks > 8
    assert (word, set(words)) == ("accept", {"accept"})
    assert other.chain.dump() == desk.chain.dump()
    assert other.chain.head.header == desk.chain.head.header
    assert list((tmp_path / "b").iterdir()) == []
    for each in (desk, other):
        each.application.commit(START_S + 99, (transfer(3),))
    assert other.chain.head == desk.chain.head


def test_restored_from_its_folder(desk: Desk, tmp_path: Path) -> None:
    """A chain is filled again from a snapshot's folder, and the header is told."""
    place = Snapshots(desk.chain, tmp_path, 0, 2).write_now()
    other = Desk(network())

    header = Snapshots(other.chain, tmp_path / "b", 0, 2).restore(place)

    assert header == desk.chain.head.header
    assert other.chain.dump() == desk.chain.dump()


def test_only_the_newest_stay(desk: Desk, tmp_path: Path) -> None:
    """So many are kept, the newest; they are listed newest first, each of one name and no other."""
    held = Snapshots(desk.chain, tmp_path, 0, 2)
    for nonce in range(3, 6):
        held.write_now()
        desk.settle(transfer(nonce))
    held.write_now()

    found = held.listed()

    assert [each.height for each in found] == [6, 5]
    assert sorted(place.name for place in tmp_path.iterdir()) == ["5", "6"]
    assert len({each.hash for each in found}) == 2
    assert all(each.hash == sha256(each.metadata) for each in found)


def test_same_state_same_files(desk: Desk, tmp_path: Path) -> None:
    """Two nodes with the same state write the same bytes: chunks of one can be had of another."""
    first, second = (Snapshots(desk.chain, tmp_path / name, 0, 2).write_now() for name in "ab")

    assert files(first) == files(second)


def test_nothing_half_written_is_served(desk: Desk, tmp_path: Path) -> None:
    """What a killed writer left is gone with the next start, and what cannot be read is not listed."""
    held = Snapshots(desk.chain, tmp_path, 0, 2)
    held.write_now()
    (tmp_path / ".7").mkdir()
    (tmp_path / ".7" / "000000").write_bytes(b"half")
    (tmp_path / "9").mkdir()
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / ABOUT).write_bytes(b"{}")

    again = Snapshots(desk.chain, tmp_path, 0, 2)

    assert [each.height for each in again.listed()] == [3]
    assert not (tmp_path / ".7").exists()


def test_what_is_not_there_is_empty(desk: Desk, tmp_path: Path) -> None:
    """Another height, format or chunk than there are is answered with nothing."""
    held = Snapshots(desk.chain, tmp_path, 0, 2)
    held.write_now()

    assert held.chunk(3, FORMAT, 0)
    assert (held.chunk(4, FORMAT, 0), held.chunk(3, FORMAT + 1, 0), held.chunk(3, FORMAT, 1)) == (b"", b"", b"")


def test_disk_that_does_not_take_it(desk: Desk, tmp_path: Path) -> None:
    """A snapshot that cannot be written is a typed error; nothing of it stays."""
    held = Snapshots(desk.chain, tmp_path / "a", 0, 2)
    (tmp_path / "a").rmdir()
    (tmp_path / "a").write_bytes(b"a file")

    with pytest.raises(Unavailable) as caught:
        held.write_now()

    assert caught.value.code == "snapshot.write"


# --- while blocks go on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "lmdb"])
@pytest.mark.usefixtures("small")
def test_written_while_blocks_go_on(tmp_path: Path, kind: str) -> None:
    """A snapshot is of the state after its block, though others are made before it is written."""
    store = LmdbStore(tmp_path / "chain") if kind == "lmdb" else MemoryStore()
    chain = Chain(store, network())
    held = Snapshots(chain, tmp_path / "snapshots", 4, 2)
    chain.listen(lambda stored, _: held.committed(stored))
    dumps = {0: chain.dump()}
    for nonce in range(11):
        chain.finalize(Decided(START_S, PRODUCER.address, (transfer(nonce),)))
        chain.commit()
        dumps[chain.height] = chain.dump()

    assert held._writer is not None
    held._writer.join(20)
    listed = held.listed()
    for snapshot in listed:
        other = Chain(MemoryStore(), network())
        Snapshots(other, tmp_path / "other", 0, 1).restore(tmp_path / "snapshots" / str(snapshot.height))
        assert (other.height, other.dump()) == (snapshot.height, dumps[snapshot.height])
    assert {each.height for each in listed} <= {4, 8}
    assert listed
    store.close()


def test_a_block_does_not_wait(desk: Desk, tmp_path: Path) -> None:
    """While one snapshot is being written, blocks go on and no second one is begun."""
    begun: list[int] = []
    held = Snapshots(desk.chain, tmp_path, 1, 2)
    reader, writer = os.pipe()
    real = held.write

    def slow(header: Any, rows: Any) -> Path:
        begun.append(header.height)
        os.read(reader, 1)
        return real(header, rows)

    held.write = slow  # type: ignore[method-assign]
    desk.chain.listen(lambda stored, _: held.committed(stored))
    for nonce in range(3, 6):
        desk.settle(transfer(nonce))
    os.write(writer, b"!")
    assert held._writer is not None
    held._writer.join(20)

    assert begun == [4]
    assert [each.height for each in held.listed()] == [4]
    os.close(reader)
    os.close(writer)


def test_only_when_it_is_due(desk: Desk, tmp_path: Path) -> None:
    """No snapshot is begun between, and none at all where there are to be none."""
    never, seldom = (Snapshots(desk.chain, tmp_path / str(every), every, 2) for every in (0, 100))

    for each in (never, seldom):
        each.committed(desk.chain.head)

    assert (never._writer, seldom._writer) == (None, None)


def test_failed_snapshot_stops_nothing(desk: Desk, tmp_path: Path) -> None:
    """A snapshot that cannot be written stops no block, and the next one is tried."""
    held = Snapshots(desk.chain, tmp_path / "a", 1, 2)
    (tmp_path / "a").rmdir()
    (tmp_path / "a").write_bytes(b"a file")
    held.committed(desk.chain.head)
    assert held._writer is not None
    held._writer.join(20)
    (tmp_path / "a").unlink()
    (tmp_path / "a").mkdir()

    held.committed(desk.chain.head)
    held._writer.join(20)

    assert [each.height for each in held.listed()] == [3]


# --- liars ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
def test_offers_that_are_refused(desk: Desk, tmp_path: Path) -> None:
    """Another format, network, height, root or number of chunks than believed is refused before any chunk."""
    held = Snapshots(desk.chain, tmp_path / "a", 0, 2)
    held.write_now()
    (snapshot,) = held.listed()
    root = desk.chain.head.header.state_root
    stranger = Snapshots(Desk().chain, tmp_path / "b", 0, 2)

    assert held.offer(replace(snapshot, format=2), root) == "reject_format"
    assert held.offer(replace(snapshot, metadata=b"{}"), root) == "reject"
    assert held.offer(replace(snapshot, height=4), root) == "reject"
    assert held.offer(replace(snapshot, chunks=snapshot.chunks + 1), root) == "reject"
    assert held.offer(snapshot, bytes(32)) == "reject"
    assert stranger.offer(snapshot, root) == "reject"
    assert [each.apply(0, b"") for each in (held, stranger)] == ["abort", "abort"]


@pytest.mark.usefixtures("small")
def test_chunks_that_are_refused(desk: Desk, tmp_path: Path) -> None:
    """A chunk that is not the one named is asked for again; the right one then still does."""
    served = Snapshots(desk.chain, tmp_path / "a", 0, 2)
    served.write_now()
    other = Desk(network())
    joining = Snapshots(other.chain, tmp_path / "b", 0, 2)
    snapshot, _ = offered(served, joining)
    chunks = [served.chunk(snapshot.height, FORMAT, index) for index in range(snapshot.chunks)]

    assert joining.apply(0, chunks[1]) == "retry"
    assert joining.apply(0, chunks[0] + b"\0") == "retry"
    assert joining.apply(len(chunks), chunks[0]) == "retry"
    assert [joining.apply(index, chunk) for index, chunk in enumerate(chunks)] == ["accept"] * len(chunks)
    assert other.chain.height == 3
    assert joining.apply(0, chunks[0]) == "abort"


def forged(folder: Path, chunks: list[bytes], header: bytes) -> Snapshot:
    """A snapshot of these chunks that agrees with itself, under an honest header."""
    folder.mkdir()
    for index, chunk in enumerate(chunks):
        (folder / f"{index:06}").write_bytes(chunk)
    told = decode(header)
    assert isinstance(told, dict)
    about = canonical({**told, "chunks": ["0x" + sha256(chunk).hex() for chunk in chunks]})
    (folder / ABOUT).write_bytes(about)
    return Snapshot(3, FORMAT, len(chunks), sha256(about), about)


Chunks = list[list[rlp.Rlp]]
HOSTILE: dict[str, Callable[[Chunks], list[rlp.Rlp]]] = {
    "a value changed": lambda chunks: [[*chunks[0][:-1], b"\1"], *chunks[1:]],
    "rows missing": lambda chunks: [*chunks[:-1]],
    "rows twice": lambda chunks: [*chunks, chunks[0]],
    "no rows": lambda chunks: [[]],
    "half a row": lambda chunks: [chunks[0][:-1], *chunks[1:]],
    "rows after rows": lambda chunks: [chunks[0], b"", *chunks[1:]],
    "a list for a value": lambda chunks: [[*chunks[0][:-1], []], *chunks[1:]],
    "an empty key": lambda chunks: [[b"", b"value", *chunks[0]], *chunks[1:]],
    "an endless key": lambda chunks: [[b"k" * 512, b"value", *chunks[0]], *chunks[1:]],
    "too many rows": lambda chunks: [[b"k", b"v"] * 20_001, *chunks],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.usefixtures("small")
def test_forged_chunks_leave_genesis(desk: Desk, tmp_path: Path, name: str) -> None:
    """Chunks that agree with their own list but not with the header are refused, and the chain is at genesis."""
    place = Snapshots(desk.chain, tmp_path / "a", 0, 2).write_now()
    honest = sorted(each for each in place.iterdir() if each.name != ABOUT)
    rows = [rlp.as_list(rlp.decode(each.read_bytes()), "rows") for each in honest]
    chunks = [rlp.encode(each) for each in HOSTILE[name](rows)]
    snapshot = forged(tmp_path / "forged", chunks, (place / ABOUT).read_bytes())
    store = LmdbStore(tmp_path / "chain")
    chain = Chain(store, network())
    joining = Snapshots(chain, tmp_path / "b", 0, 2)

    word = joining.offer(snapshot, desk.chain.head.header.state_root)
    words = [joining.apply(index, chunk) for index, chunk in enumerate(chunks)]

    assert (word, words[-1]) == ("accept", "reject_snapshot")
    assert chain.height == 0
    chain.audit()
    with pytest.raises((Malformed, Rejected)):
        joining.restore(tmp_path / "forged")
    assert Chain(store, network()).height == 0
    store.close()


def test_restore_checks_every_chunk(desk: Desk, tmp_path: Path) -> None:
    """A changed chunk, a missing one and another network's snapshot are refused before anything is touched."""
    place = Snapshots(desk.chain, tmp_path / "a", 0, 2).write_now()
    other = Desk(network())
    other.settle(transfer(0))
    restoring = Snapshots(other.chain, tmp_path / "b", 0, 2)
    chunk = place / "000000"
    whole = chunk.read_bytes()

    chunk.write_bytes(whole[:-1])
    with pytest.raises(Rejected) as changed:
        restoring.restore(place)
    chunk.unlink()
    with pytest.raises(Unavailable) as missing:
        restoring.restore(place)
    chunk.write_bytes(whole)
    with pytest.raises(Rejected) as stranger:
        Snapshots(Desk().chain, tmp_path / "c", 0, 2).restore(place)

    found = (changed.value.code, missing.value.code, stranger.value.code)
    assert found == ("snapshot.chunk", "snapshot.read", "snapshot.genesis")
    assert other.chain.height == 1


@cache
def honest() -> tuple[Desk, Snapshot, bytes]:
    """A node, its snapshot and its one chunk."""
    desk = Desk()
    desk.settle(transfer(0))
    with TemporaryDirectory() as folder:
        held = Snapshots(desk.chain, Path(folder), 0, 1)
        held.write_now()
        (snapshot,) = held.listed()
        return desk, snapshot, held.chunk(1, FORMAT, 0)


@pytest.mark.parametrize("read", [read_about, read_chunk], ids=["about", "chunk"])
@given(data=st.data())
def test_any_bytes(read: Callable[[bytes], object], data: st.DataObject) -> None:
    """Any bytes, and honest ones with a little damage: a value, or `Malformed`."""
    _, snapshot, chunk = honest()
    good = snapshot.metadata if read is read_about else chunk
    hostile = data.draw(damaged(good) | st.binary(max_size=200))

    _, code = outcome(lambda: read(hostile))

    assert not code or "." in code


@given(
    header=st.binary(max_size=40),
    form=st.integers() | st.none(),
    chunks=st.lists(st.binary(min_size=31, max_size=33), max_size=3),
)
def test_any_about(header: bytes, form: int | None, chunks: list[bytes]) -> None:
    """Any document of the right shape is read or refused."""
    told = {"format": form, "header": "0x" + header.hex(), "chunks": ["0x" + each.hex() for each in chunks]}
    with suppress(Malformed):
        read_about(canonical(told))


@settings(max_examples=30)
@given(data=st.data())
def test_any_offer_and_chunk(data: st.DataObject) -> None:
    """Whatever is offered and given, the engine gets one of its words, and the chain is whole or at genesis."""
    desk, snapshot, chunk = honest()
    chain = Chain(MemoryStore(), genesis())
    given_chunk = data.draw(st.just(chunk) | damaged(chunk))
    told: Any = decode(snapshot.metadata)
    about = canonical({**told, "chunks": ["0x" + sha256(given_chunk).hex()]})
    metadata = data.draw(st.just(about) | damaged(about))
    with TemporaryDirectory() as folder:
        joining = Snapshots(chain, Path(folder), 0, 1)
        words = [joining.offer(replace(snapshot, metadata=metadata), desk.chain.head.header.state_root)]
        words += [joining.apply(index, given_chunk) for index in data.draw(st.lists(st.integers(0, 2), max_size=3))]

    assert set(words) <= {"accept", "reject", "reject_format", "reject_snapshot", "retry", "abort"}
    assert chain.dump() in (desk.chain.dump(), Desk().chain.dump())
    chain.audit()


def test_heights_beyond_any(desk: Desk, tmp_path: Path) -> None:
    """A header of a height that no chain reaches is refused, not tripped over."""
    place = Snapshots(desk.chain, tmp_path / "a", 0, 2).write_now()
    far = replace(desk.chain.head.header, height=2**64)
    (place / ABOUT).write_bytes(module._about(far, [sha256((place / "000000").read_bytes())]))
    other = Desk(network())

    with pytest.raises(ParaphError) as caught:
        Snapshots(other.chain, tmp_path / "b", 0, 2).restore(place)

    assert caught.value.code == "snapshot.format"


def test_chunks_are_bounded(tmp_path: Path) -> None:
    """However many rows there are, the writer holds one chunk at a time, and no chunk is larger than is taken."""
    desk = Desk()
    value = b"v" * 10_000
    asked: list[int] = []

    def rows() -> Iterator[tuple[bytes, bytes]]:
        for number in range(1_000):
            asked.append(len(list((tmp_path / ".0").iterdir())))
            yield number.to_bytes(4, "big"), value

    place = Snapshots(desk.chain, tmp_path, 0, 1).write(desk.chain.head.header, rows())

    sizes = [each.stat().st_size for each in place.iterdir()]
    assert max(sizes) <= module.CHUNK_BYTES + 20_000
    assert asked[-1] == len(sizes) - 2
    assert desk.chain.next_nonce(ALICE.address) == 0
