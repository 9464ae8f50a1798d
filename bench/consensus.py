"""Transactions to finality under CometBFT: ours and those of an empty application, beside the engine's own Go kvstore.

All get the same load, from one generator, of transactions of the same size, on networks of the same settings,
started anew in each round. What counts is what stands in blocks; what was only accepted does not.
"""

import base64
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure, Parameter, Result
from bench.networks import PAUSE_MS, App, Block, Network
from bench.payloads import BATCHERS, Load, Payloads
from paraph.adapters.comet.engine import VERSION
from paraph.adapters.comet.home import POOL_TX_MAX

CONNECTIONS: Final = 400
PACED_LINES, PACE_S = 20, 0.1
"""The moderate load of the latency figures: 200 transactions a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    transactions: int
    batches: int
    receipts: int
    paced: int
    called: int


@dataclass(frozen=True, slots=True)
class Round:
    """What one network did with one load.

    Args:
        per_s: transactions a second to finality.
        block_s: time from one block to the next, while loaded.
        cpu_s: processor time for each transaction in a block, by program.
        lost: accepted, and in no block.
        latency_s: of the paced load, from being sent to being kept by the application.
    """

    per_s: float
    block_s: tuple[float, ...]
    cpu_s: dict[str, float]
    lost: int
    latency_s: tuple[float, ...] = ()


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    plan = Plan(1, 2_000, 4, 100, 100, 1_000) if quick else Plan(3, 20_000, 24, 500, 1_000, 4_000)
    figures: list[Figure] = []
    parameters: dict[str, Parameter] = {
        "engine": f"CometBFT {VERSION}",
        "block_pause_ms": PAUSE_MS,
        "pool_transactions_max": POOL_TX_MAX,
        "connections": CONNECTIONS,
        "transactions": plan.transactions,
        "transaction_bytes": Payloads().transfer_bytes,
        "transactions_by_calls": plan.called,
        "batches": plan.batches,
        "receipts_per_batch": plan.receipts,
        "paced_per_s": round(PACED_LINES / PACE_S),
        "rounds": plan.rounds,
    }
    for validators in (1, 4):
        found = Bench(folder / str(validators), validators, plan).measured()
        figures += found.figures()
    return Result(figures, parameters)


@dataclass(frozen=True, slots=True)
class Found:
    """All rounds of one size of network, by what they did."""

    validators: int
    receipts: int
    rounds: dict[str, list[Round]]

    def figures(self) -> list[Figure]:
        """Each beside the kvstore's."""
        of = f"{self.validators} validator{'s' * (self.validators > 1)}"
        go, go_large = App.KVSTORE.value, "CometBFT's Go kvstore, as many bytes"
        figures = [
            Figure(f"{name}, {of}, {which} round{beside}", value(name), "per second", other.value, value(round_of))
            for name in ("noop", "transfers", "transfers by eth_sendRawTransaction")
            for which, value in (("best", self._best), ("median", self._median))
            for beside, other, round_of in (
                ("", App.KVSTORE, "kvstore"),
                (", socket beside socket", App.KVSTORE_SOCKET, "kvstore, socket"),
            )
        ]
        figures += [
            Figure(
                f"receipts settled, batches of {self.receipts}, {of}, {which} round",
                value("settlements") * self.receipts,
                "per second",
                go_large,
                value("kvstore, large") * self.receipts,
            )
            for which, value in (("best", self._best), ("median", self._median))
        ]
        for name, shown in (("noop", "noop"), ("transfers", "transfers"), ("settlements", "settlements")):
            other = "kvstore, large" if name == "settlements" else "kvstore"
            for percent in (50, 99):
                mine, theirs = (_percentile(self._all(each, "block_s"), percent) for each in (name, other))
                figures.append(Figure(f"{shown}, {of}: block time, p{percent}", mine, "ms", go, theirs))
        for name in ("noop", "transfers"):
            for percent in (50, 99):
                mine, theirs = (_percentile(self._all(each, "latency_s"), percent) for each in (name, "kvstore"))
                figures.append(Figure(f"{name}, {of}, 200 a second: sent to kept, p{percent}", mine, "ms", go, theirs))
        for name in ("noop", "transfers"):
            theirs = self._cpu_us("kvstore", "cometbft")
            figures += [
                Figure(
                    f"{name}, {of}: {shown}, a transaction",
                    self._cpu_us(name, program),
                    "µs",
                    f"{go}, engine and application",
                    theirs,
                    cpu=True,
                )
                for program, shown in (("cometbft", "the engine"), ("python", "the application"))
            ]
        return figures

    def _best(self, name: str) -> float:
        return max(each.per_s for each in self.rounds[name])

    def _median(self, name: str) -> float:
        return statistics.median(each.per_s for each in self.rounds[name])

    def _all(self, name: str, what: str) -> list[float]:
        return [value for each in self.rounds[name] for value in getattr(each, what)]

    def _cpu_us(self, name: str, program: str) -> float:
        return 1e6 * min(each.cpu_s.get(program, 0.0) for each in self.rounds[name])


class Bench:
    """Networks of one size.

    Args:
        folder: for their homes. validators: how many. plan: how much.
    """

    def __init__(self, folder: Path, validators: int, plan: Plan) -> None:
        self._folder = folder
        self._validators = validators
        self._plan = plan
        self._networks = 0

    def measured(self) -> Found:
        """All rounds, in turns."""
        rounds: dict[str, list[Round]] = {}
        for _ in range(self._plan.rounds):
            for name, app, measure in (
                ("kvstore", App.KVSTORE, self._small),
                ("kvstore, socket", App.KVSTORE_SOCKET, self._small),
                ("noop", App.NOOP, self._small),
                ("transfers", App.PARAPH, self._small),
                ("transfers by eth_sendRawTransaction", App.PARAPH, self._by_door),
                ("kvstore, large", App.KVSTORE, self._large),
                ("settlements", App.PARAPH, self._large),
            ):
                self._networks += 1
                with Network(self._folder / str(self._networks), app, self._validators) as network:
                    found = measure(network)
                sys.stderr.write(f"{self._validators} validators, {name}: {found.per_s:.0f} per second\n")
                rounds.setdefault(name, []).append(found)
        return Found(self._validators, self._plan.receipts, rounds)

    def _small(self, network: Network) -> Round:
        payloads = Payloads()
        found = _flooded(network, payloads.small(network.app, self._plan.transactions), CONNECTIONS)
        latency_s = _paced(network, payloads.small(network.app, self._plan.paced))
        if network.app is App.PARAPH:
            payloads.check_transfers(network)
        return Round(found.per_s, found.block_s, found.cpu_s, found.lost, latency_s)

    def _by_door(self, network: Network) -> Round:
        payloads = Payloads()
        found = _flooded(network, payloads.calls(self._plan.called), BATCHERS)
        payloads.check_transfers(network)
        return found

    def _large(self, network: Network) -> Round:
        payloads = Payloads()
        if network.app is App.PARAPH:
            for opening in payloads.openings():
                _send(network, opening, 1, 0)
                network.settle()
        load = payloads.large(network, self._plan.batches, self._plan.receipts)
        found = _flooded(network, load, BATCHERS)
        if network.app is App.PARAPH:
            payloads.check_settled(network, self._plan.batches * self._plan.receipts)
        return found


def _flooded(network: Network, load: Load, connections: int) -> Round:
    """Hand everything in as fast as it is taken, and count what blocks have of it."""
    before, first = network.cpu(), network.height()
    _send(network, load, connections, 0)
    last = network.settle()
    used = network.cpu()
    used.subtract(before)
    blocks = network.blocks(first + 1, last)
    count = sum(block.transactions for block in blocks)
    per_s, block_s = _rate(blocks)
    return Round(per_s, block_s, {name: value / count for name, value in used.items()}, load.count - count)


def _rate(blocks: Sequence[Block]) -> tuple[float, tuple[float, ...]]:
    """Transactions a second, and the times between blocks, without the first block, and the last of several.

    A block's own time is that of the votes for the block before it: a block is final at the time of the next.
    """
    loaded = [index for index, block in enumerate(blocks) if block.transactions]
    begin, end = loaded[0] + 1, loaded[-1] + (len(loaded) < 4)
    counted = blocks[begin:end] or blocks[loaded[0] : loaded[-1] + 1]
    final_s = [block.time_s for block in blocks[blocks.index(counted[0]) : blocks.index(counted[-1]) + 2]]
    total = sum(block.transactions for block in counted)
    return total / (final_s[-1] - final_s[0]), tuple(late - early for early, late in pairwise(final_s))


def _paced(network: Network, load: Load) -> tuple[float, ...]:
    """Hand it in at a steady pace; for each transaction, how long until the application has kept it."""
    first = network.height()
    heard = _send(network, load, PACED_LINES, PACE_S)
    last = network.settle()
    sent_s: dict[bytes, float] = {}
    for line, times in zip(load.lines(PACED_LINES), heard["sent_s"], strict=True):
        sent_s |= {sha256(raw).digest(): time_s for raw, time_s in zip(line, times, strict=True)}
    kept_s: dict[int, float] = {}
    for height, time_s in reversed(heard["heights"]):
        kept_s |= dict.fromkeys(range(first, height + 1), time_s)
    found = []
    for height in range(first + 1, last + 1):
        for raw in network.transactions(height):
            place = sha256(base64.b64decode(raw)).digest()
            if place in sent_s:
                found.append(kept_s[height] - sent_s.pop(place))
    assert not sent_s, f"{len(sent_s)} transactions of a moderate load are in no block"
    return tuple(found)


def _send(network: Network, load: Load, connections: int, pace_s: float) -> dict[str, Any]:
    """Have the generator send it, the connections spread over all validators."""
    places = network.doors if load.to_doors else network.engines
    lines = [
        (places[number % len(places)], [base64.b64encode(load.request(raw)).decode() for raw in line])
        for number, line in enumerate(load.lines(connections))
    ]
    asked = {"lines": lines, "watched": network.engines[0], "pace_s": pace_s}
    command = [sys.executable, "-m", "bench.flood"]
    done = subprocess.run(command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True)
    heard: dict[str, Any] = json.loads(done.stdout)
    return heard


def _percentile(values_s: list[float], percent: int) -> float:
    if len(values_s) == 1:
        return values_s[0] * 1e3
    return statistics.quantiles(values_s, n=100, method="inclusive")[percent - 1] * 1e3
