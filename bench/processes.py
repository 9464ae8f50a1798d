"""Processor time of other processes, with their workers: what a request costs, however busy the machine is.

Read from /proc; where there is none (not Linux), nothing is known.
"""

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used, with its living descendants. 0 when it is not known."""
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The second field is a name in parentheses, and may hold anything.
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        child = int(entry.parent.name)
        parents.setdefault(int(fields[1]), []).append(child)
        used[child] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    family, found = [pid], 0.0
    while family:
        each = family.pop()
        found += used.get(each, 0.0)
        family += parents.get(each, [])
    return found
