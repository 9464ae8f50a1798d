"""What a bundle of the layer `zkml` holds beside the others: the model's graph and, once there is one, the proof.

A proof is about several requests at once, of which one is the bundle's. Reading one checks form only;
`proofs/exactness.py` says whether it is true. Specified in docs/spec/bundle.md.
"""

import base64
from dataclasses import dataclass
from typing import Final

from paraph.core.encode import Json, as_integer, as_list, as_object, canonical, take
from paraph.core.errors import Malformed
from paraph.core.ident import Digest, digest_from_hex, to_hex
from paraph.core.limits import TX_BYTES_MAX
from paraph.core.tensor import from_base64
from paraph.proofs.zk.graph import Graph
from paraph.proofs.zk.graph_json import graph_from_bytes
from paraph.proofs.zk.statement import COUNT_MAX, Entry, Mode

PROOF_BYTES_MAX: Final = TX_BYTES_MAX
"""A proof that the ledger took came in one transaction."""
MODES: Final = {mode.value: mode for mode in Mode}


@dataclass(frozen=True, slots=True)
class BatchProof:
    """A proof of several requests, as whoever made one of them is given it. Not yet believed.

    Args:
        mode: what it gives away.
        beacon: hash of a block that came after all of them.
        entries: the requests, in the proof's order.
        index: the place of the one whose proof it is here.
        data: the proof.
    """

    mode: Mode
    beacon: Digest
    entries: tuple[Entry, ...]
    index: int
    data: bytes

    def as_json(self) -> dict[str, Json]:
        """The proof as JSON, as a node gives it out and a bundle shows it."""
        entries: list[Json] = [[to_hex(entry.key), to_hex(entry.commitment)] for entry in self.entries]
        return {
            "mode": int(self.mode),
            "beacon": to_hex(self.beacon),
            "entries": entries,
            "index": self.index,
            "proof": base64.b64encode(self.data).decode(),
        }


@dataclass(frozen=True, slots=True)
class ExactPart:
    """The member `exact` of a bundle.

    Args:
        graph: what the model computes.
        proof: None while there is none.
    """

    graph: Graph
    proof: BatchProof | None

    def as_json(self) -> dict[str, Json]:
        """The part as JSON."""
        return {"graph": self.graph.as_json(), "proof": None if self.proof is None else self.proof.as_json()}


def exact_part_from_json(value: Json) -> ExactPart:
    """Read what `ExactPart.as_json` wrote. Raises `Malformed` (`proof.form`, `graph.…`, `json.…`, `ident.hex`)."""
    graph, proof = take(value, "exact", "graph", "proof")
    # By its canonical bytes: of them is the digest that the ledger has, and they are spelled in one way only.
    read = graph_from_bytes(canonical(as_object(graph, "exact.graph")))
    return ExactPart(read, None if proof is None else batch_proof_from_json(proof))


def batch_proof_from_json(value: Json) -> BatchProof:
    """Read what `BatchProof.as_json` wrote.

    Raises:
        Malformed: `proof.form`: no such mode, no such place, or longer than any that the ledger takes; `json.shape`,
            `ident.hex`, `tensor.base64`.
    """
    mode, beacon, entries, index, proof = take(value, "a proof", "mode", "beacon", "entries", "index", "proof")
    found = tuple(_entry(each) for each in as_list(entries, "proof.entries", items_max=COUNT_MAX))
    number, place = as_integer(mode, "proof.mode"), as_integer(index, "proof.index")
    data = from_base64(proof, "proof.proof")
    if number not in MODES or place >= len(found) or len(data) > PROOF_BYTES_MAX:
        raise Malformed(
            "proof.form",
            f"a proof is of mode 1 or 2, of at most {PROOF_BYTES_MAX} bytes, and names one of its requests; not mode"
            f" {number}, {len(data)} bytes, request {place} of {len(found)}",
        )
    return BatchProof(MODES[number], digest_from_hex(beacon, "proof.beacon"), found, place, data)


def _entry(value: Json) -> Entry:
    found = as_list(value, "proof.entries", items_max=2)
    if len(found) != 2:
        raise Malformed("proof.form", "an entry of a proof is a request key and a commitment")
    return Entry(digest_from_hex(found[0], "proof.entries"), digest_from_hex(found[1], "proof.entries"))
