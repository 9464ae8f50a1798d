"""The chain a full node keeps: state, its tree and its near past, blocks with their results, and where to find them.

It applies blocks that an engine decided and knows nothing of how. `finalize` works a block out and keeps nothing;
`commit` keeps it in one write of the store: state, tree, block and indexes together, so that a kill at any moment
leaves the last block or the one before, never half of one.

State is kept as of the last block, with the values that later blocks replaced and the tree's outdated nodes for
`history_blocks` more: a header that proves a state may be a block behind it, and readers must not race with commits.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core.errors import Rejected, must
from paraph.core.ident import Address
from paraph.core.keys import Recover, recover
from paraph.core.smt import EMPTY
from paraph.flows.ports import KeyValue
from paraph.full_node import filling
from paraph.full_node.tables import STATE, StoredBlock, Tables
from paraph.ledger import tree
from paraph.ledger.block import (
    BASE_FEE,
    Applied,
    Block,
    apply_block,
    check_funds,
    check_state,
    head_of,
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
from paraph.proofs.header import Header, SignedHeader
from paraph.proofs.quotes.evidence import CHECKS, Checks

RECENT_MAX = 16
"""Newest blocks kept decoded: clients wait for receipts, and decoding a full block for each of them takes 25 ms."""
NONCE_AHEAD_MAX = 64
"""How far ahead of its next nonce a sender may queue transactions: a wallet's burst fits, a flood does not."""
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
        checks: of what enclaves' platforms signed, and of proofs; ones that remember save the cost of looking twice.

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
        checks: Checks = CHECKS,
    ) -> None:
        self.genesis: Final = genesis
        self.genesis_digest: Final = genesis.digest()
        self.recover: Final = recover
        self._tables: Final = Tables(store)
        self._history_blocks = history_blocks
        self._versions = versions
        self._form = form
        self.checks = checks
        self._previewed: Outcome | None = None
        self._worked_out: Outcome | None = None
        self._recent: dict[int, StoredBlock] = {}
        self._listeners: list[Callable[[StoredBlock, Outcome], None]] = []
        found = self._tables.genesis()
        if found not in (None, self.genesis_digest):
            raise Rejected("chain.genesis", "this store holds another network's chain", found=found.hex())
        if found is None or self._tables.filling():
            self.begin()
        else:
            self._load()

    def _load(self) -> None:
        self._recent.clear()
        self._worked_out = self._previewed = None
        self.first_height = self._tables.number(b"first")
        self.head = self._stored(self._tables.number(b"height"))
        # What was forgotten stays so, whatever is kept from now on.
        lowest = self._tables.history_first()
        self._state_floor = max((self.height if lowest is None else lowest - 1), self.first_height - 1, 0)

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
        return self._tables.value(key)

    def read_at(self, height: int) -> Callable[[bytes], bytes | None]:
        """The state after the block of that height, as a function of keys.

        Raises:
            Rejected: `chain.state`: that state is no longer kept, or not yet there.
        """
        self._need_state(height)

        def read(key: bytes) -> bytes | None:
            value = self._tables.value_at(key, height)
            self._need_state(height)  # blocks kept meanwhile may have taken it away
            return value

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
        return dict(self.rows())

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
        found = self._tables.block(height)
        if found is None:
            raise Rejected("chain.height", f"there is no block {height} here", height=height)
        return found

    def blocks(self, first: int, last: int) -> Iterator[StoredBlock]:
        """Committed blocks of those heights, in order."""
        return (self.block(height) for height in range(first, min(last, self.height) + 1))

    def height_of(self, block_hash: bytes) -> int | None:
        """The height of the block with that hash, or None."""
        return self._tables.height_of(block_hash)

    def find(self, tx_hash: bytes) -> tuple[int, int] | None:
        """Height and index of a committed transaction, or None."""
        return self._tables.find(tx_hash)

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
        return value, Proved(value or b"", tree.prove(self._tables.node, self.header(at).state_root, key))

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
        ahead = tx.nonce - nonce(state, signed.sender)
        (check_funds if 0 < ahead <= NONCE_AHEAD_MAX else check_state)(state, signed, BASE_FEE.get(state))

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
        applied = apply_block(self._tables.use_value, block, self.recover, self._versions, self._form, self.checks)
        update = tree.update(self._tables.use_node, self.head.header.state_root, applied.changes)
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
        self._tables.keep(stored, outcome.applied.changes, outcome.update, self._history_blocks)
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

    # --- the whole ---

    def begin(self) -> None:
        """Empty the store, and start from genesis."""
        filling.empty(self._tables, self.genesis_digest)
        state = self.genesis.state()
        update = tree.update(self._tables.node, EMPTY, state)
        header = head_of(State(state.get)).header(update.root)
        self._tables.begin(self.genesis_digest, StoredBlock(SignedHeader(header, b""), (), ()), state, update.added)
        self._load()

    def fill(self, header: Header, parts: Iterable[Sequence[tuple[bytes, bytes]]]) -> None:
        """Take over a whole state that others kept, in parts, in place of all that is here.

        Args:
            header: the block after which this is the state; believed by the caller.
            parts: keys and values, in any order.

        Raises:
            Rejected: `chain.snapshot`: the rows do not make the header's state root.
            Whatever is raised, by `parts` too, the store is then at genesis.
        """
        filling.empty(self._tables, self.genesis_digest)
        try:
            filling.fill(self._tables, header, parts)
        except Exception:
            self.begin()
            raise
        self._load()

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All of the state as of the first row asked for, in the order of the keys."""
        return self._tables.store.items(STATE)

    def audit(self) -> None:
        """Work the state root out again from every key, as a disk can lie.

        Raises:
            Rejected: `chain.corrupt`: the store does not hold the state that its last header commits to.
        """
        filling.audit(self._tables, self.head.header)
