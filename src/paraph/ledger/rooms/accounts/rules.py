"""Moving OPG, as the native coin and as an ERC-20 (EIP-20, EIP-2612 permits, EIP-3009 signed transfers).

One coin with two faces: both move the same balance, and both leave an ERC-20 `Transfer` event.
"""

from paraph.core import abi
from paraph.core.amount import SUPPLY_WEI, UINT256_MAX, Wei, format_opg
from paraph.core.eip712 import Typed, domain_separator, signing_digest
from paraph.core.errors import Rejected
from paraph.core.ident import ZERO_ADDRESS, Address, Digest
from paraph.core.keys import recover
from paraph.ledger.contract import Call
from paraph.ledger.rooms.accounts.keys import (
    ALLOWANCES,
    AUTHORIZATIONS,
    BALANCES,
    NONCES,
    OPG,
    PERMIT_NONCES,
    RESERVED,
)
from paraph.ledger.state import State

TRANSFER = abi.event("Transfer(address indexed from, address indexed to, uint256 value)")
APPROVAL = abi.event("Approval(address indexed owner, address indexed spender, uint256 value)")
USED = abi.event("AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)")
CANCELED = abi.event("AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce)")

_PERMIT = Typed(abi.struct("Permit(address owner, address spender, uint256 value, uint256 nonce, uint256 deadline)"))
_AUTHORIZATION = "(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce)"
_TRANSFER_WITH = Typed(abi.struct("TransferWithAuthorization" + _AUTHORIZATION))
_RECEIVE_WITH = Typed(abi.struct("ReceiveWithAuthorization" + _AUTHORIZATION))
_CANCEL = Typed(abi.struct("CancelAuthorization(address authorizer, bytes32 nonce)"))


def balance(state: State, account: Address) -> Wei:
    """What the account holds, in wei."""
    return Wei(BALANCES.get(state, account))


def nonce(state: State, account: Address) -> int:
    """How many transactions the account has sent."""
    return NONCES.get(state, account)


def move(state: State, source: Address, target: Address, amount: int) -> None:
    """Move wei between accounts, without an event. Raises `Rejected` (`accounts.balance`)."""
    held = BALANCES.get(state, source)
    if held < amount:
        raise Rejected(
            "accounts.balance",
            f"the account holds {format_opg(held)} OPG; {format_opg(amount)} is needed",
            held=held,
            needed=amount,
        )
    BALANCES.put(state, source, held - amount)
    BALANCES.add(state, target, amount)


def pay(call: Call, source: Address, target: Address, amount: int) -> None:
    """Move wei and say so with an ERC-20 Transfer event."""
    move(call.state, source, target, amount)
    call.emit(OPG, TRANSFER, source, target, amount)


def reserved(account: Address) -> bool:
    """True for addresses of native contracts and for zero, where money sent plainly would be lost."""
    number = int.from_bytes(account, "big")
    return account == ZERO_ADDRESS or any(number in addresses for addresses in RESERVED)


def _send(call: Call, source: Address, target: Address, amount: int) -> None:
    if reserved(target):
        raise Rejected("accounts.reserved", "money sent to this address would be lost; use the contract's own methods")
    pay(call, source, target, amount)


# --- ERC-20 ------------------------------------------------------------------------------------------------------


def name(call: Call) -> str:
    """`name`."""
    return "paraph OPG"


def symbol(call: Call) -> str:
    """`symbol`."""
    return "OPG"


def decimals(call: Call) -> int:
    """`decimals`."""
    return 18


def total_supply(call: Call) -> int:
    """`totalSupply`: fixed."""
    return SUPPLY_WEI


def balance_of(call: Call, account: Address) -> int:
    """`balanceOf`."""
    return balance(call.state, account)


def allowance(call: Call, owner: Address, spender: Address) -> int:
    """`allowance`."""
    return ALLOWANCES.get(call.state, owner + spender)


def transfer(call: Call, to: Address, amount: int) -> bool:
    """`transfer`."""
    _send(call, call.sender, to, amount)
    return True


def approve(call: Call, spender: Address, amount: int) -> bool:
    """`approve`."""
    _approve(call, call.sender, spender, amount)
    return True


def transfer_from(call: Call, source: Address, to: Address, amount: int) -> bool:
    """`transferFrom`: within the allowance; an allowance of 2^256 − 1 is never used up."""
    granted = ALLOWANCES.get(call.state, source + call.sender)
    if granted < amount:
        raise Rejected(
            "accounts.allowance", f"the allowance is {granted} wei; {amount} is needed", granted=granted, needed=amount
        )
    if granted != UINT256_MAX:
        ALLOWANCES.put(call.state, source + call.sender, granted - amount)
    _send(call, source, to, amount)
    return True


def _approve(call: Call, owner: Address, spender: Address, amount: int) -> None:
    ALLOWANCES.put(call.state, owner + spender, amount)
    call.emit(OPG, APPROVAL, owner, spender, amount)


# --- signed approvals and transfers ------------------------------------------------------------------------------


def domain(chain_id: int) -> Digest:
    """The EIP-712 domain of OPG's permits and authorizations."""
    return domain_separator("paraph OPG", "1", chain_id, OPG)


def read_domain(call: Call) -> bytes:
    """`DOMAIN_SEPARATOR`."""
    return domain(call.facts.chain_id)


def version(call: Call) -> str:
    """`version`: of the EIP-712 domain."""
    return "1"


def permit_nonce(call: Call, owner: Address) -> int:
    """`nonces`: the next permit's nonce."""
    return PERMIT_NONCES.get(call.state, owner)


def authorization_state(call: Call, authorizer: Address, authorization: bytes) -> bool:
    """`authorizationState`: used or cancelled."""
    return AUTHORIZATIONS.get(call.state, authorizer + authorization) == 1


def permit(call: Call, owner: Address, spender: Address, value: int, deadline: int, v: int, r: bytes, s: bytes) -> None:
    """`permit` (EIP-2612): an approval by signature, once, until its deadline."""
    if call.facts.time_s > deadline:
        raise Rejected("accounts.expired", f"the permit expired at {deadline}; it is {call.facts.time_s}")
    used = PERMIT_NONCES.get(call.state, owner)
    _signed(call, owner, _PERMIT.hash((owner, spender, value, used, deadline)), v, r, s)
    PERMIT_NONCES.put(call.state, owner, used + 1)
    _approve(call, owner, spender, value)


def transfer_with(
    call: Call,
    source: Address,
    to: Address,
    value: int,
    after: int,
    before: int,
    key: bytes,
    v: int,
    r: bytes,
    s: bytes,
) -> None:
    """`transferWithAuthorization` (EIP-3009): anyone may bring it."""
    _signed(call, source, _TRANSFER_WITH.hash((source, to, value, after, before, key)), v, r, s)
    _authorized_transfer(call, source, to, value, after, before, key)


def receive_with(
    call: Call,
    source: Address,
    to: Address,
    value: int,
    after: int,
    before: int,
    key: bytes,
    v: int,
    r: bytes,
    s: bytes,
) -> None:
    """`receiveWithAuthorization` (EIP-3009): only the payee may bring it."""
    if call.sender != to:
        raise Rejected("accounts.payee", "only the payee may bring this authorization")
    _signed(call, source, _RECEIVE_WITH.hash((source, to, value, after, before, key)), v, r, s)
    _authorized_transfer(call, source, to, value, after, before, key)


def cancel(call: Call, authorizer: Address, key: bytes, v: int, r: bytes, s: bytes) -> None:
    """`cancelAuthorization` (EIP-3009)."""
    _unused(call, authorizer, key)
    _signed(call, authorizer, _CANCEL.hash((authorizer, key)), v, r, s)
    AUTHORIZATIONS.put(call.state, authorizer + key, 1)
    call.emit(OPG, CANCELED, authorizer, key)


def _signed(call: Call, signer: Address, struct_hash: Digest, v: int, r: bytes, s: bytes) -> None:
    call.charge(6_000)
    digest = signing_digest(domain(call.facts.chain_id), struct_hash)
    if recover(digest, r + s + bytes((v,))) != signer:
        raise Rejected("accounts.signature", "the signature is not that account's, or not over these values")


def _unused(call: Call, authorizer: Address, key: bytes) -> None:
    if AUTHORIZATIONS.get(call.state, authorizer + key):
        raise Rejected("accounts.used", "this authorization was used or cancelled")


def _authorized_transfer(
    call: Call, source: Address, to: Address, value: int, after: int, before: int, key: bytes
) -> None:
    if not after < call.facts.time_s < before:
        raise Rejected(
            "accounts.expired",
            f"valid after {after} and before {before}; it is {call.facts.time_s}",
            now=call.facts.time_s,
        )
    _unused(call, source, key)
    AUTHORIZATIONS.put(call.state, source + key, 1)
    call.emit(OPG, USED, source, key)
    _send(call, source, to, value)
