"""Forwards connections from one place to another, blindly: `python -m paraph.adapters.enclaves.forward`.

Outside an enclave it carries what arrives by TCP to the enclave's vsock; inside, what arrives by vsock to the node, and
the node's own questions the other way. It looks at no byte, so it can stand where nobody is trusted.
"""

import argparse
import asyncio
import signal
import socket
import sys
from contextlib import suppress
from typing import Final

from paraph.adapters.enclaves.vsock import Place, Tcp, connect, listen, place_from_text, text_of
from paraph.core.errors import ParaphError

CONNECTIONS_MAX: Final = 1_024
"""At the same time; each takes two sockets, and most systems give a process 4 096 or more."""
CONNECT_S_MAX: Final = 10
PIECE_BYTES: Final = 64 * 1024
"""What is carried at once: the sockets' own buffers are of this size."""


class Forwarder:
    """Carries connections until it is closed.

    Args:
        source: where connections arrive.
        target: where each is carried to.

    Raises:
        Unavailable: `vsock.listen`.
    """

    def __init__(self, source: Place, target: Place) -> None:
        self._listening = listen(source)
        self._source = source
        self._target = target
        self._open: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)

    @property
    def source(self) -> Place:
        """Where connections arrive; with the port that the system chose where 0 was asked for."""
        if isinstance(self._source, Tcp):
            return Tcp(self._source.host, self._listening.getsockname()[1])
        return self._source

    async def run(self) -> None:
        """Carry connections until cancelled; then all end."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._places.acquire()
                arrived, _ = await loop.sock_accept(self._listening)
                task = loop.create_task(self._carry(arrived))
                self._open.add(task)
                task.add_done_callback(self._ended)
        finally:
            self._listening.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._places.release()

    async def _carry(self, arrived: socket.socket) -> None:
        """Carry one connection both ways, until both sides have said all, or one breaks."""
        loop = asyncio.get_running_loop()
        with arrived:
            try:
                other = await asyncio.to_thread(connect, self._target, CONNECT_S_MAX)
            except ParaphError as error:
                sys.stderr.write(f"paraph forward: {error}\n")
                return
            with other:
                other.setblocking(False)
                ways = [loop.create_task(_copy(one, to)) for one, to in ((arrived, other), (other, arrived))]
                try:
                    await asyncio.gather(*ways)
                # Either end may go away at any time: that ends both ways, and is nobody's fault.
                except OSError:
                    pass
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way, and say that it was all."""
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(source, PIECE_BYTES):
        await loop.sock_sendall(target, piece)
    target.shutdown(socket.SHUT_WR)


async def forward(source: Place, target: Place) -> None:
    """Carry connections from `source` to `target` until told to stop by a signal. Says so when it has begun.

    Raises:
        Unavailable: `vsock.listen`.
    """
    forwarder = Forwarder(source, target)
    running = asyncio.create_task(forwarder.run())
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, running.cancel)
    sys.stdout.write(f"{text_of(forwarder.source)} -> {text_of(target)}\n")
    sys.stdout.flush()
    with suppress(asyncio.CancelledError):
        await running


def main() -> int:
    """Run until told to stop. Returns the exit code: 0 stopped, 1 cannot run."""
    parser = argparse.ArgumentParser(prog="python -m paraph.adapters.enclaves.forward", description=__doc__)
    places = "tcp:HOST:PORT, vsock:NUMBER:PORT or unix:PATH"
    parser.add_argument("--listen", required=True, help=f"where connections arrive: {places}, or vsock:any:PORT")
    parser.add_argument("--connect", required=True, help=f"where each is carried to: {places}")
    options = parser.parse_args()
    try:
        asyncio.run(forward(place_from_text(options.listen), place_from_text(options.connect)))
    except ParaphError as error:
        sys.stderr.write(f"paraph forward: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
