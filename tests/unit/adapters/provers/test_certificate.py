"""A certificate says what anyone finds who computes it again, and every false word in it is found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.adapters.provers.originals import digits, digits_mlp, node, normal, onnx_file, patients_mlp

from paraph.adapters.provers.certificate import original_scores
from paraph.adapters.provers.model import ExactModel, certified, load, make, recheck, save
from paraph.adapters.provers.rows import read_rows
from paraph.core.errors import Malformed, Rejected, Unavailable, Unverified

FIRST = 1500


@pytest.fixture(scope="module")
def model() -> ExactModel:
    return certified(make(digits_mlp(), digits()[:FIRST]), digits_mlp(), digits(), FIRST)


def test_a_certificate_holds(model: ExactModel) -> None:
    """Computed again from the original and the data, it is what it was; its counts are the runtime's."""
    found = recheck(model, digits_mlp(), digits())

    assert found == model.card.certificate
    scores = original_scores(digits_mlp(), model.card.tensor, "X", digits()[FIRST:])
    from paraph.adapters.provers.execute import Exact

    outputs = Exact(model.graph, model.weights).run(model.card.to_int8(digits()[FIRST:]))
    assert found.agreed == int((scores.argmax(axis=1) == outputs.argmax(axis=1)).sum())
    assert found.inputs == len(digits()) - FIRST


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("onnx", "0x" + "00" * 32),
        ("graph", "0x" + "00" * 32),
        ("weights", "0x" + "00" * 32),
        ("inputs_digest", "0x" + "00" * 32),
        ("outputs_digest", "0x" + "00" * 32),
        ("agreed", 1),
        ("mean_error", 0.0001),
        ("max_error", 0.001),
        ("max_score", 99.0),
    ],
)
def test_every_false_word_is_found(model: ExactModel, name: str, value: Any) -> None:
    """One part changed: the recheck says which, and what it is."""
    assert model.card.certificate is not None
    false = replace(model, card=replace(model.card, certificate=replace(model.card.certificate, **{name: value})))

    with pytest.raises(Unverified) as refused:
        recheck(false, digits_mlp(), digits())
    assert [code for code, _ in refused.value.reasons] == [f"certificate.{name}"]


def test_other_weights_are_found(model: ExactModel) -> None:
    """One weight changed by one: the certificate is of another model."""
    weights = bytearray(model.weights)
    weights[0] ^= 1

    with pytest.raises(Unverified, match="weights"):
        recheck(replace(model, weights=bytes(weights)), digits_mlp(), digits())


def test_other_data_is_found(model: ExactModel) -> None:
    """Other held-out inputs than the certificate's are not what it is about; fewer are refused."""
    data = digits().copy()
    data[FIRST, 0] += 0.5

    with pytest.raises(Unverified, match="inputs_digest"):
        recheck(model, digits_mlp(), data)
    with pytest.raises(Rejected, match=r"exact\.certificate"):
        recheck(model, digits_mlp(), digits()[:-1])


def test_another_original_is_found(model: ExactModel) -> None:
    """A file without the scores that the card names is refused."""
    with pytest.raises(Malformed, match=r"exact\.onnx"):
        recheck(model, patients_mlp(), digits())


def test_a_card_without_a_certificate_has_nothing_to_check(model: ExactModel) -> None:
    """Which is said, not passed."""
    bare = replace(model, card=replace(model.card, certificate=None))

    with pytest.raises(Rejected, match="no certificate"):
        recheck(bare, digits_mlp(), digits())


def test_nothing_held_out_makes_no_certificate(model: ExactModel) -> None:
    """No rows, no certificate."""
    with pytest.raises(Rejected, match=r"exact\.holdout"):
        certified(model, digits_mlp(), digits(), len(digits()))


def test_a_file_with_a_fixed_batch_is_compared_in_its_batches() -> None:
    """A file made for four rows at a time takes seven, the last four filled up."""
    onnx = onnx_file([node("MatMul", "x w", "y")], {"w": normal(1, 6, 3)}, [4, 6])
    rows = normal(2, 7, 6)

    np.testing.assert_allclose(original_scores(onnx, "y", "x", rows), rows @ normal(1, 6, 3), rtol=1e-4, atol=1e-5)


def test_a_folder_keeps_the_model(model: ExactModel, tmp_path: Path) -> None:
    """What is saved is what is loaded, and nothing is written over."""
    save(model, tmp_path / "digits")

    assert load(tmp_path / "digits") == model
    assert sorted(each.name for each in (tmp_path / "digits").iterdir()) == ["card.json", "graph.json", "weights.bin"]
    with pytest.raises(Rejected, match=r"exact\.exists"):
        save(model, tmp_path / "digits")


@pytest.mark.parametrize("name", ["graph.json", "weights.bin", "card.json"])
def test_damaged_folders_are_refused(model: ExactModel, tmp_path: Path, name: str) -> None:
    """A file that is cut, too long or missing is refused."""
    save(model, tmp_path)
    data = (tmp_path / name).read_bytes()

    for other in (data[:-1], data + b"\0"):
        (tmp_path / name).write_bytes(other)
        with pytest.raises(Malformed):
            load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Unavailable, match=r"exact\.files"):
        load(tmp_path)


def test_a_card_of_another_model_is_refused(model: ExactModel) -> None:
    """A card has the inputs and outputs of its model."""
    with pytest.raises(Malformed, match=r"exact\.card"):
        replace(model, card=replace(model.card, outputs=11, labels=()))


def test_rows_are_read_from_files(tmp_path: Path) -> None:
    """An array of numpy, and a table with or without names, give the same rows."""
    rows = np.array([[1.5, -2.0], [3.0, 4e5]])
    np.save(tmp_path / "a.npy", rows)
    (tmp_path / "b.csv").write_text("one,two\n1.5,-2\n\n3,4e5\n")
    (tmp_path / "c.csv").write_text("1.5,-2\n3,4e5\n")

    assert all(read_rows(tmp_path / name).tolist() == rows.tolist() for name in ("a.npy", "b.csv", "c.csv"))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"1,2"),
        ("a.csv", b"1,2\n3\n"),
        ("a.csv", b"1,2\n3,x\n"),
        ("a.csv", b"one,two\n"),
        ("a.csv", b"1,nan\n"),
        ("a.npy", b"\x93NUMPY\x01\x00"),
        ("a.npy", b"no array"),
        ("a.npy", b""),
    ],
)
def test_other_data_files_are_refused(tmp_path: Path, name: str, data: bytes) -> None:
    """What holds no rows of finite numbers is refused."""
    (tmp_path / name).write_bytes(data)

    with pytest.raises(Malformed, match=r"exact\.data"):
        read_rows(tmp_path / name)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    """A numpy file that holds pickled objects is refused unread."""
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)

    with pytest.raises(Malformed, match=r"exact\.data"):
        read_rows(tmp_path / "a.npy")
