"""Snapshots: a whole state written to files, and a node filled from them: time, bytes and memory.

Each is done by a process of its own, `python -m bench.snapshots write|restore FOLDER`, so that its memory is its own. A
store's file is mapped into memory and can be dropped at any time; what counts here is the rest.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import Final, Self

from bench.figures import Figure, Result
from bench.filled import fill, opened
from paraph.full_node.snapshots import Snapshots

SAMPLE_S: Final = 0.01


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    sizes, rounds = ([10_000, 100_000], 1) if quick else ([10_000, 100_000, 1_000_000], 3)
    figures: list[Figure] = []
    for size in sizes:
        place = folder / str(size)
        store, chain = opened(place / "chain")
        fill(chain, size)
        store.close()
        written = [_done("write", place) for _ in range(rounds)]
        restored = [_done("restore", place) for _ in range(rounds)]
        copied_s = min(_copied(place) for _ in range(rounds))
        size_bytes = sum(each.stat().st_size for each in (place / "snapshots" / "0").iterdir())
        of, other = f"{size:,} keys", "copying its files"
        for name, found in (("written", written), ("restored", restored)):
            took_s = min(each["seconds"] for each in found)
            figures += [
                Figure(f"a snapshot {name}, {of}", took_s, "s", other, copied_s),
                Figure(f"a snapshot {name}, {of}, memory at its peak", found[0]["peak_bytes"] / 1e6, "MB"),
            ]
        figures.append(Figure(f"a snapshot, {of}", size_bytes / 1e6, "MB"))
    return Result(figures, {"sizes": sizes, "rounds": rounds})


def _done(what: str, place: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.snapshots", what, str(place)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _copied(place: Path) -> float:
    target = place / "copy"
    began = time.perf_counter()
    shutil.copytree(place / "snapshots", target)
    took_s = time.perf_counter() - began
    shutil.rmtree(target)
    return took_s


class Peak:
    """The most memory that this process holds while it is watched, without what is mapped from files."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = Event()
        self._watcher = Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            status = Path("/proc/self/status").read_text()
            found = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
            self.bytes = max(self.bytes, int(found.split()[1]) * 1024)


def write(place: Path) -> None:
    """Write the chain's snapshot."""
    store, chain = opened(place / "chain")
    Snapshots(chain, place / "snapshots", 0, 1).write_now()
    store.close()


def restore(place: Path) -> None:
    """Fill a new chain from it."""
    shutil.rmtree(place / "restored", ignore_errors=True)
    store, chain = opened(place / "restored")
    snapshots = Snapshots(chain, place / "unused", 0, 1)
    header = snapshots.restore(place / "snapshots" / "0")
    assert chain.head.header == header
    store.close()


def main() -> None:
    """Do one of them, and print how long it took, and its memory."""
    work = {"write": write, "restore": restore}[sys.argv[1]]
    began = time.perf_counter()
    with Peak() as peak:
        work(Path(sys.argv[2]))
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - began, "peak_bytes": peak.bytes}))


if __name__ == "__main__":
    main()
