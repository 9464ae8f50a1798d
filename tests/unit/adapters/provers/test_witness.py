"""What a run leaves for a proof is what the model makes, and what its tables are asked for."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support import zk
from tests.unit.adapters.provers.slow_executor import bytes_for, graphs, run_slowly
from tests.unit.proofs.zk.models import DENSE, MODELS, inputs_of, weights_of

from paraph.adapters.provers import prove
from paraph.adapters.provers.weights import commit_weights
from paraph.adapters.provers.witness import Witness, run
from paraph.core.errors import Malformed, Rejected
from paraph.proofs.zk.graph import Clip, Gemm, Graph, Requant
from paraph.proofs.zk.plan import Plan, plan
from paraph.proofs.zk.statement import Mode
from paraph.proofs.zk.weights import weight_root, weight_vector


def ran(graph: Graph, count: int) -> tuple[Plan, Witness]:
    """A model's run."""
    layout = plan(graph, count, Mode.SUCCINCT)
    inputs = np.array(inputs_of(graph, count), np.int8)
    return layout, run(layout, commit_weights(graph, weights_of(graph)), inputs)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", list(MODELS))
def test_a_run_is_the_slow_provers(name: str, count: int) -> None:
    """Every value, remainder and quotient of every request, those that fill the batch as well."""
    graph = MODELS[name]
    layout, found = ran(graph, count)
    inputs = [*inputs_of(graph, count), *[[0] * layout.inputs] * ((1 << layout.batch_bits) - count)]
    vector = weight_vector(graph, weights_of(graph))

    wanted = [zk.run(layout, vector, each, b, zk.Lies()) for b, each in enumerate(inputs)]

    for b, each in enumerate(wanted):
        assert found.blocks[b].tolist() == each.block
        assert [values[b].tolist() for values in found.values] == each.values
        assert [asked[b].tolist() for asked in found.quotients] == each.quotients
        for layer, (rest, own) in enumerate(zip(found.remainders, each.remainders, strict=True)):
            assert (rest is None) == (layout.layers[layer].range is None)
            assert rest is None or rest[b].tolist() == own
    asked = sum((2 if each.range is not None else 1) * each.places * each.outputs for each in layout.layers[:-1])
    assert sum(int(each.sum()) for each in found.multiplicities) == asked << layout.batch_bits


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.data())
def test_outputs_are_the_models(data: st.DataObject) -> None:
    """Any small model of any operations gives what its nodes give, one by one; and its weights are those committed."""
    graph = data.draw(graphs())
    file = data.draw(bytes_for(graph))
    size = graph.shapes[0][0] * graph.shapes[0][1] * graph.shapes[0][2]
    inputs = data.draw(st.lists(st.lists(st.integers(-128, 127), min_size=size, max_size=size), min_size=1, max_size=3))
    try:
        wanted = [run_slowly(graph, file, each)[-1] for each in inputs]
        if len(inputs) == 3:
            # A batch of three is filled with a fourth.
            run_slowly(graph, file, [0] * size)
        weights = commit_weights(graph, file)
    except (AssertionError, Malformed):
        assume(condition=False)
        return

    assert prove.outputs(weights, np.array(inputs, np.int8)).tolist() == wanted
    assert weights.root == weight_root(graph, file)


def test_bounds_hold() -> None:
    """A value that the author said cannot be is refused, one at the bound is not."""
    graph = Graph((1,), (Gemm(0, 1), Requant(1, 1, 0, -100, 100, Clip(-128, 127))))
    weights = commit_weights(graph, b"\x01" + bytes(4))

    assert prove.outputs(weights, np.array([[100], [-100]], np.int8)).tolist() == [[100], [-100]]
    for beyond in (101, -101):
        with pytest.raises(Rejected, match=str(beyond)) as caught:
            prove.outputs(weights, np.array([[beyond]], np.int8))
        assert caught.value.code == "zk.bounds"


@pytest.mark.parametrize(
    "inputs", [np.zeros((1, 4), np.int8), np.zeros((1, 3), np.int16), np.zeros((3,), np.int8), np.zeros((2, 3))]
)
def test_inputs_of_another_shape_are_refused(inputs: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> None:
    """Inputs are int8, one row for each request."""
    layout = plan(DENSE, 1, Mode.SUCCINCT)

    with pytest.raises(Malformed) as caught:
        run(layout, commit_weights(DENSE, weights_of(DENSE)), inputs)

    assert caught.value.code == "zk.input"


def test_weights_of_another_length_are_refused() -> None:
    """The file of weights is as long as the graph says."""
    with pytest.raises(Malformed) as caught:
        commit_weights(DENSE, weights_of(DENSE)[:-1])

    assert caught.value.code == "graph.weights"


def test_a_large_batch_is_run_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gathered at once has a limit, and it changes nothing."""
    graph = MODELS["spatial"]
    _, whole = ran(graph, 5)
    monkeypatch.setattr("paraph.adapters.provers.witness.GATHERED_MAX", 70)

    _, pieces = ran(graph, 5)

    assert (whole.blocks == pieces.blocks).all()
    assert all((a == b).all() for a, b in zip(whole.values, pieces.values, strict=True))
