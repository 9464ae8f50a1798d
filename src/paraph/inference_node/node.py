"""The inference node: opens its models, serves its doors, settles what it earns."""

import asyncio
from dataclasses import dataclass, field

import structlog
from starlette.applications import Starlette

from paraph.adapters.blobs.folder import FolderBlobs
from paraph.adapters.http.client import AsyncDriver, Means
from paraph.adapters.http.server import HttpServer
from paraph.adapters.http.tls import serving
from paraph.adapters.provers.engine import ExactEngine
from paraph.adapters.store.lmdb import LmdbStore
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import ModelId
from paraph.core.keys import PrivateKey
from paraph.flows.ports import Clock
from paraph.flows.serve import Identity
from paraph.inference_node import cards, inference_protocol, native, openai, proof_routes
from paraph.inference_node.config import MODES, Config
from paraph.inference_node.enclave import Attested, enclave_of
from paraph.inference_node.ledger import LedgerView
from paraph.inference_node.models import Served, folder_of, open_elsewhere, open_model
from paraph.inference_node.offering import Offering
from paraph.inference_node.outbox import Outbox
from paraph.inference_node.promises import Promises
from paraph.inference_node.proof_ledger import FullNode
from paraph.inference_node.proof_process import ProofProcess
from paraph.inference_node.prover import Prover
from paraph.inference_node.sealed import sealed_route
from paraph.inference_node.service import Service
from paraph.inference_node.settler import Settler
from paraph.inference_node.upstreams import read_upstreams
from paraph.proofs.zk.statement import Exact

log = structlog.get_logger("paraph.node")


@dataclass(slots=True)
class InferenceNode:
    """A node that can be started and stopped.

    Args:
        config: how it runs.
        key: the hot key: signs receipts, and pays the gas of settlements.
        clock: stamps receipts.
    """

    config: Config
    key: PrivateKey
    clock: Clock = field(default_factory=SystemClock)
    _models: dict[ModelId, Served] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _store: LmdbStore | None = None
    _driver: AsyncDriver | None = None
    _server: HttpServer | None = None
    service: Service | None = None
    settler: Settler | None = None
    attested: Attested | None = None
    prover: Prover | None = None

    async def start(self) -> str:
        """Open models, listen, register the enclave if there is one, and begin to settle. Returns the base URL.

        Raises:
            Unavailable: `node.owes_proofs`: proofs are due and none can be made.
            Unavailable, Rejected, Malformed: a model, the store or the port cannot be used.
        """
        config = self.config
        blobs = FolderBlobs(config.home / "blobs")
        upstreams = read_upstreams(config.home)
        if config.enclave and upstreams:
            # The enclave would sign for what another machine computed, and hand it every prompt.
            named = ", ".join(sorted(upstreams))
            raise Rejected("enclave.upstream", f"a node in an enclave runs its models itself; {named} is run elsewhere")
        for manifest in config.manifests:
            if manifest.name in upstreams:
                served = await open_elsewhere(upstreams[manifest.name], manifest, slots=config.slots)
            else:
                served = await open_model(
                    blobs, manifest, config.home / "models", slots=config.slots, threads=config.threads
                )
            self._models[served.model_id] = served
            log.info("model ready", name=manifest.name, id=served.model_id.hex(), engine=served.engine.profile.engine)
        self._store = LmdbStore(config.home / "outbox")
        self._driver = AsyncDriver(Means(config.rpc_url, self.clock.now_ms, random_bytes, self.key.sign))
        outbox = Outbox(self._store)
        identity = Identity(config.trust.chain_id, config.operator, self.key)
        ledger = LedgerView(self._driver, config.trust, self.clock)
        self.service = Service(identity, self._models, ledger, outbox, self.clock)
        self.settler = Settler(self._driver, self.service, outbox, config.settle_interval_ms / 1000)
        self.prover = await self._open_prover(self._driver, self.settler, Promises(self._store, outbox))
        routes = [
            *native.routes(self.service),
            *openai.routes(self.service),
            *inference_protocol.routes(self.service),
            *cards.routes(self._models, config.home / "models"),
            *([] if self.prover is None else proof_routes.routes(self.prover)),
        ]
        tls = None
        if config.enclave:
            enclave = enclave_of(config, self.clock)
            self.attested = Attested(enclave, config.trust, self.service, self._driver, self.clock)
            routes += self.attested.routes()
            opened = Starlette(routes=routes)
            attested = self.attested
            routes = [
                *routes,
                sealed_route(opened, attested.sealing_key, attested.bindings, self.clock, random_bytes),
            ]
            tls = serving(self.attested.tls_key, self.clock.now_ms() // 1000)
        self._server = HttpServer(Starlette(routes=routes), config.host, config.port, tls=tls)
        url = await self._server.start()
        if self.attested is not None:
            await self.attested.first()
            self._tasks.append(asyncio.create_task(self.attested.run()))
        if self.prover is not None:
            self._tasks.append(asyncio.create_task(self.prover.run(config.settle_interval_ms / 1000)))
        self._tasks += [
            asyncio.create_task(self.settler.run()),
            asyncio.create_task(self.settler.heartbeat(config.heartbeat_interval_s)),
            asyncio.create_task(self._watch_outbox(outbox)),
        ]
        return url

    async def stop(self) -> None:
        """Finish what runs, then close everything. Pending receipts stay in the outbox for the next start."""
        if self._server is not None:
            await self._server.stop()
        if self.service is not None:
            await self.service.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.service is not None:
            await self.service.outbox.flushed()
        if self.prover is not None:
            await self.prover.process.close()
        for served in self._models.values():
            await served.engine.close()
        if self._driver is not None:
            await self._driver.close()
        if self._store is not None:
            self._store.close()

    async def _open_prover(self, driver: AsyncDriver, settler: Settler, promises: Promises) -> Prover | None:
        """What proves the exact models' answers; None where nothing can, which the log and refusals explain."""
        config, service, mode = self.config, settler.service, MODES[self.config.proof_mode]
        graphs = {
            model_id: served.engine.graph
            for model_id, served in self._models.items()
            if isinstance(served.engine, ExactEngine)
        }
        if mode is None or not graphs:
            return None
        log.info("preparing to prove; the first time on a machine this takes a minute", models=len(graphs))
        folders = {model_id: folder_of(config.home / "models", model_id) for model_id in graphs}
        process = ProofProcess(folders, mode, config.proof_memory_mb, config.proof_time_s_max)
        try:
            roots, paces = await process.roots(), await process.paces()
        except ParaphError as error:
            await process.close()
            owed = len(promises.unproven())
            if owed:
                # A node that went on would lose its bond without a word.
                said = f"{owed} promised proofs are due, and none can be made: {error.message}"
                raise Unavailable("node.owes_proofs", said, owed=owed) from error
            # Without proofs the same models are still worth asking.
            service.unprovable |= dict.fromkeys(graphs, error)
            log.warning("this node proves nothing", code=error.code, reason=error.message)
            return None
        service.load.backlog_s_max = config.proof_backlog_s_max
        for model_id, seconds in paces.items():
            service.load.measured(model_id, seconds)
        for model_id in promises.owed():
            service.load.owe(model_id)
        exact = {model_id: Exact(graph, roots[model_id]) for model_id, graph in graphs.items()}
        ledger = FullNode(driver, config.trust, service, settler)
        offering = Offering(ledger, service, exact, mode)
        await offering.look()
        gather_s = config.proof_gather_ms / 1000
        return Prover(ledger, service, promises, process, offering, mode, gather_s, self.clock)

    async def _watch_outbox(self, outbox: Outbox) -> None:
        """While the outbox fails, try it now and then, so that the node serves again when there is room."""
        while True:
            await asyncio.sleep(1)
            if outbox.failure is not None:
                try:
                    await outbox.probe()
                except Unavailable as error:
                    log.warning("outbox fails", reason=error.message)
