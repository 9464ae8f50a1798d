"""A job: one request being answered, apart from the connections that wait for it.

Several connections may follow one job (a retry under the same key joins it). When the last one goes away the job is
told to stop, and is charged for what was generated until then.
"""

import asyncio
from collections.abc import AsyncIterator

from paraph.core.encode import JsonObject
from paraph.core.errors import ParaphError
from paraph.inference_node.outbox import Entry
from paraph.proofs.request import SignedRequest


class Job:
    """The state of one answer in the making.

    Args:
        request: what was signed.
    """

    def __init__(self, request: SignedRequest) -> None:
        self.request = request
        self.chunks: list[JsonObject] = []
        self.entry: Entry | None = None
        self.failure: ParaphError | None = None
        self.unwanted = asyncio.Event()
        self._followers = 0
        self._news = asyncio.Event()

    def add(self, chunk: JsonObject) -> None:
        """A chunk was generated."""
        self.chunks.append(chunk)
        self._tell()

    def finish(self, entry: Entry) -> None:
        """The answer is made and kept."""
        self.entry = entry
        self._tell()

    def fail(self, failure: ParaphError) -> None:
        """There will be no answer, and no charge."""
        self.failure = failure
        self._tell()

    @property
    def ended(self) -> bool:
        """True when it finished or failed."""
        return self.entry is not None or self.failure is not None

    async def follow(self) -> AsyncIterator[JsonObject]:
        """All chunks from the first on, as they come. Raises what the job failed with, at the end."""
        self._followers += 1
        # A retry that comes before the engine has noticed keeps the whole answer.
        self.unwanted.clear()
        try:
            seen = 0
            while True:
                while seen < len(self.chunks):
                    yield self.chunks[seen]
                    seen += 1
                if self.failure is not None:
                    raise self.failure
                if self.entry is not None:
                    return
                await self._news.wait()
        finally:
            self._followers -= 1
            if self._followers == 0 and not self.ended:
                self.unwanted.set()

    async def result(self) -> Entry:
        """The answer. Raises what the job failed with."""
        async for _ in self.follow():
            pass
        if self.entry is None:
            raise AssertionError("a job that did not fail has an answer")
        return self.entry

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
