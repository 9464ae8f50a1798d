"""Nitro documents: what hypervisors made verifies, and every single fault has its own refusal."""

import base64
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from tests.support.nitro import CHAIN, LEAF, MODULE, NOW_S, PCRS, ROOT, Document, Place, sealed

from paraph.core import cbor
from paraph.core.errors import Unverified
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.ecdsa import ORDER, p384_sha384
from paraph.proofs.quotes.nitro import PROTECTED, Root, read, signing_input, verify

GOOD: Final = Document()
RECORDED: Final = Path(__file__).parents[5] / "shared" / "vectors" / "attestation" / "nitro"


@cache
def root() -> bytes:
    """The hypervisor's root."""
    return ROOT.made(ROOT)


@cache
def remembered(key: bytes, message: bytes, signature: bytes) -> bool:
    """The authorities are those of every test."""
    return p384_sha384(key, message, signature)


def claims(data: bytes, trust: TrustClass = TrustClass.SIMULATED, now_s: int = NOW_S) -> Claims:
    """What a document proves."""
    return verify(read(data), Root(root(), trust), now_s, remembered)


def refused(data: bytes, trust: TrustClass = TrustClass.SIMULATED, now_s: int = NOW_S) -> str:
    """Why it proves nothing."""
    with pytest.raises(Unverified) as caught:
        claims(data, trust, now_s)
    return caught.value.code


def resealed(change: Callable[[bytes], bytes], document: Document = GOOD) -> bytes:
    """A document whose payload was changed as bytes, and then signed."""
    payload = change(document.payload())
    return sealed(payload, document.signature(payload))


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replace some bytes that are there once."""

    def change(data: bytes) -> bytes:
        assert data.count(old) == 1
        return data.replace(old, new)

    return change


def with_signature(change: Callable[[bytes], Any]) -> bytes:
    """The document with another signature."""
    payload = GOOD.payload()
    return sealed(payload, change(GOOD.signature(payload)))


def twin(signature: bytes) -> bytes:
    """The other signature that verifies."""
    s = ORDER - int.from_bytes(signature[48:], "big")
    return signature[:48] + s.to_bytes(48, "big")


def number(value: int) -> bytes:
    return value.to_bytes(48, "big")


def leaf_der(change: Callable[[bytes], bytes]) -> bytes:
    """The document with another leaf, as bytes."""
    return GOOD.saying(certificate=change(GOOD.certificates()[-1])).made()


def bundle(change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """The document with another list of authorities."""
    return GOOD.but(bundle=change(GOOD.certificates()[:-1])).made()


def one_pcr(index: Any, value: Any = bytes(48)) -> bytes:
    return GOOD.saying(pcrs={**PCRS, index: value}).made()


def p256_leaf() -> bytes:
    """A leaf of a smaller curve."""
    return Place(LEAF.name, authority=False, usage="evidence", curve=ec.SECP256R1).made(CHAIN[3])


def sha256_leaf() -> bytes:
    """A leaf signed over a shorter digest."""
    return Place(LEAF.name, authority=False, usage="evidence", digest=SHA256()).made(CHAIN[3])


LONGER: Final = (ROOT, *(replace(each, length=5) for each in CHAIN[1:]))
TIME: Final = cbor.encode(NOW_S * 1_000)
ZERO_CERTIFICATE: Final = bytes(64)
PCR_0: Final = cbor.encode(0) + cbor.encode(PCRS[0])

FAULTS: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "nothing": (lambda: b"", "envelope.size"),
    "too large": (lambda: bytes(16_897), "envelope.size"),
    "cut off": (lambda: GOOD.made()[:-1], "envelope.cbor"),
    "trailing byte": (lambda: GOOD.made() + b"\0", "envelope.cbor"),
    "base64": (lambda: base64.b64encode(GOOD.made()), "envelope.cbor"),
    "tag 17": (lambda: b"\xd1" + GOOD.made(), "envelope.cbor"),
    "no array": (lambda: cbor.encode({1: 2}), "envelope.cose"),
    "array of three": (lambda: cbor.encode([PROTECTED, {}, b"x"]), "envelope.cose"),
    "payload elsewhere": (lambda: sealed(None, bytes(96)), "envelope.cose"),
    "empty payload": (lambda: sealed(b"", bytes(96)), "envelope.cose"),
    "payload too large": (lambda: sealed(bytes(16_385), bytes(96)), "envelope.cose"),
    "unprotected header": (lambda: GOOD.but(unprotected={4: b"k"}).made(), "envelope.unprotected"),
    "unprotected list": (lambda: GOOD.but(unprotected=[]).made(), "envelope.unprotected"),
    "ES256": (lambda: GOOD.but(protected=cbor.encode({1: -7})).made(), "envelope.algorithm"),
    "no protected header": (lambda: GOOD.but(protected=b"").made(), "envelope.algorithm"),
    "more headers": (lambda: GOOD.but(protected=cbor.encode({1: -35, 2: [1]})).made(), "envelope.algorithm"),
    "algorithm unprotected": (
        lambda: GOOD.but(protected=b"\xa0", unprotected={1: -35}).made(),
        "envelope.algorithm",
    ),
    "signature of 64 bytes": (lambda: with_signature(lambda _: bytes(64)), "envelope.signature"),
    "signature as DER": (lambda: with_signature(lambda _: GOOD.signed(b"x")), "envelope.signature"),
    "signature as text": (lambda: with_signature(lambda _: "s" * 96), "envelope.signature"),
    "zero signature": (lambda: with_signature(lambda _: bytes(96)), "quote.signature"),
    "bit of the signature": (lambda: with_signature(lambda s: s[:-1] + bytes((s[-1] ^ 1,))), "quote.signature"),
    "r too large": (lambda: with_signature(lambda s: number(ORDER) + s[48:]), "quote.signature"),
    "s too large": (lambda: with_signature(lambda s: s[:48] + number(ORDER)), "quote.signature"),
    "r zero": (lambda: with_signature(lambda s: bytes(48) + s[48:]), "quote.signature"),
    "bit of a measurement": (
        lambda: sealed(GOOD.saying(pcrs={**PCRS, 0: b"\3" + PCRS[0][1:]}).payload(), GOOD.signature(GOOD.payload())),
        "quote.signature",
    ),
    "another context": (lambda: GOOD.but(context="Signature").made(), "quote.signature"),
    "data from outside": (lambda: GOOD.but(outside=b"x").made(), "quote.signature"),
    "another key": (lambda: GOOD.but(signer="thief").made(), "quote.signature"),
    "payload no map": (lambda: resealed(lambda _: cbor.encode([1])), "envelope.payload"),
    "no module": (lambda: GOOD.saying(module_id=...).made(), "envelope.module"),
    "empty module": (lambda: GOOD.saying(module_id="").made(), "envelope.module"),
    "module of a TPM": (lambda: GOOD.saying(module_id="sim-i-0123456789abcdef0-tpm0123").made(), "envelope.module"),
    "module as bytes": (lambda: GOOD.saying(module_id=MODULE.encode()).made(), "envelope.module"),
    "module and more": (lambda: GOOD.saying(module_id=MODULE + "\n").made(), "envelope.module"),
    "module not UTF-8": (lambda: resealed(swapped(b"module_idx+sim", b"module_idx+si\xff")), "envelope.cbor"),
    "SHA256": (lambda: GOOD.saying(digest="SHA256").made(), "envelope.digest"),
    "time zero": (lambda: GOOD.saying(timestamp=0).made(), "envelope.time"),
    "time true": (lambda: GOOD.saying(timestamp=True).made(), "envelope.time"),
    "time as text": (lambda: GOOD.saying(timestamp="1760000000000").made(), "envelope.time"),
    "time beyond all": (lambda: GOOD.saying(timestamp=2**53).made(), "envelope.time"),
    "time as a float": (lambda: resealed(swapped(TIME, b"\xfb" + struct.pack(">d", 1.76e12))), "envelope.cbor"),
    "no measurements": (lambda: GOOD.saying(pcrs=...).made(), "envelope.pcrs"),
    "measurements empty": (lambda: GOOD.saying(pcrs={}).made(), "envelope.pcrs"),
    "measurements in a list": (lambda: GOOD.saying(pcrs=list(PCRS.values())).made(), "envelope.pcrs"),
    "index 32": (lambda: one_pcr(32), "envelope.pcrs"),
    "index -1": (lambda: one_pcr(-1), "envelope.pcrs"),
    "index as text": (lambda: one_pcr("0"), "envelope.pcrs"),
    "measurement of 32 bytes": (lambda: one_pcr(0, bytes(32)), "envelope.pcrs"),
    "measurement as text": (lambda: one_pcr(0, "0" * 48), "envelope.pcrs"),
    "measurements twice": (
        lambda: resealed(lambda p: b"\xaa" + p[1:] + cbor.encode("pcrs") + cbor.encode({0: bytes(48)})),
        "envelope.cbor",
    ),
    "index twice": (lambda: resealed(swapped(b"\xb0" + PCR_0, b"\xb1" + 2 * PCR_0)), "envelope.cbor"),
    "no certificate": (lambda: GOOD.saying(certificate=...).made(), "envelope.certificate"),
    "certificate too large": (lambda: GOOD.saying(certificate=bytes(1_025)).made(), "envelope.certificate"),
    "no authorities": (lambda: bundle(lambda _: []), "envelope.authorities"),
    "authorities no list": (lambda: GOOD.saying(cabundle=b"x").made(), "envelope.authorities"),
    "nine authorities": (lambda: bundle(lambda b: b + b + b[:1]), "envelope.authorities"),
    "authority too large": (lambda: bundle(lambda b: [*b, bytes(1_025)]), "envelope.authorities"),
    "key too large": (lambda: GOOD.saying(public_key=bytes(1_025)).made(), "envelope.field"),
    "data as text": (lambda: GOOD.saying(user_data="bound").made(), "envelope.field"),
    "nonce as a number": (lambda: GOOD.saying(nonce=5).made(), "envelope.field"),
    "bytes in pieces": (lambda: resealed(swapped(cbor.encode(b"bound"), b"\x5f\x45bound\xff")), "envelope.cbor"),
    "nested deep": (lambda: b"\x81" * 9_000, "envelope.cbor"),
    "huge length": (lambda: b"\x84\x5b" + b"\xff" * 8, "envelope.cbor"),
    "NaN": (lambda: resealed(lambda p: b"\xaa" + p[1:] + b"\x61x\xfb\x7f\xf8" + bytes(6)), "envelope.cbor"),
    "true as a key": (lambda: resealed(lambda p: b"\xaa" + p[1:] + b"\xf5\x00"), "envelope.cbor"),
    "NitroTPM": (lambda: GOOD.saying(pcrs=..., nitrotpm_pcrs=dict(PCRS)).made(), "envelope.tpm"),
    "enclave and NitroTPM": (lambda: GOOD.saying(nitrotpm_pcrs=dict(PCRS)).made(), "envelope.tpm"),
    "emulator's": (
        lambda: sealed(
            GOOD.saying(certificate=ZERO_CERTIFICATE, cabundle=[ZERO_CERTIFICATE]).payload(),
            bytes(64),
            cbor.encode({1: -1}),
        ),
        "envelope.algorithm",
    ),
    "authorities reversed": (lambda: bundle(lambda b: b[::-1]), "quote.root"),
    "root of the same name": (lambda: GOOD.with_authority(0, signer="root.sim", serial=8).made(), "quote.root"),
    "another root": (lambda: GOOD.with_authority(0, name="thief.sim").made(), "quote.root"),
    "root before another chain": (lambda: GOOD.with_authority(1, signer="thief").made(), "quote.chain.signature"),
    "authority left out": (lambda: bundle(lambda b: [b[0], b[1], b[3]]), "quote.chain.name"),
    "authority of another machine": (
        lambda: GOOD.but(bundle=GOOD.with_authority(3, name="other.sim").certificates()[:-1]).made(),
        "quote.chain.name",
    ),
    "leaf expired": (lambda: GOOD.with_leaf(after_s=-1).made(), "quote.chain.time"),
    "leaf to come": (lambda: GOOD.with_leaf(before_s=-1).made(), "quote.chain.time"),
    "authority expired": (lambda: GOOD.with_authority(2, after_s=-1).made(), "quote.chain.time"),
    "leaf an authority": (lambda: GOOD.with_leaf(authority=True).made(), "quote.chain.authority"),
    "authority none": (lambda: GOOD.with_authority(2, authority=False, length=None).made(), "quote.chain.authority"),
    "authority without a word": (
        lambda: GOOD.with_authority(2, authority=None, length=None).made(),
        "quote.chain.authority",
    ),
    "path too long": (lambda: GOOD.with_authority(1, length=1).made(), "quote.chain.length"),
    "leaf may not sign": (lambda: GOOD.with_leaf(usage="nothing").made(), "quote.chain.usage"),
    "leaf without a usage": (lambda: GOOD.with_leaf(usage=None).made(), "quote.chain.usage"),
    "authority may not certify": (lambda: GOOD.with_authority(3, usage="evidence").made(), "quote.chain.usage"),
    "other issuer": (lambda: GOOD.with_authority(3, issuer="other.sim").made(), "quote.chain.name"),
    "leaf signed by another": (lambda: GOOD.with_leaf(signer="thief").made(), "quote.chain.signature"),
    "critical extension": (lambda: GOOD.with_leaf(critical="1.2.3.4").made(), "quote.chain.critical"),
    "leaf as an issuer": (
        lambda: GOOD.but(chain=(*LONGER, LEAF), leaf=Place(f"{MODULE}.x", authority=False, usage="evidence")).made(),
        "quote.chain.authority",
    ),
    "machine as the leaf": (lambda: GOOD.but(chain=CHAIN[:3], leaf=CHAIN[3]).made(), "quote.chain.authority"),
    "leaf on P-256": (lambda: leaf_der(lambda _: p256_leaf()), "quote.certificate"),
    "leaf by SHA-256": (lambda: leaf_der(lambda _: sha256_leaf()), "quote.certificate"),
    "byte after the leaf": (lambda: leaf_der(lambda der: der + b"\0"), "quote.certificate"),
    "leaf in BER": (lambda: leaf_der(lambda der: b"\x30\x80" + der[4:] + b"\0\0"), "quote.certificate"),
    "usage that is none": (lambda: GOOD.with_leaf(usage=None, critical="2.5.29.15").made(), "quote.certificate"),
    "leaf no certificate": (lambda: leaf_der(lambda _: b"\x30\x00"), "quote.certificate"),
    "leaf of another enclave": (lambda: GOOD.with_leaf(names=(f"{MODULE}0.region.sim",)).made(), "quote.name"),
    "leaf of two names": (lambda: GOOD.with_leaf(names=(LEAF.name, LEAF.name)).made(), "quote.name"),
    "leaf without a name": (lambda: GOOD.with_leaf(names=()).made(), "quote.name"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault(fault: str) -> None:
    """A document with one fault is refused for that."""
    make, code = FAULTS[fault]

    assert refused(make()) == code


def test_claims() -> None:
    """A document proves its measurements, what it was asked to carry, and who vouched."""
    found = claims(GOOD.made())

    assert (found.platform, found.trust.word, found.time_ms) == ("simulated", "simulated", NOW_S * 1_000)
    assert found.measurements == {f"pcr{index}": value for index, value in PCRS.items()}
    assert (found.data, found.nonce, found.key, found.module) == (b"bound", b"asked", b"a key", MODULE)
    assert [serial for _, serial in found.certificates] == [1, 2, 3, 99]


GOOD_OTHERWISE: Final[dict[str, Callable[[], bytes]]] = {
    "tag 18": lambda: b"\xd2" + GOOD.made(),
    "map without a length": lambda: resealed(lambda payload: b"\xbf" + payload[1:] + b"\xff"),
    "unknown field": lambda: GOOD.saying(later={"x": [1]}).made(),
    "nothing carried": lambda: GOOD.saying(public_key=None, user_data=b"", nonce=...).made(),
    "other signature": lambda: with_signature(twin),
}


@pytest.mark.parametrize("spelling", GOOD_OTHERWISE)
def test_same_claims_otherwise_spelled(spelling: str) -> None:
    """What hypervisors may write otherwise, and the twin of a signature, prove the same."""
    found = claims(GOOD_OTHERWISE[spelling]())

    assert found.measurements == claims(GOOD.made()).measurements
    assert (found.data, found.nonce, found.key) in ((b"bound", b"asked", b"a key"), (b"", b"", b""))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_debugged(index: int) -> None:
    """An enclave of which one measurement of its image is zero, or missing, was started for debugging."""
    without = {other: value for other, value in PCRS.items() if other != index}

    assert claims(GOOD.saying(pcrs={**PCRS, index: bytes(48)}).made()).debug
    assert claims(GOOD.saying(pcrs=without).made()).debug
    assert not claims(GOOD.saying(pcrs={**PCRS, 3: bytes(48)}).made()).debug


def test_names_itself_as_its_root_does() -> None:
    """A simulated root signs simulated enclaves only, and no other root does."""
    module = MODULE.removeprefix("sim-")
    real = GOOD.saying(module_id=module).with_leaf(name=f"{module}.region.sim").made()

    assert claims(real, TrustClass.HARDWARE).platform == "nitro"
    assert refused(real) == "quote.simulated"
    assert refused(GOOD.made(), TrustClass.HARDWARE) == "quote.simulated"


def test_later_than_its_certificates() -> None:
    """What verified is refused when its leaf has expired."""
    assert refused(GOOD.made(), now_s=NOW_S + LEAF.after_s + 1) == "quote.chain.time"
    assert claims(GOOD.made(), now_s=NOW_S + LEAF.after_s).module == MODULE


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are refused, with a reason."""
    assert refused(data).startswith("envelope.")


@given(st.integers(0, 8 * 4_000), st.sampled_from(["payload", "document"]))
def test_any_bit(place: int, where: str) -> None:
    """No bit of a document can be turned, whether it was signed so or not, and prove the same enclave."""
    payload = GOOD.payload()
    data = payload if where == "payload" else GOOD.made()
    turned = bytearray(data)
    turned[place // 8 % len(data)] ^= 1 << place % 8
    if where == "document":
        assert refused(bytes(turned))
        return
    try:
        found = claims(sealed(bytes(turned), GOOD.signature(bytes(turned))))
    except Unverified:
        return
    assert found != claims(GOOD.made())


def test_signing_input() -> None:
    """The bytes that are signed are those of RFC 9052, written down here in hexadecimal."""
    assert signing_input(b"x").hex() == "846a5369676e61747572653144a1013822404178"


# --- recorded documents ---


def recorded() -> list[Path]:
    """Real documents, where the folder of recorded evidence lies beside the checkout."""
    return sorted(RECORDED.glob("*.bin"))


@pytest.mark.skipif(not recorded(), reason="the recorded evidence is not here")
def test_recorded_documents() -> None:
    """Every genuine document verifies at its own time against the root that AWS publishes; the spoilt one does not."""
    pem = (RECORDED / "aws_root_g1.pem").read_text()
    aws = Root(base64.b64decode("".join(pem.split("-----")[2].split())), TrustClass.HARDWARE)
    spoilt, debug = [], 0
    for path in recorded():
        document = read(path.read_bytes())
        try:
            found = verify(document, aws, document.time_ms // 1_000, p384_sha384)
        except Unverified as error:
            spoilt.append((path.name.partition("__")[2].partition("__")[0], error.code))
            continue
        assert found.platform == "nitro"
        assert found.module == document.module
        debug += found.debug

    assert spoilt == [("invalid_attestation", "quote.signature")]
    assert (len(recorded()), debug) == (19, 7)
