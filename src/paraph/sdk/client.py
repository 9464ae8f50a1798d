"""The clients. Each method is one flow, run by a driver; every answer returned was verified.

Answering methods take `model` (registered name, or id as hex) and the options of `sdk/options.py` by name.
They raise `Unverified` when an answer does not verify, `Rejected` for what the network refuses, `Unavailable` when
nobody could be reached, `Malformed` for arguments or replies that are not what they should be. When a request had gone
out and its answer did not come back it is `Unanswered`: give it to `again`, which pays no second time.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from paraph.adapters.http.client import AsyncDriver, Done, Means, SyncDriver
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.amount import Wei
from paraph.core.encode import JsonObject
from paraph.core.ident import Address, Digest, ModelId
from paraph.core.keys import PrivateKey
from paraph.flows import registry
from paraph.flows.buy import Unanswered
from paraph.flows.meet import Met
from paraph.flows.registry import Offer
from paraph.flows.transact import Sent
from paraph.ledger.contract import Contract
from paraph.ledger.rooms.escrow.types import Account
from paraph.ledger.rooms.nodes.types import Node
from paraph.proofs.bundle import Bundle
from paraph.proofs.records import Model, Release
from paraph.sdk.answer import Answer
from paraph.sdk.network import Network, load_network
from paraph.sdk.options import Options, TextOptions
from paraph.sdk.orders import Messages, Orders
from paraph.sdk.stream import AsyncStream, Stream

if TYPE_CHECKING:
    from paraph.adapters.provers.card import Card


def _means(network: Network, key: PrivateKey) -> Means:
    return Means(network.rpc_url, SystemClock().now_ms, random_bytes, key.sign, network.witnesses)


class Client:
    """The synchronous client.

    Args:
        network: which network, and what is trusted of it.
        key: the payer's private key; it signs requests and transactions and never leaves the process.
    """

    def __init__(self, network: Network, key: PrivateKey) -> None:
        self.network = network
        self.account = key.address
        self._trust = network.trust
        self._orders = Orders(network.trust, key.address)
        self._driver = SyncDriver(_means(network, key))

    @classmethod
    def open(cls, network_file: Path | str, key: PrivateKey) -> Self:
        """A client of the network in a file."""
        return cls(load_network(network_file), key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections."""
        self._driver.close()

    # --- answers ---

    def chat(self, model: str, messages: Messages, **options: Unpack[TextOptions]) -> Answer:
        """A chat answer. `messages` is OpenAI's list, or one text of the user."""
        return Answer(self._driver.run(self._orders.chat(model, messages, options)))

    def chat_stream(self, model: str, messages: Messages, **options: Unpack[TextOptions]) -> Stream:
        """A chat answer, piece by piece."""
        return Stream(self._driver.play(self._orders.chat(model, messages, options, stream=True)))

    def complete(self, model: str, prompt: str, **options: Unpack[TextOptions]) -> Answer:
        """A continuation of `prompt`."""
        return Answer(self._driver.run(self._orders.complete(model, prompt, options)))

    def embed(self, model: str, texts: Sequence[str], **options: Unpack[Options]) -> Answer:
        """Embeddings of texts."""
        return Answer(self._driver.run(self._orders.embed(model, texts, options)))

    def infer(
        self, model: str, inputs: Mapping[str, Any], outputs: Sequence[str] = (), **options: Unpack[Options]
    ) -> Answer:
        """Run a tensor model on named numpy arrays, nested lists or `Tensor`s. `outputs` empty means all.

        With the layer `zkml` the input is one row of integers of -128 to 127 (`card` has what makes them), the answer
        comes at once with a promise, and `proof` waits for what was promised.
        """
        return Answer(self._driver.run(self._orders.infer(model, inputs, outputs, options)))

    def again(self, lost: Unanswered) -> Answer:
        """The answer that did not come back, asked for by the same signed request: debited once, however often."""
        return Answer(self._driver.run(self._orders.again(lost)))

    def settled(self, answer: Answer, patience_s: float = 30) -> Answer:
        """The same answer with the proof of its settlement. Raises `Unavailable` if it takes longer."""
        return Answer(self._driver.run(self._orders.settled(answer.verified, patience_s)))

    def proof(
        self, answer: Answer, patience_s: float = 300, told: Callable[[JsonObject], object] | None = None
    ) -> Answer:
        """The same answer with its settlement and, from the layer `zkml`, the proof that the model gave it.

        Args:
            answer: what was bought.
            patience_s: seconds to wait for the proof.
            told: called with how far it is, each time somebody asked (`flows.prove.Progress.as_json`).

        Raises:
            Unavailable: `proof.pending`: it takes longer. Rejected: `proof.overdue`: it did not come in time, and
                `refund` takes the price back; `proof.missed`: somebody did already.
        """
        for event in self._driver.play(self._orders.proof(answer.verified, patience_s)):
            if isinstance(event, Done):
                return Answer(event.value)
            if told is not None:
                told(event.chunk)
        raise AssertionError("a flow ends with Done")

    def refund(self, bundle: Bundle) -> Sent:
        """Take the price of an answer (`Answer.bundle`) back whose proof did not come in time.

        Raises:
            Rejected: `proof.early`, `proof.proven`, `proof.missed`, and what the ledger refuses.
        """
        return self._driver.run(self._orders.refund(bundle))

    def card(self, model: str) -> "Card":
        """The card of an exact model: `to_int8` makes its integers of numbers, `answer` says what its integers mean.

        Needs numpy (the extra `zk`). Raises `Unverified` where the nodes' card is not the registered one.
        """
        return self._driver.run(self._orders.card(model))

    def meet(self, node: Address, min_trust: str = "hardware") -> Met:
        """The enclave of a node, met now: registered, holding the TLS key, attesting for our nonce.

        What is returned can be kept: `met.document().encode()` is a file for `paraph verify`. Raises `Unverified`.
        """
        return self._driver.run(self._orders.meet(node, min_trust))

    # --- the registry and the wallet, every read proved ---

    def models(self) -> dict[ModelId, Model]:
        """Registered models by id."""
        return self._driver.run(registry.models(self._trust))

    def offer(self, model: str) -> Offer:
        """A model with its price in force, by name or id."""
        return self._driver.run(self._orders.offer(model))

    def nodes(self) -> dict[Address, Node]:
        """Registered nodes by operator account."""
        return self._driver.run(registry.nodes(self._trust))

    def releases(self) -> dict[Digest, Release]:
        """Code that enclaves may or might run, by id."""
        return self._driver.run(registry.releases(self._trust))

    def balance(self, account: Address | None = None) -> Wei:
        """What an account (by default the client's) holds, in wei."""
        return self._driver.run(registry.balance(self._trust, account or self.account))

    def escrow(self, account: Address | None = None) -> Account:
        """An account's escrow."""
        return self._driver.run(registry.escrow(self._trust, account or self.account))

    def deposit(self, amount: int) -> Sent:
        """Put `amount` wei into escrow, where signed requests are paid from."""
        return self._driver.run(self._orders.deposit(amount))

    def transfer(self, to: Address, amount: int) -> Sent:
        """Send `amount` wei to an account."""
        return self._driver.run(self._orders.transfer(to, amount))

    def transact(self, contract: Contract, method: str, *arguments: Any, value: int = 0) -> Sent:
        """Call a native contract's method, with `value` wei."""
        return self._driver.run(self._orders.call(contract, method, arguments, value))


class AsyncClient:
    """The asynchronous client: the same methods, awaited.

    Args: as `Client`.
    """

    def __init__(self, network: Network, key: PrivateKey) -> None:
        self.network = network
        self.account = key.address
        self._trust = network.trust
        self._orders = Orders(network.trust, key.address)
        self._driver = AsyncDriver(_means(network, key))

    @classmethod
    def open(cls, network_file: Path | str, key: PrivateKey) -> Self:
        """A client of the network in a file."""
        return cls(load_network(network_file), key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections."""
        await self._driver.close()

    async def chat(self, model: str, messages: Messages, **options: Unpack[TextOptions]) -> Answer:
        """See `Client.chat`."""
        return Answer(await self._driver.run(self._orders.chat(model, messages, options)))

    def chat_stream(self, model: str, messages: Messages, **options: Unpack[TextOptions]) -> AsyncStream:
        """See `Client.chat_stream`."""
        return AsyncStream(self._driver.play(self._orders.chat(model, messages, options, stream=True)))

    async def complete(self, model: str, prompt: str, **options: Unpack[TextOptions]) -> Answer:
        """See `Client.complete`."""
        return Answer(await self._driver.run(self._orders.complete(model, prompt, options)))

    async def embed(self, model: str, texts: Sequence[str], **options: Unpack[Options]) -> Answer:
        """See `Client.embed`."""
        return Answer(await self._driver.run(self._orders.embed(model, texts, options)))

    async def infer(
        self, model: str, inputs: Mapping[str, Any], outputs: Sequence[str] = (), **options: Unpack[Options]
    ) -> Answer:
        """See `Client.infer`."""
        return Answer(await self._driver.run(self._orders.infer(model, inputs, outputs, options)))

    async def again(self, lost: Unanswered) -> Answer:
        """See `Client.again`."""
        return Answer(await self._driver.run(self._orders.again(lost)))

    async def settled(self, answer: Answer, patience_s: float = 30) -> Answer:
        """See `Client.settled`."""
        return Answer(await self._driver.run(self._orders.settled(answer.verified, patience_s)))

    async def proof(
        self, answer: Answer, patience_s: float = 300, told: Callable[[JsonObject], object] | None = None
    ) -> Answer:
        """See `Client.proof`."""
        async with aclosing(self._driver.play(self._orders.proof(answer.verified, patience_s))) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Done):
                    return Answer(event.value)
                if told is not None:
                    told(event.chunk)
        raise AssertionError("a flow ends with Done")

    async def refund(self, bundle: Bundle) -> Sent:
        """See `Client.refund`."""
        return await self._driver.run(self._orders.refund(bundle))

    async def card(self, model: str) -> "Card":
        """See `Client.card`."""
        return await self._driver.run(self._orders.card(model))

    async def meet(self, node: Address, min_trust: str = "hardware") -> Met:
        """See `Client.meet`."""
        return await self._driver.run(self._orders.meet(node, min_trust))

    async def models(self) -> dict[ModelId, Model]:
        """See `Client.models`."""
        return await self._driver.run(registry.models(self._trust))

    async def offer(self, model: str) -> Offer:
        """See `Client.offer`."""
        return await self._driver.run(self._orders.offer(model))

    async def nodes(self) -> dict[Address, Node]:
        """See `Client.nodes`."""
        return await self._driver.run(registry.nodes(self._trust))

    async def releases(self) -> dict[Digest, Release]:
        """See `Client.releases`."""
        return await self._driver.run(registry.releases(self._trust))

    async def balance(self, account: Address | None = None) -> Wei:
        """See `Client.balance`."""
        return await self._driver.run(registry.balance(self._trust, account or self.account))

    async def escrow(self, account: Address | None = None) -> Account:
        """See `Client.escrow`."""
        return await self._driver.run(registry.escrow(self._trust, account or self.account))

    async def deposit(self, amount: int) -> Sent:
        """See `Client.deposit`."""
        return await self._driver.run(self._orders.deposit(amount))

    async def transfer(self, to: Address, amount: int) -> Sent:
        """See `Client.transfer`."""
        return await self._driver.run(self._orders.transfer(to, amount))

    async def transact(self, contract: Contract, method: str, *arguments: Any, value: int = 0) -> Sent:
        """See `Client.transact`."""
        return await self._driver.run(self._orders.call(contract, method, arguments, value))
