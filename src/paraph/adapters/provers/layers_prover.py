"""Layers as sums over their inputs, and all claims about the witness vector brought to one point.

Specified in docs/spec/zk.md, sections 7.2 to 7.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from paraph.adapters.provers.elements import array, arrays, element, mont, two_elements
from paraph.adapters.provers.gathers import Term, piece_size
from paraph.adapters.provers.kernels import (
    Words,
    combined,
    equals,
    folded,
    gather,
    inner,
    montgomery,
    product_round,
    scatter,
    spread,
    weighted,
)
from paraph.adapters.provers.lookup_prover import Looked, part
from paraph.adapters.provers.speech import MINUS_ONE, Form, Speech, join, message, times
from paraph.adapters.provers.weights import CommittedWeights
from paraph.adapters.provers.witness import Witness
from paraph.proofs.zk.claims import source
from paraph.proofs.zk.field import ONE, Ext, P, add, eq_at, lift, mul, sub
from paraph.proofs.zk.plan import Segment

Point: TypeAlias = tuple[Ext, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """The extension of a segment at a point: the factors of its elements."""

    segment: Segment
    factors: Words


@dataclass(frozen=True, slots=True)
class Output:
    """The extension of the outputs at a point, which lie at the ends of the blocks."""

    batch: Words
    factors: Words


@dataclass(frozen=True, slots=True)
class Gathered:
    """Σ batch[b]·rows[p]·columns[j]·scale·w[b, index(p, j)] over terms."""

    batch: Words
    rows: Words
    columns: Words
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A functional of the witness vector, times a factor; and its value between pads."""

    functional: Whole | Output | Gathered
    form: Form
    factor: Ext = ONE


@dataclass(frozen=True, slots=True)
class WeightClaim:
    """A value of the weight vector that was said: the extension of a segment at a point."""

    segment: Segment
    point: Point


@dataclass(frozen=True, slots=True)
class Reduced:
    """What is left to be opened.

    Args:
        point: r'.
        factor: Ω there.
        form: of what the factor times the witness vector's extension is.
        weights: claims about the weight vector.
    """

    point: Point
    factor: Ext
    form: Form
    weights: tuple[WeightClaim, ...]


def sumcheck(speech: Speech, a: Words, b: Words, form: Form) -> tuple[Point, Ext, Ext, Form]:
    """Bring Σ a·b down to one point: the point, both values there, and the product's form."""
    drawn, said = [], []
    while a.shape[1] > 1:
        first, lead = two_elements(product_round(a, b))
        said.append((speech.say(b"g0", first), speech.say(b"g2", lead)))
        x = speech.hear(b"x")
        folding = array(x)
        a, b = folded(a, folding, 1), folded(b, folding, 1)
        drawn.append(x)
    found: Form = {}
    if speech.pads:
        # Each round's value is x times the one before, and more; so the last x's come into all factors.
        later = ONE
        for (first_said, lead_said), x in zip(reversed(said), reversed(drawn), strict=True):
            join(found, message(first_said), mul(later, sub(ONE, add(x, x))))
            join(found, message(lead_said), mul(later, sub(mul(x, x), x)))
            later = mul(later, x)
        join(found, form, later)
    return tuple(drawn), element(a[:, 0]), element(b[:, 0]), found


@dataclass(slots=True)
class Layers:
    """The conversation after the tree of fractions.

    Args:
        speech: what was said so far.
        weights: the model.
        witness: its run.
        vector: the witness vector, in Montgomery form.
    """

    speech: Speech
    weights: CommittedWeights
    witness: Witness
    vector: Words
    claims: list[Claim] = field(default_factory=list)
    of_weights: list[WeightClaim] = field(default_factory=list)
    sums: list[tuple[Point, Form]] = field(default_factory=list)
    _tables: dict[Point, Words] = field(default_factory=dict)
    _pieces: dict[tuple[int, Point], Words] = field(default_factory=dict)

    def run(self, looked: Looked, gamma: Ext) -> Reduced:
        """All of it.

        Args:
            looked: where the tree of fractions ended.
            gamma: the challenge of its leaves.
        """
        self._leaves(looked, gamma)
        self._output()
        for number, (point, form) in enumerate(self.sums):
            self._layer(number, point, form)
        return self._one_point()

    def _eq(self, point: Point) -> Words:
        """The factors of a point, made once: many layers are of one size."""
        if point not in self._tables:
            self._tables[point] = equals(arrays(point), array(ONE))
        return self._tables[point]

    # --- leaves -----------------------------------------------------------------------------------------------

    def _leaves(self, looked: Looked, gamma: Ext) -> None:
        speech, layout, point = self.speech, self.speech.plan, looked.point
        square = mul(gamma, gamma)
        above, below = dict(looked.numerator), dict(looked.denominator)
        for layer, asked in zip(layout.layers, self.witness.quotients, strict=False):
            if layer.lookup is None or layer.values is None:
                continue
            low = point[len(point) - layer.lookup.bits :]
            factors = self._eq(low)
            q = speech.say(b"q", element(weighted(montgomery(asked.ravel()), factors)))
            a = self._tell(b"a", layer.values, factors)
            place = _place(layer.lookup, point)
            # The verifier's: numerator − above, denominator − below; below = place·(… − γ·q − γ²·a) + ….
            join(below, message(q), mul(place, gamma))
            join(below, message(a), mul(place, square))
            wide = times(message(q), lift(1 << layer.shift))
            if layer.remainder_lookup is not None and layer.remainders is not None:
                rem = self._tell(b"rem", layer.remainders, factors)
                join(below, message(rem), mul(_place(layer.remainder_lookup, point), gamma))
                join(wide, message(rem))
            self.sums.append((low, times(wide, lift(pow(layer.multiplier, -1, P)))))
        for table in layout.tables:
            m = self._tell(b"m", table.multiplicities, self._eq(point[len(point) - table.bits :]))
            join(above, message(m), _place(table.entries, point))
        if speech.pads:
            speech.equations += [above, below]

    def _tell(self, label: bytes, segment: Segment, factors: Words) -> int:
        """Say what a segment's extension is, and claim it."""
        said = self.speech.say(label, element(weighted(part(self.vector, segment), factors)))
        self.claims.append(Claim(Whole(segment, factors), message(said)))
        return said

    def _output(self) -> None:
        speech, layout, last = self.speech, self.speech.plan, self.speech.plan.layers[-1]
        size = 1 << last.place_bits + last.output_bits
        count = layout.batch_bits + last.place_bits + last.output_bits
        point = tuple(speech.hear(b"y") for _ in range(count))
        batch, factors = self._eq(point[: layout.batch_bits]), self._eq(point[layout.batch_bits :])
        blocks = part(self.vector, layout.blocks).reshape(1 << layout.batch_bits, -1)
        ends = combined(batch, np.ascontiguousarray(blocks[:, -size:]))
        said = speech.say(b"y", element(inner(ends, factors)))
        self.claims.append(Claim(Output(batch, factors), message(said)))
        self.sums.append((point, message(said)))

    # --- layers -----------------------------------------------------------------------------------------------

    def _layer(self, number: int, point: Point, form: Form) -> None:
        speech, layout = self.speech, self.speech.plan
        layer, gathers = layout.layers[number], self.weights.gathers
        direct, parts = gathers.direct[number], gathers.parts[number]
        batch_point = point[: layout.batch_bits]
        across = point[layout.batch_bits + layer.place_bits :]
        batch, rows = self._eq(batch_point), self._eq(point[layout.batch_bits : layout.batch_bits + layer.place_bits])
        columns, matrix = self._eq(across), layer.matrix
        beside = Gathered(batch, rows, columns, direct)
        if matrix is None:
            self.claims.append(Claim(beside, form))
            return
        if direct:
            sums = self._gathered(direct, batch_point, rows, layer.outputs)
            said = speech.say(b"direct", element(inner(sums, columns)))
            self.claims.append(Claim(beside, message(said)))
            form = dict(form)
            join(form, message(said), MINUS_ONE)
        speech.put(b"bias", element(weighted(part(self.weights.vector, matrix.bias), columns)))
        self.of_weights.append(WeightClaim(matrix.bias, across))
        left = np.zeros((4, 1 << matrix.bits), np.uint32)
        left[:, : matrix.inputs] = self._gathered(parts, batch_point, rows, matrix.inputs)
        right = combined(columns, part(self.weights.vector, matrix.weights).reshape(-1, 1 << matrix.bits))
        inputs, _, weight, form = sumcheck(speech, left, right, form)
        speech.put(b"weight", weight)
        self.of_weights.append(WeightClaim(matrix.weights, (*across, *inputs)))
        self.claims.append(Claim(Gathered(batch, rows, self._eq(inputs), parts), form, weight))

    def _gathered(self, terms: Sequence[Term], batch_point: Point, rows: Words, width: int) -> Words:
        """Σ rows[p]·scale·(the batch's sum of a source)[index(p, j)] over terms, for every j."""
        found = np.zeros((4, width), np.uint32)
        for term in terms:
            gather(found, self._piece(term.source, batch_point), term.index, rows, np.uint32(mont(term.scale)))
        return found

    def _piece(self, number: int, batch_point: Point) -> Words:
        """A source's values, added over the batch with the factors of a point; and a zero behind them."""
        key = number, batch_point
        if key not in self._pieces:
            size = piece_size(self.speech.plan, number)
            values = part(self.vector, source(self.speech.plan, number)).reshape(-1, size)
            found = np.zeros((4, size + 1), np.uint32)
            found[:, :size] = combined(self._eq(batch_point), values)
            self._pieces[key] = found
        return self._pieces[key]

    # --- one point --------------------------------------------------------------------------------------------

    def _one_point(self) -> Reduced:
        speech, layout = self.speech, self.speech.plan
        rho, power = speech.hear(b"rho"), ONE
        omega = np.zeros((4, 1 << layout.witness_bits), np.uint32)
        form: Form = {}
        for claim in self.claims:
            self._spread(omega, claim, array(mul(power, claim.factor)))
            join(form, claim.form, power)
            power = mul(power, rho)
        values = np.zeros((4, 1 << layout.witness_bits), np.uint32)
        values[0, : len(self.vector)] = self.vector
        point, factor, _, form = sumcheck(speech, omega, values, form)
        return Reduced(point, factor, form, tuple(self.of_weights))

    def _spread(self, omega: Words, claim: Claim, factor: Words) -> None:
        layout = self.speech.plan
        match claim.functional:
            case Whole(segment, factors):
                spread(omega, segment.offset, factors, factor.reshape(4, 1))
            case Output(batch, factors):
                own = np.zeros((4, 1 << layout.block_bits), np.uint32)
                own[:, -factors.shape[1] :] = factors
                spread(omega, layout.blocks.offset, own, _scaled(batch, factor))
            case Gathered(batch, rows, columns, terms):
                pieces: dict[int, Words] = {}
                for term in terms:
                    size = piece_size(layout, term.source)
                    piece = pieces.setdefault(term.source, np.zeros((4, size + 1), np.uint32))
                    scatter(piece, term.index, rows, columns, np.uint32(mont(term.scale)))
                for number, piece in pieces.items():
                    own = np.ascontiguousarray(piece[:, :-1])
                    spread(omega, source(layout, number).offset, own, _scaled(batch, factor))


def _scaled(values: Words, factor: Words) -> Words:
    found = np.zeros_like(values)
    spread(found, 0, values, factor.reshape(4, 1))
    return found


def _place(segment: Segment, point: Point) -> Ext:
    return eq_at(point[: len(point) - segment.bits], segment.offset >> segment.bits)
