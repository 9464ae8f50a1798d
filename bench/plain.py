"""The plain server: the same engines behind the same HTTP server, with no payment, signature, receipt or settlement.

`python -m bench.plain '{"NAME": ["KIND", "FILE"], …}'` prints its port, and serves the same two calls until its
standard input is closed. It reads requests and writes answers in the plainest way: json.loads and json.dumps.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from paraph.adapters.engines.open import open_tensor_engine, open_text_engine
from paraph.adapters.http import openai
from paraph.adapters.http.server import HttpServer, run
from paraph.adapters.tensors import pack, unpack
from paraph.core.ident import ZERO_DIGEST, ModelId
from paraph.flows import effective
from paraph.flows.ports import Finish, Piece, TensorEngine, TextEngine
from paraph.inference_node.config import Config

DEFAULTS: Final[dict[str, Any]] = {each.name: each.default for each in fields(Config)}
"""A node's slots and threads, where its operator sets nothing."""


async def serve(files: dict[str, tuple[str, str]]) -> None:
    """Open the engines and serve until standard input ends."""
    tensors: dict[str, TensorEngine] = {}
    texts: dict[str, TextEngine] = {}
    for name, (kind, file) in files.items():
        if kind == "text":
            texts[name] = await open_text_engine(Path(file), slots=DEFAULTS["slots"], threads=DEFAULTS["threads"])
        else:
            tensors[name] = await open_tensor_engine(Path(file))

    async def infer(request: Request) -> Response:
        asked = json.loads(await request.body())
        inputs = tuple(pack(each["name"], each["datatype"], each["shape"], each["data"]) for each in asked["inputs"])
        outputs = await tensors[request.path_params["model"]].infer(inputs, ())
        shown = [
            {"name": each.name, "datatype": each.datatype, "shape": each.shape, "data": unpack(each)}
            for each in outputs
        ]
        return _json({"model_name": request.path_params["model"], "outputs": shown})

    async def chat(request: Request) -> Response:
        asked = json.loads(await request.body())
        engine, name = texts[asked["model"]], asked["model"]
        body = effective.honourable(effective.chat(asked, ModelId(ZERO_DIGEST)), engine.parameters)

        async def events() -> AsyncIterator[bytes]:
            async for event in engine.generate(body):
                match event:
                    case Piece():
                        yield _event(openai.chunk("plain", name, {"kind": "chat"}, 0, {"text": event.text}, None))
                    case Finish():
                        usage = {"input_tokens": event.input_tokens, "output_tokens": event.output_tokens}
                        yield _event(openai.chunk("plain", name, {"kind": "chat"}, 0, None, event.reason))
                        yield _event(openai.usage_chunk("plain", name, {"kind": "chat"}, 0, {"usage": usage}))
                    case _:
                        pass
            yield b"data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    routes = [
        Route("/v2/models/{model}/infer", infer, methods=["POST"]),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]
    server = HttpServer(Starlette(routes=routes))
    url = await server.start()
    sys.stdout.write(url + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    for tensor in tensors.values():
        await tensor.close()
    for text in texts.values():
        await text.close()


def _json(value: Any) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), media_type="application/json")


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


if __name__ == "__main__":
    run(serve(json.loads(sys.argv[1])))
