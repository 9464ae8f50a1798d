"""A matrix of rows, encoded and committed: codewords side by side, a hash for each column, a tree over these.

A column is what is hashed and opened, so the codewords lie column by column; a transform likes that as well.
Specified in docs/spec/zk.md, section 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np

from paraph.adapters.provers.elements import Indices, coset_shift, mont, powers, reversed_order, roots
from paraph.adapters.provers.kernels import R, Words, on_cosets, transform, turned
from paraph.core.errors import must
from paraph.core.ident import Digest
from paraph.proofs.zk.field import P
from paraph.proofs.zk.plan import RATE_BITS, SALT_BYTES

COSETS = 1 << RATE_BITS
"""Of H, that make up D."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A matrix whose root is known to others.

    Args:
        codewords: plain, one line for each column, in the order of `places`.
        salts: of all columns, one after the other; empty for none.
        levels: hashes of the tree, the leaves first.
    """

    codewords: Words
    salts: bytes
    levels: tuple[list[bytes], ...]

    @property
    def root(self) -> Digest:
        """What others know."""
        return Digest(self.levels[-1][0])

    def opened(self, chosen: Sequence[int]) -> bytes:
        """The columns of these indices, which rise, and the hashes that a reader lacks."""
        where = places(len(self.codewords))
        parts = []
        for index in chosen:
            parts.append(self.salts[SALT_BYTES * index : SALT_BYTES * (index + 1)])
            parts.append(self.codewords[where[index]].tobytes())
        known = list(chosen)
        for level in self.levels[:-1]:
            there = set(known)
            parts += [level[index ^ 1] for index in known if index ^ 1 not in there]
            known = sorted({index >> 1 for index in known})
        return b"".join(parts)


def committed(codewords: Words, salts: bytes = b"") -> Committed:
    """The commitment to codewords as `encoded` and `evaluated` give them."""
    size = 4 * codewords.shape[1]
    data = codewords.tobytes()
    leaves = []
    for index, place in enumerate(places(len(codewords)).tolist()):
        salt = salts[SALT_BYTES * index : SALT_BYTES * (index + 1)]
        leaves.append(sha256(b"\0" + salt + data[size * place : size * (place + 1)]).digest())
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = zip(below[::2], below[1::2], strict=True)
        levels.append([sha256(b"\1" + left + right).digest() for left, right in pairs])
    return Committed(codewords, salts, tuple(levels))


def encoded(lines: Words, tails: Words, cosets: int = COSETS) -> Words:
    """Codewords of rows, in the form of the rows.

    Args:
        lines: (rows, ℓ): values on H.
        tails: (rows, T): coefficients of R; T may be 0.
        cosets: how many of D's four are wanted.
    """
    size = lines.shape[1]
    bits = size.bit_length() - 1
    must(tails.shape[1] <= size, "a row's randomness is shorter than the row")
    low = turned(lines)
    transform(low, roots(bits, inverse=True), size)
    ends = [pow(coset_shift(bits + RATE_BITS, coset), size, P) for coset in range(cosets)]
    lifts = np.array([mont(size * (end - 1)) for end in ends], np.uint32)
    shrink = pow(size, -1, P)
    return on_cosets(
        low,
        reversed_order(bits),
        turned(tails),
        lifts,
        shifts(bits, cosets, shrink),
        roots(bits),
    )


def evaluated(coefficients: Words, bits: int) -> Words:
    """Codewords of polynomials of at most 2^(bits + 2) coefficients, (polynomials, coefficients), in their form."""
    size = 1 << bits
    parts = [coefficients[:, at : at + size].astype(np.uint64) for at in range(0, coefficients.shape[1], size)]
    no_tails, no_lifts = np.empty((0, len(coefficients)), np.uint32), np.empty(1, np.uint32)
    found = []
    for coset in range(COSETS):
        # X^ℓ is the same at all points of a coset, so that a polynomial is as short as ℓ there.
        end = pow(coset_shift(bits + RATE_BITS, coset), size, P)
        short = np.zeros((len(coefficients), size), np.uint64)
        for number, part in enumerate(parts):
            own = short[:, : part.shape[1]]
            own[:] = (own + part * np.uint64(pow(end, number, P))) % np.uint64(P)
        low, steps = turned(short.astype(np.uint32)), shifts(bits, COSETS)[coset : coset + 1]
        found.append(on_cosets(low, np.arange(size), no_tails, no_lifts, steps, roots(bits)))
    return np.concatenate(found)


def recovered(values: Words, bits: int) -> Words:
    """Coefficients, (4, cosets·2^bits), of a polynomial with these values, (lines, 4), on the first cosets of H.

    On one coset a polynomial of more than 2^bits coefficients looks like one of 2^bits, whose coefficients are sums of
    some of its own; as many cosets as sums tell them apart.
    """
    size = 1 << bits
    cosets = len(values) >> bits
    ends = [pow(coset_shift(bits + RATE_BITS, coset), size, P) for coset in range(cosets)]
    order = reversed_order(bits)
    sums = []
    for coset in range(cosets):
        line = values[coset << bits : (coset + 1) << bits][order]
        transform(line, roots(bits, inverse=True), size)
        shift = powers(pow(coset_shift(bits + RATE_BITS, coset), -1, P), size, pow(size * R, -1, P))
        sums.append(line[order].astype(np.uint64) * shift[:, None] % np.uint64(P))
    found = np.zeros((cosets, size, 4), np.uint64)
    for place, row in enumerate(_inverse_of_powers(ends)):
        for factor, each in zip(row, sums, strict=True):
            found[place] = (found[place] + each * np.uint64(factor)) % np.uint64(P)
    return np.ascontiguousarray(found.reshape(-1, 4).astype(np.uint32).T)


def _inverse_of_powers(points: Sequence[int]) -> list[list[int]]:
    """Of the matrix whose row for a point holds its powers: column by column the coefficients of Lagrange's bases."""
    count = len(points)
    found = [[0] * count for _ in range(count)]
    for number, point in enumerate(points):
        basis = [1]
        for other in points:
            if other != point:
                shrink = pow(point - other, -1, P)
                down = [-each * other for each in basis] + [0]
                up = [0, *basis]
                basis = [(a + b) * shrink % P for a, b in zip(down, up, strict=True)]
        for place, each in enumerate(basis):
            found[place][number] = each
    return found


def interpolated(lines: Words) -> Words:
    """Coefficients, (rows, ℓ), of the polynomials with these values on H; both in the form of the lines."""
    size = lines.shape[1]
    bits = size.bit_length() - 1
    low = turned(lines)
    transform(low, roots(bits, inverse=True), size)
    shrink = pow(size, -1, P)
    found = low[reversed_order(bits)].astype(np.uint64).T * np.uint64(shrink) % np.uint64(P)
    return np.ascontiguousarray(found.astype(np.uint32))


def places(codeword: int) -> Indices:
    """For each column, in which line of `encoded`'s array it stands."""
    return _places(codeword.bit_length() - 1 - RATE_BITS)


@lru_cache(16)
def _places(bits: int) -> Indices:
    index = np.arange(1 << bits + RATE_BITS)
    found: Indices = (index % COSETS << bits) + reversed_order(bits)[index >> RATE_BITS]
    return found


@lru_cache(16)
def shifts(bits: int, cosets: int, factor: int = 1) -> Words:
    """factor·g^i, in Montgomery form: a line for each coset's first point g, a column for each i below 2^bits."""
    return np.stack([powers(coset_shift(bits + RATE_BITS, coset), 1 << bits, factor) for coset in range(cosets)])
