"""Enclave image files: kernel, command line and ramdisks in one file, and the digests that name them.

The format is version 4 of what AWS Nitro Enclaves boot: a header of 548 bytes, then sections, each behind 12 bytes of
its own. Anyone who has a published image computes from it what an enclave that runs it will attest; so a release is
named by its bytes, not by whoever built it. Pure functions, though their floor does not demand it.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from paraph.core.errors import Malformed, must

MAGIC: Final = b".eif"
VERSION: Final = 4
ARM64: Final = 1
"""The flag of an image for 64-bit ARM; none is for x86-64."""
SECTIONS_MAX: Final = 32
"""The header has room for no more."""
IMAGE_BYTES_MAX: Final = 4 << 30
"""An image lies in the enclave's memory; one of ours, with its libraries, has a tenth of this."""
TEXT_BYTES_MAX: Final = 64 * 1024
"""Of a command line (Linux reads 2 048 bytes), of the metadata, of the signature."""
MEMORY_BYTES: Final = 2 << 30
CPUS: Final = 2
"""What the header proposes; whoever starts the enclave decides, and neither is measured."""

_HEAD: Final = struct.Struct(">4sHHQQHH")
_PLACES: Final = struct.Struct(f">{SECTIONS_MAX}Q")
_TAIL: Final = struct.Struct(">II")
_SECTION: Final = struct.Struct(">HHQ")
HEADER_BYTES: Final = _HEAD.size + 2 * _PLACES.size + _TAIL.size


class Kind(IntEnum):
    """What a section holds."""

    KERNEL = 1
    CMDLINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5


@dataclass(frozen=True, slots=True)
class Image:
    """What an enclave boots.

    Args:
        kernel: a Linux kernel, as its boot loader takes it.
        cmdline: the kernel's command line.
        ramdisks: archives that the kernel unpacks over each other; the first boots, the others hold the application.
        metadata: JSON about the image. Not measured: it proves nothing.
        signature: CBOR, by whoever made the image. Not measured, and not checked here.
        flags: `ARM64` or 0. Not measured.
    """

    kernel: bytes
    cmdline: bytes
    ramdisks: tuple[bytes, ...]
    metadata: bytes = b""
    signature: bytes = b""
    flags: int = 0

    def sections(self) -> list[tuple[Kind, bytes]]:
        """What it holds, in the order in which it is written."""
        return [
            (Kind.KERNEL, self.kernel),
            (Kind.CMDLINE, self.cmdline),
            *([(Kind.METADATA, self.metadata)] if self.metadata else []),
            *((Kind.RAMDISK, each) for each in self.ramdisks),
            *([(Kind.SIGNATURE, self.signature)] if self.signature else []),
        ]


def measurements(image: Image, certificate: bytes = b"") -> dict[str, bytes]:
    """What an enclave that boots this image attests, by the names that claims have.

    Args:
        image: as it is booted.
        certificate: the DER of the certificate that signed the image, which `pcr8` names; without one, there is none.
    """
    boot = (image.kernel, image.cmdline, *image.ramdisks[:1])
    application = image.ramdisks[1:]
    found = {"pcr0": (*boot, *application), "pcr1": boot, "pcr2": application}
    if certificate:
        found["pcr8"] = (certificate,)
    return {name: extended(parts) for name, parts in found.items()}


def extended(parts: Iterable[bytes]) -> bytes:
    """A register that was zero and into which these bytes, one after the other, were measured once."""
    content = hashlib.sha384()
    for part in parts:
        content.update(part)
    return hashlib.sha384(bytes(content.digest_size) + content.digest()).digest()


def build(image: Image) -> bytes:
    """The image as a file: the same bytes for the same image.

    Raises:
        Malformed: `eif.size`: too large, or without kernel, command line or ramdisk.
    """
    sections = image.sections()
    if not image.kernel or not image.cmdline or not image.ramdisks or not all(image.ramdisks):
        raise Malformed(
            "eif.size", "an image has a kernel, a command line and at least one ramdisk, none of them empty"
        )
    if len(sections) > SECTIONS_MAX:
        raise Malformed("eif.size", f"an image has at most {SECTIONS_MAX} sections, not {len(sections)}")
    for kind, data in sections:
        _check_size(kind, len(data))
    offsets, at = [], HEADER_BYTES
    for _, data in sections:
        offsets.append(at)
        at += _SECTION.size + len(data)
    if at > IMAGE_BYTES_MAX:
        raise Malformed("eif.size", f"an image has at most {IMAGE_BYTES_MAX} bytes, not {at}")
    head = _header(image.flags, offsets, [len(data) for _, data in sections])
    body = [part for kind, data in sections for part in (_SECTION.pack(kind, 0, len(data)), data)]
    checksum = 0
    for part in (head, *body):
        checksum = zlib.crc32(part, checksum)
    file = b"".join((head, checksum.to_bytes(4, "big"), *body))
    must(len(file) == at, "an image is as long as its header says")
    return file


def _header(flags: int, offsets: Sequence[int], sizes: Sequence[int]) -> bytes:
    """The header without its last four bytes, the checksum over all else."""
    unused = [0] * (SECTIONS_MAX - len(offsets))
    return (
        _HEAD.pack(MAGIC, VERSION, flags, MEMORY_BYTES, CPUS, 0, len(offsets))
        + _PLACES.pack(*offsets, *unused)
        + _PLACES.pack(*sizes, *unused)
        + bytes(4)
    )


def _check_size(kind: Kind, size: int) -> None:
    large = kind in (Kind.KERNEL, Kind.RAMDISK)
    if not 0 < size <= (IMAGE_BYTES_MAX if large else TEXT_BYTES_MAX):
        raise Malformed("eif.size", f"the section {kind.name.lower()} of an image has {size} bytes, which cannot be")


def read(file: bytes) -> Image:
    """Read an image from a stranger. What it proposes of memory and processors is not kept.

    Raises:
        Malformed: `eif.form`: not an image of version 4, or its sections are not exactly what its header says, one
            after the other to the end; `eif.checksum`; `eif.size`: a section is empty or too large; `eif.sections`:
            not one kernel, one command line, a ramdisk or more, and at most one signature and one text of metadata.
    """
    if not HEADER_BYTES < len(file) <= IMAGE_BYTES_MAX:
        raise Malformed("eif.size", f"an image has {HEADER_BYTES} to {IMAGE_BYTES_MAX} bytes, not {len(file)}")
    magic, version, flags, _, _, reserved, count = _HEAD.unpack_from(file)
    if magic != MAGIC or version != VERSION:
        raise Malformed("eif.form", f"the file is no enclave image of version {VERSION}")
    if reserved or flags not in (0, ARM64) or not 0 < count <= SECTIONS_MAX:
        raise Malformed("eif.form", "the header of the image has values that are not in use")
    offsets = _PLACES.unpack_from(file, _HEAD.size)
    sizes = _PLACES.unpack_from(file, _HEAD.size + _PLACES.size)
    unused, checksum = _TAIL.unpack_from(file, HEADER_BYTES - _TAIL.size)
    if unused or any(offsets[count:]) or any(sizes[count:]):
        raise Malformed("eif.form", "the header of the image has something where nothing belongs")
    found = []
    at = HEADER_BYTES
    for offset, size in zip(offsets[:count], sizes[:count], strict=True):
        start = at + _SECTION.size
        if offset != at or size > len(file) - start:
            raise Malformed("eif.form", "a section of the image is not where the header says")
        kind, odd, length = _SECTION.unpack_from(file, at)
        if kind not in list(Kind) or odd or length != size:
            raise Malformed("eif.form", "a section of the image is not what the header says")
        _check_size(Kind(kind), size)
        at = start + size
        found.append((Kind(kind), file[start:at]))
    if at != len(file):
        raise Malformed("eif.form", f"{len(file) - at} bytes follow the last section of the image")
    view = memoryview(file)
    if zlib.crc32(view[HEADER_BYTES:], zlib.crc32(view[: HEADER_BYTES - 4])) != checksum:
        raise Malformed("eif.checksum", "the image is damaged: its checksum is another")
    return _image(found, flags)


def _image(sections: Sequence[tuple[Kind, bytes]], flags: int) -> Image:
    by_kind = {kind: [data for each, data in sections if each is kind] for kind in Kind}
    ones = by_kind[Kind.KERNEL], by_kind[Kind.CMDLINE]
    others = by_kind[Kind.METADATA], by_kind[Kind.SIGNATURE]
    if any(len(each) != 1 for each in ones) or any(len(each) > 1 for each in others) or not by_kind[Kind.RAMDISK]:
        raise Malformed("eif.sections", "an image has one kernel, one command line, and ramdisks")
    (kernel,), (cmdline,) = ones
    metadata, signature = (each[0] if each else b"" for each in others)
    image = Image(kernel, cmdline, tuple(by_kind[Kind.RAMDISK]), metadata, signature, flags)
    # The order of ramdisks is measured; that of kinds is not, but one image has one file.
    if [kind for kind, _ in sections] != [kind for kind, _ in image.sections()]:
        raise Malformed(
            "eif.sections",
            "the sections of an image come in one order: kernel, command line, metadata, ramdisks, signature",
        )
    return image
