"""The engine for exact models: integers in, the same integers out on every machine, in any batch.

It runs in this process: a graph holds nothing but sums, products and tables within limits, and no byte of it is code.
What it answers can be proven, because the proof is about the very function that it computes.
"""

import asyncio
import time
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.execute import Exact
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.tensor import Tensor
from paraph.flows.ports import TensorSpec
from paraph.proofs.manifest import GRAPH
from paraph.proofs.profile import EngineProfile
from paraph.proofs.zk.graph import GRAPH_BYTES_MAX, Graph
from paraph.proofs.zk.graph_json import graph_from_bytes

WEIGHTS: Final = "weights.bin"
INPUT: Final = "input"
OUTPUT: Final = "output"

ROWS_MAX: Final = 1024
"""Rows of one request: a batch of the largest inputs takes 1 GiB, which a message cannot hold."""
ROWS_AT_ONCE: Final = 16
"""Rows between two looks at the clock: of the largest model 2^34 multiplications, some seconds."""
DEADLINE_S: Final = 30.0
"""One request, as for other engines."""

PROFILE: Final = EngineProfile(
    engine="exact",
    engine_version="1",
    isa="",
    threads=1,
    optimisation="",
    batch_class="invariant",
    flash_attention="",
    kv_type="",
    chat_template_digest="",
    sampler="",
    bit_exact="yes",
)
"""The same on every machine: nothing about the machine can change a bit. The version is that of the graph's format."""


class ExactEngine:
    """A `TensorEngine` for one exact model. Make it with `open_exact`.

    Args:
        graph: what is computed.
        weights: the file of weights.
        deadline_s: how long one request may take.

    Raises:
        Malformed: `graph.weights`, `exact.…`: the weights are not this graph's, or an output could leave the field.
    """

    def __init__(self, graph: Graph, weights: bytes, deadline_s: float = DEADLINE_S) -> None:
        self.graph: Final = graph
        self.weights: Final = weights
        self._exact = Exact(graph, weights)
        self._deadline_s = deadline_s
        self._closed = False

    @property
    def profile(self) -> EngineProfile:
        """Says `exact`."""
        return PROFILE

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """One: INT8, rows of the graph's input."""
        return (TensorSpec(INPUT, "INT8", (-1, *self.graph.input)),)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """One: INT32, rows of the graph's output, flat."""
        return (TensorSpec(OUTPUT, "INT32", (-1, self._exact.outputs)),)

    async def infer(self, inputs: tuple[Tensor, ...], outputs: tuple[str, ...]) -> tuple[Tensor, ...]:
        """Run the model.

        Raises:
            Rejected: `engine.input_name`, `engine.input_dtype`, `engine.input_shape`, `engine.output_name` before
                anything runs; `engine.time_limit`; `exact.bounds` for an input that the model's author ruled out.
            Unavailable: `engine.closed`.
        """
        if self._closed:
            raise Unavailable("engine.closed", "this engine was closed")
        rows = self._rows(inputs)
        _need_output(outputs)
        found = await asyncio.to_thread(self._run, rows)
        return (Tensor(OUTPUT, "INT32", found.shape, found.astype("<i4").tobytes()),)

    async def close(self) -> None:
        """Answer no more."""
        self._closed = True

    def _rows(self, inputs: tuple[Tensor, ...]) -> NDArray[np.int8]:
        (spec,) = self.inputs
        got = ", ".join(tensor.name for tensor in inputs)
        if got != INPUT:
            said = f"an exact model has one input, {INPUT!r}; got {got[:200]!r}"
            raise Rejected("engine.input_name", said, expected=INPUT, got=got[:200])
        (tensor,) = inputs
        if tensor.datatype != spec.datatype:
            said = f"input {INPUT!r} must be {spec.datatype}; got {tensor.datatype}"
            raise Rejected("engine.input_dtype", said, expected=spec.datatype, got=tensor.datatype)
        if tensor.shape[1:] != self.graph.input or not 0 < tensor.rows <= ROWS_MAX:
            expected, shape = str(list(spec.shape)), str(list(tensor.shape))
            said = f"input {INPUT!r} must have shape {expected}, -1 being 1 to {ROWS_MAX}; got {shape}"
            raise Rejected("engine.input_shape", said, expected=expected, got=shape)
        return np.frombuffer(tensor.data, np.int8).reshape(tensor.rows, prod(self.graph.input))

    def _run(self, rows: NDArray[np.int8]) -> NDArray[np.int32]:
        end = time.monotonic() + self._deadline_s
        found = np.empty((len(rows), self._exact.outputs), np.int32)
        for at in range(0, len(rows), ROWS_AT_ONCE):
            if time.monotonic() > end:
                raise Rejected("engine.time_limit", f"no answer within {self._deadline_s:g} s; the work was ended")
            found[at : at + ROWS_AT_ONCE] = self._exact.run(rows[at : at + ROWS_AT_ONCE])
        return found


def open_exact(folder: Path) -> ExactEngine:
    """An engine for the exact model in a folder.

    Raises:
        Malformed: `graph.…`, `exact.…`: the files are no exact model. Unavailable: `model.read`: a file is missing.
    """
    return ExactEngine(*read_exact(folder))


def read_exact(folder: Path) -> tuple[Graph, bytes]:
    """A folder's graph and weights. Raises as `open_exact` does."""
    graph = graph_from_bytes(_read(folder / GRAPH, GRAPH_BYTES_MAX))
    return graph, _read(folder / WEIGHTS, graph.weights_size)


def _read(place: Path, size_max: int) -> bytes:
    # One byte more than may be: what is too long is known without reading all of it.
    try:
        with place.open("rb") as file:
            data = file.read(size_max + 1)
    except OSError as error:
        raise Unavailable("model.read", f"{place} cannot be read: {error.strerror}") from error
    if len(data) > size_max:
        raise Malformed("graph.size", f"{place.name} is longer than {size_max} bytes")
    return data


def _need_output(names: tuple[str, ...]) -> None:
    if names not in ((), (OUTPUT,)):
        raise Rejected("engine.output_name", f"an exact model has one output, {OUTPUT!r}; asked for {list(names)}")
