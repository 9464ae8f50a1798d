"""A light client at a fork: it stops at once, writes the evidence down, tells every node, and says what they said."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.comet import FOUR, header, sealed
from tests.support_ledger.world import genesis

from paraph.adapters.http.client import AsyncDriver, Means
from paraph.core.digest import sha256
from paraph.core.errors import Unverified
from paraph.flows.effect import Flow, Witnesses, ask
from paraph.proofs.light.conflict import Fork, fork_from_json
from paraph.sdk.light.light import Light

FORK = Fork(sealed(header(9, FOUR), FOUR), sealed(header(9, FOUR, data_hash=sha256(b"other")), FOUR), None, None, ())
Answer = Callable[[], Any]


def forked() -> Flow[int]:
    """A flow that finds a fork."""
    yield from ask(Witnesses())
    raise Unverified((("light.fork", "two blocks of height 9 are signed"),), height=9, fork=FORK)


class Client:
    """A light client with one witness, before nodes that answer as they are told."""

    def __init__(self, folder: Path, node: Answer, witness: Answer) -> None:
        self.told: dict[str, Any] = {}
        self.stopped: list[str] = []
        answers = {"node.test": node, "witness.test": witness}

        def serve(request: httpx.Request) -> httpx.Response:
            asked = json.loads(request.content)
            assert asked["method"] == "paraph_reportFork"
            self.told[request.url.host] = asked["params"]
            self.stopped.append("" if self.light.stopped is None else self.light.stopped.message)
            written.append(place.exists())
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, **answers[request.url.host]()})

        written = self.written = list[bool]()
        place = folder / f"fork-{genesis().chain_id}-9.json"
        http = httpx.AsyncClient(transport=httpx.MockTransport(serve))
        means = Means("http://node.test", lambda: 0, bytes, witnesses=("http://witness.test",))
        self.light = Light(genesis().trust(), AsyncDriver(means, http), folder)
        self.place = place

    def find(self) -> Unverified:
        with pytest.raises(Unverified) as caught:
            asyncio.run(self.light.run(forked()))
        return caught.value


def taken() -> Any:
    return {"result": {"height": 9, "evidence": [{"kind": "duplicate_vote"}]}}


def refused() -> Any:
    return {"error": {"code": -32000, "message": "nobody can be slashed for this on this chain"}}


def test_both_sides_are_told(tmp_path: Path) -> None:
    """Stopped first, then written, then told to the node and the witness; the error says who took it."""
    client = Client(tmp_path, taken, refused)

    error = client.find()

    assert [fork_from_json(params[0]) for params in client.told.values()] == [FORK, FORK]
    assert client.written == [True, True]
    assert all("nothing more is shown" in each for each in client.stopped)
    assert error.code == "light.fork"
    assert error.facts == {"height": 9, "evidence": str(client.place)}
    assert str(client.place) in error.message
    assert "1 of 2 nodes took the evidence; witness 1: nobody can be slashed" in error.message
    assert client.light.stopped is error
    assert fork_from_json(json.loads(client.place.read_text())["evidence"]) == FORK


def test_nobody_listens(tmp_path: Path) -> None:
    """Nodes that take nothing keep the client from nothing: the evidence is in its file."""
    client = Client(tmp_path, refused, refused)

    assert "0 of 2 nodes took the evidence" in client.find().message
    assert client.place.exists()


def test_one_fork_is_told_once(tmp_path: Path) -> None:
    """Who finds the same fork while it is being told raises what is known then, and tells nobody again."""
    client = Client(tmp_path, taken, taken)

    async def main() -> list[BaseException | int]:
        return await asyncio.gather(*(client.light.run(forked()) for _ in range(3)), return_exceptions=True)

    found = asyncio.run(main())

    assert len(client.stopped) == 2
    assert all(isinstance(each, Unverified) and "nothing more is shown" in each.message for each in found)
