"""The full node: a chain in a store, an engine that makes its blocks, and the door where wallets and nodes ask."""

import asyncio
import fcntl
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paraph.adapters.http.server import HttpServer, read_body
from paraph.adapters.solo.engine import Solo
from paraph.adapters.store.lmdb import LmdbStore
from paraph.adapters.system import SystemClock
from paraph.core.errors import Unavailable
from paraph.core.keys import PrivateKey
from paraph.flows.ports import Clock
from paraph.full_node.chain import Chain
from paraph.full_node.ethereum import methods
from paraph.full_node.production import Production
from paraph.full_node.rpc import BODY_BYTES_MAX, answer
from paraph.ledger.genesis import Genesis

CONTENT_TYPES: Final = ("application/json", "application/json-rpc", "application/jsonrequest")
"""What a call may be sent as. A web page may send other types anywhere unasked; these it may not."""

_log = structlog.get_logger()


class FullNode:
    """A full node of a solo network.

    Args:
        home: its folder; the chain is kept in `home/chain`. One process at a time.
        genesis: what the network starts from.
        producer: the key that signs blocks; one of the genesis's producers.
        host, port: where it listens; port 0 lets the system choose.
        interval_s: seconds between blocks; 0 makes one whenever a transaction waits.
        clock: gives blocks their time.

    Raises:
        Unavailable: `node.running`: another process has this home open; `store.open`.
        Rejected: `chain.genesis`, `chain.producer`.
    """

    def __init__(
        self,
        home: Path,
        genesis: Genesis,
        producer: PrivateKey,
        host: str = "127.0.0.1",
        port: int = 0,
        interval_s: float = 0,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._lock = _Lock(home)
        try:
            self._store = LmdbStore(home / "chain")
            self.chain: Final = Chain(self._store, genesis, producer)
        except BaseException:
            self._lock.release()
            raise
        self.engine: Final = Solo(self.chain, clock, interval_s)
        self.production: Final = Production(self.engine)
        self._methods = methods(self.chain, self.engine.mempool, self.production, clock)
        routes = [Route("/", self._rpc, methods=["POST"]), Route("/health", self._health, methods=["GET"])]
        self._http = HttpServer(Starlette(routes=routes), host, port)
        self._making: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen and make blocks. Returns the base URL.

        Raises:
            Unavailable: `http.address`.
        """
        url = await self._http.start()
        self._making = asyncio.create_task(self.production.run())
        _log.info("full_node.started", url=url, network=self.chain.genesis.network, height=self.chain.height)
        return url

    async def stop(self) -> None:
        """Finish what is in work, close everything. Stopping twice is stopping once."""
        await self._http.stop()
        if self._making is not None:
            self._making.cancel()
            with suppress(asyncio.CancelledError):
                await self._making
            self._making = None
            _log.info("full_node.stopped", height=self.chain.height)
        self._store.close()
        self._lock.release()

    async def _rpc(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in CONTENT_TYPES:
            return JSONResponse({"error": f"send {CONTENT_TYPES[0]}"}, 415)
        found = await answer(self._methods, await read_body(request, BODY_BYTES_MAX))
        return Response(found, 200 if found else 204, media_type="application/json")

    async def _health(self, _request: Request) -> Response:
        header = self.chain.head.header
        told: dict[str, object] = {
            "height": header.height,
            "time": header.time_s,
            "network": self.chain.genesis.network,
            "chain_id": header.chain_id,
        }
        failure = self.production.failure
        return JSONResponse({**told, "failure": failure}, 503) if failure else JSONResponse(told)


class _Lock:
    """A folder held by this process alone: two that make blocks of one store would sign two chains."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = (home / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise Unavailable("node.running", f"another process runs a full node in {home}", home=home) from error

    def release(self) -> None:
        self._file.close()
