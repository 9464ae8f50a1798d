"""Booting in an enclave: it tells that it is there, takes its folder, opens its lines, and ends with its program.

Sockets in the file system stand in for the lines to the machine outside.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from paraph.adapters.enclaves.archive import file, pack
from paraph.adapters.enclaves.boot import HEARTBEAT, LINES, need_known, say_booted, take_folder
from paraph.adapters.enclaves.vsock import Unix, connect, listen, place_from_text
from paraph.core.errors import Malformed, ParaphError, Unavailable

ARCHIVE: Final = pack([file("node.json", b"{}"), file("manifests/one.json", b"[]")])
PATIENCE_S: Final = 20


@contextmanager
def outside(place: Path, answer: bytes) -> Iterator[list[bytes]]:
    """The machine outside, which answers a heartbeat in its way."""
    heard: list[bytes] = []
    listening = listen(Unix(place))
    listening.settimeout(PATIENCE_S)

    def serve() -> None:
        line, _ = listening.accept()
        with line:
            heard.append(line.recv(1))
            line.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield heard
    finally:
        thread.join(PATIENCE_S)
        listening.close()


def send(place: Unix, data: bytes) -> None:
    """Send an archive, as soon as somebody listens."""
    for _ in range(PATIENCE_S * 20):
        try:
            with connect(place, PATIENCE_S) as line:
                line.sendall(data)
                line.shutdown(socket.SHUT_WR)
                line.recv(1)
                return
        except Unavailable:
            threading.Event().wait(0.05)
        except OSError:
            return
    raise AssertionError("nobody took the folder")


def test_the_heartbeat_goes_there_and_back(tmp_path: Path) -> None:
    """One byte is sent, and its return is waited for."""
    with outside(tmp_path / "heart", HEARTBEAT) as heard:
        say_booted(Unix(tmp_path / "heart"))

    assert heard == [b"\xb7"]


@pytest.mark.parametrize("answer", [b"", b"\xb8"])
def test_another_answer_is_no_heartbeat(tmp_path: Path, answer: bytes) -> None:
    """Who does not send the byte back is not what starts enclaves."""
    with outside(tmp_path / "heart", answer), pytest.raises(Unavailable) as caught:
        say_booted(Unix(tmp_path / "heart"))

    assert caught.value.code == "enclave.heartbeat"


@pytest.mark.parametrize(("archive", "code"), [(ARCHIVE, ""), (ARCHIVE[:-8], "archive.form"), (b"x", "archive.form")])
def test_the_folder_is_taken_whole_or_refused(tmp_path: Path, archive: bytes, code: str) -> None:
    """The folder arrives as an archive; a part of one is an error."""
    place = Unix(tmp_path / "folder")
    sender = threading.Thread(target=send, args=(place, archive))
    sender.start()
    found = ""
    try:
        names = take_folder(place, tmp_path / "home", 1_000)
        assert names == ["manifests/one.json", "node.json"]
    except Malformed as error:
        found = error.code
    sender.join(PATIENCE_S)

    assert found == code
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_the_program_boots_and_runs(tmp_path: Path) -> None:
    """As a program: heartbeat, folder, a line that carries to what runs, and the exit code of that."""
    script = (
        "import pathlib, socket\n"
        f"assert pathlib.Path({str(tmp_path / 'home')!r}, 'node.json').read_bytes() == b'{{}}'\n"
        "listening = socket.socket(socket.AF_UNIX)\n"
        f"listening.bind({str(tmp_path / 'node')!r}); listening.listen(); listening.settimeout(20)\n"
        "line, _ = listening.accept(); line.sendall(line.recv(100)[::-1]); line.close()\n"
        "raise SystemExit(7)\n"
    )
    command = [sys.executable, "-m", "paraph.adapters.enclaves.boot", "--heartbeat", f"unix:{tmp_path}/heart"]
    command += ["--folder", f"unix:{tmp_path}/folder", "--home", str(tmp_path / "home")]
    command += ["--line", f"unix:{tmp_path}/line=unix:{tmp_path}/node", "--", sys.executable, "-c", script]

    with outside(tmp_path / "heart", HEARTBEAT), subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        try:
            send(Unix(tmp_path / "folder"), ARCHIVE)
            answer = b""
            while not answer and program.poll() is None:
                try:
                    with connect(Unix(tmp_path / "line"), PATIENCE_S) as line:
                        line.sendall(b"abc")
                        answer = line.recv(100)
                except (ParaphError, ConnectionError):
                    threading.Event().wait(0.05)
            assert program.wait(PATIENCE_S) == 7
        finally:
            program.kill()
    assert answer == b"cba"


@pytest.mark.parametrize("line", ["nowhere", "tcp:127.0.0.1:1", "=", "tcp:127.0.0.1:1=x"])
def test_an_odd_line_ends_the_boot(tmp_path: Path, line: str) -> None:
    """A line that leads nowhere is refused before anything is taken."""
    command = [sys.executable, "-m", "paraph.adapters.enclaves.boot", "--line", line]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "[vsock.place]" in done.stderr


def test_the_usual_lines_are_places() -> None:
    """What is opened when nothing else is said can be opened."""
    places = [place_from_text(place) for line in LINES for place in line.split("=")]

    assert len(places) == 4


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("node.json", True),
        ("manifests/model.json", True),
        ("blobs/00/ff00", True),
        ("outbox/data.mdb", False),
        ("upstreams.json", False),
        ("manifests/a/b.json", False),
        ("node.json.exe", False),
    ],
)
def test_a_folder_holds_what_a_node_is_given(name: str, known: bool) -> None:
    """A database or settings of the parent's making do not get in beside what a node is given."""
    if known:
        need_known(["node.json", name])
        return
    with pytest.raises(Malformed) as caught:
        need_known(["node.json", name])
    assert caught.value.code == "enclave.folder"
