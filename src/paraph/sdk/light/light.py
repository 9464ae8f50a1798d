"""A light client that runs: it follows the chain while anybody asks and while nobody does, and stops at a fork.

A fork is two histories that were both signed. Which one is true nobody can tell from here, so nothing more is shown;
the evidence is written down, and told to the full nodes that this client knows: consensus takes bonds for it.
"""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, assert_never

import structlog

from paraph.adapters.http.client import AsyncDriver
from paraph.core.encode import JsonObject
from paraph.core.errors import ParaphError, Unverified, must
from paraph.flows.effect import Flow
from paraph.flows.fork import report, summary
from paraph.flows.verified.blocks import Kept
from paraph.flows.verified.follow import Follower, Rewritten, view
from paraph.proofs.light.conflict import Fork
from paraph.proofs.policy import Trust
from paraph.sdk.light.witnesses import Patience

T = TypeVar("T")

POLL_S: Final = 2.0
"""Between looks at the head while nobody asks."""

log = structlog.get_logger("paraph.light")


class Light:
    """A light client.

    Args:
        trust: what is pinned.
        driver: asks the node and the witnesses; who gives it closes it.
        evidence: the folder where the evidence of a fork is written.
        moved: told the trust with its newer anchor each time that the chain was followed further.
    """

    def __init__(
        self, trust: Trust, driver: AsyncDriver, evidence: Path, moved: Callable[[Trust], None] = lambda _: None
    ) -> None:
        self.follower: Final = Follower(trust)
        self.kept: Final = Kept()
        self.stopped: Unverified | None = None
        self._driver = driver
        self._evidence = evidence
        self._moved = moved
        self._patience = Patience()
        self._trouble: ParaphError | None = None

    async def run(self, flow: Flow[T]) -> T:
        """What a flow finds, with this client's `follower` and `kept`.

        Raises:
            Unverified: also what stopped this client, for ever.
        """
        if self.stopped is not None:
            raise self.stopped
        try:
            found = await self._driver.run(self._patience.around(flow))
        except Unverified as error:
            evidence = error.facts.get("fork")
            if not isinstance(evidence, Fork | Rewritten):
                raise
            if self.stopped is None:
                self.stopped = await self._stop(error, evidence)
            raise self.stopped from error
        if self.stopped is not None:
            # It was stopped while this was under way.
            raise self.stopped
        return found

    async def follow(self) -> None:
        """Follow the chain until cancelled, or until a fork stops this client."""
        while self.stopped is None:
            try:
                await self.run(view(self.follower, ()))
                self._trouble = None
                self._moved(self.follower.trust)
            except ParaphError as error:
                # Told once, not every two seconds.
                if self._trouble is None or self._trouble.code != error.code:
                    log.warning("light.not_followed", code=error.code, reason=error.message)
                self._trouble = error
            await asyncio.sleep(POLL_S)

    def health(self) -> tuple[int, JsonObject]:
        """An HTTP status, and how far the chain is followed."""
        newest, trouble = self.follower.newest, self.stopped or self._trouble
        told: JsonObject = {
            "network": self.follower.trust.network,
            "height": None if newest is None else newest.header.height,
            "time": None if newest is None else newest.header.time_s,
            "trouble": None if trouble is None else {"code": trouble.code, "message": trouble.message},
            "witnesses_silent": []
            if newest is None
            else [{"witness": note.server, "code": note.code, "message": note.sentence} for note in newest.notes],
        }
        return (200 if trouble is None and newest is not None else 503), told

    async def _stop(self, error: Unverified, evidence: Fork | Rewritten) -> Unverified:
        """Stop at once; write the evidence down; then tell of it. Returns the error that says all of that."""
        height = error.facts.get("height")
        must(isinstance(height, int), "a fork is of a height")
        place = self._evidence / f"fork-{self.follower.trust.chain_id}-{height}.json"
        said = f"{error.message}; nothing more is shown"
        # Others may ask meanwhile, and a node that is told may take its time.
        self.stopped = Unverified(((error.code, said),), height=height, evidence=str(place))
        kept = await asyncio.to_thread(_write, place, error, evidence)
        match evidence:
            case Fork():
                told = summary(await self._driver.run(report(evidence)))
            case Rewritten():
                told = "nobody was told: these are not two blocks of one height that validators decided"
            case _:
                assert_never(evidence)
        log.error("light.stopped", code=error.code, reason=error.message, evidence=kept, told=told)
        return Unverified(((error.code, f"{said}; {kept}; {told}"),), height=height, evidence=str(place))


def _write(place: Path, error: Unverified, evidence: Fork | Rewritten) -> str:
    """Write the evidence to a file, or not; which of the two, as a sentence."""
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Its owner's alone, and never through a link that somebody put there.
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump({"code": error.code, "said": error.message, "evidence": evidence.as_json()}, file, indent=1)
    except OSError as failure:
        return f"the evidence could not be written to {place}: {failure.strerror}"
    return f"the evidence is in {place}"
