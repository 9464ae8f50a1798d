"""The index in a file: who may read it, what happens to old or broken ones, and that its queries are served."""

import sqlite3
import stat
from pathlib import Path

import pytest

from paraph.adapters.index import sqlite, statements
from paraph.adapters.index.port import HEIGHT_MAX, BlockRows, LogQuery, PageQuery
from paraph.adapters.index.sqlite import SqliteIndex
from paraph.core.digest import keccak256
from paraph.core.errors import Unavailable
from paraph.core.ident import Address, Digest

IDENTITY = keccak256(b"a network")
BLOCK = BlockRows(0, Digest(bytes(32)), 0, (), ())
CONTRACT = Address(b"\x01" * 20)


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """All files of the index are the owner's alone."""
    index = SqliteIndex(tmp_path / "index.sqlite", IDENTITY)
    index.write([BLOCK])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    index.close()

    assert modes == dict.fromkeys(["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"], 0o600)


def test_old_format_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of an earlier format are dropped; they are filled again from the blocks."""
    index = SqliteIndex(tmp_path / "index.sqlite", IDENTITY)
    index.write([BLOCK])
    index.close()
    monkeypatch.setattr(sqlite, "FORMAT", 2)

    again = SqliteIndex(tmp_path / "index.sqlite", IDENTITY)
    found = again.covered()
    again.close()

    assert found is None


@pytest.mark.parametrize("problem", ["folder", "garbage", "missing"])
def test_unusable_file(tmp_path: Path, problem: str) -> None:
    """What cannot be an index is told in our words, and left as it is."""
    path = tmp_path / "index.sqlite"
    if problem == "folder":
        path.mkdir()
    elif problem == "garbage":
        path.write_bytes(b"no database " * 100)
    else:
        path = tmp_path / "nowhere" / "index.sqlite"

    with pytest.raises(Unavailable) as caught:
        SqliteIndex(path, IDENTITY)

    assert caught.value.code == "index.database"
    assert problem != "garbage" or path.read_bytes().startswith(b"no database")


def test_deleted_under_us(tmp_path: Path) -> None:
    """A file that somebody deletes is missed, not made anew and empty."""
    index = SqliteIndex(tmp_path / "index.sqlite", IDENTITY)
    for path in tmp_path.iterdir():
        path.unlink()

    with pytest.raises(Unavailable) as caught:
        index.covered()
    index.close()

    assert caught.value.code == "index.database"


@pytest.mark.parametrize(
    ("statement", "serves"),
    [
        (statements.search(LogQuery(0, 9, frozenset({CONTRACT}), (), 10)), "paraph_logs_address"),
        (statements.search(LogQuery(0, 9, None, (frozenset({bytes(32)}),), 10)), "paraph_logs_topic0"),
        (statements.search(LogQuery(0, 9, None, (None, None, frozenset({bytes(32)})), 10)), "paraph_logs_topic2"),
        (statements.page(PageQuery(CONTRACT, 0, 9, (HEIGHT_MAX, 0), 10)), "paraph_transactions_sender"),
        (statements.page(PageQuery(CONTRACT, 0, 9, (HEIGHT_MAX, 0), 10)), "paraph_transactions_recipient"),
    ],
)
def test_queries_are_served(tmp_path: Path, statement: tuple[str, list[object]], serves: str) -> None:
    """A query by contract, topic or account looks things up; it never reads all there is."""
    SqliteIndex(tmp_path / "index.sqlite", IDENTITY).close()
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement[0], statement[1])]
    connection.close()

    assert any(serves in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN") and "by_" not in step], plan
