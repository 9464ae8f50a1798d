"""Rounds: each piece of work and its comparison take turns, and the best round of each counts.

Other work on the machine only ever makes a round slower, so the fastest is nearest to what the work itself takes.
Processor time is kept beside wall time, because it hardly counts the others' turns.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Work: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Task:
    """Work to time.

    Args:
        count: operations in one round.
        prepare: makes the next round's work; not timed.
    """

    count: int
    prepare: Callable[[], Work]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one operation in the best round, by the wall clock and by the processor's."""

    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Operations in a second of wall time."""
        return 1 / self.wall_s

    @property
    def per_cpu_s(self) -> float:
        """Operations in a second of processor time."""
        return 1 / self.cpu_s


def again(work: Work, count: int = 1) -> Task:
    """A task whose work can be repeated as it is."""
    return Task(count, lambda: work)


def alternate(rounds: int, **tasks: Task) -> dict[str, Timing]:
    """Run the tasks in turn, so many rounds; each one's best."""
    walls: dict[str, list[float]] = {name: [] for name in tasks}
    cpus: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            work = task.prepare()
            gc.collect()
            gc.disable()
            try:
                wall_s, cpu_s = time.perf_counter(), time.process_time()
                work()
                cpus[name].append((time.process_time() - cpu_s) / task.count)
                walls[name].append((time.perf_counter() - wall_s) / task.count)
            finally:
                gc.enable()
    return {name: Timing(min(walls[name]), min(cpus[name])) for name in tasks}
