"""Certificates of the vectors' simulated enclaves: written in DER by hand, so that each part of one can be wrong.

Keys follow from names and signatures are deterministic, so the same bytes come out on every machine. Nothing stands
behind them: whoever reads this file can sign what he likes.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from vectors.validators import seeded
from vectors.world import TIME_S

ECDSA_SHA384: Final = bytes.fromhex("300a06082a8648ce3d040303")
ECDSA_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")
P384: Final = bytes.fromhex("301006072a8648ce3d020106052b81040022")
P256: Final = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
"""Algorithm identifiers, whole."""
ORGANISATION, COMMON_NAME = bytes.fromhex("55040a"), bytes.fromhex("550403")
BASIC_CONSTRAINTS, KEY_USAGE = bytes.fromhex("551d13"), bytes.fromhex("551d0f")
EVIDENCE, CERTIFICATES, NOTHING = bytes.fromhex("0780"), bytes.fromhex("0204"), bytes.fromhex("0520")
"""What a key may sign, as the content of a BIT STRING: digitalSignature, keyCertSign, keyEncipherment."""
DAY_S: Final = 86_400


def der(tag: int, *parts: bytes) -> bytes:
    """A value of those parts, its length in the shortest form."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    width = (size.bit_length() + 7) // 8
    return bytes((tag, 0x80 | width)) + size.to_bytes(width, "big") + content


def integer(number: int) -> bytes:
    """An INTEGER that is not negative."""
    return der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def extension(kind: bytes, value: bytes, *, critical: bytes = b"\xff") -> bytes:
    """An extension; `critical` is the content of its BOOLEAN, which is left out where it is empty."""
    flag = der(0x01, critical) if critical else b""
    return der(0x30, der(0x06, kind), flag, der(0x04, value))


def subject(*names: str) -> bytes:
    """A name with these common names."""
    parts = [(ORGANISATION, "SIMULATED-NOT-HARDWARE"), *((COMMON_NAME, name) for name in names)]
    return der(0x30, *(der(0x31, der(0x30, der(0x06, kind), der(0x0C, text.encode()))) for kind, text in parts))


@cache
def private(name: str) -> ec.EllipticCurvePrivateKey:
    """The key that a name stands for."""
    return ec.derive_private_key(int.from_bytes(seeded("enclave key of " + name), "big"), ec.SECP384R1())


@cache
def point(name: str) -> bytes:
    """Its public key, uncompressed."""
    return private(name).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@cache
def numbers(name: str, message: bytes) -> tuple[int, int]:
    """Its signature over a message."""
    return decode_dss_signature(private(name).sign(message, ec.ECDSA(SHA384(), deterministic_signing=True)))


@dataclass(frozen=True)
class Certificate:
    """A certificate to be made.

    Args:
        name: whose key it is, and the common name but for `names`.
        authority, length: the basic constraints; no such extension for None.
        usage: what the key may do; no such extension where it is empty.
        issuer, signer: names in place of those of the certificate above.
        algorithm, algorithm_again: of its signature, inside and outside of what is signed.
        more: further extensions, whole.
    """

    name: str
    serial: int
    not_before_s: int = TIME_S - DAY_S
    not_after_s: int = TIME_S + DAY_S
    authority: bool | None = True
    length: int | None = None
    usage: bytes = CERTIFICATES
    names: tuple[str, ...] | None = None
    issuer: str = ""
    signer: str = ""
    version: int = 2
    algorithm: bytes = ECDSA_SHA384
    algorithm_again: bytes = b""
    key_algorithm: bytes = P384
    more: tuple[bytes, ...] = ()

    def tbs(self, above: "Certificate") -> bytes:
        """The part that is signed."""
        return der(
            0x30,
            der(0xA0, integer(self.version)),
            integer(self.serial),
            self.algorithm,
            subject(self.issuer or above.name),
            der(0x30, _time(self.not_before_s), _time(self.not_after_s)),
            subject(*((self.name,) if self.names is None else self.names)),
            der(0x30, self.key_algorithm, der(0x03, b"\0", point(self.name))),
            der(0xA3, der(0x30, *self.extensions(), *self.more)),
        )

    def extensions(self) -> list[bytes]:
        """Those that paths are checked by."""
        found = []
        if self.authority is not None:
            length = b"" if self.length is None else integer(self.length)
            parts = (der(0x01, b"\xff"), length) if self.authority else ()
            found.append(extension(BASIC_CONSTRAINTS, der(0x30, *parts)))
        if self.usage:
            found.append(extension(KEY_USAGE, der(0x03, self.usage)))
        return found

    def made(self, above: "Certificate") -> bytes:
        """The certificate, signed by the one above."""
        signed = self.tbs(above)
        pair = numbers(self.signer or above.name, signed)
        signature = der(0x03, b"\0", der(0x30, *map(integer, pair)))
        return der(0x30, signed, self.algorithm_again or self.algorithm, signature)

    def but(self, **changes: object) -> "Certificate":
        """The same with other parts."""
        return replace(self, **changes)  # type: ignore[arg-type]


def _time(at_s: int) -> bytes:
    """A UTCTime."""
    return der(0x17, datetime.fromtimestamp(at_s, UTC).strftime("%y%m%d%H%M%SZ").encode())


ROOT: Final = Certificate("root.sim", 1, TIME_S - 365 * DAY_S, TIME_S + 365 * DAY_S)
MACHINE: Final = Certificate("machine.sim", 2, length=0)
