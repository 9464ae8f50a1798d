"""An exact model from a network in floating point: each tensor as int8, each rescaling a shift.

Step by step, from the input on, the units are searched under which the integers err least on given inputs: each layer
is tried on what the layers before it really give, and the mean of what it then errs goes into its bias. The units of
weights follow from those of activations, so that every rescaling is a shift without a multiplication. Bounds are what
the actual weights make possible for any input whatever, so a model made here refuses none.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, assert_never

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.execute import (
    INT8,
    Integers,
    Interval,
    Weights,
    bounds_hold,
    interval,
    matrix_interval,
    rearrange,
    requantise,
    write_weights,
)
from paraph.adapters.provers.folding import consumers
from paraph.adapters.provers.network import (
    Activation,
    Affine,
    Convolution,
    Floats,
    Joining,
    LargestPool,
    Matrix,
    MeanPool,
    Network,
    Reshaping,
    Sum,
    Transposing,
    evaluate,
)
from paraph.adapters.provers.scales import Unit, best_scale, input_unit, shared
from paraph.adapters.provers.search import Layer, Search, Wide, product, square, table
from paraph.core.errors import BrokenTruth, Malformed
from paraph.proofs.zk.graph import (
    WIDE_MAX,
    Add,
    Clip,
    Concat,
    Conv,
    Gemm,
    Graph,
    MaxPool,
    Node,
    Requant,
    Reshape,
    SumPool,
    Transpose,
)

ROWS_MAX: Final = 256
"""Calibration inputs that the search runs on, spread over those given."""


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """An exact model, and what its integers stand for.

    Args:
        graph: what is computed.
        weights: the file of weights.
        input: units of the input, before its own factor and offset.
        output_scale: what one step of an output is worth.
    """

    graph: Graph
    weights: bytes
    input: Unit
    output_scale: float


def quantize(network: Network, calibration: NDArray[Any]) -> Quantised:
    """Make a network exact.

    Args:
        network: in floating point.
        calibration: typical inputs, of shape (batch, …): units are chosen by these.

    Raises:
        Malformed: `exact.calibration`: too few inputs, of another shape, or not finite. `exact.op`: a step that has no
            exact form. `graph.…`: the model is beyond a limit.
    """
    rows = np.asarray(calibration, np.float64)
    count = int(np.prod(network.input))
    if len(rows) < 2 or rows.size != len(rows) * count or not np.isfinite(rows).all():
        raise Malformed("exact.calibration", f"to calibrate, at least two rows of {count} finite numbers are needed")
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS_MAX)).astype(int)]
    found = _Quantising(_without_affine(network), rows, chosen)
    return found.run()


def _without_affine(network: Network) -> Network:
    """What factors and offsets are left become convolutions, each channel by itself."""
    shapes = [each.shape for each in evaluate(network, np.zeros((1, *network.shape)))]
    steps = list(network.steps)
    for number, step in enumerate(steps):
        if isinstance(step, Affine):
            channels = shapes[number + 1][1]
            if step.scale.shape[1:] != (1, 1) or step.offset.shape[1:] != (1, 1):
                why = "factors or offsets for each place of an image, away from a matrix, are not supported"
                raise Malformed("exact.op", why)
            weight = np.broadcast_to(step.scale, (channels, 1, 1))[:, None]
            bias = np.broadcast_to(step.offset, (channels, 1, 1)).reshape(-1)
            steps[number] = Convolution(step.of, weight, bias, (1, 1), (0, 0, 0, 0), channels)
    return replace(network, steps=tuple(steps))


class _Quantising:
    def __init__(self, network: Network, rows: Floats, chosen: Floats) -> None:
        self._network = network
        self._floats = evaluate(network, chosen)
        for step, each in zip(network.steps, self._floats[1:], strict=True):
            if not np.isfinite(each).all():
                name = step.name if isinstance(step, Activation) else type(step).__name__
                raise Malformed("exact.op", f"{name} has no finite value on every calibration input")
        self._readers = consumers(network.steps)
        self._shared = shared(network)
        all_rows = rows.reshape(len(rows), *network.shape) * network.input_scale + network.input_offset
        self._input = input_unit(network, all_rows)
        first = self._input.integers(self._floats[0].reshape(len(chosen), -1)).reshape(self._floats[0].shape)
        self._nodes: list[Node] = []
        self._weights: dict[int, Weights] = {}
        self._values: list[Integers] = [first.astype(np.int64)]
        shape = (1, *first.shape[1:])
        self._bounds = [Interval(np.full(shape, INT8.min, np.int64), np.full(shape, INT8.max, np.int64))]
        self._search = Search(self._values, self._bounds)
        self._units: list[float] = [float(self._input.scale[0])]
        self._places = {0: 0}
        self._class_units: dict[int, float] = {}
        if len(self._input.scale) == 1:
            self._class_units[0] = self._units[0]

    def run(self) -> Quantised:
        """All steps in order."""
        steps = self._network.steps
        for number in range(len(steps)):
            if number + 1 not in self._places and not self._waits(number):
                self._step(number)
        graph = Graph(self._network.input, tuple(self._nodes))
        weights = write_weights(graph, self._weights)
        bounds_hold(graph, weights)
        return Quantised(graph, weights, self._input, self._units[-1])

    # --- which steps become one layer ----------------------------------------------------------------------------

    def _waits(self, number: int) -> bool:
        """Whether the step becomes part of a later layer."""
        step, readers = self._network.steps[number], self._readers[number + 1]
        if len(readers) != 1 or not isinstance(step, Matrix | Convolution | Sum | MeanPool):
            return False
        reader = self._network.steps[readers[0]]
        if isinstance(reader, Activation):
            return True
        return isinstance(reader, Sum) and self._inner(reader) == number

    def _inner(self, step: Sum) -> int | None:
        """The matrix within a sum: the first that nothing else reads."""
        for tensor in step.of:
            behind = self._network.steps[tensor - 1] if tensor else None
            alone = len(self._readers[tensor]) == 1 and step.of.count(tensor) == 1
            if isinstance(behind, Matrix | Convolution) and alone:
                return tensor - 1
        return None

    def _step(self, number: int) -> None:
        step = self._network.steps[number]
        match step:
            case Activation():
                source = step.of - 1
                layer = self._layer(source) if step.of and self._waits(source) else self._single(step.of)
                self._put(number, replace(layer, activation=step, after=self._floats[number + 1]))
            case Matrix() | Convolution() | Sum() | MeanPool():
                self._put(number, self._layer(number))
            case LargestPool():
                self._pool(number, step)
            case Reshaping():
                self._moved(number, Reshape(self._places[step.of], step.shape), step.of)
            case Transposing():
                self._moved(number, Transpose(self._places[step.of], step.axes), step.of)
            case Joining():
                self._moved(number, Concat(tuple(self._places[each] for each in step.of), step.axis), step.of[0])
            case Affine():
                raise BrokenTruth("factors were made convolutions before")
            case _:
                assert_never(step)

    def _layer(self, number: int) -> Layer:
        """A step, and what it takes in, as a layer without an activation."""
        step, values = self._network.steps[number], self._floats[number + 1]
        if isinstance(step, Matrix | Convolution):
            return self._matrix(step, values, 1.0, ())
        if isinstance(step, MeanPool):
            of = self._places[step.of]
            node = SumPool(of, step.kernel, step.stride, step.pad)
            unit = self._units[of] / (step.kernel[0] * step.kernel[1])
            return Layer(None, np.zeros(1), node, ((of, unit),), values, values, None)
        if not isinstance(step, Sum):
            return self._single(number + 1)
        inner = self._inner(step)
        pairs = list(zip(step.of, step.scale, strict=True))
        direct = tuple((self._places[t], k * self._units[self._places[t]]) for t, k in pairs if t - 1 != inner)
        if inner is None:
            return Layer(None, np.zeros(1), None, direct, values, values, None)
        matrix = self._network.steps[inner]
        factor = next(k for t, k in pairs if t - 1 == inner)
        if not isinstance(matrix, Matrix | Convolution):
            raise BrokenTruth("a sum takes in a matrix")
        return self._matrix(matrix, values, factor, direct)

    def _single(self, tensor: int) -> Layer:
        of, values = self._places[tensor], self._floats[tensor]
        return Layer(None, np.zeros(1), None, ((of, self._units[of]),), values, values, None)

    def _matrix(
        self, step: Matrix | Convolution, values: Floats, factor: float, direct: tuple[tuple[int, float], ...]
    ) -> Layer:
        of = self._places[step.of]
        from_input = self._is_input(step.of)
        unit = self._input if from_input else Unit(np.array([self._units[of]]), np.zeros(1))
        weight, bias = step.weight * factor, step.bias * factor
        if isinstance(step, Matrix):
            bias = bias + weight @ np.broadcast_to(unit.offset, weight.shape[1])
            return Layer(weight * unit.scale, bias, Gemm(of, len(weight)), direct, values, values, None)
        bias = bias + weight.sum(axis=(1, 2, 3)) * unit.offset[0]
        kernel = weight.shape[2], weight.shape[3]
        node = Conv(of, len(weight), kernel, step.stride, step.pad, step.groups)
        return Layer(weight * unit.scale[0], bias, node, direct, values, values, None)

    def _is_input(self, tensor: int) -> bool:
        while tensor:
            step = self._network.steps[tensor - 1]
            if not isinstance(step, Reshaping):
                return False
            tensor = step.of
        return True

    # --- the graph -----------------------------------------------------------------------------------------------

    def _add(self, node: Node, unit: float, weights: Weights | None = None) -> int:
        """One more node; its tensor's number."""
        if isinstance(node, Conv | Gemm):
            if weights is None:
                raise BrokenTruth("a matrix has weights")
            self._weights[len(self._nodes)] = weights
            self._values.append(product(self._values[node.of], node, weights))
            self._bounds.append(matrix_interval(node, self._bounds[node.of], weights))
        elif isinstance(node, Requant):
            self._values.append(requantise(self._values[node.of], node))
            self._bounds.append(interval(node, self._bounds))
        else:
            self._values.append(rearrange(node, self._values))
            self._bounds.append(interval(node, self._bounds))
        self._nodes.append(node)
        self._units.append(unit)
        return len(self._nodes)

    def _moved(self, number: int, node: Reshape | Transpose | Concat | MaxPool, of: int) -> None:
        self._places[number + 1] = self._add(node, self._units[self._places[of]])

    def _pool(self, number: int, step: LargestPool) -> None:
        of = self._places[step.of]
        if any(step.pad):
            if self._bounds[of].least < 0:
                why = "a margin around a maximum of values that may be negative is not supported: put a ReLU before it"
                raise Malformed("exact.op", f"MaxPool: {why}")
            # Of what is never negative, zeros beyond the edge are never larger.
            unit = self._units[of]
            wide = self._add(SumPool(of, (1, 1), (1, 1), step.pad), unit)
            of = self._add(Requant(wide, 1, 0, 0, INT8.max, Clip(0, INT8.max)), unit)
        self._places[number + 1] = self._add(MaxPool(of, step.kernel, step.stride), self._units[of])

    # --- units ---------------------------------------------------------------------------------------------------

    def _put(self, number: int, layer: Layer) -> None:
        """Search the layer's units, and add its nodes."""
        final = number + 1 == len(self._network.steps) and layer.activation is None
        if final:
            wide = min(self._search.plain(layer), key=lambda each: square(each.values * each.unit, layer.before))
            self._places[number + 1] = self._add_wide(layer, wide)
            return
        group = self._shared[number + 1]
        alone = list(self._shared.values()).count(group) == 1
        unit = None
        if not alone:
            if group not in self._class_units:
                mine = [each.reshape(-1) for at, each in enumerate(self._floats) if self._shared[at] == group]
                self._class_units[group] = best_scale(np.concatenate(mine))
            unit = self._class_units[group]
        best = min(self._search.choices(layer, unit), key=lambda each: each.error, default=None)
        if best is None:
            raise Malformed("exact.bounds", f"step {number}: no units keep its sums within {WIDE_MAX}: it is too large")
        wide_tensor = self._add_wide(layer, best.wide)
        reach = self._bounds[wide_tensor]
        low, high = min(reach.least, 0), max(reach.greatest, 0)
        node = Requant(wide_tensor, 1, best.shift, low, high, Clip(0, 0))
        found = table(layer.activation, node.quotient(low), node.quotient(high), best.step, best.unit)
        self._places[number + 1] = self._add(replace(node, table=found), best.unit)

    def _add_wide(self, layer: Layer, wide: Wide) -> int:
        of = tuple(tensor for tensor, _ in layer.direct)
        if isinstance(layer.node, SumPool):
            return self._add(layer.node, wide.unit)
        if layer.node is None:
            return self._add(Add(of, wide.factors), wide.unit)
        product = self._add(layer.node, wide.unit, wide.weights)
        return self._add(Add((product, *of), (1, *wide.factors)), wide.unit) if of else product
