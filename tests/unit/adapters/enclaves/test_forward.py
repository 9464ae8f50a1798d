"""Forwarding between places: every byte arrives, in order, and the end of one side is the end for the other.

This machine has no enclave, and mostly no vsock either: a socket in the file system stands in for its address family.
What carries the bytes is the same for each.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.enclaves.forward import Forwarder
from paraph.adapters.enclaves.vsock import ANY, Tcp, Unix, Vsock, connect, listen, place_from_text, text_of
from paraph.core.errors import Malformed, Unavailable

ANYWHERE: Final = Tcp("127.0.0.1", 0)


@asynccontextmanager
async def forwarding(source: Tcp | Unix, target: Tcp | Unix) -> AsyncIterator[Forwarder]:
    """A forwarder that runs meanwhile."""
    forwarder = Forwarder(source, target)
    running = asyncio.create_task(forwarder.run())
    try:
        yield forwarder
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def port_of(forwarder: Forwarder) -> int:
    source = forwarder.source
    assert isinstance(source, Tcp)
    return source.port


async def talk(port: int, said: bytes) -> bytes:
    """Say something, end, and hear the answer to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that answers, after all was said, with that backwards."""
    said = await reader.read()
    writer.write(said[::-1])
    await writer.drain()
    writer.close()


def test_bytes_go_there_and_back(tmp_path: Path) -> None:
    """A megabyte goes through two forwarders, as through the line to an enclave, and its answer comes back whole."""
    said = os.urandom(1 << 20)

    async def run() -> bytes:
        server = await asyncio.start_unix_server(reverse, tmp_path / "server", limit=1 << 21)
        line = Unix(tmp_path / "line")
        async with (
            server,
            forwarding(line, Unix(tmp_path / "server")),
            forwarding(ANYWHERE, line) as outer,
        ):
            return await talk(await port_of(outer), said)

    assert asyncio.run(run()) == said[::-1]


def test_connections_do_not_mix(tmp_path: Path) -> None:
    """Many connections at the same time each have their own answer."""

    async def run() -> list[bytes]:
        server = await asyncio.start_unix_server(reverse, tmp_path / "server")
        async with server, forwarding(ANYWHERE, Unix(tmp_path / "server")) as outer:
            port = await port_of(outer)
            return await asyncio.gather(*(talk(port, b"%04d" % number) for number in range(40)))

    assert asyncio.run(run()) == [b"%04d" % number for number in [int(f"{n:04d}"[::-1]) for n in range(40)]]


def test_an_answer_flows_before_the_question_ends(tmp_path: Path) -> None:
    """What one side says arrives at once, while the other has not finished: answers stream."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_unix_server(echo, tmp_path / "server")
        async with server, forwarding(ANYWHERE, Unix(tmp_path / "server")) as outer:
            reader, writer = await asyncio.open_connection("127.0.0.1", await port_of(outer))
            for word in (b"one", b"two"):
                writer.write(word)
                assert await asyncio.wait_for(reader.readexactly(3), 20) == word
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()

    asyncio.run(run())


def test_nobody_at_the_end_closes_the_connection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody answers, the one who asked is told so by the end of the line, and the forwarder goes on."""

    async def run() -> tuple[bytes, bytes]:
        async with forwarding(ANYWHERE, Unix(tmp_path / "server")) as outer:
            port = await port_of(outer)
            with suppress(ConnectionError):
                first = b"closed"
                first = await talk(port, b"")
            async with await asyncio.start_unix_server(reverse, tmp_path / "server"):
                return first, await talk(port, b"ab")

    assert asyncio.run(run()) == (b"", b"ba")
    assert "vsock.connect" in capsys.readouterr().err


def test_a_side_that_breaks_ends_the_other(tmp_path: Path) -> None:
    """Where the server drops a connection, the client hears of it instead of waiting."""

    async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def run() -> bytes:
        async with (
            await asyncio.start_unix_server(drop, tmp_path / "server"),
            forwarding(ANYWHERE, Unix(tmp_path / "server")) as outer,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", await port_of(outer))
            try:
                return await asyncio.wait_for(reader.read(), 20)
            except ConnectionError:
                return b""
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    assert asyncio.run(run()) == b""


def test_the_number_of_connections_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit connections wait, and are served when others end."""
    monkeypatch.setattr("paraph.adapters.enclaves.forward.CONNECTIONS_MAX", 1)

    async def run() -> bytes:
        async with (
            await asyncio.start_unix_server(reverse, tmp_path / "server"),
            forwarding(ANYWHERE, Unix(tmp_path / "server")) as outer,
        ):
            port = await port_of(outer)
            _, first = await asyncio.open_connection("127.0.0.1", port)
            second = asyncio.create_task(talk(port, b"ab"))
            await asyncio.sleep(0.2)
            assert not second.done()
            first.close()
            await first.wait_closed()
            return await second

    assert asyncio.run(run()) == b"ba"


def test_the_program_forwards_and_stops(tmp_path: Path) -> None:
    """As a program it says where it listens, carries, and ends at SIGTERM with code 0."""
    command = [sys.executable, "-m", "paraph.adapters.enclaves.forward", "--listen", "tcp:127.0.0.1:0"]
    target = listen(Unix(tmp_path / "server"))
    target.setblocking(True)
    target.settimeout(20)
    with (
        target,
        subprocess.Popen([*command, "--connect", f"unix:{tmp_path}/server"], stdout=subprocess.PIPE) as program,
    ):
        try:
            assert program.stdout is not None
            source, _, to = program.stdout.readline().decode().strip().partition(" -> ")
            with connect(place_from_text(source), 20) as asking:
                asking.sendall(b"question")
                asking.shutdown(socket.SHUT_WR)
                served, _ = target.accept()
                with served:
                    assert served.recv(100) == b"question"
                    served.sendall(b"answer")
                assert asking.recv(100) == b"answer"
            program.terminate()
            assert program.wait(20) == 0
            assert to == f"unix:{tmp_path}/server"
        finally:
            program.kill()


@pytest.mark.parametrize("place", ["tcp:127.0.0.1:99999", "nowhere", "unix:/nowhere/at/all"])
def test_a_program_that_cannot_run_says_why(place: str) -> None:
    """A place that is none, or cannot be listened on, ends the program with code 1 and a sentence."""
    command = [sys.executable, "-m", "paraph.adapters.enclaves.forward", "--connect", "tcp:127.0.0.1:1"]

    done = subprocess.run([*command, "--listen", place], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "[vsock." in done.stderr


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tcp:127.0.0.1:80", Tcp("127.0.0.1", 80)),
        ("tcp:localhost:0", Tcp("localhost", 0)),
        ("tcp:[::1]:8443", Tcp("::1", 8443)),
        ("vsock:16:8443", Vsock(16, 8443)),
        ("vsock:any:70000", Vsock(ANY, 70_000)),
        ("unix:/run/a:b", Unix(Path("/run/a:b"))),
    ],
)
def test_places_are_read_and_written_alike(text: str, place: Tcp | Vsock | Unix) -> None:
    """A place is one word, and is written as it was read."""
    assert place_from_text(text) == place
    assert text_of(place) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tcp",
        "tcp:80",
        "tcp::80",
        "tcp:a:-1",
        "tcp:a:65536",
        "tcp:a:1_0",
        "tcp:a: 1",
        "vsock:x:1",
        "vsock:1",
        "vsock:4294967296:1",
        "vsock:3:4294967296",
        "unix:",
        "unix:a\0b",
        "http://a:1",
        "tcp:a:²",
        "tcp:a:" + "9" * 5000,
    ],
)
def test_no_places_are_refused(text: str) -> None:
    """What is no place is refused before anything is opened."""
    with pytest.raises(Malformed) as caught:
        place_from_text(text)

    assert caught.value.code == "vsock.place"


@given(st.text(max_size=40))
def test_hostile_text_is_read_or_refused(text: str) -> None:
    """Any text is a place that means the same when written, or is refused."""
    try:
        place = place_from_text(text)
    except Malformed:
        return
    assert place_from_text(text_of(place)) == place


def test_a_vsock_that_is_not_there_is_said() -> None:
    """A line to an enclave that does not run is unavailable; so is vsock itself where the machine has none."""
    with pytest.raises(Unavailable) as caught:
        connect(Vsock(4_000_000_000, 1), 2)

    assert caught.value.code == "vsock.connect"


def test_vsock_carries_bytes_where_the_machine_has_it() -> None:
    """Over the real address family, to this machine itself, bytes arrive as over any other."""
    local = 1
    try:
        listening = listen(Vsock(ANY, 52_077))
    except Unavailable as error:
        pytest.skip(f"this machine has no vsock: {error}")
    listening.setblocking(True)
    with listening:
        try:
            asking = connect(Vsock(local, 52_077), 1)
        except Unavailable as error:
            pytest.skip(f"this machine has no vsock to itself: {error}")
        with asking:
            asking.sendall(b"question")
            served, _ = listening.accept()
            with served:
                assert served.recv(100) == b"question"


def test_a_taken_place_is_said(tmp_path: Path) -> None:
    """Two cannot listen on one place."""
    with listen(Unix(tmp_path / "one")), pytest.raises(Unavailable) as caught:
        listen(Unix(tmp_path / "one"))

    assert caught.value.code == "vsock.listen"
