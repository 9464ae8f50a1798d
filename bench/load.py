"""The load generator, a process of its own: ready-made HTTP requests over raw sockets, so that its own cost is small.

`python -m bench.load` reads one JSON object from standard input: host, port, concurrency and requests (base64 of
whole HTTP requests), and writes what it measured as JSON to standard output. The connections are open and the
requests built before the clock starts; answers are looked into after it has stopped.
"""

import asyncio
import base64
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Heard:
    """One answer: its status, when it began and ended (seconds since the request was sent), and its body."""

    status: int = 0
    first_s: float = 0
    total_s: float = 0
    body: bytearray = field(default_factory=bytearray)


async def main(asked: dict[str, Any]) -> dict[str, object]:
    """Send all requests over so many connections, each as soon as its connection is free."""
    requests = [base64.b64decode(each) for each in asked["requests"]]
    lines = [await asyncio.open_connection(asked["host"], asked["port"]) for _ in range(asked["concurrency"])]
    heard: list[Heard] = [Heard() for _ in requests]
    waiting = iter(range(len(requests)))

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for index in waiting:
            began = time.perf_counter()
            writer.write(requests[index])
            await _hear(reader, heard[index], began)

    began = time.perf_counter()
    await asyncio.gather(*(work(*line) for line in lines))
    wall_s = time.perf_counter() - began
    for _, writer in lines:
        writer.close()
    wrong = [each.body.decode() for each in heard if each.status != 200 or b'"error"' in each.body]
    return {
        "wall_s": wall_s,
        "first_s": [each.first_s for each in heard],
        "total_s": [each.total_s for each in heard],
        "tokens": sum(_tokens(each.body) for each in heard),
        "wrong": wrong[:1],
    }


async def _hear(reader: asyncio.StreamReader, heard: Heard, began: float) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    heard.status = int(head.split(b" ", 2)[1])
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            heard.body += (await reader.readexactly(size + 2))[:-2]
            heard.first_s = heard.first_s or time.perf_counter() - began
        await reader.readexactly(2)
    else:
        size = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        heard.body += await reader.readexactly(size)
        heard.first_s = time.perf_counter() - began
    heard.total_s = time.perf_counter() - began


def _tokens(body: bytearray) -> int:
    """What the last event of a stream says of tokens generated; none where nothing is streamed."""
    found = [line for line in bytes(body).split(b"\n") if b'"completion_tokens"' in line]
    return int(json.loads(found[-1].removeprefix(b"data: "))["usage"]["completion_tokens"]) if found else 0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(json.load(sys.stdin)))))
