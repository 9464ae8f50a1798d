"""The clients. Each method is one flow, run by a driver; every answer returned was verified.

Args of the answering methods, in common:
    model: registered name, or id as hex.
    parameters: as OpenAI names them (`max_tokens`, `temperature`, `seed`, `stop`, `tools`, …).
    layer: verification layer, `signature` until the node offers more.
    max_price: cap in wei; by default the most the request can cost by the model's price.
    node: a certain node's account; by default any that serves the model.

Raises, in common: `Unverified` when an answer does not verify, `Rejected` for what the network refuses,
`Unavailable` when nobody could be reached; `Malformed` for arguments or replies that are not what they should be.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paraph.adapters.http.client import AsyncDriver, Means, SyncDriver
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.amount import Wei
from paraph.core.ident import Address, ModelId
from paraph.core.keys import PrivateKey
from paraph.flows import registry
from paraph.flows.buy import await_settled
from paraph.flows.registry import Offer
from paraph.flows.transact import Sent
from paraph.ledger.contract import Contract
from paraph.ledger.rooms.escrow.types import Account
from paraph.ledger.rooms.nodes.types import Node
from paraph.proofs.records import Model
from paraph.sdk import orders
from paraph.sdk.answer import Answer
from paraph.sdk.network import Network, load_network
from paraph.sdk.orders import Terms, conversation, tensors
from paraph.sdk.stream import AsyncStream, Stream

Messages = str | Sequence[Mapping[str, Any]]


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
        self._driver = SyncDriver(Means(network.rpc_url, SystemClock().now_ms, random_bytes, key.sign))

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

    def chat(
        self,
        model: str,
        messages: Messages,
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
        **parameters: Any,
    ) -> Answer:
        """A chat answer. `messages` is OpenAI's list, or one text of the user."""
        asked = {"messages": conversation(messages), **parameters}
        terms = Terms(layer, max_price, node)
        flow = orders.text_order(self._trust, self.account, "chat", model, asked, terms, stream=False)
        return Answer(self._driver.run(flow))

    def chat_stream(
        self,
        model: str,
        messages: Messages,
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
        **parameters: Any,
    ) -> Stream:
        """A chat answer, piece by piece."""
        asked = {"messages": conversation(messages), **parameters}
        terms = Terms(layer, max_price, node)
        flow = orders.text_order(self._trust, self.account, "chat", model, asked, terms, stream=True)
        return Stream(self._driver.play(flow))

    def complete(
        self,
        model: str,
        prompt: str,
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
        **parameters: Any,
    ) -> Answer:
        """A continuation of `prompt`."""
        terms = Terms(layer, max_price, node)
        asked = {"prompt": prompt, **parameters}
        flow = orders.text_order(self._trust, self.account, "completion", model, asked, terms, stream=False)
        return Answer(self._driver.run(flow))

    def embed(
        self,
        model: str,
        texts: Sequence[str],
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
    ) -> Answer:
        """Embeddings of texts."""
        terms = Terms(layer, max_price, node)
        asked = {"inputs": list(texts)}
        flow = orders.text_order(self._trust, self.account, "embeddings", model, asked, terms, stream=False)
        return Answer(self._driver.run(flow))

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] = (),
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
    ) -> Answer:
        """Run a tensor model on named numpy arrays, nested lists or `Tensor`s. `outputs` empty means all."""
        terms = Terms(layer, max_price, node)
        flow = orders.tensor_order(self._trust, self.account, model, tensors(inputs), outputs, terms)
        return Answer(self._driver.run(flow))

    def settled(self, answer: Answer, patience_s: float = 30) -> Answer:
        """The same answer with the proof of its settlement. Raises `Unavailable` if it takes longer."""
        return Answer(self._driver.run(await_settled(self._trust, answer.bundle, int(patience_s * 1000))))

    # --- the registry and the wallet, every read proved ---

    def models(self) -> dict[ModelId, Model]:
        """Registered models by id."""
        return self._driver.run(registry.models(self._trust))

    def offer(self, model: str) -> Offer:
        """A model with its price in force."""
        return self._driver.run(registry.offer(self._trust, self.find_model(model)))

    def find_model(self, name: str) -> ModelId:
        """The id of a model by name."""
        return self._driver.run(registry.find_model(self._trust, name))

    def nodes(self) -> dict[Address, Node]:
        """Registered nodes by operator account."""
        return self._driver.run(registry.nodes(self._trust))

    def balance(self, account: Address | None = None) -> Wei:
        """What an account (by default the client's) holds, in wei."""
        return self._driver.run(registry.balance(self._trust, account or self.account))

    def escrow(self, account: Address | None = None) -> Account:
        """An account's escrow."""
        return self._driver.run(registry.escrow(self._trust, account or self.account))

    def deposit(self, amount: int) -> Sent:
        """Put `amount` wei into escrow, where signed requests are paid from."""
        return self._driver.run(orders.deposit(self._trust, self.account, amount))

    def transact(self, contract: Contract, method: str, *arguments: Any, value: int = 0) -> Sent:
        """Call a native contract's method, with `value` wei."""
        flow = orders.call_contract(self._trust, self.account, contract, method, arguments, value)
        return self._driver.run(flow)

    def transfer(self, to: Address, amount: int) -> Sent:
        """Send `amount` wei to an account."""
        return self._driver.run(orders.transfer(self._trust, self.account, to, amount))


class AsyncClient:
    """The asynchronous client: the same methods, awaited.

    Args: as `Client`.
    """

    def __init__(self, network: Network, key: PrivateKey) -> None:
        self.network = network
        self.account = key.address
        self._trust = network.trust
        self._driver = AsyncDriver(Means(network.rpc_url, SystemClock().now_ms, random_bytes, key.sign))

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

    async def chat(
        self,
        model: str,
        messages: Messages,
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
        **parameters: Any,
    ) -> Answer:
        """See `Client.chat`."""
        asked = {"messages": conversation(messages), **parameters}
        terms = Terms(layer, max_price, node)
        flow = orders.text_order(self._trust, self.account, "chat", model, asked, terms, stream=False)
        return Answer(await self._driver.run(flow))

    def chat_stream(
        self,
        model: str,
        messages: Messages,
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
        **parameters: Any,
    ) -> AsyncStream:
        """See `Client.chat_stream`."""
        asked = {"messages": conversation(messages), **parameters}
        terms = Terms(layer, max_price, node)
        flow = orders.text_order(self._trust, self.account, "chat", model, asked, terms, stream=True)
        return AsyncStream(self._driver.play(flow))

    async def complete(
        self,
        model: str,
        prompt: str,
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
        **parameters: Any,
    ) -> Answer:
        """See `Client.complete`."""
        terms = Terms(layer, max_price, node)
        asked = {"prompt": prompt, **parameters}
        flow = orders.text_order(self._trust, self.account, "completion", model, asked, terms, stream=False)
        return Answer(await self._driver.run(flow))

    async def embed(
        self,
        model: str,
        texts: Sequence[str],
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
    ) -> Answer:
        """See `Client.embed`."""
        terms = Terms(layer, max_price, node)
        asked = {"inputs": list(texts)}
        flow = orders.text_order(self._trust, self.account, "embeddings", model, asked, terms, stream=False)
        return Answer(await self._driver.run(flow))

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] = (),
        *,
        layer: str = "signature",
        max_price: int | None = None,
        node: Address | None = None,
    ) -> Answer:
        """See `Client.infer`."""
        terms = Terms(layer, max_price, node)
        flow = orders.tensor_order(self._trust, self.account, model, tensors(inputs), outputs, terms)
        return Answer(await self._driver.run(flow))

    async def settled(self, answer: Answer, patience_s: float = 30) -> Answer:
        """See `Client.settled`."""
        return Answer(await self._driver.run(await_settled(self._trust, answer.bundle, int(patience_s * 1000))))

    async def models(self) -> dict[ModelId, Model]:
        """See `Client.models`."""
        return await self._driver.run(registry.models(self._trust))

    async def nodes(self) -> dict[Address, Node]:
        """See `Client.nodes`."""
        return await self._driver.run(registry.nodes(self._trust))

    async def balance(self, account: Address | None = None) -> Wei:
        """See `Client.balance`."""
        return await self._driver.run(registry.balance(self._trust, account or self.account))

    async def escrow(self, account: Address | None = None) -> Account:
        """See `Client.escrow`."""
        return await self._driver.run(registry.escrow(self._trust, account or self.account))

    async def deposit(self, amount: int) -> Sent:
        """See `Client.deposit`."""
        return await self._driver.run(orders.deposit(self._trust, self.account, amount))

    async def transact(self, contract: Contract, method: str, *arguments: Any, value: int = 0) -> Sent:
        """See `Client.transact`."""
        flow = orders.call_contract(self._trust, self.account, contract, method, arguments, value)
        return await self._driver.run(flow)
