"""The chain in its store: one write a block, whole after reopening, of one network only."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.support.nitro import NOW_S
from tests.support_ledger.enclaves import RELEASE, ROOT, Shown
from tests.support_ledger.world import (
    ALICE,
    BOB,
    BOND,
    OPERATOR,
    OWNER,
    START_S,
    World,
    model_arguments,
    node_arguments,
)
from tests.unit.full_node.world import PRODUCER, Desk, calling, genesis, rebuilt, transfer

from paraph.adapters.fakes.store import MemoryStore
from paraph.adapters.signatures import Remembering
from paraph.core.errors import BrokenTruth, Malformed, Rejected, Unavailable
from paraph.core.ident import ZERO_DIGEST
from paraph.core.merkle import root as merkle_root
from paraph.core.smt import proves
from paraph.full_node.chain import RECENT_MAX, Chain, Decided
from paraph.full_node.tables import META, STATE, TABLES, TREE
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.evidence import Checks


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
    """Genesis is one write, after one that says it is to come; each block is one write: no moment between them."""
    assert store.writes == 2

    desk.settle(transfer(0))

    assert store.writes == 3


def test_header_commits_to_everything(desk: Desk) -> None:
    """The header names the parent, the state, the transactions and the results, and the producer signed it."""
    genesis_hash = desk.chain.head.header.hash()

    desk.settle(transfer(0), transfer(1))

    block = desk.chain.head
    assert block.header.parent == genesis_hash
    assert block.header.state_root == rebuilt(desk.chain).root
    assert block.header.transactions_root == merkle_root(block.transactions)
    assert block.header.results_root == merkle_root([result.leaf() for result in block.results])
    assert block.signed.signed_by(PRODUCER.address)


def test_reopened_goes_on(desk: Desk, store: Watched) -> None:
    """A chain opened again has the same head, and its next block follows."""
    desk.settle(transfer(0))

    again = Desk(store=store)

    assert again.chain.head == desk.chain.head
    again.settle(transfer(1))
    assert again.chain.head.header.parent == desk.chain.head.header.hash()


def test_full_disk_leaves_the_last_block(desk: Desk, store: Watched) -> None:
    """A block that cannot be kept is not there at all; the chain goes on when there is room again."""
    desk.settle(transfer(0))
    before = dict(store.items(STATE)), desk.chain.head
    store.full = True

    with pytest.raises(Unavailable):
        desk.application.commit(START_S + 99, (transfer(1),))

    assert (dict(store.items(STATE)), desk.chain.head) == before
    store.full = False
    desk.application.commit(START_S + 99, (transfer(1),))
    assert desk.chain.height == 2
    assert desk.chain.head.header.state_root == rebuilt(desk.chain).root


def test_time_never_runs_backwards(desk: Desk) -> None:
    """A clock set back makes blocks of equal time."""
    desk.application.commit(START_S + 50, ())
    desk.application.commit(START_S + 40, ())

    assert [desk.chain.block(height).header.time_s for height in (1, 2)] == [START_S + 50, START_S + 50]


def test_other_network_is_refused(desk: Desk, store: Watched) -> None:
    """A store of one network is not opened for another."""
    with pytest.raises(Rejected) as caught:
        Chain(store, genesis(network="other"))

    assert caught.value.code == "chain.genesis"


def test_block_to_come_is_refused(desk: Desk) -> None:
    """There is no block above the head."""
    with pytest.raises(Rejected) as caught:
        desk.chain.block(1)

    assert caught.value.code == "chain.height"


def test_found_by_hash(desk: Desk) -> None:
    """Blocks and transactions are found by their hashes, unknown ones are not; a skipped one never was."""
    (receipt,) = desk.settle(transfer(0))
    desk.application.commit(START_S + 99, (transfer(0), transfer(7), transfer(1)))

    assert desk.chain.height_of(bytes.fromhex(receipt["blockHash"][2:])) == 1
    assert desk.chain.height_of(bytes(32)) is None
    hashes = [result.hash for result in desk.chain.head.results]
    assert [desk.chain.find(each) for each in hashes] == [(1, 0), None, (2, 2)]
    assert [block.header.height for block in desk.chain.blocks(1, 99)] == [1, 2]


def test_proofs_hold(desk: Desk) -> None:
    """Presence and absence are proved against the head's state root."""
    desk.settle(transfer(0))
    root, key = desk.chain.head.header.state_root, b"accounts/nonce/" + ALICE.address

    value, there = desk.chain.prove(key)
    nothing, absent = desk.chain.prove(b"accounts/nonce/" + BOB.address)

    assert (value, nothing) == (b"\1", None)
    assert proves(root, key, value, there.proof)
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


# --- taking over a state -------------------------------------------------------------------------------------------


def rows_of(chain: Chain, part: int = 7) -> Iterator[list[tuple[bytes, bytes]]]:
    """The rows of a chain's state, so many at a time."""
    rows = list(chain.rows())
    return (rows[start : start + part] for start in range(0, len(rows), part))


def tables(store: MemoryStore) -> dict[str, dict[bytes, bytes]]:
    """All that a store holds."""
    return {table: dict(store.items(table)) for table in TABLES}


@pytest.fixture
def other(desk: Desk) -> Desk:
    """A node that has made three blocks."""
    for nonce in range(3):
        desk.settle(transfer(nonce))
    return desk


def test_filled_chain_goes_on(other: Desk) -> None:
    """A chain filled with another's state has its head and root, and makes the same next block of the same bytes."""
    header = other.chain.head.header
    mine = Desk()
    mine.settle(transfer(0, value=5), transfer(1))

    mine.chain.fill(header, rows_of(other.chain))

    assert mine.chain.dump() == other.chain.dump()
    assert (mine.chain.head.header, mine.chain.first_height) == (header, 4)
    mine.chain.audit()
    for desk in (mine, other):
        desk.application.commit(START_S + 99, (transfer(3), transfer(4)))
    assert mine.chain.head == other.chain.head
    assert mine.chain.read_at(3)(b"accounts/nonce/" + ALICE.address) == b"\3"


def test_filled_chain_has_no_blocks_before(other: Desk) -> None:
    """A chain that began from a state has blocks and past states from there on only, also when opened again."""
    store = MemoryStore()
    Chain(store, genesis()).fill(other.chain.head.header, rows_of(other.chain))

    chain = Chain(store, genesis())

    for height in (0, 3):
        with pytest.raises(Rejected) as caught:
            chain.block(height)
        assert caught.value.code == "chain.height"
    with pytest.raises(Rejected) as unknown:
        chain.read_at(2)
    assert unknown.value.code == "chain.state"
    assert chain.header(3) == other.chain.head.header
    assert (chain.height_of(other.chain.head.header.hash()), chain.state_first) == (3, 3)
    assert list(chain.blocks(4, 9)) == []


Rows = list[tuple[bytes, bytes]]
KEY = b"accounts/balance/" + BOB.address
WRONG: dict[str, Callable[[Rows], Rows]] = {
    "a value": lambda rows: [(key, value + b"\0" if key == KEY else value) for key, value in rows],
    "one missing": lambda rows: rows[1:],
    "one more": lambda rows: [*rows, (b"one/more", b"1")],
    "one twice": lambda rows: [*rows, rows[0]],
    "two values": lambda rows: [*rows, (rows[0][0], b"other")],
    "nothing": lambda rows: [],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rows_are_refused(other: Desk, name: str) -> None:
    """Rows that do not make the header's root are refused, and the store is at genesis as a fresh one."""
    store = MemoryStore()
    chain = Desk(store=store).chain
    chain.finalize(Decided(START_S, PRODUCER.address, (transfer(0),)))
    chain.commit()

    with pytest.raises(Rejected) as caught:
        chain.fill(other.chain.head.header, [WRONG[name](list(other.chain.rows()))])

    fresh = MemoryStore()
    assert caught.value.code == "chain.snapshot"
    assert Chain(fresh, genesis()).head == chain.head
    assert tables(store) == tables(fresh)


@pytest.mark.parametrize(
    "change", [{"state_root": ZERO_DIGEST}, {"height": 2}, {"time_s": 0}, {"results_root": ZERO_DIGEST}], ids=str
)
def test_wrong_header_is_refused(other: Desk, change: dict[str, Any]) -> None:
    """A header that is not the one in the state itself is refused, whatever of it differs."""
    mine = Desk()

    with pytest.raises(Rejected) as caught:
        mine.chain.fill(replace(other.chain.head.header, **change), rows_of(other.chain))

    assert caught.value.code == "chain.snapshot"
    assert mine.chain.height == 0
    mine.settle(transfer(0))


def test_rows_that_fail_leave_genesis(other: Desk) -> None:
    """Whatever stops the rows on their way, the chain is at genesis and whole."""

    def failing() -> Iterator[Rows]:
        yield from list(rows_of(other.chain))[:2]
        raise Malformed("snapshot.chunk", "the rest is garbage")

    mine = Desk()
    mine.settle(transfer(0))

    with pytest.raises(Malformed):
        mine.chain.fill(other.chain.head.header, failing())

    assert mine.chain.height == 0
    assert mine.chain.dump() == Desk().chain.dump()
    mine.chain.audit()


class Killed(BaseException):
    """The process ends here."""


class Mortal(MemoryStore):
    """A store whose process is killed after so many writes."""

    left = 10**9

    def write(self, changes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1
        super().write(changes)


def test_kill_while_filling(other: Desk) -> None:
    """After whatever write the process is killed, the store opens at genesis, or with all of the state."""
    rows = list(rows_of(other.chain, 4))
    heights = []
    for writes in range(100):
        store = Mortal()
        chain = Desk(store=store).chain
        chain.finalize(Decided(START_S, PRODUCER.address, (transfer(0),)))
        chain.commit()
        store.left = writes
        with suppress(Killed):
            chain.fill(other.chain.head.header, rows)
        killed, store.left = store.left == 0, 10**9
        again = Chain(store, genesis())
        again.audit()
        heights.append(again.height)
        if again.height != 1:
            assert again.dump() == (other.chain.dump() if again.height == 3 else Desk().chain.dump())
        if not killed:
            break

    assert heights[0] == 1
    assert heights[-1] == 3
    assert set(heights[1:-2]) == {0}
    assert len(heights) > 8


def test_kill_while_beginning() -> None:
    """A process killed while its store is made starts at genesis the next time."""
    store = Mortal()
    store.left = 1
    with pytest.raises(Killed):
        Chain(store, genesis())
    store.left = 10**9

    chain = Chain(store, genesis())

    assert chain.dump() == Desk().chain.dump()
    assert tables(store)["meta"].keys() == {b"first", b"genesis", b"height"}


# --- audit ---------------------------------------------------------------------------------------------------------


DAMAGE: dict[str, Callable[[MemoryStore], dict[tuple[str, bytes], bytes | None]]] = {
    "changed value": lambda store: {(STATE, KEY): b"\1"},
    "removed key": lambda store: {(STATE, KEY): None},
    "added key": lambda store: {(STATE, b"added"): b""},
    "changed node": lambda store: {(TREE, node): data[:-1] + b"!" for node, data in list(store.items(TREE))[-1:]},
    "removed node": lambda store: {(TREE, node): None for node, _ in list(store.items(TREE))[-1:]},
    "nothing left": lambda store: {(STATE, key): None for key, _ in store.items(STATE)},
}


@pytest.mark.parametrize("name", DAMAGE)
def test_audit_finds_damage(name: str) -> None:
    """A value, a key or a node that is not what the last header commits to is found; a sound store passes."""
    store = MemoryStore()
    chain = Chain(store, genesis())
    chain.audit()

    store.write(DAMAGE[name](store))

    with pytest.raises(Rejected) as caught:
        chain.audit()
    assert caught.value.code == "chain.corrupt"


# --- listeners, engines --------------------------------------------------------------------------------------------


def test_listeners_hear_each_block(desk: Desk) -> None:
    """Who listens hears of each block once, in order, when it is already kept; a block not kept is not heard of."""
    heard: list[tuple[int, int, int]] = []
    desk.chain.listen(
        lambda stored, outcome: heard.append((stored.header.height, desk.chain.height, len(outcome.applied.results)))
    )

    desk.settle(transfer(0), transfer(1))
    desk.application.preview(START_S + 50, (transfer(2),))
    desk.chain.finalize(Decided(START_S, PRODUCER.address, ()))
    desk.settle(transfer(2))

    assert heard == [(1, 1, 2), (2, 2, 1)]


def test_commit_needs_a_block(desk: Desk) -> None:
    """A block that was not finalized is not kept: neither twice the same nor one that was only previewed."""
    desk.settle(transfer(0))
    desk.application.preview(START_S + 50, ())

    with pytest.raises(BrokenTruth):
        desk.chain.commit()

    assert desk.chain.height == 1


def test_finalize_again_decides_anew(desk: Desk) -> None:
    """What counts is the block finalized last, whatever was previewed or finalized before it."""
    one, other = (Decided(START_S + 50, PRODUCER.address, (transfer(0, value=value),)) for value in (1, 2))
    desk.chain.finalize(one)
    desk.chain.preview(other)
    outcome = desk.chain.finalize(other)
    desk.chain.preview(one)

    assert desk.chain.commit().header == outcome.header
    assert desk.chain.head.transactions == other.transactions


def test_version_of_the_rules(desk: Desk) -> None:
    """A chain tells by which version of the rules it goes on."""
    assert desk.chain.version == 1


def test_what_was_forgotten_stays_so() -> None:
    """A longer history asked for later does not bring back states that are gone: they are refused, never made up."""
    store = Watched()
    desk = Desk(store=store, history_blocks=2)
    for nonce in range(6):
        desk.settle(transfer(nonce))

    reopened = Chain(store, genesis(), history_blocks=256)

    assert reopened.state_first >= 3
    with pytest.raises(Rejected) as caught:
        reopened.read_at(1)
    assert caught.value.code == "chain.state"


def test_evidence_is_checked_as_the_chain_was_told() -> None:
    """Every block asks the chain's `checks`: what they remember from its preview is not looked at again."""
    asked: list[bytes] = []

    def looks(key: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(message)
        return p384_sha384(key, message, signature)

    founded = genesis(releases=(RELEASE,), simulated_root=ROOT)
    chain = Chain(MemoryStore(), founded, checks=Checks(Remembering(looks)))
    chain.finalize(
        Decided(
            NOW_S - 1,
            PRODUCER.address,
            (
                calling(0, "Models", "register", *model_arguments(), sender=OWNER),
                calling(0, "Nodes", "register", *node_arguments(), sender=OPERATOR, value=BOND),
            ),
        )
    )
    chain.commit()
    chain.finalize(Decided(NOW_S - 1, PRODUCER.address, ()))
    chain.commit()
    shown = Shown(World(chain.dump(), height=chain.height))
    attest = calling(1, "Nodes", "attest", *shown.arguments(), sender=OPERATOR)

    other = chain.preview(Decided(NOW_S + 1, PRODUCER.address, (attest,)))
    mine = chain.finalize(Decided(NOW_S, PRODUCER.address, (attest,)))

    assert [found.error for found in (*other.results, *mine.applied.results)] == ["", ""]
    assert len(asked) == 5
