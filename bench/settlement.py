"""Receipts settled: whole blocks with one batch each, from the raw transaction to the state on disk."""

from pathlib import Path

from bench.figures import Figure, Result
from bench.ledger import Ledger
from bench.raw import signatures, verification
from bench.rounds import Task, Work, alternate

BATCHES = (1, 10, 100, 400)


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    count, rounds = (100, 2) if quick else (400, 5)
    sizes = [size for size in BATCHES if size <= count]
    ledger = Ledger(folder)
    tasks = {f"batches of {size}": _blocks(ledger, count, size) for size in sizes}
    found = alternate(rounds, raw=verification(signatures(count * 2), count), **tasks)
    ledger.close()
    other = "libsecp256k1 alone, 2 signatures each"
    return Result(
        [
            figure
            for name in tasks
            for figure in (
                Figure(f"receipts settled, {name}", found[name].per_s, "per second", other, found["raw"].per_s),
                Figure(
                    f"receipts settled, {name}",
                    found[name].per_cpu_s,
                    "per second per core",
                    other,
                    found["raw"].per_cpu_s,
                    cpu=True,
                ),
            )
        ],
        {"receipts": count, "rounds": rounds, "batch_sizes": sizes},
    )


def _blocks(ledger: Ledger, count: int, size: int) -> Task:
    def prepare() -> Work:
        owed = ledger.owed(count)
        batches = [ledger.wallets.batch(owed[start : start + size]) for start in range(0, count, size)]

        def work() -> None:
            for raw in batches:
                ledger.commit(raw)

        return work

    return Task(count, prepare)
