"""TPM 2.0: quotes of a machine's measurements, from bytes to claims.

A TPM signs what its registers (PCRs) hold with a key that signs nothing else of another's making. Structures: TCG,
"Trusted Platform Module Library", part 2. Which TPM it is, the key's certificate says, and what that is worth, its
root: a cloud's virtual TPM is software of the host's, which can lie.

That a key is of the TPM whose endorsement certificate one holds can be shown by talking to it alone (MakeCredential). A
verifier that reads and never asks needs a certificate over the quoting key itself, by whoever asked: so here the chain
ends at that key, as those of clouds do, and no endorsement certificate is looked at.

Of signatures, those that such keys make in practice: RSA of 2 048 to 4 096 bits, PKCS#1 or PSS, with SHA-256; ECDSA
over P-256 with SHA-256, and over P-384 with SHA-384.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256, sha384
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from paraph.core import der
from paraph.core.errors import Malformed
from paraph.proofs.quotes.claims import Claims, TrustClass, refuse
from paraph.proofs.quotes.ecdsa import p384_sha384, raw_signature
from paraph.proofs.quotes.rsa import EXPONENT, RSA
from paraph.proofs.quotes.x509 import ECDSA_SHA384, P384, Certificate, check_path, read_certificate
from paraph.proofs.records import Record

DOCUMENT_BYTES_MAX: Final = 4_096
"""A quote has 150 bytes, a signature 520, a key 550, and all 24 registers 768."""
CERTIFICATE_BYTES_MAX: Final = 2_560
AUTHORITIES_MAX: Final = 4
PCRS: Final = 24
PCR_BYTES: Final = 32
SELECTION_BYTES: Final = 3
DATA_BYTES_MAX: Final = 66
"""Of what the quote was asked to include: as many as the longest digest of a TPM has, and its name."""

MAGIC: Final = 0xFF544347
"""Before whatever a TPM signs of its own making; a restricted key signs nothing from outside that begins so."""
QUOTE: Final = 0x8018
SHA256_ID, SHA384_ID = 0x000B, 0x000C
RSA_ID, ECC_ID, NULL_ID = 0x0001, 0x0023, 0x0010
RSASSA, RSAPSS, ECDSA_ID = 0x0014, 0x0016, 0x0018
P256_ID, P384_ID = 0x0003, 0x0004

FIXED_TPM, FIXED_PARENT, BORN_INSIDE, RESTRICTED, DECRYPT, SIGN = 1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 17, 1 << 18
QUOTING: Final = FIXED_TPM | FIXED_PARENT | BORN_INSIDE | RESTRICTED | SIGN

RSA_BITS: Final = (2_048, 3_072, 4_096)
P256: Final = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
ECDSA_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")
RSA_SHA256: Final = bytes.fromhex("300d06092a864886f70d01010b0500")
ISSUED: Final = {RSA: RSA_SHA256, P256: ECDSA_SHA256, P384: ECDSA_SHA384}
"""By the algorithm of an authority's key, how it signs certificates: identifiers, whole."""
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class QuoteEvidence(Record):
    """A TPM's evidence, not yet believed, in the TPM's own structures.

    Args:
        quoted: what it signed (TPMS_ATTEST).
        signature: TPMT_SIGNATURE.
        key: the quoting key's public part (TPMT_PUBLIC).
        parent: the qualified name of the key's parent, or the handle of the hierarchy that it stands at the top of.
        pcrs: what the registers hold that the quote selects, in their order.
    """

    quoted: bytes
    signature: bytes
    key: bytes
    parent: bytes
    pcrs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Root:
    """A root that is believed: its certificate (DER), whole, and what its word is worth."""

    certificate: bytes
    trust: TrustClass


@dataclass(frozen=True, slots=True)
class Key:
    """A quoting key: as certificates have it (algorithm, key), and which scheme and digest it signs with; 0 for any."""

    algorithm: bytes
    key: bytes
    scheme: int
    digest: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote, read and not yet believed.

    Args:
        quoted: what was signed.
        signature: RSA's, or r ‖ s.
        scheme, digest: by which.
        key: the quoting key.
        data: what the TPM was asked to include.
        clock_ms: how long it has run, in all.
        resets, restarts: how often it began anew, in all and since.
        firmware: its version, as its maker counts.
        pcrs: by index.
        pcr_digest: as it was signed.
    """

    quoted: bytes
    signature: bytes
    scheme: int
    digest: int
    key: Key
    data: bytes
    clock_ms: int
    resets: int
    restarts: int
    firmware: int
    pcrs: Mapping[int, bytes]
    pcr_digest: bytes


class _Reader:
    """Numbers and sized parts, one after the other, the highest byte first."""

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._at, self._what = data, 0, what

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) != size:
            refuse("envelope.structure", f"{self._what} is cut off")
        self._at += size
        return found

    def sized(self, size_max: int) -> bytes:
        size = self.number(2)
        if size > size_max:
            refuse("envelope.structure", f"{self._what} has a part of {size} bytes; it can have {size_max}")
        return self.take(size)

    def end(self) -> None:
        if self._at != len(self._data):
            refuse("envelope.structure", f"{len(self._data) - self._at} bytes follow {self._what}")


def read(data: bytes) -> Quote:
    """Read a TPM's evidence (`QuoteEvidence`, encoded) from a stranger.

    Raises:
        Unverified: `envelope.size`, `envelope.record`, `envelope.structure`, `envelope.magic`, `envelope.kind`,
            `envelope.bank`, `envelope.pcrs`, `envelope.key`, `envelope.name`, `envelope.signature`.
    """
    if not 0 < len(data) <= DOCUMENT_BYTES_MAX:
        refuse("envelope.size", f"a TPM's evidence has 1 to {DOCUMENT_BYTES_MAX} bytes, not {len(data)}")
    try:
        found = QuoteEvidence.decode(data)
    except Malformed as error:
        refuse("envelope.record", error.message)
    scheme, digest, signature = _signature(found.signature)
    quoted = _Reader(found.quoted, "the quote")
    if quoted.number(4) != MAGIC:
        refuse("envelope.magic", "what was signed does not begin as a TPM's own words do")
    if quoted.number(2) != QUOTE:
        refuse("envelope.kind", "what was signed is no quote, but another of a TPM's structures")
    named = quoted.sized(DATA_BYTES_MAX)
    asked = quoted.sized(DATA_BYTES_MAX)
    clock_ms, resets, restarts = quoted.number(8), quoted.number(4), quoted.number(4)
    quoted.take(1)  # whether the clock may have gone back
    firmware = quoted.number(8)
    selected = _selected(quoted)
    pcr_digest = quoted.sized(DATA_BYTES_MAX)
    quoted.end()
    if len(found.pcrs) != len(selected) or any(len(each) != PCR_BYTES for each in found.pcrs):
        refuse("envelope.pcrs", f"the quote selects {len(selected)} registers of {PCR_BYTES} bytes; others are shown")
    key = _key(found.key)
    if named != _qualified_name(found.key, found.parent):
        refuse("envelope.name", "the quote was made by a key of another name than the one that is shown")
    return Quote(
        quoted=found.quoted,
        signature=signature,
        scheme=scheme,
        digest=digest,
        key=key,
        data=asked,
        clock_ms=clock_ms,
        resets=resets,
        restarts=restarts,
        firmware=firmware,
        pcrs=dict(zip(selected, found.pcrs, strict=True)),
        pcr_digest=pcr_digest,
    )


def _selected(quoted: _Reader) -> list[int]:
    """The registers that a quote is of: of the bank of SHA-256 alone, for SHA-1 is broken and two can be confused."""
    if quoted.number(4) != 1 or quoted.number(2) != SHA256_ID:
        refuse("envelope.bank", "a quote selects registers of one bank, that of SHA-256")
    if quoted.number(1) != SELECTION_BYTES:
        refuse("envelope.bank", f"a quote selects among {PCRS} registers")
    bits = int.from_bytes(quoted.take(SELECTION_BYTES), "little")
    if not bits:
        refuse("envelope.pcrs", "the quote selects no register")
    return [index for index in range(PCRS) if bits >> index & 1]


def _signature(data: bytes) -> tuple[int, int, bytes]:
    reader = _Reader(data, "the signature")
    scheme, digest = reader.number(2), reader.number(2)
    if scheme in (RSASSA, RSAPSS):
        signature = reader.sized(max(RSA_BITS) // 8)
    elif scheme == ECDSA_ID:
        size = 48 if digest == SHA384_ID else 32
        signature = b"".join(reader.sized(size).rjust(size, b"\0") for _ in "rs")
    else:
        refuse("envelope.signature", f"a TPM's signature is by RSA or ECDSA, not by {scheme:#06x}")
    reader.end()
    return scheme, digest, signature


def _key(data: bytes) -> Key:
    """The quoting key, if it is one that signs a TPM's own words and nothing else, and never leaves it."""
    reader = _Reader(data, "the key")
    kind = reader.number(2)
    if reader.number(2) != SHA256_ID:
        refuse("envelope.key", "a key is named by its SHA-256")
    attributes = reader.number(4)
    if attributes & (QUOTING | DECRYPT) != QUOTING:
        refuse("envelope.key", f"a key with the attributes {attributes:#010x} may sign what no TPM said, or leave it")
    reader.sized(DATA_BYTES_MAX)  # what may use it
    if reader.number(2) != NULL_ID:
        refuse("envelope.key", "a key that signs encrypts nothing")
    scheme = reader.number(2)
    digest = 0 if scheme == NULL_ID else reader.number(2)
    if kind == RSA_ID:
        bits, exponent = reader.number(2), reader.number(4)
        modulus = reader.sized(max(RSA_BITS) // 8)
        if bits not in RSA_BITS or exponent not in (0, EXPONENT) or len(modulus) != bits // 8 or modulus[0] < 0x80:
            refuse("envelope.key", f"an RSA key has 2 048, 3 072 or 4 096 bits and the exponent {EXPONENT}")
        algorithm, key = RSA, _rsa_key(modulus)
    elif kind == ECC_ID:
        curve = reader.number(2)
        if reader.number(2) != NULL_ID or curve not in (P256_ID, P384_ID):
            refuse("envelope.key", f"a key of curves is on P-256 or P-384, not on {curve:#06x}")
        size = 32 if curve == P256_ID else 48
        algorithm = P256 if curve == P256_ID else P384
        key = b"\4" + b"".join(reader.sized(size).rjust(size, b"\0") for _ in "xy")
    else:
        refuse("envelope.key", f"a quoting key is of RSA or of a curve, not {kind:#06x}")
    reader.end()
    return Key(algorithm, key, 0 if scheme == NULL_ID else scheme, digest)


def _qualified_name(key: bytes, parent: bytes) -> bytes:
    """What a quote calls its key (part 1, "Names"): a digest of the parent's and of its own, and by which it is made.

    So the attributes that are shown are those of the key that quoted, if a TPM made the quote; that one did is the word
    of whoever certified the key.
    """
    algorithm = SHA256_ID.to_bytes(2, "big")
    return algorithm + sha256(parent + algorithm + sha256(key).digest()).digest()


def _rsa_key(modulus: bytes) -> bytes:
    """An RSAPublicKey (RFC 8017, A.1.1) as DER, of a modulus whose highest bit is set."""
    number = b"\2\x82" + (len(modulus) + 1).to_bytes(2, "big") + b"\0" + modulus
    content = number + b"\2\3" + EXPONENT.to_bytes(3, "big")
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def verify(quote: Quote, chain: Sequence[bytes], root: Root, now_s: int) -> Claims:
    """What a quote proves. What the TPM was asked to include is the claims' `data`: a quote has one such field.

    Args:
        quote: as `read` gives it.
        chain: the root, authorities, and the quoting key's certificate, as DER.
        root: the one that is believed.
        now_s: by which the certificates must hold, Unix seconds.

    Raises:
        Unverified: `quote.chain.size`, `quote.root`, `quote.certificate`, `quote.chain.…`; `quote.key`: the certificate
            is of another key than the one that quotes; `quote.scheme`: signed otherwise than that key signs;
            `quote.signature`; `quote.pcrs`: the registers hold something else than was signed.
    """
    if not 2 <= len(chain) <= AUTHORITIES_MAX + 1:
        refuse("quote.chain.size", f"a chain has a root, up to {AUTHORITIES_MAX - 1} authorities, and a key")
    if chain[0] != root.certificate:
        refuse("quote.root", "the chain does not begin at the root that is believed")
    path = _path(chain)
    try:
        check_path(path, now_s, _issued)
    except Malformed as error:
        refuse("quote.certificate", error.message)
    leaf = path[-1]
    if (leaf.key_algorithm, leaf.key) != (quote.key.algorithm, quote.key.key):
        refuse("quote.key", "the certificate is of another key than the one that quotes")
    _check_signature(quote)
    hashed = sha384 if quote.digest == SHA384_ID else sha256
    if hashed(b"".join(quote.pcrs[index] for index in sorted(quote.pcrs))).digest() != quote.pcr_digest:
        refuse("quote.pcrs", "the registers hold something else than what was signed")
    return Claims(
        platform="tpm",
        trust=root.trust,
        time_ms=None,
        debug=False,
        measurements={f"pcr{index}": value for index, value in quote.pcrs.items()},
        versions={"firmware": quote.firmware},
        data=quote.data,
        nonce=None,
        key=None,
        module=sha256(quote.key.key).hexdigest(),
        certificates=tuple((each.issuer, each.serial) for each in path[1:]),
    )


def _path(chain: Sequence[bytes]) -> list[Certificate]:
    """The chain's certificates, each signed by the algorithm that belongs to the key above it."""
    path: list[Certificate] = []
    for place, data in enumerate(chain):
        if len(data) > CERTIFICATE_BYTES_MAX:
            refuse("quote.certificate", f"certificate {place} has more than {CERTIFICATE_BYTES_MAX} bytes")
        try:
            found = read_certificate(data, f"certificate {place}")
        except Malformed as error:
            refuse("quote.certificate", error.message)
        above = path[-1] if path else found
        if found.key_algorithm not in ISSUED or found.signature_algorithm != ISSUED.get(above.key_algorithm):
            refuse("quote.certificate", f"certificate {place} is not of the algorithms that are taken of a TPM")
        path.append(found)
    return path


def _issued(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a certificate's signature is by that key, whose form tells its algorithm. Raises `Malformed`."""
    if key[:1] == b"\x30":
        return _rsa(key, message, signature, PKCS1v15())
    if len(key) == 65:
        return _p256_sha256(key, message, raw_signature(signature, 32))
    return p384_sha384(key, message, raw_signature(signature, 48))


def _check_signature(quote: Quote) -> None:
    key = quote.key
    match = (key.algorithm, quote.scheme, quote.digest)
    if match not in _SCHEMES or key.scheme not in (0, quote.scheme) or key.digest not in (0, quote.digest):
        refuse("quote.scheme", "the quote is signed otherwise than its key signs, or than is taken here")
    if quote.scheme == RSASSA:
        good = _rsa(key.key, quote.quoted, quote.signature, PKCS1v15())
    elif quote.scheme == RSAPSS:
        good = _rsa(key.key, quote.quoted, quote.signature, PSS(MGF1(SHA256()), PSS.AUTO))
    elif quote.digest == SHA256_ID:
        good = _p256_sha256(key.key, quote.quoted, quote.signature)
    else:
        good = p384_sha384(key.key, quote.quoted, quote.signature)
    if not good:
        refuse("quote.signature", "the quote is not signed by its key")


_SCHEMES: Final = frozenset({
    (RSA, RSASSA, SHA256_ID), (RSA, RSAPSS, SHA256_ID), (P256, ECDSA_ID, SHA256_ID), (P384, ECDSA_ID, SHA384_ID),
})  # fmt: skip


def _rsa(key: bytes, message: bytes, signature: bytes, padding: PKCS1v15 | PSS) -> bool:
    try:
        parts = der.sequence(der.read(key, "an RSA key"), "an RSA key")
        modulus, exponent = (der.integer(each, "an RSA key's number") for each in parts)
        if modulus.bit_length() not in RSA_BITS or modulus < 0 or exponent != EXPONENT:
            return False
        RSAPublicNumbers(exponent, modulus).public_key().verify(signature, message, padding, SHA256())
    except (Malformed, ValueError, InvalidSignature):
        return False
    return True


def _p256_sha256(key: bytes, message: bytes, signature: bytes) -> bool:
    r, s = (int.from_bytes(number, "big") for number in (signature[:32], signature[32:]))
    if key[:1] != b"\4" or not 0 < r < P256_ORDER or not 0 < s < P256_ORDER:
        return False
    try:
        public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), key)
        public.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True
