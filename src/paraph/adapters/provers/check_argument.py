"""The conversation of a proof, heard fast: from the lookups through the layers to one point of each commitment.

Specified in docs/spec/zk.md, section 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from paraph.adapters.provers.elements import array, arrays, element, mont
from paraph.adapters.provers.gathers import Entries, Gathers, Term, piece_size
from paraph.adapters.provers.hearing import Hearing, Value
from paraph.adapters.provers.kernels import Words, equals, gather, inner, weighted
from paraph.adapters.provers.speech import Form, join
from paraph.proofs.zk.claims import source
from paraph.proofs.zk.field import (
    ONE,
    ZERO,
    Ext,
    P,
    add,
    eq_at,
    eq_points,
    identity,
    lift,
    mul,
    powers,
    prefix,
    sub,
)
from paraph.proofs.zk.plan import Layer, Segment, TablePlan

Point: TypeAlias = tuple[Ext, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """The extension of a segment at a point."""

    segment: Segment
    point: Point


@dataclass(frozen=True, slots=True)
class Gathered:
    """Σ eq(batch, b)·rows[p]·columns[j]·scale·w[b, index(p, j)] over terms."""

    batch: Point
    rows: Words
    columns: Words
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A functional times a factor is the value."""

    functional: Whole | Gathered
    value: Value
    factor: Ext = ONE


@dataclass(frozen=True, slots=True)
class WeightClaim:
    """A public value of the weight vector."""

    segment: Segment
    point: Point
    value: Ext


@dataclass(frozen=True, slots=True)
class Reduced:
    """What is left: at `point`, `factor` times the witness vector's extension is `value`; and claims of weights."""

    point: Point
    factor: Ext
    value: Value
    weights: tuple[WeightClaim, ...]


def lookups(hearing: Hearing) -> tuple[Point, Value, Value]:
    """The tree of fractions: the last point, and numerator and denominator of the leaves there."""
    above, below = Value(ZERO, {}), hearing.message(b"root")
    point: Point = ()
    for _ in range(hearing.plan.leaf_bits):
        factor = hearing.challenge(b"lambda")
        start = above.plus(below, factor)
        known, pads, drawn = start.known, dict(start.pads), []
        for own in point:
            slope, lead = hearing.message(b"d"), hearing.message(b"h2")
            x = hearing.challenge(b"x")
            of_slope, of_lead = sub(x, own), sub(mul(x, x), x)
            known = add(known, add(mul(slope.known, of_slope), mul(lead.known, of_lead)))
            join(pads, slope.pads, of_slope)
            join(pads, lead.pads, of_lead)
            drawn.append(x)
        p0, p1, q0, q1 = (hearing.message(label) for label in (b"p0", b"p1", b"q0", b"q1"))
        found = hearing.product(p0, q1).plus(hearing.product(p1, q0)).plus(hearing.product(q0, q1), factor)
        sentence = "a level of the tree of lookups is not the sum of the level below"
        hearing.zero(Value(known, pads).minus(found), "zk.lookup", sentence)
        choice = hearing.challenge(b"c")
        above, below = (low.plus(high.minus(low), choice) for low, high in ((p0, p1), (q0, q1)))
        point = (choice, *drawn)
    return point, above, below


def sumcheck(hearing: Hearing, value: Value, rounds: int) -> tuple[Point, Value]:
    """The sum of a product of two multilinear polynomials, brought down to one point."""
    known, heard = value.known, []
    for _ in range(rounds):
        first, lead = hearing.message(b"g0"), hearing.message(b"g2")
        x = hearing.challenge(b"x")
        rest = sub(known, add(add(first.known, first.known), lead.known))
        known = add(add(first.known, mul(x, rest)), mul(mul(x, x), lead.known))
        heard.append((first, lead, x))
    pads: Form = {}
    if hearing.hiding:
        # Each round's value is x times the one before, and more; so the last x's come into all factors.
        later = ONE
        for first, lead, x in reversed(heard):
            join(pads, first.pads, mul(later, sub(ONE, add(x, x))))
            join(pads, lead.pads, mul(later, sub(mul(x, x), x)))
            later = mul(later, x)
        join(pads, value.pads, later)
    return tuple(x for _, _, x in heard), Value(known, pads)


@dataclass(slots=True)
class Argument:
    """The conversation.

    Args:
        hearing: the proof as it is heard.
        gathers: the model's arrays.
    """

    hearing: Hearing
    gathers: Gathers
    claims: list[Claim] = field(default_factory=list)
    of_weights: list[WeightClaim] = field(default_factory=list)
    sums: list[tuple[Point, Value]] = field(default_factory=list)
    _tables: dict[Point, Words] = field(default_factory=dict)

    def run(self) -> Reduced:
        """All of it. Raises `Unverified` (`zk.…`)."""
        gamma, alpha = self.hearing.challenge(b"gamma"), self.hearing.challenge(b"alpha")
        point, above, below = lookups(self.hearing)
        self._leaves(gamma, alpha, point, above, below)
        self._output()
        for number, (where, value) in enumerate(self.sums):
            self._layer(number, where, value)
        return self._one_point()

    def _eq(self, point: Point) -> Words:
        if point not in self._tables:
            self._tables[point] = equals(arrays(point), array(ONE))
        return self._tables[point]

    def _tell(self, label: bytes, segment: Segment, point: Point) -> Value:
        """A message that is the extension of a segment."""
        value = self.hearing.message(label)
        self.claims.append(Claim(Whole(segment, point), value))
        return value

    # --- leaves -----------------------------------------------------------------------------------------------

    def _leaves(self, gamma: Ext, alpha: Ext, point: Point, above: Value, below: Value) -> None:
        hearing, plan = self.hearing, self.hearing.plan
        square, used = mul(gamma, gamma), ZERO
        for layer in plan.layers:
            if layer.table is None or layer.lookup is None or layer.values is None:
                continue
            low = point[len(point) - layer.lookup.bits :]
            q, a = hearing.message(b"q"), self._tell(b"a", layer.values, low)
            real, place = self._real(layer, low), _place(layer.lookup, point)
            above = above.less(mul(place, real))
            start = sub(alpha, lift(plan.tables[layer.table].tag))
            below = below.less(mul(place, start)).plus(q, mul(place, gamma)).plus(a, mul(place, square))
            used = add(used, place)
            wide = q.times(lift(1 << layer.shift)).less(lift(layer.half))
            if layer.remainder_lookup is not None and layer.remainders is not None and layer.range is not None:
                rem = self._tell(b"rem", layer.remainders, low)
                place = _place(layer.remainder_lookup, point)
                above = above.less(mul(place, real))
                start = sub(alpha, lift(plan.tables[layer.range].tag))
                below = below.less(mul(place, start)).plus(rem, mul(place, gamma))
                used, wide = add(used, place), wide.plus(rem)
            self.sums.append((low, wide.times(lift(pow(layer.multiplier, -1, P)))))
        for table, entries in zip(plan.tables, self.gathers.tables, strict=True):
            low = point[len(point) - table.bits :]
            m, place = self._tell(b"m", table.multiplicities, low), _place(table.entries, point)
            entry = sub(alpha, self._entries(table, entries, low, gamma, square))
            above, below, used = above.plus(m, place), below.less(mul(place, entry)), add(used, place)
        below = below.less(sub(ONE, used))
        for value in (above, below):
            hearing.zero(value, "zk.leaves", "the leaves of the tree of lookups are not what was looked up")

    def _real(self, layer: Layer, low: Point) -> Ext:
        _, places, outputs = self._split(layer, low)
        return mul(prefix(places, layer.places), prefix(outputs, layer.outputs))

    def _split(self, layer: Layer, low: Point) -> tuple[Point, Point, Point]:
        first = self.hearing.plan.batch_bits
        second = first + layer.place_bits
        return low[:first], low[first:second], low[second:]

    def _entries(self, table: TablePlan, entries: Entries, low: Point, gamma: Ext, square: Ext) -> Ext:
        if table.values is None:
            return add(lift(table.tag), mul(gamma, identity(low)))
        factors = self._eq(low)
        q, a = element(weighted(entries.quotients, factors)), element(weighted(entries.elements, factors))
        return add(lift(table.tag), add(mul(gamma, q), mul(square, a)))

    def _output(self) -> None:
        plan, last = self.hearing.plan, self.hearing.plan.layers[-1]
        inner_bits = last.place_bits + last.output_bits
        point = tuple(self.hearing.challenge(b"y") for _ in range(plan.batch_bits + inner_bits))
        # The output lies at the end of a block, where the bits above its own are all one.
        ones = (ONE,) * (plan.block_bits - inner_bits)
        value = self._tell(b"y", plan.blocks, (*point[: plan.batch_bits], *ones, *point[plan.batch_bits :]))
        self.sums.append((point, value))

    # --- layers -----------------------------------------------------------------------------------------------

    def _layer(self, number: int, point: Point, value: Value) -> None:
        hearing, layer = self.hearing, self.hearing.plan.layers[number]
        batch, places, outputs = self._split(layer, point)
        rows, direct, matrix = self._eq(places), self.gathers.direct[number], layer.matrix
        if matrix is None:
            self.claims.append(Claim(Gathered(batch, rows, self._eq(outputs), direct), value))
            return
        if direct:
            beside = hearing.message(b"direct")
            self.claims.append(Claim(Gathered(batch, rows, self._eq(outputs), direct), beside))
            value = value.minus(beside)
        bias = hearing.sent(b"bias")
        self.of_weights.append(WeightClaim(matrix.bias, outputs, bias))
        inputs, value = sumcheck(hearing, value.less(mul(bias, prefix(places, layer.places))), matrix.bits)
        weight = hearing.sent(b"weight")
        self.of_weights.append(WeightClaim(matrix.weights, (*outputs, *inputs), weight))
        self.claims.append(Claim(Gathered(batch, rows, self._eq(inputs), self.gathers.parts[number]), value, weight))

    # --- one point --------------------------------------------------------------------------------------------

    def _one_point(self) -> Reduced:
        factors = powers(self.hearing.challenge(b"rho"), len(self.claims))
        known, pads = ZERO, dict[int, Ext]()
        for claim, factor in zip(self.claims, factors, strict=True):
            known = add(known, mul(claim.value.known, factor))
            join(pads, claim.value.pads, factor)
        point, value = sumcheck(self.hearing, Value(known, pads), self.hearing.plan.witness_bits)
        omega, pieces = ZERO, dict[int, Words]()
        for claim, factor in zip(self.claims, factors, strict=True):
            omega = add(omega, mul(mul(factor, claim.factor), self._at(claim.functional, point, pieces)))
        return Reduced(point, omega, value, tuple(self.of_weights))

    def _at(self, functional: Whole | Gathered, point: Point, pieces: dict[int, Words]) -> Ext:
        """A functional's factors at a point of the whole witness vector."""
        match functional:
            case Whole(segment, own):
                return mul(_place(segment, point), eq_points(own, point[len(point) - segment.bits :]))
            case Gathered():
                found = ZERO
                for number in {term.source: None for term in functional.terms}:
                    terms = [term for term in functional.terms if term.source == number]
                    found = add(found, self._gathered(functional, number, terms, point, pieces))
                return found

    def _gathered(
        self, of: Gathered, number: int, terms: Sequence[Term], point: Point, pieces: dict[int, Words]
    ) -> Ext:
        plan = self.hearing.plan
        segment, size = source(plan, number), piece_size(plan, number)
        inner_bits = size.bit_length() - 1
        if size not in pieces:
            pieces[size] = np.zeros((4, size + 1), np.uint32)
            pieces[size][:, :size] = equals(arrays(point[len(point) - inner_bits :]), array(ONE))
        line = np.zeros((4, terms[0].index.shape[1]), np.uint32)
        for term in terms:
            gather(line, pieces[size], term.index, of.rows, np.uint32(mont(term.scale)))
        batch = point[len(point) - segment.bits : len(point) - inner_bits]
        found = element(inner(line, of.columns))
        return mul(found, mul(_place(segment, point), eq_points(of.batch, batch)))


def _place(segment: Segment, point: Sequence[Ext]) -> Ext:
    return eq_at(point[: len(point) - segment.bits], segment.offset >> segment.bits)
