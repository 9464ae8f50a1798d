"""The bytes that validators hash and sign: CometBFT's canonical protobuf, written by hand for the few forms needed.

Only writing is here: whoever verifies builds the bytes anew from values, so no protobuf of a stranger is ever read.
A member that is zero or empty is left out, as protobuf 3 does, except where a rule here says that it stays.
"""

from typing import Final

_VARINT, _FIXED64, _BYTES = 0, 1, 2
PRECOMMIT: Final = 2
"""The kind of vote that decides a block; the only kind that a commit holds."""


def varint(value: int) -> bytes:
    """An unsigned integer in groups of seven bits, the lowest first; 0 is one byte."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def number(field: int, value: int) -> bytes:
    """A whole number, 0 or more, as a member; nothing when it is 0."""
    return varint(field << 3 | _VARINT) + varint(value) if value else b""


def fixed(field: int, value: int) -> bytes:
    """A whole number, 0 or more, as a member of eight bytes, little end first; nothing when it is 0."""
    return varint(field << 3 | _FIXED64) + value.to_bytes(8, "little") if value else b""


def data(field: int, value: bytes) -> bytes:
    """Bytes or UTF-8 text as a member; nothing when empty."""
    return message(field, value) if value else b""


def message(field: int, value: bytes) -> bytes:
    """A message as a member, written even when it is empty."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value


def timestamp(seconds: int, nanos: int) -> bytes:
    """A time since 1970."""
    return number(1, seconds) + number(2, nanos)


def block_id(block: bytes, parts_total: int, parts_hash: bytes) -> bytes:
    """What names a block: its header's hash, and its parts. The parts stay even when empty."""
    return data(1, block) + message(2, number(1, parts_total) + data(2, parts_hash))


def validator(key: bytes, power: int) -> bytes:
    """An ed25519 key and its power: a leaf of the validator set's hash."""
    return message(1, data(1, key)) + number(2, power)


def vote(height: int, round_: int, block: bytes | None, time: bytes, chain_id: str) -> bytes:
    """What a validator signs when it precommits.

    Args:
        height: the block's.
        round_: the round of voting at that height, from 0.
        block: `block_id(…)`, or None for a vote for no block.
        time: `timestamp(…)`; it stays even when empty.
        chain_id: the chain's name.
    """
    body = number(1, PRECOMMIT) + fixed(2, height) + fixed(3, round_)
    body += b"" if block is None else message(4, block)
    body += message(5, time) + data(6, chain_id.encode())
    return varint(len(body)) + body
