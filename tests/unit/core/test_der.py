"""DER: what certificates say, read; every other spelling of it, refused."""

import calendar
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.der import node

from paraph.core import der
from paraph.core.errors import Malformed
from paraph.core.limits import DER_ITEMS_MAX

Reader = Callable[[der.Value, str], Any]


def value(form: str) -> der.Value:
    return der.read(bytes.fromhex(form), "it")


READ: list[tuple[Reader, str, object]] = [
    (der.integer, "020100", 0),
    (der.integer, "02017f", 127),
    (der.integer, "02020080", 128),
    (der.integer, "020180", -128),
    (der.integer, "0202ff7f", -129),
    (der.boolean, "0101ff", True),
    (der.boolean, "010100", False),
    (der.bit_string, "03020780", (b"\x80", 7)),
    (der.bit_string, "030100", (b"", 0)),
    (der.whole_bytes, "0303000102", b"\1\2"),
    (der.oid, "06092a864886f70d010101", "1.2.840.113549.1.1.1"),
    (der.oid, "06082a8648ce3d040303", "1.2.840.10045.4.3.3"),
    (der.oid, "0603550403", "2.5.4.3"),
    (der.oid, "060100", "0.0"),
    (der.oid, "06028837", "2.999"),
    (der.text, "0c02c3bc", "ü"),
    (der.text, "1302555a", "UZ"),
    (der.time_s, "170d3730303130313030303030305a", 0),
    (der.time_s, "170d3439313233313233353935395a", 2_524_607_999),
    (der.time_s, "170d3530303130313030303030305a", -631_152_000),
    (der.time_s, "180f32303234303232393132333435365a", 1_709_210_096),
]


@pytest.mark.parametrize(("read", "form", "expected"), READ, ids=[form for _, form, _ in READ])
def test_values(read: Reader, form: str, expected: object) -> None:
    """Each kind of value that certificates use."""
    assert read(value(form), "it") == expected


WRONG: list[tuple[Reader, str, str]] = [
    (der.integer, "0200", "empty integer"),
    (der.integer, "02020001", "integer with a spare zero"),
    (der.integer, "0202ffff", "integer with a spare sign"),
    (der.boolean, "010101", "boolean 01"),
    (der.boolean, "0100", "empty boolean"),
    (der.boolean, "0102ffff", "long boolean"),
    (der.bit_string, "0300", "bits without a count"),
    (der.bit_string, "030108", "eight unused bits"),
    (der.bit_string, "030101", "unused bits of nothing"),
    (der.bit_string, "03020781", "unused bits that are set"),
    (der.whole_bytes, "03020780", "bits where bytes are wanted"),
    (der.oid, "0600", "empty identifier"),
    (der.oid, "06028001", "identifier with a spare byte"),
    (der.oid, "06025581", "identifier cut off"),
    (der.oid, "0603558001", "arc with a spare byte"),
    (der.text, "0c01ff", "no UTF-8"),
    (der.text, "1301ff", "no ASCII"),
    (der.time_s, "170b373030313031303030305a", "time without seconds"),
    (der.time_s, "170d3730313330313030303030305a", "month 13"),
    (der.time_s, "170d3730303030313030303030305a", "month 0"),
    (der.time_s, "170d3730303233303030303030305a", "30 February"),
    (der.time_s, "170d3730303130303030303030305a", "day 0"),
    (der.time_s, "170d3730303130313234303030305a", "hour 24"),
    (der.time_s, "170d3730303130313030363030305a", "minute 60"),
    (der.time_s, "170d3730303130313030303036305a", "second 60"),
    (der.time_s, "180f32313030303232393030303030305a", "29 February 2100"),
    (der.time_s, "17113730303130313030303030302b30303030", "time with a zone"),
]


@pytest.mark.parametrize(("read", "form"), [each[:2] for each in WRONG], ids=[what for _, _, what in WRONG])
def test_wrong_values(read: Reader, form: str) -> None:
    """A value in another form than its one is refused."""
    with pytest.raises(Malformed) as caught:
        read(value(form), "it")

    assert caught.value.code == "der.form"


def test_long_integers() -> None:
    """An integer twice as long as the largest key's is read, and no longer one."""
    longest = node(0x02, b"\1" + bytes(der.INTEGER_BYTES_MAX - 1))
    assert der.integer(der.read(longest, "it"), "it").bit_length() == 8 * der.INTEGER_BYTES_MAX - 7

    with pytest.raises(Malformed) as caught:
        der.integer(der.read(node(0x02, b"\1" + bytes(der.INTEGER_BYTES_MAX)), "it"), "it")

    assert caught.value.code == "der.size"


KINDS: list[Reader] = [der.integer, der.boolean, der.bit_string, der.oid, der.text, der.time_s, der.sequence]


@pytest.mark.parametrize("read", KINDS)
def test_other_kinds(read: Reader) -> None:
    """A value of another kind is refused by its tag."""
    with pytest.raises(Malformed) as caught:
        read(value("0500"), "it")

    assert caught.value.code == "der.tag"


@pytest.mark.parametrize(
    "form",
    ["", "02", "0201", "020201", "0280", "02800000", "02810100", "0282007f" + "00" * 127, "0285000000000100",
     "02840100", "1f0100", "02010000", "028180" + "00" * 127],
    ids=["nothing", "tag alone", "no content", "cut off", "indefinite", "indefinite and end", "long form of 1",
         "spare byte in the length", "length of five bytes", "length cut off", "long tag", "trailing byte",
         "long, cut off"],
)  # fmt: skip
def test_wrong_forms(form: str) -> None:
    """A value that is cut off, followed, or whose length is not in its shortest form is refused."""
    with pytest.raises(Malformed) as caught:
        value(form)

    assert caught.value.code == "der.form"


def test_parts() -> None:
    """A sequence holds values to its last byte, and not too many."""
    long = node(0x04, bytes(300))
    found = der.sequence(der.read(node(0x30, bytes.fromhex("020105") + long), "it"), "it")
    assert [(each.tag, each.raw) for each in found] == [(0x02, bytes.fromhex("020105")), (0x04, long)]
    assert found[0].expect(der.INTEGER, "it") == b"\5"
    assert der.context(3) == 0xA3
    assert der.context(0, constructed=False) == 0x80
    assert len(der.parts(b"\5\0" * DER_ITEMS_MAX, "it")) == DER_ITEMS_MAX

    for content in (b"\5\0" * (DER_ITEMS_MAX + 1), b"\5\0\5"):
        with pytest.raises(Malformed):
            der.parts(content, "it")


@given(st.integers(), st.datetimes(datetime(1950, 1, 1), datetime(2049, 12, 31)))  # noqa: DTZ001  made UTC below
def test_round_trips(number: int, moment: datetime) -> None:
    """Integers of any size, and all times, come back."""
    size = (number if number >= 0 else ~number).bit_length() // 8 + 1
    form = node(0x02, number.to_bytes(size, "big", signed=True))
    assert der.integer(der.read(form, "it"), "it") == number

    expected = calendar.timegm(moment.replace(tzinfo=UTC).timetuple())
    for tag, spelled in ((0x17, f"{moment:%y%m%d%H%M%SZ}"), (0x18, f"{moment:%Y%m%d%H%M%SZ}")):
        assert der.time_s(der.read(node(tag, spelled.encode()), "it"), "it") == expected


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are read or refused, as every kind; what is read has no byte more or less."""
    try:
        found = der.read(data, "it")
    except Malformed:
        return
    assert found.raw == data == node(found.tag, found.content)
    for read in KINDS:
        try:
            read(found, "it")
        except Malformed as error:
            assert error.code in ("der.form", "der.tag")  # noqa: PT017  it may also be read
