"""How much proving the node owes: beyond what it can surely do in time it promises no more.

A proof takes longer than an answer, and each that is missed costs a part of the bond. Without a limit whoever pays for
enough answers could have a node promise more than it can prove.
"""

from collections import Counter
from typing import Final

from paraph.core.ident import ModelId
from paraph.inference_node.busy import Busy

BACKLOG_S_MAX: Final = 120.0
"""Proofs are due some hundreds of blocks after their answers; half of that is for settling them first."""
UNMEASURED_S: Final = 1.0
"""What the proof of an answer is taken to need before one was made."""
WEIGHT: Final = 4
"""Of one measurement beside those before: a quarter."""


class ProofLoad:
    """The proofs that are owed, by model, and the time that they need.

    Args:
        backlog_s_max: how many seconds of proving may be owed.
    """

    def __init__(self, backlog_s_max: float = BACKLOG_S_MAX) -> None:
        self.backlog_s_max = backlog_s_max
        self._owed: Counter[ModelId] = Counter()
        self._seconds: dict[ModelId, float] = {}

    @property
    def backlog_s(self) -> float:
        """Seconds of proving that are owed."""
        return sum(count * self._seconds.get(model_id, UNMEASURED_S) for model_id, count in self._owed.items())

    def measured(self, model_id: ModelId, seconds: float) -> None:
        """A proof took so many seconds for each of its answers."""
        before = self._seconds.get(model_id, seconds)
        self._seconds[model_id] = before + (seconds - before) / WEIGHT

    def owe(self, model_id: ModelId) -> None:
        """One more is owed, whatever is owed already."""
        self._owed[model_id] += 1

    def promise(self, model_id: ModelId) -> None:
        """One more is promised. Raises `Busy` (`node.proofs_busy`) where that would be too many."""
        more_s = self.backlog_s + self._seconds.get(model_id, UNMEASURED_S) - self.backlog_s_max
        if self._owed and more_s > 0:
            raise Busy(1 + int(more_s), "node.proofs_busy", "more proofs are promised than can surely be made in time")
        self.owe(model_id)

    def done(self, model_id: ModelId) -> None:
        """One is owed no more: it was proven or missed, or its answer was never given or never paid."""
        self._owed[model_id] -= 1
        if self._owed[model_id] <= 0:
            del self._owed[model_id]
