"""A small market without sockets: a real chain with its real RPC, and real inference services on fake engines.

Flows are driven by hand through it, or by the HTTP driver over in-process transports. Time moves when told.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

import httpx
from starlette.applications import Starlette
from tests.support_ledger.world import (
    ALICE,
    BASE,
    BOND,
    CHAIN_ID,
    HOT,
    OPERATOR,
    OPG,
    OWNER,
    PER_INPUT,
    PER_OUTPUT,
    START_S,
    key_proof,
    model_arguments,
    node_arguments,
    person,
)
from tests.support_ledger.world import genesis as ledger_genesis

from paraph.adapters.fakes.clock import FakeClock
from paraph.adapters.fakes.engines import FakeTensorEngine, FakeTextEngine
from paraph.adapters.fakes.store import MemoryStore
from paraph.adapters.http.client import AsyncDriver, Means
from paraph.adapters.http.replies import error_of
from paraph.core.amount import Wei
from paraph.core.digest import sha256
from paraph.core.encode import Json, JsonObject, decode
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import Address, ModelId, RequestKey
from paraph.core.keys import PrivateKey
from paraph.core.tensor import Tensor
from paraph.flows import effective
from paraph.flows.effect import Draw, Effect, Flow, Get, Hear, Listen, Now, Post, Rpc, Show, Sign, Wait, Witnesses
from paraph.flows.ports import KeyValue, TensorEngine, TextEngine
from paraph.flows.serve import Identity
from paraph.full_node.chain import Chain
from paraph.full_node.ethereum import methods
from paraph.full_node.production import Production
from paraph.full_node.rpc import answer
from paraph.full_node.solo import SoloApplication
from paraph.inference_node import inference_protocol, native, openai
from paraph.inference_node.ledger import LedgerView
from paraph.inference_node.models import Served
from paraph.inference_node.outbox import Outbox
from paraph.inference_node.service import Service
from paraph.inference_node.settler import Settler
from paraph.ledger.rooms.escrow.types import Account
from paraph.ledger.truths import broken
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_NAME
from paraph.proofs.manifest import Manifest, ModelFile
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest

T = TypeVar("T")

PRODUCER: Final = person("producer")
RPC_URL: Final = "http://rpc.test"
TEXT: Final = Manifest("test/words", "text", "invariant", (ModelFile("model.gguf", 9, sha256(b"words")),))
TENSOR: Final = Manifest("test/rows", "tensor", "invariant", (ModelFile("model.onnx", 9, sha256(b"rows")),))
TEXT_ID: Final = TEXT.model_id()
TENSOR_ID: Final = TENSOR.model_id()
PRICES: Final = (BASE, PER_INPUT, PER_OUTPUT)


def go(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(main)


def price_of(units_in: int, units_out: int) -> int:
    """What the market's models cost."""
    return BASE + PER_INPUT * units_in + PER_OUTPUT * units_out


def chat_body(text: str = "say it", **more: Json) -> dict[str, Json]:
    """An effective chat request."""
    return effective.chat({"messages": [{"role": "user", "content": text}], "max_tokens": 5, **more}, TEXT_ID)


def rows_body(rows: int = 1) -> dict[str, Json]:
    """An effective tensor request."""
    return effective.infer((Tensor("x", "FP32", (rows, 4), bytes(16 * rows)),), (), TENSOR_ID)


class Ledger:
    """A chain in memory behind its real JSON-RPC; a transaction is in a block before its hash is returned.

    Args:
        clock: gives blocks their time.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.genesis = ledger_genesis(producers=(PRODUCER.address,))
        self.trust = self.genesis.trust()
        self.chain = Chain(MemoryStore(), self.genesis)
        self.production = Production(SoloApplication(self.chain, PRODUCER), clock)
        self.engine = self.production.engine
        self.methods = methods(self.chain, self.production, clock)
        self.down = False
        self.asked: list[str] = []
        """Methods asked over RPC."""

    def post(self, body: bytes) -> bytes:
        """One JSON-RPC body in, one out, and a block where a transaction was sent."""
        found = _finished(answer(self.methods, body).__await__())
        if b"eth_sendRawTransaction" in body:
            self.engine.produce()
            self.audit()
        return found

    def rpc(self, effect: Rpc) -> Json:
        """What a driver would make of the reply."""
        if self.down:
            raise Unavailable("http.unreachable", "the full node is down")
        self.asked.append(effect.method)
        asked = {"jsonrpc": "2.0", "id": 1, "method": effect.method, "params": list(effect.params)}
        reply = json.loads(self.post(json.dumps(asked).encode()))
        if "error" in reply:
            raise Rejected("rpc.error", reply["error"]["message"])
        return reply["result"]  # type: ignore[no-any-return]

    async def serve(self, request: httpx.Request) -> httpx.Response:
        """The RPC as a transport's handler."""
        await asyncio.sleep(0)  # others go on meanwhile, as they do while a real reply is under way
        if self.down:
            raise httpx.ConnectError("the full node is down")
        asked = json.loads(request.content)
        self.asked.append(asked["method"])
        return httpx.Response(200, content=self.post(request.content))

    def send(self, sender: PrivateKey, to: Address, data: bytes = b"", value: int = 0) -> None:
        """One transaction in one block; it succeeds."""
        nonce = self.chain.next_nonce(sender.address)
        raw = Tx(2, CHAIN_ID, nonce, 1, 10**10, 20_000_000, to, Wei(value), data).sign(sender)
        self.engine.submit(raw)
        applied = self.engine.produce()
        assert [result.error for result in applied.results] == [""]
        self.audit()

    def call(self, sender: PrivateKey, contract: str, method: str, *arguments: Any, value: int = 0) -> None:
        """Call a native contract; it succeeds."""
        found = BY_NAME[contract]
        self.send(sender, found.address, found.method(method).call(*arguments), value)

    def escrow(self, payer: Address) -> int:
        """Wei of a payer's escrow that are available."""
        found = self.chain.read(b"escrow/account/" + payer)
        return 0 if found is None else Account.decode(found).available

    def audit(self) -> None:
        """All truths hold."""
        assert broken(self.chain.dump()) == []


def opened(clock: FakeClock | None = None, endpoints: Iterable[tuple[PrivateKey, PrivateKey]] = ()) -> Ledger:
    """A ledger with both models, one node (and more, by operator and hot key), and Alice's escrow of one OPG."""
    ledger = Ledger(clock or FakeClock((START_S + 10) * 1000))
    for manifest in (TEXT, TENSOR):
        names = {"model_id": manifest.model_id(), "manifest": manifest.digest(), "name": manifest.name}
        ledger.call(OWNER, "Models", "register", *model_arguments(**names, kind=manifest.kind))
    for operator, hot in ((OPERATOR, HOT), *endpoints):
        arguments = node_arguments(
            hot,
            operator,
            endpoint=endpoint_of(operator),
            models=(TEXT_ID, TENSOR_ID),
            proof=key_proof(hot, operator.address),
        )
        if operator != OPERATOR:
            ledger.send(OPERATOR, operator.address, value=BOND + OPG)
        ledger.call(operator, "Nodes", "register", *arguments, value=BOND)
        ledger.send(OPERATOR, hot.address, value=OPG)
    ledger.call(ALICE, "Escrow", "deposit", value=OPG)
    return ledger


def endpoint_of(operator: PrivateKey) -> str:
    """Where an operator's node answers."""
    return f"http://{operator.address.hex()[:8]}.test"


class Drawn:
    """Random bytes that are not: the same from the same seed."""

    def __init__(self, seed: bytes = b"drawn") -> None:
        self._seed = seed
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return (sha256(self._seed + self._count.to_bytes(8, "big")) * 2)[:size]


@dataclass
class Market:
    """A ledger, one node's service with its doors and settler, and clients.

    Args:
        ledger: the chain.
        store: where the node's outbox is.
        text, tensor: its engines.
        operator, hot: its keys.
        slots: requests a model may run at the same time.
    """

    ledger: Ledger = field(default_factory=opened)
    store: KeyValue = field(default_factory=MemoryStore)
    text: TextEngine = field(default_factory=FakeTextEngine)
    tensor: TensorEngine = field(default_factory=FakeTensorEngine)
    operator: PrivateKey = OPERATOR
    hot: PrivateKey = HOT
    slots: int = 4

    def __post_init__(self) -> None:
        self.clock = self.ledger.clock
        self._clients: list[httpx.AsyncClient] = []
        self.identity = Identity(CHAIN_ID, self.operator.address, self.hot)
        self.restart()

    def restart(self) -> None:
        """The node's process ends and starts again: only its store is as it was."""
        self.outbox = Outbox(self.store)
        driver = self.driver(self.hot, {})
        served = {
            TEXT_ID: Served(TEXT_ID, TEXT, self.text, self.slots),
            TENSOR_ID: Served(TENSOR_ID, TENSOR, self.tensor, self.slots),
        }
        self.service = Service(
            self.identity, served, LedgerView(driver, self.ledger.trust, self.clock), self.outbox, self.clock
        )
        self.settler = Settler(driver, self.service, self.outbox, 0.01)
        doors = (native, openai, inference_protocol)
        self.app = Starlette(routes=[route for door in doors for route in door.routes(self.service)])

    def driver(self, key: PrivateKey, nodes: dict[str, httpx.AsyncBaseTransport], draw: Any = None) -> AsyncDriver:
        """A driver that reaches the ledger and these nodes."""
        mounts = {RPC_URL: httpx.MockTransport(self.ledger.serve), **nodes}
        http = httpx.AsyncClient(mounts=mounts, transport=httpx.MockTransport(_nowhere))
        self._clients.append(http)
        return AsyncDriver(Means(RPC_URL, self.clock.now_ms, draw or Drawn(), key.sign), http)

    def buyer(self, key: PrivateKey = ALICE, draw: Any = None) -> AsyncDriver:
        """A driver of a client of this node."""
        return self.driver(key, {endpoint_of(self.operator): httpx.ASGITransport(self.app)}, draw)

    @asynccontextmanager
    async def door(self) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client of the node."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://node.test") as http:
            yield http
        async with asyncio.timeout(20):
            await self.service.drain()

    async def close(self) -> None:
        """Let the jobs end and close connections."""
        await self.service.drain()
        await self.outbox.flushed()
        for client in self._clients:
            await client.aclose()

    def request(self, body: JsonObject, *, key: bytes = b"k", payer: PrivateKey = ALICE, **changes: Any) -> Request:
        """A request for a body; `changes` are fields that differ."""
        found: dict[str, Any] = {
            "key": RequestKey(sha256(key)),
            "payer": payer.address,
            "node": self.operator.address,
            "model_id": ModelId(bytes.fromhex(str(body["model"])[2:])),
            "body_digest": body_digest(body),
            "layer": Layer.SIGNATURE,
            "max_price": Wei(10**6),
            "deadline": self.clock.now_ms() // 1000 + 600,
        }
        return Request(**(found | changes))

    def sign(
        self, body: JsonObject, *, signer: PrivateKey = ALICE, chain_id: int = CHAIN_ID, **changes: Any
    ) -> SignedRequest:
        """A signed request for a body."""
        request = self.request(body, **changes)
        return SignedRequest(chain_id, request, signer.sign(request.signing_digest(chain_id)))

    def message(self, body: JsonObject, *, stream: bool = False, **changes: Any) -> dict[str, Json]:
        """What the native door takes."""
        return {"request": self.sign(body, **changes).as_json(), "body": body, "stream": stream}

    @property
    def promised(self) -> int:
        """Wei that Alice's escrow owes this node, as the node knows it."""
        return self.service._promised.get(ALICE.address, 0)


async def _nowhere(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"nobody answers at {request.url}")


def _finished(running: Generator[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing outside."""
    try:
        while True:
            next(running)
    except StopIteration as done:
        result: T = done.value
        return result


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until something holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  what is waited for tells nobody
            await asyncio.sleep(0.001)


def play(flow: Flow[T], do: Callable[[Effect[Any]], Any]) -> T:
    """Drive a flow by hand: `do` gives each reply, or raises what the effect failed with."""
    try:
        effect = next(flow)
        while True:
            try:
                reply = do(effect)
            except ParaphError as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(reply)
    except StopIteration as done:
        result: T = done.value
        return result


def local(
    ledger: Ledger, key: PrivateKey = ALICE, draw: Callable[[int], bytes] | None = None
) -> Callable[[Effect[Any]], Any]:
    """What the caller's own machine answers, with this ledger behind its RPC; time passes where the flow waits."""
    drawn = draw or Drawn()

    def do(effect: Effect[Any]) -> Any:
        match effect:
            case Rpc():
                return ledger.rpc(effect)
            case Now():
                return ledger.clock.now_ms()
            case Witnesses():
                return 0
            case Draw():
                return drawn(effect.size)
            case Sign():
                return key.sign(effect.digest)
            case Wait():
                ledger.clock.advance(effect.milliseconds)
                return None
            case _:
                raise AssertionError(f"nobody answers {effect}")

    return do


Told: TypeAlias = tuple[Effect[Any], Any]
"""An effect and its reply; an error where it failed."""


class Hands:
    """Does a flow's effects one by one against markets, and writes down what came back.

    Args:
        markets: nodes that can be reached; they share a ledger.
        key: who signs.
        draw: random bytes.
    """

    def __init__(self, *markets: Market, key: PrivateKey = ALICE, draw: Callable[[int], bytes] | None = None) -> None:
        self.told: list[Told] = []
        self.shown: list[JsonObject] = []
        self.dead: set[str] = set()
        """Endpoints that cannot be reached."""
        self._markets = {endpoint_of(market.operator): market for market in markets}
        self._local = local(markets[0].ledger, key, draw)
        self._events: list[Json] = []

    def __call__(self, effect: Effect[Any]) -> Any:
        try:
            reply = self._do(effect)
        except ParaphError as error:
            self.told.append((effect, error))
            raise
        self.told.append((effect, reply))
        return reply

    def run(self, flow: Flow[T]) -> T:
        """The flow's result."""
        return play(flow, self)

    def _do(self, effect: Effect[Any]) -> Any:
        match effect:
            case Post():
                return decode(self._http("POST", effect.url, effect.body))
            case Get():
                return decode(self._http("GET", effect.url))
            case Listen():
                lines = self._http("POST", effect.url, effect.body).split(b"\n")
                self._events = [decode(line[6:]) for line in lines if line.startswith(b"data: {")]
                return None
            case Hear():
                return self._events.pop(0) if self._events else None
            case Show():
                self.shown.append(effect.chunk)
                return None
            case _:
                return self._local(effect)

    def _http(self, method: str, url: str, body: JsonObject | None = None) -> bytes:
        endpoint = next((each for each in self._markets if url.startswith(each)), "")
        if not endpoint or endpoint in self.dead:
            raise Unavailable("http.unreachable", f"nobody answers at {url}")
        return go(_answered(self._markets[endpoint], method, url.removeprefix(endpoint), body))


async def _answered(market: Market, method: str, path: str, body: JsonObject | None) -> bytes:
    async with market.door() as http:
        response = await http.request(method, path, json=body)
    if response.status_code != 200:
        raise error_of(response.status_code, response.content)
    return response.content


class Tape:
    """Plays back what was told: the same effect gets the same replies in order, the last of them again and again."""

    def __init__(self, told: Iterable[Told]) -> None:
        self.shown: list[JsonObject] = []
        self._replies: dict[str, list[Any]] = {}
        for effect, reply in told:
            self._replies.setdefault(repr(effect), []).append(reply)

    def __call__(self, effect: Effect[Any]) -> Any:
        if isinstance(effect, Show):
            self.shown.append(effect.chunk)
            return None
        replies = self._replies.get(repr(effect))
        if replies is None:
            raise Unavailable("tape.unknown", f"nobody said what {type(effect).__name__} gives")
        ends = isinstance(effect, Hear)
        reply = (replies.pop(0) if ends or len(replies) > 1 else replies[0]) if replies else None
        if isinstance(reply, ParaphError):
            raise reply
        return reply
