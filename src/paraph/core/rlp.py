"""Recursive Length Prefix, Ethereum's encoding of nested byte strings (Yellow Paper, appendix B).

Decoding is strict: one value has one encoding, so a decoded transaction re-encodes to the same bytes and hash.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from paraph.core.errors import Malformed
from paraph.core.limits import RLP_DEPTH_MAX, RLP_ITEMS_MAX

Rlp: TypeAlias = "bytes | Sequence[Rlp]"


def encode(item: Rlp) -> bytes:
    """The RLP form of a byte string or of a (nested) sequence of them."""
    if isinstance(item, bytes):
        return _string(item)
    body = b"".join([_string(part) if isinstance(part, bytes) else encode(part) for part in item])
    return _prefix(0xC0, len(body)) + body


def decode(data: bytes) -> Rlp:
    """Read exactly one item that fills `data`.

    Raises:
        Malformed: `rlp.form`: truncated, trailing bytes, a form that is not the shortest, too deep or too many items.
    """
    item, end = _read(data, 0, len(data), 0, [RLP_ITEMS_MAX])
    if end != len(data):
        raise Malformed("rlp.form", f"{len(data) - end} bytes follow the RLP item")
    return item


def from_uint(value: int) -> bytes:
    """A non-negative integer as RLP carries it: big-endian, no leading zero, zero as the empty string."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def to_uint(item: Rlp, what: str, *, bits: int = 256) -> int:
    """Read such an integer.

    Raises:
        Malformed: `rlp.integer`: a list, a leading zero, or more than `bits` bits.
    """
    if not isinstance(item, bytes) or item[:1] == b"\0" or len(item) * 8 > bits:
        raise Malformed("rlp.integer", f"{what} must be an integer of at most {bits} bits without leading zeros")
    return int.from_bytes(item, "big")


def as_list(item: Rlp, what: str) -> list[Rlp]:
    """`item` if it is a list. Raises `Malformed` (`rlp.shape`) otherwise."""
    if isinstance(item, bytes):
        raise Malformed("rlp.shape", f"{what} must be an RLP list")
    return list(item)


def as_bytes(item: Rlp, what: str, size: int | None = None) -> bytes:
    """`item` if it is a byte string (of `size` bytes). Raises `Malformed` (`rlp.shape`) otherwise."""
    if not isinstance(item, bytes) or (size is not None and len(item) != size):
        raise Malformed("rlp.shape", f"{what} must be a byte string" + (f" of {size} bytes" if size else ""))
    return item


_BYTES: Final = tuple(bytes((value,)) for value in range(256))


def _string(item: bytes) -> bytes:
    size = len(item)
    if size == 1 and item[0] < 0x80:
        return item
    return (_BYTES[0x80 + size] if size < 56 else _prefix(0x80, size)) + item


def _prefix(base: int, size: int) -> bytes:
    if size < 56:
        return _BYTES[base + size]
    width = from_uint(size)
    return _BYTES[base + 55 + len(width)] + width


def _read(data: bytes, at: int, end: int, depth: int, left: list[int]) -> tuple[Rlp, int]:
    if depth > RLP_DEPTH_MAX:
        raise Malformed("rlp.form", f"RLP nested deeper than {RLP_DEPTH_MAX}")
    if at >= end:
        raise Malformed("rlp.form", "the RLP ends where an item should begin")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    if first < 0xC0:
        start, stop = _span(data, at, end, first - 0x80)
        if stop - start == 1 and data[start] < 0x80:
            raise Malformed("rlp.form", "a single small byte must stand for itself in RLP")
        return data[start:stop], stop
    start, stop = _span(data, at, end, first - 0xC0)
    items: list[Rlp] = []
    while start < stop:
        left[0] -= 1
        if left[0] < 0:
            raise Malformed("rlp.form", f"more than {RLP_ITEMS_MAX} items of RLP")
        if data[start] < 0x80:
            # Most items of a transaction are one byte or a few: no call for the former.
            items.append(_BYTES[data[start]])
            start += 1
        else:
            item, start = _read(data, start, stop, depth + 1, left)
            items.append(item)
    return items, stop


def _span(data: bytes, at: int, end: int, code: int) -> tuple[int, int]:
    start, size = at + 1, code
    if code >= 56:
        width = code - 55
        start += width
        size = int.from_bytes(data[at + 1 : start], "big")
        if start > end or data[at + 1] == 0 or size < 56:
            raise Malformed("rlp.form", "an RLP length is truncated or not in its shortest form")
    if start + size > end:
        raise Malformed("rlp.form", "an RLP item runs past the end")
    return start, start + size
