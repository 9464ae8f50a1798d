"""A `Blobs` for tests: bytes in memory, laid out as files only when a path is asked for. Gone with the process."""

import hashlib
import tempfile
from pathlib import Path

from paraph.core.errors import Unavailable


class MemoryBlobs:
    """Blobs by digest in a dictionary, with a folder of its own for those that are opened."""

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="paraph-blobs-", ignore_cleanup_errors=True)

    def put(self, data: bytes) -> bytes:
        """Keep bytes; returns their SHA-256."""
        digest = hashlib.sha256(data).digest()
        self._kept[digest] = data
        return digest

    def path(self, digest: bytes) -> str:
        """A file with exactly these bytes. Raises `Unavailable` (`blobs.missing`)."""
        if digest not in self._kept:
            raise Unavailable("blobs.missing", f"no blob {digest.hex()} is kept here")
        place = Path(self._folder.name) / digest.hex()
        if not place.exists():
            place.write_bytes(self._kept[digest])
        return str(place)

    def has(self, digest: bytes) -> bool:
        """True when a blob of that name is kept."""
        return digest in self._kept

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
