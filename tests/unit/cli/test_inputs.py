"""What people type for tensors, aliases and amounts is read as they mean it, or refused."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from paraph.cli.infer import plain, read_input
from paraph.cli.program import paraph
from paraph.cli.proxy import read_aliases
from paraph.core.errors import Malformed, ParaphError, Unavailable
from paraph.core.tensor import Tensor


def test_json_input() -> None:
    """Plain JSON is a nested list; with a type it is a tensor of that type and shape."""
    assert read_input("x=[[1.5, 2]]") == ("x", [[1.5, 2]])
    assert read_input("x:FP32=[[1, 2]]") == ("x", Tensor("x", "FP32", (1, 2), b"\0\0\x80\x3f\0\0\0\x40"))
    assert read_input("x:INT64=7") == ("x", Tensor("x", "INT64", (), b"\7\0\0\0\0\0\0\0"))
    assert read_input("x:FP32=[]") == ("x", Tensor("x", "FP32", (0,), b""))


def test_names_may_hold_colons() -> None:
    """Only a known type is a type: `input:0` is a name."""
    assert read_input("input:0=[1]") == ("input:0", [1])
    name, tensor = read_input("input:0:INT8=[1]")
    assert (name, tensor.name, tensor.datatype) == ("input:0", "input:0", "INT8")


def test_files(tmp_path: Path) -> None:
    """`@file.json` and `@file.npy` are read; a type converts an array."""
    (tmp_path / "x.json").write_text("[[1, 2]]")
    np.save(tmp_path / "x.npy", np.array([[1.0, 2.0]]))

    assert read_input(f"x=@{tmp_path}/x.json") == ("x", [[1, 2]])
    assert read_input(f"x=@{tmp_path}/x.npy")[1].dtype == np.float64
    assert read_input(f"x:FP32=@{tmp_path}/x.npy")[1].dtype == np.float32


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", click.UsageError),
        ("=[1]", click.UsageError),
        ("x=[1", Malformed),
        ("x=NaN", Malformed),
        ("x:INT8=[300]", Malformed),
        ("x:FP32=[[1],[2,3]]", Malformed),
        ("x=@nothing.json", Unavailable),
        ("x=@nothing.npy", Malformed),
    ],
)
def test_bad_inputs(text: str, kind: type[Exception]) -> None:
    """What cannot be read is refused with its kind of error."""
    with pytest.raises(kind):
        read_input(text)


@pytest.mark.parametrize("datatype", ["", "BF16"])
def test_npy_that_could_run_code(datatype: str, tmp_path: Path) -> None:
    """An array of objects is a pickle, which is never opened; a type that numpy lacks is refused."""
    array: Any = [1.0] if datatype else [{}]
    np.save(tmp_path / "x.npy", np.array(array), allow_pickle=True)

    with pytest.raises(Malformed) as caught:
        read_input(f"x{':' + datatype if datatype else ''}=@{tmp_path}/x.npy")

    assert caught.value.code == "cli.npy"


@pytest.mark.parametrize(
    ("tensor", "values"),
    [
        (Tensor("x", "FP32", (3,), np.array([1.5, np.nan, -np.inf], "<f4").tobytes()), [1.5, "nan", "-inf"]),
        (Tensor("x", "BOOL", (2,), b"\1\0"), [True, False]),
        (Tensor("x", "BYTES", (2,), b"\2\0\0\0ab\1\0\0\0\xff"), ["ab", "\\xff"]),
    ],
)
def test_values_have_a_json_form(tensor: Tensor, values: list[Any]) -> None:
    """Every value of a tensor can be written as strict JSON."""
    assert plain(tensor) == values
    assert json.dumps(plain(tensor), allow_nan=False)


def test_aliases() -> None:
    """`NAME=MODEL`, any number of them."""
    assert read_aliases(("gpt-4o=a/b", "x=0x12")) == {"gpt-4o": "a/b", "x": "0x12"}
    for bad in ("", "x", "x=", "=y"):
        with pytest.raises(click.UsageError):
            read_aliases((bad,))


@pytest.mark.parametrize(
    "words",
    [
        ("infer", "m"),
        ("infer", "m", "--input", "x=[1]", "--input", "x=[2]"),
        ("chat", "m", "hello", "there"),
        ("chat", "--model", "m", "hello", "there"),
        ("chat", "m", "hi", "--temperature", "3"),
        ("chat", "m", "hi", "--max-tokens", "0"),
        ("chat", "m", "hi", "--layer", "wishes"),
        ("chat", "m", "hi", "--max-price", "1e-3"),
        ("chat", "m", "hi", "--node", "0x12"),
        ("wallet", "send", "0x12", "1"),
        ("wallet", "deposit", "--", "-1"),
        ("wallet", "withdraw", "1", "--cancel"),
        ("node", "register", "--endpoint", "u", "--model", "m"),
        ("model", "push", "/nothing", "--name", "n", "--kind", "text"),
    ],
    ids=" ".join,
)
def test_misuse_is_told_before_anything_is_done(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Misuse is exit code 2 and one line, with no network and no wallet there."""
    monkeypatch.setenv("PARAPH_HOME", str(tmp_path))

    result = CliRunner().invoke(paraph, words)

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_errors_know_their_branch() -> None:
    """Every branch of errors has an exit code: the table of the door is whole."""
    assert {kind.branch for kind in ParaphError.__subclasses__()} == {
        "malformed",
        "rejected",
        "unavailable",
        "unverified",
    }
