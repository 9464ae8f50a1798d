"""OPG in integers. One OPG is 10^18 wei; every amount in the ledger is a whole number of wei, never a float.

The whole supply is 10^27 wei and fits 90 bits; amounts are nevertheless read as Ethereum's uint256.
"""

import re
from typing import Final, NewType

from paraph.core.errors import Malformed, must

Wei = NewType("Wei", int)
"""An amount of OPG in wei (10^-18 OPG), 0 or more."""

DECIMALS: Final = 18
WEI_PER_OPG: Final = 10**DECIMALS
SUPPLY_WEI: Final = Wei(1_000_000_000 * WEI_PER_OPG)
UINT256_MAX: Final = 2**256 - 1
BPS: Final = 10_000
"""Basis points in a whole: rates are integers of 1/100 %."""

_OPG = re.compile(r"(\d{1,12})(?:\.(\d{1,18}))?", re.ASCII)


def parse_opg(text: str) -> Wei:
    """Read an amount written in OPG, as a person types it: `12`, `0.5`, `0.000000000000000001`.

    Raises:
        Malformed: `amount.text`: a sign, an exponent, more than 18 decimals, or anything else.
    """
    match = _OPG.fullmatch(text)
    if match is None:
        raise Malformed("amount.text", f"{text[:60]!r} is not an amount of OPG; write digits and at most 18 decimals")
    whole, fraction = match.groups()
    return Wei(int(whole) * WEI_PER_OPG + int((fraction or "").ljust(DECIMALS, "0")))


def format_opg(wei: int) -> str:
    """The amount in OPG, exact, without trailing zeros: `1.5`."""
    must(wei >= 0, "an amount is 0 or more")
    whole, fraction = divmod(wei, WEI_PER_OPG)
    return f"{whole}.{fraction:018d}".rstrip("0").rstrip(".")


def share(amount: Wei, rate_bps: int) -> Wei:
    """`rate_bps` basis points of `amount`, rounded down: in favour of whoever receives the rest."""
    return Wei(amount * rate_bps // BPS)
