"""The manifest of a model: its files by hash, and what is needed to run it.

The model id is the hash of the files alone, so whoever has the files can compute it and nobody can give two different
files one id. The manifest digest binds the rest: name, kind, engine settings. Specified in docs/spec/manifest.md.
"""

from dataclasses import dataclass

from paraph.core.digest import tagged
from paraph.core.encode import Json, as_integer, as_list, as_text, canonical, take
from paraph.core.errors import Malformed
from paraph.core.ident import Digest, ModelId, digest_from_hex, to_hex
from paraph.core.limits import NAME_BYTES_MAX
from paraph.core.tags import Tag

FORMAT = "paraph/manifest/1"
FILES_MAX = 1024
KINDS = ("text", "tensor")
GRAPH = "graph.json"
"""The file whose presence says that a tensor model is an exact one: its graph, beside `weights.bin`."""
CARD = "card.json"
"""Of an exact model: how numbers become its integers, and what its integers mean."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file: its path inside the model, its size in bytes and its SHA-256."""

    path: str
    size: int
    sha256: Digest

    def as_json(self) -> dict[str, Json]:
        """The file as JSON."""
        return {"path": self.path, "size": self.size, "sha256": to_hex(self.sha256)}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is.

    Args:
        name: for people.
        kind: `text` (a language model) or `tensor` (any tensors to tensors).
        batch_class: `invariant` when a probe showed that sharing a batch changes no bit, else `single`.
        files: in order of path; what runs is the one `.gguf` or `.onnx` file among them, or the exact model where
            `graph.json` is one.
    """

    name: str
    kind: str
    batch_class: str
    files: tuple[ModelFile, ...]

    def as_json(self) -> dict[str, Json]:
        """The manifest as JSON."""
        return {
            "format": FORMAT,
            "name": self.name,
            "kind": self.kind,
            "batch_class": self.batch_class,
            "files": [file.as_json() for file in self.files],
        }

    @property
    def exact(self) -> bool:
        """True for an exact model, whose answers can be proven."""
        return self.kind == "tensor" and any(file.path == GRAPH for file in self.files)

    def digest(self) -> Digest:
        """The manifest digest that the ledger registers."""
        return tagged(Tag.MANIFEST, canonical(self.as_json()))

    def model_id(self) -> ModelId:
        """The model id: the tagged hash of the files."""
        return ModelId(tagged(Tag.MODEL, canonical([file.as_json() for file in self.files])))


def manifest_from_json(value: Json) -> Manifest:
    """Read a manifest.

    Raises:
        Malformed: `json.shape`, or `manifest.…` for another format, an unsafe path, or files unsorted or repeated.
    """
    form, name, kind, batch_class, files = take(value, "manifest", "format", "name", "kind", "batch_class", "files")
    if form != FORMAT:
        raise Malformed("manifest.format", f"the manifest's format must be {FORMAT}")
    if kind not in KINDS or batch_class not in ("single", "invariant"):
        raise Malformed("manifest.kind", "kind must be text or tensor, batch_class single or invariant")
    found = tuple(_file(each) for each in as_list(files, "manifest.files", items_max=FILES_MAX))
    paths = [file.path for file in found]
    if not paths or paths != sorted(set(paths)):
        raise Malformed("manifest.files", "files must be listed once each, at least one, in order of path")
    return Manifest(as_text(name, "manifest.name", bytes_max=NAME_BYTES_MAX), str(kind), str(batch_class), found)


def _file(value: Json) -> ModelFile:
    path, size, digest = take(value, "manifest.files", "path", "size", "sha256")
    text = as_text(path, "manifest.files.path", bytes_max=256)
    parts = text.split("/")
    # ASCII: what else is printable differs between versions of Unicode, and these bytes are hashed for good.
    if not (text.isascii() and text.isprintable()) or "\\" in text or any(part in ("", ".", "..") for part in parts):
        raise Malformed("manifest.path", f"{text[:80]!r} is not a plain relative path")
    return ModelFile(text, as_integer(size, "manifest.files.size"), digest_from_hex(digest, "manifest.files.sha256"))
