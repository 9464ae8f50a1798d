"""A bundle of the layer zkml in which everything is true but for what a test changes: a tiny model, real proofs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from struct import pack
from typing import Final

from tests.support import zk
from tests.support.build import CHAIN_ID, HEIGHT, OPERATOR, PAYER, Case, build, manifest_of

from paraph.adapters.provers import check
from paraph.core.digest import sha256
from paraph.core.encode import Json, JsonObject
from paraph.core.ident import Address, Digest, RequestKey, to_hex
from paraph.core.tensor import Tensor
from paraph.proofs.bundle import Bundle
from paraph.proofs.check import judge
from paraph.proofs.exactness import Run
from paraph.proofs.promised import Promise
from paraph.proofs.proven import BatchProof, ExactPart
from paraph.proofs.quotes.evidence import Checks
from paraph.proofs.records import ExactModel, Proven, exact_key, proven_key
from paraph.proofs.request import Layer
from paraph.proofs.zk.graph import Clip, Gemm, Graph, Requant
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import VERSION, Entry, Exact, Mode, Statement, commitment
from paraph.proofs.zk.weights import weight_root, weight_vector

GRAPH: Final = Graph((3,), (Gemm(0, 2), Requant(1, 1, 4, -4096, 4096, Clip(-128, 127)), Gemm(2, 2)))
WEIGHTS: Final = pack("<6b2i4b2i", 5, -3, 2, 1, 7, -6, 10, -20, 3, -2, 4, 1, 0, 9)
EXACT: Final = Exact(GRAPH, weight_root(GRAPH, WEIGHTS))
MODEL: Final = manifest_of("tensor").model_id()
KEY: Final = RequestKey(sha256(b"request key of tensor"))
SALT: Final = sha256(b"salt of the request")
INPUT: Final = (100, -7, 33)
DUE: Final = HEIGHT - 2 + 600
BEACON: Final = sha256(b"a block after the request")
INDEX: Final = 1
"""Of two requests the second is the bundle's."""
RECORD: Final = ExactModel(GRAPH.digest, EXACT.weight_root, VERSION)
FAST: Final = Checks(zk=check.verify)
"""For tests that look at many proofs: the fast verifier, which says what the reference one says."""


@cache
def outputs_of(inputs: tuple[int, ...]) -> tuple[int, ...]:
    """What the model gives."""
    layout = plan(GRAPH, 1, Mode.SUCCINCT)
    found = zk.run(layout, weight_vector(GRAPH, WEIGHTS), inputs, 0, zk.Lies())
    return tuple(zk.outputs_of(layout, found.output))


RUN: Final = Run(SALT, pack("<3b", *INPUT), pack("<2i", *outputs_of(INPUT)))
OTHER: Final = Entry(sha256(b"another request"), commitment(SALT, bytes(3), pack("<2i", *outputs_of((0, 0, 0)))))
ENTRIES: Final = (OTHER, Entry(Digest(KEY), RUN.commitment))
SEED: Final = RUN.seed(KEY)


@dataclass(frozen=True, slots=True)
class Told:
    """What a proof is asked to show, honestly made but for what is changed here.

    `prover` and `chain_id` stand in its statement alone; `entries` are the requests that it names, whatever it ran;
    `seed` is that of the second request's rows in a hiding proof.
    """

    mode: Mode = Mode.HIDING
    prover: Address = OPERATOR.address
    chain_id: int = CHAIN_ID
    beacon: Digest = BEACON
    entries: tuple[Entry, ...] = ENTRIES
    seed: Digest = SEED

    @property
    def statement(self) -> Statement:
        """The statement."""
        return Statement(self.mode, EXACT, self.prover, self.chain_id, self.beacon, self.entries)


@cache
def proof(told: Told = Told()) -> BatchProof:
    """A real proof of the two requests."""
    layout, weights = plan(GRAPH, 2, told.mode), weight_vector(GRAPH, WEIGHTS)
    runs = [zk.run(layout, weights, row, number, zk.Lies()) for number, row in enumerate(((0, 0, 0), INPUT))]
    seeds = [bytes(32), bytes(told.seed)] if told.mode is Mode.HIDING else None
    made = zk.Prover(layout, told.statement, weights, runs, seeds, zk.Lies(), b"").prove()
    return BatchProof(told.mode, told.beacon, told.entries, INDEX, made)


def body(run: Run = RUN, **changed: Json) -> JsonObject:
    """The effective request."""
    inputs = [Tensor("input", "INT8", (1, len(run.inputs)), run.inputs).as_json()]
    found: JsonObject = {"kind": "infer", "model": to_hex(MODEL), "inputs": inputs, "outputs": []}
    return {**found, "salt": to_hex(run.salt), **changed}


def response(run: Run = RUN, **changed: Json) -> JsonObject:
    """The response."""
    outputs = [Tensor("output", "INT32", (1, len(run.outputs) // 4), run.outputs).as_json()]
    return {"kind": "tensors", "outputs": outputs, "salt": to_hex(run.salt), **changed}


def record_of(told: Told = Told()) -> Proven:
    """What the ledger notes of that proof."""
    statement = told.statement
    return Proven(told.mode, EXACT.id, statement.batch_root, len(told.entries), told.beacon, HEIGHT)


def build_exact(
    told: Told | None = Told(),
    *,
    run: Run = RUN,
    promise: Promise | None = None,
    evidence: JsonObject | None = None,
    shown: BatchProof | None = None,
    graph: Graph = GRAPH,
    record: Mapping[str, object] = {},
    proven: Mapping[str, object] | None = {},
    **changed: object,
) -> Case:
    """A bundle of the layer zkml, proven in a hiding batch of two, in which everything else is true.

    `told` is what the proof shows, None for a bundle without one; `run` what was asked and answered; `promise` or
    `evidence` what stands beside the receipt; `shown` the proof in place of the true one; `graph` what the bundle shows
    of the model; `record` and `proven` fields of the ledger's records, None for no record of a proof; the rest as
    `build` has it.
    """
    promise = promise or Promise(run.commitment, DUE)
    made = None if told is None else proof(told)
    exact = replace(RECORD, **record)  # type: ignore[arg-type]
    proofs = {exact_key(MODEL): exact.encode()}
    if told is not None and proven is not None:
        found = replace(record_of(told), **proven)  # type: ignore[arg-type]
        proofs[proven_key(PAYER.address, KEY)] = found.encode()
    settings: dict[str, object] = {
        "body": body(run),
        "response": response(run),
        "evidence": promise.as_json() if evidence is None else evidence,
        "proofs": proofs,
        "exact": ExactPart(graph, shown or made),
        "request": {"layer": Layer.ZK},
        "model": {"layers": 0b101},
        **changed,
    }
    return build("tensor", **settings)  # type: ignore[arg-type]


@cache
def valid_exact(told: Told | None = Told()) -> Case:
    """`build_exact(told)`, made once."""
    return build_exact(told)


def changed(case: Case, change: Callable[[Bundle], Bundle]) -> Case:
    """The case with another bundle."""
    return replace(case, bundle=change(case.bundle))


def unshown(case: Case) -> Case:
    """The case without its proof: the ledger's record of it is all there is."""
    return changed(case, lambda bundle: replace(bundle, exact=ExactPart(GRAPH, None)))


def failed(case: Case) -> set[str]:
    """The claims that fail."""
    return {code for code, _ in judge(case.bundle, case.trust).reasons}
