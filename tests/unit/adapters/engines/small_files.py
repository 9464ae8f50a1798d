"""GGUF and safetensors files of a few bytes, right or wrong on purpose."""

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

from paraph.core.errors import ParaphError


def code_of(work: Callable[[], object]) -> str:
    """The code of the typed error that `work` raises, or `fine`. Any other error flies."""
    try:
        work()
    except ParaphError as error:
        return error.code
    return "fine"


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def string_entry(key: str, value: str) -> bytes:
    return entry(key, 8, text(value))


def tensor(name: str = "w", shape: Sequence[int] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    sides = b"".join(struct.pack("<Q", side) for side in shape)
    return text(name) + struct.pack("<I", len(shape)) + sides + struct.pack("<IQ", kind, offset)


def gguf(
    metadata: Sequence[bytes] = (string_entry("general.architecture", "llama"),),
    tensors: Sequence[bytes] = (tensor(),),
    weights: int = 128,
    magic: bytes = b"GGUF",
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    tensor_count, metadata_count = counts or (len(tensors), len(metadata))
    header = magic + struct.pack("<IQQ", version, tensor_count, metadata_count) + b"".join((*metadata, *tensors))
    return header + bytes(-len(header) % 32) + bytes(weights)


def safetensors(tensors: dict[str, tuple[str, list[int], int, int]], weights: int, **more: Any) -> bytes:
    entries = {
        name: {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
        for name, (kind, shape, begin, end) in tensors.items()
    }
    header = json.dumps({**entries, **more}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(weights)
