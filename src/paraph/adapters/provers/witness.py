"""A model's run for a batch, with all that a proof commits of it.

That is what tables give, remainders, and how often each entry was asked for. Integers throughout; products of matrices
go through floating point where that is exact. Specified in docs/spec/zk.md, section 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.gathers import Term
from paraph.adapters.provers.weights import CommittedWeights, Integers
from paraph.core.errors import Malformed, Rejected
from paraph.proofs.zk.plan import Layer, Plan, Segment

GATHERED_MAX = 2**21
"""Values that are gathered at once: a larger batch is run in pieces."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What a prover commits. Its arrays may be changed before a proof is made of it, as a liar would.

    Args:
        blocks: (batch, block): inputs, and outputs at the end.
        values: of each layer with a table, (batch, places and outputs): what the table gives.
        remainders: likewise; None without a shift.
        quotients: likewise: what the table was asked for.
        multiplicities: of each table: how often each entry was asked for.
    """

    blocks: Integers
    values: list[Integers]
    remainders: list[Integers | None]
    quotients: list[Integers]
    multiplicities: list[Integers]

    def vector(self, layout: Plan) -> Integers:
        """The witness vector, as far as its rows reach."""
        found = np.zeros(layout.vector_rows * layout.line, np.int64)
        _put(found, layout.blocks, self.blocks)
        for layer, values, remainders in zip(layout.layers[:-1], self.values, self.remainders, strict=True):
            _put(found, layer.values, values)
            if remainders is not None:
                _put(found, layer.remainders, remainders)
        for table, counts in zip(layout.tables, self.multiplicities, strict=True):
            _put(found, table.multiplicities, counts)
        return found

    def outputs(self, layout: Plan) -> NDArray[np.int32]:
        """The requests' outputs, (count, outputs), in the order channels, rows, columns."""
        last = layout.layers[-1]
        rows = self.blocks[: layout.count, layout.output_offset :].reshape(layout.count, -1, 1 << last.output_bits)
        return rows[:, : last.places, : last.outputs].transpose(0, 2, 1).reshape(layout.count, -1).astype(np.int32)


def run(layout: Plan, weights: CommittedWeights, inputs: NDArray[np.int8]) -> Witness:
    """Run the model.

    Args:
        layout: of the proof.
        weights: the model's.
        inputs: (count, n): int8, in the order channels, rows, columns.

    Raises:
        Malformed: `zk.input`: another type or shape. Rejected: `zk.bounds`: a value that the model's author said
            cannot be.
    """
    if inputs.dtype != np.int8 or inputs.shape != (layout.count, layout.inputs):
        wanted = (layout.count, layout.inputs)
        raise Malformed("zk.input", f"the inputs are int8 of shape {wanted}, not {inputs.dtype} of {inputs.shape}")
    batch = 1 << layout.batch_bits
    # Each piece has a zero at its end, which is what an index of nothing finds.
    block = np.zeros((batch, (1 << layout.block_bits) + 1), np.int32)
    block[: layout.count, : layout.inputs] = inputs
    pieces = [block]
    values: list[Integers] = []
    remainders: list[Integers | None] = []
    quotients: list[Integers] = []
    counts = [np.zeros(1 << table.bits, np.int64) for table in layout.tables]
    for number, layer in enumerate(layout.layers):
        sums = _sums(layout, number, weights, pieces)
        if layer.table is None:
            block[:, layout.output_offset : -1] = _padded(layer, sums, 0)
            break
        least, greatest = int(sums.min()), int(sums.max())
        if least < layer.low or greatest > layer.high:
            raise Rejected(
                "zk.bounds",
                f"layer {number} is declared for {layer.low} to {layer.high}, and an input makes {least} to {greatest}",
            )
        table, start = weights.gathers.tables[layer.table].values, layout.tables[layer.table].start
        wide = layer.multiplier * sums + layer.half
        asked = wide >> layer.shift
        counts[layer.table] += np.bincount((asked - start).ravel(), minlength=len(counts[layer.table]))
        quotients.append(_padded(layer, asked, 0))
        values.append(_padded(layer, table[asked - start], int(table[-start])))
        if layer.range is None:
            remainders.append(None)
        else:
            rest = wide - (asked << layer.shift)
            counts[layer.range] += np.bincount(rest.ravel(), minlength=len(counts[layer.range]))
            remainders.append(_padded(layer, rest, layer.half))
        pieces.append(np.pad(values[-1], ((0, 0), (0, 1))).astype(np.int32))
    return Witness(block[:, :-1].astype(np.int64), values, remainders, quotients, counts)


def _sums(layout: Plan, number: int, weights: CommittedWeights, pieces: Sequence[NDArray[np.int32]]) -> Integers:
    """(batch, places, outputs)."""
    layer, own = layout.layers[number], weights.layers[number]
    batch = len(pieces[0])
    found = np.zeros((batch, layer.places, layer.outputs), np.int64)
    for term in weights.gathers.direct[number]:
        found += _gathered(term, pieces, slice(None))
    if layer.matrix is not None:
        found += own.bias
        step = max(1, GATHERED_MAX // (layer.places * layer.matrix.inputs))
        for at in range(0, batch, step):
            rows = slice(at, at + step)
            narrow = sum(_gathered(term, pieces, rows) for term in weights.gathers.parts[number])
            floats = np.asarray(narrow, own.matrix.dtype)
            found[rows] += (floats @ own.matrix.T).astype(np.int64)
    return found


def _gathered(term: Term, pieces: Sequence[NDArray[np.int32]], rows: slice) -> NDArray[np.int32]:
    return np.take(pieces[term.source][rows], term.index, axis=1) * np.int32(term.scale)


def _padded(layer: Layer, values: Integers, filling: int) -> Integers:
    """With what stands where there is no place or no output."""
    found = np.full((len(values), 1 << layer.place_bits, 1 << layer.output_bits), filling, np.int64)
    found[:, : layer.places, : layer.outputs] = values
    return found.reshape(len(values), -1)


def _put(vector: Integers, segment: Segment | None, values: Integers) -> None:
    if segment is not None:
        vector[segment.offset : segment.offset + (1 << segment.bits)] = values.ravel()
