"""RLP: the published examples, and every other spelling of a value refused."""

import pytest
import rlp as reference  # type: ignore[import-untyped]

from paraph.core import rlp
from paraph.core.errors import Malformed
from paraph.core.limits import RLP_DEPTH_MAX, RLP_ITEMS_MAX

LOREM = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit"

EXAMPLES: list[tuple[rlp.Rlp, str]] = [
    (b"dog", "83646f67"),
    ([b"cat", b"dog"], "c88363617483646f67"),
    (b"", "80"),
    ([], "c0"),
    (b"\x00", "00"),
    (b"\x0f", "0f"),
    (b"\x7f", "7f"),
    (b"\x80", "8180"),
    (b"\x04\x00", "820400"),
    ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
    (LOREM, "b838" + LOREM.hex()),
    (b"a" * 1024, "b90400" + "61" * 1024),
    ([b"dog"] * 20, "f850" + "83646f67" * 20),
]
"""The examples of the Ethereum documentation and of the consensus tests."""


@pytest.mark.parametrize(("item", "expected"), EXAMPLES, ids=[each[:16] for _, each in EXAMPLES])
def test_examples(item: rlp.Rlp, expected: str) -> None:
    """The published examples are written and read; another library writes the same."""
    assert rlp.encode(item).hex() == expected == reference.encode(item).hex()
    assert rlp.decode(bytes.fromhex(expected)) == item


REFUSED = [
    ("", "nothing"),
    ("8000", "trailing byte"),
    ("c0c0", "trailing item"),
    ("8100", "00 stands for itself"),
    ("817f", "7f stands for itself"),
    ("c2817f", "7f inside a list"),
    ("81", "text of one byte cut off"),
    ("83646f", "text cut off"),
    ("b8", "length cut off"),
    ("b90040", "length with a leading zero"),
    ("b800", "long form of an empty text"),
    ("b837" + "61" * 55, "long form of 55 bytes"),
    ("b838" + "61" * 55, "long text cut off"),
    ("f800", "long form of an empty list"),
    ("f837" + "80" * 55, "long form of a short list"),
    ("f90038" + "80" * 56, "list length with a leading zero"),
    ("c1", "list cut off"),
    ("c28361", "item runs past its list"),
    ("c1830102", "item takes bytes from outside its list"),
    ("c2b901" + "61" * 300, "item's length runs past its list"),
    ("bfffffffffffffffff", "length of 2^64 - 1"),
    ("ffffffffffffffffff", "list length of 2^64 - 1"),
]


@pytest.mark.parametrize(("data", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_other_bytes_are_refused(data: str, why: str) -> None:
    """Cut off, followed by more, or not the shortest form: refused by name."""
    with pytest.raises(Malformed) as caught:
        rlp.decode(bytes.fromhex(data))

    assert caught.value.code == "rlp.form"


def test_every_truncation_is_refused() -> None:
    """Cut at any byte, an item is refused."""
    data = rlp.encode([b"a" * 60, [b"", b"\x80", [LOREM, b"\x01"]], [b"x"] * 60])

    for size in range(len(data)):
        with pytest.raises(Malformed):
            rlp.decode(data[:size])


def test_depth_is_bounded() -> None:
    """The deepest nesting allowed is read; one deeper, or ten thousand, is refused before the stack is."""
    for depth, fine in ((RLP_DEPTH_MAX, True), (RLP_DEPTH_MAX + 1, False)):
        item: rlp.Rlp = []
        for _ in range(depth):
            item = [item]
        if fine:
            assert rlp.decode(rlp.encode(item)) == item
        else:
            with pytest.raises(Malformed):
                rlp.decode(rlp.encode(item))
    with pytest.raises(Malformed):
        rlp.decode(reference.codec.length_prefix(10_000, 0xC0) + b"\xc1" * 9_999 + b"\xc0")


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 2**64, 2**256 - 1])
def test_integers_round_trip(value: int) -> None:
    """An integer is written in its fewest bytes and read back."""
    assert rlp.to_uint(rlp.from_uint(value), "it") == value
    assert rlp.from_uint(value) == reference.sedes.big_endian_int.serialize(value)


@pytest.mark.parametrize("item", [b"\x00", b"\x00\x01", bytes(33), b"\x01" * 33, [], [b"\x01"]])
def test_other_integers_are_refused(item: rlp.Rlp) -> None:
    """A leading zero, a 257th bit or a list is no integer."""
    with pytest.raises(Malformed) as caught:
        rlp.to_uint(item, "it")

    assert caught.value.code == "rlp.integer"


def test_bits_bound_an_integer() -> None:
    """An integer is refused beyond the bits asked for."""
    assert rlp.to_uint(b"\xff" * 8, "it", bits=64) == 2**64 - 1

    with pytest.raises(Malformed):
        rlp.to_uint(b"\x01" + bytes(8), "it", bits=64)


def test_shapes_are_checked() -> None:
    """A list is not a byte string, a byte string is not a list, and a size is exact."""
    assert rlp.as_list([b""], "it") == [b""]
    assert rlp.as_bytes(b"ab", "it") == rlp.as_bytes(b"ab", "it", 2) == b"ab"

    for read in (
        lambda: rlp.as_list(b"", "it"),
        lambda: rlp.as_bytes([], "it"),
        lambda: rlp.as_bytes(b"ab", "it", 3),
        lambda: rlp.as_bytes(b"ab", "it", 0),
    ):
        with pytest.raises(Malformed) as caught:
            read()
        assert caught.value.code == "rlp.shape"


def test_items_are_counted() -> None:
    """As many items as the limit are read, nested ones counted; one more is refused."""
    most = rlp.encode([[b"\x01"] * (RLP_ITEMS_MAX - 1)])

    assert len(rlp.as_list(rlp.as_list(rlp.decode(most), "outer")[0], "inner")) == RLP_ITEMS_MAX - 1
    with pytest.raises(Malformed) as caught:
        rlp.decode(rlp.encode([[b"\x01"] * RLP_ITEMS_MAX]))
    assert caught.value.code == "rlp.form"
