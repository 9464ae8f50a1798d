"""A full node for tests, in two sizes: all but the socket, in memory; and a real one on a thread of its own."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID, START_S
from tests.support_ledger.world import genesis as ledger_genesis

from paraph.adapters.fakes.clock import FakeClock
from paraph.adapters.fakes.store import MemoryStore
from paraph.core.amount import Wei
from paraph.core.digest import keccak256
from paraph.core.ident import Address
from paraph.core.keys import PrivateKey
from paraph.core.smt import EMPTY
from paraph.flows.ports import KeyValue
from paraph.full_node.chain import HISTORY_BLOCKS, Chain
from paraph.full_node.config import Config, Consensus, Rpc
from paraph.full_node.ethereum import methods
from paraph.full_node.node import FullNode
from paraph.full_node.production import Production
from paraph.full_node.rpc import answer
from paraph.full_node.solo import SoloApplication
from paraph.ledger import tree
from paraph.ledger.genesis import Genesis
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_NAME

GWEI: Final = 10**9
PRODUCER: Final = PrivateKey(keccak256(b"a producer"))


def genesis(**changes: Any) -> Genesis:
    """The ledger tests' network, with a producer whose key we have."""
    return ledger_genesis(**{"producers": (PRODUCER.address,), **changes})


def native(name: str) -> str:
    """The address of a native contract, as text."""
    return "0x" + BY_NAME[name].address.hex()


def text(account: PrivateKey | Address) -> str:
    """An address as text."""
    return "0x" + (account.address if isinstance(account, PrivateKey) else account).hex()


def transfer(
    nonce: int,
    *,
    sender: PrivateKey = ALICE,
    to: Address = BOB.address,
    value: int = 1,
    data: bytes = b"",
    tip: int = GWEI,
    fee: int = 3 * GWEI,
    gas: int = 21_000,
    chain_id: int = CHAIN_ID,
) -> bytes:
    """A signed EIP-1559 transaction: unless told otherwise, one wei from Alice to Bob."""
    return Tx(2, chain_id, nonce, tip, fee, gas, to, Wei(value), data).sign(sender)


def calling(
    nonce: int, contract: str, method: str, *arguments: Any, sender: PrivateKey = ALICE, value: int = 0
) -> bytes:
    """A signed transaction that calls a native contract."""
    found = BY_NAME[contract]
    data = found.method(method).call(*arguments)
    return transfer(nonce, sender=sender, to=found.address, value=value, data=data, gas=5_000_000)


def rebuilt(chain: Chain) -> tree.Update:
    """The state tree, built afresh from the whole state."""
    nothing: dict[bytes, bytes] = {}
    return tree.update(nothing.get, EMPTY, chain.dump())


class Asker:
    """Plain JSON-RPC over anything that turns a body into an answer."""

    def __init__(self, post: Callable[[bytes], bytes]) -> None:
        self.post = post

    def body(self, value: Any) -> Any:
        """The answer to a JSON value."""
        return json.loads(self.post(json.dumps(value).encode()))

    def ask(self, method: str, *params: Any) -> Any:
        """The whole answer to one call."""
        return self.body({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})

    def result(self, method: str, *params: Any) -> Any:
        """The result of one call, which must succeed."""
        found = self.ask(method, *params)
        assert "error" not in found, found
        return found["result"]

    def error(self, method: str, *params: Any) -> Any:
        """The error of one call, which must fail."""
        found = self.ask(method, *params)
        assert "result" not in found, found
        return found["error"]

    def send(self, raw: bytes) -> str:
        """Hand in a raw transaction; its hash."""
        return str(self.result("eth_sendRawTransaction", "0x" + raw.hex()))


class Desk(Asker):
    """A node without a socket: a chain in memory, its engine, its methods, a clock that moves when told."""

    def __init__(
        self, network: Genesis | None = None, store: KeyValue | None = None, history_blocks: int = HISTORY_BLOCKS
    ) -> None:
        self.clock = FakeClock((START_S + 10) * 1000)
        self.chain = Chain(store or MemoryStore(), network or genesis(), history_blocks)
        self.application = SoloApplication(self.chain, PRODUCER)
        self.production = Production(self.application, self.clock)
        self.engine = self.production.engine
        self.methods = methods(self.chain, self.production, self.clock)
        super().__init__(lambda body: asyncio.run(answer(self.methods, body)))

    def settle(self, *raw: bytes) -> list[Any]:
        """Hand in transactions, make one block, return their receipts."""
        hashes = [self.send(each) for each in raw]
        self.engine.produce()
        return [self.result("eth_getTransactionReceipt", each) for each in hashes]


class Live(Asker):
    """A running full node: its URL, the node, the loop it runs in."""

    def __init__(self, url: str, node: FullNode, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.node = node
        self.loop = loop
        self.http = httpx.Client(base_url=url, timeout=20, headers={"content-type": "application/json"})
        super().__init__(lambda body: self.http.post("/", content=body).content)


def config(interval_s: float = 0) -> Config:
    """A node on a free port of loopback that makes blocks by hand when asked."""
    return Config(Rpc("127.0.0.1:0", produce=True), consensus=Consensus(interval_ms=int(interval_s * 1000)))


@contextmanager
def live(home: Path, network: Genesis | None = None, interval_s: float = 0) -> Iterator[Live]:
    """A full node on loopback while the block lasts."""
    ready: list[Live] = []
    failed: list[BaseException] = []
    started, stopping = threading.Event(), asyncio.Event()

    async def serve() -> None:
        try:
            node = FullNode(home, network or genesis(), PRODUCER, config(interval_s))
            ready.append(Live(await node.start(), node, asyncio.get_running_loop()))
            started.set()
            await stopping.wait()
            await node.stop()
        except BaseException as error:  # noqa: BLE001  it is raised again where the test waits
            failed.append(error)
            started.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait(20)
    try:
        if failed:
            raise failed[0]
        yield ready[0]
    finally:
        if ready:
            ready[0].http.close()
            ready[0].loop.call_soon_threadsafe(stopping.set)
        thread.join(20)
    if failed:
        raise failed[0]
