"""Which exact models the node offers to prove: those whose files are what the ledger has registered.

A proof is about the registered graph and weights. Had the node other ones, it would promise what it cannot prove, and
lose its bond; so it looks before it promises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import structlog

from paraph.core.errors import Malformed, ParaphError, Rejected
from paraph.core.ident import ModelId, to_hex
from paraph.core.limits import TX_BYTES_MAX
from paraph.inference_node.proof_ledger import ProofLedger
from paraph.inference_node.service import Service
from paraph.proofs.zk.graph import Graph
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import VERSION, Exact, Mode

LOOK_S: Final = 30.0
"""How often the ledger is asked again for a model that is not offered: its owner may register it meanwhile."""

BATCH_MAX: Final = 64
"""Answers of one proof: beyond, the time of one grows as fast as their number."""
PROOF_BYTES_MAX: Final = TX_BYTES_MAX - 64 * 1024
"""A proof travels in one transaction, beside up to 64 answers of 96 bytes and its envelope."""

log = structlog.get_logger("paraph.prover")


@lru_cache(256)
def batch_max(graph: Graph, mode: Mode) -> int:
    """How many runs one proof can be about, so that a transaction carries it; 0 where not even one."""
    size = BATCH_MAX
    while size:
        try:
            if plan(graph, size, mode).proof_bytes_max <= PROOF_BYTES_MAX:
                return size
        except Malformed:
            pass  # beyond a limit of the proof system: fewer may be within
        size //= 2
    return 0


@dataclass(frozen=True, slots=True)
class Offering:
    """The exact models of a node.

    Args:
        ledger: where models are registered.
        service: told what it may promise to prove, and why not the rest.
        exact: each model as the node's files have it.
        mode: what proofs give away.
    """

    ledger: ProofLedger
    service: Service
    exact: Mapping[ModelId, Exact]
    mode: Mode

    async def look(self) -> None:
        """Offer every model whose registration is that of the files. What cannot be offered is logged, with why."""
        for model_id, exact in self.exact.items():
            if model_id in self.service.identity.provable:
                continue
            before = self.service.unprovable.get(model_id)
            try:
                await self._compare(model_id, exact)
            except ParaphError as error:
                self.service.unprovable[model_id] = error
                if before is None or before.code != error.code:
                    log.warning("not offered with the layer zk", model=to_hex(model_id), reason=error.message)
            else:
                self.service.unprovable.pop(model_id, None)
                identity = self.service.identity
                self.service.identity = replace(identity, provable=identity.provable | {model_id})
                log.info("offered with the layer zk", model=to_hex(model_id), exact_id=to_hex(exact.id))

    async def _compare(self, model_id: ModelId, exact: Exact) -> None:
        if not batch_max(exact.graph, self.mode):
            said = f"a proof of one run of this model is too large for a transaction ({PROOF_BYTES_MAX} bytes)"
            raise Rejected("node.proof_size", said, limit=PROOF_BYTES_MAX)
        found = await self.ledger.registered(model_id)
        ours = {"graph": to_hex(exact.graph.digest), "weight root": to_hex(exact.weight_root), "version": str(VERSION)}
        theirs = {"graph": to_hex(found.graph), "weight root": to_hex(found.weight_root), "version": str(found.version)}
        differing = [name for name in ours if ours[name] != theirs[name]]
        if differing:
            told = "; ".join(f"{name}: here {ours[name]}, there {theirs[name]}" for name in differing)
            raise Rejected(
                "node.exact", f"the files of this exact model are not what the ledger has registered ({told})"
            )
