"""Validators that say nothing for a while: stopped machines, and cut wires. Safety never depends on how long."""

import time
from pathlib import Path

import pytest
from tests.support.member import Member
from tests.support.purse import Purse
from tests.support.validators import Network
from tests.support_ledger.world import BOB, CAROL

pytestmark = pytest.mark.e2e

STILL_S = 4
"""How long no block is to come: some twenty times as long as one takes."""


def stands_still(network: Network, members: list[Member]) -> None:
    """No block is decided: what was nearly decided may still come, and then nothing."""
    time.sleep(1)
    before = [member.height() for member in members]
    time.sleep(STILL_S)
    assert [member.height() for member in members] == before, network.tails()


def test_paused(tmp_path: Path) -> None:
    """With a quarter of the power stopped blocks go on; with half of it none is decided; woken, all agree."""
    with Network(tmp_path) as network:
        network.start()
        purse = Purse(BOB)
        first, second, *rest = network.members
        first.pause()
        network.grow(4, [second, *rest])
        network.must(purse.pay(CAROL.address), second)
        second.pause()
        stands_still(network, rest)
        waiting = network.send(purse.pay(CAROL.address), rest[0])
        first.resume()
        second.resume()
        network.included(waiting)
        network.grow(3)

        assert network.agree() > 8


@pytest.mark.slow
def test_partition(tmp_path: Path) -> None:
    """Cut into halves the network decides nothing; cut off, one validator falls behind; mended, all agree."""
    with Network(tmp_path, cuttable=True) as network:
        network.start()
        purse = Purse(BOB)
        alone, rest = network.members[3], network.members[:3]
        cut(network, {3})
        before = alone.height()
        network.grow(5, rest)
        network.must(purse.pay(CAROL.address), rest[0])
        assert alone.height() <= before + 1
        mend(network)
        network.grow(2)
        network.agree()
        cut(network, {0, 1})
        stands_still(network, network.members)
        waiting = network.send(purse.pay(CAROL.address), network.members[0])
        mend(network)
        network.included(waiting, network.members[3])
        network.grow(2)

        network.agree()


def cut(network: Network, side: set[int]) -> None:
    """Cut every wire between these members and all others."""
    for ends, wire in network.cuts.items():
        if len(side.intersection(ends)) == 1:
            wire.cut()


def mend(network: Network) -> None:
    """All wires are whole."""
    for wire in network.cuts.values():
        wire.mend()
