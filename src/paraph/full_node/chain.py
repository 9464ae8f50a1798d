"""The chain a full node keeps: committed state and its tree, blocks with their results, and where to find them.

It is the `Application` under an engine. One block is one write of the store: state, tree, block and indexes together,
so a kill at any moment leaves the last block or the one before, never half of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from paraph.core import rlp
from paraph.core.errors import Rejected, must
from paraph.core.ident import ZERO_DIGEST, Address
from paraph.core.keys import PrivateKey
from paraph.core.merkle import root as merkle_root
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
    facts_of,
    result_from_rlp,
)
from paraph.ledger.contract import Facts
from paraph.ledger.genesis import Genesis
from paraph.ledger.rooms.accounts.rules import nonce
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import GAS_LIMIT
from paraph.ledger.state import State
from paraph.ledger.tx import SignedTx, check_form
from paraph.proofs.bundle import Proved
from paraph.proofs.header import Header, SignedHeader, header_from_rlp, header_to_rlp

STATE, TREE, BLOCKS, BLOCK_HASHES, TRANSACTIONS, META = (
    "state",
    "tree",
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


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A committed block as it is kept."""

    signed: SignedHeader
    transactions: tuple[bytes, ...]
    results: tuple[Result, ...]

    @property
    def header(self) -> Header:
        """The block's header."""
        return self.signed.header


class Chain:
    """A chain in a store.

    Args:
        store: empty, or of the same genesis.
        genesis: what the chain starts from.
        producer: the key that signs headers; one of the genesis's producers.

    Raises:
        Rejected: `chain.genesis`: the store holds another network; `chain.producer`: the key may not produce here.
    """

    def __init__(self, store: KeyValue, genesis: Genesis, producer: PrivateKey) -> None:
        if producer.address not in genesis.producers:
            raise Rejected("chain.producer", "the genesis does not name this key as a producer")
        self.genesis = genesis
        self.genesis_digest = genesis.digest()
        self._store = store
        self._producer = producer
        self._previewed: tuple[Block, Applied] | None = None
        self._recent: dict[int, StoredBlock] = {}
        found = store.get(META, b"genesis")
        if found is None:
            self._begin()
        elif found != self.genesis_digest:
            raise Rejected("chain.genesis", "this store holds another network's chain", found=found.hex())
        self.head = self.block(int.from_bytes(store.get(META, b"height") or b"", "big"))
        self._recent[self.height] = self.head

    # --- reading ---

    @property
    def height(self) -> int:
        """The height of the last committed block."""
        return self.head.header.height

    def read(self, key: bytes) -> bytes | None:
        """Committed state."""
        return self._store.get(STATE, key)

    def dump(self) -> dict[bytes, bytes]:
        """The whole committed state: for audits and tests."""
        return dict(self._store.items(STATE))

    def block(self, height: int) -> StoredBlock:
        """A committed block. Raises `Rejected` (`chain.height`) when there is none of that height."""
        if height in self._recent:
            return self._recent[height]
        data = self._store.get(BLOCKS, height.to_bytes(8, "big"))
        if data is None:
            raise Rejected("chain.height", f"there is no block {height}", height=height)
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

    def prove(self, key: bytes) -> Proved | None:
        """The value of a state key with its proof against the head's state root; None when the key is absent."""
        value = self.read(key)
        return None if value is None else Proved(value, tree.prove(self._node, self.head.header.state_root, key))

    def prove_absent(self, key: bytes) -> Proved:
        """The proof that a state key is absent (its value then is empty)."""
        must(self.read(key) is None, "the key is absent")
        return Proved(b"", tree.prove(self._node, self.head.header.state_root, key))

    def next_facts(self, time_s: int) -> Facts:
        """What rules would know in a block made now."""
        state = State(self.read)
        at = max(time_s, self.head.header.time_s)
        return facts_of(state, self.height + 1, at, self._producer.address)

    # --- the application ---

    def next_nonce(self, sender: Address) -> int:
        """The nonce the sender's next transaction must have."""
        return nonce(State(self.read), sender)

    def check(self, raw: bytes) -> SignedTx:
        """See `Application.check`. What is ahead of its turn must be able to pay as if its turn had come.

        Raises:
            Malformed, Rejected: `check_form`, `check_state`; `tx.gas_block`: no block here has so much gas.
        """
        signed = check_form(raw, self.genesis.chain_id)
        state, tx = State(self.read), signed.tx
        gas_limit = params.get(state, GAS_LIMIT)
        if tx.gas_limit > gas_limit:
            raise Rejected("tx.gas_block", f"gas limit {tx.gas_limit}; a block has {gas_limit}", limit=gas_limit)
        expected = nonce(state, signed.sender)
        in_turn = replace(tx, nonce=expected) if 0 < tx.nonce - expected <= NONCE_AHEAD_MAX else tx
        check_state(state, replace(signed, tx=in_turn), BASE_FEE.get(state))
        return signed

    def preview(self, time_s: int, transactions: tuple[bytes, ...]) -> Applied:
        """What a block of these would do, skipped ones included; nothing is kept."""
        block = self._next(time_s, transactions)
        applied = apply_block(self.read, block)
        # A skipped transaction leaves no trace, so the block without it does exactly the same: remembered for `commit`.
        pairs = [pair for pair in zip(transactions, applied.results, strict=True) if pair[1].status != SKIPPED]
        without = replace(block, transactions=tuple(raw for raw, _ in pairs))
        self._previewed = without, replace(applied, results=tuple(result for _, result in pairs))
        return applied

    def commit(self, time_s: int, transactions: tuple[bytes, ...]) -> Applied:
        """See `Application.commit`. Time never runs backwards: a clock set back makes blocks of equal time."""
        parent = self.head.header
        block = self._next(time_s, transactions)
        previewed, self._previewed = self._previewed, None
        applied = previewed[1] if previewed and previewed[0] == block else apply_block(self.read, block)
        update = tree.update(self._node, parent.state_root, applied.changes)
        results = [result.encode() for result in applied.results]
        header = Header(
            self.genesis.chain_id,
            self.genesis_digest,
            block.height,
            block.time_s,
            parent.hash(),
            block.proposer,
            update.root,
            merkle_root(transactions),
            merkle_root(results),
            applied.gas_used,
            applied.gas_limit,
            applied.base_fee,
        )
        stored = StoredBlock(SignedHeader(header, self._producer.sign(header.hash())), transactions, applied.results)
        self._keep(stored, results, applied.changes, update)
        return applied

    def _next(self, time_s: int, transactions: tuple[bytes, ...]) -> Block:
        parent = self.head.header
        return Block(parent.height + 1, max(time_s, parent.time_s), self._producer.address, transactions)

    # --- keeping ---

    def _node(self, node: bytes) -> bytes | None:
        return self._store.get(TREE, node)

    def _begin(self) -> None:
        changes = self.genesis.state()
        update = tree.update(self._node, EMPTY, changes)
        state = State(changes.get)
        header = Header(
            self.genesis.chain_id,
            self.genesis_digest,
            0,
            self.genesis.time_s,
            ZERO_DIGEST,
            self._producer.address,
            update.root,
            merkle_root([]),
            merkle_root([]),
            0,
            # Clients take the next block's gas limit from the last block, even if that is this one.
            params.get(state, GAS_LIMIT),
            BASE_FEE.get(state),
        )
        first = StoredBlock(SignedHeader(header, self._producer.sign(header.hash())), (), ())
        self._keep(first, [], changes, update)

    def _keep(
        self, stored: StoredBlock, results: list[bytes], changes: dict[bytes, bytes | None], update: tree.Update
    ) -> None:
        header = stored.header
        height = header.height.to_bytes(8, "big")
        body = rlp.encode([header_to_rlp(stored.signed), list(stored.transactions), results])
        rows: dict[tuple[str, bytes], bytes | None] = {
            (META, b"genesis"): self.genesis_digest,
            (META, b"height"): height,
            (BLOCKS, height): body,
            (BLOCK_HASHES, header.hash()): height,
        }
        for index, result in enumerate(stored.results):
            if result.status != SKIPPED:
                rows[(TRANSACTIONS, result.hash)] = height + index.to_bytes(4, "big")
        rows |= {(STATE, key): value for key, value in changes.items()}
        rows |= {(TREE, node): data for node, data in update.added.items()}
        rows |= {(TREE, node): None for node in update.stale}
        self._store.write(rows)
        self.head = stored
        self._recent[header.height] = stored
        self._recent.pop(header.height - RECENT_MAX, None)
