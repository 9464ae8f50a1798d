"""The chain a full node keeps: state, its tree and its near past, blocks with their results, and where to find them.

It applies blocks that an engine decided and knows nothing of how. `finalize` works a block out and keeps nothing;
`commit` keeps it in one write of the store: state, tree, block and indexes together, so that a kill at any moment
leaves the last block or the one before, never half of one.

State is kept as of the last block, with the values that later blocks replaced and the tree's outdated nodes for
`history_blocks` more: a header that proves a state may be a block behind it, and readers must not race with commits.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from paraph.core import rlp
from paraph.core.digest import sha256
from paraph.core.errors import Rejected, must
from paraph.core.ident import Address
from paraph.core.keys import Recover, recover
from paraph.core.smt import EMPTY
from paraph.flows.ports import KeyValue
from paraph.ledger import tree
from paraph.ledger.block import (
    BASE_FEE,
    Applied,
    Block,
    Result,
    apply_block,
    check_state,
    head_of,
    result_from_rlp,
)
from paraph.ledger.genesis import Genesis
from paraph.ledger.rooms.accounts.rules import nonce
from paraph.ledger.rooms.bonds.types import Fault
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import GAS_LIMIT
from paraph.ledger.state import State
from paraph.ledger.tx import Form, SignedTx, check_form
from paraph.ledger.versions import RULES, Rules
from paraph.proofs.bundle import Proved
from paraph.proofs.header import HEAD_KEY, Header, SignedHeader, header_from_rlp, header_to_rlp

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
SKIPPED = 2
"""The status of a transaction that left no trace."""
RECENT_MAX = 16
"""Newest blocks kept decoded: clients wait for receipts, and decoding a full block for each of them takes 25 ms."""
NONCE_AHEAD_MAX = 64
"""How far ahead of its next nonce a sender may queue transactions: a wallet's burst fits, a flood does not."""
WRITE_ROWS_MAX: Final = 20_000
"""Rows in one write when the store is filled or emptied: some megabytes of memory."""
HISTORY_BLOCKS: Final = 256
"""Blocks whose state can still be read: some minutes, so that a client that read a block can ask of the state behind
it; as many as Ethereum's BLOCKHASH reaches."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A block as an engine decides it: everything else follows from the chain."""

    time_s: int
    proposer: Address
    transactions: tuple[bytes, ...]
    faults: tuple[Fault, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """A block worked out and not kept: what it did, its header, the change of the tree, and how long that took."""

    block: Block
    applied: Applied
    header: Header
    update: tree.Update
    seconds: float


class Chain:
    """A chain in a store.

    Args:
        store: empty, or of the same genesis.
        genesis: what the chain starts from.
        history_blocks: for how many blocks their state can be read after the next one.
        recover: finds the signer of a signature; one that remembers saves the cost of looking twice.
        versions: the rules that this software knows.
        form: reads a transaction; one that remembers saves the cost of reading twice.

    Raises:
        Rejected: `chain.genesis`: the store holds another network.
    """

    def __init__(
        self,
        store: KeyValue,
        genesis: Genesis,
        history_blocks: int = HISTORY_BLOCKS,
        recover: Recover = recover,
        versions: Mapping[int, Rules] = RULES,
        form: Form = check_form,
    ) -> None:
        self.genesis: Final = genesis
        self.genesis_digest: Final = genesis.digest()
        self.recover: Final = recover
        self._store = store
        self._history_blocks = history_blocks
        self._versions = versions
        self._form = form
        self._previewed: Outcome | None = None
        self._worked_out: Outcome | None = None
        self._recent: dict[int, StoredBlock] = {}
        self._listeners: list[Callable[[StoredBlock, Outcome], None]] = []
        found = store.get(META, b"genesis")
        if found not in (None, self.genesis_digest):
            raise Rejected("chain.genesis", "this store holds another network's chain", found=found.hex())
        if found is None or store.get(META, b"filling") is not None:
            self.begin()
        else:
            self._load()

    def _load(self) -> None:
        self._recent.clear()
        self._worked_out = self._previewed = None
        self.first_height = _number(self._store, b"first")
        self.head = self._stored(_number(self._store, b"height"))
        # What was forgotten stays so, whatever is kept from now on.
        lowest = next((int.from_bytes(row, "big") for row, _ in self._store.items(OUTDATED)), self.height + 1)
        self._state_floor = max(lowest - 1, self.first_height - 1, 0)

    def listen(self, heard: Callable[[StoredBlock, Outcome], None]) -> None:
        """Have `heard` called after each block is kept, in the order of the blocks. It must be quick and not raise."""
        self._listeners.append(heard)

    # --- reading ---

    @property
    def height(self) -> int:
        """The height of the last committed block."""
        return self.head.header.height

    def read(self, key: bytes) -> bytes | None:
        """The state after the last block."""
        return self._store.get(STATE, key)

    def read_at(self, height: int) -> Callable[[bytes], bytes | None]:
        """The state after the block of that height, as a function of keys.

        Raises:
            Rejected: `chain.state`: that state is no longer kept, or not yet there.
        """
        self._need_state(height)

        def read(key: bytes) -> bytes | None:
            # The present first: a block kept meanwhile has then put what it replaced into the history.
            now = self._store.get(STATE, key)
            place = sha256(key)
            row, before = next(self._store.items(HISTORY, place + (height + 1).to_bytes(8, "big")), (b"", b""))
            self._need_state(height)  # blocks kept meanwhile may have taken it away
            if row[:32] == place:
                return before[1:] if before[:1] == _THERE else None
            return now

        return read

    def _need_state(self, height: int) -> None:
        if not self.state_first <= height <= self.height:
            raise Rejected(
                "chain.state",
                f"state after block {height} is not kept; there is that of {self.state_first} to {self.height}",
                first=self.state_first,
                last=self.height,
            )

    @property
    def version(self) -> int:
        """The version of the rules in force."""
        return params.version(State(self.read))

    @property
    def state_first(self) -> int:
        """The lowest height whose state can be read."""
        return max(self.height - self._history_blocks, self._state_floor)

    def dump(self) -> dict[bytes, bytes]:
        """The whole state: for audits and tests."""
        return dict(self._store.items(STATE))

    def header(self, height: int) -> Header:
        """The header of a committed block. Raises `Rejected` (`chain.height`) when there is none of that height."""
        return self._stored(height).header

    def block(self, height: int) -> StoredBlock:
        """A committed block. Raises `Rejected` (`chain.height`) when there is none of that height.

        A node that began from a snapshot has none up to it.
        """
        if 0 <= height < self.first_height:
            raise Rejected("chain.height", f"this node has blocks from {self.first_height} on", height=height)
        return self._stored(height)

    def _stored(self, height: int) -> StoredBlock:
        recent = self._recent.get(height)
        if recent is not None:
            return recent
        data = self._store.get(BLOCKS, height.to_bytes(8, "big")) if 0 <= height < 2**64 else None
        if data is None:
            raise Rejected("chain.height", f"there is no block {height} here", height=height)
        header, transactions, results = rlp.as_list(rlp.decode(data), "a stored block")
        return StoredBlock(
            header_from_rlp(header),
            tuple(rlp.as_bytes(raw, "a transaction") for raw in rlp.as_list(transactions, "transactions")),
            tuple(result_from_rlp(rlp.as_bytes(each, "a result")) for each in rlp.as_list(results, "results")),
        )

    def blocks(self, first: int, last: int) -> Iterator[StoredBlock]:
        """Committed blocks of those heights, in order."""
        return (self.block(height) for height in range(first, min(last, self.height) + 1))

    def height_of(self, block_hash: bytes) -> int | None:
        """The height of the block with that hash, or None."""
        found = self._store.get(BLOCK_HASHES, block_hash)
        return None if found is None else int.from_bytes(found, "big")

    def find(self, tx_hash: bytes) -> tuple[int, int] | None:
        """Height and index of a committed transaction, or None."""
        found = self._store.get(TRANSACTIONS, tx_hash)
        return None if found is None else (int.from_bytes(found[:8], "big"), int.from_bytes(found[8:], "big"))

    def prove(self, key: bytes, height: int | None = None) -> tuple[bytes | None, Proved]:
        """The value of a state key, None when it is absent, and the proof of either.

        Args:
            key: the state key.
            height: whose state root it is proved against; the head's unless given.

        Raises:
            Rejected: `chain.state`.
        """
        at = self.height if height is None else height
        value = self.read_at(at)(key)
        return value, Proved(value or b"", tree.prove(self._node, self.header(at).state_root, key))

    # --- transactions that wait ---

    def next_nonce(self, sender: Address) -> int:
        """The nonce the sender's next transaction must have."""
        return nonce(State(self.read), sender)

    def check(self, signed: SignedTx) -> None:
        """See `Application.check`. What is ahead of its turn must be able to pay as if its turn had come.

        Raises:
            Rejected: `check_state`; `tx.gas_block`: no block here has so much gas.
        """
        state, tx = State(self.read), signed.tx
        gas_limit = params.get(state, GAS_LIMIT)
        if tx.gas_limit > gas_limit:
            raise Rejected("tx.gas_block", f"gas limit {tx.gas_limit}; a block has {gas_limit}", limit=gas_limit)
        expected = nonce(state, signed.sender)
        in_turn = replace(tx, nonce=expected) if 0 < tx.nonce - expected <= NONCE_AHEAD_MAX else tx
        check_state(state, replace(signed, tx=in_turn), BASE_FEE.get(state))

    # --- blocks ---

    def preview(self, decided: Decided) -> Applied:
        """What a block of these would do, skipped transactions included; nothing is kept."""
        return self._work_out(decided).applied

    def finalize(self, decided: Decided) -> Outcome:
        """Work the next block out, and keep nothing yet."""
        self._worked_out = self._work_out(decided)
        return self._worked_out

    def _work_out(self, decided: Decided) -> Outcome:
        block = self._next(decided)
        known = self._previewed
        if known is not None and known.block == block:
            return known
        began = time.perf_counter()
        applied = apply_block(self.read, block, self.recover, self._versions, self._form)
        update = tree.update(self._node, self.head.header.state_root, applied.changes)
        header = applied.head.header(update.root)
        self._previewed = Outcome(block, applied, header, update, time.perf_counter() - began)
        return self._previewed

    def commit(self, seal: bytes = b"") -> StoredBlock:
        """Keep what was finalized last, durably, in one step.

        Args:
            seal: the producer's signature (65 bytes); empty where validators agree, whose votes their engine keeps.
        """
        must(self._worked_out is not None, "a block was finalized before it is kept")
        outcome: Outcome = self._worked_out  # type: ignore[assignment]
        self._worked_out = self._previewed = None
        stored = StoredBlock(SignedHeader(outcome.header, seal), outcome.block.transactions, outcome.applied.results)
        self._store.write(self._rows(stored, outcome.applied.changes, outcome.update))
        self.head = stored
        self._recent[self.height] = stored
        self._recent.pop(self.height - RECENT_MAX, None)
        for heard in self._listeners:
            heard(stored, outcome)
        return stored

    def _next(self, decided: Decided) -> Block:
        parent = self.head.header
        # Time never runs backwards: a clock set back makes blocks of equal time.
        time_s = max(decided.time_s, parent.time_s)
        return Block(parent.height + 1, time_s, decided.proposer, decided.transactions, parent.hash(), decided.faults)

    # --- keeping ---

    def _node(self, node: bytes) -> bytes | None:
        found = self._store.get(TREE, node)
        return None if found is None else found[8:]

    def begin(self) -> None:
        """Empty the store, and start from genesis."""
        self._empty()
        changes = self.genesis.state()
        update = tree.update(self._node, EMPTY, changes)
        header = head_of(State(changes.get)).header(update.root)
        rows = self._rows(StoredBlock(SignedHeader(header, b""), (), ()), changes, update)
        # Nothing was before genesis that could be asked for.
        rows = {place: value for place, value in rows.items() if place[0] not in (HISTORY, OUTDATED)}
        done: dict[tuple[str, bytes], bytes | None] = {(META, b"first"): bytes(8), (META, b"filling"): None}
        self._store.write({**rows, **done, (META, b"genesis"): self.genesis_digest})
        self._load()

    def _empty(self) -> None:
        """Empty the store, marked so that a kill on the way leaves no half of a chain to start from."""
        self._store.write({(META, b"filling"): b"\x01", (META, b"genesis"): self.genesis_digest})
        for table in TABLES:
            for keys in _batches(key for key, _ in self._store.items(table) if table != META):
                self._store.write({(table, key): None for key in keys})

    def fill(self, header: Header, rows: Iterable[Sequence[tuple[bytes, bytes]]]) -> None:
        """Take over a whole state that others kept, in parts, in place of all that is here.

        Args:
            header: the block after which this is the state; believed by the caller.
            rows: keys and values, in any order.

        Raises:
            Rejected: `chain.snapshot`: the rows do not make the header's state root.
            Whatever is raised, by `rows` too, the store is then at genesis.
        """
        self._empty()
        height = header.height.to_bytes(8, "big")
        try:
            self._take(rows, header, height)
        except Exception:
            self.begin()
            raise
        stored = StoredBlock(SignedHeader(header, b""), (), ())
        self._store.write(
            {
                (BLOCKS, height): encode_block(stored),
                (BLOCK_HASHES, header.hash()): height,
                (META, b"height"): height,
                (META, b"first"): (header.height + 1).to_bytes(8, "big"),
                (META, b"filling"): None,
            }
        )
        self._load()

    def _take(self, rows: Iterable[Sequence[tuple[bytes, bytes]]], header: Header, height: bytes) -> None:
        leaves: list[bytes] = []
        for part in rows:
            self._store.write({(STATE, key): value for key, value in part})
            leaves += [sha256(key) + sha256(value) for key, value in part]
        leaves.sort()
        if any(one[:32] == other[:32] for one, other in itertools.pairwise(leaves)):
            raise Rejected("chain.snapshot", "a key stands in the snapshot twice")
        root: bytes = EMPTY
        for nodes in _batches(tree.build((leaf[:32], leaf[32:]) for leaf in leaves)):
            self._store.write({(TREE, node): height + data for node, data in nodes})
            root = nodes[-1][0]
        if root != header.state_root or self.read(HEAD_KEY) != header.head().encode():
            raise Rejected("chain.snapshot", f"the snapshot's state is {root.hex()}; its header says another")

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All of the state as of the first row asked for, in the order of the keys."""
        return self._store.items(STATE)

    def audit(self) -> None:
        """Work the state root out again from every key, as a disk can lie.

        Raises:
            Rejected: `chain.corrupt`: the store does not hold the state that its last header commits to.
        """
        leaves = sorted(sha256(key) + sha256(value) for key, value in self.rows())
        root: bytes = EMPTY
        for root, data in tree.build((leaf[:32], leaf[32:]) for leaf in leaves):
            if self._node(root) != data:
                raise Rejected("chain.corrupt", f"the state tree lacks the node {root.hex()}, or holds another")
        if root != self.head.header.state_root:
            raise Rejected(
                "chain.corrupt", f"the state is {root.hex()}; the last header says {self.head.header.state_root.hex()}"
            )

    def _rows(
        self, stored: StoredBlock, changes: Mapping[bytes, bytes | None], update: tree.Update
    ) -> dict[tuple[str, bytes], bytes | None]:
        header = stored.header
        height = header.height.to_bytes(8, "big")
        rows: dict[tuple[str, bytes], bytes | None] = {
            (META, b"height"): height,
            (BLOCKS, height): encode_block(stored),
            (BLOCK_HASHES, header.hash()): height,
        }
        for index, result in enumerate(stored.results):
            if result.status != SKIPPED:
                rows[(TRANSACTIONS, result.hash)] = height + index.to_bytes(4, "big")
        outdated: list[bytes] = []
        for key, value in changes.items():
            before = self._store.get(STATE, key)
            rows[(HISTORY, sha256(key) + height)] = _ABSENT if before is None else _THERE + before
            outdated.append(sha256(key))
            rows[(STATE, key)] = value
        rows |= {(TREE, node): height + data for node, data in update.added.items()}
        rows[(OUTDATED, height)] = rlp.encode([b"".join(outdated), b"".join(sorted(update.stale))])
        # One block more than can be asked for: who reads the oldest state is told that it went, and never misled.
        rows |= self._forgotten(header.height - self._history_blocks - 1, rows)
        return rows

    def _forgotten(
        self, height: int, new: Mapping[tuple[str, bytes], bytes | None]
    ) -> dict[tuple[str, bytes], bytes | None]:
        """What the block of that height replaced: nobody may ask for it any more."""
        place = height.to_bytes(8, "big") if height > 0 else b""
        found = self._store.get(OUTDATED, place) if place else None
        if found is None:
            return {}
        keys, nodes = (rlp.as_bytes(part, "outdated") for part in rlp.as_list(rlp.decode(found), "outdated"))
        rows: dict[tuple[str, bytes], bytes | None] = {(OUTDATED, place): None}
        for start in range(0, len(keys), 32):
            rows[(HISTORY, keys[start : start + 32] + place)] = None
        for start in range(0, len(nodes), 32):
            node = nodes[start : start + 32]
            kept = self._store.get(TREE, node)
            # A node that a later block made again is younger than its end; one that this block makes is in `new`.
            if kept is not None and kept[:8] < place and (TREE, node) not in new:
                rows[(TREE, node)] = None
        return rows


_ABSENT, _THERE = b"\x00", b"\x01"


def encode_block(stored: StoredBlock) -> bytes:
    """A block as the store keeps it."""
    return rlp.encode(
        [header_to_rlp(stored.signed), list(stored.transactions), [result.encode() for result in stored.results]]
    )


T = TypeVar("T")


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items, so many at a time as one write takes."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, WRITE_ROWS_MAX)):
        yield batch


def _number(store: KeyValue, name: bytes) -> int:
    return int.from_bytes(store.get(META, name) or b"", "big")
