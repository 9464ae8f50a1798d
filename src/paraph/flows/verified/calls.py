"""Calls worked out here, on proved state: what `eth_call` and `eth_estimateGas` show, without believing who shows it.

Which keys a call reads only shows when it runs. So it runs, what it lacked is proved, and it runs again, until it lacks
nothing; a run that lacked something means nothing, whatever came of it.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from paraph.core.amount import Wei
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_ADDRESS, Address
from paraph.core.limits import BLOCK_GAS_MAX
from paraph.flows.effect import Flow, Now, ask
from paraph.flows.verified.follow import Follower, View, view
from paraph.ledger.block import BASE_FEE, facts_of, head_of, simulate
from paraph.ledger.contract import OutOfGas
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.keys import VALUES, VERSION
from paraph.ledger.rooms.params.types import GAS_LIMIT
from paraph.ledger.state import Read, State
from paraph.ledger.tx import Tx
from paraph.ledger.versions import RULES

ROUNDS_MAX: Final = 32
"""Runs of one call: a page of a list takes three, one for its count, one for its names, one for what they name."""
KEYS_MAX: Final = 512
"""State keys that one call may read: two pages of a hundred rows; half a megabyte of proofs."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call to work out.

    Args:
        sender, to, value, data: as in a transaction; `to` is None for what would create a contract.
        gas: the most it may use; None for as much as a block has.
        fee: wei per gas that the sender would have to afford; 0 where none is named.
        access_list: as in a transaction; it only costs gas.
    """

    sender: Address
    to: Address | None
    value: Wei
    data: bytes
    gas: int | None = None
    fee: int = 0
    access_list: tuple[tuple[bytes, tuple[bytes, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What a call returned, and all the gas it used."""

    output: bytes
    gas_used: int


@dataclass(frozen=True, slots=True)
class Refused:
    """What a call would revert with."""

    error: Rejected | Malformed


Outcome: TypeAlias = Done | Refused


def call(follower: Follower, asked: CallRequest) -> Flow[Outcome]:
    """What a call would do after the newest believed block.

    Raises:
        Rejected: `call.create`, `call.funds`, `call.gas`: such a call cannot be made; `verified.rules`: by rules that
            this software does not know; `verified.call`: it reads more than is proved for one call. Else as `view`.
    """
    return (yield from _worked_out(follower, asked, BLOCK_GAS_MAX if asked.gas is None else asked.gas))


def estimate(follower: Follower, asked: CallRequest) -> Flow[Outcome]:
    """As `call`, with all the gas that a block has: what it used is what it needs.

    Raises:
        Rejected: `call.gas`: more than the request allows or a block has; else as `call`.
    """
    found = yield from _worked_out(follower, asked, BLOCK_GAS_MAX)
    match found:
        case Done(_, used) if asked.gas is not None and used > asked.gas:
            raise Rejected("call.gas", f"gas required exceeds allowance ({asked.gas}): it needs {used}")
        case Refused(OutOfGas()):
            raise Rejected("call.gas", "gas required exceeds allowance: more than a block has")
        case _:
            return found


def _worked_out(follower: Follower, asked: CallRequest, gas: int) -> Flow[Outcome]:
    now_s = (yield from ask(Now())) // 1000
    wanted = [VERSION.prefix, BASE_FEE.prefix, _GAS_LIMIT_KEY, BALANCES.prefix + asked.sender]
    for _ in range(ROUNDS_MAX):
        seen = yield from view(follower, wanted)
        found, missing = _tried(seen, asked, gas, now_s)
        if not missing:
            return found
        wanted += missing
        if len(wanted) > KEYS_MAX:
            break
    reason = f"the call reads more than {KEYS_MAX} state keys, or what it reads takes more than {ROUNDS_MAX} turns"
    raise Rejected("verified.call", f"{reason}; ask for less at once")


_GAS_LIMIT_KEY: Final = VALUES.prefix + GAS_LIMIT.name.encode()


def _tried(seen: View, asked: CallRequest, gas: int, now_s: int) -> tuple[Outcome, list[bytes]]:
    """What came of a run, and the keys that it lacked; with any of those, what came of it means nothing."""
    missing: dict[bytes, None] = {}

    def read(key: bytes) -> bytes | None:
        if key not in seen.values:
            missing[key] = None
        return seen.values.get(key)

    try:
        found = _run(read, asked, gas, now_s)
    except Exception:
        # Rules may do anything on half a state: count on what is not there, or divide by it.
        if not missing:
            raise
        found = Done(b"", 0)
    return found, list(missing)


def _run(read: Read, asked: CallRequest, gas: int, now_s: int) -> Outcome:
    state = State(read)
    version, gas_limit = params.version(state), params.get(state, GAS_LIMIT)
    if version not in RULES:
        known = f"the network's rules are of version {version}; this software knows up to {max(RULES)}"
        raise Rejected("verified.rules", f"{known}: install a newer release", needed=version)
    gas = min(gas, gas_limit)
    to, intrinsic = _checked(state, asked, gas)
    head = head_of(state)
    # Nobody is paid a tip in a simulation: its proposer is nobody.
    facts = facts_of(state, head.height + 1, max(now_s, head.time_s), ZERO_ADDRESS)
    try:
        found = simulate(read, facts, asked.sender, to, asked.value, asked.data, gas - intrinsic)
    except (Rejected, Malformed) as error:
        return Refused(error)
    return Done(found.output, found.gas_used + intrinsic)


def _checked(state: State, asked: CallRequest, gas: int) -> tuple[Address, int]:
    """The recipient and the intrinsic gas of a call that can be made at all."""
    if asked.to is None:
        raise Rejected("call.create", "contracts cannot be created on this chain: name a recipient in `to`")
    # As Ethereum's nodes do: a call that names gas must afford its fee, one that names none is free.
    needed = asked.value + (asked.fee * gas if asked.gas is not None else 0)
    held = accounts.balance(state, asked.sender)
    if held < needed:
        raise Rejected("call.funds", f"the sender holds {held} wei; value and gas may take {needed}", held=held)
    intrinsic = Tx(2, 0, 0, 0, 0, 0, asked.to, asked.value, asked.data, asked.access_list).intrinsic_gas()
    if gas < intrinsic:
        raise Rejected("call.gas", f"intrinsic gas too low: gas {gas}, minimum needed {intrinsic}")
    return asked.to, intrinsic
