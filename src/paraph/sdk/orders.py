"""What both clients share: from a caller's words to the flow that gets it done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from paraph.adapters.provers import verifier
from paraph.adapters.signatures import remembering
from paraph.adapters.tensors import from_array, whole_numbers
from paraph.core.amount import Wei
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Rejected
from paraph.core.ident import Address, ModelId
from paraph.core.tensor import Tensor
from paraph.flows import effective, exact, registry
from paraph.flows.buy import Order, Unanswered, ask_again, await_settled, buy
from paraph.flows.effect import Draw, Flow, ask
from paraph.flows.meet import Memory, Met, meet
from paraph.flows.prove import await_proven, refund
from paraph.flows.registry import Offer
from paraph.flows.transact import Sent, transact
from paraph.ledger.contract import Contract
from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW
from paraph.proofs.bundle import Bundle
from paraph.proofs.exactness import SALT_BYTES
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.claims import TrustClass, trust_class
from paraph.proofs.request import Layer
from paraph.proofs.verdict import Verified
from paraph.sdk.options import Options, TextOptions

if TYPE_CHECKING:
    from paraph.adapters.provers.card import Card

LAYERS: Final = {layer.word: layer for layer in Layer}

Messages = str | Sequence[Mapping[str, Any]]
Bought = Flow[Verified[Bundle]]


@dataclass(frozen=True, slots=True)
class Orders:
    """The flows of one account on one network.

    Args:
        trust: the network.
        account: who pays and sends.
        memory: of the enclaves that were met.
    """

    trust: Trust
    account: Address
    memory: Memory = field(default_factory=lambda: Memory(checks=replace(remembering(), zk=verifier.verify)))

    def chat(self, model: str, messages: Messages, options: TextOptions, *, stream: bool = False) -> Bought:
        """A chat answer. A plain text is one message of the user."""
        shown: Json = (
            [{"role": "user", "content": messages}] if isinstance(messages, str) else [dict(each) for each in messages]
        )
        return self._text("chat", model, {"messages": shown}, options, stream=stream)

    def complete(self, model: str, prompt: str, options: TextOptions) -> Bought:
        """A continuation of a prompt."""
        return self._text("completion", model, {"prompt": prompt}, options)

    def embed(self, model: str, texts: Sequence[str], options: Options) -> Bought:
        """Embeddings of texts."""
        model_id = yield from registry.find_model(self.trust, model)
        # One text is one text, not its letters.
        body = effective.embeddings({"inputs": texts if isinstance(texts, str) else list(texts)}, model_id)
        return (yield from buy(self.trust, self._order(model_id, body, options), self.memory))

    def infer(self, model: str, inputs: Mapping[str, Any], outputs: Sequence[str], options: Options) -> Bought:
        """Outputs of a tensor model for named numpy arrays, nested lists or tensors."""
        proven = options.get("layer") == Layer.ZK.word
        read = whole_numbers if proven else from_array
        tensors = tuple(each if isinstance(each, Tensor) else read(name, each) for name, each in inputs.items())
        model_id = yield from registry.find_model(self.trust, model)
        salt = (yield from ask(Draw(SALT_BYTES))) if proven else None
        body = effective.infer(tensors, tuple(outputs), model_id, salt)
        return (yield from buy(self.trust, self._order(model_id, body, options), self.memory))

    def openai(self, kind: str, model: str, asked: JsonObject, options: Options, *, stream: bool = False) -> Bought:
        """What a request in OpenAI's form asks for; `kind` is `chat`, `completion` or `embeddings`."""
        if kind == "embeddings":
            model_id = yield from registry.find_model(self.trust, model)
            body = effective.embeddings(asked, model_id)
            return (yield from buy(self.trust, self._order(model_id, body, options), self.memory))
        return (yield from self._text(kind, model, asked, options, stream=stream))

    def again(self, lost: Unanswered) -> Bought:
        """The answer to a request that went out before, under the same signature."""
        return ask_again(self.trust, lost.asked)

    def meet(self, node: Address, min_trust: str) -> Flow[Met]:
        """The enclave of a node, met now."""
        found = yield from registry.node(self.trust, node)
        nobody = Memory(checks=self.memory.checks)
        return (yield from meet(self.trust, node, found.endpoint, trust_class(min_trust), nobody))

    def settled(self, verified: Verified[Bundle], patience_s: float) -> Bought:
        """The bundle with the proof of its settlement, verified as strictly as it was bought."""
        return await_settled(self.trust, verified.thing, int(patience_s * 1000), verified.least, self.memory.checks)

    def proof(self, verified: Verified[Bundle], patience_s: float) -> Bought:
        """The bundle with its settlement and the proof of its answer, verified as strictly as it was bought."""
        return await_proven(self.trust, verified.thing, int(patience_s * 1000), verified.least, self.memory.checks)

    def refund(self, bundle: Bundle) -> Flow[Sent]:
        """The price back into the payer's escrow, where the proof did not come in time."""
        return refund(self.trust, self.account, bundle)

    def card(self, model: str) -> "Flow[Card]":
        """The card of an exact model, as it is registered."""
        from paraph.adapters.provers.card import card_from_bytes  # noqa: PLC0415  needs numpy

        model_id = yield from registry.find_model(self.trust, model)
        return card_from_bytes((yield from exact.card(self.trust, model_id)))

    def offer(self, model: str) -> Flow[Offer]:
        """A model with its price, by name or id."""
        model_id = yield from registry.find_model(self.trust, model)
        return (yield from registry.offer(self.trust, model_id))

    def transfer(self, to: Address, amount: int) -> Flow[Sent]:
        """Send wei."""
        return transact(self.trust.chain_id, self.account, to, Wei(amount), b"")

    def deposit(self, amount: int) -> Flow[Sent]:
        """Put wei into the account's escrow."""
        return self.call(ESCROW, "deposit", (), amount)

    def call(self, contract: Contract, method: str, arguments: tuple[Any, ...], value: int = 0) -> Flow[Sent]:
        """Call a native contract's method in a transaction."""
        data = contract.method(method).call(*arguments)
        return transact(self.trust.chain_id, self.account, contract.address, Wei(value), data)

    def _text(
        self, kind: str, model: str, asked: JsonObject, options: Options | TextOptions, *, stream: bool = False
    ) -> Bought:
        model_id = yield from registry.find_model(self.trust, model)
        wanted: dict[str, Any] = {
            **asked,
            **{name: value for name, value in options.items() if name not in Options.__annotations__},
        }
        if wanted.get("seed") is None and wanted.get("temperature") != 0:
            # Sampling needs a seed: one is drawn and signed, so that the answer can be computed again.
            wanted["seed"] = int.from_bytes((yield from ask(Draw(8))), "big") % (effective.SEED_MAX + 1)
        effected = effective.effective({**wanted, "kind": kind}, model_id)
        return (yield from buy(self.trust, self._order(model_id, effected, options, stream=stream), self.memory))

    def _order(
        self, model_id: ModelId, body: JsonObject, options: Options | TextOptions, *, stream: bool = False
    ) -> Order:
        layer = options.get("layer", "signature")
        if layer not in LAYERS:
            raise Rejected("request.layer", f"{layer!r} is no layer; one of {', '.join(LAYERS)}")
        cap = options.get("max_price")
        return Order(
            self.account,
            model_id,
            body,
            LAYERS[layer],
            None if cap is None else Wei(cap),
            options.get("node"),
            stream,
            trust_class(options.get("min_trust", TrustClass.HARDWARE.word)),
            options.get("private", False),
            options.get("relay", ""),
        )
