"""Server-sent events from an engine's HTTP server, read with every size bounded.

Source: the WHATWG HTML standard, section 9.2; only `data` fields are used, as all servers of this kind send them.
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx

from paraph.core.encode import JsonObject, as_object, decode
from paraph.core.errors import Malformed, Unavailable

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""One event: the last one repeats a whole JSON schema or grammar, others take about 1 kB."""

BODY_BYTES_MAX: Final = 32 * 1024 * 1024
"""One whole JSON answer: 2048 embeddings of 1024 numbers take about 25 MB."""


async def events(response: httpx.Response) -> AsyncIterator[JsonObject]:
    """The JSON objects of an event stream, up to its end or `[DONE]`. Raises `Unavailable` (`engine.answer`)."""
    async for line in _lines(response):
        if not line.startswith(b"data:"):
            # The server behind llama.cpp reports a failure within the stream under its own field name.
            if line.startswith(b"error:"):
                raise Unavailable("engine.answer", f"the engine broke off: {line[:300].decode('utf-8', 'replace')}")
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        yield parsed(data)


async def body(response: httpx.Response) -> JsonObject:
    """The JSON object of a whole answer. Raises `Unavailable` (`engine.answer`)."""
    return parsed(await text(response))


async def text(response: httpx.Response, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The bytes of a whole answer. Raises `Unavailable` (`engine.answer`) beyond the limit."""
    found = bytearray()
    async for part in response.aiter_bytes():
        found += part
        if len(found) > bytes_max:
            raise Unavailable("engine.answer", f"the engine's answer is larger than {bytes_max} bytes", limit=bytes_max)
    return bytes(found)


def parsed(data: bytes) -> JsonObject:
    """One JSON object of an engine. Raises `Unavailable` (`engine.answer`)."""
    try:
        return as_object(decode(data, bytes_max=BODY_BYTES_MAX), "the engine's answer")
    except Malformed as error:
        raise Unavailable("engine.answer", f"the engine's answer cannot be read: {error.message}") from error


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    held = bytearray()
    async for part in response.aiter_bytes():
        held += part
        *whole, rest = held.split(b"\n")
        held = bytearray(rest)
        if len(held) > LINE_BYTES_MAX:
            raise Unavailable("engine.answer", f"an event is larger than {LINE_BYTES_MAX} bytes", limit=LINE_BYTES_MAX)
        for line in whole:
            yield bytes(line).rstrip(b"\r")
    if held:
        yield bytes(held)
