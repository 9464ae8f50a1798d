"""Units of the integers of an exact model: what one step of a tensor is worth.

They are chosen by what the tensor was seen to hold: fine enough for most, wide enough for nearly all.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.execute import INT8
from paraph.adapters.provers.folding import consumers
from paraph.adapters.provers.network import (
    Convolution,
    Floats,
    Joining,
    LargestPool,
    Matrix,
    Network,
    Reshaping,
    Transposing,
    sources,
)

FRACTIONS: Final = tuple(float(each) for each in np.linspace(0.3, 1.0, 29))
"""Of the greatest value seen: where the scale may end. What lies beyond is held at the end."""
SEEN_MAX: Final = 2**18
"""Values of a tensor that are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What the integers of the input stand for: `offset + scale · integer`, one of each for all or for each."""

    scale: Floats
    offset: Floats

    def integers(self, values: Floats) -> NDArray[np.int8]:
        """The nearest integers, held within int8, of rows of values."""
        found = np.clip(np.rint((values - self.offset) / self.scale), INT8.min, INT8.max)
        return found.astype(np.int8)


def best_scale(values: Floats) -> float:
    """The step at which int8 errs least, by mean square, on these values."""
    seen = thinned(values)
    greatest = float(np.abs(seen).max())
    if greatest == 0:
        return 1.0
    steps = [greatest * fraction / INT8.max for fraction in FRACTIONS]
    return min(steps, key=lambda step: _error(seen, step))


def _error(values: Floats, step: float) -> float:
    return float(np.mean((np.clip(np.rint(values / step), INT8.min, INT8.max) * step - values) ** 2))


def thinned(values: Floats) -> Floats:
    """At most so many of the values, evenly spread."""
    flat = values.reshape(-1)
    return flat[:: max(1, len(flat) // SEEN_MAX)]


def input_unit(network: Network, first: Floats) -> Unit:
    """The unit of the input, from its values of shape (batch, channels, rows, columns).

    Each element has its own when only matrices read it, for features may differ by any factor, and the matrix takes the
    factors in. Zero must be zero when anything but a matrix reads it, or a margin of zeros meets it.
    """
    flat = first.reshape(len(first), -1)
    readers = consumers(network.steps)
    reached, kinds = [0], []
    while reached:
        for number in readers[reached.pop()]:
            step = network.steps[number]
            if isinstance(step, Reshaping):
                reached.append(number + 1)
            else:
                kinds.append(step)
    if kinds and all(isinstance(each, Matrix) for each in kinds):
        low, high = flat.min(axis=0), flat.max(axis=0)
        offset = (low + high) / 2
        parts = [best_scale(flat[:, at] - offset[at]) for at in range(flat.shape[1])]
        return Unit(np.array(parts), offset)
    if all(isinstance(each, Matrix) or (isinstance(each, Convolution) and not any(each.pad)) for each in kinds):
        middle = (flat.min() + flat.max()) / 2
        return Unit(np.array([best_scale(flat - middle)]), np.array([middle]))
    return Unit(np.array([best_scale(flat)]), np.zeros(1))


def shared(network: Network) -> dict[int, int]:
    """By tensor: the first of those that must have one unit with it, for they hold the same values, or are joined."""
    first = list(range(len(network.steps) + 1))

    def root(tensor: int) -> int:
        while first[tensor] != tensor:
            tensor = first[tensor]
        return tensor

    for number, step in enumerate(network.steps):
        if isinstance(step, LargestPool | Reshaping | Transposing | Joining):
            for each in sources(step):
                a, b = sorted((root(each), root(number + 1)))
                first[b] = a
    return {tensor: root(tensor) for tensor in range(len(first))}


def held(values: NDArray[Any], low: int, high: int) -> NDArray[np.int64]:
    """The nearest integers within bounds."""
    found: NDArray[np.int64] = np.clip(np.rint(values), low, high).astype(np.int64)
    return found
