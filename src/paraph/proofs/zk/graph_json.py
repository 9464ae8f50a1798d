"""An exact model's graph, read from bytes.

Specified in docs/spec/zk.md, section 1.
"""

from collections.abc import Callable, Mapping
from typing import Final

from paraph.core.encode import Json, as_integer, as_list, as_object, decode_exact, take
from paraph.core.errors import Malformed
from paraph.proofs.zk.graph import (
    FORMAT,
    GRAPH_BYTES_MAX,
    NODES_MAX,
    SCALE_MAX,
    TABLE_MAX,
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
)


def graph_from_bytes(data: bytes) -> Graph:
    """Read a graph from its canonical bytes.

    Raises:
        Malformed: `json.…`, `graph.…`; `graph.spelling` when the bytes are not canonical.
    """
    graph = graph_from_json(decode_exact(data, bytes_max=GRAPH_BYTES_MAX))
    if graph.bytes != data:
        raise Malformed("graph.spelling", "the graph's bytes are not in canonical form")
    return graph


def graph_from_json(value: Json) -> Graph:
    """Read a graph. Raises `Malformed` (`json.shape`, `graph.…`)."""
    form, shape, nodes = take(value, "graph", "format", "input", "nodes")
    if form != FORMAT:
        raise Malformed("graph.format", f"the graph's format must be {FORMAT}")
    items = as_list(nodes, "graph.nodes", items_max=NODES_MAX)
    return Graph(_integers(shape, "graph.input", 3), tuple(_node(each) for each in items))


def _integers(value: Json, what: str, count_max: int, low: int = 0) -> tuple[int, ...]:
    return tuple(as_integer(each, what, low) for each in as_list(value, what, items_max=count_max))


def _exactly(value: Json, what: str, count: int) -> tuple[int, ...]:
    found = _integers(value, what, count)
    if len(found) != count:
        raise Malformed("json.shape", f"{what} has {count} numbers")
    return found


def _pair(value: Json, what: str) -> Pair:
    first, second = _exactly(value, what, 2)
    return first, second


def _pads(value: Json, what: str) -> Pads:
    top, left, bottom, right = _exactly(value, what, 4)
    return top, left, bottom, right


def _three(value: Json, what: str) -> tuple[int, int, int]:
    first, second, third = _exactly(value, what, 3)
    return first, second, third


def _table(value: Json, what: str) -> Table:
    names = as_object(value, what).keys()
    if names == {"clip"}:
        bounds = _integers(take(value, what, "clip")[0], what, 2, -(2**31))
        if len(bounds) != 2:
            raise Malformed("json.shape", f"{what}: a clip has two bounds")
        return Clip(*bounds)
    start, values = take(value, what, "start", "values")
    return Listed(as_integer(start, what, -(2**31)), _integers(values, what, TABLE_MAX, -128))


def _requant(value: Json) -> Requant:
    names = ("op", "of", "multiplier", "shift", "low", "high", "table")
    _, of, multiplier, shift, low, high, table = take(value, "requant", *names)
    least = -(2**53) + 1
    return Requant(
        as_integer(of, "requant.of"),
        as_integer(multiplier, "requant.multiplier"),
        as_integer(shift, "requant.shift"),
        as_integer(low, "requant.low", least),
        as_integer(high, "requant.high", least),
        _table(table, "requant.table"),
    )


def _conv(value: Json) -> Conv:
    names = ("op", "of", "outputs", "kernel", "stride", "pad", "groups")
    _, of, outputs, kernel, stride, pad, groups = take(value, "conv", *names)
    return Conv(
        as_integer(of, "conv.of"),
        as_integer(outputs, "conv.outputs"),
        _pair(kernel, "conv.kernel"),
        _pair(stride, "conv.stride"),
        _pads(pad, "conv.pad"),
        as_integer(groups, "conv.groups"),
    )


def _gemm(value: Json) -> Gemm:
    _, of, outputs = take(value, "gemm", "op", "of", "outputs")
    return Gemm(as_integer(of, "gemm.of"), as_integer(outputs, "gemm.outputs"))


def _add(value: Json) -> Add:
    _, of, scale = take(value, "add", "op", "of", "scale")
    return Add(_integers(of, "add.of", 16), _integers(scale, "add.scale", 16, -SCALE_MAX))


def _sum_pool(value: Json) -> SumPool:
    _, of, kernel, stride, pad = take(value, "sum_pool", "op", "of", "kernel", "stride", "pad")
    where = _pair(kernel, "sum_pool.kernel"), _pair(stride, "sum_pool.stride"), _pads(pad, "sum_pool.pad")
    return SumPool(as_integer(of, "sum_pool.of"), *where)


def _max_pool(value: Json) -> MaxPool:
    _, of, kernel, stride = take(value, "max_pool", "op", "of", "kernel", "stride")
    return MaxPool(as_integer(of, "max_pool.of"), _pair(kernel, "max_pool.kernel"), _pair(stride, "max_pool.stride"))


def _reshape(value: Json) -> Reshape:
    _, of, shape = take(value, "reshape", "op", "of", "shape")
    return Reshape(as_integer(of, "reshape.of"), _three(shape, "reshape.shape"))


def _transpose(value: Json) -> Transpose:
    _, of, axes = take(value, "transpose", "op", "of", "axes")
    return Transpose(as_integer(of, "transpose.of"), _three(axes, "transpose.axes"))


def _concat(value: Json) -> Concat:
    _, of, axis = take(value, "concat", "op", "of", "axis")
    return Concat(_integers(of, "concat.of", 64), as_integer(axis, "concat.axis"))


_READERS: Final[Mapping[str, Callable[[Json], Node]]] = {
    "conv": _conv,
    "gemm": _gemm,
    "add": _add,
    "sum_pool": _sum_pool,
    "max_pool": _max_pool,
    "requant": _requant,
    "reshape": _reshape,
    "transpose": _transpose,
    "concat": _concat,
}


def _node(value: Json) -> Node:
    op = as_object(value, "graph.nodes").get("op")
    reader = _READERS.get(op) if isinstance(op, str) else None
    if reader is None:
        raise Malformed("graph.op", f"an op is one of {', '.join(_READERS)}, not {str(op)[:40]!r}")
    return reader(value)
