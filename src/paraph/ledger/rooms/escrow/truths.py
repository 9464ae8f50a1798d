"""What is always so of escrow."""

from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.escrow.keys import ACCOUNTS, ADDRESS
from paraph.ledger.rooms.escrow.types import Account
from paraph.ledger.state import State


def escrow_is_held(dump: dict[bytes, bytes]) -> list[str]:
    """The escrow contract holds exactly what all payers' accounts say."""
    accounts = (Account.decode(value) for key, value in dump.items() if key.startswith(ACCOUNTS.prefix))
    total = sum(each.available + each.leaving for each in accounts)
    held = BALANCES.get(State(dump.get), ADDRESS)
    return [] if total == held else [f"accounts add up to {total} wei; the contract holds {held}"]
