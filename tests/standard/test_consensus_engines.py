"""What every consensus engine does for a full node: the solo engine and CometBFT pass the same claims.

Each runs as the program that operators run, asked over JSON-RPC.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.cometbft import cometbft_binary
from tests.support.histories import replayed
from tests.support.loopback import Loopback
from tests.support.member import Member, until
from tests.support.purse import Purse
from tests.support.validators import HELD, LOUD, Network
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, PEOPLE, person

from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, save_key, write_private
from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.ident import to_hex
from paraph.full_node.__main__ import KEY, PASSWORD
from paraph.full_node.config import Config, Consensus, Rpc, Store
from paraph.full_node.setup import make_home
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.truths import broken

pytestmark = pytest.mark.e2e

PRODUCER = person("producer")


class Engine:
    """A node under test, whichever engine makes its blocks."""

    def __init__(self, member: Member) -> None:
        self.member = member
        assert member.genesis is not None
        self.genesis = member.genesis

    def included(self, tx_hash: str) -> dict[str, Any]:
        """Wait for a transaction's receipt."""
        return until("it is in a block", lambda: self.member.ask("eth_getTransactionReceipt", tx_hash))

    def send(self, raw: bytes) -> str:
        """Hand in a transaction; its hash."""
        return str(self.member.ask("eth_sendRawTransaction", to_hex(raw)))

    def refused(self, raw: bytes) -> str:
        """Hand in a transaction that is refused; the stable code."""
        found = self.member.answer("eth_sendRawTransaction", to_hex(raw))
        return str(found["error"]["data"]["code"])


def solo(home: Path) -> Member:
    """A node whose producer's key makes blocks."""
    held = {who.address: HELD for who in PEOPLE}
    held[person("rest").address] = Wei(SUPPLY_WEI - sum(held.values()))
    genesis = Genesis(
        network="test",
        chain_id=CHAIN_ID,
        time_s=int(time.time()) - 5,
        producers=(PRODUCER.address,),
        governor=person("governor").address,
        devnet=True,
        allocations=tuple(Allocation(who, amount, "test") for who, amount in held.items()),
    )
    config = Config(
        rpc=Rpc(listen=Loopback().free()),
        limits=LOUD,
        consensus=Consensus(interval_ms=200),
        store=Store(index=""),
    )
    make_home(home, genesis, config)
    save_key(home / KEY, PRODUCER, "open", scrypt_n=SCRYPT_N_LIGHT)
    write_private(home / PASSWORD, b"open")
    return Member("solo", home, "", b"", config, genesis)


@pytest.fixture(params=["solo", "cometbft"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A running node with one engine or the other."""
    if request.param == "cometbft":
        cometbft_binary()
        with Network(tmp_path, validators=1) as network:
            network.start()
            yield Engine(network.members[0])
        return
    member = solo(tmp_path / "solo")
    member.start()
    yield Engine(member)
    if member.process is not None:
        member.end()


def test_submitted_is_included(engine: Engine) -> None:
    """What is submitted is in a block soon after, once, and moves the money."""
    raw = Purse(ALICE).pay(BOB.address, 7)
    found = engine.included(engine.send(raw))

    assert found["status"] == "0x1"
    assert int(engine.member.ask("eth_getBalance", to_hex(BOB.address), "latest"), 16) == HELD + 7
    assert engine.refused(raw) == "tx.nonce"


def test_refused_with_a_reason(engine: Engine) -> None:
    """What can never be included is refused at once, by its stable code."""
    assert engine.refused(Purse(person("poor")).pay(BOB.address)) == "tx.funds"
    assert engine.refused(Purse(ALICE, 900).pay(BOB.address)) == "tx.nonce"
    assert engine.refused(b"garbage").startswith(("tx.", "rlp."))


def test_ordered_by_nonce(engine: Engine) -> None:
    """Transactions of one sender that arrive in reverse are included in the order of their nonces."""
    purse = Purse(CAROL)
    raws = [purse.pay(BOB.address) for _ in range(5)]
    hashes = [engine.send(raw) for raw in reversed(raws)][::-1]
    found = [engine.included(each) for each in hashes]
    places = [(int(each["blockNumber"], 16), int(each["transactionIndex"], 16)) for each in found]

    assert places == sorted(places)


def test_restart_keeps(engine: Engine) -> None:
    """After a restart, and after a kill, the blocks are the same and more are made."""
    tx_hash = engine.send(Purse(ALICE).pay(BOB.address))
    height = int(engine.included(tx_hash)["blockNumber"], 16)
    before = engine.member.block(height)
    engine.member.end()
    engine.member.start()
    engine.member.kill()
    engine.member.start()
    engine.included(engine.send(Purse(ALICE, 1).pay(BOB.address)))

    assert engine.member.block(height) == before
    assert engine.included(tx_hash)["blockHash"] == before["hash"]


def test_equal_blocks_make_equal_states(engine: Engine) -> None:
    """The engine's blocks, worked out by a chain without an engine, give the same roots and the same state."""
    purse = Purse(ALICE)
    for _ in range(3):
        engine.included(engine.send(purse.pay(BOB.address)))
    engine.member.end()
    with engine.member.chain() as kept:
        again = replayed(engine.genesis, kept, {})

        assert again.dump() == kept.dump()
        assert broken(again.dump()) == []
