"""The program that becomes the engine: it asks the kernel to end it when its parent ends, and then is the engine.

Run by path in an interpreter of its own, `launch.py PARENT_PID BINARY ARGUMENT…`; imports nothing of ours. Where the
kernel has no such wish (it is Linux's), the engine still ends by itself when its connections to the application close.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Become the engine, unless the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 # no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
