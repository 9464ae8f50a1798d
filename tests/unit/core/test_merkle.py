"""Merkle trees: known roots, and every proof of every small tree, inclusion and consistency, with lies beside it."""

from functools import cache

import pytest

from paraph.core.errors import BrokenTruth
from paraph.core.ident import Digest
from paraph.core.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    consistent,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    root_from_inclusion,
)

CT_LEAVES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The leaves and roots by which Certificate Transparency's implementations check themselves."""

CT_PATH_0_OF_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
CT_CONSISTENCY_6_OF_8 = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]

SIZE_MAX = 64
LEAVES = [bytes((index,)) for index in range(SIZE_MAX)]
LIE = Digest(b"\xff" * 32)


@cache
def reference(start: int, stop: int) -> bytes:
    """MTH of RFC 6962 section 2.1, word by word: split at the largest power of two below the size."""
    if stop - start == 1:
        return leaf_hash(LEAVES[start])
    split = 1
    while split * 2 < stop - start:
        split *= 2
    return node_hash(reference(start, start + split), reference(start + split, stop))


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    """Roots are those of Certificate Transparency."""
    assert root(CT_LEAVES[:size]).hex() == CT_ROOTS[size]


def test_known_proofs() -> None:
    """Proofs are those of Certificate Transparency."""
    assert [each.hex() for each in inclusion_proof(CT_LEAVES, 0)] == CT_PATH_0_OF_8
    assert [each.hex() for each in consistency_proof(CT_LEAVES, 6)] == CT_CONSISTENCY_6_OF_8


def test_roots_are_those_of_the_rfc() -> None:
    """Building level by level gives what the RFC's recursion gives, for every size."""
    assert root([]) == EMPTY_ROOT
    assert all(root(LEAVES[:size]) == reference(0, size) for size in range(1, SIZE_MAX + 1))


def test_levels_are_apart() -> None:
    """A leaf that holds two hashes is not the node over them."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")

    assert leaf_hash(left + right) != node_hash(left, right)


def test_every_inclusion_verifies() -> None:
    """Every leaf of every tree leads to its root, and to no other root from another leaf, place or size."""
    for size in range(1, SIZE_MAX + 1):
        expected = reference(0, size)
        for index in range(size):
            path = inclusion_proof(LEAVES[:size], index)
            assert root_from_inclusion(LEAVES[index], index, size, path) == expected
            assert root_from_inclusion(b"lie", index, size, path) != expected
            assert root_from_inclusion(LEAVES[index], index, size, (*path, LIE)) is None
            assert not path or root_from_inclusion(LEAVES[index], index, size, path[:-1]) is None
            for place in {index ^ 1, index + 1, index - 1, size - 1 - index} - {index}:
                assert root_from_inclusion(LEAVES[index], place, size, path) != expected
            for at in range(len(path)):
                assert root_from_inclusion(LEAVES[index], index, size, (*path[:at], LIE, *path[at + 1 :])) != expected


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 1), (1, 1), (5, 5), (2**70, 3)])
def test_place_outside_is_no_place(index: int, size: int) -> None:
    """A leaf outside the tree leads to no root."""
    assert root_from_inclusion(b"", index, size, ()) is None


def test_huge_size_ends() -> None:
    """A claimed size of 2^256 is answered at once."""
    assert root_from_inclusion(b"", 0, 2**256, ()) is None


def test_every_consistency_verifies() -> None:
    """Every tree extends every smaller one, and no lie about either verifies."""
    for size in range(1, SIZE_MAX + 1):
        new = reference(0, size)
        for old_size in range(1, size + 1):
            old = reference(0, old_size)
            proof = consistency_proof(LEAVES[:size], old_size)
            assert consistent(old, old_size, new, size, proof)
            assert not consistent(LIE, old_size, new, size, proof)
            assert not consistent(old, old_size, LIE, size, proof)
            assert not consistent(old, old_size, new, size, (*proof, LIE))
            assert not consistent(old, old_size + 1, new, size, proof)
            assert not consistent(old, old_size, new, size + SIZE_MAX * 2, proof)
            if proof:
                assert not consistent(old, old_size, new, size, proof[:-1])
                assert not consistent(old, old_size, new, size, proof[1:])
            for at in range(len(proof)):
                assert not consistent(old, old_size, new, size, (*proof[:at], LIE, *proof[at + 1 :]))


def test_rewritten_history_is_inconsistent() -> None:
    """Where an old leaf was changed, no proof made from the new tree verifies against the old root."""
    for size in range(2, 20):
        for old_size in range(1, size):
            for changed in range(old_size):
                forged = [*LEAVES[:changed], b"changed", *LEAVES[changed + 1 : size]]
                proof = consistency_proof(forged, old_size)
                assert not consistent(reference(0, old_size), old_size, root(forged), size, proof)


@pytest.mark.parametrize(("old_size", "size"), [(0, 0), (0, 4), (5, 4), (-1, 4)])
def test_sizes_out_of_order_are_inconsistent(old_size: int, size: int) -> None:
    """Nothing extends the empty tree by a proof, and nothing shrinks."""
    assert not consistent(EMPTY_ROOT, old_size, EMPTY_ROOT, size, ())


def test_proofs_are_made_of_what_is_there() -> None:
    """A proof for what is not in the tree is our fault."""
    for index in (-1, 2):
        with pytest.raises(BrokenTruth):
            inclusion_proof(LEAVES[:2], index)
    for old_size in (0, 3):
        with pytest.raises(BrokenTruth):
            consistency_proof(LEAVES[:2], old_size)
