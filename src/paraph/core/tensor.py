"""A tensor as exact bytes: name, datatype, shape, and data in little-endian row-major order.

Datatypes are those of the Open Inference Protocol v2, with BF16. `BYTES` elements are each a 4-byte little-endian
length and that many bytes, as the protocol's binary extension has it.
"""

import base64
import binascii
from dataclasses import dataclass
from math import prod

from paraph.core.encode import Json, as_integer, as_list, as_text, take
from paraph.core.errors import Malformed
from paraph.core.limits import JSON_BYTES_MAX, NAME_BYTES_MAX, TENSOR_RANK_MAX

ELEMENT_BYTES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "BF16": 2,
    "FP32": 4,
    "FP64": 8,
}
"""Bytes of one element, for the datatypes of fixed width."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One named tensor.

    Raises:
        Malformed: `tensor.name`, `tensor.datatype`, `tensor.shape`, `tensor.data` when the parts do not fit together.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes

    def __post_init__(self) -> None:
        if not 0 < len(self.name.encode("utf-8", "surrogatepass")) <= NAME_BYTES_MAX:
            raise Malformed("tensor.name", f"a tensor's name must be 1 to {NAME_BYTES_MAX} bytes")
        if len(self.shape) > TENSOR_RANK_MAX or any(side < 0 for side in self.shape):
            raise Malformed("tensor.shape", f"{self.name}: at most {TENSOR_RANK_MAX} dimensions, none negative")
        if self.datatype == "BYTES":
            count = sum(1 for _ in elements(self.name, self.data))
            if count != prod(self.shape):
                raise Malformed("tensor.data", f"{self.name}: {count} elements for shape {list(self.shape)}")
        elif self.datatype in ELEMENT_BYTES:
            expected = prod(self.shape) * ELEMENT_BYTES[self.datatype]
            if len(self.data) != expected:
                raise Malformed(
                    "tensor.data",
                    f"{self.name}: {len(self.data)} bytes; {self.datatype} {list(self.shape)} takes {expected}",
                )
            if self.datatype == "BOOL" and not set(self.data) <= {0, 1}:
                raise Malformed("tensor.data", f"{self.name}: a BOOL element is 0 or 1")
        else:
            known = ", ".join((*ELEMENT_BYTES, "BYTES"))
            raise Malformed("tensor.datatype", f"{self.name}: unknown datatype {self.datatype[:20]!r}; one of {known}")

    @property
    def rows(self) -> int:
        """The leading dimension, 1 for a scalar: what a tensor model is priced by."""
        return self.shape[0] if self.shape else 1

    def as_json(self) -> dict[str, Json]:
        """The tensor as JSON, its data in base64."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
            "data": base64.b64encode(self.data).decode(),
        }


def tensor_from_json(value: Json, what: str) -> Tensor:
    """Read what `Tensor.as_json` wrote.

    Raises:
        Malformed: `json.shape`, `tensor.base64` for base64 that is not canonical, or as `Tensor` does.
    """
    name, datatype, shape, data = take(value, what, "name", "datatype", "shape", "data")
    return Tensor(
        as_text(name, f"{what}.name", bytes_max=NAME_BYTES_MAX),
        as_text(datatype, f"{what}.datatype", bytes_max=16),
        tuple(as_integer(side, f"{what}.shape") for side in as_list(shape, f"{what}.shape", items_max=TENSOR_RANK_MAX)),
        from_base64(data, f"{what}.data"),
    )


def from_base64(value: Json, what: str) -> bytes:
    """Read standard base64 in its one canonical spelling: padded, no stray bits in the last letter.

    Raises:
        Malformed: `tensor.base64`.
    """
    text = as_text(value, what, bytes_max=JSON_BYTES_MAX)
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed("tensor.base64", f"{what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Malformed("tensor.base64", f"{what} is not base64 in canonical form")
    return data


def elements(name: str, data: bytes) -> list[bytes]:
    """The elements of a BYTES tensor. Raises `Malformed` (`tensor.data`) when a length runs past the end."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise Malformed("tensor.data", f"{name}: a BYTES element runs past the end")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found
