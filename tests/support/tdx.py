"""A maker of chips of Intel's kind with a root of its own: every part of a quote and of its collateral can be wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.der import node
from tests.support.nitro import key, named

from paraph.core.digest import sha256
from paraph.proofs.quotes import pem
from paraph.proofs.quotes.intel_collateral import PARTS
from paraph.proofs.quotes.tdx import SGX_FIELDS, TD_1_0_FIELDS, TD_1_5_FIELDS, VENDOR

NOW_S: Final = 1_760_000_000
ISSUED_S: Final = NOW_S - 3_600
SERIALS: Final = {"root": 1, "authority": 0xA1, "chip": 0xB2, "signer": 0x43}
FMSPC: Final = bytes.fromhex("b0c06f000000")
PPID: Final = bytes(range(16))
SVN: Final = bytes((3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0))
MODULE_SVN: Final = bytes((6, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
"""Of TDX: the module's security version, its version, and of the microcode."""
QE_SIGNER: Final = b"q" * 32
SGX_OID: Final = bytes.fromhex("2a864886f84d010d01")

MACHINE: Final[Mapping[str, bytes]] = {
    "tee_tcb_svn": MODULE_SVN,
    "mr_seam": b"s" * 48,
    "td_attributes": bytes.fromhex("0000001000000000"),
    "xfam": bytes.fromhex("e702060000000000"),
    "mr_td": b"f" * 48,
    "rtmr0": b"0" * 48,
    "rtmr1": b"1" * 48,
    "rtmr2": b"2" * 48,
    "report_data": b"bound".ljust(64, b"\0"),
}
ENCLAVE: Final[Mapping[str, bytes]] = {
    "cpu_svn": SVN,
    "attributes": bytes.fromhex("0500000000000000e700000000000000"),
    "mr_enclave": b"e" * 32,
    "mr_signer": b"m" * 32,
    "isv_prod_id": b"\7\0",
    "isv_svn": b"\3\0",
    "report_data": b"bound".ljust(64, b"\0"),
}


@cache
def certificate(name: str, issuer: str = "", signer: str = "", after_s: int = 10**8, critical: str = "") -> bytes:
    """One of the four certificates; the chip's says which chip it is."""
    issuer = issuer or {"chip": "authority"}.get(name, "root")
    start = datetime.fromtimestamp(NOW_S, UTC)
    authority = name in {"root", "authority"}
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .not_valid_before(start - timedelta(seconds=10**8))
        .not_valid_after(start + timedelta(seconds=after_s))
        .serial_number(SERIALS.get(name, 9))
        .public_key(public(name))
        .add_extension(x509.BasicConstraints(authority, {"root": 1, "authority": 0}.get(name)), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
    )
    if name == "chip":
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.840.113741.1.13.1"), chip_extension())
        builder = builder.add_extension(unknown, critical=False)
    if critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(critical), b"\5\0")
        builder = builder.add_extension(unknown, critical=True)
    signed = builder.sign(key(signer or issuer, ec.SECP256R1), SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(Encoding.DER)


def public(name: str) -> ec.EllipticCurvePublicKey:
    """Somebody's public key."""
    return key(name, ec.SECP256R1).public_key()


def _usage(*, authority: bool) -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    unused: dict[str, bool] = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **unused)


def chip_extension(fmspc: bytes = FMSPC) -> bytes:
    """What Intel says of a chip in its certificate."""

    def entry(*path: int, value: bytes) -> bytes:
        return node(0x30, node(6, SGX_OID + bytes(path)), value)

    versions = [entry(2, place + 1, value=node(2, bytes((svn,)))) for place, svn in enumerate(SVN)]
    versions += [entry(2, 17, value=node(2, b"\x0b")), entry(2, 18, value=node(4, SVN))]
    options = [entry(7, place, value=node(1, b"\xff")) for place in (1, 2, 3)]
    return node(
        0x30,
        entry(1, value=node(4, PPID)),
        entry(2, value=node(0x30, *versions)),
        entry(3, value=node(4, b"\0\0")),
        entry(4, value=node(4, fmspc)),
        entry(5, value=node(0x0A, b"\1")),
        entry(6, value=node(4, b"i" * 16)),
        entry(7, value=node(0x30, *options)),
    )


@cache
def revocations(
    issuer: str, revoked: int | None = None, issued_s: int = ISSUED_S, next_s: int = 10**7, signer: str = ""
) -> bytes:
    """A list of revoked certificates."""
    start = datetime.fromtimestamp(issued_s, UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(named(issuer))
        .last_update(start)
        .next_update(start + timedelta(seconds=next_s))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public(issuer)), critical=False)
    )
    if revoked is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(revoked).revocation_date(start).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key(signer or issuer, ec.SECP256R1), SHA256()).public_bytes(Encoding.DER)


def signature(name: str, message: bytes) -> bytes:
    """Somebody's signature, as r ‖ s."""
    signed = key(name, ec.SECP256R1).sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signed))


def written(at_s: int) -> str:
    """A time as Intel's statements write it."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def report(fields: Mapping[str, bytes], places: Mapping[str, tuple[int, int]], size: int) -> bytes:
    """A report of those fields; the others are zero."""
    data = bytearray(size)
    for name, value in fields.items():
        at, length = places[name]
        data[at : at + length] = value
    return bytes(data)


@dataclass(frozen=True)
class Statement:
    """Intel's word on security versions, or on its quoting enclave: what it says, when, and who signs it."""

    said: Mapping[str, Any]
    issued_s: int = ISSUED_S
    next_s: int = 30 * 86_400
    signer: str = "signer"

    def text(self) -> bytes:
        """It, as JSON."""
        dates = {"issueDate": written(self.issued_s), "nextUpdate": written(self.issued_s + self.next_s)}
        return json.dumps({**dates, **self.said}, separators=(",", ":")).encode()

    def saying(self, **said: Any) -> "Statement":
        """The same that says otherwise."""
        return replace(self, said={**self.said, **said})


def level(
    status: str, svn: int = 0, microcode_svn: int = 0, days: int = 1, advisories: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A level of security versions: chips with at least those are in that state."""
    components, microcode = [{"svn": svn}] * 16, [{"svn": 0}] * 2 + [{"svn": microcode_svn}] + [{"svn": 0}] * 13
    tcb = {"sgxtcbcomponents": components, "pcesvn": 5, "tdxtcbcomponents": microcode}
    date = written(NOW_S - days * 86_400)
    return {"tcb": tcb, "tcbDate": date, "tcbStatus": status, "advisoryIDs": list(advisories)}


def enclave_level(status: str, svn: int = 4) -> dict[str, Any]:
    """The same of an enclave or of a module."""
    return {"tcb": {"isvsvn": svn}, "tcbDate": written(ISSUED_S), "tcbStatus": status}


MODULE: Final = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
VERSIONS: Final = Statement({
    "id": "TDX",
    "version": 3,
    "fmspc": FMSPC.hex().upper(),
    "pceId": "0000",
    "tcbType": 0,
    "tcbEvaluationDataNumber": 19,
    "tdxModule": MODULE,
    "tdxModuleIdentities": [{"id": "TDX_01", **MODULE, "tcbLevels": [enclave_level("UpToDate")]}],
    "tcbLevels": [level("UpToDate")],
})  # fmt: skip
IDENTITY: Final = Statement({
    "id": "TD_QE",
    "version": 2,
    "tcbEvaluationDataNumber": 18,
    "miscselect": "00000000",
    "miscselectMask": "FFFFFFFF",
    "attributes": "11000000000000000000000000000000",
    "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
    "mrsigner": QE_SIGNER.hex().upper(),
    "isvprodid": 2,
    "tcbLevels": [enclave_level("UpToDate")],
})  # fmt: skip
QE: Final[Mapping[str, bytes]] = {
    "attributes": bytes.fromhex("1500000000000000e700000000000000"),
    "mr_signer": QE_SIGNER,
    "isv_prod_id": b"\2\0",
    "isv_svn": b"\6\0",
}


@dataclass(frozen=True)
class Made:
    """A quote to be made, and what stands beside it."""

    version: int = 4
    tee: int = 0x81
    body: tuple[int, int] = (2, 584)
    """Of version 5: the report's type and size."""
    vendor: bytes = VENDOR
    algorithm: int = 2
    fields: Mapping[str, bytes] = field(default_factory=lambda: dict(MACHINE))
    qe: Mapping[str, bytes] = field(default_factory=dict)
    authentication: bytes = bytes(range(32))
    certification: tuple[int, int] = (6, 5)
    chain: tuple[bytes, ...] = ()
    tail: bytes = b"\0"
    quote_signer: str = "attestation"
    qe_signer: str = "chip"
    bound: bytes | None = None
    versions: Statement = VERSIONS
    identity: Statement = IDENTITY
    pieces: Mapping[str, bytes] = field(default_factory=dict)
    """In place of the collateral's own."""

    def quote(self) -> bytes:
        """The quote."""
        head = _u16(self.version) + _u16(self.algorithm) + self.tee.to_bytes(4, "little") + bytes(4) + self.vendor
        head += bytes(20)
        if self.version == 5:
            head += _u16(self.body[0]) + self.body[1].to_bytes(4, "little")
        signed = head + self.report()
        parts = self.signature(signed)
        return signed + len(parts).to_bytes(4, "little") + parts

    def report(self) -> bytes:
        """The report of the machine or of the enclave."""
        if self.tee == 0:
            return report(self.fields, SGX_FIELDS, 384)
        size = self.body[1] if self.version == 5 else 584
        return report(self.fields, TD_1_5_FIELDS if size == 648 else TD_1_0_FIELDS, size)

    def signature(self, signed: bytes) -> bytes:
        """What follows the report."""
        numbers = public("attestation").public_numbers()
        point = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        bound = sha256(point + self.authentication) if self.bound is None else self.bound
        enclave = report({**QE, "report_data": bound.ljust(64, b"\0"), **self.qe}, SGX_FIELDS, 384)
        text = b"".join(map(pem.written, self.certificates())) + self.tail
        inner = enclave + signature(self.qe_signer, enclave)
        inner += _u16(len(self.authentication)) + self.authentication
        inner += _u16(self.certification[1]) + len(text).to_bytes(4, "little") + text
        if self.version > 3:
            inner = _u16(self.certification[0]) + len(inner).to_bytes(4, "little") + inner
        return signature(self.quote_signer, signed) + point + inner

    def certificates(self) -> tuple[bytes, ...]:
        """The chip's, the authority's, the root's."""
        return self.chain or tuple(certificate(name) for name in ("chip", "authority", "root"))

    def parts(self) -> tuple[bytes, ...]:
        """The collateral."""
        signers = pem.written(certificate("signer")) + pem.written(certificate("root"))
        found = {
            "pck_crl_issuer_chain": b"".join(map(pem.written, self.certificates()[1:])),
            "root_ca_crl": revocations("root"),
            "pck_crl": revocations("authority"),
            "tcb_info_issuer_chain": signers,
            "tcb_info": self.versions.text(),
            "tcb_info_signature": signature(self.versions.signer, self.versions.text()),
            "qe_identity_issuer_chain": signers,
            "qe_identity": self.identity.text(),
            "qe_identity_signature": signature(self.identity.signer, self.identity.text()),
        } | dict(self.pieces)
        return tuple(found[name] for name in PARTS)

    def but(self, **changes: Any) -> "Made":
        """The same with other parts."""
        return replace(self, **changes)

    def measuring(self, **fields: bytes) -> "Made":
        """The same with other fields of the report."""
        return replace(self, fields={**self.fields, **fields})

    def beside(self, **pieces: bytes) -> "Made":
        """The same with other collateral."""
        return replace(self, pieces={**self.pieces, **pieces})


TDX: Final = Made()
TDX_1_5: Final = Made(version=5, body=(3, 648))
SGX: Final = Made(
    version=3,
    tee=0,
    fields=dict(ENCLAVE),
    versions=VERSIONS.saying(id="SGX"),
    identity=IDENTITY.saying(id="QE"),
)


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "little")
