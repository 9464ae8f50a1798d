"""The field: its laws against plain polynomials, transforms against Horner, extensions against sums over the cube."""

from itertools import pairwise
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.zk import inverse

from paraph.core.errors import BrokenTruth
from paraph.proofs.zk import field
from paraph.proofs.zk.field import NON_RESIDUE, ONE, ZERO, Ext, P

BASE = st.one_of(st.integers(0, P - 1), st.sampled_from([0, 1, 2, P - 2, P - 1]))
EXT = st.tuples(BASE, BASE, BASE, BASE)
SMALL_BITS = st.integers(0, 4)


def by_hand(a: Ext, b: Ext) -> Ext:
    """A product of polynomials, reduced by X⁴ = 11."""
    long = [0] * 7
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            long[i + j] += x * y
    low = [(long[i] + NON_RESIDUE * (long[i + 4] if i < 3 else 0)) % P for i in range(4)]
    return (low[0], low[1], low[2], low[3])


def at(coefficients: list[int], x: int) -> int:
    """A polynomial's value, by Horner."""
    found = 0
    for each in reversed(coefficients):
        found = (found * x + each) % P
    return found


def test_base() -> None:
    """P is a prime, 31 generates all of its group, and X⁴ − 11 has no factor."""
    assert P == 2013265921
    assert all(P % divisor for divisor in range(2, 44_870))
    assert all(pow(field.GENERATOR, (P - 1) // factor, P) != 1 for factor in (2, 3, 5))
    # X^4 − a over a field with p ≡ 1 (mod 4) is irreducible exactly if a is no square.
    assert P % 4 == 1
    assert pow(NON_RESIDUE, (P - 1) // 2, P) == P - 1


def test_roots_of_unity() -> None:
    """ω of each order has that order."""
    for bits in range(1, field.ROOT_BITS_MAX + 1):
        root = field.root_of_unity(bits)
        assert pow(root, 1 << bits, P) == 1 != pow(root, 1 << bits - 1, P)
    assert field.root_of_unity(0) == 1
    for bits in (-1, 28):
        with pytest.raises(BrokenTruth):
            field.root_of_unity(bits)


@given(EXT, EXT, EXT, st.integers(-(2**70), 2**70))
def test_laws(a: Ext, b: Ext, c: Ext, k: int) -> None:
    """Sums, differences, products and multiples are those of polynomials."""
    assert field.mul(a, b) == by_hand(a, b) == field.mul(b, a)
    assert field.mul(a, field.add(b, c)) == field.add(field.mul(a, b), field.mul(a, c))
    assert field.sub(field.add(a, b), b) == a
    assert field.scale(a, k) == field.mul(a, field.lift(k))
    assert field.mul(a, ONE) == a
    assert field.mul(a, ZERO) == ZERO
    assert a == ZERO or field.mul(a, inverse(a)) == ONE


@given(st.lists(st.tuples(EXT, EXT, st.integers(0, P - 1)), max_size=6))
def test_sums(terms: list[tuple[Ext, Ext, int]]) -> None:
    """Sums of many are sums of two, again and again."""
    plain, products, weights = ZERO, ZERO, ZERO
    for a, b, k in terms:
        plain, products = field.add(plain, a), field.add(products, field.mul(a, b))
        weights = field.add(weights, field.scale(b, k))

    assert field.total(a for a, _, _ in terms) == plain
    assert field.inner([a for a, _, _ in terms], [b for _, b, _ in terms]) == products
    assert field.weighted([k for _, _, k in terms], [b for _, b, _ in terms]) == weights


def test_sums_of_other_lengths() -> None:
    """A sum of products has as many of both."""
    with pytest.raises(ValueError, match="shorter"):
        field.inner([ONE, ONE], [ONE])
    with pytest.raises(ValueError, match="shorter"):
        field.weighted([1, 2], [ONE])


@given(EXT, st.integers(0, 5))
def test_powers(base: Ext, count: int) -> None:
    """Powers start at 1, each the one before times the base."""
    found = field.powers(base, count)

    assert len(found) == count
    assert found[:1] == [ONE][:count]
    assert all(field.mul(a, base) == b for a, b in pairwise(found))


@given(st.lists(EXT, max_size=4), st.data())
def test_extensions(point: list[Ext], data: st.DataObject) -> None:
    """Eq is a table, one entry, and a product; `prefix` and `identity` are sums over it."""
    size = 1 << len(point)
    table = field.eq_table(point)
    count = data.draw(st.integers(0, size))
    other = data.draw(st.lists(EXT, min_size=len(point), max_size=len(point)))

    assert [field.eq_at(point, index) for index in range(size)] == table
    assert field.total(table) == ONE
    assert field.prefix(point, count) == field.total(table[:count])
    assert field.identity(point) == field.weighted(range(size), table)
    assert field.eq_points(point, other) == field.inner(table, field.eq_table(other))


@given(SMALL_BITS, st.data())
def test_transforms(bits: int, data: st.DataObject) -> None:
    """Interpolation gives the values back, and evaluation gives those on the shifted points."""
    size = 1 << bits
    values = data.draw(st.lists(BASE, min_size=size, max_size=size))
    more = data.draw(st.integers(0, 2))
    root, far = field.root_of_unity(bits), field.root_of_unity(bits + more)

    coefficients = field.interpolate(values)

    assert [at(coefficients, pow(root, place, P)) for place in range(size)] == values
    points = [field.GENERATOR * pow(far, place, P) % P for place in range(size << more)]
    assert field.evaluate(coefficients, bits + more) == [at(coefficients, x) for x in points]
    assert prod(pow(x, size, P) - 1 for x in points) % P  # no point of both


@given(SMALL_BITS, st.data())
def test_transforms_of_the_extension(bits: int, data: st.DataObject) -> None:
    """Over the extension each coefficient goes its own way."""
    values = data.draw(st.lists(EXT, min_size=1 << bits, max_size=1 << bits))

    coefficients = field.interpolate_ext(values)

    assert [list(each) for each in zip(*coefficients, strict=True)] == [
        field.interpolate(column) for column in field.columns(values)
    ]
    assert [list(each) for each in zip(*field.evaluate_ext(coefficients, bits + 1), strict=True)] == [
        field.evaluate(column, bits + 1) for column in field.columns(coefficients)
    ]


def test_transforms_of_other_lengths() -> None:
    """A transform has a power of two of values, and a codeword holds its polynomial."""
    with pytest.raises(BrokenTruth):
        field.interpolate([1, 2, 3])
    with pytest.raises(BrokenTruth):
        field.evaluate([1, 2, 3], 1)


@given(EXT)
def test_bytes(element: Ext) -> None:
    """An element has one spelling; none of its coefficients plus p is another."""
    data = field.to_bytes(element)

    assert field.from_bytes(data) == element
    for place in range(4):
        more = (element[place] + P).to_bytes(4, "little")
        assert field.from_bytes(data[: 4 * place] + more + data[4 * place + 4 :]) is None
