"""The state tree: a compact sparse Merkle tree in the form of ICS-23's SmtSpec, over content-named nodes.

`update` takes a root and what a block changed, and says which nodes appear and which are no longer needed. It does no
I/O: it reads nodes through a function and returns what to write. Verification is `core/smt.py`.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from paraph.core.digest import sha256
from paraph.core.errors import must
from paraph.core.ident import Digest
from paraph.core.smt import EMPTY, StateProof, bit, inner_hash, leaf_hash

GetNode = Callable[[bytes], bytes | None]
"""The bytes of a stored node by its hash: its kind (0 leaf, 1 inner) and its two 32-byte halves."""

_LEAF, _INNER = b"\x00", b"\x01"
Change = tuple[bytes, bytes | None]
"""A path and the value's hash, or None where the key is removed."""


@dataclass(slots=True)
class Update:
    """The outcome of one block: the new root, nodes to add, and nodes to delete."""

    root: Digest = EMPTY
    added: dict[bytes, bytes] = field(default_factory=dict)
    stale: set[bytes] = field(default_factory=set)


class _Builder:
    def __init__(self, get_node: GetNode) -> None:
        self.get_node = get_node
        self.update = Update()

    def load(self, node: bytes) -> bytes:
        data = self.update.added.get(node) or self.get_node(node)
        must(data is not None, f"the state tree has the node {node.hex()}")
        return data  # type: ignore[return-value]

    def forget(self, node: bytes) -> None:
        # Only nodes of the old tree come here, each once, before anything is built in their place.
        self.update.stale.add(node)

    def leaf(self, path: bytes, value_hash: bytes) -> Digest:
        node = leaf_hash(path, value_hash)
        self._add(node, _LEAF + path + value_hash)
        return node

    def inner(self, left: bytes, right: bytes) -> Digest:
        """Join two subtrees; a lone leaf moves up in place of the join."""
        if left == EMPTY and (right == EMPTY or self.load(right)[:1] == _LEAF):
            return Digest(right)
        if right == EMPTY and self.load(left)[:1] == _LEAF:
            return Digest(left)
        node = inner_hash(left, right)
        self._add(node, _INNER + left + right)
        return node

    def _add(self, node: Digest, data: bytes) -> None:
        # A node that this block first outdated and then made again is neither stale nor new.
        if node in self.update.stale:
            self.update.stale.discard(node)
        else:
            self.update.added[node] = data

    def apply(self, node: Digest, changes: list[Change], depth: int) -> Digest:
        """The subtree `node` at `depth` after `changes`, which all belong below it and are sorted by path."""
        if not changes:
            return node
        if node == EMPTY:
            return self.build([change for change in changes if change[1] is not None], depth)
        data = self.load(node)
        first, second = data[1:33], data[33:]
        self.forget(node)
        if data[:1] == _LEAF:
            if all(path != first for path, _ in changes):
                changes = sorted([*changes, (first, second)])
            return self.build([change for change in changes if change[1] is not None], depth)
        split = _split(changes, depth)
        left = self.apply(Digest(first), changes[:split], depth + 1)
        right = self.apply(Digest(second), changes[split:], depth + 1)
        return self.inner(left, right)

    def build(self, leaves: list[Change], depth: int) -> Digest:
        """A subtree of these leaves alone."""
        if not leaves:
            return EMPTY
        if len(leaves) == 1:
            path, value_hash = leaves[0]
            return self.leaf(path, value_hash or b"")
        split = _split(leaves, depth)
        return self.inner(self.build(leaves[:split], depth + 1), self.build(leaves[split:], depth + 1))


def _split(changes: list[Change], depth: int) -> int:
    """Where the changes that go right begin."""
    low, high = 0, len(changes)
    while low < high:
        middle = (low + high) // 2
        if bit(changes[middle][0], depth):
            high = middle
        else:
            low = middle + 1
    return low


def update(get_node: GetNode, root: Digest, changes: Mapping[bytes, bytes | None]) -> Update:
    """The tree after `changes` (key → value, or None to remove)."""
    builder = _Builder(get_node)
    hashed = sorted((sha256(key), None if value is None else sha256(value)) for key, value in changes.items())
    builder.update.root = builder.apply(root, list(hashed), 0)
    return builder.update


def build(leaves: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[Digest, bytes]]:
    """The nodes of a whole tree, children before parents, the root last; nothing when there are no leaves.

    It holds one path at a time, so that a state of any size can be built again.

    Args:
        leaves: path and value hash, in the order of the paths, each path once.
    """
    # Finished subtrees to the left of the present path, each with its depth.
    done: list[tuple[int, Digest]] = []
    last: tuple[bytes, bytes] | None = None
    above = -1  # how many bits the last leaf shares with the one before it
    for leaf in itertools.chain(leaves, (None,)):
        if last is not None:
            below = -1 if leaf is None else _shared(last[0], leaf[0])
            depth = max(above, below) + 1
            node = leaf_hash(*last)
            yield node, _LEAF + last[0] + last[1]
            done.append((depth, node))
            yield from _join(done, last[0], below + 1)
            above = below
        last = leaf


def _join(done: list[tuple[int, Digest]], path: bytes, depth: int) -> Iterator[tuple[Digest, bytes]]:
    """Join what is finished up to `depth`, along `path`."""
    at, node = done.pop()
    while at > depth:
        at -= 1
        sibling = EMPTY
        if done and done[-1][0] == at + 1 and bit(path, at):
            _, sibling = done.pop()
        left, right = (sibling, node) if bit(path, at) else (node, sibling)
        node = inner_hash(left, right)
        yield node, _INNER + left + right
    done.append((at, node))


def _shared(one: bytes, other: bytes) -> int:
    """How many leading bits two different paths share."""
    return 256 - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()


def prove(get_node: GetNode, root: Digest, key: bytes) -> StateProof:
    """The proof that `key` holds its value under `root`, or that it holds none."""
    path = sha256(key)
    siblings: list[Digest] = []
    node = root
    while node != EMPTY:
        data = get_node(node)
        must(data is not None, f"the state tree has the node {node.hex()}")
        first, second = Digest(data[1:33]), Digest(data[33:])  # type: ignore[index]
        if data[:1] == _LEAF:  # type: ignore[index]
            other = b"" if first == path else first + second
            return StateProof(tuple(reversed(siblings)), other)
        right = bit(path, len(siblings))
        siblings.append(first if right else second)
        node = second if right else first
    return StateProof(tuple(reversed(siblings)))
