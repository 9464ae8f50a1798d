"""The node as a whole: its configuration is read strictly; it starts, serves, heals and stops, and leaves nothing."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.sim.market import TEXT, TEXT_ID, opened
from tests.support_ledger.world import HOT, OPERATOR
from tests.unit.inference_node.proving import GRAPH, World, weights_of

from paraph.adapters.blobs.folder import FolderBlobs
from paraph.adapters.fakes.engines import FakeTextEngine
from paraph.adapters.provers.engine import ExactEngine
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.encode import canonical
from paraph.core.errors import Malformed, ParaphError, Unavailable
from paraph.core.ident import ModelId
from paraph.inference_node import node as node_module
from paraph.inference_node.config import FILE, MANIFESTS, Config, read_config
from paraph.inference_node.models import Served, describe, folder_of, keep, open_model
from paraph.inference_node.node import InferenceNode
from paraph.proofs.manifest import Manifest

TRUST = opened().trust


def config_in(home: Path, **changes: Any) -> Config:
    """A configuration, written to its files with parts changed."""
    (home / MANIFESTS).mkdir(parents=True, exist_ok=True)
    (home / MANIFESTS / "words.json").write_bytes(canonical(TEXT.as_json()))
    config = Config(home, "http://127.0.0.1:9", TRUST, OPERATOR.address, (TEXT,))
    written = {name: value for name, value in (config.as_json() | changes).items() if value != "absent"}
    (home / FILE).write_text(json.dumps(written))
    return config


def test_configuration_goes_round(tmp_path: Path) -> None:
    """What is written is what is read."""
    assert config_in(tmp_path) == read_config(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"odd": 1},
        {"slots": "absent"},
        {"slots": 0},
        {"threads": 1.5},
        {"port": 65_536},
        {"operator": "0x12"},
        {"rpc_url": 7},
        {"trust": {}},
        {"settle_interval_ms": 1},
        {"heartbeat_interval_s": True},
        {"proof_mode": "open"},
        {"proof_mode": 1},
        {"proof_gather_ms": -1},
        {"proof_memory_mb": 511},
        {"proof_time_s_max": 0},
    ],
    ids=str,
)
def test_wrong_configurations(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Unknown or missing keys and values out of range are refused at the door."""
    config_in(tmp_path, **changes)

    with pytest.raises(Malformed):
        read_config(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    """No configuration, or nothing to serve, has its own code."""
    with pytest.raises(Unavailable) as caught:
        read_config(tmp_path)
    config_in(tmp_path)
    (tmp_path / MANIFESTS / "words.json").unlink()
    with pytest.raises(ParaphError) as empty:
        read_config(tmp_path)

    assert (caught.value.code, empty.value.code) == ("node.config", "node.manifests")


def test_models_are_described(tmp_path: Path) -> None:
    """A file or a folder becomes a manifest of what is in it; an empty folder is none."""
    (tmp_path / "sub").mkdir()
    with pytest.raises(Unavailable):
        describe(tmp_path, "none", "text")
    for name in ("b.gguf", "sub/a.txt"):
        (tmp_path / name).write_text(name)

    manifest, places = describe(tmp_path, "all", "text")
    one, _ = describe(tmp_path / "b.gguf", "one", "text")

    assert [each.path for each in manifest.files] == ["b.gguf", "sub/a.txt"] == list(places)
    assert [each.path for each in one.files] == ["b.gguf"]
    with pytest.raises(Unavailable):
        describe(tmp_path / "nothing", "none", "text")


def test_life_of_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a full node it serves what needs none; it heals with its disk; stopping ends everything, also twice."""
    engine = FakeTextEngine()

    async def open_fake(*_: Any, **__: Any) -> Served:
        return Served(TEXT_ID, TEXT, engine, 1)

    monkeypatch.setattr(node_module, "open_model", open_fake)

    async def main() -> None:
        node = InferenceNode(config_in(tmp_path), HOT)
        url = await node.start()
        async with httpx.AsyncClient(base_url=url) as http:
            live = await http.get("/v2/health/live")
            models = await http.get("/v1/models")
            assert node.service is not None
            node.service.outbox.failure = Unavailable("store.full", "full")
            ready = [(await http.get("/v2/health/ready")).status_code]
            async with asyncio.timeout(10):
                while ready[-1] != 200:
                    await asyncio.sleep(0.05)
                    ready.append((await http.get("/v2/health/ready")).status_code)
        await node.stop()
        await node.stop()

        assert (live.status_code, models.status_code, ready[0]) == (200, 503, 503)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(main())
    with pytest.raises(Unavailable):
        asyncio.run(anext(engine.generate({})))  # type: ignore[arg-type]


def exact_home(home: Path) -> tuple[Manifest, ModelId]:
    """A node's home with an exact model in its blob store."""
    folder = home / "exact"
    folder.mkdir(parents=True)
    (folder / "graph.json").write_bytes(GRAPH.bytes)
    (folder / "weights.bin").write_bytes(weights_of(0))
    manifest, places = describe(folder, "exact", "tensor", "invariant")
    keep(FolderBlobs(home / "blobs"), manifest, places)
    return manifest, manifest.model_id()


def test_exact_models_are_opened(tmp_path: Path) -> None:
    """A model with a graph is opened by the exact engine, whatever lies beside it."""
    manifest, model_id = exact_home(tmp_path)
    served = asyncio.run(open_model(FolderBlobs(tmp_path / "blobs"), manifest, tmp_path / "models", slots=4, threads=1))

    assert manifest.exact
    assert served.model_id == model_id
    assert isinstance(served.tensor, ExactEngine)
    assert served.tensor.graph == GRAPH
    assert (folder_of(tmp_path / "models", model_id) / "weights.bin").read_bytes() == weights_of(0)


@pytest.mark.parametrize(
    ("mode", "installed", "code", "proves"),
    [
        ("none", True, "request.salt", False),
        ("hiding", False, "prover.missing", False),
        ("hiding", True, "http.unreachable", True),
    ],
)
def test_a_node_that_cannot_prove_serves_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, installed: bool, code: str, proves: bool
) -> None:
    """Told not to, without the prover, or before the ledger was seen: it starts, and refuses proofs with the reason."""
    if not installed:
        (tmp_path / "numba.py").write_text("raise ImportError('numba is not installed')\n")
        known = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), *known)))
    manifest, model_id = exact_home(tmp_path)
    config = Config(tmp_path, "http://127.0.0.1:9", TRUST, OPERATOR.address, (manifest,), proof_mode=mode)

    async def main() -> None:
        node = InferenceNode(config, HOT)
        url = await node.start()
        try:
            async with httpx.AsyncClient(base_url=url) as http:
                counts = await http.get("/v1/proofs")
                model = await http.get("/v2/models/exact")
            assert model.json()["platform"] == "exact_1"
            assert counts.status_code == (200 if proves else 404)
            assert node.service is not None
            assert node.service.identity.provable == frozenset()
            refusal = node.service.unprovable.get(model_id)
            assert (refusal.code if refusal else "request.salt") == code
        finally:
            await node.stop()

    asyncio.run(main())


def test_a_node_that_owes_proofs_and_cannot_prove_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going on would cost its bond: the operator is told how many proofs are due, and why none can be made."""
    manifest, _ = exact_home(tmp_path)
    store = LmdbStore(tmp_path / "outbox")
    asyncio.run(World(store).settled(1))
    store.close()
    (tmp_path / "numba.py").write_text("raise ImportError('numba is not installed')\n")
    known = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), *known)))

    async def main() -> ParaphError:
        node = InferenceNode(Config(tmp_path, "http://127.0.0.1:9", TRUST, OPERATOR.address, (manifest,)), HOT)
        try:
            with pytest.raises(ParaphError) as caught:
                await node.start()
        finally:
            await node.stop()
        return caught.value

    error = asyncio.run(main())
    assert (error.code, error.facts["owed"]) == ("node.owes_proofs", 1)
    assert "paraph[zk]" in error.message
