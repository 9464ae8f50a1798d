"""The ranking: whatever changes in whatever order, the best are found, best first, by power and then by address."""

from hypothesis import given
from hypothesis import strategies as st

from paraph.core.ident import Address
from paraph.ledger.rooms.bonds.keys import SEAT_COUNT
from paraph.ledger.rooms.bonds.ranking import rank, top
from paraph.ledger.state import State


def empty() -> State:
    nothing: dict[bytes, bytes] = {}
    return State(nothing.get)


def who(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def found(state: State, most: int) -> list[tuple[int, int]]:
    return [(int.from_bytes(seat.operator, "big"), seat.power) for seat in top(state, most)]


def test_nobody_is_ranked() -> None:
    """An empty ranking has no best."""
    assert top(empty(), 10) == []


def test_ties_go_to_the_smaller_address() -> None:
    """Of equal powers the smaller address is better, in whatever order they came."""
    state = empty()
    for number in (3, 1, 2):
        rank(state, who(number), 5)

    assert found(state, 3) == [(1, 5), (2, 5), (3, 5)]
    assert found(state, 2) == [(1, 5), (2, 5)]
    assert found(state, 0) == []


def test_what_changes_is_told() -> None:
    """A power that stays as it was changes nothing, and says so."""
    state = empty()

    assert not rank(state, who(1), 0)
    assert rank(state, who(1), 5)
    assert not rank(state, who(1), 5)
    assert rank(state, who(1), 6)
    assert rank(state, who(1), 0)
    assert not rank(state, who(1), 0)


def test_the_empty_ranking_leaves_no_trace() -> None:
    """Once all have gone, the state is as it was before the first came."""
    nothing: dict[bytes, bytes] = {}
    state = State(nothing.get)
    for number in range(5):
        rank(state, who(number), number + 1)
    for number in (2, 4, 0, 1, 3):
        rank(state, who(number), 0)
    state.keep()

    assert set(state.changes().values()) == {None}


@given(
    changes=st.lists(st.tuples(st.integers(0, 30), st.one_of(st.integers(0, 4), st.integers(0, 2**30))), max_size=120),
    most=st.integers(0, 40),
)
def test_beside_a_sorted_list(changes: list[tuple[int, int]], most: int) -> None:
    """After every change the best are those that sorting all powers finds."""
    state = empty()
    powers: dict[int, int] = {}

    for number, power in changes:
        assert rank(state, who(number), power) == (powers.get(number, 0) != power)
        powers[number] = power
        expected = sorted((-power, number) for number, power in powers.items() if power)

        assert found(state, most) == [(number, -minus) for minus, number in expected[:most]]
        assert SEAT_COUNT.get(state) == len(expected)


def test_few_reads_among_many() -> None:
    """To find the best of a thousand takes reads by the best alone, and to change one by the ranking's depth."""
    dump: dict[bytes, bytes] = {}
    state = State(dump.get)
    for number in range(1_000):
        rank(state, who(number), 1 + number * 7_919 % 1_000)
    state.keep()
    dump = {place: value for place, value in state.changes().items() if value is not None}
    reads: list[bytes] = []

    def read(place: bytes) -> bytes | None:
        reads.append(place)
        return dump.get(place)

    top(State(read), 40)
    assert len(reads) < 4 * 40
    reads.clear()
    rank(State(read), who(500), 2_000)
    assert len(reads) < 4 * 10
