"""Validators ranked by power: a binary heap kept in state, the most powerful on top.

State is read by key and never scanned. A heap finds the first hundred of any number of validators in some two hundred
reads, and a change of power moves along one branch: neither grows with how many wait outside the set.
"""

from heapq import heappop, heappush

from paraph.core.errors import must
from paraph.core.ident import Address
from paraph.ledger.rooms.bonds.keys import PLACES, SEAT_COUNT, SEATS
from paraph.ledger.rooms.bonds.types import Seat
from paraph.ledger.state import State


def rank(state: State, operator: Address, power: int) -> bool:
    """Give a validator the place of its power; at power 0 it has none. Returns whether its power is another now."""
    place, count = PLACES.get(state, operator), SEAT_COUNT.get(state)
    if power == (seat_at(state, place).power if place else 0):
        return False
    if not place:
        SEAT_COUNT.put(state, b"", count + 1)
        _sift(state, count + 1, Seat(operator, power), count + 1)
    elif power:
        _sift(state, place, Seat(operator, power), count)
    else:
        _vacate(state, operator, place, count)
    return True


def top(state: State, most: int) -> list[Seat]:
    """The best `most` seats, best first."""
    count = SEAT_COUNT.get(state)
    best: list[Seat] = []
    # Whoever is next stands right below someone already taken.
    waiting = [(seat_at(state, 1).order, 1)] if count else []
    while waiting and len(best) < most:
        _, place = heappop(waiting)
        best.append(seat_at(state, place))
        for child in (2 * place, 2 * place + 1):
            if child <= count:
                heappush(waiting, (seat_at(state, child).order, child))
    return best


def seat_at(state: State, place: int) -> Seat:
    """The seat at a place that is taken."""
    seat = SEATS.get(state, place_key(place))
    must(seat is not None, f"place {place} of the ranking is taken")
    return seat  # type: ignore[return-value]


def place_key(place: int) -> bytes:
    """A place as state's key has it."""
    return place.to_bytes(4, "big")


def _vacate(state: State, operator: Address, place: int, count: int) -> None:
    """The last seat fills the gap, and moves to where it belongs."""
    last = seat_at(state, count)
    SEATS.remove(state, place_key(count))
    PLACES.put(state, operator, 0)
    SEAT_COUNT.put(state, b"", count - 1)
    if place < count:
        _sift(state, place, last, count - 1)


def _sift(state: State, place: int, seat: Seat, count: int) -> None:
    """Put a seat in at `place`, or above while it is better than its parent, or below while a child is better."""
    while place > 1 and seat.order < (parent := seat_at(state, place // 2)).order:
        _put(state, place, parent)
        place //= 2
    while 2 * place <= count:
        child, better = 2 * place, seat_at(state, 2 * place)
        if child < count and (other := seat_at(state, child + 1)).order < better.order:
            child, better = child + 1, other
        if seat.order < better.order:
            break
        _put(state, place, better)
        place = child
    _put(state, place, seat)


def _put(state: State, place: int, seat: Seat) -> None:
    SEATS.put(state, place_key(place), seat)
    PLACES.put(state, seat.operator, place)
