"""Append-only Merkle trees in the form of RFC 6962 (SHA-256, leaf prefix 0x00, node prefix 0x01).

They commit to an ordered batch: an inclusion proof shows that one leaf stands at one index, a consistency proof that a
longer batch only appended. An odd node moves up unpaired; nothing is duplicated, so no two batches share a root.
"""

from collections.abc import Sequence

from paraph.core.digest import sha256
from paraph.core.errors import must
from paraph.core.ident import Digest

EMPTY_ROOT = sha256(b"")


def leaf_hash(leaf: bytes) -> Digest:
    """The hash of one leaf's bytes."""
    return sha256(b"\x00" + leaf)


def node_hash(left: bytes, right: bytes) -> Digest:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right)


def root(leaves: Sequence[bytes]) -> Digest:
    """The Merkle tree hash of leaves given as their bytes (RFC 6962 section 2.1)."""
    return _root([leaf_hash(leaf) for leaf in leaves])


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[Digest, ...]:
    """The audit path of leaf `index`, from the bottom up (RFC 6962 section 2.1.1)."""
    must(0 <= index < len(leaves), "the leaf is in the tree")
    level: list[Digest] = [leaf_hash(leaf) for leaf in leaves]
    path: list[Digest] = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        level = _up(level)
        index >>= 1
    return tuple(path)


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> Digest | None:
    """The root that an inclusion proof leads to, or None when the path's length does not fit `index` and `size`."""
    if not 0 <= index < size:
        return None
    current, last, at = leaf_hash(leaf), size - 1, 0
    while last:
        if index & 1 or index < last:
            if at == len(path):
                return None
            current = node_hash(path[at], current) if index & 1 else node_hash(current, path[at])
            at += 1
        index >>= 1
        last >>= 1
    return current if at == len(path) else None


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[Digest, ...]:
    """Hashes that show the first `old_size` leaves (at least 1) unchanged in this tree (RFC 6962 section 2.1.2)."""
    must(0 < old_size <= len(leaves), "the older tree is not empty and not larger")
    return _subproof([leaf_hash(leaf) for leaf in leaves], old_size, whole=True)


def consistent(old_root: bytes, old_size: int, new_root: bytes, new_size: int, proof: Sequence[bytes]) -> bool:
    """True when `proof` shows that the tree of `new_size` extends the tree of `old_size` (RFC 9162 section 2.1.4.2)."""
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return old_root == new_root and not proof
    path = list(proof)
    old, last = old_size - 1, new_size - 1
    while old & 1:
        old >>= 1
        last >>= 1
    if old_size & (old_size - 1) == 0:
        path.insert(0, Digest(old_root))
    if not path:
        return False
    old_hash = new_hash = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if old & 1 or old == last:
            old_hash, new_hash = node_hash(step, old_hash), node_hash(step, new_hash)
            while old and not old & 1:
                old >>= 1
                last >>= 1
        else:
            new_hash = node_hash(new_hash, step)
        old >>= 1
        last >>= 1
    return last == 0 and old_hash == old_root and new_hash == new_root


def _up(level: list[Digest]) -> list[Digest]:
    paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return paired + level[len(level) & ~1 :]


def _root(level: list[Digest]) -> Digest:
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _up(level)
    return level[0]


def _subproof(level: list[Digest], size: int, *, whole: bool) -> tuple[Digest, ...]:
    if size == len(level):
        return () if whole else (_root(level),)
    split = 1 << (len(level) - 1).bit_length() - 1
    if size <= split:
        return (*_subproof(level[:split], size, whole=whole), _root(level[split:]))
    return (*_subproof(level[split:], size - split, whole=False), _root(level[:split]))
