"""Reading parameters, and changing one: by the governor, within bounds, never into a contradiction."""

from collections.abc import Mapping

from paraph.core import abi
from paraph.core.errors import Rejected, must
from paraph.core.ident import ZERO_ADDRESS, Address
from paraph.ledger.contract import Call
from paraph.ledger.rooms.params.keys import GOVERNOR, UPGRADE, VALUES, VERSION, past
from paraph.ledger.rooms.params.types import DATED, GROWING, PARAMETERS, Change, Parameter, inconsistencies
from paraph.ledger.state import State

CHANGED = abi.event("ParameterChanged(string name, uint256 before, uint256 value)")
SCHEDULED = abi.event("UpgradeScheduled(uint64 version, uint64 height)")


def get(state: State, parameter: Parameter) -> int:
    """The value in force. Stored as value + 1, so that a stored zero differs from never set."""
    stored = VALUES.get(state, parameter.name.encode())
    return stored - 1 if stored else parameter.default


def at(state: State, parameter: Parameter, height: int) -> int:
    """The value that a dated parameter had after the block of that height."""
    must(parameter.name in DATED, "the past of dated parameters alone is kept")
    value, changes = get(state, parameter), past(parameter.name)
    for index in reversed(range(changes.count(state))):
        change = Change.decode(changes.page(state, index, 1)[0])
        if change.height <= height:
            break
        value = change.before
    return value


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
    """`set`: the governor changes a parameter; it acts from the next call on. Some can only grow."""
    if call.sender != governor(call.state):
        raise Rejected("params.governor", "only the governor may change parameters")
    before = read(call, name)
    if name in GROWING and value < before:
        raise Rejected("params.lowered", f"{name} is {before}, and clients rely on it: set it higher or leave it")
    put(call.state, {name: value})
    if name in DATED:
        past(name).append(call.state, Change(before, call.facts.height).encode())
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


def schedule_upgrade(call: Call, version: int, height: int) -> None:
    """`scheduleUpgrade`: the rules of `version` come into force with block `height`; version 0 calls it off.

    Nodes that do not know the version stop before that block, so the height must leave time to install it.
    """
    if call.sender != governor(call.state):
        raise Rejected("params.governor", "only the governor may schedule an upgrade")
    if version and (height <= call.facts.height or version <= VERSION.get(call.state)):
        raise Rejected(
            "params.upgrade",
            f"version {version} at block {height} is not ahead of version {VERSION.get(call.state)}"
            f" at block {call.facts.height}",
        )
    UPGRADE.put(call.state, b"version", version)
    UPGRADE.put(call.state, b"height", height if version else 0)
    call.emit(call.to, SCHEDULED, version, height)


def version(state: State) -> int:
    """The version of the rules in force."""
    return VERSION.get(state)


def upgrade(state: State, height: int) -> None:
    """Put the version scheduled for `height` in force, if one is."""
    scheduled = UPGRADE.get(state, b"version")
    if scheduled and UPGRADE.get(state, b"height") <= height:
        VERSION.put(state, b"", scheduled)
        UPGRADE.put(state, b"version", 0)
        UPGRADE.put(state, b"height", 0)


def read_upgrade(call: Call) -> tuple[int, int]:
    """`upgrade`: the version scheduled and its height; zeros when none is."""
    return UPGRADE.get(call.state, b"version"), UPGRADE.get(call.state, b"height")
