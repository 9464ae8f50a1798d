"""Receipts verified by a full node's workers: signatures in ever larger batches, beside recovering as many alone."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from bench.figures import Figure, Parameter, Result
from bench.filled import START_S
from bench.plot import Plot
from bench.raw import recovery, signatures
from bench.rounds import again, alternate
from bench.wallets import CHAIN_ID, Wallets
from paraph.full_node.forms import examine

SIZES: Final = (1, 10, 50, 100, 250, 500)
SIGNATURES: Final = 2
"""Of a receipt: the payer's and the node's. A batch has one more, its sender's."""


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    del folder
    count, rounds = (500, 2) if quick else (1_000, 7)
    wallets = Wallets()
    owed = wallets.owed(count, START_S)
    batches = {size: [wallets.batch(owed[start : start + size]) for start in range(0, count, size)] for size in SIZES}
    with ProcessPoolExecutor(1, get_context("spawn")) as worker:
        here = {f"here {size}": again(_here(batches[size]), count) for size in SIZES}
        there = {f"there {size}": again(_there(worker, batches[size]), count) for size in SIZES}
        _there(worker, batches[1])()
        raw = recovery(signatures(SIGNATURES * count), count)
        found = alternate(rounds, raw=raw, **here, **there)
    other, alone = "libsecp256k1 alone, 2 recoveries each", found["raw"]
    figures = [
        Figure(
            f"receipts verified, batches of {size}",
            found[f"here {size}"].per_cpu_s,
            "per second per core",
            other,
            alone.per_cpu_s,
            cpu=True,
        )
        for size in SIZES
    ]
    figures += [
        Figure(
            f"receipts verified by a worker, handed over and back, batches of {size}",
            found[f"there {size}"].per_s,
            "per second",
            other,
            alone.per_s,
        )
        for size in SIZES
    ]
    plot = Plot(
        "Receipts verified by a core",
        "receipts in a batch",
        "per second",
        {
            "form, digests and signatures": [(size, found[f"here {size}"].per_cpu_s) for size in SIZES],
            "the same by a worker, by the wall clock": [(size, found[f"there {size}"].per_s) for size in SIZES],
            other: [(size, alone.per_cpu_s) for size in (SIZES[0], SIZES[-1])],
        },
    )
    parameters: dict[str, Parameter] = {"receipts": count, "rounds": rounds, "batch_sizes": list(SIZES)}
    return Result(figures, parameters | {"largest_batch_bytes": len(batches[SIZES[-1]][0])}, {"verification": plot})


def _here(raws: list[bytes]) -> Callable[[], None]:
    def work() -> None:
        for raw in raws:
            assert examine([raw], CHAIN_ID)

    return work


def _there(worker: ProcessPoolExecutor, raws: list[bytes]) -> Callable[[], None]:
    def work() -> None:
        for job in [worker.submit(examine, [raw], CHAIN_ID) for raw in raws]:
            assert job.result()

    return work
