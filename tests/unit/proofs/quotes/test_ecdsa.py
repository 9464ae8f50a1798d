"""ECDSA over P-384: what signs verifies, and no other bytes are a signature or a key."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.support.nitro import key

from paraph.core.errors import Malformed
from paraph.proofs.quotes.ecdsa import ORDER, p384_sha384, raw_signature

POINT = key("somebody").public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
COMPRESSED = key("somebody").public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
SIGNATURE = raw_signature(key("somebody").sign(b"said", ECDSA(SHA384())), 48)


def number(value: int) -> bytes:
    return value.to_bytes(48, "big")


def test_signature_verifies() -> None:
    """A signature holds for its key and message; so does its twin."""
    s = int.from_bytes(SIGNATURE[48:], "big")

    assert p384_sha384(POINT, b"said", SIGNATURE)
    assert p384_sha384(POINT, b"said", SIGNATURE[:48] + number(ORDER - s))
    assert not p384_sha384(POINT, b"other", SIGNATURE)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(96),
        SIGNATURE[:-1],
        SIGNATURE + b"\0",
        bytes(48) + SIGNATURE[48:],
        SIGNATURE[:48] + bytes(48),
        number(ORDER) + SIGNATURE[48:],
        SIGNATURE[:48] + number(ORDER),
        b"\xff" * 96,
    ],
    ids=["none", "zeros", "short", "long", "r zero", "s zero", "r is n", "s is n", "ones"],
)
def test_no_signatures(signature: bytes) -> None:
    """Numbers out of range, and other sizes, are no signature."""
    assert not p384_sha384(POINT, b"said", signature)


@pytest.mark.parametrize(
    "point",
    [b"", COMPRESSED, b"\4" + bytes(96), b"\6" + POINT[1:], POINT[:-1] + bytes((POINT[-1] ^ 1,)), b"\4" + b"\xff" * 96],
    ids=["none", "compressed", "infinity", "hybrid", "off the curve", "out of the field"],
)
def test_no_keys(point: bytes) -> None:
    """What is no point of the curve, uncompressed, is no key."""
    assert not p384_sha384(point, b"said", SIGNATURE)


def test_vector() -> None:
    """RFC 6979, appendix A.2.6: the signature with SHA-384 of the message "sample"."""
    x = "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13"
    y = "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720"
    r = "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46"
    s = "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"

    assert p384_sha384(bytes.fromhex("04" + x + y), b"sample", bytes.fromhex(r + s))


@pytest.mark.parametrize(
    "form",
    ["", "3000", "3003020101", "3006020101020100", "30060201010201ff", "3009020101020101020101", "3106020101020101"],
    ids=["nothing", "no numbers", "one number", "zero", "negative", "three", "set"],
)
def test_wrong_signatures_of_certificates(form: str) -> None:
    """What is no pair of positive numbers in DER is refused."""
    with pytest.raises(Malformed):
        raw_signature(bytes.fromhex(form), 48)


def test_number_too_large() -> None:
    """A number of more bytes than the curve's is refused."""
    big = "0231" + "01" + "00" * 48

    with pytest.raises(Malformed) as caught:
        raw_signature(bytes.fromhex("3036" + big + "020101"), 48)

    assert caught.value.code == "ecdsa.form"


@given(st.binary(max_size=110), st.binary(max_size=100))
def test_any_bytes(point: bytes, signature: bytes) -> None:
    """No bytes are an error, and none of these a signature."""
    assert not p384_sha384(point, b"said", SIGNATURE)
    assert not p384_sha384(POINT, b"said", signature)
