"""The chain in its store: one write a block, whole after reopening, of one network only."""

from collections.abc import Mapping

import pytest
from tests.support_ledger.world import ALICE, BOB, START_S, person
from tests.unit.full_node.world import PRODUCER, Desk, genesis, rebuilt, transfer

from paraph.adapters.fakes.store import MemoryStore
from paraph.core.errors import Rejected, Unavailable
from paraph.core.merkle import root as merkle_root
from paraph.core.smt import proves
from paraph.full_node.chain import META, RECENT_MAX, STATE, TREE, Chain


class Watched(MemoryStore):
    """A store that counts its writes and refuses them when told, as a full disk does."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.full = False

    def write(self, changes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        if self.full:
            raise Unavailable("store.full", "the disk is full")
        self.writes += 1
        super().write(changes)


@pytest.fixture
def store() -> Watched:
    return Watched()


@pytest.fixture
def desk(store: Watched) -> Desk:
    return Desk(store=store)


def test_one_write_a_block(desk: Desk, store: Watched) -> None:
    """Genesis is one write and each block is one write: no moment between them."""
    assert store.writes == 1

    desk.settle(transfer(0))

    assert store.writes == 2


def test_header_commits_to_everything(desk: Desk) -> None:
    """The header names the parent, the state, the transactions and the results, and the producer signed it."""
    genesis_hash = desk.chain.head.header.hash()

    desk.settle(transfer(0), transfer(1))

    block = desk.chain.head
    assert block.header.parent == genesis_hash
    assert block.header.state_root == rebuilt(desk.chain).root
    assert block.header.transactions_root == merkle_root(block.transactions)
    assert block.header.results_root == merkle_root([result.encode() for result in block.results])
    assert block.signed.signed_by(PRODUCER.address)


def test_reopened_goes_on(desk: Desk, store: Watched) -> None:
    """A chain opened again has the same head, and its next block follows."""
    desk.settle(transfer(0))

    again = Desk(store=store)

    assert again.chain.head == desk.chain.head
    again.settle(transfer(1))
    assert again.chain.head.header.parent == desk.chain.head.header.hash()


def test_no_stale_node_stays(desk: Desk, store: Watched) -> None:
    """The stored tree has exactly the nodes of the last state: nothing is left behind."""
    for nonce in range(3):
        desk.settle(transfer(nonce))

    assert {node for node, _ in store.items(TREE)} == set(rebuilt(desk.chain).added)


def test_full_disk_leaves_the_last_block(desk: Desk, store: Watched) -> None:
    """A block that cannot be kept is not there at all; the chain goes on when there is room again."""
    desk.settle(transfer(0))
    before = dict(store.items(STATE)), desk.chain.head
    store.full = True

    with pytest.raises(Unavailable):
        desk.chain.commit(START_S + 99, (transfer(1),))

    assert (dict(store.items(STATE)), desk.chain.head) == before
    store.full = False
    desk.chain.commit(START_S + 99, (transfer(1),))
    assert desk.chain.height == 2
    assert desk.chain.head.header.state_root == rebuilt(desk.chain).root


def test_time_never_runs_backwards(desk: Desk) -> None:
    """A clock set back makes blocks of equal time."""
    desk.chain.commit(START_S + 50, ())
    desk.chain.commit(START_S + 40, ())

    assert [desk.chain.block(height).header.time_s for height in (1, 2)] == [START_S + 50, START_S + 50]


def test_other_network_is_refused(desk: Desk, store: Watched) -> None:
    """A store of one network is not opened for another."""
    with pytest.raises(Rejected) as caught:
        Chain(store, genesis(network="other"), PRODUCER)

    assert caught.value.code == "chain.genesis"


def test_other_producer_is_refused() -> None:
    """Only a producer that the genesis names may make blocks."""
    with pytest.raises(Rejected) as caught:
        Chain(MemoryStore(), genesis(), person("a stranger"))

    assert caught.value.code == "chain.producer"


def test_block_to_come_is_refused(desk: Desk) -> None:
    """There is no block above the head."""
    with pytest.raises(Rejected) as caught:
        desk.chain.block(1)

    assert caught.value.code == "chain.height"


def test_found_by_hash(desk: Desk) -> None:
    """Blocks and transactions are found by their hashes, unknown ones are not; a skipped one never was."""
    (receipt,) = desk.settle(transfer(0))
    desk.chain.commit(START_S + 99, (transfer(0), transfer(7), transfer(1)))

    assert desk.chain.height_of(bytes.fromhex(receipt["blockHash"][2:])) == 1
    assert desk.chain.height_of(bytes(32)) is None
    hashes = [result.hash for result in desk.chain.head.results]
    assert [desk.chain.find(each) for each in hashes] == [(1, 0), None, (2, 2)]
    assert [block.header.height for block in desk.chain.blocks(1, 99)] == [1, 2]


def test_proofs_hold(desk: Desk) -> None:
    """Presence and absence are proved against the head's state root."""
    desk.settle(transfer(0))
    root, key = desk.chain.head.header.state_root, b"accounts/nonce/" + ALICE.address

    there, absent = desk.chain.prove(key), desk.chain.prove_absent(b"accounts/nonce/" + BOB.address)

    assert there is not None
    assert proves(root, key, b"\1", there.proof)
    assert desk.chain.prove(b"accounts/nonce/" + BOB.address) is None
    assert proves(root, b"accounts/nonce/" + BOB.address, None, absent.proof)


def test_newest_blocks_are_kept_decoded(desk: Desk, store: Watched) -> None:
    """So many of the newest blocks are kept decoded and no more; what they say is what is stored."""
    for _ in range(RECENT_MAX + 3):
        desk.settle(transfer(desk.chain.next_nonce(ALICE.address)))

    again = Desk(store=store).chain
    heights = range(desk.chain.height + 1)
    assert len(desk.chain._recent) == RECENT_MAX
    assert [desk.chain.block(height) for height in heights] == [again.block(height) for height in heights]


def test_store_knows_its_height(desk: Desk, store: Watched) -> None:
    """The height is written with the block it counts."""
    desk.settle(transfer(0))

    assert store.get(META, b"height") == (1).to_bytes(8, "big")
