"""A folder opens when it holds one model and nothing that may not enter."""

import asyncio
from pathlib import Path

import pytest
from tests.standard.small_models import double

from paraph.adapters.engines.open import find_model, open_tensor_engine
from paraph.core.errors import Rejected


def refusal(path: Path, kind: str = "onnx") -> Rejected:
    with pytest.raises(Rejected) as caught:
        find_model(path, kind)
    return caught.value


def test_the_one_model_of_a_folder_is_found(tmp_path: Path) -> None:
    """Beside notes and settings, at any depth."""
    (tmp_path / "README.md").write_text("# A model")
    (tmp_path / "onnx").mkdir()
    model = double(tmp_path / "onnx" / "model.onnx")

    assert find_model(tmp_path, "onnx") == find_model(model, "onnx") == model


def test_an_engine_opens_from_a_folder(tmp_path: Path) -> None:
    """Inspected, found and loaded."""
    double(tmp_path / "model.onnx")

    async def run() -> list[str]:
        engine = await open_tensor_engine(tmp_path)
        try:
            return [spec.name for spec in engine.outputs]
        finally:
            await engine.close()

    assert asyncio.run(run()) == ["y", "total"]


@pytest.mark.parametrize("count", [0, 2])
def test_none_or_two_models_are_refused(tmp_path: Path, count: int) -> None:
    """Which one would run must never be a guess."""
    for index in range(count):
        double(tmp_path / f"{index}.onnx")

    assert refusal(tmp_path).code == "model.files"


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    """A tensor model is no language model."""
    assert refusal(double(tmp_path / "m.onnx"), "gguf").code == "model.files"


def test_one_file_that_may_not_enter_closes_the_folder(tmp_path: Path) -> None:
    """A pickle beside a good model is refused, though nobody would open it."""
    double(tmp_path / "m.onnx")
    (tmp_path / "extra.bin").write_bytes(b"\x80\x04")

    assert refusal(tmp_path).code == "model.pickle"
