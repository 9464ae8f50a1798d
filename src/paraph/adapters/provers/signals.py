"""What an operator of an ONNX file works on: a tensor of the network, and functions of its elements not yet applied.

A chain of functions of each element alone (a scaled, shifted, squared GELU written in ten operators) is one function,
and becomes one table. So such operators are only composed, until one comes that needs the tensor itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.network import Activation, Affine, Step, value
from paraph.core.errors import Malformed
from paraph.proofs.zk.graph import ELEMENTS_MAX, Shape

Function: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A function of each element.

    Args:
        function: of an array.
        name: the operators it is made of.
        rising: it never falls.
        bent: it is made of straight pieces of slope 0 and 1.
        line: factor and offset, if it is a straight line.
    """

    function: Function
    name: str
    rising: bool
    bent: bool
    line: tuple[float, float] | None = None

    def after(self, first: "Curve | None") -> "Curve":
        """This function of what another gives."""
        if first is None:
            return self
        mine, theirs, line = self.function, first.function, None
        if self.line is not None and first.line is not None:
            line = self.line[0] * first.line[0], self.line[0] * first.line[1] + self.line[1]
            return straight(*line)
        name = f"{first.name} {self.name}".strip()
        return Curve(lambda x: mine(theirs(x)), name, self.rising and first.rising, self.bent and first.bent)


def straight(factor: float, offset: float) -> Curve:
    """A straight line."""
    return Curve(
        lambda x: factor * x + offset, "", factor >= 0, bent=factor == 1 and offset == 0, line=(factor, offset)
    )


@dataclass(frozen=True, slots=True)
class Signal:
    """A tensor in the making.

    Args:
        tensor: its number in the network.
        shape: as the file has it, without the batch: one to three sides.
        curve: what is still to be done to each element.
    """

    tensor: int
    shape: tuple[int, ...]
    curve: Curve | None = None

    def then(self, curve: Curve) -> "Signal":
        """With one more function."""
        return Signal(self.tensor, self.shape, curve.after(self.curve))


@dataclass(frozen=True, slots=True)
class Worded:
    """What only words scores: probabilities, a label.

    Args:
        scores: what is worded.
        name: the scores' name in the file.
        cut: the operators so far.
        labels: the words, if known.
    """

    scores: Signal
    name: str
    cut: tuple[str, ...]
    labels: tuple[str, ...] = ()


Value: TypeAlias = NDArray[Any] | Signal | Worded
"""What a name in the file stands for: a constant, a tensor, or a wording."""

RANK_MAX: Final = 3


def stored(shape: tuple[int, ...]) -> Shape:
    """A shape in three numbers; of two, the second is columns. Raises `Malformed` (`exact.shape`)."""
    if not 0 < len(shape) <= RANK_MAX or min(shape) < 1 or prod(shape) > ELEMENTS_MAX:
        raise Malformed(
            "exact.shape",
            f"a tensor of shape {list(shape)}, without its batch: one to three fixed sides are supported",
        )
    if len(shape) == 1:
        return shape[0], 1, 1
    return (shape[0], 1, shape[1]) if len(shape) == 2 else (shape[0], shape[1], shape[2])


@dataclass(slots=True)
class Building:
    """The network so far. Every tensor is worked out for one input of zeros, which shows its shape."""

    input: Shape
    steps: list[Step] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    # By tensor and function, so that one function that several operators read is applied once.
    _settled: dict[Signal, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values.append(np.zeros((1, *self.input)))

    def emit(self, step: Step) -> int:
        """A new step; its tensor's number. Raises `Malformed` (`exact.shape`) when it does not fit."""
        try:
            with np.errstate(all="ignore"):
                found = value(step, self.values)
        except ValueError as error:
            what = type(step).__name__
            raise Malformed("exact.shape", f"the file's shapes do not fit together at a {what}: {error}") from error
        stored(found.shape[1:])
        self.steps.append(step)
        self.values.append(found)
        return len(self.steps)

    def settled(self, signal: Signal) -> int:
        """The tensor with its functions applied."""
        curve = signal.curve
        if curve is None or curve.line == (1.0, 0.0):
            return signal.tensor
        found = self._settled.get(signal)
        if found is None:
            found = self._settled[signal] = self.emit(_applied(signal.tensor, curve))
        return found

    def shape(self, tensor: int) -> Shape:
        """A tensor's shape in three numbers."""
        _, channels, rows, columns = self.values[tensor].shape
        return channels, rows, columns


def _applied(tensor: int, curve: Curve) -> Affine | Activation:
    if curve.line is None:
        return Activation(tensor, curve.function, curve.name, curve.rising, curve.bent)
    factor, offset = curve.line
    return Affine(tensor, np.full((1, 1, 1), factor), np.full((1, 1, 1), offset))
