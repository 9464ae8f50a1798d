"""What a block of transfers costs as the state grows: the whole way, from raw transactions to the disk."""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.figures import Figure, Parameter, Result
from bench.filled import START_S, account, fill, opened
from bench.plot import Plot, Point
from bench.rounds import Task, Timing, Work, alternate
from bench.wallets import PRODUCER, Wallets
from paraph.full_node.chain import Chain, Decided

TRANSFERS: Final = 1_000
SEED: Final = 1


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    sizes, rounds = ([10_000, 100_000], 3) if quick else ([10_000, 100_000, 1_000_000, 10_000_000], 10)
    figures: list[Figure] = []
    lines: dict[str, list[Point]] = {"by the processor": [], "by the wall clock": []}
    smallest: Timing | None = None
    for size in sizes:
        store, chain = opened(folder / str(size))
        began = time.perf_counter()
        fill(chain, size)
        filled_s = time.perf_counter() - began
        sys.stderr.write(f"{size} keys: filled in {filled_s:.0f} s\n")
        disk_bytes = _size(folder / str(size))
        timing = alternate(rounds, block=Task(TRANSFERS, _blocks(chain, size)))["block"]
        grown_bytes = (_size(folder / str(size)) - disk_bytes) / rounds
        store.close()
        smallest = smallest or timing
        other, us = f"the same with {sizes[0]:,} keys", 1e6
        figures += [
            Figure(f"a transfer, {size:,} keys", timing.wall_s * us, "µs", other, smallest.wall_s * us),
            Figure(f"a transfer, {size:,} keys", timing.cpu_s * us, "µs", other, smallest.cpu_s * us, cpu=True),
            Figure(f"on disk, {size:,} keys", disk_bytes / size, "bytes a key"),
            Figure(f"a block more on disk, {size:,} keys", grown_bytes / TRANSFERS, "bytes a transfer"),
        ]
        lines["by the processor"].append((size, timing.cpu_s * us))
        lines["by the wall clock"].append((size, timing.wall_s * us))
    parameters: dict[str, Parameter] = {"sizes": sizes, "transfers_per_block": TRANSFERS, "rounds": rounds}
    return Result(figures, parameters, {"growth": Plot("A transfer as the state grows", "keys of state", "µs", lines)})


def _blocks(chain: Chain, size: int) -> Callable[[], Work]:
    """Makes blocks of transfers from all senders to accounts anywhere in the state."""
    wallets, chance = Wallets(), random.Random(SEED)

    def prepare() -> Work:
        raw = wallets.transfers([account(chance.randrange(size)) for _ in range(TRANSFERS)])

        def work() -> None:
            outcome = chain.finalize(Decided(START_S + 1, PRODUCER.address, raw))
            assert all(result.status == 1 for result in outcome.applied.results)
            chain.commit()

        return work

    return prepare


def _size(folder: Path) -> int:
    """What the store takes on disk, without the holes in its file."""
    return (folder / "data.mdb").stat().st_blocks * 512
