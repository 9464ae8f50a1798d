"""An ONNX file as nodes and constants, read with limits.

The file is a stranger's: its size, its count of nodes and the size of its constants are bounded before anything is made
of them, and nothing outside the file is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from paraph.core.errors import Malformed

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

FILE_BYTES_MAX: Final = 2**28
"""A model of 2^24 weights, the most that an exact one has, in double precision, and as much again."""
NODES_MAX: Final = 4096
ELEMENTS_MAX: Final = 2**25
"""Elements of one constant."""
EXTERNAL: Final = 1  # TensorProto.DataLocation.EXTERNAL


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """One node.

    Args:
        name: the operator's.
        domain: empty for the standard one.
        inputs: names; empty where one was left out.
        outputs: names.
        attributes: by name: numbers, bytes, lists of them, or arrays.
    """

    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def input(self, number: int) -> str:
        """An input's name, empty when it is left out."""
        return self.inputs[number] if number < len(self.inputs) else ""

    def __str__(self) -> str:
        return f"{self.name} (it makes {self.outputs[0][:60]!r})" if self.outputs else self.name


@dataclass(frozen=True, slots=True, eq=False)
class OnnxFile:
    """What a file holds.

    Args:
        inputs: names and shapes, with the batch; 0 where a side is free.
        outputs: names.
        constants: by name.
        operators: in order.
    """

    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, NDArray[Any]]
    operators: tuple[Operator, ...]


def read_file(data: bytes) -> OnnxFile:
    """Read an ONNX file.

    Raises:
        Malformed: `exact.onnx`: not an ONNX model, one whose parts do not fit together, or one beyond the limits.
    """
    model = parsed(data)
    graph = model.graph
    constants = {tensor.name: _array(tensor) for tensor in graph.initializer}
    inputs = tuple(
        (each.name, tuple(max(side.dim_value, 0) for side in each.type.tensor_type.shape.dim))
        for each in graph.input
        if each.name not in constants
    )
    operators = tuple(_operator(node) for node in graph.node)
    return OnnxFile(inputs, tuple(each.name for each in graph.output), constants, operators)


def parsed(data: bytes) -> "ModelProto":
    """The file's own form. Raises `Malformed` (`exact.onnx`)."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415  (it takes long to load, and few need it)
    from onnx import ModelProto  # noqa: PLC0415

    _need(len(data) <= FILE_BYTES_MAX, f"the file has {len(data)} bytes; at most {FILE_BYTES_MAX}")
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("exact.onnx", "the file is not an ONNX protobuf") from error
    count = len(model.graph.node)
    _need(0 < count <= NODES_MAX, f"the file has {count} nodes; 1 to {NODES_MAX} can be made exact")
    _need(len(model.functions) == 0, "the file defines functions of its own: export it without")
    return model


def scores_model(data: bytes, tensor: str) -> bytes:
    """The file cut off behind one of its tensors, which becomes the only output: for comparing scores.

    A linear classifier is made to give its scores as they are, without the function behind them.

    Raises:
        Malformed: `exact.onnx`: not an ONNX model, or without this tensor.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415

    model = parsed(data)
    graph = model.graph
    wanted, kept = {tensor}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    _need(bool(kept), f"the file has no tensor {tensor[:80]!r}")
    for node in kept:
        if node.op_type == "LinearClassifier":
            for attribute in node.attribute:
                if attribute.name == "post_transform":
                    attribute.s = b"NONE"
    nodes = [type(node).FromString(node.SerializeToString()) for node in reversed(kept)]
    del graph.node[:], graph.output[:]
    graph.node.extend(nodes)
    graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
    return model.SerializeToString()


def _need(condition: bool, sentence: str) -> None:
    if not condition:
        raise Malformed("exact.onnx", sentence)


def _array(tensor: "TensorProto") -> NDArray[Any]:
    from onnx.numpy_helper import to_array  # noqa: PLC0415

    name = tensor.name[:80]
    _need(tensor.data_location != EXTERNAL, f"the constant {name!r} lies in another file: put it inside")
    elements = prod(tensor.dims) if all(side >= 0 for side in tensor.dims) else -1
    _need(0 <= elements <= ELEMENTS_MAX, f"the constant {name!r} has more than {ELEMENTS_MAX} elements")
    try:
        return np.asarray(to_array(tensor))
    except (ValueError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise Malformed("exact.onnx", f"the constant {name!r} does not hold what its shape says") from error


def _operator(node: "NodeProto") -> Operator:
    from onnx import AttributeProto, helper  # noqa: PLC0415

    found: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            found[attribute.name] = _array(attribute.t)
            continue
        _need(not attribute.HasField("g") and not attribute.graphs, f"{node.op_type[:40]} carries a graph of its own")
        try:
            found[attribute.name] = helper.get_attribute_value(attribute)
        except ValueError as error:
            raise Malformed("exact.onnx", f"an attribute of {node.op_type[:40]} is of no known type") from error
    domain = "" if node.domain == "ai.onnx" else node.domain
    return Operator(node.op_type[:80], domain[:80], tuple(node.input), tuple(node.output), found)
