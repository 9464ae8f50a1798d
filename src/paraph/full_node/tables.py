"""Where a chain's parts stand in its store: state, tree, history, blocks, and the places to find them by.

State is kept as of the last block, with the values that later blocks replaced and the tree's outdated nodes for some
blocks more. What a block reads most, it read in the block before: the rows last used are kept at hand, so that working
a block out seldom asks the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from paraph.core import rlp
from paraph.core.digest import sha256
from paraph.core.ident import Digest
from paraph.flows.ports import KeyValue
from paraph.ledger import tree
from paraph.ledger.block import Result, result_from_rlp
from paraph.proofs.header import Header, SignedHeader, header_from_rlp, header_to_rlp

STATE, TREE, HISTORY, OUTDATED, BLOCKS, BLOCK_HASHES, TRANSACTIONS, META = TABLES = (
    "state",
    "tree",
    "history",
    "outdated",
    "blocks",
    "block_hashes",
    "transactions",
    "meta",
)
SKIPPED: Final = 2
"""The status of a transaction that left no trace."""
AT_HAND_MAX: Final = 50_000
"""Rows of state, and as many nodes of the tree, kept at hand; twice as many at times. Some tens of megabytes."""
AT_HAND_BYTES_MAX: Final = 256
"""Of a value kept at hand: balances and nonces are small; what is larger is read from the store each time."""

Rows: TypeAlias = dict[tuple[str, bytes], bytes | None]
"""One write of the store: values by table and key; None removes."""
Nodes: TypeAlias = Mapping[bytes, bytes]
"""New nodes of the tree, by their hashes."""
_ABSENT, _THERE = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A committed block as it is kept: its header, the seal its engine put on it, transactions and results."""

    signed: SignedHeader
    transactions: tuple[bytes, ...]
    results: tuple[Result, ...]

    @property
    def header(self) -> Header:
        """The block's header."""
        return self.signed.header

    def encode(self) -> bytes:
        """The block as the store keeps it."""
        return rlp.encode(
            [header_to_rlp(self.signed), list(self.transactions), [result.encode() for result in self.results]]
        )


def block_from_rlp(data: bytes) -> StoredBlock:
    """Read what `StoredBlock.encode` wrote. Raises `Malformed`."""
    header, transactions, results = rlp.as_list(rlp.decode(data), "a stored block")
    return StoredBlock(
        header_from_rlp(header),
        tuple(rlp.as_bytes(raw, "a transaction") for raw in rlp.as_list(transactions, "transactions")),
        tuple(result_from_rlp(rlp.as_bytes(each, "a result")) for each in rlp.as_list(results, "results")),
    )


class AtHand:
    """Rows used last, by key: at least `rows_max` of them, once so many were used, and at most twice as many.

    Two generations: what is used is put in the young one; when that is full it becomes the old one, and the old one
    goes. One thread puts; any may look.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._young: dict[bytes, tuple[bytes | None]] = {}
        self._old: dict[bytes, tuple[bytes | None]] = {}

    def find(self, key: bytes) -> tuple[bytes | None] | None:
        """The row's value in a tuple, or None where the row is not at hand."""
        return self._young.get(key) or self._old.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Have a row at hand, with this value from now on."""
        self._young[key] = (value,)
        if len(self._young) >= self._rows_max:
            self._old, self._young = self._young, {}

    def forget(self, key: bytes) -> None:
        """Have a row at hand no longer."""
        self._old.pop(key, None)
        self._young.pop(key, None)


class Tables:
    """A chain's tables in a store, read by any thread and written by one.

    Args:
        store: the store.
    """

    def __init__(self, store: KeyValue) -> None:
        self.store: Final = store
        self.put_away()

    def put_away(self) -> None:
        """Have nothing at hand: the store was written past this."""
        self._values = AtHand(AT_HAND_MAX)
        self._nodes = AtHand(AT_HAND_MAX)

    # --- reading ---

    def genesis(self) -> bytes | None:
        """The digest of the genesis whose chain this is; None in an empty store."""
        return self.store.get(META, b"genesis")

    def filling(self) -> bool:
        """Whether a fill was begun and not ended."""
        return self.store.get(META, b"filling") is not None

    def value(self, key: bytes) -> bytes | None:
        """The value of a state key after the last block, or None."""
        found = self._values.find(key)
        return self.store.get(STATE, key) if found is None else found[0]

    def use_value(self, key: bytes) -> bytes | None:
        """As `value`, which is at hand afterwards. For the thread that writes: another could put an old value back."""
        found = self._values.find(key)
        if found is not None:
            return found[0]
        value = self.store.get(STATE, key)
        self._put_value(key, value)
        return value

    def _put_value(self, key: bytes, value: bytes | None) -> None:
        if value is None or len(value) <= AT_HAND_BYTES_MAX:
            self._values.put(key, value)
        else:
            self._values.forget(key)

    def value_at(self, key: bytes, height: int) -> bytes | None:
        """The value of a state key after the block of that height, as long as its history is kept."""
        # The present first: a block kept meanwhile has then put what it replaced into the history.
        now = self.value(key)
        place = sha256(key)
        row, before = next(self.store.items(HISTORY, place + (height + 1).to_bytes(8, "big")), (b"", b""))
        if row[:32] == place:
            return before[1:] if before[:1] == _THERE else None
        return now

    def node(self, node: bytes) -> bytes | None:
        """A node of the state tree by its hash, or None."""
        found = self._nodes.find(node)
        if found is not None:
            return found[0]
        stored = self.store.get(TREE, node)
        return None if stored is None else stored[8:]

    def use_node(self, node: bytes) -> bytes | None:
        """As `node`, which is at hand afterwards. For the thread that writes."""
        found = self.node(node)
        if found is not None:
            self._nodes.put(node, found)
        return found

    def block(self, height: int) -> StoredBlock | None:
        """A committed block, or None."""
        data = self.store.get(BLOCKS, height.to_bytes(8, "big")) if 0 <= height < 2**64 else None
        return None if data is None else block_from_rlp(data)

    def height_of(self, block_hash: bytes) -> int | None:
        """The height of the block with that hash, or None."""
        found = self.store.get(BLOCK_HASHES, block_hash)
        return None if found is None else int.from_bytes(found, "big")

    def find(self, tx_hash: bytes) -> tuple[int, int] | None:
        """Height and index of a committed transaction, or None."""
        found = self.store.get(TRANSACTIONS, tx_hash)
        return None if found is None else (int.from_bytes(found[:8], "big"), int.from_bytes(found[8:], "big"))

    def number(self, name: bytes) -> int:
        """A number that the chain keeps of itself; 0 where there is none."""
        return int.from_bytes(self.store.get(META, name) or b"", "big")

    def history_first(self) -> int | None:
        """The lowest height whose replaced values are kept, or None."""
        return next((int.from_bytes(row, "big") for row, _ in self.store.items(OUTDATED)), None)

    # --- writing ---

    def begin(self, genesis: Digest, stored: StoredBlock, state: Mapping[bytes, bytes | None], nodes: Nodes) -> None:
        """Keep the first block and its state in empty tables; nothing was before it that could be asked for."""
        rows = block_rows(stored) | _state_rows(bytes(8), state, nodes)
        self.store.write(rows | {(META, b"genesis"): genesis, (META, b"first"): bytes(8), (META, b"filling"): None})
        self.put_away()

    def keep(
        self, stored: StoredBlock, changes: Mapping[bytes, bytes | None], update: tree.Update, history_blocks: int
    ) -> None:
        """Keep a block and what it did in one durable step, and forget what only blocks before the history need.

        Args:
            stored: the block.
            changes: of state.
            update: of the tree.
            history_blocks: for how many blocks their state can be read after the next one.
        """
        height = stored.header.height.to_bytes(8, "big")
        rows = block_rows(stored) | _state_rows(height, changes, update.added)
        for index, result in enumerate(stored.results):
            if result.status != SKIPPED:
                rows[(TRANSACTIONS, result.hash)] = height + index.to_bytes(4, "big")
        outdated: list[bytes] = []
        for key in changes:
            place, before = sha256(key), self.use_value(key)
            rows[(HISTORY, place + height)] = _ABSENT if before is None else _THERE + before
            outdated.append(place)
        rows[(OUTDATED, height)] = rlp.encode([b"".join(outdated), b"".join(sorted(update.stale))])
        # One block more than can be asked for: who reads the oldest state is told that it went, and never misled.
        self._forget(stored.header.height - history_blocks - 1, rows)
        self.store.write(rows)
        for key, value in changes.items():
            self._put_value(key, value)
        for node, data in update.added.items():
            self._nodes.put(node, data)

    def _forget(self, height: int, rows: Rows) -> None:
        """Add the removal of what the block of that height replaced: nobody may ask for it any more."""
        place = height.to_bytes(8, "big") if height > 0 else b""
        found = self.store.get(OUTDATED, place) if place else None
        if found is None:
            return
        keys, nodes = (rlp.as_bytes(part, "outdated") for part in rlp.as_list(rlp.decode(found), "outdated"))
        rows[(OUTDATED, place)] = None
        for start in range(0, len(keys), 32):
            rows[(HISTORY, keys[start : start + 32] + place)] = None
        for start in range(0, len(nodes), 32):
            node = nodes[start : start + 32]
            kept = self.store.get(TREE, node)
            # A node that a later block made again is younger than its end; one that this block makes is in `rows`.
            if kept is not None and kept[:8] < place and (TREE, node) not in rows:
                rows[(TREE, node)] = None


def block_rows(stored: StoredBlock) -> Rows:
    """A block, where to find it by its hash, and that it is the last."""
    height = stored.header.height.to_bytes(8, "big")
    return {
        (META, b"height"): height,
        (BLOCKS, height): stored.encode(),
        (BLOCK_HASHES, stored.header.hash()): height,
    }


def _state_rows(height: bytes, changes: Mapping[bytes, bytes | None], nodes: Nodes) -> Rows:
    """What is new in state and tree; a node carries the height that made it."""
    rows: Rows = {(STATE, key): value for key, value in changes.items()}
    for node, data in nodes.items():
        rows[(TREE, node)] = height + data
    return rows
