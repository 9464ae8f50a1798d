"""The messages between a node and its confined workers: one JSON header and some raw blobs, lengths first.

A worker runs models and templates of strangers, so its words are read as a stranger's: strict JSON, every length
bounded before a byte is kept, and never a format that can carry code.
"""

import json
import struct
from collections.abc import Sequence
from typing import Final

from paraph.core.encode import JsonObject, as_integer, as_list, as_object, decode
from paraph.core.errors import Malformed, Rejected

HEADER_BYTES_MAX: Final = 4 * 1024 * 1024
"""The JSON part of one message: a conversation of a whole context window, or the names of 256 tensors, fits."""

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""One message in all: a batch of 100 colour images of 224 × 224 in FP32 takes 60 MB."""

BLOBS_MAX: Final = 256
"""Blobs in one message: one for each tensor (`TENSORS_MAX`)."""

_LENGTHS = struct.Struct("<II")
PREFIX_BYTES: Final = _LENGTHS.size


def pack(header: JsonObject, blobs: Sequence[bytes] = ()) -> bytes:
    """One message as bytes: header length, length of all blobs, header, blobs.

    Raises:
        Malformed: `engine.message`: a lone surrogate, NaN or an infinity.
        Rejected: `engine.message_size`: the message is larger than the limits of this module.
    """
    try:
        text = json.dumps([header, [len(blob) for blob in blobs]], ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise Malformed("engine.message", f"the message cannot be written as JSON: {str(error)[:200]}") from error
    total = sum(map(len, blobs))
    if len(text) > HEADER_BYTES_MAX or total > MESSAGE_BYTES_MAX or len(blobs) > BLOBS_MAX:
        raise Rejected(
            "engine.message_size",
            f"{len(text)} bytes of header and {total} of data in {len(blobs)} parts; at most {HEADER_BYTES_MAX}, "
            f"{MESSAGE_BYTES_MAX} and {BLOBS_MAX}",
            header_bytes=len(text),
            blob_bytes=total,
            limit=MESSAGE_BYTES_MAX,
        )
    return b"".join((_LENGTHS.pack(len(text), total), text, *blobs))


def lengths(prefix: bytes) -> tuple[int, int]:
    """Header length and blobs' length from the first `PREFIX_BYTES`. Raises `Malformed` (`engine.message`)."""
    header_bytes, blob_bytes = _LENGTHS.unpack(prefix)
    if header_bytes > HEADER_BYTES_MAX or blob_bytes > MESSAGE_BYTES_MAX:
        raise Malformed("engine.message", f"a worker's message of {header_bytes} + {blob_bytes} bytes is too large")
    return header_bytes, blob_bytes


def unpack(header: bytes, body: bytes) -> tuple[JsonObject, tuple[bytes, ...]]:
    """Header and blobs of a message from a worker.

    Raises:
        Malformed: `json.…`, or `engine.message` when the blobs' lengths do not add up to the body.
    """
    parts = as_list(decode(header, bytes_max=HEADER_BYTES_MAX), "message", items_max=2)
    if len(parts) != 2:
        raise Malformed("engine.message", "a message is a header and a list of lengths")
    sizes = [as_integer(size, "length") for size in as_list(parts[1], "lengths", items_max=BLOBS_MAX)]
    if sum(sizes) != len(body):
        raise Malformed("engine.message", f"lengths add up to {sum(sizes)}, the body has {len(body)} bytes")
    return as_object(parts[0], "header"), _split(sizes, body)


def unpack_trusted(header: bytes, body: bytes) -> tuple[JsonObject, tuple[bytes, ...]]:
    """As `unpack`, for a worker that reads its own parent: no checks, and 40 µs sooner."""
    value, sizes = json.loads(header)
    return value, _split(sizes, body)


def _split(sizes: Sequence[int], body: bytes) -> tuple[bytes, ...]:
    blobs = []
    at = 0
    for size in sizes:
        blobs.append(body[at : at + size])
        at += size
    return tuple(blobs)
