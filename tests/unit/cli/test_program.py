"""The door of the command line: commands are found late, errors are one line with a code, and nothing else gets out."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from paraph.cli import program
from paraph.cli.program import COMMANDS, paraph
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified

ERRORS: list[tuple[ParaphError, int]] = [
    (Malformed("a.b", "bad bytes"), 2),
    (Rejected("a.b", "not now"), 1),
    (Unavailable("a.b", "nobody there"), 1),
    (Unverified((("a.b", "one"), ("c.d", "two"))), 1),
]


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`paraph fail`, a command that raises."""

    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    def fail(as_json: bool) -> None:
        raise error

    monkeypatch.setattr(program.Program, "get_command", lambda self, context, name: fail)
    return lambda *words: CliRunner().invoke(paraph, ["fail", *words])


@pytest.mark.parametrize("name", COMMANDS)
def test_list_says_what_the_command_says(name: str) -> None:
    """Each command of the table is there, has help, and the table's words need no import to be right."""
    command = paraph.get_command(click.Context(paraph), name)

    assert command is not None
    assert command.name == name
    assert CliRunner().invoke(paraph, [name, "--help"]).exit_code == 0


def test_help_lists_every_command() -> None:
    """The help is the table."""
    text = CliRunner().invoke(paraph, ["--help"]).stdout

    assert all(f"  {name} " in text and says in text for name, (_, says) in COMMANDS.items())


def test_help_imports_no_command() -> None:
    """`paraph --help` loads none of the commands, nor what they need."""
    script = (
        "import sys; from paraph.cli.program import paraph\n"
        "paraph.main(['--help'], standalone_mode=False)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('paraph.')))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded <= {"paraph.cli", "paraph.cli.program", "paraph.cli.terminal", "paraph.core", "paraph.core.errors"}


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS.values()}))
def test_command_help_starts_no_server(module: str) -> None:
    """A command's module loads no server, no HTTP client and no engine: its help is there in the base install."""
    heavy = ("httpx", "starlette", "uvicorn", "numpy", "onnxruntime", "lmdb", "jinja2", "xllamacpp")
    script = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=[error.branch for error, _ in ERRORS])
def test_errors_are_one_line(error: ParaphError, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is one line with its code on standard error, and the exit code of its branch."""
    result = failing(error, monkeypatch)()

    assert result.exit_code == code
    assert result.output == f"error: {error.message} [a.b]\n"
    assert result.stdout == ""


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=[error.branch for error, _ in ERRORS])
def test_errors_are_json_where_json_is_asked(error: ParaphError, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json the error is JSON, with its branch, and every reason of what did not verify."""
    result = failing(error, monkeypatch)("--json")

    found = json.loads(result.stderr)["error"]
    assert (found["code"], found["branch"]) == ("a.b", error.branch)
    assert len(found.get("reasons", ())) == (2 if isinstance(error, Unverified) else 0)


def test_error_with_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server said cannot move the cursor."""
    result = failing(Rejected("a.b", "\x1b[2Jgone"), monkeypatch)()

    assert result.stderr == "error: \\x1b[2Jgone [a.b]\n"


def test_fault_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is told as one, and PARAPH_TRACEBACK shows where."""
    run = failing(KeyError("x"), monkeypatch)
    monkeypatch.delenv("PARAPH_TRACEBACK", raising=False)

    told = run()
    monkeypatch.setenv("PARAPH_TRACEBACK", "1")
    shown = run()

    assert told.exit_code == 1
    assert told.stderr.startswith("error: KeyError: 'x'")
    assert isinstance(shown.exception, KeyError)


def test_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no error of anyone's: 130, as shells have it."""
    result = failing(KeyboardInterrupt(), monkeypatch)()

    assert result.exit_code == 130


def test_reader_who_left() -> None:
    """A closed pipe ends the command without a word."""
    command = f"{sys.executable} -m paraph.cli --help | true"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert done.stderr == ""


def test_other_system_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told."""
    result = failing(OSError(errno.ENOSPC, "No space left on device"), monkeypatch)()

    assert result.exit_code == 1
    assert "No space left" in result.stderr


def test_unknown_command() -> None:
    """A command that is none is misuse."""
    result = CliRunner().invoke(paraph, ["nothing"])

    assert result.exit_code == 2
    assert result.stderr.endswith("[cli.usage]\n")


def test_nothing_asked() -> None:
    """Without a command the help is shown, and nothing was done."""
    result = CliRunner().invoke(paraph, [])

    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_version() -> None:
    """`--version` is one line."""
    assert CliRunner().invoke(paraph, ["--version"]).stdout == "paraph 0.1.0\n"


def test_missing_extra_is_named(tmp_path: Path) -> None:
    """In an install without servers, a command that needs one says what to install."""
    script = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('starlette', 'uvicorn', 'structlog', 'lmdb', 'numpy', 'onnx'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from paraph.cli.program import paraph\n"
        "for words in 'devnet status', 'proxy', 'node run --home x', 'full-node start --home x':\n"
        "    print(paraph.main(words.split(), standalone_mode=False))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PARAPH_HOME": str(tmp_path)}
    )

    assert done.stdout.split() == ["1"] * 4
    assert [line.split("paraph[")[1].split("]")[0] for line in done.stderr.splitlines()] == [
        "devnet",
        "http",
        "node",
        "full-node",
    ]
