"""What is in the packages: entries for the image from a Debian package, and from a Python wheel.

Read here rather than by the packages' own tools: those run scripts, write times and owners, and differ in version.
"""

import io
import lzma
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Final

from paraph.adapters.enclaves.archive import Entry, file, link
from paraph.core.errors import Malformed

AR: Final = b"!<arch>\n"
LIBRARIES: Final = "usr/lib/paraph/"
"""Where the image has Python packages, ours among them."""
_KEPT: Final = re.compile(r"usr/lib/|usr/lib64/|usr/bin/python3|etc/python3|boot/(vmlinuz|config)-|bin/busybox$")
_LEFT_OUT: Final = re.compile(r"/(gconv|pkgconfig|engines-3)/|\.a$")
"""Of the libraries: conversions of alphabets, what compilers need, OpenSSL's engines for hardware that is not there."""
_COMPILED: Final = re.compile(r"(^|/)__pycache__/|\.pyc$")
_DEPENDS: Final = re.compile(rb"\0depends=([^\0]*)\0")


def debian_entries(package: bytes) -> list[Entry]:
    """The files and links of a Debian package that a program needs to run; no documents, no scripts.

    Raises:
        Malformed: `enclave_package.form`.
    """
    found = []
    with tarfile.open(fileobj=io.BytesIO(_data_of(package)), mode="r:") as archive:
        for member in archive:
            name = _merged(member.name.removeprefix("./"))
            if not _KEPT.match(name) or _LEFT_OUT.search(name):
                continue
            if member.issym():
                found.append(link(name, member.linkname))
            elif member.isfile():
                content = archive.extractfile(member)
                data = b"" if content is None else content.read()
                found.append(file(name, data, executable=bool(member.mode & 0o100)))
            elif member.islnk():
                raise Malformed("enclave_package.form", f"{name} is a hard link, which no package here had")
    return found


def _merged(name: str) -> str:
    """Where a file lies in a system that has one folder of libraries, with `/lib` a link to it."""
    return f"usr/{name}" if name.startswith(("lib/", "lib64/")) else name


def _data_of(package: bytes) -> bytes:
    """The tar of a package's files: the member `data.tar.xz` of an `ar` archive."""
    for name, data in _members(package):
        if name == "data.tar.xz":
            return lzma.decompress(data)
    raise Malformed("enclave_package.form", "the package has no data.tar.xz")


def _members(package: bytes) -> Iterator[tuple[str, bytes]]:
    if not package.startswith(AR):
        raise Malformed("enclave_package.form", "the file is no Debian package")
    at = len(AR)
    while at + 60 <= len(package):
        head = package[at : at + 60]
        size = int(head[48:58])
        yield head[:16].decode().strip().rstrip("/"), package[at + 60 : at + 60 + size]
        at += 60 + size + size % 2


def wheel_entries(wheel: bytes) -> list[Entry]:
    """The files of a wheel, as an installer would put them; its scripts are left out.

    Raises:
        Malformed: `enclave_package.form`.
    """
    found = []
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for member in archive.infolist():
            if member.is_dir() or _COMPILED.search(member.filename):
                continue
            mode = member.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise Malformed("enclave_package.form", f"{member.filename} is a link, which no wheel here had")
            name = _installed(member.filename)
            if name:
                found.append(file(LIBRARIES + name, archive.read(member), executable=bool(mode & 0o100)))
    return found


def _installed(name: str) -> str:
    """Where a wheel's file goes below the folder of packages; empty where it goes elsewhere."""
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return name
    kind, _, rest = rest.partition("/")
    return rest if kind in ("purelib", "platlib") else ""


def kernel_of(entries: list[Entry]) -> bytes:
    """The kernel among a package's entries. Raises `Malformed` (`enclave_package.form`)."""
    kernels = [each.data for each in entries if each.name.startswith("boot/vmlinuz-")]
    if len(kernels) != 1:
        raise Malformed("enclave_package.form", f"there are {len(kernels)} kernels where one is expected")
    return kernels[0]


def takes_devices(entries: list[Entry]) -> bool:
    """Whether a package's kernel learns of devices from its command line, as AWS Nitro tells them."""
    configured = [each.data for each in entries if each.name.startswith("boot/config-")]
    return any(b"\nCONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y\n" in each for each in configured)


def modules_of(entries: list[Entry], wanted: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Modules of a kernel, unpacked, each after those that it depends on.

    Args:
        entries: files, some of them modules, packed or not.
        wanted: names, without those that these depend on.

    Raises:
        Malformed: `enclave_package.form`: one is missing.
    """
    there = {}
    for each in entries:
        name = each.name.rpartition("/")[2].removesuffix(".xz")
        if name.endswith(".ko"):
            there[name.removesuffix(".ko").replace("-", "_")] = each
    ordered: dict[str, bytes] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in ordered:
            return
        if name not in there or name in above:
            raise Malformed("enclave_package.form", f"the kernel's module {name} is missing")
        each = there[name]
        data = lzma.decompress(each.data) if each.name.endswith(".xz") else each.data
        stated = _DEPENDS.search(data)
        for needed in stated[1].decode().split(",") if stated else ():
            if needed:
                add(needed.replace("-", "_"), (*above, name))
        ordered[name] = data

    for name in wanted:
        add(name, ())
    return list(ordered.items())
