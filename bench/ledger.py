"""A small real ledger for benchmarks: a chain in a store on disk, one node, one model, one payer with escrow.

Everything goes through the same code as in a full node and an inference node.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.wallets import HOT, MODEL, PRODUCER, Owed, Wallets, founding
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.merkle import inclusion_proof
from paraph.full_node.chain import Chain
from paraph.full_node.solo import SoloApplication
from paraph.ledger.block import Applied
from paraph.proofs.bundle import Bundle, Proved, Settled
from paraph.proofs.bundle import Chain as ChainPart
from paraph.proofs.records import batch_key, model_key, node_key_key, price_key
from paraph.proofs.seal import ProducerSeal

START_S: Final = 1_750_000_000


class Ledger:
    """A chain with one of everything, whose blocks one producer signs.

    Args:
        folder: where its store is; empty.
    """

    def __init__(self, folder: Path) -> None:
        genesis = founding(START_S)
        self.trust: Final = genesis.trust()
        self.store: Final = LmdbStore(folder)
        self.chain: Final = Chain(self.store, genesis)
        self.wallets: Final = Wallets()
        self._application = SoloApplication(self.chain, PRODUCER)
        self.commit(*self.wallets.openings())

    def commit(self, *raw: bytes) -> Applied:
        """A committed block of these transactions, all of which succeed."""
        applied = self._application.commit(START_S + 1, raw)
        for result in applied.results:
            assert result.status == 1, result.error
        return applied

    def owed(self, count: int) -> list[Owed]:
        """New requests with their answers and receipts."""
        return self.wallets.owed(count, START_S)

    def bundles(self, owed: Sequence[Owed], batch: int) -> list[Bundle]:
        """The bundles of a settled batch, with every proof."""
        leaves = [each.answer.receipt.receipt.hash() for each in owed]
        record = self._proved(batch_key(batch))
        key, model, price = (
            self._proved(place) for place in (node_key_key(HOT.address), model_key(MODEL), price_key(MODEL, 1))
        )
        seal = ProducerSeal(self.chain.head.signed)
        made = []
        for index, each in enumerate(owed):
            settled = Settled(batch, index, inclusion_proof(leaves, index), record)
            made.append(Bundle(each.request, each.body, each.answer, ChainPart(seal, key, model, price, settled)))
        return made

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    def _proved(self, key: bytes) -> Proved:
        value, proved = self.chain.prove(key)
        assert value is not None
        return proved
