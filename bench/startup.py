"""Start time of the command line: `paraph --help`, beside an interpreter that does nothing."""

import importlib
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.figures import Figure, Result


def run(folder: Path, *, quick: bool) -> Result:  # noqa: ARG001  every benchmark is given a folder
    """Measure."""
    rounds = 10 if quick else 30
    name, command = _command()
    walls: dict[str, list[float]] = {"help": [], "nothing": []}
    cpus: dict[str, list[float]] = {"help": [], "nothing": []}
    nothing = [sys.executable, "-c", "pass"]
    for _ in range(rounds):
        for which, started in (("help", command), ("nothing", nothing)):
            wall_s, cpu_s = _time(started)
            walls[which].append(wall_s * 1e3)
            cpus[which].append(cpu_s * 1e3)
    other = "python -c pass"
    return Result(
        [
            Figure(
                f"{name}, median", statistics.median(walls["help"]), "ms", other, statistics.median(walls["nothing"])
            ),
            Figure(f"{name}, fastest", min(walls["help"]), "ms", other, min(walls["nothing"])),
            Figure(
                f"{name}, median",
                statistics.median(cpus["help"]),
                "ms",
                other,
                statistics.median(cpus["nothing"]),
                cpu=True,
            ),
        ],
        {"rounds": rounds},
    )


def _command() -> tuple[str, list[str]]:
    """The command as people start it; without a command line yet, the import of the package."""
    script = Path(sys.executable).with_name("paraph")
    if script.exists() and hasattr(importlib.import_module("paraph.cli"), "main"):
        return "paraph --help", [str(script), "--help"]
    return "python -c 'import paraph'", [sys.executable, "-c", "import paraph"]


def _time(command: list[str]) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall_s = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
