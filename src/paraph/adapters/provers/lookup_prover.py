"""The tree of fractions: that everything looked up is in its table, as often as is said.

Specified in docs/spec/zk.md, sections 7.1 and 7.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paraph.adapters.provers.elements import array, arrays, element, mont, two_elements
from paraph.adapters.provers.gathers import Entries
from paraph.adapters.provers.kernels import (
    Words,
    denominators,
    equals,
    folded,
    fraction_round,
    halves_added,
    level_above,
    mix,
    montgomery,
)
from paraph.adapters.provers.speech import Form, Speech, join, message
from paraph.adapters.provers.witness import Witness
from paraph.proofs.zk.field import ONE, Ext, P, lift, mul, sub
from paraph.proofs.zk.plan import Layer, Plan, Segment

NO_WORDS = np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True)
class Looked:
    """Where the tree ends.

    Args:
        point: of the leaves.
        numerator: theirs there, between pads; nothing in mode 1.
        denominator: likewise.
    """

    point: tuple[Ext, ...]
    numerator: Form
    denominator: Form


def leaves(layout: Plan, witness: Witness, vector: Words, tables: Sequence[Entries], gamma: Ext, alpha: Ext) -> Words:
    """All fractions, (8, 2^n).

    Args:
        layout: of the proof.
        witness: what is committed.
        vector: the witness vector, in Montgomery form.
        tables: the entries of each.
        gamma: the challenge.
        alpha: the challenge.
    """
    found = np.zeros((8, 1 << layout.leaf_bits), np.uint32)
    found[4] = mont(1)
    steps = array(gamma), array(mul(gamma, gamma))
    bases = [array(sub(alpha, lift(table.tag))) for table in layout.tables]
    for layer, asked in zip(layout.layers, witness.quotients, strict=False):
        if layer.table is None or layer.lookup is None:
            continue
        q = montgomery(asked.ravel())
        denominators(found, layer.lookup.offset, q, part(vector, layer.values), bases[layer.table], *steps)
        numerators = real(layout, layer)
        part(found[0], layer.lookup)[:] = numerators
        if layer.remainder_lookup is not None and layer.range is not None:
            rest = part(vector, layer.remainders)
            denominators(found, layer.remainder_lookup.offset, rest, NO_WORDS, bases[layer.range], *steps)
            part(found[0], layer.remainder_lookup)[:] = numerators
    for table, entries, base in zip(layout.tables, tables, bases, strict=True):
        denominators(found, table.entries.offset, entries.quotients, entries.elements, base, *steps)
        used = part(vector, table.multiplicities).astype(np.int64)
        part(found[0], table.entries)[:] = (P - used) % P
    return found


def part(values: Words, segment: Segment | None) -> Words:
    """A segment of an array; nothing for none."""
    if segment is None:
        return NO_WORDS
    return values[segment.offset : segment.offset + (1 << segment.bits)]


def real(layout: Plan, layer: Layer) -> Words:
    """One at each real place and output of a layer's lookups, zero elsewhere."""
    found = np.zeros((1 << layout.batch_bits, 1 << layer.place_bits, 1 << layer.output_bits), np.uint32)
    found[:, : layer.places, : layer.outputs] = mont(1)
    return found.ravel()


def prove_lookups(speech: Speech, level: Words) -> Looked:
    """Bring the sum of the leaves' fractions, which is zero, down to one point of the leaves."""
    levels = [level]
    while levels[-1].shape[1] > 1:
        levels.append(level_above(levels[-1]))
    hiding = bool(speech.pads)
    numerator: Form = {}
    denominator = message(speech.say(b"root", element(levels.pop()[4:, 0])))
    point: tuple[Ext, ...] = ()
    while levels:
        factor = speech.hear(b"lambda")
        form = dict(numerator)
        join(form, denominator, factor)
        point, numerator, denominator = _prove_level(speech, levels.pop(), point, factor, form)
    if not hiding:
        return Looked(point, {}, {})
    return Looked(point, numerator, denominator)


def _prove_level(
    speech: Speech, level: Words, point: tuple[Ext, ...], factor: Ext, form: Form
) -> tuple[tuple[Ext, ...], Form, Form]:
    mix(level, array(factor))
    factors = equals(arrays(point[1:]), array(ONE))
    drawn = []
    for number, own in enumerate(point):
        if number:
            factors = halves_added(factors)
        lead, slope = two_elements(fraction_round(level, factors))
        said = speech.say(b"d", slope), speech.say(b"h2", lead)
        x = speech.hear(b"x")
        join(form, message(said[0]), sub(x, own))
        join(form, message(said[1]), sub(mul(x, x), x))
        level = folded(level, array(x), 2)
        drawn.append(x)
    q0, q1 = element(level[4:, 0]), element(level[4:, 1])
    p0, p1 = sub(element(level[:4, 0]), mul(factor, q0)), element(level[:4, 1])
    names = [speech.say(label, each) for label, each in zip(LABELS, (p0, p1, q0, q1), strict=True)]
    if speech.pads:
        one, other, both = ((names[0], names[3]), (names[1], names[2]), (names[2], names[3]))
        join(form, speech.product(*one), sub((0, 0, 0, 0), ONE))
        join(form, speech.product(*other), sub((0, 0, 0, 0), ONE))
        join(form, speech.product(*both), sub((0, 0, 0, 0), factor))
        speech.equations.append(form)
    choice = speech.hear(b"c")
    rest = sub(ONE, choice)
    above: Form = {names[0]: sub((0, 0, 0, 0), rest), names[1]: sub((0, 0, 0, 0), choice)}
    below: Form = {names[2]: sub((0, 0, 0, 0), rest), names[3]: sub((0, 0, 0, 0), choice)}
    return (choice, *drawn), above, below


LABELS = (b"p0", b"p1", b"q0", b"q1")
