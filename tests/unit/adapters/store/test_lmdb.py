"""The store on disk: it survives closing, grows, keeps others out of its files, and fails whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from paraph.adapters.store import lmdb as module
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.errors import Unavailable


def test_reopened_holds_what_it_held(tmp_path: Path) -> None:
    """What was written is there after closing and opening again."""
    store = LmdbStore(tmp_path / "s")
    store.write({("a", b"1"): b"x", ("b", b"1"): b"y"})
    store.close()

    again = LmdbStore(tmp_path / "s")

    assert (again.get("a", b"1"), again.get("b", b"1")) == (b"x", b"y")
    again.close()


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    """Folder and files are closed to other accounts of the machine."""
    LmdbStore(tmp_path / "s").close()

    modes = [path.stat().st_mode & 0o077 for path in (tmp_path / "s", *(tmp_path / "s").iterdir())]
    assert modes == [0] * len(modes)


def test_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write larger than the map makes the map larger, and opens again although larger than the first map."""
    monkeypatch.setattr(module, "MAP_BYTES_FIRST", 1 << 16)
    store = LmdbStore(tmp_path / "s")
    rows = {("a", number.to_bytes(4, "big")): bytes(1_000) for number in range(500)}

    store.write(rows)
    store.close()

    again = LmdbStore(tmp_path / "s")
    assert len(list(again.items("a"))) == 500
    again.close()


def test_map_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the largest map a write is refused whole, and the store goes on."""
    monkeypatch.setattr(module, "MAP_BYTES_FIRST", 1 << 17)
    monkeypatch.setattr(module, "MAP_BYTES_MAX", 1 << 17)
    store = LmdbStore(tmp_path / "s")
    store.write({("a", b"before"): b"1"})

    with pytest.raises(Unavailable) as caught:
        store.write({("a", number.to_bytes(4, "big")): bytes(1_000) for number in range(500)})

    assert caught.value.code == "store.full"
    assert [key for key, _ in store.items("a")] == [b"before"]
    store.write({("a", b"after"): b"2"})
    store.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.errors import Unavailable
store = LmdbStore(Path(sys.argv[1]))
store.write({("a", b"n"): b"0", ("b", b"n"): b"0"})
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
done = 0
try:
    for number in range(1, 1000):
        value = str(number).encode()
        store.write({("a", b"n"): value, ("b", b"n"): value, ("a", b"x%d" % number): bytes(50_000)})
        done = number
except Unavailable as error:
    print(error.code, done, store.get("a", b"n").decode(), store.get("b", b"n").decode())
store.close()
"""


def test_full_disk_loses_nothing(tmp_path: Path) -> None:
    """When the disk takes no more, the write fails whole with a typed error; what was there is there, also reopened."""
    script = [sys.executable, "-c", FULL_DISK, str(tmp_path / "s")]
    found = subprocess.run(script, capture_output=True, text=True, timeout=60)
    code, done, first, second = found.stdout.split()

    assert code in ("store.full", "store.write")
    assert int(done) > 3
    assert first == second == done
    again = LmdbStore(tmp_path / "s")
    assert again.get("a", b"n") == again.get("b", b"n") == done.encode()
    again.write({("a", b"n"): b"on"})
    again.close()


def test_other_file_is_refused(tmp_path: Path) -> None:
    """A file that is no store is refused with a typed error."""
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1_000)

    with pytest.raises(Unavailable) as caught:
        LmdbStore(tmp_path)

    assert caught.value.code == "store.open"


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A path that is no folder is refused with a typed error."""
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable) as caught:
        LmdbStore(tmp_path / "file" / "s")

    assert caught.value.code == "store.open"
