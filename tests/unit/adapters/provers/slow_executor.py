"""An exact model run on Python's integers, element by element, from the specification alone; and random models."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from hypothesis import strategies as st

from paraph.core.errors import Malformed
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
    Requant,
    Reshape,
    Shape,
    SumPool,
    Transpose,
    split_weights,
)

Tensor = dict[tuple[int, int, int], int]


def places(shape: Shape) -> Iterator[tuple[int, int, int]]:
    """Every place, in the order channels, rows, columns."""
    yield from product(range(shape[0]), range(shape[1]), range(shape[2]))


def flat(tensor: Tensor, shape: Shape) -> list[int]:
    return [tensor[place] for place in places(shape)]


def tensor_of(values: Sequence[int], shape: Shape) -> Tensor:
    return dict(zip(places(shape), values, strict=True))


def run_slowly(graph: Graph, weights: bytes, inputs: Sequence[int]) -> list[list[int]]:
    """Every tensor, flat."""
    blocks = iter(split_weights(graph, weights))
    found = [tensor_of(inputs, graph.shapes[0])]
    for number, node in enumerate(graph.nodes):
        of = node.of if isinstance(node.of, tuple) else (node.of,)
        matrix: list[int] = []
        bias: list[int] = []
        if isinstance(node, Conv | Gemm):
            raw, raw_bias = next(blocks)
            matrix = [each - 256 if each > 127 else each for each in raw]
            bias = [int.from_bytes(raw_bias[at : at + 4], "little", signed=True) for at in range(0, len(raw_bias), 4)]
        shape = graph.shapes[number + 1]
        sources = [found[each] for each in of]
        shapes = [graph.shapes[each] for each in of]
        found.append({place: _element(node, place, shape, sources, shapes, matrix, bias) for place in places(shape)})
    return [flat(tensor, shape) for tensor, shape in zip(found, graph.shapes, strict=True)]


def _element(
    node: Node,
    place: tuple[int, int, int],
    shape: Shape,
    sources: list[Tensor],
    shapes: list[Shape],
    matrix: list[int],
    bias: list[int],
) -> int:
    o, y, x = place
    of = sources[0]
    match node:
        case Conv():
            inputs = shapes[0][0] // node.groups
            first = o // (node.outputs // node.groups) * inputs
            total = bias[o]
            for k, (c, i, j) in enumerate(product(range(inputs), range(node.kernel[0]), range(node.kernel[1]))):
                at = first + c, y * node.stride[0] + i - node.pad[0], x * node.stride[1] + j - node.pad[1]
                total += matrix[o * inputs * prod(node.kernel) + k] * of.get(at, 0)
            return total
        case Gemm():
            row = flat(of, shapes[0])
            return bias[o] + sum(matrix[o * len(row) + k] * each for k, each in enumerate(row))
        case Add():
            return sum(k * each[place] for k, each in zip(node.scale, sources, strict=True))
        case SumPool() | MaxPool():
            pad = node.pad if isinstance(node, SumPool) else (0, 0, 0, 0)
            window = [
                of.get((o, y * node.stride[0] + i - pad[0], x * node.stride[1] + j - pad[1]), 0)
                for i, j in product(range(node.kernel[0]), range(node.kernel[1]))
            ]
            return max(window) if isinstance(node, MaxPool) else sum(window)
        case Requant():
            assert node.low <= of[place] <= node.high
            q = (node.multiplier * of[place] + (2 ** (node.shift - 1) if node.shift else 0)) // 2**node.shift
            table = node.table
            if isinstance(table, Clip):
                return table.low if q < table.low else min(q, table.high)
            at_entry = q - table.start
            return table.values[0 if at_entry < 0 else -1 if at_entry >= len(table.values) else at_entry]
        case Reshape():
            return flat(of, shapes[0])[(o * shape[1] + y) * shape[2] + x]
        case Transpose():
            back = [0, 0, 0]
            for axis, value in zip(node.axes, place, strict=True):
                back[axis] = value
            return of[back[0], back[1], back[2]]
        case Concat():
            moved = list(place)
            for tensor, side in zip(sources, shapes, strict=True):
                if moved[node.axis] < side[node.axis]:
                    return tensor[moved[0], moved[1], moved[2]]
                moved[node.axis] -= side[node.axis]
    raise AssertionError(node)


small = st.integers(1, 3)
pairs = st.tuples(small, small)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A model of up to eight nodes, each reading what fits it."""
    shape: Shape = draw(st.sampled_from([(4, 1, 1), (9, 1, 1), (2, 4, 5), (4, 5, 3), (1, 6, 6)]))
    nodes: list[Node] = []
    graph = None
    for _ in range(draw(st.integers(1, 8))):
        node = draw(_nodes(graph, shape))
        try:
            graph = Graph(shape, (*nodes, node))
        except Malformed:
            continue  # it does not fit here: the next may
        nodes.append(node)
    return graph or Graph(shape, (Gemm(0, 2),))


@st.composite
def _nodes(draw: st.DrawFn, graph: Graph | None, first: Shape) -> Node:
    shapes = graph.shapes if graph else (first,)
    narrow = graph.narrow if graph else (True,)
    last = len(shapes) - 1
    of = draw(st.integers(max(0, last - 2), last))
    shape = shapes[of]
    if not narrow[of]:
        alike: list[int] = [
            each for each in range(len(shapes)) if shapes[each] == shape and each != of and narrow[each]
        ]
        factor = draw(st.sampled_from([0, 1, -3, 200]))
        if alike and factor:
            return Add((of, alike[-1]), (1, factor))
        return draw(_requants(of))
    kind = draw(st.sampled_from("conv gemm add sum_pool max_pool reshape transpose concat requant".split()))
    pad = draw(st.tuples(*[st.integers(0, 2)] * 4))
    match kind:
        case "conv":
            groups = draw(st.sampled_from([each for each in (1, 2, 4) if shape[0] % each == 0]))
            return Conv(of, groups * draw(small), draw(pairs), draw(pairs), pad, groups)
        case "gemm":
            return Gemm(of, draw(small))
        case "add":
            return Add((of, of), (draw(st.integers(1, 5)), draw(st.integers(-5, -1))))
        case "sum_pool":
            return SumPool(of, draw(pairs), draw(pairs), pad)
        case "max_pool":
            return MaxPool(of, draw(pairs), draw(pairs))
        case "reshape":
            return Reshape(of, (shape[2], shape[0] * shape[1], 1))
        case "transpose":
            axes: list[int] = draw(st.permutations([0, 1, 2]))
            return Transpose(of, (axes[0], axes[1], axes[2]))
        case "concat":
            return Concat((of, of), draw(st.integers(0, 2)))
        case _:
            return draw(_requants(of))


@st.composite
def _requants(draw: st.DrawFn, of: int) -> Requant:
    shift = draw(st.integers(0, 8))
    multiplier = draw(st.integers(1, 9)) if shift else 1
    table = draw(
        st.one_of(
            st.builds(Clip, st.integers(-128, 0), st.integers(0, 127)),
            st.builds(
                Listed, st.integers(-40, 10), st.lists(st.integers(-128, 127), min_size=1, max_size=60).map(tuple)
            ),
        )
    )
    # As wide as a table may be, so that few inputs are refused.
    reach = min((1 << 15 + shift) // multiplier - 2**shift, 2**22)
    return Requant(of, multiplier, shift, -reach, reach, table)


def bytes_for(graph: Graph) -> st.SearchStrategy[bytes]:
    """Any weights, with biases small enough for the bounds."""
    return st.binary(min_size=graph.weights_size, max_size=graph.weights_size).map(lambda data: _tamed(graph, data))


def _tamed(graph: Graph, data: bytes) -> bytes:
    parts, start = [], 0
    for block in graph.blocks:
        middle = start + block.outputs * block.inputs
        weights, biases = data[start:middle], data[middle : start + block.size]
        start += block.size
        tame = b"".join(
            (int.from_bytes(biases[at : at + 2], "little", signed=True) // 8).to_bytes(4, "little", signed=True)
            for at in range(0, len(biases), 4)
        )
        parts += [weights, tame]
    return b"".join(parts)
