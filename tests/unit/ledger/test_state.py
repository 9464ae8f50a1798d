"""State in layers, and the typed tables over it."""

import pytest

from paraph.core.errors import BrokenTruth
from paraph.core.ident import ZERO_ADDRESS
from paraph.ledger.state import Listing, Numbers, Records, State
from paraph.proofs.records import NodeKey

TABLE = Numbers(b"table/")


def state(**committed: bytes) -> State:
    return State({name.encode(): value for name, value in committed.items()}.get)


def test_reads_through_layers() -> None:
    """A read finds the transaction's value, then the block's, then the committed one."""
    found = state(a=b"1", b=b"1", c=b"1")
    found.put(b"a", b"2")
    found.put(b"b", b"2")
    found.keep()
    found.put(b"a", b"3")

    assert [found.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"3", b"2", b"1", None]


def test_removal_hides_the_committed() -> None:
    """A removed key reads as absent in its layer and after it is kept."""
    found = state(a=b"1")
    found.put(b"a", None)

    assert found.get(b"a") is None
    found.keep()
    assert found.get(b"a") is None
    assert found.changes() == {b"a": None}


def test_drop_forgets_the_transaction_alone() -> None:
    """What a failed transaction wrote is gone; what the block kept before it stays."""
    found = state()
    found.put(b"a", b"1")
    found.keep()
    found.put(b"a", b"2")
    found.put(b"b", b"2")
    found.drop()

    assert found.changes() == {b"a": b"1"}


def test_a_block_does_not_end_in_a_transaction() -> None:
    """Changes are read between transactions only."""
    found = state()
    found.put(b"a", b"1")

    with pytest.raises(BrokenTruth):
        found.changes()


def test_numbers() -> None:
    """An absent number is zero, a zero is absent, and no number is negative."""
    found = state()

    assert TABLE.get(found, b"x") == 0
    assert TABLE.add(found, b"x", 2**200) == 2**200
    assert TABLE.add(found, b"x", -(2**200)) == 0
    assert found.get(b"table/x") is None
    with pytest.raises(BrokenTruth):
        TABLE.add(found, b"x", -1)


def test_records() -> None:
    """A record reads back as it was put, and as absent once removed."""
    table = Records(b"keys/", NodeKey)
    found, key = state(), NodeKey(ZERO_ADDRESS, 1, 2)

    assert table.get(found, b"x") is None
    table.put(found, b"x", key)
    assert table.get(found, b"x") == key
    table.remove(found, b"x")
    assert table.get(found, b"x") is None


@pytest.mark.parametrize(
    ("start", "limit", "items"),
    [(0, 2, [b"0", b"1"]), (1, 9, [b"1", b"2"]), (3, 1, []), (2**255, 1, []), (0, 0, [])],
)
def test_listing_pages(start: int, limit: int, items: list[bytes]) -> None:
    """A page holds the items asked for that exist, however far the question reaches."""
    listing, found = Listing(b"list/"), state()

    assert [listing.append(found, b"%d" % number) for number in range(3)] == [0, 1, 2]
    assert listing.count(found) == 3
    assert listing.page(found, start, limit) == items
