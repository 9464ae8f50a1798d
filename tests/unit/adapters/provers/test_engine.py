"""The exact engine: it answers what the executor answers, in any batch, and refuses all else before it runs."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from paraph.adapters.provers.engine import INPUT, OUTPUT, ROWS_MAX, WEIGHTS, ExactEngine, open_exact
from paraph.adapters.provers.execute import Exact
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.tensor import Tensor
from paraph.proofs.manifest import GRAPH
from paraph.proofs.profile import profile_from_json
from paraph.proofs.zk.graph import GRAPH_BYTES_MAX, Clip, Gemm, Graph, Requant

GRAPH_ = Graph((4,), (Gemm(0, 3), Requant(1, 1, 4, -4096, 4096, Clip(-128, 127)), Gemm(2, 2)))
IMAGE = Graph((2, 1, 2), GRAPH_.nodes)


def weights() -> bytes:
    """Small weights, and biases of zero."""
    parts = []
    for number, block in enumerate(GRAPH_.blocks):
        matrix = np.random.default_rng(number).integers(-7, 8, block.outputs * block.inputs).astype(np.int8)
        parts += [matrix.tobytes(), bytes(4 * block.outputs)]
    return b"".join(parts)


def rows(count: int, name: str = INPUT) -> Tensor:
    """So many different rows."""
    data = np.random.default_rng(count).integers(-128, 128, (count, 4)).astype(np.int8)
    return Tensor(name, "INT8", (count, 4), data.tobytes())


def infer(engine: ExactEngine, *inputs: Tensor, outputs: tuple[str, ...] = ()) -> tuple[Tensor, ...]:
    """What the engine answers."""

    async def ask() -> tuple[Tensor, ...]:
        return await engine.infer(inputs, outputs)

    return asyncio.run(ask())


def refused(engine: ExactEngine, *inputs: Tensor, outputs: tuple[str, ...] = ()) -> ParaphError:
    """What the engine refuses with."""
    with pytest.raises(ParaphError) as caught:
        infer(engine, *inputs, outputs=outputs)
    return caught.value


def test_it_answers_what_the_executor_answers() -> None:
    """One INT8 tensor in, one INT32 tensor out, little-endian, as declared."""
    engine = ExactEngine(GRAPH_, weights())
    (found,) = infer(engine, rows(37))

    expected = Exact(GRAPH_, weights()).run(np.frombuffer(rows(37).data, np.int8).reshape(37, 4))
    assert found == Tensor(OUTPUT, "INT32", (37, 2), expected.astype("<i4").tobytes())
    assert [(each.name, each.datatype, each.shape) for each in engine.inputs] == [(INPUT, "INT8", (-1, 4))]
    assert [(each.name, each.datatype, each.shape) for each in engine.outputs] == [(OUTPUT, "INT32", (-1, 2))]


def test_a_row_is_answered_alike_in_any_batch() -> None:
    """Each row of a batch gets the bytes that it gets alone: the profile says `invariant` and `yes`, and means it."""
    engine = ExactEngine(GRAPH_, weights())
    (together,) = infer(engine, rows(20), outputs=(OUTPUT,))
    alone = [infer(engine, Tensor(INPUT, "INT8", (1, 4), rows(20).data[at : at + 4]))[0].data for at in range(0, 80, 4)]

    assert b"".join(alone) == together.data
    assert (engine.profile.batch_class, engine.profile.bit_exact) == ("invariant", "yes")
    assert profile_from_json(engine.profile.as_json()) == engine.profile


def test_images_keep_their_sides() -> None:
    """An input of three sides is asked for with all of them, and read in their order."""
    engine = ExactEngine(IMAGE, weights())
    flat = rows(3)
    (found,) = infer(engine, Tensor(INPUT, "INT8", (3, 2, 1, 2), flat.data))

    assert found == infer(ExactEngine(GRAPH_, weights()), flat)[0]
    assert refused(engine, flat).code == "engine.input_shape"


@pytest.mark.parametrize(
    ("inputs", "outputs", "code"),
    [
        ((), (), "engine.input_name"),
        ((rows(1), rows(1)), (), "engine.input_name"),
        ((rows(1, "x"),), (), "engine.input_name"),
        ((Tensor(INPUT, "INT16", (1, 4), bytes(8)),), (), "engine.input_dtype"),
        ((Tensor(INPUT, "INT8", (1, 5), bytes(5)),), (), "engine.input_shape"),
        ((Tensor(INPUT, "INT8", (4,), bytes(4)),), (), "engine.input_shape"),
        ((Tensor(INPUT, "INT8", (0, 4), b""),), (), "engine.input_shape"),
        ((rows(ROWS_MAX + 1),), (), "engine.input_shape"),
        ((rows(1),), ("scores",), "engine.output_name"),
        ((rows(1),), (OUTPUT, OUTPUT), "engine.output_name"),
    ],
)
def test_what_does_not_fit_is_refused(inputs: tuple[Tensor, ...], outputs: tuple[str, ...], code: str) -> None:
    """Names, datatype, shape and count are looked at before anything runs."""
    assert refused(ExactEngine(GRAPH_, weights()), *inputs, outputs=outputs).code == code


def test_the_most_rows_are_answered() -> None:
    """The largest batch that is taken is answered whole."""
    assert infer(ExactEngine(GRAPH_, weights()), rows(ROWS_MAX))[0].rows == ROWS_MAX


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is given up between two pieces when its time is over."""
    engine = ExactEngine(GRAPH_, weights(), deadline_s=5)
    times = iter((0, 4.9, 5.1))
    monkeypatch.setattr("paraph.adapters.provers.engine.time.monotonic", lambda: next(times))

    with pytest.raises(Rejected) as caught:
        engine._run(np.zeros((40, 4), np.int8))
    assert caught.value.code == "engine.time_limit"


def test_a_closed_engine_answers_no_more() -> None:
    """After `close` every request is refused, and closing again is nothing."""
    engine = ExactEngine(GRAPH_, weights())
    asyncio.run(engine.close())
    asyncio.run(engine.close())

    assert refused(engine, rows(1)).code == "engine.closed"


def test_a_folder_is_opened(tmp_path: Path) -> None:
    """A folder with a graph and its weights is an engine."""
    (tmp_path / GRAPH).write_bytes(GRAPH_.bytes)
    (tmp_path / WEIGHTS).write_bytes(weights())

    assert infer(open_exact(tmp_path), rows(2)) == infer(ExactEngine(GRAPH_, weights()), rows(2))


@pytest.mark.parametrize(
    ("graph", "weights_", "kind", "code"),
    [
        (None, weights(), Unavailable, "model.read"),
        (GRAPH_.bytes, None, Unavailable, "model.read"),
        (b"{}", weights(), Malformed, "json.shape"),
        (GRAPH_.bytes + b" ", weights(), Malformed, "graph.spelling"),
        (b" " * (GRAPH_BYTES_MAX + 1), weights(), Malformed, "graph.size"),
        (GRAPH_.bytes, weights() + b"\0", Malformed, "graph.size"),
        (GRAPH_.bytes, weights()[:-1], Malformed, "graph.weights"),
    ],
)
def test_a_folder_that_is_no_exact_model(
    tmp_path: Path, graph: bytes | None, weights_: bytes | None, kind: type[ParaphError], code: str
) -> None:
    """What is missing, too long, or another graph's is refused; no more is read than a model may have."""
    for name, data in ((GRAPH, graph), (WEIGHTS, weights_)):
        if data is not None:
            (tmp_path / name).write_bytes(data)

    with pytest.raises(kind) as caught:
        open_exact(tmp_path)
    assert caught.value.code == code
