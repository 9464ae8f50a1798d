"""The mempool: bounded in every direction, best first, and replaceable only for more."""

from collections.abc import Callable

import pytest
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID

from paraph.adapters.solo import mempool as module
from paraph.adapters.solo.mempool import Mempool
from paraph.core.amount import Wei
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import Address
from paraph.core.keys import PrivateKey
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
    """No more gas is chosen than the block has; a smaller one behind may still fit."""
    big, bigger, small = waiting(0, gas=60_000, tip=30), waiting(0, CAROL, gas=60_000, tip=20), waiting(0, BOB)

    assert pool(big, bigger, small).select(at(), 100_000, BASE_FEE) == (big, small)


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
