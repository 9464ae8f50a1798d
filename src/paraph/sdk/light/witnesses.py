"""Patience with witnesses: one that does not answer is left alone for a while, and nobody waits for it."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from paraph.core.errors import ParaphError, Unavailable
from paraph.flows.effect import Flow, Rpc

T = TypeVar("T")

REST_S: Final = 60
"""How long a witness that did not answer is not asked: a dead one takes five seconds each time."""


class Patience:
    """Remembers which witnesses did not answer.

    Args:
        clock_s: seconds that never run backwards.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._until_s: dict[int, float] = {}

    def around(self, flow: Flow[T]) -> Flow[T]:
        """The same flow; what it asks of a witness that rests fails at once, as if it did not answer."""
        reply: Any = None
        failure: ParaphError | None = None
        while True:
            try:
                effect = flow.send(reply) if failure is None else flow.throw(failure)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            reply, failure = None, None
            witness = effect.server if isinstance(effect, Rpc) else 0
            if witness and self._clock_s() < self._until_s.get(witness, 0):
                failure = Unavailable("light.witness", f"witness {witness} did not answer and is left alone for now")
                continue
            try:
                reply = yield effect
            except ParaphError as error:
                failure = error
                if witness and isinstance(error, Unavailable):
                    self._until_s[witness] = self._clock_s() + REST_S
