"""The plan: segments that do not overlap, a proof as long as it says, queries that suffice, limits that hold."""

from math import log2
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.proofs.zk.models import DENSE, MODELS, PLAIN, SPATIAL, proven
from tests.unit.proofs.zk.random_models import models

from paraph.core.errors import Malformed
from paraph.proofs.zk.field import P
from paraph.proofs.zk.graph import Clip, Conv, Gemm, Graph, Listed, Requant
from paraph.proofs.zk.plan import (
    LEAF_BITS_MAX,
    LINE_MIN,
    WEIGHT_BITS_MAX,
    Segment,
    line_of,
    plan,
    queries,
    weight_segments,
)
from paraph.proofs.zk.statement import COUNT_MAX, Mode
from paraph.proofs.zk.weights import weight_root

ROW: Final = Clip(-128, 127)


def apart(segments: list[Segment]) -> int:
    """That no two overlap and each lies at a multiple of its size; how far they reach."""
    at = 0
    for each in sorted(segments, key=lambda each: each.offset):
        assert each.offset == at
        assert each.offset % (1 << each.bits) == 0
        at += 1 << each.bits
    return at


@given(models(), st.integers(1, 9), st.sampled_from(Mode))
def test_layout(model: tuple[Graph, bytes, list[list[int]]], count: int, mode: Mode) -> None:
    """Segments fill each vector from its start without a gap, the larger first."""
    layout = plan(model[0], count, mode)

    values = [each.values for each in layout.layers if each.values]
    remainders = [each.remainders for each in layout.layers if each.remainders]
    counts = [each.multiplicities for each in layout.tables]
    reach = apart([layout.blocks, *values, *remainders, *counts])
    assert reach <= 1 << layout.witness_bits < 2 * max(reach, 2)
    assert layout.vector_rows == -(-reach // layout.line)
    lookups = [each.lookup for each in layout.layers if each.lookup]
    lookups += [each.remainder_lookup for each in layout.layers if each.remainder_lookup]
    leaves = apart([*lookups, *(each.entries for each in layout.tables)])
    assert leaves <= 1 << layout.leaf_bits
    weights, reach = weight_segments(model[0])
    assert apart([each for pair in weights for each in pair]) == reach
    assert 1 << layout.batch_bits >= count > (1 << layout.batch_bits) // 2
    assert layout.inputs + (1 << layout.layers[-1].place_bits + layout.layers[-1].output_bits) <= 1 << layout.block_bits
    assert 1 << layout.block_bits >= layout.line


@given(models())
def test_tables(model: tuple[Graph, bytes, list[list[int]]]) -> None:
    """A table holds all that its layers' bounds allow, and zero; no two of its sums are one modulo p."""
    layout = plan(model[0], 1, Mode.SUCCINCT)

    for layer in layout.layers[:-1]:
        assert layer.table is not None
        table = layout.tables[layer.table]
        for value in (layer.low, 0, layer.high):
            assert table.start <= (layer.multiplier * value + layer.half) >> layer.shift <= table.quotient(10**9)
        span = ((table.last + 1) << layer.shift) - 1
        assert span < P
        assert table.values is not None
        assert len(table.values) == 1 << table.bits
        assert table.quotient(len(table.values)) == table.start + table.last
        assert (layer.range is None) == (layer.shift == 0)
        if layer.range is not None:
            ranged = layout.tables[layer.range]
            assert (ranged.values, ranged.start, ranged.last) == (None, 0, (1 << layer.shift) - 1)
    assert [table.tag for table in layout.tables] == list(range(1, len(layout.tables) + 1))


def test_one_table_for_one_shift() -> None:
    """The same function after another shift is another table, since a sum could have two quotients in one."""
    wide = Requant(0, 1, 16, -(2**29) + 2**15, 2**29 - 2**15, ROW)
    narrow = Requant(0, 1, 0, -(2**15), 2**15 - 1, ROW)

    layout = plan(Graph((1,), (wide, narrow, wide, Requant(0, 1, 16, -5, 5, Listed(0, (0,))))), 1, Mode.SUCCINCT)

    assert [layer.table for layer in layout.layers] == [0, 1, 0, 2, None]
    assert [table.values is None for table in layout.tables] == [False, False, False, True]


@given(st.integers(8, 13), st.sampled_from(Mode))
def test_queries(bits: int, mode: Mode) -> None:
    """The columns are as many as leave a cheat 2^-101 in both tests, and not one more."""
    line = 1 << bits
    count = queries(line, mode)

    def left(of: int) -> float:
        tail = of if mode is Mode.HIDING else 0
        return max(of * log2((5 * line + tail) / (8 * line)), of * log2((2 * line + tail) / (4 * line)))

    assert left(count) <= -101 + 1e-6
    assert left(count - 1) > -101 - 1e-6
    assert count < line


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", ["plain", "residual", "pool"])
def test_length(name: str, mode: Mode) -> None:
    """A true proof is not longer than the plan says, and not much shorter: only paths that meet are spared."""
    layout = plan(MODELS[name], 1, mode)
    made = proven(name, mode)

    assert 0.3 * layout.proof_bytes_max < len(made.proof) <= layout.proof_bytes_max


def test_line() -> None:
    """A line is long enough for the model's weights, and at least 256."""
    small, large = Graph((2**12,), (Gemm(0, 2),)), Graph((2**12,), (Gemm(0, 5),))

    assert line_of(PLAIN) == LINE_MIN
    assert line_of(small) == 2**8
    assert line_of(large) == 2**9
    assert plan(large, 1, Mode.SUCCINCT).codeword == 2**11


@pytest.mark.parametrize("count", [0, -1, COUNT_MAX + 1])
def test_count(count: int) -> None:
    """A plan is for 1 to 1024 requests."""
    with pytest.raises(Malformed) as caught:
        plan(PLAIN, count, Mode.SUCCINCT)
    assert caught.value.code == "zk.count"


def test_largest_batch() -> None:
    """A batch that fits is taken; a larger one of the same model is refused, before anything of its size is made."""
    graph = Graph((2**11,), (Requant(0, 1, 0, -128, 127, ROW),))

    assert plan(graph, 512, Mode.SUCCINCT).leaf_bits == LEAF_BITS_MAX
    with pytest.raises(Malformed) as caught:
        plan(graph, 1024, Mode.SUCCINCT)
    assert caught.value.code == "zk.size"


def test_dense_groups() -> None:
    """A convolution in groups whose dense form is beyond the limit is refused, by its plan and by its commitment."""
    graph = Graph((4096, 1, 1), (Conv(0, 4096, (2, 2), (1, 1), (1, 1, 0, 0), 4096),))

    for asked in (lambda: plan(graph, 1, Mode.SUCCINCT), lambda: weight_root(graph, bytes(graph.weights_size))):
        with pytest.raises(Malformed) as caught:
            asked()
        assert caught.value.code == "zk.size"
    fewer = Graph((1024, 1, 1), (Conv(0, 1024, (2, 2), (1, 1), (1, 1, 0, 0), 1024),))
    assert fewer.weights_size == 1024 * 8
    assert weight_segments(fewer)[1] == 2**22 + 2**10 < 2**WEIGHT_BITS_MAX


def test_cost() -> None:
    """What takes more work to verify costs more: a larger model, more requests, and mode 2."""
    small, large = plan(DENSE, 1, Mode.SUCCINCT).cost, plan(SPATIAL, 1, Mode.SUCCINCT).cost

    assert 0 < small < large
    assert plan(DENSE, 1024, Mode.SUCCINCT).cost > small
    assert plan(DENSE, 1, Mode.HIDING).cost > small
    pool = plan(Graph((64, 64, 64), (Requant(0, 1, 0, -128, 127, ROW),)), 1, Mode.SUCCINCT)
    assert pool.cost > 2 * 64**3


def test_no_tables() -> None:
    """A model without a table has a tree of two empty leaves."""
    layout = plan(Graph((2,), (Gemm(0, 1),)), 1, Mode.SUCCINCT)

    assert (layout.tables, layout.leaf_bits) == ((), 1)


def test_products() -> None:
    """Mode 2 has three products for each level, and its pads lie in rows of their own."""
    hiding, succinct = plan(PLAIN, 1, Mode.HIDING), plan(PLAIN, 1, Mode.SUCCINCT)

    assert hiding.products == 3 * hiding.leaf_bits
    assert hiding.pads == hiding.messages + 3 * hiding.products
    assert hiding.witness_rows == hiding.vector_rows + 4 * hiding.pad_groups + 12
    assert (succinct.products, succinct.pads, succinct.witness_rows) == (0, 0, succinct.vector_rows)
    assert hiding.tail == hiding.queries
    assert (succinct.tail, succinct.degree, succinct.test_degree) == (0, 256, 512)
