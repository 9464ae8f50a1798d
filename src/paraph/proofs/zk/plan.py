"""Where everything lies in a proof, and how long it is.

All of it follows from the graph, the count of requests and the mode; nothing is ever read from a proof. Specified in
docs/spec/zk.md, sections 5 and 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Final

from paraph.core.errors import Malformed
from paraph.proofs.zk.field import ELEMENT_BYTES, EXTENSION_BYTES
from paraph.proofs.zk.graph import Graph, Table
from paraph.proofs.zk.layers import Part, Sum, sums
from paraph.proofs.zk.statement import COUNT_MAX, Mode

SECURITY_BITS: Final = 101
"""Of the opened columns: with what the field adds, the whole stays above 100 bits."""
RATE_BITS: Final = 2
"""A codeword is four times as long as a line of the matrix."""
LINE_MIN: Final = 256
LEAF_BITS_MAX: Final = 21
"""Lookups and table entries: the field's 123.6 bits less these, and one, stay above 101."""
WITNESS_BITS_MAX: Final = 22
WEIGHT_BITS_MAX: Final = 24
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
PRODUCTS_PER_LEVEL: Final = 3
"""p₀q₁, p₁q₀ and q₀q₁."""
MASK_ROWS: Final = 12
"""Three masks of four rows."""


PLANS_KEPT: Final = 8
"""One can take 60 MB."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a vector: 2^bits elements from `offset`, a multiple of that."""

    offset: int
    bits: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """The matrix of a layer.

    Args:
        block: its number in the file of weights.
        inputs: K.
        bits: those of κ.
        parts: what it is multiplied with, over p·K + κ.
        weights: its place in the weight vector, in the order o, κ.
        bias: that of its bias.
    """

    block: int
    inputs: int
    bits: int
    parts: tuple[Part, ...]
    weights: Segment
    bias: Segment


@dataclass(frozen=True, slots=True)
class Layer:
    """A sum and its table.

    Args:
        places: P.
        outputs: O.
        place_bits: π.
        output_bits: ω.
        matrix: the matrix, if there is one.
        direct: terms beside it, over p·O + o.
        low: what the sum is at least, as its author says.
        high: and at most.
        multiplier: M.
        shift: s.
        table: which of the tables; None for the output, with all that follows.
        range: which of the tables holds the remainders; None without a shift.
        values: outputs of the table, in the witness vector.
        remainders: there too.
        lookup: the leaves of (q, a).
        remainder_lookup: the leaves of rem.
    """

    places: int
    outputs: int
    place_bits: int
    output_bits: int
    matrix: Matrix | None
    direct: tuple[Part, ...]
    low: int
    high: int
    multiplier: int
    shift: int
    table: int | None
    range: int | None
    values: Segment | None
    remainders: Segment | None
    lookup: Segment | None
    remainder_lookup: Segment | None

    @property
    def half(self) -> int:
        """What is added before the shift."""
        return 1 << self.shift >> 1


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A table.

    Args:
        tag: its number, from 1.
        start: the q of its first entry.
        bits: τ.
        values: entry by entry, padded; None for a range, which holds 0, 1, …
        multiplicities: their place in the witness vector.
        entries: the leaves.
    """

    tag: int
    start: int
    bits: int
    values: tuple[int, ...] | None
    last: int
    multiplicities: Segment
    entries: Segment

    def quotient(self, index: int) -> int:
        """The q of an entry; padding repeats the last."""
        return self.start + min(index, self.last)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole layout; Greek letters are those of the specification.

    Args:
        mode: of the proof.
        count: requests, n.
        batch_bits: β.
        inputs: of one request.
        outputs: of one request.
        blocks: the requests' blocks, in the witness vector.
        block_bits: χ.
        output_offset: where a block's output begins.
        layers: the last is the output's.
        tables: functions, then ranges.
        witness_bits: ν.
        leaf_bits: of the lookup tree.
        weight_rows: of their matrix: as far as segments reach.
        vector_rows: of the witness vector, likewise.
        line: ℓ.
        tail: T.
        queries: Q.
        messages: padded ones in mode 2.
    """

    mode: Mode
    count: int
    batch_bits: int
    inputs: int
    outputs: int
    blocks: Segment
    block_bits: int
    output_offset: int
    layers: tuple[Layer, ...]
    tables: tuple[TablePlan, ...]
    witness_bits: int
    leaf_bits: int
    weight_rows: int
    vector_rows: int
    line: int
    tail: int
    queries: int
    messages: int

    @property
    def codeword(self) -> int:
        """N."""
        return self.line << RATE_BITS

    @property
    def degree(self) -> int:
        """k: coefficients of a row's polynomial."""
        return self.line + self.tail

    @property
    def test_degree(self) -> int:
        """Δ: coefficients of the linear test's polynomial."""
        return 2 * self.line + self.tail

    @property
    def products(self) -> int:
        """Products of padded messages; none in mode 1."""
        return PRODUCTS_PER_LEVEL * self.leaf_bits if self.mode is Mode.HIDING else 0

    @property
    def pads(self) -> int:
        """Elements that mode 2 commits beside the witness vector."""
        return self.messages + 3 * self.products if self.mode is Mode.HIDING else 0

    @property
    def pad_groups(self) -> int:
        """Groups of four rows that hold the pads."""
        return -(-self.pads // self.line)

    @property
    def witness_rows(self) -> int:
        """Rows of the witness's matrix."""
        return self.vector_rows + (4 * self.pad_groups + MASK_ROWS if self.mode is Mode.HIDING else 0)

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """In the order of the layers."""
        return tuple(layer.matrix for layer in self.layers if layer.matrix is not None)

    @property
    def proof_bytes_max(self) -> int:
        """The longest that a proof can be, in bytes."""
        hiding = self.mode is Mode.HIDING
        elements = self.messages + 2 * len(self.matrices) + (self.products + 1 if hiding else 0)
        elements += self.degree + self.test_degree
        column = ELEMENT_BYTES * (self.weight_rows + self.witness_rows) + (SALT_BYTES if hiding else 0)
        path = 2 * HASH_BYTES * (self.codeword.bit_length() - 1)
        return (2 if hiding else 1) * HASH_BYTES + EXTENSION_BYTES * elements + self.queries * (column + path)

    @property
    def cost(self) -> int:
        """Work of verifying, in multiplications of extension elements, roughly."""
        walked = sum(len(part.index) for layer in self.layers for part in _parts(layer))
        # The factors of a source's elements at the last point are made once for each size.
        pieces = sorted({self._piece_bits(part.source) for layer in self.layers for part in _parts(layer)})
        walked += sum(1 << bits for bits in pieces) + 16 * self.witness_bits * len(self.layers)
        entries = sum(1 << table.bits for table in self.tables)
        columns = self.queries * (self.weight_rows + self.witness_rows)
        return walked + entries + columns + 16 * self.codeword * (3 + 2 * len(self.matrices) + self.pad_groups)

    def _piece_bits(self, source: int) -> int:
        """Of one request's values of a source."""
        if source == 0:
            return self.block_bits
        layer = self.layers[source - 1]
        return layer.place_bits + layer.output_bits


@lru_cache(PLANS_KEPT)
def plan(graph: Graph, count: int, mode: Mode) -> Plan:
    """The layout of a proof about so many requests.

    Raises:
        Malformed: `zk.count`; `zk.size` for a model, or a batch, beyond the limits.
    """
    if not 0 < count <= COUNT_MAX:
        raise Malformed("zk.count", f"a proof is about 1 to {COUNT_MAX} requests, not {count}")
    return _Planning(graph, count, mode).plan()


@lru_cache(PLANS_KEPT)
def _sums(graph: Graph) -> tuple[Sum, ...]:
    return sums(graph)


def line_of(graph: Graph) -> int:
    """ℓ of a model. Raises `Malformed` (`zk.size`) for more weights than may be."""
    return _line(_weight_places(graph)[1])


def weight_segments(graph: Graph) -> tuple[tuple[tuple[Segment, Segment], ...], int]:
    """The places of each matrix and its bias in the weight vector, and how far they reach, in elements.

    Raises:
        Malformed: `zk.size`: a grouped convolution, written as the dense one, can have far more weights than its file.
    """
    found, reach = _weight_places(graph)
    return tuple(zip(found[::2], found[1::2], strict=True)), reach


def dense_inputs(graph: Graph, block: int) -> int:
    """K of a matrix: a grouped convolution is written as the dense one."""
    found = graph.blocks[block]
    node = graph.nodes[found.node]
    return found.inputs * getattr(node, "groups", 1)


def _weight_places(graph: Graph) -> tuple[list[Segment], int]:
    sizes: list[int] = []
    for number, block in enumerate(graph.blocks):
        outputs = _bits(block.outputs)
        sizes += [outputs + _bits(dense_inputs(graph, number)), outputs]
    places, reach = _placed(sizes)
    if reach > 1 << WEIGHT_BITS_MAX:
        raise Malformed("zk.size", f"the weights take {reach} places; at most 2^{WEIGHT_BITS_MAX}")
    return places, reach


def _line(reach: int) -> int:
    line = LINE_MIN
    while line * line < 4 * reach:
        line *= 2
    return line


def _bits(count: int) -> int:
    return (count - 1).bit_length()


def _placed(sizes: Sequence[int]) -> tuple[list[Segment], int]:
    """Segments of these bits one after the other, larger ones first; and how far they reach."""
    offsets, at = [0] * len(sizes), 0
    for number in sorted(range(len(sizes)), key=lambda each: -sizes[each]):
        offsets[number] = at
        at += 1 << sizes[number]
    return [Segment(offset, bits) for offset, bits in zip(offsets, sizes, strict=True)], at


def _parts(layer: Layer) -> tuple[Part, ...]:
    return layer.direct + (layer.matrix.parts if layer.matrix is not None else ())


def queries(line: int, mode: Mode) -> int:
    """Q: the least number of columns that leaves a cheat 2^-101."""
    codeword, found = line << RATE_BITS, 1
    while True:
        tail = found if mode is Mode.HIDING else 0
        near, far = codeword + line + tail, 2 * line + tail
        if near**found << SECURITY_BITS <= (2 * codeword) ** found and far**found << SECURITY_BITS <= codeword**found:
            return found
        found += 1


class _Planning:
    def __init__(self, graph: Graph, count: int, mode: Mode) -> None:
        self._graph, self._count, self._mode = graph, count, mode
        self._batch_bits = _bits(count)
        self._sums = _sums(graph)
        self._line = line_of(graph)
        # Of one shift: so 2^s·q + rem stays below p in all of a table, and no sum has two quotients.
        self._functions: dict[tuple[Table, int], tuple[int, int]] = {}
        for each in self._sums:
            if each.table is not None:
                ends = [(each.multiplier * v + (1 << each.shift >> 1)) >> each.shift for v in (each.low, each.high)]
                name = each.table, each.shift
                low, high = self._functions.get(name, (0, 0))
                self._functions[name] = min(low, ends[0]), max(high, ends[1])
        self._ranges = sorted({each.shift for each in self._sums if each.table is not None and each.shift})

    def plan(self) -> Plan:
        """All of it."""
        last = self._sums[-1]
        piece = [_bits(each.places) + _bits(each.outputs) for each in self._sums]
        inputs = prod(self._graph.shapes[0])
        block_bits = max(_bits(inputs + (1 << piece[-1])), _bits(self._line))
        tables = [_bits(high - low + 1) for low, high in self._functions.values()] + self._ranges
        lookups = [
            self._batch_bits + bits
            for each, bits in zip(self._sums[:-1], piece, strict=False)
            for _ in range(2 if each.shift else 1)
        ]
        witness, reach = _placed([self._batch_bits + block_bits, *lookups, *tables])
        leaves, leaf_count = _placed([*lookups, *tables])
        segments, weight_reach = weight_segments(self._graph)
        witness_bits, leaf_bits = _bits(reach), _bits(leaf_count)
        if leaf_bits > LEAF_BITS_MAX or witness_bits > WITNESS_BITS_MAX:
            sizes = f"2^{leaf_bits} lookups and 2^{witness_bits} committed values"
            raise Malformed(
                "zk.size",
                f"{self._count} requests take {sizes}; at most 2^{LEAF_BITS_MAX} and 2^{WITNESS_BITS_MAX}",
            )
        layers = self._layers(witness[1:], leaves, segments)
        most = queries(self._line, self._mode)
        messages = 2 * witness_bits + len(tables) + 2 + sum(2 * level + 4 for level in range(leaf_bits))
        for layer in layers:
            messages += 0 if layer.table is None else 3 if layer.shift else 2
            if layer.matrix is not None:
                messages += 2 * layer.matrix.bits + (1 if layer.direct else 0)
        return Plan(
            mode=self._mode,
            count=self._count,
            batch_bits=self._batch_bits,
            inputs=inputs,
            outputs=last.places * last.outputs,
            blocks=witness[0],
            block_bits=block_bits,
            output_offset=(1 << block_bits) - (1 << piece[-1]),
            layers=layers,
            tables=self._tables(witness[len(lookups) + 1 :], leaves[len(lookups) :]),
            witness_bits=witness_bits,
            leaf_bits=leaf_bits,
            weight_rows=-(-max(weight_reach, 1) // self._line),
            vector_rows=-(-reach // self._line),
            line=self._line,
            tail=most if self._mode is Mode.HIDING else 0,
            queries=most,
            messages=messages,
        )

    def _layers(
        self, witness: Sequence[Segment], leaves: Sequence[Segment], weights: Sequence[tuple[Segment, Segment]]
    ) -> tuple[Layer, ...]:
        names = list(self._functions)
        found: list[Layer] = []
        at = 0
        for each in self._sums:
            takes = 0 if each.table is None else 2 if each.shift else 1
            mine, theirs = [*witness[at : at + takes], None, None], [*leaves[at : at + takes], None, None]
            at += takes
            matrix = None
            if (product := each.product) is not None:
                places = weights[product.block]
                matrix = Matrix(product.block, product.inputs, _bits(product.inputs), product.parts, *places)
            found.append(
                Layer(
                    places=each.places,
                    outputs=each.outputs,
                    place_bits=_bits(each.places),
                    output_bits=_bits(each.outputs),
                    matrix=matrix,
                    direct=each.direct,
                    low=each.low,
                    high=each.high,
                    multiplier=each.multiplier,
                    shift=each.shift,
                    table=None if each.table is None else names.index((each.table, each.shift)),
                    range=len(names) + self._ranges.index(each.shift) if takes == 2 else None,
                    values=mine[0],
                    remainders=mine[1],
                    lookup=theirs[0],
                    remainder_lookup=theirs[1],
                )
            )
        return tuple(found)

    def _tables(self, witness: Sequence[Segment], leaves: Sequence[Segment]) -> tuple[TablePlan, ...]:
        found: list[TablePlan] = []
        for (function, _), (low, high) in self._functions.items():
            number = len(found)
            values = [function(q) for q in range(low, high + 1)]
            values += [values[-1]] * ((1 << leaves[number].bits) - len(values))
            where = witness[number], leaves[number]
            found.append(TablePlan(number + 1, low, leaves[number].bits, tuple(values), high - low, *where))
        for shift in self._ranges:
            number = len(found)
            where = witness[number], leaves[number]
            found.append(TablePlan(number + 1, 0, shift, None, (1 << shift) - 1, *where))
        return tuple(found)
