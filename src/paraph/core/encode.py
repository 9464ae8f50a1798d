"""JSON, read strictly and written in one way only: RFC 8785 (JCS), so that a value hashes the same in any language.

Two restrictions make that true in practice. A number that is an integer must lie within ±(2^53 − 1): larger ones go
as text. And `decode_exact` refuses any number or text not spelled as the canonical form spells it, so no two files
differ in a digit or a letter and mean the same; only white space and the order of members are free.

Floating-point numbers pass through here as values to be spelled; nothing is ever computed with them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring  # escapes as RFC 8785 section 3.2.2.2 does, all else as it is
from math import isfinite
from typing import NoReturn, TypeAlias

from paraph.core.errors import Malformed
from paraph.core.limits import JSON_BYTES_MAX, JSON_DEPTH_MAX, JSON_INTEGER_MAX

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"
JsonObject: TypeAlias = Mapping[str, Json]


def canonical(value: Json) -> bytes:
    """The RFC 8785 form of `value`, in UTF-8.

    Raises:
        Malformed: `json.number` for NaN, an infinity, or an integer beyond ±(2^53 − 1); `json.text` for a lone
            surrogate; `json.type` for what JSON has no form for; `json.depth` beyond the limit.
    """
    parts: list[str] = []
    _write(value, parts, 0)
    try:
        return "".join(parts).encode()
    except UnicodeEncodeError as error:
        raise Malformed("json.text", "a string holds a lone surrogate, which UTF-8 cannot carry") from error


def decode(data: bytes, *, bytes_max: int = JSON_BYTES_MAX) -> Json:
    """Read one JSON value from untrusted bytes.

    Args:
        data: UTF-8 text without a byte-order mark.
        bytes_max: largest size accepted, in bytes.

    Raises:
        Malformed: `json.size`, `json.utf8`, `json.syntax`, `json.depth`, `json.duplicate`, `json.number`, `json.text`.
    """
    return _decode(data, bytes_max, _read_float, _read_integer)


def decode_exact(data: bytes, *, bytes_max: int = JSON_BYTES_MAX) -> Json:
    """As `decode`, and every number and every text must be spelled as `canonical` spells it (`json.spelling`)."""
    value = _decode(data, bytes_max, _read_float_exact, _read_integer_exact)
    if b"\\" in _CANONICAL_ESCAPE.sub(b"", data):
        raise Malformed("json.spelling", "a string holds an escape that its canonical form does not have")
    return value


def as_object(value: Json, what: str) -> JsonObject:
    """`value` if it is an object. Raises `Malformed` (`json.shape`) otherwise."""
    if not isinstance(value, Mapping):
        raise Malformed("json.shape", f"{what} must be a JSON object")
    return value


def take(value: Json, what: str, *names: str) -> tuple[Json, ...]:
    """The members of an object that must have exactly these `names`, in that order.

    Raises:
        Malformed: `json.shape` when it is no object, or a member is missing or unknown.
    """
    found = as_object(value, what)
    if found.keys() != set(names):
        missing = sorted(set(names) - found.keys())
        unknown = sorted(found.keys() - set(names))
        raise Malformed("json.shape", f"{what}: missing {missing}, unknown {str(unknown)[:200]}")
    return tuple(found[name] for name in names)


def as_text(value: Json, what: str, *, bytes_max: int = JSON_BYTES_MAX) -> str:
    """`value` if it is a string within the size. Raises `Malformed` (`json.shape`) otherwise."""
    if not isinstance(value, str):
        raise Malformed("json.shape", f"{what} must be a string")
    if len(value.encode("utf-8", "surrogatepass")) > bytes_max:
        raise Malformed("json.shape", f"{what} is longer than {bytes_max} bytes")
    return value


def as_integer(value: Json, what: str, low: int = 0, high: int = JSON_INTEGER_MAX) -> int:
    """`value` if it is an integer within [low, high]. Raises `Malformed` (`json.shape`) otherwise."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Malformed("json.shape", f"{what} must be an integer from {low} to {high}")
    return value


def as_decimal(value: Json, what: str, high: int) -> int:
    """Read an integer written as decimal text, as wei are: digits only, no leading zero.

    Raises:
        Malformed: `json.shape`: another spelling, or above `high`.
    """
    ok = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78
    if not ok or (value[0] == "0" and value != "0") or int(value) > high:  # type: ignore[index, arg-type]
        raise Malformed("json.shape", f"{what} must be decimal text from 0 to {high}")
    return int(value)  # type: ignore[arg-type]


def as_list(value: Json, what: str, *, items_max: int) -> Sequence[Json]:
    """`value` if it is an array within the length. Raises `Malformed` (`json.shape`) otherwise."""
    if not isinstance(value, list | tuple):
        raise Malformed("json.shape", f"{what} must be a JSON array")
    if len(value) > items_max:
        raise Malformed("json.shape", f"{what} has {len(value)} items; at most {items_max}")
    return value


# --- writing -----------------------------------------------------------------------------------------------------


def _write(value: Json, parts: list[str], depth: int) -> None:
    if depth >= JSON_DEPTH_MAX and isinstance(value, Mapping | list | tuple):
        raise Malformed("json.depth", f"nested deeper than {JSON_DEPTH_MAX}")
    if value is None:
        parts.append("null")
    elif value is True:
        parts.append("true")
    elif value is False:
        parts.append("false")
    elif isinstance(value, str):
        parts.append(encode_basestring(value))
    elif isinstance(value, int):
        parts.append(_integer(value))
    elif isinstance(value, float):
        parts.append(spelled(value))
    elif isinstance(value, Mapping):
        _write_object(value, parts, depth)
    elif isinstance(value, list | tuple):
        parts.append("[")
        for index, item in enumerate(value):
            if index:
                parts.append(",")
            _write(item, parts, depth + 1)
        parts.append("]")
    else:
        raise Malformed("json.type", f"JSON has no form for {type(value).__name__}")


def _write_object(value: JsonObject, parts: list[str], depth: int) -> None:
    if not all(isinstance(name, str) for name in value):
        raise Malformed("json.type", "the names in a JSON object must be strings")
    parts.append("{")
    # RFC 8785 sorts names by UTF-16 code units, which differs from code points beyond the BMP only.
    for index, name in enumerate(sorted(value, key=None if all(map(str.isascii, value)) else _utf16)):
        if index:
            parts.append(",")
        parts.append(encode_basestring(name))
        parts.append(":")
        _write(value[name], parts, depth + 1)
    parts.append("}")


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _integer(value: int) -> str:
    if not -JSON_INTEGER_MAX <= value <= JSON_INTEGER_MAX:
        raise Malformed("json.number", "an integer beyond ±(2^53 − 1) must be written as text")
    return int.__repr__(value)


def spelled(value: float) -> str:
    """A finite number as ECMAScript's Number::toString spells it (ECMA-262 section 6.1.6.1.20), as RFC 8785 asks.

    Python's repr gives the same shortest digits; only the notation differs.

    Raises:
        Malformed: `json.number`: NaN, an infinity, or an integer beyond ±(2^53 − 1).
    """
    if not isfinite(value):
        raise Malformed("json.number", "NaN and infinities have no JSON form")
    if value.is_integer():
        return _integer(int(value))
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # `point` places the decimal point: value = 0.digits × 10^point.
    leading_zeros = len(whole + fraction) - len(digits)
    point = len(whole) - leading_zeros + int(exponent_text or "0")
    digits = digits.rstrip("0")
    if 0 < point <= 21:  # an integer never comes here, so digits always remain after the point
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    head = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{head}e-{1 - point}"


# --- reading -----------------------------------------------------------------------------------------------------

# Possessive, and with the closing quote optional: hostile text takes linear time, and a long string no memory.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
# The escapes of the canonical form. Taken out from the left, pair by pair, they leave a backslash only where another
# escape stands.
_CANONICAL_ESCAPE = re.compile(rb'\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))')


def _decode(data: bytes, bytes_max: int, read_float: object, read_integer: object) -> Json:
    if len(data) > bytes_max:
        raise Malformed("json.size", f"{len(data)} bytes of JSON; at most {bytes_max}", got=len(data), limit=bytes_max)
    _check_depth(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("json.utf8", f"not UTF-8 at byte {error.start}") from error
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=read_float,  # type: ignore[arg-type]
            parse_int=read_integer,  # type: ignore[arg-type]
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise Malformed("json.syntax", f"not JSON: {error.msg} at character {error.pos}") from error
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise Malformed("json.text", "a string holds a lone surrogate, which UTF-8 cannot carry") from error
    return value


def _check_depth(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") <= JSON_DEPTH_MAX:
        return  # nothing can be nested deeper than there are brackets
    depth = 0
    for match in _STRUCTURE.finditer(data):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            if depth > JSON_DEPTH_MAX:
                raise Malformed("json.depth", f"nested deeper than {JSON_DEPTH_MAX}")
        elif token in (b"]", b"}"):
            depth -= 1


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("json.duplicate", "a name stands twice in one JSON object")
    return found


def _read_float(text: str) -> float:
    value = float(text)
    spelled(value)  # refuses what could not be written again
    return value


def _read_integer(text: str) -> int:
    # The length is looked at first: turning a long digit string into an integer is quadratic.
    if len(text) > 17:
        raise Malformed("json.number", "an integer beyond ±(2^53 − 1) must be written as text")
    value = int(text)
    if len(text) < 16:
        return value  # 15 digits are below 2^53
    _integer(value)
    return value


def _read_float_exact(text: str) -> float:
    value = _read_float(text)
    if spelled(value) != text:
        raise Malformed("json.spelling", f"the number {text[:40]} is not in canonical form, {spelled(value)}")
    return value


def _read_integer_exact(text: str) -> int:
    value = _read_integer(text)
    if str(value) != text:
        raise Malformed("json.spelling", f"the number {text} is not in canonical form, {value}")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise Malformed("json.number", f"{text} is not JSON")
