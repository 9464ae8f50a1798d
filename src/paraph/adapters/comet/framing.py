"""Messages on a stream of bytes: each with its length before it, as an unsigned varint.

ABCI's socket protocol. The parser does no I/O, so that every way of cutting a stream can be tried.
"""

from collections.abc import Iterator
from typing import Final

from paraph.core.errors import Malformed, must

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""One message: the largest are a genesis (tens of megabytes), a snapshot chunk (the engine's limit is 16 MB) and a
block of 4 MiB."""
LENGTH_BYTES_MAX: Final = 4
"""A varint carries seven bits a byte: four bytes reach 2^28 − 1, which is above the largest message."""


class Deframer:
    """Cuts a stream into messages, however its bytes arrive. After an error it must not be fed again."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = 0
        """Bytes of `_rest` that must be there before another look at it can find anything."""

    @property
    def partial(self) -> bool:
        """Whether a message has begun that has not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that `data` completes; take them all before feeding more.

        Raises:
            Malformed: `comet.length`, after the messages before it: a length that is too long, not minimal, or above
                the largest message.
        """
        self._rest += data
        if len(self._rest) < self._wanted:
            return
        self._wanted = 0
        start = 0
        while (length := _length(self._rest, start)) is not None:
            size, body = length
            if len(self._rest) < body + size:
                self._wanted = body + size - start
                break
            yield bytes(self._rest[body : body + size])
            start = body + size
        del self._rest[:start]


def frame(message: bytes) -> bytes:
    """The message with its length before it."""
    must(len(message) <= MESSAGE_BYTES_MAX, "an answer is not larger than the largest message")
    prefix = bytearray()
    rest = len(message)
    while rest > 0x7F:
        prefix.append(rest & 0x7F | 0x80)
        rest >>= 7
    prefix.append(rest)
    return bytes(prefix) + message


def _length(data: bytearray, start: int) -> tuple[int, int] | None:
    """The length that stands at `start`, and where it ends; None when its end is not there yet."""
    value = 0
    for place in range(LENGTH_BYTES_MAX):
        if start + place == len(data):
            return None
        byte = data[start + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if place and not byte:
                raise Malformed("comet.length", "a message's length is written with more bytes than it needs")
            if value > MESSAGE_BYTES_MAX:
                raise Malformed("comet.length", f"a message of {value} bytes is larger than {MESSAGE_BYTES_MAX}")
            return value, start + place + 1
    raise Malformed("comet.length", f"a message's length takes more than {LENGTH_BYTES_MAX} bytes")
