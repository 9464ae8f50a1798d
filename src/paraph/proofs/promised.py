"""The promise: what a node signs beside an answer that is to be proven. What it answered, hidden, and by which block.

The answer goes out at once; its proof takes longer, and the node's bond stands for it. The ledger keeps the promise's
digest when it settles the receipt, and takes no other proof. Specified in docs/spec/zk.md.
"""

from dataclasses import dataclass
from typing import Final

from paraph.core.encode import Json, JsonObject, as_integer, take
from paraph.core.errors import Malformed
from paraph.core.ident import Digest, digest_from_hex, to_hex
from paraph.proofs.receipt import evidence_digest

LAYER: Final = "zkml"
VERSION: Final = 1
"""Of this document; a promise says which proof system it means by the model that it is about."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A proof that is promised.

    Args:
        commitment: to the salt, the input and the output (`zk.statement.commitment`).
        due: the last block in which the ledger takes the proof.
    """

    commitment: Digest
    due: int

    def as_json(self) -> JsonObject:
        """The promise as JSON: the evidence of a receipt of the layer `zk`."""
        return {"layer": LAYER, "version": VERSION, "commitment": to_hex(self.commitment), "due": self.due}

    def digest(self) -> Digest:
        """What receipts sign of it."""
        return evidence_digest(self.as_json())


def promise_from_json(value: Json) -> Promise:
    """Read what `Promise.as_json` wrote. Raises `Malformed` (`promise.form`, `json.…`)."""
    layer, version, commitment, due = take(value, "a promise", "layer", "version", "commitment", "due")
    # `True == 1`: a version is an integer, and nothing that equals one.
    if layer != LAYER or version is True or version != VERSION:
        raise Malformed("promise.form", f"a promise is evidence of the layer {LAYER}, version {VERSION}")
    return Promise(digest_from_hex(commitment, "commitment"), as_integer(due, "due"))
