"""Compiled arithmetic gives what Python's integers give."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paraph.adapters.provers import elements, kernels
from paraph.adapters.provers.kernels import Words
from paraph.proofs.zk import field
from paraph.proofs.zk.field import ONE, ZERO, Ext, P, add, lift, mul, scale, sub, total

# Compiling is slow, once.
OFTEN = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EDGES = (0, 1, 2, P - 1, P - 2, (P - 1) // 2, (1 << 27) - 1, kernels.R)
base = st.one_of(st.sampled_from(EDGES), st.integers(0, P - 1))
ext = st.tuples(base, base, base, base)


def many(count: int) -> st.SearchStrategy[list[Ext]]:
    """So many elements."""
    return st.lists(ext, min_size=count, max_size=count)


def sizes(bits_max: int) -> st.SearchStrategy[int]:
    """Powers of two."""
    return st.integers(0, bits_max).map(lambda bits: 1 << bits)


def back(found: Words) -> list[Ext]:
    """An array's elements."""
    return [elements.element(found[:, at]) for at in range(found.shape[1])]


def words(rows: Sequence[Sequence[int]]) -> Words:
    """A matrix of plain forms."""
    return np.array(rows, np.uint32)


@OFTEN
@given(st.lists(st.integers(-(2**62), 2**62), max_size=40))
def test_integers_enter_reduced(values: list[int]) -> None:
    """Integers of any sign become elements, in either form."""
    given_values = np.array(values, np.int64)

    assert kernels.reduced(given_values).tolist() == [each % P for each in values]
    assert kernels.montgomery(given_values).tolist() == [each * kernels.R % P for each in values]


@OFTEN
@given(st.data(), st.integers(0, 6))
def test_equals(data: st.DataObject, count: int) -> None:
    """The factors of a point, times a factor for all."""
    point, factor = data.draw(many(count)), data.draw(ext)

    found = kernels.equals(elements.arrays(point), elements.array(factor))

    assert back(found) == [mul(factor, each) for each in field.eq_table(point)]


@OFTEN
@given(st.data(), st.integers(0, 40))
def test_sums(data: st.DataObject, count: int) -> None:
    """Sums of products: of elements, and of integers and elements."""
    a, b = data.draw(many(count)), data.draw(many(count))
    values = data.draw(st.lists(base, min_size=count, max_size=count))
    array = kernels.montgomery(np.array(values, np.int64))

    assert elements.element(kernels.inner(elements.columns(a), elements.columns(b))) == field.inner(a, b)
    assert elements.element(kernels.weighted(array, elements.columns(a))) == field.weighted(values, a)


@OFTEN
@given(st.data(), st.integers(1, 11), st.integers(1, 20))
def test_combined(data: st.DataObject, count: int, width: int) -> None:
    """Rows are mixed element by element, however many of them are left over from fours."""
    rows = data.draw(st.lists(st.lists(base, min_size=width, max_size=width), min_size=count, max_size=count))
    factors = data.draw(many(count))

    found = kernels.combined(elements.columns(factors), words(rows))

    wanted = [field.weighted(column, factors) for column in zip(*rows, strict=True)]
    assert [tuple(each) for each in found.T.tolist()] == wanted


def test_combined_beyond_one_span() -> None:
    """A row longer than what is summed at once."""
    rows = np.full((5, 10_000), P - 1, np.uint32)

    found = kernels.combined(elements.columns([(1, 2, 3, P - 1)] * 5), rows)

    assert {tuple(each) for each in found.T.tolist()} == {(P - 5, P - 10, P - 15, 5)}


@OFTEN
@given(st.data(), st.integers(1, 5), st.integers(1, 20), st.integers(0, 3))
def test_spread(data: st.DataObject, factors: int, values: int, offset: int) -> None:
    """Values are added under every factor, and nowhere else."""
    these, those = data.draw(many(factors)), data.draw(many(values))
    before = data.draw(many(offset + factors * values + 1))
    out = elements.columns(before)

    kernels.spread(out, offset, elements.columns(those), elements.columns(these))

    wanted = [ZERO] * offset + [mul(a, b) for a in these for b in those] + [ZERO]
    assert back(out) == [add(a, b) for a, b in zip(before, wanted, strict=True)]


@OFTEN
@given(st.data(), st.integers(1, 4), st.integers(1, 20), st.integers(1, 9), base)
def test_gather_and_scatter(data: st.DataObject, places: int, width: int, size: int, factor: int) -> None:
    """What a functional gathers, and how it is spread over what it gathers from."""
    index = data.draw(
        st.lists(st.lists(st.integers(0, size), min_size=width, max_size=width), min_size=places, max_size=places)
    )
    piece, rows, columns = data.draw(many(size + 1)), data.draw(many(places)), data.draw(many(width))
    by = np.uint32(elements.mont(factor))
    gathered, scattered = np.zeros((4, width), np.uint32), np.zeros((4, size + 1), np.uint32)
    where = np.array(index, np.uint32)

    kernels.gather(gathered, elements.columns(piece), where, elements.columns(rows), by)
    kernels.scatter(scattered, where, elements.columns(rows), elements.columns(columns), by)

    wanted, sums = [ZERO] * (size + 1), []
    for j, column in enumerate(columns):
        sums.append(scale(total(mul(rows[p], piece[index[p][j]]) for p in range(places)), factor))
        for p in range(places):
            wanted[index[p][j]] = add(wanted[index[p][j]], scale(mul(rows[p], column), factor))
    assert back(gathered) == sums
    assert back(scattered) == wanted


@OFTEN
@given(st.data(), sizes(5), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]), ext)
def test_folded(data: st.DataObject, h: int, blocks: int, groups: int, x: Ext) -> None:
    """Each block of each group of rows is brought to a point between its halves."""
    values = [data.draw(many(2 * h * blocks)) for _ in range(groups)]

    found = kernels.folded(np.concatenate([elements.columns(each) for each in values]), elements.array(x), blocks)

    for number, each in enumerate(values):
        starts = [2 * h * block + i for block in range(blocks) for i in range(h)]
        wanted = [add(each[at], mul(x, sub(each[at + h], each[at]))) for at in starts]
        assert back(found[4 * number : 4 * number + 4]) == wanted


@OFTEN
@given(st.data(), sizes(5))
def test_product_round(data: st.DataObject, h: int) -> None:
    """The value at zero and the leading coefficient; and halves added."""
    a, b = data.draw(many(2 * h)), data.draw(many(2 * h))

    first, lead = elements.two_elements(kernels.product_round(elements.columns(a), elements.columns(b)))

    rise_a, rise_b = ([sub(each[i + h], each[i]) for i in range(h)] for each in (a, b))
    assert first == field.inner(a[:h], b[:h])
    assert lead == field.inner(rise_a, rise_b)
    assert back(kernels.halves_added(elements.columns(a))) == [add(a[i], a[i + h]) for i in range(h)]


def fraction(p: Sequence[Ext], q: Sequence[Ext], i: int, j: int) -> Ext:
    return add(mul(p[i], q[j]), mul(p[j], q[i]))


@OFTEN
@given(st.data(), sizes(4), ext)
def test_level_and_mix(data: st.DataObject, h: int, factor: Ext) -> None:
    """Fractions are added across the halves of a level; a multiple of q0 is added to p0."""
    p, q = data.draw(many(2 * h)), data.draw(many(2 * h))
    level = np.concatenate((elements.columns(p), elements.columns(q)))

    above = kernels.level_above(level)
    kernels.mix(level, elements.array(factor))

    assert back(above[:4]) == [fraction(p, q, i, i + h) for i in range(h)]
    assert back(above[4:]) == [mul(q[i], q[i + h]) for i in range(h)]
    assert back(level[:4]) == [add(p[i], mul(factor, q[i])) for i in range(h)] + p[h:]
    assert back(level[4:]) == q


@OFTEN
@given(st.data(), sizes(4))
def test_fraction_round(data: st.DataObject, h: int) -> None:
    """The leading coefficient and the rise from 0 to 1 of a level's sum, in its first variable."""
    p, q, factors = data.draw(many(4 * h)), data.draw(many(4 * h)), data.draw(many(h))
    level = np.concatenate((elements.columns(p), elements.columns(q)))

    lead, slope = elements.two_elements(kernels.fraction_round(level, elements.columns(factors)))

    ends = [field.inner(factors, [fraction(p, q, i + start, i + start + 2 * h) for i in range(h)]) for start in (0, h)]
    rise_p, rise_q = ([sub(each[i + h], each[i]) for i in [*range(h), *range(2 * h, 3 * h)]] for each in (p, q))
    assert slope == sub(ends[1], ends[0])
    assert lead == field.inner(factors, [fraction(rise_p, rise_q, i, i + h) for i in range(h)])


@OFTEN
@given(st.data(), st.integers(0, 9), st.booleans(), st.integers(0, 3), ext, ext, ext)
def test_denominators(
    data: st.DataObject, count: int, pairs: bool, offset: int, start: Ext, gamma: Ext, square: Ext
) -> None:
    """Leaves, with a second value and without one, at their place."""
    q = data.draw(st.lists(base, min_size=count, max_size=count))
    a = data.draw(st.lists(base, min_size=count, max_size=count)) if pairs else []
    level = np.zeros((8, offset + count + 1), np.uint32)
    arrays = (kernels.montgomery(np.array(each, np.int64)) for each in (q, a))

    kernels.denominators(level, offset, *arrays, *(elements.array(each) for each in (start, gamma, square)))

    own = [sub(sub(start, scale(gamma, each)), scale(square, a[at]) if pairs else ZERO) for at, each in enumerate(q)]
    assert back(level[4:]) == [ZERO] * offset + own + [ZERO]
    assert not level[:4].any()


@OFTEN
@given(st.data(), st.integers(0, 5), st.integers(1, 70), st.integers(1, 2))
def test_transform(data: st.DataObject, bits: int, width: int, groups: int) -> None:
    """Values at roots of unity, in the order of reversed bits, group of rows by group; and back."""
    seed = data.draw(st.integers(0, 2**32))
    rows = np.random.default_rng(seed).integers(0, P, (groups << bits, width)).astype(np.uint32)
    order = elements.reversed_order(bits)
    found = rows.copy()

    kernels.transform(found, elements.roots(bits), 1 << bits)

    for group in range(groups):
        own = slice(group << bits, (group + 1) << bits)
        values = found[own][order]
        for column in {0, width - 1}:
            assert field.interpolate(values[:, column].tolist()) == rows[own, column].tolist()
        kernels.transform(values, elements.roots(bits, inverse=True), 1 << bits)
        assert (values[order] == rows[own].astype(np.uint64) * (1 << bits) % P).all()


@OFTEN
@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_rows_multiplied(data: st.DataObject, rows: int, count: int) -> None:
    """In each row the elements of two arrays are multiplied and added."""
    a = [data.draw(many(count)) for _ in range(rows)]
    b = [data.draw(many(count)) for _ in range(rows)]
    plain = words([[each for element in row for each in element] for row in a])
    other = np.stack([elements.arrays(row).ravel() for row in b])

    found = kernels.rows_multiplied(plain, other)

    assert [tuple(row) for row in found.tolist()] == [field.inner(x, y) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (17, 2), (32, 16)])
def test_turned(shape: tuple[int, int]) -> None:
    """The transpose."""
    rows = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape)

    assert (kernels.turned(rows) == rows.T).all()


def test_what_cannot_be_kept_is_compiled_all_the_same() -> None:
    """A function whose compiled form has no place to be kept in still runs compiled."""
    found: dict[str, object] = {}
    exec("def double(x):\n    return x + x\n", found)

    made = kernels.compiled(found["double"])  # type: ignore[type-var]

    assert made(21) == 42  # type: ignore[operator]


def test_random_elements_are_below_p_and_differ() -> None:
    """Each draw is new, and uniform as far as a mean can tell."""
    first, second = elements.random_elements(20_000), elements.random_elements(20_000)

    assert len(first) == 20_000
    assert max(first.max(), second.max()) < P
    assert (first == second).sum() < 10
    assert abs(float(first.mean()) / P - 0.5) < 0.02


def test_forms_are_inverse() -> None:
    """An element goes into an array and comes out."""
    value = (1, 2, P - 1, 0)

    assert elements.element(elements.array(value)) == value
    assert elements.element(elements.array(ONE)) == ONE
    assert elements.packed(lift(258)) == field.to_bytes(lift(258))
