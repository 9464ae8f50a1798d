"""Tensors: the parts fit together, bytes are exact, and base64 has one spelling."""

import base64
from collections.abc import Mapping
from math import prod

import pytest

from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.limits import NAME_BYTES_MAX, TENSOR_RANK_MAX
from paraph.core.tensor import ELEMENT_BYTES, Tensor, elements, from_base64, tensor_from_json


def counted(*items: bytes) -> bytes:
    """BYTES elements as the protocol's binary extension has them."""
    return b"".join(len(item).to_bytes(4, "little") + item for item in items)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 2), (2, 0, 4)], ids=str)
@pytest.mark.parametrize("datatype", [*ELEMENT_BYTES, "BYTES"])
def test_every_datatype_round_trips(datatype: str, shape: tuple[int, ...]) -> None:
    """A tensor of any datatype and shape, scalars and empty ones among them, is read as it was written."""
    count = prod(shape)
    data = counted(*[b"\xff" * each for each in range(count)]) if datatype == "BYTES" else b""
    tensor = Tensor("x", datatype, shape, data or b"\x01" * (count * ELEMENT_BYTES.get(datatype, 0)))

    assert tensor_from_json(tensor.as_json(), "it") == tensor
    assert tensor.rows == (shape[0] if shape else 1)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "code"),
    [
        ("FP32", (2,), bytes(7), "tensor.data"),
        ("FP32", (2,), bytes(9), "tensor.data"),
        ("FP32", (), b"", "tensor.data"),
        ("FP32", (2**53,) * 16, bytes(8), "tensor.data"),
        ("BOOL", (2,), b"\x01\x02", "tensor.data"),
        ("BYTES", (2,), counted(b"a"), "tensor.data"),
        ("BYTES", (1,), counted(b"a", b"b"), "tensor.data"),
        ("BYTES", (1,), b"\x01\x00\x00\x00", "tensor.data"),
        ("BYTES", (1,), b"\x00\x00\x00", "tensor.data"),
        ("BYTES", (1,), b"\xff\xff\xff\xff", "tensor.data"),
        ("fp32", (1,), bytes(4), "tensor.datatype"),
        ("FP8", (1,), bytes(1), "tensor.datatype"),
        ("", (1,), bytes(1), "tensor.datatype"),
        ("INT8", (-1,), b"", "tensor.shape"),
        ("INT8", (-1, -1), bytes(1), "tensor.shape"),
        ("INT8", (1,) * (TENSOR_RANK_MAX + 1), bytes(1), "tensor.shape"),
    ],
    ids=range(16),
)
def test_parts_must_fit(datatype: str, shape: tuple[int, ...], data: bytes, code: str) -> None:
    """Data of another length, an unknown datatype or an impossible shape is refused by name."""
    with pytest.raises(Malformed) as caught:
        Tensor("x", datatype, shape, data)

    assert caught.value.code == code


def test_rank_at_the_limit() -> None:
    """The highest rank allowed is allowed."""
    assert Tensor("x", "INT8", (1,) * TENSOR_RANK_MAX, b"\x07").rows == 1


def test_name_has_a_length() -> None:
    """A name has 1 to 128 bytes of UTF-8."""
    assert Tensor("é" * (NAME_BYTES_MAX // 2), "INT8", (), b"\0").name

    for name in ("", "x" * (NAME_BYTES_MAX + 1), "é" * (NAME_BYTES_MAX // 2) + "x"):
        with pytest.raises(Malformed) as caught:
            Tensor(name, "INT8", (), b"\0")
        assert caught.value.code == "tensor.name"


def test_elements_are_split() -> None:
    """Elements of any length, empty ones among them, come back as they were."""
    assert elements("x", counted(b"", b"a", b"", b"bc" * 200)) == [b"", b"a", b"", b"bc" * 200]
    assert elements("x", b"") == []


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 300])
def test_base64_round_trips(size: int) -> None:
    """What base64 writes is read."""
    assert from_base64(base64.b64encode(bytes(size)).decode(), "it") == bytes(size)


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AA",
        "AAA",
        "AB==",
        "AAB=",
        "AA=A",
        "=",
        "AA==\n",
        " AA==",
        "AA==AA==",
        "AA-_",
        "AAA\u00e9",
        "\ud800",
        "AA===",
        "AAAA====",
        None,
        7,
        [],
    ],
    ids=range(18),
)
def test_other_base64_is_refused(text: Json) -> None:
    """Padding missing or too much, stray bits, white space, the URL alphabet and other types are refused."""
    with pytest.raises(Malformed) as caught:
        from_base64(text, "it")

    assert caught.value.code in ("tensor.base64", "json.shape")


GOOD: Mapping[str, Json] = Tensor("x", "INT8", (2,), b"ab").as_json()


@pytest.mark.parametrize(
    "change",
    [
        {"name": 1},
        {"name": "x" * 129},
        {"datatype": None},
        {"datatype": "x" * 17},
        {"shape": None},
        {"shape": "2"},
        {"shape": [2.0]},
        {"shape": [True, 2]},
        {"shape": [-2]},
        {"shape": [2**53]},
        {"shape": [1] * 17},
        {"shape": [[2]]},
        {"data": None},
        {"more": 1},
    ],
    ids=range(14),
)
def test_other_json_is_refused(change: Mapping[str, Json]) -> None:
    """A member of another type, out of range or unknown is refused."""
    with pytest.raises(Malformed):
        tensor_from_json({**GOOD, **change}, "it")


@pytest.mark.parametrize("name", sorted(GOOD))
def test_every_member_is_needed(name: str) -> None:
    """No member of a tensor is optional."""
    with pytest.raises(Malformed) as caught:
        tensor_from_json({other: value for other, value in GOOD.items() if other != name}, "it")

    assert caught.value.code == "json.shape"
