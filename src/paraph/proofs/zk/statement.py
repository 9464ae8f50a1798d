"""What a proof claims: this node ran this exact model once for each of these requests.

Specified in docs/spec/zk.md, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from paraph.core.digest import tagged
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest
from paraph.core.merkle import inclusion_proof, root
from paraph.core.tags import Tag
from paraph.proofs.zk.graph import Graph
from paraph.proofs.zk.transcript import Transcript

VERSION = 1
"""Of the proof system: a statement holds under one version only."""
COUNT_MAX = 1024
"""Requests of one proof."""


class Mode(IntEnum):
    """What a proof gives away."""

    SUCCINCT = 1
    """It convinces, and parts of the inputs can be learnt from it."""
    HIDING = 2
    """It is made to reveal nothing about inputs and outputs beyond that they fit."""


@dataclass(frozen=True, slots=True)
class Exact:
    """An exact model as it is registered: its graph, and the commitment to its weights."""

    graph: Graph
    weight_root: Digest

    @property
    def id(self) -> Digest:
        """The exact id, which binds version, graph and weights."""
        return exact_id(self.graph.digest, self.weight_root)


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of a batch: its key, and the commitment to its input and output."""

    key: Digest
    commitment: Digest

    def leaf(self, index: int) -> bytes:
        """Its leaf of the batch's tree."""
        return tagged(Tag.ZK_REQUEST, index.to_bytes(4, "big") + self.key + self.commitment)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a proof claims.

    Args:
        mode: what the proof gives away.
        exact: the model.
        prover: the node.
        chain_id: of the network.
        beacon: hash of a block that came after all requests.
        entries: the requests, in order.

    Raises:
        Malformed: `zk.count` for none or too many; `zk.repeated` for a request that stands twice.
    """

    mode: Mode
    exact: Exact
    prover: Address
    chain_id: int
    beacon: Digest
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.entries) <= COUNT_MAX:
            raise Malformed("zk.count", f"a proof is about 1 to {COUNT_MAX} requests, not {len(self.entries)}")
        if len({entry.key for entry in self.entries}) != len(self.entries):
            raise Malformed("zk.repeated", "a request stands twice in the batch")

    @property
    def batch_root(self) -> Digest:
        """The root of the tree of its requests."""
        return root(_leaves(self.entries))

    def path(self, index: int) -> tuple[Digest, ...]:
        """The proof that one request is in the batch."""
        return inclusion_proof(_leaves(self.entries), index)

    def transcript(self) -> Transcript:
        """The conversation's beginning: all that is claimed."""
        found = Transcript()
        found.absorb(b"mode", bytes([self.mode]))
        found.absorb(b"exact", self.exact.id)
        found.absorb(b"graph", self.exact.graph.digest)
        found.absorb(b"prover", self.prover)
        found.absorb(b"network", self.chain_id.to_bytes(8, "big"))
        found.absorb(b"beacon", self.beacon)
        found.absorb(b"count", len(self.entries).to_bytes(4, "big"))
        found.absorb(b"batch", self.batch_root)
        return found


def exact_id(graph_digest: Digest, weight_root: Digest) -> Digest:
    """The exact id of a registered model."""
    return tagged(Tag.ZK_MODEL, VERSION.to_bytes(4, "big") + graph_digest + weight_root)


def commitment(salt: bytes, inputs: bytes, outputs: bytes) -> Digest:
    """What a node signs of a request's input and output, and what hides both.

    Args:
        salt: 32 random bytes.
        inputs: int8, in the order channels, rows, columns.
        outputs: int32 little-endian, in the same order.

    Raises:
        Malformed: `zk.salt`, `zk.outputs` for other lengths.
    """
    if len(salt) != 32:
        raise Malformed("zk.salt", f"a salt is 32 bytes, not {len(salt)}")
    if len(outputs) % 4:
        raise Malformed("zk.outputs", "outputs are 4 bytes each")
    counts = len(inputs).to_bytes(4, "big"), (len(outputs) // 4).to_bytes(4, "big")
    return tagged(Tag.ZK_IO, salt + counts[0] + inputs + counts[1] + outputs)


def _leaves(entries: Sequence[Entry]) -> list[bytes]:
    return [entry.leaf(index) for index, entry in enumerate(entries)]
