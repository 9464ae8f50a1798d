"""Snapshots: a whole state in files, for others to start from, and for this node to be repaired with.

A snapshot is a folder: `about.json` with the block's header and the SHA-256 of each chunk, and the chunks, each an RLP
list of keys and values by turns. Who serves one can withhold it, not change it: the state root over all rows must be
the one that a believed header commits to, and the rest of the header stands in that state.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain as chained
from pathlib import Path
from threading import Thread
from typing import Final

import structlog

from paraph.adapters.comet.application import Snapshot
from paraph.core import rlp
from paraph.core.digest import sha256
from paraph.core.encode import as_integer, as_list, canonical, decode_exact, take
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import Digest, digest_from_hex, from_hex, to_hex
from paraph.full_node.chain import Chain
from paraph.full_node.tables import StoredBlock
from paraph.proofs.header import Header, SignedHeader, header_from_rlp, header_to_rlp

FORMAT: Final = 1
ABOUT: Final = "about.json"
ABOUT_BYTES_MAX: Final = 3_900_000
"""What tells of a snapshot: 69 bytes a chunk, so this is for 56 000 of them; the engine sends it in one message of at
most 4 000 000 bytes."""
CHUNK_BYTES: Final = 1 << 20
"""A chunk is closed when it has so many bytes."""
CHUNK_ROWS_MAX: Final = 20_000
CHUNK_BYTES_MAX: Final = 2 << 20
"""The largest chunk taken: a full one, and a row beyond. With the chunks that can be named, 110 GiB: a joiner's disk is
the bound that a liar meets first, and what he sent is deleted when the root does not hold."""
KEY_BYTES_MAX: Final = 511
"""The longest key that a store takes; those of state are far shorter."""
HEIGHT_MAX: Final = 2**63 - 1
"""The engine's own limit."""
Row = tuple[bytes, bytes]

_log = structlog.get_logger()


class Snapshots:
    """The snapshots of one chain, in a folder.

    Args:
        chain: what is written, and what is filled.
        folder: made when absent; one folder a snapshot, named by its height.
        every_blocks: a snapshot is written after each block whose height this divides; 0 for never.
        keep: how many; the oldest goes.
    """

    def __init__(self, chain: Chain, folder: Path, every_blocks: int, keep: int) -> None:
        self._chain = chain
        self._folder = folder
        self._every = every_blocks
        self._keep = keep
        self._writer: Thread | None = None
        self._incoming: tuple[Header, tuple[Digest, ...]] | None = None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(".*"):
            shutil.rmtree(left)

    def committed(self, stored: StoredBlock) -> None:
        """Begin a snapshot if it is time for one, in a thread; a block does not wait for it."""
        due = self._every and stored.header.height % self._every == 0
        if not due or (self._writer is not None and self._writer.is_alive()):
            return
        rows = self._chain.rows()
        # The first row fixes the moment: what later blocks change is not seen by this reader.
        first = next(rows)
        self._writer = Thread(target=self._write_quietly, args=(stored.header, chained((first,), rows)), daemon=True)
        self._writer.start()

    def write(self, header: Header, rows: Iterable[Row]) -> Path:
        """Write the snapshot of a state. Returns its folder.

        Raises:
            Unavailable: `snapshot.write`: the disk does not take it.
        """
        place = self._folder / str(header.height)
        temporary = self._folder / f".{header.height}"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(mode=0o700)
            digests = []
            for index, chunk in enumerate(_chunks(rows)):
                (temporary / _name(index)).write_bytes(chunk)
                digests.append(sha256(chunk))
            (temporary / ABOUT).write_bytes(_about(header, digests))
            shutil.rmtree(place, ignore_errors=True)
            temporary.rename(place)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise Unavailable("snapshot.write", f"{place} cannot be written: {error.strerror}") from error
        for height in self._heights()[: -self._keep or None]:
            shutil.rmtree(self._folder / str(height))
        return place

    def write_now(self) -> Path:
        """Write the snapshot of the last block. Returns its folder. Raises as `write`."""
        return self.write(self._chain.head.header, self._chain.rows())

    def listed(self) -> tuple[Snapshot, ...]:
        """All whole snapshots, newest first."""
        found = []
        for height in reversed(self._heights()):
            try:
                about = (self._folder / str(height) / ABOUT).read_bytes()
                _, digests = read_about(about)
            except (OSError, Malformed) as error:
                _log.warning("snapshot.unreadable", height=height, reason=str(error))
                continue
            found.append(Snapshot(height, FORMAT, len(digests), sha256(about), about))
        return tuple(found)

    def chunk(self, height: int, kind: int, index: int) -> bytes:
        """One chunk; empty when there is none."""
        try:
            return (self._folder / str(height) / _name(index)).read_bytes() if kind == FORMAT else b""
        except OSError:
            return b""

    # --- starting from one ---

    def offer(self, snapshot: Snapshot, root: bytes) -> str:
        """Whether to start from a snapshot, whose state root a light client believes: the engine's word for it."""
        if snapshot.format != FORMAT:
            return "reject_format"
        try:
            header, digests = read_about(snapshot.metadata)
            self._need_ours(header)
        except (Malformed, Rejected) as error:
            _log.warning("snapshot.refused", height=snapshot.height, reason=str(error))
            return "reject"
        if (header.height, header.state_root, len(digests)) != (snapshot.height, root, snapshot.chunks):
            return "reject"
        self._incoming = header, digests
        shutil.rmtree(self._folder / INCOMING, ignore_errors=True)
        (self._folder / INCOMING).mkdir(mode=0o700)
        return "accept"

    def apply(self, index: int, chunk: bytes) -> str:
        """Take a chunk; with the last one the chain is filled. Returns the engine's word."""
        if self._incoming is None:
            return "abort"
        header, digests = self._incoming
        if index >= len(digests) or len(chunk) > CHUNK_BYTES_MAX or sha256(chunk) != digests[index]:
            return "retry"
        place = self._folder / INCOMING
        (place / _name(index)).write_bytes(chunk)
        if not all((place / _name(each)).exists() for each in range(len(digests))):
            return "accept"
        self._incoming = None
        try:
            self._chain.fill(header, (read_chunk((place / _name(each)).read_bytes()) for each in range(len(digests))))
        except (Malformed, Rejected) as error:
            _log.warning("snapshot.refused", height=header.height, reason=str(error))
            return "reject_snapshot"
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return "accept"

    def restore(self, folder: Path) -> Header:
        """Fill the chain from a snapshot's folder, every chunk checked; the caller believes its header.

        Raises:
            Rejected: `snapshot.chunk`: a chunk is not the one named; `snapshot.genesis`; `chain.snapshot`.
            Malformed: it is no snapshot. Unavailable: `snapshot.read`.
        """
        try:
            header, digests = read_about((folder / ABOUT).read_bytes())
            self._need_ours(header)
            for index, digest in enumerate(digests):
                if sha256((folder / _name(index)).read_bytes()) != digest:
                    raise Rejected("snapshot.chunk", f"{folder / _name(index)} is not the chunk that {ABOUT} names")
            self._chain.fill(header, (read_chunk((folder / _name(each)).read_bytes()) for each in range(len(digests))))
        except OSError as error:
            raise Unavailable("snapshot.read", f"{folder} cannot be read: {error.strerror}") from error
        return header

    # --- within ---

    def _need_ours(self, header: Header) -> None:
        if (header.chain_id, header.genesis) != (self._chain.genesis.chain_id, self._chain.genesis_digest):
            raise Rejected("snapshot.genesis", "the snapshot is of another network")

    def _write_quietly(self, header: Header, rows: Iterable[Row]) -> None:
        try:
            place = self.write(header, rows)
        except ParaphError as error:
            # The chain goes on without; whoever joins takes another's.
            _log.warning("snapshot.failed", height=header.height, reason=str(error))
        else:
            _log.info("snapshot.written", height=header.height, folder=str(place))

    def _heights(self) -> list[int]:
        return sorted(int(place.name) for place in self._folder.iterdir() if place.name.isdecimal())


INCOMING: Final = ".incoming"


def _name(index: int) -> str:
    return f"{index:06}"


def _about(header: Header, digests: Sequence[bytes]) -> bytes:
    told = rlp.encode(header_to_rlp(SignedHeader(header, b"")))
    return canonical({"format": FORMAT, "header": to_hex(told), "chunks": [to_hex(each) for each in digests]})


def read_about(data: bytes) -> tuple[Header, tuple[Digest, ...]]:
    """The header and the chunks' digests that `about.json` tells. Raises `Malformed`."""
    form, header, chunks = take(
        decode_exact(data, bytes_max=ABOUT_BYTES_MAX), "a snapshot", "format", "header", "chunks"
    )
    if as_integer(form, "format") != FORMAT:
        raise Malformed("snapshot.format", f"a snapshot of format {form}; this software reads {FORMAT}")
    listed = as_list(chunks, "chunks", items_max=ABOUT_BYTES_MAX // 67)
    if not listed:
        raise Malformed("snapshot.format", "a snapshot has chunks")
    signed = header_from_rlp(rlp.decode(from_hex(header, None, "header")))
    if signed.header.height > HEIGHT_MAX:
        raise Malformed("snapshot.format", f"a snapshot of block {signed.header.height}, beyond any height")
    return signed.header, tuple(digest_from_hex(each, "a chunk") for each in listed)


def read_chunk(data: bytes) -> list[Row]:
    """The rows of a chunk. Raises `Malformed`."""
    items = [rlp.as_bytes(item, "a row") for item in rlp.as_list(rlp.decode(data), "a chunk")]
    if len(items) % 2 or len(items) > 2 * CHUNK_ROWS_MAX:
        raise Malformed("snapshot.chunk", f"a chunk holds keys and values by turns, not {len(items)} items")
    keys = items[::2]
    if not all(0 < len(key) <= KEY_BYTES_MAX for key in keys):
        raise Malformed("snapshot.chunk", f"a key of state has 1 to {KEY_BYTES_MAX} bytes")
    return list(zip(keys, items[1::2], strict=True))


def _chunks(rows: Iterable[Row]) -> Iterator[bytes]:
    items: list[rlp.Rlp] = []
    size = 0
    for key, value in rows:
        items += (key, value)
        size += len(key) + len(value)
        if size >= CHUNK_BYTES or len(items) >= 2 * CHUNK_ROWS_MAX:
            yield rlp.encode(items)
            items, size = [], 0
    if items:
        yield rlp.encode(items)
