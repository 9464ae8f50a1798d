"""What every event index does: the one in a file and the one in a server pass the same claims."""

import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.postgres import Server, postgres

from paraph.adapters.index.open import open_postgres, open_sqlite
from paraph.adapters.index.port import (
    HEIGHT_MAX,
    BlockRows,
    Covered,
    EventIndex,
    LogQuery,
    LogRow,
    PageQuery,
    TransactionRow,
)
from paraph.core.digest import keccak256
from paraph.core.errors import Unavailable
from paraph.core.ident import Address, Digest

KINDS = ["sqlite", "postgres"]
IDENTITY = keccak256(b"a network")
ACCOUNTS = [Address(bytes([number]) * 20) for number in range(1, 4)]
TOPICS = [bytes([number]) * 32 for number in range(1, 4)]
NUMBERS = count()

Opener = Callable[[], EventIndex]
"""Opens the same index each time it is called."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as found:
        yield found


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], EventIndex]:
    """Opens the same index for any network."""
    if request.param == "sqlite":
        return lambda identity: open_sqlite(tmp_path / "index.sqlite", identity)
    url = request.getfixturevalue("server").schema(f"s{next(NUMBERS)}")
    return lambda identity: open_postgres(url, identity)


@pytest.fixture
def opener(place: Callable[[bytes], EventIndex]) -> Opener:
    return lambda: place(IDENTITY)


@pytest.fixture
def index(opener: Opener) -> Iterator[EventIndex]:
    found = opener()
    yield found
    found.close()


def block(height: int, *calls: tuple[int, int, list[tuple[int, list[int]]]]) -> BlockRows:
    """A block of transactions, each from, to and its events: which contract, which topics."""
    block_hash, time_s = Digest(keccak256(b"block %d" % height)), 1_000 + height
    transactions: list[TransactionRow] = []
    logs: list[LogRow] = []
    for place, (sender, recipient, events) in enumerate(calls):
        tx_hash = Digest(keccak256(b"tx %d %d" % (height, place)))
        transactions.append(
            TransactionRow(height, block_hash, time_s, place, tx_hash, ACCOUNTS[sender], ACCOUNTS[recipient])
        )
        for address, topics in events:
            chosen = tuple(TOPICS[topic] for topic in topics)
            data = bytes([len(logs)]) * len(logs)
            logs.append(LogRow(height, block_hash, time_s, place, tx_hash, len(logs), ACCOUNTS[address], chosen, data))
    return BlockRows(height, block_hash, time_s, tuple(transactions), tuple(logs))


def logs(index: EventIndex, first: int, last: int, rows_max: int = 1_000) -> list[LogRow]:
    return index.logs(LogQuery(first, last, None, (), rows_max))


BLOCKS = [
    block(7, (0, 1, [(0, [0]), (1, [0, 1])])),
    block(8),
    block(9, (1, 0, []), (2, 2, [(2, [])]), (0, 2, [(0, [0, 1, 2, 0])])),
]
ALL = [row for each in BLOCKS for row in each.logs]


def test_empty_covers_nothing(index: EventIndex) -> None:
    """A new index has no blocks, and refuses to answer as if it had."""
    assert index.covered() is None
    with pytest.raises(Unavailable) as caught:
        logs(index, 0, 0)
    assert caught.value.code == "index.behind"


def test_written_is_found(index: EventIndex) -> None:
    """Events come back in order, each member as it was; so does the range that is covered."""
    index.write(BLOCKS[:1])
    index.write(BLOCKS[1:])

    assert index.covered() == Covered(7, 9, BLOCKS[-1].hash)
    assert logs(index, 7, 9) == ALL
    assert logs(index, 8, 8) == []


@pytest.mark.parametrize(("first", "last"), [(6, 9), (7, 10), (0, 3), (11, HEIGHT_MAX)])
def test_behind_is_said(index: EventIndex, first: int, last: int) -> None:
    """A range that is not wholly indexed is refused: a short answer would look whole."""
    index.write(BLOCKS)

    for ask in (
        lambda: logs(index, first, last),
        lambda: index.transactions(PageQuery(ACCOUNTS[0], first, last, (HEIGHT_MAX, 0), 9)),
    ):
        with pytest.raises(Unavailable) as caught:
            ask()
        assert caught.value.code == "index.behind"


def test_rows_are_bounded(index: EventIndex) -> None:
    """No more rows come than asked for, and they are the first."""
    index.write(BLOCKS)

    assert logs(index, 7, 9, 2) == ALL[:2]


@pytest.mark.parametrize("heights", [(9,), (6,), (7,), (8, 8), (8, 10), (8, 7)])
def test_order_is_kept(index: EventIndex, heights: tuple[int, ...]) -> None:
    """Blocks that do not follow are refused, and then none of them is there."""
    index.write(BLOCKS[:1])

    with pytest.raises(Unavailable) as caught:
        index.write([block(height, (0, 1, [(0, [])])) for height in heights])

    assert caught.value.code == "index.order"
    assert index.covered() == Covered(7, 7, BLOCKS[0].hash)
    assert logs(index, 7, 7) == list(BLOCKS[0].logs)


def test_write_is_whole_or_nothing(index: EventIndex) -> None:
    """A write that fails in its last row leaves nothing of its first."""
    twice = BLOCKS[2].logs[0]
    broken = BlockRows(8, BLOCKS[2].hash, 1, (), (twice, twice))
    index.write(BLOCKS[:1])

    with pytest.raises(Unavailable) as caught:
        index.write([broken])

    assert caught.value.code == "index.database"
    assert index.covered() == Covered(7, 7, BLOCKS[0].hash)
    index.write(BLOCKS[1:])
    assert logs(index, 7, 9) == ALL


def test_kept_over_restart(opener: Opener) -> None:
    """What was written is there when the index is opened again."""
    first = opener()
    first.write(BLOCKS)
    first.close()
    first.close()

    second = opener()
    found = logs(second, 7, 9)
    second.close()

    assert found == ALL


def test_closed_is_unavailable(index: EventIndex) -> None:
    """A closed index takes nothing, and says so in our words."""
    index.close()

    with pytest.raises(Unavailable):
        index.write(BLOCKS)


def test_clear_and_fill_again(index: EventIndex) -> None:
    """Cleared and filled again, every row is as before."""
    index.write(BLOCKS)
    before = logs(index, 7, 9)

    index.clear()
    empty = index.covered()
    index.write(BLOCKS)

    assert empty is None
    assert logs(index, 7, 9) == before


def test_pages(index: EventIndex) -> None:
    """An account's transactions come newest first, page by page, each once, also one to itself."""
    index.write(BLOCKS)
    everything = [row for each in BLOCKS for row in each.transactions]

    for account in ACCOUNTS:
        expected = [row for row in everything if account in (row.sender, row.recipient)][::-1]
        found: list[TransactionRow] = []
        before = (HEIGHT_MAX, 0)
        for _ in range(5):
            page = index.transactions(PageQuery(account, 7, 9, before, 1))
            found += page
            before = (page[-1].height, page[-1].index) if page else before
        assert found == expected


def test_pages_end_at_their_blocks(index: EventIndex) -> None:
    """A page holds nothing of blocks before or after those asked for."""
    index.write(BLOCKS)

    found = index.transactions(PageQuery(ACCOUNTS[0], 8, 8, (HEIGHT_MAX, 0), 9))
    older = index.transactions(PageQuery(ACCOUNTS[0], 7, 8, (HEIGHT_MAX, 0), 9))

    assert found == []
    assert older == list(BLOCKS[0].transactions)


def test_readers_see_one_moment(index: EventIndex) -> None:
    """While blocks are written and dropped in one thread, others read whole answers or a refusal, nothing between."""
    stop = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not stop.is_set():
            try:
                found = logs(index, 7, 9)
            except Unavailable as error:
                if error.code != "index.behind":
                    wrong.append(error)
            else:
                if found != ALL:
                    wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        index.write(BLOCKS)
        index.clear()
    stop.set()
    for thread in threads:
        thread.join(20)

    assert wrong == []


def test_other_network_is_refused(place: Callable[[bytes], EventIndex]) -> None:
    """An index of another network is neither used nor dropped."""
    first = place(IDENTITY)
    first.write(BLOCKS)
    first.close()

    with pytest.raises(Unavailable) as caught:
        place(keccak256(b"another network"))

    assert caught.value.code == "index.network"
    again = place(IDENTITY)
    assert logs(again, 7, 9) == ALL
    again.close()


# --- against a search written plainly --------------------------------------------------------------------------------

calls = st.tuples(
    st.integers(0, 2),
    st.integers(0, 2),
    st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2), max_size=4)), max_size=3),
)
chains = st.lists(st.lists(calls, max_size=3), min_size=1, max_size=6)
criteria = st.tuples(
    st.none() | st.frozensets(st.sampled_from(ACCOUNTS), min_size=1),
    st.lists(st.none() | st.frozensets(st.sampled_from(TOPICS), min_size=1), max_size=4),
)


def matches(row: LogRow, query: LogQuery) -> bool:
    """The rule of `eth_getLogs`, word for word."""
    if not query.first <= row.height <= query.last or len(query.topics) > len(row.topics):
        return False
    if query.addresses is not None and row.address not in query.addresses:
        return False
    return all(wanted is None or topic in wanted for wanted, topic in zip(query.topics, row.topics, strict=False))


@given(chain=chains, wanted=st.lists(criteria, min_size=1, max_size=5), data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_finds_what_a_plain_search_finds(
    index: EventIndex,
    chain: list[list[tuple[int, int, list[tuple[int, list[int]]]]]],
    wanted: list[tuple[frozenset[Address] | None, list[frozenset[bytes] | None]]],
    data: st.DataObject,
) -> None:
    """Any criteria on any chain find what reading every event finds."""
    index.clear()
    blocks = [block(height, *each) for height, each in enumerate(chain)]
    index.write(blocks)
    rows = [row for each in blocks for row in each.logs]

    for addresses, topics in wanted:
        first = data.draw(st.integers(0, len(blocks) - 1))
        last = data.draw(st.integers(first, len(blocks) - 1))
        query = LogQuery(first, last, addresses, tuple(topics), 1_000)
        assert index.logs(query) == [row for row in rows if matches(row, query)]
