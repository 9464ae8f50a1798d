"""A safetensors header fits its file to the byte, or is refused."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.adapters.engines.small_files import code_of, safetensors

from paraph.adapters.engines.inspect_safetensors import HEADER_BYTES_MAX, parse_safetensors, read_safetensors
from paraph.core.errors import Malformed, Rejected


def read(tmp_path: Path, data: bytes) -> object:
    (tmp_path / "m.safetensors").write_bytes(data)
    return read_safetensors(tmp_path / "m.safetensors")


def test_a_good_header_is_read(tmp_path: Path) -> None:
    """Datatypes, shapes and metadata."""
    data = safetensors(
        {"b": ("BF16", [2, 3], 8, 20), "a": ("F32", [2], 0, 8), "none": ("F32", [0], 20, 20)},
        20,
        __metadata__={"format": "pt"},
    )
    (tmp_path / "m.safetensors").write_bytes(data)

    found = read_safetensors(tmp_path / "m.safetensors")

    assert found.tensors == {"a": ("F32", (2,)), "b": ("BF16", (2, 3)), "none": ("F32", (0,))}
    assert found.metadata == {"format": "pt"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 3) + b" {}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{]",
        safetensors({"a": ("F32", [2], 0, 8)}, 7),
        safetensors({"a": ("F32", [2], 0, 8)}, 9),
        safetensors({"a": ("F32", [2], 4, 12)}, 12),
        safetensors({"a": ("F32", [2], 0, 8), "b": ("F32", [2], 4, 12)}, 12),
        safetensors({"a": ("F32", [2], 0, 8), "b": ("F32", [2], 12, 20)}, 20),
        safetensors({"a": ("F32", [3], 0, 8)}, 8),
        safetensors({"a": ("F33", [2], 0, 8)}, 8),
        safetensors({"a": ("F32", [-2], 0, 8)}, 8),
        safetensors({"a": ("F32", [2**52, 2**52], 0, 8)}, 8),
        safetensors({"a": ("F32", [2], 8, 0)}, 8),
        safetensors({}, 0, __metadata__={"a": 1}),
        safetensors({}, 0, a={"dtype": "F32"}),
    ],
    ids=[
        "empty", "one byte", "length", "space", "list", "json", "short", "long", "gap first", "overlap", "gap", "size",
        "dtype", "negative", "huge", "backwards", "metadata", "members",
    ],
)  # fmt: skip
def test_a_broken_header_is_malformed(tmp_path: Path, data: bytes) -> None:
    """Offsets outside the file, overlaps and gaps are refused."""
    with pytest.raises(Malformed) as caught:
        read(tmp_path, data)

    assert caught.value.code == "model.safetensors"


def test_a_header_above_the_limit_is_not_read(tmp_path: Path) -> None:
    """The length is looked at before anything is read."""
    with pytest.raises(Rejected) as caught:
        read(tmp_path, struct.pack("<Q", HEADER_BYTES_MAX + 1))

    assert caught.value.code == "model.safetensors_limit"


GOOD = safetensors({"a": ("F32", [2], 0, 8), "b": ("U8", [3], 8, 11)}, 11)


@given(st.integers(8, len(GOOD) - 12), st.binary(max_size=4))
def test_only_typed_errors_leave_the_reader(at: int, put: bytes) -> None:
    """A good header with a few bytes replaced reads or is refused."""
    header = GOOD[8:at] + put + GOOD[at + len(put) : -11]

    assert code_of(lambda: parse_safetensors(header, 8 + len(header) + 11)) in ("fine", "model.safetensors")


@given(st.binary(max_size=100), st.integers(0, 200))
def test_noise_is_refused(header: bytes, size: int) -> None:
    """Any bytes at all."""
    assert code_of(lambda: parse_safetensors(header, size)) == "model.safetensors"
