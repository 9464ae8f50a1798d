"""The transcript: written again from its specification, and nothing said twice gives the same coins."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.core.errors import BrokenTruth
from paraph.proofs.zk.field import P
from paraph.proofs.zk.transcript import Transcript

LABEL = st.binary(max_size=4)
SAID = st.lists(st.tuples(LABEL, st.binary(max_size=4)), max_size=3)


def coin(said: list[tuple[bytes, bytes]], label: bytes = b"coin") -> tuple[int, int, int, int]:
    found = Transcript()
    for name, data in said:
        found.absorb(name, data)
    return found.challenge(label)


def test_by_hand() -> None:
    """States, coins and numbers are what section 3 says."""
    state = sha256(b"paraph/zk/1").digest()
    found = Transcript()

    found.absorb(b"mode", b"\x01\x02")
    state = sha256(state + b"\0\x04mode" + (2).to_bytes(8, "little") + b"\x01\x02").digest()
    block = sha256(state + b"\1\x01x").digest()
    assert found.challenge(b"x") == tuple(int.from_bytes(block[at : at + 8], "little") % P for at in (0, 8, 16, 24))
    state = sha256(state + b"\2\x01x").digest()
    words = b"".join(sha256(state + b"\3\x07columns" + number.to_bytes(4, "little")).digest() for number in (0, 1))
    numbers = [int.from_bytes(words[at : at + 4], "little") % 1024 for at in range(0, 40, 4)]
    assert found.indices(b"columns", 10, 1024) == numbers
    state = sha256(state + b"\2\x07columns").digest()
    block = sha256(state + b"\1\0").digest()
    assert found.challenge(b"")[0] == int.from_bytes(block[:8], "little") % P


@given(SAID, SAID)
def test_injective(a: list[tuple[bytes, bytes]], b: list[tuple[bytes, bytes]]) -> None:
    """What was said in another way gives other coins: no label, length or order is lost."""
    assert (coin(a) == coin(b)) == (a == b)


def test_coins_differ() -> None:
    """A coin drawn again is another, and so is one under another label."""
    found = Transcript()

    drawn = [found.challenge(b"a"), found.challenge(b"a"), Transcript().challenge(b"b")]

    assert len(set(drawn)) == 3
    assert Transcript().indices(b"a", 8, 2**20) != Transcript().indices(b"b", 8, 2**20)


def test_numbers_of_no_power_of_two() -> None:
    """Numbers are drawn below powers of two only."""
    with pytest.raises(BrokenTruth):
        Transcript().indices(b"a", 1, 3)
