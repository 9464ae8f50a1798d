"""The full node: a chain in a store, an engine that decides its blocks, and the door where wallets and nodes ask.

A genesis with a producer is a solo network's: its key makes blocks. One with validators runs under CometBFT.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from paraph.adapters.ethereum.rpc import Group
from paraph.adapters.http.server import HttpServer
from paraph.adapters.index.open import open_postgres, open_sqlite
from paraph.adapters.provers import verifier
from paraph.adapters.signatures import remembering
from paraph.adapters.store.lmdb import LmdbStore
from paraph.adapters.system import SystemClock
from paraph.core.encode import JsonObject
from paraph.core.errors import BrokenTruth, Malformed, Rejected, Unavailable
from paraph.core.keys import PrivateKey
from paraph.flows.ports import Clock
from paraph.full_node.agreement import Agreement
from paraph.full_node.chain import Chain, Outcome
from paraph.full_node.config import Config, address_of
from paraph.full_node.door import PUBLIC, Door, DoorConfig, Socket
from paraph.full_node.engine import Engine
from paraph.full_node.ethereum import methods
from paraph.full_node.forms import Forms, Signatures
from paraph.full_node.index import Index
from paraph.full_node.lock import Lock
from paraph.full_node.metrics import Metrics
from paraph.full_node.production import Production
from paraph.full_node.solo import SoloApplication
from paraph.full_node.subscriptions import Subscriptions
from paraph.full_node.tables import StoredBlock
from paraph.full_node.timing import timed
from paraph.ledger.genesis import Genesis
from paraph.ledger.versions import RULES

CHAIN: Final = "chain"
"""The store's folder in the node's home."""
INDEX: Final = "index.sqlite"

_log = structlog.get_logger()


class FullNode:
    """A full node.

    Args:
        home: its folder; the chain is kept in `home/chain`. One process at a time.
        genesis: what the network starts from.
        producer: the key that signs blocks of a solo network; None where validators agree.
        config: how it runs.
        clock: gives solo blocks their time.

    Raises:
        Unavailable: `node.running`: another process has this home open; `store.open`, `store.corrupt`, `comet.missing`.
        Rejected: `chain.genesis`, `chain.producer`.
    """

    def __init__(
        self,
        home: Path,
        genesis: Genesis,
        producer: PrivateKey | None = None,
        config: Config | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._home = home
        self._config = config = config or Config()
        clock = clock or SystemClock()
        self.metrics: Final = Metrics()
        self._lock = Lock(home)
        try:
            self._store = LmdbStore(home / CHAIN)
            signatures = Signatures()
            self.chain: Final = self._opened(genesis, signatures)
            self.engine: Final = self._engine(producer, signatures, clock)
        except BaseException:
            self._lock.release()
            raise
        self.index: Final = self._index() if config.store.index else None
        self._subscriptions = Subscriptions(config.limits)
        self.chain.listen(self._heard)
        self.metrics.follow_mempool(self.engine.mempool)
        self.metrics.follow_peers(lambda: self.engine.peers)
        self._http = HttpServer(self._door(clock).app(), *address_of(config.rpc.listen, "rpc.listen"), Socket)
        self._scraped = (
            HttpServer(self.metrics.app(), *address_of(config.metrics.listen, "metrics.listen"))
            if config.metrics.listen
            else None
        )
        self._working: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen, and take part. Returns the base URL.

        Raises:
            Unavailable: `http.address`; `store.corrupt`: the state is not the one its last header commits to.
        """
        if self._config.store.check_at_start:
            await asyncio.to_thread(self._check)
        url = await self._http.start()
        if self._scraped is not None:
            _log.info("full_node.metrics", url=await self._scraped.start())
        if self.index is not None:
            await self.index.start()
        self._working = asyncio.create_task(self.engine.run())
        _log.info(
            "full_node.started",
            url=url,
            network=self.chain.genesis.network,
            height=self.chain.height,
            zk=verifier.kind(),
        )
        return url

    async def stop(self) -> None:
        """Finish what is in work, close everything. Stopping twice is stopping once."""
        await self._http.stop()
        if self._scraped is not None:
            await self._scraped.stop()
        if self._working is not None:
            self._working.cancel()
            with suppress(asyncio.CancelledError):
                await self._working
            self._working = None
            _log.info("full_node.stopped", height=self.chain.height)
        await self.engine.close()
        if self.index is not None:
            await self.index.stop()
        self._store.close()
        self._lock.release()

    # --- its parts ---

    def _opened(self, genesis: Genesis, signatures: Signatures) -> Chain:
        try:
            versions = timed(RULES, self.metrics.call_applied)
            history_blocks, form = self._config.store.history_blocks, signatures.form
            checks = replace(remembering(), zk=verifier.verify)
            return Chain(self._store, genesis, history_blocks, signatures, versions, form, checks)
        except (Malformed, BrokenTruth) as error:
            raise self._corrupt(error) from error

    def _check(self) -> None:
        try:
            self.chain.audit()
        except (Rejected, Malformed, BrokenTruth) as error:
            raise self._corrupt(error) from error

    def _corrupt(self, error: Exception) -> Unavailable:
        place = self._home / CHAIN
        said = f"{place} is damaged: {error}"
        return Unavailable(
            "store.corrupt", f"{said}; `paraph full-node reset --from-snapshot` repairs it", folder=place
        )

    def _engine(self, producer: PrivateKey | None, signatures: Signatures, clock: Clock) -> Engine:
        genesis, config = self.chain.genesis, self._config
        if genesis.producers:
            if producer is None:
                raise Rejected("chain.producer", "a solo network's node needs its producer's key")
            return Production(SoloApplication(self.chain, producer), clock, config.consensus.interval_ms / 1000)
        forms = Forms(genesis.chain_id, signatures, config.consensus.form_workers)
        self.metrics.follow_verify_queue(lambda: forms.waiting)
        return Agreement(self._home, self.chain, config, forms)

    def _index(self) -> Index:
        place, identity = self._config.store.index, self.chain.genesis_digest
        if place == "sqlite":
            index = Index(self.chain, lambda: open_sqlite(self._home / INDEX, identity))
        else:
            index = Index(self.chain, lambda: open_postgres(place, identity))
        self.metrics.follow_index(lambda: index.height, lambda: index.behind, lambda: bool(index.failure))
        return index

    def _door(self, clock: Clock) -> Door:
        rpc = self._config.rpc
        offered = methods(self.chain, self.engine, clock, self.index, self._subscriptions)
        groups = PUBLIC if rpc.submit else frozenset({Group.READ})
        if rpc.produce:
            groups |= {Group.OPERATE}
        config = DoorConfig(self._config.limits, rpc.cors_origins, groups)
        return Door(offered, self._subscriptions, self._health, config, self.metrics)

    def _heard(self, stored: StoredBlock, outcome: Outcome) -> None:
        """Tell of a block; in the engine's thread."""
        header = stored.header
        self.metrics.block(header.height, header.time_s, len(stored.transactions), outcome.seconds)
        self._subscriptions.block(stored)
        if self.index is not None:
            self.index.wake()

    def _health(self) -> tuple[int, JsonObject]:
        header = self.chain.head.header
        told: JsonObject = {
            "height": header.height,
            "time": header.time_s,
            "network": self.chain.genesis.network,
            "chain_id": header.chain_id,
            "peers": self.engine.peers,
            "syncing": self.engine.syncing,
            "index": None if self.index is None else self.index.health(),
        }
        failure = self.engine.failure
        return (503, {**told, "failure": failure}) if failure else (200, told)
