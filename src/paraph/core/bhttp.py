"""HTTP requests and responses as bytes (Binary HTTP, RFC 9292), so that a whole one can be sealed.

A request is of known length and padded; a response is of unknown length, written and read piece by piece. Everything
read is bounded. Left out, and refused: trailers, informational responses, and fields that belong to a connection.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from paraph.core.errors import Malformed, must
from paraph.core.limits import JSON_BYTES_MAX

Fields: TypeAlias = tuple[tuple[str, str], ...]

CONTENT_BYTES_MAX: Final = JSON_BYTES_MAX
"""Of a request: one JSON document."""
ANSWER_BYTES_MAX: Final = 4 * JSON_BYTES_MAX
"""Of a response's content: a streamed answer says in events, each with its digest, what one document says once."""
FIELDS_BYTES_MAX: Final = 16 * 1024
"""A section of fields: a payment takes 8 kB."""
FIELDS_MAX: Final = 64
"""Fields in one section: a client sends ten."""
TARGET_BYTES_MAX: Final = 2048
"""A path with its query; so too method, scheme and authority, which are shorter."""
PADDING_BYTES_MAX: Final = 16 * 1024
"""Zeros after a message: one step of padding is a kilobyte."""

VARINT_MAX: Final = 2**62 - 1
_KNOWN_REQUEST: Final = 0
_UNKNOWN_RESPONSE: Final = 3
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+\-.^_`|~]+")
_VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")
_METHOD: Final = re.compile(r"[A-Z]+")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]*")
_OF_A_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Args:
        method, scheme, authority, path: the control data; the path with its query.
        fields: (name in lower case, value), in order.
        content: the body.
    """

    method: str
    scheme: str
    authority: str
    path: str
    fields: Fields
    content: bytes

    def encode(self, multiple_of: int = 1) -> bytes:
        """The known-length form, with zeros added until its length is a multiple of so many bytes."""
        control = (self.method, self.scheme, self.authority, self.path)
        _check_control(control)
        parts = [varint(_KNOWN_REQUEST), *(_counted(each.encode()) for each in control)]
        parts += [_counted(_encode_fields(self.fields)), _counted(self.content), varint(0)]
        return padded(b"".join(parts), multiple_of)


def decode_request(data: bytes) -> Request:
    """Read a request from a stranger. The parts that are empty may be left out at its end, as the RFC allows.

    Raises:
        Malformed: `bhttp.form`, `bhttp.size`, `bhttp.fields`, `bhttp.trailer`, `bhttp.padding`.
    """
    reader = _Reader(data)
    if reader.varint() != _KNOWN_REQUEST:
        raise Malformed("bhttp.form", "not a request of known length")
    method, scheme, authority, path = control = tuple(reader.text(TARGET_BYTES_MAX) for _ in range(4))
    _check_control(control)
    fields = _decode_fields(reader.counted(FIELDS_BYTES_MAX) if reader.left else b"")
    content = reader.counted(CONTENT_BYTES_MAX) if reader.left else b""
    if reader.left and reader.varint() != 0:
        raise Malformed("bhttp.trailer", "fields after the content are not read")
    _check_padding(data[reader.at :], 0)
    return Request(method, scheme, authority, path, fields, content)


# --- responses, piece by piece ------------------------------------------------------------------------------------


def response_head(status: int, fields: Fields) -> bytes:
    """How a response begins."""
    must(200 <= status <= 599, "a final status")
    return varint(_UNKNOWN_RESPONSE) + varint(status) + _encode_fields(fields) + varint(0)


def response_content(content: bytes) -> bytes:
    """A piece of its content."""
    return _counted(content) if content else b""


def response_end() -> bytes:
    """How it ends: no more content, no trailers. Zeros may follow."""
    return varint(0) + varint(0)


class _Step(Enum):
    HEAD = auto()
    LENGTH = auto()
    CONTENT = auto()
    TRAILER = auto()
    PADDING = auto()


class ResponseReader:
    """Reads a response of unknown length from pieces of any size. Ask `finish` whether it was whole.

    `status` (0 before it is known) and `fields` come from the response's head.
    """

    def __init__(self) -> None:
        self.status = 0
        self.fields: Fields = ()
        self._rest = bytearray()
        self._step = _Step.HEAD
        self._left = 0
        self._content_bytes = 0
        self._padding_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Take more bytes; the content among them.

        Raises:
            Malformed: `bhttp.form`, `bhttp.size`, `bhttp.fields`, `bhttp.trailer`, `bhttp.padding`.
        """
        self._rest += data
        content = bytearray()
        while self._moved(content):
            pass
        return bytes(content)

    def finish(self) -> None:
        """Say that no more comes. Raises `Malformed` (`bhttp.cut`): the response is not whole."""
        if self._step is not _Step.PADDING:
            raise Malformed("bhttp.cut", "the response ends before its end")

    def _moved(self, content: bytearray) -> bool:
        """Take one step, if there are bytes enough for it."""
        match self._step:
            case _Step.HEAD:
                return self._read_head()
            case _Step.LENGTH | _Step.TRAILER:
                return self._read_number()
            case _Step.CONTENT:
                piece = self._rest[: self._left]
                del self._rest[: len(piece)]
                content += piece
                self._left -= len(piece)
                if not self._left:
                    self._step = _Step.LENGTH
                return len(piece) > 0
            case _:  # the padding, to the end
                _check_padding(self._rest, self._padding_bytes)
                self._padding_bytes += len(self._rest)
                self._rest.clear()
                return False

    def _read_head(self) -> bool:
        reader = _Reader(bytes(self._rest[: FIELDS_BYTES_MAX + 16]))
        try:
            if reader.varint() != _UNKNOWN_RESPONSE:
                raise Malformed("bhttp.form", "not a response of unknown length")
            status = reader.varint()
            if not 200 <= status <= 599:
                raise Malformed("bhttp.form", f"{status} is not the status of an answer")
            fields = _read_fields(reader, until_zero=True)
        except _CutError as cut:
            if len(self._rest) > FIELDS_BYTES_MAX:
                raise Malformed("bhttp.size", f"the head is longer than {FIELDS_BYTES_MAX} bytes") from cut
            return False
        self.status, self.fields, self._step = status, fields, _Step.LENGTH
        del self._rest[: reader.at]
        return True

    def _read_number(self) -> bool:
        reader = _Reader(bytes(self._rest[:8]))
        try:
            number = reader.varint()
        except _CutError:
            return False
        del self._rest[: reader.at]
        if self._step is _Step.TRAILER:
            if number:
                raise Malformed("bhttp.trailer", "fields after the content are not read")
            self._step = _Step.PADDING
            return True
        self._content_bytes += number
        if self._content_bytes > ANSWER_BYTES_MAX:
            raise Malformed("bhttp.size", f"the content is longer than {ANSWER_BYTES_MAX} bytes")
        self._left, self._step = number, _Step.CONTENT if number else _Step.TRAILER
        return True


# --- the parts of both --------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """A number of up to 62 bits as QUIC writes it (RFC 9000 section 16), in its shortest form."""
    must(0 <= number <= VARINT_MAX, "a varint has 62 bits")
    for power, bits in enumerate((6, 14, 30)):
        if number < 1 << bits:
            return (number | power << (bits)).to_bytes(1 << power, "big")
    return (number | 3 << 62).to_bytes(8, "big")


def varint_at(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """The number at a place, and the place behind it; None when its bytes are not all there."""
    if at >= len(data):
        return None
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        return None
    return int.from_bytes(data[at : at + size], "big") & ((1 << 8 * size - 2) - 1), at + size


def padded(data: bytes, multiple_of: int, before: int = 0) -> bytes:
    """`data` with zeros added until its length, and that of what stands before it, is a multiple of so many bytes."""
    return data + bytes(-(before + len(data)) % multiple_of)


class _CutError(Malformed):
    """There are fewer bytes than are announced: in a piece-wise reader, more may come."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def varint(self) -> int:
        found = varint_at(self.data, self.at)
        if found is None:
            raise _CutError("bhttp.form", "the message ends inside a number")
        number, self.at = found
        return number

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise _CutError("bhttp.form", f"{size} bytes are announced, and {self.left} are there")
        self.at += size
        return self.data[self.at - size : self.at]

    def counted(self, bytes_max: int) -> bytes:
        size = self.varint()
        if size > bytes_max:
            raise Malformed("bhttp.size", f"a part of {size} bytes; at most {bytes_max}", got=size, limit=bytes_max)
        return self.take(size)

    def text(self, bytes_max: int) -> str:
        try:
            return self.counted(bytes_max).decode("ascii")
        except UnicodeDecodeError as error:
            raise Malformed("bhttp.form", "control data and fields must be ASCII") from error


def _counted(data: bytes) -> bytes:
    return varint(len(data)) + data


def _check_control(control: Sequence[str]) -> None:
    method, scheme, authority, path = control
    if not (_METHOD.fullmatch(method) and scheme in ("http", "https") and path.startswith("/")):
        raise Malformed("bhttp.form", "a request needs a method in capitals, http or https, and a path from / on")
    if not all(_VISIBLE.fullmatch(each) for each in (authority, path)):
        raise Malformed("bhttp.form", "authority and path must be visible ASCII")
    if max(map(len, control)) > TARGET_BYTES_MAX:
        raise Malformed("bhttp.size", f"control data longer than {TARGET_BYTES_MAX} bytes")


def _encode_fields(fields: Fields) -> bytes:
    for name, value in fields:
        _check_field(name, value)
    data = b"".join(_counted(name.encode()) + _counted(value.encode()) for name, value in fields)
    if len(fields) > FIELDS_MAX or len(data) > FIELDS_BYTES_MAX:
        raise _too_many()
    return data


def _decode_fields(data: bytes) -> Fields:
    return _read_fields(_Reader(data), until_zero=False)


def _read_fields(reader: _Reader, *, until_zero: bool) -> Fields:
    """Fields to the end of the bytes, or to a name of no length."""
    fields: list[tuple[str, str]] = []
    while until_zero or reader.left:
        name = reader.text(FIELDS_BYTES_MAX)
        if until_zero and not name:
            break
        value = reader.text(FIELDS_BYTES_MAX)
        _check_field(name, value)
        fields.append((name, value))
        if len(fields) > FIELDS_MAX:
            raise _too_many()
    return tuple(fields)


def _check_field(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise Malformed("bhttp.fields", "a field needs a name in lower case and a value of printable ASCII")
    if name in _OF_A_CONNECTION:
        raise Malformed("bhttp.fields", f"the field {name} is of a connection, and here is none")


def _too_many() -> Malformed:
    return Malformed("bhttp.size", f"more than {FIELDS_MAX} fields, or {FIELDS_BYTES_MAX} bytes of them")


def _check_padding(zeros: bytes | bytearray, before: int) -> None:
    if before + len(zeros) > PADDING_BYTES_MAX or any(zeros):
        raise Malformed("bhttp.padding", f"after a message there may be {PADDING_BYTES_MAX} zeros, and nothing else")
