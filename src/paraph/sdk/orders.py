"""What both clients share: from a caller's words to the flow that gets the answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from paraph.adapters.tensors import from_array
from paraph.core.amount import Wei
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Rejected
from paraph.core.ident import Address, ModelId
from paraph.core.tensor import Tensor
from paraph.flows import effective, registry
from paraph.flows.buy import Order, buy
from paraph.flows.effect import Draw, Flow, ask
from paraph.flows.transact import Sent, transact
from paraph.ledger.contract import Contract
from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW
from paraph.proofs.bundle import Bundle
from paraph.proofs.policy import Trust
from paraph.proofs.request import Layer
from paraph.proofs.verdict import Verified

LAYERS: Final = {"signature": Layer.SIGNATURE, "tee": Layer.TEE, "zk": Layer.ZK}


def conversation(messages: str | Sequence[Mapping[str, Any]]) -> Json:
    """Messages as the API takes them; a plain text is one message of the user."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [dict(message) for message in messages]


def tensors(inputs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Named numpy arrays, nested lists or tensors, as tensors. Raises `Malformed` (`tensor.…`)."""
    return tuple(each if isinstance(each, Tensor) else from_array(name, each) for name, each in inputs.items())


class Terms:
    """On which terms an answer is bought.

    Args:
        layer: `signature`, `tee` or `zk`.
        max_price: cap in wei; None for the most the request can cost by the model's price.
        node: a certain node's account, or None for any.

    Raises:
        Rejected: `request.layer`: no such layer.
    """

    __slots__ = ("_layer", "_max_price", "_node")

    def __init__(self, layer: str, max_price: int | None, node: Address | None) -> None:
        if layer not in LAYERS:
            raise Rejected("request.layer", f"{layer!r} is no layer; one of {', '.join(LAYERS)}")
        self._layer = LAYERS[layer]
        self._max_price = None if max_price is None else Wei(max_price)
        self._node = node

    def order(self, payer: Address, model_id: ModelId, body: JsonObject, *, stream: bool) -> Order:
        """The order for a body."""
        return Order(payer, model_id, body, self._layer, self._max_price, self._node, stream)


def text_order(
    trust: Trust, payer: Address, kind: str, model: str, asked: JsonObject, terms: Terms, *, stream: bool
) -> Flow[Verified[Bundle]]:
    """Buy an answer of a language model. Where sampling needs a seed and none is given, one is drawn and signed."""
    model_id = yield from registry.find_model(trust, model)
    body = dict(asked)
    if kind != "embeddings" and body.get("seed") is None and body.get("temperature", 1) != 0:
        body["seed"] = int.from_bytes((yield from ask(Draw(8))), "big") % (effective.SEED_MAX + 1)
    effected = effective.effective(body | {"kind": kind, "model": ""}, model_id)
    return (yield from buy(trust, terms.order(payer, model_id, effected, stream=stream)))


def tensor_order(
    trust: Trust, payer: Address, model: str, inputs: tuple[Tensor, ...], outputs: Sequence[str], terms: Terms
) -> Flow[Verified[Bundle]]:
    """Buy an answer of a tensor model."""
    model_id = yield from registry.find_model(trust, model)
    body = effective.infer(inputs, tuple(outputs), model_id)
    return (yield from buy(trust, terms.order(payer, model_id, body, stream=False)))


def call_contract(
    trust: Trust, sender: Address, contract: Contract, method: str, arguments: tuple[Any, ...], value: int
) -> Flow[Sent]:
    """Call a native contract's method in a transaction."""
    data = contract.method(method).call(*arguments)
    return transact(trust.chain_id, sender, contract.address, Wei(value), data)


def deposit(trust: Trust, sender: Address, amount: int) -> Flow[Sent]:
    """Put `amount` wei into the sender's escrow."""
    return call_contract(trust, sender, ESCROW, "deposit", (), amount)


def transfer(trust: Trust, sender: Address, to: Address, amount: int) -> Flow[Sent]:
    """Send `amount` wei."""
    return transact(trust.chain_id, sender, to, Wei(amount), b"")
