"""Keys: published vectors, one valid signature per key and message, and secrets that are not shown."""

import hashlib

import pytest
from eth_account import Account

from paraph.core.digest import keccak256, sha256
from paraph.core.errors import BrokenTruth, Malformed
from paraph.core.ident import Digest
from paraph.core.keys import (
    CURVE_ORDER,
    HALF_ORDER,
    PrivateKey,
    address_from_text,
    checksummed,
    recover,
)

ONE = PrivateKey((1).to_bytes(32, "big"))
DIGEST = sha256(b"a message")

RFC_6979 = [
    (
        1,
        "Satoshi Nakamoto",
        (
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
            "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
        ),
    ),
    (
        1,
        "All those moments will be lost in time, like tears in rain. Time to die...",
        (
            "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b"
            "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"
        ),
    ),
    (
        CURVE_ORDER - 1,
        "Satoshi Nakamoto",
        (
            "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0"
            "6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5"
        ),
    ),
]
"""Deterministic signatures on secp256k1 over SHA-256 of the text, as Bitcoin's libraries publish them."""

EIP_55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]
"""The examples of EIP-55."""


@pytest.mark.parametrize(("secret", "text", "expected"), RFC_6979)
def test_signing_is_deterministic(secret: int, text: str, expected: str) -> None:
    """Signatures are those of RFC 6979 with low s: no random number is drawn."""
    key = PrivateKey(secret.to_bytes(32, "big"))
    digest = Digest(hashlib.sha256(text.encode()).digest())

    assert key.sign(digest)[:64].hex() == expected
    assert recover(digest, key.sign(digest)) == key.address


@pytest.mark.parametrize("text", EIP_55)
def test_checksums_are_those_of_eip_55(text: str) -> None:
    """The published examples are written and read as they stand."""
    address = address_from_text(text, "it")

    assert checksummed(address) == text
    assert address.hex() == text[2:].lower()


@pytest.mark.parametrize("text", EIP_55)
def test_address_is_read_in_one_case(text: str) -> None:
    """All lower and all upper case carry no checksum and are read."""
    digits = text[2:]

    assert address_from_text("0x" + digits.lower(), "it") == address_from_text("0x" + digits.upper(), "it")


@pytest.mark.parametrize("text", EIP_55[4:])
def test_mistyped_letter_is_refused(text: str) -> None:
    """In a checksummed address, any one letter in the other case is refused."""
    for at in range(2, 42):
        other = text[:at] + text[at].swapcase() + text[at + 1 :]
        if other != text:
            with pytest.raises(Malformed) as caught:
                address_from_text(other, "it")
            assert caught.value.code == "address.text"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "0x" + "0" * 39,
        "0x" + "0" * 41,
        "00" + "0" * 40,
        "0X" + "0" * 40,
        "0x" + "g" * 40,
        "0x" + " " * 40,
        "0x" + "\u0660" * 40,
    ],
)
def test_other_text_is_no_address(text: str) -> None:
    """Another length, prefix or letter is refused."""
    with pytest.raises(Malformed) as caught:
        address_from_text(text, "it")

    assert caught.value.code == "address.text"


def test_address_of_key_one() -> None:
    """The key 1 has the address that all of Ethereum knows."""
    assert checksummed(ONE.address) == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


@pytest.mark.parametrize("seed", range(8))
def test_signatures_are_those_of_eth_account(seed: int) -> None:
    """For any key and digest, eth-account makes the same bytes and the same address."""
    secret, digest = keccak256(bytes((seed,))), keccak256(bytes((seed, seed)))
    theirs = Account.from_key(secret)

    assert PrivateKey(secret).sign(digest) == bytes(theirs.unsafe_sign_hash(digest).signature)
    assert checksummed(PrivateKey(secret).address) == theirs.address


def test_signature_is_of_one_key() -> None:
    """A signature over another digest, or by another key, leads to another address."""
    other = PrivateKey((2).to_bytes(32, "big"))

    assert recover(sha256(b"another"), ONE.sign(DIGEST)) != ONE.address
    assert recover(DIGEST, other.sign(DIGEST)) == other.address != ONE.address


@pytest.mark.parametrize("size", [0, 64, 66, 130])
def test_length_is_checked(size: int) -> None:
    """Only 65 bytes are a signature."""
    with pytest.raises(Malformed) as caught:
        recover(DIGEST, bytes(size))

    assert (caught.value.code, caught.value.facts) == ("signature.length", {"got": size})


def test_high_s_is_refused() -> None:
    """The other signature of the same key, with s in the upper half, is refused."""
    signature = ONE.sign(DIGEST)
    high = (CURVE_ORDER - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")

    with pytest.raises(Malformed) as caught:
        recover(DIGEST, signature[:32] + high + bytes((55 - signature[64],)))
    assert caught.value.code == "signature.high_s"


def test_s_is_low_up_to_half() -> None:
    """Half of the order is the last s that is low: one more is refused."""
    half, above = (HALF_ORDER + step for step in (0, 1))
    recover(DIGEST, ONE.sign(DIGEST)[:32] + half.to_bytes(32, "big") + b"\x1b")

    with pytest.raises(Malformed) as caught:
        recover(DIGEST, ONE.sign(DIGEST)[:32] + above.to_bytes(32, "big") + b"\x1b")
    assert caught.value.code == "signature.high_s"


@pytest.mark.parametrize("v", [0, 1, 26, 29, 37, 255])
def test_v_is_27_or_28(v: int) -> None:
    """A bare parity, an EIP-155 v, or anything else in the last byte is refused."""
    with pytest.raises(Malformed) as caught:
        recover(DIGEST, ONE.sign(DIGEST)[:64] + bytes((v,)))

    assert caught.value.code == "signature.form"


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 1), (1, 0), (0, 0), (CURVE_ORDER, 1), (2**256 - 1, 1), (5, 1)],
    ids=["r=0", "s=0", "zeros", "r=order", "r=max", "r off the curve"],
)
def test_impossible_numbers_are_refused(r: int, s: int) -> None:
    """R and s that no key gives are refused with a typed error."""
    with pytest.raises(Malformed) as caught:
        recover(DIGEST, r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x1b")

    assert caught.value.code == "signature.form"


def test_only_a_digest_is_recovered() -> None:
    """Asking with anything but 32 bytes is our fault, not the signature's."""
    with pytest.raises(BrokenTruth):
        recover(Digest(b"short"), ONE.sign(DIGEST))


@pytest.mark.parametrize(
    "secret",
    [b"", bytes(31), bytes(33), bytes(32), CURVE_ORDER.to_bytes(32, "big"), b"\xff" * 32],
    ids=["empty", "31", "33", "zero", "order", "max"],
)
def test_bad_secrets_are_refused(secret: bytes) -> None:
    """A private key is 32 bytes from 1 to the order less 1, and the error does not repeat it."""
    with pytest.raises(Malformed) as caught:
        PrivateKey(secret)

    assert caught.value.code == "key.secret"
    assert caught.value.facts == {}


def test_secret_is_not_shown() -> None:
    """A key shows its address; only the call with the long name gives the secret, all 32 bytes of it."""
    assert repr(ONE) == "PrivateKey(address=0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf)"
    assert ONE.dangerous_secret() == (1).to_bytes(32, "big")
    assert not hasattr(ONE, "__dict__")
