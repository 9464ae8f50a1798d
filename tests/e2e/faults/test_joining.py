"""Nodes that come later: by replaying all blocks, by a snapshot, and into the set of validators and out of it again."""

from pathlib import Path

import pytest
from tests.support.member import Member, until
from tests.support.purse import Purse
from tests.support.settling import calling, viewed
from tests.support.validators import BOND, Network
from tests.support_ledger.world import BOB, CAROL, CHAIN_ID

from paraph.adapters.comet.keys import sign_digest
from paraph.core.ident import to_hex
from paraph.full_node.agreement import ENGINE
from paraph.full_node.config import Store, Sync
from paraph.ledger.rooms.bonds.rules import key_proof_digest

pytestmark = pytest.mark.e2e

SNAPSHOT_BLOCKS = 5
SNAPSHOTS_KEPT = 1_000
"""A joiner looks for snapshots for 15 s before it fetches one, which must then still be there."""


@pytest.mark.slow
def test_joins_by_replay(tmp_path: Path) -> None:
    """A node that begins with nothing but the genesis works all blocks out again, and agrees."""
    with Network(tmp_path) as network:
        network.start()
        network.must(Purse(BOB).pay(CAROL.address))
        height = network.grow(3)
        joiner = network.join("joiner0")
        joiner.start()
        network.reach(height, [joiner])
        network.grow(2)
        network.agree()

        assert joiner.block(1)["hash"] == network.members[0].block(1)["hash"]


@pytest.mark.parametrize("fault", [(), pytest.param(("--kill", "apply:before:1"), marks=pytest.mark.slow)])
def test_joins_by_snapshot(tmp_path: Path, fault: tuple[str, ...]) -> None:
    """A node that begins with a snapshot has no blocks before it, and the same state; killed on the way, it retries."""
    with Network(
        tmp_path, store=Store(index="", snapshot_blocks=SNAPSHOT_BLOCKS, snapshots_kept=SNAPSHOTS_KEPT)
    ) as network:
        network.start()
        network.must(Purse(BOB).pay(CAROL.address))
        network.grow(2 * SNAPSHOT_BLOCKS)
        joiner = network.join("joiner0", sync_with(network.members[0], network.members[1]))
        if fault:
            joiner.launch(*fault)
            assert joiner.wait() == -9
        joiner.start()
        until("the joiner has blocks", lambda: joiner.height() > SNAPSHOT_BLOCKS, lambda: joiner.tail)
        network.grow(2)
        network.agree()

        assert "chain.height" in str(joiner.answer("eth_getBlockByNumber", "0x1", False)) or joiner.block(1) is None


def sync_with(*servers: Member) -> Sync:
    """Where a node that joins finds snapshots' headers, and one of them that it trusts."""
    height = servers[0].height() - 2
    commit = servers[0].engine_ask(f"commit?height={height}")["signed_header"]["commit"]
    addresses = tuple(each.config.consensus.rpc_listen for each in servers)
    return Sync(servers=addresses, trust_height=height, trust_hash=commit["block_id"]["hash"].lower())


def test_set_changes_with_stake(tmp_path: Path) -> None:
    """A follower that bonds proposes blocks; when it has unbonded it proposes none; blocks and payments flow on."""
    with Network(tmp_path, validators=3, followers=1) as network:
        network.start()
        first, candidate = network.members[0], network.members[3]
        purse, payer = Purse(candidate.operator), Purse(BOB)
        network.must(calling(purse, "Staking", "createValidator", *credentials(candidate), value=2 * BOND))
        mine = to_hex(candidate.operator.address)

        def proposed() -> bool:
            network.send(payer.pay(CAROL.address), first)
            return bool(first.ask("eth_getBlockByNumber", "latest", False)["miner"].lower() == mine)

        until("the new validator proposes", proposed, network.tails)
        keys, powers = viewed(first, "Staking", "activeSet")
        network.must(calling(purse, "Staking", "unbond", 2 * BOND))
        height = network.grow(4)
        after = network.grow(6)
        network.agree()

        assert dict(zip(keys, powers, strict=True))[candidate.key] == max(powers) == 2 * min(powers)
        assert len(keys) == 4
        assert candidate.key not in viewed(first, "Staking", "activeSet")[0]
        assert mine not in {first.block(each)["miner"].lower() for each in range(height, after + 1)}
        assert len(first.engine_ask("validators")["validators"]) == 3


def credentials(member: Member) -> tuple[bytes, bytes, str]:
    """What `createValidator` wants to know: the key that votes, its consent to its operator, and a name."""
    return *sign_digest(member.home / ENGINE, key_proof_digest(CHAIN_ID, member.operator.address)), member.name
