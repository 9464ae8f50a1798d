"""The same blocks give the same roots on every supported Python and in every environment of this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
VERSIONS = ("3.11", "3.12", "3.13")
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "as it is": {},
    "hashes of one seed": {"PYTHONHASHSEED": "1"},
    "hashes of another": {"PYTHONHASHSEED": "4294967295"},
    "no locale": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a time zone ahead": {"TZ": "Asia/Kathmandu"},
    "a time zone behind, with summer time": {"TZ": "America/St_Johns"},
    "many threads": {"OMP_NUM_THREADS": "16", "PYTHONMALLOC": "debug"},
    "without assertions": {"PYTHONOPTIMIZE": "2"},
}


def told(python: Path, environment: dict[str, str]) -> str:
    """What the history says in one environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    run = subprocess.run(
        [python, "-m", "tests.support.history"],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def interpreter(version: str) -> str | None:
    """A Python of that version: on the path, or where pyenv keeps them."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    # Those of pyenv first: its stand-ins on the path run nothing outside its own folders.
    return str(kept[-1]) if kept else shutil.which(f"python{version}")


@pytest.fixture(scope="module")
def expected() -> str:
    """What this Python says."""
    return told(Path(sys.executable), {"PYTHONHASHSEED": "0"})


@pytest.mark.e2e
@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_environments(environment: dict[str, str], expected: str) -> None:
    """Neither the seed of hashes, nor locale, time zone, threads or assertions change a root."""
    assert told(Path(sys.executable), environment) == expected
    assert expected.count("\n") > 20


@pytest.mark.e2e
@pytest.mark.parametrize("version", VERSIONS)
def test_pythons(version: str, expected: str, tmp_path: Path) -> None:
    """Every supported Python that this machine has gives the same roots, with randomised hashes."""
    found = interpreter(version)
    if found is None:
        pytest.skip(f"NOT CHECKED: this machine has no Python {version}")
    subprocess.run([UV, "venv", "--quiet", "--python", found, tmp_path / "python"], check=True)
    python = tmp_path / "python" / "bin" / "python"
    lock = ROOT / "requirements" / "base.lock"
    subprocess.run([UV, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock], check=True)

    assert told(python, {"PYTHONHASHSEED": "random"}) == expected
