"""Arithmetic on whole arrays of field elements, compiled to machine code when it is first called.

A proof takes hundreds of millions of multiplications modulo p. All compiled functions stand in this one module: the
compiler keeps its results beside the package, and looks only at the file that a function stands in to see whether they
still hold.

Elements are uint32 below p, in one of two forms: *plain*, or *Montgomery*, times 2^32. A product of two Montgomery
forms is one; of a plain and a Montgomery form it is plain. Arrays of extension elements have shape (4, n), a row for
each coefficient, and are in Montgomery form unless it is said otherwise.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from paraph.proofs.zk.field import NON_RESIDUE, P

Words: TypeAlias = NDArray[np.uint32]
Word: TypeAlias = np.uint32
Wide: TypeAlias = np.uint64
Element: TypeAlias = tuple[Word, Word, Word, Word]
Sums: TypeAlias = tuple[Wide, Wide, Wide, Wide]
"""Coefficients of a sum of Montgomery forms, not reduced."""
TwoSums: TypeAlias = tuple[Wide, Wide, Wide, Wide, Wide, Wide, Wide, Wide]

R: Final = (1 << 32) % P
"""One in Montgomery form."""
R_INVERSE: Final = pow(1 << 32, -1, P)

_P: Final = np.uint32(P)
_WIDE: Final = np.uint64(P)
_INVERSE: Final = np.uint32(pow(P, -1, 1 << 32))
_HALF: Final = np.uint64(32)
_SQUARE: Final = np.uint32(R * R % P)
_ELEVEN: Final = np.uint32(NON_RESIDUE * R % P)
_SPAN: Final = 64
"""Columns that a transform works on at once: so many fit the processor's cache."""

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function at its first call, and keep the result where the machine allows it."""
    made: Any
    try:
        made = njit(cache=True)(function)
    except RuntimeError:
        # No folder can be written: each process compiles for itself.
        made = njit(function)
    return cast("F", made)


def inlined(function: F) -> F:
    """A part of compiled functions."""
    return cast("F", njit(forceinline=True)(function))


# --- one element --------------------------------------------------------------------------------------------------


@inlined
def _wide(a: Word, b: Word) -> Wide:
    return np.uint64(a) * np.uint64(b)


@inlined
def _reduced(x: Wide) -> Word:
    """Of x below 2^32·p: x / 2^32."""
    v = np.uint32((np.uint64(np.uint32(np.uint32(x) * _INVERSE)) * _WIDE) >> _HALF)
    d = np.uint32(np.uint32(x >> _HALF) - v)
    return min(d, np.uint32(d + _P))


@inlined
def _reduced_four(x: Wide) -> Word:
    """Of x below 4·p², which is a sum of four products: x / 2^32."""
    u = np.uint32(x >> _HALF)
    u = min(u, np.uint32(u - _P))
    v = np.uint32((np.uint64(np.uint32(np.uint32(x) * _INVERSE)) * _WIDE) >> _HALF)
    d = np.uint32(u - v)
    return min(d, np.uint32(d + _P))


@inlined
def _times(a: Word, b: Word) -> Word:
    return _reduced(_wide(a, b))


@inlined
def _plus(a: Word, b: Word) -> Word:
    s = np.uint32(a + b)
    return min(s, np.uint32(s - _P))


@inlined
def _minus(a: Word, b: Word) -> Word:
    d = np.uint32(a - b)
    return min(d, np.uint32(d + _P))


@inlined
def _product(a0: Word, a1: Word, a2: Word, a3: Word, b0: Word, b1: Word, b2: Word, b3: Word) -> Element:
    """Of extension elements."""
    e1, e2, e3 = _times(_ELEVEN, b1), _times(_ELEVEN, b2), _times(_ELEVEN, b3)
    return (
        _reduced_four(_wide(a0, b0) + _wide(a1, e3) + _wide(a2, e2) + _wide(a3, e1)),
        _reduced_four(_wide(a0, b1) + _wide(a1, b0) + _wide(a2, e3) + _wide(a3, e2)),
        _reduced_four(_wide(a0, b2) + _wide(a1, b1) + _wide(a2, b0) + _wide(a3, e3)),
        _reduced_four(_wide(a0, b3) + _wide(a1, b2) + _wide(a2, b1) + _wide(a3, b0)),
    )


# --- vectors ------------------------------------------------------------------------------------------------------


@compiled
def montgomery(values: NDArray[np.int64]) -> Words:
    """Integers of any sign, as Montgomery forms."""
    out = np.empty(values.shape[0], np.uint32)
    for i in range(values.shape[0]):
        rest = values[i] % P
        out[i] = _times(np.uint32(rest), _SQUARE)
    return out


@compiled
def reduced(values: NDArray[np.int64]) -> Words:
    """Integers of any sign, as plain forms."""
    out = np.empty(values.shape[0], np.uint32)
    for i in range(values.shape[0]):
        rest = values[i] % P
        out[i] = np.uint32(rest)
    return out


@compiled
def equals(point: Words, factor: Words) -> Words:
    """Factor · eq(point, i) for every index i; the point has shape (m, 4)."""
    count = point.shape[0]
    out = np.empty((4, 1 << count), np.uint32)
    for k in range(4):
        out[k, 0] = factor[k]
    for step in range(count):
        h = np.uint64(1 << step)
        at = count - 1 - step
        x0, x1, x2, x3 = point[at, 0], point[at, 1], point[at, 2], point[at, 3]
        for i in range(h):
            a0, a1, a2, a3 = out[0, i], out[1, i], out[2, i], out[3, i]
            b0, b1, b2, b3 = _product(a0, a1, a2, a3, x0, x1, x2, x3)
            out[0, i + h], out[1, i + h], out[2, i + h], out[3, i + h] = b0, b1, b2, b3
            out[0, i], out[1, i] = _minus(a0, b0), _minus(a1, b1)
            out[2, i], out[3, i] = _minus(a2, b2), _minus(a3, b3)
    return out


@compiled
def weighted(values: Words, weights: Words) -> Sums:
    """Σ value·weight of base values and extension weights, as many of both."""
    s0 = s1 = s2 = s3 = np.uint64(0)
    for i in range(values.shape[0]):
        v = values[i]
        s0 += np.uint64(_times(v, weights[0, i]))
        s1 += np.uint64(_times(v, weights[1, i]))
        s2 += np.uint64(_times(v, weights[2, i]))
        s3 += np.uint64(_times(v, weights[3, i]))
    return s0, s1, s2, s3


@compiled
def inner(a: Words, b: Words) -> Sums:
    """Σ a·b of extension elements, over the shorter of both."""
    s0 = s1 = s2 = s3 = np.uint64(0)
    for i in range(min(a.shape[1], b.shape[1])):
        x0, x1, x2, x3 = _product(a[0, i], a[1, i], a[2, i], a[3, i], b[0, i], b[1, i], b[2, i], b[3, i])
        s0 += np.uint64(x0)
        s1 += np.uint64(x1)
        s2 += np.uint64(x2)
        s3 += np.uint64(x3)
    return s0, s1, s2, s3


@compiled
def combined(factors: Words, rows: Words) -> Words:
    """Σ factor·row of base rows and extension factors, as many of both at least; in the form of the rows."""
    count, width = rows.shape
    out = np.zeros((4, width), np.uint32)
    whole = count & ~3
    # A span of the rows at a time, so that what is summed stays in the cache.
    for start in range(0, width, 4096):
        end = min(width, start + 4096)
        for k in range(4):
            for r in range(0, whole, 4):
                f0, f1, f2, f3 = factors[k, r], factors[k, r + 1], factors[k, r + 2], factors[k, r + 3]
                for i in range(np.uint64(start), np.uint64(end)):
                    sum_of = _wide(f0, rows[r, i]) + _wide(f1, rows[r + 1, i])
                    sum_of += _wide(f2, rows[r + 2, i]) + _wide(f3, rows[r + 3, i])
                    out[k, i] = _plus(out[k, i], _reduced_four(sum_of))
            for r in range(whole, count):
                f0 = factors[k, r]
                for i in range(np.uint64(start), np.uint64(end)):
                    out[k, i] = _plus(out[k, i], _times(f0, rows[r, i]))
    return out


@compiled
def spread(out: Words, offset: int, values: Words, factors: Words) -> None:
    """Add factor·value to `out`, from `offset`, for every factor and, under it, every value."""
    size = values.shape[1]
    for b in range(factors.shape[1]):
        x0, x1, x2, x3 = factors[0, b], factors[1, b], factors[2, b], factors[3, b]
        at = np.uint64(offset + b * size)
        for i in range(np.uint64(size)):
            y0, y1, y2, y3 = _product(values[0, i], values[1, i], values[2, i], values[3, i], x0, x1, x2, x3)
            out[0, at + i] = _plus(out[0, at + i], y0)
            out[1, at + i] = _plus(out[1, at + i], y1)
            out[2, at + i] = _plus(out[2, at + i], y2)
            out[3, at + i] = _plus(out[3, at + i], y3)


@compiled
def gather(out: Words, piece: Words, index: NDArray[np.uint32], rows: Words, scale: np.uint32) -> None:
    """Add scale · Σ_p rows[p]·piece[index[p, j]] to out[j]."""
    # What is gathered is laid out first: the product of whole lines is what the compiler can make fast.
    line = np.empty((4, index.shape[1]), np.uint32)
    for p in range(index.shape[0]):
        x0, x1 = _times(rows[0, p], scale), _times(rows[1, p], scale)
        x2, x3 = _times(rows[2, p], scale), _times(rows[3, p], scale)
        for j in range(index.shape[1]):
            at = np.uint64(index[p, j])
            line[0, j], line[1, j], line[2, j], line[3, j] = piece[0, at], piece[1, at], piece[2, at], piece[3, at]
        for j in range(index.shape[1]):
            y0, y1, y2, y3 = _product(line[0, j], line[1, j], line[2, j], line[3, j], x0, x1, x2, x3)
            out[0, j] = _plus(out[0, j], y0)
            out[1, j] = _plus(out[1, j], y1)
            out[2, j] = _plus(out[2, j], y2)
            out[3, j] = _plus(out[3, j], y3)


@compiled
def scatter(out: Words, index: NDArray[np.uint32], rows: Words, columns: Words, scale: np.uint32) -> None:
    """Add scale·rows[p]·columns[j] to out[index[p, j]]."""
    line = np.empty((4, index.shape[1]), np.uint32)
    for p in range(index.shape[0]):
        x0, x1 = _times(rows[0, p], scale), _times(rows[1, p], scale)
        x2, x3 = _times(rows[2, p], scale), _times(rows[3, p], scale)
        for j in range(index.shape[1]):
            line[0, j], line[1, j], line[2, j], line[3, j] = _product(
                columns[0, j], columns[1, j], columns[2, j], columns[3, j], x0, x1, x2, x3
            )
        for j in range(index.shape[1]):
            at = np.uint64(index[p, j])
            out[0, at] = _plus(out[0, at], line[0, j])
            out[1, at] = _plus(out[1, at], line[1, j])
            out[2, at] = _plus(out[2, at], line[2, j])
            out[3, at] = _plus(out[3, at], line[3, j])


# --- sums over a cube ---------------------------------------------------------------------------------------------


@compiled
def folded(values: Words, x: Words, blocks: int) -> Words:
    """Low + x·(high − low) for the two halves of each of so many blocks of every four rows."""
    width = values.shape[1] // blocks
    h = width // 2
    out = np.empty((values.shape[0], blocks * h), np.uint32)
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    for g in range(0, values.shape[0], 4):
        for block in range(blocks):
            low, high, to = np.uint64(block * width), np.uint64(block * width + h), np.uint64(block * h)
            for i in range(np.uint64(h)):
                a0, a1 = values[g, low + i], values[g + 1, low + i]
                a2, a3 = values[g + 2, low + i], values[g + 3, low + i]
                y0, y1, y2, y3 = _product(
                    _minus(values[g, high + i], a0),
                    _minus(values[g + 1, high + i], a1),
                    _minus(values[g + 2, high + i], a2),
                    _minus(values[g + 3, high + i], a3),
                    x0,
                    x1,
                    x2,
                    x3,
                )
                out[g, to + i], out[g + 1, to + i] = _plus(a0, y0), _plus(a1, y1)
                out[g + 2, to + i], out[g + 3, to + i] = _plus(a2, y2), _plus(a3, y3)
    return out


@compiled
def halves_added(values: Words) -> Words:
    """The two halves of an array of extension elements, added."""
    h = values.shape[1] // 2
    out = np.empty((4, h), np.uint32)
    for k in range(4):
        for i in range(h):
            out[k, i] = _plus(values[k, i], values[k, i + h])
    return out


@compiled
def product_round(a: Words, b: Words) -> TwoSums:
    """Of Σ a·b as a quadratic in the first variable: the value at 0, and the leading coefficient."""
    h = a.shape[1] // 2
    s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = np.uint64(0)
    for i in range(h):
        a0, a1, a2, a3 = a[0, i], a[1, i], a[2, i], a[3, i]
        b0, b1, b2, b3 = b[0, i], b[1, i], b[2, i], b[3, i]
        x0, x1, x2, x3 = _product(a0, a1, a2, a3, b0, b1, b2, b3)
        y0, y1, y2, y3 = _product(
            _minus(a[0, i + h], a0),
            _minus(a[1, i + h], a1),
            _minus(a[2, i + h], a2),
            _minus(a[3, i + h], a3),
            _minus(b[0, i + h], b0),
            _minus(b[1, i + h], b1),
            _minus(b[2, i + h], b2),
            _minus(b[3, i + h], b3),
        )
        s0, s1, s2, s3 = s0 + np.uint64(x0), s1 + np.uint64(x1), s2 + np.uint64(x2), s3 + np.uint64(x3)
        t0, t1, t2, t3 = t0 + np.uint64(y0), t1 + np.uint64(y1), t2 + np.uint64(y2), t3 + np.uint64(y3)
    return s0, s1, s2, s3, t0, t1, t2, t3


# --- the tree of fractions ----------------------------------------------------------------------------------------
# A level is (8, 2h): rows of numerators, then of denominators; the first half of columns is p0 and q0, the other one
# p1 and q1.


@compiled
def denominators(level: Words, offset: int, q: Words, a: Words, base: Words, gamma: Words, square: Words) -> None:
    """Base − γ·q − γ²·a into the rows of denominators, from `offset`; no a for an empty one."""
    pairs = a.shape[0] > 0
    for k in range(4):
        for i in range(q.shape[0]):
            level[4 + k, offset + i] = _minus(base[k], _times(gamma[k], q[i]))
        if pairs:
            for i in range(q.shape[0]):
                level[4 + k, offset + i] = _minus(level[4 + k, offset + i], _times(square[k], a[i]))


@compiled
def level_above(level: Words) -> Words:
    """Each fraction added to the one half a level further on."""
    h = level.shape[1] // 2
    out = np.empty((8, h), np.uint32)
    # Two loops: with both in one the compiler has too many arrays to tell apart, and takes one element at a time.
    for i in range(h):
        j = i + h
        x0, x1, x2, x3 = _product(
            *(level[0, i], level[1, i], level[2, i], level[3, i]), *(level[4, j], level[5, j], level[6, j], level[7, j])
        )
        y0, y1, y2, y3 = _product(
            *(level[0, j], level[1, j], level[2, j], level[3, j]), *(level[4, i], level[5, i], level[6, i], level[7, i])
        )
        out[0, i], out[1, i], out[2, i], out[3, i] = _plus(x0, y0), _plus(x1, y1), _plus(x2, y2), _plus(x3, y3)
    for i in range(h):
        j = i + h
        out[4, i], out[5, i], out[6, i], out[7, i] = _product(
            *(level[4, i], level[5, i], level[6, i], level[7, i]), *(level[4, j], level[5, j], level[6, j], level[7, j])
        )
    return out


@compiled
def mix(level: Words, factor: Words) -> None:
    """Add factor·q0 to p0: so p0·q1 + p1·q0 + factor·q0·q1 becomes p0·q1 + p1·q0."""
    x0, x1, x2, x3 = factor[0], factor[1], factor[2], factor[3]
    for i in range(level.shape[1] // 2):
        y0, y1, y2, y3 = _product(level[4, i], level[5, i], level[6, i], level[7, i], x0, x1, x2, x3)
        level[0, i], level[1, i] = _plus(level[0, i], y0), _plus(level[1, i], y1)
        level[2, i], level[3, i] = _plus(level[2, i], y2), _plus(level[3, i], y3)


@compiled
def fraction_round(level: Words, factors: Words) -> TwoSums:
    """Of Σ factor·(p0·q1 + p1·q0) as a quadratic in the first variable: its leading coefficient, and h(1) − h(0)."""
    h = factors.shape[1]
    s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = np.uint64(0)
    for i in range(h):
        j, k, m = i + h, i + 2 * h, i + 3 * h
        a0, a1, a2, a3 = level[0, i], level[1, i], level[2, i], level[3, i]
        c0, c1, c2, c3 = level[4, i], level[5, i], level[6, i], level[7, i]
        b0, b1, b2, b3 = level[0, k], level[1, k], level[2, k], level[3, k]
        d0, d1, d2, d3 = level[4, k], level[5, k], level[6, k], level[7, k]
        p0, p1, p2, p3 = level[0, j], level[1, j], level[2, j], level[3, j]
        q0, q1, q2, q3 = level[4, j], level[5, j], level[6, j], level[7, j]
        u0, u1, u2, u3 = level[0, m], level[1, m], level[2, m], level[3, m]
        v0, v1, v2, v3 = level[4, m], level[5, m], level[6, m], level[7, m]
        e0, e1, e2, e3 = factors[0, i], factors[1, i], factors[2, i], factors[3, i]
        x0, x1, x2, x3 = _product(a0, a1, a2, a3, d0, d1, d2, d3)
        y0, y1, y2, y3 = _product(b0, b1, b2, b3, c0, c1, c2, c3)
        f0, f1, f2, f3 = _plus(x0, y0), _plus(x1, y1), _plus(x2, y2), _plus(x3, y3)
        x0, x1, x2, x3 = _product(p0, p1, p2, p3, v0, v1, v2, v3)
        y0, y1, y2, y3 = _product(u0, u1, u2, u3, q0, q1, q2, q3)
        f0, f1 = _minus(_plus(x0, y0), f0), _minus(_plus(x1, y1), f1)
        f2, f3 = _minus(_plus(x2, y2), f2), _minus(_plus(x3, y3), f3)
        x0, x1, x2, x3 = _product(
            *(_minus(p0, a0), _minus(p1, a1), _minus(p2, a2), _minus(p3, a3)),
            *(_minus(v0, d0), _minus(v1, d1), _minus(v2, d2), _minus(v3, d3)),
        )
        y0, y1, y2, y3 = _product(
            *(_minus(u0, b0), _minus(u1, b1), _minus(u2, b2), _minus(u3, b3)),
            *(_minus(q0, c0), _minus(q1, c1), _minus(q2, c2), _minus(q3, c3)),
        )
        x0, x1, x2, x3 = _product(_plus(x0, y0), _plus(x1, y1), _plus(x2, y2), _plus(x3, y3), e0, e1, e2, e3)
        s0, s1, s2, s3 = s0 + np.uint64(x0), s1 + np.uint64(x1), s2 + np.uint64(x2), s3 + np.uint64(x3)
        x0, x1, x2, x3 = _product(f0, f1, f2, f3, e0, e1, e2, e3)
        t0, t1, t2, t3 = t0 + np.uint64(x0), t1 + np.uint64(x1), t2 + np.uint64(x2), t3 + np.uint64(x3)
    return s0, s1, s2, s3, t0, t1, t2, t3


# --- polynomials --------------------------------------------------------------------------------------------------
# A column is a polynomial; so a transform's inner loop runs over polynomials, which lie side by side.


@compiled
def transform(values: Words, roots: Words, rows: int) -> None:
    """Replace every so many rows by their values at the roots of unity; row i then stands at i's bits reversed.

    The roots are the first half of the powers of ω, in Montgomery form. With those of 1/ω the inverse transform comes
    out, times the count of rows.
    """
    width = values.shape[1]
    for first in range(0, width, _SPAN):
        end = min(width, first + _SPAN)
        for start in range(0, values.shape[0], rows):
            h, step = rows >> 1, 1
            while h:
                for group in range(start, start + rows, 2 * h):
                    for i in range(h):
                        root = roots[i * step]
                        low, high = group + i, group + i + h
                        for c in range(np.uint64(first), np.uint64(end)):
                            a, b = values[low, c], values[high, c]
                            values[low, c] = _plus(a, b)
                            values[high, c] = _times(_minus(a, b), root)
                h >>= 1
                step <<= 1


@compiled
def turned(values: Words) -> Words:
    """The transpose."""
    out = np.empty((values.shape[1], values.shape[0]), np.uint32)
    for first in range(0, values.shape[0], 16):
        end = min(values.shape[0], first + 16)
        for i in range(values.shape[1]):
            for r in range(first, end):
                out[i, r] = values[r, i]
    return out


@compiled
def on_cosets(low: Words, order: NDArray[np.int64], high: Words, lifts: Words, powers: Words, roots: Words) -> Words:
    """Values of polynomials on cosets of the roots of unity: coset c's rows from c·l on, in the order of `transform`.

    Args:
        low: (l, n): coefficient i in row order[i].
        order: of the rows.
        high: (t, n), t at most l: what is added to the coefficients from the first on, times a factor of each coset.
        lifts: those factors, in Montgomery form.
        powers: (cosets, l): powers of each coset's first point, in Montgomery form; also of a factor for all.
        roots: as `transform` has them.
    """
    size, width = low.shape
    cosets = powers.shape[0]
    out = np.empty((cosets * size, width), np.uint32)
    for coset in range(cosets):
        lift = lifts[coset]
        for i in range(size):
            power, to, at = powers[coset, i], coset * size + i, order[i]
            if i < high.shape[0]:
                for c in range(width):
                    out[to, c] = _times(power, _plus(low[at, c], _times(lift, high[i, c])))
            else:
                for c in range(width):
                    out[to, c] = _times(power, low[at, c])
    transform(out, roots, size)
    return out


@compiled
def rows_multiplied(a: Words, b: Words) -> Words:
    """Σ a·b of the extension elements in each row, four columns each; plain forms times Montgomery's."""
    out = np.empty((a.shape[0], 4), np.uint32)
    for r in range(a.shape[0]):
        s0 = s1 = s2 = s3 = np.uint32(0)
        for c in range(0, a.shape[1], 4):
            x0, x1, x2, x3 = _product(
                *(a[r, c], a[r, c + 1], a[r, c + 2], a[r, c + 3]), *(b[r, c], b[r, c + 1], b[r, c + 2], b[r, c + 3])
            )
            s0, s1, s2, s3 = _plus(s0, x0), _plus(s1, x1), _plus(s2, x2), _plus(s3, x3)
        out[r, 0], out[r, 1], out[r, 2], out[r, 3] = s0, s1, s2, s3
    return out
