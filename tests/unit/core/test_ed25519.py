"""ed25519: published vectors, changed bytes, and the keys that no machine may judge differently from another."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paraph.core.ed25519 import usable, verify

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
L = 2**252 + 27742317777372353535851937790883648493

RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]
"""Section 7.1, tests 1 to 3: key, message, signature."""

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = SECRET.public_key().public_bytes_raw()
SIGNATURE = SECRET.sign(b"a vote")


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_vectors(key: str, message: str, signature: str) -> None:
    """The vectors of RFC 8032 verify."""
    assert verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.parametrize("at", [0, 31, 32, 63])
def test_changed_signature(at: int) -> None:
    """A signature with a changed bit verifies nothing."""
    changed = SIGNATURE[:at] + bytes((SIGNATURE[at] ^ 1,)) + SIGNATURE[at + 1 :]

    assert verify(KEY, b"a vote", SIGNATURE)
    assert not verify(KEY, b"a vote", changed)


def test_other_message_or_key() -> None:
    """A signature is of one message by one key."""
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()

    assert not verify(KEY, b"a vot", SIGNATURE)
    assert not verify(other, b"a vote", SIGNATURE)


@pytest.mark.parametrize("size", [0, 63, 65])
def test_signature_has_one_length(size: int) -> None:
    """A signature of another length verifies nothing."""
    assert not verify(KEY, b"a vote", (SIGNATURE + b"\0")[:size])


@pytest.mark.parametrize("size", [0, 31, 33])
def test_key_has_one_length(size: int) -> None:
    """A key of another length is not usable and verifies nothing."""
    assert not usable((KEY + b"\0")[:size])
    assert not verify((KEY + b"\0")[:size], b"a vote", SIGNATURE)


def test_signature_has_one_spelling() -> None:
    """The same signature with the group's order added to s is refused."""
    longer = int.from_bytes(SIGNATURE[32:], "little") + L

    assert not verify(KEY, b"a vote", SIGNATURE[:32] + longer.to_bytes(32, "little"))


@pytest.mark.parametrize("y", [P, P + 1, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_key_is_canonical(y: int, sign: int) -> None:
    """A y of the field's size or more is another spelling of a smaller one, and refused."""
    assert not usable((y | sign << 255).to_bytes(32, "little"))


def test_a_key_off_the_curve_verifies_nothing() -> None:
    """32 bytes that spell no point may look usable, and verify nothing."""
    off = next(y for y in range(2, 100) if x_of(y) is None).to_bytes(32, "little")

    assert usable(off)
    assert not verify(off, b"a vote", SIGNATURE)


Point = tuple[int, int]


def x_of(y: int) -> int | None:
    """An x with −x² + y² = 1 + d·x²·y², or None."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for x in (root, root * pow(2, (P - 1) // 4, P) % P):
        if x * x % P == square:
            return x
    return None


def add(first: Point, second: Point) -> Point:
    """The sum of two points, by the curve's addition law."""
    (x1, y1), (x2, y2) = first, second
    cross = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + cross, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - cross, -1, P)
    return x % P, y % P


def times(number: int, point: Point) -> Point:
    """A point added to itself so often."""
    total: Point = (0, 1)
    for bit in f"{number:b}":
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def small_points() -> set[Point]:
    """All points whose order divides 8: what is left of points of any order, times the order of the large subgroup."""
    found: set[Point] = set()
    for y in range(2, 40):
        x = x_of(y)
        if x is not None:
            found.add(times(L, (x, y)))
    return {times(number, point) for point in found for number in range(8)}


def test_keys_of_small_order_are_refused() -> None:
    """All eight points of small order, found by the curve's own arithmetic, are refused as keys in either sign."""
    points = small_points()

    assert len(points) == 8
    for _, y in points:
        for sign in (0, 1):
            assert not usable((y | sign << 255).to_bytes(32, "little"))


def test_why_small_order_is_refused() -> None:
    """Under the neutral point a signature made without any secret would verify: R neutral and s zero."""
    neutral = (1).to_bytes(32, "little")

    assert not verify(neutral, b"anything", neutral + bytes(32))
