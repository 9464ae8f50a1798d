"""Reads of a full node over HTTP: balances, alone and in batches, and values with what makes them believable."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench.figures import Figure, Parameter, Result
from bench.filled import START_S, account, fill, opened
from bench.processes import cpu_s
from bench.wallets import PRODUCER
from paraph.core.ident import to_hex
from paraph.full_node.node import CHAIN
from paraph.full_node.solo import SoloApplication
from paraph.ledger.rooms.accounts.keys import BALANCES

CONNECTIONS: Final = (1, 8)
BATCH: Final = 50
KEYS: Final = 16
"""Keys in one call for proofs, where several are asked for."""


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    size, count, rounds = (10_000, 200, 2) if quick else (100_000, 2_000, 5)
    store, chain = opened(folder / CHAIN)
    fill(chain, size)
    # A head that is signed already, as every head but genesis is.
    SoloApplication(chain, PRODUCER).commit(START_S + 1, ())
    store.close()
    loads = _loads(count, size)
    figures: list[Figure] = []
    with _node(folder) as (pid, url):
        for connections in CONNECTIONS:
            best: dict[str, tuple[float, float]] = {name: (0.0, float("inf")) for name in loads}
            for _ in range(rounds):
                for name, (requests, reads) in loads.items():
                    before = cpu_s(pid)
                    wall_s = _asked(url, connections, requests)
                    per_s, cpu_us = best[name]
                    used_us = 1e6 * (cpu_s(pid) - before) / reads
                    best[name] = max(per_s, reads / wall_s), min(cpu_us, used_us)
            nothing_per_s, nothing_us = best.pop(NOTHING)
            of = f"{connections} connection{'s' * (connections > 1)}"
            for name, (per_s, cpu_us) in best.items():
                figures += [
                    Figure(f"{name}, {of}", per_s, "per second", NOTHING, nothing_per_s),
                    Figure(f"{name}, {of}: the node", cpu_us, "µs", NOTHING, nothing_us, cpu=True),
                ]
    parameters: dict[str, Parameter] = {
        "keys": size,
        "requests": count,
        "rounds": rounds,
        "batch_calls": BATCH,
        "keys_per_call": KEYS,
    }
    return Result(figures, parameters)


NOTHING: Final = "eth_chainId, which reads nothing"


def _loads(count: int, size: int) -> dict[str, tuple[list[str], int]]:
    """By name, the requests of a round, and how many reads they are."""
    step = max(1, size // 2 // count)
    accounts = [account(index * step) for index in range(count)]
    balances = [_call("eth_getBalance", to_hex(each), "latest") for each in accounts]
    keys = [to_hex(BALANCES.prefix + each) for each in accounts]
    batches = [balances[start : start + BATCH] for start in range(0, count, BATCH)]
    several = [_call("paraph_getProof", keys[start : start + KEYS]) for start in range(0, count - KEYS + 1, KEYS)]
    return {
        NOTHING: ([_http(_call("eth_chainId"))] * count, count),
        "balances": ([_http(each) for each in balances], count),
        f"balances, in batches of {BATCH}": ([_http(each) for each in batches], count),
        "values with proofs": ([_http(_call("paraph_getProof", [key])) for key in keys], count),
        f"values with proofs, {KEYS} a call": ([_http(each) for each in several], len(several) * KEYS),
    }


@contextmanager
def _node(home: Path) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "bench.solo", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the node does not start"
        try:
            yield process.pid, url
        finally:
            process.terminate()


def _asked(url: str, connections: int, requests: list[str]) -> float:
    parts = urlsplit(url)
    asked = {"host": parts.hostname, "port": parts.port, "concurrency": connections, "requests": requests}
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True)
    heard: dict[str, Any] = json.loads(done.stdout)
    assert not heard["wrong"], heard["wrong"][0]
    wall_s: float = heard["wall_s"]
    return wall_s


def _call(method: str, *parameters: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}


def _http(body: object) -> str:
    data = json.dumps(body).encode()
    head = b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return base64.b64encode(head % len(data) + data).decode()
