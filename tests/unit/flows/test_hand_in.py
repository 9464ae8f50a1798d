"""What a node reads before it proves: a beacon that the ledger can check."""

import pytest
from tests.sim.market import Ledger, local, opened, play
from tests.support_ledger.world import START_S

from paraph.adapters.fakes.clock import FakeClock
from paraph.core.errors import Unavailable
from paraph.flows import hand_in


def test_a_beacon_is_a_block_that_the_state_knows() -> None:
    """The beacon is the block before the head: its hash stands in the state, where a contract can read it."""
    ledger = opened()
    height, digest = play(hand_in.beacon(ledger.trust), local(ledger))

    block = ledger.chain.block(height)
    assert height == ledger.chain.height - 1
    assert block is not None
    assert digest == block.header.hash()


def test_no_beacon_before_the_first_block() -> None:
    """A ledger that only begins has no block to draw a beacon from."""
    ledger = Ledger(FakeClock((START_S + 10) * 1000))

    with pytest.raises(Unavailable) as caught:
        play(hand_in.beacon(ledger.trust), local(ledger))
    assert caught.value.code == "proofs.early"
