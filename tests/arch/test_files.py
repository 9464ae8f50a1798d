"""The shape of the house: what a reader may expect of every file before opening it."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src"
MODULES: Final = sorted(SOURCE.rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))
ADRS: Final = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))

LINES_MAX: Final = 500
# Names that say nothing: if a thing cannot be named in one plain word, the idea is not finished.
EMPTY_NAMES: Final = frozenset({"util", "utils", "helper", "helpers", "common", "misc", "tools", "stuff", "base"})
# What belongs to nodes. The base install verifies and buys; importing paraph or asking for help never pays for these.
HEAVY: Final = ("httpx", "jinja2", "lmdb", "numpy", "onnx", "onnxruntime", "starlette", "uvicorn", "xllamacpp")
# `import paraph` is a name and a version. Anything more would be paid by everyone.
IMPORTED_MAX: Final = 5


def named(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", MODULES + TESTS, ids=named(MODULES + TESTS))
def test_module_says_what_it_is(path: Path) -> None:
    """Every module that holds anything opens with a docstring."""
    tree = ast.parse(path.read_bytes())

    assert not tree.body or ast.get_docstring(tree)


@pytest.mark.parametrize("path", MODULES, ids=named(MODULES))
def test_file_is_short(path: Path) -> None:
    """No source file is longer than a reader can hold."""
    assert len(path.read_text().splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", MODULES, ids=named(MODULES))
def test_file_has_a_name(path: Path) -> None:
    """No module hides behind a name that says nothing."""
    assert not EMPTY_NAMES & {path.stem, path.parent.name}


def loaded_after(statement: str) -> frozenset[str]:
    """The top-level modules that a fresh interpreter has after `statement` and had not before it."""
    script = (
        f"import sys\nbefore = set(sys.modules)\n{statement}\n"
        "print('\\n' + ' '.join(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return frozenset(done.stdout.splitlines()[-1].split())


def test_import_is_light() -> None:
    """`import paraph` loads a handful of modules, none of them heavy."""
    loaded = loaded_after("import paraph")

    assert len(loaded) <= IMPORTED_MAX
    assert not loaded & set(HEAVY)


def test_help_starts_no_server() -> None:
    """`paraph --help` loads no server, engine, store or HTTP client."""
    if "def main" not in (SOURCE / "paraph" / "cli" / "__init__.py").read_text() and not any(
        "import main" in line for line in (SOURCE / "paraph" / "cli" / "__init__.py").read_text().splitlines()
    ):
        pytest.skip("paraph.cli has no main yet")
    statement = (
        "sys.argv = ['paraph', '--help']\nfrom paraph.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )

    assert not loaded_after(statement) & set(HEAVY)


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.lock")), ids=lambda path: path.name)
def test_lock_names_hashes_and_no_address(path: Path) -> None:
    """Each locked package has a hash; no lock says which registry or machine it came from."""
    text = path.read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)

    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"https?:|file:|--index|--find-links|(^|\s)/\w", text)


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.name)
def test_decision_has_its_four_parts(path: Path) -> None:
    """A decision says what hurt, what was considered, what was chosen and what it costs, in that order, on one page."""
    text = path.read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert headings == ["Context", "Considered", "Chosen", "Cost"]
    assert len(text.splitlines()) <= 80
