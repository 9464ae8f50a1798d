"""A worker process with limits, and the client that talks to it.

Models, graphs and chat templates come from strangers. What they do happens in another process, with its own memory
limit, a deadline for every call, no secrets in its environment, and an end when ours ends. A worker that dies or is
killed is replaced at the next call.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from paraph.adapters.engines.frames import PREFIX_BYTES, lengths, pack, unpack
from paraph.core.encode import Json, JsonObject, as_object, as_text
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable

START_DEADLINE_S: Final = 60.0
"""Starting a worker and loading its model: a 7B model from a slow disk takes about 40 s."""

SAID_BYTES: Final = 2000
"""How much of a dead worker's diagnostics goes into the error."""

_BRANCHES: Final[Mapping[str, type[ParaphError]]] = {
    "malformed": Malformed,
    "rejected": Rejected,
    "unavailable": Unavailable,
}
# Only what an interpreter needs to find its libraries; nothing here is a secret.
_ENVIRONMENT: Final = ("PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")


class Sandbox:
    """A confined worker, started at the first call and again after each death.

    The worker dies with the thread that started it, so an event loop that uses one must outlive its work.

    Args:
        module: the worker's module, e.g. `paraph.adapters.engines.onnx_worker`.
        memory_bytes: limit of its address space.
        hello: the first message to every new worker, such as which model to load.
        start_deadline_s: seconds to start and answer `hello`.
    """

    def __init__(
        self,
        module: str,
        *,
        memory_bytes: int,
        hello: JsonObject,
        start_deadline_s: float = START_DEADLINE_S,
    ) -> None:
        self._module = module
        self._memory_bytes = memory_bytes
        self._hello = hello
        self._start_deadline_s = start_deadline_s
        self._worker: _Worker | None = None
        self._welcome: JsonObject = {}
        self._turn = asyncio.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The worker's process id while it lives."""
        return self._worker.process.pid if self._worker is not None and self._worker.alive() else None

    async def started(self) -> JsonObject:
        """Start the worker unless it lives, and return its answer to `hello`. Raises as `call` does."""
        async with self._turn:
            await self._living()
            return self._welcome

    async def call(
        self, header: JsonObject, blobs: tuple[bytes, ...] = (), *, deadline_s: float
    ) -> tuple[JsonObject, tuple[bytes, ...]]:
        """Ask the worker; one call at a time, others wait their turn (waiting is not counted in the deadline).

        Raises:
            Rejected: `engine.time_limit` or `engine.memory_limit`: the worker ran into it and was killed;
                `engine.message_size`; or what the worker itself refuses.
            Unavailable: `engine.died`: the worker ended for another reason. `engine.closed`.
        """
        message = pack(header, blobs)
        async with self._turn:
            return await self._exchange(await self._living(), message, deadline_s)

    async def close(self) -> None:
        """End the worker. Later calls raise `Unavailable` (`engine.closed`)."""
        self._closed = True
        self.kill()

    def kill(self) -> None:
        """End the worker now; the next call starts another."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    async def _living(self) -> "_Worker":
        if self._closed:
            raise Unavailable("engine.closed", "this engine was closed")
        if self._worker is not None and self._worker.alive():
            return self._worker
        self.kill()
        worker = self._worker = _Worker(self._module, self._memory_bytes)
        try:
            self._welcome, _ = await self._exchange(worker, pack(self._hello), self._start_deadline_s)
        except ParaphError:
            # A worker without its model would answer every later call wrongly.
            self.kill()
            raise
        return worker

    async def _exchange(
        self, worker: "_Worker", message: bytes, deadline_s: float
    ) -> tuple[JsonObject, tuple[bytes, ...]]:
        try:
            async with asyncio.timeout(deadline_s):
                header, blobs = await worker.exchange(message)
        except TimeoutError as error:
            self.kill()
            raise Rejected(
                "engine.time_limit", f"no answer within {deadline_s:g} s; the work was ended", limit_s=f"{deadline_s:g}"
            ) from error
        except (ConnectionError, EOFError) as error:
            raise self._obituary(worker) from error
        except BaseException:
            # Cancelled or garbled half-way: what the worker sends next would be taken for another call's answer.
            self.kill()
            raise
        if "ok" in header:
            return as_object(header["ok"], "worker's answer"), blobs
        raise self._told(header.get("error"))

    def _told(self, told: Json) -> ParaphError:
        error = as_object(told, "worker's error")
        code = as_text(error.get("code"), "worker's error code", bytes_max=100)
        if code == "engine.memory_limit":
            self.kill()  # a process that ran out of memory half-way is not to be trusted with the next call
        kind = _BRANCHES.get(as_text(error.get("branch"), "branch", bytes_max=20), Unavailable)
        facts = as_object(error.get("facts"), "worker's facts")
        return kind(code, as_text(error.get("message"), "worker's message", bytes_max=10_000), **facts)

    def _obituary(self, worker: "_Worker") -> ParaphError:
        status, said = worker.last_words()
        self.kill()
        if any(word in said for word in ("bad_alloc", "MemoryError", "Cannot allocate memory", "failed to allocate")):
            return Rejected(
                "engine.memory_limit",
                f"the model needs more memory than the {self._memory_bytes} bytes it is given",
                limit_bytes=self._memory_bytes,
            )
        return Unavailable("engine.died", f"the engine's process ended ({status})", status=status, said=said)


class _Worker:
    """One process and the socket to it, which is its standard input until it has taken its limits on."""

    def __init__(self, module: str, memory_bytes: int) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        self._busy = False
        self._said = (
            os.memfd_create("paraph-worker-said") if sys.platform == "linux" else os.open(os.devnull, os.O_RDWR)
        )
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        # One arena and one thread: the address space then grows with what the model needs, not with the machine.
        environment |= {
            "LC_ALL": "C.UTF-8",
            "MALLOC_ARENA_MAX": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(os.getpid()), str(memory_bytes)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                env=environment,
                start_new_session=True,
            )

    def alive(self) -> bool:
        return self.process.poll() is None

    async def exchange(self, message: bytes) -> tuple[JsonObject, tuple[bytes, ...]]:
        self._busy = True
        try:
            return await self._converse(message)
        finally:
            self._busy = False
            if self._said < 0:  # ended meanwhile
                self._socket.close()

    async def _converse(self, message: bytes) -> tuple[JsonObject, tuple[bytes, ...]]:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, message)
        # The first read usually holds the whole answer.
        data = bytearray(await loop.sock_recv(self._socket, 1 << 16))
        await self._fill(loop, data, PREFIX_BYTES)
        header_bytes, blob_bytes = lengths(bytes(data[:PREFIX_BYTES]))
        end = PREFIX_BYTES + header_bytes + blob_bytes
        await self._fill(loop, data, end)
        if len(data) != end:
            raise Malformed("engine.message", f"{len(data) - end} bytes after a worker's answer")
        whole = bytes(data)
        body = PREFIX_BYTES + header_bytes
        return unpack(whole[PREFIX_BYTES:body], whole[body:])

    async def _fill(self, loop: asyncio.AbstractEventLoop, data: bytearray, size: int) -> None:
        while len(data) < size:
            more = await loop.sock_recv(self._socket, min(1 << 20, max(1 << 16, size - len(data))))
            if not more:
                raise EOFError
            data += more

    def last_words(self) -> tuple[str, str]:
        """How the process ended, and the end of what it said on the way. Waits for it to end."""
        if self._said < 0:
            return "closed", ""
        try:
            code = self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        status = f"exit {code}" if code >= 0 else signal.Signals(-code).name
        size = os.fstat(self._said).st_size
        said = os.pread(self._said, SAID_BYTES, max(0, size - SAID_BYTES)).decode("utf-8", "replace")
        return status, said

    def end(self) -> None:
        if self._said < 0:
            return
        self.process.kill()
        self.process.wait()
        if self._busy:
            # A socket closed under a waiting task would never wake it; this does.
            self._socket.shutdown(socket.SHUT_RDWR)
        else:
            self._socket.close()
        os.close(self._said)
        self._said = -1
