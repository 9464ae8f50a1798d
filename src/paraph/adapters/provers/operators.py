"""The operators of an ONNX file that an exact model can have, each turned into steps of a network.

Here: matrices and pooling. Sources: the ONNX operator specifications, opset 23, and ai.onnx.ml 5.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from paraph.adapters.provers.network import Convolution, Floats, LargestPool, Matrix, MeanPool
from paraph.adapters.provers.pointwise import POINTWISE
from paraph.adapters.provers.scene import Reader, Scene, finite, refuse
from paraph.adapters.provers.shaping import SHAPING
from paraph.adapters.provers.signals import Signal, Value, stored
from paraph.proofs.zk.graph import Pads, Pair

# --- matrices ----------------------------------------------------------------------------------------------------


def _matrix(scene: Scene, weight: Floats, bias: Floats) -> Signal:
    signal = scene.signal()
    if len(signal.shape) != 1 or weight.ndim != 2 or weight.shape[1] != signal.shape[0]:
        raise refuse(scene.operator, f"a matrix takes one row of numbers, not {list(signal.shape)}: flatten before it")
    tensor = scene.building.emit(Matrix(scene.building.settled(signal), weight, bias))
    return Signal(tensor, (len(weight),))


def _gemm(scene: Scene) -> Value:
    weight = scene.floats(1) * float(scene.get("alpha", 1.0))
    if scene.get("transA", 0):
        raise refuse(scene.operator, "its input cannot be transposed")
    if not scene.get("transB", 0):
        weight = weight.T
    bias = np.zeros(len(weight))
    if scene.constant(2) is not None:
        bias = np.broadcast_to(scene.floats(2).ravel() * float(scene.get("beta", 1.0)), bias.shape).copy()
    return _matrix(scene, weight, bias)


def _matmul(scene: Scene) -> Value:
    weight = scene.floats(1)
    if weight.ndim != 2:
        raise refuse(scene.operator, "only a constant with rows and columns is multiplied with")
    return _matrix(scene, weight.T, np.zeros(weight.shape[1]))


def _linear(scene: Scene) -> Value:
    inputs = scene.signal().shape
    coefficients = finite(scene.operator, scene.get("coefficients", ()))
    if len(inputs) != 1 or not coefficients.size or coefficients.size % inputs[0]:
        raise refuse(scene.operator, f"its {coefficients.size} coefficients do not fit {list(inputs)} inputs")
    weight = coefficients.reshape(-1, inputs[0])
    bias = finite(scene.operator, scene.get("intercepts", np.zeros(len(weight))))
    if bias.shape != (len(weight),):
        raise refuse(scene.operator, "it has not one intercept for each output")
    return _matrix(scene, weight, bias)


def linear_regressor(scene: Scene) -> Value:
    """ai.onnx.ml LinearRegressor."""
    if scene.get("post_transform", b"NONE") != b"NONE":
        raise refuse(scene.operator, "a function behind it is not supported")
    return _linear(scene)


def linear_classifier(scene: Scene) -> Signal:
    """The scores of ai.onnx.ml LinearClassifier."""
    found = _linear(scene)
    labels = scene.get("classlabels_ints") or scene.get("classlabels_strings") or ()
    if not isinstance(found, Signal) or found.shape != (len(labels),):
        raise refuse(scene.operator, "it has not one score for each label")
    return found


def _convolution(scene: Scene) -> Value:
    signal, weight = scene.signal(), scene.floats(1)
    flat = len(signal.shape) == 2
    if len(signal.shape) == 1 or weight.ndim != len(signal.shape) + 1:
        raise refuse(scene.operator, f"kernels of {weight.ndim} sides do not fit {list(signal.shape)}")
    if any(each != 1 for each in scene.get("dilations", ())):
        raise refuse(scene.operator, "dilated kernels are not supported: write the zeros into the kernel")
    if flat:
        weight = weight[:, :, None, :]
    kernel = weight.shape[2], weight.shape[3]
    stride, pad = _geometry(scene, kernel, flat=flat)
    bias = scene.floats(2) if scene.constant(2) is not None else np.zeros(len(weight))
    groups = int(scene.get("group", 1))
    channels = stored(signal.shape)[0]
    fits = groups > 0 and channels == weight.shape[1] * groups and len(weight) % groups == 0
    if not fits or bias.shape != (len(weight),):
        raise refuse(
            scene.operator, f"{channels} channels, {groups} groups and {list(weight.shape)} weights do not fit"
        )
    return _windowed(scene, Convolution(scene.building.settled(signal), weight, bias, stride, pad, groups), flat=flat)


def _geometry(scene: Scene, kernel: Pair, *, flat: bool) -> tuple[Pair, Pads]:
    """Stride and margins: top, left, bottom, right."""
    strides = [int(each) for each in scene.get("strides", ())] or [1] * (1 if flat else 2)
    stride = (1, strides[0]) if flat else (strides[0], strides[-1])
    shape = stored(scene.signal().shape)
    auto = scene.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        ends = []
        for size, side, step in zip(shape[1:], kernel, stride, strict=True):
            whole = max((-(-size // step) - 1) * step + side - size, 0)
            small, large = whole // 2, whole - whole // 2
            ends.append((small, large) if auto == b"SAME_UPPER" else (large, small))
        return stride, (ends[0][0], ends[1][0], ends[0][1], ends[1][1])
    pads = [int(each) for each in scene.get("pads", ())] if auto == b"NOTSET" else []
    if not pads:
        return stride, (0, 0, 0, 0)
    if len(pads) != (2 if flat else 4) or min(pads) < 0 or min(stride) < 1:
        raise refuse(scene.operator, f"margins {pads[:8]} and steps {strides[:4]} cannot be")
    return stride, (0, pads[0], 0, pads[1]) if flat else (pads[0], pads[1], pads[2], pads[3])


def _windowed(scene: Scene, step: Convolution | MeanPool | LargestPool, *, flat: bool) -> Signal:
    tensor = scene.building.emit(step)
    channels, rows, columns = scene.building.shape(tensor)
    return Signal(tensor, (channels, columns) if flat else (channels, rows, columns))


# --- pooling -----------------------------------------------------------------------------------------------------


def _pool(scene: Scene) -> Value:
    signal = scene.signal()
    sides = [int(each) for each in scene.get("kernel_shape", ())]
    flat = len(signal.shape) == 2
    if len(signal.shape) == 1 or len(sides) != len(signal.shape) - 1:
        raise refuse(scene.operator, f"a window of {sides[:4]} does not fit {list(signal.shape)}")
    if any(each != 1 for each in scene.get("dilations", ())) or scene.get("ceil_mode", 0):
        raise refuse(scene.operator, "dilated windows and ceil_mode are not supported")
    kernel = (1, sides[0]) if flat else (sides[0], sides[1])
    stride, pad = _geometry(scene, kernel, flat=flat)
    of = scene.building.settled(signal)
    if scene.operator.name == "MaxPool":
        return _windowed(scene, LargestPool(of, kernel, stride, pad), flat=flat)
    if any(pad) and not scene.get("count_include_pad", 0):
        raise refuse(scene.operator, "means that leave out the margin are not supported: set count_include_pad=1")
    return _windowed(scene, MeanPool(of, kernel, stride, pad), flat=flat)


def _global_pool(scene: Scene) -> Value:
    signal = scene.signal()
    if len(signal.shape) == 1:
        raise refuse(scene.operator, "there is nothing to pool")
    of = scene.building.settled(signal)
    _, rows, columns = scene.building.shape(of)
    kind = LargestPool if scene.operator.name == "GlobalMaxPool" else MeanPool
    return _windowed(scene, kind(of, (rows, columns), (1, 1), (0, 0, 0, 0)), flat=len(signal.shape) == 2)


def _reduce_mean(scene: Scene) -> Value:
    signal = scene.signal()
    axes = scene.whole(1, "axes") or []
    rank = len(signal.shape) + 1
    if len(signal.shape) == 1 or sorted(each % rank for each in axes) != list(range(2, rank)):
        raise refuse(scene.operator, "only the mean over all rows and columns is supported")
    found = _global_pool(scene)
    keep = bool(scene.get("keepdims", 1))
    return found if keep or not isinstance(found, Signal) else Signal(found.tensor, found.shape[:1])


READERS: Final[Mapping[tuple[str, str], Reader]] = {
    **POINTWISE,
    **SHAPING,
    ("", "AveragePool"): _pool,
    ("", "Conv"): _convolution,
    ("", "Gemm"): _gemm,
    ("", "GlobalAveragePool"): _global_pool,
    ("", "GlobalMaxPool"): _global_pool,
    ("", "MatMul"): _matmul,
    ("", "MaxPool"): _pool,
    ("", "ReduceMean"): _reduce_mean,
    ("ai.onnx.ml", "LinearRegressor"): linear_regressor,
}
"""By domain and name."""
