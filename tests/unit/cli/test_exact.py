"""`paraph model quantize` and `recheck` make, write and check exact models, and say plainly what does not hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tests.unit.adapters.provers.originals import node, normal, onnx_file

from paraph.adapters.provers.execute import Exact
from paraph.adapters.provers.model import load
from paraph.cli.program import paraph as program


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A small classifier and its data."""
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "z"), node("Softmax", "z", "y")]
    (tmp_path / "model.onnx").write_bytes(onnx_file(nodes, {"w": normal(1, 6, 16), "v": normal(2, 16, 3)}, ["N", 6]))
    np.save(tmp_path / "data.npy", normal(3, 200, 6, scale=1.0))
    return tmp_path


def run(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(program, ["model", *map(str, arguments)])
    return found.exit_code, found.output


def test_a_model_is_made_and_checked(files: Path) -> None:
    """What is written can be loaded and run, and its certificate holds, about the last fifth of the data."""
    onnx, data, out = files / "model.onnx", files / "data.npy", files / "exact"

    code, said = run("quantize", onnx, "--calibrate", data, "--out", out, "--json")
    facts = json.loads(said)
    model = load(out)

    assert code == 0
    assert (facts["certificate"]["first"], facts["certificate"]["inputs"]) == (160, 40)
    assert facts["graph_digest"] == "0x" + model.graph.digest.hex()
    assert Exact(model.graph, model.weights).run(model.card.to_int8(np.load(data))).shape == (200, 3)
    code, said = run("recheck", out, "--onnx", onnx, "--data", data)
    assert (code, "the certificate holds" in said) == (0, True)
    code, said = run("recheck", out, "--onnx", onnx, "--data", data, "--json")
    assert json.loads(said) == {"holds": True, "certificate": facts["certificate"]}


def test_a_summary_says_what_was_made(files: Path) -> None:
    """For people: how many inputs agreed, what was cut off, where it lies; held out may be a file of its own."""
    np.savetxt(files / "held.csv", normal(4, 30, 6, scale=1.0), delimiter=",")
    arguments = "--calibrate", files / "data.npy", "--holdout", files / "held.csv", "--out", files / "exact"

    code, said = run("quantize", files / "model.onnx", *arguments)

    assert code == 0
    assert "6 numbers in, 3 out" in said
    assert "before Softmax" in said
    assert "on 30 held-out inputs" in said


def test_a_certificate_that_does_not_hold_is_an_error(files: Path) -> None:
    """Other data than the certificate's: no exit code 0, and the reason."""
    onnx, data, out = files / "model.onnx", files / "data.npy", files / "exact"
    assert run("quantize", onnx, "--calibrate", data, "--out", out)[0] == 0
    np.save(data, normal(5, 200, 6, scale=1.0))

    code, said = run("recheck", out, "--onnx", onnx, "--data", data)

    assert code == 1
    assert "certificate.inputs_digest" in said
    assert "the certificate holds" not in said


def test_what_cannot_be_made_exact_is_an_error(files: Path) -> None:
    """The operator is named, and nothing is written."""
    (files / "other.onnx").write_bytes(onnx_file([node("LpNormalization", "x", "y")], {}, ["N", 6]))

    code, said = run("quantize", files / "other.onnx", "--calibrate", files / "data.npy", "--out", files / "exact")

    assert code == 2
    assert "LpNormalization" in said
    assert not (files / "exact").exists()
