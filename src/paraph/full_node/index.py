"""The event index of a node: kept up with the chain in the background, asked by whoever looks for events.

It is no part of consensus. Blocks are kept first and indexed after; an index that fails is reported, tried again, and
never stops the chain. An answer is either whole or refused: nothing is searched in blocks that are not indexed yet.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

import structlog

from paraph.adapters.ethereum.rpc import INVALID_PARAMS, LIMIT_EXCEEDED, UNAVAILABLE, Method, RpcError, refusal
from paraph.adapters.ethereum.wire import quantity
from paraph.adapters.index.port import (
    HEIGHT_MAX,
    BlockRows,
    Covered,
    EventIndex,
    LogQuery,
    LogRow,
    PageQuery,
    TransactionRow,
)
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import Address, to_hex
from paraph.full_node.chain import Chain
from paraph.full_node.shapes import block_rows
from paraph.full_node.tables import StoredBlock
from paraph.full_node.wire import read_address, read_count, read_data

STEP_BLOCKS_MAX: Final = 200
STEP_ITEMS_MAX: Final = 5_000
"""Blocks, and transactions in them, of one write while catching up: some tenths of a second."""
RETRY_S: Final = 5.0
"""After a failure. A database that was restarted is there again in seconds."""
IDLE_S: Final = 1.0
"""Between looks at the chain when nobody tells of a new block."""
WAIT_S_MAX: Final = 2.0
"""A query waits so long for the index to reach the head; usually it needs milliseconds."""
READERS: Final = 4
PAGE_MAX: Final = 500
"""Transactions in one page: some 200 kB."""
PAGE_USUAL: Final = 50
CURSOR_BYTES: Final = 12

T = TypeVar("T")

_log = structlog.get_logger()


class Index:
    """The index beside a chain.

    Args:
        chain: whose blocks are indexed.
        opened: opens the index; called again after a failure. Raises `Unavailable` when it cannot.
    """

    def __init__(self, chain: Chain, opened: Callable[[], EventIndex]) -> None:
        self._chain = chain
        self._opened = opened
        self._open: EventIndex | None = None
        self._covered: Covered | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._working = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, "index-writer")
        self._readers = ThreadPoolExecutor(READERS, "index-reader")
        self.failure = ""

    # --- its life ---

    async def start(self) -> None:
        """Begin to keep up, in the background."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish the write in work and close. Stopping twice is stopping once."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._loop = None
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True, cancel_futures=True)
        if self._open is not None:
            self._open.close()
            self._open = None

    def wake(self) -> None:
        """Say that there is a new block. From any thread; does nothing when not started."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed: there is nothing to wake
                loop.call_soon_threadsafe(self._wake.set)

    async def rebuild(self) -> None:
        """Drop all rows; the background task fills them in again from the blocks.

        Raises:
            Unavailable: the index does not answer.
        """
        async with self._working:
            await self._write(self._ready().clear)
            self._covered = None
        self._wake.set()

    # --- what it has ---

    @property
    def height(self) -> int | None:
        """The last block indexed; None when there is none."""
        return None if self._covered is None else self._covered.last

    @property
    def behind(self) -> int:
        """Blocks that are kept and not yet indexed."""
        first = self._chain.first_height
        return self._chain.height + 1 - (first if self.height is None else self.height + 1)

    @property
    def told(self) -> str:
        """How far it is, in words."""
        at = "empty" if self.height is None else f"at block {self.height}"
        return f"{at} of {self._chain.height}" + (f"; {self.failure}" if self.failure else "")

    def health(self) -> JsonObject:
        """What `/health` says of it. A broken index is no broken node."""
        return {"height": self.height, "behind": self.behind, "failure": self.failure or None}

    def covers(self, first: int, last: int) -> bool:
        """True when all of these blocks are indexed."""
        found = self._covered
        return found is not None and found.first <= first and last <= found.last

    async def reaches(self, first: int, last: int) -> bool:
        """Wait a little until all of these blocks are indexed. False when they still are not."""
        self._wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S_MAX), self._moved:
                await self._moved.wait_for(lambda: self.covers(first, last))
        return self.covers(first, last)

    # --- what it is asked ---

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {"paraph_getTransactions": Method(self.page, (read_address, _read_cursor, read_count), 1)}

    async def logs(self, query: LogQuery) -> list[LogRow]:
        """Events in order, of blocks that are all indexed.

        Raises:
            RpcError: LIMIT_EXCEEDED when it takes too long, UNAVAILABLE when the index does not answer.
        """
        return await self._read(lambda opened: opened.logs(query))

    async def page(self, account: Address, cursor: tuple[int, int] | None, limit: int | None) -> Json:
        """`paraph_getTransactions`: an account's transactions, newest first, in pages."""
        size = PAGE_USUAL if limit is None else limit
        if not 0 < size <= PAGE_MAX:
            raise RpcError(INVALID_PARAMS, f"invalid argument 2: limit must be 1 to {PAGE_MAX}")
        head, first = self._chain.height, self._chain.first_height
        if not self.covers(first, head) and not await self.reaches(first, head):
            raise RpcError(UNAVAILABLE, f"index behind: {self.told}; try again")
        covered = self._covered
        if covered is not None:
            first = covered.first
        query = PageQuery(account, first, head, (head + 1, 0) if cursor is None else cursor, size + 1)
        found = await self._read(lambda opened: opened.transactions(query))
        page, more = found[:size], len(found) > size
        return {
            "transactions": [_transaction_json(row) for row in page],
            "cursor": to_hex(_cursor(page[-1])) if more else None,
            # Older blocks than the first may exist elsewhere: after a state sync this node never had them.
            "firstBlock": quantity(first),
            "lastBlock": quantity(head),
        }

    async def _read(self, ask: Callable[[EventIndex], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, ask, self._ready())
        except Unavailable as error:
            number = LIMIT_EXCEEDED if error.code == "index.slow" else UNAVAILABLE
            raise refusal(number, error.message, error) from error

    def _ready(self) -> EventIndex:
        if self._open is None:
            raise Unavailable("index.closed", f"the event index is not open: {self.failure or 'it is starting'}")
        return self._open

    # --- keeping up ---

    async def _run(self) -> None:
        while True:
            try:
                async with self._working:
                    idle = await self._step()
                self.failure = ""
                if idle:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), IDLE_S)
                    self._wake.clear()
            except Exception as error:  # noqa: BLE001  whatever it is, the chain goes on: say so, and try again
                self._fail(error)
                await asyncio.sleep(RETRY_S)

    async def _step(self) -> bool:
        """Bring the index some blocks nearer to the head. True when it is there."""
        if self._open is None:
            await self._write(self._begin)
        opened = self._ready()
        if self._covered is None:
            self._covered = await self._agreed(opened)
        after = self._chain.first_height - 1 if self._covered is None else self._covered.last
        blocks = await self._blocks(after + 1)
        if not blocks:
            return True
        await self._write(_put, opened, blocks)
        first = blocks[0].header.height if self._covered is None else self._covered.first
        last = blocks[-1].header
        async with self._moved:
            self._covered = Covered(first, last.height, last.hash())
            self._moved.notify_all()
        return last.height >= self._chain.height

    def _begin(self) -> None:
        # Kept here, in the thread that opened it: who awaits this may be cancelled meanwhile, and `stop` must close it.
        self._open = self._opened()

    async def _agreed(self, opened: EventIndex) -> Covered | None:
        """What is indexed of this chain; what is not, because the chain was set back or synced anew, is dropped."""
        covered = await self._write(opened.covered)
        if covered is None or self._is_ours(covered):
            return covered
        _log.warning("index.dropped", first=covered.first, last=covered.last, height=self._chain.height)
        await self._write(opened.clear)
        return None

    def _is_ours(self, covered: Covered) -> bool:
        # After a state sync the chain may begin far above the index: the blocks between are nowhere here.
        if not self._chain.first_height <= covered.last <= self._chain.height:
            return False
        try:
            return self._chain.block(covered.last).header.hash() == covered.hash
        except Rejected:
            return False

    async def _blocks(self, first: int) -> list[StoredBlock]:
        found: list[StoredBlock] = []
        items = 0
        for height in range(first, min(self._chain.height, first + STEP_BLOCKS_MAX - 1) + 1):
            if items >= STEP_ITEMS_MAX:
                break
            found.append(self._chain.block(height))
            items += len(found[-1].transactions) + sum(len(result.logs) for result in found[-1].results)
            await asyncio.sleep(0)
        return found

    async def _write(self, work: Callable[..., T], *arguments: object) -> T:
        # Shielded: a write that is cut off would go on in its thread, and nobody would know what it did.
        task = asyncio.get_running_loop().run_in_executor(self._writer, work, *arguments)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with suppress(ParaphError):
                await task
            raise

    def _fail(self, error: Exception) -> None:
        told = error.message if isinstance(error, ParaphError) else f"{type(error).__name__}: {error}"
        if told != self.failure:
            _log.error("index.failed", reason=told, exc_info=None if isinstance(error, ParaphError) else error)
        self.failure = told
        self._covered = None
        if self._open is not None:
            with suppress(ParaphError):
                self._open.close()
            self._open = None


def _put(opened: EventIndex, blocks: list[StoredBlock]) -> None:
    rows: list[BlockRows] = [block_rows(block) for block in blocks]
    opened.write(rows)


def _transaction_json(row: TransactionRow) -> JsonObject:
    return {
        "hash": to_hex(row.hash),
        "blockNumber": quantity(row.height),
        "blockHash": to_hex(row.block_hash),
        "blockTimestamp": quantity(row.time_s),
        "transactionIndex": quantity(row.index),
        "from": to_hex(row.sender),
        "to": to_hex(row.recipient),
    }


def _cursor(row: TransactionRow) -> bytes:
    return row.height.to_bytes(8, "big") + row.index.to_bytes(4, "big")


def _read_cursor(value: Json, what: str) -> tuple[int, int]:
    """Read what a page gave as its cursor: the place before which the next one begins."""
    data = read_data(value, what, CURSOR_BYTES)
    index = min(int.from_bytes(data[8:], "big"), 2**31 - 1)
    return min(int.from_bytes(data[:8], "big"), HEIGHT_MAX), index
