"""PEM in one form: what is written is read, and nothing that a lenient reader would also take."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tdx import certificate

from paraph.core.errors import Malformed
from paraph.proofs.quotes import pem

ONE: Final = pem.written(certificate("root"))


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4))
def test_written_is_read(found: list[bytes]) -> None:
    """A chain is read as it was written, whatever it holds."""
    assert list(pem.certificates(b"".join(map(pem.written, found)), "it")) == found


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n" + ONE,
        ONE + b"\n",
        ONE.replace(b"\n", b"\r\n"),
        ONE.removesuffix(b"\n"),
        ONE.replace(b"CERTIFICATE", b"X509 CRL"),
        ONE.replace(b"\nMII", b"\nM\nII"),
        pem.written(b"x").replace(b"eA==", b"eB=="),
        pem.written(b"x").replace(b"eA==", b"eA="),
        pem.written(b"x").replace(b"eA==", b"eA==eA=="),
        pem.written(b"").replace(b"CERTIFICATE-----\n-", b"CERTIFICATE-----\n\n-"),
    ],
)
def test_other_forms(data: bytes) -> None:
    """Text around, other lines, and other spellings of the same certificate are refused."""
    with pytest.raises(Malformed) as caught:
        pem.certificates(data, "it")

    assert caught.value.code == "pem.form"


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Whatever stands between the lines is a certificate in its one form, or refused."""
    text = b"-----BEGIN CERTIFICATE-----\n" + data + b"-----END CERTIFICATE-----\n"
    try:
        found = pem.certificates(text, "it")
    except Malformed:
        return
    assert b"".join(map(pem.written, found)) == text
