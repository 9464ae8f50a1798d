"""CBOR: the published examples, another library's word, and every other spelling refused."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.core.cbor import Cbor, decode, encode, encode_head
from paraph.core.errors import BrokenTruth, Malformed
from paraph.core.limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX

EXAMPLES: list[tuple[str, Cbor]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1864", 100),
    ("1903e8", 1_000),
    ("1a000f4240", 1_000_000),
    ("1b000000e8d4a51000", 1_000_000_000_000),
    ("1bffffffffffffffff", 2**64 - 1),
    ("20", -1),
    ("3903e7", -1_000),
    ("3bffffffffffffffff", -(2**64)),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\1\2\3\4"),
    ("60", ""),
    ("6449455446", "IETF"),
    ("62c3bc", "ü"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("826161a161626163", ["a", {"b": "c"}]),
]
"""RFC 8949, appendix A."""
INDEFINITE: list[tuple[str, Cbor]] = [
    ("9fff", []),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ("bfff", {}),
]


@pytest.mark.parametrize(("form", "item"), EXAMPLES, ids=[form[:16] for form, _ in EXAMPLES])
def test_examples(form: str, item: Cbor) -> None:
    """The published examples are read, and written as they stand there."""
    assert decode(bytes.fromhex(form)) == item
    assert encode(item).hex() == form


@pytest.mark.parametrize(("form", "item"), INDEFINITE, ids=[form[:16] for form, _ in INDEFINITE])
def test_indefinite_collections(form: str, item: Cbor) -> None:
    """Arrays and maps may say their end instead of their length."""
    assert decode(bytes.fromhex(form)) == item


REFUSED = [
    ("", "nothing"),
    ("0000", "trailing item"),
    ("18", "number cut off"),
    ("1817", "long form of 23"),
    ("1900ff", "long form of 255"),
    ("1a0000ffff", "long form of 65 535"),
    ("1b00000000ffffffff", "long form of 2^32 - 1"),
    ("1c", "reserved length 28"),
    ("1f", "number of indefinite length"),
    ("5800", "long form of an empty string"),
    ("44010203", "bytes cut off"),
    ("5bffffffffffffffff00", "bytes of 2^64 - 1"),
    ("5f42010243030405ff", "bytes in pieces"),
    ("7f657374726561646d696e67ff", "text in pieces"),
    ("61ff", "text that is not UTF-8"),
    ("8201", "array cut off"),
    ("9bffffffffffffffff", "array of 2^64 - 1"),
    ("9f01", "array without an end"),
    ("a101", "key without a value"),
    ("bf01ff", "end in place of a value"),
    ("a201010102", "key twice"),
    ("bf616101616102ff", "key twice in an indefinite map"),
    ("a1400a", "bytes as a key"),
    ("a1f501", "true as a key"),
    ("a1f601", "null as a key"),
    ("a1800a", "array as a key"),
    ("c000", "tag 0"),
    ("d200", "tag 18 where none is expected"),
    ("f7", "undefined"),
    ("f0", "simple value 16"),
    ("f820", "simple value 32"),
    ("f93c00", "half float"),
    ("fa47c35000", "float"),
    ("fb3ff199999999999a", "double"),
    ("ff", "end of nothing"),
]


@pytest.mark.parametrize("form", [form for form, _ in REFUSED], ids=[what for _, what in REFUSED])
def test_other_spellings_are_refused(form: str) -> None:
    """Each value has one spelling, but for how a collection ends; what else CBOR can say is not read."""
    with pytest.raises(Malformed) as caught:
        decode(bytes.fromhex(form))

    assert caught.value.code == "cbor.form"


def test_bounds() -> None:
    """Items and their nesting are counted, however short their form."""
    assert decode(b"\x81" * CBOR_DEPTH_MAX + b"\x00")
    assert decode(b"\x98\xff" + b"\x00" * 255) == [0] * (CBOR_ITEMS_MAX - 1)

    for data in (b"\x81" * (CBOR_DEPTH_MAX + 1) + b"\x00", b"\x9f" * 10_000, b"\x99\x01\x00" + b"\x00" * 256):
        with pytest.raises(Malformed) as caught:
            decode(data)
        assert caught.value.code == "cbor.size"


def test_one_tag_in_front() -> None:
    """The tag that is expected may stand in front, once; a longer form of it, another, or a second may not."""
    assert decode(bytes.fromhex("d201"), 18) == decode(b"\x01", 18) == 1

    for form in ("d301", "d2d201", "d81201", "d2", "81d201"):
        with pytest.raises(Malformed):
            decode(bytes.fromhex(form), 18)


def test_head_of_64_bits() -> None:
    """What 64 bits do not hold has no form."""
    for number in (-1, 2**64):
        with pytest.raises(BrokenTruth):
            encode_head(0, number)


def nesting(item: Cbor) -> int:
    """How deep an item is."""
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return max((1 + nesting(each) for each in inner), default=0)


KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=5)
LEAVES = st.none() | st.booleans() | KEYS | st.binary(max_size=40)
ITEMS: st.SearchStrategy[Cbor] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
).filter(lambda item: nesting(item) <= CBOR_DEPTH_MAX)


@given(ITEMS)
def test_another_library_agrees(item: Cbor) -> None:
    """What is written reads back, here and in cbor2; what that writes is read here."""
    assert decode(encode(item)) == cbor2.loads(encode(item)) == item
    assert decode(cbor2.dumps(item)) == item


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are read or refused; what is read means the same to cbor2."""
    try:
        item = decode(data)
    except Malformed:
        return
    assert cbor2.loads(data) == item
