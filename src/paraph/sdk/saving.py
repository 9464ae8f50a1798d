"""Saving what is its owner's alone: conversations, and meetings with enclaves."""

import os
import secrets
from pathlib import Path

from paraph.core.errors import Unavailable


def save(data: bytes, path: Path | str) -> None:
    """Write a file that its owner alone can read, whole or not at all.

    Raises:
        Unavailable: `file.write`; what stood at `path` is still there.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        # O_EXCL: a file or link planted under the name is not written through.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data + b"\n")
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Unavailable("file.write", f"{path} cannot be written: {error.strerror}") from error
