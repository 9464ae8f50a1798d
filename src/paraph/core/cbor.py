"""CBOR (RFC 8949), as much of it as attestation documents use, read strictly and within bounds.

Every validator must read the same bytes alike, so this is ours and small: a map says each key once, strings come whole,
numbers are integers in their shortest form, and nothing follows the value. Arrays and maps may be of indefinite length:
the AWS Nitro hypervisor writes its documents so.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from paraph.core.errors import Malformed, must
from paraph.core.limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX

Key: TypeAlias = int | str
Cbor: TypeAlias = "int | str | bytes | bool | None | Sequence[Cbor] | Mapping[Key, Cbor]"

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE: Final = 31
_BREAK: Final = 0xFF
_SIMPLES: Final[Mapping[int, bool | None]] = {20: False, 21: True, 22: None}
_WIDTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}


def decode(data: bytes, tag: int | None = None) -> Cbor:
    """Read exactly one item that fills `data`.

    Args:
        data: from a stranger.
        tag: that may stand before the item, once; no other is read.

    Raises:
        Malformed: `cbor.form`: cut off, trailing bytes, a form that is not the shortest, a string in pieces, a key
            twice, a key that is neither integer nor text, a float, a tag; `cbor.size`: too deep, or too many items.
    """
    reader = _Reader(data)
    if tag is not None and data.startswith(encode_head(_TAG, tag)):
        reader.at = len(encode_head(_TAG, tag))
    item = reader.item(0)
    if reader.at != len(data):
        raise Malformed("cbor.form", f"{len(data) - reader.at} bytes follow the CBOR item")
    return item


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.left = CBOR_ITEMS_MAX

    def item(self, depth: int) -> Cbor:
        self.left -= 1
        if depth > CBOR_DEPTH_MAX or self.left < 0:
            raise Malformed("cbor.size", f"CBOR deeper than {CBOR_DEPTH_MAX}, or of more than {CBOR_ITEMS_MAX} items")
        kind, short = divmod(self.take(1)[0], 32)
        if kind == _SIMPLE:
            if short not in _SIMPLES:
                raise Malformed("cbor.form", "of CBOR's simple values only true, false and null are read, and no float")
            return _SIMPLES[short]
        if kind in (_ARRAY, _MAP):
            count = None if short == _INDEFINITE else self.number(short)
            return self.array(count, depth) if kind == _ARRAY else self.map(count, depth)
        number = self.number(short)
        match kind:
            case 0:
                return number
            case 1:
                return -1 - number
            case 2:
                return self.take(number)
            case 3:
                return self.text(number)
            case _:
                raise Malformed("cbor.form", f"the CBOR tag {number} is not expected here")

    def number(self, short: int) -> int:
        """The argument of an item's head."""
        if short < min(_WIDTHS):
            return short
        if short not in _WIDTHS:
            raise Malformed("cbor.form", "CBOR strings must come in one piece, and numbers be of 64 bits")
        width = _WIDTHS[short]
        number = int.from_bytes(self.take(width), "big")
        if number < (24 if width == 1 else 1 << 4 * width):
            raise Malformed("cbor.form", "a CBOR number is not in its shortest form")
        return number

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Malformed("cbor.form", f"the CBOR ends {end - len(self.data)} bytes early")
        found = self.data[self.at : end]
        self.at = end
        return found

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as error:
            raise Malformed("cbor.form", "a CBOR text is not UTF-8") from error

    def more(self, count: int | None, done: int) -> bool:
        """Whether a collection goes on; past its end when it does not."""
        if count is not None:
            return done < count
        if self.data[self.at : self.at + 1] != bytes((_BREAK,)):
            return True
        self.at += 1
        return False

    def array(self, count: int | None, depth: int) -> list[Cbor]:
        found: list[Cbor] = []
        while self.more(count, len(found)):
            found.append(self.item(depth + 1))
        return found

    def map(self, count: int | None, depth: int) -> dict[Key, Cbor]:
        found: dict[Key, Cbor] = {}
        while self.more(count, len(found)):
            key = self.item(depth + 1)
            if isinstance(key, bool) or not isinstance(key, int | str):
                raise Malformed("cbor.form", "a key of a CBOR map must be an integer or a text")
            if key in found:
                raise Malformed("cbor.form", f"the key {key!a} stands twice in a CBOR map")
            found[key] = self.item(depth + 1)
        return found


def encode(item: Cbor) -> bytes:
    """The item's CBOR: shortest numbers, definite lengths, maps in the order given."""
    match item:
        case bool():
            return encode_head(_SIMPLE, 21 if item else 20)
        case None:
            return encode_head(_SIMPLE, 22)
        case int():
            return encode_head(_UNSIGNED, item) if item >= 0 else encode_head(_NEGATIVE, -1 - item)
        case bytes():
            return encode_head(_BYTES, len(item)) + item
        case str():
            raw = item.encode()
            return encode_head(_TEXT, len(raw)) + raw
        case Mapping():
            parts = (encode(key) + encode(value) for key, value in item.items())
            return encode_head(_MAP, len(item)) + b"".join(parts)
        case _:
            return encode_head(_ARRAY, len(item)) + b"".join(encode(each) for each in item)


def encode_head(kind: int, number: int) -> bytes:
    """The head of an item: its major type and its argument."""
    must(0 <= number < 1 << 64, "a CBOR head carries 64 bits")
    if number < min(_WIDTHS):
        return bytes((kind << 5 | number,))
    short, width = next((short, width) for short, width in _WIDTHS.items() if number < 1 << 8 * width)
    return bytes((kind << 5 | short,)) + number.to_bytes(width, "big")
