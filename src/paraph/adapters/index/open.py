"""Opening the event index that a node is told to use: PostgreSQL by its address, else a file of SQLite.

The driver of PostgreSQL is an extra: it is imported only by who names such an address.
"""

from pathlib import Path

from paraph.adapters.index.port import EventIndex
from paraph.adapters.index.sqlite import SqliteIndex
from paraph.core.errors import Unavailable


def open_sqlite(path: Path, identity: bytes) -> EventIndex:
    """The index in a file. Raises `Unavailable` (`index.database`)."""
    return SqliteIndex(path, identity)


def open_postgres(url: str, identity: bytes) -> EventIndex:
    """The index in PostgreSQL.

    Raises:
        Unavailable: `index.extra`: the driver is not installed; `index.database`, `index.busy`.
    """
    try:
        from paraph.adapters.index.postgres import PostgresIndex  # noqa: PLC0415  an extra
    except ImportError as error:
        raise Unavailable(
            "index.extra", "an event index in PostgreSQL needs its driver: pip install 'paraph[postgres]'"
        ) from error
    return PostgresIndex(url, identity)
