"""A node for tests: the small application, its server, and the real engine beside it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.unit.adapters.comet.keyvalue import KeyValue, Kv

from paraph.adapters.comet.engine import Engine
from paraph.adapters.comet.home import Genesis, Settings, Validator, abci_socket, sockets_folder, write_home
from paraph.adapters.comet.keys import identity
from paraph.adapters.comet.server import AbciServer

STATE = {"first": "row"}
WAIT_S = 60


def genesis_of(*homes: Path, extensions_from: int = 0) -> Genesis:
    """All homes are validators, each with ten votes."""
    return Genesis(
        chain_id="test-1",
        time_s=1_750_000_000,
        validators=tuple(Validator(home.name, identity(home).validator_key, 10) for home in homes),
        root=Kv(0, 7, tuple(STATE.items())).root,
        state=STATE,
        version=7,
        evidence_s_max=3_600,
        evidence_blocks_max=1_000,
        extensions_from=extensions_from,
    )


QUICK = Settings(
    "test",
    p2p_listen="tcp://127.0.0.1:0",
    addr_book_strict=False,
    allow_duplicate_ip=True,
    timeout_commit_ms=50,
    log_level="error",
)


@dataclass
class Node:
    application: KeyValue
    server: AbciServer
    engine: Engine

    async def height(self, least: int) -> None:
        """Wait until the application has kept this height."""
        await until(lambda: self.application.state.height >= least)


@asynccontextmanager
async def running(
    binary: Path, home: Path, genesis: Genesis, settings: Settings = QUICK, application: KeyValue | None = None
) -> AsyncIterator[Node]:
    application = application or KeyValue(home / "application")
    identity(home)
    write_home(home, settings, genesis)
    server = AbciServer(application, abci_socket(home))
    engine = Engine(binary, home)
    try:
        await server.start()
        async with asyncio.timeout(WAIT_S):
            await engine.start()
        yield Node(application, server, engine)
    finally:
        await engine.stop()
        await server.stop()
        shutil.rmtree(sockets_folder(home), ignore_errors=True)  # where the home's path is too long, it is elsewhere


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another process brings about: only looking again tells."""
    async with asyncio.timeout(WAIT_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def until_awaited(true: Callable[[], Awaitable[bool]]) -> None:
    """As `until`, for what has to be asked."""
    async with asyncio.timeout(WAIT_S):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
