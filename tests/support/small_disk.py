"""A disk that can be filled: a small file system in memory, mounted over one folder, in a namespace of its own.

Only Linux has these, and some machines forbid them; a test that needs one is skipped there, and says so.
"""

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

HOLD: Final = 'mount -t tmpfs -o size="$1",mode=700 tmpfs "$0" && echo mounted && exec sleep infinity'


class SmallDisk:
    """A file system of `size_bytes` over a folder, which processes see that `prefix` runs.

    Args:
        folder: empty.
        size_bytes: all that it holds.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", HOLD, str(folder), str(size_bytes)]
        try:
            self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            pytest.skip(f"NOT CHECKED: no namespaces here: {error}")
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            said = self._holder.communicate()[1].decode().strip()
            pytest.skip(f"NOT CHECKED: no namespaces here: {said}")
        holder = str(self._holder.pid)
        self.prefix: Final = ("nsenter", "--preserve-credentials", "--user", "--mount", f"--target={holder}")
        self._filler = Path(f"/proc/{holder}/root") / folder.relative_to("/") / "filler"

    def fill(self) -> None:
        """Take all the room that is left."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink()

    def close(self) -> None:
        """Unmount it: what it held is gone."""
        self._holder.kill()
        self._holder.communicate()
