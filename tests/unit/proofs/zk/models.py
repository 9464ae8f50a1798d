"""Models small enough to be proven in a moment, and true proofs of them."""

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Final

from tests.support.zk import Made, make

from paraph.core.errors import Malformed, Unverified
from paraph.proofs.zk.graph import Add, Clip, Concat, Conv, Gemm, Graph, Listed, MaxPool, Requant, SumPool
from paraph.proofs.zk.statement import Mode, Statement
from paraph.proofs.zk.verify import verify

PLAIN: Final = Graph((2,), (Requant(0, 1, 1, -128, 127, Clip(-8, 7)),))
"""One table and no matrix."""
TWO: Final = Graph(
    (2,), (Requant(0, 1, 0, -128, 127, Clip(-8, 7)), Requant(0, 1, 0, -128, 127, Clip(0, 127)), Add((1, 2), (1, 1)))
)
"""Two tables asked for the same values."""
DENSE: Final = Graph((3,), (Gemm(0, 4), Requant(1, 1, 6, -50_000, 50_000, Clip(0, 127)), Gemm(2, 3)))
RESIDUAL: Final = Graph(
    (2,),
    (
        Requant(0, 3, 2, -128, 127, Clip(-20, 20)),
        Gemm(1, 2),
        Add((2, 1), (1, -5)),
        Requant(3, 1, 8, -8000, 8000, Clip(-9, 9)),
    ),
)
"""A matrix with a term beside it: every kind of message."""
SPATIAL: Final = Graph(
    (1, 4, 4),
    (
        Conv(0, 2, (2, 2), (1, 1), (0, 0, 1, 1), 1),
        Requant(1, 1, 5, -65_586, 65_586, Clip(-128, 127)),
        MaxPool(2, (2, 2), (2, 2)),
        SumPool(2, (2, 2), (2, 2), (0, 0, 0, 0)),
        Requant(4, 3, 4, -512, 512, Listed(-8, (0, 1, 2, 5, 11, 20, 34, 49, 64, 78, 93, 107, 116, 122, 125, 126, 127))),
        Concat((3, 5), 0),
        Gemm(6, 3),
    ),
)
"""A convolution, both pools, a listed table."""
POOL: Final = Graph((1, 1, 2), (MaxPool(0, (1, 2), (1, 1)),))
"""A maximum of two."""

MODELS: Final = {
    "plain": PLAIN,
    "two": TWO,
    "dense": DENSE,
    "residual": RESIDUAL,
    "spatial": SPATIAL,
    "pool": POOL,
}


def weights_of(graph: Graph) -> bytes:
    """A file of weights that follow from their place."""
    parts = []
    for block in graph.blocks:
        parts.append(bytes(37 * (block.node + 1) * (at + 3) % 251 for at in range(block.outputs * block.inputs)))
        parts += [(11 * at - 20).to_bytes(4, "little", signed=True) for at in range(block.outputs)]
    return b"".join(parts)


def inputs_of(graph: Graph, count: int) -> list[list[int]]:
    """Inputs that follow from their place."""
    return [[(53 * (b + 1) * (at + 1) % 255) - 127 for at in range(prod(graph.input))] for b in range(count)]


@cache
def proven(name: str, mode: Mode = Mode.SUCCINCT, count: int = 1) -> Made:
    """A true proof."""
    graph = MODELS[name]
    return make(graph, weights_of(graph), inputs_of(graph, count), mode)


def refusal(statement: Statement, proof: bytes) -> str | None:
    """The code that a proof is refused with; None when it holds."""
    try:
        verify(statement, proof)
    except (Malformed, Unverified) as error:
        return error.code
    return None


def inputs_bytes(values: Sequence[int]) -> bytes:
    """As a request's commitment has them."""
    return b"".join(each.to_bytes(1, "little", signed=True) for each in values)


def outputs_bytes(values: Sequence[int]) -> bytes:
    """As a request's commitment has them."""
    return b"".join(each.to_bytes(4, "little", signed=True) for each in values)
