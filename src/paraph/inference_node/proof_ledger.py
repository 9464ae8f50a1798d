"""The prover's view of the ledger: blocks to draw beacons from, promises that stand, and proofs handed in."""

from dataclasses import dataclass
from typing import Protocol

from paraph.adapters.http.client import AsyncDriver
from paraph.core.ident import Address, Digest, ModelId, RequestKey
from paraph.flows import exact, hand_in
from paraph.flows.hand_in import Handed, Standing
from paraph.inference_node.service import Service
from paraph.inference_node.settler import Settler
from paraph.proofs.policy import Trust
from paraph.proofs.records import ExactModel


class ProofLedger(Protocol):
    """What a prover needs of the ledger.

    Reads may be some blocks behind, never ahead. `hand_in` returns once the proof is in a block; where it raises
    `Unavailable` the proof may still be taken, and handing it in again is then refused. Who stands behind it and lies
    can cost the node its bond, and nobody else anything.
    """

    async def beacon(self) -> tuple[int, Digest]:
        """The newest block whose hash the ledger knows: its height and hash. Raises `Unavailable`."""
        ...

    async def nudge(self) -> None:
        """Have a block made, where blocks are made only for transactions. Raises `Unavailable`, `Rejected`."""
        ...

    async def standing(self, payer: Address, key: RequestKey) -> Standing:
        """How the ledger holds the promise of an answer. Raises `Unavailable`."""
        ...

    async def hand_in(self, handed: Handed) -> int:
        """Hand a proof in; returns the height of its block. Raises `Rejected` when the ledger does not take it."""
        ...

    async def registered(self, model_id: ModelId) -> ExactModel:
        """An exact model as registered. Raises `Rejected` (`models.not_exact`) where it is not."""
        ...


@dataclass(frozen=True, slots=True)
class FullNode:
    """The ledger as a full node shows it, with every read proved.

    Args:
        driver: reaches the full node.
        trust: the network.
        service: knows who the node is.
        settler: sends transactions, in turn with its own.
    """

    driver: AsyncDriver
    trust: Trust
    service: Service
    settler: Settler

    async def beacon(self) -> tuple[int, Digest]:
        """As the port says."""
        return await self.driver.run(hand_in.beacon(self.trust))

    async def nudge(self) -> None:
        """As the port says: the node tells that it lives."""
        await self.settler.beat()

    async def standing(self, payer: Address, key: RequestKey) -> Standing:
        """As the port says."""
        return await self.driver.run(hand_in.standing(self.trust, payer, key))

    async def hand_in(self, handed: Handed) -> int:
        """As the port says."""
        identity = self.service.identity
        sending = hand_in.hand_in(identity.chain_id, identity.key.address, handed)
        return (await self.settler.in_turn(sending)).height

    async def registered(self, model_id: ModelId) -> ExactModel:
        """As the port says."""
        return await self.driver.run(exact.registered(self.trust, model_id))
