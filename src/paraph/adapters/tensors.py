"""Tensors from and to plain Python numbers, with the standard library alone, so that verifying needs no numpy."""

import struct
from collections.abc import Sequence
from math import prod
from typing import Any, Final

from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.tensor import ELEMENT_BYTES, Tensor, elements

FORMATS: Final = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""The struct format of one element."""


def pack(name: str, datatype: str, shape: Sequence[int], values: Json) -> Tensor:
    """A tensor from numbers (or texts for BYTES), flat or nested as the shape says.

    Raises:
        Malformed: `tensor.data`: a value that the datatype cannot hold exactly in kind and range, or a wrong count.
    """
    flat = _flat(values)
    if len(flat) != prod(shape) or (_nested(values) and not _shaped(values, shape)):
        raise Malformed("tensor.data", f"{name}: {len(flat)} values, or nested otherwise than the shape {list(shape)}")
    try:
        data = _pack(datatype, flat)
    except (struct.error, TypeError, OverflowError, UnicodeEncodeError) as error:
        raise Malformed("tensor.data", f"{name}: a value is not {datatype}: {error}") from error
    return Tensor(name, datatype, tuple(shape), data)


def unpack(tensor: Tensor) -> list[Any]:
    """The flat values of a tensor: bool, int, float, or bytes for BYTES."""
    if tensor.datatype == "BYTES":
        return elements(tensor.name, tensor.data)
    if tensor.datatype == "BF16":
        halves = struct.unpack(f"<{len(tensor.data) // 2}H", tensor.data)
        return list(struct.unpack(f"<{len(halves)}f", b"".join(struct.pack("<I", half << 16) for half in halves)))
    count = len(tensor.data) // ELEMENT_BYTES[tensor.datatype]
    return list(struct.unpack(f"<{count}{FORMATS[tensor.datatype]}", tensor.data))


def from_array(name: str, array: Any) -> Tensor:
    """A tensor from a numpy array, or from nested lists of numbers or texts (FP32, INT64, BOOL or BYTES).

    Raises:
        Malformed: `tensor.datatype`, `tensor.data`: no datatype fits.
    """
    if hasattr(array, "dtype") and hasattr(array, "tobytes"):
        kind = array.dtype
        names = {"b": "BOOL", "u": f"UINT{kind.itemsize * 8}", "i": f"INT{kind.itemsize * 8}"}
        datatype = names.get(kind.kind, {2: "FP16", 4: "FP32", 8: "FP64"}.get(kind.itemsize, "?") * (kind.kind == "f"))
        if datatype:
            little = array.astype(kind.newbyteorder("<"), copy=False)
            return Tensor(name, datatype, tuple(array.shape), little.tobytes())
        array = array.tolist()
    flat = _flat(array)
    kinds = {type(value) for value in flat}
    guesses = ((bool, "BOOL"), (int, "INT64"), (str, "BYTES"), (bytes, "BYTES"))
    datatype = next((each for kind, each in guesses if kinds == {kind}), "FP32")
    return pack(name, datatype, _shape(array), array)


def whole_numbers(name: str, array: Any) -> Tensor:
    """A tensor of an exact model, from a numpy array or nested lists of integers of -128 to 127.

    Raises:
        Malformed: `tensor.data`: a value that is none of them.
    """
    if hasattr(array, "dtype") and hasattr(array, "tolist"):
        array = array.tolist()
    return pack(name, "INT8", _shape(array), array)


def _pack(datatype: str, flat: list[Any]) -> bytes:
    if datatype == "BYTES":
        items = [value.encode() if isinstance(value, str) else bytes(value) for value in _all(flat, str, bytes)]
        return b"".join(struct.pack("<I", len(item)) + item for item in items)
    if datatype == "BF16":
        # Round to nearest even on the upper half of an FP32, as hardware does.
        words = struct.unpack(f"<{len(flat)}I", struct.pack(f"<{len(flat)}f", *flat))
        return struct.pack(f"<{len(flat)}H", *(_half(word) for word in words))
    if datatype not in FORMATS:
        raise TypeError("unknown datatype")
    if datatype == "BOOL":
        _all(flat, bool)
    elif not {*map(type, flat)}.isdisjoint((bool, str)):
        raise TypeError("a number is wanted")
    return struct.pack(f"<{len(flat)}{FORMATS[datatype]}", *flat)


def _half(word: int) -> int:
    if word & 0x7FFF_FFFF > 0x7F80_0000:
        return word >> 16 | 0x40  # a NaN stays one, whatever its payload
    return (word + 0x7FFF + (word >> 16 & 1)) >> 16


def _all(flat: list[Any], *kinds: type) -> list[Any]:
    if not all(isinstance(value, kinds) for value in flat):
        raise TypeError(" or ".join(kind.__name__ for kind in kinds) + " is wanted")
    return flat


def _flat(values: Any) -> list[Any]:
    if not isinstance(values, list | tuple):
        return [values]
    return [each for value in values for each in _flat(value)] if _nested(values) else [*values]


def _nested(values: Any) -> bool:
    """True for a list that holds a list. Asked of the few kinds of its values, not of the many values."""
    return isinstance(values, list | tuple) and any(issubclass(kind, list | tuple) for kind in {*map(type, values)})


def _shaped(values: Any, shape: Sequence[int]) -> bool:
    if not isinstance(values, list | tuple):
        return not shape
    return bool(shape) and len(values) == shape[0] and all(_shaped(each, shape[1:]) for each in values)


def _shape(values: Any) -> list[int]:
    if not isinstance(values, list | tuple):
        return []
    return [len(values), *(_shape(values[0]) if values else [])]
