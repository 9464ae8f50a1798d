"""The trusting period: how long a validator set may still be believed. The caller brings the time.

A validator that left can sign anything without losing a deposit, once it has been paid out. So trust ends before that:
choose a period shorter than the time that a deposit stays bound.
"""

from typing import assert_never

from paraph.core.errors import Unverified
from paraph.proofs.light.types import Anchor, LightBlock, Trusted


def trusted_until_s(trusted: Trusted, period_s: int) -> int:
    """Unix time in seconds at which trust ends: from then on, a newer anchor must come from elsewhere."""
    match trusted:
        case Anchor():
            return trusted.time_s + period_s
        case LightBlock():
            return trusted.header.time.seconds + period_s
        case _:
            assert_never(trusted)


def check_period(trusted: Trusted, period_s: int, now_s: int) -> None:
    """Check that what is trusted may still be.

    Raises:
        Unverified: `light.expired`.
    """
    until_s = trusted_until_s(trusted, period_s)
    if now_s >= until_s:
        reason = f"trust ended at {until_s}, {period_s} s after what is trusted, and it is {now_s}; pin a newer anchor"
        raise Unverified((("light.expired", reason),))


def check_clock(block: LightBlock, drift_s_max: int, now_s: int) -> None:
    """Check that a block is not from the future, as far as clocks agree.

    Raises:
        Unverified: `light.future`.
    """
    if block.header.time.seconds >= now_s + drift_s_max:
        reason = f"block {block.header.height} is {drift_s_max} s or more ahead of this clock, {now_s}"
        raise Unverified((("light.future", f"{reason}; set the clock, or ask another node"),))
