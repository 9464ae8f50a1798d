"""A chip of SEV-SNP with authorities of its own: every part of a report and of its chain can be made wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.support.nitro import key, usage

NOW_S: Final = 1_760_000_000
CHIP: Final = bytes(range(1, 65))
TCB: Final = bytes((10, 0, 0, 0, 0, 0, 23, 84))
"""Of Genoa: bootloader, tee, four unused, snp, microcode."""
EXTENSIONS: Final[Mapping[str, bytes]] = {
    "1.3.6.1.4.1.3704.1.3.1": b"\2\1\x0a",
    "1.3.6.1.4.1.3704.1.3.2": b"\2\1\0",
    "1.3.6.1.4.1.3704.1.3.3": b"\2\1\x17",
    "1.3.6.1.4.1.3704.1.3.8": b"\2\1\x54",
    "1.3.6.1.4.1.3704.1.4": CHIP,
}


@cache
def authority_key(name: str) -> rsa.RSAPrivateKey:
    """An authority's key, the same as long as the tests run."""
    del name
    return rsa.generate_private_key(65_537, 4_096)


@cache
def authority(name: str, above: str, length: int | None, salt: int = 48) -> bytes:
    """An authority's certificate."""
    builder = _builder(name, above).public_key(authority_key(name).public_key())
    builder = builder.add_extension(x509.BasicConstraints(True, length), critical=True)
    builder = builder.add_extension(usage("certificates"), critical=True)
    return _signed(builder, above, salt)


def chip(extensions: Mapping[str, bytes], issuer: str = "ASK") -> bytes:
    """The certificate of the chip's key."""
    builder = _builder("SEV-VCEK", issuer).public_key(key("chip").public_key())
    for kind, value in extensions.items():
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(kind), value)
        builder = builder.add_extension(unknown, critical=False)
    return _signed(builder, issuer, 48)


def _builder(name: str, issuer: str) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(NOW_S, UTC)
    names = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer))
    return (
        x509.CertificateBuilder()
        .subject_name(next(names))
        .issuer_name(next(names))
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + timedelta(days=1))
        .serial_number(5)
    )


def _signed(builder: x509.CertificateBuilder, issuer: str, salt: int) -> bytes:
    padding = PSS(MGF1(SHA384()), salt)
    return builder.sign(authority_key(issuer), SHA384(), rsa_padding=padding).public_bytes(Encoding.DER)


@dataclass(frozen=True)
class Made:
    """A report to be made: its fields by place, and what is done to it afterwards."""

    fields: Mapping[int, bytes] = field(
        default_factory=lambda: {
            0x00: (3).to_bytes(4, "little"),
            0x08: (0x30000).to_bytes(8, "little"),
            0x34: (1).to_bytes(4, "little"),
            0x40: (0x25).to_bytes(8, "little"),
            0x50: b"b" * 64,
            0x90: b"m" * 48,
            0x180: TCB,
            0x1A0: CHIP,
        }
    )
    signer: str = "chip"

    def but(self, at: int, value: bytes) -> "Made":
        """The same with another field, which is signed."""
        return replace(self, fields={**self.fields, at: value})

    def report(self) -> bytes:
        """The report."""
        data = bytearray(0x2A0)
        for at, value in self.fields.items():
            data[at : at + len(value)] = value
        signature: Any = key(self.signer).sign(bytes(data), ec.ECDSA(SHA384(), deterministic_signing=True))
        r, s = decode_dss_signature(signature)
        return bytes(data) + r.to_bytes(72, "little") + s.to_bytes(72, "little") + bytes(368)
