"""SEV-SNP: what chips signed verifies, and every single fault has its own refusal."""

import base64
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.der import node
from tests.support.snp import CHIP, EXTENSIONS, NOW_S, TCB, Made, authority, authority_key, chip

from paraph.core import der
from paraph.core.digest import sha256
from paraph.core.errors import Unverified
from paraph.proofs.quotes import snp
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.rsa import PSS_SHA384, pss_sha384
from paraph.proofs.quotes.snp import GENOA, TURIN, Root, read, verify

RECORDED: Final = Path(__file__).parents[5] / "shared" / "vectors" / "attestation" / "snp"
GOOD: Final = Made()


@cache
def chain() -> tuple[bytes, bytes, bytes]:
    """The root, the authority and the chip."""
    return authority("ARK", "ARK", None), authority("ASK", "ARK", 0), chip(EXTENSIONS)


def claims(data: bytes, path: tuple[bytes, ...] | None = None, now_s: int = NOW_S) -> Claims:
    """What a report proves."""
    root = Root(chain()[0], TrustClass.HARDWARE, GENOA)
    return verify(read(data), chain() if path is None else path, root, now_s, pss_sha384, p384_sha384)


def with_chip(**changes: Any) -> tuple[bytes, ...]:
    """The chain with another certificate of the chip; an extension of None is left out."""
    named = {f"1.3.6.1.4.1.3704.1.{name[1:].replace('_', '.')}": value for name, value in changes.items()}
    found = {kind: value for kind, value in {**EXTENSIONS, **named}.items() if value is not None}
    return (*chain()[:2], chip(found))


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


Fault = tuple[Callable[[], bytes], Callable[[], tuple[bytes, ...]], str]


def fault(make: Callable[[], bytes], code: str) -> Fault:
    return make, chain, code


def in_chain(make: Callable[[], tuple[bytes, ...]], code: str) -> Fault:
    return GOOD.report, make, code


FAULTS: Final[dict[str, Fault]] = {
    "nothing": fault(lambda: b"", "envelope.size"),
    "cut off": fault(lambda: GOOD.report()[:-1], "envelope.size"),
    "trailing byte": fault(lambda: GOOD.report() + b"\0", "envelope.size"),
    "version 1": fault(GOOD.but(0, b"\1\0\0\0").report, "envelope.version"),
    "version 6": fault(GOOD.but(0, b"\6\0\0\0").report, "envelope.version"),
    "other algorithm": fault(GOOD.but(0x34, b"\2").report, "envelope.algorithm"),
    "number too long": fault(lambda: GOOD.report()[:0x2D0] + b"\1" + GOOD.report()[0x2D1:], "envelope.signature"),
    "padding": fault(lambda: GOOD.report()[:-1] + b"\1", "envelope.signature"),
    "report data changed": fault(lambda: GOOD.report()[:0x50] + b"x" + GOOD.report()[0x51:], "quote.signature"),
    "another key": fault(lambda: Made(signer="thief").report(), "quote.signature"),
    "zero signature": fault(lambda: GOOD.report()[:0x2A0] + bytes(512), "quote.signature"),
    "signed by a cloud's key": fault(GOOD.but(0x48, b"\4").report, "quote.signer"),
    "masked": fault(GOOD.but(0x48, b"\2").report, "quote.chip"),
    "no chip": fault(GOOD.but(0x1A0, bytes(64)).report, "quote.chip"),
    "other chip": fault(GOOD.but(0x1A0, b"x" + CHIP[1:]).report, "quote.chip"),
    "other version": fault(GOOD.but(0x180, b"\x09" + TCB[1:]).report, "quote.version"),
    "policy without its bit": fault(GOOD.but(0x08, u64(0x10000)).report, "quote.policy"),
    "may be moved": fault(GOOD.but(0x08, u64(0x70000)).report, "quote.migration"),
    "level 1": fault(GOOD.but(0x30, b"\1").report, "quote.level"),
    "aliases": fault(GOOD.but(0x40, u64(5)).report, "quote.aliases"),
    "two certificates": in_chain(lambda: chain()[:2], "quote.chain.size"),
    "other root": in_chain(lambda: (authority("thief", "thief", None), *chain()[1:]), "quote.root"),
    "authority by another": in_chain(
        lambda: (chain()[0], authority("ASK", "thief", 0), chain()[2]), "quote.chain.name"
    ),
    "chip by another": in_chain(lambda: (*chain()[:2], chip(EXTENSIONS, "thief")), "quote.chain.name"),
    "authority as the chip": in_chain(lambda: (*chain()[:2], chain()[1]), "quote.certificate"),
    "short salt": in_chain(lambda: (chain()[0], authority("ASK", "ARK", 0, 32), chain()[2]), "quote.certificate"),
    "no certificate": in_chain(lambda: (*chain()[:2], b"\x30\0"), "quote.certificate"),
    "certificate too large": in_chain(lambda: (*chain()[:2], bytes(2_049)), "quote.certificate"),
    "no hardware id": in_chain(lambda: with_chip(_4=None), "quote.chip"),
    "hardware id of another": in_chain(lambda: with_chip(_4=b"x" * 64), "quote.chip"),
    "no version": in_chain(lambda: with_chip(_3_8=None), "quote.version"),
    "lower version": in_chain(lambda: with_chip(_3_8=b"\2\1\x53"), "quote.version"),
    "version that is none": in_chain(lambda: with_chip(_3_8=b"\5\0"), "quote.certificate"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name: str) -> None:
    """A report with one fault is refused for that."""
    make, path, code = FAULTS[name]

    with pytest.raises(Unverified) as caught:
        claims(make(), path())

    assert caught.value.code == code


def test_claims() -> None:
    """A report proves its measurement, policy and versions, and what was bound; it tells no time."""
    found = claims(GOOD.report())

    assert (found.platform, found.trust, found.debug) == ("snp", TrustClass.HARDWARE, False)
    assert (found.time_ms, found.nonce, found.key) == (None, None, None)
    assert found.versions == {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84}
    assert (found.measurements["measurement"], found.measurements["policy"]) == (b"m" * 48, u64(0x30000))
    assert (found.data, found.module) == (b"b" * 64, CHIP.hex())
    assert [serial for _, serial in found.certificates] == [5]
    assert claims(GOOD.but(0x08, u64(0xB0000)).report()).debug


def test_milan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milan's root is no root, though somebody believes it."""
    monkeypatch.setattr(snp, "MILAN_ROOT", sha256(chain()[0]))

    with pytest.raises(Unverified) as caught:
        claims(GOOD.report())

    assert caught.value.code == "quote.milan"


def test_expired() -> None:
    """The chain must hold when it is looked at."""
    with pytest.raises(Unverified) as caught:
        claims(GOOD.report(), now_s=NOW_S + 86_401)

    assert caught.value.code == "quote.chain.time"


@given(st.integers(0, 8 * 0x330 - 1))
def test_any_bit(place: int) -> None:
    """No bit of a report, or of its signature, can be turned."""
    turned = bytearray(GOOD.report())
    turned[place // 8] ^= 1 << place % 8

    with pytest.raises(Unverified):
        claims(bytes(turned))


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_any_key_or_signature(point: bytes, signature: bytes) -> None:
    """No bytes are an RSA signature, or a key of one, and none are an error."""
    made = authority_key("ARK").public_key()
    numbers = made.public_numbers()
    good = node(0x30, node(0x02, b"\0", numbers.n.to_bytes(512, "big")), b"\2\3\1\0\1")

    assert not pss_sha384(point, b"said", signature)
    assert not pss_sha384(good, b"said", signature)


@pytest.mark.parametrize(
    "numbers", [b"\2\1\5\2\3\1\0\1", b"\2\1\5", b"\2\x82\x02\x01\x80" + bytes(512) + b"\2\3\1\0\1"]
)
def test_other_rsa_keys(numbers: bytes) -> None:
    """A key of another size or exponent, or that is none, verifies nothing."""
    assert not pss_sha384(node(0x30, numbers), b"said", bytes(512))


def test_algorithm_identifiers() -> None:
    """Both spellings say PSS by SHA-384 and MGF1, with 48 bytes of salt; one also says the trailer that is usual."""
    names = []
    for each in PSS_SHA384:
        kind, parameters = der.sequence(der.read(each, "it"), "it")
        inner = [part.content for part in der.sequence(parameters, "it")]
        names.append((der.oid(kind, "it"), inner[2], inner[3:]))

    assert names == [
        ("1.2.840.113549.1.1.10", b"\2\1\x30", []),
        ("1.2.840.113549.1.1.10", b"\2\1\x30", [b"\2\1\1"]),
    ]


# --- recorded reports ---


def certificate(name: str) -> bytes:
    """A recorded certificate, as DER."""
    data = (RECORDED / name).read_bytes()
    return base64.b64decode(b"".join(data.split(b"-----")[2].split())) if name.endswith(".pem") else data


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded evidence is not here")
def test_recorded_reports() -> None:
    """Genuine reports of Genoa and Turin verify; Milan's, and those by a cloud's key, do not."""
    genoa = Root(certificate("genoa_ark.pem"), TrustClass.HARDWARE, GENOA)
    turin = Root(certificate("turin_ark.pem"), TrustClass.HARDWARE, TURIN)
    milan = Root(certificate("milan_ark.pem"), TrustClass.HARDWARE, GENOA)
    rows = [
        ("ms_genoa_report.bin", genoa, "ms_genoa_ask.pem", "ms_genoa_vcek.pem", ""),
        ("lunal_genoa_v5_report.bin", genoa, "genoa_ask.der", "lunal_genoa_vcek.der", ""),
        ("ms_turin_report.bin", turin, "ms_turin_ask.pem", "ms_turin_vcek.pem", ""),
        ("ms_genoa_report.bin", genoa, "ms_genoa_ask.pem", "lunal_genoa_vcek.der", "quote.chip"),
        ("ms_genoa_report.bin", turin, "ms_genoa_ask.pem", "ms_genoa_vcek.pem", "quote.chain.name"),
        ("lunal_vlek_report.bin", genoa, "genoa_ask.der", "lunal_genoa_vcek.der", "quote.signer"),
        ("ms_milan_report.bin", milan, "ms_milan_ask.pem", "ms_milan_vcek.pem", "quote.milan"),
        ("google_milan_report.bin", milan, "milan_ask.der", "google_milan_vcek.der", "quote.milan"),
    ]
    found = []
    for report, root, ask, vcek, _ in rows:
        path = (root.certificate, certificate(ask), certificate(vcek))
        try:
            made = verify(read((RECORDED / report).read_bytes()), path, root, 1_780_000_000, pss_sha384, p384_sha384)
            found.append("debug" if made.debug else "")
        except Unverified as error:
            found.append(error.code)

    assert found == [code for *_, code in rows]
