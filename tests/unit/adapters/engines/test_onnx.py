"""ONNX models run confined, exactly, and within their time and memory."""

import asyncio
import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from tests.standard.real_models import tensor_model
from tests.standard.small_models import double, filled, identity, onnx_bytes, powers

from paraph.adapters.engines.onnx import OnnxEngine, open_onnx, probe
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.tensor import Tensor

ROW = Tensor("x", "FP32", (1, 4), struct.pack("<4f", 1, 2, 3, 4))


def with_engine(path: Path, work: Callable[[OnnxEngine], Any], **settings: Any) -> Any:
    async def run() -> Any:
        engine = await open_onnx(path, **settings)
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


def ask(path: Path, *inputs: Tensor, **settings: Any) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = with_engine(path, lambda engine: engine.infer(inputs, ()), **settings)
    return found


def fails(path: Path, *inputs: Tensor, **settings: Any) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        ask(path, *inputs, **settings)
    return caught.value


def whole(*values: int) -> Tensor:
    return Tensor("shape", "INT64", (len(values),), struct.pack(f"<{len(values)}q", *values))


def test_a_small_model_computes(tmp_path: Path) -> None:
    """Values, shapes and names are right."""
    y, total = ask(double(tmp_path / "m.onnx"), ROW)

    assert y == Tensor("y", "FP32", (1, 4), struct.pack("<4f", 2, 4, 6, 8))
    assert total == Tensor("total", "FP32", (1,), struct.pack("<f", 10))


def test_a_real_classifier_repeats_itself_in_another_process() -> None:
    """Magika gives the same bytes in two processes, and a probability for each of its labels."""
    data = Tensor("bytes", "INT32", (1, 2048), struct.pack("<2048i", *(index % 257 for index in range(2048))))

    first, second = ask(tensor_model(), data), ask(tensor_model(), data)

    assert first == second
    assert first[0].shape == (1, 214)
    assert sum(struct.unpack("<214f", first[0].data)) == pytest.approx(1, abs=1e-3)


def test_a_classifier_made_by_scikit_learn_is_served(tmp_path: Path) -> None:
    """Breast-cancer data, gradient boosting, exported without ZipMap."""
    import numpy
    from skl2onnx import to_onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import GradientBoostingClassifier

    features, labels = load_breast_cancer(return_X_y=True)
    features = features.astype(numpy.float32)
    model = GradientBoostingClassifier(n_estimators=5, random_state=0).fit(features, labels)
    path = tmp_path / "m.onnx"
    path.write_bytes(to_onnx(model, features[:1], options={"zipmap": False}).SerializeToString())

    label, scores = ask(path, Tensor("X", "FP32", (20, 30), features[:20].tobytes()))

    assert label.datatype == "INT64"
    assert list(struct.unpack("<20q", label.data)) == model.predict(features[:20]).tolist()
    assert scores.shape == (20, 2)


def test_a_model_with_zipmap_is_refused_with_advice(tmp_path: Path) -> None:
    """The default export of scikit-learn classifiers gives dictionaries."""
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_bytes([node], [("x", TensorProto.FLOAT, [None, 2])], [("y", TensorProto.FLOAT, [])]))

    error = fails(path)

    assert error.code == "model.onnx_operator"
    assert "zipmap=False" in error.message


KINDS = {
    "BOOL": (TensorProto.BOOL, b"\x00\x01"),
    "UINT8": (TensorProto.UINT8, b"\x00\xff"),
    "UINT16": (TensorProto.UINT16, b"\x00\x00\xff\xff"),
    "UINT32": (TensorProto.UINT32, b"\x01\x00\x00\x00\xff\xff\xff\xff"),
    "UINT64": (TensorProto.UINT64, bytes(8) + b"\xff" * 8),
    "INT8": (TensorProto.INT8, b"\x80\x7f"),
    "INT16": (TensorProto.INT16, b"\x00\x80\xff\x7f"),
    "INT32": (TensorProto.INT32, b"\x00\x00\x00\x80\xff\xff\xff\x7f"),
    "INT64": (TensorProto.INT64, bytes(7) + b"\x80" + b"\xff" * 7 + b"\x7f"),
    "FP16": (TensorProto.FLOAT16, b"\x01\x7e\x00\x80"),
    "BF16": (TensorProto.BFLOAT16, b"\xc1\x7f\x01\x00"),
    "FP32": (TensorProto.FLOAT, b"\x01\x00\xc0\x7f\x00\x00\x00\x80"),
    "FP64": (TensorProto.DOUBLE, b"\x01\x00\x00\x00\x00\x00\xf8\x7f\x01" + bytes(7)),
    "BYTES": (TensorProto.STRING, b"\x05\x00\x00\x00a\x00\xc3\xa9b\x00\x00\x00\x00"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_datatype_passes_unchanged(tmp_path: Path, kind: str) -> None:
    """Extremes, NaN payloads, negative zero, NUL in text: byte for byte."""
    number, data = KINDS[kind]

    (y,) = ask(identity(tmp_path / "m.onnx", number), Tensor("x", kind, (1, 2), data))

    assert (y.datatype, y.shape, y.data) == (kind, (1, 2), data)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """ONNX strings are UTF-8; other bytes would be changed on the way."""
    path = identity(tmp_path / "m.onnx", TensorProto.STRING)

    error = fails(path, Tensor("x", "BYTES", (1, 1), b"\x01\x00\x00\x00\xff"))

    assert (type(error), error.code) == (Rejected, "engine.input_value")


def test_a_model_the_runtime_refuses_is_told(tmp_path: Path) -> None:
    """A graph that is well formed but makes no sense."""
    node = helper.make_node("Add", ["x", "missing"], ["y"])
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_bytes([node], [("x", TensorProto.FLOAT, [1])], [("y", TensorProto.FLOAT, [1])]))

    error = fails(path)

    assert (type(error), error.code) == (Rejected, "engine.model")


def test_a_file_that_is_no_model_is_malformed(tmp_path: Path) -> None:
    """It is refused before a process starts."""
    (tmp_path / "m.onnx").write_bytes(b"nothing")

    assert isinstance(fails(tmp_path / "m.onnx"), Malformed)


def test_an_input_the_model_cannot_take_is_refused(tmp_path: Path) -> None:
    """What passes the declaration may still fail within; the engine lives on."""

    async def work(engine: OnnxEngine) -> tuple[ParaphError, int | None, int | None]:
        pid = engine.worker_pid
        with pytest.raises(ParaphError) as caught:
            await engine.infer((whole(-5),), ())
        return caught.value, pid, engine.worker_pid

    error, before, after = with_engine(filled(tmp_path / "m.onnx"), work)

    assert (type(error), error.code) == (Rejected, "engine.inference")
    assert before == after


def test_memory_that_the_data_asks_for_is_bounded(tmp_path: Path) -> None:
    """8 GB by an input are refused, and the next request is answered."""

    async def work(engine: OnnxEngine) -> tuple[ParaphError, tuple[Tensor, ...]]:
        with pytest.raises(ParaphError) as caught:
            await engine.infer((whole(2**31),), ())
        return caught.value, await engine.infer((whole(3),), ())

    error, after = with_engine(filled(tmp_path / "m.onnx"), work)

    assert (type(error), error.code) == (Rejected, "engine.memory_limit")
    assert after == (Tensor("y", "FP32", (3,), bytes(12)),)


def test_an_answer_larger_than_a_message_is_refused(tmp_path: Path) -> None:
    """Outputs are bounded as inputs are."""
    error = fails(filled(tmp_path / "m.onnx"), whole(20 * 1024 * 1024))

    assert (type(error), error.code) == (Rejected, "engine.message_size")


def test_many_slow_steps_are_stopped_between_two(tmp_path: Path) -> None:
    """The process that was asked to stop stays."""

    async def work(engine: OnnxEngine) -> tuple[ParaphError, bool]:
        pid = engine.worker_pid
        with pytest.raises(ParaphError) as caught:
            await engine.infer((whole(600, 600),), ())
        return caught.value, pid == engine.worker_pid

    begun = time.monotonic()
    error, same = with_engine(powers(tmp_path / "m.onnx", 2000), work, deadline_s=0.2)

    assert (type(error), error.code, same) == (Rejected, "engine.time_limit", True)
    assert time.monotonic() - begun < 15


def test_one_step_without_end_is_killed(tmp_path: Path) -> None:
    """An operator cannot be stopped from inside; the process is, and the next request is answered."""

    async def work(engine: OnnxEngine) -> tuple[ParaphError, Tensor]:
        with pytest.raises(ParaphError) as caught:
            await engine.infer((whole(9000, 9000),), ())
        return caught.value, (await engine.infer((whole(2, 2),), ()))[0]

    error, after = with_engine(powers(tmp_path / "m.onnx", 1), work, deadline_s=0.1, memory_bytes=4 << 30)

    assert (type(error), error.code) == (Rejected, "engine.time_limit")
    assert after.name == "y"


def test_a_killed_process_is_unavailable_once(tmp_path: Path) -> None:
    """The request on the way is lost, the next one answered."""

    async def work(engine: OnnxEngine) -> tuple[ParaphError, tuple[Tensor, ...]]:
        task = asyncio.create_task(engine.infer((whole(600, 600),), ()))
        await asyncio.sleep(0.2)
        assert engine.worker_pid is not None
        os.kill(engine.worker_pid, signal.SIGKILL)
        with pytest.raises(ParaphError) as caught:
            await task
        return caught.value, await engine.infer((whole(2, 2),), ())

    error, after = with_engine(powers(tmp_path / "m.onnx", 2000), work)

    assert (type(error), error.code) == (Unavailable, "engine.died")
    assert after[0].name == "y"


def test_requests_at_once_all_get_their_own_answers(tmp_path: Path) -> None:
    """Answers are not mixed up."""

    async def work(engine: OnnxEngine) -> list[tuple[Tensor, ...]]:
        return await asyncio.gather(*(engine.infer((whole(count),), ()) for count in range(1, 30)))

    found = with_engine(filled(tmp_path / "m.onnx"), work)

    assert [each.shape for (each,) in found] == [(count,) for count in range(1, 30)]


def test_the_probe_tells_rows_that_keep_to_themselves(tmp_path: Path) -> None:
    """A sum by row is invariant; one that subtracts the mean over the batch is not; nor is a model without batches."""
    mixed = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    rows = ("x", TensorProto.FLOAT, [None, 4])
    (tmp_path / "mixed.onnx").write_bytes(onnx_bytes(mixed, [rows], [("y", TensorProto.FLOAT, [None, 4])]))

    found = [
        with_engine(path, probe)
        for path in (double(tmp_path / "m.onnx"), tmp_path / "mixed.onnx", filled(tmp_path / "f.onnx"))
    ]

    assert found == ["invariant", "single", "single"]


def test_the_profile_names_what_can_change_bits(tmp_path: Path) -> None:
    """Engine, version, instruction set, threads, optimisation, batching."""
    profile = with_engine(double(tmp_path / "m.onnx"), lambda engine: asyncio.sleep(0, engine.profile))

    assert (profile.engine, profile.threads, profile.optimisation) == ("onnxruntime", 1, "extended")
    assert (profile.batch_class, profile.bit_exact) == ("single", "yes")
    assert profile.isa.startswith(("x86_64-", "aarch64-"))
    assert profile.engine_version
