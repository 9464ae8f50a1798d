"""A chain's tables as a whole: emptied, filled with a state that others kept, and worked out again from every key."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from paraph.core.digest import sha256
from paraph.core.errors import Rejected
from paraph.core.ident import Digest
from paraph.core.smt import EMPTY
from paraph.full_node.tables import META, STATE, TABLES, TREE, StoredBlock, Tables, block_rows
from paraph.ledger import tree
from paraph.proofs.header import HEAD_KEY, Header, SignedHeader

WRITE_ROWS_MAX: Final = 20_000
"""Rows in one write when the store is emptied: some megabytes of memory."""
WRITE_NODES_MAX: Final = 100_000
"""Nodes of the tree in one write when it is filled. Their order is random, so that each write touches as many pages of
the store; fewer and larger writes touch each page less often. Some hundred bytes of memory a node."""

T = TypeVar("T")


def empty(tables: Tables, genesis: Digest) -> None:
    """Empty the store, marked so that a kill on the way leaves no half of a chain to start from."""
    tables.store.write({(META, b"filling"): b"\x01", (META, b"genesis"): genesis})
    for table in TABLES:
        for keys in _batches((key for key, _ in tables.store.items(table) if table != META), WRITE_ROWS_MAX):
            tables.store.write({(table, key): None for key in keys})
    tables.put_away()


def fill(tables: Tables, header: Header, parts: Iterable[Sequence[tuple[bytes, bytes]]]) -> None:
    """Fill empty tables with a whole state.

    Args:
        tables: empty, and still marked so.
        header: the block after which this is the state; believed by the caller.
        parts: keys and values, in any order.

    Raises:
        Rejected: `chain.snapshot`: the rows do not make the header's state root.
    """
    height = header.height.to_bytes(8, "big")
    leaves: list[bytes] = []
    for part in parts:
        tables.store.write({(STATE, key): value for key, value in part})
        leaves += [sha256(key) + sha256(value) for key, value in part]
    leaves.sort()
    if any(one[:32] == other[:32] for one, other in itertools.pairwise(leaves)):
        raise Rejected("chain.snapshot", "a key stands in the snapshot twice")
    root: bytes = EMPTY
    for nodes in _batches(_tree(leaves), WRITE_NODES_MAX):
        root = nodes[-1][0]
        tables.store.write({(TREE, node): height + data for node, data in sorted(nodes)})
    if root != header.state_root or tables.value(HEAD_KEY) != header.head().encode():
        raise Rejected("chain.snapshot", f"the snapshot's state is {root.hex()}; its header says another")
    first = (header.height + 1).to_bytes(8, "big")
    rows = block_rows(StoredBlock(SignedHeader(header, b""), (), ()))
    tables.store.write(rows | {(META, b"first"): first, (META, b"filling"): None})
    tables.put_away()


def audit(tables: Tables, header: Header) -> None:
    """Work the state root out again from every key, as a disk can lie.

    Raises:
        Rejected: `chain.corrupt`: the store does not hold the state that its last header commits to.
    """
    root: bytes = EMPTY
    for root, data in _tree(sorted(sha256(key) + sha256(value) for key, value in tables.store.items(STATE))):
        if (tables.store.get(TREE, root) or b"")[8:] != data:
            raise Rejected("chain.corrupt", f"the state tree lacks the node {root.hex()}, or holds another")
    if root != header.state_root:
        raise Rejected("chain.corrupt", f"the state is {root.hex()}; the last header says {header.state_root.hex()}")


def _tree(leaves: Sequence[bytes]) -> Iterator[tuple[Digest, bytes]]:
    return tree.build((leaf[:32], leaf[32:]) for leaf in leaves)


def _batches(items: Iterable[T], size_max: int) -> Iterator[list[T]]:
    """The items, so many at a time."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, size_max)):
        yield batch
