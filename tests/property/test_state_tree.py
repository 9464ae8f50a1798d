"""The state tree beside a dict: after any blocks, the root, the proofs and the stored nodes are what the dict says.

Keys are chosen so that their paths share long beginnings: deep trees, where nodes move up and down as keys come and go.
"""

from collections import defaultdict
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.support.build import Tree

from paraph.core.digest import sha256
from paraph.core.errors import BrokenTruth
from paraph.core.ident import Digest
from paraph.core.smt import EMPTY, bit, inner_hash, leaf_hash, proves
from paraph.ledger.tree import build, prove, update


def crowded(prefix_bits: int, each: int) -> list[bytes]:
    """Keys in groups of at least `each` whose paths share their first bits."""
    groups: dict[int, list[bytes]] = defaultdict(list)
    for number in range(6_000):
        key = b"key %d" % number
        groups[int.from_bytes(sha256(key)[:4], "big") >> 32 - prefix_bits].append(key)
    return [key for group in groups.values() if len(group) >= each for key in group]


KEYS = crowded(10, 13)[:24] + [b"lone %d" % number for number in range(6)]
VALUES = [b"", b"a", b"b"]
blocks = st.dictionaries(st.sampled_from(KEYS), st.none() | st.sampled_from(VALUES), max_size=12)


def reference(leaves: list[tuple[bytes, bytes]], depth: int = 0) -> Digest:
    """The root, straight from the definition in `core/smt.py`."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        path, value = leaves[0]
        return leaf_hash(path, sha256(value))
    left = reference([each for each in leaves if not bit(each[0], depth)], depth + 1)
    right = reference([each for each in leaves if bit(each[0], depth)], depth + 1)
    return inner_hash(left, right)


def reachable(tree: Tree) -> set[bytes]:
    """The nodes that the root leads to."""
    found: set[bytes] = set()
    todo = [bytes(tree.root)]
    while todo:
        node = todo.pop()
        if node != EMPTY:
            assert node not in found
            found.add(node)
            data = tree.nodes[node]
            todo += [data[1:33], data[33:]] if data[:1] == b"\x01" else []
    return found


class TreeBesideDict(RuleBasedStateMachine):
    """Blocks of changes to a tree and to a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = Tree()
        self.model: dict[bytes, bytes] = {}

    @rule(changes=blocks)
    def apply(self, changes: dict[bytes, bytes | None]) -> None:
        before = dict(self.tree.nodes)
        done = update(self.tree.nodes.get, self.tree.root, changes)
        assert before == self.tree.nodes, "update wrote something itself"
        assert done.stale <= before.keys(), "a node is stale that was never stored"
        assert not done.added.keys() & before.keys(), "a node is new that was stored already"
        assert not done.added.keys() & done.stale
        self.tree.put(changes)
        for key, value in changes.items():
            self.model.pop(key, None)
            if value is not None:
                self.model[key] = value

    @rule()
    def remove_all(self) -> None:
        self.apply(dict.fromkeys(self.model))

    @invariant()
    def root_is_that_of_a_fresh_tree(self) -> None:
        fresh = Tree()
        fresh.put(self.model)

        assert self.tree.root == fresh.root
        assert self.tree.root == reference([(sha256(key), value) for key, value in self.model.items()])

    @invariant()
    def stored_nodes_are_those_in_use(self) -> None:
        assert reachable(self.tree) == self.tree.nodes.keys()

    @invariant()
    def proofs_show_what_the_dict_holds(self) -> None:
        for key in KEYS:
            proof = self.tree.prove(key)
            held = self.model.get(key)
            for value in (None, *VALUES, b"another"):
                assert proves(self.tree.root, key, value, proof) == (value == held)
            assert not proves(sha256(b"another root"), key, held, proof)


TreeBesideDict.TestCase.settings = settings(stateful_step_count=12)
TestTreeBesideDict = TreeBesideDict.TestCase


@given(st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=30))
def test_root_forgets_the_way(content: dict[bytes, bytes]) -> None:
    """One block, a block a key, or with keys that came and went: the same content has the same root and nodes."""
    at_once, one_by_one, detour = Tree(), Tree(), Tree()
    at_once.put(content)
    for key, value in content.items():
        one_by_one.put({key: value})
    detour.put({key + b"-": b"gone" for key in content} | dict.fromkeys(content, b"old"))
    detour.put(content)
    detour.put({key + b"-": None for key in content if key + b"-" not in content})

    assert at_once.root == one_by_one.root == detour.root
    assert at_once.nodes == one_by_one.nodes == detour.nodes


@given(st.dictionaries(st.binary(max_size=4), st.binary(max_size=4), min_size=1, max_size=20), st.data())
def test_proofs_are_of_one_key_and_root(content: dict[bytes, bytes], data: st.DataObject) -> None:
    """A proof for one key proves nothing of another that is held, and nothing under the root of another content."""
    tree, later = Tree(), Tree()
    key = data.draw(st.sampled_from(sorted(content)))
    other = data.draw(st.sampled_from(sorted(content)))
    tree.put(content)
    later.put({**content, key: content[key] + b"!"})
    proof = tree.prove(key)

    assert proves(tree.root, key, content[key], proof)
    assert not proves(later.root, key, content[key], proof)
    assert not proves(tree.root, key, None, tree.prove(other))
    assert other == key or not proves(tree.root, other, content[other], proof)


def test_a_missing_node_stops_everything() -> None:
    """A store that lost a node stops the block and the proof: nothing is guessed."""
    tree, empty = Tree(), Tree()
    tree.put(dict.fromkeys(KEYS, b"a"))

    with pytest.raises(BrokenTruth):
        prove(empty.nodes.get, tree.root, KEYS[0])
    with pytest.raises(BrokenTruth):
        update(empty.nodes.get, tree.root, {KEYS[0]: b"b"})


def built(content: Mapping[bytes, bytes]) -> tuple[Digest, dict[bytes, bytes]]:
    """The root and the nodes of a tree built in one pass, and each node once, after its children."""
    leaves = sorted((sha256(key), sha256(value)) for key, value in content.items())
    nodes: dict[bytes, bytes] = {}
    root = EMPTY
    for root, data in build(iter(leaves)):
        assert root not in nodes
        if data[:1] == b"\x01":
            assert all(child == EMPTY or child in nodes for child in (data[1:33], data[33:]))
        nodes[root] = data
    return root, nodes


@given(st.dictionaries(st.sampled_from(KEYS) | st.binary(max_size=8), st.binary(max_size=3), max_size=40))
def test_built_in_one_pass(content: dict[bytes, bytes]) -> None:
    """A tree built from sorted leaves has the root and exactly the nodes of one that came about by changes."""
    tree = Tree()
    tree.put(dict(content))

    assert built(content) == (tree.root, tree.nodes)


def test_deep_trees_are_built() -> None:
    """Leaves whose paths share all but their last bit stand at the bottom, and one path in memory suffices."""
    base = bytes(31)
    leaves: list[tuple[bytes, bytes]] = [(base + bytes((at,)), sha256(b"%d" % at)) for at in range(4)]
    leaves.append((b"\xff" * 32, sha256(b"far")))

    nodes = dict(build(iter(leaves)))

    def root_of(part: list[tuple[bytes, bytes]], depth: int) -> Digest:
        if len(part) < 2:
            return leaf_hash(*part[0]) if part else EMPTY
        left = [each for each in part if not bit(each[0], depth)]
        right = [each for each in part if bit(each[0], depth)]
        return inner_hash(root_of(left, depth + 1), root_of(right, depth + 1))

    assert list(nodes)[-1] == root_of(leaves, 0)
    assert len(nodes) == 5 + 3 + 254
