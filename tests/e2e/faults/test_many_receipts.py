"""Receipts by the thousand while machines die: each is paid once, and anyone can prove it from the genesis alone."""

import os
import random
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.member import Member, until
from tests.support.settling import DEPOSIT, Market, receipt_of
from tests.support.validators import Network
from tests.support_ledger.world import ALICE, Item

from paraph.adapters.http.client import Means, SyncDriver
from paraph.adapters.system import SystemClock
from paraph.core.ident import digest_from_hex, to_hex
from paraph.core.merkle import inclusion_proof, root_from_inclusion
from paraph.flows.registry import read
from paraph.ledger.rooms.escrow.types import Account
from paraph.ledger.rooms.settlement.keys import SETTLED
from paraph.ledger.state import State
from paraph.ledger.truths import broken
from paraph.proofs.receipt import Receipt
from paraph.proofs.records import Batch, batch_key

pytestmark = pytest.mark.e2e

ASKED_OF_EACH_BATCH = 3
"""Receipts of which the node's own proof is asked for; it reads the whole batch again each time."""


def test_receipts_under_kills(tmp_path: Path) -> None:
    """300 receipts in batches of 30, two nodes killed on the way: each settled once, and proved."""
    settled_under_kills(tmp_path, receipts=300, size=30, kills=2)


@pytest.mark.slow
def test_ten_thousand_receipts_under_kills(tmp_path: Path) -> None:
    """10 000 receipts in batches of 500, ten nodes killed on the way: each settled once, and proved."""
    settled_under_kills(tmp_path, receipts=10_000, size=500, kills=10)


def settled_under_kills(folder: Path, receipts: int, size: int, kills: int) -> None:
    """Settle, kill, and look at what is left."""
    seed = int(os.environ.get("PARAPH_SEED", random.randrange(2**32)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    with Network(folder, form_workers=1) as network:
        network.start()
        market = Market(network)
        batches = [market.items(size) for _ in range(receipts // size)]
        raws = [market.batch(batch) for batch in batches]
        moments = sorted(chance.sample(range(len(raws)), kills))
        hashes = []
        for number, raw in enumerate(raws):
            hashes.append(network.send(raw, chance.choice(network.members)))
            if number in moments:
                victim = chance.choice(network.members)
                victim.kill()
                victim.launch()
                network.answers(victim)
        settle_all(network, dict(zip(hashes, raws, strict=True)))
        network.grow(2)
        network.agree()
        proved_all(network, batches, network.members[chance.randrange(4)])
        one = chance.choice(network.members)
        one.end()

        audit(one, [receipt_of(item) for batch in batches for item in batch])


def settle_all(network: Network, raws: dict[str, bytes]) -> None:
    """Hand in again what a killed node forgot, as any sender must, until each is in a block; all succeed."""
    for tx_hash, raw in raws.items():

        def settled(tx_hash: str = tx_hash, raw: bytes = raw) -> object:
            for member in network.members:
                member.answer("eth_sendRawTransaction", to_hex(raw))
            return network.members[0].ask("eth_getTransactionReceipt", tx_hash)

        found = until(f"{tx_hash} is settled", settled, network.tails)
        assert found["status"] == "0x1", found  # type: ignore[index]


def proved_all(network: Network, batches: list[list[Item]], server: Member) -> None:
    """Every receipt is under the root of its batch, whose record is proved to whoever has the genesis alone."""
    trust = network.genesis.trust()
    with closing(SyncDriver(Means(server.url, SystemClock().now_ms, os.urandom))) as driver:
        for number, batch in enumerate(batches, 1):
            record = driver.run(read(trust, batch_key(number))).record(batch_key(number), Batch)
            leaves = [receipt_of(item).hash() for item in batch]
            assert record is not None
            assert record.size == len(leaves)
            for index, leaf in enumerate(leaves):
                assert root_from_inclusion(leaf, index, record.size, inclusion_proof(leaves, index)) == record.root
            for item in batch[:: len(batch) // ASKED_OF_EACH_BATCH]:
                receipt = receipt_of(item)
                shown = server.ask("paraph_getSettled", to_hex(receipt.payer), to_hex(receipt.request_key))
                path = tuple(digest_from_hex(each, "path") for each in shown["path"])
                assert root_from_inclusion(receipt.hash(), shown["index"], record.size, path) == record.root


def audit(member: Member, receipts: list[Receipt]) -> None:
    """All truths hold; each receipt is settled for its price, none beside them; the escrow fell by exactly that."""
    with member.chain() as chain:
        state = chain.dump()
    assert broken(state) == []
    for receipt in receipts:
        found = SETTLED.get(State(state.get), receipt.payer + receipt.request_key)
        assert found is not None
        assert found.price == receipt.price
    assert sum(1 for key in state if key.startswith(SETTLED.prefix)) == len(receipts)
    left = Account.decode(state[b"escrow/account/" + ALICE.address])
    assert left.available == DEPOSIT - sum(receipt.price for receipt in receipts)
