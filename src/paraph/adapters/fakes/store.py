"""A `KeyValue` in memory: nothing survives the process, everything else is as promised."""

from collections.abc import Iterator, Mapping


class MemoryStore:
    """Tables as dictionaries."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[bytes, bytes]] = {}

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        return self._tables.get(table, {}).get(key)

    def items(self, table: str, first: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows from key `first` on, in byte order, as of the moment of the call."""
        yield from sorted((key, value) for key, value in self._tables.get(table, {}).items() if key >= first)

    def write(self, changes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        """Apply all changes."""
        for (table, key), value in changes.items():
            rows = self._tables.setdefault(table, {})
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value

    def close(self) -> None:
        """Nothing to release."""
