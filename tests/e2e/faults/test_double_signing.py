"""Two machines that vote with one key: the crime that bonds are for, and how it ends."""

from pathlib import Path

import pytest
from tests.support.member import until
from tests.support.purse import Purse
from tests.support.settling import balance, viewed
from tests.support.validators import BOND, Network
from tests.support_ledger.world import BOB, CAROL

from paraph.ledger.rooms.accounts.keys import TREASURY
from paraph.ledger.rooms.params.types import SLASH_DOUBLE_SIGN_BPS

pytestmark = pytest.mark.e2e


def test_double_signer_is_put_out(tmp_path: Path) -> None:
    """A key that votes twice costs its bond a part, is out of the set for ever, and the chain goes on without it."""
    with Network(tmp_path) as network:
        network.start()
        guilty, honest = network.members[3], network.members[:3]
        twin = network.twin(guilty, "twin")
        treasury = balance(honest[0], TREASURY)
        twin.launch("--disagree")

        def struck() -> bool:
            return bool(viewed(honest[0], "Staking", "validator", guilty.operator.address)[5])

        until("the double signer is struck", struck, network.tails)
        cut = BOND * SLASH_DOUBLE_SIGN_BPS.default // 10_000
        _, _, bond, power, active, _ = viewed(honest[0], "Staking", "validator", guilty.operator.address)
        keys, _ = viewed(honest[0], "Staking", "activeSet")
        network.grow(4, honest)
        network.must(Purse(BOB).pay(CAROL.address), honest[0])
        network.agree()

        assert (bond, power, active) == (BOND - cut, 0, False)
        assert sorted(keys) == sorted(member.key for member in honest)
        assert balance(honest[0], TREASURY) >= treasury + cut
        engine_set = honest[0].engine_ask("validators")["validators"]
        assert len(engine_set) == 3
