"""A full node's door for tests: a real chain in memory, a real index, real sockets, on a thread of its own.

The one place that knows how these parts are put together before a whole node is made of them.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from tests.unit.full_node.world import Asker, Desk

from paraph.adapters.ethereum.rpc import Method
from paraph.adapters.http.server import HttpServer
from paraph.adapters.index.open import open_sqlite
from paraph.adapters.index.port import EventIndex
from paraph.full_node.door import Door, DoorConfig, Socket
from paraph.full_node.ethereum import methods
from paraph.full_node.index import Index
from paraph.full_node.metrics import Metrics
from paraph.full_node.subscriptions import Subscriptions

T = TypeVar("T")


class Doorstep(Asker):
    """A door on loopback, before a desk whose blocks are made by hand.

    Blocks are made in the loop of the door, as a node's are: the chain has one writer.
    """

    def __init__(self, desk: Desk, config: DoorConfig, opened: Callable[[], EventIndex] | None) -> None:
        self.desk: Final = desk
        self.metrics: Final = Metrics()
        self.subscriptions: Final = Subscriptions(config.limits)
        self.index: Final = None if opened is None else Index(desk.chain, opened)
        self.methods: Final[dict[str, Method]] = methods(
            desk.chain, desk.production, desk.clock, self.index, self.subscriptions
        )
        self.door: Final = Door(
            self.methods, self.subscriptions, lambda: (200, {"height": desk.chain.height}), config, self.metrics
        )
        desk.chain.listen(lambda stored, _applied: self.subscriptions.block(stored))
        if self.index is not None:
            index = self.index
            desk.chain.listen(lambda _stored, _applied: index.wake())
        self.server: Final = HttpServer(self.door.app(), websocket=Socket)
        self.url = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.http: httpx.Client | None = None
        super().__init__(self._post)

    @property
    def socket_url(self) -> str:
        """Where WebSockets go."""
        return self.url.replace("http", "ws", 1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine in the door's loop."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def settle(self, *raw: bytes) -> list[str]:
        """Hand in transactions and make a block of them. Their hashes."""

        async def work() -> list[str]:
            hashes = []
            for each in raw:
                tx_hash = await self.desk.production.submit(each)
                self.subscriptions.pending(tx_hash)
                hashes.append("0x" + tx_hash.hex())
            self.desk.engine.produce()
            return hashes

        return self.run(work())

    def _post(self, body: bytes) -> bytes:
        assert self.http is not None
        return self.http.post("/", content=body).content


@contextmanager
def doorstep(
    config: DoorConfig | None = None, desk: Desk | None = None, opened: Callable[[], EventIndex] | None = None
) -> Iterator[Doorstep]:
    """A door while the block lasts."""
    found = Doorstep(desk or Desk(), config or DoorConfig(), opened)
    started, stopping = threading.Event(), asyncio.Event()
    failed: list[BaseException] = []

    async def serve() -> None:
        try:
            found.url = await found.server.start()
            found.loop = asyncio.get_running_loop()
            if found.index is not None:
                await found.index.start()
            started.set()
            await stopping.wait()
        except BaseException as error:  # noqa: BLE001  it is raised again where the test waits
            failed.append(error)
            started.set()
        finally:
            await found.server.stop()
            if found.index is not None:
                await found.index.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait(20)
    try:
        if failed:
            raise failed[0]
        with httpx.Client(base_url=found.url, timeout=20, headers={"content-type": "application/json"}) as http:
            found.http = http
            yield found
    finally:
        if found.loop is not None:
            found.loop.call_soon_threadsafe(stopping.set)
        thread.join(30)


def sqlite_in(folder: Path, desk: Desk) -> Callable[[], EventIndex]:
    """Opens an index of a desk's chain in a folder."""
    return lambda: open_sqlite(folder / "index.sqlite", desk.chain.genesis_digest)
