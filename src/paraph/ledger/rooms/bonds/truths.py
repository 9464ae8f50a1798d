"""What is always so of validators, after every block."""

from paraph.core.ident import Address
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.bonds.keys import (
    ADDRESS,
    KEYS,
    LIST,
    PLACES,
    SEAT_COUNT,
    SEATS,
    UNBONDINGS,
    VALIDATORS,
)
from paraph.ledger.rooms.bonds.ranking import place_key
from paraph.ledger.rooms.bonds.rules import UNBONDINGS_MAX, active_set, consensus_address
from paraph.ledger.rooms.bonds.types import KeyOwner, Seat, Unbonding, Validator
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import VALIDATORS_MAX
from paraph.ledger.state import State


def stake_is_held(dump: dict[bytes, bytes]) -> list[str]:
    """The staking contract holds exactly all bonds and all money that waits."""
    bonds = sum(validator.bond for validator in _validators(dump).values())
    waiting = sum(entry.amount for _, _, entry in _unbondings(dump))
    held = BALANCES.get(State(dump.get), ADDRESS)
    if bonds + waiting == held:
        return []
    return [f"bonds are {bonds} wei and {waiting} wait; the contract holds {held}"]


def one_key_has_one_operator(dump: dict[bytes, bytes]) -> list[str]:
    """Each validator is listed once, and its key is known as its own; no key is known that is nobody's."""
    validators = _validators(dump)
    wrong = []
    owned = {consensus_address(validator.key): operator for operator, validator in validators.items()}
    known = {place: KeyOwner.decode(value).operator for place, value in _table(dump, KEYS.prefix)}
    if owned != known or len(owned) != len(validators):
        wrong.append(f"{len(validators)} validators have {len(owned)} keys; {len(known)} keys are known")
    listed = LIST.page(State(dump.get), 0, LIST.count(State(dump.get)))
    if sorted(listed) != sorted(validators):
        wrong.append(f"{len(validators)} validators, and {len(listed)} are listed")
    return wrong


def unbonding_is_in_order(dump: dict[bytes, bytes]) -> list[str]:
    """Money that waits is a validator's, in at most seven amounts, the oldest first and none of them nothing."""
    validators = _validators(dump)
    waiting: dict[Address, list[tuple[int, Unbonding]]] = {}
    for operator, slot, entry in _unbondings(dump):
        waiting.setdefault(operator, []).append((slot, entry))
    wrong = []
    for operator, entries in waiting.items():
        slots = [slot for slot, _ in entries]
        heights = [entry.height for _, entry in entries]
        if operator not in validators or slots != list(range(len(slots))) or len(slots) > UNBONDINGS_MAX:
            wrong.append(f"{operator.hex()} has amounts waiting in places {slots}")
        if heights != sorted(heights) or not all(entry.amount for _, entry in entries):
            wrong.append(f"{operator.hex()} has amounts waiting from blocks {heights}, or one of nothing")
    return wrong


def ranking_follows_power(dump: dict[bytes, bytes]) -> list[str]:
    """Ranked are those with power, each once, with that power and at its place, and nobody below a worse one.

    So who is tombstoned or has left is not ranked.
    """
    powers = {operator: validator.power for operator, validator in _validators(dump).items() if validator.power}
    seats = [Seat.decode(value) for _, value in _table(dump, SEATS.prefix)]
    places = [place for place, _ in _table(dump, SEATS.prefix)]
    count = SEAT_COUNT.get(State(dump.get))
    wrong = []
    if {seat.operator: seat.power for seat in seats} != powers or len(seats) != len(powers):
        wrong.append(f"{len(powers)} validators have power; ranked are {[seat.operator.hex() for seat in seats]}")
    if count != len(seats) or places != [place_key(place) for place in range(1, len(seats) + 1)]:
        wrong.append(f"{len(seats)} seats at {[place.hex() for place in places]}; {count} are counted")
    found = {operator: int.from_bytes(value, "big") for operator, value in _table(dump, PLACES.prefix)}
    if found != {seat.operator: place for place, seat in enumerate(seats, 1)}:
        wrong.append("an operator is not where its place says")
    if any(seats[place // 2 - 1].order > seat.order for place, seat in enumerate(seats, 1) if place > 1):
        wrong.append("someone is ranked below a worse one")
    return wrong


def set_follows_power(dump: dict[bytes, bytes]) -> list[str]:
    """The set that consensus was told is the best validators by power; with none left, the last set of known keys."""
    state = State(dump.get)
    told = {change.key: change.power for change in active_set(state)}
    validators = _validators(dump)
    live = [Seat(operator, validator.power) for operator, validator in validators.items() if validator.power]
    best = sorted(live, key=lambda seat: seat.order)[: params.get(state, VALIDATORS_MAX)]
    wanted = {validators[seat.operator].key: seat.power for seat in best}
    known = {validator.key for validator in validators.values()}
    if told == wanted or (not wanted and told.keys() <= known):
        return []
    return [f"the set has {len(told)} keys; by power it should have {len(wanted)}, or others"]


def _table(dump: dict[bytes, bytes], prefix: bytes) -> list[tuple[bytes, bytes]]:
    return [(key[len(prefix) :], value) for key, value in sorted(dump.items()) if key.startswith(prefix)]


def _validators(dump: dict[bytes, bytes]) -> dict[Address, Validator]:
    return {Address(key): Validator.decode(value) for key, value in _table(dump, VALIDATORS.prefix)}


def _unbondings(dump: dict[bytes, bytes]) -> list[tuple[Address, int, Unbonding]]:
    return [(Address(key[:-1]), key[-1], Unbonding.decode(value)) for key, value in _table(dump, UNBONDINGS.prefix)]
