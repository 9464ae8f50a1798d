"""The rows that a proof commits: the witness vector, and in mode 2 pads, masks and the randomness of all of them.

Specified in docs/spec/zk.md, sections 6 and 9.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paraph.adapters.provers.elements import random_elements
from paraph.adapters.provers.encode import Committed, committed, encoded, evaluated
from paraph.adapters.provers.kernels import Words, reduced
from paraph.adapters.provers.weights import Integers
from paraph.proofs.zk.columns import seeded_tail
from paraph.proofs.zk.field import Ext, mul
from paraph.proofs.zk.plan import HASH_BYTES, MASK_ROWS, PRODUCTS_PER_LEVEL, SALT_BYTES, Plan
from paraph.proofs.zk.statement import Mode


@dataclass(frozen=True, slots=True)
class Rows:
    """What is committed, all of it plain.

    Args:
        nonce: the proof's own in mode 2, empty in mode 1.
        pads: those of messages, then three for each product; none in mode 1.
        lines: (rows, ℓ): the witness vector's rows, then the pads'.
        tails: (rows, T): their randomness.
        masks: (4, k) each: the coefficients of three random polynomials; none in mode 1.
        committed: the codewords and their tree.
    """

    nonce: bytes
    pads: tuple[Ext, ...]
    lines: Words
    tails: Words
    masks: tuple[Words, ...]
    committed: Committed


def commit(layout: Plan, vector: Integers, seeds: Sequence[bytes] | None) -> Rows:
    """Commit a witness vector.

    Args:
        layout: of the proof.
        vector: as far as its rows reach.
        seeds: one of each request, in mode 2.
    """
    lines = reduced(vector).reshape(-1, layout.line)
    if layout.mode is Mode.SUCCINCT or seeds is None:
        tails = np.empty((len(lines), 0), np.uint32)
        return Rows(b"", (), lines, tails, (), committed(encoded(lines, tails)))
    nonce = os.urandom(HASH_BYTES)
    pads = _pads(layout)
    lines = np.concatenate((lines, _pad_lines(layout, pads)))
    tails = random_elements(len(lines) * layout.tail).reshape(-1, layout.tail)
    _seed(layout, tails, seeds, nonce)
    polynomials = random_elements(MASK_ROWS * layout.degree).reshape(MASK_ROWS, layout.degree)
    masks = evaluated(polynomials, layout.line.bit_length() - 1)
    codewords = np.concatenate((encoded(lines, tails), masks), axis=1)
    salts = os.urandom(SALT_BYTES * layout.codeword)
    three = tuple(polynomials[at : at + 4] for at in range(0, MASK_ROWS, 4))
    return Rows(nonce, pads, lines, tails, three, committed(codewords, salts))


def product_pads(number: int) -> tuple[int, int]:
    """The pads of a product's factors: the last four messages of a level of the tree are p0, p1, q0, q1."""
    level, which = divmod(number, PRODUCTS_PER_LEVEL)
    # One message before the tree; two for each variable of a level, and four.
    p0 = 1 + level * (level - 1) + 4 * level + 2 * level
    return ((p0, p0 + 3), (p0 + 1, p0 + 2), (p0 + 2, p0 + 3))[which]


def _pads(layout: Plan) -> tuple[Ext, ...]:
    drawn = random_elements(4 * (layout.messages + layout.products)).reshape(-1, 4).tolist()
    found: list[Ext] = [(a, b, c, d) for a, b, c, d in drawn]
    found, own = found[: layout.messages], found[layout.messages :]
    for number, a in enumerate(own):
        x, y = product_pads(number)
        found += [mul(found[x], found[y]), a, mul(a, found[y])]
    return tuple(found)


def _pad_lines(layout: Plan, pads: Sequence[Ext]) -> Words:
    """Four rows for each group, one for each coefficient."""
    found = np.zeros((layout.pad_groups * layout.line, 4), np.uint32)
    found[: len(pads)] = pads
    return np.ascontiguousarray(found.reshape(-1, layout.line, 4).transpose(0, 2, 1)).reshape(-1, layout.line)


def _seed(layout: Plan, tails: Words, seeds: Sequence[bytes], nonce: bytes) -> None:
    """The randomness of requests' rows, which those who asked can make again."""
    rows = (1 << layout.block_bits) // layout.line
    first = layout.blocks.offset // layout.line
    for number, seed in enumerate(seeds):
        for row in range(rows):
            tails[first + number * rows + row] = seeded_tail(seed, nonce, row, layout.tail)
