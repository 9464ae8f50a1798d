"""A hypervisor of Nitro's kind with a root of its own: every part of a document and of its chain can be made wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from paraph.core import cbor
from paraph.core.digest import sha256
from paraph.proofs.quotes.nitro import PROTECTED

NOW_S: Final = 1_760_000_000
MODULE: Final = "sim-i-0123456789abcdef0-enc0123456789abcdef"
PCRS: Final[Mapping[int, bytes]] = {index: bytes((index + 1,)) * 48 for index in range(16)}


@cache
def key(name: str, curve: type[ec.EllipticCurve] = ec.SECP384R1) -> ec.EllipticCurvePrivateKey:
    """Somebody's key, from the name alone."""
    return ec.derive_private_key(int.from_bytes(sha256(name.encode()), "big"), curve())


@dataclass(frozen=True)
class Place:
    """One certificate to be made: whose, how long it holds around `NOW_S`, and what it may."""

    name: str
    before_s: int = 3_600
    after_s: int = 7_200
    authority: bool | None = True
    length: int | None = None
    usage: str | None = "certificates"
    digest: SHA384 | SHA256 = field(default_factory=SHA384)
    curve: type[ec.EllipticCurve] = ec.SECP384R1
    critical: str = ""
    names: tuple[str, ...] | None = None
    issuer: str = ""
    signer: str = ""
    serial: int = 7

    def made(self, above: "Place") -> bytes:
        """The certificate, signed by the one above."""
        start = datetime.fromtimestamp(NOW_S, UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(*((self.name,) if self.names is None else self.names)))
            .issuer_name(named(self.issuer or above.name))
            .not_valid_before(start - timedelta(seconds=self.before_s))
            .not_valid_after(start + timedelta(seconds=self.after_s))
            .serial_number(self.serial)
            .public_key(key(self.name, self.curve).public_key())
        )
        if self.authority is not None:
            builder = builder.add_extension(x509.BasicConstraints(self.authority, self.length), critical=True)
        if self.usage is not None:
            builder = builder.add_extension(usage(self.usage), critical=True)
        if self.critical:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(self.critical), b"\x05\x00")
            builder = builder.add_extension(unknown, critical=True)
        signer = key(self.signer or above.name, above.curve)
        return builder.sign(signer, self.digest, ecdsa_deterministic=True).public_bytes(Encoding.DER)


def named(*names: str) -> x509.Name:
    """A subject with those common names."""
    unit = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SIMULATED-NOT-HARDWARE")
    return x509.Name([unit, *(x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names)])


def usage(what: str) -> x509.KeyUsage:
    """A key for signing certificates, evidence, or nothing of the kind."""
    return x509.KeyUsage(
        digital_signature=what == "evidence",
        key_cert_sign=what == "certificates",
        crl_sign=False,
        content_commitment=what == "evidence",
        key_encipherment=what == "nothing",
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


ROOT: Final = Place("root.sim", before_s=10**8, after_s=10**8)
LEAF: Final = Place(f"{MODULE}.region.sim", authority=False, usage="evidence", serial=99)
CHAIN: Final = (
    ROOT,
    Place("region.sim", length=2, serial=1),
    Place("zone.sim", length=1, serial=2),
    Place("machine.sim", length=0, serial=3),
)


@dataclass(frozen=True)
class Document:
    """A document to be made."""

    chain: tuple[Place, ...] = CHAIN
    leaf: Place = LEAF
    said: Mapping[Any, Any] = field(default_factory=dict)
    """In place of what it says otherwise; `...` leaves it out."""
    protected: bytes = PROTECTED
    unprotected: Any = field(default_factory=dict)
    context: str = "Signature1"
    outside: bytes = b""
    signer: str = ""
    bundle: Sequence[bytes] | None = None

    def certificates(self) -> list[bytes]:
        """The chain, root first, and the leaf."""
        places = (*self.chain, self.leaf)
        return [each.made(places[max(place - 1, 0)]) for place, each in enumerate(places)]

    def payload(self) -> bytes:
        """What is signed over, in CBOR."""
        *authorities, leaf = self.certificates()
        said: dict[Any, Any] = {
            "module_id": MODULE,
            "digest": "SHA384",
            "timestamp": NOW_S * 1_000,
            "pcrs": dict(PCRS),
            "certificate": leaf,
            "cabundle": authorities if self.bundle is None else list(self.bundle),
            "public_key": b"a key",
            "user_data": b"bound",
            "nonce": b"asked",
        } | dict(self.said)
        return cbor.encode({name: value for name, value in said.items() if value is not ...})

    def made(self) -> bytes:
        """The document."""
        payload = self.payload()
        return sealed(payload, self.signature(payload), self.protected, self.unprotected)

    def signature(self, payload: bytes) -> bytes:
        """The leaf's signature over a payload, as r ‖ s."""
        message = cbor.encode([self.context, self.protected, self.outside, payload])
        r, s = decode_dss_signature(self.signed(message))
        return r.to_bytes(48, "big") + s.to_bytes(48, "big")

    def signed(self, message: bytes) -> bytes:
        """The leaf's signature, as DER."""
        return key(self.signer or self.leaf.name).sign(message, ec.ECDSA(SHA384(), deterministic_signing=True))

    def but(self, **changes: Any) -> "Document":
        """The same with other parts."""
        return replace(self, **changes)

    def saying(self, **said: Any) -> "Document":
        """The same that says otherwise."""
        return replace(self, said={**self.said, **said})

    def with_authority(self, place: int, **changes: Any) -> "Document":
        """The same with another authority at that place of the chain."""
        chain = list(self.chain)
        chain[place] = replace(chain[place], **changes)
        return replace(self, chain=tuple(chain))

    def with_leaf(self, **changes: Any) -> "Document":
        """The same with another leaf."""
        return replace(self, leaf=replace(self.leaf, **changes))


def sealed(payload: Any, signature: Any, protected: Any = PROTECTED, unprotected: Any = None) -> bytes:
    """The COSE structure of those parts."""
    return cbor.encode([protected, {} if unprotected is None else unprotected, payload, signature])
