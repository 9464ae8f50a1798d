"""Sealed bodies: what sealing adds to a request and its answer, in processor time and through the door itself."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.figures import Figure, Result
from paraph.adapters.http.relay import Relay, Target
from paraph.adapters.http.server import HttpServer
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core import bhttp, ohttp
from paraph.core.ident import Address, Digest, ModelId
from paraph.inference_node.sealed import sealed_route

BYTES: Final = 4096
"""Of the request's body, and of the answer's."""
KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC: Final = KEY.public_key().public_bytes_raw()
BINDING: Final = ohttp.Binding(777, Address(bytes(20)), Digest(bytes(32)))
MODEL: Final = ModelId(bytes(32))
BODY: Final = json.dumps({"prompt": "x" * (BYTES - 14)}).encode()
ROUTE: Final = "/paraph/v1/answer"
ASKED: Final = bhttp.Request("POST", "https", "node", ROUTE, (("content-type", "application/json"),), BODY)


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    del folder
    count = 50 if quick else 1_000
    both = _times(_round, count)
    plain, sealed, relayed = asyncio.run(_doors(count))
    figures = [
        Figure("seal and open a request and its answer, median", _median(both), "ms", cpu=True),
        Figure("through the sealed door, median", sealed, "ms", "through the open door", plain),
        Figure("added by sealing, median", sealed - plain, "ms"),
        Figure("through a relay and the sealed door, median", relayed, "ms", "through the sealed door", sealed),
    ]
    return Result(figures, {"requests": count, "request_bytes": len(BODY), "answer_bytes": len(BODY)})


def _round() -> None:
    """All that both sides do for one request: nothing is kept from one to the next but the node's key."""
    data, opener = ohttp.seal_request(PUBLIC, BINDING, MODEL, 1_800_000_000, ASKED, random_bytes(32))
    opened = ohttp.open_request(KEY, BINDING, data)
    _, request = opened.read()
    sealer = ohttp.ResponseSealer(opened, random_bytes(32))
    answer = sealer.seal(bhttp.response_head(200, ASKED.fields))
    answer += sealer.finish(bhttp.response_content(request.content) + bhttp.response_end())
    assert _read(opener, answer) == BODY


def _read(opener: ohttp.ResponseOpener, answer: bytes) -> bytes:
    reader = bhttp.ResponseReader()
    content = b"".join(map(reader.feed, opener.feed(answer))) + reader.feed(opener.finish())
    reader.finish()
    return content


def _times(work: Callable[[], None], count: int) -> list[float]:
    found = []
    for _ in range(count):
        start = time.process_time()
        work()
        found.append(1000 * (time.process_time() - start))
    return found


def _median(times: list[float]) -> float:
    return sorted(times)[len(times) // 2]


async def _doors(count: int) -> tuple[float, float, float]:
    """Medians, in turn: an open door, a sealed one, and one behind a relay. The application says what it is told."""
    app = Starlette(routes=[Route(ROUTE, _echo, methods=["POST"])])
    app.routes.append(sealed_route(app, KEY, lambda: (BINDING,), SystemClock(), random_bytes, lambda *_: MODEL))
    node = HttpServer(app)
    url = await node.start()
    relay = Relay([Target(url + ohttp.SEALED_PATH)])
    before = HttpServer(relay.app)
    relay_url = await before.start()
    times: tuple[list[float], ...] = ([], [], [])
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(count):
                for each, found in zip((None, url + ohttp.SEALED_PATH, relay_url), times, strict=True):
                    start = time.perf_counter()
                    await (_open(http, url + ROUTE) if each is None else _sealed(http, each))
                    found.append(1000 * (time.perf_counter() - start))
    finally:
        await before.stop()
        await relay.close()
        await node.stop()
    plain, sealed, relayed = map(_median, times)
    return plain, sealed, relayed


async def _echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


async def _open(http: httpx.AsyncClient, url: str) -> None:
    answer = await http.post(url, content=BODY, headers={"content-type": "application/json"})
    assert answer.content == BODY


async def _sealed(http: httpx.AsyncClient, url: str) -> None:
    now_s = SystemClock().now_ms() // 1000
    data, opener = ohttp.seal_request(PUBLIC, BINDING, MODEL, now_s, ASKED, random_bytes(32))
    answer = await http.post(url, content=data, headers={"content-type": ohttp.REQUEST_TYPE})
    assert _read(opener, answer.content) == BODY
