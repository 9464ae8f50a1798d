"""Names of things: addresses, digests, keys of requests, and how each is written as text.

Text forms are strict: lower-case hex with `0x`, or an EIP-55 checksummed address. One value has one spelling,
so a changed character is never silently the same value.
"""

from typing import NewType

from paraph.core.errors import Malformed

Address = NewType("Address", bytes)
"""An account: 20 bytes, the last of Keccak-256 of an uncompressed secp256k1 public key."""

Digest = NewType("Digest", bytes)
"""A 32-byte hash."""

ModelId = NewType("ModelId", bytes)
"""A model: 32 bytes, the tagged hash of its manifest and so of its files."""

RequestKey = NewType("RequestKey", bytes)
"""A request: 32 bytes of the client's own making; one answer and one debit, ever."""

ADDRESS_BYTES = 20
DIGEST_BYTES = 32
ZERO_ADDRESS = Address(bytes(ADDRESS_BYTES))
ZERO_DIGEST = Digest(bytes(DIGEST_BYTES))

_HEX = frozenset("0123456789abcdef")


def to_hex(data: bytes) -> str:
    """`data` as lower-case hex with `0x`."""
    return "0x" + data.hex()


def from_hex(text: object, size: int | None, what: str) -> bytes:
    """Read lower-case `0x` hex.

    Args:
        text: what should be a string.
        size: exact number of bytes, or None for any.
        what: the name of the field, for the error.

    Raises:
        Malformed: `ident.hex`: not a string, no `0x`, an upper-case or non-hex digit, or another length.
    """
    if not isinstance(text, str) or not text.startswith("0x") or not _HEX.issuperset(text[2:]) or len(text) & 1:
        raise Malformed("ident.hex", f"{what} must be lower-case hex with 0x in front")
    data = bytes.fromhex(text[2:])
    if size is not None and len(data) != size:
        raise Malformed("ident.hex", f"{what} must be {size} bytes, not {len(data)}", expected=size, got=len(data))
    return data


def digest_from_hex(text: object, what: str) -> Digest:
    """Read a 32-byte digest. Raises `Malformed` as `from_hex` does."""
    return Digest(from_hex(text, DIGEST_BYTES, what))


def address_from_hex(text: object, what: str) -> Address:
    """Read an address in its canonical machine form: lower-case hex. Raises `Malformed` as `from_hex` does."""
    return Address(from_hex(text, ADDRESS_BYTES, what))
