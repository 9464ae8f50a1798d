"""How proofs of exact models grow: with parameters, with the batch, and with depth."""

from itertools import pairwise
from pathlib import Path
from typing import Final

from threadpoolctl import threadpool_limits

from bench.figures import Figure, Parameter, Result
from bench.plot import Plot, Point
from bench.rounds import again, alternate
from bench.zk import Job, Making, job
from paraph.adapters.provers import check, prove
from paraph.proofs.zk.statement import Mode

WIDTHS: Final = (16, 64, 256, 1024, 4096)
"""Of the hidden layer of a 784-…-10 network."""
BATCHES: Final = (1, 4, 16, 64, 256)
"""Of the network with 128."""
DEPTHS: Final = (1, 2, 4, 8, 16)
"""Hidden layers of 128."""


def dense(sides: tuple[int, ...]) -> Making:
    """Dense layers of these sides, rectified between."""
    made, tensor = Making((sides[0],)), 0
    for outputs in sides[1:-1]:
        tensor = made.requant(made.gemm(tensor, outputs))
    made.gemm(tensor, sides[-1])
    return made


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    del folder
    with threadpool_limits(limits=1):
        return _run(quick=quick)


def _run(*, quick: bool) -> Result:
    rounds, cut = (1, 2) if quick else (5, None)
    sizes = [((784, width, 10), 1) for width in WIDTHS[:cut]]
    batches = [((784, 128, 10), count) for count in BATCHES[:cut]]
    depths = [((784, *[128] * depth, 10), 1) for depth in DEPTHS[:cut]]
    figures: list[Figure] = []
    plots = {
        "zk-parameters": _plot(
            "Proofs by parameters", "parameters", [(_weights(sides), sides, 1) for sides, _ in sizes], figures, rounds
        ),
        "zk-batch": _plot(
            "Proofs by batch, each run", "runs in a batch", [(n, sides, n) for sides, n in batches], figures, rounds
        ),
        "zk-depth": _plot(
            "Proofs by depth", "hidden layers", [(len(sides) - 2, sides, 1) for sides, _ in depths], figures, rounds
        ),
    }
    parameters: dict[str, Parameter] = {"rounds": rounds, "widths": list(WIDTHS), "depths": list(DEPTHS)}
    return Result(figures, parameters, plots)


def _weights(sides: tuple[int, ...]) -> int:
    return sum(inputs * outputs + outputs for inputs, outputs in pairwise(sides))


def _plot(
    title: str, across: str, points: list[tuple[int, tuple[int, ...], int]], figures: list[Figure], rounds: int
) -> Plot:
    lines: dict[str, list[Point]] = {}
    for place, sides, count in points:
        made = dense(sides)
        weights = prove.commit_weights(made.graph, made.file)
        for mode in Mode:
            batch = job(made, weights, count, mode)
            proof = batch.prove()
            found = alternate(
                rounds,
                prove=again(lambda batch=batch: _prove(batch), count),  # type: ignore[misc]
                verify=again(lambda batch=batch, proof=proof: _check(batch, proof), count),  # type: ignore[misc]
            )
            for what, timing in found.items():
                name = f"{what}, {mode.name.lower()}"
                lines.setdefault(name, []).append((place, 1000 * timing.cpu_s))
                figures.append(Figure(f"{name}: {place:,} {across}", 1000 * timing.cpu_s, "ms", cpu=True))
    return Plot(title, across, "ms of a core", lines)


def _prove(batch: Job) -> None:
    batch.prove()


def _check(batch: Job, proof: bytes) -> None:
    check.verify(batch.statement, proof)
