"""Proofs against the state root: that a key holds a value, or that no value is there.

The tree is a compact sparse Merkle tree in the form of ICS-23's SmtSpec: a key's path is SHA-256(key); a leaf is
SHA-256(0x00 ‖ path ‖ SHA-256(value)); an inner node is SHA-256(0x01 ‖ left ‖ right); an empty subtree is 32 zero
bytes; a subtree with a single leaf is that leaf. Building the tree is the ledger's (`ledger/tree.py`).
"""

from dataclasses import dataclass

from paraph.core.digest import sha256
from paraph.core.encode import Json, as_list, take
from paraph.core.ident import DIGEST_BYTES, ZERO_DIGEST, Digest, digest_from_hex, from_hex, to_hex

EMPTY = ZERO_DIGEST
DEPTH_MAX = 256


@dataclass(frozen=True, slots=True)
class StateProof:
    """The way from a key's place to the root.

    Args:
        siblings: the hash beside each node on the way, from the bottom up.
        other: for absence where another key's leaf stands in the way: that leaf's path and value hash (64 bytes);
            empty otherwise.
    """

    siblings: tuple[Digest, ...]
    other: bytes = b""

    def as_json(self) -> dict[str, Json]:
        """The proof as JSON."""
        return {"siblings": [to_hex(sibling) for sibling in self.siblings], "other": to_hex(self.other)}


def proof_from_json(value: Json, what: str) -> StateProof:
    """Read what `StateProof.as_json` wrote. Raises `Malformed`."""
    siblings, other = take(value, what, "siblings", "other")
    hashes = as_list(siblings, f"{what}.siblings", items_max=DEPTH_MAX)
    leaf = from_hex(other, 2 * DIGEST_BYTES, f"{what}.other") if other != "0x" else b""
    return StateProof(tuple(digest_from_hex(each, f"{what}.siblings") for each in hashes), leaf)


def leaf_hash(path: bytes, value_hash: bytes) -> Digest:
    """The hash of a leaf."""
    return sha256(b"\x00" + path + value_hash)


def inner_hash(left: bytes, right: bytes) -> Digest:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right)


def bit(path: bytes, depth: int) -> int:
    """The `depth`-th bit of a path, from its most significant: 0 goes left."""
    return path[depth >> 3] >> (7 - (depth & 7)) & 1


def proves(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> bool:
    """True when `proof` shows that under `root` the `key` holds `value`, or with None that it holds nothing."""
    path = sha256(key)
    if len(proof.siblings) > DEPTH_MAX:
        return False
    if value is not None:
        if proof.other:
            return False
        current = leaf_hash(path, sha256(value))
    elif proof.other:
        other, value_hash = proof.other[:DIGEST_BYTES], proof.other[DIGEST_BYTES:]
        if len(proof.other) != 2 * DIGEST_BYTES or other == path:
            return False
        if any(bit(other, depth) != bit(path, depth) for depth in range(len(proof.siblings))):
            return False
        current = leaf_hash(other, value_hash)
    else:
        current = EMPTY
    for depth, sibling in zip(range(len(proof.siblings) - 1, -1, -1), proof.siblings, strict=True):
        current = inner_hash(sibling, current) if bit(path, depth) else inner_hash(current, sibling)
    return current == root
