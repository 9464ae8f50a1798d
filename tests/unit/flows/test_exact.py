"""Cards of exact models: the registered one, from whoever serves it, or none."""

import base64
from pathlib import Path
from typing import Any, Final

import pytest
from tests.sim.market import Hands, Market, play
from tests.support_ledger.world import OPERATOR, OWNER, model_arguments
from tests.unit.flows.test_buy import Bent
from tests.unit.inference_node.proving import GRAPH, weights_of

from paraph.adapters.provers.engine import ExactEngine
from paraph.core.digest import sha256
from paraph.core.encode import canonical, decode
from paraph.core.errors import ParaphError, Rejected, Unverified
from paraph.core.ident import Digest, ModelId
from paraph.flows.effect import Effect, Get, Rpc
from paraph.flows.exact import card, graph_of, registered
from paraph.inference_node import cards
from paraph.inference_node.models import Served, folder_of
from paraph.ledger.rooms.nodes.keys import NODES
from paraph.ledger.rooms.nodes.types import Node
from paraph.proofs.manifest import Manifest, ModelFile
from paraph.proofs.records import ExactModel
from paraph.proofs.zk.statement import VERSION

CARD: Final = b'{"what":"a card"}'
FILES: Final = (
    ModelFile("card.json", len(CARD), sha256(CARD)),
    ModelFile("graph.json", len(GRAPH.bytes), sha256(GRAPH.bytes)),
    ModelFile("weights.bin", 9, sha256(b"weights")),
)
MANIFEST: Final = Manifest("test/carded", "tensor", "invariant", FILES)
MODEL: Final = MANIFEST.model_id()
UNCARDED: Final = Manifest("test/uncarded", "tensor", "invariant", FILES[1:])


def opened(work: Path, manifest: Manifest = MANIFEST) -> Market:
    """A market whose node serves that exact model, and gives out its card."""
    market, model_id = Market(), manifest.model_id()
    ledger = market.ledger
    arguments = model_arguments(
        model_id=model_id, manifest=manifest.digest(), name=manifest.name, kind="tensor", layers=5
    )
    ledger.call(OWNER, "Models", "register", *arguments)
    ledger.call(OWNER, "Models", "registerExact", model_id, GRAPH.bytes, bytes(32), VERSION)
    mine = Node.decode(ledger.chain.read(NODES.prefix + OPERATOR.address) or b"")
    ledger.call(OPERATOR, "Nodes", "update", mine.endpoint, 5, (*mine.models, model_id))
    market.service.models[model_id] = Served(model_id, manifest, ExactEngine(GRAPH, weights_of(0)), 1)
    market.app.router.routes.extend(cards.routes(market.service.models, work))
    folder = folder_of(work, model_id)
    folder.mkdir(parents=True)
    (folder / "card.json").write_bytes(CARD)
    return market


def refused(market: Market, bend: Any = lambda _, reply: reply, model_id: ModelId = MODEL) -> ParaphError:
    """What asking for a card fails with."""
    with pytest.raises(ParaphError) as caught:
        play(card(market.ledger.trust, model_id), Bent(Hands(market), bend))
    return caught.value


def test_the_card_is_the_registered_one(tmp_path: Path) -> None:
    """A card comes byte for byte as the registered manifest lists it."""
    market = opened(tmp_path)

    assert Hands(market).run(card(market.ledger.trust, MANIFEST.model_id())) == CARD


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"card": base64.b64encode(b"another").decode()}, "model.card"),
        ({"card": "no base64"}, "models.card"),
        ({"manifest": Manifest("x", "tensor", "invariant", FILES).as_json()}, "model.card"),
        ({"more": 1}, "json.shape"),
    ],
)
def test_another_card(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    """A card or a manifest that is not the registered one is refused, whoever gives it out."""

    def bend(effect: Effect[Any], reply: Any) -> Any:
        return {**decode(canonical(reply)), **change} if isinstance(effect, Get) else reply  # type: ignore[dict-item]

    error = refused(opened(tmp_path), bend)

    assert (error.reasons[0][0] if isinstance(error, Unverified) else error.code) == code


def test_models_without_a_card(tmp_path: Path) -> None:
    """What has no card says so; so do models that are not served or not exact, and a card that is gone."""
    uncarded = refused(opened(tmp_path / "1", UNCARDED), model_id=UNCARDED.model_id())
    market = opened(tmp_path / "2")
    (folder_of(tmp_path / "2", MANIFEST.model_id()) / "card.json").unlink()
    gone = refused(market)
    del market.service.models[MANIFEST.model_id()]
    unserved = refused(market)

    assert (uncarded.code, gone.code, unserved.code) == ("models.no_card", "models.card", "models.not_served")


def test_graphs(tmp_path: Path) -> None:
    """The graph is the one registered; a ledger that has the record without the graph is not believed."""
    market = opened(tmp_path)
    trust, hands = market.ledger.trust, Hands(market)
    found = hands.run(registered(trust, MANIFEST.model_id()))

    assert found == ExactModel(GRAPH.digest, Digest(bytes(32)), VERSION)
    assert hands.run(graph_of(trust, found)) == GRAPH
    with pytest.raises(ParaphError) as caught:
        hands.run(graph_of(trust, ExactModel(Digest(bytes(32)), Digest(bytes(32)), VERSION)))
    assert caught.value.code == "registry.graph"
    with pytest.raises(Rejected) as unknown:
        hands.run(registered(trust, ModelId(Digest(bytes(32)))))
    assert unknown.value.code == "models.not_exact"
    assert {effect.method for effect, _ in hands.told if isinstance(effect, Rpc)} == {"paraph_getProof"}
