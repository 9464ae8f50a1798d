"""Only what is on the list enters, by its bytes as well as by its name."""

import pickle
import zipfile
from pathlib import Path

import pytest
from onnx import TensorProto
from tests.standard.real_models import language_model, tensor_model
from tests.standard.small_models import identity
from tests.unit.adapters.engines.small_files import gguf, safetensors

from paraph.adapters.engines.inspect import inspect
from paraph.core.errors import Malformed, Rejected


def test_every_allowed_kind_is_named(tmp_path: Path) -> None:
    """Each kind of file has one word."""
    files = {
        "m.gguf": (gguf(), "gguf"),
        "m.safetensors": (safetensors({"a": ("F32", [2], 0, 8)}, 8), "safetensors"),
        "config.json": (b'{"a": 1}', "json"),
        "README.md": ("# é".encode(), "text"),
        "LICENSE": (b"Apache", "text"),
        "merges.txt": (b"a b", "text"),
        "tokenizer.model": (b"\x0a\x0e", "tokenizer"),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)

    found = {name: inspect(tmp_path / name) for name in files}

    assert found == {name: kind for name, (_, kind) in files.items()}
    assert inspect(identity(tmp_path / "m.onnx", TensorProto.FLOAT)) == "onnx"


def test_real_models_enter() -> None:
    """A language model and a classifier as they are published."""
    assert (inspect(language_model()), inspect(tensor_model())) == ("gguf", "onnx")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "name", ["m.pkl", "model.json", "README.md", "m.onnx", "m.gguf", "m.safetensors", "tokenizer.model"]
)
def test_a_pickle_is_refused_under_any_name(tmp_path: Path, name: str, protocol: int) -> None:
    """Pickles are known by their first bytes."""
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}, protocol))

    with pytest.raises(Rejected) as caught:
        inspect(tmp_path / name)

    assert caught.value.code == "model.pickle"


@pytest.mark.parametrize(
    "name", ["model.pt", "pytorch_model.bin", "a.npy", "a.npz", "m.ckpt", "m.h5", "M.PTH", "m.joblib"]
)
def test_what_carries_pickles_is_refused(tmp_path: Path, name: str) -> None:
    """So are the formats that hold them, whatever is inside."""
    (tmp_path / name).write_bytes(b"harmless")

    with pytest.raises(Rejected) as caught:
        inspect(tmp_path / name)

    assert caught.value.code == "model.pickle"


def test_an_archive_is_refused_under_any_name(tmp_path: Path) -> None:
    """PyTorch's files are zip archives."""
    with zipfile.ZipFile(tmp_path / "notes.txt", "w") as archive:
        archive.writestr("data.pkl", b"")

    with pytest.raises(Rejected) as caught:
        inspect(tmp_path / "notes.txt")

    assert caught.value.code == "model.pickle"


@pytest.mark.parametrize("name", ["run.py", "m.so", "setup.sh", "m.exe", "noname", "modeling.PY", "m.tflite"])
def test_another_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    """What is not on the list does not enter."""
    (tmp_path / name).write_bytes(b"x")

    with pytest.raises(Rejected) as caught:
        inspect(tmp_path / name)

    assert caught.value.code == "model.format"


def test_links_and_folders_are_refused(tmp_path: Path) -> None:
    """Only regular files are read: a link could lead anywhere."""
    (tmp_path / "a.json").symlink_to("/etc/passwd")
    (tmp_path / "b.json").mkdir()

    for name in ("a.json", "b.json", "missing.json"):
        with pytest.raises(Rejected) as caught:
            inspect(tmp_path / name)
        assert caught.value.code == "model.format"


def test_text_must_be_text(tmp_path: Path) -> None:
    """A note is UTF-8, and JSON is JSON."""
    (tmp_path / "README.md").write_bytes(b"\xff\xfe")
    (tmp_path / "config.json").write_bytes(b'{"a": 1, "a": 2}')

    for name in ("README.md", "config.json"):
        with pytest.raises(Malformed):
            inspect(tmp_path / name)


def test_a_note_has_a_limit(tmp_path: Path) -> None:
    """One byte above four mebibytes is refused."""
    for size, refused in ((4 << 20, False), ((4 << 20) + 1, True)):
        (tmp_path / "README.md").write_bytes(b"x" * size)
        if refused:
            with pytest.raises(Rejected) as caught:
                inspect(tmp_path / "README.md")
            assert caught.value.code == "model.size"
        else:
            assert inspect(tmp_path / "README.md") == "text"
