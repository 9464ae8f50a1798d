"""The costly half of checking transactions, done in other processes: whose signatures they are.

A transaction's sender and the signers of the receipts it settles follow from its bytes alone, and finding them is most
of the work of a block. So each is found once, when the transaction arrives, and remembered until its block.

Who could write this memory could forge signatures; it lives in this process and is filled by its own workers only.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from threading import Lock
from typing import Final, TypeAlias

from paraph.core.digest import sha256
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import Address, Digest
from paraph.core.keys import recover
from paraph.ledger.forms import check_whole
from paraph.ledger.tx import SignedTx, check_form

REMEMBERED_MAX: Final = 200_000
"""Signatures remembered: some blocks' worth; about 50 MB."""
GATHERED_MAX: Final = 128
"""Transactions handed to a worker at once: handing over costs as much as five signatures."""
GATHERED_BYTES_MAX: Final = 1 << 20
READ_MAX: Final = 10_000
"""Transactions remembered as read: two full pools. A transaction of 200 bytes takes about a kilobyte so."""
READ_BYTES_MAX: Final = 64 * 1024 * 1024
WORK_S_MAX: Final = 30
"""What a worker may take for all that it was handed. A block of signatures takes a second; longer, and it is stuck."""
GONE: Final = (BrokenProcessPool, OSError, TimeoutError)
"""A worker was killed, could not be started, or is stuck."""
REFUSED_MAX: Final = 50_000
"""Transactions remembered as refused, by their SHA-256: what was forged once stays so, and is not looked at again."""
SEEN_MAX: Final = 50_000
"""Refused transactions known to be examined: ten full pools."""

Found: TypeAlias = tuple[Digest, bytes, Address]
"""What was signed, the signature, and whose it is."""
Examined: TypeAlias = tuple[SignedTx | None, Sequence[Found]]
"""A transaction, None where its form is refused, and all signatures found in it."""


class Signatures:
    """A `recover`, and a `check_form`, that remember, the oldest forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, bytes], Address] = OrderedDict()
        self._read: OrderedDict[bytes, SignedTx] = OrderedDict()
        self._read_bytes = 0
        self._lock = Lock()

    def __call__(self, digest: Digest, signature: bytes) -> Address:
        """See `paraph.core.keys.recover`."""
        known = self._known.get((digest, signature))
        return recover(digest, signature) if known is None else known

    def form(self, raw: bytes, chain_id: int) -> SignedTx:
        """See `paraph.ledger.tx.check_form`."""
        return self.whole(raw) or check_form(raw, chain_id, self)

    def whole(self, raw: bytes) -> SignedTx | None:
        """A transaction that passed `check_whole` here; None when it did not, or was forgotten."""
        return self._read.get(raw)

    def remember_whole(self, signed: SignedTx) -> None:
        """Keep a transaction that passed `check_whole`."""
        # The event loop admits, and the thread of consensus judges.
        with self._lock:
            if signed.raw not in self._read:
                self._read[signed.raw] = signed
                self._read_bytes += len(signed.raw)
            while len(self._read) > READ_MAX or self._read_bytes > READ_BYTES_MAX:
                raw, _ = self._read.popitem(last=False)
                self._read_bytes -= len(raw)

    def remember(self, examined: Sequence[Examined]) -> None:
        """Keep what a worker found."""
        for whole, found in examined:
            if whole is not None:
                self.remember_whole(whole)
            for digest, signature, address in found:
                self._known[digest, signature] = address
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)


class Forms:
    """Checks of form, in worker processes.

    Args:
        chain_id: the only chain accepted.
        signatures: where what is found is remembered.
        workers: processes; 0 does the work here, when it is asked for.
    """

    def __init__(self, chain_id: int, signatures: Signatures, workers: int) -> None:
        self._chain_id = chain_id
        self._signatures = signatures
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        # `check` comes from the event loop, `prepare` from the thread of consensus.
        self._lock = Lock()
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._refused: OrderedDict[bytes, Malformed | Rejected] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Transactions that wait for a worker."""
        return len(self._waiting)

    async def check(self, raw: bytes) -> SignedTx:
        """As `check_whole`. Raises as it does."""
        if self._workers and self._signatures.whole(raw) is None and sha256(raw) not in self._seen:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((raw, done))
            if len(self._jobs) < self._workers:
                job = asyncio.create_task(self._work())
                self._jobs.add(job)
                job.add_done_callback(self._jobs.discard)
            await done
        return self.check_now(raw)

    def check_now(self, raw: bytes) -> SignedTx:
        """As `check_whole`, in this thread. Raises as it does."""
        known = self._signatures.whole(raw)
        if known is not None:
            return known
        digest = sha256(raw)
        refused = self._refused.get(digest)
        if refused is not None:
            raise _anew(refused)
        try:
            known = check_whole(raw, self._chain_id, self._signatures)
        except (Malformed, Rejected) as error:
            self._refused[digest] = _anew(error)
            while len(self._refused) > REFUSED_MAX:
                self._refused.popitem(last=False)
            raise
        self._signatures.remember_whole(known)
        return known

    def prepare(self, raws: Sequence[bytes]) -> None:
        """Have what was not seen before examined by all workers, and wait: for a block heard of whole."""
        new = [raw for raw in raws if self._signatures.whole(raw) is None and sha256(raw) not in self._seen]
        if not self._workers or len(new) < 2:
            return
        parts = (new[start :: self._workers] for start in range(self._workers))
        for part, (pool, job) in [(part, self._start(part)) for part in parts if part]:
            try:
                self._remember(part, job.result(WORK_S_MAX))
            except GONE:
                # The block's own check finds what the worker was to find.
                self._abandon(pool)

    def close(self) -> None:
        """End the workers."""
        for job in self._jobs:
            job.cancel()
        if self._pool is not None:
            self._abandon(self._pool)

    def _start(self, raws: list[bytes]) -> "tuple[ProcessPoolExecutor, Future[Sequence[Examined]]]":
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"))
            pool = self._pool
            try:
                return pool, pool.submit(examine, raws, self._chain_id)
            except GONE as error:
                job: Future[Sequence[Examined]] = Future()
                job.set_exception(error)
                return pool, job

    def _abandon(self, pool: ProcessPoolExecutor) -> None:
        """End these workers; the next work starts new ones."""
        with self._lock:
            if self._pool is pool:
                self._pool = None
        # Before Python 3.14 the pool itself has no way to end a worker that is stuck, and would wait for it.
        for process in list((pool._processes or {}).values()):  # noqa: SLF001  see above
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)

    def _remember(self, raws: Sequence[bytes], examined: Sequence[Examined]) -> None:
        self._signatures.remember(examined)
        for raw, (whole, _) in zip(raws, examined, strict=True):
            if whole is None:
                self._seen[sha256(raw)] = None
        while len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    async def _work(self) -> None:
        try:
            await self._find_all()
        finally:
            # In the step that saw nothing wait: whoever comes next must not take this one for still at work, and wait.
            if (job := asyncio.current_task()) is not None:
                self._jobs.discard(job)
            if not self._jobs:
                # Left behind only by a fault: whoever waits looks for itself, and finds what is wrong.
                for _, done in self._waiting:
                    if not done.done():
                        done.set_result(None)
                self._waiting.clear()

    async def _find_all(self) -> None:
        while self._waiting:
            batch = self._waiting[: _gathered([raw for raw, _ in self._waiting[:GATHERED_MAX]])]
            del self._waiting[: len(batch)]
            raws = [raw for raw, _ in batch]
            pool, job = self._start(raws)
            try:
                self._remember(raws, await asyncio.wait_for(asyncio.wrap_future(job), WORK_S_MAX))
            except GONE:
                # What the worker was to find is found by whoever needs it.
                self._abandon(pool)
            finally:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)


def _anew(error: Malformed | Rejected) -> Malformed | Rejected:
    """The same error without its traceback, which would keep all that it passed through in memory."""
    return type(error)(error.code, error.message, **error.facts)


def _gathered(raws: Sequence[bytes]) -> int:
    """How many of these one worker takes at once: at least one, at most so many bytes."""
    size = 0
    for count, raw in enumerate(raws):
        size += len(raw)
        if count and size > GATHERED_BYTES_MAX:
            return count
    return len(raws)


def examine(raws: Sequence[bytes], chain_id: int) -> Sequence[Examined]:
    """Read transactions, and find whose signatures they carry. Runs in a worker."""
    return [_examine(raw, chain_id) for raw in raws]


def _examine(raw: bytes, chain_id: int) -> Examined:
    found: list[Found] = []

    def note(digest: Digest, signature: bytes) -> Address:
        address = recover(digest, signature)
        found.append((digest, signature, address))
        return address

    try:
        return check_whole(raw, chain_id, note), found
    except (Malformed, Rejected):
        return None, found
