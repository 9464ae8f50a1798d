"""The event index as a port: what is kept of each block, and what may be asked of it.

Blocks are found by height and transactions by hash without it. Finding all events of a contract, or all transactions of
an account, over the whole chain would mean reading the whole chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from paraph.core.errors import Unavailable
from paraph.core.ident import Address, Digest

FORMAT: Final = 1
"""Of the tables. An index of another format is dropped and filled again from the blocks."""
QUERY_MS_MAX: Final = 5_000
"""One query: a few thousand times what one that an index serves takes; a search without criteria must end too."""
HEIGHT_MAX: Final = 2**63 - 1
"""The largest number that SQL databases keep."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One event, with all that Ethereum clients are told of it.

    Args:
        height, block_hash, time_s: of its block.
        tx_index, tx_hash: of its transaction.
        index: its place among the events of the block.
        address: the contract.
        topics: none to four, 32 bytes each.
        data: the rest.
    """

    height: int
    block_hash: Digest
    time_s: int
    tx_index: int
    tx_hash: Digest
    index: int
    address: Address
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """One transaction that left a trace: its place, hash and parties."""

    height: int
    block_hash: Digest
    time_s: int
    index: int
    hash: Digest
    sender: Address
    recipient: Address


@dataclass(frozen=True, slots=True)
class BlockRows:
    """One block as the index keeps it. Its rows carry the block's own height, hash and time."""

    height: int
    hash: Digest
    time_s: int
    transactions: tuple[TransactionRow, ...]
    logs: tuple[LogRow, ...]


@dataclass(frozen=True, slots=True)
class Covered:
    """The blocks that are indexed, without a gap, and the hash of the last."""

    first: int
    last: int
    hash: Digest


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which events: in blocks `first` to `last`, of these addresses, with these topics; None means any.

    As in `eth_getLogs`: an event must have at least as many topics as are named, free ones counted.
    """

    first: int
    last: int
    addresses: frozenset[Address] | None
    topics: tuple[frozenset[bytes] | None, ...]
    rows_max: int


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which transactions: from or to an account, in blocks `first` to `last`, at a place before (height, index)."""

    account: Address
    first: int
    last: int
    before: tuple[int, int]
    rows_max: int


class EventIndex(Protocol):
    """Events and transactions in tables. Called from any thread, by one writer at a time and several readers.

    A write is one step: all of its blocks or none, and they follow the last one. A kill loses at most the newest
    writes, never the order. Each read sees one moment. All methods raise `Unavailable` (`index.…`) when the database
    does not answer. It is no part of consensus: who owns the database can show wrong events to whoever asks this node,
    and change nothing else; what matters is proved against headers (`paraph_getProof`).
    """

    def covered(self) -> Covered | None:
        """What is indexed; None when nothing is."""
        ...

    def write(self, blocks: Sequence[BlockRows]) -> None:
        """Add blocks. Raises `Unavailable` (`index.order`) when they do not follow the last one."""
        ...

    def logs(self, query: LogQuery) -> list[LogRow]:
        """Events in order. Raises `Unavailable` (`index.behind`) unless all blocks asked for are indexed."""
        ...

    def transactions(self, query: PageQuery) -> list[TransactionRow]:
        """Transactions, newest first. Raises `Unavailable` (`index.behind`) as `logs`."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None:
        """Let the database go. Closing twice is closing once."""
        ...


def need_order(covered: Covered | None, blocks: Sequence[BlockRows]) -> None:
    """Refuse blocks that do not follow each other and what is there. Raises `Unavailable` (`index.order`)."""
    expected = blocks[0].height if covered is None else covered.last + 1
    for each in blocks:
        if each.height != expected:
            raise Unavailable("index.order", f"block {each.height} cannot be indexed: {expected} is next")
        expected += 1


def need_covered(covered: Covered | None, first: int, last: int) -> None:
    """Refuse a range that is not wholly indexed. Raises `Unavailable` (`index.behind`)."""
    if covered is None or not covered.first <= first or not last <= covered.last:
        there = "none" if covered is None else f"{covered.first} to {covered.last}"
        raise Unavailable(
            "index.behind", f"index behind: blocks {first} to {last} are asked for, those indexed are {there}"
        )
