"""The event index in PostgreSQL: for who asks it with other tools too, or from several machines.

Who owns the database can show this node's askers wrong events, or lose them; the chain does not read it. Install the
extra `postgres`.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.errors import QueryCanceled

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

READERS_MAX: Final = 4
"""Connections kept for readers; more are opened when asked for, and closed after."""
CONNECT_S_MAX: Final = 5
LOCK_S_MAX: Final = 5
"""For others who hold a table."""

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresIndex:
    """An `EventIndex` in the first schema of a database's search path. One node writes there at a time.

    Args:
        url: `postgresql://…`; it is never shown or logged.
        identity: what its blocks belong to: the digest of the genesis.

    Raises:
        Unavailable: `index.database`: it does not answer; `index.busy`: another node writes there; `index.network`:
            it belongs to another network.
    """

    def __init__(self, url: str, identity: bytes) -> None:
        self._url = url
        self._writing = threading.Lock()
        self._readers: list[Connection] = []
        with _told():
            self._writer = self._connect(0)
        try:
            with _told():
                self._prepare(identity)
        except BaseException:
            self._writer.close()
            raise

    def covered(self) -> Covered | None:
        """What is indexed."""
        with self._read() as connection:
            return statements.covered(_ask(connection, statements.COVERED).fetchone())

    def write(self, blocks: Sequence[BlockRows]) -> None:
        """Add blocks in one step."""
        with self._write() as connection:
            need_order(statements.covered(_ask(connection, statements.COVERED).fetchone()), blocks)
            with connection.cursor() as cursor:
                for statement, rows in statements.rows_of(blocks):
                    cursor.executemany(_sql(statement), rows)

    def logs(self, query: LogQuery) -> list[LogRow]:
        """Events in order."""
        with self._read() as connection:
            found = statements.covered(_ask(connection, statements.COVERED).fetchone())
            need_covered(found, query.first, query.last)
            return [statements.log_row(row) for row in _ask(connection, *statements.search(query))]

    def transactions(self, query: PageQuery) -> list[TransactionRow]:
        """Transactions of an account, newest first."""
        with self._read() as connection:
            found = statements.covered(_ask(connection, statements.COVERED).fetchone())
            need_covered(found, query.first, query.last)
            return [statements.transaction_row(row) for row in _ask(connection, *statements.page(query))]

    def clear(self) -> None:
        """Forget everything."""
        with self._write() as connection:
            for statement in statements.CLEAR:
                _ask(connection, statement)

    def close(self) -> None:
        """Let the database go. Closing twice is closing once."""
        with self._writing:
            self._writer.close()
        while self._readers:
            self._readers.pop().close()

    def _connect(self, timeout_ms: int) -> Connection:
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=CONNECT_S_MAX,
            application_name="paraph event index",
        )
        # Not as options of the connection: those stand in the address, where the operator names the schema.
        try:
            for setting, value in (("statement_timeout", timeout_ms), ("lock_timeout", LOCK_S_MAX * 1000)):
                _ask(connection, f"SET {setting} = {value}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, identity: bytes) -> None:
        # Held as long as the connection lives: a second node writing here would mix two indexes.
        locked = "SELECT pg_try_advisory_lock(hashtext('paraph'), hashtext(current_schema()))"
        if _ask(self._writer, locked).fetchone() != (True,):
            raise Unavailable("index.busy", "another node writes its event index here: give each its own schema")
        mine = statements.as_kept(FORMAT, identity)
        known = "SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = ?"
        if _ask(self._writer, known, statements.TABLES[:1]).fetchone():
            kept = {name: bytes(value) for name, value in _ask(self._writer, statements.READ_META).fetchall()}
            statements.need_identity(kept, identity)
            if kept == mine:
                return
        with self._writer.transaction():
            for statement in (*statements.DROP, *statements.create("BYTEA")):
                _ask(self._writer, statement)
            for row in mine.items():
                _ask(self._writer, statements.PUT_META, row)

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._writing, _told(), self._writer.transaction():
            yield self._writer

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """One moment of the database, on a connection of its own."""
        with _told():
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = self._connect(QUERY_MS_MAX)
            try:
                with connection.transaction():
                    _ask(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    yield connection
            finally:
                if connection.closed or len(self._readers) >= READERS_MAX:
                    connection.close()
                else:
                    self._readers.append(connection)


def _ask(connection: Connection, statement: str, values: Sequence[Any] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
    return connection.execute(_sql(statement), values)


def _sql(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the database in our words, which never name its address."""
    try:
        yield
    except QueryCanceled as error:
        raise Unavailable(
            "index.slow", f"query timeout exceeded: more than {QUERY_MS_MAX} ms; ask for fewer blocks"
        ) from error
    except psycopg.Error as error:
        raise Unavailable("index.database", f"PostgreSQL: {type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).partition("\n")[0]
