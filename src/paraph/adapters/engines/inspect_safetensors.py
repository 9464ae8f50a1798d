"""The header of a safetensors file, checked: bounded, every byte of the file belongs to exactly one tensor.

Source: the format section of huggingface/safetensors, README.md. Gaps are refused because they could hide another
file inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

from paraph.core.encode import Json, as_integer, as_list, as_object, as_text, decode, take
from paraph.core.errors import Malformed, Rejected

HEADER_BYTES_MAX: Final = 25 * 1024 * 1024
"""The header: the limit that the Hugging Face clients have."""

_METADATA: Final = "__metadata__"
_WIDTHS: Final[Mapping[str, int]] = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}


@dataclass(frozen=True, slots=True)
class Safetensors:
    """What the header says: each tensor's datatype and shape, and the free-text metadata."""

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    metadata: Mapping[str, str]


def read_safetensors(path: Path) -> Safetensors:
    """Read and check the header; weights are not read.

    Raises:
        Malformed: `model.safetensors`: not this format, or places outside the file, overlapping, or with gaps.
        Rejected: `model.safetensors_limit`: the header is larger than 25 MiB.
    """
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        _check_header_bytes(header_bytes, path.stat().st_size)
        return parse_safetensors(file.read(header_bytes), path.stat().st_size)


def parse_safetensors(header: bytes, file_bytes: int) -> Safetensors:
    """As `read_safetensors`, from the header's JSON text and the size of the file."""
    _check_header_bytes(len(header), file_bytes)
    if not header.startswith(b"{"):
        raise Malformed("model.safetensors", "the header does not begin with {")
    try:
        found = as_object(decode(header, bytes_max=HEADER_BYTES_MAX), "header")
        metadata = as_object(found.get(_METADATA, {}), _METADATA)
        texts = {key: as_text(text, f"{_METADATA}.{key[:80]}") for key, text in metadata.items()}
        places = {name: _place(name, entry) for name, entry in found.items() if name != _METADATA}
    except Malformed as error:
        raise Malformed("model.safetensors", f"the header: {error.message}") from error
    end = 0
    for begin, stop, name in sorted((begin, stop, name) for name, (_, _, begin, stop) in places.items()):
        if begin != end:
            raise Malformed(
                "model.safetensors", f"tensor {name[:80]!r} begins at {begin}, the one before ends at {end}"
            )
        end = stop
    if end != file_bytes - 8 - len(header):
        raise Malformed(
            "model.safetensors", f"the tensors take {end} bytes, the file holds {file_bytes - 8 - len(header)}"
        )
    return Safetensors({name: (kind, shape) for name, (kind, shape, _, _) in places.items()}, texts)


def _check_header_bytes(header_bytes: int, file_bytes: int) -> None:
    if header_bytes > HEADER_BYTES_MAX:
        raise Rejected(
            "model.safetensors_limit",
            f"a header of {header_bytes} bytes; at most {HEADER_BYTES_MAX}",
            got=header_bytes,
            limit=HEADER_BYTES_MAX,
        )
    if 8 + header_bytes > file_bytes:
        raise Malformed("model.safetensors", f"a header of {header_bytes} bytes in a file of {file_bytes}")


def _place(name: str, entry: Json) -> tuple[str, tuple[int, ...], int, int]:
    kind, sides, offsets = take(entry, f"tensor {name[:80]!r}", "dtype", "shape", "data_offsets")
    kind = as_text(kind, "dtype", bytes_max=16)
    shape = tuple(as_integer(side, "shape") for side in as_list(sides, "shape", items_max=16))
    places = [as_integer(place, "data_offsets") for place in as_list(offsets, "data_offsets", items_max=2)]
    if kind not in _WIDTHS or len(places) != 2 or places[1] - places[0] != prod(shape) * _WIDTHS[kind]:
        raise Malformed("model.safetensors", f"tensor {name[:80]!r}: dtype, shape and offsets do not fit together")
    return kind, shape, places[0], places[1]
