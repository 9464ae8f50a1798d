"""A full node with one fault, for tests: `python -m tests.support.faulty_node FAULT… --home DIR`.

It is the real program; before it runs, the fault is put into it. Nothing of this can be reached from the real one.

    --kill METHOD:MOMENT:COUNT   kill -9 oneself `before` or `after` the COUNT-th call of a method of the application
    --disagree                   judge every proposal as bad
    --propose FILE               propose the transactions of FILE, a line of hexadecimal each, whenever it has any,
                                 and find nothing wrong with them
    --clock SECONDS              the node's clock is so many seconds off
"""

import argparse
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paraph.adapters.system import SystemClock
from paraph.full_node.__main__ import main
from paraph.full_node.replicated import Replicated


def kill_in(method: str, moment: str, count: int) -> None:
    """Die in a method of the application: where it begins, or where all is done but the answer."""
    original = getattr(Replicated, method)
    calls = 0

    def die_at(now: str) -> None:
        nonlocal calls
        calls += now == "before"
        if (now, calls) == (moment, count):
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(self: Replicated, *arguments: Any, **named: Any) -> Any:
        die_at("before")
        found = original(self, *arguments, **named)
        die_at("after")
        return found

    async def dying_later(self: Replicated, *arguments: Any, **named: Any) -> Any:
        die_at("before")
        found = await original(self, *arguments, **named)
        die_at("after")
        return found

    setattr(Replicated, method, dying_later if inspect.iscoroutinefunction(original) else dying)


def disagree() -> None:
    """Vote against whatever is proposed, in a voice of one's own."""
    _replace("judge", lambda _self, _block: "tests.disagree: no")


def propose(file: Path) -> None:
    """Propose what a file says while it says something; then as ever."""
    original = Replicated.propose

    def proposing(self: Replicated, block: Any, bytes_max: int) -> tuple[bytes, ...]:
        lines = file.read_text().split() if file.exists() else []
        if not lines:
            return original(self, block, bytes_max)
        sys.stderr.write(f"faulty node: proposes {len(lines)} of its own at {block.height}\n")
        sys.stderr.flush()
        return tuple(bytes.fromhex(line) for line in lines)

    _replace("propose", proposing)
    _replace("judge", lambda _self, _block: "")


def shift_clock(seconds: int) -> None:
    """Read the clock wrong."""
    original = SystemClock.now_ms
    SystemClock.now_ms = lambda self: original(self) + seconds * 1000  # type: ignore[method-assign]


def _replace(method: str, function: Callable[..., Any]) -> None:
    setattr(Replicated, method, function)


def inject() -> int:
    """Put the faults in, and run."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--kill")
    parser.add_argument("--disagree", action="store_true")
    parser.add_argument("--propose", type=Path)
    parser.add_argument("--clock", type=int)
    fault, sys.argv[1:] = parser.parse_known_args()
    if fault.kill:
        method, moment, count = fault.kill.split(":")
        kill_in(method, moment, int(count))
    if fault.disagree:
        disagree()
    if fault.propose:
        propose(fault.propose)
    if fault.clock:
        shift_clock(fault.clock)
    return main()


if __name__ == "__main__":
    sys.exit(inject())
