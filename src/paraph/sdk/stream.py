"""A streamed answer: pieces as they come, and the verified answer at the end.

The pieces are not verified while they are shown; each follows from the one before, and the receipt closes the chain.
If it does not verify, the iteration ends with `Unverified`, and there is no answer.
"""

from collections.abc import AsyncIterator, Iterator

from paraph.adapters.http.client import Done, Shown
from paraph.core.errors import Unavailable
from paraph.proofs.bundle import Bundle
from paraph.proofs.verdict import Verified
from paraph.sdk.answer import Answer


class Stream:
    """Iterate over pieces of text; then `answer` is there."""

    def __init__(self, events: Iterator[Shown | Done[Verified[Bundle]]]) -> None:
        self._events = events
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        try:
            for event in self._events:
                if isinstance(event, Done):
                    self._answer = Answer(event.value)
                else:
                    yield str(event.chunk.get("text", ""))
        finally:
            # Whoever stops reading hangs up: the node stops too, and charges what it has generated.
            self._events.close()  # type: ignore[attr-defined]

    @property
    def answer(self) -> Answer:
        """The verified answer. Raises `Unavailable` (`stream.unfinished`) before the iteration has ended."""
        return _finished(self._answer)


class AsyncStream:
    """As `Stream`, iterated with `async for`."""

    def __init__(self, events: AsyncIterator[Shown | Done[Verified[Bundle]]]) -> None:
        self._events = events
        self._answer: Answer | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            async for event in self._events:
                if isinstance(event, Done):
                    self._answer = Answer(event.value)
                else:
                    yield str(event.chunk.get("text", ""))
        finally:
            await self._events.aclose()  # type: ignore[attr-defined]

    @property
    def answer(self) -> Answer:
        """The verified answer. Raises `Unavailable` (`stream.unfinished`) before the iteration has ended."""
        return _finished(self._answer)


def _finished(answer: Answer | None) -> Answer:
    if answer is None:
        raise Unavailable("stream.unfinished", "the answer is there when the stream has been read to its end")
    return answer
