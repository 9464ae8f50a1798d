"""Claims about committed values: sums of them, each times a public factor.

Specified in docs/spec/zk.md, section 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from paraph.proofs.zk.channel import Form
from paraph.proofs.zk.field import ONE, ZERO, Ext, add, eq_at, eq_points, eq_table, mul, scale, total
from paraph.proofs.zk.layers import NOTHING, Part
from paraph.proofs.zk.plan import Plan, Segment


@dataclass(frozen=True, slots=True)
class Point:
    """The extension of a segment at a point."""

    segment: Segment
    point: tuple[Ext, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Σ eq(batch, b)·rows[i]·columns[j]·k·w[b, index(i, j)] over requests b, positions i·len(columns) + j and parts."""

    batch: tuple[Ext, ...]
    rows: tuple[Ext, ...]
    columns: tuple[Ext, ...]
    parts: tuple[Part, ...]


Functional: TypeAlias = Point | Gathered
Tables: TypeAlias = dict[int, list[Ext]]
"""Factors of a piece of so many bits, at one point: a sum over a window would make them thousands of times."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A functional times a factor is the value."""

    functional: Functional
    value: Form
    factor: Ext = ONE


def at(plan: Plan, functional: Functional, point: Sequence[Ext], tables: Tables) -> Ext:
    """The extension of a functional's factors at a point of the whole witness vector.

    Args:
        plan: the layout.
        functional: what is wanted.
        point: of the witness vector.
        tables: what was made for this point before; more is added.
    """
    match functional:
        case Point(segment, own):
            lead = len(point) - segment.bits
            return mul(_place(segment, point), eq_points(own, point[lead:]))
        case Gathered():
            return total(_gathered(plan, functional, part, point, tables) for part in functional.parts)
        case _:
            assert_never(functional)


def _place(segment: Segment, point: Sequence[Ext]) -> Ext:
    return eq_at(point[: len(point) - segment.bits], segment.offset >> segment.bits)


def _gathered(plan: Plan, of: Gathered, part: Part, point: Sequence[Ext], tables: Tables) -> Ext:
    segment = source(plan, part.source)
    inner = segment.bits - plan.batch_bits
    if inner not in tables:
        tables[inner] = eq_table(point[len(point) - inner :])
    table = tables[inner]
    width, found = len(of.columns), ZERO
    for number, row in enumerate(of.rows):
        places = part.index[number * width : (number + 1) * width]
        line = total(
            mul(column, table[place]) for column, place in zip(of.columns, places, strict=True) if place != NOTHING
        )
        found = add(found, mul(row, line))
    batch = point[len(point) - segment.bits : len(point) - inner]
    return scale(mul(found, mul(_place(segment, point), eq_points(of.batch, batch))), part.scale)


def source(plan: Plan, number: int) -> Segment:
    """Where a part's values are committed."""
    found = plan.blocks if number == 0 else plan.layers[number - 1].values
    return found if found is not None else plan.blocks
