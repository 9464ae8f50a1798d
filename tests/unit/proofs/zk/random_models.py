"""Random small models, and a run of them that knows nothing of layers: straight from the table of operations."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TypeAlias, assert_never

from hypothesis import strategies as st

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
)

Tensor: TypeAlias = dict[tuple[int, int, int], int]
BIAS = 100
ELEMENTS = 24


def places(shape: Shape) -> list[tuple[int, int, int]]:
    return list(product(range(shape[0]), range(shape[1]), range(shape[2])))


def tensor(shape: Shape, values: Callable[[int, int, int], int]) -> Tensor:
    return {at: values(*at) for at in places(shape)}


def evaluate(graph: Graph, file: bytes, inputs: list[int]) -> list[int]:
    """What a model gives, node by node, in the order channels, rows, columns."""
    made = [dict(zip(places(graph.shapes[0]), inputs, strict=True))]
    at = 0
    for number, node in enumerate(graph.nodes):
        shape = graph.shapes[number + 1]
        if isinstance(node, Conv | Gemm):
            block = next(each for each in graph.blocks if each.node == number)
            size = block.outputs * block.inputs
            weights = [int.from_bytes(file[at + i : at + i + 1], "little", signed=True) for i in range(size)]
            at += size
            biases = [
                int.from_bytes(file[at + i : at + i + 4], "little", signed=True) for i in range(0, 4 * block.outputs, 4)
            ]
            at += 4 * block.outputs
            made.append(_matrix(node, made[node.of], graph.shapes[node.of], shape, weights, biases))
        else:
            made.append(_moved(node, made, [graph.shapes[each] for each in range(len(made))], shape))
    return [made[-1][where] for where in places(graph.shapes[-1])]


def _matrix(node: Conv | Gemm, of: Tensor, was: Shape, shape: Shape, weights: list[int], biases: list[int]) -> Tensor:
    if isinstance(node, Gemm):
        flat = [of[where] for where in places(was)]
        rows = [weights[o * len(flat) : (o + 1) * len(flat)] for o in range(node.outputs)]
        return tensor(shape, lambda o, _y, _x: biases[o] + sum(w * v for w, v in zip(rows[o], flat, strict=True)))
    mine, theirs = was[0] // node.groups, node.outputs // node.groups
    (kh, kw), (sh, sw), (top, left, _, _) = node.kernel, node.stride, node.pad

    def one(o: int, y: int, x: int) -> int:
        found = biases[o]
        for c, i, j in product(range(mine), range(kh), range(kw)):
            value = of.get((o // theirs * mine + c, y * sh + i - top, x * sw + j - left), 0)
            found += weights[((o * mine + c) * kh + i) * kw + j] * value
        return found

    return tensor(shape, one)


def _moved(node: Node, made: list[Tensor], shapes: list[Shape], shape: Shape) -> Tensor:
    match node:
        case Add(of, scale):
            return tensor(shape, lambda *at: sum(k * made[t][at] for t, k in zip(of, scale, strict=True)))
        case SumPool(t, (kh, kw), (sh, sw), (top, left, _, _)):
            return tensor(
                shape,
                lambda c, y, x: sum(
                    made[t].get((c, y * sh + i - top, x * sw + j - left), 0) for i in range(kh) for j in range(kw)
                ),
            )
        case MaxPool(t, (kh, kw), (sh, sw)):
            return tensor(
                shape,
                lambda c, y, x: max(made[t][c, y * sh + i, x * sw + j] for i in range(kh) for j in range(kw)),
            )
        case Requant(t, multiplier, shift, low, high, table):
            assert all(low <= value <= high for value in made[t].values())
            half = 0 if shift == 0 else 2 ** (shift - 1)
            asked = {at: (multiplier * value + half) // 2**shift for at, value in made[t].items()}
            if isinstance(table, Clip):
                return {at: min(max(q, table.low), table.high) for at, q in asked.items()}
            last = len(table.values) - 1
            return {at: table.values[min(max(q - table.start, 0), last)] for at, q in asked.items()}
        case Reshape(t, _):
            flat = [made[t][where] for where in places(shapes[t])]
            return dict(zip(places(shape), flat, strict=True))
        case Transpose(t, axes):
            return {(at[axes[0]], at[axes[1]], at[axes[2]]): value for at, value in made[t].items()}
        case Concat(of, axis):
            found: Tensor = {}
            start = 0
            for t in of:
                for at, value in made[t].items():
                    moved = list(at)
                    moved[axis] += start
                    found[moved[0], moved[1], moved[2]] = value
                start += shapes[t][axis]
            return found
        case Conv() | Gemm():
            raise AssertionError
        case _:
            assert_never(node)


# --- random graphs ---------------------------------------------------------------------------------------------------


@dataclass
class _Growing:
    """A graph in the making: what is known of each tensor."""

    shapes: list[Shape]
    nodes: list[Node] = field(default_factory=list)
    narrow: list[bool] = field(default_factory=lambda: [True])
    most: list[int] = field(default_factory=lambda: [128])
    matrix: list[bool] = field(default_factory=lambda: [False])

    def put(self, node: Node, shape: Shape, *, narrow: bool, most: int, matrix: bool = False) -> None:
        self.nodes.append(node)
        self.shapes.append(shape)
        self.narrow.append(narrow)
        self.most.append(most)
        self.matrix.append(matrix)


@st.composite
def models(draw: st.DrawFn, nodes_max: int = 6) -> tuple[Graph, bytes, list[list[int]]]:
    """A graph, a file of weights, and one to three inputs."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)))
    flat = draw(st.booleans())
    growing = _Growing([(prod(shape), 1, 1) if flat else shape])
    for _ in range(draw(st.integers(1, nodes_max))):
        _grow(draw, growing)
    if not growing.nodes:
        growing.put(Reshape(0, growing.shapes[0]), growing.shapes[0], narrow=True, most=128)
    graph = Graph((prod(shape),) if flat else shape, tuple(growing.nodes))
    parts = []
    for block in graph.blocks:
        parts.append(draw(st.binary(min_size=block.outputs * block.inputs, max_size=block.outputs * block.inputs)))
        biases = draw(st.lists(st.integers(-BIAS, BIAS), min_size=block.outputs, max_size=block.outputs))
        parts += [each.to_bytes(4, "little", signed=True) for each in biases]
    size = prod(shape)
    row = st.lists(st.integers(-128, 127), min_size=size, max_size=size)
    return graph, b"".join(parts), draw(st.lists(row, min_size=1, max_size=3))


def _grow(draw: st.DrawFn, of: _Growing) -> None:
    t = draw(st.integers(max(0, len(of.shapes) - 3), len(of.shapes) - 1))
    shape = of.shapes[t]
    if not of.narrow[t]:
        ops = ["requant", "add"] if of.matrix[t] else ["requant", "add", "reshape", "transpose"]
    else:
        ops = ["conv", "gemm", "add", "sum_pool", "max_pool", "requant", "reshape", "transpose", "concat"]
    op = draw(st.sampled_from(ops))
    side = st.integers(1, 2)
    kernel = draw(st.tuples(st.integers(1, min(3, shape[1])), st.integers(1, min(3, shape[2]))))
    stride = draw(st.tuples(side, side))
    pad = draw(st.tuples(*[st.integers(0, 1)] * 4)) if op in {"conv", "sum_pool"} else (0, 0, 0, 0)
    rows = (shape[1] + pad[0] + pad[2] - kernel[0]) // stride[0] + 1
    columns = (shape[2] + pad[1] + pad[3] - kernel[1]) // stride[1] + 1
    match op:
        case "conv":
            groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
            outputs = groups * draw(side)
            window = shape[0] // groups * kernel[0] * kernel[1]
            node = Conv(t, outputs, kernel, stride, pad, groups)
            if outputs * rows * columns <= ELEMENTS:
                most = window * 128 * 128 + BIAS
                of.put(node, (outputs, rows, columns), narrow=False, most=most, matrix=True)
        case "gemm":
            outputs = draw(st.integers(1, 4))
            most = prod(shape) * 128 * 128 + BIAS
            of.put(Gemm(t, outputs), (outputs, 1, 1), narrow=False, most=most, matrix=True)
        case "add":
            _add(draw, of, t)
        case "sum_pool":
            if shape[0] * rows * columns <= ELEMENTS:
                most = kernel[0] * kernel[1] * 128
                of.put(SumPool(t, kernel, stride, pad), (shape[0], rows, columns), narrow=False, most=most)
        case "max_pool":
            of.put(MaxPool(t, kernel, stride), (shape[0], rows, columns), narrow=True, most=128)
        case "requant":
            of.put(_requant(draw, t, of.most[t], of.matrix[t]), shape, narrow=True, most=128)
        case "reshape":
            to = draw(st.permutations(shape))
            of.put(Reshape(t, (to[0], to[1], to[2])), (to[0], to[1], to[2]), narrow=of.narrow[t], most=of.most[t])
        case "transpose":
            a, b, c = draw(st.permutations([0, 1, 2]))
            node_shape = (shape[a], shape[b], shape[c])
            of.put(Transpose(t, (a, b, c)), node_shape, narrow=of.narrow[t], most=of.most[t])
        case _:
            axis = draw(st.integers(0, 2))
            others = [
                u
                for u, its in enumerate(of.shapes)
                if of.narrow[u] and all(its[each] == shape[each] for each in range(3) if each != axis)
            ]
            chosen = [t, draw(st.sampled_from(others))]
            joined = list(shape)
            joined[axis] = sum(of.shapes[u][axis] for u in chosen)
            if prod(joined) <= ELEMENTS:
                of.put(Concat(tuple(chosen), axis), (joined[0], joined[1], joined[2]), narrow=True, most=128)


def _add(draw: st.DrawFn, of: _Growing, t: int) -> None:
    others = [u for u, its in enumerate(of.shapes) if its == of.shapes[t] and not (of.matrix[u] and of.matrix[t])]
    chosen = [t, *([draw(st.sampled_from(others))] if others else [])]
    if sum(of.most[u] for u in chosen) > 2**22:
        return
    scale = [1 if of.matrix[u] else draw(st.sampled_from([1, -1, 2, -3])) for u in chosen]
    most = sum(of.most[u] * abs(k) for u, k in zip(chosen, scale, strict=True))
    matrix = any(of.matrix[u] for u in chosen)
    of.put(Add(tuple(chosen), tuple(scale)), of.shapes[t], narrow=False, most=most, matrix=matrix)


def _requant(draw: st.DrawFn, t: int, most: int, matrix: bool) -> Requant:
    least = max(0, most.bit_length() - 8)
    shift = draw(st.integers(least, least + 1))
    multiplier = 1 if matrix or shift == 0 else draw(st.sampled_from([1, 1, 3]))
    if draw(st.booleans()):
        low, high = sorted(draw(st.tuples(st.integers(-128, 127), st.integers(-128, 127))))
        return Requant(t, multiplier, shift, -most, most, Clip(low, high))
    values = draw(st.lists(st.integers(-128, 127), min_size=1, max_size=6))
    return Requant(t, multiplier, shift, -most, most, Listed(draw(st.integers(-5, 5)), tuple(values)))
