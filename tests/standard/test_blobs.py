"""What every `Blobs` does: the folder and the fake pass the same suite."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from paraph.adapters.blobs.folder import FolderBlobs
from paraph.adapters.fakes.blobs import MemoryBlobs
from paraph.core.errors import Unavailable
from paraph.flows.ports import Blobs


@pytest.fixture(params=["folder", "fake"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    """An empty store of blobs."""
    if request.param == "folder":
        yield FolderBlobs(tmp_path)
        return
    fake = MemoryBlobs()
    yield fake
    fake.close()


@pytest.mark.parametrize("data", [b"", b"some bytes", bytes(1 << 20)])
def test_what_is_put_is_there_under_its_hash(blobs: Blobs, data: bytes) -> None:
    """A blob's name is its SHA-256, and the file named has exactly its bytes."""
    digest = blobs.put(data)

    assert digest == hashlib.sha256(data).digest()
    assert blobs.has(digest)
    assert Path(blobs.path(digest)).read_bytes() == data


def test_twice_is_once(blobs: Blobs) -> None:
    """Putting the same bytes again changes nothing."""
    first, path = blobs.put(b"same"), blobs.path(blobs.put(b"same"))

    assert blobs.put(b"same") == first
    assert blobs.path(first) == path


def test_what_is_not_there_is_said(blobs: Blobs) -> None:
    """A blob that was never put is unavailable, under the same code everywhere."""
    missing = hashlib.sha256(b"never").digest()

    assert not blobs.has(missing)
    with pytest.raises(Unavailable) as caught:
        blobs.path(missing)
    assert caught.value.code == "blobs.missing"
