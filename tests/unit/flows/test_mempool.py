"""The mempool: bounded in every direction, best first, and replaceable only for more."""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, person

from paraph.core.amount import Wei
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import Address
from paraph.core.keys import PrivateKey
from paraph.flows import mempool as module
from paraph.flows.mempool import Mempool
from paraph.ledger.tx import SignedTx, Tx, check_form

BASE_FEE = 100
BLOCK_GAS = 30_000_000


def waiting(
    nonce: int, sender: PrivateKey = ALICE, *, tip: int = 10, fee: int = 1_000, gas: int = 21_000, size: int = 0
) -> SignedTx:
    gas = max(gas, 21_000 + 4 * size)
    return check_form(Tx(2, CHAIN_ID, nonce, tip, fee, gas, BOB.address, Wei(1), bytes(size)).sign(sender), CHAIN_ID)


def pool(*held: SignedTx) -> Mempool:
    found = Mempool()
    for each in held:
        found.add(each, 0)
    return found


def at(**nonces: int) -> Callable[[Address], int]:
    people = {"alice": ALICE, "bob": BOB, "carol": CAROL}
    known = {people[name].address: value for name, value in nonces.items()}
    return lambda sender: known.get(sender, 0)


def refused(held: Mempool, signed: SignedTx) -> ParaphError:
    before = len(held)
    with pytest.raises(ParaphError) as caught:
        held.add(signed, 0)
    assert len(held) == before
    return caught.value


def test_known_once() -> None:
    """The same transaction twice is refused."""
    held = pool(waiting(0))

    assert refused(held, waiting(0)).code == "mempool.known"


def test_best_tip_first_and_senders_in_order() -> None:
    """Higher tips go first; a sender's transactions keep their order whatever they tip."""
    cheap, rich = waiting(0, tip=1), waiting(1, tip=99)
    middle = waiting(0, CAROL, tip=50)

    chosen = pool(rich, cheap, middle).select(at(), BLOCK_GAS, BASE_FEE)

    assert chosen == (middle, cheap, rich)


def test_tip_counts_as_paid() -> None:
    """What orders is the tip that is left above the base fee, not the one promised."""
    promises = waiting(0, tip=100, fee=BASE_FEE + 5)
    pays = waiting(0, CAROL, tip=6)

    assert pool(promises, pays).select(at(), BLOCK_GAS, BASE_FEE) == (pays, promises)


def test_too_little_for_the_base_fee_waits() -> None:
    """What pays less than the base fee stays, and what follows it with it."""
    held = pool(waiting(0, tip=1, fee=BASE_FEE - 1), waiting(1))

    assert held.select(at(), BLOCK_GAS, BASE_FEE) == ()
    assert len(held.select(at(), BLOCK_GAS, BASE_FEE - 1)) == 2


def test_gap_waits_and_fills() -> None:
    """What is behind a gap goes in once the gap is filled."""
    held = pool(waiting(2), waiting(1))

    assert held.select(at(), BLOCK_GAS, BASE_FEE) == ()
    assert held.next_nonce(ALICE.address, 0) == 0

    held.add(waiting(0), 0)

    assert [each.tx.nonce for each in held.select(at(), BLOCK_GAS, BASE_FEE)] == [0, 1, 2]
    assert held.next_nonce(ALICE.address, 0) == 3


def test_block_gas_is_kept() -> None:
    """No more gas is chosen than the block has, counted as what each uses at least."""
    first, second, third = waiting(0, tip=30), waiting(0, CAROL, tip=20), waiting(0, BOB)

    assert pool(first, second, third).select(at(), 2 * 21_000, BASE_FEE) == (first, second)


def test_declared_gas_keeps_nobody_out() -> None:
    """Who declares a whole block's gas, which comes back unused, takes no more room than it needs."""
    greedy, honest = waiting(0, gas=30_000_000, tip=30), waiting(0, BOB)

    assert pool(greedy, honest).select(at(), 30_000_000, BASE_FEE) == (greedy, honest)


def test_next_in_turn() -> None:
    """Of each sender the transaction whose turn it is, where it is here."""
    first, after, gapped = waiting(0), waiting(1), waiting(1, BOB)

    assert pool(first, after, gapped).next_in_turn(at()) == [first]


@pytest.mark.parametrize(("tip", "fee", "accepted"), [(11, 1_100, True), (10, 1_100, False), (11, 1_099, False)])
def test_replacement_offers_a_tenth_more(tip: int, fee: int, accepted: bool) -> None:
    """A replacement takes the place when tip and cap both rise by 10 %, and not for less."""
    held, later = pool(waiting(0)), waiting(0, tip=tip, fee=fee)

    if accepted:
        held.add(later, 0)
    else:
        assert refused(held, later).code == "mempool.underpriced"

    assert len(held) == 1
    assert (held.get(later.hash) is later) is accepted


def test_sender_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sender has so many places; it may still replace."""
    monkeypatch.setattr(module, "SENDER_MAX", 3)
    held = pool(*(waiting(nonce) for nonce in range(3)))

    error = refused(held, waiting(3))

    assert isinstance(error, Rejected)
    assert error.code == "mempool.sender_full"
    held.add(waiting(1, tip=20, fee=2_000), 0)
    held.add(waiting(0, CAROL), 0)


def test_pool_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pool says to come back later; what a block takes makes room."""
    monkeypatch.setattr(module, "POOL_MAX", 2)
    held = pool(waiting(0), waiting(1))

    error = refused(held, waiting(0, CAROL))

    assert isinstance(error, Unavailable)
    assert error.code == "mempool.full"
    held.forget(at(alice=1))
    held.add(waiting(0, CAROL), 0)
    assert held.get(waiting(0).hash) is None


def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large transactions fill the pool by their bytes; dropping them gives the bytes back."""
    monkeypatch.setattr(module, "POOL_BYTES_MAX", 3_000)
    first = waiting(0, size=2_000)
    held = pool(first)

    assert refused(held, waiting(1, size=2_000)).code == "mempool.full"

    held.drop(first)
    held.drop(first)
    held.add(waiting(0, size=2_000), 0)


def test_gaps_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions behind gaps push out the oldest of their kind, never one that can go in."""
    monkeypatch.setattr(module, "GAPPED_MAX", 2)
    ready, old = waiting(0, CAROL), waiting(5)
    held = pool(ready, old, waiting(6), waiting(7))

    assert held.get(old.hash) is None
    assert held.get(ready.hash) is ready
    assert len(held) == 3

    held.add(waiting(0, BOB), 0)  # fills no gap
    held.add(waiting(4), 0)
    assert held.get(waiting(6).hash) is None


def test_filled_gap_counts_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once their gap is filled, transactions are no longer pushed out."""
    monkeypatch.setattr(module, "GAPPED_MAX", 1)
    held = pool(waiting(1), waiting(0))

    held.add(waiting(9), 0)

    assert held.get(waiting(1).hash) is not None
    assert len(held) == 3


def test_nothing_is_left_of_what_is_gone() -> None:
    """A pool that has emptied holds nothing at all, not even names of senders."""
    held = pool(waiting(0), waiting(1), waiting(0, CAROL), waiting(7, BOB))
    refused(held, waiting(0))

    held.forget(at(alice=2, bob=8, carol=1))

    assert len(held) == 0
    assert (held._waiting, held._gapped, held._bytes) == ({}, {}, 0)


def test_dropping_leaves_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood behind a dropped transaction counts as behind a gap."""
    monkeypatch.setattr(module, "GAPPED_MAX", 1)
    held = pool(waiting(0), waiting(1))

    held.drop(waiting(0))
    held.add(waiting(9, CAROL), 0)

    assert held.get(waiting(1).hash) is None


# --- a full pool ---------------------------------------------------------------------------------------------------


def crowd(*tips: int) -> list[SignedTx]:
    """One transaction each of many senders, with these tips."""
    return [waiting(0, person(f"sender {at}"), tip=tip) for at, tip in enumerate(tips)]


def test_lowest_tip_goes_for_a_higher_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pool lets its lowest tip go for a higher one, of equal ones the newest, and never for as much."""
    monkeypatch.setattr(module, "POOL_MAX", 4)
    high, old, new, middle = crowd(9, 3, 3, 5)
    held = pool(high, old, new, middle)

    assert refused(held, waiting(0, tip=3)).code == "mempool.full"
    held.add(waiting(0, tip=4), 0)

    assert set(held) == {high, old, middle, waiting(0, tip=4)}
    held.add(waiting(0, BOB, tip=6), 0)
    assert set(held) == {high, middle, waiting(0, tip=4), waiting(0, BOB, tip=6)}


def test_never_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender's transaction drives out none of its own, however little they tip; those of others it does."""
    monkeypatch.setattr(module, "POOL_MAX", 3)
    (other,) = crowd(5)
    mine = [waiting(0, tip=1), waiting(1, tip=1)]
    held = pool(*mine, other)

    held.add(waiting(2, tip=9), 0)

    assert set(held) == {*mine, waiting(2, tip=9)}
    assert refused(held, waiting(3, tip=99)).code == "mempool.full"


def test_room_for_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large transaction drives out as many cheaper ones as it takes, and none when they are too few."""
    monkeypatch.setattr(module, "POOL_BYTES_MAX", 3_000)
    small = [waiting(0, person(f"sender {at}"), tip=at + 1, size=500) for at in range(4)]
    held = pool(*small)
    large = waiting(0, tip=9, size=1_500)

    assert refused(held, waiting(0, BOB, tip=9, size=4_000)).code == "mempool.full"
    assert refused(held, waiting(0, BOB, tip=2, size=1_500)).code == "mempool.full"
    assert set(held) == set(small)
    held.add(large, 0)

    assert set(held) == {*small[2:], large}
    assert held.size_bytes == sum(len(each.raw) for each in held) <= 3_000


def test_replacement_when_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a full pool a replacement takes the place of what it replaces, and drives out others for its bytes alone."""
    monkeypatch.setattr(module, "POOL_MAX", 2)
    (cheap,) = crowd(1)
    held = pool(cheap, waiting(0))

    held.add(waiting(0, tip=20, fee=2_000), 0)

    assert set(held) == {cheap, waiting(0, tip=20, fee=2_000)}
    monkeypatch.setattr(module, "POOL_BYTES_MAX", 1_000)
    bigger = waiting(0, tip=40, fee=4_000, size=800)
    held.add(bigger, 0)
    assert set(held) == {bigger}


def test_what_is_driven_out_leaves_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood behind one that was driven out waits behind a gap, and is the first to go of those."""
    monkeypatch.setattr(module, "POOL_MAX", 3)
    monkeypatch.setattr(module, "GAPPED_MAX", 1)
    behind = waiting(1, tip=50)
    held = pool(waiting(0, tip=1), behind, *crowd(9))

    held.add(waiting(0, BOB, tip=9), 0)
    assert held.select(at(), BLOCK_GAS, BASE_FEE) != ()
    assert behind not in held.select(at(), BLOCK_GAS, BASE_FEE)
    held.forget(at(bob=1))
    held.add(waiting(7, CAROL), 0)

    assert held.get(behind.hash) is None


def test_what_came_twice_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that left and came back makes room for its bytes once when it is driven out."""
    monkeypatch.setattr(module, "POOL_BYTES_MAX", 1_500)
    back, other = waiting(0, CAROL, tip=1, size=300), waiting(0, BOB, tip=2, size=700)
    held = pool(back, other)
    held.drop(back)
    held.add(back, 0)

    held.add(waiting(0, tip=9, size=900), 0)

    assert set(held) == {waiting(0, tip=9, size=900)}


def test_books_do_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come and go, what the pool remembers of the gone is bounded."""
    monkeypatch.setattr(module, "POOL_MAX", 3)
    held = Mempool()
    for number in range(40):
        one = waiting(number)
        held.add(one, number)
        held.drop(one)

    assert len(held) == 0
    assert len(held._cheapest) <= 2 * 3 + 1


SENDERS = (ALICE, BOB, CAROL, person("dora"))
MANY = [
    waiting(nonce, sender, tip=tip, fee=200 + tip, size=size)
    for sender in SENDERS
    for nonce in range(3)
    for tip in (1, 2, 3, 4)
    for size in (0, 200, 700)
]


class PoolBesideModel(RuleBasedStateMachine):
    """A small pool beside a plain set, in which each decision is looked for anew."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "POOL_MAX", 4)
        self.patch.setattr(module, "POOL_BYTES_MAX", 1_500)
        self.patch.setattr(module, "SENDER_MAX", 2)
        self.patch.setattr(module, "GAPPED_MAX", 2)
        self.pool = Mempool()
        self.committed = {sender.address: 0 for sender in SENDERS}

    def teardown(self) -> None:
        self.patch.undo()

    @rule(signed=st.sampled_from(MANY))
    def add(self, signed: SignedTx) -> None:
        before = list(self.pool)
        expected = self.expected(signed)
        try:
            self.pool.add(signed, self.committed[signed.sender])
        except ParaphError as error:
            refusal = error.code
        else:
            refusal = ""
        if refusal:
            assert set(self.pool) == set(before)
            assert refusal != "mempool.full" or expected is None
            return
        assert expected is not None
        assert set(self.pool) <= set(expected)
        # Beyond that only what waits behind a gap may go, and only when too many do.
        went = set(expected) - set(self.pool)
        assert not went or len(self.pool._gapped) == 2
        for each in went:
            assert any(
                nonce not in {one.tx.nonce for one in expected if one.sender == each.sender}
                for nonce in range(self.committed[each.sender], each.tx.nonce)
            )

    def expected(self, signed: SignedTx) -> list[SignedTx] | None:
        """What the pool holds with `signed`: the cheapest of others, the newest first, go until it fits; or nothing."""
        held = [each for each in self.pool if (each.sender, each.tx.nonce) != (signed.sender, signed.tx.nonce)]
        going = sorted(
            (each for each in held if self.evictable(each, signed)),
            key=lambda each: (each.tx.tip_max, -held.index(each)),
        )
        while len(held) + 1 > 4 or sum(len(each.raw) for each in (*held, signed)) > 1_500:
            if not going:
                return None
            held.remove(going.pop(0))
        return [*held, signed]

    @staticmethod
    def evictable(each: SignedTx, signed: SignedTx) -> bool:
        return each.sender != signed.sender and each.tx.tip_max < signed.tx.tip_max

    @rule()
    def block(self) -> None:
        chosen = self.pool.select(self.next_nonce, 100_000, BASE_FEE)
        for each in chosen:
            self.committed[each.sender] += 1
        self.pool.forget(self.next_nonce)
        assert not set(chosen) & set(self.pool)

    @rule(signed=st.sampled_from(MANY))
    def drop(self, signed: SignedTx) -> None:
        self.pool.drop(signed)
        assert self.pool.get(signed.hash) is None

    @rule()
    def all_again(self) -> None:
        self.committed = {sender.address: 0 for sender in SENDERS}
        for each in list(self.pool):
            self.pool.drop(each)

    def next_nonce(self, sender: Address) -> int:
        return self.committed[sender]

    @invariant()
    def bounded(self) -> None:
        held = list(self.pool)
        assert len(held) == len(self.pool) <= 4
        assert self.pool.size_bytes == sum(len(each.raw) for each in held) <= 1_500
        assert max((sum(each.sender == one.address for each in held) for one in SENDERS), default=0) <= 2
        assert len({(each.sender, each.tx.nonce) for each in held}) == len(held)
        assert len(self.pool._gapped) <= 2
        assert len(self.pool._cheapest) <= 2 * 4 + 1
        assert {each.hash for each in held} <= {entry[2] for entry in self.pool._cheapest}

    @invariant()
    def selected_in_order(self) -> None:
        chosen = self.pool.select(self.next_nonce, BLOCK_GAS, BASE_FEE)
        for sender in SENDERS:
            mine = [each.tx.nonce for each in chosen if each.sender == sender.address]
            first = self.committed[sender.address]
            assert mine == list(range(first, first + len(mine)))
            held = {each.tx.nonce for each in self.pool if each.sender == sender.address}
            assert first + len(mine) not in held
        ready = dict(self.committed)
        for each in chosen:
            heads = [
                one
                for one in self.pool
                if one.tx.nonce == ready[one.sender] and one not in chosen[: chosen.index(each)]
            ]
            assert each.tx.price(BASE_FEE) == max(one.tx.price(BASE_FEE) for one in heads)
            ready[each.sender] += 1


PoolBesideModel.TestCase.settings = settings(stateful_step_count=25, max_examples=40)
TestPoolBesideModel = PoolBesideModel.TestCase
