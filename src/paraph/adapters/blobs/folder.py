"""Blobs in a folder, named by SHA-256. What is read is hashed again on first use, so a changed file is found out."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from paraph.core.errors import Unavailable

CHUNK = 1 << 20


class FolderBlobs:
    """A `Blobs` in a folder.

    Args:
        folder: made when absent; two levels, `ab/cdef…`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._checked: set[bytes] = set()

    def put(self, data: bytes) -> bytes:
        """Keep bytes; returns their SHA-256. Raises `Unavailable` (`blobs.write`)."""
        digest = hashlib.sha256(data).digest()
        if not self._whole(digest):
            self._keep(digest, "these bytes", lambda temporary: temporary.write_bytes(data))
        return digest

    def put_file(self, source: Path) -> bytes:
        """Keep a copy of a file of any size; returns its SHA-256. Raises `Unavailable` (`blobs.…`)."""
        digest = hash_file(source)
        if not self._whole(digest):
            self._keep(digest, str(source), lambda temporary: shutil.copyfile(source, temporary))
        return digest

    def path(self, digest: bytes) -> str:
        """A file with exactly these bytes.

        Raises:
            Unavailable: `blobs.missing`: not there; `blobs.changed`: there, with other bytes.
        """
        place = self._place(digest)
        if not place.exists():
            raise Unavailable("blobs.missing", f"no blob {digest.hex()} is kept here")
        if digest not in self._checked:
            if hash_file(place) != digest:
                raise Unavailable("blobs.changed", f"the blob {digest.hex()} has changed on disk; put it again")
            self._checked.add(digest)
        return str(place)

    def has(self, digest: bytes) -> bool:
        """True when a blob of that name is kept."""
        return self._place(digest).exists()

    def _place(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._folder / name[:2] / name[2:]

    def _temporary(self) -> Path:
        return self._folder / f".{secrets.token_hex(8)}"

    def _whole(self, digest: bytes) -> bool:
        """True when a blob is kept and is what its name says: putting a changed one again mends it."""
        return self.has(digest) and hash_file(self._place(digest)) == digest

    def _keep(self, digest: bytes, what: str, write: Callable[[Path], object]) -> None:
        temporary, place = self._temporary(), self._place(digest)
        try:
            write(temporary)
            # A source may change while it is copied.
            if hash_file(temporary) != digest:
                raise Unavailable("blobs.changed", f"{what} changed while being copied; put it again")
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            place.parent.mkdir(exist_ok=True)
            temporary.chmod(0o400)
            temporary.replace(place)
        except OSError as error:
            raise Unavailable("blobs.write", f"{what} cannot be copied: {error.strerror}") from error
        finally:
            temporary.unlink(missing_ok=True)


def hash_file(path: Path) -> bytes:
    """The SHA-256 of a file. Raises `Unavailable` (`blobs.read`)."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise Unavailable("blobs.read", f"{path} cannot be read: {error.strerror}") from error
    return digest.digest()
