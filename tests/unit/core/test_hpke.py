"""HPKE: another implementation's word in both directions, the order of messages, and every key that is none."""

import pytest
from cryptography.hazmat.primitives import hpke as pyca
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

from paraph.core import hpke
from paraph.core.errors import BrokenTruth, Malformed

SECRET = X25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = SECRET.public_key().public_bytes_raw()
EPHEMERAL = bytes(range(100, 132))
OTHER = pyca.Suite(pyca.KEM.X25519, pyca.KDF.HKDF_SHA256, pyca.AEAD.AES_256_GCM)
SMALL_ORDER = (
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
)
"""RFC 7748, section 7: points from which everybody gets the same secret."""


def test_kem_as_published() -> None:
    """The encapsulated key is derived from its randomness as RFC 9180, A.1.1 prints it, for any AEAD."""
    ephemeral = bytes.fromhex("7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234")
    key = bytes.fromhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d")

    found = hpke.sender(key, b"", ephemeral)

    assert found.encapsulated.hex() == "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"


def test_library_as_published() -> None:
    """What the library does beneath is what RFC 9180, A.1.1 prints: setup, two messages and an exported secret."""
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
    secret = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    encapsulated = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    own = KEMKey.from_pyca_cryptography_key(X25519PrivateKey.from_private_bytes(secret))
    context = suite.create_recipient_context(encapsulated, own, b"Ode on a Grecian Urn")
    sealed = (
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
        "af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab251c03d0c22a56b8ca42c2063b84",
    )

    opened = [context.open(bytes.fromhex(each), b"Count-%d" % place) for place, each in enumerate(sealed)]

    assert opened == 2 * [b"Beauty is truth, truth beauty"]
    assert context.export(b"", 32).hex() == "3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee"


@given(plaintext=st.binary(max_size=300), info=st.binary(max_size=100), ephemeral=st.binary(min_size=32, max_size=32))
def test_another_implementation_opens(plaintext: bytes, info: bytes, ephemeral: bytes) -> None:
    """What is sealed here opens under another implementation of the suite."""
    sender = hpke.sender(KEY, info, ephemeral)

    sealed = sender.encapsulated + sender.seal(plaintext, b"")

    assert OTHER.decrypt(sealed, SECRET, info) == plaintext


@given(plaintext=st.binary(max_size=300), info=st.binary(max_size=100))
def test_another_implementation_seals(plaintext: bytes, info: bytes) -> None:
    """What another implementation seals opens here."""
    sealed = OTHER.encrypt(plaintext, SECRET.public_key(), info)

    opened = hpke.receiver(SECRET, sealed[:32], info).open(sealed[32:], b"")

    assert opened == plaintext


def test_sender_and_receiver_share_secrets() -> None:
    """Both export the same secret for a label, and another for another."""
    sender = hpke.sender(KEY, b"info", EPHEMERAL)
    receiver = hpke.receiver(SECRET, sender.encapsulated, b"info")

    assert sender.export(b"a", 32) == receiver.export(b"a", 32) != receiver.export(b"b", 32)
    assert len(sender.export(b"a", 32)) == 32


def test_same_randomness_same_bytes() -> None:
    """Nothing is drawn here: the same randomness gives the same bytes, and other randomness none of them."""
    first, again, other = (hpke.sender(KEY, b"", each) for each in (EPHEMERAL, EPHEMERAL, bytes(32)))

    assert first.encapsulated == again.encapsulated != other.encapsulated
    assert first.seal(b"x", b"") == again.seal(b"x", b"") != other.seal(b"x", b"")


@pytest.mark.parametrize("fault", ["info", "aad", "key", "encapsulated", "order", "bytes", "short"])
def test_not_opened(fault: str) -> None:
    """One thing other than it was sealed with, and nothing opens."""
    sender = hpke.sender(KEY, b"info", EPHEMERAL)
    sealed = sender.seal(b"plain", b"aad")
    secret = X25519PrivateKey.from_private_bytes(bytes(32)) if fault == "key" else SECRET
    enc = bytes([sender.encapsulated[0] ^ 1]) + sender.encapsulated[1:] if fault == "encapsulated" else None
    receiver = hpke.receiver(secret, enc or sender.encapsulated, b"other" if fault == "info" else b"info")
    if fault == "order":
        sealed = sender.seal(b"plain", b"aad")
    if fault == "bytes":
        sealed = bytes([sealed[0] ^ 1]) + sealed[1:]
    if fault == "short":
        sealed = sealed[:15]

    with pytest.raises(Malformed) as caught:
        receiver.open(sealed, b"other" if fault == "aad" else b"aad")

    assert caught.value.code == "hpke.open"


@pytest.mark.parametrize("key", [*SMALL_ORDER, b"", bytes(31), KEY + b"\0"])
def test_no_key(key: bytes) -> None:
    """Neither side works with a point of small order, or with bytes that are no key."""
    with pytest.raises(Malformed) as seals:
        hpke.sender(key, b"", EPHEMERAL)
    with pytest.raises(Malformed) as opens:
        hpke.receiver(SECRET, key, b"")

    assert seals.value.code == opens.value.code == "hpke.key"


def test_randomness_has_32_bytes() -> None:
    """Less randomness is a fault of ours."""
    with pytest.raises(BrokenTruth):
        hpke.sender(KEY, b"", bytes(31))
