"""Replay from genesis: stored blocks worked out and kept again, as by a node that joins without a snapshot."""

from pathlib import Path
from typing import Final

from bench.figures import Figure, Result
from bench.filled import START_S, account, opened
from bench.raw import recovery, signatures
from bench.rounds import Task, Work, alternate
from bench.wallets import PRODUCER, Wallets
from paraph.full_node.chain import Decided
from paraph.full_node.tables import StoredBlock

FULL: Final = 1_000
"""Transfers in a block."""


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    blocks, rounds = (5, 2) if quick else (20, 3)
    empty = 10 * blocks
    full_blocks = _made(folder / "full", blocks, FULL)
    empty_blocks = _made(folder / "empty", empty, 0)
    found = alternate(
        rounds,
        raw=recovery(signatures(FULL), FULL),
        full=Task(blocks * FULL, Replays(folder / "again-full", full_blocks)),
        empty=Task(empty, Replays(folder / "again-empty", empty_blocks)),
    )
    other = "libsecp256k1 alone, 1 recovery each"
    full, raw = found["full"], found["raw"]
    return Result(
        [
            Figure(f"transfers replayed, blocks of {FULL:,}", full.per_s, "per second", other, raw.per_s),
            Figure(
                f"transfers replayed, blocks of {FULL:,}",
                full.per_cpu_s,
                "per second per core",
                other,
                raw.per_cpu_s,
                cpu=True,
            ),
            Figure("empty blocks replayed", found["empty"].per_s, "per second"),
            Figure("empty blocks replayed", found["empty"].per_cpu_s, "per second per core", cpu=True),
        ],
        {"blocks": blocks, "empty_blocks": empty, "rounds": rounds},
    )


def _made(folder: Path, blocks: int, transfers: int) -> list[StoredBlock]:
    """A chain of so many blocks, read back from its store."""
    store, chain = opened(folder)
    wallets = Wallets()
    for height in range(1, blocks + 1):
        raw = wallets.transfers([account(index) for index in range(transfers)])
        chain.finalize(Decided(START_S + height, PRODUCER.address, raw))
        chain.commit()
    found = list(chain.blocks(1, blocks))
    store.close()
    return found


class Replays:
    """Makes replays, each into a store of its own.

    Args:
        folder: for the stores. blocks: what is replayed.
    """

    def __init__(self, folder: Path, blocks: list[StoredBlock]) -> None:
        self._folder = folder
        self._blocks = blocks
        self._made = 0

    def __call__(self) -> Work:
        """The next replay."""
        self._made += 1
        store, chain = opened(self._folder / str(self._made))

        def work() -> None:
            for stored in self._blocks:
                header = stored.header
                chain.finalize(Decided(header.time_s, header.proposer, stored.transactions))
                chain.commit(stored.signed.signature)
            assert chain.head.header == self._blocks[-1].header
            store.close()

        return work
