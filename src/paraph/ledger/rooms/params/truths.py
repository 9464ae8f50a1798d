"""What is always so of parameters."""

from paraph.ledger.rooms.params.rules import get
from paraph.ledger.rooms.params.types import PARAMETERS, inconsistencies
from paraph.ledger.state import State


def parameters_fit_together(dump: dict[bytes, bytes]) -> list[str]:
    """All parameters are within bounds and do not contradict each other."""
    state = State(dump.get)
    return inconsistencies({name: get(state, parameter) for name, parameter in PARAMETERS.items()})
