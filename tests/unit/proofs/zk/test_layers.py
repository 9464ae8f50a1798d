"""Layers: what they say a model gives is what its operations give, and no graph makes them grow beyond their limits."""

import time
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from tests.support.zk import Lies, outputs_of, run
from tests.unit.proofs.zk.random_models import evaluate, models

from paraph.core.errors import Malformed
from paraph.proofs.zk import layers
from paraph.proofs.zk.graph import (
    Add,
    Clip,
    Concat,
    Conv,
    Graph,
    MaxPool,
    Requant,
    Transpose,
)
from paraph.proofs.zk.graph_json import graph_from_bytes
from paraph.proofs.zk.layers import LAYERS_MAX, NOTHING, PARTS_MAX, TERMS_MAX, sums
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import Mode
from paraph.proofs.zk.weights import weight_vector


@given(models())
def test_same_as_the_operations(model: tuple[Graph, bytes, list[list[int]]]) -> None:
    """A model run by its layers gives what it gives node by node, and reads back from its bytes."""
    graph, file, inputs = model

    layout = plan(graph, 1, Mode.SUCCINCT)
    weights = weight_vector(graph, file)

    for each in inputs:
        assert outputs_of(layout, run(layout, weights, each, 0, Lies()).output) == evaluate(graph, file, each)
    assert graph_from_bytes(graph.bytes) == graph


def test_maximum_of_three() -> None:
    """A maximum of three takes two layers: of the first two, then with the odd one out."""
    graph = Graph((1, 1, 3), (MaxPool(0, (1, 3), (1, 1)),))

    first, second, output = sums(graph)

    assert [part.scale for part in first.direct] == [1, -1]
    assert [(part.source, part.scale) for part in second.direct] == [(0, 1), (1, 1), (0, -1)]
    assert [(part.source, part.index) for part in output.direct] == [(0, (2,)), (2, (0,))]
    assert (first.low, first.high, first.table) == (-255, 255, Clip(0, 255))
    assert output.table is None


def test_edge() -> None:
    """What is beyond the edge is nothing."""
    graph = Graph((1, 1, 1), (Conv(0, 1, (1, 2), (1, 1), (0, 1, 0, 0), 1),))

    product = sums(graph)[0].product

    assert product is not None
    assert product.parts[0].index == (NOTHING, 0)


# --- absurd work -----------------------------------------------------------------------------------------------------

SMALL: Final = Clip(0, 127)


def requant(of: int) -> Requant:
    return Requant(of, 1, 8, -(2**15), 2**15, SMALL)


ABSURD: Final[dict[str, Callable[[], Graph]]] = {
    "a convolution over all": lambda: Graph(
        (1, 1024, 1024), (Conv(0, 1, (16, 16), (1, 1), (0, 0, 0, 0), 1), requant(1))
    ),
    "wide margins": lambda: Graph((1, 1, 1), (Conv(0, 1, (64, 64), (1, 1), (63, 63, 63, 63), 1), requant(1))),
    "one tensor many times": lambda: Graph((64, 16, 16), (Concat((0,) * 64, 0), requant(1))),
    "concatenations of concatenations": lambda: Graph(
        (1024,), (Concat((0,) * 8, 0), Concat((1,) * 8, 0), Concat((2,) * 8, 0), requant(3))
    ),
    "sums of sums": lambda: Graph((1,), (*(Add((each, each), (1, -1)) for each in range(17)), requant(17))),
    "sums that nobody reads": lambda: Graph(
        (1,), (*(Add((each, each), (1, -1)) for each in range(10)), *(Add((10, 10), (1, -1)) for _ in range(400)))
    ),
    "moves of everything": lambda: Graph((2, 512, 1024), tuple(Transpose(each, (1, 2, 0)) for each in range(400))),
    "maxima of maxima": lambda: Graph((1, 64, 64), (*(MaxPool(0, (64, 64), (1, 1)) for _ in range(500)), requant(500))),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd(name: str) -> None:
    """A graph that asks for absurd work is refused before the work is done."""
    graph = ABSURD[name]()
    start = time.process_time()

    with pytest.raises(Malformed) as caught:
        plan(graph, 1, Mode.SUCCINCT)
    assert caught.value.code == "zk.size"
    assert time.process_time() - start < 10


def test_limits() -> None:
    """The limits are what a full node can bear: two million terms, each walked through once."""
    assert (TERMS_MAX, PARTS_MAX, LAYERS_MAX) == (2**21, 2**16, 4096)


def test_largest_maximum() -> None:
    """A maximum over the largest window is within the limits."""
    assert len(sums(Graph((1, 64, 64), (MaxPool(0, (64, 64), (1, 1)),)))) == LAYERS_MAX


@pytest.mark.parametrize("limit", ["TERMS_MAX", "PARTS_MAX", "LAYERS_MAX"])
def test_one_past_each_limit(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a limit a graph is taken, one past it it is refused."""
    graph = Graph((1, 1, 2), (MaxPool(0, (1, 2), (1, 1)), Add((1, 1), (1, 1)), requant(2)))
    uses = {"TERMS_MAX": 9, "PARTS_MAX": 4, "LAYERS_MAX": 3}[limit]

    monkeypatch.setattr(layers, limit, uses)
    assert len(sums(graph)) == 3
    monkeypatch.setattr(layers, limit, uses - 1)
    with pytest.raises(Malformed) as caught:
        sums(graph)
    assert caught.value.code == "zk.size"
