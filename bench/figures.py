"""Figures: a measured number with its unit, beside what it is compared to, and the file they are kept in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.machine import machine, today, versions
from bench.plot import Plot

RESULTS: Final = Path(__file__).parent / "results"
Parameter = int | float | str | bool | list[int]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Args:
        name: what was measured.
        value, unit: the number.
        compared_to, comparison: what it stands beside, measured in the same run, in the same unit; or nothing.
        cpu: True when it counts processor time, which other work on the machine disturbs less than the wall clock.
    """

    name: str
    value: float
    unit: str
    compared_to: str = ""
    comparison: float = 0
    cpu: bool = False

    def as_json(self) -> dict[str, object]:
        """The figure as the results file holds it."""
        found: dict[str, object] = {"name": self.name, "value": _rounded(self.value), "unit": self.unit}
        found["clock"] = "cpu" if self.cpu else "wall"
        if self.compared_to:
            compared = {"name": self.compared_to, "value": _rounded(self.comparison)}
            found |= {"compared_to": compared, "ratio": _rounded(self.value / self.comparison)}
        return found


@dataclass(frozen=True, slots=True)
class Result:
    """What a benchmark found, with the parameters that it ran under, and drawings, by name, where it is of sizes."""

    figures: Sequence[Figure]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    plots: Mapping[str, Plot] = field(default_factory=dict)


def save(name: str, result: Result) -> Path:
    """Write a result to its file, with date, machine and versions; its plots beside it."""
    RESULTS.mkdir(exist_ok=True)
    document = {
        "benchmark": name,
        "measured_on": today(),
        "machine": machine(),
        "versions": versions(),
        "parameters": result.parameters,
        "figures": [figure.as_json() for figure in result.figures],
    }
    place = RESULTS / f"{name}.json"
    place.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    for drawn, plot in result.plots.items():
        (RESULTS / f"{drawn}.svg").write_text(plot.as_svg())
    return place


def table(name: str, result: Result) -> str:
    """The figures as a table for people."""
    rows = [(name, "", "", "compared to", "", "ratio")]
    for figure in result.figures:
        clock = " (cpu)" if figure.cpu else ""
        compared = (
            (figure.compared_to, spelled(figure.comparison), spelled(figure.value / figure.comparison))
            if figure.compared_to
            else ("", "", "")
        )
        rows.append((figure.name + clock, spelled(figure.value), figure.unit, *compared))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    numbers = (1, 4, 5)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def spelled(value: float) -> str:
    """A number with three significant digits or all its whole ones."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")
