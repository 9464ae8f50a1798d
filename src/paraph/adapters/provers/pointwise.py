"""Operators of an ONNX file that work on each element alone, or on two tensors element by element."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from paraph.adapters.provers.curves import CURVES, clip
from paraph.adapters.provers.network import Affine, Floats, Sum
from paraph.adapters.provers.scene import Reader, Scene, finite, refuse
from paraph.adapters.provers.signals import Curve, Signal, Value, stored, straight


def _curve(scene: Scene) -> Value:
    return scene.signal().then(CURVES[scene.operator.name](scene.operator.name, scene.operator.attributes))


def _clipped(scene: Scene) -> Value:
    ends = []
    for number, name, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        found = scene.constant(number)
        ends.append(float(scene.get(name, default)) if found is None else float(found.ravel()[0]))
    if not ends[0] <= ends[1]:
        raise refuse(scene.operator, "its bounds are the wrong way round")
    return scene.signal().then(clip(ends[0], ends[1]))


def _prelu(scene: Scene) -> Value:
    slope = scene.floats(1)
    if slope.size != 1:
        raise refuse(scene.operator, "one slope for all channels is supported, not one for each")
    return scene.signal().then(CURVES["LeakyRelu"]("PRelu", {"alpha": float(slope.ravel()[0])}))


def _normalised(scene: Scene) -> Value:
    """BatchNormalization, as it is when it no longer learns."""
    if scene.get("training_mode", 0):
        raise refuse(scene.operator, "it is in training mode")
    gamma, beta, mean, variance = (scene.floats(number).ravel() for number in range(1, 5))
    factor = gamma / np.sqrt(variance + float(scene.get("epsilon", 1e-5)))
    return _affine(scene, factor, beta - mean * factor)


def _scaler(scene: Scene) -> Value:
    factor = finite(scene.operator, scene.get("scale", (1.0,)))
    return _affine(scene, factor, -finite(scene.operator, scene.get("offset", (0.0,))) * factor)


def _affine(scene: Scene, factor: Floats, offset: Floats) -> Value:
    """One factor and one offset for each channel, or one for all."""
    signal = scene.signal()
    both = np.atleast_1d(*np.broadcast_arrays(factor, offset))
    if len(both[0]) not in (1, signal.shape[0]):
        raise refuse(scene.operator, f"{len(both[0])} numbers do not fit {signal.shape[0]} channels")
    step = Affine(scene.building.settled(signal), both[0].reshape(-1, 1, 1), both[1].reshape(-1, 1, 1))
    return Signal(scene.building.emit(step), signal.shape)


_PAIRS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Min": np.minimum,
    "Max": np.maximum,
}


def _pair(scene: Scene) -> Value:
    if len(scene.values) != 2:
        raise refuse(scene.operator, "two inputs are supported")
    left, right = scene.values
    if isinstance(left, Signal) and isinstance(right, Signal):
        return _two_signals(scene, left, right)
    signal, place = (scene.signal(0), 1) if isinstance(left, Signal) else (scene.signal(1), 0)
    constant = scene.floats(place)
    if constant.size == 1:
        return signal.then(_with_number(scene, float(constant.ravel()[0]), first=place == 0))
    return _with_array(scene, signal, constant, first=place == 0)


def _with_number(scene: Scene, number: float, *, first: bool) -> Curve:
    name = scene.operator.name
    match name:
        case "Add":
            return straight(1.0, number)
        case "Sub":
            return straight(-1.0, number) if first else straight(1.0, -number)
        case "Mul":
            return straight(number, 0.0)
        case "Div" if not first and number != 0:
            return straight(1 / number, 0.0)
        case "Min" | "Max":
            return clip(-np.inf, number) if name == "Min" else clip(number, np.inf)
        case _:
            pair = _PAIRS[name]
            return Curve(
                (lambda x: pair(number, x)) if first else (lambda x: pair(x, number)), name, rising=False, bent=False
            )


def _with_array(scene: Scene, signal: Signal, constant: Floats, *, first: bool) -> Value:
    """With one number for each channel or element."""
    shape = signal.shape
    sides = constant.shape
    # The batch's side, which the constant may have or not, is one.
    sides = sides[1:] if len(sides) > len(shape) and sides[0] == 1 else sides
    sides = (1,) * (len(shape) - len(sides)) + sides
    if len(sides) != len(shape) or any(a not in (1, b) for a, b in zip(sides, shape, strict=True)):
        raise refuse(scene.operator, f"a constant of {list(constant.shape)} does not fit {list(shape)}")
    numbers = constant.reshape(stored(sides))
    one, none = np.ones((1, 1, 1)), np.zeros((1, 1, 1))
    match scene.operator.name:
        case "Add":
            factor, offset = one, numbers
        case "Sub":
            factor, offset = (-one, numbers) if first else (one, -numbers)
        case "Mul":
            factor, offset = numbers, none
        case "Div" if not first and (numbers != 0).all():
            factor, offset = 1 / numbers, none
        case _:
            raise refuse(scene.operator, "it is supported with one number, not with an array")
    return Signal(scene.building.emit(Affine(scene.building.settled(signal), factor, offset)), shape)


def _two_signals(scene: Scene, left: Signal, right: Signal) -> Value:
    name = scene.operator.name
    if left.shape != right.shape:
        raise refuse(scene.operator, f"tensors of {list(left.shape)} and {list(right.shape)} are not of one shape")
    if left.tensor == right.tensor:
        # Two functions of one element are one function of it: so x · sigmoid(x) is one table.
        pair = _PAIRS[name]
        f, g = (straight(1.0, 0.0).after(each.curve).function for each in (left, right))
        names = " ".join(each.curve.name for each in (left, right) if each.curve is not None)
        both = Curve(lambda x: pair(f(x), g(x)), f"{names} {name}".strip(), rising=False, bent=False)
        return Signal(left.tensor, left.shape, both)
    if name not in ("Add", "Sub"):
        raise refuse(scene.operator, "two different tensors can only be added or subtracted")
    of = scene.building.settled(left), scene.building.settled(right)
    return Signal(scene.building.emit(Sum(of, (1.0, 1.0 if name == "Add" else -1.0))), left.shape)


POINTWISE: Final[Mapping[tuple[str, str], Reader]] = {
    **{("", name): _curve for name in CURVES},
    **{("", name): _pair for name in _PAIRS},
    ("", "BatchNormalization"): _normalised,
    ("", "Clip"): _clipped,
    ("", "PRelu"): _prelu,
    ("ai.onnx.ml", "Scaler"): _scaler,
}
"""By domain and name."""
