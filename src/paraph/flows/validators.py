"""Validators as the ledger has them: bonds, votes and money on its way out, every read proved.

The set is the one that consensus was last told; it is in force two blocks later.
"""

from dataclasses import dataclass

from paraph.core.errors import Rejected
from paraph.core.ident import Address
from paraph.core.keys import checksummed
from paraph.flows.effect import Flow
from paraph.flows.registry import Snapshot, listed, read
from paraph.ledger.rooms.bonds.keys import ACTIVE, LIST, UNBONDINGS, VALIDATORS
from paraph.ledger.rooms.bonds.rules import UNBONDINGS_MAX
from paraph.ledger.rooms.bonds.types import ActiveSet, Unbonding, Validator
from paraph.proofs.policy import Trust


@dataclass(frozen=True, slots=True)
class Standing:
    """How a validator stands.

    Args:
        validator: its record.
        power: its votes in the set that consensus was last told; 0 outside.
        unbonding: money on its way out, oldest first; read of one validator only.
    """

    validator: Validator
    power: int
    unbonding: tuple[Unbonding, ...] = ()


def validator(trust: Trust, operator: Address) -> Flow[Standing]:
    """The validator of an operator. Raises `Rejected` (`bonds.unknown`)."""
    places = [UNBONDINGS.prefix + operator + bytes((slot,)) for slot in range(UNBONDINGS_MAX)]
    snapshot = yield from read(trust, VALIDATORS.prefix + operator, ACTIVE.prefix, *places)
    found = snapshot.record(VALIDATORS.prefix + operator, Validator)
    if found is None:
        raise Rejected("bonds.unknown", f"{checksummed(operator)} operates no validator on {trust.network}")
    waiting = (snapshot.record(place, Unbonding) for place in places)
    power = _powers(snapshot).get(found.key, 0)
    return Standing(found, power, tuple(each for each in waiting if each is not None))


def validators(trust: Trust) -> Flow[dict[Address, Standing]]:
    """Every validator there ever was, by operator, the most powerful first."""
    found = yield from listed(trust, LIST, VALIDATORS.prefix, Validator)
    powers = _powers((yield from read(trust, ACTIVE.prefix)))
    standings = {Address(operator): Standing(each, powers.get(each.key, 0)) for operator, each in found.items()}
    return dict(sorted(standings.items(), key=lambda pair: (-pair[1].power, -pair[1].validator.bond, pair[0])))


def _powers(snapshot: Snapshot) -> dict[bytes, int]:
    members = snapshot.record(ACTIVE.prefix, ActiveSet)
    return {} if members is None else dict(members.members)
