"""Field elements between Python's integers and arrays.

What is said in a proof are a few elements, which Python's integers hold; what they are made of are arrays.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.kernels import R_INVERSE, R, Sums, TwoSums, Words
from paraph.proofs.zk.field import GENERATOR, Ext, P, root_of_unity

Indices: TypeAlias = NDArray[np.int64]
_EXTENSION: Final = Struct("<4I")


def mont(value: int) -> int:
    """An integer in Montgomery form."""
    return value * R % P


def array(element: Ext) -> Words:
    """One element, in Montgomery form."""
    a, b, c, d = element
    return np.array((a * R % P, b * R % P, c * R % P, d * R % P), np.uint32)


def arrays(elements: Sequence[Ext]) -> Words:
    """Elements as an array of shape (count, 4), in Montgomery form."""
    return np.array([[each * R % P for each in element] for element in elements], np.uint32).reshape(-1, 4)


def columns(elements: Sequence[Ext]) -> Words:
    """Elements as an array of shape (4, count), in Montgomery form."""
    return np.ascontiguousarray(arrays(elements).T)


def element(sums: Sums | Words) -> Ext:
    """The element of an unreduced sum, or of an array of four, in Montgomery form."""
    a, b, c, d = sums
    return (
        int(a) * R_INVERSE % P,
        int(b) * R_INVERSE % P,
        int(c) * R_INVERSE % P,
        int(d) * R_INVERSE % P,
    )


def two_elements(sums: TwoSums) -> tuple[Ext, Ext]:
    """Both."""
    return element(sums[:4]), element(sums[4:])


def packed(value: Ext) -> bytes:
    """An element's bytes."""
    return _EXTENSION.pack(*value)


@lru_cache(64)
def powers(base: int, count: int, first: int = 1) -> Words:
    """first·base^i for every i below the count, in Montgomery form."""
    found, power = [], first * R % P
    for _ in range(count):
        found.append(power)
        power = power * base % P
    return np.array(found, np.uint32)


@lru_cache(32)
def roots(bits: int, *, inverse: bool = False) -> Words:
    """What a transform of 2^bits rows takes: the first half of the powers of its root of unity."""
    root = root_of_unity(bits)
    return powers(pow(root, -1, P) if inverse else root, max(1, 1 << bits >> 1))


@lru_cache(32)
def reversed_order(bits: int) -> Indices:
    """Every index of so many bits with its bits in reverse."""
    found = np.zeros(1, np.int64)
    for _ in range(bits):
        found = np.concatenate((2 * found, 2 * found + 1))
    return found


def random_elements(count: int) -> Words:
    """Base elements that nobody can guess, uniform: words of the system's randomness that are below p."""
    found = np.empty(0, np.uint32)
    while len(found) < count:
        # A sixteenth of the words is not below p.
        words = np.frombuffer(os.urandom(4 * (count + count // 8 + 16)), np.uint32) & np.uint32(0x7FFF_FFFF)
        found = np.concatenate((found, words[words < P]))
    return found[:count]


def coset_shift(bits: int, coset: int) -> int:
    """The first point of a coset of H within D: 31·ω^coset, ω of order 2^bits."""
    return GENERATOR * pow(root_of_unity(bits), coset, P) % P
