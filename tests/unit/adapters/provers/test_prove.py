"""Proofs are believed by the reference verifier when they are true, and only then."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.zk import BEACON, NODE
from tests.unit.adapters.provers.slow_executor import bytes_for, graphs, run_slowly
from tests.unit.proofs.zk.models import MODELS, inputs_bytes, inputs_of, outputs_bytes, proven, refusal, weights_of

from paraph.adapters.provers import prove
from paraph.adapters.provers.prove import CommittedWeights
from paraph.adapters.provers.rows_committed import product_pads
from paraph.adapters.provers.weights import commit_weights
from paraph.adapters.provers.witness import Witness, run
from paraph.core.errors import Malformed, Rejected, Unverified
from paraph.core.ident import Digest
from paraph.proofs.zk.channel import Channel
from paraph.proofs.zk.graph import Clip, Conv, Gemm, Graph, Requant
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement, commitment
from paraph.proofs.zk.verify import verify

MODES = list(Mode)
SALT = bytes(32)


def seeds_of(count: int, mode: Mode) -> list[bytes] | None:
    """Seeds that follow from their number."""
    return [sha256(b"seed %d" % b).digest() for b in range(count)] if mode is Mode.HIDING else None


def about(graph: Graph, weights: CommittedWeights, inputs: NDArray[np.int8], mode: Mode) -> Statement:
    """The statement about these inputs and what comes out."""
    found = prove.outputs(weights, inputs)
    entries = []
    for b, (x, y) in enumerate(zip(inputs.tolist(), found.tolist(), strict=True)):
        key = Digest(sha256(b"request %d" % b).digest())
        entries.append(Entry(key, commitment(SALT, inputs_bytes(x), outputs_bytes(y))))
    return Statement(mode, Exact(graph, weights.root), NODE, 1337, BEACON, tuple(entries))


@cache
def committed(name: str) -> CommittedWeights:
    """A model's weights."""
    return commit_weights(MODELS[name], weights_of(MODELS[name]))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", list(MODELS))
def test_a_succinct_proof_is_the_slow_provers(name: str, count: int) -> None:
    """Without chance, both provers say the same, byte by byte."""
    wanted = proven(name, Mode.SUCCINCT, count)
    inputs = np.array(wanted.inputs, np.int8)

    assert prove.prove(wanted.statement, committed(name), inputs, None) == wanted.proof


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", list(MODELS))
def test_a_proof_holds(name: str, count: int, mode: Mode) -> None:
    """Each request finds its input and output in the proof, and no other; the plan knows how long it can be."""
    graph, weights = MODELS[name], committed(name)
    inputs = np.array(inputs_of(graph, count), np.int8)
    statement, seeds = about(graph, weights, inputs, mode), seeds_of(count, mode)

    proof = prove.prove(statement, weights, inputs, seeds)

    opened = verify(statement, proof)
    assert len(proof) <= plan(graph, count, mode).proof_bytes_max
    outputs = prove.outputs(weights, inputs).tolist()
    for b in range(count):
        seed = None if seeds is None else seeds[b]
        opened.need_request(b, inputs[b].tolist(), outputs[b], seed)
        other = [outputs[b][0] + 1, *outputs[b][1:]]
        with pytest.raises(Unverified):
            opened.need_request(b, inputs[b].tolist(), other, seed)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(st.data(), st.sampled_from(MODES), st.integers(1, 3))
def test_any_model_is_proven(data: st.DataObject, mode: Mode, count: int) -> None:
    """Small models of any operations and weights, whatever the inputs."""
    graph = data.draw(graphs())
    file = data.draw(bytes_for(graph))
    size = graph.shapes[0][0] * graph.shapes[0][1] * graph.shapes[0][2]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    inputs = rng.integers(-128, 128, (count, size)).astype(np.int8)
    try:
        for each in [*inputs.tolist(), [0] * size]:
            run_slowly(graph, file, each)
        layout = plan(graph, count, mode)
        # The reference is slow where tables are large.
        assume(layout.leaf_bits <= 12 and layout.witness_bits <= 13)
        weights = commit_weights(graph, file)
    except (AssertionError, Malformed):
        assume(condition=False)
        return
    statement = about(graph, weights, inputs, mode)

    proof = prove.prove(statement, weights, inputs, seeds_of(count, mode))

    assert refusal(statement, proof) is None


@pytest.mark.parametrize("mode", MODES)
def test_groups_are_proven(mode: Mode) -> None:
    """A grouped convolution is the dense one with zeros."""
    nodes = (Conv(0, 4, (2, 2), (1, 1), (0, 0, 0, 0), 2), Requant(1, 1, 5, -131_200, 131_200, Clip(0, 127)), Gemm(2, 2))
    graph = Graph((2, 3, 3), nodes)
    weights = commit_weights(graph, weights_of(graph))
    inputs = np.array(inputs_of(graph, 1), np.int8)
    statement = about(graph, weights, inputs, mode)

    proof = prove.prove(statement, weights, inputs, seeds_of(1, mode))

    assert refusal(statement, proof) is None


def test_hidden_proofs_of_one_request_have_nothing_in_common() -> None:
    """Pads, salts, tails and the nonce are new each time: no piece of 16 bytes stands in both."""
    weights = committed("residual")
    inputs = np.array(inputs_of(weights.graph, 1), np.int8)
    statement = about(weights.graph, weights, inputs, Mode.HIDING)
    layout = plan(weights.graph, 1, Mode.HIDING)

    first, second = (prove.prove(statement, weights, inputs, seeds_of(1, Mode.HIDING)) for _ in range(2))

    # Columns of the weights, which are not hidden, follow these.
    end = 64 + 16 * (layout.messages + layout.products + layout.degree + layout.test_degree)
    pieces = [{each[at : at + 16] for at in range(0, end, 16)} for each in (first, second)]
    assert not pieces[0] & pieces[1]


# --- lies ------------------------------------------------------------------------------------------------------------


def bend_value(witness: Witness) -> None:
    witness.values[0][0, 0] += 1


def bend_quotient(witness: Witness) -> None:
    witness.quotients[0][0, 0] += 1


def bend_remainder(witness: Witness) -> None:
    rest = witness.remainders[0]
    assert rest is not None
    rest[0, 0] ^= 1


def bend_input(witness: Witness) -> None:
    witness.blocks[0, 0] += 1


def bend_output(witness: Witness) -> None:
    witness.blocks[0, -1] += 1


def bend_count(witness: Witness) -> None:
    witness.multiplicities[0][0] += 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bend", [bend_value, bend_quotient, bend_remainder, bend_input, bend_output, bend_count])
def test_what_a_model_did_not_do_is_not_believed(bend: Callable[[Witness], None], mode: Mode) -> None:
    """A run changed in one place, and proven by an otherwise honest prover."""
    weights = committed("residual")
    layout = plan(weights.graph, 1, mode)
    inputs = np.array(inputs_of(weights.graph, 1), np.int8)
    witness = run(layout, weights, inputs)
    statement = about(weights.graph, weights, inputs, mode)
    bend(witness)

    proof = prove.prove_witness(statement, weights, witness, seeds_of(1, mode))

    assert refusal(statement, proof) is not None


@pytest.mark.parametrize("mode", MODES)
def test_other_weights_are_not_believed(mode: Mode) -> None:
    """A proof made with one bias changed, of the model as it is registered."""
    true = committed("dense")
    file = bytearray(weights_of(true.graph))
    file[-4] ^= 1
    other = commit_weights(true.graph, bytes(file))
    inputs = np.array(inputs_of(true.graph, 1), np.int8)
    statement = about(true.graph, other, inputs, mode)

    proof = prove.prove(statement, other, inputs, seeds_of(1, mode))

    assert refusal(statement, proof) is None
    assert refusal(replace(statement, exact=Exact(true.graph, true.root)), proof) is not None


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "seeds"),
    [
        (Mode.SUCCINCT, [bytes(32)]),
        (Mode.HIDING, None),
        (Mode.HIDING, []),
        (Mode.HIDING, [bytes(31)]),
        (Mode.HIDING, [bytes(32), bytes(32)]),
    ],
)
def test_seeds_are_one_for_each_request(mode: Mode, seeds: list[bytes] | None) -> None:
    """Mode 2 takes a seed of each request, mode 1 none."""
    weights = committed("dense")
    inputs = np.array(inputs_of(weights.graph, 1), np.int8)

    with pytest.raises(Malformed) as caught:
        prove.prove(about(weights.graph, weights, inputs, mode), weights, inputs, seeds)

    assert caught.value.code == "zk.seeds"


def test_a_statement_is_about_the_model_that_is_proven() -> None:
    """Weights of another model are refused before any work."""
    weights = committed("dense")
    inputs = np.array(inputs_of(weights.graph, 1), np.int8)
    statement = about(weights.graph, weights, inputs, Mode.SUCCINCT)

    for other in (Exact(weights.graph, Digest(bytes(32))), Exact(MODELS["pool"], weights.root)):
        with pytest.raises(Malformed) as caught:
            prove.prove(replace(statement, exact=other), weights, inputs, None)
        assert caught.value.code == "zk.weights"


def test_what_breaks_a_bound_cannot_be_proven() -> None:
    """The model's author said that the value cannot be."""
    graph = Graph((1,), (Requant(0, 1, 0, -100, 100, Clip(-128, 127)),))
    weights = commit_weights(graph, b"")
    statement = about(graph, weights, np.array([[100]], np.int8), Mode.SUCCINCT)

    with pytest.raises(Rejected) as caught:
        prove.prove(statement, weights, np.array([[101]], np.int8), None)

    assert caught.value.code == "zk.bounds"


def test_products_stand_where_a_verifier_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pads of each product's factors are those that the reference multiplies."""
    met: list[tuple[int, int]] = []
    real = Channel.zero

    def zero(self: Channel, *given_values: object) -> None:
        met[:] = self.products
        real(self, *given_values)  # type: ignore[arg-type]

    made = proven("dense", Mode.HIDING)
    monkeypatch.setattr(Channel, "zero", zero)

    verify(made.statement, made.proof)

    assert met == [product_pads(number) for number in range(plan(made.statement.exact.graph, 1, Mode.HIDING).products)]
