"""Enclave images: what is built is read back, is measured by the rule of the hardware, and no fault gets through."""

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.enclaves import eif
from paraph.adapters.enclaves.eif import ARM64, HEADER_BYTES, Image, build, measurements, read
from paraph.core.errors import Malformed

IMAGE: Final = Image(b"kernel", b"reboot=k panic=1", (b"boot", b"application"), b'{"ImageName":"x"}', b"\x81", ARM64)
FILE: Final = build(IMAGE)
NOTHING_MEASURED: Final = (
    "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
)
"""The second register of recorded documents of enclaves whose image has one ramdisk."""

parts = st.binary(min_size=1, max_size=200)
images = st.builds(
    Image,
    parts,
    parts,
    st.lists(parts, min_size=1, max_size=28).map(tuple),
    st.binary(max_size=50),
    st.binary(max_size=50),
    st.sampled_from([0, ARM64]),
)


def put(at: int, form: str, value: int) -> bytes:
    """The file with another number somewhere, and the checksum over that."""
    changed = bytearray(FILE)
    struct.pack_into(form, changed, at, value)
    return summed(bytes(changed))


def summed(file: bytes) -> bytes:
    """The file with the checksum that it should have."""
    checksum = zlib.crc32(file[HEADER_BYTES:], zlib.crc32(file[: HEADER_BYTES - 4]))
    return file[: HEADER_BYTES - 4] + checksum.to_bytes(4, "big") + file[HEADER_BYTES:]


def written(*sections: tuple[int, bytes]) -> bytes:
    """A file of those sections, right or not, by code of its own."""
    at, offsets, sizes, body = HEADER_BYTES, [0] * 32, [0] * 32, b""
    for number, (kind, data) in enumerate(sections):
        offsets[number], sizes[number] = at, len(data)
        body += struct.pack(">HHQ", kind, 0, len(data)) + data
        at += 12 + len(data)
    head = struct.pack(">4sHHQQHH", b".eif", 4, 0, 1 << 30, 2, 0, len(sections))
    return summed(head + struct.pack(">64QII", *offsets, *sizes, 0, 0) + body)


@given(images)
def test_an_image_is_read_as_it_was_built(image: Image) -> None:
    """Building and reading an image changes nothing, and building it twice gives the same bytes."""
    file = build(image)

    assert read(file) == image
    assert build(read(file)) == file


def test_the_layout_is_that_of_the_format() -> None:
    """The bytes of an image are those that the format's description gives, written by hand."""
    image = Image(b"KK", b"C", (b"R1", b"R2"))

    assert eif.build(image)[HEADER_BYTES:] == (
        b"\0\1\0\0" + bytes(7) + b"\2KK" + b"\0\2\0\0" + bytes(7) + b"\1C"
        b"\0\3\0\0" + bytes(7) + b"\2R1" + b"\0\3\0\0" + bytes(7) + b"\2R2"
    )
    assert HEADER_BYTES == 548
    assert build(image)[:28] == bytes.fromhex("2e656966 0004 0000 0000000080000000 0000000000000002 0000 0004")


def test_registers_are_what_the_hardware_measures() -> None:
    """Register 0 is of all, 1 of what boots, 2 of the rest, 8 of the signer; each once into zeros."""

    def once(data: bytes) -> bytes:
        return hashlib.sha384(bytes(48) + hashlib.sha384(data).digest()).digest()

    found = measurements(IMAGE, b"certificate")

    assert found == {
        "pcr0": once(b"kernelreboot=k panic=1bootapplication"),
        "pcr1": once(b"kernelreboot=k panic=1boot"),
        "pcr2": once(b"application"),
        "pcr8": once(b"certificate"),
    }


def test_one_ramdisk_has_the_register_of_recorded_documents() -> None:
    """With one ramdisk, register 0 is register 1, and register 2 is the constant that real documents have."""
    found = measurements(Image(b"k", b"c", (b"r",)))

    assert found["pcr0"] == found["pcr1"]
    assert found["pcr2"].hex() == NOTHING_MEASURED


def test_what_is_not_measured_changes_nothing() -> None:
    """Metadata, signature and flags prove nothing, so they change no register."""
    bare = replace(IMAGE, metadata=b"", signature=b"", flags=0)

    assert measurements(bare) == measurements(IMAGE)


@pytest.mark.parametrize(
    "change", [{"kernel": b"k"}, {"cmdline": b"c"}, {"ramdisks": (b"boot2", b"application")}, {"ramdisks": (b"boot",)}]
)
def test_what_is_measured_changes_a_register(change: dict[str, object]) -> None:
    """Every measured part changes register 0."""
    assert measurements(replace(IMAGE, **change))["pcr0"] != measurements(IMAGE)["pcr0"]  # type: ignore[arg-type]


FAULTS: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "nothing": (lambda: b"", "eif.size"),
    "header alone": (lambda: FILE[:HEADER_BYTES], "eif.size"),
    "cut off": (lambda: FILE[:-1], "eif.form"),
    "trailing byte": (lambda: summed(FILE + b"\0"), "eif.form"),
    "magic": (lambda: summed(b".elf" + FILE[4:]), "eif.form"),
    "version 3": (lambda: put(4, ">H", 3), "eif.form"),
    "unknown flag": (lambda: put(6, ">H", 2), "eif.form"),
    "reserved": (lambda: put(24, ">H", 1), "eif.form"),
    "no sections": (lambda: put(26, ">H", 0), "eif.form"),
    "33 sections": (lambda: put(26, ">H", 33), "eif.form"),
    "a section fewer": (lambda: put(26, ">H", 5), "eif.form"),
    "a section more": (lambda: put(26, ">H", 7), "eif.form"),
    "offset": (lambda: put(28, ">Q", HEADER_BYTES + 1), "eif.form"),
    "offset unused": (lambda: put(28 + 8 * 31, ">Q", 1), "eif.form"),
    "size": (lambda: put(28 + 256, ">Q", 5), "eif.form"),
    "size beyond all": (lambda: put(28 + 256, ">Q", 2**64 - 1), "eif.form"),
    "size unused": (lambda: put(28 + 256 + 8 * 31, ">Q", 1), "eif.form"),
    "unused word": (lambda: put(540, ">I", 1), "eif.form"),
    "kind 0": (lambda: put(HEADER_BYTES, ">H", 0), "eif.form"),
    "kind 6": (lambda: put(HEADER_BYTES, ">H", 6), "eif.form"),
    "flags of a section": (lambda: put(HEADER_BYTES + 2, ">H", 1), "eif.form"),
    "length of a section": (lambda: put(HEADER_BYTES + 4, ">Q", 5), "eif.form"),
    "checksum": (lambda: FILE[:544] + bytes(4) + FILE[548:], "eif.checksum"),
    "a bit of a section": (lambda: FILE[:-1] + b"\x80", "eif.checksum"),
    "empty section": (lambda: written((1, b""), (2, b"c"), (3, b"r")), "eif.size"),
    "command line too long": (lambda: written((1, b"k"), (2, bytes(65_537)), (3, b"r")), "eif.size"),
    "no kernel": (lambda: written((2, b"c"), (3, b"r")), "eif.sections"),
    "two kernels": (lambda: written((1, b"k"), (1, b"k"), (2, b"c"), (3, b"r")), "eif.sections"),
    "no command line": (lambda: written((1, b"k"), (3, b"r")), "eif.sections"),
    "no ramdisk": (lambda: written((1, b"k"), (2, b"c")), "eif.sections"),
    "two signatures": (lambda: written((1, b"k"), (2, b"c"), (3, b"r"), (4, b"s"), (4, b"s")), "eif.sections"),
    "other order": (lambda: written((2, b"c"), (1, b"k"), (3, b"r")), "eif.sections"),
    "metadata last": (lambda: written((1, b"k"), (2, b"c"), (3, b"r"), (5, b"{}")), "eif.sections"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_refused(fault: str) -> None:
    """An image with exactly one fault is refused under its code."""
    make, code = FAULTS[fault]

    with pytest.raises(Malformed) as caught:
        read(make())

    assert caught.value.code == code


def test_hand_written_images_are_read() -> None:
    """The test's own writer writes what is read, so its faults are what they say."""
    assert read(written((1, b"k"), (2, b"c"), (3, b"r"))) == Image(b"k", b"c", (b"r",))


@pytest.mark.parametrize(
    "image",
    [
        replace(IMAGE, kernel=b""),
        replace(IMAGE, cmdline=b""),
        replace(IMAGE, ramdisks=()),
        replace(IMAGE, ramdisks=(b"boot", b"")),
        replace(IMAGE, ramdisks=(b"r",) * 30),
        replace(IMAGE, cmdline=bytes(65_537)),
        replace(IMAGE, metadata=bytes(65_537)),
    ],
    ids=["no kernel", "no command line", "no ramdisk", "empty ramdisk", "33 sections", "long line", "long metadata"],
)
def test_what_cannot_boot_is_not_built(image: Image) -> None:
    """An image that lacks a part or has too much of one is refused when it is built."""
    with pytest.raises(Malformed) as caught:
        build(image)

    assert caught.value.code == "eif.size"


def test_an_image_beyond_the_limit_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on the whole file, not on each part alone."""
    monkeypatch.setattr(eif, "IMAGE_BYTES_MAX", len(FILE) - 1)

    with pytest.raises(Malformed) as caught:
        build(IMAGE)

    assert caught.value.code == "eif.size"


@given(
    st.binary(max_size=1_200)
    | st.tuples(st.integers(0, len(FILE) - 1), st.binary(max_size=8)).map(
        lambda change: FILE[: change[0]] + change[1] + FILE[change[0] + len(change[1]) :]
    )
)
def test_hostile_bytes_are_read_or_refused(file: bytes) -> None:
    """Any bytes are an image that builds to the same measurements, or are refused."""
    try:
        image = read(file)
    except Malformed:
        return
    assert read(build(image)) == image
