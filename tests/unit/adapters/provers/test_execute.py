"""The executor gives what a slow one gives, in any batch, and refuses what its author said cannot be."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.unit.adapters.provers.slow_executor import bytes_for, graphs, run_slowly

from paraph.adapters.provers.execute import Exact, bounds_hold, intervals, read_weights, write_weights
from paraph.core.errors import Malformed, Rejected
from paraph.proofs.zk.graph import Clip, Conv, Gemm, Graph, Listed, MaxPool, Node, Requant

OFTEN = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@OFTEN
@given(st.data())
def test_every_tensor_is_what_a_slow_executor_finds(data: st.DataObject) -> None:
    """Any small model of any operations: the fast executor's tensors are the slow one's, each of them."""
    graph = data.draw(graphs())
    weights = data.draw(bytes_for(graph))
    count = graph.shapes[0][0] * graph.shapes[0][1] * graph.shapes[0][2]
    inputs = data.draw(st.lists(st.integers(-128, 127), min_size=count, max_size=count))
    try:
        wanted = run_slowly(graph, weights, inputs)
    except AssertionError:
        assume(condition=False)
        return

    found = Exact(graph, weights).trace(np.array([inputs], np.int8))

    assert [each.reshape(-1).tolist() for each in found] == wanted
    assert Exact(graph, weights).run(np.array([inputs], np.int8)).tolist() == [wanted[-1]]


@OFTEN
@given(st.data())
def test_intervals_hold_for_every_input(data: st.DataObject) -> None:
    """Whatever the input, every element of every tensor lies within its interval."""
    graph = data.draw(graphs())
    weights = data.draw(bytes_for(graph))
    bounds = intervals(graph, weights)
    model = Exact(graph, weights)
    rows = data.draw(st.lists(st.sampled_from([-128, 127, 0, 5]), min_size=model.inputs, max_size=model.inputs))
    try:
        found = model.trace(np.array([rows], np.int8))
    except Rejected:
        assume(condition=False)
        return

    for tensor, each in zip(found, bounds, strict=True):
        assert (each.low <= tensor).all()
        assert (tensor <= each.high).all()


@OFTEN
@given(st.data())
def test_an_answer_does_not_depend_on_its_batch(data: st.DataObject) -> None:
    """A row alone and in a batch gives the same integers."""
    graph = data.draw(graphs())
    weights = data.draw(bytes_for(graph))
    model = Exact(graph, weights)
    seed = data.draw(st.integers(0, 2**32 - 1))
    rows = np.random.default_rng(seed).integers(-128, 128, (7, model.inputs)).astype(np.int8)
    try:
        together = model.run(rows)
    except Rejected:
        assume(condition=False)
        return

    assert np.array_equal(together, np.concatenate([model.run(row[None]) for row in rows]))


def chain(*nodes: Node) -> Graph:
    return Graph((4,), nodes)


def weights_of(matrix: list[list[int]], bias: list[int]) -> bytes:
    return np.array(matrix, np.int8).tobytes() + np.array(bias, "<i4").tobytes()


ONES = weights_of([[1, 1, 1, 1]], [0])


def test_bounds_are_checked_while_it_runs() -> None:
    """An input that makes a value beyond its declared bounds is refused, with the node and the value."""
    graph = chain(Gemm(0, 1), Requant(1, 1, 2, -100, 100, Clip(-128, 127)))
    model = Exact(graph, ONES)

    assert model.run(np.array([[25, 25, 25, 25]], np.int8)).tolist() == [[25]]
    with pytest.raises(Rejected) as refused:
        model.run(np.array([[25, 25, 25, 26]], np.int8))
    assert (refused.value.code, refused.value.facts) == ("exact.bounds", {"node": 1, "value": 101})
    with pytest.raises(Rejected, match="-101"):
        model.run(np.array([[-25, -25, -25, -26]], np.int8))


def test_bounds_are_shown_for_all_inputs() -> None:
    """Bounds that hold by the weights are accepted; one less is refused, by the node's number."""
    just = chain(Gemm(0, 1), Requant(1, 1, 2, -512, 508, Clip(-128, 127)))
    less = chain(Gemm(0, 1), Requant(1, 1, 2, -512, 507, Clip(-128, 127)))

    bounds_hold(just, ONES)
    with pytest.raises(Malformed) as refused:
        bounds_hold(less, ONES)
    assert (refused.value.code, refused.value.facts) == ("exact.bounds", {"node": 1})


def test_a_table_that_falls_has_its_true_interval() -> None:
    """An interval through a table looks at all entries between its ends."""
    graph = chain(Requant(0, 1, 0, -128, 127, Listed(-1, (5, -90, 77, 6))))

    bounds = intervals(graph, b"")[-1]

    assert (bounds.least, bounds.greatest) == (-90, 77)


def test_sums_too_long_for_single_precision_are_exact() -> None:
    """2^11 products of -128 and -128 and one of 1: the last bit is there."""
    count = 2**11 + 1
    graph = Graph((count,), (Gemm(0, 1),))
    weights = np.full(count, -128, np.int8)
    weights[-1] = 1
    inputs = np.full((1, count), -128, np.int8)
    inputs[0, -1] = 1

    found = Exact(graph, weights.tobytes() + bytes(4)).run(inputs)

    assert found.tolist() == [[2**11 * 2**14 + 1]]


@pytest.mark.parametrize(
    "inputs",
    [np.zeros((1, 4), np.int16), np.zeros((1, 5), np.int8), np.zeros(4, np.int8), np.zeros((0, 4), np.int8)],
    ids=["type", "length", "no batch", "empty"],
)
def test_other_inputs_are_refused(inputs: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> None:
    """Inputs are int8 rows of the model's length, at least one."""
    model = Exact(chain(Gemm(0, 1)), ONES)

    with pytest.raises(Rejected, match=r"exact\.input"):
        model.run(inputs)


def test_weights_of_another_length_are_refused() -> None:
    """The file of weights is as long as the graph says."""
    with pytest.raises(Malformed, match=r"graph\.weights"):
        Exact(chain(Gemm(0, 1)), ONES + b"\0")


def test_weights_are_written_as_they_are_read() -> None:
    """Reading and writing a file of weights gives the file."""
    graph = Graph(
        (2, 3, 3), (Conv(0, 4, (2, 2), (1, 1), (0, 0, 0, 0), 2), Requant(1, 1, 4, -9999, 9999, Clip(0, 9)), Gemm(2, 3))
    )
    matrix = np.random.default_rng(1).integers(-128, 128, 32)
    first = weights_of(matrix.reshape(4, 8)[:, :4].tolist(), [1, -2, 2**28, -(2**28)])
    data = first + weights_of([[5] * 16] * 3, [7, 8, 9])

    assert write_weights(graph, read_weights(graph, data)) == data


def test_large_batches_run_in_pieces() -> None:
    """A batch beyond what is held at once gives what its parts give."""
    graph = Graph((64, 64, 64), (MaxPool(0, (64, 64), (1, 1)),))
    rows = np.random.default_rng(2).integers(-128, 128, (40, 64**3)).astype(np.int8)
    model = Exact(graph, b"")

    assert model._rows_max < len(rows)
    assert model.run(rows).tolist() == rows.reshape(40, 64, 4096).max(axis=2).tolist()
