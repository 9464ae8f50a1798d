"""Graphs: what may be, at each limit and one past it; and their bytes, of which there is one spelling."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.proofs.zk.models import MODELS, SPATIAL

from paraph.core.digest import sha256
from paraph.core.encode import Json, canonical
from paraph.core.errors import Malformed
from paraph.proofs.zk.graph import (
    BIAS_MAX,
    GRAPH_BYTES_MAX,
    NODES_MAX,
    REACH_MAX,
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
    SumPool,
    Transpose,
    split_weights,
)
from paraph.proofs.zk.graph_json import graph_from_bytes, graph_from_json

BITE: Final = Clip(-128, 127)
NONE: Final = (0, 0, 0, 0)
ONE: Final = (1, 1)


def requant(
    of: int = 0,
    multiplier: int = 1,
    shift: int = 0,
    low: int = -128,
    high: int = 127,
    table: Clip | Listed = BITE,
) -> Requant:
    return Requant(of, multiplier, shift, low, high, table)


def conv(
    outputs: int = 2,
    kernel: tuple[int, int] = (2, 2),
    stride: tuple[int, int] = ONE,
    pad: tuple[int, int, int, int] = NONE,
    groups: int = 1,
    of: int = 0,
) -> Conv:
    return Conv(of, outputs, kernel, stride, pad, groups)


IMAGE: Final = (2, 4, 4)
TAKEN: Final[dict[str, tuple[tuple[int, ...], tuple[Node, ...]]]] = {
    "nodes": ((1,), (requant(),) * NODES_MAX),
    "outputs": ((1,), (Gemm(0, 4096),)),
    "multiplier": ((1,), (requant(0, 2**20, 16, -510, 510),)),
    "shift": ((1,), (requant(0, 1, 16),)),
    "bounds": ((1,), (requant(0, 1, 16, -(2**29) + 2**15, 2**29 - 2**15),)),
    "quotients": ((1,), (requant(0, 1, 0, -(2**15), 2**15 - 1),)),
    "start": ((1,), (requant(table=Listed(2**16, (1,))), requant(table=Listed(-(2**16), (1,))))),
    "entries": ((1,), (requant(table=Listed(0, (0,) * 2**16)),)),
    "table": ((1,), (requant(table=Clip(-128, 127)), requant(table=Listed(0, (-128, 127))))),
    "one entry": ((1,), (requant(table=Clip(3, 3)),)),
    "kernel": ((1, 64, 64), (SumPool(0, (64, 64), (64, 64), NONE),)),
    "margin": (IMAGE, (conv(pad=(63, 63, 63, 63), kernel=(64, 64)),)),
    "scale": ((1,), (Add((0,) * 16, (2**15, -(2**15)) * 8),)),
    "groups": (IMAGE, (conv(groups=2),)),
    "residual": (IMAGE, (conv(), conv(2, (2, 2)), requant(2, 1, 12, -(2**24), 2**24), Add((1, 3), (1, -7)))),
    "sixty-four": ((1,), (Concat((0,) * 64, 0),)),
    "wide moves": (IMAGE, (SumPool(0, ONE, ONE, NONE), Transpose(1, (2, 0, 1)), Reshape(2, (32, 1, 1)))),
}
REFUSED: Final[dict[str, tuple[tuple[int, ...], tuple[Node, ...], str]]] = {
    "no nodes": ((1,), (), "graph.nodes"),
    "too many nodes": ((1,), (requant(),) * (NODES_MAX + 1), "graph.nodes"),
    "no shape": ((), (requant(),), "graph.shape"),
    "two sides": ((2, 2), (requant(),), "graph.shape"),
    "no elements": ((2, 0, 2), (requant(),), "graph.shape"),
    "too many elements": ((2**20 + 1,), (requant(),), "graph.shape"),
    "made too many": ((1024, 32, 32), (Concat((0, 0), 0),), "graph.shape"),
    "itself": ((1,), (requant(1),), "graph.node"),
    "what is not before": ((1,), (Add((0, 2), ONE), requant()), "graph.node"),
    "a negative tensor": ((1,), (requant(-1),), "graph.node"),
    "of nothing": ((1,), (Add((), ()),), "graph.node"),
    "two matrices": ((1,), (Gemm(0, 1), Gemm(0, 1), Add((1, 2), ONE)), "graph.node"),
    "a matrix twice": ((1,), (Gemm(0, 1), Add((1, 1), ONE)), "graph.node"),
    "a matrix times two": ((1,), (Gemm(0, 1), Add((1,), (2,))), "graph.node"),
    "a matrix moved": (IMAGE, (conv(), Transpose(1, (0, 2, 1))), "graph.node"),
    "a matrix reshaped": (IMAGE, (conv(), Reshape(1, (18, 1, 1))), "graph.node"),
    "a matrix of a matrix": ((1,), (Gemm(0, 1), Gemm(1, 1)), "graph.node"),
    "a window of a matrix": (IMAGE, (conv(), MaxPool(1, ONE, ONE)), "graph.node"),
    "sums of a matrix": (IMAGE, (conv(), SumPool(1, ONE, ONE, NONE)), "graph.node"),
    "one after the other of a matrix": ((1,), (Gemm(0, 1), Concat((0, 1), 0)), "graph.node"),
    "no outputs": ((1,), (Gemm(0, 0),), "graph.node"),
    "too many outputs": ((1,), (Gemm(0, 4097),), "graph.node"),
    "no kernel": (IMAGE, (conv(kernel=(0, 1)),), "graph.node"),
    "too large a kernel": ((1, 65, 65), (MaxPool(0, (65, 1), ONE),), "graph.node"),
    "no step": (IMAGE, (conv(stride=(1, 0)),), "graph.node"),
    "too large a step": (IMAGE, (conv(stride=(65, 1)),), "graph.node"),
    "too wide a margin": (IMAGE, (conv(pad=(0, 0, 64, 0)),), "graph.node"),
    "a window too tall": (IMAGE, (MaxPool(0, (5, 1), ONE),), "graph.node"),
    "a window too wide": (IMAGE, (MaxPool(0, (1, 5), ONE),), "graph.node"),
    "no groups": (IMAGE, (conv(groups=0),), "graph.node"),
    "channels in groups": (IMAGE, (conv(3, groups=3),), "graph.node"),
    "outputs in groups": (IMAGE, (conv(3, groups=2),), "graph.node"),
    "other shapes": (IMAGE, (MaxPool(0, (2, 2), ONE), Add((0, 1), ONE)), "graph.node"),
    "a factor too few": ((1,), (Add((0, 0), (1,)),), "graph.node"),
    "a factor of zero": ((1,), (Add((0,), (0,)),), "graph.node"),
    "too large a factor": ((1,), (Add((0,), (2**15 + 1,)),), "graph.node"),
    "seventeen": ((1,), (Add((0,) * 17, (1,) * 17),), "graph.node"),
    "too large a shift": ((1,), (requant(0, 1, 17),), "graph.node"),
    "no multiplier": ((1,), (requant(0, 0, 1),), "graph.node"),
    "too large a multiplier": ((1,), (requant(0, 2**20 + 1, 16),), "graph.node"),
    "a multiplier without a shift": ((1,), (requant(0, 2, 0),), "graph.node"),
    "bounds above zero": ((1,), (requant(0, 1, 0, 1, 2),), "graph.node"),
    "bounds below zero": ((1,), (requant(0, 1, 0, -2, -1),), "graph.node"),
    "bounds too wide": ((1,), (requant(0, 1, 16, 0, 2**29 - 2**15 + 1),), "graph.node"),
    "bounds too low": ((1,), (requant(0, 1, 16, -(2**29) + 2**15 - 1, 0),), "graph.node"),
    "too many quotients": ((1,), (requant(0, 1, 0, -(2**15), 2**15),), "graph.node"),
    "a table that is not narrow": ((1,), (requant(table=Clip(0, 128)),), "graph.node"),
    "a table below": ((1,), (requant(table=Clip(-129, 0)),), "graph.node"),
    "a table upside down": ((1,), (requant(table=Clip(1, 0)),), "graph.node"),
    "an empty table": ((1,), (requant(table=Listed(0, ())),), "graph.node"),
    "an entry that is not narrow": ((1,), (requant(table=Listed(0, (0, 128))),), "graph.node"),
    "too long a table": ((1,), (requant(table=Listed(0, (0,) * (2**16 + 1))),), "graph.node"),
    "a table far away": ((1,), (requant(table=Listed(2**16 + 1, (0,))),), "graph.node"),
    "a shape of others": (IMAGE, (Reshape(0, (2, 4, 5)),), "graph.node"),
    "a negative shape": (IMAGE, (Reshape(0, (-2, -4, 4)),), "graph.shape"),
    "axes twice": (IMAGE, (Transpose(0, (0, 1, 1)),), "graph.node"),
    "a fourth axis": (IMAGE, (Concat((0,), 3),), "graph.node"),
    "a negative axis": (IMAGE, (Concat((0,), -1),), "graph.node"),
    "sixty-five": ((1,), (Concat((0,) * 65, 0),), "graph.node"),
    "shapes beside the axis": (IMAGE, (MaxPool(0, (2, 2), ONE), Concat((0, 1), 0)), "graph.node"),
    "weights": ((8192,), (Gemm(0, 2048),), "graph.size"),
    "multiplications": ((1, 1024, 1024), (conv(1, (33, 33)),), "graph.size"),
    "a matrix that wraps": ((2**17,), (Gemm(0, 1), requant(1, 1, 16, -(2**24), 2**24)), "graph.wraps"),
    "an output that wraps": ((2**16,), (Gemm(0, 1),), "graph.wraps"),
    "a multiplier that wraps": ((1,), (Gemm(0, 1), requant(1, 6, 16, -(2**24), 2**24)), "graph.wraps"),
    "sums that wrap": ((1,), (Add((0,), (2**15,)), Add((1,), (2**15,))), "graph.wraps"),
    "moved sums that wrap": (
        (1,),
        (Add((0,), (2**15,)), Add((1,), (2**15,)), Transpose(2, (0, 1, 2)), requant(3)),
        "graph.wraps",
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name: str) -> None:
    """At each limit a graph is taken, and read back from its bytes if they are few enough."""
    shape, nodes = TAKEN[name]
    graph = Graph(shape, nodes)

    assert len(graph.shapes) == len(graph.narrow) == len(nodes) + 1
    if len(graph.bytes) <= GRAPH_BYTES_MAX:
        assert graph_from_bytes(graph.bytes) == graph


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """One past each limit, and whatever makes no sense, is refused."""
    shape, nodes, code = REFUSED[name]

    with pytest.raises(Malformed) as caught:
        Graph(shape, nodes)
    assert caught.value.code == code


def test_reach() -> None:
    """The most that the rule of reach takes: no two values that a proof can meet are one modulo p."""
    # K·2^14 + 2^28 for a matrix; with a multiplier of 5, K may be this many.
    most = (REACH_MAX - 2**15) // 5
    inputs = (most - BIAS_MAX) // 2**14

    Graph((inputs,), (Gemm(0, 1), requant(1, 5, 16, -(2**24), 2**24)))
    with pytest.raises(Malformed) as caught:
        Graph((inputs + 1,), (Gemm(0, 1), requant(1, 5, 16, -(2**24), 2**24)))
    assert caught.value.code == "graph.wraps"


def test_quotient() -> None:
    """Rescaling rounds to the nearest, halves up, of negative values too."""
    node = requant(0, 3, 2)

    assert [node.quotient(v) for v in (-3, -2, -1, 0, 1, 2, 3)] == [-2, -1, -1, 0, 1, 2, 2]
    assert requant().quotient(-5) == -5
    assert requant().half == 0


def test_tables() -> None:
    """A list holds its first entry for all below it and its last for all above."""
    table = Listed(-1, (10, 20, 30))

    assert [table(v) for v in (-9, -1, 0, 1, 9)] == [10, 10, 20, 30, 30]
    assert [Clip(-2, 3)(v) for v in (-9, -2, 0, 3, 9)] == [-2, -2, 0, 3, 3]


def test_digest() -> None:
    """The digest is of the canonical bytes."""
    assert SPATIAL.digest == sha256(SPATIAL.bytes)
    assert len({graph.digest for graph in MODELS.values()}) == len(MODELS)


def test_split_weights() -> None:
    """The file is split by node, weights before biases."""
    graph = Graph((2,), (Gemm(0, 1), requant(1, 1, 12, -(2**20), 2**20), Gemm(2, 2)))

    parts = split_weights(graph, bytes([1, 2]) + bytes(4) + bytes([3, 4]) + bytes(8))

    assert parts == [(b"\1\2", bytes(4)), (b"\3\4", bytes(8))]


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_one_spelling(name: str) -> None:
    """A graph's bytes are read back, and no other spelling of them is."""
    data = MODELS[name].bytes

    assert graph_from_bytes(data) == MODELS[name]
    for other in (b" " + data, data + b"\n", data.replace(b",", b", "), data.replace(b"0", b"00", 1), data[:-1], b""):
        with pytest.raises(Malformed):
            graph_from_bytes(other)


def test_spelling() -> None:
    """Members in another order are another spelling."""
    data = MODELS["plain"].bytes
    assert data.startswith(b'{"format":"paraph/exact/1","input":[2],')

    with pytest.raises(Malformed) as caught:
        graph_from_bytes(
            data.replace(b'"format":"paraph/exact/1","input":[2]', b'"input":[2],"format":"paraph/exact/1"')
        )
    assert caught.value.code.startswith(("json.", "graph.spelling"))


def plain(node: dict[str, Json]) -> dict[str, Json]:
    return {"format": "paraph/exact/1", "input": [2], "nodes": [node]}


BASE: Final[dict[str, Json]] = {
    "op": "requant",
    "of": 0,
    "multiplier": 1,
    "shift": 0,
    "low": -1,
    "high": 1,
    "table": {"clip": [0, 1]},
}
BROKEN: Final[dict[str, tuple[Json, str]]] = {
    "another format": ({**plain(BASE), "format": "paraph/exact/2"}, "graph.format"),
    "a member more": ({**plain(BASE), "more": 1}, "json."),
    "no op": (plain({**BASE, "op": None}), "graph.op"),
    "an unknown op": (plain({**BASE, "op": "softmax"}), "graph.op"),
    "a node that is none": ({**plain(BASE), "nodes": [1]}, "json."),
    "a node's member more": (plain({**BASE, "more": 1}), "json."),
    "a clip of one": (plain({**BASE, "table": {"clip": [0]}}), "json.shape"),
    "a clip of three": (plain({**BASE, "table": {"clip": [0, 1, 2]}}), "json."),
    "two tables": (plain({**BASE, "table": {"clip": [0, 1], "start": 0, "values": [1]}}), "json."),
    "a fraction": (plain({**BASE, "low": -0.5}), "json."),
    "truth for a number": (plain({**BASE, "shift": True}), "json."),
    "a number beyond all": (plain({**BASE, "low": -(2**53)}), "json."),
    "a negative tensor": (plain({**BASE, "of": -1}), "json."),
    "a kernel of one side": (
        plain({"op": "max_pool", "of": 0, "kernel": [1], "stride": [1, 1]}),
        "json.shape",
    ),
    "an entry below int8": (plain({**BASE, "table": {"start": 0, "values": [-129]}}), "json."),
    "a shape of four": ({**plain(BASE), "input": [1, 1, 1, 1]}, "json."),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name: str) -> None:
    """JSON that is no graph is refused."""
    value, code = BROKEN[name]

    with pytest.raises(Malformed) as caught:
        graph_from_json(value)
    assert caught.value.code.startswith(code)


def test_base_is_a_graph() -> None:
    """What the broken ones were made from is a graph."""
    assert graph_from_json(plain(BASE)) == Graph((2,), (requant(0, 1, 0, -1, 1, Clip(0, 1)),))


def test_too_many_bytes() -> None:
    """More than 256 kB are not read."""
    with pytest.raises(Malformed):
        graph_from_bytes(bytes(GRAPH_BYTES_MAX + 1))


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["op", "of", "format", "input", "nodes", "table", "clip", "start", "values", "scale"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json(value: Json) -> None:
    """Any JSON is a graph or refused; nothing else happens."""
    try:
        graph_from_bytes(canonical(value))
    except Malformed:
        return
    raise AssertionError


@given(st.sampled_from(sorted(MODELS)), st.data())
def test_changed_json(name: str, data: st.DataObject) -> None:
    """A graph with one value replaced is another graph, or refused."""
    whole = MODELS[name].as_json()
    nodes = [dict(node) for node in whole["nodes"]]  # type: ignore[arg-type, union-attr]
    node = data.draw(st.sampled_from(nodes))
    member = data.draw(st.sampled_from(sorted(node)))
    node[member] = data.draw(JSON)
    try:
        found = graph_from_json({**whole, "nodes": list(nodes)})
    except Malformed:
        return

    assert graph_from_bytes(found.bytes) == found


@given(st.binary(max_size=64))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are no graph are refused."""
    with pytest.raises(Malformed):
        graph_from_bytes(data)
