"""What a network of real validators does when nothing is wrong: all the rest is measured against this."""

from pathlib import Path

import pytest
from tests.support.purse import Purse
from tests.support.settling import Market, receipt_of, viewed
from tests.support.validators import Network
from tests.support_ledger.world import BOB, CAROL

pytestmark = pytest.mark.e2e


def test_all_nodes_reach_equal_states(tmp_path: Path) -> None:
    """Transfers and settlements, handed to any node, reach the same state on four validators and a follower."""
    with Network(tmp_path, validators=4, followers=1) as network:
        network.start()
        market = Market(network)
        purses = [Purse(BOB), Purse(CAROL), market.payer]
        batches = [market.items(3) for _ in range(3)]
        hashes = []
        for number, member in enumerate(network.members):
            hashes += [network.send(purses[number % 3].pay(BOB.address), member) for _ in range(3)]
            if number < len(batches):
                hashes.append(network.send(market.batch(batches[number]), member))
        receipts = [network.included(each) for each in hashes]
        network.grow(1)
        network.agree()

        assert {found["status"] for found in receipts} == {"0x1"}
        for member in network.members:
            for batch in batches:
                for item in batch:
                    receipt = receipt_of(item)
                    found = viewed(member, "Settlement", "settled", receipt.payer, receipt.request_key)
                    assert found[2] == receipt.price
            assert viewed(member, "Settlement", "batches") == len(batches)
