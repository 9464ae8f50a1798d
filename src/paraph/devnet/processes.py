"""A devnet's processes: the same programs that operators run, started, recognised again and stopped.

They outlive whoever starts them, so what runs is read from the folder: a process id, and whose command line it has.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from paraph.core.errors import Unavailable
from paraph.devnet.folder import Folder

STOP_S_MAX: Final = 60
"""A full node finishes its block and then waits up to 20 s for its engine; several on few cores take longer."""
POLL_S: Final = 0.05
_children: Final[dict[int, "subprocess.Popen[bytes]"]] = {}
"""Processes that this one started and did not stop: they outlive it, and are waited for when it stops them itself."""


def start(folder: Folder, programs: Mapping[str, str]) -> None:
    """Start nodes, all at once, and wait until each says its URL.

    Args:
        folder: the devnet's.
        programs: each node's module, by the node's name.

    Raises:
        Unavailable: `devnet.start`: a process does not start; its log is named. The others go on.
    """
    started = {name: _spawn(folder, name, module) for name, module in programs.items()}
    silent = [name for name, process in started.items() if not _ready(process)]
    for name in silent:
        _children.pop(started[name].pid).wait()
        _pid_file(folder, name).unlink(missing_ok=True)
    for name in silent:
        log = log_file(folder, name)
        said = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise Unavailable("devnet.start", f"the {name} does not start: {' '.join(said)[:300]} (log: {log})")


def stop(folder: Folder, names: Iterable[str]) -> list[str]:
    """Ask nodes to stop, all at once, and wait for them. Returns those that ran.

    Raises:
        Unavailable: `devnet.process`: one does not stop.
    """
    running = {name: pid for name in names if (pid := pid_of(folder, name))}
    for pid in running.values():
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_S_MAX
    for name, pid in running.items():
        while pid_of(folder, name):
            if time.monotonic() > end:
                log = log_file(folder, name)
                raise Unavailable("devnet.process", f"the {name} (process {pid}) does not stop (log: {log})")
            time.sleep(POLL_S)
        wait(pid)
        _pid_file(folder, name).unlink(missing_ok=True)
    return list(running)


def pid_of(folder: Folder, name: str) -> int:
    """The process id of a node, 0 when it does not run. A process id that was given to another does not count."""
    try:
        pid = int(_pid_file(folder, name).read_text())
        command = Path(f"/proc/{pid}/cmdline")
        if Path("/proc/self").exists():
            words = command.read_bytes().split(b"\0") if command.exists() else []
            return pid if bytes(folder.node_home(name)) in words else 0
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    else:
        return pid


def wait(pid: int) -> None:
    """Wait for the end of a process that this one started, and that was told to end or killed."""
    child = _children.pop(pid, None)
    if child is not None:
        child.wait()


def log_file(folder: Folder, name: str) -> Path:
    """What a node logs."""
    return folder.home / "logs" / f"{name}.log"


def _spawn(folder: Folder, name: str, module: str) -> "subprocess.Popen[bytes]":
    with log_file(folder, name).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--home", str(folder.node_home(name))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    _pid_file(folder, name).write_text(str(process.pid))
    _children[process.pid] = process
    return process


def _ready(process: "subprocess.Popen[bytes]") -> bool:
    """True once the node has said its line; False when it ended instead."""
    if process.stdout is None:
        return False
    with process.stdout as told:
        return bool(told.readline())


def _pid_file(folder: Folder, name: str) -> Path:
    return folder.home / "run" / f"{name}.pid"
