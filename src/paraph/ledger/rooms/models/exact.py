"""What a model computes, exactly: its graph and the commitment to its weights, registered once by its owner.

Validators need the graph to verify proofs, and the 32 bytes of the commitment in place of the weights. Not checked:
that they belong to the files that the model's id is of. Who has the files can see it (`paraph model recheck`).
"""

from functools import lru_cache
from typing import Final

from paraph.core import abi
from paraph.core.errors import Malformed, Rejected, must
from paraph.core.ident import Digest, ModelId
from paraph.core.limits import TX_BYTES_MAX
from paraph.ledger.contract import Call
from paraph.ledger.rooms.models.keys import EXACT, GRAPH_WORK, GRAPHS
from paraph.ledger.rooms.models.rules import own
from paraph.ledger.rooms.models.work import spend
from paraph.ledger.state import State
from paraph.proofs.records import ExactModel
from paraph.proofs.zk.graph import GRAPH_BYTES_MAX, Graph
from paraph.proofs.zk.graph_json import graph_from_bytes
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import VERSION, Exact, Mode

REGISTERED = abi.event(
    "ExactModelRegistered(bytes32 indexed modelId, bytes32 indexed exactId, bytes32 graph, bytes32 weightRoot,"
    " uint32 version)"
)

GAS_PER_BYTE: Final = 50
"""Of a graph: read once, kept for ever."""
PLANNING: Final = 2_500_000
"""Work that laying out a proof counts for before anybody knows what it takes: the worst graphs take three seconds."""
GRAPHS_KEPT: Final = 8
"""Graphs that a process keeps as it read them: of as many as it keeps plans of."""


def register(call: Call, model_id: ModelId, graph: bytes, weight_root: Digest, version: int) -> None:
    """`registerExact`: by the model's owner, once. Another graph or other weights are another model."""
    model = own(call, model_id)
    if EXACT.get(call.state, model_id) is not None:
        raise Rejected("models.exact_exists", "what this model computes is registered, and does not change")
    if model.kind != "tensor" or version != VERSION:
        raise Rejected(
            "models.exact_form", f"an exact model is of the kind tensor, and of version {VERSION} of the proof system"
        )
    if len(graph) > GRAPH_BYTES_MAX:
        raise Rejected("models.exact_size", f"a graph has at most {GRAPH_BYTES_MAX} bytes, not {len(graph)}")
    call.charge(GAS_PER_BYTE * len(graph))
    found = _graph(graph)
    spend(call, PLANNING)
    layout = plan(found, 1, Mode.SUCCINCT)
    if layout.proof_bytes_max > TX_BYTES_MAX:
        raise Rejected(
            "models.exact_size",
            f"a proof of one run can take {layout.proof_bytes_max} bytes; a transaction has at most {TX_BYTES_MAX}",
        )
    record = ExactModel(found.digest, weight_root, version)
    EXACT.put(call.state, model_id, record)
    call.state.put(GRAPHS + found.digest, graph)
    GRAPH_WORK.put(call.state, found.digest, layout.cost)
    call.emit(call.to, REGISTERED, model_id, record.id, found.digest, weight_root, version)


def registered(state: State, model_id: ModelId) -> ExactModel:
    """What a model computes exactly. Raises `Rejected` (`models.not_exact`)."""
    found = EXACT.get(state, model_id)
    if found is None:
        raise Rejected("models.not_exact", "the owner has not registered what this model computes exactly")
    return found


def whole(state: State, record: ExactModel) -> Exact:
    """The exact model of a record, with its graph."""
    graph = state.get(GRAPHS + record.graph)
    must(graph is not None, "the graph of an exact model is kept")
    return Exact(_graph(graph or b""), record.weight_root)


def read(call: Call, model_id: ModelId) -> tuple[bytes, bytes, bytes, int]:
    """`exact`: the exact id, the graph's digest, the commitment to the weights, and the proof system's version."""
    found = registered(call.state, model_id)
    return found.id, found.graph, found.weight_root, found.version


def read_graph(call: Call, model_id: ModelId) -> bytes:
    """`graph`: the graph's canonical bytes."""
    graph = call.state.get(GRAPHS + registered(call.state, model_id).graph) or b""
    call.charge(GAS_PER_BYTE * len(graph))
    return graph


@lru_cache(GRAPHS_KEPT)
def _graph(data: bytes) -> Graph:
    try:
        return graph_from_bytes(data)
    except Malformed as error:
        raise Rejected(error.code, f"this is no graph of an exact model: {error.message}") from error
