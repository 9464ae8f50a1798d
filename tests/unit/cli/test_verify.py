"""`paraph verify` answers with its exit code and its lines, needs no network, and is never kind to a bad file."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.build import Case, build, valid

from paraph.cli.program import paraph
from paraph.core.encode import canonical
from paraph.core.limits import JSON_BYTES_MAX
from paraph.proofs.verdict import Claim, Outcome, Verdict, render
from paraph.sdk.network import Network


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no network at all."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("verification opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("PARAPH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PARAPH_NETWORK", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


def saved(case: Case, folder: Path) -> tuple[str, str]:
    answer, trust = folder / "answer.json", folder / "trust.json"
    answer.write_bytes(case.bundle.encode())
    trust.write_bytes(case.trust.encode())
    return str(answer), str(trust)


def run(*words: str, **more: Any) -> Result:
    return CliRunner().invoke(paraph, ["verify", *words], **more)


@pytest.mark.parametrize("kind", ["text", "tensor"])
def test_verified(kind: Any, alone: Path) -> None:
    """A true answer: exit code 0, the four questions with their marks, and what was not checked."""
    answer, trust = saved(valid(kind), alone)

    result = run(answer, "--trust", trust)

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == f"{answer}: VERIFIED"
    assert [line[:3] for line in lines[1:5]] == ["  ✓", "  –", "  –", "  ✓"]
    assert any(line.startswith("  not checked: ") for line in lines)
    assert result.stderr == ""


def test_not_verified(alone: Path) -> None:
    """A false one: exit code 1, every question open, and each reason with its code."""
    answer, trust = saved(build("text", receipt={"price": 1}), alone)

    result = run(answer, "--trust", trust)

    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0] == f"{answer}: NOT VERIFIED"
    assert [line[:3] for line in lines[1:5]] == ["  ✗"] * 4
    assert any(line.startswith("  failed: ") and line.endswith("[registry.price]") for line in lines)


@pytest.mark.parametrize("settled", [True, False])
def test_json(settled: bool, alone: Path) -> None:
    """With --json the verdict is data."""
    answer, trust = saved(valid("text", settled=settled), alone)

    found = json.loads(run(answer, "--trust", trust, "--json").stdout)

    outcomes = {claim["code"]: claim["outcome"] for claim in found["claims"]}
    assert found["verified"] is True
    assert found["network"] == "test"
    assert outcomes["settlement.batch"] == ("PASS" if settled else "SKIP")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "json.syntax"),
        (b"{}", "bundle.format"),
        (b"[" * 10_000, "json.depth"),
        (b"\xff\xfe", "json.utf8"),
        (b"[1e999]", "json.number"),
        (valid("text").trust.encode(), "bundle.format"),
        (b" " * (JSON_BYTES_MAX + 1), "cli.file_size"),
    ],
)
def test_malformed(data: bytes, code: str, alone: Path) -> None:
    """What is no saved answer is exit code 2 and one line; never 0, never a traceback."""
    answer, trust = saved(valid("text"), alone)
    Path(answer).write_bytes(data)

    result = run(answer, "--trust", trust)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.endswith(f"[{code}]\n")
    assert result.stderr.count("\n") == 1


def test_misused(alone: Path) -> None:
    """A missing file, an unknown option, a trust file that is none, and no trust at all: exit code 2."""
    answer, trust = saved(valid("text"), alone)

    results = [
        run(str(alone / "nothing")),
        run(answer, "--nothing"),
        run(answer, "--trust", answer),
        run(answer),
        run(),
        run(answer, "--trust", str(alone)),
        run(answer, env={"PARAPH_NETWORK": str(alone / "nothing")}),
        run(answer, env={"PARAPH_NETWORK": trust}),
    ]

    assert [result.exit_code for result in results] == [2] * len(results)
    assert all(result.stderr.startswith("error: ") for result in results)


def test_trust_of_another_network(alone: Path) -> None:
    """Pinned to another producer, the same file does not verify."""
    answer, trust = saved(valid("text"), alone)
    Path(trust).write_bytes(build("text", trust={"producers": (bytes(20),)}).trust.encode())

    assert run(answer, "--trust", trust).exit_code == 1


@pytest.mark.parametrize("place", ["home/network.json", "home/devnet/network.json", "elsewhere.json"])
def test_trust_of_the_configured_network(place: str, alone: Path) -> None:
    """Without --trust it is that of PARAPH_NETWORK, of the home folder, or of the devnet."""
    answer, _ = saved(valid("text"), alone)
    file = alone / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(canonical(Network("http://127.0.0.1:1", valid("text").trust).as_json()))

    result = run(answer, env={"PARAPH_NETWORK": str(file)} if place == "elsewhere.json" else {})

    assert result.exit_code == 0


def test_hostile_names_do_not_reach_the_terminal(alone: Path) -> None:
    """A name with control characters is shown with escapes."""
    answer, trust = saved(build("text", model={"name": "\x1b[2J\u202eevil"}), alone)

    result = run(answer, "--trust", trust)

    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


def test_colour_is_for_terminals(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colour only where a person looks, and not when NO_COLOR is set."""
    answer, trust = saved(valid("text"), alone)
    plain = run(answer, "--trust", trust, color=True).stdout
    monkeypatch.setattr("paraph.cli.terminal.coloured", lambda stream: True)

    assert "\x1b[" not in plain
    assert "\x1b[" in run(answer, "--trust", trust, color=True).stdout


def test_render() -> None:
    """A verdict as lines: result, questions with marks, reasons, what was not checked."""
    yes, no = Claim("a.b", Outcome.PASS, "so it is"), Claim("c.d", Outcome.FAIL, "it is not")
    skip = Claim("e.f", Outcome.SKIP, "who knows")

    assert render(Verdict((yes,), (yes, skip), ("this",))) == (
        "VERIFIED",
        "  ✓ so it is",
        "  – who knows",
        "  not checked: this",
    )
    assert render(Verdict((yes, no), (no,), ())) == ("NOT VERIFIED", "  ✗ it is not", "  failed: it is not [c.d]")
