"""The load of the consensus benchmark, a process of its own: ready-made HTTP requests that hand in transactions.

`python -m bench.flood` reads one JSON object from standard input: `lines`, each an address and its requests (base64),
sent one after the other over a connection of its own; `watched`, an engine's address; `pace_s`, seconds between the
requests of one line, 0 for none. A full pool is waited for, and the request sent again. It writes to standard output
when each request was sent at first, when the watched application kept each height, and its own processor time.
"""

import asyncio
import base64
import json
import sys
import time
from typing import Any, Final

FULL: Final = (b"mempool is full", b"still rechecking", b"mempool.full", b"sender_full", b"txpool is", b"account limit")
KNOWN: Final = (b"already exists in cache", b"already known", b"nonce too low")
"""A batch of which a part was refused by a full pool is sent again as a whole."""
AGAIN_S: Final = 0.05
WATCH_S: Final = 0.01
DRAIN_S_MAX: Final = 60
ANSWER_S_MAX: Final = 60
WATCH: Final = b"GET /abci_info HTTP/1.1\r\nhost: engine\r\n\r\n"


class Line(asyncio.Protocol):
    """A connection that is kept: one request, one answer. The leanest that asyncio has: its cost is everybody's."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._end = 0
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server hung up"))

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """The answer's body."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._buffer += data
        if not self._end:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            size = bytes(self._buffer[:head]).lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._end = head + 4 + int(size)
        if len(self._buffer) >= self._end:
            assert self._answer is not None
            body = bytes(self._buffer[self._buffer.find(b"\r\n\r\n") + 4 :])
            self._buffer.clear()
            self._end = 0
            self._answer.set_result(body)


def taken(body: bytes) -> bool:
    """Whether an answer says that all waits for a block; False when the pool was full. Anything else ends the load."""
    if b'"code":0,' in body:
        return True
    if any(word in body for word in FULL):
        return False
    assert b'"code"' not in body or any(word in body for word in KNOWN), body.decode()
    return True


async def main(asked: dict[str, Any]) -> dict[str, object]:
    """Send everything; watch until told that all is done."""
    pace_s: float = asked["pace_s"]
    sent_s: list[list[float]] = []
    again = 0

    async def open_line(address: str) -> Line:
        host, _, port = address.rpartition(":")
        _, line = await asyncio.get_running_loop().create_connection(Line, host, int(port))
        return line

    async def hand_in(address: str, line: Line, request: bytes) -> Line:
        """Until it is taken. The engine hangs up on who waits 10 s for a check; it then says that it knows of it."""
        nonlocal again
        while True:
            try:
                if taken(await asyncio.wait_for(line.ask(request), ANSWER_S_MAX)):
                    return line
            except ConnectionError:
                line = await open_line(address)
            again += 1
            await asyncio.sleep(AGAIN_S)

    async def send(address: str, requests: list[bytes], line: Line, late_s: float) -> None:
        times: list[float] = []
        sent_s.append(times)
        for index, request in enumerate(requests):
            if pace_s:
                await asyncio.sleep(began + late_s + index * pace_s - time.time())
            times.append(time.time())
            line = await hand_in(address, line, request)

    heights: list[tuple[int, float]] = []

    async def watch(line: Line) -> None:
        while True:
            found = json.loads(await line.ask(WATCH))["result"]["response"]
            height = int(found.get("last_block_height", 0))
            if not heights or height > heights[-1][0]:
                heights.append((height, time.time()))
            await asyncio.sleep(WATCH_S)

    lines = [
        (address, [base64.b64decode(each) for each in said], await open_line(address))
        for address, said in asked["lines"]
    ]
    watching = asyncio.create_task(watch(await open_line(asked["watched"]))) if pace_s else None
    began = time.time()
    # A paced load comes evenly: each line a little later than the one before.
    await asyncio.gather(*(send(*each, pace_s * place / len(lines)) for place, each in enumerate(lines)))
    ended = time.time()
    if watching is not None:
        last = heights[-1][0] + 3
        async with asyncio.timeout(DRAIN_S_MAX):
            while heights[-1][0] < last:  # noqa: ASYNC110  the other side polls, too
                await asyncio.sleep(WATCH_S)
        watching.cancel()
    cpu_s = time.process_time()
    return {"sent_s": sent_s, "heights": heights, "wall_s": ended - began, "again": again, "cpu_s": cpu_s}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(json.load(sys.stdin)))))
