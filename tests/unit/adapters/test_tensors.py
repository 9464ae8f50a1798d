"""Tensors from Python numbers and numpy arrays, and back, exactly."""

import struct
from math import inf, isnan, nan
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.tensors import FORMATS, from_array, pack, unpack
from paraph.core.errors import Malformed
from paraph.core.tensor import ELEMENT_BYTES, Tensor, tensor_from_json

LIMITS: dict[str, list[Any]] = {
    "BOOL": [True, False],
    **{f"UINT{bits}": [0, 2**bits - 1] for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] for bits in (8, 16, 32, 64)},
    "FP16": [-65504.0, 2.0**-24],
    "BF16": [-1.5, 2.0**127],
    "FP32": [-3.4028234663852886e38, 2.0**-149],
    "FP64": [-1.7976931348623157e308, 5e-324],
    "BYTES": [b"", b"\x00\xff"],
}


@pytest.mark.parametrize("datatype", LIMITS)
def test_limits_go_round(datatype: str) -> None:
    """The least and the largest of each datatype come back as they were, also over JSON."""
    assert LIMITS.keys() == {*ELEMENT_BYTES, "BYTES"}
    tensor = pack("x", datatype, (2,), LIMITS[datatype])

    assert unpack(tensor) == LIMITS[datatype]
    assert tensor_from_json(tensor.as_json(), "x") == tensor


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_not_finite(datatype: str) -> None:
    """NaN and the infinities have their bits in every float datatype."""
    found = unpack(pack("x", datatype, (3,), [nan, inf, -inf]))

    assert isnan(found[0])
    assert found[1:] == [inf, -inf]


@pytest.mark.parametrize("bits", [0x7FFF_FFFF, 0xFFFF_FFFF, 0x7F80_0001])
def test_nan_of_any_payload_stays_nan(bits: int) -> None:
    """Rounding a NaN to BF16 makes no number of it."""
    (value,) = struct.unpack("<f", struct.pack("<I", bits))

    assert isnan(unpack(pack("x", "BF16", (1,), [value]))[0])


def test_bf16_rounds_to_even() -> None:
    """Ties go to the even neighbour, beyond the largest is infinity."""
    assert unpack(pack("x", "BF16", (3,), [1 + 2**-8, 1 + 3 * 2**-8, 3.4e38])) == [1.0, 1 + 2**-6, inf]


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("UINT8", 256),
        ("UINT8", -1),
        ("INT64", 2**63),
        ("INT8", 1.0),
        ("INT8", True),
        ("INT8", "1"),
        ("FP32", True),
        ("FP32", None),
        ("FP32", "1"),
        ("FP32", 1e39),
        ("FP16", 65520.0),
        ("FP64", 10**400),
        ("BOOL", 1),
        ("BYTES", 1),
        ("BYTES", "\ud800"),
        ("FP31", 1),
        ("FP32", {}),
    ],
    ids=lambda value: str(value)[:12].encode("ascii", "replace").decode(),
)
def test_value_that_does_not_fit(datatype: str, value: Any) -> None:
    """A value that the datatype cannot hold in kind and range is malformed."""
    with pytest.raises(Malformed) as caught:
        pack("x", datatype, (1,), [value])

    assert caught.value.code == "tensor.data"


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((2, 2), [[1], [2, 3, 4]]),
        ((4,), [[1, 2], [3, 4]]),
        ((2, 2), [[1, 2], 3, 4]),
        ((2,), [1]),
        ((2,), [1, 2, 3]),
        ((), []),
    ],
    ids=str,
)
def test_nested_otherwise_than_the_shape(shape: tuple[int, ...], values: Any) -> None:
    """Values flat, or nested exactly as the shape says; ragged lists are not put in a row."""
    with pytest.raises(Malformed):
        pack("x", "INT8", shape, values)


def test_flat_nested_and_scalar() -> None:
    """Flat and nested values of one shape are one tensor; a scalar has no shape."""
    assert pack("x", "INT8", (2, 2), [1, 2, 3, 4]) == pack("x", "INT8", (2, 2), [[1, 2], [3, 4]])
    assert pack("x", "INT8", (), 7).data == b"\7"
    assert pack("x", "INT8", (0, 4), []).data == b""


@pytest.mark.parametrize(
    "name",
    ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"],
)
def test_numpy_arrays(name: str) -> None:
    """Every numpy type that has a datatype goes in bit for bit, in any byte order and layout."""
    array = numpy.array([[0, 1, 1], [1, 0, 1]]).astype(name)

    found = [
        from_array("x", each)
        for each in (array, array.astype(array.dtype.newbyteorder(">")), numpy.asfortranarray(array))
    ]

    assert found[0] == found[1] == found[2]
    assert found[0].shape == (2, 3)
    assert found[0].data == array.tobytes()
    assert len({*FORMATS} & {found[0].datatype}) == 1


def test_numpy_without_datatype() -> None:
    """Texts go as BYTES; what no datatype fits is malformed."""
    assert from_array("x", numpy.array(["a", "bc"])).datatype == "BYTES"
    for array in (numpy.array([1j]), numpy.array([{}], dtype=object), numpy.zeros(1, numpy.longdouble)):
        with pytest.raises(Malformed):
            from_array("x", array)


@pytest.mark.parametrize(
    ("values", "datatype", "shape"),
    [
        ([True], "BOOL", (1,)),
        ([[1, 2], [3, 4]], "INT64", (2, 2)),
        ([1, 2.5], "FP32", (2,)),
        (["a", "b"], "BYTES", (2,)),
        ([b"a"], "BYTES", (1,)),
        (7, "INT64", ()),
        ([], "FP32", (0,)),
    ],
    ids=str,
)
def test_lists(values: Any, datatype: str, shape: tuple[int, ...]) -> None:
    """Lists take the datatype of their values, whole numbers as INT64 and others as FP32."""
    found = from_array("x", values)

    assert (found.datatype, found.shape) == (datatype, shape)


@pytest.mark.parametrize("values", [[[1], [2, 3]], [True, 1], ["a", 1], [None], [[1, 2], 3]], ids=str)
def test_lists_without_datatype(values: Any) -> None:
    """Ragged or mixed lists are malformed."""
    with pytest.raises(Malformed):
        from_array("x", values)


@given(st.lists(st.floats(width=32)), st.sampled_from(["FP32", "FP64"]))
def test_floats_go_round(values: list[float], datatype: str) -> None:
    """Any floats come back with their bits."""
    tensor = pack("x", datatype, (len(values),), values)

    assert pack("x", datatype, (len(values),), unpack(tensor)) == tensor
    assert isinstance(tensor, Tensor)
