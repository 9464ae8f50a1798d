"""The header of a GGUF file, read with every count and offset bounded.

The C++ parsers of GGUF have had memory errors on hostile headers; this reader meets the file first. It also gives
what a node needs to know of a language model: its architecture, context length, special tokens and chat template.
Source: the GGUF specification in ggml-org/ggml, docs/gguf.md, version 3.
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final, TypeAlias

from paraph.core.errors import Malformed, Rejected

METADATA_MAX: Final = 4096
"""Metadata entries: models in use have below 100."""

TENSORS_MAX: Final = 100_000
"""Tensors: the largest mixtures of experts have about 30 000."""

STRING_BYTES_MAX: Final = 4 * 1024 * 1024
"""One string: a chat template with tools takes 20 kB."""

ARRAY_ITEMS_MAX: Final = 4 * 1024 * 1024
"""Items of one array: the largest vocabularies have 262 144 tokens and about twice as many merges."""

HEADER_BYTES_MAX: Final = 256 * 1024 * 1024
"""Everything before the weights: a vocabulary of 262 144 tokens takes about 15 MB."""

_DIMENSIONS_MAX: Final = 4
_ELEMENTS_MAX: Final = 1 << 48

# ggml's type number -> (elements in a block, bytes of a block); ggml.c, `type_traits`.
_BLOCKS: Final[Mapping[int, tuple[int, int]]] = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 36),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
}
UNQUANTISED: Final = frozenset({0, 1, 28, 30})
"""Type numbers of plain floating-point weights."""

# GGUF's value type -> struct format; 8 is a string, 9 an array.
_SCALARS: Final[Mapping[int, str]] = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING: Final = 8
_ARRAY: Final = 9
_KEPT_ARRAYS: Final = frozenset({"tokenizer.ggml.tokens"})

Value: TypeAlias = int | float | bool | str | tuple[bytes, ...] | None


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor: name, ggml type number, dimensions, and where its bytes lie from the start of the weights."""

    name: str
    kind: int
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Gguf:
    """What the header says. Arrays are not kept (their value is None), but for the vocabulary."""

    metadata: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """E.g. `llama`; empty when not stated."""
        return self._text("general.architecture")

    @property
    def name(self) -> str:
        """The model's name for people; empty when not stated."""
        return self._text("general.name")

    @property
    def context_tokens(self) -> int:
        """Tokens the model was trained to attend over; 0 when not stated."""
        found = self.metadata.get(f"{self.architecture}.context_length")
        return found if isinstance(found, int) else 0

    @property
    def chat_template(self) -> str:
        """The Jinja text that turns messages into a prompt; empty when there is none. Treat it as code."""
        return self._text("tokenizer.chat_template")

    @property
    def quantised(self) -> bool:
        """Whether every weight matrix is quantised (or kept as plain 32-bit where it is a vector)."""
        return all(tensor.kind not in UNQUANTISED for tensor in self.tensors if len(tensor.shape) > 1)

    def cache_bytes(self, tokens: int) -> int:
        """Bytes of an attention cache in f16 for so many tokens; too much rather than too little."""
        layers, width, heads, key_heads = (
            found if isinstance(found := self.metadata.get(f"{self.architecture}.{name}"), int) else 0
            for name in ("block_count", "embedding_length", "attention.head_count", "attention.head_count_kv")
        )
        if heads and 0 < key_heads < heads:
            width = width * key_heads // heads
        return 2 * 2 * layers * width * tokens  # a key and a value, two bytes each

    def special_token(self, role: str) -> str:
        """The text of the `bos` or `eos` token; empty when the model has none."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        index = self.metadata.get(f"tokenizer.ggml.{role}_token_id")
        if isinstance(tokens, tuple) and isinstance(index, int) and 0 <= index < len(tokens):
            return tokens[index].decode("utf-8", "replace")
        return ""

    def _text(self, key: str) -> str:
        found = self.metadata.get(key)
        return found if isinstance(found, str) else ""


def read_gguf(path: Path) -> Gguf:
    """Read and check the header of a GGUF file; weights are not read.

    Raises:
        Malformed: `model.gguf`: not GGUF, cut short, or an offset outside the file or over another tensor.
        Rejected: `model.gguf_version` for another version than 3; `model.gguf_limit` for a count above a limit;
            `model.gguf_type` for a number format this node does not know.
    """
    size = path.stat().st_size
    if size < 24:
        raise Malformed("model.gguf", f"{size} bytes are too few for a GGUF header")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return parse_gguf(data, size)


def parse_gguf(data: bytes | mmap.mmap, file_bytes: int) -> Gguf:
    """As `read_gguf`, for the beginning of a file of `file_bytes` bytes that holds the whole header."""
    cursor = _Cursor(data, min(len(data), HEADER_BYTES_MAX))
    if cursor.take(4) != b"GGUF":
        raise Malformed("model.gguf", "the file does not begin with GGUF")
    version = cursor.scalar("<I")
    if version != 3:
        raise Rejected("model.gguf_version", f"GGUF version {version}; only 3 is accepted", got=int(version))
    tensor_count = _limited(cursor.scalar("<Q"), TENSORS_MAX, "tensors")
    metadata_count = _limited(cursor.scalar("<Q"), METADATA_MAX, "metadata entries")
    metadata: dict[str, Value] = {}
    for _ in range(metadata_count):
        key = cursor.text(65535, "a metadata key")
        if key in metadata:
            raise Malformed("model.gguf", f"metadata key {key[:80]!r} stands twice")
        metadata[key] = _value(cursor, key)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 8 <= alignment <= 65536 or alignment & (alignment - 1):
        raise Malformed("model.gguf", f"alignment {alignment!r} is no power of two from 8 to 65536")
    tensors = tuple(_tensor(cursor, alignment) for _ in range(tensor_count))
    start = -(-cursor.at // alignment) * alignment
    _check_places(tensors, file_bytes - start)
    return Gguf(metadata, tensors)


class _Cursor:
    """A place in hostile bytes that never moves past their end."""

    def __init__(self, data: bytes | mmap.mmap, end: int) -> None:
        self._data = data
        self._end = end
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > self._end - self.at:
            raise Malformed("model.gguf", f"the header is cut short at byte {self.at}", at=self.at)
        found = self._data[self.at : self.at + size]
        self.at += size
        return found

    def skip(self, size: int) -> None:
        if size > self._end - self.at:
            raise Malformed("model.gguf", f"the header is cut short at byte {self.at}", at=self.at)
        self.at += size

    def scalar(self, form: str) -> int | float:
        found: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return found

    def string(self, limit: int, what: str) -> bytes:
        return self.take(_limited(self.scalar("<Q"), limit, f"bytes of {what}"))

    def text(self, limit: int, what: str) -> str:
        try:
            return self.string(limit, what).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("model.gguf", f"{what} is not UTF-8") from error


def _limited(found: float, limit: int, what: str) -> int:
    if found > limit:
        raise Rejected("model.gguf_limit", f"{int(found)} {what}; at most {limit}", got=int(found), limit=limit)
    return int(found)


def _value(cursor: _Cursor, key: str) -> Value:
    kind = int(cursor.scalar("<I"))
    if kind == _STRING:
        return cursor.text(STRING_BYTES_MAX, f"metadata {key[:80]!r}")
    if kind in _SCALARS:
        return cursor.scalar(_SCALARS[kind])
    if kind == _ARRAY:
        return _array(cursor, key)
    raise Malformed("model.gguf", f"metadata {key[:80]!r} has unknown type {kind}")


def _array(cursor: _Cursor, key: str) -> tuple[bytes, ...] | None:
    kind = int(cursor.scalar("<I"))
    count = _limited(cursor.scalar("<Q"), ARRAY_ITEMS_MAX, f"items in metadata {key[:80]!r}")
    if kind in _SCALARS:
        cursor.skip(count * struct.calcsize(_SCALARS[kind]))
        return None
    if kind != _STRING:
        raise Malformed("model.gguf", f"metadata {key[:80]!r} is an array of unknown type {kind}")
    if key in _KEPT_ARRAYS:
        return tuple(cursor.string(STRING_BYTES_MAX, "a token") for _ in range(count))
    for _ in range(count):
        cursor.skip(_limited(cursor.scalar("<Q"), STRING_BYTES_MAX, "bytes of a string"))
    return None


def _tensor(cursor: _Cursor, alignment: int) -> GgufTensor:
    name = cursor.text(64, "a tensor's name")
    rank = int(cursor.scalar("<I"))
    if not 0 < rank <= _DIMENSIONS_MAX:
        raise Malformed("model.gguf", f"tensor {name!r} has {rank} dimensions; 1 to {_DIMENSIONS_MAX}")
    shape = tuple(int(cursor.scalar("<Q")) for _ in range(rank))
    kind = int(cursor.scalar("<I"))
    offset = int(cursor.scalar("<Q"))
    if kind not in _BLOCKS:
        raise Rejected(
            "model.gguf_type", f"tensor {name!r} has number format {kind}, which is not known here", got=kind
        )
    items, block_bytes = _BLOCKS[kind]
    elements = prod(shape)
    if not 0 < elements <= _ELEMENTS_MAX or shape[0] % items:
        raise Malformed("model.gguf", f"tensor {name!r} has impossible dimensions {list(shape)}")
    if offset % alignment:
        raise Malformed("model.gguf", f"tensor {name!r} lies at {offset}, not a multiple of {alignment}")
    return GgufTensor(name, kind, shape, offset, elements // items * block_bytes)


def _check_places(tensors: tuple[GgufTensor, ...], weight_bytes: int) -> None:
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise Malformed("model.gguf", "two tensors have one name")
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise Malformed("model.gguf", f"tensor {tensor.name!r} at {tensor.offset} lies over another, up to {end}")
        end = tensor.offset + tensor.size
        if end > weight_bytes:
            raise Malformed(
                "model.gguf",
                f"tensor {tensor.name!r} ends at {end}, the file has {weight_bytes} bytes of weights",
                end=end,
                limit=weight_bytes,
            )
