"""Sending a folder into an enclave: what boots there takes it whole, or the sender hears of it."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from paraph.adapters.enclaves.boot import take_folder
from paraph.adapters.enclaves.send import send_folder
from paraph.adapters.enclaves.vsock import Unix, listen
from paraph.core.errors import Unavailable


def test_a_folder_goes_in(tmp_path: Path) -> None:
    """The program sends what the booting enclave takes."""
    (tmp_path / "home" / "manifests").mkdir(parents=True)
    (tmp_path / "home" / "node.json").write_bytes(b"{}")
    (tmp_path / "home" / "manifests" / "one.json").write_bytes(b"[]")
    place = tmp_path / "line"
    taken: list[list[str]] = []
    taking = threading.Thread(target=lambda: taken.append(take_folder(Unix(place), tmp_path / "there", 1_000)))
    taking.start()
    while not place.exists():
        threading.Event().wait(0.01)
    command = [sys.executable, "-m", "paraph.adapters.enclaves.send", str(tmp_path / "home"), "--to", f"unix:{place}"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    taking.join(20)

    assert (done.returncode, done.stdout) == (0, "2 files sent\n")
    assert taken == [["manifests/one.json", "node.json"]]
    assert (tmp_path / "there" / "manifests" / "one.json").read_bytes() == b"[]"


def test_nobody_there_is_said(tmp_path: Path) -> None:
    """Without an enclave that waits, the program ends with code 1 and a sentence."""
    command = [sys.executable, "-m", "paraph.adapters.enclaves.send", str(tmp_path), "--to", f"unix:{tmp_path}/none"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "[vsock.connect]" in done.stderr


def test_a_broken_line_is_said(tmp_path: Path) -> None:
    """Where the other side goes away before it has all, sending is an error, not a success."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "model").write_bytes(bytes(1 << 22))
    place = Unix(tmp_path / "line")
    with listen(place) as listening:
        listening.setblocking(True)

        def drop() -> None:
            line, _ = listening.accept()
            line.recv(1)
            line.close()

        dropping = threading.Thread(target=drop)
        dropping.start()
        with pytest.raises(Unavailable) as caught:
            send_folder(tmp_path / "home", place)
        dropping.join(20)

    assert caught.value.code == "enclave.folder"
