"""Files of an engine's home: written whole or not at all, readable by their owner alone."""

import json
import os
import tempfile
from pathlib import Path

from paraph.core.encode import Json
from paraph.core.errors import Unavailable


def make_private(folder: Path) -> None:
    """Make a folder of mode 0700 unless it is there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from error


def create(path: Path, document: Json) -> None:
    """Write a JSON file unless it is there: what is there is never overwritten."""
    if path.exists():
        return
    draft = _draft(path, json.dumps(document).encode())
    try:
        # A link, unlike a rename, never takes the place of a file.
        os.link(draft, path)
    except OSError as error:
        raise unusable(path, error) from error
    finally:
        draft.unlink()


def replace(path: Path, content: bytes) -> None:
    """Write a file, in the place of what is there."""
    draft = _draft(path, content)
    try:
        draft.replace(path)
    except OSError as error:
        raise unusable(path, error) from error


def _draft(path: Path, content: bytes) -> Path:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unusable(path, error) from error
    return Path(name)


def unusable(path: Path, error: OSError) -> Unavailable:
    """The error of a home that cannot be read or written."""
    return Unavailable("comet.home", f"{path} cannot be used as part of an engine's home: {error}", path=path)
