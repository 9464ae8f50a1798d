"""Consensus by CometBFT: the engine as a child of this node, the chain behind it, and the seals it makes."""

import asyncio
import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from paraph.adapters.comet import home as engine_home
from paraph.adapters.comet.engine import Engine, find_binary
from paraph.adapters.comet.keys import identity
from paraph.adapters.comet.server import AbciServer
from paraph.core.encode import JsonObject
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import Digest
from paraph.core.smt import EMPTY
from paraph.flows.mempool import Mempool
from paraph.full_node.chain import Chain
from paraph.full_node.config import Config
from paraph.full_node.forms import Forms
from paraph.full_node.light_blocks import light_block_from_engine
from paraph.full_node.relay import Relay
from paraph.full_node.replicated import Replicated, app_state, evidence_s_max, first_powers
from paraph.full_node.snapshots import Snapshots
from paraph.ledger import tree
from paraph.ledger.genesis import Genesis
from paraph.ledger.state import State
from paraph.proofs.light.types import LightBlock
from paraph.proofs.seal import ValidatorSeal, engine_chain_id

ENGINE: Final = "comet"
"""The engine's folder in the node's home."""
WATCH_S: Final = 2.0
"""Between two looks at the engine."""
SEALS_KEPT: Final = 64
"""Light blocks kept: clients ask for the newest, and for the few that lead there."""

_log = structlog.get_logger()


class Agreement:
    """One validator, or a node that follows validators (`Engine` of a full node).

    Args:
        home: the node's folder; the engine's is `comet` in it.
        chain: the chain.
        config: the node's configuration.
        forms: checks transactions' forms.
    """

    def __init__(self, home: Path, chain: Chain, config: Config, forms: Forms) -> None:
        self.failure = ""
        self.peers = 0
        """Other nodes connected, as last asked."""
        self.syncing = False
        """True while others have blocks that this node lacks, as last asked."""
        self.snapshots: Final = Snapshots(
            chain, home / "snapshots", config.store.snapshot_blocks, config.store.snapshots_kept
        )
        self.application: Final = Replicated(chain, forms, self.snapshots)
        self.mempool: Final[Mempool] = self.application.mempool
        self.forms: Final = forms
        self._chain = chain
        self._config = config
        self._home = home / ENGINE
        self._server = AbciServer(self.application, engine_home.abci_socket(self._home))
        self._engine = Engine(find_binary(os.environ), self._home)
        self._relay = Relay(self._engine.rpc, self.mempool)
        self._seals: OrderedDict[int, LightBlock] = OrderedDict()

    async def submit(self, raw: bytes) -> Digest:
        """Take a transaction, and have it spread.

        Raises:
            Malformed, Rejected, Unavailable: it can never or not now be included; `node.stopped` after a failure.
        """
        if self.failure:
            raise Unavailable("node.stopped", f"this node takes no more: {self.failure}")
        tx_hash = (await self.application.admit(raw)).hash
        self._relay.send(tx_hash)
        return tx_hash

    async def newest(self) -> ValidatorSeal:
        """See `Seals.newest`: the votes on a block believe the state before it.

        Raises:
            Unavailable: `light.none_yet`: there is no second block yet, or this node is still catching up.
        """
        head = self._chain.height
        for height in (head, head - 1):
            with suppress(ParaphError):
                if height - 1 >= self._chain.state_first:
                    return ValidatorSeal((await self.light_block(height),))
        raise Unavailable("light.none_yet", f"no votes on block {head} are here yet; ask again in a moment")

    async def light_block(self, height: int) -> LightBlock:
        """See `Seals.light_block`.

        Raises:
            Rejected: `light.none`: there is no such block here. Unavailable: the engine does not answer.
        """
        found = self._seals.get(height)
        if found is not None:
            return found
        if not 0 < height <= self._chain.height:
            raise Rejected("light.none", f"there are blocks 1 to {self._chain.height}, not {height}", height=height)
        found = light_block_from_engine(*await self._engine.rpc.light_block_parts(height))
        self._seals[height] = found
        while len(self._seals) > SEALS_KEPT:
            self._seals.popitem(last=False)
        return found

    async def decided(self, height: int) -> LightBlock:
        """See `Court.decided`: asked anew, since the votes first seen on a block may be others than those kept."""
        if height >= self._chain.height:
            raise Unavailable("light.none_yet", f"no block follows {height} here yet; ask again after the next one")
        return light_block_from_engine(*await self._engine.rpc.light_block_parts(height))

    async def accuse(self, evidence: JsonObject) -> Digest:
        """See `Court.accuse`."""
        return await self._engine.rpc.broadcast_evidence(evidence)

    @property
    def engine_pid(self) -> int | None:
        """The engine's process id while it lives."""
        return self._engine.pid

    async def run(self) -> None:
        """Run the engine until cancelled, or until the application has failed."""
        try:
            write_engine_home(self._home, self._chain, self._config)
            await self._server.start()
            await self._engine.start()
            async with asyncio.TaskGroup() as tasks:
                for work in (self._relay.run(), self._watch(), self._until_broken()):
                    tasks.create_task(work)
        except Exception as error:  # noqa: BLE001  whatever it was, the node takes part no more: say so
            self._fail(error)
        finally:
            await self._engine.stop()

    async def close(self) -> None:
        """Stop the engine, finish the call under way, end the workers."""
        await self._engine.stop()
        await self._server.stop()
        self.forms.close()

    async def _until_broken(self) -> None:
        raise await self._server.broken()

    async def _watch(self) -> None:
        while True:
            with suppress(ParaphError):
                self.syncing = (await self._engine.rpc.status()).catching_up
                self.peers = await self._engine.rpc.peers()
            await asyncio.sleep(WATCH_S)

    def _fail(self, error: Exception) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        self.failure = f"{type(error).__name__}: {error}"
        _log.error("agreement.stopped", reason=self.failure, exc_info=error)


def write_engine_home(home: Path, chain: Chain, config: Config) -> str:
    """Write what the engine reads, and make its keys when it has none. Returns this node's id among peers.

    Raises:
        Malformed, Rejected, Unavailable: `comet.…`.
    """
    who = identity(home)
    trusting_period_s = chain.genesis.trust().trusting_period_s
    engine_home.write_home(home, engine_settings(config, trusting_period_s), engine_genesis(chain.genesis))
    return who.node_id


def engine_settings(config: Config, trusting_period_s: int) -> engine_home.Settings:
    """The node's configuration in the engine's words."""
    consensus, sync = config.consensus, config.sync
    state_sync = engine_home.StateSync(sync.servers, sync.trust_height, sync.trust_hash, trusting_period_s)
    return engine_home.Settings(
        moniker=consensus.moniker or "paraph",
        p2p_listen=f"tcp://{consensus.listen}",
        external_address=consensus.external_address,
        persistent_peers=consensus.peers,
        seeds=consensus.seeds,
        addr_book_strict=not consensus.private_network,
        allow_duplicate_ip=consensus.private_network,
        rpc_listen=f"tcp://{consensus.rpc_listen}" if consensus.rpc_listen else "",
        validator_listen=consensus.signer_listen,
        mempool=consensus.mempool,
        timeout_propose_ms=consensus.propose_wait_ms,
        timeout_commit_ms=consensus.block_pause_ms,
        state_sync=state_sync if sync.servers else None,
        log_level=consensus.log_level,
    )


def engine_genesis(genesis: Genesis) -> engine_home.Genesis:
    """The network's genesis in the engine's words: it follows from ours alone, so that all nodes write the same."""
    changes = genesis.state()
    # In time, and in blocks of a second each: both must have passed before evidence is too old.
    evidence_s = evidence_s_max(State(changes.get))
    return engine_home.Genesis(
        chain_id=engine_chain_id(genesis.chain_id, genesis.digest()),
        time_s=genesis.time_s,
        validators=tuple(
            engine_home.Validator(each.key.hex()[:16], each.key, each.power) for each in first_powers(genesis)
        ),
        root=tree.update(lambda _: None, EMPTY, changes).root,
        state=app_state(genesis),
        version=1,
        evidence_s_max=evidence_s,
        evidence_blocks_max=evidence_s,
    )
