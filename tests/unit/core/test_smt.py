"""State proofs: what they show, and every lie beside it."""

import pytest
from tests.support.build import Tree

from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.ident import ZERO_DIGEST, to_hex
from paraph.core.smt import EMPTY, StateProof, bit, inner_hash, leaf_hash, proof_from_json, proves

LIE = sha256(b"lie")


def tree_of(count: int) -> Tree:
    tree = Tree()
    tree.put({bytes((each,)): b"value %d" % each for each in range(count)})
    return tree


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_presence_and_absence_are_shown(count: int) -> None:
    """Each key that is there is shown with its value and no other; each that is not is shown to be absent."""
    tree = tree_of(count)

    for each in range(64):
        key, value = bytes((each,)), b"value %d" % each
        proof = tree.prove(key)
        assert proves(tree.root, key, value, proof) == (each < count)
        assert proves(tree.root, key, None, proof) == (each >= count)
        assert not proves(tree.root, key, b"other", proof)
        assert not proves(LIE, key, value, proof)
        assert not proves(LIE, key, None, proof)
        assert not proves(tree.root, b"another key", value, proof)


def test_every_part_of_a_proof_matters() -> None:
    """A proof changed, cut or extended anywhere shows nothing."""
    tree = tree_of(40)
    for each in range(64):
        key, proof = bytes((each,)), tree.prove(bytes((each,)))
        value = b"value %d" % each if each < 40 else None
        hashes = proof.siblings
        changed = [StateProof((*hashes[:at], LIE, *hashes[at + 1 :]), proof.other) for at in range(len(hashes))]
        changed += [
            StateProof(hashes[1:], proof.other),
            StateProof(hashes[:-1], proof.other),
            StateProof((ZERO_DIGEST, *hashes), proof.other),
            StateProof((*hashes, ZERO_DIGEST), proof.other),
            StateProof(hashes, b"" if proof.other else sha256(b"x") * 2),
            StateProof(hashes, proof.other[:32]) if proof.other else StateProof(hashes, bytes(64)),
        ]

        assert not any(proves(tree.root, key, value, lie) for lie in changed)


def test_a_leaf_in_the_way_must_be_in_the_way() -> None:
    """Absence is not shown by a leaf of the key itself, nor by one whose path is not shared."""
    tree = tree_of(2)
    root, key = tree.root, b"\x00"
    own = sha256(key) + sha256(b"value 0")
    others = sha256(b"\x01") + sha256(b"value 1")

    assert proves(root, key, b"value 0", tree.prove(key))
    assert not proves(root, key, None, StateProof(tree.prove(key).siblings, own))
    assert not proves(root, key, None, StateProof(tree.prove(b"\x01").siblings, others))


@pytest.mark.parametrize("size", [1, 31, 32, 33, 63, 65, 128])
def test_a_leaf_of_another_length_shows_nothing(size: int) -> None:
    """An `other` that is not 64 bytes is refused without a stumble, at any depth, even where it begins as the path."""
    for depth in (0, 1, 8, 255, 256):
        for leaf in (bytes(size), (sha256(b"key") * 4)[:size]):
            assert not proves(LIE, b"key", None, StateProof((LIE,) * depth, leaf))


def test_depth_is_bounded() -> None:
    """A way of 256 steps is walked; a longer one is refused."""
    path, value_hash = sha256(b"key"), sha256(b"value")
    root = leaf_hash(path, value_hash)
    for depth in range(255, -1, -1):
        root = inner_hash(LIE, root) if bit(path, depth) else inner_hash(root, LIE)

    assert proves(root, b"key", b"value", StateProof((LIE,) * 256))
    assert not proves(root, b"key", b"value", StateProof((LIE,) * 257))


def test_empty_tree_holds_nothing() -> None:
    """Under the empty root every key is absent and none is present."""
    assert proves(EMPTY, b"key", None, StateProof(()))
    assert not proves(EMPTY, b"key", b"", StateProof(()))


def test_bits_run_from_the_left() -> None:
    """Bit 0 is the most significant of the first byte, bit 255 the least of the last."""
    path = b"\x80" + bytes(30) + b"\x01"

    assert [depth for depth in range(256) if bit(path, depth)] == [0, 255]


def test_proof_round_trips() -> None:
    """What is written as JSON is read back, with and without a leaf in the way."""
    for proof in (StateProof(()), StateProof((LIE, ZERO_DIGEST)), StateProof((LIE,), LIE + LIE)):
        assert proof_from_json(proof.as_json(), "it") == proof


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"siblings": []},
        {"siblings": {}, "other": "0x"},
        {"siblings": ["0x00"], "other": "0x"},
        {"siblings": [None], "other": "0x"},
        {"siblings": [to_hex(LIE)] * 257, "other": "0x"},
        {"siblings": [], "other": None},
        {"siblings": [], "other": ""},
        {"siblings": [], "other": "0x00"},
        {"siblings": [], "other": to_hex(LIE)},
        {"siblings": [], "other": to_hex(LIE * 3)},
        {"siblings": [], "other": "0x", "more": 1},
    ],
    ids=range(13),
)
def test_other_json_is_refused(value: Json) -> None:
    """Another shape, another length, or more steps than a path has bits is refused when read."""
    with pytest.raises(Malformed):
        proof_from_json(value, "it")
