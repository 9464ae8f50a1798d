"""The models a node serves: each a manifest whose files were hashed, and an engine that was opened on them."""

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from paraph.adapters.blobs.folder import FolderBlobs, hash_file
from paraph.adapters.engines.open import find_model, open_tensor_engine, open_text_engine
from paraph.adapters.engines.openai_upstream import Upstream, open_upstream
from paraph.adapters.provers.engine import open_exact
from paraph.core.errors import Rejected, Unavailable
from paraph.core.ident import Digest, ModelId, to_hex
from paraph.flows.ports import TensorEngine, TextEngine
from paraph.proofs.manifest import Manifest, ModelFile

Engine: TypeAlias = TextEngine | TensorEngine


@dataclass(slots=True)
class Served:
    """A model that is ready.

    Args:
        model_id: the hash of its files.
        manifest: what it is.
        engine: what runs it.
        slots: requests that may run at the same time.
        running, waiting: how many do now.
    """

    model_id: ModelId
    manifest: Manifest
    engine: Engine
    slots: int
    running: int = 0
    waiting: int = 0
    turn: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.turn = asyncio.Semaphore(self.slots)

    @property
    def text(self) -> TextEngine:
        """The engine of a language model. Raises `Rejected` (`request.kind`) for a tensor model."""
        if self.manifest.kind != "text":
            raise Rejected("request.kind", f"{self.manifest.name} takes tensors: ask at /v2/models/…/infer")
        return self.engine  # type: ignore[return-value]

    @property
    def tensor(self) -> TensorEngine:
        """The engine of a tensor model. Raises `Rejected` (`request.kind`) for a language model."""
        if self.manifest.kind != "tensor":
            raise Rejected("request.kind", f"{self.manifest.name} takes text: ask at /v1/chat/completions")
        return self.engine  # type: ignore[return-value]


def describe(
    folder_or_file: Path, name: str, kind: str, batch_class: str = "single"
) -> tuple[Manifest, dict[str, Path]]:
    """The manifest of files on disk, and where each is.

    Raises:
        Unavailable: `blobs.read`: a file cannot be read; `model.empty`: there is none.
    """
    root = folder_or_file if folder_or_file.is_dir() else folder_or_file.parent
    found = sorted(each for each in root.rglob("*") if each.is_file()) if folder_or_file.is_dir() else [folder_or_file]
    places = {each.relative_to(root).as_posix(): each for each in found}
    if not places or not all(each.is_file() for each in found):
        raise Unavailable("model.empty", f"{folder_or_file} holds no files")
    files = (ModelFile(path, place.stat().st_size, Digest(hash_file(place))) for path, place in sorted(places.items()))
    return Manifest(name, kind, batch_class, tuple(files)), places


def keep(blobs: FolderBlobs, manifest: Manifest, places: dict[str, Path]) -> None:
    """Copy a model's files into the blob store."""
    for file in manifest.files:
        blobs.put_file(places[file.path])


async def open_model(blobs: FolderBlobs, manifest: Manifest, work: Path, *, slots: int, threads: int) -> Served:
    """Lay out a model's files from the blob store and open its engine.

    Args:
        blobs: has every file of the manifest.
        manifest: what to open.
        work: a folder of the node's own, where the files are linked under their names.
        slots: requests of a language model that may run at the same time.
        threads: threads of a language model's engine.

    Raises:
        Unavailable: a file is missing or changed. Malformed, Rejected: the files are not allowed.
    """
    model_id = manifest.model_id()
    folder = folder_of(work, model_id)
    # Whatever else lies there, an engine could read beside the model's own files.
    shutil.rmtree(folder, ignore_errors=True)
    for file in manifest.files:
        place = folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(blobs.path(file.sha256))
    if manifest.kind == "text":
        text = await open_text_engine(find_model(folder, "gguf"), slots=slots, threads=threads)
        return Served(model_id, manifest, text, slots)
    if manifest.exact:
        return Served(model_id, manifest, await asyncio.to_thread(open_exact, folder), 1)
    tensor = await open_tensor_engine(find_model(folder, "onnx"))
    return Served(model_id, manifest, tensor, 1)


def folder_of(work: Path, model_id: ModelId) -> Path:
    """Where `open_model` lays out a model's files."""
    return work / to_hex(model_id)[2:]


async def open_elsewhere(upstream: Upstream, manifest: Manifest, *, slots: int) -> Served:
    """A language model that another server runs; its files are not needed here.

    Raises:
        Rejected: `request.kind` for a tensor model, and as `open_upstream` does. Unavailable: as `open_upstream` does.
    """
    if manifest.kind != "text":
        raise Rejected("request.kind", f"{manifest.name} takes tensors; an upstream server serves language models only")
    return Served(manifest.model_id(), manifest, await open_upstream(upstream), slots)
