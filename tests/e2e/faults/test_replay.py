"""What a network decided, a chain without an engine works out again: the state follows from the blocks alone."""

from pathlib import Path

import pytest
from tests.support.histories import faults_in, replayed
from tests.support.member import until
from tests.support.purse import Purse
from tests.support.settling import Market, viewed
from tests.support.validators import Network
from tests.support_ledger.world import BOB, CAROL

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_history_replays(tmp_path: Path) -> None:
    """Payments, settlements, a slashing and a smaller set: replayed alone, every block has the same hash and root."""
    with Network(tmp_path, validators=4) as network:
        network.start()
        first, guilty = network.members[0], network.members[3]
        market, purse = Market(network), Purse(BOB)
        network.must(market.batch(market.items(5)))
        network.twin(guilty, "twin").launch("--disagree")
        until(
            "the double signer is struck",
            lambda: viewed(first, "Staking", "validator", guilty.operator.address)[5],
            network.tails,
        )
        network.must(purse.pay(CAROL.address))
        height = network.grow(2, network.members[:3])
        faults = {each: faults_in(first.engine_ask(f"block?height={each}")["block"]) for each in range(1, height + 1)}
        first.end()
        with first.chain() as kept:
            faults |= dict.fromkeys(range(height + 1, kept.height + 1), ())
            again = replayed(network.genesis, kept, faults)

            assert sum(map(len, faults.values())) >= 1
            assert again.dump() == kept.dump()
            assert again.head.header.state_root == kept.head.header.state_root
