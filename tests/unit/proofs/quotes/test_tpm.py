"""TPM 2.0: what a quoting key signed verifies, and every single fault has its own refusal."""

import base64
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st
from tests.support.der import node
from tests.support.nitro import NOW_S, key
from tests.support.tpm import (
    DATA,
    ENDORSEMENT,
    KINDS,
    PCRS,
    QUOTES,
    QUOTING,
    Made,
    certificate,
    certified,
    number,
    public,
    rsa_key,
    signer,
    sized,
)

from paraph.core.errors import Unverified
from paraph.proofs.quotes import tpm
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.policy import PINNED
from paraph.proofs.quotes.tpm import P256_ORDER, Key, QuoteEvidence, Root, read, verify
from paraph.proofs.quotes.x509 import read_certificate

GOOD: Final = Made()
P256_KEY: Final = signer("quoting", "p256")


def claims(data: bytes, chain: tuple[bytes, ...] | None = None, now_s: int = NOW_S) -> Claims:
    """What a quote proves."""
    root = Root(GOOD.chain()[0], TrustClass.VTPM)
    return verify(read(data), GOOD.chain() if chain is None else chain, root, now_s)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("issuer", ["p256", "p384", "rsassa"])
def test_claims(kind: str, issuer: str) -> None:
    """A quote by any kind of key, certified by any, proves its registers and what it was asked to include."""
    made = GOOD.but(kind=kind, issuers=("p384", issuer))
    found = claims(made.made(), made.chain())

    assert (found.platform, found.trust, found.debug) == ("tpm", TrustClass.VTPM, False)
    assert (found.time_ms, found.nonce, found.key, found.data) == (None, None, None, DATA)
    assert found.measurements == {f"pcr{index}": value for index, value in PCRS.items()}
    assert (found.versions, len(found.certificates)) == ({"firmware": 0x20240125}, 2)


def test_what_a_quote_tells() -> None:
    """A quote tells how long its TPM has run and how often it began; claims name it by its key."""
    found = read(GOOD.made())

    assert (found.clock_ms, found.resets, found.restarts) == (60_000, 3, 1)
    assert claims(GOOD.made()).module == sha256(found.key.key).hexdigest()


@pytest.mark.parametrize("name", QUOTES)
def test_quotes_of_another_make(name: str) -> None:
    """What a TPM of another make quoted verifies: its structures, its key's name and its signature."""
    data = base64.b64decode(QUOTES[name])
    of = read(data).key
    leaf = certified(loaded(of), "quoting", "authority", "p256")
    found = claims(data, (*GOOD.chain()[:2], leaf))

    assert (found.data, found.module) == (DATA, sha256(of.key).hexdigest())
    assert found.measurements == {f"pcr{index}": bytes(32) for index in PCRS}


def loaded(of: Key) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    """A quoting key, for a library."""
    found = load_der_public_key(node(0x30, of.algorithm, node(0x03, b"\0", of.key)))
    assert isinstance(found, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    return found


def test_what_a_policy_must_name() -> None:
    """A release for a TPM names its firmware, what booted, and which keys may boot."""
    assert PINNED["tpm"] == ("pcr0", "pcr4", "pcr7")
    assert set(PINNED["tpm"]) <= set(claims(GOOD.made()).measurements)


def test_scheme_of_the_key() -> None:
    """A key may say with which scheme it signs."""
    said = GOOD.but(key=public(P256_KEY, scheme="0018000b"))

    assert claims(said.made()) == claims(GOOD.made())


def test_short_numbers() -> None:
    """A TPM may leave out zeros before a number; the key is the same."""
    # Of these names, one whose first coordinate begins with a zero.
    name = next(each for each in map(str, range(5_000)) if _x(each) < 1 << 248)
    of = key(name, ec.SECP256R1)
    short = public(of).replace(number(_x(name), 32), number(_x(name), 31))
    made = GOOD.but(signer=name, key=short, certified=name)

    assert short != public(of)
    assert claims(made.made(), made.chain()).data == DATA


def _x(name: str) -> int:
    return key(name, ec.SECP256R1).public_key().public_numbers().x


def without(attributes: int) -> bytes:
    return public(P256_KEY, QUOTING & ~attributes)


RSA_KEY: Final = public(rsa_key("quoting"))
FAULTS: Final[Mapping[str, tuple[Callable[[], bytes], str]]] = {
    "nothing": (lambda: b"", "envelope.size"),
    "too large": (lambda: bytes(4_097), "envelope.size"),
    "no record": (lambda: b"\x80", "envelope.record"),
    "other magic": (GOOD.but(magic="ff544348").made, "envelope.magic"),
    "certification": (GOOD.but(type="8017").made, "envelope.kind"),
    "data too long": (GOOD.but(data=b"b" * 67).made, "envelope.structure"),
    "trailing byte": (GOOD.but(after=b"\0").made, "envelope.structure"),
    "cut off": (
        lambda: QuoteEvidence(GOOD.quoted()[:-1], GOOD.signed(), b"", b"", tuple(PCRS.values())).encode(),
        "envelope.structure",
    ),
    "bank of SHA-1": (GOOD.but(bank="0004").made, "envelope.bank"),
    "bank of SHA-384": (GOOD.but(bank="000c").made, "envelope.bank"),
    "two banks": (GOOD.but(banks="00000002").made, "envelope.bank"),
    "no bank": (GOOD.but(banks="00000000").made, "envelope.bank"),
    "other size of the selection": (GOOD.but(selection=b"\2\1\0").made, "envelope.bank"),
    "no register": (GOOD.but(pcrs={}).made, "envelope.pcrs"),
    "one register not shown": (GOOD.but(shown=tuple(PCRS.values())[1:]).made, "envelope.pcrs"),
    "register of 20 bytes": (GOOD.but(shown=(*tuple(PCRS.values())[1:], b"p" * 20)).made, "envelope.pcrs"),
    "other scheme": (GOOD.but(scheme="001a000b").made, "envelope.signature"),
    "signature cut off": (GOOD.but(signature=GOOD.signed()[:-1]).made, "envelope.structure"),
    "signature's trailing byte": (GOOD.but(signature=GOOD.signed() + b"\0").made, "envelope.structure"),
    "number too long": (GOOD.but(signature=bytes.fromhex("0018000b") + sized(b"\1" * 33)).made, "envelope.structure"),
    "named by another digest": (GOOD.but(key=public(P256_KEY).replace(b"\0\x0b", b"\0\x0c", 1)).made, "envelope.key"),
    "name of another": (GOOD.but(name=b"\0\x0b" + b"n" * 32).made, "envelope.name"),
    "other parent": (
        lambda: QuoteEvidence.decode(GOOD.made()).encode().replace(ENDORSEMENT, b"\x40\0\0\1"),
        "envelope.name",
    ),
    "not restricted": (GOOD.but(key=without(1 << 16)).made, "envelope.key"),
    "not for signing": (GOOD.but(key=without(1 << 18)).made, "envelope.key"),
    "may be moved": (GOOD.but(key=without(1 << 1)).made, "envelope.key"),
    "may be moved with its parent": (GOOD.but(key=without(1 << 4)).made, "envelope.key"),
    "made outside": (GOOD.but(key=without(1 << 5)).made, "envelope.key"),
    "decrypts, too": (GOOD.but(key=public(P256_KEY, QUOTING | 1 << 17)).made, "envelope.key"),
    "encrypts, too": (GOOD.but(key=public(P256_KEY, symmetric="000600800043")).made, "envelope.key"),
    "key of another kind": (GOOD.but(key=b"\0\x08" + public(P256_KEY)[2:]).made, "envelope.key"),
    "key's trailing byte": (GOOD.but(key=public(P256_KEY) + b"\0").made, "envelope.structure"),
    "other curve": (
        GOOD.but(key=public(P256_KEY).replace(bytes.fromhex("00030010"), bytes.fromhex("00050010"))).made,
        "envelope.key",
    ),
    "curve with a derivation": (
        GOOD.but(key=public(P256_KEY).replace(bytes.fromhex("00030010"), bytes.fromhex("00030020"))).made,
        "envelope.key",
    ),
    "RSA of 1 024 bits": (GOOD.but(key=public(rsa_key("small", 1_024))).made, "envelope.key"),
    "RSA by 3": (GOOD.but(key=RSA_KEY.replace(b"\x08\0\0\0\0\0", b"\x08\0\0\0\0\3")).made, "envelope.key"),
    "RSA of another length": (GOOD.but(key=RSA_KEY[:-258] + number(1 << 2_039, 255)).made, "envelope.key"),
    "RSA that is too small": (GOOD.but(key=RSA_KEY[:-256] + b"\x7f" + RSA_KEY[-255:]).made, "envelope.key"),
    "of another key": (GOOD.but(key=public(signer("thief", "p256"))).made, "quote.key"),
    "of another kind of key": (GOOD.but(key=RSA_KEY).made, "quote.key"),
    "another scheme than the key's": (GOOD.but(key=public(P256_KEY, scheme="001b000b")).made, "quote.scheme"),
    "another digest than the key's": (GOOD.but(key=public(P256_KEY, scheme="0018000c")).made, "quote.scheme"),
    "digest of SHA-384 over P-256": (GOOD.but(scheme="0018000c").made, "quote.scheme"),
    "digest of SHA-1": (GOOD.but(scheme="00180004").made, "quote.scheme"),
    "another key": (GOOD.but(signer="thief").made, "quote.signature"),
    "other data": (GOOD.but(data=b"x" * 64, signature=GOOD.signed()).made, "quote.signature"),
    "signature of zeros": (
        GOOD.but(signature=bytes.fromhex("0018000b") + number(0, 32) + number(0, 32)).made,
        "quote.signature",
    ),
    "signature out of range": (
        GOOD.but(signature=bytes.fromhex("0018000b") + number(1, 32) + number(P256_ORDER, 32)).made,
        "quote.signature",
    ),
    "other registers": (GOOD.but(digest_of=b"others").made, "quote.pcrs"),
    "registers exchanged": (GOOD.but(shown=tuple(PCRS.values())[::-1]).made, "quote.pcrs"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name: str) -> None:
    """A quote with one fault is refused for that."""
    make, code = FAULTS[name]

    with pytest.raises(Unverified) as caught:
        claims(make())

    assert caught.value.code == code


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_of_another(kind: str) -> None:
    """Of no kind of key another's signature is taken."""
    made = GOOD.but(kind=kind, signer="thief")

    with pytest.raises(Unverified) as caught:
        claims(made.made(), made.chain())

    assert caught.value.code == "quote.signature"


@pytest.mark.parametrize("place", [0, 64], ids=["form", "coordinate"])
def test_key_off_the_curve(place: int) -> None:
    """What is no point of the curve verifies nothing."""
    found = read(GOOD.made())
    point = bytearray(found.key.key)
    point[place] ^= 1

    assert tpm._p256_sha256(found.key.key, found.quoted, found.signature)
    assert not tpm._p256_sha256(bytes(point), found.quoted, found.signature)


CHAINS: Final[Mapping[str, tuple[Callable[[], tuple[bytes, ...]], str]]] = {
    "the root alone": (lambda: GOOD.chain()[:1], "quote.chain.size"),
    "too long": (lambda: GOOD.chain() * 2, "quote.chain.size"),
    "other root": (GOOD.but(root="swtpm-localca").chain, "quote.root"),
    "no certificate": (lambda: (GOOD.chain()[0], b"\x30\0", GOOD.chain()[2]), "quote.certificate"),
    "by another algorithm": (
        lambda: (GOOD.chain()[0], certificate("authority", "p256", "root", "p384", digest="sha256"), GOOD.chain()[2]),
        "quote.certificate",
    ),
    "authority of 1 024 bits": (GOOD.but(issuers=("p384", "rsa1024")).chain, "quote.chain.signature"),
    "key of an algorithm that is not taken": (
        lambda: (
            *GOOD.chain()[:2],
            certified(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key(), "quoting", "authority", "p256"),
        ),
        "quote.certificate",
    ),
    "key by another issuer": (GOOD.but(issuer="thief").chain, "quote.chain.name"),
    "key of another": (GOOD.but(certified="thief").chain, "quote.key"),
    "authority as the key": (lambda: GOOD.chain()[:2], "quote.chain.authority"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_one_fault_of_a_chain(name: str) -> None:
    """A chain with one fault is refused for that."""
    make, code = CHAINS[name]

    with pytest.raises(Unverified) as caught:
        claims(GOOD.made(), make())

    assert caught.value.code == code


def test_large_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of more bytes than are taken is refused, however good."""
    monkeypatch.setattr(tpm, "CERTIFICATE_BYTES_MAX", max(map(len, GOOD.chain())) - 1)

    with pytest.raises(Unverified) as caught:
        claims(GOOD.made())

    assert caught.value.code == "quote.certificate"


@pytest.mark.parametrize("issuer", ["p256", "p384", "rsassa"])
def test_forged_certificate(issuer: str) -> None:
    """A certificate of the authority's name that another key signed is refused, whatever the authority's key."""
    made = GOOD.but(issuers=("p384", issuer))
    forged = bytearray(made.chain()[2])
    forged[-1] ^= 1

    with pytest.raises(Unverified) as caught:
        claims(made.made(), (*made.chain()[:2], bytes(forged)))

    assert caught.value.code == "quote.chain.signature"


def test_signature_that_is_none() -> None:
    """A certificate whose signature is no pair of numbers is refused."""
    leaf = GOOD.chain()[2]
    signature = read_certificate(leaf, "it").signature
    broken = leaf.removesuffix(signature) + b"\x31" + signature[1:]

    with pytest.raises(Unverified) as caught:
        claims(GOOD.made(), (*GOOD.chain()[:2], broken))

    assert caught.value.code == "quote.certificate"


def test_expired() -> None:
    """The chain must hold when it is looked at."""
    with pytest.raises(Unverified) as caught:
        claims(GOOD.made(), now_s=NOW_S + 3_601)

    assert caught.value.code == "quote.chain.time"


MADE: Final = {kind: GOOD.but(kind=kind) for kind in KINDS}
BYTES: Final = {kind: made.made() for kind, made in MADE.items()}


@given(st.sampled_from(KINDS), st.integers(0, 8 * 4_096))
def test_any_bit(kind: str, place: int) -> None:
    """No bit of a TPM's evidence can be turned."""
    turned = bytearray(BYTES[kind])
    turned[place // 8 % len(turned)] ^= 1 << place % 8

    with pytest.raises(Unverified):
        claims(bytes(turned), MADE[kind].chain())


@given(st.binary(max_size=200), st.sampled_from(KINDS), st.integers(0, 1_000), st.integers(0, 200))
def test_any_bytes(data: bytes, kind: str, place: int, cut: int) -> None:
    """Any bytes, alone or within evidence or one of its parts, are refused or change nothing; none are an error."""
    whole = QuoteEvidence.decode(BYTES[kind])
    mixed = [part[:place] + data + part[place + cut :] for part in (whole.quoted, whole.signature, whole.key)]
    tries = [data, QuoteEvidence(data, whole.signature, whole.key, whole.parent, whole.pcrs).encode()]
    tries += [
        QuoteEvidence(mixed[0], whole.signature, whole.key, whole.parent, whole.pcrs).encode(),
        QuoteEvidence(whole.quoted, mixed[1], whole.key, whole.parent, whole.pcrs).encode(),
        QuoteEvidence(whole.quoted, whole.signature, mixed[2], whole.parent, whole.pcrs).encode(),
    ]
    for each in tries:
        try:
            found = claims(each, MADE[kind].chain())
        except Unverified:
            found = None

        assert found in (None, claims(BYTES[kind], MADE[kind].chain()))
