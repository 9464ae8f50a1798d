"""The host's table of certificates, which the host may write as it likes."""

import uuid
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.enclaves.certificate_table import AUTHORITY, CHIP, ROOT, chain, read
from paraph.core.errors import Malformed, ParaphError, Unavailable
from paraph.proofs.quotes.pem import written

ARK: Final = uuid.UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae").bytes
ASK: Final = uuid.UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782").bytes
VCEK: Final = uuid.UUID("63da758d-e664-4564-adc5-f4b93be8accd").bytes
VLEK: Final = uuid.UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1").bytes
GOOD: Final = [(VCEK, b"chip"), (ASK, b"authority"), (ARK, b"root"), (VLEK, b"cloud")]


def table(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A table, by code of its own."""
    at, heads, bodies = 24 * (len(entries) + 1), b"", b""
    for name, data in entries:
        heads += name + (at + len(bodies)).to_bytes(4, "little") + len(data).to_bytes(4, "little")
        bodies += data
    return heads + bytes(24) + bodies


def test_names_are_those_of_the_standard() -> None:
    """The three names are the standard's, in the order in which they are written."""
    assert (ROOT, AUTHORITY, CHIP) == (ARK, ASK, VCEK)


def test_the_chain_has_the_root_first() -> None:
    """Whatever the order in the table, the chain goes from the root to the chip, and leaves other keys out."""
    assert chain(read(table(GOOD))) == (b"root", b"authority", b"chip")


def test_padding_behind_a_table_is_usual() -> None:
    """Hosts fill the page with zeros."""
    assert chain(read(table(GOOD) + bytes(3_000))) == (b"root", b"authority", b"chip")


def test_pem_becomes_der() -> None:
    """Hosts that were given PEM hand on PEM; verifiers want DER."""
    found = chain(read(table([(name, written(data)) for name, data in GOOD])))

    assert found == (b"root", b"authority", b"chip")


@pytest.mark.parametrize("empty", [b"", bytes(24), bytes(4_096)])
def test_an_empty_table_has_none(empty: bytes) -> None:
    """A host that gives nothing gives an empty table, and the missing chain is named."""
    assert read(empty) == {}
    with pytest.raises(Unavailable) as caught:
        chain(read(empty))
    assert caught.value.code == "enclave.certificates"


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_certificate_is_named(missing: int) -> None:
    """Two of three are no chain."""
    entries = [each for number, each in enumerate(GOOD) if number != missing]

    with pytest.raises(Unavailable) as caught:
        chain(read(table(entries)))

    assert caught.value.code == "enclave.certificates"


@pytest.mark.parametrize(
    "bad",
    [
        table(GOOD)[:95],
        table(GOOD)[:-1],
        table([*GOOD, (VCEK, b"again")]),
        table([(bytes((number + 1,)) * 16, b"x") for number in range(17)]),
        VCEK + b"\xff" * 8 + bytes(24),
    ],
    ids=["no end", "cut off", "twice", "too many", "beyond all"],
)
def test_a_bad_table_is_refused(bad: bytes) -> None:
    """A table with one fault is refused."""
    with pytest.raises(Malformed) as caught:
        read(bad)

    assert caught.value.code == "certificates.form"


def test_bad_pem_is_refused() -> None:
    """What begins like PEM and is not is refused."""
    with pytest.raises(Malformed) as caught:
        chain(read(table([(VCEK, b"-----BEGIN nonsense"), *GOOD[1:]])))

    assert caught.value.code == "pem.form"


@given(st.binary(max_size=500))
def test_hostile_tables_are_read_or_refused(data: bytes) -> None:
    """Any bytes are a table whose parts lie in it, or an error of ours."""
    try:
        found = read(data)
    except ParaphError:
        return
    assert all(each in data for each in found.values())
