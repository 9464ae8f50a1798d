"""`paraph light` as a process, and a server between a client and a node that changes results as it is told."""

import asyncio
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from paraph.adapters.http.server import HttpServer

PATIENCE_S: Final = 60
Lie = Callable[[str, Any], Any]


class Middle:
    """A server between a client and a node, which changes results as it is told.

    Args:
        node: the URL of the node.
    """

    def __init__(self, node: str) -> None:
        self.lie: Lie = lambda _method, result: result
        self._node = node
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = HttpServer(Starlette(routes=[Route("/", self._pass, methods=["POST"])]))
        self.url = asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(20)

    async def _pass(self, request: Request) -> JSONResponse:
        async with httpx.AsyncClient(timeout=20) as client:
            asked = await request.json()
            found = (await client.post(self._node, json=asked)).json()
        if "result" in found:
            found["result"] = self.lie(asked["method"], found["result"])
        return JSONResponse(found)

    def close(self) -> None:
        """Stop serving."""
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()


@contextmanager
def light(folder: Path, file: Path) -> Iterator[str]:
    """`paraph light` as a process; its URL."""
    command = [sys.executable, "-m", "paraph.cli", "light", "--network", str(file), "--listen", "127.0.0.1:0", "--json"]
    environment = {**os.environ, "PARAPH_HOME": str(folder)}
    with (folder / "light.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        assert ready, (folder / "light.log").read_text()
        told = b""
        while not told.rstrip().endswith(b"}"):
            line = process.stdout.readline()
            assert line, (folder / "light.log").read_text()
            told += line
        yield json.loads(told)["url"]
    finally:
        process.terminate()
        assert process.wait(30) == 0, (folder / "light.log").read_text()
        process.stdout.close()
