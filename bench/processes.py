"""Processor time and memory of processes, with their workers: what work costs, however busy the machine is.

Read from /proc; where there is none (not Linux), nothing is known.
"""

import os
from collections import Counter
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used, with its living descendants. 0 when it is not known."""
    return sum(cpu_by_program(pid).values())


def cpu_by_program(pid: int) -> Counter[str]:
    """The same, told apart by the programs' names."""
    parents: dict[int, list[int]] = {}
    used: dict[int, tuple[str, float]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The second field is a name in parentheses, and may hold anything.
            head, _, tail = entry.read_text().rpartition(")")
        except OSError:
            continue  # it ended meanwhile
        child, fields = int(entry.parent.name), tail.split()
        parents.setdefault(int(fields[1]), []).append(child)
        used[child] = head.partition("(")[2], (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    family, found = [pid], Counter[str]()
    while family:
        each = family.pop()
        name, seconds = used.get(each, ("", 0.0))
        found[name] += seconds  # type: ignore[assignment]  # a counter of seconds
        family += parents.get(each, [])
    return found
