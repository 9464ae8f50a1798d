"""What may enter: a model's files are looked at before any parser or engine sees them.

Formats are an allow-list. Whatever can carry code (pickles above all) is refused, and headers are checked for sizes,
offsets and operators, so that a file of 75 bytes cannot ask for 8 GB. Not checked: what a model says, and whether
its licence is honest.
"""

from pathlib import Path
from typing import Final

from paraph.adapters.engines.inspect_gguf import read_gguf
from paraph.adapters.engines.inspect_onnx import read_onnx
from paraph.adapters.engines.inspect_safetensors import read_safetensors
from paraph.core.encode import decode
from paraph.core.errors import Malformed, Rejected

TEXT_BYTES_MAX: Final = 64 * 1024 * 1024
"""A tokenizer's JSON: the largest vocabularies in use take about 35 MB."""

NOTE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A model card, a licence or a template: people read it."""

_TOKENIZER_NAMES: Final = frozenset({"tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.bpe"})
_NOTE_SUFFIXES: Final = frozenset({".md", ".txt", ".jinja"})
_PICKLES: Final = frozenset(
    {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill", ".npy", ".npz", ".mar", ".nemo", ".h5"}
)


def inspect(path: Path) -> str:
    """Check one file of a model and say what it is.

    Returns:
        `gguf`, `onnx`, `safetensors`, `tokenizer`, `json` or `text`.

    Raises:
        Rejected: `model.format` for a kind of file that is not allowed, `model.pickle` for one that can carry code,
            `model.size`, or as the reader of its format does.
        Malformed: `model.…` when the bytes are not what the name says.
    """
    suffix = path.suffix.lower()
    if path.is_symlink() or not path.is_file():
        raise Rejected("model.format", f"{path.name} is not a regular file")
    with path.open("rb") as file:
        first = file.read(16)
    if suffix in _PICKLES or looks_like_pickle(first):
        raise Rejected(
            "model.pickle", f"{path.name}: this kind of file can carry code; publish safetensors, GGUF or ONNX"
        )
    if suffix == ".gguf":
        read_gguf(path)
        return "gguf"
    if suffix == ".onnx":
        read_onnx(path)
        return "onnx"
    if suffix == ".safetensors":
        read_safetensors(path)
        return "safetensors"
    if path.name in _TOKENIZER_NAMES:
        _bounded(path, TEXT_BYTES_MAX)
        return "tokenizer"
    if suffix == ".json":
        # Deep or repeated names would be read differently by different parsers.
        decode(_bounded(path, TEXT_BYTES_MAX), bytes_max=TEXT_BYTES_MAX)
        return "json"
    if suffix in _NOTE_SUFFIXES or path.name in ("LICENSE", "NOTICE", ".gitattributes"):
        try:
            # merges.txt of a tokenizer is text too, and the largest of them.
            _bounded(path, TEXT_BYTES_MAX if path.name == "merges.txt" else NOTE_BYTES_MAX).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("model.text", f"{path.name} is not UTF-8 at byte {error.start}") from error
        return "text"
    raise Rejected(
        "model.format", f"{path.name}: not an allowed kind of file; GGUF, ONNX, safetensors, tokenizer, JSON, md, txt"
    )


def looks_like_pickle(first: bytes) -> bool:
    """Whether a file begins as pickles, or the archives that hold them, do.

    Protocol 2 to 5 begins with 0x80 and its number; PyTorch and numpy keep pickles in zip files and .npy files.
    """
    return (len(first) > 1 and first[0] == 0x80 and 2 <= first[1] <= 5) or first.startswith(
        (b"PK\x03\x04", b"\x93NUMPY", b"\x1f\x8b", b"\x89HDF")
    )


def _bounded(path: Path, limit: int) -> bytes:
    size = path.stat().st_size
    if size > limit:
        raise Rejected("model.size", f"{path.name} has {size} bytes; at most {limit}", got=size, limit=limit)
    return path.read_bytes()
