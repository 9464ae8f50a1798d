"""Proofs of exact models: what it costs to commit to weights, to prove runs, and to verify.

Models have random weights and the shapes of well-known ones; bounds are those that hold for every input. Everything
runs in one process on one thread; for its memory each model is proven in a process of its own.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench import zk_peer
from bench.figures import Figure, Parameter, Result
from bench.rounds import again, alternate
from paraph.adapters.provers import check, prove
from paraph.adapters.provers.execute import Integers, Interval, Weights, interval, matrix_interval
from paraph.adapters.provers.prove import CommittedWeights
from paraph.core.ident import Address, Digest
from paraph.proofs.zk.graph import Add, Clip, Conv, Gemm, Graph, MaxPool, Node, Requant, SumPool
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement
from paraph.proofs.zk.verify import verify

QUOTIENTS_MAX: Final = 2**12
"""Of a requant to either side: more make larger tables."""
SKIP_SCALE: Final = 64
RECTIFIED: Final = Clip(0, 127)
WHOLE: Final = Clip(-128, 127)
PAD: Final = (1, 1, 1, 1)
NO_PAD: Final = (0, 0, 0, 0)


@dataclass(slots=True)
class Making:
    """A model as it is made: each node gets random weights, each requant the bounds that hold for every input."""

    shape: tuple[int, ...]
    nodes: list[Node] = field(default_factory=list)
    file: bytes = b""
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))
    _found: list[Interval] = field(default_factory=list)

    def __post_init__(self) -> None:
        shape = (1, *(self.shape if len(self.shape) == 3 else (*self.shape, 1, 1)))
        self._found.append(Interval(np.full(shape, -128, np.int64), np.full(shape, 127, np.int64)))

    @property
    def graph(self) -> Graph:
        """The model so far."""
        return Graph(self.shape, tuple(self.nodes))

    def conv(self, of: int, outputs: int, kernel: int, stride: int, pad: tuple[int, int, int, int]) -> int:
        """A convolution; its tensor."""
        inputs = self._found[of].low.shape[1] * kernel * kernel
        return self._matrix(Conv(of, outputs, (kernel, kernel), (stride, stride), pad, 1), outputs, inputs)

    def gemm(self, of: int, outputs: int) -> int:
        """A matrix; its tensor."""
        return self._matrix(Gemm(of, outputs), outputs, prod(self._found[of].low.shape))

    def put(self, node: Requant | Add | SumPool | MaxPool) -> int:
        """A node without weights; its tensor."""
        self.nodes.append(node)
        self._found.append(interval(node, self._found))
        return len(self.nodes)

    def requant(self, of: int, table: Clip = RECTIFIED) -> int:
        """Back to int8, by a shift alone; its tensor."""
        low, high = min(0, self._found[of].least), max(0, self._found[of].greatest)
        shift = max(0, max(-low, high).bit_length() - QUOTIENTS_MAX.bit_length())
        return self.put(Requant(of, 1, shift, low, high, table))

    def _matrix(self, node: Conv | Gemm, outputs: int, inputs: int) -> int:
        matrix: Integers = self.rng.integers(-127, 128, (outputs, inputs))
        bias: Integers = self.rng.integers(-1000, 1000, outputs)
        self.file += matrix.astype(np.int8).tobytes() + bias.astype("<i4").tobytes()
        self.nodes.append(node)
        self._found.append(matrix_interval(node, self._found[node.of], Weights(matrix, bias)))
        return len(self.nodes)


def mlp() -> Making:
    """784-128-10, as for handwritten digits."""
    made = Making((784,))
    made.gemm(made.requant(made.gemm(0, 128)), 10)
    return made


def lenet() -> Making:
    """LeNet-5 on 28 by 28."""
    made = Making((1, 28, 28))
    tensor = 0
    for outputs, pad in ((6, (2, 2, 2, 2)), (16, NO_PAD)):
        tensor = made.requant(made.conv(tensor, outputs, 5, 1, pad))
        tensor = made.put(MaxPool(tensor, (2, 2), (2, 2)))
    for outputs in (120, 84):
        tensor = made.requant(made.gemm(tensor, outputs))
    made.gemm(tensor, 10)
    return made


def resnet() -> Making:
    """ResNet-8 on 3 by 32 by 32."""
    made = Making((3, 32, 32))
    tensor = made.requant(made.conv(0, 16, 3, 1, PAD))
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        inner = made.requant(made.conv(tensor, outputs, 3, stride, PAD))
        own = made.conv(inner, outputs, 3, 1, PAD)
        skip = tensor if stride == 1 else made.requant(made.conv(tensor, outputs, 1, stride, NO_PAD), WHOLE)
        tensor = made.requant(made.put(Add((own, skip), (1, SKIP_SCALE))))
    made.gemm(made.requant(made.put(SumPool(tensor, (8, 8), (8, 8), NO_PAD)), WHOLE), 10)
    return made


MODELS: Final[dict[str, Callable[[], Making]]] = {"MLP 784-128-10": mlp, "LeNet-5": lenet, "ResNet-8": resnet}
BATCHES: Final = {"MLP 784-128-10": 64, "LeNet-5": 16, "ResNet-8": 4}


@dataclass(frozen=True, slots=True)
class Job:
    """A batch to prove."""

    statement: Statement
    weights: CommittedWeights
    inputs: NDArray[np.int8]
    seeds: list[bytes] | None

    def prove(self) -> bytes:
        """The proof."""
        return prove.prove(self.statement, self.weights, self.inputs, self.seeds)


def job(made: Making, weights: CommittedWeights, count: int, mode: Mode) -> Job:
    """A batch of so many random inputs."""
    inputs = made.rng.integers(-128, 128, (count, prod(made.shape))).astype(np.int8)
    digests = [sha256(b"%d" % number).digest() for number in range(2 * count)]
    entries = tuple(Entry(Digest(digests[b]), Digest(digests[count + b])) for b in range(count))
    exact = Exact(weights.graph, weights.root)
    statement = Statement(mode, exact, Address(bytes(20)), 1, Digest(bytes(32)), entries)
    return Job(statement, weights, inputs, digests[:count] if mode is Mode.HIDING else None)


WANTED: Final[dict[str, dict[str, float]]] = {
    "MLP 784-128-10": {"one": 50, "many": 1.5, "verify": 15, "proof": 250, "each": 6, "memory": 200},
    "LeNet-5": {"one": 300, "many": 20, "verify": 30, "proof": 400, "memory": 500},
    "ResNet-8": {"one": 15_000, "verify": 200, "proof": 2_048, "memory": 4_096},
}
"""What was wanted of the succinct mode: milliseconds, kilobytes, megabytes. The hiding one may take twice as much."""


def wanted(model: str, what: str, unit: str, mode: Mode = Mode.SUCCINCT) -> str:
    """What was wanted of a figure, as its name says it; nothing where nothing was."""
    found = WANTED[model].get(what)
    return "" if found is None else f" (wanted: {found * mode.value:g} {unit})"


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    with threadpool_limits(limits=1):
        return _run(folder, quick=quick)


def _run(folder: Path, *, quick: bool) -> Result:
    rounds = 2 if quick else 7
    figures: list[Figure] = []
    for name, make in MODELS.items():
        made = make()
        started_s = time.perf_counter()
        weights = prove.commit_weights(made.graph, made.file)
        first_s = time.perf_counter() - started_s
        found = alternate(rounds, commit=again(lambda made=made: _commit(made)))  # type: ignore[misc]
        figures.append(Figure(f"{name}: commit to the weights", 1000 * found["commit"].wall_s, "ms"))
        if not figures[1:]:
            figures.append(Figure("the first commitment of a process, with compiling or loading", first_s, "s"))
        for mode in Mode:
            figures += _proofs(name, made, weights, mode, rounds)
        figures.append(Figure(f"{name}: memory at most{wanted(name, 'memory', 'MB')}", _memory_mb(name), "MB"))
    if not quick and zk_peer.installed():
        figures += _beside(folder, figures)
    parameters: dict[str, Parameter] = {"rounds": rounds, "batch_sizes": list(BATCHES.values())}
    return Result(figures, parameters)


def _proofs(name: str, made: Making, weights: CommittedWeights, mode: Mode, rounds: int) -> list[Figure]:
    one, many = job(made, weights, 1, mode), job(made, weights, BATCHES[name], mode)
    proof, many_proof = one.prove(), many.prove()
    found = alternate(
        rounds,
        one=again(lambda: _prove(one)),
        many=again(lambda: _prove(many), BATCHES[name]),
        check=again(lambda: _check(one.statement, proof)),
    )
    slow = alternate(1, reference=again(lambda: _verify(one.statement, proof)))
    what, batch = f"{name}, {mode.name.lower()}", BATCHES[name]
    runs = f"prove a run in a batch of {batch}{wanted(name, 'many', 'ms', mode)}"
    return [
        Figure(f"{what}: prove one run{wanted(name, 'one', 'ms', mode)}", 1000 * found["one"].wall_s, "ms"),
        Figure(f"{what}: prove one run", 1000 * found["one"].cpu_s, "ms", cpu=True),
        Figure(f"{what}: {runs}", 1000 * found["many"].wall_s, "ms"),
        Figure(
            f"{what}: verify one run{wanted(name, 'verify', 'ms', mode)}",
            1000 * found["check"].wall_s,
            "ms",
            "the reference verifier",
            1000 * slow["reference"].wall_s,
        ),
        Figure(f"{what}: verify one run", 1000 * found["check"].cpu_s, "ms", cpu=True),
        Figure(f"{what}: the proof of one run{wanted(name, 'proof', 'kB', mode)}", len(proof) / 1024, "kB"),
        Figure(
            f"{what}: the proof of a batch of {batch}, each run{wanted(name, 'each', 'kB', mode)}",
            len(many_proof) / 1024 / batch,
            "kB",
        ),
    ]


def _beside(folder: Path, figures: list[Figure]) -> list[Figure]:
    """The MLP's hiding figures beside those of ezkl on the same network, in this run."""
    peer = zk_peer.measure(folder, (784, 128, 10))
    ours = {figure.name: figure.value for figure in figures if figure.cpu}
    what = "MLP 784-128-10, hiding"
    return [
        Figure(f"{what}: prove one run", ours[f"{what}: prove one run"], "ms", zk_peer.NAME, peer.prove_ms, cpu=True),
        Figure(
            f"{what}: verify one run", ours[f"{what}: verify one run"], "ms", zk_peer.NAME, peer.verify_ms, cpu=True
        ),
        Figure(
            f"{what}: the proof of one run",
            next(each.value for each in figures if each.name.startswith(f"{what}: the proof of one run")),
            "kB",
            zk_peer.NAME,
            peer.proof_bytes / 1024,
        ),
    ]


def _memory_mb(name: str) -> float:
    """The most that a process held that committed to a model's weights, proved one run in each mode, and verified."""
    code = f"from bench.zk import peak; peak({name!r})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return float(told)


def peak(name: str) -> None:
    """Prove and verify one run of a model in each mode, and print the megabytes that this process held at most."""
    made = MODELS[name]()
    weights = prove.commit_weights(made.graph, made.file)
    for mode in Mode:
        one = job(made, weights, 1, mode)
        check.verify(one.statement, one.prove())
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


def _commit(made: Making) -> None:
    prove.commit_weights(made.graph, made.file)


def _prove(of: Job) -> None:
    of.prove()


def _check(statement: Statement, proof: bytes) -> None:
    check.verify(statement, proof)


def _verify(statement: Statement, proof: bytes) -> None:
    verify(statement, proof)
