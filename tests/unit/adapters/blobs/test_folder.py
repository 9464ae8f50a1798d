"""Blobs are their digests: what is read is what was put, or an error."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from paraph.adapters.blobs.folder import FolderBlobs, hash_file
from paraph.core.errors import Unavailable


def place(folder: Path, digest: bytes) -> Path:
    return folder / digest.hex()[:2] / digest.hex()[2:]


def test_put_and_read(tmp_path: Path) -> None:
    """Bytes and files are kept under their SHA-256; doing it twice is doing it once."""
    blobs = FolderBlobs(tmp_path / "blobs")
    source = tmp_path / "file"
    source.write_bytes(b"abc")

    digest = blobs.put(b"abc")

    assert digest == hashlib.sha256(b"abc").digest() == blobs.put_file(source) == blobs.put(b"abc")
    assert blobs.has(digest)
    assert Path(blobs.path(digest)).read_bytes() == b"abc"
    assert [each.name for each in (tmp_path / "blobs").iterdir()] == [digest.hex()[:2]]


def test_missing(tmp_path: Path) -> None:
    """What was never put is missing."""
    blobs = FolderBlobs(tmp_path)

    assert not blobs.has(bytes(32))
    with pytest.raises(Unavailable) as caught:
        blobs.path(bytes(32))
    assert caught.value.code == "blobs.missing"


def test_changed_blob_is_found_out_and_mended(tmp_path: Path) -> None:
    """A blob that changed on disk is not given out; putting it again mends it."""
    source = tmp_path / "file"
    source.write_bytes(b"abc")
    digest = FolderBlobs(tmp_path / "blobs").put(b"abc")
    kept = place(tmp_path / "blobs", digest)
    mends: list[Callable[[FolderBlobs], bytes]] = [
        lambda blobs: blobs.put(b"abc"),
        lambda blobs: blobs.put_file(source),
    ]
    for mend in mends:
        kept.chmod(0o600)
        kept.write_bytes(b"abd")
        blobs = FolderBlobs(tmp_path / "blobs")

        with pytest.raises(Unavailable) as caught:
            blobs.path(digest)
        mend(blobs)

        assert caught.value.code == "blobs.changed"
        assert Path(blobs.path(digest)).read_bytes() == b"abc"


def test_source_that_changes_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes between hashing and copying is not kept under the wrong name."""
    source = tmp_path / "file"
    source.write_bytes(b"abc")
    blobs = FolderBlobs(tmp_path / "blobs")
    monkeypatch.setattr("shutil.copyfile", lambda _, target: Path(target).write_bytes(b"abd"))

    with pytest.raises(Unavailable) as caught:
        blobs.put_file(source)

    assert caught.value.code == "blobs.changed"
    assert list((tmp_path / "blobs").iterdir()) == []


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full nothing is left over, and the error is typed."""
    source = tmp_path / "file"
    source.write_bytes(b"abc")
    blobs = FolderBlobs(tmp_path / "blobs")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    puts: list[Callable[[], bytes]] = [lambda: blobs.put(b"abc"), lambda: blobs.put_file(source)]
    for put in puts:
        with pytest.raises(Unavailable) as caught:
            put()
        assert caught.value.code == "blobs.write"
    assert list((tmp_path / "blobs").iterdir()) == []


def test_unreadable_source(tmp_path: Path) -> None:
    """A file that is not there has a typed error."""
    with pytest.raises(Unavailable) as caught:
        hash_file(tmp_path / "nothing")

    assert caught.value.code == "blobs.read"
