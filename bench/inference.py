"""Paid, signed and settled answers, beside the same engines behind the same server with nothing of that.

A devnet serves the paid ones: full node, inference node and settlement run as for users. Each round asks the plain
server and the paid one the very same questions; the paid ones carry a header with the signed request, made before the
clock starts. Settlement goes on during the rounds, on the same cores.
"""

import base64
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from bench.figures import Figure, Result
from bench.processes import cpu_s
from paraph.adapters.system import random_bytes
from paraph.adapters.tensors import pack
from paraph.core.abi import decode
from paraph.core.encode import JsonObject, canonical
from paraph.core.ident import RequestKey, to_hex
from paraph.core.keys import PrivateKey
from paraph.devnet.making import CHAIN_ID
from paraph.devnet.models import DevnetModel, available, patient
from paraph.devnet.network import Devnet
from paraph.flows import effective
from paraph.flows.buy import LIFETIME_S, price_cap
from paraph.flows.registry import Offer
from paraph.ledger.rooms.settlement.calls import CONTRACT as SETTLEMENT
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest
from paraph.sdk.client import Client

TOKENS: Final = 48
WARM: Final = 8
"""Questions asked of both before the first round, and not counted."""
PATIENCE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a path, a JSON body, and the effective request that is signed for it."""

    path: str
    body: JsonObject
    effective: JsonObject


@dataclass(frozen=True, slots=True)
class Round:
    """What one server did in one round. `cpu_s` counts its processes, and for the paid one the full node's."""

    requests: int
    wall_s: float
    first_s: list[float]
    total_s: list[float]
    tokens: int
    cpu_s: float
    settled_s: float = 0

    @property
    def per_s(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.wall_s


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    rounds, shares = (1, 4) if quick else (3, 1)
    counts = {"breast-cancer": 400 // shares, "magika-file-type": 160 // shares, "smollm2-135m-instruct": 8 // shares}
    devnet = Devnet(folder / "devnet")
    try:
        devnet.up(lambda _: None)
        models = [model for model in available(devnet.home / "models") if model.name in counts]
        figures: list[Figure] = []
        with _plain(models) as plain, Client.open(devnet.network_file, devnet.key("user")) as client:
            for model in models:
                bench = Bench(devnet, plain, model, client.offer(model.name))
                bench.warm()
                for concurrency in (1, 8):
                    figures += bench.figures(concurrency, counts[model.name], rounds)
    finally:
        devnet.down()
    parameters = {f"requests_{name}": count for name, count in counts.items()}
    return Result(figures, {**parameters, "rounds": rounds, "tokens_max": TOKENS, "settle_interval_ms": 500})


@dataclass(frozen=True, slots=True)
class Plain:
    """The plain server's process."""

    pid: int
    url: str


@contextmanager
def _plain(models: list[DevnetModel]) -> Iterator[Plain]:
    files = json.dumps({model.name: (model.kind, str(model.file)) for model in models})
    command = [sys.executable, "-m", "bench.plain", files]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the plain server does not start"
        yield Plain(process.pid, url)


class Bench:
    """One model asked both ways."""

    def __init__(self, devnet: Devnet, plain: Plain, model: DevnetModel, offer: Offer) -> None:
        status: dict[str, Any] = devnet.status()
        self._url = str(status["inference-node"]["url"])
        self._pids = [int(status[name]["pid"]) for name in ("inference-node", "full-node")]
        self._rpc_url = str(status["full-node"]["url"])
        self._payer: PrivateKey = devnet.key("user")
        self._operator = devnet.key("operator").address
        self._plain = plain
        self._model = model
        self._offer = offer
        self._asked = 0

    def warm(self) -> None:
        """Ask both a little, so that everything is loaded and cached that ever will be."""
        questions = self._questions(WARM)
        self._ask_plain(questions, 1)
        self._ask_paid(questions, 1)

    def figures(self, concurrency: int, count: int, rounds: int) -> list[Figure]:
        """The figures at one concurrency: of each server the round with most requests a second."""
        pairs = []
        for _ in range(rounds):
            questions = self._questions(count)
            pairs.append((self._ask_plain(questions, concurrency), self._ask_paid(questions, concurrency)))
        plain = max((pair[0] for pair in pairs), key=_speed)
        paid = max((pair[1] for pair in pairs), key=_speed)
        plain_cpu = min(pair[0].cpu_s / count for pair in pairs)
        paid_cpu = min(pair[1].cpu_s / count for pair in pairs)
        of = f"{self._model.name}, {concurrency} at a time"
        other, ms = "without receipts", 1e3
        found = [Figure(f"{of}: paid requests", paid.per_s, "per second", other, plain.per_s)]
        if self._model.kind == "text":
            found += [
                Figure(f"{of}: tokens", paid.tokens / paid.wall_s, "per second", other, plain.tokens / plain.wall_s),
                _latency(f"{of}: first token, p50", 50, paid.first_s, plain.first_s),
                _latency(f"{of}: first token, p99", 99, paid.first_s, plain.first_s),
            ]
        return [
            *found,
            _latency(f"{of}: whole answer, p50", 50, paid.total_s, plain.total_s),
            _latency(f"{of}: whole answer, p99", 99, paid.total_s, plain.total_s),
            Figure(f"{of}: all processes, a request", paid_cpu * ms, "ms", other, plain_cpu * ms, cpu=True),
            Figure(f"{of}: paid requests until all are settled", count / paid.settled_s, "per second"),
        ]

    def _ask_plain(self, questions: list[Question], concurrency: int) -> Round:
        before = cpu_s(self._plain.pid)
        heard = _load(self._plain.url, concurrency, [_http(each, "") for each in questions])
        return _round(heard, cpu_s(self._plain.pid) - before)

    def _ask_paid(self, questions: list[Question], concurrency: int) -> Round:
        signed = [self._sign(each.effective) for each in questions]
        headers = [base64.b64encode(canonical(each.as_json())).decode() for each in signed]
        raw = [_http(each, f"paraph-request: {header}\r\n") for each, header in zip(questions, headers, strict=True)]
        batches = self._batches()
        before = sum(map(cpu_s, self._pids))
        heard = _load(self._url, concurrency, raw)
        answered = time.perf_counter()
        self._await_settled(signed, batches)
        settled_s = heard["wall_s"] + time.perf_counter() - answered
        time.sleep(0.2)  # the node notes the outcomes
        # All is settled, so the settlement's cost is counted as well.
        used_s = sum(map(cpu_s, self._pids)) - before
        for each in signed:
            self._must_be_settled(each)
        return _round(heard, used_s, settled_s)

    def _await_settled(self, signed: list[SignedRequest], batches: int) -> None:
        """Wait until batches after the first `batches` hold as many receipts. One cheap question at a time."""
        end, missing = time.monotonic() + PATIENCE_S, len(signed)
        while missing:
            while batches < self._batches():
                batches += 1
                missing -= int(self._view("batch", batches)[1])
            assert time.monotonic() < end, "not settled in time"
            time.sleep(0.02 if missing else 0)

    def _must_be_settled(self, each: SignedRequest) -> None:
        key, payer = to_hex(each.request.key), to_hex(each.request.payer)
        outcome = "pending"
        while outcome == "pending":
            with urlopen(f"{self._url}/paraph/v1/outcome/{payer}/{key}") as reply:  # noqa: S310  our own server
                outcome = json.load(reply)["outcome"]
        assert outcome.startswith("settled"), outcome

    def _batches(self) -> int:
        return int(self._view("batches")[0])

    def _view(self, name: str, *arguments: int) -> tuple[Any, ...]:
        method = SETTLEMENT.method(name)
        call = {"to": to_hex(SETTLEMENT.address), "data": to_hex(method.call(*arguments))}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
        post = HttpRequest(self._rpc_url, json.dumps(asked).encode(), {"content-type": "application/json"})  # noqa: S310
        with urlopen(post) as reply:  # noqa: S310  our own server
            return decode(method.outputs, bytes.fromhex(json.load(reply)["result"][2:]))

    def _sign(self, body: JsonObject) -> SignedRequest:
        request = Request(
            RequestKey(random_bytes(32)),
            self._payer.address,
            self._operator,
            self._offer.model_id,
            body_digest(body),
            Layer.SIGNATURE,
            price_cap(self._offer, body),
            int(time.time()) + LIFETIME_S,
        )
        return SignedRequest(CHAIN_ID, request, self._payer.sign(request.signing_digest(CHAIN_ID)))

    def _questions(self, count: int) -> list[Question]:
        makers: dict[str, Callable[[int], Question]] = {
            "breast-cancer": self._diagnose,
            "magika-file-type": self._recognise,
            "smollm2-135m-instruct": self._chat,
        }
        first, self._asked = self._asked, self._asked + count
        return [makers[self._model.name](index) for index in range(first, first + count)]

    def _diagnose(self, index: int) -> Question:
        return self._tensor("measurements", "FP32", [1, 30], patient(index % 569)[0])

    def _recognise(self, index: int) -> Question:
        # Magika reads the first and last kilobyte of a file as numbers, 256 where there is nothing.
        text = f"def number_{index}():\n    return {index}\n" * 200
        return self._tensor("bytes", "INT32", [1, 2048], [*text.encode()[:1024], *text.encode()[-1024:]])

    def _tensor(self, name: str, datatype: str, shape: list[int], data: list[Any]) -> Question:
        body = {"inputs": [{"name": name, "datatype": datatype, "shape": shape, "data": data}]}
        effected = effective.infer((pack(name, datatype, shape, data),), (), self._offer.model_id)
        return Question(f"/v2/models/{self._model.name}/infer", body, effected)

    def _chat(self, index: int) -> Question:
        asked: dict[str, Any] = {
            "model": self._model.name,
            "messages": [{"role": "user", "content": f"Tell me a long story about the number {index}."}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return Question("/v1/chat/completions", asked, effective.chat(asked, self._offer.model_id))


def _http(question: Question, header: str) -> str:
    body = json.dumps(question.body).encode()
    head = (
        f"POST {question.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{header}"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return base64.b64encode(head.encode() + body).decode()


def _load(url: str, concurrency: int, requests: list[str]) -> dict[str, Any]:
    parts = urlsplit(url)
    asked = {"host": parts.hostname, "port": parts.port, "concurrency": concurrency, "requests": requests}
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True)
    heard: dict[str, Any] = json.loads(done.stdout)
    assert not heard["wrong"], heard["wrong"][0]
    return heard


def _round(heard: dict[str, Any], used_s: float, settled_s: float = 0) -> Round:
    count = len(heard["total_s"])
    return Round(count, heard["wall_s"], heard["first_s"], heard["total_s"], heard["tokens"], used_s, settled_s)


def _speed(found: Round) -> float:
    return found.per_s


def _latency(name: str, percent: int, paid_s: list[float], plain_s: list[float]) -> Figure:
    return Figure(name, _percentile(paid_s, percent), "ms", "without receipts", _percentile(plain_s, percent))


def _percentile(values_s: list[float], percent: int) -> float:
    return statistics.quantiles(values_s, n=100, method="inclusive")[percent - 1] * 1e3
