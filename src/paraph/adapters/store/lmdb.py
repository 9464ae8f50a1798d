"""The store over LMDB: one memory-mapped file, one atomic write at a time, readers that never wait.

Who owns the file can lose it or set it back; what is read from it is proved against signed headers by clients.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lmdb

from paraph.core.errors import Unavailable

TABLES_MAX = 32
MAP_BYTES_FIRST = 1 << 36
MAP_BYTES_MAX = 1 << 40
"""The map is address space, not disk. It starts at 64 GiB: growing must not meet a reader, so it had better be rare."""


class LmdbStore:
    """A `KeyValue` in a folder.

    Args:
        folder: made with mode 0700 when absent.

    Raises:
        Unavailable: `store.open`: the folder cannot be used, or the file is not a store.
    """

    def __init__(self, folder: Path) -> None:
        size = MAP_BYTES_FIRST
        existing = folder / "data.mdb"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            while existing.exists() and existing.stat().st_size > size:
                size *= 2
            self._env = lmdb.open(str(folder), map_size=size, max_dbs=TABLES_MAX, mode=0o600, meminit=False)
        except (lmdb.Error, OSError) as error:
            raise Unavailable("store.open", f"{folder} cannot be opened as a store: {error}", folder=folder) from error
        self._folder = folder
        self._tables: dict[str, Any] = {}

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value at `key`, or None. Raises `Unavailable` (`store.read`) when the file is damaged."""
        try:
            with self._env.begin(db=self._table(table)) as transaction:
                value = transaction.get(key)
                return None if value is None else bytes(value)
        except lmdb.Error as error:
            raise self._unreadable(error) from error

    def items(self, table: str, first: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows from key `first` on, in byte order, as of the moment of the call."""
        try:
            with self._env.begin(db=self._table(table)) as transaction, transaction.cursor() as cursor:
                if cursor.set_range(first):
                    for key, value in cursor:
                        yield bytes(key), bytes(value)
        except lmdb.Error as error:
            raise self._unreadable(error) from error

    def write(self, changes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        """Apply all changes in one durable step.

        Raises:
            Unavailable: `store.full`: the disk is full; nothing was written.
        """
        tables = {table: self._table(table) for table, _ in changes}
        while True:
            try:
                with self._env.begin(write=True) as transaction:
                    for (table, key), value in changes.items():
                        if value is None:
                            transaction.delete(key, db=tables[table])
                        else:
                            transaction.put(key, value, db=tables[table])
                return
            except lmdb.MapFullError:
                self._grow()
            except lmdb.DiskError as error:
                raise Unavailable(
                    "store.full", f"the disk under {self._folder} is full", folder=self._folder
                ) from error
            except lmdb.Error as error:
                raise Unavailable("store.write", f"{self._folder}: {error}", folder=self._folder) from error

    def close(self) -> None:
        """Release the file. Closing twice is closing once."""
        self._env.close()

    def _unreadable(self, error: lmdb.Error) -> Unavailable:
        return Unavailable("store.read", f"{self._folder} cannot be read: {error}", folder=self._folder)

    def _grow(self) -> None:
        size = self._env.info()["map_size"] * 2
        if size > MAP_BYTES_MAX:
            raise Unavailable("store.full", f"the store under {self._folder} has reached {MAP_BYTES_MAX} bytes")
        self._env.set_mapsize(size)

    def _table(self, name: str) -> Any:
        if name not in self._tables:
            self._tables[name] = self._env.open_db(name.encode())
        return self._tables[name]
