"""An exact model made ready to be proven: its weights committed, and its matrices as arrays.

Made once for a model; every proof of it starts here.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.encode import Committed, committed, encoded
from paraph.adapters.provers.gathers import Gathers, gathers
from paraph.adapters.provers.kernels import Words, montgomery, reduced
from paraph.core.ident import Digest
from paraph.proofs.zk.graph import Graph, split_weights
from paraph.proofs.zk.plan import Layer, line_of, plan, weight_segments
from paraph.proofs.zk.statement import Mode

Integers: TypeAlias = NDArray[np.int64]
SINGLE_MAX = 2**24
"""Integers below this are exact in single precision, in whatever order they are added."""
NARROW = 128
"""How far what a matrix is multiplied with can be from 0."""


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """The matrix of a layer.

    Args:
        matrix: (outputs, inputs), in the narrowest floating point that is exact for its sums; empty without one.
        bias: one of each output.
    """

    matrix: NDArray[np.floating[Any]]
    bias: Integers


@dataclass(frozen=True, slots=True)
class CommittedWeights:
    """A model whose weights are committed.

    Args:
        graph: the model's.
        lines: (rows, ℓ): the weight vector, plain.
        vector: the same as one, in Montgomery form.
        committed: its codewords and their tree.
        layers: the matrix of each layer.
        gathers: what each layer gathers, and the tables.
    """

    graph: Graph
    lines: Words
    vector: Words
    committed: Committed
    layers: tuple[LayerWeights, ...]
    gathers: Gathers

    @property
    def root(self) -> Digest:
        """The weight root."""
        return self.committed.root


def commit_weights(graph: Graph, weights: bytes) -> CommittedWeights:
    """Commit to a model's weights.

    Args:
        graph: the model's.
        weights: its file of weights.

    Raises:
        Malformed: `graph.weights`: the file's length, or a bias beyond its limit; `zk.size`: the model is too large.
    """
    values = _vector(graph, weights)
    line = line_of(graph)
    lines = reduced(values).reshape(-1, line)
    return CommittedWeights(
        graph=graph,
        lines=lines,
        vector=montgomery(values),
        committed=committed(encoded(lines, np.empty((len(lines), 0), np.uint32))),
        layers=tuple(_weights(layer, values) for layer in plan(graph, 1, Mode.SUCCINCT).layers),
        gathers=gathers(graph),
    )


def _vector(graph: Graph, data: bytes) -> Integers:
    """The weight vector, padded to whole rows."""
    segments, reach = weight_segments(graph)
    line = line_of(graph)
    found = np.zeros(-(-max(reach, 1) // line) * line, np.int64)
    blocks = zip(graph.blocks, split_weights(graph, data), segments, strict=True)
    for block, (weights, biases), (matrix, bias) in blocks:
        rows = np.frombuffer(weights, np.int8).reshape(block.outputs, block.inputs)
        width = 1 << matrix.bits - bias.bits
        # A grouped convolution is written as the dense one: each group's rows start at its own inputs.
        groups = getattr(graph.nodes[block.node], "groups", 1)
        for output, row in enumerate(rows):
            start = matrix.offset + output * width + output // (block.outputs // groups) * block.inputs
            found[start : start + block.inputs] = row
        found[bias.offset : bias.offset + block.outputs] = np.frombuffer(biases, "<i4")
    return found


def _weights(layer: Layer, vector: Integers) -> LayerWeights:
    matrix = layer.matrix
    if matrix is None:
        return LayerWeights(np.empty((0, 0), np.float32), np.empty(0, np.int64))
    bias = vector[matrix.bias.offset : matrix.bias.offset + layer.outputs]
    end = matrix.weights.offset + (1 << matrix.weights.bits)
    rows = vector[matrix.weights.offset : end].reshape(-1, 1 << matrix.bits)[: layer.outputs, : matrix.inputs]
    reach = int(np.abs(rows).sum(axis=1).max()) * NARROW
    return LayerWeights(rows.astype(np.float32 if reach < SINGLE_MAX else np.float64), bias)
