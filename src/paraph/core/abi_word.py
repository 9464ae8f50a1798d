"""The ABI's single words: how the types that take 32 bytes are written and read.

They are apart because most of what a block codes are structs of them, tens of thousands of words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from paraph.core.errors import must

WORD: Final = 32
KINDS: Final = ("uint", "int", "address", "bool", "fixed")
"""The kinds of types that take one word."""
_ADDRESS_PADDING: Final = bytes(12)


@dataclass(frozen=True, slots=True)
class Word:
    """How a type of one word is written and read; `decode` raises `ValueError` for a word that it does not have."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def word_of(kind: str, size: int) -> Word:
    """The coder of a kind, with its bits (integers) or bytes (fixed)."""
    match kind:
        case "uint":
            return _unsigned(size)
        case "int":
            return _signed(size)
        case "bool":
            return Word(lambda value: int(bool(value)).to_bytes(WORD, "big"), _decode_bool)
        case "address":
            return Word(_encode_address, _decode_address)
        case _:
            return _fixed(size)


def _unsigned(bits: int) -> Word:
    limit = 1 << bits

    def encode(value: int) -> bytes:
        must(0 <= value < limit, f"the value fits uint{bits}")
        return int(value).to_bytes(WORD, "big")

    def decode(word: bytes) -> int:
        number = int.from_bytes(word, "big")
        if number >= limit:
            raise ValueError
        return number

    return Word(encode, decode)


def _signed(bits: int) -> Word:
    limit = 1 << bits - 1

    def encode(value: int) -> bytes:
        must(-limit <= value < limit, f"the value fits int{bits}")
        return int(value).to_bytes(WORD, "big", signed=True)

    def decode(word: bytes) -> int:
        number = int.from_bytes(word, "big", signed=True)
        if not -limit <= number < limit:
            raise ValueError
        return number

    return Word(encode, decode)


def _fixed(size: int) -> Word:
    padding = bytes(WORD - size)

    def encode(value: bytes) -> bytes:
        must(len(value) == size, f"bytes{size} holds as many bytes")
        return value + padding

    def decode(word: bytes) -> bytes:
        if word[size:] != padding:
            raise ValueError
        return word[:size]

    return Word(encode, decode)


def _decode_bool(word: bytes) -> bool:
    number = int.from_bytes(word, "big")
    if number > 1:
        raise ValueError
    return bool(number)


def _encode_address(value: bytes) -> bytes:
    must(len(value) == 20, "an address is 20 bytes")
    return _ADDRESS_PADDING + value


def _decode_address(word: bytes) -> bytes:
    if word[:12] != _ADDRESS_PADDING:
        raise ValueError
    return word[12:]
