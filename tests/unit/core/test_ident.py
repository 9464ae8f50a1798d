"""Names of things: one value has one spelling."""

import pytest

from paraph.core.errors import Malformed
from paraph.core.ident import address_from_hex, digest_from_hex, from_hex, to_hex


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xab\xcd", bytes(range(32))])
def test_hex_round_trips(data: bytes) -> None:
    """What is written is read back."""
    assert from_hex(to_hex(data), None, "it") == data
    assert from_hex(to_hex(data), len(data), "it") == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "ab",
        "0X00",
        "0x0",
        "0xAB",
        "0xaB",
        "0xg0",
        "0x 0",
        "0x0 ",
        "0x00\n",
        "0x\u0660\u0660",
        "x00",
        None,
        7,
        True,
        b"0x00",
        ["0x00"],
    ],
)
def test_other_spellings_are_refused(text: object) -> None:
    """Capitals, odd digits, spaces, other scripts and other types are refused."""
    with pytest.raises(Malformed) as caught:
        from_hex(text, None, "it")

    assert caught.value.code == "ident.hex"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_length_is_exact(size: int) -> None:
    """A digest is 32 bytes and an address 20; the error carries both numbers."""
    with pytest.raises(Malformed) as caught:
        digest_from_hex(to_hex(bytes(size)), "it")

    assert caught.value.facts == {"expected": 32, "got": size}
    with pytest.raises(Malformed):
        address_from_hex(to_hex(bytes(size)), "it")


def test_names_of_the_right_length_are_read() -> None:
    """32 and 20 bytes are read."""
    assert digest_from_hex("0x" + "ab" * 32, "it") == b"\xab" * 32
    assert address_from_hex("0x" + "ab" * 20, "it") == b"\xab" * 20
