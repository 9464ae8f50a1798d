"""Work on exact models: paid for before it is done, and only so much in a block, whatever comes of it.

Gas alone would not do. A failed transaction pays for what it made everybody do; but a block must also be applied in
time by a machine that has the reference verifier only.
"""

from dataclasses import dataclass

from paraph.core.errors import Rejected
from paraph.ledger.contract import Call
from paraph.ledger.rooms.models.keys import WORK
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import GAS_PER_WORK, PROOF_WORK_BLOCK_MAX
from paraph.proofs.records import Record


@dataclass(frozen=True, slots=True)
class Spent(Record):
    """Work that a block has held so far."""

    height: int
    work: int


def spend(call: Call, work: int) -> None:
    """Pay for work before it is done, and take it from what the block may hold, also if the call fails later.

    Args:
        call: who pays.
        work: in multiplications of a verifier's.

    Raises:
        Rejected: `gas.out`; `proofs.work`: more than any block may hold; `proofs.block_full`: more than this one has
            left.
    """
    call.charge(GAS_PER_WORK * work)
    most = params.get(call.state, PROOF_WORK_BLOCK_MAX)
    if work > most:
        raise Rejected("proofs.work", f"this takes work of {work}; a block may hold {most}", needed=work, limit=most)
    found = call.state.get(WORK)
    last = Spent(call.facts.height, 0) if found is None else Spent.decode(found)
    used = last.work if last.height == call.facts.height else 0
    if used + work > most:
        raise Rejected(
            "proofs.block_full",
            f"this takes work of {work}; the block has {most - used} left of {most}: send it again for the next one",
            needed=work,
            left=most - used,
        )
    call.state.put_lasting(WORK, Spent(call.facts.height, used + work).encode())
