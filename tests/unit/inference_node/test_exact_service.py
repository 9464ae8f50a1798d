"""The service on an exact model: what it promises is what it answered, and it promises only what it can prove."""

from typing import Any

import pytest
from tests.sim.market import Market, go
from tests.support_ledger.world import OWNER, model_arguments
from tests.unit.inference_node.proving import GRAPH, weights_of

from paraph.adapters.provers.engine import INPUT, ExactEngine
from paraph.adapters.provers.execute import Exact
from paraph.core.digest import sha256
from paraph.core.encode import JsonObject, as_list
from paraph.core.errors import ParaphError, Rejected
from paraph.core.ident import to_hex
from paraph.core.tensor import Tensor, tensor_from_json
from paraph.flows.serve import Identity
from paraph.inference_node.models import Served
from paraph.inference_node.promises import INPUTS
from paraph.ledger.rooms.params.types import PARAMETERS
from paraph.proofs import exactness
from paraph.proofs.manifest import Manifest, ModelFile
from paraph.proofs.promised import promise_from_json
from paraph.proofs.request import Layer
from paraph.proofs.zk.statement import commitment

FILES = (ModelFile("graph.json", 9, sha256(b"graph")), ModelFile("weights.bin", 9, sha256(b"weights")))
MANIFEST = Manifest("test/exact", "tensor", "invariant", FILES)
MODEL = MANIFEST.model_id()
SALT = bytes(range(32))
ALL_LAYERS = 0b101


def body(rows: int = 1, **more: Any) -> JsonObject:
    """An effective request for a proven answer."""
    data = bytes(range(250, 254)) * rows
    inputs = [Tensor(INPUT, "INT8", (rows, 4), data).as_json()]
    return {"kind": "infer", "model": to_hex(MODEL), "inputs": inputs, "outputs": [], "salt": to_hex(SALT), **more}


class CountingEngine(ExactEngine):
    """Counts what it runs."""

    ran = 0

    async def infer(self, inputs: tuple[Tensor, ...], outputs: tuple[str, ...]) -> tuple[Tensor, ...]:
        self.ran += 1
        return await super().infer(inputs, outputs)


def opened(*, provable: bool = True) -> tuple[Market, CountingEngine]:
    """A market whose node serves an exact model too."""
    market = Market()
    arguments = model_arguments(
        model_id=MODEL, manifest=MANIFEST.digest(), name=MANIFEST.name, kind="tensor", layers=ALL_LAYERS
    )
    market.ledger.call(OWNER, "Models", "register", *arguments)
    identity = market.identity
    proves = frozenset({MODEL}) if provable else frozenset()
    market.service.identity = Identity(identity.chain_id, identity.node, identity.key, None, proves)
    engine = CountingEngine(GRAPH, weights_of(0))
    market.service.models[MODEL] = Served(MODEL, MANIFEST, engine, 1)
    return market, engine


async def refused(market: Market, asked: JsonObject, layer: Layer = Layer.ZK) -> ParaphError:
    """What a request is refused with."""
    with pytest.raises(ParaphError) as caught:
        await market.service.start(market.sign(asked, layer=layer), asked).result()
    return caught.value


def test_a_promise_is_about_the_answer() -> None:
    """The evidence commits to salt, input and output as they are, due one window after the receipt's block."""

    async def test() -> None:
        market, _ = opened()
        entry = await market.service.start(market.sign(body(), layer=Layer.ZK), body()).result()

        answer, receipt = entry.answer, entry.answer.receipt.receipt
        shown, given = (
            as_list(answer.response["outputs"], "outputs", items_max=1),
            as_list(body()["inputs"], "inputs", items_max=1),
        )
        output, row = tensor_from_json(shown[0], "output"), tensor_from_json(given[0], "input")
        promise = promise_from_json(answer.evidence)
        assert output.data == Exact(GRAPH, weights_of(0)).run(_rows(row.data)).astype("<i4").tobytes()
        assert promise.commitment == commitment(SALT, row.data, output.data)
        assert promise.due == receipt.height + PARAMETERS["proof_window"].default
        assert receipt.evidence_digest == promise.digest()
        assert (answer.response["salt"], receipt.signer) == (to_hex(SALT), market.identity.key.address)
        assert market.store.get(INPUTS, entry.place) == row.data
        await market.close()

    go(test())


def _rows(data: bytes) -> Any:
    import numpy as np

    return np.frombuffer(data, np.int8).reshape(1, -1)


def test_the_same_model_answers_without_a_proof() -> None:
    """By the layer `signature` an exact model takes batches, answers without a salt, and keeps no input."""

    async def test() -> None:
        market, _ = opened()
        asked = {name: value for name, value in body(3).items() if name != "salt"}
        entry = await market.service.start(market.sign(asked), asked).result()

        assert "salt" not in entry.answer.response
        assert entry.answer.receipt.receipt.output_units == 3
        assert market.store.get(INPUTS, entry.place) is None
        await market.close()

    go(test())


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (body(2), "exact.request"),
        (body(salt="0x12"), "ident.hex"),
        (body(salt=None), "ident.hex"),
        ({name: value for name, value in body().items() if name != "salt"}, "request.salt"),
    ],
)
def test_what_cannot_be_proven_is_not_run(asked: JsonObject, code: str) -> None:
    """Two rows, or no good salt, are refused before the model runs: nobody makes the node work for nothing."""

    async def test() -> None:
        market, engine = opened()

        assert (await refused(market, asked)).code == code
        assert engine.ran == 0
        assert market.promised == 0
        await market.close()

    go(test())


def test_only_what_can_be_proven_is_promised() -> None:
    """Where the files are not what is registered, the layer is refused with the reason; without one, as not served."""

    async def test() -> None:
        market, engine = opened(provable=False)
        plain = await refused(market, body())
        market.service.unprovable[MODEL] = Rejected("node.exact", "the weight root differs")
        told = await refused(market, body())

        assert (plain.code, told.code) == ("request.layer", "node.exact")
        assert engine.ran == 0
        assert exactness.SALT in body()
        await market.close()

    go(test())
