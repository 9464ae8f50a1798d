"""Running an exact model: the one executor that says what a model answers.

Every value is an integer and every sum is exact, so the answer has the same bits on any machine, with any count of
threads and in any batch. Products of matrices go through floating point, which is exact as long as no partial sum
reaches 2^53 (or 2^24 in single precision); the limits of a graph and the actual weights say that none does. A graph
also says that no sum that is used can reach half the field, which 64 bits hold with ease.

Specified in docs/spec/zk.md, section 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, TypeAlias, assert_never

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from paraph.core.errors import Malformed, Rejected
from paraph.proofs.zk.graph import (
    Add,
    Clip,
    Concat,
    Conv,
    Gemm,
    Graph,
    Listed,
    MaxPool,
    Node,
    Pads,
    Pair,
    Requant,
    Reshape,
    SumPool,
    Table,
    Transpose,
    split_weights,
)

Integers: TypeAlias = NDArray[np.int64]
"""A tensor of a batch: (batch, channels, rows, columns)."""

Floats: TypeAlias = NDArray[np.floating[Any]]

INT8: Final = np.iinfo(np.int8)
SINGLE_MAX: Final = 2**24
"""Integers below this are exact in single precision, in whatever order they are added."""
ELEMENTS_MAX: Final = 2**23
"""Elements of a tensor or of windows held at once: at most 64 MiB; larger batches are run in pieces."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The matrix of one `Conv` or `Gemm`.

    Args:
        matrix: outputs × inputs.
        bias: one of each output.
    """

    matrix: Integers
    bias: Integers


@dataclass(frozen=True, slots=True)
class Interval:
    """Between what each element of a tensor lies, whatever the input."""

    low: Integers
    high: Integers

    @property
    def least(self) -> int:
        """The least value of any element."""
        return int(self.low.min())

    @property
    def greatest(self) -> int:
        """The greatest value of any element."""
        return int(self.high.max())


class Exact:
    """An exact model, ready to run.

    Args:
        graph: what is computed.
        weights: the file of weights.

    Raises:
        Malformed: `graph.weights`: the file has not the length that the graph says, or a bias is too large.
    """

    def __init__(self, graph: Graph, weights: bytes) -> None:
        self.graph = graph
        self._weights = read_weights(graph, weights)
        bounds = intervals(graph, weights)
        self._floats = {node: as_float(each) for node, each in self._weights.items()}
        # Requants whose declared bounds hold for every input need no look at run time.
        self._proven = {
            number
            for number, node in enumerate(graph.nodes)
            if isinstance(node, Requant) and not _breach(node, bounds[node.of])
        }
        self._rows_max = max(1, ELEMENTS_MAX // max(prod(shape) for shape in graph.shapes))

    @property
    def inputs(self) -> int:
        """How many numbers go in."""
        return prod(self.graph.shapes[0])

    @property
    def outputs(self) -> int:
        """How many numbers come out."""
        return prod(self.graph.shapes[-1])

    def run(self, inputs: NDArray[np.int8]) -> NDArray[np.int32]:
        """The model's answers.

        Args:
            inputs: int8 of shape (batch, n), each row in the order channels, rows, columns.

        Returns:
            int32 of shape (batch, outputs), in the same order.

        Raises:
            Rejected: `exact.input`: another type or shape. `exact.bounds`: a value that its author said cannot be;
                the sentence names the node.
        """
        self._need_input(inputs)
        found = np.empty((len(inputs), self.outputs), np.int32)
        for at in range(0, len(inputs), self._rows_max):
            rows = inputs[at : at + self._rows_max]
            found[at : at + len(rows)] = self._values(rows, keep=False)[-1].reshape(len(rows), -1)
        return found

    def trace(self, inputs: NDArray[np.int8]) -> list[Integers]:
        """Every tensor of a run, by number, each of shape (batch, channels, rows, columns). Raises as `run` does."""
        self._need_input(inputs)
        return [each.astype(np.int64) for each in self._values(inputs, keep=True)]

    def _need_input(self, inputs: NDArray[np.int8]) -> None:
        if inputs.dtype != np.int8 or inputs.ndim != 2 or inputs.shape[1] != self.inputs or not len(inputs):
            raise Rejected(
                "exact.input",
                f"the model takes int8 of shape (batch, {self.inputs}), not {inputs.dtype} of {inputs.shape}",
            )

    def _values(self, inputs: NDArray[np.int8], *, keep: bool) -> list[Integers]:
        graph = self.graph
        last_use = {each: number for number, node in enumerate(graph.nodes) for each in _of(node)}
        values = [inputs.reshape(len(inputs), *graph.shapes[0]).astype(np.int64)]
        for number, node in enumerate(graph.nodes):
            values.append(self._value(number, node, values))
            if not keep:
                for each in set(_of(node)):
                    if last_use[each] == number:
                        values[each] = np.empty((0, 0, 0, 0), np.int64)
        return values

    def _value(self, number: int, node: Node, values: Sequence[Integers]) -> Integers:
        match node:
            case Conv():
                return convolve(values[node.of], node, self._floats[number])
            case Gemm():
                return multiply(values[node.of], self._floats[number])
            case Requant():
                v = values[node.of]
                if number not in self._proven:
                    self._need_bounds(number, node, int(v.min()), int(v.max()))
                return requantise(v, node)
            case Add() | SumPool() | MaxPool() | Reshape() | Transpose() | Concat():
                return rearrange(node, values)
            case _:
                assert_never(node)

    @staticmethod
    def _need_bounds(number: int, node: Requant, least: int, greatest: int) -> None:
        if least < node.low or greatest > node.high:
            value = least if least < node.low else greatest
            raise Rejected(
                "exact.bounds",
                f"node {number} is declared for {node.low} to {node.high}, and this input makes {value} there",
                node=number,
                value=value,
            )


def read_weights(graph: Graph, data: bytes) -> dict[int, Weights]:
    """The matrices of a file of weights, by number of the node. Raises `Malformed` (`graph.weights`)."""
    found = {}
    for block, (matrix, bias) in zip(graph.blocks, split_weights(graph, data), strict=True):
        found[block.node] = Weights(
            np.frombuffer(matrix, np.int8).astype(np.int64).reshape(block.outputs, block.inputs),
            np.frombuffer(bias, "<i4").astype(np.int64),
        )
    return found


def write_weights(graph: Graph, weights: dict[int, Weights]) -> bytes:
    """The file of weights, the inverse of `read_weights`."""
    parts = []
    for block in graph.blocks:
        each = weights[block.node]
        parts += [each.matrix.astype(np.int8).tobytes(), each.bias.astype("<i4").tobytes()]
    return b"".join(parts)


# --- bounds ------------------------------------------------------------------------------------------------------


def bounds_hold(graph: Graph, weights: bytes) -> None:
    """Show that no input at all breaks a declared bound, so that the model answers every one.

    Raises:
        Malformed: `exact.bounds`: an input could; the sentence names the node. `graph.weights`.
    """
    found = intervals(graph, weights)
    for number, node in enumerate(graph.nodes):
        if isinstance(node, Requant) and _breach(node, found[node.of]):
            reach = found[node.of]
            raise Malformed(
                "exact.bounds",
                f"node {number} is declared for {node.low} to {node.high}, and may get {reach.least} to"
                f" {reach.greatest}: widen its bounds",
                node=number,
            )


def intervals(graph: Graph, weights: bytes) -> list[Interval]:
    """Between what every element of every tensor lies, over all inputs. Raises `Malformed` (`graph.weights`)."""
    matrices = read_weights(graph, weights)
    shape = (1, *graph.shapes[0])
    found = [Interval(np.full(shape, INT8.min, np.int64), np.full(shape, INT8.max, np.int64))]
    for number, node in enumerate(graph.nodes):
        if isinstance(node, Conv | Gemm):
            found.append(matrix_interval(node, found[node.of], matrices[number]))
        else:
            found.append(interval(node, found))
    return found


def matrix_interval(node: Conv | Gemm, of: Interval, weights: Weights) -> Interval:
    """Between what every element lies that a matrix makes of a tensor."""
    none = np.zeros_like(weights.bias)
    up = as_float(Weights(np.maximum(weights.matrix, 0), weights.bias))
    down = as_float(Weights(np.minimum(weights.matrix, 0), none))
    if isinstance(node, Conv):
        low = convolve(of.low, node, up) + convolve(of.high, node, down)
        return Interval(low, convolve(of.high, node, up) + convolve(of.low, node, down))
    low = multiply(of.low, up) + multiply(of.high, down)
    return Interval(low, multiply(of.high, up) + multiply(of.low, down))


def interval(
    node: Requant | Add | SumPool | MaxPool | Reshape | Transpose | Concat, found: Sequence[Interval]
) -> Interval:
    """Between what every element lies that a node without weights makes of the tensors before it."""
    if isinstance(node, Requant):
        return _requant_interval(node, found[node.of])
    if isinstance(node, Add):
        ends = [(found[each].low * k, found[each].high * k) for each, k in zip(node.of, node.scale, strict=True)]
        low = np.sum([np.minimum(*each) for each in ends], axis=0)
        return Interval(low, np.sum([np.maximum(*each) for each in ends], axis=0))
    return Interval(rearrange(node, [each.low for each in found]), rearrange(node, [each.high for each in found]))


def _requant_interval(node: Requant, of: Interval) -> Interval:
    ends = [
        (np.clip(each, node.low, node.high) * node.multiplier + node.half) >> node.shift for each in (of.low, of.high)
    ]
    match node.table:
        case Clip():
            return Interval(look_up(node.table, ends[0]), look_up(node.table, ends[1]))
        case Listed(start, values):
            # A table need not rise: what it may give is looked up over the whole range of each element.
            first, final = (np.clip(each - start, 0, len(values) - 1) for each in ends)
            entries = np.array(values, np.int64)
            return Interval(-_greatest(-entries, first, final), _greatest(entries, first, final))
        case _:
            assert_never(node.table)


def _greatest(entries: Integers, first: Integers, last: Integers) -> Integers:
    """The greatest of `entries[first…last]`, of every pair, by the greatest of every run of a power of two."""
    runs = [entries]
    while 2 ** len(runs) <= len(entries):
        half = 2 ** (len(runs) - 1)
        runs.append(np.maximum(runs[-1][:-half], runs[-1][half:]))
    level = np.frexp((last - first + 1).astype(np.float64))[1] - 1
    found = np.empty_like(first)
    for number, run in enumerate(runs):
        here = level == number
        found[here] = np.maximum(run[first[here]], run[last[here] - 2**number + 1])
    return found


def _breach(node: Requant, of: Interval) -> bool:
    return of.least < node.low or of.greatest > node.high


# --- operations --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FloatWeights:
    """A matrix in the narrowest floating point that is exact for it.

    Args:
        matrix: outputs × inputs.
        bias: one of each output, as it is.
    """

    matrix: Floats
    bias: Integers


def as_float(weights: Weights) -> FloatWeights:
    """The matrix as floats; sums of its products with int8 stay below 2^53, for a tensor has at most 2^20 elements."""
    reach = int(np.abs(weights.matrix).sum(axis=1).max()) * -INT8.min
    kind = np.float32 if reach < SINGLE_MAX else np.float64
    return FloatWeights(weights.matrix.astype(kind), weights.bias)


def multiply(values: Integers, weights: FloatWeights) -> Integers:
    """A matrix with the values of a tensor, read flat."""
    flat: Floats = values.reshape(len(values), -1).astype(weights.matrix.dtype)
    found = (flat @ weights.matrix.T).astype(np.int64) + weights.bias
    return found.reshape(len(values), -1, 1, 1)


def convolve(values: Integers, node: Conv, weights: FloatWeights) -> Integers:
    """Cross-correlation, group by group, as products of matrices."""
    views = windows(values.astype(weights.matrix.dtype), node.kernel, node.stride, node.pad)
    batch, channels, rows, columns = views.shape[:4]
    inputs, outputs = channels // node.groups, node.outputs // node.groups
    found = np.empty((batch, node.outputs, rows, columns), np.int64)
    step = max(1, ELEMENTS_MAX // (batch * columns * inputs * prod(node.kernel)))
    for group in range(node.groups):
        mine = slice(group * outputs, (group + 1) * outputs)
        part = views[:, group * inputs : (group + 1) * inputs].transpose(0, 2, 3, 1, 4, 5)
        for at in range(0, rows, step):
            piece = part[:, at : at + step]
            product = piece.reshape(batch * piece.shape[1] * columns, -1) @ weights.matrix[mine].T
            sums = product.reshape(batch, -1, columns, outputs).astype(np.int64) + weights.bias[mine]
            found[:, mine, at : at + step] = sums.transpose(0, 3, 1, 2)
    return found


def requantise(values: Integers, node: Requant) -> Integers:
    """Back to int8: a multiplication, a shift that rounds halves up, and a table."""
    return look_up(node.table, (values * node.multiplier + node.half) >> node.shift)


def look_up(table: Table, quotients: Integers) -> Integers:
    """A table's values."""
    match table:
        case Clip(low, high):
            clipped: Integers = np.clip(quotients, low, high)
            return clipped
        case Listed(start, values):
            return np.array(values, np.int64)[np.clip(quotients - start, 0, len(values) - 1)]
        case _:
            assert_never(table)


def rearrange(node: Add | SumPool | MaxPool | Reshape | Transpose | Concat, values: Sequence[Integers]) -> Integers:
    """What takes no weights and no table."""
    match node:
        case Add():
            total: Integers = np.sum([values[each] * k for each, k in zip(node.of, node.scale, strict=True)], axis=0)
            return total
        case SumPool():
            sums: Integers = windows(values[node.of], node.kernel, node.stride, node.pad).sum(axis=(4, 5))
            return sums
        case MaxPool():
            largest: Integers = windows(values[node.of], node.kernel, node.stride, (0, 0, 0, 0)).max(axis=(4, 5))
            return largest
        case Reshape():
            return values[node.of].reshape(-1, *node.shape)
        case Transpose():
            return np.transpose(values[node.of], (0, *(axis + 1 for axis in node.axes)))
        case Concat():
            return np.concatenate([values[each] for each in node.of], axis=node.axis + 1)
        case _:
            assert_never(node)


def windows(values: NDArray[Any], kernel: Pair, stride: Pair, pad: Pads) -> NDArray[Any]:
    """A view of every window: (batch, channels, rows, columns, kernel rows, kernel columns)."""
    top, left, bottom, right = pad
    padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
    return sliding_window_view(padded, kernel, axis=(2, 3))[:, :, :: stride[0], :: stride[1]]


def _window(node: Node) -> int:
    return prod(node.kernel) if isinstance(node, Conv | SumPool | MaxPool) else 1


def _of(node: Node) -> tuple[int, ...]:
    return node.of if isinstance(node.of, tuple) else (node.of,)
