"""A proof that is due."""

from dataclasses import dataclass

from paraph.core.ident import Address, Digest, ModelId
from paraph.proofs.records import Record


@dataclass(frozen=True, slots=True)
class Due(Record):
    """A proof that a settled receipt promised.

    Args:
        node: who promised it.
        model_id: of which model.
        price: what was paid and is held, in wei.
        price_version: by which schedule.
        evidence: digest of the promise.
        due: the last block in which the proof is taken.
        receipt_height: the block that the receipt names.
        height: the block that settled the receipt.
        batch, index: where the receipt was settled.
    """

    node: Address
    model_id: ModelId
    price: int
    price_version: int
    evidence: Digest
    due: int
    receipt_height: int
    height: int
    batch: int
    index: int
