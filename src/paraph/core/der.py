"""DER (ITU-T X.690), as much of it as certificates use: every value has one spelling, and any other is refused.

Libraries differ over odd certificates, and from version to version; validators must not. So the reading is ours, and a
library does the arithmetic of curves alone.
"""

import re
from dataclasses import dataclass
from typing import Final

from paraph.core.errors import Malformed
from paraph.core.limits import DER_ITEMS_MAX

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x01, 0x02, 0x03, 0x04, 0x06
UTF8_STRING, PRINTABLE_STRING, UTC_TIME, GENERALIZED_TIME = 0x0C, 0x13, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31

_TIMES: Final = {
    UTC_TIME: re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z"),
    GENERALIZED_TIME: re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z"),
}
_MONTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Value:
    """One value.

    Args:
        tag: its first byte: class, form and number.
        content: what it holds.
        raw: all its bytes, head included.
    """

    tag: int
    content: bytes
    raw: bytes

    def expect(self, tag: int, what: str) -> bytes:
        """The content, if the value has that tag. Raises `Malformed` (`der.tag`) otherwise."""
        if self.tag != tag:
            raise Malformed("der.tag", f"{what} has the DER tag {self.tag:#04x}, not {tag:#04x}")
        return self.content


def context(number: int, *, constructed: bool = True) -> int:
    """The tag of a context-specific value, as `[number]` in a grammar."""
    return 0x80 | 0x20 * constructed | number


def read(data: bytes, what: str) -> Value:
    """The one value that fills `data`. Raises `Malformed` (`der.form`)."""
    value, end = _value(data, 0, what)
    if end != len(data):
        raise Malformed("der.form", f"{len(data) - end} bytes follow {what}")
    return value


def parts(content: bytes, what: str) -> list[Value]:
    """The values that fill a constructed value's content. Raises `Malformed` (`der.form`)."""
    found: list[Value] = []
    at = 0
    while at < len(content):
        if len(found) == DER_ITEMS_MAX:
            raise Malformed("der.form", f"{what} holds more than {DER_ITEMS_MAX} values")
        value, at = _value(content, at, what)
        found.append(value)
    return found


def sequence(value: Value, what: str) -> list[Value]:
    """The values of a SEQUENCE. Raises `Malformed` (`der.tag`, `der.form`)."""
    return parts(value.expect(SEQUENCE, what), what)


INTEGER_BYTES_MAX: Final = 1_024
"""Twice the modulus of the largest RSA key in use; Python writes no number of ten thousand digits down."""
ARC_MAX: Final = 2**64 - 1
"""Of an OBJECT IDENTIFIER: those in use stay below 2^32, and one made of a UUID is in no certificate of hardware."""


def integer(value: Value, what: str) -> int:
    """An INTEGER. Raises `Malformed` (`der.tag`, `der.form`)."""
    content = value.expect(INTEGER, what)
    spare = content[:1] in (b"\x00", b"\xff") and len(content) > 1 and (content[0] ^ content[1]) < 0x80
    if not content or spare:
        raise Malformed("der.form", f"{what} is no INTEGER in its shortest form")
    if len(content) > INTEGER_BYTES_MAX:
        raise Malformed(
            "der.size", f"{what} is an INTEGER of {len(content)} bytes; at most {INTEGER_BYTES_MAX} are read"
        )
    return int.from_bytes(content, "big", signed=True)


def boolean(value: Value, what: str) -> bool:
    """A BOOLEAN. Raises `Malformed` (`der.tag`, `der.form`)."""
    content = value.expect(BOOLEAN, what)
    if content not in (b"\x00", b"\xff"):
        raise Malformed("der.form", f"{what} is a BOOLEAN that is neither 00 nor ff")
    return content == b"\xff"


def bit_string(value: Value, what: str) -> tuple[bytes, int]:
    """A BIT STRING: its bytes, and how many of its last bits are unused. Raises `Malformed` (`der.tag`, `der.form`)."""
    content = value.expect(BIT_STRING, what)
    unused = content[0] if content else 8
    if unused > 7 or (unused and (len(content) < 2 or content[-1] & ((1 << unused) - 1))):
        raise Malformed("der.form", f"{what} is a BIT STRING with wrong padding")
    return content[1:], unused


def whole_bytes(value: Value, what: str) -> bytes:
    """A BIT STRING of whole bytes. Raises `Malformed` (`der.tag`, `der.form`)."""
    found, unused = bit_string(value, what)
    if unused:
        raise Malformed("der.form", f"{what} must be whole bytes")
    return found


def oid(value: Value, what: str) -> str:
    """An OBJECT IDENTIFIER in dots. Raises `Malformed` (`der.tag`, `der.form`)."""
    content = value.expect(OID, what)
    arcs: list[int] = []
    number = 0
    begins = True
    for byte in content:
        if begins and byte == 0x80:
            raise Malformed("der.form", f"{what} is no OBJECT IDENTIFIER in its shortest form")
        number = number << 7 | byte & 0x7F
        if number > ARC_MAX:
            raise Malformed("der.form", f"{what} is an OBJECT IDENTIFIER with a number above {ARC_MAX}")
        begins = byte < 0x80
        if begins:
            arcs.append(number)
            number = 0
    if not arcs or not begins:
        raise Malformed("der.form", f"{what} is an OBJECT IDENTIFIER that is cut off")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def text(value: Value, what: str) -> str:
    """A UTF8String or PrintableString. Raises `Malformed` (`der.tag`, `der.form`)."""
    if value.tag not in (UTF8_STRING, PRINTABLE_STRING):
        raise Malformed("der.tag", f"{what} has the DER tag {value.tag:#04x}, which is no text that is read here")
    try:
        return value.content.decode("utf-8" if value.tag == UTF8_STRING else "ascii")
    except UnicodeDecodeError as error:
        raise Malformed("der.form", f"{what} is a text with bytes that are none") from error


def time_s(value: Value, what: str) -> int:
    """A UTCTime or GeneralizedTime, as certificates write them, in Unix seconds.

    Years of two digits are 1950 to 2049 (RFC 5280, section 4.1.2.5). Raises `Malformed` (`der.tag`, `der.form`).
    """
    if value.tag not in _TIMES:
        raise Malformed("der.tag", f"{what} has the DER tag {value.tag:#04x}, which is no time")
    found = _TIMES[value.tag].fullmatch(value.content)
    if found is None:
        raise Malformed("der.form", f"{what} is no time in the form of certificates")
    year, month, day, hour, minute, second = map(int, found.groups())
    if value.tag == UTC_TIME:
        year += 2000 if year < 50 else 1900
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = _MONTHS[month - 1] + (month == 2 and leap) if 1 <= month <= 12 else 0
    if not 1 <= day <= days or hour > 23 or minute > 59 or second > 59:
        raise Malformed("der.form", f"{what} is a time that no calendar has")
    before = year - 1
    elapsed = before * 365 + before // 4 - before // 100 + before // 400 + sum(_MONTHS[: month - 1]) + day - 1
    elapsed += month > 2 and leap
    return ((elapsed - _DAYS_TO_1970) * 24 + hour) * 3600 + minute * 60 + second


_DAYS_TO_1970: Final = 719_162
"""From the first day of the year 1 to the first of 1970."""


def _value(data: bytes, at: int, what: str) -> tuple[Value, int]:
    head = data[at : at + 2]
    if len(head) < 2:
        raise Malformed("der.form", f"{what} is cut off")
    tag, size = head
    if tag & 0x1F == 0x1F:
        raise Malformed("der.form", f"{what} has a tag of several bytes, which nothing here has")
    start = at + 2
    if size >= 0x80:
        width = size & 0x7F
        length = data[start : start + width]
        start += width
        size = int.from_bytes(length, "big")
        if not 1 <= width <= 4 or len(length) < width or size < max(0x80, 1 << 8 * (width - 1)):
            raise Malformed("der.form", f"{what} has a length that is not in its shortest form")
    end = start + size
    if end > len(data):
        raise Malformed("der.form", f"{what} is cut off")
    return Value(tag, data[start:end], data[at:end]), end
