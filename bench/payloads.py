"""What the consensus benchmark hands in: transfers, settlements, and for the kvstore bytes that are as many."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from bench.networks import App, Network
from bench.wallets import SENDERS, Wallets
from paraph.core.abi import decode
from paraph.core.ident import Address, to_hex
from paraph.ledger.rooms.settlement.calls import CONTRACT as SETTLEMENT

ACCOUNTS: Final = [Address(sha256(b"account %d" % index).digest()[:20]) for index in range(1_000)]
BATCHERS: Final = 8
"""Accounts that bring settlements."""
CALLS: Final = 50
"""Calls in one JSON-RPC batch."""


@dataclass(frozen=True, slots=True)
class Load:
    """Transactions in groups, each of which must go over one connection, in order.

    Args:
        groups: the bodies of requests.
        request: makes the whole HTTP request of a body.
        count: transactions in all.
        to_doors: our nodes are asked, and not the engines.
    """

    groups: list[list[bytes]]
    request: Callable[[bytes], bytes]
    count: int
    to_doors: bool = False

    def lines(self, connections: int) -> list[list[bytes]]:
        """The groups dealt to so many connections: of each group one, and again, until all are through."""
        found: list[list[bytes]] = [[] for _ in range(connections)]
        for turn in range(max(map(len, self.groups))):
            for index, group in enumerate(self.groups):
                if turn < len(group):
                    found[index % connections].append(group[turn])
        return [line for line in found if line]


class Payloads:
    """Loads for one network, in the order in which they are made."""

    def __init__(self) -> None:
        self._wallets = Wallets()
        self._made = self._paid = 0
        self.transfer_bytes: Final = len(Wallets().transfers(ACCOUNTS[:1])[0])

    def small(self, app: App, count: int) -> Load:
        """So many transfers; for others, transactions of their size."""
        if app is App.PARAPH:
            return Load(self._by_sender(self._transfers(count)), to_engine, count)
        return Load([[each] for each in self._pairs(count, self.transfer_bytes)], to_engine, count)

    def calls(self, count: int) -> Load:
        """So many transfers for our own door, in JSON-RPC batches."""
        groups = self._by_sender(self._transfers(count))
        # A sender's transactions stay in order: a batch holds the next one of each of so many senders.
        together = [groups[start : start + CALLS] for start in range(0, len(groups), CALLS)]
        bodies = [
            [b"".join(_item(group[turn]) for group in part if turn < len(group)) for turn in range(max(map(len, part)))]
            for part in together
        ]
        return Load(bodies, to_door, count, to_doors=True)

    def openings(self) -> tuple[Load, ...]:
        """The market's opening, one transaction after the other."""
        return tuple(Load([[each]], to_engine, 1) for each in self._wallets.openings())

    def large(self, network: Network, batches: int, receipts: int) -> Load:
        """So many settlements, brought by some accounts in turn; for others, transactions of their size."""
        now_s, height = network.genesis.time_s, network.height()
        raw = [
            self._wallets.batch(self._wallets.owed(receipts, now_s, height), SENDERS[index % BATCHERS])
            for index in range(batches)
        ]
        if network.app is not App.PARAPH:
            raw = self._pairs(batches, len(raw[0]))
        return Load([raw[start::BATCHERS] for start in range(min(BATCHERS, batches))], to_engine, batches)

    def check_transfers(self, network: Network) -> None:
        """The money has arrived."""
        wanted = sum(1 for index in range(self._paid) if index % len(ACCOUNTS) == 0)
        assert int(_call(network, "eth_getBalance", to_hex(ACCOUNTS[0]), "latest"), 16) == wanted

    def check_settled(self, network: Network, receipts: int) -> None:
        """So many receipts stand in batches."""
        batches = int(_view(network, "batches")[0])
        assert sum(int(_view(network, "batch", number + 1)[1]) for number in range(batches)) == receipts

    def _transfers(self, count: int) -> tuple[bytes, ...]:
        first, self._paid = self._paid, self._paid + count
        return self._wallets.transfers([ACCOUNTS[index % len(ACCOUNTS)] for index in range(first, first + count)])

    def _by_sender(self, raw: tuple[bytes, ...]) -> list[list[bytes]]:
        return [list(raw[start :: len(SENDERS)]) for start in range(min(len(SENDERS), len(raw)))]

    def _pairs(self, count: int, size: int) -> list[bytes]:
        """Transactions as the kvstore reads them: a key, an equals sign, a value; all different."""
        first, self._made = self._made, self._made + count
        return [(b"%08d=" % index).ljust(size, b"x") for index in range(first, first + count)]


def to_engine(raw: bytes) -> bytes:
    """The request that hands a transaction to an engine."""
    parameters = {"tx": base64.b64encode(raw).decode()}
    call = {"jsonrpc": "2.0", "id": 1, "method": "broadcast_tx_sync", "params": parameters}
    return _post(json.dumps(call).encode())


def to_door(calls: bytes) -> bytes:
    """The request that hands calls to one of our nodes."""
    return _post(b"[" + calls.removesuffix(b",") + b"]")


def _item(raw: bytes) -> bytes:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [to_hex(raw)]}
    return json.dumps(call).encode() + b","


def _post(body: bytes) -> bytes:
    head = (
        f"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _call(network: Network, method: str, *parameters: object) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    post = HttpRequest(f"http://{network.doors[0]}", body, {"content-type": "application/json"})
    with urlopen(post) as reply:  # noqa: S310  our own server
        return json.load(reply)["result"]


def _view(network: Network, name: str, *arguments: int) -> tuple[Any, ...]:
    method = SETTLEMENT.method(name)
    call = {"to": to_hex(SETTLEMENT.address), "data": to_hex(method.call(*arguments))}
    return decode(method.outputs, bytes.fromhex(_call(network, "eth_call", call, "latest")[2:]))
