"""The event index in an SQLite file: nothing to install, readers that never wait for the writer.

Who owns the file can show this node's askers wrong events, or lose them; the chain does not read it.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from paraph.adapters.index import statements
from paraph.adapters.index.port import (
    FORMAT,
    QUERY_MS_MAX,
    BlockRows,
    Covered,
    LogQuery,
    LogRow,
    PageQuery,
    TransactionRow,
    need_covered,
    need_order,
)
from paraph.core.errors import Unavailable

STEPS: Final = 20_000
"""Steps of SQLite's machine between looks at the clock: about a millisecond."""
BUSY_S_MAX: Final = 5.0
"""For another program that reads the file to let go of it."""


class SqliteIndex:
    """An `EventIndex` in a file.

    Args:
        path: made with mode 0600 when absent.
        identity: what its blocks belong to: the digest of the genesis.

    Raises:
        Unavailable: `index.database`: the file cannot be used, or is no SQLite file; `index.network`: it belongs to
            another network.
    """

    def __init__(self, path: Path, identity: bytes) -> None:
        self._path = path
        self._writing = threading.Lock()
        with _told(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._writer = sqlite3.connect(path, BUSY_S_MAX, isolation_level=None, check_same_thread=False)
        try:
            with _told(path):
                self._prepare(identity)
        except BaseException:
            self._writer.close()
            raise

    def covered(self) -> Covered | None:
        """What is indexed."""
        with self._read() as connection:
            return statements.covered(connection.execute(statements.COVERED).fetchone())

    def write(self, blocks: Sequence[BlockRows]) -> None:
        """Add blocks in one step."""
        with self._write() as connection:
            need_order(statements.covered(connection.execute(statements.COVERED).fetchone()), blocks)
            for statement, rows in statements.rows_of(blocks):
                connection.executemany(statement, rows)

    def logs(self, query: LogQuery) -> list[LogRow]:
        """Events in order."""
        with self._read() as connection:
            found = statements.covered(connection.execute(statements.COVERED).fetchone())
            need_covered(found, query.first, query.last)
            return [statements.log_row(row) for row in connection.execute(*statements.search(query))]

    def transactions(self, query: PageQuery) -> list[TransactionRow]:
        """Transactions of an account, newest first."""
        with self._read() as connection:
            found = statements.covered(connection.execute(statements.COVERED).fetchone())
            need_covered(found, query.first, query.last)
            return [statements.transaction_row(row) for row in connection.execute(*statements.page(query))]

    def clear(self) -> None:
        """Forget everything."""
        with self._write() as connection:
            for statement in statements.CLEAR:
                connection.execute(statement)

    def close(self) -> None:
        """Let the file go. Closing twice is closing once."""
        with self._writing:
            self._writer.close()

    def _prepare(self, identity: bytes) -> None:
        # A kill keeps all that was committed; a power cut may lose the newest blocks, which are then indexed again.
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
            self._writer.execute(f"PRAGMA {pragma}").fetchall()
        mine = statements.as_kept(FORMAT, identity)
        if self._writer.execute("SELECT 1 FROM sqlite_master WHERE name = ?", statements.TABLES[:1]).fetchall():
            kept = dict(self._writer.execute(statements.READ_META).fetchall())
            statements.need_identity(kept, identity)
            if kept == mine:
                return
        self._writer.execute("BEGIN IMMEDIATE")
        for statement in (*statements.DROP, *statements.create("BLOB")):
            self._writer.execute(statement)
        self._writer.executemany(statements.PUT_META, mine.items())
        self._writer.execute("COMMIT")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._writing, _told(self._path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """One moment of the file, on a connection of its own: opening one takes a tenth of a millisecond."""
        deadline_s = time.monotonic() + QUERY_MS_MAX / 1000
        address = f"{self._path.absolute().as_uri()}?mode=ro"
        with _told(self._path), closing(sqlite3.connect(address, BUSY_S_MAX, isolation_level=None, uri=True)) as found:
            found.set_progress_handler(lambda: int(time.monotonic() > deadline_s), STEPS)
            found.execute("BEGIN")
            yield found


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors of the database in our words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise Unavailable(
                "index.slow", f"query timeout exceeded: more than {QUERY_MS_MAX} ms; ask for fewer blocks"
            ) from error
        raise Unavailable("index.database", f"the event index {path.name}: {error}") from error
    except (sqlite3.Error, OSError) as error:
        raise Unavailable("index.database", f"the event index {path.name}: {error}") from error
