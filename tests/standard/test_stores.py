"""What every store does: the fake in memory passes the same claims as the one on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from paraph.adapters.fakes.store import MemoryStore
from paraph.adapters.store.lmdb import LmdbStore
from paraph.flows.ports import KeyValue

KINDS = ["memory", "lmdb"]
TABLES = ["state", "blocks"]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValue]:
    found: KeyValue = MemoryStore() if request.param == "memory" else LmdbStore(tmp_path / "store")
    yield found
    found.close()


def test_absent_is_none(store: KeyValue) -> None:
    """A key that was never written, in a table that was never written, has no value."""
    assert store.get("state", b"key") is None
    assert list(store.items("state")) == []


def test_written_is_read(store: KeyValue) -> None:
    """What was written is read, in its table only; an empty value is a value."""
    store.write({("state", b"a"): b"1", ("blocks", b"a"): b"2", ("state", b"b"): b""})

    assert (store.get("state", b"a"), store.get("blocks", b"a"), store.get("state", b"b")) == (b"1", b"2", b"")


def test_none_removes(store: KeyValue) -> None:
    """None removes a row, and removing what is not there changes nothing."""
    store.write({("state", b"a"): b"1"})

    store.write({("state", b"a"): None, ("state", b"b"): None, ("blocks", b"a"): None})

    assert store.get("state", b"a") is None
    assert list(store.items("state")) == []


def test_items_are_in_byte_order(store: KeyValue) -> None:
    """Rows come in byte order of their keys, from the first asked for on."""
    keys = [b"\xff", b"\x00", b"b", b"ab", b"a", b"a\x00"]
    store.write({("state", key): key for key in keys} | {("blocks", b"other"): b""})

    assert [key for key, _ in store.items("state")] == sorted(keys)
    assert [key for key, _ in store.items("state", b"a\x00")] == [b"a\x00", b"ab", b"b", b"\xff"]
    assert list(store.items("state", b"\xff\xff")) == []


def test_writing_nothing_is_nothing(store: KeyValue) -> None:
    """A write of no rows does nothing."""
    store.write({})

    assert list(store.items("state")) == []


def test_read_while_written(store: KeyValue) -> None:
    """A reading begun before a write goes on over what was there when it began."""
    store.write({("state", bytes((key,))): b"old" for key in range(9)})

    rows = store.items("state")
    first = next(rows)
    store.write({("state", bytes((key,))): b"new" for key in range(9)})

    assert [first, *rows] == [(bytes((key,)), b"old") for key in range(9)]


def test_closing_twice_is_closing_once(store: KeyValue) -> None:
    """A store may be closed twice."""
    store.close()
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_like_a_dictionary(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Through any sequence of writes, a store holds what a dictionary holds."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            folder = tmp_path_factory.mktemp("store")
            self.store: KeyValue = MemoryStore() if kind == "memory" else LmdbStore(folder)
            self.model: dict[str, dict[bytes, bytes]] = {table: {} for table in TABLES}

        @rule(
            changes=st.dictionaries(
                st.tuples(st.sampled_from(TABLES), st.binary(min_size=1, max_size=3)),
                st.none() | st.binary(max_size=600),
                max_size=8,
            )
        )
        def write(self, changes: dict[tuple[str, bytes], bytes | None]) -> None:
            self.store.write(changes)
            for (table, key), value in changes.items():
                if value is None:
                    self.model[table].pop(key, None)
                else:
                    self.model[table][key] = value

        @rule(table=st.sampled_from(TABLES), key=st.binary(min_size=1, max_size=3))
        def look(self, table: str, key: bytes) -> None:
            assert self.store.get(table, key) == self.model[table].get(key)
            rows = sorted(self.model[table].items())
            assert list(self.store.items(table, key)) == [row for row in rows if row[0] >= key]

        @invariant()
        def same(self) -> None:
            assert all(dict(self.store.items(table)) == self.model[table] for table in TABLES)

        def teardown(self) -> None:
            self.store.close()

    run_state_machine_as_test(Machine, settings=settings(max_examples=15, stateful_step_count=15, deadline=None))
