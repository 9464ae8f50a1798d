"""The confined process that holds one language model: llama.cpp's server on a loopback port.

Every choice that can change an answer's bits is set here and stands in the profile: threads, flash attention on,
the cache in f16, no weights on a GPU, and no memory of earlier prompts beside the slots themselves.
"""

from typing import Any

from paraph.adapters.engines.worker import Answer, confine_with_network, serve
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected


def start(header: JsonObject) -> tuple[Any, str]:
    """Start the server for a model; returns it (it ends with its reference) and its address.

    Raises:
        Rejected: `engine.model`: llama.cpp cannot load the file.
    """
    import xllamacpp

    slots, threads = int(header["slots"]), int(header["threads"])  # type: ignore[arg-type]
    params = xllamacpp.CommonParams()
    params.model.path = header["path"]
    params.model_alias = ["model"]
    params.n_ctx = int(header["context_tokens"]) * slots  # type: ignore[arg-type]
    params.n_parallel = slots
    params.kv_unified = False
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    # Spinning threads slow a busy machine down by a factor of ten.
    params.cpuparams.poll = 0
    params.cpuparams_batch.poll = 0
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F16
    params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F16
    params.n_gpu_layers = 0
    params.fit_params = False
    params.ctx_shift = False
    params.cache_ram_mib = 0
    params.cache_prompt = bool(header["cache_prompt"])
    params.embedding = bool(header["embeddings"])
    if params.embedding and not header["pooled"]:
        # A model that was not made for embeddings does not say how to make one vector of many.
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_threads_http = slots + 3
    params.api_keys = [header["key"]]
    params.cors_origins = ""
    params.ui = False
    # The model's own template is a stranger's program; it is rendered elsewhere, and this server never reads it.
    params.use_jinja = False
    params.chat_template = "chatml"
    params.endpoint_slots = False
    params.offline = True
    params.verbosity = -1
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise Rejected("engine.model", f"llama.cpp cannot load the model: {str(error)[:300]}") from error
    return server, str(server.listening_address)


def main() -> None:
    """Load one model, tell its address, and keep serving until the parent hangs up."""
    channel = confine_with_network()
    kept: list[Any] = []

    def answer(header: JsonObject, _: tuple[bytes, ...]) -> Answer:
        if kept:
            raise Rejected("engine.message", "this worker has its model already")
        server, address = start(header)
        kept.append(server)
        return {"address": address}, ()

    serve(channel, answer)


if __name__ == "__main__":
    main()
