"""Engines that misbehave in one way each, and stores that fill up."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from paraph.adapters.fakes.engines import FakeTensorEngine, FakeTextEngine
from paraph.adapters.fakes.store import MemoryStore
from paraph.core.encode import JsonObject
from paraph.core.errors import Unavailable
from paraph.core.tensor import Tensor
from paraph.flows.ports import Finish, Given, Piece, TextEvent


class SlowText(FakeTextEngine):
    """Gives one event each time it is let."""

    def __init__(self, *, counts: bool = True) -> None:
        super().__init__()
        self.lets = asyncio.Semaphore(0)
        self.begun = 0
        self._counts = counts

    def let(self, events: int) -> None:
        """Let so many events go."""
        for _ in range(events):
            self.lets.release()

    async def generate(self, request: JsonObject) -> AsyncIterator[TextEvent]:
        self.begun += 1
        async for event in super().generate(request):
            await self.lets.acquire()
            yield Given(event.text, None) if isinstance(event, Given) and not self._counts else event


class DyingText(FakeTextEngine):
    """Dies after so many events: by ending, by a typed error, or by a fault of ours."""

    def __init__(self, after: int, error: Exception | None) -> None:
        super().__init__()
        self.after = after
        self.error = error

    async def generate(self, request: JsonObject) -> AsyncIterator[TextEvent]:
        count = 0
        async for event in super().generate(request):
            if count == self.after:
                if self.error is not None:
                    raise self.error
                return
            count += 1
            yield event


class GreedyText(FakeTextEngine):
    """Claims to have read a million tokens."""

    async def generate(self, request: JsonObject) -> AsyncIterator[TextEvent]:
        yield Given("hi", (1,))
        yield Piece("x", (1,))
        yield Finish("stop", 10**6, 1)


class ManyRows(FakeTensorEngine):
    """Gives more rows out than came in, as some models do."""

    async def infer(self, inputs: tuple[Tensor, ...], outputs: tuple[str, ...]) -> tuple[Tensor, ...]:
        return (Tensor("label", "UINT8", (10**6,), bytes(10**6)),)


class SlowTensor(FakeTensorEngine):
    """Answers when told."""

    def __init__(self) -> None:
        super().__init__()
        self.lets = asyncio.Semaphore(0)
        self.begun = 0

    async def infer(self, inputs: tuple[Tensor, ...], outputs: tuple[str, ...]) -> tuple[Tensor, ...]:
        self.begun += 1
        await self.lets.acquire()
        return await super().infer(inputs, outputs)


class FullStore(MemoryStore):
    """A disk that is full while `error` is set."""

    error: Exception | None = None
    writes = 0

    def write(self, changes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        self.writes += 1
        if self.error is not None:
            raise self.error
        super().write(changes)


FULL = Unavailable("store.full", "the disk is full")
