"""TLS whose other end is known by its key alone: no name, no authority, one key that an enclave vouched for.

A certificate authority proves who rules a name. It proves nothing about an enclave, so none is asked: what the client
compares, before it sends a byte, is the key (RFC 7858, section 4.2, does the same for DNS).
"""

import hmac
import os
import ssl
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from paraph.core.digest import sha256
from paraph.core.errors import Unverified, must
from paraph.core.ident import Digest

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""
SKEW: Final = timedelta(days=1)
"""How far the clocks of the two ends may differ: nobody looks at these times, but some libraries do."""
LIFE: Final = timedelta(days=3650)
"""Of the certificate, whose times say nothing: the registered keyset says until when its key is used."""


class PinnedContext(ssl.SSLContext):
    """A client's TLS 1.3 context that finishes a handshake with the holder of one key, and with nobody else."""

    key: Digest


class _PinnedSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT002  as the class has it
        super().do_handshake(block)
        try:
            _need_key(self.context, self.getpeercert(binary_form=True))
        except Unverified:
            # The class closes itself on errors of its own kind alone.
            self.close()
            raise


class _PinnedObject(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        _need_key(self.context, self.getpeercert(binary_form=True))


def pinned(key: Digest) -> PinnedContext:
    """A client's context. Its handshakes raise `Unverified` (`tls.key`) with whoever holds another key.

    Args:
        key: SHA-256 of the SubjectPublicKeyInfo (DER) of the certificate's key.
    """
    context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Not trust in whoever: the key is compared, by the two classes, before the handshake returns.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.key = key
    context.sslsocket_class = _PinnedSocket
    context.sslobject_class = _PinnedObject
    return context


def _need_key(context: ssl.SSLContext, certificate: bytes | None) -> None:
    found = b"" if certificate is None else key_of(certificate)
    if not isinstance(context, PinnedContext) or not hmac.compare_digest(found, context.key):
        raise Unverified((("tls.key", "another answers at this address: its TLS key is not the enclave's"),))


def key_of(certificate: bytes) -> Digest:
    """SHA-256 of a certificate's SubjectPublicKeyInfo. Raises `Unverified` (`tls.key`) where there is none."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise Unverified((("tls.key", "the TLS certificate cannot be read"),)) from error
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def key_from(entropy: bytes) -> EllipticCurvePrivateKey:
    """A key on P-256 made of at least 40 random bytes, which no other key is made of (FIPS 186-5, A.2.1)."""
    must(len(entropy) >= 40, "a key is made of more random bytes than it has")
    return derive_private_key(int.from_bytes(entropy, "big") % (ORDER - 1) + 1, SECP256R1())


def public_digest(key: EllipticCurvePrivateKey) -> Digest:
    """What a client compares of that key."""
    return sha256(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def serving(key: EllipticCurvePrivateKey, now_s: int) -> ssl.SSLContext:
    """A server's TLS 1.3 context with a certificate that the key signs itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "paraph enclave")])
    now = datetime.fromtimestamp(now_s, UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFE)
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # A ticket would let a connection go on without the comparison of keys.
    context.num_tickets = 0
    _load(context, secret + certificate.public_bytes(Encoding.PEM))
    return context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Hand a key to OpenSSL, which reads files alone: one that is in memory only, where the system has such files."""
    if sys.platform == "linux":
        handle = os.memfd_create("tls")
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "tls"
        place.touch(mode=0o600)
        place.write_bytes(pem)
        context.load_cert_chain(place)
