"""Becoming a validator, changing one's bond, and what the block does: the first set, faults, the set that follows.

Power follows the bond at once; consensus puts what `end_block` tells it in force two blocks later. Money that leaves a
bond waits, because a fault may be proved until then, and answers for faults that it stood behind.
"""

from dataclasses import replace

from paraph.core import abi, ed25519
from paraph.core.amount import Wei, share
from paraph.core.digest import keccak256, sha256
from paraph.core.errors import Rejected, must
from paraph.core.ident import Address, Digest
from paraph.core.limits import NAME_BYTES_MAX, PAGE_MAX
from paraph.ledger.contract import Call, Facts, Log
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.accounts.keys import BALANCES, TREASURY
from paraph.ledger.rooms.bonds import ranking
from paraph.ledger.rooms.bonds.keys import ACTIVE, ADDRESS, KEYS, LIST, SETTLED, UNBONDINGS, VALIDATORS
from paraph.ledger.rooms.bonds.types import (
    FAULT_KINDS,
    ActiveSet,
    Fault,
    GenesisValidator,
    KeyOwner,
    SetChange,
    Unbonding,
    Validator,
)
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import (
    SLASH_DOUBLE_SIGN_BPS,
    UNBOND_DELAY_S,
    VALIDATOR_BOND_MIN_WEI,
    VALIDATORS_MAX,
)
from paraph.ledger.state import State

CREATED = abi.event(
    "CreateValidator(address indexed validatorAddress, bytes32 indexed consensusKey, string moniker, uint256 value)"
)
BONDED = abi.event("Bond(address indexed validatorAddress, uint256 amount, uint256 bond)")
UNBONDED = abi.event("Unbond(address indexed validatorAddress, uint256 amount, uint256 completionTime)")
WITHDRAWN = abi.event("Withdraw(address indexed validatorAddress, uint256 amount)")
SLASHED = abi.event("Slashed(address indexed validatorAddress, uint8 kind, uint64 height, uint256 amount)")

UNBONDINGS_MAX = 7
"""Entries that wait at a time: a slash and a withdrawal go through all of them. Cosmos chains have the same."""


def key_proof_digest(chain_id: int, operator: Address) -> Digest:
    """What a consensus key signs to join an operator, so that nobody can claim another's key."""
    return keccak256(b"paraph/consensus-key/1" + chain_id.to_bytes(32, "big") + operator)


def consensus_address(key: bytes) -> bytes:
    """How consensus names the holder of a key: the first 20 bytes of its SHA-256."""
    return sha256(key)[:20]


# --- what the block does -----------------------------------------------------------------------------------------


def begin(state: State, validators: tuple[GenesisValidator, ...]) -> None:
    """Write the first validators and the set that they make. Their bonds are credited to the contract.

    Genesis counts the bonds within the supply. It needs no proofs of keys: those who start from it have agreed on it.

    Raises:
        Rejected: `bonds.…`, as `createValidator` does.
    """
    for each in validators:
        _admit(state, each.operator, each.key, each.bond, each.moniker)
        BALANCES.add(state, ADDRESS, each.bond)
    end_block(state)


def end_block(state: State) -> tuple[SetChange, ...]:
    """Choose the set anew if a power or its size has changed; what is other than consensus was told, sorted by key.

    The set never becomes empty, which no consensus survives: with no validator left to choose, the last set stays.
    """
    most = params.get(state, VALIDATORS_MAX)
    if SETTLED.get(state) == most:
        return ()
    SETTLED.put(state, b"", most)
    wanted = {_known(state, seat.operator).key: seat.power for seat in ranking.top(state, most)}
    told = {change.key: change.power for change in active_set(state)}
    if not wanted or wanted == told:
        return ()
    ACTIVE.put(state, b"", ActiveSet(tuple(sorted(wanted.items()))))
    powers = dict.fromkeys(told, 0) | wanted
    return tuple(SetChange(key, power) for key, power in sorted(powers.items()) if told.get(key) != power)


def active_set(state: State) -> tuple[SetChange, ...]:
    """The whole set as consensus was last told, sorted by key."""
    found = ACTIVE.get(state, b"")
    return () if found is None else tuple(SetChange(key, power) for key, power in found.members)


def operator_of(state: State, address: bytes) -> Address | None:
    """The account behind a consensus address, or None."""
    owner = KEYS.get(state, address)
    return None if owner is None else owner.operator


def strike(state: State, facts: Facts, fault: Fault) -> tuple[Log, ...]:
    """Slash a validator for a proved fault and put it out for ever; once a key. Returns the events.

    A part (`slash_double_sign_bps`) is taken of the bond as it is now, and of each unbonding entry that was bonded at
    the fault. Each part is rounded down, in favour of the validator, so that no more is taken than is there. Nothing
    happens for a key that nobody has, a validator struck before, or a fault older than `unbond_delay_s`.
    """
    operator = operator_of(state, fault.validator)
    if operator is None or fault.kind not in FAULT_KINDS:
        return ()
    validator = _known(state, operator)
    if validator.tombstoned_s or facts.time_s - fault.time_s > params.get(state, UNBOND_DELAY_S):
        return ()
    rate = params.get(state, SLASH_DOUBLE_SIGN_BPS)
    cut = share(Wei(validator.bond), rate)
    _put(state, operator, replace(validator, bond=validator.bond - cut, tombstoned_s=max(facts.time_s, 1)))
    lost: int = cut
    before = _unbondings(state, operator)
    after: list[Unbonding] = []
    for entry in before:
        # A power that changes in one block still counts for the votes of the next, so what left then answers too.
        bonded = entry.height + 1 >= fault.height
        cut = share(Wei(entry.amount), rate if bonded else 0)
        after.append(replace(entry, amount=entry.amount - cut))
        lost += cut
    _put_unbondings(state, operator, before, [entry for entry in after if entry.amount])
    call = Call(state, facts, ADDRESS, ADDRESS, Wei(0), 0)
    accounts.pay(call, ADDRESS, TREASURY, lost)
    call.emit(ADDRESS, SLASHED, operator, fault.kind, fault.height, lost)
    return tuple(call.logs)


# --- methods -----------------------------------------------------------------------------------------------------


def create(call: Call, key: bytes, proof: bytes, moniker: str) -> None:
    """`createValidator`: the sender becomes a validator's operator, with the value sent as its bond."""
    if not ed25519.verify(key, key_proof_digest(call.facts.chain_id, call.sender), proof):
        raise Rejected("bonds.key_proof", "the proof is not the consensus key's signature for this account")
    _admit(call.state, call.sender, key, call.value, moniker)
    call.emit(call.to, CREATED, call.sender, key, moniker, call.value)


def bond(call: Call) -> None:
    """`bond`: adds the value sent to the sender's own bond."""
    validator = _validator(call.state, call.sender)
    if validator.tombstoned_s:
        raise Rejected("bonds.tombstoned", "this validator was put out for ever; what is bonded can only leave")
    if not validator.bond:
        raise Rejected("bonds.left", "this validator has left; create another, from another account with another key")
    if not call.value:
        raise Rejected("bonds.amount", "send the amount to bond as the value of the call; none was sent")
    changed = replace(validator, bond=validator.bond + call.value)
    _put(call.state, call.sender, changed)
    call.emit(call.to, BONDED, call.sender, call.value, changed.bond)


def unbond(call: Call, amount: int) -> None:
    """`unbond`: takes money from the bond now, to be withdrawn after the delay; all of it means to leave for good."""
    validator = _validator(call.state, call.sender)
    if not 0 < amount <= validator.bond:
        raise Rejected("bonds.amount", f"the bond is {validator.bond} wei; {amount} was asked for", bond=validator.bond)
    rest = validator.bond - amount
    least = params.get(call.state, VALIDATOR_BOND_MIN_WEI)
    if 0 < rest < least:
        raise Rejected("bonds.bond", f"what stays is {rest} wei: it must be at least {least}, or nothing", needed=least)
    waiting = _unbondings(call.state, call.sender)
    if len(waiting) == UNBONDINGS_MAX:
        raise Rejected("bonds.queue", f"{UNBONDINGS_MAX} amounts wait already; withdraw what is due, or wait")
    mature = call.facts.time_s + params.get(call.state, UNBOND_DELAY_S)
    entry = Unbonding(amount, call.facts.height, mature)
    _put_unbondings(call.state, call.sender, waiting, [*waiting, entry])
    _put(call.state, call.sender, replace(validator, bond=rest))
    call.emit(call.to, UNBONDED, call.sender, amount, mature)


def withdraw(call: Call) -> None:
    """`withdraw`: pays out all unbonded money whose delay is over."""
    _validator(call.state, call.sender)
    waiting = _unbondings(call.state, call.sender)
    rest = [entry for entry in waiting if call.facts.time_s < entry.mature_s]
    if len(rest) == len(waiting):
        first = min((entry.mature_s for entry in rest), default=0)
        raise Rejected(
            "bonds.locked",
            f"nothing to withdraw now: {len(rest)} amounts wait, the first until {first}; it is {call.facts.time_s}",
            unlock=first,
        )
    amount = sum(entry.amount for entry in waiting) - sum(entry.amount for entry in rest)
    _put_unbondings(call.state, call.sender, waiting, rest)
    accounts.pay(call, call.to, call.sender, amount)
    call.emit(call.to, WITHDRAWN, call.sender, amount)


def read(call: Call, operator: Address) -> tuple[object, ...]:
    """`validator`: its record, the power that its bond gives, and whether it is in the set."""
    found = _validator(call.state, operator)
    active = any(change.key == found.key for change in active_set(call.state))
    return found.key, found.moniker, found.bond, found.power, active, found.tombstoned_s


def read_key(call: Call, key: bytes) -> Address:
    """`validatorByKey`: the operator that a consensus key belongs to."""
    operator = operator_of(call.state, consensus_address(key))
    if operator is None:
        raise Rejected("bonds.key_unknown", "no validator has registered this key")
    return operator


def page(call: Call, start: int, limit: int) -> tuple[bytes, ...]:
    """`validators`: all operators there ever were, in order of registration."""
    limit = min(limit, PAGE_MAX)
    call.charge(2_000 * limit)
    return tuple(LIST.page(call.state, start, limit))


def read_active(call: Call) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """`activeSet`: keys and powers as consensus was last told, sorted by key."""
    members = active_set(call.state)
    return tuple(each.key for each in members), tuple(each.power for each in members)


def read_unbonding(call: Call, operator: Address) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """`unbonding`: the amounts that wait, oldest first, and when each may be withdrawn."""
    _validator(call.state, operator)
    waiting = _unbondings(call.state, operator)
    return tuple(entry.amount for entry in waiting), tuple(entry.mature_s for entry in waiting)


# --- records -----------------------------------------------------------------------------------------------------


def _validator(state: State, operator: Address) -> Validator:
    found = VALIDATORS.get(state, operator)
    if found is None:
        raise Rejected("bonds.unknown", "this account operates no validator")
    return found


def _known(state: State, operator: Address) -> Validator:
    found = VALIDATORS.get(state, operator)
    must(found is not None, f"operator {operator.hex()} has a validator")
    return found  # type: ignore[return-value]


def _admit(state: State, operator: Address, key: bytes, amount: int, moniker: str) -> None:
    if VALIDATORS.get(state, operator) is not None:
        raise Rejected("bonds.exists", "this account operates a validator, or did; use another account")
    if not ed25519.usable(key):
        raise Rejected("bonds.key", "a consensus key is an ed25519 public key: 32 bytes, canonical, not of small order")
    if KEYS.get(state, consensus_address(key)) is not None:
        raise Rejected("bonds.key_used", "this consensus key was registered before; make a new one")
    least = params.get(state, VALIDATOR_BOND_MIN_WEI)
    if amount < least:
        raise Rejected("bonds.bond", f"a validator's bond is at least {least} wei, not {amount}", needed=least)
    # ASCII alone: what else is printable differs between versions of Python, and all machines must agree.
    if not (moniker.isascii() and moniker.isprintable() and 0 < len(moniker) <= NAME_BYTES_MAX):
        raise Rejected("bonds.moniker", f"a moniker is 1 to {NAME_BYTES_MAX} printable ASCII characters")
    KEYS.put(state, consensus_address(key), KeyOwner(operator))
    LIST.append(state, operator)
    _put(state, operator, Validator(key, moniker, amount, 0))


def _put(state: State, operator: Address, validator: Validator) -> None:
    """The one place that writes a validator: its rank always follows its power."""
    VALIDATORS.put(state, operator, validator)
    if ranking.rank(state, operator, validator.power):
        SETTLED.put(state, b"", 0)


def _unbondings(state: State, operator: Address) -> list[Unbonding]:
    found: list[Unbonding] = []
    while (entry := UNBONDINGS.get(state, operator + bytes((len(found),)))) is not None:
        found.append(entry)
    return found


def _put_unbondings(state: State, operator: Address, before: list[Unbonding], after: list[Unbonding]) -> None:
    for slot, entry in enumerate(after):
        UNBONDINGS.put(state, operator + bytes((slot,)), entry)
    for slot in range(len(after), len(before)):
        UNBONDINGS.remove(state, operator + bytes((slot,)))
