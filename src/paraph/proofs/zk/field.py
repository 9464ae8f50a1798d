"""BabyBear and its extension of degree four, on Python's integers.

Base: integers modulo p = 2^31 − 2^27 + 1. Extension: polynomials modulo X^4 − 11, as four coefficients from low to
high. Slow and plain: this is what faster arithmetic is judged by. Specified in docs/spec/zk.md, section 2.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from paraph.core.errors import must

P: Final = 2**31 - 2**27 + 1
GENERATOR: Final = 31
"""Generates the multiplicative group, of order 2^27 · 15."""
NON_RESIDUE: Final = 11
ELEMENT_BYTES: Final = 4
EXTENSION_BYTES: Final = 16
ROOT_BITS_MAX: Final = 27

Ext: TypeAlias = tuple[int, int, int, int]
ZERO: Final[Ext] = (0, 0, 0, 0)
ONE: Final[Ext] = (1, 0, 0, 0)


def root_of_unity(bits: int) -> int:
    """ω of order 2^bits. At most 27 bits."""
    must(0 <= bits <= ROOT_BITS_MAX, "the field has roots of unity of this order")
    return pow(GENERATOR, (P - 1) >> bits, P)


def lift(value: int) -> Ext:
    """An integer as an element of the extension."""
    return (value % P, 0, 0, 0)


def add(a: Ext, b: Ext) -> Ext:
    """The sum a + b."""
    return ((a[0] + b[0]) % P, (a[1] + b[1]) % P, (a[2] + b[2]) % P, (a[3] + b[3]) % P)


def sub(a: Ext, b: Ext) -> Ext:
    """The difference a − b."""
    return ((a[0] - b[0]) % P, (a[1] - b[1]) % P, (a[2] - b[2]) % P, (a[3] - b[3]) % P)


def scale(a: Ext, k: int) -> Ext:
    """The product k·a with an integer k."""
    return (a[0] * k % P, a[1] * k % P, a[2] * k % P, a[3] * k % P)


def mul(a: Ext, b: Ext) -> Ext:
    """The product a·b."""
    a0, a1, a2, a3 = a
    b0, b1, b2, b3 = b
    return (
        (a0 * b0 + NON_RESIDUE * (a1 * b3 + a2 * b2 + a3 * b1)) % P,
        (a0 * b1 + a1 * b0 + NON_RESIDUE * (a2 * b3 + a3 * b2)) % P,
        (a0 * b2 + a1 * b1 + a2 * b0 + NON_RESIDUE * a3 * b3) % P,
        (a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0) % P,
    )


def total(terms: Iterable[Ext]) -> Ext:
    """The sum of all."""
    s0 = s1 = s2 = s3 = 0
    for t0, t1, t2, t3 in terms:
        s0, s1, s2, s3 = s0 + t0, s1 + t1, s2 + t2, s3 + t3
    return (s0 % P, s1 % P, s2 % P, s3 % P)


def weighted(values: Iterable[int], weights: Iterable[Ext]) -> Ext:
    """Σ value·weight for integers and elements, as many of both."""
    s0 = s1 = s2 = s3 = 0
    for value, (w0, w1, w2, w3) in zip(values, weights, strict=True):
        if value:
            s0, s1, s2, s3 = s0 + value * w0, s1 + value * w1, s2 + value * w2, s3 + value * w3
    return (s0 % P, s1 % P, s2 % P, s3 % P)


def inner(a: Iterable[Ext], b: Iterable[Ext]) -> Ext:
    """Σ a·b, as many of both."""
    return total(mul(x, y) for x, y in zip(a, b, strict=True))


def powers(base: Ext, count: int) -> list[Ext]:
    """So many powers of `base`, from 1."""
    found = [ONE]
    while len(found) < count:
        found.append(mul(found[-1], base))
    return found[:count]


# --- multilinear extensions: points have the most significant bit's coordinate first -------------------------------


def eq_table(point: Sequence[Ext]) -> list[Ext]:
    """eq(point, i) for every index i."""
    table = [ONE]
    for r in point:
        high = [mul(each, r) for each in table]
        table = [value for low, up in zip(table, high, strict=True) for value in (sub(low, up), up)]
    return table


def eq_at(point: Sequence[Ext], index: int) -> Ext:
    """eq(point, index)."""
    found = ONE
    for place, r in enumerate(reversed(point)):
        found = mul(found, r if index >> place & 1 else sub(ONE, r))
    return found


def eq_points(a: Sequence[Ext], b: Sequence[Ext]) -> Ext:
    """eq(a, b) of two points: the product of 1 − x − y + 2xy over the coordinates."""
    found = ONE
    for x, y in zip(a, b, strict=True):
        both = mul(x, y)
        found = mul(found, add(sub(sub(ONE, x), y), add(both, both)))
    return found


def prefix(point: Sequence[Ext], count: int) -> Ext:
    """Σ eq(point, i) over i < count, with 0 ≤ count ≤ 2^len(point)."""
    if count >> len(point):
        return ONE
    found, path = ZERO, ONE
    for place, r in zip(reversed(range(len(point))), point, strict=True):
        stay = mul(path, sub(ONE, r))
        if count >> place & 1:
            found, path = add(found, stay), mul(path, r)
        else:
            path = stay
    return found


def identity(point: Sequence[Ext]) -> Ext:
    """The extension of 0, 1, 2, … at the point."""
    return total(scale(r, 1 << place) for place, r in enumerate(reversed(point)))


# --- polynomials ---------------------------------------------------------------------------------------------------


@lru_cache(64)
def _roots(bits: int, inverse: bool) -> tuple[int, ...]:
    root = root_of_unity(bits)
    root = pow(root, -1, P) if inverse else root
    found = [1]
    for _ in range((1 << bits >> 1) - 1):
        found.append(found[-1] * root % P)
    return tuple(found)


def _transformed(values: Sequence[int], *, inverse: bool) -> list[int]:
    size = len(values)
    bits = size.bit_length() - 1
    must(1 << bits == size, "a transform has a power of two of values")
    turned = [0] * size
    for index, value in enumerate(values):
        turned[int(f"{index:0{bits}b}"[::-1], 2) if bits else 0] = value
    for level in range(1, bits + 1):
        half, roots = 1 << level - 1, _roots(level, inverse)
        for start in range(0, size, 2 * half):
            for place in range(half):
                low, up = turned[start + place], turned[start + place + half] * roots[place]
                turned[start + place], turned[start + place + half] = (low + up) % P, (low - up) % P
    return turned


def interpolate(values: Sequence[int]) -> list[int]:
    """Coefficients, from low to high, of the polynomial with these values at ω^0, ω^1 and so on; its degree is less."""
    shrink = pow(len(values), -1, P)
    return [value * shrink % P for value in _transformed(values, inverse=True)]


def evaluate(coefficients: Sequence[int], bits: int) -> list[int]:
    """The polynomial's values at 31·ω^0, 31·ω^1 and so on, for ω of order 2^bits."""
    must(len(coefficients) <= 1 << bits, "a codeword is at least as long as its polynomial")
    shifted, power = [0] * (1 << bits), 1
    for place, each in enumerate(coefficients):
        shifted[place] = each * power % P
        power = power * GENERATOR % P
    return _transformed(shifted, inverse=False)


def columns(values: Sequence[Ext]) -> tuple[list[int], list[int], list[int], list[int]]:
    """The four coefficients of every element, each in a list of its own."""
    return (
        [each[0] for each in values],
        [each[1] for each in values],
        [each[2] for each in values],
        [each[3] for each in values],
    )


def interpolate_ext(values: Sequence[Ext]) -> list[Ext]:
    """As `interpolate`, over the extension."""
    return list(zip(*map(interpolate, columns(values)), strict=True))


def evaluate_ext(coefficients: Sequence[Ext], bits: int) -> list[Ext]:
    """As `evaluate`, over the extension."""
    return list(zip(*(evaluate(each, bits) for each in columns(coefficients)), strict=True))


# --- bytes ---------------------------------------------------------------------------------------------------------


def to_bytes(element: Ext) -> bytes:
    """The 16 bytes of an element."""
    return b"".join(each.to_bytes(ELEMENT_BYTES, "little") for each in element)


def from_bytes(data: bytes) -> Ext | None:
    """The element of 16 bytes, or None when they are not canonical."""
    found = tuple(int.from_bytes(data[at : at + ELEMENT_BYTES], "little") for at in range(0, EXTENSION_BYTES, 4))
    return None if max(found) >= P else (found[0], found[1], found[2], found[3])
