"""Handing a proof in: the beacon that it names, how the ledger holds a promise, and the transaction.

Every read is proved. Not checked: that the full node sends the transaction on; a node's own full node can make it
late, and nobody else loses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from paraph.core.amount import Wei
from paraph.core.errors import Unavailable
from paraph.core.ident import Address, Digest, ModelId, RequestKey
from paraph.flows import registry
from paraph.flows.effect import Flow
from paraph.flows.transact import Sent, transact
from paraph.ledger.rooms.proofs.calls import CONTRACT as PROOFS
from paraph.proofs.header import hash_key
from paraph.proofs.policy import Trust
from paraph.proofs.records import due_key, proven_key
from paraph.proofs.zk.statement import Mode


class Standing(Enum):
    """How the ledger holds a promise."""

    DUE = "due"
    PROVEN = "proven"
    NEITHER = "neither due nor proven"


@dataclass(frozen=True, slots=True)
class Item:
    """One answer of a proof, as the ledger is told of it."""

    payer: Address
    key: RequestKey
    commitment: Digest


@dataclass(frozen=True, slots=True)
class Handed:
    """A proof as it is handed in.

    Args:
        model_id: the model.
        mode: what the proof gives away.
        height: the block whose hash is the beacon.
        items: the answers, in the proof's order.
        proof: the proof.
    """

    model_id: ModelId
    mode: Mode
    height: int
    items: Sequence[Item]
    proof: bytes


def beacon(trust: Trust) -> Flow[tuple[int, Digest]]:
    """The newest block whose hash the ledger knows: its height and hash.

    Raises:
        Unavailable: `proofs.early`: no block was made yet.
    """
    height = (yield from registry.read(trust)).seal.height - 1
    found = (yield from registry.read(trust, hash_key(height))).values.get(hash_key(height)) if height >= 0 else None
    if found is None:
        raise Unavailable("proofs.early", f"the ledger does not show the hash of block {height}; ask again")
    return height, Digest(found.value)


def standing(trust: Trust, payer: Address, key: RequestKey) -> Flow[Standing]:
    """How the ledger holds the promise of an answer."""
    due, proven = due_key(payer, key), proven_key(payer, key)
    found = (yield from registry.read(trust, due, proven)).values
    if proven in found:
        return Standing.PROVEN
    return Standing.DUE if due in found else Standing.NEITHER


def hand_in(chain_id: int, sender: Address, handed: Handed) -> Flow[Sent]:
    """Hand a proof in, and wait until it is in a block. Raises as `transact` does."""
    items = tuple((each.payer, each.key, each.commitment) for each in handed.items)
    data = PROOFS.method("prove").call(handed.model_id, int(handed.mode), handed.height, items, handed.proof)
    return (yield from transact(chain_id, sender, PROOFS.address, Wei(0), data))
