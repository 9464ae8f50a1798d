"""The engine for ONNX models: ONNX Runtime on the CPU, in a confined process, with the same bits every time.

One thread, sequential, a fixed optimisation level and one request a batch: under these, measured over eight kinds
of model, equal inputs give equal bytes. Inputs are checked against the model's declaration before the runtime sees
them.
"""

import asyncio
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Final

from paraph.adapters.engines.inspect_onnx import Declared, OnnxModel, read_onnx
from paraph.adapters.engines.machine import isa_class
from paraph.adapters.engines.sandbox import Sandbox
from paraph.core.encode import JsonObject, as_integer, as_list
from paraph.core.errors import Malformed, Rejected
from paraph.core.tensor import ELEMENT_BYTES, Tensor
from paraph.flows.ports import TensorSpec
from paraph.proofs.profile import EngineProfile

DEADLINE_S: Final = 30.0
"""One request: a batch of 100 images takes about 6 s on one thread."""

GRACE_S: Final = 1.0
"""Time between asking the runtime to stop and killing it: most operators end within a second."""

MEMORY_BYTES: Final = 1024 * 1024 * 1024
"""Address space beside the model's file: the interpreter and the runtime take about 0.2 GB, the rest is the model's."""

PROBED_ROWS: Final = (2, 3, 7, 16)
"""Batch sizes compared with single rows: kernels change at 2, at odd sizes, and at multiples of eight."""


class OnnxEngine:
    """A `TensorEngine` for one ONNX file. Make it with `open_onnx`."""

    def __init__(
        self,
        profile: EngineProfile,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        sandbox: Sandbox,
        deadline_s: float,
    ) -> None:
        self._profile = profile
        self._inputs = inputs
        self._outputs = outputs
        self._sandbox = sandbox
        self._deadline_s = deadline_s

    @property
    def profile(self) -> EngineProfile:
        """What runs the model; part of every receipt."""
        return self._profile

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The declared inputs; every one must be given."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The declared outputs."""
        return self._outputs

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id while it lives, for operators and tests."""
        return self._sandbox.pid

    async def infer(self, inputs: tuple[Tensor, ...], outputs: tuple[str, ...]) -> tuple[Tensor, ...]:
        """Run the model. `outputs` names what is wanted, in order; empty means all.

        Raises:
            Rejected: `engine.input_name`, `engine.input_dtype`, `engine.input_shape`, `engine.input_value`,
                `engine.output_name` before anything runs; `engine.inference`, `engine.time_limit`,
                `engine.memory_limit` when the model cannot be run on this input.
            Unavailable: `engine.died`, `engine.closed`.
        """
        check_inputs(self._inputs, inputs)
        wanted = choose_outputs(self._outputs, outputs)
        header: JsonObject = {
            "inputs": [(tensor.name, tensor.datatype, tensor.shape) for tensor in inputs],
            "outputs": [(spec.name, spec.datatype) for spec in wanted],
            "deadline_s": self._deadline_s,
        }
        told, blobs = await self._sandbox.call(
            header, tuple(tensor.data for tensor in inputs), deadline_s=self._deadline_s + GRACE_S
        )
        shapes = as_list(told.get("shapes"), "shapes", items_max=len(wanted))
        if len(shapes) != len(wanted) or len(blobs) != len(wanted):
            raise Malformed("engine.message", f"the worker gave {len(blobs)} outputs of {len(wanted)}")
        found = []
        for spec, shape, data in zip(wanted, shapes, blobs, strict=True):
            sides = tuple(as_integer(side, "shape") for side in as_list(shape, "shape", items_max=64))
            found.append(Tensor(spec.name, spec.datatype, sides, data))
        return tuple(found)

    async def close(self) -> None:
        """End the worker process."""
        await self._sandbox.close()


def check_inputs(specs: tuple[TensorSpec, ...], inputs: tuple[Tensor, ...]) -> None:
    """Every declared input is there once, with its datatype and a shape that fits; names what was expected and got.

    Raises:
        Rejected: `engine.input_name`, `engine.input_dtype` or `engine.input_shape`.
    """
    expected = {spec.name: spec for spec in specs}
    names = [tensor.name for tensor in inputs]
    if sorted(names) != sorted(expected):
        raise Rejected(
            "engine.input_name",
            f"the model's inputs are {sorted(expected)}; got {sorted(names)}",
            expected=", ".join(sorted(expected)),
            got=", ".join(sorted(names)),
        )
    for tensor in inputs:
        spec = expected[tensor.name]
        if tensor.datatype != spec.datatype:
            raise Rejected(
                "engine.input_dtype",
                f"input {tensor.name!r} must be {spec.datatype}; got {tensor.datatype}",
                input=tensor.name,
                expected=spec.datatype,
                got=tensor.datatype,
            )
        fits = len(tensor.shape) == len(spec.shape) and all(
            declared in (-1, side) for declared, side in zip(spec.shape, tensor.shape, strict=True)
        )
        if not fits:
            raise Rejected(
                "engine.input_shape",
                f"input {tensor.name!r} must have shape {list(spec.shape)}, -1 being free; got {list(tensor.shape)}",
                input=tensor.name,
                expected=str(list(spec.shape)),
                got=str(list(tensor.shape)),
            )


def choose_outputs(specs: tuple[TensorSpec, ...], names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """The outputs named, in that order; all when none is. Raises `Rejected` (`engine.output_name`)."""
    known = {spec.name: spec for spec in specs}
    if len(set(names)) != len(names) or not known.keys() >= set(names):
        raise Rejected(
            "engine.output_name",
            f"the model's outputs are {sorted(known)}; asked for {list(names)}",
            expected=", ".join(sorted(known)),
            got=", ".join(names),
        )
    return tuple(known[name] for name in names) or specs


async def open_onnx(path: Path, *, deadline_s: float = DEADLINE_S, memory_bytes: int | None = None) -> OnnxEngine:
    """Inspect an ONNX file and load it in a confined process.

    Args:
        path: the model.
        deadline_s: seconds that one request may take.
        memory_bytes: address space of the process; by default 1 GiB and three times the file.

    Raises:
        Malformed: `model.onnx`.
        Rejected: `model.…` for what is not allowed, `engine.model` when the runtime refuses it.
        Unavailable: `engine.died`.
    """
    model, size, whole_path = await asyncio.to_thread(_read, path)
    sandbox = Sandbox(
        "paraph.adapters.engines.onnx_worker",
        memory_bytes=memory_bytes or MEMORY_BYTES + 3 * size,
        hello={"path": whole_path},
    )
    profile = EngineProfile(
        engine="onnxruntime",
        engine_version=version("onnxruntime"),
        isa=isa_class(),
        threads=1,
        optimisation="extended",
        batch_class="single",
        flash_attention="",
        kv_type="",
        chat_template_digest="",
        sampler="",
        bit_exact="yes",
    )
    await sandbox.started()
    return OnnxEngine(profile, _specs(model.inputs), _specs(model.outputs), sandbox, deadline_s)


def _read(path: Path) -> tuple[OnnxModel, int, str]:
    return read_onnx(path), path.stat().st_size, str(path.resolve())


def _specs(declared: tuple[Declared, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(each.name, each.datatype, each.shape) for each in declared)


async def probe(engine: OnnxEngine) -> str:
    """Whether rows in a batch get the bits they get alone.

    Returns:
        `invariant` when every row of every probed batch was equal byte for byte to the same row alone; `single` when
        one was not, or when the model takes no batches. A probe, not a proof: other values or sizes may differ.
    """
    if any(not spec.shape or spec.shape[0] != -1 for spec in (*engine.inputs, *engine.outputs)):
        return "single"
    if not engine.inputs:
        return "single"
    for rows in PROBED_ROWS:
        batch = tuple(_sample(spec, rows, seed) for seed, spec in enumerate(engine.inputs))
        try:
            together = await engine.infer(batch, ())
            for row in range(rows):
                alone = await engine.infer(tuple(_row(tensor, row) for tensor in batch), ())
                if any(_row(whole, row).data != one.data for whole, one in zip(together, alone, strict=True)):
                    return "single"
        except (Rejected, Malformed):
            return "single"
    return "invariant"


def _sample(spec: TensorSpec, rows: int, seed: int) -> Tensor:
    """A tensor of small varied values that any datatype holds: 0 to 96, from a fixed linear congruence."""
    shape = (rows, *(8 if side == -1 else side for side in spec.shape[1:]))
    values = []
    state = seed + 1
    for _ in range(prod(shape)):
        state = (state * 1_103_515_245 + 12_345) % (1 << 31)  # ISO C's example generator
        values.append((state >> 16) % 97)
    return Tensor(spec.name, spec.datatype, shape, b"".join(_encoded(spec.datatype, value) for value in values))


def _encoded(datatype: str, value: int) -> bytes:
    import struct

    match datatype:
        case "BYTES":
            return b"\x01\x00\x00\x00" + bytes([value + 25])
        case "BOOL":
            return bytes([value & 1])
        case "FP32":
            return struct.pack("<f", value / 97)
        case "FP64":
            return struct.pack("<d", value / 97)
        case "FP16":
            return struct.pack("<e", value / 97)
        case "BF16":
            return struct.pack("<f", value / 97)[2:]
        case _:
            return value.to_bytes(ELEMENT_BYTES[datatype], "little")


def _row(tensor: Tensor, row: int) -> Tensor:
    if tensor.shape[0] == 0 or tensor.rows <= row:
        raise Malformed("engine.message", f"{tensor.name}: no row {row}")
    shape = (1, *tensor.shape[1:])
    if tensor.datatype == "BYTES":
        from paraph.core.tensor import elements

        each = prod(shape)
        found = elements(tensor.name, tensor.data)[row * each : (row + 1) * each]
        return Tensor(tensor.name, "BYTES", shape, b"".join(len(one).to_bytes(4, "little") + one for one in found))
    size = len(tensor.data) // tensor.shape[0]
    return Tensor(tensor.name, tensor.datatype, shape, tensor.data[row * size : (row + 1) * size])
