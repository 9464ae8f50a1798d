"""Rows, columns and their tree; and the file of weights laid out in them."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.proofs.zk.models import DENSE, RESIDUAL, SPATIAL, weights_of

from paraph.core.errors import Malformed
from paraph.proofs.zk import columns
from paraph.proofs.zk.field import GENERATOR, P, interpolate, root_of_unity
from paraph.proofs.zk.graph import BIAS_MAX, Clip, Conv, Gemm, Graph, Requant
from paraph.proofs.zk.plan import dense_inputs, line_of, weight_segments
from paraph.proofs.zk.weights import column_bytes, weight_root, weight_vector

BASE = st.integers(0, P - 1)
GROUPED = Graph((4, 2, 2), (Conv(0, 4, (1, 2), (1, 1), (0, 0, 0, 0), 2),))


@given(st.lists(BASE, min_size=4, max_size=4), st.lists(BASE, max_size=4))
def test_codeword(values: list[int], tail: list[int]) -> None:
    """A codeword is of the polynomial that has the row on H, whatever its tail, and of no more degree than both."""
    word = columns.codeword(values, tail, 4)

    # Back to coefficients: those of f(31·X) on the 16 roots, each divided by its power of 31.
    coefficients = [c * pow(GENERATOR, -at, P) % P for at, c in enumerate(interpolate(word))]
    assert coefficients[4 + len(tail) :] == [0] * (12 - len(tail))
    on_h = [sum(c * pow(root_of_unity(2), j * at, P) for at, c in enumerate(coefficients)) % P for j in range(4)]
    assert on_h == values
    assert coefficients[4 : 4 + len(tail)] == tail


def test_tail() -> None:
    """A tail is of seed, nonce and row; below p, as many as asked for, and written as section 9 says."""
    seed, nonce = b"s" * 32, b"n" * 32

    found = columns.seeded_tail(seed, nonce, 3, 100)

    assert len(found) == 100
    assert max(found) < P
    assert columns.seeded_tail(seed, nonce, 3, 5) == found[:5]
    other = [columns.seeded_tail(b"t" * 32, nonce, 3, 100), columns.seeded_tail(seed, b"m" * 32, 3, 100)]
    assert all(set(found).isdisjoint(each) for each in (*other, columns.seeded_tail(seed, nonce, 4, 100)))
    block = sha256(b"paraph/zk/row/1" + seed + nonce + (3).to_bytes(4, "big") + bytes(4)).digest()
    words = [int.from_bytes(block[at : at + 4], "little") % 2**31 for at in range(0, 32, 4)]
    assert found[: len([each for each in words if each < P])] == [each for each in words if each < P]
    with pytest.raises(Malformed) as caught:
        columns.seeded_tail(seed[1:], nonce, 0, 1)
    assert caught.value.code == "zk.seed"


def whole(leaves: list[bytes]) -> bytes:
    """A tree's root, from all of its leaves."""
    while len(leaves) > 1:
        leaves = [columns.node(leaves[at], leaves[at + 1]) for at in range(0, len(leaves), 2)]
    return leaves[0]


@given(st.integers(0, 4), st.data())
def test_tree(bits: int, data: st.DataObject) -> None:
    """The root is the same from any leaves and what they lack; one hash too few, too many or changed gives another."""
    leaves = [columns.leaf(b"", bytes([number])) for number in range(1 << bits)]
    known = data.draw(st.sets(st.integers(0, len(leaves) - 1), min_size=1))
    level, have, lacking = leaves, sorted(known), []
    while len(level) > 1:
        lacking += [level[index ^ 1] for index in have if index ^ 1 not in have]
        level = [columns.node(level[at], level[at + 1]) for at in range(0, len(level), 2)]
        have = sorted({index >> 1 for index in have})
    asked = iter(lacking)

    found = columns.root({index: leaves[index] for index in known}, bits, lambda: next(asked))

    assert found == whole(leaves)
    assert list(asked) == []
    if lacking:
        changed = iter([bytes(32), *lacking[1:]])
        assert columns.root({index: leaves[index] for index in known}, bits, lambda: next(changed)) != found


def test_leaf() -> None:
    """A leaf is no node, and its salt is no entry."""
    assert columns.leaf(b"", b"a" * 64) != columns.node(b"a" * 32, b"a" * 32)
    assert columns.leaf(b"s" * 16, b"a") == sha256(b"\0" + b"s" * 16 + b"a").digest()


@given(st.lists(BASE, max_size=4))
def test_entries(column: list[int]) -> None:
    """A column is read back; an entry of p or more is refused."""
    assert columns.entries(column_bytes(column)) == column
    assert columns.entries(column_bytes([*column, P])) is None


@pytest.mark.parametrize("graph", [DENSE, RESIDUAL, SPATIAL, GROUPED], ids=["dense", "residual", "spatial", "grouped"])
def test_weight_vector(graph: Graph) -> None:
    """Each weight and bias has one place, the rest is zero; what a group does not read is zero."""
    file = weights_of(graph)
    vector, line = weight_vector(graph, file), line_of(graph)
    segments, reach = weight_segments(graph)
    expected = [0] * len(vector)
    at = 0
    for number, (block, (matrix, bias)) in enumerate(zip(graph.blocks, segments, strict=True)):
        node = graph.nodes[block.node]
        groups = node.groups if isinstance(node, Conv) else 1
        width = 1 << (dense_inputs(graph, number) - 1).bit_length()
        for o in range(block.outputs):
            first = o * groups // block.outputs * block.inputs
            for k in range(block.inputs):
                expected[matrix.offset + o * width + first + k] = (
                    int.from_bytes(file[at : at + 1], "little", signed=True) % P
                )
                at += 1
        for o in range(block.outputs):
            expected[bias.offset + o] = int.from_bytes(file[at : at + 4], "little", signed=True) % P
            at += 4

    assert vector == expected
    assert len(vector) == -(-reach // line) * line
    assert any(vector)


def test_weight_root() -> None:
    """The root is of every weight and every bias."""
    file = weights_of(DENSE)

    found = {weight_root(DENSE, file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :]) for at in range(0, len(file), 5)}

    assert len(found | {weight_root(DENSE, file)}) == len(range(0, len(file), 5)) + 1


def test_no_weights() -> None:
    """A model without a matrix has one row of zeros."""
    graph = Graph((2,), (Requant(0, 1, 0, -128, 127, Clip(0, 1)),))

    assert weight_vector(graph, b"") == [0] * 256


@pytest.mark.parametrize("change", [b"\0", None])
def test_file_length(change: bytes | None) -> None:
    """A file of weights has exactly the length that the graph says."""
    file = weights_of(DENSE)

    with pytest.raises(Malformed) as caught:
        weight_vector(DENSE, file[:-1] if change is None else file + change)
    assert caught.value.code == "graph.weights"


@pytest.mark.parametrize(
    ("bias", "ok"), [(BIAS_MAX, True), (-BIAS_MAX, True), (BIAS_MAX + 1, False), (-BIAS_MAX - 1, False)]
)
def test_bias(bias: int, *, ok: bool) -> None:
    """A bias is within its limit."""
    graph = Graph((1,), (Gemm(0, 1),))
    file = b"\1" + bias.to_bytes(4, "little", signed=True)

    if ok:
        assert weight_vector(graph, file)[1] == bias % P
        return
    with pytest.raises(Malformed) as caught:
        weight_vector(graph, file)
    assert caught.value.code == "graph.weights"
