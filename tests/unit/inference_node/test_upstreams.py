"""Upstream servers: how they are named, and that a node serves a model through one."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.sim.market import TEXT

from paraph.adapters.engines.openai_upstream import STANDARD
from paraph.adapters.http.server import HttpServer
from paraph.core.encode import JsonObject
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.ident import ZERO_DIGEST, Address
from paraph.core.keys import PrivateKey
from paraph.flows.ports import Finish, Piece
from paraph.inference_node.config import Config
from paraph.inference_node.models import open_elsewhere
from paraph.inference_node.node import InferenceNode
from paraph.inference_node.upstreams import FILE, read_upstreams
from paraph.proofs.manifest import Manifest
from paraph.proofs.policy import Trust

GOOD = {"base_url": "http://127.0.0.1:1/v1/", "model": "m", "context_tokens": 512, "parameters": None}


def write(home: Path, **members: object) -> None:
    """An upstreams.json with one server for the model `words`."""
    (home / FILE).write_text(json.dumps({"words": GOOD | {"api_key_file": None} | members}))


def test_none_without_the_file(tmp_path: Path) -> None:
    """A node without the file has no upstream servers."""
    assert read_upstreams(tmp_path) == {}


def test_upstreams_are_read(tmp_path: Path) -> None:
    """Each server is read by the model's name; the key comes from a file of its own, readable by its owner alone."""
    key = tmp_path / "key"
    key.write_text("secret\n")
    key.chmod(0o600)
    write(tmp_path, api_key_file="key", parameters=["seed", "tools"])

    found = read_upstreams(tmp_path)["words"]

    assert (found.base_url, found.model, found.context_tokens) == ("http://127.0.0.1:1/v1", "m", 512)
    assert found.parameters == {"seed", "tools"}
    assert found.api_key == "secret"
    assert "secret" not in repr(found)


def test_standard_parameters_are_the_default(tmp_path: Path) -> None:
    """Where no parameters are declared, those that every server honours are."""
    write(tmp_path)

    assert read_upstreams(tmp_path)["words"].parameters == STANDARD


@pytest.mark.parametrize(
    "members", [{"unknown": 1}, {"context_tokens": 0}, {"base_url": 1}, {"parameters": "seed"}, {"model": None}]
)
def test_bad_settings_are_refused(tmp_path: Path, members: dict[str, object]) -> None:
    """An unknown key or a value of the wrong kind is refused."""
    write(tmp_path, **members)

    with pytest.raises(Malformed):
        read_upstreams(tmp_path)


def test_keys_are_kept_from_others(tmp_path: Path) -> None:
    """A key file that others can read, one that is no key, or a missing one is refused."""
    key = tmp_path / "key"
    write(tmp_path, api_key_file="key")
    with pytest.raises(Unavailable):
        read_upstreams(tmp_path)
    key.write_text("secret")
    key.chmod(0o644)
    with pytest.raises(Malformed) as loose:
        read_upstreams(tmp_path)
    key.chmod(0o600)
    key.write_bytes(b"\xff")

    with pytest.raises(Malformed) as strange:
        read_upstreams(tmp_path)
    assert (loose.value.code, strange.value.code) == ("node.password", "node.key")


def test_a_model_is_served_through_another_server(tmp_path: Path) -> None:
    """What the other server streams comes out of the engine, under the model's own manifest."""

    async def models(_: Request) -> Response:
        return JSONResponse({"data": [{"id": "m", "owned_by": "test"}]})

    async def chat(_: Request) -> Response:
        async def events() -> AsyncIterator[bytes]:
            for choice in ({"delta": {"content": "Paris"}}, {"delta": {}, "finish_reason": "stop"}):
                yield b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
            usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
            yield b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def main() -> None:
        server = HttpServer(
            Starlette(routes=[Route("/v1/models", models), Route("/v1/chat/completions", chat, methods=["POST"])])
        )
        write(tmp_path, base_url=await server.start() + "/v1")
        served = await open_elsewhere(read_upstreams(tmp_path)["words"], TEXT, slots=2)
        asked: JsonObject = {
            "kind": "chat",
            "model": "m",
            "messages": [{"role": "user", "content": "Where?"}],
            "max_tokens": 8,
        }
        found = [event async for event in served.text.generate(asked)]
        await served.engine.close()
        await server.stop()

        assert "".join(event.text for event in found if isinstance(event, Piece)) == "Paris"
        assert found[-1] == Finish("stop", 3, 1)
        assert served.model_id == TEXT.model_id()
        assert (served.engine.profile.engine, served.engine.profile.bit_exact) == ("openai-upstream", "no")

    asyncio.run(main())


def test_tensors_are_not_served_elsewhere(tmp_path: Path) -> None:
    """A tensor model has no upstream server."""
    write(tmp_path)
    manifest = Manifest(TEXT.name, "tensor", TEXT.batch_class, TEXT.files)

    with pytest.raises(Rejected):
        asyncio.run(open_elsewhere(read_upstreams(tmp_path)["words"], manifest, slots=1))


def test_no_enclave_signs_for_others(tmp_path: Path) -> None:
    """A node in an enclave that is to have a model run elsewhere does not start: it would vouch for another machine."""
    write(tmp_path)
    trust = Trust("test", 1, ZERO_DIGEST, (Address(b"p" * 20),), devnet=True)
    config = Config(tmp_path, "http://127.0.0.1:9", trust, Address(b"o" * 20), (TEXT,), enclave="simulated")
    node = InferenceNode(config, PrivateKey(b"k" * 32))

    with pytest.raises(Rejected) as caught:
        asyncio.run(node.start())
    assert caught.value.code == "enclave.upstream"
