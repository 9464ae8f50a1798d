"""An exact model: integers in, integers out, the same on every machine.

A graph says what is computed, a file of weights with what. Its canonical bytes are what a registration commits to.
Specified in docs/spec/zk.md, section 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from struct import iter_unpack
from typing import Final, TypeAlias, assert_never

from paraph.core.digest import sha256
from paraph.core.encode import Json, canonical
from paraph.core.errors import Malformed
from paraph.core.ident import Digest
from paraph.proofs.zk.field import P

FORMAT: Final = "paraph/exact/1"
GRAPH_BYTES_MAX: Final = 256 * 1024
"""The graph alone, without weights: a table of 65 536 entries fits once."""
NODES_MAX: Final = 512
ELEMENTS_MAX: Final = 2**20
"""Elements of one tensor."""
SIDE_MAX: Final = 4096
KERNEL_MAX: Final = 64
TABLE_MAX: Final = 2**16
SHIFT_MAX: Final = 16
MULTIPLIER_MAX: Final = 2**20
WIDE_MAX: Final = 2**29
"""What a value before rescaling may reach by its declared bounds."""
REACH_MAX: Final = P - 1 - WIDE_MAX - 2**SHIFT_MAX
"""What it may reach by the graph alone: so two values that are equal modulo p are equal."""
BIAS_MAX: Final = 2**28
SCALE_MAX: Final = 2**15
WEIGHTS_MAX: Final = 2**24
"""Weights and biases of one model, counted."""
MACS_MAX: Final = 2**30
"""Multiplications of one run, and values that its pools look at."""

NARROW: Final = 128
"""How far a value of int8 can be from 0."""

Shape: TypeAlias = tuple[int, int, int]
"""Channels, rows, columns. A vector has one row and one column."""
Pair: TypeAlias = tuple[int, int]
Pads: TypeAlias = tuple[int, int, int, int]
"""Top, left, bottom, right."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The table that holds a value within bounds: a ReLU is `Clip(0, 127)`."""

    low: int
    high: int

    def __call__(self, value: int) -> int:
        return min(max(value, self.low), self.high)

    def as_json(self) -> dict[str, Json]:
        """The table as JSON."""
        return {"clip": [self.low, self.high]}


@dataclass(frozen=True, slots=True)
class Listed:
    """A table entry by entry, the first for all below it and the last for all above it."""

    start: int
    values: tuple[int, ...]

    def __call__(self, value: int) -> int:
        return self.values[min(max(value - self.start, 0), len(self.values) - 1)]

    def as_json(self) -> dict[str, Json]:
        """The table as JSON."""
        return {"start": self.start, "values": list(self.values)}


Table: TypeAlias = Clip | Listed


@dataclass(frozen=True, slots=True)
class Conv:
    """Cross-correlation with int8 weights `outputs × channels/groups × rows × columns` and an int32 bias."""

    of: int
    outputs: int
    kernel: Pair
    stride: Pair
    pad: Pads
    groups: int


@dataclass(frozen=True, slots=True)
class Gemm:
    """A matrix of int8 weights `outputs × inputs` and an int32 bias; its input is read flat."""

    of: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Add:
    """A sum of tensors of one shape, each times a small integer."""

    of: tuple[int, ...]
    scale: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SumPool:
    """Sums of windows; what is beyond the edge counts as zero."""

    of: int
    kernel: Pair
    stride: Pair
    pad: Pads


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maxima of windows, none beyond the edge."""

    of: int
    kernel: Pair
    stride: Pair


@dataclass(frozen=True, slots=True)
class Requant:
    """Back to int8: `table(⌊(multiplier·v + half) / 2^shift⌋)`, where v lies within `low` and `high`."""

    of: int
    multiplier: int
    shift: int
    low: int
    high: int
    table: Table

    @property
    def half(self) -> int:
        """What is added to round to the nearest, halves up."""
        return 1 << self.shift >> 1

    def quotient(self, value: int) -> int:
        """What the table is asked for."""
        return (self.multiplier * value + self.half) >> self.shift


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same values in another shape, in the order channels, rows, columns."""

    of: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Transpose:
    """Axes permuted: axis i of the result is axis `axes[i]` of the tensor."""

    of: int
    axes: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Concat:
    """Tensors one after the other along an axis."""

    of: tuple[int, ...]
    axis: int


Node: TypeAlias = Conv | Gemm | Add | SumPool | MaxPool | Requant | Reshape | Transpose | Concat


@dataclass(frozen=True, slots=True)
class Block:
    """The weights of one `Conv` or `Gemm`, as they lie in the file of weights.

    Args:
        node: number of the node.
        outputs: rows of the matrix.
        inputs: its columns: channels of one group times kernel, or all inputs.
    """

    node: int
    outputs: int
    inputs: int

    @property
    def size(self) -> int:
        """Bytes in the file: int8 weights, then int32 biases."""
        return self.outputs * (self.inputs + 4)


@dataclass(frozen=True)
class Graph:
    """What an exact model computes.

    Args:
        input: `(n,)` or `(channels, rows, columns)`.
        nodes: in order; node i makes tensor i + 1, tensor 0 is the input, the last one the output.

    Raises:
        Malformed: `graph.…` for a node that cannot be, or a model beyond a limit.
    """

    input: tuple[int, ...]
    nodes: tuple[Node, ...]
    shapes: tuple[Shape, ...] = field(init=False, repr=False, compare=False)
    """Of every tensor."""
    narrow: tuple[bool, ...] = field(init=False, repr=False, compare=False)
    """Whether every value of the tensor fits int8."""
    blocks: tuple[Block, ...] = field(init=False, repr=False, compare=False)
    """The file of weights."""

    def __post_init__(self) -> None:
        found = _Reading(_shape(self.input), self.nodes)
        object.__setattr__(self, "shapes", tuple(found.shapes))
        object.__setattr__(self, "narrow", tuple(found.narrow))
        object.__setattr__(self, "blocks", tuple(found.blocks))

    def as_json(self) -> dict[str, Json]:
        """The graph as JSON."""
        return {"format": FORMAT, "input": list(self.input), "nodes": [_node_json(node) for node in self.nodes]}

    @cached_property
    def bytes(self) -> bytes:
        """The canonical bytes."""
        return canonical(self.as_json())

    @cached_property
    def digest(self) -> Digest:
        """The graph digest: SHA-256 of the canonical bytes."""
        return sha256(self.bytes)

    @property
    def weights_size(self) -> int:
        """Bytes of the file of weights."""
        return sum(block.size for block in self.blocks)


def split_weights(graph: Graph, data: bytes) -> list[tuple[bytes, bytes]]:
    """The file of weights, by node: int8 weights row by row, and int32 little-endian biases.

    Raises:
        Malformed: `graph.weights` when the file is not exactly as long as the graph says, or a bias is beyond
            `BIAS_MAX`.
    """
    if len(data) != graph.weights_size:
        raise Malformed("graph.weights", f"{len(data)} bytes of weights; the graph takes {graph.weights_size}")
    parts, at = [], 0
    for block in graph.blocks:
        middle, end = at + block.outputs * block.inputs, at + block.size
        biases = data[middle:end]
        most = max(abs(each) for (each,) in iter_unpack("<i", biases))
        if most > BIAS_MAX:
            raise Malformed("graph.weights", f"a bias of node {block.node} is {most} from zero; at most {BIAS_MAX}")
        parts.append((data[at:middle], biases))
        at = end
    return parts


# --- what may be ---------------------------------------------------------------------------------------------------


def _need(condition: object, sentence: str) -> None:
    if not condition:
        raise Malformed("graph.node", sentence)


def _shape(shape: tuple[int, ...]) -> Shape:
    if len(shape) not in (1, 3) or min(shape) < 1 or prod(shape) > ELEMENTS_MAX:
        raise Malformed("graph.shape", f"a shape is [n] or [C, H, W] of at most {ELEMENTS_MAX} elements")
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


class _Reading:
    """What follows from the nodes, in order."""

    def __init__(self, shape: Shape, nodes: tuple[Node, ...]) -> None:
        self.shapes = [shape]
        self.narrow = [True]
        self.blocks: list[Block] = []
        # How many matrices stand between a tensor and the narrow ones behind it; and how far its values can be from 0.
        self._matrices = [0]
        self._reach = [NARROW]
        self._macs = 0
        if not 0 < len(nodes) <= NODES_MAX:
            raise Malformed("graph.nodes", f"a graph has 1 to {NODES_MAX} nodes")
        for number, node in enumerate(nodes):
            self._number = number
            of = node.of if isinstance(node.of, tuple) else (node.of,)
            _need(of and all(0 <= each <= number for each in of), f"node {number} reads a tensor that is not before it")
            shape, narrow, matrices = self._made(node)
            _need(matrices <= 1, f"node {number}: two matrices meet without a requant between")
            self.shapes.append(_shape(shape))
            self.narrow.append(narrow)
            self._matrices.append(matrices)
            self._reach.append(NARROW if narrow else self._reached(node))
        if self._reach[-1] > P // 2:
            raise Malformed("graph.wraps", f"the output can reach {self._reach[-1]}; at most {P // 2}")
        count = sum(block.outputs * (block.inputs + 1) for block in self.blocks)
        if count > WEIGHTS_MAX or self._macs > MACS_MAX:
            raise Malformed("graph.size", f"at most {WEIGHTS_MAX} weights and {MACS_MAX} multiplications")

    def _made(self, node: Node) -> tuple[Shape, bool, int]:
        match node:
            case Conv():
                return self._conv(node), False, 1
            case Gemm():
                self._narrow(node.of)
                self._matrix(node.outputs, prod(self.shapes[node.of]), 1)
                return (node.outputs, 1, 1), False, 1
            case Add():
                return self._add(node)
            case SumPool():
                self._narrow(node.of)
                return self._window(self.shapes[node.of], node.kernel, node.stride, node.pad), False, 0
            case MaxPool():
                self._narrow(node.of)
                return self._window(self.shapes[node.of], node.kernel, node.stride, (0, 0, 0, 0)), True, 0
            case Requant():
                return self._requant(node), True, 0
            case Reshape() | Transpose():
                _need(not self._matrices[node.of], f"node {self._number}: put a requant before a change of shape")
                return self._moved(node), self.narrow[node.of], 0
            case Concat():
                for each in node.of:
                    self._narrow(each)
                return self._concat(node), True, 0
            case _:
                assert_never(node)

    def _reached(self, node: Node) -> int:
        """How far the values of what is not narrow can be from 0, whatever weights and inputs are."""
        match node:
            case Conv() | Gemm():
                return self.blocks[-1].inputs * NARROW * NARROW + BIAS_MAX
            case Add():
                return sum(abs(k) * self._reach[each] for each, k in zip(node.of, node.scale, strict=True))
            case SumPool():
                return prod(node.kernel) * NARROW
            case _:
                return self._reach[node.of[0] if isinstance(node.of, tuple) else node.of]

    def _narrow(self, tensor: int) -> None:
        _need(self.narrow[tensor], f"node {self._number} takes int8; tensor {tensor} is wider: put a requant between")

    def _matrix(self, outputs: int, inputs: int, places: int) -> None:
        _need(0 < outputs <= SIDE_MAX, f"node {self._number} has 1 to {SIDE_MAX} outputs")
        self.blocks.append(Block(self._number, outputs, inputs))
        self._macs += outputs * inputs * places

    def _window(self, shape: Shape, kernel: Pair, stride: Pair, pad: Pads) -> Shape:
        ok = all(0 < each <= KERNEL_MAX for each in (*kernel, *stride)) and all(0 <= each < KERNEL_MAX for each in pad)
        _need(ok, f"node {self._number}: sides and steps are 1 to {KERNEL_MAX}, margins below it")
        rows = shape[1] + pad[0] + pad[2] - kernel[0]
        columns = shape[2] + pad[1] + pad[3] - kernel[1]
        _need(rows >= 0 and columns >= 0, f"node {self._number}: the window is larger than the tensor")
        found = shape[0], rows // stride[0] + 1, columns // stride[1] + 1
        self._macs += prod(found) * prod(kernel)
        return found

    def _conv(self, node: Conv) -> Shape:
        self._narrow(node.of)
        channels = self.shapes[node.of][0]
        groups = node.groups
        _need(
            groups > 0 and channels % groups == 0 == node.outputs % groups,
            f"node {self._number}: channels and outputs divide by groups",
        )
        _, rows, columns = self._window(self.shapes[node.of], node.kernel, node.stride, node.pad)
        self._matrix(node.outputs, channels // groups * prod(node.kernel), rows * columns)
        return node.outputs, rows, columns

    def _add(self, node: Add) -> tuple[Shape, bool, int]:
        shape = self.shapes[node.of[0]]
        _need(all(self.shapes[each] == shape for each in node.of), f"node {self._number} adds tensors of one shape")
        ok = len(node.scale) == len(node.of) <= 16 and all(0 < abs(each) <= SCALE_MAX for each in node.scale)
        _need(ok, f"node {self._number}: one factor for each of at most 16 tensors, not zero, at most {SCALE_MAX}")
        pairs = zip(node.of, node.scale, strict=True)
        _need(
            all(scale == 1 for each, scale in pairs if self._matrices[each]),
            f"node {self._number}: what a matrix gives is added once, as it is",
        )
        return shape, False, sum(self._matrices[each] for each in node.of)

    def _requant(self, node: Requant) -> Shape:
        ok = 0 <= node.shift <= SHIFT_MAX and 0 < node.multiplier <= (MULTIPLIER_MAX if node.shift else 1)
        _need(ok, f"node {self._number}: shift 0 to {SHIFT_MAX}; multiplier 1 to {MULTIPLIER_MAX}, 1 without a shift")
        _need(node.low <= 0 <= node.high, f"node {self._number}: its bounds hold zero")
        reach = node.multiplier * max(-node.low, node.high) + node.half
        _need(reach <= WIDE_MAX, f"node {self._number}: its values reach {reach}; at most {WIDE_MAX}")
        most = node.multiplier * self._reach[node.of] + node.half
        if most > REACH_MAX:
            raise Malformed("graph.wraps", f"node {self._number}: a value can reach {most}; at most {REACH_MAX}")
        match node.table:
            case Clip(low, high):
                ok = -128 <= low <= high <= 127
            case Listed(start, values):
                ok = 0 < len(values) <= TABLE_MAX and all(-128 <= each <= 127 for each in values)
                ok = ok and abs(start) <= TABLE_MAX
            case _:
                assert_never(node.table)
        _need(ok, f"node {self._number}: a table has 1 to {TABLE_MAX} entries, each of int8")
        span = node.quotient(node.high) - node.quotient(node.low) + 1
        _need(span <= TABLE_MAX, f"node {self._number}: {span} quotients; at most {TABLE_MAX}: shift further")
        return self.shapes[node.of]

    def _moved(self, node: Reshape | Transpose) -> Shape:
        shape = self.shapes[node.of]
        if isinstance(node, Reshape):
            _need(prod(node.shape) == prod(shape), f"node {self._number}: {list(shape)} has not the elements of that")
            return node.shape
        _need(sorted(node.axes) == [0, 1, 2], f"node {self._number}: axes are a permutation of 0, 1, 2")
        return shape[node.axes[0]], shape[node.axes[1]], shape[node.axes[2]]

    def _concat(self, node: Concat) -> Shape:
        shapes = [list(self.shapes[each]) for each in node.of]
        _need(0 <= node.axis < 3 and len(shapes) <= 64, f"node {self._number}: an axis is 0, 1 or 2")
        length = sum(each[node.axis] for each in shapes)
        for each in shapes:
            each[node.axis] = length
        _need(all(each == shapes[0] for each in shapes), f"node {self._number}: shapes differ beside the axis")
        return shapes[0][0], shapes[0][1], shapes[0][2]


# --- JSON ---------------------------------------------------------------------------------------------------------

_OPS: Final[Mapping[type, str]] = {
    Conv: "conv",
    Gemm: "gemm",
    Add: "add",
    SumPool: "sum_pool",
    MaxPool: "max_pool",
    Requant: "requant",
    Reshape: "reshape",
    Transpose: "transpose",
    Concat: "concat",
}


def _node_json(node: Node) -> dict[str, Json]:
    found: dict[str, Json] = {"op": _OPS[type(node)]}
    for name in node.__slots__:
        value = getattr(node, name)
        found[name] = value.as_json() if isinstance(value, Clip | Listed) else value
    return found
