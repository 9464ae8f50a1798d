"""What settling leaves behind for each request."""

from dataclasses import dataclass

from paraph.proofs.records import Record


@dataclass(frozen=True, slots=True)
class Settlement(Record):
    """That a request was settled: the batch and place of its receipt, and what was paid, in wei."""

    batch: int
    index: int
    price: int
