"""An escrow account."""

from dataclasses import dataclass

from paraph.proofs.records import Record


@dataclass(frozen=True, slots=True)
class Account(Record):
    """Money set aside by one payer, in wei.

    Args:
        available: may be promised to nodes.
        leaving: asked back; still debitable until withdrawn.
        unlock_s: when `leaving` may be withdrawn, Unix seconds; 0 when nothing leaves.
    """

    available: int
    leaving: int
    unlock_s: int


EMPTY = Account(0, 0, 0)
