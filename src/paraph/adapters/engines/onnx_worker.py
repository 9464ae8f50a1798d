"""The confined process that holds one ONNX Runtime session: one thread, one request at a time.

A request is stopped between two operators when its time is over; an operator that does not end is killed from
outside.
"""

import ctypes
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from paraph.adapters.engines.worker import Answer, confine, serve
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected
from paraph.core.tensor import elements

WATCH_S: Final = 0.02
"""How often the clock is looked at while a request runs: a fiftieth of the shortest sensible limit."""

NUMPY_NAMES: Final[Mapping[str, str]] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BF16": "<u2",
    "BYTES": "O",
}
"""Each datatype as numpy carries it; BF16 as its bits, for numpy has no such type."""

_BF16: Final = 16  # TensorProto.BFLOAT16


class Watch:
    """Ends the request that runs too long. One thread for the life of the process: starting one costs 50 µs."""

    def __init__(self) -> None:
        self._running: tuple[float, Any] | None = None
        threading.Thread(target=self._look, daemon=True).start()

    def begin(self, deadline_s: float, options: Any) -> None:
        self._running = (time.monotonic() + deadline_s, options)

    def end(self) -> None:
        self._running = None

    def _look(self) -> None:
        while True:
            time.sleep(WATCH_S)
            running = self._running
            if running is not None and time.monotonic() > running[0]:
                running[1].terminate = True


class Session:
    """One loaded model."""

    def __init__(self, path: str) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        self._runtime = onnxruntime
        # What onnxruntime raises for a model or an input it cannot run; anything else ends this process.
        self._failures = tuple(
            found for name, found in vars(state).items() if isinstance(found, type) and issubclass(found, Exception)
        )
        self._failures = (*self._failures, RuntimeError, ValueError)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except self._failures as error:
            raise refusal(error, "engine.model", "the runtime refuses the model") from error
        kinds = [each.type for each in (*self._session.get_inputs(), *self._session.get_outputs())]
        self._plain = "tensor(bfloat16)" not in kinds
        self._watch = Watch()

    def answer(self, header: JsonObject, blobs: tuple[bytes, ...]) -> Answer:
        """Run once. The header's inputs are (name, datatype, shape), its outputs are (name, datatype)."""
        feed: dict[str, Any] = {}
        given: Any = header["inputs"]
        for (name, datatype, shape), data in zip(given, blobs, strict=True):
            feed[name] = _array(name, datatype, shape, data)
        wanted: Any = header["outputs"]
        options = self._runtime.RunOptions()
        options.log_severity_level = 4
        self._watch.begin(float(header["deadline_s"]), options)  # type: ignore[arg-type]
        try:
            if self._plain:
                found = self._session.run([name for name, _ in wanted], feed, options)
                return _told(wanted, found)
            return self._run_values(wanted, header, feed, options)
        except self._failures as error:
            raise refusal(error, "engine.inference", "the model cannot be run on this input") from error
        finally:
            self._watch.end()

    def _run_values(self, wanted: Any, header: JsonObject, feed: dict[str, Any], options: Any) -> Answer:
        make = self._runtime.OrtValue
        kinds = {name: datatype for name, datatype, _ in header["inputs"]}  # type: ignore[misc, union-attr]
        values = {
            name: make.ortvalue_from_numpy_with_onnx_type(array, _BF16)
            if kinds[name] == "BF16"
            else make.ortvalue_from_numpy(array)
            for name, array in feed.items()
        }
        found = self._session.run_with_ort_values([name for name, _ in wanted], values, options)
        shapes = []
        blobs = []
        for (_, datatype), value in zip(wanted, found, strict=True):
            shapes.append(list(value.shape()))
            if datatype == "BF16":
                blobs.append(ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes()))
            else:
                blobs.append(_data(datatype, value.numpy()))
        return {"shapes": shapes}, tuple(blobs)


def refusal(error: Exception, code: str, sentence: str) -> Rejected:
    """What onnxruntime says, as an error of ours."""
    said = str(error)
    if "terminate flag" in said:
        return Rejected("engine.time_limit", "the model did not answer in time; the work was ended")
    if "bad_alloc" in said or "allocate" in said:
        return Rejected("engine.memory_limit", "the model needs more memory than it is given")
    return Rejected(code, f"{sentence}: {said[:500]}")


def _array(name: str, datatype: str, shape: list[int], data: bytes) -> Any:
    import numpy

    if datatype == "BYTES":
        texts = numpy.empty(len(elements(name, data)), dtype=object)
        for index, element in enumerate(elements(name, data)):
            try:
                texts[index] = element.decode("utf-8")
            except UnicodeDecodeError as error:
                raise Rejected(
                    "engine.input_value", f"{name}: element {index} is not UTF-8, which ONNX asks"
                ) from error
        return texts.reshape(shape)
    return numpy.frombuffer(data, dtype=NUMPY_NAMES[datatype]).reshape(shape)


def _told(wanted: Any, found: list[Any]) -> Answer:
    blobs = tuple(_data(datatype, array) for (_, datatype), array in zip(wanted, found, strict=True))
    return {"shapes": [array.shape for array in found]}, blobs


def _data(datatype: str, array: Any) -> bytes:
    if datatype != "BYTES":
        return bytes(array.astype(NUMPY_NAMES[datatype], copy=False).tobytes())
    parts = []
    for text in array.reshape(-1):
        element = text.encode("utf-8")
        parts.append(len(element).to_bytes(4, "little") + element)
    return b"".join(parts)


def main() -> None:
    """Serve one model until the parent hangs up."""
    channel = confine()
    session: Session | None = None

    def answer(header: JsonObject, blobs: tuple[bytes, ...]) -> Answer:
        nonlocal session
        if session is None:
            session = Session(str(header["path"]))
            return {}, ()
        return session.answer(header, blobs)

    serve(channel, answer)


if __name__ == "__main__":
    main()
