"""The functions of one element that an ONNX file may name, each as its operator's specification says."""

from collections.abc import Callable, Mapping
from math import erf, sqrt
from typing import Any, Final

import numpy as np

from paraph.adapters.provers.signals import Curve, Function, straight

_erf: Final = np.vectorize(erf, otypes=[np.float64])


def _sigmoid(x: Any) -> Any:
    # Both forms are exact; each is used where it cannot overflow.
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softplus(x: Any) -> Any:
    return np.logaddexp(0.0, x)


def _gelu(attributes: Mapping[str, Any]) -> Function:
    if attributes.get("approximate", b"none") == b"tanh":
        return lambda x: x * 0.5 * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return lambda x: x * 0.5 * (1 + _erf(x / sqrt(2)))


def _elu(alpha: float, gamma: float = 1.0) -> Function:
    return lambda x: gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _hard_sigmoid(alpha: float, beta: float) -> Function:
    return lambda x: np.clip(alpha * x + beta, 0, 1)


def clip(low: float, high: float) -> Curve:
    """Held between two bounds."""
    return Curve(lambda x: np.clip(x, low, high), "Clip", rising=True, bent=True)


def _leaky(slope: float) -> Function:
    return lambda x: np.where(x < 0, slope * x, x)


def _celu(alpha: float) -> Function:
    return lambda x: np.maximum(x, 0) + np.minimum(alpha * np.expm1(np.minimum(x, 0) / alpha), 0)


def _rising(make: Callable[[Mapping[str, Any]], Function]) -> Callable[[str, Mapping[str, Any]], Curve]:
    return lambda name, attributes: Curve(make(attributes), name, rising=True, bent=False)


def _any(make: Callable[[Mapping[str, Any]], Function]) -> Callable[[str, Mapping[str, Any]], Curve]:
    return lambda name, attributes: Curve(make(attributes), name, rising=False, bent=False)


CURVES: Final[Mapping[str, Callable[[str, Mapping[str, Any]], Curve]]] = {
    "Relu": lambda name, _: Curve(lambda x: np.maximum(x, 0), name, rising=True, bent=True),
    "LeakyRelu": lambda name, a: Curve(
        _leaky(a.get("alpha", 0.01)), name, rising=a.get("alpha", 0.01) >= 0, bent=False
    ),
    "Sigmoid": _rising(lambda _: _sigmoid),
    "Tanh": _rising(lambda _: np.tanh),
    "Erf": _rising(lambda _: _erf),
    "Exp": _rising(lambda _: np.exp),
    "Softplus": _rising(lambda _: _softplus),
    "Softsign": _rising(lambda _: lambda x: x / (1 + np.abs(x))),
    "HardSigmoid": _rising(lambda a: _hard_sigmoid(a.get("alpha", 0.2), a.get("beta", 0.5))),
    "Elu": _any(lambda a: _elu(a.get("alpha", 1.0))),
    "Selu": _any(lambda a: _elu(a.get("alpha", 1.6732632423543772), a.get("gamma", 1.0507009873554805))),
    "Celu": _any(lambda a: _celu(a.get("alpha", 1.0))),
    "Gelu": _any(_gelu),
    "HardSwish": _any(lambda _: lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Mish": _any(lambda _: lambda x: x * np.tanh(_softplus(x))),
    "Swish": _any(lambda a: lambda x: x * _sigmoid(a.get("alpha", 1.0) * x)),
    "Abs": _any(lambda _: np.abs),
    "Neg": lambda _name, _attributes: straight(-1.0, 0.0),
    "ThresholdedRelu": _any(lambda a: lambda x: np.where(x > a.get("alpha", 1.0), x, 0)),
}
"""By operator: a function of its name and attributes."""
