"""A matrix as its columns: each row a codeword, each column a leaf of a tree, some columns opened.

Specified in docs/spec/zk.md, section 6.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from paraph.core.errors import Malformed
from paraph.core.ident import Digest
from paraph.proofs.zk.field import ELEMENT_BYTES, P, evaluate, interpolate
from paraph.proofs.zk.plan import HASH_BYTES


def codeword(values: Sequence[int], tail: Sequence[int], bits: int) -> list[int]:
    """A row's codeword of 2^bits entries.

    Args:
        values: one for each point of H; a power of two of them.
        tail: the coefficients of R, low to high; none for a row without randomness.
        bits: of the codeword's length.
    """
    coefficients = interpolate(values) + [0] * len(tail)
    for place, each in enumerate(tail):
        # (X^l − 1)·R leaves the values on H as they are.
        coefficients[place] = (coefficients[place] - each) % P
        coefficients[len(values) + place] = (coefficients[len(values) + place] + each) % P
    return evaluate(coefficients, bits)


def seeded_tail(seed: bytes, nonce: bytes, row: int, count: int) -> list[int]:
    """R of one row of a request's block, from the request's seed.

    Args:
        seed: 32 bytes that only the node and who asked know.
        nonce: the proof's own: proven twice, a request's rows have nothing in common.
        row: its number within the block.
        count: coefficients.

    Raises:
        Malformed: `zk.seed`: not 32 bytes.
    """
    if len(seed) != 32:
        raise Malformed("zk.seed", f"a seed is 32 bytes, not {len(seed)}")
    found: list[int] = []
    counter = 0
    while len(found) < count:
        block = sha256(b"paraph/zk/row/1" + seed + nonce + row.to_bytes(4, "big") + counter.to_bytes(4, "big")).digest()
        words = [int.from_bytes(block[at : at + 4], "little") & 0x7FFF_FFFF for at in range(0, HASH_BYTES, 4)]
        found += [word for word in words if word < P]
        counter += 1
    return found[:count]


def leaf(salt: bytes, entries: bytes) -> bytes:
    """The leaf of a column."""
    return sha256(b"\0" + salt + entries).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The node above two."""
    return sha256(b"\1" + left + right).digest()


def root(leaves: dict[int, bytes], bits: int, lacking: Callable[[], bytes]) -> Digest:
    """The root of a tree of 2^bits leaves.

    Args:
        leaves: those that are known, by index.
        bits: levels of the tree.
        lacking: gives the next hash that is not known, from the leaves up, from left to right in each level.
    """
    level = leaves
    for _ in range(bits):
        above: dict[int, bytes] = {}
        for index in sorted(level):
            if index >> 1 in above:
                continue
            other = level[index ^ 1] if index ^ 1 in level else lacking()
            pair = (other, level[index]) if index & 1 else (level[index], other)
            above[index >> 1] = node(*pair)
        level = above
    return Digest(level[0])


def entries(data: bytes) -> list[int] | None:
    """A column's entries, or None when one is not canonical."""
    found = [int.from_bytes(data[at : at + ELEMENT_BYTES], "little") for at in range(0, len(data), ELEMENT_BYTES)]
    return None if any(each >= P for each in found) else found
