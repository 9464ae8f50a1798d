"""Event streams are read in pieces of any size, and never without bounds."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.engines import events as module
from paraph.adapters.engines.events import events, text
from paraph.core.encode import JsonObject
from paraph.core.errors import Unavailable


class Parts(httpx.AsyncByteStream):
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def read(parts: list[bytes]) -> list[JsonObject]:
    async def run() -> list[JsonObject]:
        return [event async for event in events(httpx.Response(200, stream=Parts(parts)))]

    return asyncio.run(run())


STREAM = b': hello\n\ndata: {"a": 1}\r\n\r\nevent: x\ndata:{"b": "\xc3\xa9"}\n\ndata: [DONE]\n\ndata: {"c": 1}\n\n'


@given(st.lists(st.integers(0, len(STREAM)), max_size=10))
def test_events_do_not_depend_on_where_the_bytes_are_cut(cuts: list[int]) -> None:
    """Between any two bytes, within a character too."""
    places = [0, *sorted(cuts), len(STREAM)]

    assert read([STREAM[a:b] for a, b in pairwise(places)]) == [{"a": 1}, {"b": "é"}]


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is kept only up to its limit."""
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 100)

    with pytest.raises(Unavailable) as caught:
        read([b"data: " + b"x" * 60] * 2)

    assert caught.value.code == "engine.answer"


def test_a_body_without_end_is_refused() -> None:
    """A whole answer has a limit too."""
    with pytest.raises(Unavailable):
        asyncio.run(text(httpx.Response(200, stream=Parts([b"x" * 60] * 2)), 100))


def test_a_last_line_without_newline_is_read() -> None:
    """As some servers end."""
    assert read([b'data: {"a": 1}']) == [{"a": 1}]
