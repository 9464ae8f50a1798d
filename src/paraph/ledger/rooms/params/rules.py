"""Reading parameters, and changing one: by the governor, within bounds, never into a contradiction."""

from collections.abc import Mapping

from paraph.core import abi
from paraph.core.errors import Rejected
from paraph.core.ident import ZERO_ADDRESS, Address
from paraph.ledger.contract import Call
from paraph.ledger.rooms.params.keys import GOVERNOR, VALUES
from paraph.ledger.rooms.params.types import PARAMETERS, Parameter, inconsistencies
from paraph.ledger.state import State

CHANGED = abi.event("ParameterChanged(string name, uint256 before, uint256 value)")


def get(state: State, parameter: Parameter) -> int:
    """The value in force. Stored as value + 1, so that a stored zero differs from never set."""
    stored = VALUES.get(state, parameter.name.encode())
    return stored - 1 if stored else parameter.default


def governor(state: State) -> Address:
    """The account that may change parameters; zero when nobody may."""
    return Address(state.get(GOVERNOR) or ZERO_ADDRESS)


def put(state: State, changes: Mapping[str, int]) -> None:
    """Set known parameters at once, if all then fit together. Raises `Rejected` (`params.bounds`)."""
    wrong = inconsistencies({name: get(state, parameter) for name, parameter in PARAMETERS.items()} | dict(changes))
    if wrong:
        raise Rejected("params.bounds", "; ".join(wrong))
    for name, value in changes.items():
        VALUES.put(state, name.encode(), value + 1)


def set_parameter(call: Call, name: str, value: int) -> None:
    """`set`: the governor changes a parameter; it acts from the next call on."""
    if call.sender != governor(call.state):
        raise Rejected("params.governor", "only the governor may change parameters")
    before = read(call, name)
    put(call.state, {name: value})
    call.emit(call.to, CHANGED, name, before, value)


def read(call: Call, name: str) -> int:
    """`get`: a parameter by name."""
    if name not in PARAMETERS:
        # In ASCII: what else is printable differs between versions of Python, and this sentence is hashed.
        raise Rejected("params.name", f"no parameter {name[:40]!a}; there are {', '.join(PARAMETERS)}")
    return get(call.state, PARAMETERS[name])


def names(call: Call) -> tuple[str, ...]:
    """`names`: every parameter."""
    return tuple(PARAMETERS)


def read_governor(call: Call) -> Address:
    """`governor`: who may change parameters."""
    return governor(call.state)
