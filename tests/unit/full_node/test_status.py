"""How a node does, as its operator sees it: what is wrong is named, and what answers is not believed to be a node.

The engine's part is tested with a real one, in `tests/unit/cli/test_full_node.py`.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.cometbft import free_port
from tests.unit.full_node.world import genesis, live

from paraph.core.errors import Malformed, ParaphError, Unavailable
from paraph.full_node import status
from paraph.full_node.status import CLOCK_AHEAD_S_MAX, QUIET_S_MAX, EngineState, NodeState, look

NOW_S = 1_800_000_000
ENGINE = EngineState(5, "0.38.25", "ab" * 20, 3, catching_up=False, key=bytes(32), power=7)
WELL = NodeState(
    "test",
    1,
    9,
    NOW_S,
    {"height": 9, "behind": 0, "failure": None},
    "",
    (0, 0),
    ENGINE,
)


@contextmanager
def answering(code: int, body: bytes) -> Iterator[str]:
    """A server that says the same to everyone. Gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  the base class's name

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_well() -> None:
    """A node that keeps up has no troubles."""
    assert WELL.troubles(NOW_S, solo=False) == ()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"failure": "the disk is full"}, "the disk is full"),
        ({"engine": None, "engine_failure": "the engine does not answer"}, "the engine does not answer"),
        ({"engine": replace(ENGINE, catching_up=True)}, "catching up"),
        ({"time_s": NOW_S - QUIET_S_MAX - 1}, "61 s old"),
        ({"time_s": NOW_S + CLOCK_AHEAD_S_MAX + 1}, "61 s ahead"),
        ({"call_failure": "block.version: version 2"}, "block.version"),
        ({"upgrade": (2, 50)}, "version 2 comes into force at block 50"),
        ({"index": {"failure": "no space"}}, "no space"),
    ],
)
def test_each_trouble_is_named(change: dict[str, Any], word: str) -> None:
    """What is wrong is one sentence that says so."""
    (told,) = replace(WELL, **change).troubles(NOW_S, solo=False)

    assert word in told


def test_edges_are_no_trouble() -> None:
    """Exactly as quiet and as far ahead as allowed, a version that is known, and a solo network's silence are well."""
    for well in (
        replace(WELL, time_s=NOW_S - QUIET_S_MAX),
        replace(WELL, time_s=NOW_S + CLOCK_AHEAD_S_MAX),
        replace(WELL, upgrade=(1, 50)),
        replace(WELL, index=None),
    ):
        assert well.troubles(NOW_S, solo=False) == ()
    assert replace(WELL, engine=None, time_s=0).troubles(NOW_S, solo=True) == ()


def test_solo_node_is_seen(tmp_path: Path) -> None:
    """Of a real node without an engine, chain and index are told."""
    with live(tmp_path) as node:
        found = asyncio.run(look(node.url, None))

    assert (found.network, found.height, found.failure, found.upgrade) == ("test", 0, "", (0, 0))
    assert (found.engine, found.engine_failure) == (None, "")
    assert found.time_s == genesis().time_s


def test_engine_that_does_not_answer(tmp_path: Path) -> None:
    """A node whose engine is gone is seen, and that it is gone."""
    with live(tmp_path / "node") as node:
        found = asyncio.run(look(node.url, tmp_path))

    assert found.engine is None
    assert found.engine_failure


def test_nobody_answers() -> None:
    """An address where nobody listens, or none at all, is unavailable."""
    for url in (f"http://127.0.0.1:{free_port()}", "http://[", "nothing"):
        with pytest.raises(Unavailable) as caught:
            asyncio.run(look(url, None))
        assert caught.value.code == "node.unreachable"


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (200, b"<html>"),
        (404, b"{}"),
        (200, b"[]"),
        (200, b"{}"),
        (503, b'{"height": "x"}'),
        (200, b" " * 70_000 + b"{}"),
    ],
)
def test_something_else_answers(code: int, body: bytes) -> None:
    """What is no full node is malformed."""
    with answering(code, body) as url, pytest.raises(Malformed):
        asyncio.run(look(url, None))


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=100))
def test_any_answer_is_refused(body: bytes) -> None:
    """Whatever else is said, it is a typed error."""
    with answering(200, body) as url, pytest.raises(ParaphError):
        asyncio.run(look(url, None))


def test_process_behind_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens, or the system does not tell who does, there is no process."""
    assert status._listener(tmp_path / "none.sock") is None
    monkeypatch.delattr("socket.SO_PEERCRED", raising=False)
    assert status._listener(tmp_path / "none.sock") is None
