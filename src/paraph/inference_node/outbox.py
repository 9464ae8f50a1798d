"""The outbox: every answer with its receipt, kept before it is delivered, until it is settled and after.

A kill between answer and settlement loses nothing: what is pending is settled after the restart, and the ledger's
replay guard makes it once. Who owns the disk can lose receipts, and so the node's income; not forge them.
"""

import asyncio
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final, TypeAlias

from paraph.core.encode import Json, JsonObject, as_list, as_object, canonical, decode, take
from paraph.core.errors import Rejected, Unavailable
from paraph.core.ident import Address, RequestKey
from paraph.core.limits import JSON_BYTES_MAX
from paraph.flows.ports import KeyValue
from paraph.proofs.bundle import Answer, answer_from_json
from paraph.proofs.request import SignedRequest, request_from_json

ANSWERS: Final = "answers"
PENDING: Final = "pending"
OUTCOMES: Final = "outcomes"
Rows: TypeAlias = Mapping[tuple[str, bytes], bytes | None]
"""What is put, or with None deleted, by table and key."""
NOTHING: Final[Rows] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Entry:
    """One answered request: what was asked, the answer, and its chunks if it was streamed."""

    request: SignedRequest
    answer: Answer
    chunks: tuple[JsonObject, ...]

    @property
    def place(self) -> bytes:
        """Its key in the outbox."""
        return place_of(self.request.request.payer, self.request.request.key)

    def encode(self) -> bytes:
        """The entry as it is kept."""
        chunks: list[Json] = list(self.chunks)
        return canonical({"request": self.request.as_json(), "answer": self.answer.as_json(), "chunks": chunks})


def place_of(payer: Address, key: RequestKey) -> bytes:
    """Where an answer is kept: two payers may draw the same key."""
    return payer + key


class Outbox:
    """Answers in a store, written in groups so that many requests share one flush of the disk."""

    def __init__(self, store: KeyValue) -> None:
        self._store = store
        self._waiting: list[tuple[dict[tuple[str, bytes], bytes | None], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self.failure: Unavailable | None = None

    def find(self, payer: Address, key: RequestKey) -> Entry | None:
        """The answer kept under a request key, or None."""
        data = self._store.get(ANSWERS, place_of(payer, key))
        return None if data is None else _entry(data)

    def pending(self, limit: int, but: Container[bytes] = ()) -> list[Entry]:
        """Up to `limit` answers that are not settled, in order of their keys, without those at the places `but`."""
        places = list(islice((place for place, _ in self._store.items(PENDING) if place not in but), limit))
        rows = (self._store.get(ANSWERS, place) for place in places)
        return [_entry(data) for data in rows if data is not None]

    def pending_prices(self) -> Iterator[tuple[Address, int]]:
        """Payer and price in wei of everything not settled: what is promised to this node."""
        for place, price in self._store.items(PENDING):
            yield Address(place[:20]), int.from_bytes(price, "big")

    def outcome(self, payer: Address, key: RequestKey) -> str | None:
        """What became of a request: `settled …` or `refused …`; None while pending or unknown."""
        found = self._store.get(OUTCOMES, place_of(payer, key))
        return None if found is None else found.decode()

    async def keep(self, entry: Entry, also: Rows = NOTHING) -> Entry:
        """Keep an answer; returns it as it will be read again, when it would survive a kill.

        Args:
            entry: the answer.
            also: rows of the same store that are written in the same step.

        Raises:
            Unavailable: the disk is full or failing: nothing was kept, and the answer must not be charged.
            Rejected: `node.answer_size`: nobody could read it again.
        """
        data = entry.encode()
        if len(data) > JSON_BYTES_MAX:
            raise Rejected("node.answer_size", f"the answer takes {len(data)} bytes; at most {JSON_BYTES_MAX}")
        price = entry.answer.receipt.receipt.price.to_bytes(32, "big")
        await self._write({(ANSWERS, entry.place): data, (PENDING, entry.place): price, **also})
        return _entry(data)

    async def close_entry(self, place: bytes, outcome: str, also: Rows = NOTHING) -> None:
        """Note what became of an answer; it is pending no more.

        Args:
            place: the answer's.
            outcome: what became of it.
            also: rows of the same store that are written in the same step.
        """
        await self._write({(PENDING, place): None, (OUTCOMES, place): outcome.encode(), **also})

    def settling(self, place: bytes) -> bool:
        """True while an answer waits for its settlement."""
        return self._store.get(PENDING, place) is not None

    async def write(self, rows: Rows) -> None:
        """Write rows of the store's other tables, in one step and in turn with the answers. Raises `Unavailable`."""
        await self._write(dict(rows))

    async def probe(self) -> None:
        """Try a write after a failure. Raises `Unavailable` while the store still fails."""
        await self._write({(OUTCOMES, b"probe"): b"probe"})

    async def flushed(self) -> None:
        """Wait until nothing is being written: before then the store must not be closed."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self, rows: dict[tuple[str, bytes], bytes | None]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._flush())
        # The rows are written even if the one who waits goes away.
        await asyncio.shield(done)

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            rows = {place: value for each, _ in group for place, value in each.items()}
            failure: Unavailable | None = None
            try:
                await asyncio.to_thread(self._store.write, rows)
            except Unavailable as error:
                failure = error
            except Exception as error:  # noqa: BLE001  whatever it was, nothing was kept, and those who wait must hear
                failure = Unavailable("node.outbox", f"the outbox cannot be written: {type(error).__name__}")
            self.failure = failure
            for _, done in group:
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)
        self._writing = None


def _entry(data: bytes) -> Entry:
    request, answer, chunks = take(decode(data), "an entry of the outbox", "request", "answer", "chunks")
    listed = as_list(chunks, "chunks", items_max=1 << 20)
    return Entry(
        request_from_json(request), answer_from_json(answer), tuple(as_object(each, "a chunk") for each in listed)
    )
