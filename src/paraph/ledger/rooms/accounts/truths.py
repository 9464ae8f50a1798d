"""What is always so of OPG."""

from paraph.core.amount import SUPPLY_WEI
from paraph.ledger.rooms.accounts.keys import BALANCES


def supply_is_conserved(dump: dict[bytes, bytes]) -> list[str]:
    """All balances together are the whole supply: nothing is minted, nothing is burned."""
    prefix = BALANCES.prefix
    total = sum(int.from_bytes(value, "big") for key, value in dump.items() if key.startswith(prefix))
    return [] if total == SUPPLY_WEI else [f"balances add up to {total} wei; the supply is {SUPPLY_WEI}"]
