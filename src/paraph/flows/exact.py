"""What is known of exact models: graph and commitment, by when a proof is due, and the card. Every read is proved."""

import base64
import binascii
from typing import Final

from paraph.core.digest import sha256
from paraph.core.encode import Json, as_text, take
from paraph.core.errors import Malformed, ParaphError, Rejected, Unverified
from paraph.core.ident import ModelId, to_hex
from paraph.flows import registry
from paraph.flows.effect import Flow, Get, ask
from paraph.ledger.rooms.models.keys import GRAPHS
from paraph.ledger.rooms.params.keys import VALUES, past
from paraph.ledger.rooms.params.types import PROOF_WINDOW, Change
from paraph.proofs.bundle import Answer
from paraph.proofs.manifest import CARD, manifest_from_json
from paraph.proofs.policy import Trust
from paraph.proofs.promised import promise_from_json
from paraph.proofs.records import ExactModel, Model, exact_key
from paraph.proofs.request import Layer
from paraph.proofs.zk.graph import Graph
from paraph.proofs.zk.graph_json import graph_from_bytes

CARD_PATH: Final = "/v1/cards"
"""Where a node gives out the cards of exact models."""


def registered(trust: Trust, model_id: ModelId) -> Flow[ExactModel]:
    """An exact model as the ledger has it. Raises `Rejected` (`models.not_exact`)."""
    place = exact_key(model_id)
    found = (yield from registry.read(trust, place)).record(place, ExactModel)
    if found is None:
        raise Rejected("models.not_exact", f"0x{model_id.hex()} is not registered as an exact model on {trust.network}")
    return found


def graph_of(trust: Trust, record: ExactModel) -> Flow[Graph]:
    """The graph of an exact model. Raises `Malformed` (`registry.graph`, `graph.…`)."""
    place = GRAPHS + record.graph
    found = (yield from registry.read(trust, place)).values.get(place)
    if found is None:
        raise Malformed("registry.graph", "the ledger shows an exact model without its graph")
    return graph_from_bytes(found.value)


def window(trust: Trust, height: int) -> Flow[int]:
    """Blocks from a receipt of that block until its proof is due: what was in force then."""
    name = PROOF_WINDOW.name
    value_place, changes = VALUES.prefix + name.encode(), past(name)
    count_place = changes.prefix + b"count"
    found = (yield from registry.read(trust, value_place, count_place)).values
    # Stored as value + 1; never set, it has its default.
    stored = int.from_bytes(found[value_place].value, "big") if value_place in found else PROOF_WINDOW.default + 1
    value = stored - 1
    count = int.from_bytes(found[count_place].value, "big") if count_place in found else 0
    for index in reversed(range(count)):
        place = changes.prefix + index.to_bytes(8, "big")
        change = (yield from registry.read(trust, place)).record(place, Change)
        if change is None or change.height <= height:
            break
        value = change.before
    return value


def need_due(trust: Trust, answer: Answer) -> Flow[None]:
    """Check that a promise is due when the ledger will say so: it takes no proof of a promise that is dated otherwise.

    Raises:
        Unverified: `promise.due`.
    """
    promise = promise_from_json(answer.evidence)
    height = answer.receipt.receipt.height
    due = height + (yield from window(trust, height))
    if promise.due != due:
        sentence = f"the node promises a proof by block {promise.due}; the network takes it by block {due} or never"
        raise Unverified((("promise.due", sentence),))


def card(trust: Trust, model_id: ModelId) -> Flow[bytes]:
    """An exact model's card, from a node that serves it: the one that the registered manifest lists.

    Raises:
        Rejected: `models.unknown`, `nodes.none`; `models.no_card`: the model has none. Unverified: `model.card`: what
            the nodes give out is not what is registered. Unavailable: no node could be reached.
    """
    model = (yield from registry.offer(trust, model_id)).model
    failures: list[ParaphError] = []
    for _, node in (yield from registry.serving(trust, model_id, Layer.ZK, None)):
        try:
            url = f"{node.endpoint.rstrip('/')}{CARD_PATH}/{to_hex(model_id)}"
            manifest, data = take((yield from ask(Get(url))), "a card", "manifest", "card")
            return _card_of(model, model_id, manifest, data)
        except ParaphError as error:
            failures.append(error)
    raise failures[0]


def _card_of(model: Model, model_id: ModelId, shown: Json, data: Json) -> bytes:
    manifest = manifest_from_json(shown)
    if manifest.digest() != model.manifest_digest or manifest.model_id() != model_id:
        raise Unverified((("model.card", "the manifest that the node gives out is not the registered one"),))
    listed = next((file for file in manifest.files if file.path == CARD), None)
    if listed is None:
        raise Rejected("models.no_card", f"{model.name} has no {CARD}: what its numbers mean is not registered")
    try:
        found = base64.b64decode(as_text(data, "card"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("models.card", "a card is base64") from error
    if sha256(found) != listed.sha256:
        raise Unverified((("model.card", "the card that the node gives out is not the one that is registered"),))
    return found
