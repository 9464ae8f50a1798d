"""Blobs in a folder, named by SHA-256. What is read is hashed again on first use, so a changed file is found out."""

import hashlib
import os
import secrets
import shutil
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
        """Keep bytes; returns their SHA-256."""
        digest = hashlib.sha256(data).digest()
        if not self.has(digest):
            temporary = self._temporary()
            temporary.write_bytes(data)
            self._keep(temporary, digest)
        return digest

    def put_file(self, source: Path) -> bytes:
        """Keep a copy of a file of any size; returns its SHA-256. Raises `Unavailable` (`blobs.…`)."""
        digest = hash_file(source)
        if not self.has(digest):
            temporary = self._temporary()
            try:
                shutil.copyfile(source, temporary)
            except OSError as error:
                temporary.unlink(missing_ok=True)
                raise Unavailable("blobs.write", f"{source} cannot be copied: {error.strerror}") from error
            self._keep(temporary, digest)
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

    def _keep(self, temporary: Path, digest: bytes) -> None:
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        place = self._place(digest)
        place.parent.mkdir(exist_ok=True)
        temporary.chmod(0o400)
        temporary.replace(place)


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
