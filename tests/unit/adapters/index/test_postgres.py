"""The index in a server: one writer, a server that goes away, and an address that is never shown."""

import sys
from collections.abc import Iterator
from itertools import count

import pytest
from tests.support.postgres import Server, postgres

from paraph.adapters.index.open import open_postgres
from paraph.adapters.index.port import BlockRows
from paraph.adapters.index.postgres import PostgresIndex, _ask
from paraph.core.digest import keccak256
from paraph.core.errors import Unavailable
from paraph.core.ident import Digest

IDENTITY = keccak256(b"a network")
BLOCK = BlockRows(0, Digest(bytes(32)), 0, (), ())
NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as found:
        yield found


@pytest.fixture
def url(server: Server) -> str:
    return server.schema(f"s{next(NUMBERS)}")


def test_one_writer(url: str) -> None:
    """A second node in the same schema is refused while the first runs."""
    first = PostgresIndex(url, IDENTITY)

    with pytest.raises(Unavailable) as caught:
        PostgresIndex(url, IDENTITY)
    first.close()
    PostgresIndex(url, IDENTITY).close()

    assert caught.value.code == "index.busy"


def test_schemas_are_separate(server: Server, url: str) -> None:
    """The schema that the address names is the one used."""
    first, second = PostgresIndex(url, IDENTITY), PostgresIndex(server.schema("other"), keccak256(b"another network"))
    first.write([BLOCK])

    assert second.covered() is None
    first.close()
    second.close()


def test_server_restarts(server: Server, url: str) -> None:
    """While the server is away everything is unavailable; opened again, what was written is there."""
    index = PostgresIndex(url, IDENTITY)
    index.write([BLOCK])
    before = index.covered()
    server.stop()

    for ask in (index.covered, index.clear, lambda: index.write([]), lambda: PostgresIndex(url, IDENTITY)):
        with pytest.raises(Unavailable) as caught:
            ask()
        assert caught.value.code == "index.database"
    index.close()
    server.start()
    again = PostgresIndex(url, IDENTITY)

    assert again.covered() == before
    again.close()


def test_slow_query_ends(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that takes too long is cut off by the server."""
    monkeypatch.setattr("paraph.adapters.index.postgres.QUERY_MS_MAX", 50)
    index = PostgresIndex(url, IDENTITY)

    with pytest.raises(Unavailable) as caught, index._read() as connection:
        _ask(connection, "SELECT pg_sleep(20)")

    assert caught.value.code == "index.slow"
    assert index.covered() is None
    index.close()


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:secret@127.0.0.1:1/x", "postgresql://me:secret@/x?host=/nowhere", "postgresql://:secret@:x"],
)
def test_address_is_not_shown(url: str) -> None:
    """An error never repeats the address, in which a password stands."""
    with pytest.raises(Unavailable) as caught:
        open_postgres(url, IDENTITY)

    assert caught.value.code == "index.database"
    assert "secret" not in str(caught.value)


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error names it."""
    monkeypatch.setitem(sys.modules, "paraph.adapters.index.postgres", None)

    with pytest.raises(Unavailable) as caught:
        open_postgres("postgresql://x", IDENTITY)

    assert caught.value.code == "index.extra"
    assert "paraph[postgres]" in caught.value.message
