"""Every figure in the README comes from a result file that `make bench` wrote."""

import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def measured() -> Iterator[str]:
    """A README row for every figure in the result files."""
    for path in sorted((ROOT / "bench" / "results").glob("*.json")):
        for figure in json.loads(path.read_text())["figures"]:
            beside = figure.get("compared_to")
            shown = f"{beside['name']}: {beside['value']:g}" if beside else ""
            yield f"| {figure['name']} | {figure['value']:g} {figure['unit']} | {shown} |"


def stated() -> list[str]:
    """The rows of the README's table of figures."""
    lines = (ROOT / "README.md").read_text().splitlines()
    start = lines.index("| what | measured | beside it, in the same run |")
    return [line for line in lines[start + 2 :] if line.startswith("|")]


def test_figures_were_measured() -> None:
    """Each row of the README's table stands in a result file, name, figure, unit and comparison."""
    assert stated()

    assert set(stated()) <= set(measured())
