"""A promise from its answer to its end, on the real ledger: proven and paid, or missed, refunded and slashed."""

import itertools
from typing import Any

import pytest
from tests.sim.market import Market, go
from tests.support_ledger.world import ALICE, BOB, HOT, OPERATOR, OWNER, model_arguments
from tests.unit.inference_node.proving import GRAPH, SlowProcess, prove, weights_of
from tests.unit.inference_node.test_exact_service import ALL_LAYERS, MANIFEST, MODEL, body

from paraph.adapters.provers.engine import ExactEngine
from paraph.core.errors import ParaphError
from paraph.core.ident import ModelId
from paraph.flows.hand_in import Standing
from paraph.inference_node.models import Served
from paraph.inference_node.offering import Offering
from paraph.inference_node.outbox import Entry
from paraph.inference_node.promises import Promises
from paraph.inference_node.proof_ledger import FullNode
from paraph.inference_node.prover import Prover
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.nodes.keys import NODES
from paraph.ledger.rooms.nodes.types import Node
from paraph.ledger.rooms.params.types import PARAMETERS
from paraph.proofs.records import ExactModel
from paraph.proofs.request import Layer
from paraph.proofs.zk.statement import VERSION, Exact, Mode
from paraph.proofs.zk.weights import weight_root

EXACT = Exact(GRAPH, weight_root(GRAPH, weights_of(0)))


class OneModel(SlowProcess):
    """The slow prover, for the one model of this market."""

    async def prove(self, statement: Any, model_id: ModelId, requests: Any, seeds: Any) -> bytes:
        """As `ProofProcess.prove`."""
        assert model_id == MODEL
        self.sizes.append(len(requests))
        return prove(
            statement,
            weights_of(0),
            [each.inputs for each in requests],
            seeds if statement.mode is Mode.HIDING else None,
        )


class House:
    """A market whose node serves and proves an exact model."""

    def __init__(self, *, registered: bytes | None = EXACT.weight_root) -> None:
        self.market = Market()
        ledger = self.market.ledger
        arguments = model_arguments(
            model_id=MODEL, manifest=MANIFEST.digest(), name=MANIFEST.name, kind="tensor", layers=ALL_LAYERS
        )
        ledger.call(OWNER, "Models", "register", *arguments)
        if registered is not None:
            ledger.call(OWNER, "Models", "registerExact", MODEL, GRAPH.bytes, registered, VERSION)
        mine = self.node()
        ledger.call(OPERATOR, "Nodes", "update", mine.endpoint, ALL_LAYERS, (*mine.models, MODEL))
        self._numbers = itertools.count()
        self.process = OneModel()
        self.open()

    def open(self) -> None:
        """The node's services, over what its store holds."""
        market = self.market
        market.service.models[MODEL] = Served(MODEL, MANIFEST, ExactEngine(GRAPH, weights_of(0)), 1)
        self.promises = Promises(market.store, market.outbox)
        driver = market.driver(HOT, {})
        ledger = FullNode(driver, market.ledger.trust, market.service, market.settler)
        self.offering = Offering(ledger, market.service, {MODEL: EXACT}, Mode.SUCCINCT)
        process: Any = self.process
        self.prover = Prover(
            ledger, market.service, self.promises, process, self.offering, Mode.SUCCINCT, 0, market.clock
        )

    def restart(self) -> None:
        """The node is killed and starts again."""
        self.market.restart()
        self.open()

    def node(self) -> Node:
        """The node as registered."""
        found = self.market.ledger.chain.read(NODES.prefix + OPERATOR.address)
        return Node.decode(found or b"")

    async def bought(self, count: int = 1) -> list[Entry]:
        """So many answers that are settled, and not proven."""
        await self.offering.look()
        found = []
        for number in itertools.islice(self._numbers, count):
            signed = self.market.sign(body(), key=b"%d" % number, layer=Layer.ZK)
            found.append(await self.market.service.start(signed, body()).result())
        assert await self.market.settler.settle_pending() == count
        return found

    async def prove(self) -> None:
        """Let the prover do all that it can do now."""
        for _ in range(20):
            if not await self.prover.step():
                return
        raise AssertionError("the prover finds no end")

    async def standing(self, entry: Entry) -> Standing:
        """How the ledger holds an answer's promise."""
        request = entry.request.request
        return await self.prover.ledger.standing(request.payer, request.key)

    def pass_blocks(self, count: int) -> None:
        """So many blocks with nothing of ours in them."""
        for _ in range(count):
            self.market.ledger.engine.produce()


def price(entry: Entry) -> int:
    """What an answer costs."""
    return entry.answer.receipt.receipt.price


def test_proven_answers_are_paid() -> None:
    """Debited and held when settled; when proven, paid; the state's truths hold after every block."""

    async def test() -> None:
        house = House()
        escrow, operator = house.market.ledger.escrow(ALICE.address), _balance(house, OPERATOR.address)
        entries = await house.bought(3)
        assert house.market.ledger.escrow(ALICE.address) == escrow - sum(map(price, entries))
        assert _balance(house, OPERATOR.address) == operator
        assert [await house.standing(entry) for entry in entries] == [Standing.DUE] * 3
        await house.prove()

        assert [await house.standing(entry) for entry in entries] == [Standing.PROVEN] * 3
        assert _balance(house, OPERATOR.address) > operator
        assert house.process.sizes == [3]
        assert house.promises.counts() == {"unproven": 0, "proven": 3, "missed": 0}
        await house.market.close()

    go(test())


def _balance(house: House, account: bytes) -> int:
    return int.from_bytes(house.market.ledger.chain.read(BALANCES.prefix + account) or b"", "big")


@pytest.mark.parametrize("when", ["before settling", "before proving", "before noting"])
def test_a_kill_loses_nothing(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the answer, after the settlement or after the proof's transaction: proven once, and given out."""

    async def test() -> None:
        house = House()
        await house.offering.look()
        signed = house.market.sign(body(), layer=Layer.ZK)
        entry = await house.market.service.start(signed, body()).result()
        if when != "before settling":
            await house.market.settler.settle_pending()
        if when == "before noting":
            with monkeypatch.context() as patch:
                patch.setattr(Promises, "note_proven", _killed)
                with pytest.raises(ZeroDivisionError):
                    await house.prove()
        house.restart()
        await house.offering.look()
        await house.market.settler.settle_pending()
        await house.prove()

        assert await house.standing(entry) is Standing.PROVEN
        assert house.promises.proven(entry.place) is not None
        assert house.process.sizes == [1]
        await house.market.close()

    go(test())


async def _killed(*_: Any) -> None:
    raise ZeroDivisionError("killed")


def test_a_node_that_never_proves_is_slashed() -> None:
    """After the last block anybody may say so: the payer has everything back, and the node's bond is smaller."""

    async def test() -> None:
        house = House()
        escrow, bond = house.market.ledger.escrow(ALICE.address), house.node().bond
        (entry,) = await house.bought()
        house.pass_blocks(PARAMETERS["proof_window"].default + 1)
        request = entry.request.request
        house.market.ledger.send(OPERATOR, BOB.address, value=10**18)
        house.market.ledger.call(BOB, "Proofs", "expire", ((request.payer, request.key),))
        await house.prove()

        assert house.market.ledger.escrow(ALICE.address) == escrow
        assert house.node().bond < bond
        assert await house.standing(entry) is Standing.NEITHER
        assert house.process.sizes == []
        assert str(house.promises.missed(entry.place)).startswith("the proof was due at block")
        await house.market.close()

    go(test())


@pytest.mark.parametrize(("registered", "code"), [(None, "models.not_exact"), (bytes(32), "node.exact")])
def test_a_model_that_is_not_registered_with_these_weights(registered: bytes | None, code: str) -> None:
    """A model that its owner has not registered as exact, or with other weights, is not offered: no promise is made."""

    async def test() -> None:
        house = House(registered=registered)
        await house.offering.look()
        with pytest.raises(ParaphError) as caught:
            house.market.service.start(house.market.sign(body(), layer=Layer.ZK), body())

        assert caught.value.code == code
        await house.market.close()

    go(test())


def test_what_is_read_is_what_was_registered() -> None:
    """The proved record has the digest of the graph, the root of the weights, and the version."""

    async def test() -> None:
        house = House()
        found = await house.prover.ledger.registered(MODEL)

        assert isinstance(found, ExactModel)
        assert (found.graph, found.weight_root, found.version) == (GRAPH.digest, EXACT.weight_root, VERSION)
        await house.market.close()

    go(test())
