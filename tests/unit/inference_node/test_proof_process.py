"""The process that proves: real proofs from a real process, and what it does at its limits."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.inference_node.proving import EXACT, GRAPH, MODELS, weights_of

from paraph.adapters.provers.engine import WEIGHTS
from paraph.adapters.provers.execute import Exact
from paraph.core.digest import sha256
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import Address, Digest, ModelId
from paraph.flows.serve import Hidden
from paraph.inference_node.proof_process import ProofProcess
from paraph.proofs.manifest import GRAPH as GRAPH_FILE
from paraph.proofs.zk.statement import Entry, Mode, Statement, commitment
from paraph.proofs.zk.verify import verify

MEMORY_MB = 8_192
TIME_S = 120


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all: the process ends with the thread that started it."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[ModelId, Path]:
    """Both models as folders."""
    found = {}
    for number, model_id in enumerate(MODELS):
        folder = found[model_id] = tmp_path_factory.mktemp(f"model-{number}")
        (folder / GRAPH_FILE).write_bytes(GRAPH.bytes)
        (folder / WEIGHTS).write_bytes(weights_of(number))
    return found


@contextmanager
def opened(
    runner: asyncio.Runner, folders: dict[ModelId, Path], memory_mb: int = MEMORY_MB, time_s: float = TIME_S
) -> Iterator[ProofProcess]:
    """A process of a test's own, which is ended whatever happens."""
    found = ProofProcess(folders, Mode.SUCCINCT, memory_mb, time_s)
    try:
        yield found
    finally:
        runner.run(found.close())


@pytest.fixture(scope="module")
def process(runner: asyncio.Runner, folders: dict[ModelId, Path]) -> Iterator[ProofProcess]:
    """A process that is ready."""
    found = ProofProcess(folders, Mode.HIDING, MEMORY_MB, TIME_S)
    runner.run(found.roots())
    yield found
    runner.run(found.close())


def asked(count: int) -> list[Hidden]:
    """So many requests."""
    return [Hidden(sha256(b"salt %d" % number), bytes((number, 255, 3, 128))) for number in range(count)]


def statement_of(mode: Mode, model: int, count: int) -> Statement:
    """A statement about so many requests."""
    executor = Exact(GRAPH, weights_of(model))
    entries = []
    for number, each in enumerate(asked(count)):
        given = executor.run(np.frombuffer(each.inputs, np.int8).reshape(1, -1)).astype("<i4").tobytes()
        entries.append(Entry(Digest(sha256(b"key %d" % number)), commitment(each.salt, each.inputs, given)))
    return Statement(
        mode, EXACT[MODELS[model]], Address(bytes(range(20))), 1337, Digest(sha256(b"block")), tuple(entries)
    )


def proved(runner: asyncio.Runner, process: ProofProcess, statement: Statement, model: int) -> bytes:
    """The process's proof."""
    count = len(statement.entries)
    seeds = [sha256(b"seed %d" % number) for number in range(count)]
    return runner.run(process.prove(statement, MODELS[model], asked(count), seeds))


def test_it_commits_to_the_weights_of_the_files(runner: asyncio.Runner, process: ProofProcess) -> None:
    """The roots are those of the registered commitment, computed from the files themselves."""
    assert runner.run(process.roots()) == {model_id: exact.weight_root for model_id, exact in EXACT.items()}


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("model", "count"), [(0, 1), (1, 3)])
def test_its_proofs_hold(runner: asyncio.Runner, process: ProofProcess, mode: Mode, model: int, count: int) -> None:
    """A proof is about the statement that was asked for: the verifier accepts it for that one, and for no other."""
    statement = statement_of(mode, model, count)
    proof = proved(runner, process, statement, model)

    verify(statement, proof)
    with pytest.raises(ParaphError):
        verify(statement_of(mode, 1 - model, count), proof)


def test_a_promise_that_is_not_the_answer_is_not_proven(runner: asyncio.Runner, process: ProofProcess) -> None:
    """A commitment to anything but what the model gives for that input and salt is found before a proof is made."""
    statement = statement_of(Mode.SUCCINCT, 0, 2)
    first, second = statement.entries
    for entries in ((first, replace(second, commitment=first.commitment)), (second, first)):
        with pytest.raises(Unavailable) as caught:
            proved(runner, process, replace(statement, entries=entries), 0)
        assert caught.value.code == "prover.wrong"


def test_a_killed_process_is_replaced(runner: asyncio.Runner, process: ProofProcess) -> None:
    """Killed between two proofs, the next one starts another process, with the same models."""
    before = process.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    statement = statement_of(Mode.SUCCINCT, 0, 1)
    while process.pid is not None:  # until the kernel has told so
        runner.run(asyncio.sleep(0.01))
    verify(statement, proved(runner, process, statement, 0))

    assert process.pid not in (None, before)


def test_it_gives_way(process: ProofProcess) -> None:
    """The process is nicer than the one that answers requests."""
    assert process.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, process.pid) > os.getpriority(os.PRIO_PROCESS, 0)


def test_a_proof_that_takes_too_long_is_ended(runner: asyncio.Runner, folders: dict[ModelId, Path]) -> None:
    """Beyond its time the process is killed, and nothing is left of it."""
    with opened(runner, folders, time_s=0.001) as process:
        runner.run(process.roots())
        with pytest.raises(Rejected) as caught:
            proved(runner, process, statement_of(Mode.SUCCINCT, 0, 1), 0)

        assert caught.value.code == "engine.time_limit"
        assert process.pid is None


def test_without_memory_it_does_not_start(runner: asyncio.Runner, folders: dict[ModelId, Path]) -> None:
    """A limit that is too low for the prover is told, whatever broke first; the node itself goes on."""
    with opened(runner, folders, memory_mb=96) as process:
        with pytest.raises((Rejected, Unavailable)):
            runner.run(process.roots())

        assert process.pid is None


def test_files_that_are_no_model(runner: asyncio.Runner, tmp_path: Path) -> None:
    """What the files are not is told as what it is."""
    (tmp_path / GRAPH_FILE).write_bytes(b"{}")
    with opened(runner, {MODELS[0]: tmp_path}) as process:
        with pytest.raises(Malformed) as caught:
            runner.run(process.roots())

        assert caught.value.code == "json.shape"


def test_where_the_prover_is_not_installed(
    runner: asyncio.Runner, folders: dict[ModelId, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra `zk` the process says what to install."""
    (tmp_path / "numba.py").write_text("raise ImportError('numba is not installed')\n")
    known = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), *known)))
    with opened(runner, folders) as process:
        with pytest.raises(Unavailable) as caught:
            runner.run(process.roots())

        assert caught.value.code == "prover.missing"
        assert "paraph[zk]" in caught.value.message
