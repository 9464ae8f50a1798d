"""Exact models say what their originals say, on inputs they were not made with, and refuse none."""

from typing import Any

import numpy as np
import pytest
from tests.unit.adapters.provers.originals import (
    Rows,
    Shape,
    digits,
    digits_cnn,
    digits_mlp,
    node,
    normal,
    onnx_file,
    patients,
    patients_mlp,
)

from paraph.adapters.provers.execute import Exact, bounds_hold
from paraph.adapters.provers.importing import import_onnx
from paraph.adapters.provers.model import certified, make
from paraph.adapters.provers.quantize import quantize
from paraph.core.errors import Malformed
from paraph.proofs.zk.graph import Clip, Listed, Requant
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import Mode

ROW: Shape = ["N", 8]


def agreement(onnx: bytes, data: Rows, first: int) -> tuple[float, float]:
    """How often both give one answer, and the mean error of scores as a part of the largest."""
    found = certified(make(onnx, data[:first]), onnx, data, first).card.certificate
    assert found is not None
    return found.agreed / found.inputs, found.mean_error / found.max_score


@pytest.mark.parametrize(
    ("onnx", "data"),
    [(digits_mlp, digits), (digits_cnn, digits), (patients_mlp, patients)],
    ids=["digits MLP", "digits CNN", "patients MLP"],
)
def test_classifiers_agree_with_their_originals(onnx: Any, data: Any) -> None:
    """On held-out inputs, at least 99 % of the answers are those of ONNX Runtime, and scores err by under 2 %."""
    rows = data()

    same, error = agreement(onnx(), rows, len(rows) * 3 // 4)

    assert same >= 0.99
    assert error < 0.02


@pytest.mark.parametrize("onnx", [digits_mlp, digits_cnn, patients_mlp])
def test_no_input_is_refused(onnx: Any) -> None:
    """Bounds hold for every int8 input whatever, extremes too."""
    data = patients() if onnx is patients_mlp else digits()

    model = make(onnx(), data[:400])
    bounds_hold(model.graph, model.weights)
    extremes = np.random.default_rng(3).choice(
        np.array([-128, 127], np.int8), (50, Exact(model.graph, model.weights).inputs)
    )

    assert Exact(model.graph, model.weights).run(extremes).shape == (50, model.card.outputs)


@pytest.mark.parametrize("onnx", [digits_mlp, digits_cnn, patients_mlp])
def test_rescalings_are_shifts_with_small_tables(onnx: Any) -> None:
    """No rescaling multiplies, no table spans more than 2^13 quotients, and a proof has a layout."""
    data = patients() if onnx is patients_mlp else digits()

    graph = make(onnx(), data[:400]).graph

    for each in graph.nodes:
        if isinstance(each, Requant):
            assert each.multiplier == 1
            assert each.quotient(each.high) - each.quotient(each.low) < 2**13
    assert plan(graph, 1, Mode.SUCCINCT).layers


def small(op: str, **attributes: Any) -> bytes:
    """A matrix, one function, a matrix."""
    constants = {"w": normal(1, 8, 6), "v": normal(2, 6, 3), "b": normal(3, 6)}
    nodes = [
        node("MatMul", "x w", "h"),
        node("Add", "h b", "s"),
        node(op, "s", "a", **attributes),
        node("MatMul", "a v", "y"),
    ]
    return onnx_file(nodes, constants, ROW)


@pytest.mark.parametrize(
    "op", ["Sigmoid", "Tanh", "Gelu", "LeakyRelu", "Elu", "Softplus", "HardSwish", "Mish", "Erf", "Abs", "Relu"]
)
def test_functions_become_tables(op: str) -> None:
    """A function of each element is a table, and what comes out is the function's within 2 %."""
    rows = normal(9, 600, 8, scale=1.0)
    onnx = small(op)

    model = make(onnx, rows[:500])
    _, error = agreement(onnx, rows, 500)

    tables = [each.table for each in model.graph.nodes if isinstance(each, Requant)]
    assert [type(table) for table in tables] == [Clip if op == "Relu" else Listed]
    assert error < 0.02


def test_a_gelu_of_many_operators_is_one_table() -> None:
    """What exporters write in five operators is one function of each element."""
    constants = {
        "w": normal(1, 8, 6),
        "v": normal(2, 6, 3),
        "root": np.float32(2**0.5),
        "one": np.float32(1),
        "half": np.float32(0.5),
    }
    nodes = [
        node("MatMul", "x w", "s"),
        node("Div", "s root", "a"),
        node("Erf", "a", "b"),
        node("Add", "b one", "c"),
        node("Mul", "s c", "d"),
        node("Mul", "d half", "e"),
        node("MatMul", "e v", "y"),
    ]
    rows = normal(9, 600, 8, scale=1.0)
    onnx = onnx_file(nodes, constants, ROW)

    model = make(onnx, rows[:500])

    assert len(model.graph.nodes) == 3
    assert agreement(onnx, rows, 500)[1] < 0.02


IMAGE: Shape = ["N", 4, 6, 6]
KERNELS: dict[str, Any] = {
    "w": normal(1, 4, 4, 3, 3, scale=0.2),
    "v": normal(2, 3, 4 * 36, scale=0.1),
    "g": normal(3, 4, 1, 1, 1),
}
PATTERNS: dict[str, list[Any]] = {
    "residual of the input": [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Add", "c x", "s"),
        node("Relu", "s", "h"),
    ],
    "difference of two convolutions": [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Conv", "x g", "d", group=4),
        node("Sub", "c d", "s"),
        node("Relu", "s", "h"),
    ],
    "maximum with a margin": [
        node("Relu", "x", "r"),
        node("MaxPool", "r", "h", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ],
    "function behind a maximum": [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("MaxPool", "c", "p", kernel_shape=[1, 1]),
        node("Sigmoid", "p", "h"),
    ],
    "another order": [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("Relu", "t", "h"),
    ],
    "mean in place": [
        node("AveragePool", "x", "h", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    ],
    "joined branches": [
        node("Conv", "x g", "d", group=4),
        node("Relu", "x", "r"),
        node("Concat", "d r", "j", axis=1),
        node("MaxPool", "j", "m", kernel_shape=[1, 2], strides=[1, 2]),
        node("LeakyRelu", "m", "h", alpha=0.2),
    ],
}


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_of_images_are_close(name: str) -> None:
    """Each pattern of layers errs by under 2 % of the largest score."""
    nodes = [*PATTERNS[name], node("Flatten", "h", "f"), node("Gemm", "f v", "y", transB=1)]
    rows = normal(5, 300, 4 * 36, scale=1.0).reshape(300, 4, 6, 6)
    onnx = onnx_file(nodes, KERNELS, IMAGE)

    assert agreement(onnx, rows, 250)[1] < 0.02


def test_a_function_that_two_layers_read_is_one_layer() -> None:
    """A residual reads the ReLU that the next convolution reads: three rescalings, not five."""
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("Conv", "r w", "d", pads=[1, 1, 1, 1]),
        node("Relu", "d", "e"),
        node("Conv", "e w", "f", pads=[1, 1, 1, 1]),
        node("Add", "f r", "s"),
        node("Relu", "s", "h"),
        node("Flatten", "h", "flat"),
        node("Gemm", "flat v", "y", transB=1),
    ]
    rows = normal(5, 300, 4 * 36, scale=1.0).reshape(300, 4, 6, 6)
    onnx = onnx_file(nodes, KERNELS, IMAGE)

    graph = make(onnx, rows[:250]).graph

    assert sum(isinstance(each, Requant) for each in graph.nodes) == 3
    assert agreement(onnx, rows, 250)[1] < 0.02


@pytest.mark.parametrize("op", ["Tanh", "Relu", "Identity"])
def test_outputs_may_follow_a_table(op: str) -> None:
    """A model that ends in a function, or in nothing but a sum, has a unit of output too."""
    nodes = [node("MatMul", "x w", "s"), node(op, "s", "y")]
    rows = normal(9, 300, 8, scale=1.0)

    assert agreement(onnx_file(nodes, {"w": normal(1, 8, 6)}, ROW), rows, 250)[1] < 0.02


def test_features_of_any_size_have_their_own_units() -> None:
    """Features that differ by 10^6 in size count as they do in the original."""
    sizes = np.array([1e-3, 1.0, 1e3, 5.0], np.float32)
    nodes = [node("MatMul", "x w", "y")]
    onnx = onnx_file(nodes, {"w": np.eye(4, dtype=np.float32) / sizes[:, None]}, ["N", 4])
    rows = normal(9, 300, 4, scale=1.0) * sizes + sizes * 7

    model = make(onnx, rows[:250])

    assert len(model.card.scale) == 4
    assert agreement(onnx, rows, 250)[1] < 0.02


def test_constant_features_do_no_harm() -> None:
    """A feature that never changes takes no unit, and counts with its value."""
    nodes = [node("MatMul", "x w", "y")]
    rows = normal(9, 300, 4, scale=1.0)
    rows[:, 2] = 3.0

    assert agreement(onnx_file(nodes, {"w": normal(1, 4, 2)}, ["N", 4]), rows, 250)[1] < 0.02


@pytest.mark.parametrize(
    "rows",
    [np.zeros((1, 8)), np.zeros((5, 7)), np.full((5, 8), np.nan)],
    ids=["one row", "other length", "no numbers"],
)
def test_calibration_needs_rows(rows: Any) -> None:
    """Two rows at least, of the input's length, of finite numbers."""
    with pytest.raises(Malformed, match=r"exact\.calibration"):
        quantize(import_onnx(small("Relu")), rows)


def test_a_margin_around_negative_maxima_is_refused() -> None:
    """Zeros beyond the edge would be larger than what is within."""
    nodes = [node("MaxPool", "x", "h", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("Flatten", "h", "y")]

    with pytest.raises(Malformed, match="put a ReLU before it"):
        make(onnx_file(nodes, {}, IMAGE), normal(5, 50, 144, scale=1.0).reshape(50, 4, 6, 6))


def test_a_function_without_a_value_is_refused() -> None:
    """An exponential that leaves the numbers has no table."""
    with pytest.raises(Malformed, match="no finite value"):
        make(small("Exp"), normal(9, 300, 8, scale=1e4))
