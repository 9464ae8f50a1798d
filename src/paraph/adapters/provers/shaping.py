"""Operators of an ONNX file that change shapes and order, and the constants by which they do."""

from collections.abc import Mapping
from math import prod
from typing import Final

import numpy as np

from paraph.adapters.provers.network import Joining, Reshaping, Transposing
from paraph.adapters.provers.scene import Reader, Scene, refuse
from paraph.adapters.provers.signals import Signal, Value, stored

FLOAT_TYPES: Final = frozenset({1, 10, 11, 16})
"""TensorProto.DataType: float, float16, double, bfloat16."""
SHAPE_ELEMENTS_MAX: Final = 1024
"""Of constants that shapes are computed with."""


def _reshaped(scene: Scene, signal: Signal, shape: tuple[int, ...]) -> Signal:
    if prod(shape) != prod(signal.shape):
        raise refuse(scene.operator, f"{list(signal.shape)} cannot become {list(shape)}")
    of, to = scene.building.settled(signal), stored(shape)
    if scene.building.shape(of) == to:
        return Signal(of, shape)
    return Signal(scene.building.emit(Reshaping(of, to)), shape)


def _flatten(scene: Scene) -> Value:
    signal = scene.signal()
    if scene.get("axis", 1) not in (1, -len(signal.shape)):
        raise refuse(scene.operator, "everything but the batch is flattened, nothing else")
    return _reshaped(scene, signal, (prod(signal.shape),))


def _reshape(scene: Scene) -> Value:
    wanted = scene.whole(1, "shape")
    if wanted is None:
        raise refuse(scene.operator, "the new shape must be a constant of the file")
    if isinstance(scene.values[0], np.ndarray):
        return np.reshape(scene.values[0], wanted)
    signal = scene.signal()
    # The first side is the batch; of the others one may be whatever is left, and 0 is the side that was there.
    sides = [
        signal.shape[at - 1] if each == 0 and 0 < at <= len(signal.shape) else each for at, each in enumerate(wanted)
    ]
    sides = sides[1:]
    whole = prod(signal.shape)
    if sides.count(-1) == 1:
        known = -prod(sides)
        sides = [whole // known if each == -1 and known > 0 else each for each in sides]
    if not sides or min(sides) < 1:
        raise refuse(scene.operator, f"the shape {wanted} leaves no batch")
    return _reshaped(scene, signal, tuple(sides))


def _squeeze(scene: Scene) -> Value:
    axes = scene.whole(1, "axes")
    if isinstance(scene.values[0], np.ndarray):
        return np.squeeze(scene.values[0], None if axes is None else tuple(axes))
    signal = scene.signal()
    rank = len(signal.shape) + 1
    gone = {each % rank for each in axes} if axes else {at for at, side in enumerate(signal.shape, 1) if side == 1}
    if any(at == 0 or signal.shape[at - 1] != 1 for at in gone):
        raise refuse(scene.operator, "only sides of one, and not the batch, can be left out")
    kept = tuple(side for at, side in enumerate(signal.shape, 1) if at not in gone)
    return _reshaped(scene, signal, kept or (1,))


def _unsqueeze(scene: Scene) -> Value:
    axes = scene.whole(1, "axes") or []
    if isinstance(scene.values[0], np.ndarray):
        return np.expand_dims(scene.values[0], tuple(axes))
    signal = scene.signal()
    rank = len(signal.shape) + 1 + len(axes)
    sides = list(signal.shape)
    for axis in sorted(each % rank for each in axes):
        if axis == 0:
            raise refuse(scene.operator, "a side before the batch is not supported")
        sides.insert(axis - 1, 1)
    return _reshaped(scene, signal, tuple(sides))


def _transpose(scene: Scene) -> Value:
    order = scene.get("perm")
    if isinstance(scene.values[0], np.ndarray):
        return np.transpose(scene.values[0], order)
    signal = scene.signal()
    rank = len(signal.shape)
    order = list(range(rank, -1, -1)) if order is None else [int(each) for each in order]
    if sorted(order) != list(range(rank + 1)) or order[0] != 0:
        raise refuse(scene.operator, f"the order {order[:8]} moves the batch")
    axes = [each - 1 for each in order[1:]]
    shape = tuple(signal.shape[axis] for axis in axes)
    full = {1: (0, 1, 2), 2: (0, 1, 2) if axes == [0, 1] else (2, 1, 0)}.get(rank)
    if full is None:
        full = axes[0], axes[1], axes[2]
    if full == (0, 1, 2):
        return signal
    return Signal(scene.building.emit(Transposing(scene.building.settled(signal), full)), shape)


def _concat(scene: Scene) -> Value:
    axis = int(scene.get("axis", 1))
    if all(isinstance(each, np.ndarray) for each in scene.values):
        return np.concatenate([np.atleast_1d(scene.floats(at)) for at in range(len(scene.values))], axis)
    signals = [scene.signal(at) for at in range(len(scene.values))]
    rank = len(signals[0].shape)
    axis %= rank + 1
    if axis == 0 or any(len(each.shape) != rank for each in signals):
        raise refuse(scene.operator, "tensors are joined along a side that is not the batch, and have as many sides")
    place = 2 if rank == 2 and axis == 2 else axis - 1
    of = tuple(scene.building.settled(each) for each in signals)
    tensor = scene.building.emit(Joining(of, place))
    shape = list(signals[0].shape)
    shape[axis - 1] = sum(each.shape[axis - 1] for each in signals)
    return Signal(tensor, tuple(shape))


def _gather(scene: Scene) -> Value:
    """Of shapes only: what exporters write to flatten."""
    data, index = scene.constant(0), scene.constant(1)
    if data is None or index is None or max(data.size, index.size) > SHAPE_ELEMENTS_MAX:
        raise refuse(scene.operator, "elements are picked of constant shapes only")
    return np.asarray(np.take(data, index, int(scene.get("axis", 0))))


def _shape(scene: Scene) -> Value:
    # 0 stands for the batch: in a Reshape it says "as it is".
    return np.array([0, *scene.signal().shape], np.int64)


def _constant(scene: Scene) -> Value:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if (found := scene.get(name)) is not None:
            return np.asarray(found)
    raise refuse(scene.operator, "a constant of another kind than numbers")


def _cast(scene: Scene) -> Value:
    if isinstance(scene.values[0], Signal) and scene.get("to") not in FLOAT_TYPES:
        raise refuse(scene.operator, "numbers of the model cannot be turned into another kind midway")
    return _same(scene)


def _same(scene: Scene) -> Value:
    found = scene.values[0]
    return scene.signal() if found is None else found


SHAPING: Final[Mapping[tuple[str, str], Reader]] = {
    ("", "Cast"): _cast,
    ("", "Concat"): _concat,
    ("", "Constant"): _constant,
    ("", "Dropout"): _same,
    ("", "Flatten"): _flatten,
    ("", "Gather"): _gather,
    ("", "Identity"): _same,
    ("", "Reshape"): _reshape,
    ("", "Shape"): _shape,
    ("", "Squeeze"): _squeeze,
    ("", "Transpose"): _transpose,
    ("", "Unsqueeze"): _unsqueeze,
}
"""By domain and name."""
