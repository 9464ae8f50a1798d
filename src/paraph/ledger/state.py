"""State as the rules see it: bytes by key, in layers, and typed tables over them.

Reads go transaction → block → committed. A transaction that fails drops its layer and leaves no trace.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from paraph.core import rlp
from paraph.core.errors import must
from paraph.proofs.records import Record

Read = Callable[[bytes], bytes | None]
"""Committed state: the value of a key, or None."""

R = TypeVar("R", bound=Record)


class State:
    """Layered state of one block being applied.

    Args:
        read: committed state before the block.
    """

    __slots__ = ("_block", "_read", "_transaction")

    def __init__(self, read: Read) -> None:
        self._read = read
        self._block: dict[bytes, bytes | None] = {}
        self._transaction: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of `key` as of now, or None."""
        for layer in (self._transaction, self._block):
            if key in layer:
                return layer[key]
        return self._read(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set `key` in the transaction's layer; None removes it."""
        self._transaction[key] = value

    def put_lasting(self, key: bytes, value: bytes) -> None:
        """Set `key` in the block's layer: it stays, whatever becomes of the transaction."""
        must(key not in self._transaction, "what lasts is never written with what may be dropped")
        self._block[key] = value

    def keep(self) -> None:
        """Fold the transaction's layer into the block's."""
        self._block.update(self._transaction)
        self._transaction = {}

    def drop(self) -> None:
        """Forget the transaction's layer."""
        self._transaction = {}

    def changes(self) -> dict[bytes, bytes | None]:
        """All that the block changed, in the order of the keys."""
        must(not self._transaction, "no transaction is open when a block ends")
        return {key: self._block[key] for key in sorted(self._block)}


@dataclass(frozen=True, slots=True)
class Numbers:
    """A table of non-negative integers. An absent key reads 0, and writing 0 removes the key."""

    prefix: bytes

    def get(self, state: State, key: bytes = b"") -> int:
        """The number at `key`."""
        value = state.get(self.prefix + key)
        return 0 if value is None else int.from_bytes(value, "big")

    def put(self, state: State, key: bytes, number: int) -> None:
        """Set the number at `key`."""
        must(number >= 0, "a table of numbers holds no negative one")
        state.put(self.prefix + key, rlp.from_uint(number) or None)

    def add(self, state: State, key: bytes, number: int) -> int:
        """Add `number` (may be negative) and return the new value."""
        total = self.get(state, key) + number
        self.put(state, key, total)
        return total


@dataclass(frozen=True, slots=True)
class Records(Generic[R]):
    """A table of records of one kind."""

    prefix: bytes
    kind: type[R]

    def get(self, state: State, key: bytes) -> R | None:
        """The record at `key`, or None."""
        value = state.get(self.prefix + key)
        return None if value is None else self.kind.decode(value)

    def put(self, state: State, key: bytes, record: R) -> None:
        """Set the record at `key`."""
        state.put(self.prefix + key, record.encode())

    def remove(self, state: State, key: bytes) -> None:
        """Remove the record at `key`."""
        state.put(self.prefix + key, None)


@dataclass(frozen=True, slots=True)
class Listing:
    """An append-only list of byte strings, counted, so that a page of it can be read without scanning."""

    prefix: bytes

    def count(self, state: State) -> int:
        """How many there are."""
        return Numbers(self.prefix + b"count").get(state)

    def append(self, state: State, item: bytes) -> int:
        """Add `item`; returns its index."""
        index = Numbers(self.prefix + b"count").add(state, b"", 1) - 1
        state.put(self.prefix + index.to_bytes(8, "big"), item)
        return index

    def page(self, state: State, start: int, limit: int) -> list[bytes]:
        """Up to `limit` items from index `start`."""
        stop = min(start + limit, self.count(state))
        found = (state.get(self.prefix + index.to_bytes(8, "big")) for index in range(start, stop))
        return [item for item in found if item is not None]
