"""X.509 certificates (RFC 5280) as attestation evidence carries them, and the path from a pinned root to a leaf.

The profile is narrow: version 3, each extension once, no critical one that is not understood. Which algorithms may be
used is the platform's word, compared as bytes, so that there are no parameters to read otherwise.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core import der
from paraph.core.errors import Malformed
from paraph.proofs.quotes.claims import refuse
from paraph.proofs.quotes.ecdsa import Signed

SERIALS_END: Final = 1 << 160
BASIC_CONSTRAINTS, KEY_USAGE, COMMON_NAME = "2.5.29.19", "2.5.29.15", "2.5.4.3"
UNDERSTOOD: Final = frozenset({BASIC_CONSTRAINTS, KEY_USAGE})
"""Extensions that may be critical: those that are checked."""
DIGITAL_SIGNATURE, KEY_CERT_SIGN = 0, 5
"""Bits of a key's usage."""
ECDSA_SHA384: Final = bytes.fromhex("300a06082a8648ce3d040303")
P384: Final = bytes.fromhex("301006072a8648ce3d020106052b81040022")
"""Algorithm identifiers, whole."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What a certificate says beside the main things: its value is DER."""

    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, read and not yet believed.

    Args:
        raw: its DER; `tbs` the part that is signed.
        serial: its number, which its issuer gives once. AMD gives 0.
        issuer, subject: names as DER, compared as bytes.
        common_names: those in the subject.
        not_before_s, not_after_s: from and until when it holds, Unix seconds, both included.
        key_algorithm: whose key it is, as DER; `key` the key: for curves the point.
        signature_algorithm: as DER; `signature` in that algorithm's form.
        extensions: by object identifier.
    """

    raw: bytes
    tbs: bytes
    serial: int
    issuer: bytes
    subject: bytes
    common_names: tuple[str, ...]
    not_before_s: int
    not_after_s: int
    key_algorithm: bytes
    key: bytes
    signature_algorithm: bytes
    signature: bytes
    extensions: Mapping[str, Extension]

    def path_length(self) -> int | None:
        """How many authorities may stand between this one and a leaf: None for any number; -1 where this is none.

        Raises:
            Malformed: `x509.extension`, `der.…`: no certificate says so in this form.
        """
        found = self.extensions.get(BASIC_CONSTRAINTS)
        if found is None:
            return -1
        what = "the basic constraints"
        parts = der.sequence(der.read(found.value, what), what)
        # What is FALSE by default is left out.
        if not parts:
            return -1
        if len(parts) > 2 or not der.boolean(parts[0], what):
            raise Malformed("x509.extension", "the basic constraints of a certificate are not in their one form")
        length = der.integer(parts[1], what) if len(parts) == 2 else None
        if length is not None and length < 0:
            raise Malformed("x509.extension", "a certificate's path length is negative")
        return length

    def may(self, usage: int) -> bool:
        """Whether the key may be used so; without a word about it, not. Raises `Malformed` (`der.…`)."""
        found = self.extensions.get(KEY_USAGE)
        if found is None:
            return False
        bits, _ = der.bit_string(der.read(found.value, "the key usage"), "the key usage")
        return usage // 8 < len(bits) and bool(bits[usage // 8] >> (7 - usage % 8) & 1)


def read_certificate(data: bytes, what: str) -> Certificate:
    """Read a certificate.

    Raises:
        Malformed: `x509.form`: not of version 3, or with parts that none here has; `x509.extension`: one twice;
            `der.…`.
    """
    top = der.sequence(der.read(data, what), what)
    if len(top) != 3:
        raise Malformed("x509.form", f"{what} has {len(top)} parts, not 3")
    signed = der.sequence(top[0], what)
    if len(signed) != 8:
        raise Malformed("x509.form", f"{what} has {len(signed)} fields; one of version 3 with extensions has 8")
    version, serial, algorithm, issuer, validity, subject, key, extensions = signed
    number = der.integer(serial, f"{what}'s serial number")
    if not 0 <= number < SERIALS_END:
        raise Malformed("x509.serial", f"{what}'s serial number is not negative, and has at most 20 bytes (RFC 5280)")
    versions = der.parts(version.expect(der.context(0), f"{what}'s version"), what)
    if len(versions) != 1 or der.integer(versions[0], f"{what}'s version") != 2:
        raise Malformed("x509.form", f"{what} is not of version 3")
    if algorithm.raw != top[1].raw:
        raise Malformed("x509.form", f"{what} names two algorithms of its signature")
    times = der.sequence(validity, f"{what}'s validity")
    keys = der.sequence(key, f"{what}'s key")
    if len(times) != 2 or len(keys) != 2:
        raise Malformed("x509.form", f"{what} has a validity or a key that is no pair")
    return Certificate(
        raw=data,
        tbs=top[0].raw,
        serial=number,
        issuer=issuer.raw,
        subject=subject.raw,
        common_names=tuple(_common_names(subject, what)),
        not_before_s=der.time_s(times[0], f"{what}'s validity"),
        not_after_s=der.time_s(times[1], f"{what}'s validity"),
        key_algorithm=keys[0].raw,
        key=der.whole_bytes(keys[1], f"{what}'s key"),
        signature_algorithm=algorithm.raw,
        signature=der.whole_bytes(top[2], f"{what}'s signature"),
        extensions=_extensions(extensions, what),
    )


def certificate_of(data: bytes, place: int, algorithms: Collection[bytes], key_algorithm: bytes) -> Certificate:
    """Read a certificate of a platform's chain, which has its algorithms and no others.

    Args:
        data: its DER.
        place: in the chain, from the root.
        algorithms: by which it may be signed: identifiers, whole.
        key_algorithm: of its own key, too.

    Raises:
        Unverified: `quote.certificate`.
    """
    try:
        found = read_certificate(data, f"certificate {place}")
    except Malformed as error:
        refuse("quote.certificate", error.message)
    if found.signature_algorithm not in algorithms or found.key_algorithm != key_algorithm:
        refuse("quote.certificate", f"certificate {place} is not of the algorithms that its platform uses")
    return found


def _common_names(name: der.Value, what: str) -> list[str]:
    found = []
    for each in der.sequence(name, f"{what}'s subject"):
        for pair in der.parts(each.expect(der.SET, f"{what}'s subject"), what):
            parts = der.sequence(pair, f"{what}'s subject")
            if len(parts) != 2:
                raise Malformed("x509.form", f"{what}'s subject has a part that is no pair")
            if der.oid(parts[0], f"{what}'s subject") == COMMON_NAME:
                found.append(der.text(parts[1], f"{what}'s common name"))
    return found


def _extensions(value: der.Value, what: str) -> dict[str, Extension]:
    lists = der.parts(value.expect(der.context(3), f"{what}'s extensions"), what)
    if len(lists) != 1:
        raise Malformed("x509.form", f"{what} has {len(lists)} lists of extensions")
    found: dict[str, Extension] = {}
    for each in der.sequence(lists[0], f"{what}'s extensions"):
        parts = der.sequence(each, f"{what}'s extension")
        if not 2 <= len(parts) <= 3:
            raise Malformed("x509.form", f"{what} has an extension of {len(parts)} parts")
        name, *flags, body = parts
        kind = der.oid(name, f"{what}'s extension")
        # FALSE is the default, and left out.
        if not all(der.boolean(flag, f"{what}'s extension") for flag in flags):
            raise Malformed("x509.extension", f"{what}'s extension {kind} is not in its one form")
        if kind in found:
            raise Malformed("x509.extension", f"{what} has the extension {kind} twice")
        found[kind] = Extension(bool(flags), body.expect(der.OCTET_STRING, f"{what}'s extension"))
    return found


def check_path(
    path: Sequence[Certificate],
    now_s: int,
    signed: Signed,
    leaf_usage: int | None = DIGITAL_SIGNATURE,
) -> None:
    """Check the path from a root, which the caller believes, to a leaf.

    Args:
        path: root first, leaf last; at least two.
        now_s: when all of it must hold, Unix seconds.
        signed: checks a signature of the one algorithm that authorities have; the caller has compared the names.
        leaf_usage: what the leaf's key must be allowed; None where the platform's leaves do not say.

    Raises:
        Unverified: `quote.chain.time`, `quote.chain.critical`, `quote.chain.authority`, `quote.chain.length`,
            `quote.chain.usage`, `quote.chain.name`, `quote.chain.signature`.
        Malformed: an extension cannot be read.
    """
    for place, each in enumerate(path):
        what = "the leaf" if place == len(path) - 1 else f"certificate {place} of the chain"
        if not each.not_before_s <= now_s <= each.not_after_s:
            refuse("quote.chain.time", f"{what} holds from {each.not_before_s} to {each.not_after_s}; it is {now_s}")
        odd = sorted(kind for kind, found in each.extensions.items() if found.critical and kind not in UNDERSTOOD)
        if odd:
            refuse("quote.chain.critical", f"{what} demands that {odd[0]} be understood")
        below = len(path) - 2 - place
        _check_role(each, below, what)
        usage = leaf_usage if below == -1 else KEY_CERT_SIGN
        if usage is not None and not each.may(usage):
            refuse("quote.chain.usage", f"{what} has a key that may not sign what it signs")
        if place:
            above = path[place - 1]
            if each.issuer != above.subject:
                refuse("quote.chain.name", f"{what} names another issuer than the certificate above it")
            if not signed(above.key, each.tbs, each.signature):
                refuse("quote.chain.signature", f"{what} is not signed by the certificate above it")


def _check_role(certificate: Certificate, below: int, what: str) -> None:
    """Check that a certificate may stand with so many authorities below it; -1 for a leaf."""
    length = certificate.path_length()
    if (length == -1) != (below == -1):
        refuse("quote.chain.authority", f"{what} is {'no' if length == -1 else 'an'} authority")
    if length is not None and length < below:
        refuse("quote.chain.length", f"{what} allows {length} authorities below it; there are {below}")
