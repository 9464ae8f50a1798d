"""What a model's layers gather and what its tables hold, as arrays; made once for a model.

None of it depends on how many requests there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.elements import Indices
from paraph.adapters.provers.kernels import Words, montgomery
from paraph.core.errors import must
from paraph.proofs.zk.graph import Graph
from paraph.proofs.zk.layers import NOTHING, Part
from paraph.proofs.zk.plan import PLANS_KEPT, Layer, Plan, TablePlan, plan
from paraph.proofs.zk.statement import Mode


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a sum.

    Args:
        source: 0 for a request's block, l + 1 for what layer l commits.
        scale: the integer that it is multiplied with.
        index: (places, width): the element's number within the source's piece; the piece's size for nothing.
    """

    source: int
    scale: int
    index: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Entries:
    """A table.

    Args:
        values: what it gives, entry by entry; empty for a range.
        quotients: what it is asked for, in Montgomery form.
        elements: what it gives, likewise.
    """

    values: Indices
    quotients: Words
    elements: Words


@dataclass(frozen=True, slots=True)
class Gathers:
    """A model's arrays.

    Args:
        direct: of each layer, terms beside its matrix, (places, outputs).
        parts: of each layer, what its matrix is multiplied with, (places, inputs).
        tables: of each table, its entries.
    """

    direct: tuple[tuple[Term, ...], ...]
    parts: tuple[tuple[Term, ...], ...]
    tables: tuple[Entries, ...]


@lru_cache(PLANS_KEPT)
def gathers(graph: Graph) -> Gathers:
    """A model's arrays. Raises `Malformed` (`zk.size`)."""
    layout = plan(graph, 1, Mode.SUCCINCT)
    return Gathers(
        tuple(_terms(layout, layer, layer.outputs, layer.direct) for layer in layout.layers),
        tuple(
            () if layer.matrix is None else _terms(layout, layer, layer.matrix.inputs, layer.matrix.parts)
            for layer in layout.layers
        ),
        tuple(map(_entries, layout.tables)),
    )


def piece_size(layout: Plan, source: int) -> int:
    """Elements of one request's piece of a source."""
    if source == 0:
        return 1 << layout.block_bits
    layer = layout.layers[source - 1]
    return 1 << layer.place_bits + layer.output_bits


def _terms(layout: Plan, layer: Layer, width: int, parts: Sequence[Part]) -> tuple[Term, ...]:
    found = []
    for part in parts:
        index = np.array(part.index, np.int64).reshape(layer.places, width)
        size = piece_size(layout, part.source)
        must(bool(index.max() < size), "an index lies within its piece")
        filled = np.where(index == NOTHING, size, index).astype(np.uint32)
        found.append(Term(part.source, part.scale, filled))
    return tuple(found)


def _entries(table: TablePlan) -> Entries:
    values = np.array(table.values or (), np.int64)
    quotients = table.start + np.minimum(np.arange(1 << table.bits), table.last)
    return Entries(values, montgomery(quotients), montgomery(values))
