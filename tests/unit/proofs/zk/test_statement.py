"""The statement: every item matters, lengths are held to, a request stands once."""

from dataclasses import replace

import pytest
from tests.unit.proofs.zk.models import DENSE, PLAIN, proven

from paraph.core.digest import tagged
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest
from paraph.core.merkle import root_from_inclusion
from paraph.core.tags import Tag
from paraph.proofs.zk.statement import COUNT_MAX, Entry, Exact, Mode, Statement, commitment, exact_id

ROOT = Digest(b"\x22" * 32)


def stated(count: int = 3) -> Statement:
    entries = tuple(Entry(Digest(bytes([1, number % 256, number // 256]) + bytes(29)), ROOT) for number in range(count))
    return Statement(Mode.SUCCINCT, Exact(PLAIN, ROOT), Address(bytes(20)), 7, Digest(bytes(32)), entries)


def test_everything_matters() -> None:
    """Any item changed changes the coins."""
    of = stated()
    other = [
        of,
        replace(of, mode=Mode.HIDING),
        replace(of, exact=Exact(DENSE, ROOT)),
        replace(of, exact=Exact(PLAIN, Digest(bytes(32)))),
        replace(of, prover=Address(b"\x01" * 20)),
        replace(of, chain_id=8),
        replace(of, beacon=ROOT),
        replace(of, entries=of.entries[:2]),
        replace(of, entries=of.entries[::-1]),
        replace(of, entries=(*of.entries[:2], replace(of.entries[2], commitment=Digest(bytes(32))))),
        replace(of, entries=(*of.entries[:2], replace(of.entries[2], key=Digest(bytes(32))))),
    ]

    assert len({each.transcript().challenge(b"coin") for each in other}) == len(other)


def test_exact_id() -> None:
    """The exact id is of version, graph and weights."""
    want = tagged(Tag.ZK_MODEL, (1).to_bytes(4, "big") + PLAIN.digest + ROOT)

    assert Exact(PLAIN, ROOT).id == exact_id(PLAIN.digest, ROOT) == want


def test_paths() -> None:
    """Each request has a path to the batch root."""
    of = proven("plain", Mode.SUCCINCT, 3).statement

    for index, entry in enumerate(of.entries):
        assert root_from_inclusion(entry.leaf(index), index, 3, of.path(index)) == of.batch_root


@pytest.mark.parametrize("count", [0, COUNT_MAX + 1])
def test_count(count: int) -> None:
    """A proof is about 1 to 1024 requests."""
    assert len(stated(COUNT_MAX).entries) == COUNT_MAX
    with pytest.raises(Malformed) as caught:
        stated(count)
    assert caught.value.code == "zk.count"


def test_commitment() -> None:
    """A commitment is of salt, input and output, each with its length."""
    salt = b"\x01" * 32

    found = {
        commitment(salt, b"ab", b"cdef"),
        commitment(salt, b"", b"cdef"),
        commitment(salt, b"ab", b""),
        commitment(salt, b"abcdef", b""),
        commitment(b"\x02" * 32, b"ab", b"cdef"),
    }

    assert len(found) == 5
    body = salt + (2).to_bytes(4, "big") + b"ab" + (1).to_bytes(4, "big") + b"cdef"
    assert commitment(salt, b"ab", b"cdef") == tagged(Tag.ZK_IO, body)
    for wrong, code in (((salt[1:], b"", b""), "zk.salt"), ((salt, b"", b"abc"), "zk.outputs")):
        with pytest.raises(Malformed) as caught:
            commitment(*wrong)
        assert caught.value.code == code
