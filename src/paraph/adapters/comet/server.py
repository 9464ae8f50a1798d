"""The server of ABCI 2.0: an application behind a Unix socket, to which the engine opens its four connections.

Answers go back in the order of the requests of each connection. Calls of consensus run in one thread, so that there are
never two at once and the event loop answers transactions meanwhile. What the application raises is answered as an
exception, which stops the engine, and ends the server: nothing may go on after a broken rule.

Whoever can connect can drive the application; the socket stands in a folder that only its owner may enter.
"""

import asyncio
import os
import socket
import stat
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from paraph.adapters.comet import abci_pb2 as pb
from paraph.adapters.comet import translate
from paraph.adapters.comet.application import Application
from paraph.adapters.comet.framing import Deframer, frame
from paraph.adapters.comet.methods import CHANGING, DRIVING, POOL, READING, Later, Work
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, must

SOCKET_PATH_BYTES_MAX: Final = 103
"""A Unix socket's path: 107 bytes on Linux, 103 on macOS."""
CONNECTIONS_MAX: Final = 16
"""The engine opens four; an engine that starts while another's are being closed, four more."""
IN_FLIGHT_MAX: Final = 256
"""Requests of one connection that wait for their answers: as many as the engine itself has in its queue."""
IN_FLIGHT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of those requests: as the engine's whole mempool."""
MESSAGE_S_MAX: Final = 60
"""From a message's first byte to its last. The engine writes a whole message at once; a busy machine may take long."""
STOP_S_MAX: Final = 5
"""What a client that reads slowly may take for the last answer of a connection."""
READ_BYTES: Final = 256 * 1024
WRITE_BYTES: Final = 64 * 1024
"""Answers that are ready go out together up to here: one system call for many transactions."""
ERROR_TEXT_MAX: Final = 2_000
"""Characters of an error that the engine is told."""

_log = structlog.get_logger("paraph.comet")

_Answer: TypeAlias = "pb.Response | asyncio.Future[pb.Response]"


class AbciServer:
    """Serves one application on one socket.

    Args:
        application: see `application.py` for which thread calls what.
        path: of the socket. Its folder is made with mode 0700 when absent.
    """

    def __init__(self, application: Application, path: Path) -> None:
        self.failure: Exception | None = None
        """What the application raised; the server has ended because of it."""
        self._application = application
        self._path = path
        self._broken = asyncio.Event()
        self._open = False
        self._stopped = False
        """Set in whichever thread breaks, before another call can begin there."""
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._driver: _Connection | None = None
        self._consensus = ThreadPoolExecutor(1, "abci-consensus")
        self._reading = ThreadPoolExecutor(1, "abci-reading")
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            Malformed: `comet.socket_path`: the path is too long for a socket.
            Rejected: `comet.socket_folder`: others may enter the socket's folder.
            Unavailable: `comet.socket`: another server listens there, or the path cannot be used.
        """
        try:
            await asyncio.to_thread(_prepare, self._path)
            self._open = True
            self._listener = await asyncio.start_unix_server(self._accept, self._path)
            self._path.chmod(0o600)
        except OSError as error:
            raise Unavailable("comet.socket", f"cannot listen on {self._path}: {error}", path=self._path) from error

    async def stop(self) -> None:
        """Close every connection, finish the call under way, and remove the socket. Twice is once."""
        self._open = False
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._path.unlink(missing_ok=True)
        await self._disconnect()
        # A call of consensus that has begun is not stopped half-way: what it keeps, it keeps whole.
        for thread in (self._consensus, self._reading):
            await asyncio.to_thread(thread.shutdown)

    async def _disconnect(self) -> None:
        ending = list(self._connections.values())
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.failure is not None or not self._open or len(self._connections) >= CONNECTIONS_MAX:
            _log.warning("comet.connection_refused", open=len(self._connections))
            writer.transport.abort()
            return
        connection = _Connection(self, reader, writer)
        task = self._connections[connection] = asyncio.ensure_future(connection.serve())
        task.add_done_callback(lambda _: self._forget(connection))

    def _forget(self, connection: "_Connection") -> None:
        connection.abort()  # it may have been cancelled before it began, or while it closed
        del self._connections[connection]
        if self._driver is connection:
            self._driver = None

    def fail(self, error: Exception) -> None:
        """The application broke: remember why, and let nothing go on."""
        self._stopped = True
        if self.failure is None:
            self.failure = error
            _log.error("comet.application_failed", exc_info=error)
            self._broken.set()

    async def broken(self) -> Exception:
        """Wait until the application breaks; what it raised."""
        await self._broken.wait()
        must(self.failure is not None, "what is broken has a failure")
        return self.failure  # type: ignore[return-value] # the line above

    def begin(self, connection: "_Connection", message: bytes) -> _Answer:
        """Begin what a message asks; returns its answer, now or later.

        Raises:
            Malformed: the message is none that an engine sends. Rejected: `comet.two_engines`.
        """
        name, request = translate.request_of(message)
        if name in POOL:
            answer = POOL[name](self._application, request)
            return answer if isinstance(answer, pb.Response) else asyncio.ensure_future(self._guarded(answer))
        if name in DRIVING:
            self._claim(connection)
            return self._run(self._consensus, DRIVING[name](self._application, request))
        if name in CHANGING:
            return self._run(self._consensus, CHANGING[name](self._application, request))
        if name in READING:
            return self._run(self._reading, READING[name](self._application, request))
        if name == "echo":
            return pb.Response(echo=pb.ResponseEcho(message=request.echo.message))
        must(name == "flush", "every method has a row")
        return pb.Response(flush=pb.ResponseFlush())

    def _claim(self, connection: "_Connection") -> None:
        if self._driver not in {None, connection}:
            raise Rejected("comet.two_engines", "another engine drives this application already; stop one of them")
        self._driver = connection

    def _run(self, thread: ThreadPoolExecutor, work: Work) -> asyncio.Future[pb.Response]:
        loop = asyncio.get_running_loop()

        def run() -> pb.Response:
            # What was asked before the answer could say no: a commit behind a block that broke a rule.
            if self._stopped:
                raise Unavailable("comet.application_failed", "the application broke; nothing more is done")
            try:
                return work()
            except Exception as error:
                self._stopped = True
                # Told here and not by who waits for the answer: the engine may have hung up meanwhile.
                loop.call_soon_threadsafe(self.fail, error)
                raise

        return loop.run_in_executor(thread, run)

    async def _guarded(self, work: Later) -> pb.Response:
        try:
            return await work
        except Exception as error:
            self.fail(error)
            raise


class _Connection:
    """One connection: a task reads and begins, another answers in order."""

    def __init__(self, server: AbciServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._waiting: deque[tuple[int, _Answer]] = deque()
        self._waiting_bytes = 0
        self._more = asyncio.Event()
        self._room = asyncio.Event()

    async def serve(self) -> None:
        """Until the client leaves, asks for what it must not, or the application breaks."""
        tasks = [asyncio.ensure_future(work) for work in (self._read(), self._answer(), self._server.broken())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if isinstance(error, Exception) and not isinstance(error, ConnectionError):
                    self._server.fail(error)
            if self._server.failure is not None:
                # An engine takes an exception for the answer to whatever it asked last, and stops.
                self._writer.write(frame(translate.failed(_sentence(self._server.failure)).SerializeToString()))
        finally:
            for task in tasks:
                task.cancel()
            for _, answer in self._waiting:
                if isinstance(answer, asyncio.Future) and not answer.cancel() and not answer.cancelled():
                    answer.exception()  # looked at, so that nobody reports it as overlooked
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    def abort(self) -> None:
        """Close at once, whatever is left unsaid."""
        self._writer.transport.abort()

    async def _read(self) -> None:
        """Begin what arrives, until the client leaves. After a bad request nothing more is read."""
        deframer = Deframer()
        deadline: float | None = None
        clock = asyncio.get_running_loop().time
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    data = await self._reader.read(READ_BYTES)
                if not data:
                    return
                for message in deframer.feed(data):
                    deadline = None
                    await self._until_room()
                    self._put(len(message), self._server.begin(self, message))
                if not deframer.partial:
                    deadline = None
                elif deadline is None:
                    deadline = clock() + MESSAGE_S_MAX
        except TimeoutError:
            _log.warning("comet.slow_client", limit_s=MESSAGE_S_MAX)
        except ParaphError as error:
            _log.error("comet.bad_request", code=error.code, message=error.message)
            self._put(0, translate.failed(str(error)))
            await asyncio.Event().wait()  # until what came before is answered, and then this

    async def _answer(self) -> None:
        """Send answers in the order of the requests, as many at once as are ready; an exception is the last."""
        out = bytearray()
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            size, answer = self._waiting[0]
            response = await answer if isinstance(answer, asyncio.Future) else answer
            self._waiting.popleft()
            self._waiting_bytes -= size
            self._room.set()
            out += frame(response.SerializeToString())
            if not self._next_is_ready() or len(out) >= WRITE_BYTES:
                self._writer.write(bytes(out))
                out.clear()
                await self._writer.drain()
            if response.HasField("exception"):
                return

    def _next_is_ready(self) -> bool:
        if not self._waiting:
            return False
        _, answer = self._waiting[0]
        return not isinstance(answer, asyncio.Future) or answer.done()

    def _put(self, size: int, answer: _Answer) -> None:
        self._waiting.append((size, answer))
        self._waiting_bytes += size
        self._more.set()

    async def _until_room(self) -> None:
        while len(self._waiting) >= IN_FLIGHT_MAX or self._waiting_bytes >= IN_FLIGHT_BYTES_MAX:
            self._room.clear()
            await self._room.wait()

    async def _close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(STOP_S_MAX):
                await self._writer.wait_closed()


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:ERROR_TEXT_MAX].encode(errors="replace").decode()


def _prepare(path: Path) -> None:
    """Make the socket's folder, private, and remove what an earlier server left; never a server that lives."""
    if len(bytes(path)) > SOCKET_PATH_BYTES_MAX:
        raise Malformed("comet.socket_path", f"{path} is longer than a socket's {SOCKET_PATH_BYTES_MAX} bytes")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = path.parent.stat()
    if folder.st_uid != os.getuid() or stat.S_IMODE(folder.st_mode) & 0o077:
        raise Rejected("comet.socket_folder", f"{path.parent} must be ours, with mode 0700: who connects, decides")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        else:
            raise Unavailable("comet.socket", f"another server listens on {path}; stop it first", path=path)
