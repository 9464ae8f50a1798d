"""The inside of a confined worker process: take the limits on, then answer messages one by one.

It runs before any byte of a stranger's model is read, and imports nothing heavy, so that the limits hold for
everything that follows.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import IO, Final, TypeAlias

from paraph.adapters.engines.frames import PREFIX_BYTES, lengths, pack, unpack_trusted
from paraph.core.encode import JsonObject
from paraph.core.errors import ParaphError

FILE_BYTES_MAX: Final = 1024 * 1024
"""What a worker may write to any one file: its diagnostics go to a file in memory, and nothing else is written."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNET: Final = 0x4000_0000

Answer: TypeAlias = tuple[JsonObject, tuple[bytes, ...]]


def confine() -> socket.socket:
    """Take the limits on, leave the network, and return the channel to the parent.

    The command line holds the parent's process id and the limit of address space in bytes. Limits: address space,
    no core files, no large files, no new privileges, death with the parent. The network is left where the kernel
    lets an ordinary process do so. Not limited: processor time, and reading files that this user may read.
    """
    if sys.platform == "linux":
        # In a namespace of its own there is not even a loopback. A kernel may forbid it; the limits below stand alone.
        ctypes.CDLL(None).unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    return confine_with_network()


def confine_with_network() -> socket.socket:
    """As `confine`, for a worker that must serve on the loopback."""
    parent, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)
    # A terminal's interrupt goes to the parent, which closes its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=os.dup(0))
    # Whatever a library prints must not land among the messages.
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return channel


def serve(channel: socket.socket, answer: Callable[[JsonObject, tuple[bytes, ...]], Answer]) -> None:
    """Answer messages until the parent hangs up. An error of ours goes back as an error; any other ends the worker."""
    with os.fdopen(os.dup(channel.fileno()), "rb", buffering=1 << 16) as stream:
        while True:
            prefix = _read(stream, PREFIX_BYTES)
            if not prefix:
                return
            header_bytes, blob_bytes = lengths(prefix)
            try:
                header, blobs = answer(*unpack_trusted(_read(stream, header_bytes), _read(stream, blob_bytes)))
                reply = pack({"ok": header}, blobs)
            except ParaphError as error:
                reply = pack({"error": {"branch": error.branch, **error.as_json()}})  # type: ignore[dict-item]
            except MemoryError:
                reply = pack({"error": _MEMORY})
            channel.sendall(reply)


_MEMORY: Final[JsonObject] = {
    "branch": "rejected",
    "code": "engine.memory_limit",
    "message": "the model needs more memory than it is given",
    "facts": {},
}


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size and data:
        raise EOFError("the parent hung up within a message")
    return data
