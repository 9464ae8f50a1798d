"""The search for the units of one layer: what one step of its weights, its sums and its results is worth.

Every choice is tried on what the layers before it really give, and judged by the square of what it errs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log2
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.execute import (
    INT8,
    Integers,
    Interval,
    Weights,
    as_float,
    convolve,
    interval,
    look_up,
    matrix_interval,
    multiply,
    rearrange,
)
from paraph.adapters.provers.network import Activation, Floats
from paraph.adapters.provers.scales import best_scale, held
from paraph.core.errors import Malformed
from paraph.proofs.zk.graph import (
    BIAS_MAX,
    SCALE_MAX,
    SHIFT_MAX,
    TABLE_MAX,
    WIDE_MAX,
    Add,
    Clip,
    Conv,
    Gemm,
    Listed,
    SumPool,
    Table,
)

SPAN_WANTED: Final = 2**13
"""Entries of a table: the prover commits each, so a small model's time is mostly tables."""
STRETCHES: Final = (0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3)
"""Of the best unit for the activations alone: what is tried, for the weights' rounding weighs too."""
FINENESS: Final = (256, 1024, 4096)
"""Steps of a curve's table from zero to the greatest value seen."""
RESIDUAL: Final = 64
"""Steps of a sum to one step of its finest part, where no matrix says."""


@dataclass(frozen=True, slots=True, eq=False)
class Wide:
    """A layer before its table, under one choice of units.

    Args:
        unit: what one step is worth.
        weights: of the matrix, if there is one.
        factors: of the terms beside it.
        values: what it gives on the calibration inputs.
    """

    unit: float
    weights: Weights | None
    factors: tuple[int, ...]
    values: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A whole layer under one choice of units, and how much it errs."""

    error: float
    wide: Wide
    shift: int
    step: float
    unit: float


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What stands before a table, in floating point.

    Args:
        matrix: weights as real numbers per integer of the source, shaped as the network has them; None without.
        bias: of the matrix.
        node: the matrix's node, or the sum of windows, without its weights.
        direct: terms beside it: tensors of the graph, and real numbers per integer.
        before: the float values before the activation.
        after: and after it.
        activation: what follows.
    """

    matrix: Floats | None
    bias: Floats
    node: Conv | Gemm | SumPool | None
    direct: tuple[tuple[int, float], ...]
    before: Floats
    after: Floats
    activation: Activation | None


class Search:
    """Tries units of layers.

    Args:
        values: every tensor so far, on the calibration inputs; grows as nodes are added.
        bounds: between what each lies for any input.
    """

    def __init__(self, values: Sequence[Integers], bounds: Sequence[Interval]) -> None:
        self._values = values
        self._bounds = bounds

    def choices(self, layer: Layer, fixed: float | None) -> Iterator[Choice]:
        """Units that keep within limits; those with small tables, if there are any."""
        found = [each for each in self._tried(layer, fixed) if self._span(layer, each) <= TABLE_MAX]
        small = [each for each in found if self._span(layer, each) <= SPAN_WANTED]
        yield from small or found

    def _span(self, layer: Layer, choice: Choice) -> int:
        """Entries that the table would have; too many when sums could be too large."""
        low, high = self._reach(layer, choice.wide)
        half = 1 << choice.shift >> 1
        if max(high, -low) + half > WIDE_MAX:
            return TABLE_MAX + 1
        return ((high + half) >> choice.shift) - ((low + half) >> choice.shift) + 1

    def _reach(self, layer: Layer, wide: Wide) -> tuple[int, int]:
        parts = []
        if isinstance(layer.node, Conv | Gemm) and wide.weights is not None:
            parts.append(matrix_interval(layer.node, self._bounds[layer.node.of], wide.weights))
        elif isinstance(layer.node, SumPool):
            parts.append(interval(layer.node, self._bounds))
        if not isinstance(layer.node, SumPool):
            for (tensor, _), k in zip(layer.direct, wide.factors, strict=True):
                parts.append(interval(Add((tensor,), (k,)), self._bounds))
        low, high = (np.sum([getattr(each, end) for each in parts], axis=0) for end in ("low", "high"))
        return min(int(low.min()), 0), max(int(high.max()), 0)

    def _tried(self, layer: Layer, fixed: float | None) -> Iterator[Choice]:
        best = fixed if fixed is not None else best_scale(layer.after)
        bent = layer.activation is None or layer.activation.bent
        reach = float(np.abs(layer.before).max()) or 1.0
        for unit in (best,) if fixed is not None or not bent else tuple(best * each for each in STRETCHES):
            for step in (unit,) if bent else tuple(reach / each for each in FINENESS):
                for wide, shift in self._wides(layer, step):
                    # A residual or a mean may have moved the step; where nothing else needs it, the unit goes along.
                    own = wide.unit * 2**shift
                    yield self._judged(layer, wide, shift, own, own if bent and fixed is None else unit)

    def _judged(self, layer: Layer, wide: Wide, shift: int, step: float, unit: float) -> Choice:
        quotients = (wide.values + (1 << shift >> 1)) >> shift
        low, high = min(int(quotients.min()), 0), max(int(quotients.max()), 0)
        if high - low > TABLE_MAX:
            return Choice(np.inf, wide, shift, step, unit)
        found = table(layer.activation, low, high, step, unit)
        return Choice(square(look_up(found, quotients) * unit, layer.after), wide, shift, step, unit)

    def _wides(self, layer: Layer, step: float) -> Iterator[tuple[Wide, int]]:
        """Units of the sums, for a wanted step of what the table is asked for."""
        if layer.matrix is None:
            finest = min(abs(k) for _, k in layer.direct)
            unit = finest if len(layer.direct) == 1 else finest / RESIDUAL
            wide = self._wide(layer, unit)
            shift = min(max(floor(log2(step / unit)), 0), SHIFT_MAX)
            yield wide, shift
            if shift < SHIFT_MAX:
                yield wide, shift + 1
            return
        coarse = float(np.abs(layer.matrix).max()) / INT8.max or 1.0
        exact = floor(log2(step / coarse)) if step > coarse else 0
        # One more halves the weights' unit, and holds the largest at the end.
        for shift in {min(max(each, 0), SHIFT_MAX) for each in (exact, exact + 1)}:
            yield self._wide(layer, max(step / 2**shift, coarse / 2)), shift

    def plain(self, layer: Layer) -> Iterator[Wide]:
        """Units of sums that no table follows."""
        if layer.matrix is None:
            finest = min(abs(k) for _, k in layer.direct)
            yield self._wide(layer, finest if len(layer.direct) == 1 else finest / RESIDUAL)
            return
        coarse = float(np.abs(layer.matrix).max()) / INT8.max or 1.0
        for part in (1.0, 0.85, 0.7):
            yield self._wide(layer, coarse * part)

    def _wide(self, layer: Layer, unit: float) -> Wide:
        """The layer's sums under a unit; a residual makes it a little coarser, to fit a whole number of times."""
        if isinstance(layer.node, SumPool):
            return Wide(unit, None, (), rearrange(layer.node, self._values))
        if layer.matrix is not None and layer.direct:
            largest = max(abs(k) for _, k in layer.direct)
            unit = largest / max(floor(largest / unit), 1)
        factors = tuple(_factor(k / unit) for _, k in layer.direct)
        parts = [self._values[tensor] * k for (tensor, _), k in zip(layer.direct, factors, strict=True)]
        if layer.matrix is None or layer.node is None:
            total: Integers = np.sum(parts, axis=0)
            return Wide(unit, None, factors, total)
        if float(np.abs(layer.bias).max()) / unit > BIAS_MAX:
            raise Malformed(
                "exact.bounds", f"a bias is more than {BIAS_MAX} times what one step of its weights is worth"
            )
        matrix = held(layer.matrix.reshape(len(layer.matrix), -1) / unit, -INT8.max, INT8.max)
        weights = Weights(matrix, held(layer.bias / unit, -BIAS_MAX, BIAS_MAX))
        values: Integers = np.sum([product(self._values[layer.node.of], layer.node, weights), *parts], axis=0)
        # What it errs on the average, of each output, goes into the bias.
        wrong = held((layer.before - values * unit).mean(axis=(0, 2, 3)) / unit, -WIDE_MAX, WIDE_MAX)
        bias = np.clip(weights.bias + wrong, -BIAS_MAX, BIAS_MAX)
        return Wide(unit, Weights(matrix, bias), factors, values + (bias - weights.bias)[:, None, None])


def product(values: Integers, node: Conv | Gemm, weights: Weights) -> Integers:
    """What a matrix makes of a tensor."""
    return convolve(values, node, as_float(weights)) if isinstance(node, Conv) else multiply(values, as_float(weights))


def _factor(wanted: float) -> int:
    nearest = min(max(abs(round(wanted)), 1), SCALE_MAX)
    return nearest if wanted > 0 else -nearest


def square(found: NDArray[Any], wanted: Floats) -> float:
    """The mean square of what was found against what was wanted."""
    return float(np.mean((found - wanted) ** 2))


def table(activation: Activation | None, low: int, high: int, step: float, unit: float) -> Table:
    """What the activation makes of each quotient, in steps of the result; as a clip where it is one."""
    quotients = np.arange(low, high + 1)
    exact = np.asarray(quotients * step, np.float64)
    with np.errstate(all="ignore"):
        made = exact if activation is None else activation.function(exact)
    if not np.isfinite(made).all():
        name = "" if activation is None else activation.name
        raise Malformed("exact.op", f"{name} has no finite value everywhere between {exact[0]:g} and {exact[-1]:g}")
    entries = held(made / unit, INT8.min, INT8.max)
    for clip in (Clip(0, INT8.max), Clip(INT8.min, INT8.max), Clip(int(entries.min()), int(entries.max()))):
        if (np.clip(quotients, clip.low, clip.high) == entries).all():
            return clip
    return _listed(low, entries)


def _listed(start: int, entries: Sequence[int] | Integers) -> Listed:
    """Without the ends, which say the same again and again."""
    values = [int(each) for each in entries]
    first = next((at for at in range(len(values) - 1) if values[at + 1] != values[0]), 0)
    last = next((at for at in range(len(values) - 1, 0, -1) if values[at - 1] != values[-1]), len(values) - 1)
    return Listed(start + first, tuple(values[first : max(last, first) + 1]))
