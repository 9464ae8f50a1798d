"""The conversation: from the tables' lookups through the layers to one value of the committed vector.

Specified in docs/spec/zk.md, section 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paraph.core.errors import must
from paraph.proofs.zk.channel import Channel, Form, known
from paraph.proofs.zk.claims import Claim, Gathered, Point, Tables, at
from paraph.proofs.zk.field import (
    ONE,
    ZERO,
    Ext,
    P,
    add,
    eq_at,
    eq_table,
    identity,
    lift,
    mul,
    powers,
    prefix,
    sub,
    total,
    weighted,
)
from paraph.proofs.zk.plan import Layer, Plan, Segment, TablePlan


@dataclass(frozen=True, slots=True)
class WeightClaim:
    """A public value of the weight vector: the extension of a segment at a point."""

    segment: Segment
    point: tuple[Ext, ...]
    value: Ext


@dataclass(frozen=True, slots=True)
class Reduced:
    """What is left to be proven of the commitments.

    Args:
        point: r' of the specification.
        factor: Ω there.
        value: what the factor times the witness vector's extension at the point must be.
        weights: claims about the weight vector.
    """

    point: tuple[Ext, ...]
    factor: Ext
    value: Form
    weights: tuple[WeightClaim, ...]


def reduce(channel: Channel) -> Reduced:
    """Hear the whole conversation. Raises `Unverified` (`zk.…`)."""
    return _Argument(channel).run()


def lookups(channel: Channel) -> tuple[tuple[Ext, ...], Form, Form]:
    """The tree of fractions, whose sum is zero: the last point, and numerator and denominator of the leaves there."""
    numerator, denominator = known(ZERO), channel.message(b"root")
    point: list[Ext] = []
    for _ in range(channel.plan.leaf_bits):
        mix = channel.challenge(b"lambda")
        value, drawn = numerator + denominator.times(mix), []
        for own in point:
            slope, lead = channel.message(b"d"), channel.message(b"h2")
            x = channel.challenge(b"x")
            value = value - slope.times(own) + (slope - lead).times(x) + lead.times(mul(x, x))
            drawn.append(x)
        p0, p1, q0, q1 = (channel.message(label) for label in (b"p0", b"p1", b"q0", b"q1"))
        found = channel.product(p0, q1) + channel.product(p1, q0) + channel.product(q0, q1).times(mix)
        channel.zero(value - found, "zk.lookup", "a level of the tree of lookups is not the sum of the level below")
        choice = channel.challenge(b"c")
        numerator, denominator = p0 + (p1 - p0).times(choice), q0 + (q1 - q0).times(choice)
        point = [choice, *drawn]
    return tuple(point), numerator, denominator


def sumcheck(channel: Channel, value: Form, rounds: int) -> tuple[tuple[Ext, ...], Form]:
    """The sum of a product of two multilinear polynomials, brought down to one point."""
    point = []
    for _ in range(rounds):
        first, lead = channel.message(b"g0"), channel.message(b"g2")
        x = channel.challenge(b"x")
        value = first + (value - first - first - lead).times(x) + lead.times(mul(x, x))
        point.append(x)
    return tuple(point), value


class _Argument:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._plan: Plan = channel.plan
        self._claims: list[Claim] = []
        self._weights: list[WeightClaim] = []
        self._sums: list[tuple[tuple[Ext, ...], Form]] = []

    def run(self) -> Reduced:
        """Sections 7.1 to 7.5."""
        gamma, alpha = self._channel.challenge(b"gamma"), self._channel.challenge(b"alpha")
        point, numerator, denominator = lookups(self._channel)
        self._leaves(gamma, alpha, point, numerator, denominator)
        self._output()
        for layer, (where, value) in zip(self._plan.layers, self._sums, strict=True):
            self._layer(layer, where, value)
        return self._one_point()

    def _claim(self, segment: Segment, point: Sequence[Ext], value: Form) -> None:
        self._claims.append(Claim(Point(segment, tuple(point)), value))

    def _leaves(self, gamma: Ext, alpha: Ext, point: tuple[Ext, ...], numerator: Form, denominator: Form) -> None:
        plan, channel = self._plan, self._channel
        square, used = mul(gamma, gamma), ZERO
        above, below = known(ZERO), known(ZERO)
        for layer in plan.layers:
            if layer.table is None or layer.lookup is None or layer.values is None:
                continue
            low = point[len(point) - layer.lookup.bits :]
            q, a = channel.message(b"q"), channel.message(b"a")
            self._claim(layer.values, low, a)
            real = self._real(layer, low)
            place = _place(layer.lookup, point)
            tag = plan.tables[layer.table].tag
            leaf = known(sub(alpha, lift(tag))) - q.times(gamma) - a.times(square)
            above, below, used = above + known(mul(place, real)), below + leaf.times(place), add(used, place)
            wide = q.scaled(1 << layer.shift) - known(lift(layer.half))
            if layer.remainder_lookup is not None and layer.remainders is not None and layer.range is not None:
                rem = channel.message(b"rem")
                self._claim(layer.remainders, low, rem)
                place = _place(layer.remainder_lookup, point)
                leaf = known(sub(alpha, lift(plan.tables[layer.range].tag))) - rem.times(gamma)
                above, below, used = above + known(mul(place, real)), below + leaf.times(place), add(used, place)
                wide += rem
            self._sums.append((low, wide.scaled(pow(layer.multiplier, -1, P))))
        for table in plan.tables:
            low = point[len(point) - table.bits :]
            m = channel.message(b"m")
            self._claim(table.multiplicities, low, m)
            place = _place(table.entries, point)
            entry = sub(alpha, _entries(table, low, gamma, square))
            above, below, used = above - m.times(place), below + known(mul(entry, place)), add(used, place)
        below += known(sub(ONE, used))
        sentence = "the leaves of the tree of lookups are not what was looked up"
        channel.zero(numerator - above, "zk.leaves", sentence)
        channel.zero(denominator - below, "zk.leaves", sentence)

    def _real(self, layer: Layer, low: Sequence[Ext]) -> Ext:
        _, places, outputs = self._split(layer, low)
        return mul(prefix(places, layer.places), prefix(outputs, layer.outputs))

    def _split(self, layer: Layer, low: Sequence[Ext]) -> tuple[Sequence[Ext], Sequence[Ext], Sequence[Ext]]:
        first = self._plan.batch_bits
        second = first + layer.place_bits
        return low[:first], low[first:second], low[second:]

    def _output(self) -> None:
        plan, last = self._plan, self._plan.layers[-1]
        inner = last.place_bits + last.output_bits
        point = tuple(self._channel.challenge(b"y") for _ in range(plan.batch_bits + inner))
        value = self._channel.message(b"y")
        # The output lies at the end of a block, where the bits above its own are all one.
        ones = (ONE,) * (plan.block_bits - inner)
        self._claim(plan.blocks, (*point[: plan.batch_bits], *ones, *point[plan.batch_bits :]), value)
        self._sums.append((point, value))

    def _layer(self, layer: Layer, point: Sequence[Ext], value: Form) -> None:
        channel = self._channel
        batch, places, outputs = (tuple(each) for each in self._split(layer, point))
        rows = tuple(eq_table(places)[: layer.places])
        matrix = layer.matrix
        if matrix is None:
            columns = tuple(eq_table(outputs)[: layer.outputs])
            self._claims.append(Claim(Gathered(batch, rows, columns, layer.direct), value))
            return
        if layer.direct:
            columns = tuple(eq_table(outputs)[: layer.outputs])
            beside = channel.message(b"direct")
            self._claims.append(Claim(Gathered(batch, rows, columns, layer.direct), beside))
            value -= beside
        bias = channel.sent(b"bias")
        self._weights.append(WeightClaim(matrix.bias, outputs, bias))
        value -= known(mul(bias, prefix(places, layer.places)))
        inputs, value = sumcheck(channel, value, matrix.bits)
        weight = channel.sent(b"weight")
        self._weights.append(WeightClaim(matrix.weights, (*outputs, *inputs), weight))
        columns = tuple(eq_table(inputs)[: matrix.inputs])
        self._claims.append(Claim(Gathered(batch, rows, columns, matrix.parts), value, weight))

    def _one_point(self) -> Reduced:
        factors = powers(self._channel.challenge(b"rho"), len(self._claims))
        value = known(ZERO)
        for claim, factor in zip(self._claims, factors, strict=True):
            value += claim.value.times(factor)
        point, value = sumcheck(self._channel, value, self._plan.witness_bits)
        tables: Tables = {}
        omega = total(
            mul(mul(factor, claim.factor), at(self._plan, claim.functional, point, tables))
            for claim, factor in zip(self._claims, factors, strict=True)
        )
        return Reduced(point, omega, value, tuple(self._weights))


def _place(segment: Segment, point: Sequence[Ext]) -> Ext:
    return eq_at(point[: len(point) - segment.bits], segment.offset >> segment.bits)


def _entries(table: TablePlan, low: Sequence[Ext], gamma: Ext, square: Ext) -> Ext:
    if table.values is None:
        return add(lift(table.tag), mul(gamma, identity(low)))
    must(len(table.values) == 1 << table.bits, "a table is padded")
    factors = eq_table(low)
    q = weighted((table.quotient(index) for index in range(len(factors))), factors)
    a = weighted(table.values, factors)
    return add(lift(table.tag), add(mul(gamma, q), mul(square, a)))
