"""Archives of files, as Linux unpacks them into memory when it boots: `cpio` in its form `newc`.

An archive is measured, so the same files must give the same bytes wherever it is made: entries are sorted by name,
belong to nobody in particular, are of no time, and are numbered by their order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final, Protocol

from paraph.core.errors import Malformed

MAGIC: Final = b"070701"
HEADER_BYTES: Final = 110
"""The magic, and thirteen numbers of eight hexadecimal digits."""
LAST: Final = b"TRAILER!!!"
NAME_BYTES_MAX: Final = 512
"""Longest name: those of Python packages stay below 200."""
FILE_BYTES_MAX: Final = (1 << 32) - 1
"""The format's own limit."""
ENTRIES_MAX: Final = 65_536
COPY_BYTES: Final = 1 << 20


class Kind(IntEnum):
    """What an entry is, as the upper bits of its mode say it."""

    FILE = 0o100000
    FOLDER = 0o040000
    LINK = 0o120000


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder or a symbolic link.

    Args:
        name: its path from the root, with `/` between parts and none in front.
        kind: which of the three.
        data: of a file its bytes, of a link its target, of a folder nothing.
        executable: whether a file may be run.
    """

    name: str
    kind: Kind
    data: bytes = b""
    executable: bool = False

    @property
    def mode(self) -> int:
        """Everybody may read; who runs things inside an enclave is one person."""
        match self.kind:
            case Kind.FILE:
                return self.kind | (0o755 if self.executable else 0o644)
            case Kind.FOLDER:
                return self.kind | 0o755
            case Kind.LINK:
                return self.kind | 0o777


class Source(Protocol):
    """Bytes that come one after the other: a file, a socket's file."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


class Sink(Protocol):
    """Takes bytes one after the other: a file, a socket's file."""

    def write(self, data: bytes, /) -> object:
        """Take all of it."""
        ...


def file(name: str, data: bytes, *, executable: bool = False) -> Entry:
    """An entry for a file."""
    return Entry(name, Kind.FILE, data, executable)


def link(name: str, target: str) -> Entry:
    """An entry for a symbolic link."""
    return Entry(name, Kind.LINK, target.encode())


def entries_of(folder: Path, under: str = "") -> list[Entry]:
    """Every file and link below a folder; compiled Python, which differs between machines, left out.

    Args:
        folder: on disk.
        under: what stands in front of the names in the archive; empty, or ending in `/`.

    Raises:
        Malformed: `archive.kind`: something is neither file, folder nor link.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "__pycache__" in path.parts or path.suffix == ".pyc":
            continue
        if path.is_symlink():
            found.append(link(under + name, str(path.readlink())))
        elif path.is_file():
            found.append(file(under + name, path.read_bytes(), executable=bool(path.stat().st_mode & 0o100)))
        elif not path.is_dir():
            raise Malformed("archive.kind", f"{path} is neither file, folder nor link, and cannot be archived")
    return found


def pack(entries: Iterable[Entry]) -> bytes:
    """An archive of entries, in whatever order they come. Folders that files need are added.

    Raises:
        Malformed: `archive.name`: a name twice, or one that is no plain path; `archive.size`.
    """
    given = list(entries)
    found = {each.name: each for each in given}
    if len(found) != len(given):
        raise Malformed("archive.name", "a name stands twice among the entries of an archive")
    for each in given:
        _check_name(each.name.encode())
        parts = each.name.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if found.setdefault(above, Entry(above, Kind.FOLDER)).kind is Kind.FILE:
                raise Malformed("archive.name", f"{above} is a file, and something is to lie below it")
    if len(found) > ENTRIES_MAX:
        raise Malformed("archive.size", f"an archive has at most {ENTRIES_MAX} entries, not {len(found)}")
    written = bytearray()
    # By parts, so that a folder comes before what lies in it.
    for number, each in enumerate(sorted(found.values(), key=lambda entry: entry.name.split("/")), start=1):
        _append(written, number, each.mode, each.name.encode(), each.data)
    _append(written, 0, 0, LAST, b"")
    return bytes(written)


def _append(written: bytearray, number: int, mode: int, name: bytes, data: bytes) -> None:
    written += _head_of(number, mode, name, len(data))
    written += data
    written += bytes(-len(data) % 4)


def _head_of(number: int, mode: int, name: bytes, size: int) -> bytes:
    """What stands before an entry's data, brought to a multiple of four."""
    if size > FILE_BYTES_MAX:
        raise Malformed("archive.size", f"a file in an archive has at most {FILE_BYTES_MAX} bytes, not {size}")
    # No owner, no group, one link, no time; after the size no devices, and after the name's size no checksum.
    fields = (number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name) + 1, 0)
    head = MAGIC + b"".join(b"%08x" % field for field in fields) + name + b"\0"
    return head + bytes(-len(head) % 4)


def send(folder: Path, sink: Sink) -> int:
    """Write an archive of a folder's files piece by piece, for `unpack`; returns how many. Links are not followed.

    Raises:
        Malformed: `archive.kind`: something is neither file nor folder; `archive.name`, `archive.size`; `archive.form`:
            a file changed while it was read.
    """
    files = 0
    for number, path in enumerate(sorted(folder.rglob("*"), key=lambda path: path.parts), start=1):
        name = path.relative_to(folder).as_posix().encode()
        _check_name(name)
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Malformed("archive.kind", f"{path} is neither file nor folder, and cannot be sent")
        if path.is_dir():
            sink.write(_head_of(number, Kind.FOLDER | 0o755, name, 0))
            continue
        with path.open("rb") as source:
            size = path.stat().st_size
            sink.write(_head_of(number, Kind.FILE | 0o644, name, size))
            for piece in _pieces(source, size):
                sink.write(piece)
            if source.read(1):
                raise Malformed("archive.form", f"{path} grew while it was read")
        sink.write(bytes(-size % 4))
        files += 1
    sink.write(_head_of(0, 0, LAST, 0))
    return files


def _check_name(name: bytes) -> None:
    parts = name.split(b"/")
    if len(name) > NAME_BYTES_MAX or b"\0" in name or any(part in (b"", b".", b"..") for part in parts):
        raise Malformed("archive.name", f"{name[:80]!a} is no plain path inside an archive")
    if name == LAST:
        raise Malformed("archive.name", "no entry may have the name that ends an archive")


def unpack(source: Source, folder: Path, bytes_max: int) -> list[str]:
    """Write the files of an archive from a stranger below a folder, as they arrive; returns their names.

    Only files and folders are taken: a link could lead what follows it out of the folder.

    Args:
        source: ends where the archive ends.
        folder: there already, and ours alone.
        bytes_max: of all files together.

    Raises:
        Malformed: `archive.form`, `archive.name`, `archive.size`, `archive.kind`. What was written before stays.
    """
    names: list[str] = []
    left = bytes_max
    for _ in range(ENTRIES_MAX + 1):
        mode, size, name = _head(source)
        if name == LAST:
            if size or source.read(1):
                raise Malformed("archive.form", "something follows the end of the archive")
            return names
        _check_name(name)
        place = folder / name.decode()
        left -= size
        if left < 0:
            raise Malformed("archive.size", f"the files of the archive have more than {bytes_max} bytes")
        kind = mode & ~0o7777
        try:
            if kind == Kind.FOLDER and not size:
                place.mkdir(mode=0o700)
                continue
            if kind != Kind.FILE:
                raise Malformed("archive.kind", f"{place.name!a} is neither a file nor a folder")
            with place.open("xb") as out:
                for piece in _pieces(source, size):
                    out.write(piece)
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            raise Malformed("archive.name", f"{place.name!a} stands twice, or before the folder it lies in") from error
        _exactly(source, -size % 4)
        names.append(name.decode())
    raise Malformed("archive.size", f"the archive has more than {ENTRIES_MAX} entries")


def _head(source: Source) -> tuple[int, int, bytes]:
    """Mode, size and name of the next entry."""
    head = _exactly(source, HEADER_BYTES)
    digits = head[len(MAGIC) :]
    if not head.startswith(MAGIC) or not set(digits) <= set(b"0123456789abcdefABCDEF"):
        raise Malformed("archive.form", "this is no archive of the form newc")
    numbers = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    length = numbers[11]
    if not 1 < length <= NAME_BYTES_MAX + 1:
        raise Malformed("archive.name", f"a name in an archive has 1 to {NAME_BYTES_MAX} bytes, not {length - 1}")
    name = _exactly(source, length)
    _exactly(source, -(HEADER_BYTES + length) % 4)
    if not name.endswith(b"\0"):
        raise Malformed("archive.form", "a name in the archive does not end where its head says")
    try:
        name.decode()
    except UnicodeDecodeError as error:
        raise Malformed("archive.name", "a name in the archive is not UTF-8") from error
    return numbers[1], numbers[6], name[:-1]


def _pieces(source: Source, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = source.read(min(left, COPY_BYTES))
        if not piece:
            raise Malformed("archive.form", f"the archive ends {left} bytes early")
        left -= len(piece)
        yield piece


def _exactly(source: Source, size: int) -> bytes:
    return b"".join(_pieces(source, size))
