"""A network in floating point: what an imported model computes, before it is made exact.

A handful of steps, to which every supported file is brought, and their values on given inputs, by which scales are
chosen. Tensor 0 is the input, step i makes tensor i + 1, the last tensor is the output; shapes are without the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.execute import windows
from paraph.proofs.zk.graph import Pads, Pair, Shape

Floats: TypeAlias = NDArray[np.float64]
Decision: TypeAlias = Literal["argmax", "sign", "none"]
"""How an answer follows from the scores: the largest, or whether the only one is above zero, or they are the answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """outputs × inputs, on a tensor read flat, and a bias."""

    of: int
    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """Cross-correlation, weights outputs × channels of a group × rows × columns, and a bias."""

    of: int
    weight: Floats
    bias: Floats
    stride: Pair
    pad: Pads
    groups: int


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """Each element times a factor, plus an offset; both of a shape that stretches to the tensor's."""

    of: int
    scale: Floats
    offset: Floats


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum of tensors of one shape, each times a number."""

    of: tuple[int, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MeanPool:
    """Sums of windows, divided by the windows' size."""

    of: int
    kernel: Pair
    stride: Pair
    pad: Pads


@dataclass(frozen=True, slots=True)
class LargestPool:
    """Maxima of windows; what is beyond the edge never counts."""

    of: int
    kernel: Pair
    stride: Pair
    pad: Pads


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of each element alone.

    Args:
        of: the tensor.
        function: of an array, element by element.
        name: what the file calls it.
        rising: the function never falls, so that it may change places with a maximum.
        bent: it is made of straight pieces of slope 0 and 1, as a ReLU is, so that its table needs no finer steps.
    """

    of: int
    function: Callable[[Floats], Floats]
    name: str
    rising: bool
    bent: bool


@dataclass(frozen=True, slots=True)
class Reshaping:
    """The same values in another shape."""

    of: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Transposing:
    """Axes permuted."""

    of: int
    axes: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Joining:
    """Tensors one after the other along an axis."""

    of: tuple[int, ...]
    axis: int


Step: TypeAlias = (
    Matrix | Convolution | Affine | Sum | MeanPool | LargestPool | Activation | Reshaping | Transposing | Joining
)


@dataclass(frozen=True, slots=True)
class Tail:
    """What of a file is cut off, because it only words the scores.

    Args:
        tensor: the name of the scores in the file.
        cut: the operators that follow, in order.
        decision: how the answer follows from the scores.
        labels: what each answer is called; empty where the file does not say.
    """

    tensor: str
    cut: tuple[str, ...]
    decision: Decision
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A model in floating point.

    Args:
        input_name: in the file.
        input: `(n,)` or `(channels, rows, columns)`.
        steps: in order.
        tail: what was cut off.
        input_scale: the input is first multiplied with this, and…
        input_offset: …this is added; both stretch to the input's shape.
    """

    input_name: str
    input: tuple[int, ...]
    steps: tuple[Step, ...]
    tail: Tail
    input_scale: Floats = field(default_factory=lambda: np.ones((1, 1, 1)))
    input_offset: Floats = field(default_factory=lambda: np.zeros((1, 1, 1)))

    @property
    def shape(self) -> Shape:
        """Of the input, in three numbers."""
        three = (*self.input, 1, 1)
        return three[0], three[1], three[2]


def sources(step: Step) -> tuple[int, ...]:
    """The tensors that a step reads."""
    return step.of if isinstance(step.of, tuple) else (step.of,)


def evaluate(network: Network, inputs: NDArray[Any]) -> list[Floats]:
    """Every tensor, by number, for inputs of shape (batch, …)."""
    first = np.asarray(inputs, np.float64).reshape(len(inputs), *network.shape)
    values: list[Floats] = [first * network.input_scale + network.input_offset]
    # What overflows is found where it is used, as not finite.
    with np.errstate(all="ignore"):
        for step in network.steps:
            values.append(value(step, values))
    return values


def value(step: Step, values: Sequence[Floats]) -> Floats:
    """What a step makes of the tensors before it."""
    match step:
        case Matrix():
            flat = values[step.of].reshape(len(values[step.of]), -1)
            return (flat @ step.weight.T + step.bias)[:, :, None, None]
        case Convolution():
            return _convolve(step, values[step.of])
        case Affine():
            return values[step.of] * step.scale + step.offset
        case Sum():
            total: Floats = np.sum([values[each] * k for each, k in zip(step.of, step.scale, strict=True)], axis=0)
            return total
        case MeanPool():
            mean: Floats = windows(values[step.of], step.kernel, step.stride, step.pad).mean(axis=(4, 5))
            return mean
        case LargestPool():
            top, left, bottom, right = step.pad
            of = np.pad(values[step.of], ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
            largest: Floats = windows(of, step.kernel, step.stride, (0, 0, 0, 0)).max(axis=(4, 5))
            return largest
        case Activation():
            return step.function(values[step.of])
        case Reshaping():
            return values[step.of].reshape(-1, *step.shape)
        case Transposing():
            return np.transpose(values[step.of], (0, *(axis + 1 for axis in step.axes)))
        case Joining():
            return np.concatenate([values[each] for each in step.of], axis=step.axis + 1)
        case _:
            assert_never(step)


def _convolve(step: Convolution, of: Floats) -> Floats:
    views = windows(of, (step.weight.shape[2], step.weight.shape[3]), step.stride, step.pad)
    inputs, outputs = views.shape[1] // step.groups, len(step.weight) // step.groups
    parts = []
    for group in range(step.groups):
        mine = step.weight[group * outputs : (group + 1) * outputs]
        part = np.tensordot(views[:, group * inputs : (group + 1) * inputs], mine, ((1, 4, 5), (1, 2, 3)))
        parts.append(part.transpose(0, 3, 1, 2))
    found: Floats = np.concatenate(parts, axis=1) + step.bias[:, None, None]
    return found
