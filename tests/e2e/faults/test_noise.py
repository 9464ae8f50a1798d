"""Strangers who send nonsense, or nothing, or too much: nodes answer others meanwhile, and blocks go on."""

import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

import httpx
import pytest
from tests.support.member import Member
from tests.support.purse import Purse
from tests.support.validators import Network
from tests.support_ledger.world import ALICE, BOB, CAROL, person

from paraph.adapters.comet.home import abci_socket
from paraph.core.ident import to_hex
from paraph.flows.mempool import POOL_MAX
from paraph.full_node.agreement import ENGINE
from paraph.full_node.config import address_of

pytestmark = pytest.mark.e2e

HELD_OPEN = 40
"""Slow connections to each port at once."""
HELD_OPEN_ABCI = 8
"""The engine's own socket lets its owner alone in; it keeps places for an engine that starts again."""
SHOTS = 30


def doors(member: Member) -> list[tuple[str, int]]:
    """Every TCP address that a node listens on: for wallets, for metrics, for peers, and its engine's own."""
    config = member.config
    listed = (config.rpc.listen, config.metrics.listen, config.consensus.listen, config.consensus.rpc_listen)
    return [address_of(each, "a door") for each in listed]


def shots(chance: random.Random) -> Iterator[bytes]:
    """Bytes that nobody expects: noise, and beginnings of what is expected."""
    beginnings = (
        b"",
        b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n{",
        b"GET /websocket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n" + b"[" * 20,
        b"\xff\xff\xff\xff\x0f",
        b"\x80" * 12,
        b"\x04\x0a\x02\x0a\x00",
    )
    for start in cycle(beginnings):
        yield start + chance.randbytes(chance.randrange(2_000))


def shoot(connect: socket.socket, data: bytes) -> None:
    """Send, and read whatever comes for a moment."""
    with connect, suppress(OSError):
        connect.settimeout(0.3)
        connect.sendall(data)
        connect.shutdown(socket.SHUT_WR)
        connect.recv(4096)


def abci(member: Member) -> socket.socket:
    """A connection to the socket where a node's application listens."""
    wire = socket.socket(socket.AF_UNIX)
    wire.settimeout(5)
    wire.connect(str(abci_socket(member.home / ENGINE)))
    return wire


@contextmanager
def held_open(member: Member) -> Iterator[None]:
    """Many connections to each port, on each of which a request has begun and never ends."""
    wires = []
    try:
        for door in doors(member):
            for _ in range(HELD_OPEN):
                with suppress(OSError):
                    wires.append(socket.create_connection(door, timeout=5))
        wires += [abci(member) for _ in range(HELD_OPEN_ABCI)]
        for wire in wires:
            with suppress(OSError):
                wire.sendall(b"P")
        yield
    finally:
        for wire in wires:
            wire.close()


def test_garbage_and_slow_clients(tmp_path: Path) -> None:
    """Noise on every port, and connections that never end their request: payments and blocks go on meanwhile."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with Network(tmp_path) as network:
        network.start()
        target, purse = network.members[0], Purse(BOB)
        data = shots(random.Random(seed))
        for door in doors(target):
            for _ in range(SHOTS):
                shoot(socket.create_connection(door, timeout=5), next(data))
        for _ in range(SHOTS):
            with suppress(OSError):
                shoot(abci(target), next(data))
        network.must(purse.pay(CAROL.address), target)
        engine = target.engine_pid
        with held_open(target):
            network.must(purse.pay(CAROL.address), target)
            network.grow(5)
        network.grow(2)
        network.agree()

        assert target.metric("paraph_block_height") > 0
        assert target.engine_pid == engine
        assert target.ask("eth_syncing") is False
        assert not target.said("agreement.stopped")


# --- a flood -----------------------------------------------------------------------------------------------------

BATCH = 100
GAPPED_OF_EACH = 60
GAPPERS = 4
"""Accounts with money that send what waits for a transaction that never comes: the one junk that is taken."""
HONEST = 20
BLOCKS_MAX = 12
"""In how many blocks an honest transaction must be while the flood comes: beside it, it takes two."""
PACE_S_MAX = 6
"""Seconds a block may take on average meanwhile; alone it takes half a second on a busy machine."""


def junk(count: int, seed: int) -> Iterator[bytes]:
    """Transactions that will never be included: forged, moneyless, far ahead, changed on the way, behind a gap."""
    chance = random.Random(seed)
    good = Purse(ALICE).pay(BOB.address)
    for number in range(count):
        match number % 5:
            case 0:
                yield good[:-65] + chance.randbytes(65)
            case 1:
                yield Purse(person(f"poor {number}")).pay(BOB.address)
            case 2:
                yield Purse(person("validator1"), 1_000 + number).pay(BOB.address)
            case 3:
                place = chance.randrange(len(good))
                yield good[:place] + bytes((good[place] ^ 1 << chance.randrange(8),)) + good[place + 1 :]
            case _:
                sender, nonce = number // 5 % GAPPERS, 1 + number // (5 * GAPPERS) % GAPPED_OF_EACH
                yield Purse(person(f"joiner{sender}"), nonce).pay(BOB.address)


def flood(member: Member, count: int, seed: int, done: threading.Event) -> int:
    """Hand junk to a node as fast as it takes it; how much it refused."""
    refused = 0
    with httpx.Client(base_url=member.url, timeout=60) as client:
        batch: list[dict[str, object]] = []
        for raw in junk(count, seed):
            if done.is_set():
                break
            batch.append({"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [to_hex(raw)]})
            if len(batch) == BATCH:
                refused += sum("error" in each for each in client.post("/", json=batch).json())
                batch.clear()
    return refused


def survives_flood(tmp_path: Path, count: int) -> None:
    """Flood one node while honest payments go through it."""
    with Network(tmp_path, form_workers=1) as network:
        network.start()
        target, other = network.members[:2]
        begun = int(other.block(other.height())["timestamp"], 16), other.height()
        done = threading.Event()
        purse = Purse(CAROL)
        with ThreadPoolExecutor(2) as pool:
            floods = [pool.submit(flood, target, count // 2, seed, done) for seed in (1, 2)]
            took: list[int] = []
            try:
                while not all(each.done() for each in floods) or len(took) < HONEST:
                    height = other.height()
                    found = network.must(purse.pay(BOB.address), target)
                    took.append(int(found["blockNumber"], 16) - height)
            finally:
                done.set()
            refused = sum(each.result() for each in floods)
        ended = int(other.block(other.height())["timestamp"], 16), other.height()
        network.grow(2)
        network.agree()
        waiting = target.metric("paraph_mempool_transactions")

        pace_s = (ended[0] - begun[0]) / (ended[1] - begun[1])
        print(
            f"{refused} refused, {len(took)} paid in at most {max(took)} blocks, {pace_s:.2f} s a block, {waiting} wait"
        )
        assert refused == count - GAPPERS * GAPPED_OF_EACH
        assert max(took) <= BLOCKS_MAX
        assert waiting == GAPPERS * GAPPED_OF_EACH < POOL_MAX
        assert pace_s < PACE_S_MAX


def test_flood(tmp_path: Path) -> None:
    """Of 4 000 junk transactions few wait and none is included; honest ones are in blocks within a few."""
    survives_flood(tmp_path, 4_000)


@pytest.mark.slow
def test_long_flood(tmp_path: Path) -> None:
    """The same of 50 000."""
    survives_flood(tmp_path, 50_000)
