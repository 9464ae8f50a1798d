"""The manifest: the model id is of the files alone, the digest of everything, and unsafe paths are refused."""

from dataclasses import replace

import pytest
from tests.support.build import manifest_of
from tests.support.change import varied

from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.ident import to_hex
from paraph.proofs.manifest import FILES_MAX, Manifest, ModelFile, manifest_from_json

MANIFEST = manifest_of("text")


def test_every_field_matters() -> None:
    """Any field changed, of the manifest or of a file, changes the digest."""
    seen = {MANIFEST.digest()}
    for name, other in varied(MANIFEST):
        assert other.digest() not in seen, name
        seen.add(other.digest())


def test_model_id_is_of_the_files() -> None:
    """The model id changes with any file, its path, size or bytes, and with nothing else."""
    for name, other in varied(MANIFEST):
        assert (other.model_id() == MANIFEST.model_id()) == (name != "files")


def test_manifest_round_trips() -> None:
    """A manifest is read back."""
    assert manifest_from_json(MANIFEST.as_json()) == MANIFEST


def file_json(path: Json, size: Json = 1) -> Json:
    return {"path": path, "size": size, "sha256": to_hex(sha256(b"x"))}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": "paraph/manifest/2"}, "manifest.format"),
        ({"format": None}, "manifest.format"),
        ({"kind": "image"}, "manifest.kind"),
        ({"kind": []}, "manifest.kind"),
        ({"batch_class": "any"}, "manifest.kind"),
        ({"batch_class": None}, "manifest.kind"),
        ({"name": 1}, "json.shape"),
        ({"name": "x" * 129}, "json.shape"),
        ({"files": {}}, "json.shape"),
        ({"files": []}, "manifest.files"),
        ({"files": [file_json("b"), file_json("a")]}, "manifest.files"),
        ({"files": [file_json("a"), file_json("a", 2)]}, "manifest.files"),
        ({"files": [file_json("a")] * (FILES_MAX + 1)}, "json.shape"),
        ({"files": [file_json("a", -1)]}, "json.shape"),
        ({"files": [file_json("a", "1")]}, "json.shape"),
        ({"files": [file_json(1)]}, "json.shape"),
        ({"files": [{"path": "a", "size": 1}]}, "json.shape"),
        ({"files": [None]}, "json.shape"),
        ({"more": 1}, "json.shape"),
    ],
    ids=range(19),
)
def test_other_json_is_refused(change: dict[str, Json], code: str) -> None:
    """Another format or kind, and files unsorted, repeated, missing or misshapen, are refused by name."""
    with pytest.raises(Malformed) as caught:
        manifest_from_json({**MANIFEST.as_json(), **change})

    assert caught.value.code == code


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "./a",
        "a\\b",
        "..\\a",
        "a\0b",
        "a\nb",
        "a\u202eb",
        "é",
        "\ud800",
    ],
    ids=range(18),
)
def test_unsafe_paths_are_refused(path: str) -> None:
    """A path that leaves the model's folder, or that a reader cannot tell from another, is refused."""
    with pytest.raises(Malformed) as caught:
        manifest_from_json({**MANIFEST.as_json(), "files": [file_json(path)]})

    assert caught.value.code == "manifest.path"


def test_paths_are_short() -> None:
    """A path has at most 256 bytes."""
    longest = ModelFile("a/" + "x" * 254, 1, sha256(b"x"))
    fine = replace(MANIFEST, files=(longest,))

    assert manifest_from_json(fine.as_json()) == fine
    assert isinstance(fine, Manifest)
    with pytest.raises(Malformed):
        manifest_from_json({**MANIFEST.as_json(), "files": [file_json("x" * 257)]})
