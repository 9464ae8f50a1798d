"""Certificates: read as another library reads them, and refused in every other form."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.support.der import node
from tests.support.nitro import CHAIN, LEAF, NOW_S, ROOT, key

from paraph.core.errors import Malformed, ParaphError
from paraph.proofs.quotes.x509 import (
    BASIC_CONSTRAINTS,
    DIGITAL_SIGNATURE,
    ECDSA_SHA384,
    KEY_CERT_SIGN,
    KEY_USAGE,
    P384,
    Certificate,
    read_certificate,
)


def text(form: str) -> bytes:
    return bytes.fromhex(form)


def extension(kind: str, body: bytes, *flags: bytes) -> bytes:
    return node(0x30, node(0x06, text(kind)), *flags, node(0x04, body))


CONSTRAINTS, USAGE = "551d13", "551d0f"
CRITICAL, PLAIN = text("0101ff"), text("010100")
ALGORITHM: Final = node(0x30, text("06082a8648ce3d040303"))
NAME: Final = node(0x30, node(0x31, node(0x30, text("0603550403"), node(0x0C, b"somebody"))))
TIME: Final = node(0x17, b"250101000000Z")
PARTS: Final[dict[str, bytes]] = {
    "version": node(0xA0, text("020102")),
    "serial": text("020105"),
    "algorithm": ALGORITHM,
    "issuer": NAME,
    "validity": node(0x30, TIME, node(0x17, b"260101000000Z")),
    "subject": NAME,
    "key": node(0x30, ALGORITHM, text("0303000102")),
    "extensions": node(0xA3, node(0x30, extension(CONSTRAINTS, text("30030101ff"), CRITICAL))),
}


def certificate(outer: bytes = ALGORITHM, signature: str = "03020009", more: bytes = b"", **parts: bytes) -> bytes:
    """A certificate of hand-made parts."""
    return node(0x30, node(0x30, *(PARTS | parts).values()), outer, text(signature), more)


def extensions(*found: bytes) -> bytes:
    """A certificate with those extensions."""
    return certificate(extensions=node(0xA3, node(0x30, *found)))


def test_as_another_library_reads_it() -> None:
    """A certificate's fields are those that a library of X.509 finds."""
    for place, each in enumerate((*CHAIN, LEAF)):
        data = each.made((*CHAIN, LEAF)[max(place - 1, 0)])
        found, other = read_certificate(data, "it"), library.load_der_x509_certificate(data)

        assert (found.raw, found.tbs, found.signature) == (data, other.tbs_certificate_bytes, other.signature)
        assert (found.serial, found.common_names) == (other.serial_number, (each.name,))
        assert (found.issuer, found.subject) == (other.issuer.public_bytes(), other.subject.public_bytes())
        assert (found.not_before_s, found.not_after_s) == (NOW_S - each.before_s, NOW_S + each.after_s)
        assert found.key == key(each.name).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        assert (found.key_algorithm, found.signature_algorithm) == (P384, ECDSA_SHA384)
        assert found.path_length() == (each.length if each.authority else -1)
        assert (found.may(DIGITAL_SIGNATURE), found.may(KEY_CERT_SIGN)) == (place == 4, place < 4)
        assert set(found.extensions) == {BASIC_CONSTRAINTS, KEY_USAGE}


def test_by_hand() -> None:
    """The hand-made certificate is one, before anything of it is changed."""
    found = read_certificate(certificate(), "it")

    assert (found.serial, found.common_names, found.path_length()) == (5, ("somebody",), None)
    assert not found.may(KEY_CERT_SIGN)


WRONG: Final[dict[str, tuple[bytes, str]]] = {
    "empty": (b"\x30\x00", "x509.form"),
    "fourth part": (certificate(more=b"\5\0"), "x509.form"),
    "version 1": (certificate(version=b""), "x509.form"),
    "version 2": (certificate(version=node(0xA0, text("020101"))), "x509.form"),
    "no version in its place": (certificate(version=node(0xA0)), "x509.form"),
    "version elsewhere": (certificate(version=text("020102")), "der.tag"),
    "unique id": (certificate(subject=NAME + text("810100")), "x509.form"),
    "two algorithms": (certificate(outer=node(0x30, text("06082a8648ce3d040302"))), "x509.form"),
    "one time": (certificate(validity=node(0x30, TIME)), "x509.form"),
    "key without an algorithm": (certificate(key=node(0x30, text("0303000102"))), "x509.form"),
    "key of bits": (certificate(key=node(0x30, ALGORITHM, text("0303010102"))), "der.form"),
    "signature of bits": (certificate(signature="03020102"), "der.form"),
    "name of one part": (certificate(subject=node(0x30, node(0x31, node(0x30, text("0603550403"))))), "x509.form"),
    "name no set": (certificate(subject=node(0x30, node(0x30))), "der.tag"),
    "two lists": (certificate(extensions=node(0xA3, node(0x30), node(0x30))), "x509.form"),
    "extension twice": (
        extensions(extension(CONSTRAINTS, b"\x30\x00"), extension(CONSTRAINTS, b"\x30\x00")),
        "x509.extension",
    ),
    "FALSE written out": (extensions(extension(CONSTRAINTS, b"\x30\x00", PLAIN)), "x509.extension"),
    "critical twice": (extensions(extension(CONSTRAINTS, b"\x30\x00", CRITICAL, CRITICAL)), "x509.form"),
    "extension of nothing": (extensions(node(0x30)), "x509.form"),
    "extension without a value": (extensions(node(0x30, node(0x06, text(CONSTRAINTS)))), "x509.form"),
    "extension no bytes": (extensions(node(0x30, node(0x06, text(CONSTRAINTS)), b"\5\0")), "der.tag"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_forms(what: str) -> None:
    """A certificate in another form is refused."""
    data, code = WRONG[what]

    with pytest.raises(Malformed) as caught:
        read_certificate(data, "it")

    assert caught.value.code == code


def constraints(form: str) -> Callable[[], Any]:
    return read_certificate(extensions(extension(CONSTRAINTS, text(form))), "it").path_length


def usage(form: str) -> Certificate:
    return read_certificate(extensions(extension(USAGE, text(form))), "it")


def test_extensions_of_authorities() -> None:
    """What an authority may: for how many below it, and to sign what; without a word, nothing."""
    assert [constraints(form)() for form in ("3000", "30030101ff", "30060101ff020100")] == [-1, None, 0]
    assert read_certificate(extensions(), "it").path_length() == -1
    assert not read_certificate(extensions(), "it").may(KEY_CERT_SIGN)
    assert [usage("03020204").may(use) for use in (DIGITAL_SIGNATURE, KEY_CERT_SIGN, 9)] == [False, True, False]


@pytest.mark.parametrize(
    "form", ["3003010100", "30060101ff0201ff", "30090101ff020100020100", "3003020100", "0500", "30030101ff00"]
)
def test_wrong_constraints(form: str) -> None:
    """Constraints in another form than theirs are refused, and not taken for none."""
    with pytest.raises(Malformed):
        constraints(form)()


@given(st.integers(0), st.integers(0, 7), st.binary(max_size=3))
def test_any_change(place: int, bit: int, tail: bytes) -> None:
    """Whatever is changed, a certificate is read or refused; what is read has other bytes."""
    data = bytearray(ROOT.made(ROOT))
    data[place % len(data)] ^= 1 << bit
    try:
        found = read_certificate(bytes(data) + tail, "it")
        assert found.raw == bytes(data)
        found.path_length()
        found.may(KEY_CERT_SIGN)
    except ParaphError as error:
        assert isinstance(error, Malformed)  # noqa: PT017  it may also be read
