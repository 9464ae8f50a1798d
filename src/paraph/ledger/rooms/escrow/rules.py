"""Depositing, asking back, withdrawing after the delay, and being debited by a signed request.

Money asked back stays debitable until it is withdrawn, and the delay is longer than any accepted request can live:
so a withdrawal never wins a race against a settlement. Another settlement can: one escrow may be promised to several
nodes, and who settles first is paid first.
"""

from paraph.core import abi
from paraph.core.amount import format_opg
from paraph.core.errors import Rejected
from paraph.core.ident import Address
from paraph.ledger.contract import Call
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.escrow.keys import ACCOUNTS, ADDRESS
from paraph.ledger.rooms.escrow.types import EMPTY, Account
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import WITHDRAW_DELAY_S
from paraph.ledger.state import State

DEPOSITED = abi.event("Deposited(address indexed payer, address indexed from, uint256 amount)")
LEAVING = abi.event("WithdrawalRequested(address indexed payer, uint256 leaving, uint64 unlockTime)")
CANCELLED = abi.event("WithdrawalCancelled(address indexed payer, uint256 amount)")
WITHDRAWN = abi.event("Withdrawn(address indexed payer, uint256 amount)")


def account(state: State, payer: Address) -> Account:
    """The payer's account, empty when there is none."""
    return ACCOUNTS.get(state, payer) or EMPTY


def debit(state: State, payer: Address, amount: int) -> None:
    """Take `amount` wei from the payer's account, first from what is available. The caller moves the money.

    Raises:
        Rejected: `escrow.empty`: less is there.
    """
    held = account(state, payer)
    if held.available + held.leaving < amount:
        raise Rejected(
            "escrow.empty",
            f"the payer's escrow holds {format_opg(held.available + held.leaving)} OPG; {format_opg(amount)} is due",
            held=held.available + held.leaving,
            needed=amount,
        )
    rest = max(amount - held.available, 0)
    _put(state, payer, Account(held.available - amount + rest, held.leaving - rest, held.unlock_s))


def credit(state: State, payer: Address, amount: int) -> None:
    """Give `amount` wei back to the payer's account. The caller moves the money."""
    held = account(state, payer)
    _put(state, payer, Account(held.available + amount, held.leaving, held.unlock_s))


def _put(state: State, payer: Address, changed: Account) -> None:
    if changed.leaving == 0:
        changed = Account(changed.available, 0, 0)
    if changed == EMPTY:
        ACCOUNTS.remove(state, payer)
    else:
        ACCOUNTS.put(state, payer, changed)


def deposit(call: Call) -> None:
    """`deposit`: the value sent becomes the sender's escrow."""
    deposit_for(call, call.sender)


def deposit_for(call: Call, payer: Address) -> None:
    """`depositFor`: the value sent becomes another's escrow."""
    if call.value == 0:
        raise Rejected("escrow.amount", "send OPG with the deposit; the value is 0")
    if accounts.reserved(payer):
        raise Rejected("accounts.reserved", "a contract's address signs no requests: its escrow would be lost")
    held = account(call.state, payer)
    _put(call.state, payer, Account(held.available + call.value, held.leaving, held.unlock_s))
    call.emit(ADDRESS, DEPOSITED, payer, call.sender, call.value)


def request_withdrawal(call: Call, amount: int) -> None:
    """`requestWithdrawal`: `amount` leaves after the delay; asking again restarts the delay for all that leaves."""
    held = account(call.state, call.sender)
    if not 0 < amount <= held.available:
        raise Rejected(
            "escrow.amount", f"{amount} wei asked; {held.available} wei are available", available=held.available
        )
    unlock = call.facts.time_s + params.get(call.state, WITHDRAW_DELAY_S)
    _put(call.state, call.sender, Account(held.available - amount, held.leaving + amount, unlock))
    call.emit(ADDRESS, LEAVING, call.sender, held.leaving + amount, unlock)


def cancel_withdrawal(call: Call) -> None:
    """`cancelWithdrawal`: all that was leaving is available again."""
    held = account(call.state, call.sender)
    if held.leaving == 0:
        raise Rejected("escrow.amount", "no withdrawal was asked for")
    _put(call.state, call.sender, Account(held.available + held.leaving, 0, 0))
    call.emit(ADDRESS, CANCELLED, call.sender, held.leaving)


def withdraw(call: Call) -> None:
    """`withdraw`: after the delay, what was leaving goes to the payer's balance."""
    held = account(call.state, call.sender)
    if held.leaving == 0:
        raise Rejected("escrow.amount", "no withdrawal was asked for; call requestWithdrawal first")
    if call.facts.time_s < held.unlock_s:
        raise Rejected(
            "escrow.locked", f"locked until {held.unlock_s}; it is {call.facts.time_s}", unlock=held.unlock_s
        )
    _put(call.state, call.sender, Account(held.available, 0, 0))
    accounts.pay(call, ADDRESS, call.sender, held.leaving)
    call.emit(ADDRESS, WITHDRAWN, call.sender, held.leaving)


def read(call: Call, payer: Address) -> tuple[int, int, int]:
    """`account`: what is available, what is leaving, and when it unlocks."""
    held = account(call.state, payer)
    return held.available, held.leaving, held.unlock_s
