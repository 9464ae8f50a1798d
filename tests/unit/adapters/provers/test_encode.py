"""Codewords, commitments and openings are those of the specification's own arithmetic."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraph.adapters.provers.encode import committed, encoded, evaluated, interpolated, places, recovered
from paraph.adapters.provers.kernels import Words
from paraph.core.errors import BrokenTruth
from paraph.proofs.zk import columns, field
from paraph.proofs.zk.field import P


def some(*shape: int, seed: int = 1) -> Words:
    """Elements that follow from a seed."""
    return np.random.default_rng(seed).integers(0, P, shape).astype(np.uint32)


@pytest.mark.parametrize(("line", "tail"), [(256, 0), (256, 137), (512, 1), (1024, 160)])
def test_codewords(line: int, tail: int) -> None:
    """A row's codeword, with its randomness and without."""
    lines, tails = some(3, line), some(3, tail, seed=2)

    found = encoded(lines, tails)[places(4 * line)]

    for row in range(3):
        wanted = columns.codeword(lines[row].tolist(), tails[row].tolist(), (4 * line).bit_length() - 1)
        assert found[:, row].tolist() == wanted


@pytest.mark.parametrize("tail", [0, 1, 255, 256])
def test_codewords_of_polynomials(tail: int) -> None:
    """A polynomial given by its coefficients."""
    coefficients = some(2, 256 + tail)

    found = evaluated(coefficients, 8)[places(1024)]

    for row in range(2):
        assert found[:, row].tolist() == field.evaluate(coefficients[row].tolist(), 10)


def test_randomness_longer_than_a_row_is_ours_to_prevent() -> None:
    """No model has more opened columns than places in a row."""
    with pytest.raises(BrokenTruth):
        encoded(some(1, 256), some(1, 257))


def test_interpolated() -> None:
    """The polynomial through a row's values."""
    lines = some(5, 256)

    assert interpolated(lines).tolist() == [field.interpolate(line) for line in lines.tolist()]


@pytest.mark.parametrize("cosets", [1, 2, 3, 4])
def test_recovered(cosets: int) -> None:
    """A polynomial comes back from as many cosets as it is times as long as one."""
    coefficients = some(4, cosets * 256)
    values = np.array([field.evaluate(row, 10) for row in coefficients.tolist()], np.uint32).T
    lines = np.empty_like(values)
    lines[places(1024)] = values

    assert (recovered(np.ascontiguousarray(lines[: cosets * 256]), 8) == coefficients).all()


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 1023), min_size=1, max_size=150), st.booleans())
def test_opened_columns_lead_to_the_root(indices: set[int], salted: bool) -> None:
    """A reader of an opening finds each column's entries, and with the hashes it is given the root."""
    lines = some(2, 256)
    salts = some(1024, 4, seed=3).tobytes() if salted else b""
    tree = committed(encoded(lines, np.empty((2, 0), np.uint32)), salts)
    rows = [columns.codeword(row, (), 10) for row in lines.tolist()]
    chosen = sorted(indices)
    data = tree.opened(chosen)
    at, leaves = 0, {}

    for index in chosen:
        salt, at = data[at : at + 16 * salted], at + 16 * salted
        assert salt == (salts[16 * index : 16 * index + 16])
        assert columns.entries(data[at : at + 8]) == [row[index] for row in rows]
        leaves[index], at = columns.leaf(salt, data[at : at + 8]), at + 8

    def lacking() -> Iterator[bytes]:
        yield from (data[start : start + 32] for start in range(at, len(data), 32))

    hashes = lacking()
    assert columns.root(leaves, 10, lambda: next(hashes)) == tree.root
    assert next(hashes, None) is None
