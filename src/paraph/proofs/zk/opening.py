"""The two commitments opened: both tests, and the columns that they are checked on.

Specified in docs/spec/zk.md, sections 8 and 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from paraph.core.ident import Digest
from paraph.proofs.zk.argument import Reduced, WeightClaim
from paraph.proofs.zk.channel import Channel, Form, refuse
from paraph.proofs.zk.columns import entries, leaf, root
from paraph.proofs.zk.field import (
    ELEMENT_BYTES,
    GENERATOR,
    ONE,
    ZERO,
    Ext,
    P,
    add,
    eq_table,
    evaluate_ext,
    interpolate_ext,
    mul,
    powers,
    root_of_unity,
    scale,
    sub,
    total,
    weighted,
)
from paraph.proofs.zk.plan import HASH_BYTES, MASK_ROWS, SALT_BYTES, Plan, Segment
from paraph.proofs.zk.statement import Mode

Vector: TypeAlias = list[Ext]
BASIS = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
"""1, X, X², X³: an extension element lies in four rows."""


@dataclass(frozen=True, slots=True)
class Rank:
    """A claim's factors over rows and places of a matrix: `rows[i]·line[j]` from row `start`."""

    start: int
    rows: tuple[Ext, ...]
    line: tuple[Ext, ...]


def open_columns(channel: Channel, reduced: Reduced, witness: Digest, weights: Digest) -> dict[int, list[int]]:
    """Check what is left against both commitments; the witness's opened columns. Raises `Unverified` (`zk.…`)."""
    return _Opening(channel, reduced).run(witness, weights)


def rank(segment: Segment, point: Sequence[Ext], line: int) -> Rank:
    """The extension of a segment at a point, as factors over its rows and their places."""
    inner = line.bit_length() - 1
    if segment.bits >= inner:
        lead = segment.bits - inner
        return Rank(segment.offset // line, tuple(eq_table(point[:lead])), tuple(eq_table(point[lead:])))
    places = [ZERO] * line
    first = segment.offset % line
    places[first : first + (1 << segment.bits)] = eq_table(point)
    return Rank(segment.offset // line, (ONE,), tuple(places))


class _Opening:
    def __init__(self, channel: Channel, reduced: Reduced) -> None:
        self._channel, self._reduced = channel, reduced
        self._plan: Plan = channel.plan
        self._bits = self._plan.codeword.bit_length() - 1

    def run(self, witness: Digest, weights: Digest) -> dict[int, list[int]]:
        channel, plan = self._channel, self._plan
        equations = self._products()
        hiding = plan.mode is Mode.HIDING
        offset = channel.sent(b"mu") if hiding else ZERO
        beta = channel.challenge(b"beta") if hiding else ONE
        delta = channel.challenge(b"delta")
        claims = 1 + len(self._reduced.weights) + len(equations)
        factors = powers(delta, claims)
        right = self._right(factors, equations)
        # One coin for each row, not powers of one: so many rows would cost the proximity test some bits.
        mixed = [channel.challenge(b"tau") for _ in range(plan.weight_rows + plan.witness_rows - (4 if hiding else 0))]
        near = channel.elements(b"u", plan.degree)
        test = channel.elements(b"q", plan.test_degree)
        tested = scale(total(test[:: plan.line]), plan.line)
        if tested != add(offset, mul(beta, right)):
            refuse("zk.sum", "the committed values do not fit what was said of them")
        chosen = sorted(set(channel.transcript.indices(b"columns", plan.queries, plan.codeword)))
        weight_columns = self._columns(chosen, plan.weight_rows, weights, "weights", salted=False)
        witness_columns = self._columns(chosen, plan.witness_rows, witness, "witness", salted=hiding)
        self._check(chosen, weight_columns, witness_columns, mixed, beta, factors, equations, near, test)
        channel.end()
        return witness_columns

    def _products(self) -> list[Form]:
        """All equations between pads, those of the products last."""
        channel, plan = self._channel, self._plan
        if plan.mode is Mode.SUCCINCT:
            return []
        found = list(channel.equations)
        epsilon = channel.challenge(b"epsilon")
        for number, (x, y) in enumerate(channel.products):
            z = plan.messages + 3 * number
            t = channel.sent(b"t")
            found.append(Form(sub(ZERO, t), _gathered_pads(((x, epsilon), (z + 1, ONE)))))
            found.append(Form(ZERO, _gathered_pads(((y, t), (z, sub(ZERO, epsilon)), (z + 2, sub(ZERO, ONE))))))
        return found

    def _right(self, factors: Sequence[Ext], equations: Sequence[Form]) -> Ext:
        """The combined claim's value."""
        count = len(self._reduced.weights)
        found = mul(factors[0], self._reduced.value.constant)
        for claim, factor in zip(self._reduced.weights, factors[1 : 1 + count], strict=True):
            found = add(found, mul(factor, claim.value))
        for form, factor in zip(equations, factors[1 + count :], strict=True):
            found = sub(found, mul(factor, form.constant))
        return found

    def _pads(self, factors: Sequence[Ext], equations: Sequence[Form]) -> list[Vector]:
        """The combined claim's factors of the pads, as extension elements, group by group."""
        plan, found = self._plan, [ZERO] * (self._plan.pad_groups * self._plan.line)
        for pad, factor in self._reduced.value.pads:
            found[pad] = sub(found[pad], mul(factors[0], factor))
        first = 1 + len(self._reduced.weights)
        for form, factor in zip(equations, factors[first:], strict=True):
            for pad, each in form.pads:
                found[pad] = add(found[pad], mul(factor, each))
        return [found[at : at + plan.line] for at in range(0, len(found), plan.line)]

    def _columns(
        self, chosen: Sequence[int], rows: int, committed: Digest, what: str, *, salted: bool
    ) -> dict[int, list[int]]:
        channel, found = self._channel, {}
        leaves: dict[int, bytes] = {}
        for index in chosen:
            salt = channel.take(SALT_BYTES if salted else 0)
            data = channel.take(rows * ELEMENT_BYTES)
            column = entries(data)
            if column is None:
                refuse("zk.encoding", f"a column of the {what} holds what is not a canonical field element")
            leaves[index], found[index] = leaf(salt, data), column
        if root(leaves, self._bits, lambda: channel.take(HASH_BYTES)) != committed:
            refuse(f"zk.{what}", f"the opened columns are not those of the committed {what}")
        return found

    def _check(
        self,
        chosen: Sequence[int],
        weight_columns: dict[int, list[int]],
        witness_columns: dict[int, list[int]],
        mixed: Sequence[Ext],
        beta: Ext,
        factors: Sequence[Ext],
        equations: Sequence[Form],
        near: Vector,
        test: Vector,
    ) -> None:
        plan = self._plan
        vector, hiding = plan.vector_rows, plan.mode is Mode.HIDING
        own = rank(Segment(0, plan.witness_bits), self._reduced.point, plan.line)
        omega = mul(factors[0], self._reduced.factor)
        of_weights = [_ranked(claim, plan.line) for claim in self._reduced.weights]
        lines = [self._evaluated(each, chosen) for each in (own.line, *(each.line for each in of_weights))]
        groups = [self._evaluated(each, chosen) for each in self._pads(factors, equations)] if hiding else []
        near_at, test_at = evaluate_ext(near, self._bits), evaluate_ext(test, self._bits)
        for index in chosen:
            weight, column = weight_columns[index], witness_columns[index]
            masks = column[-MASK_ROWS:] if hiding else []
            # u's own mask has no part in the combination of rows; the rows after it follow without a gap.
            combined = column[: len(column) - MASK_ROWS] + masks[4:] if hiding else column
            said = weighted(weight + combined, mixed)
            if hiding:
                said = add(said, weighted(masks[:4], BASIS))
            if said != near_at[index]:
                refuse("zk.proximity", "the rows' combination is not what their opened columns give")
            value = mul(mul(omega, lines[0][index]), weighted(column[:vector], own.rows[:vector]))
            for each, factor, line in zip(of_weights, factors[1:], lines[1:], strict=False):
                rows = weighted(weight[each.start : each.start + len(each.rows)], each.rows)
                value = add(value, mul(mul(factor, line[index]), rows))
            for number, line in enumerate(groups):
                pads = weighted(column[vector + 4 * number : vector + 4 * number + 4], BASIS)
                value = add(value, mul(line[index], pads))
            value = mul(beta, value)
            if hiding:
                turned = pow(GENERATOR * pow(root_of_unity(self._bits), index, P), plan.line, P)
                value = add(value, add(weighted(masks[4:8], BASIS), scale(weighted(masks[8:], BASIS), turned)))
            if value != test_at[index]:
                refuse("zk.test", "the linear test is not what its opened columns give")

    def _evaluated(self, line: Sequence[Ext], chosen: Sequence[int]) -> dict[int, Ext]:
        """At the opened columns; only there, since a model may have a thousand lines, each as long as a codeword."""
        found = evaluate_ext(interpolate_ext(line), self._bits)
        return {index: found[index] for index in chosen}


def _ranked(claim: WeightClaim, line: int) -> Rank:
    return rank(claim.segment, claim.point, line)


def _gathered_pads(pads: Sequence[tuple[int, Ext]]) -> tuple[tuple[int, Ext], ...]:
    return tuple(pads)
