"""Computing a saved answer again: the same model files, the same effective request, an engine opened for it alone."""

import struct
from contextlib import aclosing
from pathlib import Path
from typing import Final

from paraph.adapters.engines.llama import LlamaEngine
from paraph.adapters.engines.open import find_model, open_tensor_engine, open_text_engine
from paraph.adapters.provers.engine import open_exact
from paraph.core.encode import JsonObject
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.ident import ModelId, to_hex
from paraph.core.tensor import Tensor
from paraph.flows import effective, serve
from paraph.flows.ports import TensorEngine
from paraph.flows.replay import Again, Comparison, compare
from paraph.flows.serve import TextAnswer
from paraph.inference_node.models import describe
from paraph.proofs.bundle import Bundle
from paraph.proofs.exactness import SALT
from paraph.proofs.manifest import Manifest

THREADS_MAX: Final = 64
"""More threads than the signed profile could name in good faith are not started for it."""


def kept_model(node_home: Path, model_id: ModelId) -> Path | None:
    """Where a node has laid out that model's files; None when it has not."""
    folder = node_home / "models" / to_hex(model_id)[2:]
    return folder if folder.is_dir() else None


async def replay(bundle: Bundle, model: Path) -> Comparison:
    """Compute a saved answer again and compare. The bundle need not verify; what it shows is what is compared.

    Args:
        bundle: the saved answer.
        model: the model's file or folder; its id must be the receipt's.

    Raises:
        Rejected: `replay.model`: other files; what the engine refuses. Malformed: the request cannot be read.
        Unavailable: the files cannot be read, or the engine died.
    """
    model_id = bundle.answer.receipt.receipt.model_id
    body = effective.effective(bundle.body, model_id)
    kind = "tensor" if body["kind"] == "infer" else "text"
    manifest, _ = describe(model, model.name, kind)
    if manifest.model_id() != model_id:
        raise Rejected(
            "replay.model",
            f"{model} is model {to_hex(manifest.model_id())}; the receipt names {to_hex(model_id)}"
            " (the id counts every file, with its name)",
        )
    again = await (_tensors(manifest, body, model) if kind == "tensor" else _text(bundle, body, model))
    return compare(bundle, again)


async def _tensors(manifest: Manifest, body: JsonObject, model: Path) -> Again:
    engine: TensorEngine = open_exact(model) if manifest.exact else await open_tensor_engine(find_model(model, "onnx"))
    try:
        found = await engine.infer(*effective.tensors_of(body))
        response = serve.proven_response(found, body) if SALT in body else serve.tensor_response(found)
        return Again(engine.profile, None, response)
    finally:
        await engine.close()


async def _text(bundle: Bundle, body: JsonObject, model: Path) -> Again:
    embeddings = body["kind"] == "embeddings"
    threads = min(max(bundle.answer.profile.threads, 1), THREADS_MAX)
    engine = await open_text_engine(find_model(model, "gguf"), slots=1, threads=threads, embeddings=embeddings)
    try:
        return await (_embed(engine, body) if embeddings else _generate(engine, bundle, body))
    finally:
        await engine.close()


async def _generate(engine: LlamaEngine, bundle: Bundle, body: JsonObject) -> Again:
    gathered = TextAnswer(bundle.request.request.hash())
    async with aclosing(engine.generate(effective.honourable(body, engine.parameters))) as events:  # type: ignore[type-var]
        async for event in events:
            gathered.take(event)
    if gathered.finish is None:
        raise Unavailable("engine.died", "the engine ended without finishing its answer")
    return Again(engine.profile, gathered.given_json(), gathered.response())


async def _embed(engine: LlamaEngine, body: JsonObject) -> Again:
    texts = body["inputs"]
    if not isinstance(texts, list):
        raise Malformed("request.parameter", "inputs must be a list of texts")
    vectors, tokens = await engine.embed(tuple(str(text) for text in texts))
    rows = tuple(
        Tensor(f"embedding-{index}", "FP32", (len(vector),), struct.pack(f"<{len(vector)}f", *vector))
        for index, vector in enumerate(vectors)
    )
    return Again(engine.profile, None, serve.embedding_response(rows, tokens))
