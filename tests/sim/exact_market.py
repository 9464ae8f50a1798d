"""A market whose node serves and proves an exact model, with its doors: real ledger, real proofs by a slow prover."""

from typing import Any, Final

from tests.sim.market import Hands, go
from tests.support_ledger.world import ALICE
from tests.unit.inference_node.test_exact_market import House
from tests.unit.inference_node.test_exact_service import MODEL

from paraph.adapters.provers.engine import INPUT
from paraph.core.encode import JsonObject
from paraph.core.tensor import Tensor
from paraph.flows import effective
from paraph.flows.buy import Order, buy
from paraph.flows.effect import Effect, Wait
from paraph.inference_node import proof_routes
from paraph.proofs.bundle import Bundle
from paraph.proofs.request import Layer
from paraph.proofs.verdict import Verified

INPUTS: Final = bytes(range(250, 254))


def proven_body(salt: bytes = bytes(range(32)), inputs: bytes = INPUTS) -> JsonObject:
    """An effective request for a proven answer."""
    return effective.infer((Tensor(INPUT, "INT8", (1, len(inputs)), inputs),), (), MODEL, salt)


class Shop(House):
    """A house with its doors open."""

    def __init__(self) -> None:
        super().__init__()
        go(self.offering.look())
        self.hands = Hands(self.market)
        self.trust = self.market.ledger.trust

    def open(self) -> None:
        """As `House.open`, with the door for proofs."""
        super().open()
        self.market.app.router.routes.extend(proof_routes.routes(self.prover))

    def buy(self, body: JsonObject | None = None, **more: Any) -> Verified[Bundle]:
        """A verified answer whose proof is promised."""
        order = Order(ALICE.address, MODEL, body or proven_body(), Layer.ZK, **more)
        return self.hands.run(buy(self.trust, order))

    def work(self) -> None:
        """The node settles and proves what it owes."""
        go(self._work())

    async def _work(self) -> None:
        await self.market.settler.settle_pending()
        await self.prove()

    def meanwhile(self, effect: Effect[Any]) -> Any:
        """Hands under which the node works while somebody waits."""
        if isinstance(effect, Wait):
            self.work()
        return self.hands(effect)
