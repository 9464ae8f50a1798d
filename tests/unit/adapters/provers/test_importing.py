"""An ONNX file is read as it computes, what only words its scores is cut off, and what has no exact form is named."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.adapters.provers.originals import (
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

from paraph.adapters.provers.certificate import original_scores
from paraph.adapters.provers.importing import import_onnx
from paraph.adapters.provers.network import Activation, Affine, Convolution, Matrix, evaluate
from paraph.core.errors import Malformed

ROW: Shape = ["N", 6]
IMAGE: Shape = ["N", 4, 6, 5]
SEQUENCE: Shape = ["N", 4, 9]
CONSTANTS: dict[str, Any] = {
    "w": normal(1, 6, 5),
    "wt": normal(2, 5, 6),
    "b": normal(3, 5),
    "row": normal(4, 1, 6),
    "k": normal(5, 8, 4, 3, 3),
    "k2": normal(5, 8, 2, 3, 3),
    "k1": normal(5, 8, 4, 3),
    "kb": normal(6, 8),
    "channel": normal(7, 4, 1, 1),
    "each": normal(8, 4, 6, 5),
    "gamma": normal(1, 4),
    "beta": normal(2, 4),
    "mean": normal(3, 4),
    "variance": np.abs(normal(4, 4)) + 0.1,
    "two": np.float32(2),
    "zero": np.float32(0),
    "six": np.float32(6),
    "slope": np.array([0.3], np.float32),
    "flat": np.array([0, -1]),
    "known": np.array([-1, 24, 5]),
    "axes": np.array([2, 3]),
    "last": np.array([-1]),
    "first": np.array(0),
}
CASES: list[tuple[str, Shape, list[Any]]] = [
    ("gemm", ROW, [node("Gemm", "x w b", "y", alpha=0.5, beta=2.0)]),
    ("gemm transposed", ROW, [node("Gemm", "x wt", "y", transB=1)]),
    ("scaled features", ROW, [node("Mul", "x row", "a"), node("Sub", "row a", "c"), node("MatMul", "c w", "y")]),
    (
        "scaler",
        ROW,
        [node("Scaler", "x", "a", offset=[1.0] * 6, scale=[0.5, 2, 3, 4, 5, 6.0]), node("MatMul", "a w", "y")],
    ),
    ("numbers", ROW, [node("Sub", "two x", "a"), node("Div", "a two", "c"), node("MatMul", "c w", "y")]),
    ("clip", ROW, [node("MatMul", "x w", "a"), node("Clip", "a zero six", "y")]),
    ("min and max", ROW, [node("MatMul", "x w", "a"), node("Min", "a six", "c"), node("Max", "zero c", "y")]),
    ("power", ROW, [node("MatMul", "x w", "a"), node("Pow", "a two", "y")]),
    ("slope", ROW, [node("MatMul", "x w", "a"), node("PRelu", "a slope", "y")]),
    ("silu", ROW, [node("MatMul", "x w", "a"), node("Sigmoid", "a", "c"), node("Mul", "a c", "y")]),
    ("probability of one", ROW, [node("MatMul", "x w", "a"), node("Sigmoid", "a", "c"), node("Sub", "c two", "y")]),
    ("difference of two", ROW, [node("MatMul", "x w", "a"), node("Sigmoid", "a", "c"), node("Sub", "a c", "y")]),
    ("regressor", ROW, [node("LinearRegressor", "x", "y", coefficients=[1.0, 2, 3, 4, 5, 6], intercepts=[7.0])]),
    ("twice", ROW, [node("MatMul", "x w", "a"), node("Add", "a a", "y")]),
    ("convolution", IMAGE, [node("Conv", "x k kb", "y", strides=[2, 1], pads=[1, 0, 2, 1])]),
    ("groups", IMAGE, [node("Conv", "x k2 kb", "y", group=2)]),
    ("same", IMAGE, [node("Conv", "x k", "y", auto_pad="SAME_UPPER", strides=[2, 2])]),
    ("same lower", IMAGE, [node("Conv", "x k", "y", auto_pad="SAME_LOWER", strides=[2, 2])]),
    ("one side", SEQUENCE, [node("Conv", "x k1 kb", "a", pads=[1, 1], strides=[2]), node("Flatten", "a", "y")]),
    ("one side pool", SEQUENCE, [node("MaxPool", "x", "y", kernel_shape=[2], strides=[2])]),
    ("normalised", IMAGE, [node("BatchNormalization", "x gamma beta mean variance", "a"), node("Conv", "a k", "y")]),
    ("shifted", IMAGE, [node("Add", "x channel", "a"), node("Conv", "a k2", "y", group=2, pads=[1, 1, 1, 1])]),
    ("each place", IMAGE, [node("Mul", "x each", "a"), node("Relu", "a", "y")]),
    ("max pool", IMAGE, [node("MaxPool", "x", "a", kernel_shape=[3, 2], strides=[2, 1]), node("Relu", "a", "y")]),
    ("mean pool", IMAGE, [node("AveragePool", "x", "y", kernel_shape=[2, 2])]),
    ("global", IMAGE, [node("GlobalAveragePool", "x", "a"), node("Flatten", "a", "y")]),
    ("global max", IMAGE, [node("GlobalMaxPool", "x", "a"), node("Squeeze", "a axes", "y")]),
    ("reduced", IMAGE, [node("ReduceMean", "x axes", "y", keepdims=0)]),
    ("transposed", IMAGE, [node("Transpose", "x", "a", perm=[0, 3, 1, 2]), node("Reshape", "a flat", "y")]),
    ("reshaped", IMAGE, [node("Reshape", "x known", "a"), node("Transpose", "a", "y", perm=[0, 2, 1])]),
    ("joined", IMAGE, [node("Relu", "x", "a"), node("Concat", "x a", "y", axis=-2)]),
    ("unsqueezed", SEQUENCE, [node("Unsqueeze", "x last", "a"), node("Relu", "a", "y")]),
    (
        "shape by its parts",
        IMAGE,
        [
            node("Shape", "x", "s"),
            node("Gather", "s first", "n"),
            node("Unsqueeze", "n first", "n1"),
            node("Concat", "n1 last", "to", axis=0),
            node("Reshape", "x to", "y"),
        ],
    ),
]


@pytest.mark.parametrize(("shape", "nodes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_operators_compute_what_the_runtime_computes(shape: Shape, nodes: list[Any]) -> None:
    """Every supported operator, with its options: the network's output is ONNX Runtime's."""
    file = onnx_file(nodes, CONSTANTS, shape)
    rows = normal(9, 3, *(int(each) for each in shape[1:]), scale=2.0)

    network = import_onnx(file)
    found = evaluate(network, rows)[-1].reshape(3, -1)

    np.testing.assert_allclose(found, original_scores(file, "y", "x", rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("onnx", "data", "decision", "count"),
    [
        (digits_mlp, digits, "argmax", 10),
        (patients_mlp, patients, "sign", 2),
        (digits_cnn, lambda: digits().reshape(-1, 1, 8, 8), "argmax", 0),
    ],
    ids=["digits MLP", "patients MLP", "digits CNN"],
)
def test_scores_are_those_before_the_wording(onnx: Any, data: Any, decision: str, count: int) -> None:
    """Softmax, labels and maps are cut off, and named; the scores are what stands before them."""
    file, rows = onnx(), data()[:50]

    network = import_onnx(file)
    tail = network.tail
    found = evaluate(network, rows)[-1].reshape(50, -1)

    assert (tail.decision, len(tail.labels)) == (decision, count)
    assert tail.cut[0] in ("Softmax", "Sigmoid")
    np.testing.assert_allclose(
        found, original_scores(file, tail.tensor, "x" if count == 0 else "X", rows), rtol=1e-3, atol=1e-3
    )


def test_a_linear_classifier_gives_its_scores() -> None:
    """skl2onnx's logistic regression: one matrix, its labels known, its function cut off."""
    nodes = [
        node(
            "LinearClassifier",
            "x",
            "label scores",
            coefficients=[float(each) for each in normal(1, 18)],
            intercepts=[0.1, 0.2, 0.3],
            classlabels_strings=["a", "b", "c"],
            post_transform="SOFTMAX",
        ),
        node("Normalizer", "scores", "y", norm="L1"),
    ]
    file = onnx_file(nodes, {}, ROW)
    rows = normal(9, 5, 6)

    network = import_onnx(file)

    assert [type(each) for each in network.steps] == [Matrix]
    assert (network.tail.labels, network.tail.decision) == (("a", "b", "c"), "argmax")
    found = evaluate(network, rows)[-1].reshape(5, -1)
    np.testing.assert_allclose(found, original_scores(file, "scores", "x", rows), rtol=1e-4)


def test_normalisations_and_scalers_cost_no_step() -> None:
    """What multiplies and shifts next to a matrix or a convolution is part of it."""
    nodes = [
        node("Sub", "x two", "a"),
        node("Conv", "a k2 kb", "c", group=2, pads=[1, 1, 1, 1]),
        node("Mul", "c two", "m"),
        node("MaxPool", "m", "p", kernel_shape=[2, 2]),
        node("Relu", "p", "y"),
    ]

    network = import_onnx(onnx_file(nodes, CONSTANTS, IMAGE))

    assert not any(isinstance(each, Affine) for each in network.steps)
    assert [type(each) for each in network.steps[:2]] == [Convolution, Activation]
    assert network.input_offset.tolist() == [[[-2.0]]]


REFUSED: list[tuple[str, Shape, list[Any], str]] = [
    ("dilations", IMAGE, [node("Conv", "x k", "y", dilations=[2, 2])], "dilated"),
    ("unknown", IMAGE, [node("LpPool", "x", "y", kernel_shape=[2, 2])], "Supported: "),
    (
        "products",
        ROW,
        [node("MatMul", "x w", "a"), node("MatMul", "x w", "c"), node("Mul", "a c", "y")],
        "different tensors",
    ),
    ("attention", ROW, [node("Softmax", "x", "a"), node("MatMul", "a w", "y")], "Softmax"),
    ("ceiling", IMAGE, [node("MaxPool", "x", "y", kernel_shape=[2, 2], ceil_mode=1)], "ceil_mode"),
    (
        "margins left out",
        IMAGE,
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
        "count_include_pad",
    ),
    ("batch moved", IMAGE, [node("Transpose", "x", "y", perm=[1, 0, 2, 3])], "batch"),
    ("matrix on an image", IMAGE, [node("MatMul", "x w", "y")], "flatten"),
    ("integers midway", ROW, [node("Cast", "x", "a", to=7), node("Relu", "a", "y")], "midway"),
    ("wrong sizes", ROW, [node("MatMul", "x k", "y")], "rows and columns"),
    ("bad attribute", IMAGE, [node("Conv", "x k", "y", strides=[0, 1])], r"exact\."),
]


@pytest.mark.parametrize(("shape", "nodes", "why"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_has_no_exact_form_is_refused_by_name(shape: Shape, nodes: list[Any], why: str) -> None:
    """The sentence names the operator, and says what is supported."""
    with pytest.raises(Malformed, match=why) as refused:
        import_onnx(onnx_file(nodes, CONSTANTS, shape))
    assert refused.value.code in ("exact.op", "exact.shape")
    assert any(each.op_type in refused.value.message for each in nodes) or refused.value.code == "exact.shape"


def test_trees_are_refused_with_a_reason() -> None:
    """A random forest is refused, and the sentence says what has an exact form instead."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    data = load_breast_cancer()
    forest = RandomForestClassifier(n_estimators=2, max_depth=2, random_state=0).fit(data.data, data.target)
    file = to_onnx(forest, data.data[:1].astype(np.float32)).SerializeToString()

    with pytest.raises(Malformed, match="trees of decisions"):
        import_onnx(file)


def test_several_outputs_are_refused() -> None:
    """A file that gives two different tensors has no one output."""
    from onnx import TensorProto, helper, load_from_string

    nodes = [node("MatMul", "x w", "y"), node("Gemm", "x wt", "z", transB=1)]
    model = load_from_string(onnx_file(nodes, CONSTANTS, ROW))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))

    with pytest.raises(Malformed, match=r"exact\.output"):
        import_onnx(model.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"GGUF", bytes(100)])
def test_other_files_are_refused(data: bytes) -> None:
    """What is no ONNX file is refused as such."""
    with pytest.raises(Malformed, match=r"exact\.onnx"):
        import_onnx(data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    """A file with any bytes changed, or cut short, is read or refused as malformed: nothing else happens."""
    nodes = [node("Conv", "x k2 kb", "a", group=2), node("Relu", "a", "r"), node("Flatten", "r", "y")]
    file = bytearray(onnx_file(nodes, {"k2": normal(5, 8, 2, 3, 3), "kb": normal(6, 8)}, IMAGE))
    # The weights themselves may be anything; the first 300 bytes and the last hold the form.
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 300), st.integers(len(file) - 200, len(file) - 1)))
        file[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(file)), st.integers(0, len(file))))

    try:
        network = import_onnx(bytes(file[:cut]))
    except Malformed:
        return
    assert network.steps
