"""Archives: the same files give the same bytes, others' tools read them, and none leads out of its folder."""

import io
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.enclaves.archive import Entry, Kind, entries_of, file, link, pack, send, unpack
from paraph.core.errors import Malformed

FILES: Final = [file("b/c", b"sea"), file("a", b"eh", executable=True), file("b.txt", b"x" * 5)]


def head(name: bytes, size: int, mode: int = 0o100644, magic: bytes = b"070701", length: int | None = None) -> bytes:
    """The start of an entry, right or not, by code of its own."""
    fields = [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name) + 1 if length is None else length, 0]
    whole = magic + b"".join(f"{field:08X}".encode() for field in fields) + name + b"\0"
    return whole + bytes(-len(whole) % 4)


END: Final = head(b"TRAILER!!!", 0, 0)


def entry(name: bytes, data: bytes, mode: int = 0o100644) -> bytes:
    return head(name, len(data), mode) + data + bytes(-len(data) % 4)


def refused(archive: bytes, folder: Path, bytes_max: int = 1_000) -> str:
    with pytest.raises(Malformed) as caught:
        unpack(io.BytesIO(archive), folder, bytes_max)
    return caught.value.code


def test_order_of_files_changes_nothing() -> None:
    """An archive depends on its files, not on the order in which they come."""
    assert pack(FILES) == pack(reversed(FILES))


def test_an_archive_says_nothing_of_who_made_it(tmp_path: Path) -> None:
    """Time, owner and the rights that a machine gives by habit are not in an archive."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "b").mkdir(parents=True)
        (folder / "b" / "c").write_bytes(b"sea")
        (folder / "b" / "__pycache__").mkdir()
    (other / "b" / "__pycache__" / "c.pyc").write_bytes(b"of this machine")
    os.utime(other / "b" / "c", (1, 1))
    (other / "b" / "c").chmod(0o600)

    assert pack(entries_of(one)) == pack(entries_of(other))


def test_the_bytes_are_those_of_the_format() -> None:
    """An archive is what the format's description gives, folders before what lies in them."""
    expected = (
        b"070701"
        b"00000001"
        b"000041ed" + b"0" * 16 + b"00000001" + b"0" * 48 + b"00000002" + b"0" * 8 + b"b\0"
        b"070701"
        b"00000002"
        b"000081a4"
        + b"0" * 16
        + b"00000001"
        + b"0" * 8
        + b"00000003"
        + b"0" * 32
        + b"00000004"
        + b"0" * 8
        + b"b/c\0"
        + bytes(2)
        + b"sea\0"
    )

    assert pack([file("b/c", b"sea")]).startswith(expected)


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs the program cpio")
def test_cpio_reads_it(tmp_path: Path) -> None:
    """The system's own tool unpacks an archive to the same files, links and rights."""
    archive = pack([*FILES, link("l", "b/c")])

    done = subprocess.run(["cpio", "-i", "--quiet"], input=archive, cwd=tmp_path, capture_output=True, timeout=20)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "l").readlink() == Path("b/c")
    assert (tmp_path / "l").read_bytes() == b"sea"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_what_was_packed_is_unpacked(tmp_path: Path) -> None:
    """Unpacking writes the files as they were."""
    names = unpack(io.BytesIO(pack(FILES)), tmp_path, 10)

    assert names == ["a", "b/c", "b.txt"]
    assert (tmp_path / "b" / "c").read_bytes() == b"sea"


def test_what_is_sent_arrives(tmp_path: Path) -> None:
    """A folder that is sent piece by piece is the same folder where it is unpacked; its files are not in memory."""
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "blobs" / "empty").mkdir(parents=True)
    there.mkdir()
    content = os.urandom((1 << 20) + 3)
    (here / "blobs" / "model").write_bytes(content)
    (here / "blobs.json").write_bytes(b"{}")
    line = io.BytesIO()

    sent = send(here, line)
    line.seek(0)
    names = unpack(line, there, 1 << 21)

    assert sent == 2
    assert sorted(names) == ["blobs.json", "blobs/model"]
    assert (there / "blobs" / "model").read_bytes() == content
    assert (there / "blobs" / "empty").is_dir()


def test_a_link_is_not_sent(tmp_path: Path) -> None:
    """A link is refused: what it leads to may be what nobody meant to send."""
    (tmp_path / "link").symlink_to("/etc/passwd")

    with pytest.raises(Malformed) as caught:
        send(tmp_path, io.BytesIO())

    assert caught.value.code == "archive.kind"


def test_a_file_that_changes_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that grows or shrinks while it is read ends the sending: what arrived would be another file."""
    (tmp_path / "log").write_bytes(b"four")
    real = Path.stat

    for size in (3, 5):

        def stat(path: Path, *, follow_symlinks: bool = True, size: int = size) -> os.stat_result:
            found = list(real(path, follow_symlinks=follow_symlinks))
            found[6] = size if path.name == "log" else found[6]
            return os.stat_result(found)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", stat)
            with pytest.raises(Malformed) as caught:
                send(tmp_path, io.BytesIO())
        assert caught.value.code == "archive.form"


def test_links_and_rights_of_a_folder_are_kept(tmp_path: Path) -> None:
    """A folder's links go in as links, and what may be run stays so."""
    (tmp_path / "run").write_bytes(b"#!")
    (tmp_path / "run").chmod(0o700)
    (tmp_path / "to").symlink_to("/nowhere")

    assert entries_of(tmp_path, "x/") == [
        Entry("x/run", Kind.FILE, b"#!", executable=True),
        Entry("x/to", Kind.LINK, b"/nowhere"),
    ]


def test_a_pipe_is_not_archived(tmp_path: Path) -> None:
    """What is neither file, folder nor link is refused, not left out."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(Malformed) as caught:
        entries_of(tmp_path)

    assert caught.value.code == "archive.kind"


@pytest.mark.parametrize(
    "entries",
    [
        [file("a", b""), file("a", b"")],
        [file("a", b""), file("a/b", b"")],
        [file("", b"")],
        [file("/a", b"")],
        [file("a/../b", b"")],
        [file("a//b", b"")],
        [file("./a", b"")],
        [file("a\0", b"")],
        [file("a" * 513, b"")],
        [file("TRAILER!!!", b"")],
    ],
)
def test_odd_names_are_not_packed(entries: list[Entry]) -> None:
    """A name twice, one below a file, and one that is no plain path are refused."""
    with pytest.raises(Malformed) as caught:
        pack(entries)

    assert caught.value.code == "archive.name"


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (b"", "archive.form"),
        (END[:-1], "archive.form"),
        (END + b"\0", "archive.form"),
        (entry(b"a", b"x"), "archive.form"),
        (head(b"a", 900) + b"x", "archive.form"),
        (head(b"a", 0, magic=b"070702") + END, "archive.form"),
        (b"070701" + b"z" * 104 + END, "archive.form"),
        (head(b"a", 0, length=3) + END, "archive.form"),
        (head(b"TRAILER!!!", 4, 0) + b"more", "archive.form"),
        (head(b"", 0) + END, "archive.name"),
        (head(b"a" * 600, 0) + END, "archive.name"),
        (entry(b"../a", b"") + END, "archive.name"),
        (entry(b"/a", b"") + END, "archive.name"),
        (entry(b"a\xff", b"") + END, "archive.name"),
        (entry(b"a\0b", b"") + END, "archive.name"),
        (entry(b"d/a", b"") + END, "archive.name"),
        (entry(b"a", b"") + entry(b"a", b"") + END, "archive.name"),
        (entry(b"a", b"") + entry(b"a/b", b"") + END, "archive.name"),
        (entry(b"a", bytes(1_001)) + END, "archive.size"),
        (entry(b"a", bytes(600)) + entry(b"b", bytes(600)) + END, "archive.size"),
        (entry(b"a", b"/etc", 0o120777) + END, "archive.kind"),
        (entry(b"a", b"", 0o020666) + END, "archive.kind"),
        (entry(b"a", b"x", 0o040755) + END, "archive.kind"),
    ],
)
def test_every_fault_is_refused(archive: bytes, code: str, tmp_path: Path) -> None:
    """A stranger's archive with one fault is refused under its code, and nothing is written outside its folder."""
    folder = tmp_path / "in"
    folder.mkdir()

    found = refused(archive, folder)

    assert found == code
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of entries has a limit, on both sides."""
    monkeypatch.setattr("paraph.adapters.enclaves.archive.ENTRIES_MAX", 2)

    assert refused(b"".join(entry(b"%d" % number, b"") for number in range(3)) + END, tmp_path) == "archive.size"
    with pytest.raises(Malformed) as caught:
        pack(FILES)
    assert caught.value.code == "archive.size"


@given(changes=st.lists(st.tuples(st.integers(0, len(pack(FILES)) - 1), st.integers(0, 255)), max_size=6))
def test_hostile_archives_stay_in_their_folder(
    changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bytes arrive, they are unpacked below the folder within the limit, or refused."""
    archive = bytearray(pack(FILES))
    for at, byte in changes:
        archive[at] = byte
    outside = tmp_path_factory.mktemp("outside")
    folder = outside / "in"
    folder.mkdir()

    with suppress(Malformed):
        unpack(io.BytesIO(bytes(archive)), folder, 1_000)

    assert [each.name for each in outside.iterdir()] == ["in"]
    assert sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) <= 1_000
