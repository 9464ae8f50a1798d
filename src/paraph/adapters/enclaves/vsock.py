"""Places where a stream of bytes begins or ends: TCP, vsock, a socket in the file system; each written as one word.

An enclave has no network. What it has is vsock, a line to the machine that started it: `vsock:16:8443` is port 8443 of
the enclave 16, `vsock:3:8545` from inside is a port of the machine outside. Who owns that machine sees and can change
every byte on the line: what must not be seen or changed is encrypted and signed by what talks over it.
"""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from paraph.core.errors import Malformed, Unavailable

ANY: Final = 0xFFFFFFFF
"""As the number of a machine: this one, whatever its number."""
PARENT: Final = 3
"""The number of the machine outside, as a Nitro enclave sees it."""
PORT_MAX: Final = 0xFFFF
VSOCK_MAX: Final = 0xFFFFFFFF
BACKLOG: Final = 128
"""Connections that wait to be taken: above what a browser or a benchmark opens at once."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """A port of a machine on the network."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Vsock:
    """A port of a virtual machine, or of its host."""

    machine: int
    port: int


@dataclass(frozen=True, slots=True)
class Unix:
    """A socket in the file system."""

    path: Path


Place: TypeAlias = Tcp | Vsock | Unix


def place_from_text(text: str) -> Place:
    """Read `tcp:HOST:PORT`, `vsock:NUMBER:PORT` (`vsock:any:PORT` to listen on) or `unix:PATH`.

    Raises:
        Malformed: `vsock.place`.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest and "\0" not in rest:
        return Unix(Path(rest))
    where, _, port = rest.rpartition(":")
    if kind == "tcp" and where:
        return Tcp(where.removeprefix("[").removesuffix("]"), _number(port, PORT_MAX, text))
    if kind == "vsock":
        return Vsock(ANY if where == "any" else _number(where, VSOCK_MAX, text), _number(port, VSOCK_MAX, text))
    raise _odd(text)


def _number(text: str, most: int, whole: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
        raise _odd(whole)
    return int(text)


def _odd(text: str) -> Malformed:
    return Malformed(
        "vsock.place", f"{text[:80]!a} is no place; write tcp:HOST:PORT, vsock:NUMBER:PORT, vsock:any:PORT or unix:PATH"
    )


def text_of(place: Place) -> str:
    """The place as `place_from_text` reads it."""
    match place:
        case Tcp(host, port):
            return f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}"
        case Vsock(machine, port):
            return f"vsock:{'any' if machine == ANY else machine}:{port}"
        case Unix(path):
            return f"unix:{path}"
        case _:
            assert_never(place)


def listen(place: Place) -> socket.socket:
    """A socket on which connections to this place arrive.

    Raises:
        Unavailable: `vsock.listen`: it is taken, or not of this machine.
    """
    family, address = _resolved(place)
    try:
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            if isinstance(place, Tcp):
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(BACKLOG)
            found.setblocking(False)
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise Unavailable("vsock.listen", f"nothing can listen on {text_of(place)}: {error.strerror}") from error
    return found


def connect(place: Place, timeout_s: int) -> socket.socket:
    """A connection to this place.

    Raises:
        Unavailable: `vsock.connect`: nobody answers there within the time.
    """
    family, address = _resolved(place)
    try:
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.settimeout(timeout_s)
            found.connect(address)
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise Unavailable("vsock.connect", f"nobody answers on {text_of(place)}: {error}") from error
    return found


def _resolved(place: Place) -> tuple[socket.AddressFamily, tuple[str, int] | tuple[int, int] | str]:
    """The family of a place's sockets, and its address as they take it."""
    match place:
        case Tcp(host, port):
            return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, port)
        case Vsock(machine, port):
            return socket.AF_VSOCK, (machine, port)
        case Unix(path):
            return socket.AF_UNIX, str(path)
        case _:
            assert_never(place)
