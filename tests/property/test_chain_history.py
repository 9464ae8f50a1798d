"""Near past states: each reads and proves as it did then, and what is too far back is gone from the store."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support_ledger.world import ALICE, BOB, CAROL, START_S
from tests.unit.full_node.world import PRODUCER, Desk, calling, genesis, rebuilt, transfer

from paraph.adapters.fakes.store import MemoryStore
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.errors import Rejected
from paraph.core.keys import PrivateKey
from paraph.core.smt import EMPTY, proves
from paraph.full_node.chain import Chain, Decided
from paraph.full_node.tables import HISTORY, OUTDATED, STATE, TABLES, TREE
from paraph.ledger import tree
from paraph.ledger.genesis import Allocation

DEPTH: Final = 3
PEOPLE: Final = (ALICE, BOB, CAROL)


def blocks(chain: Chain, count: int) -> list[dict[bytes, bytes]]:
    """So many blocks of a transfer each; the whole state after each of them, and before the first."""
    dumps = [chain.dump()]
    for number in range(count):
        chain.finalize(Decided(START_S + number, PRODUCER.address, (transfer(number),)))
        chain.commit()
        dumps.append(chain.dump())
    return dumps


class PastBesideDumps(RuleBasedStateMachine):
    """Blocks on a chain with a short memory, and full copies of its states.

    Money comes to a pool and leaves it to the last wei, and allowances are given and taken back, so that keys and the
    nodes of the tree go and come back within what is kept.
    """

    @initialize()
    def begin(self) -> None:
        self.store = MemoryStore()
        network = genesis(allocations=(Allocation(ALICE.address, SUPPLY_WEI, "all"),))
        self.chain = Chain(self.store, network, DEPTH)
        self.network = network
        self.dumps = [self.chain.dump()]
        self.seen = set(self.dumps[0])

    def decide(self, *raw: bytes) -> None:
        chain = self.chain
        outcome = chain.finalize(Decided(START_S + chain.height, PRODUCER.address, raw))
        assert [result.status for result in outcome.applied.results] == [1] * len(raw)
        chain.commit()
        self.dumps.append(chain.dump())
        self.seen |= self.dumps[-1].keys()

    @rule()
    def nothing(self) -> None:
        self.decide()

    @rule(to=st.sampled_from(PEOPLE), value=st.sampled_from([0, 1, 10**18]))
    def pay(self, to: PrivateKey, value: int) -> None:
        self.decide(transfer(self.chain.next_nonce(ALICE.address), to=to.address, value=value))

    @rule(spender=st.sampled_from(PEOPLE), amount=st.sampled_from([0, 1, 2]))
    def approve(self, spender: PrivateKey, amount: int) -> None:
        nonce = self.chain.next_nonce(ALICE.address)
        self.decide(calling(nonce, "Opg", "approve", spender.address, amount))

    @rule(amounts=st.lists(st.sampled_from([0, 1, 2]), min_size=2, max_size=4))
    def approve_often(self, amounts: list[int]) -> None:
        nonce = self.chain.next_nonce(ALICE.address)
        self.decide(*(calling(nonce + at, "Opg", "approve", BOB.address, each) for at, each in enumerate(amounts)))

    @rule()
    def reopen(self) -> None:
        self.chain = Chain(self.store, self.network, DEPTH)

    @invariant()
    def past_states_are_as_they_were(self) -> None:
        chain = self.chain
        for height in range(max(0, chain.height - DEPTH), chain.height + 1):
            read, dump = chain.read_at(height), self.dumps[height]
            root = chain.header(height).state_root
            for key in sorted(self.seen):
                assert read(key) == dump.get(key)
            for key in sorted(self.seen)[:: 1 + len(self.seen) // 8]:
                value, proved = chain.prove(key, height)
                assert value == dump.get(key)
                assert proves(root, key, value, proved.proof)

    @invariant()
    def nothing_else_is_read(self) -> None:
        for height in (self.chain.height - DEPTH - 1, self.chain.height + 1):
            with pytest.raises(Rejected) as caught:
                self.chain.read_at(height)
            assert caught.value.code == "chain.state"

    @invariant()
    def what_is_kept_has_its_use(self) -> None:
        last = self.chain.height.to_bytes(8, "big")
        first = max(1, self.chain.height - DEPTH).to_bytes(8, "big")
        assert all(first <= height <= last for height, _ in self.store.items(OUTDATED))
        assert all(first <= row[32:] <= last for row, _ in self.store.items(HISTORY))
        states = self.dumps[max(0, self.chain.height - DEPTH - 1) :]
        used = {node for dump in states for node in rebuilt_from(dump)}
        assert {node for node, _ in self.store.items(TREE)} <= used
        self.chain.audit()


def rebuilt_from(dump: dict[bytes, bytes]) -> set[bytes]:
    """The nodes of the tree of a state."""
    nothing: dict[bytes, bytes] = {}
    return set(tree.update(nothing.get, EMPTY, dump).added)


PastBesideDumps.TestCase.settings = settings(stateful_step_count=14, max_examples=15)
TestPastBesideDumps = PastBesideDumps.TestCase


def test_tables_do_not_grow() -> None:
    """However many blocks, history and outdated nodes take the room of those kept alone."""
    store = MemoryStore()
    chain = Chain(store, genesis(), DEPTH)
    sizes: list[dict[str, int]] = []
    for _ in range(8):
        for _ in range(DEPTH + 1):
            chain.finalize(Decided(START_S, PRODUCER.address, (transfer(chain.next_nonce(ALICE.address)),)))
            chain.commit()
        sizes.append({table: len(list(store.items(table))) for table in (HISTORY, OUTDATED)})

    assert sizes[-1] == sizes[2]
    assert sizes[-1][OUTDATED] == DEPTH + 1
    assert len(list(store.items(TREE))) <= len(rebuilt(chain).added) + (DEPTH + 1) * 60


def test_other_tables_only_what_they_should() -> None:
    """A chain writes to the tables it names and to no other."""
    written: set[str] = set()

    class Noting(MemoryStore):
        def write(self, changes: Mapping[tuple[str, bytes], bytes | None]) -> None:
            written.update(table for table, _ in changes)
            super().write(changes)

    blocks(Chain(Noting(), genesis(), DEPTH), DEPTH + 2)

    assert written == set(TABLES)


def test_state_that_goes_while_it_is_read() -> None:
    """Who reads a state while blocks take it away is told so, and never given a value of another state."""
    chain = Chain(MemoryStore(), genesis(), DEPTH)
    dumps = blocks(chain, DEPTH)
    read = chain.read_at(0)
    key = b"accounts/nonce/" + ALICE.address
    assert read(key) == dumps[0].get(key)

    chain.finalize(Decided(START_S, PRODUCER.address, (transfer(DEPTH),)))
    chain.commit()

    with pytest.raises(Rejected) as caught:
        read(key)
    assert caught.value.code == "chain.state"


def test_reads_between_the_writes_of_a_block() -> None:
    """At every step of keeping a block, all states that can be asked for read as they were."""
    steps: list[str] = []

    class Paused(MemoryStore):
        """Looks at the chain after the values of state are written, before the chain has noticed."""

        def __init__(self) -> None:
            super().__init__()
            self.look: Any = None

        def write(self, changes: Mapping[tuple[str, bytes], bytes | None]) -> None:
            super().write(changes)
            if self.look is not None:
                steps.append("looked")
                self.look()

    store = Paused()
    chain = Chain(store, genesis(), DEPTH)
    dumps = blocks(chain, DEPTH + 2)

    def look() -> None:
        for height in range(chain.state_first, chain.height + 1):
            read = chain.read_at(height)
            assert {key: read(key) for key in dumps[height]} == dumps[height]

    store.look = look
    chain.finalize(Decided(START_S, PRODUCER.address, (transfer(DEPTH + 2),)))
    chain.commit()

    assert steps == ["looked"]


def test_readers_beside_blocks(tmp_path: Path) -> None:
    """Threads that read while blocks are made see every state as it was, or are told that it is gone."""
    store = LmdbStore(tmp_path)
    chain = Chain(store, genesis(), DEPTH)
    key = b"accounts/nonce/" + ALICE.address
    wrong: list[Any] = []
    over = threading.Event()

    def reading() -> Iterator[None]:
        while not over.is_set():
            height = chain.height
            try:
                value = chain.read_at(height)(key)
            except Rejected:
                continue
            if value != (height.to_bytes(1, "big") if height else None):
                wrong.append((height, value))
            yield

    readers = [threading.Thread(target=lambda: list(reading())) for _ in range(2)]
    for each in readers:
        each.start()
    blocks(chain, 60)
    over.set()
    for each in readers:
        each.join()
    store.close()

    assert wrong == []


def test_state_by_table() -> None:
    """The present state is in its table as it is, key by key: what snapshots and audits go through."""
    store = MemoryStore()
    chain = Chain(store, genesis(), DEPTH)
    dumps = blocks(chain, 2)

    assert dict(store.items(STATE)) == dumps[-1] == dict(chain.rows())


def test_history_survives_the_process() -> None:
    """A chain opened again reads the same past."""
    store = MemoryStore()
    dumps = blocks(Chain(store, genesis(), DEPTH), 3)

    again = Chain(store, genesis(), DEPTH)

    for height, dump in enumerate(dumps):
        read = again.read_at(height)
        assert {key: read(key) for key in dumps[-1]} == {key: dump.get(key) for key in dumps[-1]}


def test_a_desk_proves_its_past() -> None:
    """A key of an earlier state is proved under that block's root, and not under the head's."""
    desk = Desk()
    desk.settle(transfer(0))
    desk.settle(transfer(1))
    key = b"accounts/nonce/" + ALICE.address

    value, proved = desk.chain.prove(key, 1)

    assert value == Wei(1).to_bytes(1, "big")
    assert proves(desk.chain.header(1).state_root, key, value, proved.proof)
    assert not proves(desk.chain.header(2).state_root, key, value, proved.proof)
