"""Checking a run of an exact model without running its matrices (Freivalds 1977).

Whoever holds the weights draws secret coins once and multiplies them into each matrix. A run that shows the sums of its
matrices is then checked with one product of a vector in place of each product of a matrix; all else is run again. The
coins must stay secret: who knows them can lie. Each lie is found but for 2^-80, however many runs are checked, as long
as nothing is told of a run that failed.
"""

import os
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.execute import (
    Exact,
    Integers,
    Weights,
    read_weights,
    rearrange,
    requantise,
    windows,
)
from paraph.core.errors import Malformed, Unverified
from paraph.proofs.zk.graph import Conv, Gemm, Graph, Requant

COINS: Final = 4
COIN_BITS: Final = 20
"""Four coins of 20 bits: 2^-80 in all. Sums that leave 64 bits wrap alike on both sides, and hide no difference."""


class SecretChecks:
    """Checks runs of one model.

    Args:
        graph: what is computed.
        weights: the file of weights.

    Raises:
        Malformed: `graph.weights`.
    """

    def __init__(self, graph: Graph, weights: bytes) -> None:
        self._graph = graph
        self._coins: dict[int, Integers] = {}
        self._mixed: dict[int, Integers] = {}
        self._biases: dict[int, Integers] = {}
        for node, each in read_weights(graph, weights).items():
            groups = _groups(graph, node)
            coins = _drawn(len(each.bias), COINS)
            self._coins[node] = coins
            self._mixed[node] = _mix(each, coins, groups)
            self._biases[node] = each.bias @ coins

    def need(self, inputs: NDArray[np.int8], sums: list[Integers], outputs: NDArray[np.int32]) -> None:
        """That this run is the model's.

        Args:
            inputs: int8 of shape (batch, n).
            sums: what each `Conv` and `Gemm` gave, in order, of shape (batch, channels, rows, columns).
            outputs: int32 of shape (batch, outputs).

        Raises:
            Malformed: `exact.sums`: not as many sums, or of another shape, than the model has.
            Unverified: `exact.sums`: a sum is not the model's, or the outputs do not follow from them.
        """
        graph = self._graph
        values = [inputs.reshape(len(inputs), *graph.shapes[0]).astype(np.int64)]
        given = iter(sums)
        if len(sums) != len(graph.blocks):
            raise Malformed("exact.sums", f"{len(sums)} sums; the model has {len(graph.blocks)} matrices")
        for number, node in enumerate(graph.nodes):
            if isinstance(node, Conv | Gemm):
                said = next(given)
                if said.shape != (len(inputs), *graph.shapes[number + 1]):
                    raise Malformed("exact.sums", f"the sums of node {number} have the shape {said.shape}")
                self._need_sums(number, node, values[node.of], said)
                values.append(said.astype(np.int64))
            elif isinstance(node, Requant):
                values.append(requantise(values[node.of], node))
            else:
                values.append(rearrange(node, values))
        if not np.array_equal(values[-1].reshape(len(inputs), -1), outputs):
            raise Unverified((("exact.sums", "the outputs do not follow from the sums"),))

    def _need_sums(self, number: int, node: Conv | Gemm, of: Integers, said: Integers) -> None:
        # Sums are int32: two of them, each times a coin, then differ by less than 64 bits can hold.
        within = said.size == 0 or (int(said.min()) >= -(2**31) and int(said.max()) < 2**31)
        claimed = np.einsum("bopq,ot->btpq", said.astype(np.int64), self._coins[number], optimize=True)
        if isinstance(node, Conv):
            views = windows(of, node.kernel, node.stride, node.pad)
            batch, channels, rows, columns = views.shape[:4]
            flat = views.transpose(0, 2, 3, 1, 4, 5).reshape(batch, rows, columns, channels * prod(node.kernel))
            found = np.einsum("bpqk,kt->btpq", flat, self._mixed[number], optimize=True)
        else:
            found = (of.reshape(len(of), -1) @ self._mixed[number])[:, :, None, None]
        found = found + self._biases[number][None, :, None, None]
        if not within or not np.array_equal(claimed, found):
            raise Unverified((("exact.sums", f"the sums of node {number} are not those of the model"),))


def shown(model: Exact, inputs: NDArray[np.int8]) -> tuple[list[Integers], NDArray[np.int32]]:
    """What a node shows for such a check: the sums of every matrix, and the outputs. Raises as `Exact.run` does."""
    values = model.trace(inputs)
    sums = [values[number + 1] for number, node in enumerate(model.graph.nodes) if isinstance(node, Conv | Gemm)]
    return sums, values[-1].reshape(len(inputs), -1).astype(np.int32)


def _drawn(rows: int, count: int) -> Integers:
    words = np.frombuffer(os.urandom(4 * rows * count), "<u4") >> (32 - COIN_BITS)
    return words.astype(np.int64).reshape(rows, count)


def _groups(graph: Graph, number: int) -> int:
    node = graph.nodes[number]
    return node.groups if isinstance(node, Conv) else 1


def _mix(weights: Weights, coins: Integers, groups: int) -> Integers:
    """The matrix's rows, each times its coins: inputs × coins. Of a grouped convolution, that of the dense one."""
    outputs = len(weights.bias) // groups
    parts = [
        weights.matrix[group * outputs : (group + 1) * outputs].T @ coins[group * outputs : (group + 1) * outputs]
        for group in range(groups)
    ]
    return np.concatenate(parts)
