"""An exact model as layers: sums of committed values, each followed by a table.

Shapes and order change nothing that must be proven, so they are followed through: every value before a table becomes a
list of committed values, each times a small integer, and at most one matrix. Specified in docs/spec/zk.md, section 5.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Final, assert_never

from paraph.core.errors import Malformed
from paraph.proofs.zk.graph import (
    Add,
    Clip,
    Concat,
    Conv,
    Gemm,
    Graph,
    MaxPool,
    Node,
    Pads,
    Pair,
    Requant,
    Reshape,
    Shape,
    SumPool,
    Table,
    Transpose,
)

NOTHING: Final = -1
"""The index of a value beyond the edge."""
RECTIFIER: Final = Clip(0, 255)
"""What makes a maximum: max(a, c) = c + relu(a − c), of differences of int8."""
TERMS_MAX: Final = 2**21
"""Indices of all layers, and of what leads to them, together: what a verifier walks through."""
PARTS_MAX: Final = 2**16
"""Terms of sums of sums, whatever the count of their elements: a graph can double them with each node."""
LAYERS_MAX: Final = 4096
"""Maxima counted: one over a window of 64 by 64 takes 4095."""


@dataclass(frozen=True, slots=True)
class Part:
    """One term of a sum, at every position of it.

    Args:
        source: 0 for the request's block, l + 1 for what layer l commits.
        scale: the integer that it is multiplied with.
        index: for each position, the element's number within the request's piece of the source, or `NOTHING`.
    """

    source: int
    scale: int
    index: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix of weights over gathered values.

    Args:
        block: number of the matrix in the file of weights.
        inputs: columns of the matrix: K.
        parts: what each is multiplied with, over positions p·K + κ.
    """

    block: int
    inputs: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """What stands before a table, or is the output.

    Args:
        places: P, the positions in space.
        outputs: O, the channels.
        product: the matrix, if there is one.
        direct: terms beside it, over positions p·O + o.
        low: what the sum is at least.
        high: and at most.
        multiplier: of the rescaling.
        shift: of the rescaling.
        table: what follows; None for the output.
    """

    places: int
    outputs: int
    product: Product | None
    direct: tuple[Part, ...]
    low: int
    high: int
    multiplier: int
    shift: int
    table: Table | None


@dataclass(frozen=True, slots=True)
class _Value:
    """A tensor as a sum of committed values, over its elements in the order channels, rows, columns."""

    shape: Shape
    parts: tuple[Part, ...]
    product: Product | None = None


def sums(graph: Graph) -> tuple[Sum, ...]:
    """The layers of a graph, the output last. Raises `Malformed` (`zk.size`) when they or their terms are too many."""
    made = _Layers(graph)
    for number, node in enumerate(graph.nodes):
        made.values.append(made.value(number, node))
    output = made.values[-1]
    made.put(output, Sum(0, 0, None, (), 0, 0, 1, 0, None))
    return tuple(made.layers)


class _Layers:
    def __init__(self, graph: Graph) -> None:
        shape = graph.shapes[0]
        self._graph = graph
        self._blocks = {block.node: number for number, block in enumerate(graph.blocks)}
        self._terms = self._added = 0
        self.values = [_Value(shape, (Part(0, 1, tuple(range(prod(shape)))),))]
        self.layers: list[Sum] = []

    def value(self, number: int, node: Node) -> _Value:
        """The tensor that a node makes."""
        match node:
            case Conv():
                return self._conv(number, node)
            case Gemm():
                of = self.values[node.of]
                self._count(len(of.parts) * prod(of.shape))
                return _Value((node.outputs, 1, 1), (), Product(self._blocks[number], prod(of.shape), of.parts))
            case Add():
                found = [self.values[each] for each in node.of]
                self._added += sum(len(value.parts) for value in found)
                if self._added > PARTS_MAX:
                    raise Malformed("zk.size", f"sums of sums have more than {PARTS_MAX} terms")
                scaled = zip(found, node.scale, strict=True)
                parts = tuple(replace(part, scale=part.scale * k) for value, k in scaled for part in value.parts)
                product = next((value.product for value in found if value.product is not None), None)
                return _Value(found[0].shape, parts, product)
            case SumPool():
                of, shape = self.values[node.of], self._graph.shapes[number + 1]
                maps = self._windows(of.shape, shape, node.kernel, node.stride, node.pad)
                return _Value(shape, tuple(part for each in maps for part in self._gathered(of.parts, each)))
            case MaxPool():
                return self._max_pool(self.values[node.of], self._graph.shapes[number + 1], node)
            case Requant():
                of = self.values[node.of]
                bounds = node.low, node.high, node.multiplier, node.shift, node.table
                return self.put(of, Sum(0, 0, None, (), *bounds))
            case Reshape():
                return replace(self.values[node.of], shape=node.shape)
            case Transpose():
                return self._transposed(self.values[node.of], node.axes)
            case Concat():
                return self._concatenated([self.values[each] for each in node.of], node.axis)
            case _:
                assert_never(node)

    def put(self, of: _Value, end: Sum) -> _Value:
        """A new layer; the tensor that it commits, in the order of positions, then channels."""
        if len(self.layers) == LAYERS_MAX:
            raise Malformed("zk.size", f"the model has more than {LAYERS_MAX} layers, those of maxima counted")
        outputs, places = of.shape[0], of.shape[1] * of.shape[2]
        order = [o * places + p for p in range(places) for o in range(outputs)]
        direct = self._gathered(of.parts, order)
        # A matrix alone has no terms beside it.
        self.layers.append(replace(end, places=places, outputs=outputs, product=of.product, direct=direct))
        width = 1 << (outputs - 1).bit_length()
        index = tuple(p * width + o for o in range(outputs) for p in range(places))
        return _Value(of.shape, (Part(len(self.layers), 1, index),))

    def _count(self, terms: int) -> None:
        self._terms += terms
        self._need(0)

    def _need(self, more: int) -> None:
        if self._terms + more > TERMS_MAX:
            raise Malformed("zk.size", f"the model's sums have more than {TERMS_MAX} terms")

    def _gathered(self, parts: tuple[Part, ...], index: Sequence[int]) -> tuple[Part, ...]:
        self._count(len(parts) * len(index))
        return tuple(
            replace(part, index=tuple(NOTHING if at == NOTHING else part.index[at] for at in index)) for part in parts
        )

    def _windows(self, of: Shape, to: Shape, kernel: Pair, stride: Pair, pad: Pads) -> Iterator[list[int]]:
        """For each place of a window: where every element of the result finds it, of all channels."""
        for row in range(kernel[0]):
            for column in range(kernel[1]):
                yield [
                    _place(of, channel, y * stride[0] + row - pad[0], x * stride[1] + column - pad[1])
                    for channel in range(to[0])
                    for y in range(to[1])
                    for x in range(to[2])
                ]

    def _conv(self, number: int, node: Conv) -> _Value:
        of, (_, rows, columns) = self.values[node.of], self._graph.shapes[number + 1]
        inputs = of.shape[0] * prod(node.kernel)
        # Before they are walked through: a gather is far larger than the node that asks for it.
        self._need(rows * columns * inputs * len(of.parts))
        index = [
            _place(of.shape, channel, y * node.stride[0] + row - node.pad[0], x * node.stride[1] + column - node.pad[1])
            for y in range(rows)
            for x in range(columns)
            for channel in range(of.shape[0])
            for row in range(node.kernel[0])
            for column in range(node.kernel[1])
        ]
        product = Product(self._blocks[number], inputs, self._gathered(of.parts, index))
        return _Value((node.outputs, rows, columns), (), product)

    def _max_pool(self, of: _Value, shape: Shape, node: MaxPool) -> _Value:
        maps = self._windows(of.shape, shape, node.kernel, node.stride, (0, 0, 0, 0))
        left = [_Value(shape, self._gathered(of.parts, each)) for each in maps]
        while len(left) > 1:
            pairs = zip(left[::2], left[1::2], strict=False)
            odd = left[len(left) & ~1 :]
            left = [self._larger(a, c) for a, c in pairs] + odd
        return left[0]

    def _larger(self, a: _Value, c: _Value) -> _Value:
        less = tuple(replace(part, scale=-part.scale) for part in c.parts)
        over = self.put(_Value(a.shape, a.parts + less), Sum(0, 0, None, (), -255, 255, 1, 0, RECTIFIER))
        return _Value(a.shape, c.parts + over.parts)

    def _transposed(self, of: _Value, axes: tuple[int, int, int]) -> _Value:
        shape = (of.shape[axes[0]], of.shape[axes[1]], of.shape[axes[2]])
        steps = (of.shape[1] * of.shape[2], of.shape[2], 1)
        step = [steps[axis] for axis in axes]
        index = [
            a * step[0] + b * step[1] + c * step[2]
            for a in range(shape[0])
            for b in range(shape[1])
            for c in range(shape[2])
        ]
        return _Value(shape, self._gathered(of.parts, index))

    def _concatenated(self, values: list[_Value], axis: int) -> _Value:
        length = sum(value.shape[axis] for value in values)
        shape = list(values[0].shape)
        shape[axis] = length
        whole = (shape[0], shape[1], shape[2])
        self._need(prod(whole) * sum(len(value.parts) for value in values))
        found: list[Part] = []
        start = 0
        for value in values:
            index = []
            for place in range(prod(whole)):
                at = [place // (whole[1] * whole[2]), place // whole[2] % whole[1], place % whole[2]]
                at[axis] -= start
                index.append(_place(value.shape, *at))
            found += self._gathered(value.parts, index)
            start += value.shape[axis]
        return _Value(whole, tuple(found))


def _place(shape: Shape, channel: int, row: int, column: int) -> int:
    if not (0 <= channel < shape[0] and 0 <= row < shape[1] and 0 <= column < shape[2]):
        return NOTHING
    return (channel * shape[1] + row) * shape[2] + column
