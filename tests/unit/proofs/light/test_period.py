"""Trust ends: a set pinned too long ago is believed no more, and a block from the future never is."""

import pytest
from tests.support.comet import FOUR, START_S, anchor, header, sealed

from paraph.core.errors import Unverified
from paraph.proofs.light.period import check_clock, check_period, trusted_until_s

BLOCK = sealed(header(100, FOUR), FOUR)
DAY_S = 86_400


def test_trust_ends_after_its_period() -> None:
    """Trust runs from the anchor's or the block's time, to the second before the period is over."""
    assert trusted_until_s(anchor(), DAY_S) == START_S + DAY_S
    assert trusted_until_s(BLOCK, DAY_S) == START_S + 100 + DAY_S

    check_period(BLOCK, DAY_S, START_S + 100 + DAY_S - 1)
    for trusted in (anchor(), BLOCK):
        with pytest.raises(Unverified) as caught:
            check_period(trusted, DAY_S, trusted_until_s(trusted, DAY_S))
        assert caught.value.code == "light.expired"


def test_blocks_of_the_future_are_refused() -> None:
    """A block may be ahead of the clock by less than the drift allowed."""
    check_clock(BLOCK, 10, START_S + 91)

    with pytest.raises(Unverified) as caught:
        check_clock(BLOCK, 10, START_S + 90)
    assert caught.value.code == "light.future"
