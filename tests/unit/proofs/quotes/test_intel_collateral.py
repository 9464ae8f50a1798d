"""Intel's collateral: nine pieces, each in its one form, and dated."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.der import node
from tests.support.tdx import ISSUED_S, NOW_S, TDX, VERSIONS, Statement, certificate, revocations, written

from paraph.core.errors import Unverified
from paraph.proofs.quotes import pem
from paraph.proofs.quotes.intel_collateral import (
    AGE_S_MAX,
    PART_BYTES_MAX,
    PARTS,
    check_age,
    collateral_of,
    parts_of,
)

GOOD: Final = TDX.parts()


def dated(text: str) -> bytes:
    """A statement with that date."""
    return VERSIONS.text().replace(written(ISSUED_S).encode(), text.encode())


def test_pieces() -> None:
    """The nine pieces are read with their chains and dates, and are the same when they are sent on."""
    found = collateral_of(GOOD)

    assert parts_of(found.library) == GOOD
    assert found.engine == b"\0\0"
    assert found.authority == (certificate("authority"), certificate("root"))
    assert found.signers == ((certificate("signer"), certificate("root")),) * 2
    assert found.revocations == (revocations("root"), revocations("authority"))
    assert dict(found.issued_s) == dict.fromkeys(("tcb_info", "qe_identity", "pck_crl"), ISSUED_S)
    assert dict(found.until_s) == dict.fromkeys(("root_ca_crl", "pck_crl"), ISSUED_S + 10**7)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        GOOD[:8],
        (*GOOD, b"x"),
        *(
            TDX.beside(**{name: part}).parts()
            for name, part in (
                ("tcb_info", b""),
                ("tcb_info", b" " * PART_BYTES_MAX + VERSIONS.text()),
                ("tcb_info", b"\xff"),
                ("tcb_info", b"[]"),
                ("tcb_info", b"{}"),
                ("tcb_info", b"{"),
                ("tcb_info", b"[" * 1_000),
                ("tcb_info", VERSIONS.text().replace(b'"id"', b'"id":"SGX","id"')),
                ("tcb_info", dated("2025-02-30T00:00:00Z")),
                ("tcb_info", dated("2025-02-03T00:00:00+00:00")),
                ("tcb_info", dated("2025-02-03 00:00:00Z")),
                ("tcb_info", dated("\u0662025-02-03T00:00:00Z")),
                ("tcb_info", VERSIONS.saying(pceId="0000 ").text()),
                ("tcb_info", VERSIONS.saying(pceId=0).text()),
                ("tcb_info", VERSIONS.saying(tcbType=1).text()),
                ("tcb_info_signature", bytes(63)),
                ("qe_identity_signature", bytes(65)),
                ("qe_identity_issuer_chain", b"text\n" + pem.written(certificate("root"))),
                ("pck_crl_issuer_chain", b"\xff"),
                ("pck_crl", b"\x30\0"),
                ("pck_crl", b"\x30\1"),
                ("pck_crl", certificate("root")),
                ("root_ca_crl", node(0x30, node(0x30, *[b"\5\0"] * 5))),
                ("root_ca_crl", b"\x02\1\1"),
            )
        ),
    ],
)
def test_other_pieces(parts: tuple[bytes, ...]) -> None:
    """Too few, too many, too large, or not in their one form: refused, and no error."""
    with pytest.raises(Unverified) as caught:
        collateral_of(parts)

    assert caught.value.code == "quote.collateral"


@pytest.mark.parametrize(
    ("later_s", "code"),
    [(0, ""), (-1, "quote.collateral_time"), (AGE_S_MAX, ""), (AGE_S_MAX + 1, "quote.collateral_age")],
)
def test_age(later_s: int, code: str) -> None:
    """Intel's word is taken from the second it was given for seven days, and no longer."""
    try:
        check_age(collateral_of(GOOD), ISSUED_S + later_s, AGE_S_MAX)
        found = ""
    except Unverified as error:
        found = error.code

    assert found == code


@pytest.mark.parametrize("issuer", ["root", "authority"])
def test_lists_end(issuer: str) -> None:
    """A list of what is revoked holds until the second that it says."""
    name = "root_ca_crl" if issuer == "root" else "pck_crl"
    collateral = collateral_of(TDX.beside(**{name: revocations(issuer, next_s=3_600)}).parts())

    check_age(collateral, NOW_S, AGE_S_MAX)
    with pytest.raises(Unverified) as caught:
        check_age(collateral, NOW_S + 1, AGE_S_MAX)
    assert caught.value.code == "quote.collateral_time"


@given(st.lists(st.binary(max_size=100), min_size=9, max_size=9))
def test_any_bytes(parts: list[bytes]) -> None:
    """Random pieces are refused, and no error."""
    with pytest.raises(Unverified):
        collateral_of(parts)


@given(st.sampled_from(PARTS), st.integers(0))
def test_any_bit(name: str, place: int) -> None:
    """A piece with a bit turned is read or refused, and no error."""
    part = bytearray(dict(zip(PARTS, GOOD, strict=True))[name])
    part[place % len(part)] ^= 1 << place % 8
    parts = TDX.beside(**{name: bytes(part)}).parts()
    try:
        found = parts_of(collateral_of(parts).library)
    except Unverified:
        return
    assert found == parts


def test_statement_of_another_day() -> None:
    """Each piece has its own date."""
    made = TDX.but(identity=Statement(TDX.identity.said, issued_s=ISSUED_S - 5))

    assert dict(collateral_of(made.parts()).issued_s)["qe_identity"] == ISSUED_S - 5
