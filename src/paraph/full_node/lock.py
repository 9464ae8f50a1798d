"""A home that one process holds: a running node, or a command that changes what a node left behind.

Two processes that make blocks of one store would sign two chains.
"""

import fcntl
from pathlib import Path
from types import TracebackType
from typing import Self

from paraph.core.errors import Unavailable


class Lock:
    """A node's home, held until released, or until this process ends.

    Raises:
        Unavailable: `node.running`: another process holds it. `node.home`: it cannot be made, or written.
    """

    def __init__(self, home: Path) -> None:
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = (home / "lock").open("w")
        except OSError as error:
            raise Unavailable("node.home", f"{home} cannot be used as a node's home: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise Unavailable("node.running", f"another process runs a full node in {home}", home=home) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let others have it. Releasing twice is releasing once."""
        self._file.close()
