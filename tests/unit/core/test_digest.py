"""Hashes: known answers, and tags that keep purposes apart."""

import hashlib

import pytest

from paraph.core.digest import keccak256, sha256, tagged
from paraph.core.tags import Tag

KECCAK = [
    (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
    (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    (b"\xc0", "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"),
    (b"\x80", "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"),
    (b"transfer(address,uint256)", "a9059cbb2ab09eb219583f4a59a5d0623ade346d962bcd4e46b11da047c9049b"),
]
"""The Keccak team's empty message, FIPS 202's `abc` under the older padding, and three hashes all of Ethereum knows."""

SHA = [
    (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
]
"""FIPS 180-4."""


@pytest.mark.parametrize(("data", "expected"), KECCAK)
def test_keccak_known_answers(data: bytes, expected: str) -> None:
    """Keccak-256 is Ethereum's, not SHA3-256."""
    assert keccak256(data).hex() == expected
    assert keccak256(data) != hashlib.sha3_256(data).digest()


@pytest.mark.parametrize(("data", "expected"), SHA)
def test_sha256_known_answers(data: bytes, expected: str) -> None:
    """SHA-256 is that of FIPS 180-4."""
    assert sha256(data).hex() == expected


def test_tagged_is_that_of_bip_340() -> None:
    """SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ data): the construction of BIP-340."""
    tag = hashlib.sha256(b"paraph/model/1").digest()

    assert tagged(Tag.MODEL, b"data") == hashlib.sha256(tag + tag + b"data").digest()


def test_tags_keep_purposes_apart() -> None:
    """The same bytes under two tags have two digests, and neither is the plain one."""
    digests = {tagged(tag, b"data") for tag in Tag} | {sha256(b"data")}

    assert len(digests) == len(Tag) + 1


def test_tags_carry_a_version() -> None:
    """Each tag names the project, a purpose and a version."""
    parts = [tag.value.split("/") for tag in Tag]

    assert all(len(each) == 3 and each[0] == "paraph" and each[2].isdigit() for each in parts)
