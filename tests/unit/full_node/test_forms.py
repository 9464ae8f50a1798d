"""Checks of form in worker processes: the same answers as here, each signature found once, and no worker missed."""

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.sim.market import until
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, OPERATOR, receipt, request, signed
from tests.unit.full_node.world import calling, transfer

from paraph.core import keys
from paraph.core.digest import keccak256
from paraph.core.errors import ParaphError
from paraph.core.ident import Digest
from paraph.full_node import forms as module
from paraph.full_node.forms import Forms, Signatures, examine
from paraph.ledger.forms import check_whole
from paraph.ledger.tx import SignedTx

T = TypeVar("T")


def settlement(*signers: Any, nonce: int = 0) -> bytes:
    """A settlement of a receipt a signer."""
    items = []
    for number, signer in enumerate(signers):
        asked = request(number=number)
        items.append(signed(asked, receipt(asked), signer=signer))
    return calling(nonce, "Settlement", "settle", tuple(items), sender=OPERATOR)


def good_item(number: int) -> Any:
    asked = request(number=number)
    return signed(asked, receipt(asked))


BATCH = calling(0, "Settlement", "settle", tuple(good_item(number) for number in range(5)), sender=OPERATOR)
GOOD = (transfer(0), transfer(1), transfer(0, sender=BOB), BATCH)
BAD = (b"", b"\x02garbage", transfer(0, chain_id=1), settlement(CAROL), transfer(0)[:-1])
EACH = (*GOOD, *BAD)


def answer(found: SignedTx | BaseException) -> Any:
    """What a check gives, to be compared."""
    if isinstance(found, ParaphError):
        return found.code, found.message
    if isinstance(found, BaseException):
        raise found
    return found


@pytest.fixture
def one_worker() -> Iterator[Forms]:
    """Checks in one process."""
    found = Forms(CHAIN_ID, Signatures(), 1)
    yield found
    found.close()


def go(forms: Forms, main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, and the workers with it."""

    async def scene() -> T:
        async with asyncio.timeout(30):
            return await main

    return asyncio.run(scene())


async def checked(forms: Forms, *raws: bytes) -> list[Any]:
    """All at once; what became of each."""
    found = await asyncio.gather(*(forms.check(raw) for raw in raws), return_exceptions=True)
    return [answer(each) for each in found]


def pids(forms: Forms) -> set[int]:
    """The worker processes."""
    assert forms._pool is not None
    return set(forms._pool._processes or {})


def test_same_answers_wherever_they_are_found(one_worker: Forms) -> None:
    """What is accepted and what is refused, and why, is the same with a worker and without."""
    here = Forms(CHAIN_ID, Signatures(), 0)
    expected = go(here, checked(here, *EACH))

    assert [isinstance(each, SignedTx) for each in expected] == [True] * len(GOOD) + [False] * len(BAD)
    assert expected[len(GOOD) + 3][0] == "tx.receipts"
    assert go(one_worker, checked(one_worker, *EACH)) == expected
    assert go(one_worker, checked(one_worker, *EACH)) == expected
    assert (here._pool, here.waiting, one_worker.waiting) == (None, 0, 0)


def counting(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The signatures looked for in this process."""
    asked: list[bytes] = []
    real = keys.recover

    def recover(digest: Digest, signature: bytes) -> Any:
        asked.append(signature)
        return real(digest, signature)

    monkeypatch.setattr(module, "recover", recover)
    return asked


def test_found_once(one_worker: Forms, monkeypatch: pytest.MonkeyPatch) -> None:
    """No signature that a worker found is looked for here: not at the check, nor when a block asks again."""
    asked = counting(monkeypatch)

    found = go(one_worker, checked(one_worker, *GOOD))

    signatures = one_worker._signatures
    assert [check_whole(raw, CHAIN_ID, signatures) for raw in GOOD] == found
    assert asked == []
    assert [signatures.form(raw, CHAIN_ID) is each for raw, each in zip(GOOD, found, strict=True)] == [True] * len(GOOD)


def test_prepared_block_needs_no_second_look(one_worker: Forms, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block heard of whole is examined by the workers, from a thread, beside checks on the loop."""
    asked = counting(monkeypatch)
    block = [transfer(nonce) for nonce in range(20)]

    async def scene() -> None:
        await asyncio.gather(
            asyncio.to_thread(one_worker.prepare, [*block, *BAD]),
            checked(one_worker, *(transfer(nonce, sender=BOB) for nonce in range(20))),
            asyncio.to_thread(one_worker.prepare, [transfer(nonce, sender=CAROL) for nonce in range(20)]),
        )

    go(one_worker, scene())

    assert len({one_worker.check_now(raw).hash for raw in block}) == 20
    assert asked == []
    assert len(one_worker._seen) == len(BAD)


def test_nothing_to_prepare(one_worker: Forms) -> None:
    """What is known, or a single transaction, is not handed over; without workers nothing ever is."""
    one_worker.prepare([transfer(0)])
    one_worker.prepare([])
    alone = Forms(CHAIN_ID, Signatures(), 0)
    alone.prepare(GOOD)

    assert (one_worker._pool, alone._pool) == (None, None)


def test_handed_over_together(one_worker: Forms, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits while a worker is busy goes to it in one piece, bounded by number and by bytes."""
    monkeypatch.setattr(module, "GATHERED_MAX", 8)
    monkeypatch.setattr(module, "GATHERED_BYTES_MAX", 3_000)
    handed: list[list[bytes]] = []
    real = one_worker._start

    def start(raws: list[bytes]) -> Any:
        handed.append(raws)
        return real(raws)

    one_worker._start = start  # type: ignore[method-assign]
    small = [transfer(nonce) for nonce in range(20)]
    large = [transfer(nonce, data=bytes(2_000), gas=100_000) for nonce in range(20, 23)]

    go(one_worker, checked(one_worker, *small, *large))

    assert [len(each) for each in handed] == [8, 8, 5, 1, 1]
    assert [raw for each in handed for raw in each] == [*small, *large]
    assert one_worker.waiting == 0


def test_one_after_another(one_worker: Forms) -> None:
    """One that comes in the moment when the one before it is done is not left waiting for a third."""

    async def each_after_the_other() -> list[SignedTx]:
        async with asyncio.timeout(60):
            return [await one_worker.check(raw) for raw in GOOD]

    found = asyncio.run(each_after_the_other())

    assert [each.raw for each in found] == list(GOOD)


def test_one_larger_than_all(one_worker: Forms, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction larger than what is handed over at once still goes."""
    monkeypatch.setattr(module, "GATHERED_BYTES_MAX", 10)

    found = go(one_worker, checked(one_worker, transfer(0), transfer(1)))

    assert [each.tx.nonce for each in found] == [0, 1]


def test_killed_worker_loses_nothing(one_worker: Forms) -> None:
    """A worker that is killed while it waits or works takes no answer with it, and the next has its place."""

    async def scene() -> None:
        await checked(one_worker, transfer(0))
        (first,) = pids(one_worker)
        os.kill(first, signal.SIGKILL)
        found = await checked(one_worker, *(transfer(nonce) for nonce in range(1, 9)))
        assert [each.tx.nonce for each in found] == list(range(1, 9))

        batches = [
            calling(at, "Settlement", "settle", tuple(good_item(n) for n in range(50)), sender=OPERATOR)
            for at in range(6)
        ]
        working = asyncio.create_task(checked(one_worker, *batches))
        await until(lambda: one_worker._pool is not None and pids(one_worker))
        (second,) = pids(one_worker)
        os.kill(second, signal.SIGKILL)
        assert [each.tx.nonce for each in await working] == list(range(6))

        await checked(one_worker, transfer(50))
        (third,) = pids(one_worker)
        assert len({first, second, third}) == 3

    go(one_worker, scene())


def test_worker_killed_before_a_block(one_worker: Forms) -> None:
    """A block is prepared, or at least not stopped, though the workers were killed while nobody asked them."""
    block = [transfer(nonce) for nonce in range(6)]
    one_worker.prepare(block)
    (pid,) = pids(one_worker)
    assert one_worker._pool is not None
    manager: Any = one_worker._pool._executor_manager_thread
    os.kill(pid, signal.SIGKILL)
    manager.join(20)

    one_worker.prepare([transfer(nonce, sender=BOB) for nonce in range(6)])
    one_worker.prepare([transfer(nonce, sender=CAROL) for nonce in range(6)])

    assert {pid} != pids(one_worker)
    assert [one_worker.check_now(raw).tx.nonce for raw in block] == list(range(6))


def test_stuck_worker_keeps_nobody_waiting(one_worker: Forms, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stands still is given up, and ended: block and transactions are checked without it."""
    go(one_worker, checked(one_worker, transfer(0)))
    (first,) = pids(one_worker)
    monkeypatch.setattr(module, "WORK_S_MAX", 0.5)
    os.kill(first, signal.SIGSTOP)
    block = [transfer(nonce) for nonce in range(1, 4)]

    one_worker.prepare(block)
    assert one_worker._pool is None
    monkeypatch.setattr(module, "WORK_S_MAX", 30)
    go(one_worker, checked(one_worker, transfer(9)))
    (second,) = pids(one_worker)
    monkeypatch.setattr(module, "WORK_S_MAX", 0.5)
    os.kill(second, signal.SIGSTOP)
    found = go(one_worker, checked(one_worker, transfer(10), transfer(11)))

    assert [each.tx.nonce for each in found] == [10, 11]
    assert [one_worker.check_now(raw).tx.nonce for raw in block] == [1, 2, 3]
    until_gone(first, second)


def until_gone(*gone: int) -> None:
    """Wait until these processes have ended."""
    end_s = time.monotonic() + 20
    while any(_runs(pid) for pid in gone):
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_read_transactions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many transactions, and bytes of them, are remembered as read; a forgotten one is read again, and the same."""
    raws = [transfer(nonce) for nonce in range(6)]
    monkeypatch.setattr(module, "READ_MAX", 4)
    signatures = Signatures()
    forms = Forms(CHAIN_ID, signatures, 0)

    first = [forms.check_now(raw) for raw in (*raws, *raws)]
    by_number = [raw for raw in raws if signatures.whole(raw)]
    monkeypatch.setattr(module, "READ_BYTES_MAX", 2 * len(raws[-1]))
    forms.check_now(raws[0])

    assert first[:6] == first[6:]
    assert by_number == raws[2:]
    assert [raw for raw in raws if signatures.whole(raw)] == [raws[0], raws[5]]
    assert signatures._read_bytes == sum(map(len, signatures._read))
    assert signatures.form(raws[3], CHAIN_ID) == first[3]


def test_what_was_not_checked_whole_is_not_remembered(one_worker: Forms) -> None:
    """A transaction that is refused, or whose form alone was asked for, is not one that passed."""
    forged = settlement(CAROL)
    signatures = one_worker._signatures

    go(one_worker, checked(one_worker, forged, *BAD))
    signatures.form(forged, CHAIN_ID)

    assert [signatures.whole(raw) for raw in (forged, *BAD)] == [None] * (1 + len(BAD))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many signatures and transactions are remembered, the oldest forgotten; what is forgotten is found again."""
    monkeypatch.setattr(module, "REMEMBERED_MAX", 5)
    monkeypatch.setattr(module, "SEEN_MAX", 3)
    signatures = Signatures()
    forms = Forms(CHAIN_ID, signatures, 0)
    monkeypatch.setattr(module, "READ_MAX", 2)
    raws = [transfer(nonce) for nonce in range(12)]

    for raw in (*raws, *(bytes((number,)) for number in range(6))):
        forms._remember([raw], examine([raw], CHAIN_ID))

    asked = counting(monkeypatch)
    assert (len(signatures._known), len(signatures._read), len(forms._seen)) == (5, 2, 3)
    assert [forms.check_now(raw).tx.nonce for raw in raws] == list(range(12))
    assert len(asked) == 7


def test_caller_that_goes_away(one_worker: Forms) -> None:
    """A caller that gives up while it waits disturbs no other."""

    async def scene() -> list[Any]:
        leaving = asyncio.create_task(one_worker.check(transfer(0)))
        staying = asyncio.create_task(checked(one_worker, transfer(1), transfer(2)))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert [each.tx.nonce for each in go(one_worker, scene())] == [1, 2]


def test_closing_ends_the_workers(one_worker: Forms) -> None:
    """After closing no worker runs; closing twice is closing once; who waits is let go."""

    async def scene() -> tuple[set[int], Any]:
        await checked(one_worker, transfer(0))
        found = pids(one_worker)
        waiting = asyncio.create_task(checked(one_worker, BATCH))
        await asyncio.sleep(0)
        one_worker.close()
        return found, await waiting

    running, (found,) = go(one_worker, scene())
    one_worker.close()

    assert isinstance(found, SignedTx)
    assert running
    for _ in range(400):
        if not any(_runs(pid) for pid in running):
            break
        time.sleep(0.02)
    assert not any(_runs(pid) for pid in running)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        # It may go between the opening of its file and the reading.
        return False


def test_signatures_are_remembered_as_found() -> None:
    """What is remembered answers for exactly that digest and that signature; a strange one is looked for."""
    digest = Digest(keccak256(b"said"))
    made = ALICE.sign(digest)
    signatures = Signatures()

    signatures.remember([(None, [(digest, made, BOB.address)])])

    assert signatures(digest, made) == BOB.address
    assert signatures(digest, ALICE.sign(Digest(keccak256(b"else")))) != BOB.address
    assert signatures(Digest(keccak256(b"else")), ALICE.sign(Digest(keccak256(b"else")))) == ALICE.address


def test_garbage_has_no_signatures() -> None:
    """A worker finds nothing in what is no transaction, and reads the rest."""
    found = examine([b"", transfer(0), b"\xff" * 99, BATCH], CHAIN_ID)

    assert [whole and whole.raw for whole, _ in found] == [None, transfer(0), None, BATCH]
    assert [len(signatures) for _, signatures in found] == [0, 1, 0, 1 + 2 * 5]
    assert found[1][1][0][2] == ALICE.address
