"""Small original models, trained from scikit-learn's data or filled with seeded numbers, as ONNX files."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Shape = Sequence[int | str]


def onnx_file(nodes: Sequence[Any], constants: dict[str, Any], shape: Shape, output: str = "y") -> bytes:
    """A file of these nodes, with the input `x`."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    """A node; names of inputs separated by spaces."""
    from onnx import helper

    domain = "ai.onnx.ml" if op in ("Scaler", "LinearClassifier", "LinearRegressor", "Normalizer", "ZipMap") else ""
    return helper.make_node(op, inputs.split(), output.split(), domain=domain, **attributes)


def normal(seed: int, *shape: int, scale: float = 0.5) -> Rows:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


@cache
def digits() -> Rows:
    """1797 images of 8 × 8, from 0 to 1, shuffled."""
    from sklearn.datasets import load_digits

    data: Rows = (load_digits().data / 16).astype(np.float32)
    return data[np.random.default_rng(0).permutation(len(data))]


@cache
def patients() -> Rows:
    """569 rows of 30 measurements whose sizes differ by 10^5, shuffled."""
    from sklearn.datasets import load_breast_cancer

    data: Rows = load_breast_cancer().data.astype(np.float32)
    return data[np.random.default_rng(0).permutation(len(data))]


@cache
def digits_mlp() -> bytes:
    """64-64-32-10, as skl2onnx writes it, with probabilities and labels behind the scores."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.utils._testing import ignore_warnings

    data = load_digits()
    rows = (data.data / 16).astype(np.float32)
    model = MLPClassifier((64, 32), max_iter=15, random_state=0)
    ignore_warnings(category=ConvergenceWarning)(model.fit)(rows, data.target)
    return to_onnx(model, rows[:1]).SerializeToString()  # type: ignore[no-any-return]


@cache
def patients_mlp() -> bytes:
    """A scaler and 30-16-1, whose only score says benign above zero."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    rows = data.data.astype(np.float32)
    model = make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=400, random_state=0)).fit(rows, data.target)
    return to_onnx(model, rows[:1]).SerializeToString()  # type: ignore[no-any-return]


@cache
def digits_cnn() -> bytes:
    """Two convolutions with seeded kernels, a batch normalisation, a residual, pools, and a fitted last layer."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    constants: dict[str, Any] = {
        "w1": normal(1, 8, 1, 3, 3),
        "b1": normal(2, 8, scale=0.1),
        "w2": normal(3, 8, 4, 3, 3, scale=0.25),
        "gamma": np.abs(normal(4, 8)) + 0.5,
        "beta": normal(5, 8, scale=0.1),
        "mean": normal(6, 8, scale=0.1),
        "variance": np.abs(normal(7, 8)) + 0.3,
        "half": np.float32(0.5),
        "shape": np.array([0, -1]),
    }
    body = [
        node("Sub", "x half", "x0"),
        node("Conv", "x0 w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2", "c2", pads=[1, 1, 1, 1], group=2),
        node("BatchNormalization", "c2 gamma beta mean variance", "n2"),
        node("Add", "n2 r1", "s2"),
        node("Relu", "s2", "r2"),
        node("MaxPool", "r2", "p2", kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", "r2", "q2", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
        node("Concat", "p2 q2", "j2", axis=1),
        node("Reshape", "j2 shape", "features"),
    ]
    import onnxruntime

    images = (load_digits().images / 16).astype(np.float32)[:, None]
    features_file = onnx_file(body, constants, ["N", 1, 8, 8], "features")
    features = onnxruntime.InferenceSession(features_file).run(None, {"x": images})[0]
    fitted = LogisticRegression(max_iter=2000).fit(features, load_digits().target)
    constants |= {"w3": fitted.coef_.astype(np.float32), "b3": fitted.intercept_.astype(np.float32)}
    head = [node("Gemm", "features w3 b3", "z", transB=1), node("Softmax", "z", "y")]
    return onnx_file([*body, *head], constants, ["N", 1, 8, 8])
