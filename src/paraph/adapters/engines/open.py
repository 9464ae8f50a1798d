"""Opens the right engine for a model's files, after looking at every one of them."""

from pathlib import Path
from typing import Final

from paraph.adapters.engines.inspect import inspect
from paraph.adapters.engines.llama import LlamaEngine, open_llama
from paraph.adapters.engines.onnx import OnnxEngine, open_onnx
from paraph.core.errors import Rejected

FILES_MAX: Final = 1000
"""Files of one model: a model in 200 shards with its tokenizer stays below."""


async def open_text_engine(
    path: Path,
    *,
    context_tokens: int = 4096,
    slots: int = 4,
    threads: int = 1,
    embeddings: bool = False,
    chat_template: str | None = None,
) -> LlamaEngine:
    """An engine for a language model: a GGUF file, or a folder with exactly one.

    Raises:
        Rejected: `model.files` when there is no such file or more than one; `model.…` for a file that is not allowed;
            or as `open_llama` does.
        Malformed, Unavailable: as `open_llama` does.
    """
    return await open_llama(
        find_model(path, "gguf"),
        context_tokens=context_tokens,
        slots=slots,
        threads=threads,
        embeddings=embeddings,
        chat_template=chat_template,
    )


async def open_tensor_engine(path: Path) -> OnnxEngine:
    """An engine for an ONNX model: the file, or a folder with exactly one. Raises as `open_text_engine` does."""
    return await open_onnx(find_model(path, "onnx"))


def find_model(path: Path, kind: str) -> Path:
    """The one file of this kind (`gguf` or `onnx`) at `path`, every file there having been inspected.

    Raises:
        Rejected: `model.files`, `model.…`.
        Malformed: `model.…`.
    """
    files = sorted(each for each in path.rglob("*") if not each.is_dir()) if path.is_dir() else [path]
    if len(files) > FILES_MAX:
        raise Rejected("model.files", f"{len(files)} files; at most {FILES_MAX}", got=len(files), limit=FILES_MAX)
    found = [each for each in files if inspect(each) == kind]
    if len(found) != 1:
        raise Rejected(
            "model.files",
            f"{path.name}: {len(found)} {kind} files among {len(files)}; there must be one",
            got=len(found),
        )
    return found[0]
