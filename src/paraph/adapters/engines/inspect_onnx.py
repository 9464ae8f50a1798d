"""An ONNX file, checked before ONNX Runtime sees it: operators, sizes, and nothing outside the file.

The ONNX checker and the runtime both load a 75-byte model that asks for 8 GB, and a loop of 2^62 rounds. Here
operators are an allow-list without control flow or chance, and sizes that stand in the file are computed, not
allocated. What sizes the data decides is left to the sandbox's limits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from paraph.adapters.engines.onnx_operators import DOMAINS, ML_OPERATORS, OPERATORS, SIZED_BY_INPUT
from paraph.core.errors import Malformed, Rejected

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

FILE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""The file: protobuf itself stops at 2 GiB, and parsing takes memory of the same order."""

NODES_MAX: Final = 100_000
"""Nodes of the graph: an unrolled transformer has about 10 000."""

ELEMENTS_MAX: Final = 1 << 27
"""Elements that a constant size may ask for: 512 MiB of FP32."""

# TensorProto.DataType -> datatype of the Open Inference Protocol, and bytes of one element.
_DATATYPES: Final[Mapping[int, tuple[str, int]]] = {
    1: ("FP32", 4),
    2: ("UINT8", 1),
    3: ("INT8", 1),
    4: ("UINT16", 2),
    5: ("INT16", 2),
    6: ("INT32", 4),
    7: ("INT64", 8),
    8: ("BYTES", 0),
    9: ("BOOL", 1),
    10: ("FP16", 2),
    11: ("FP64", 8),
    12: ("UINT32", 4),
    13: ("UINT64", 8),
    16: ("BF16", 2),
}
_EXTERNAL: Final = 1  # TensorProto.DataLocation.EXTERNAL
_SHAPE_PLACE: Final = 1  # most operators that are told a size have it as their second input


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared input or output: datatype of the Open Inference Protocol, shape with -1 where free."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """What the file declares."""

    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    operators: frozenset[str]


def read_onnx(path: Path) -> OnnxModel:
    """Read and check an ONNX file.

    Raises:
        Malformed: `model.onnx`: not an ONNX model, or parts that do not fit together.
        Rejected: `model.size`; `model.onnx_domain`, `model.onnx_operator` for what is not allowed;
            `model.onnx_subgraph`; `model.onnx_external` for weights in another file; `model.onnx_bomb` for a constant
            size above the limit; `model.onnx_type` for inputs or outputs that are no tensors of a known datatype.
    """
    size = path.stat().st_size
    if size > FILE_BYTES_MAX:
        raise Rejected(
            "model.size", f"{path.name} has {size} bytes; at most {FILE_BYTES_MAX}", got=size, limit=FILE_BYTES_MAX
        )
    return parse_onnx(path.read_bytes())


def parse_onnx(data: bytes) -> OnnxModel:
    """As `read_onnx`, from the bytes of the file."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("model.onnx", "the file is not an ONNX protobuf") from error
    if not model.HasField("graph") or not model.graph.node or not model.opset_import:
        raise Malformed("model.onnx", "the file holds no ONNX graph")
    _check_model(model)
    graph = model.graph
    constants = _constants(graph)
    for node in graph.node:
        _check_node(node, constants)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_declared(value) for value in graph.input if value.name not in weights)
    outputs = tuple(_declared(value) for value in graph.output)
    if not outputs:
        raise Malformed("model.onnx", "the graph has no output")
    names = [each.name for each in (*inputs, *outputs)]
    if len(set(names)) != len(names):
        raise Malformed("model.onnx", "two inputs or outputs have one name")
    return OnnxModel(inputs, outputs, frozenset(node.op_type for node in graph.node))


def _check_model(model: "ModelProto") -> None:
    for opset in model.opset_import:
        if opset.domain not in DOMAINS:
            raise Rejected("model.onnx_domain", f"operators of domain {opset.domain[:80]!r} are not allowed")
    if model.functions:
        raise Rejected("model.onnx_subgraph", "functions defined in the model are not allowed")
    if model.training_info:
        raise Rejected("model.onnx_subgraph", "training graphs are not allowed")
    graph = model.graph
    if graph.sparse_initializer:
        raise Rejected("model.onnx_type", "sparse weights are not allowed")
    if len(graph.node) > NODES_MAX:
        raise Rejected(
            "model.onnx_bomb", f"{len(graph.node)} nodes; at most {NODES_MAX}", got=len(graph.node), limit=NODES_MAX
        )
    for tensor in graph.initializer:
        _check_tensor(tensor)


def _check_node(node: "NodeProto", constants: Mapping[str, tuple[int, ...]]) -> None:
    allowed = {"": OPERATORS, "ai.onnx": OPERATORS, "ai.onnx.ml": ML_OPERATORS}.get(node.domain, frozenset())
    what = f"{node.domain}.{node.op_type}"[:120] if node.domain else node.op_type[:120]
    if node.op_type == "ZipMap":
        raise Rejected(
            "model.onnx_operator", "ZipMap gives no tensors; export with the option zipmap=False", operator=what
        )
    if node.op_type not in allowed:
        raise Rejected("model.onnx_operator", f"the operator {what} is not allowed", operator=what)
    if node.op_type == "Dropout" and len(node.input) > 2:
        raise Rejected("model.onnx_operator", "Dropout in training mode draws random numbers", operator=what)
    for attribute in node.attribute:
        _check_attribute(attribute, what)
    if node.op_type in SIZED_BY_INPUT:
        _check_size(node, constants, what)


def _check_attribute(attribute: "AttributeProto", what: str) -> None:
    if attribute.HasField("g") or attribute.graphs:
        raise Rejected("model.onnx_subgraph", f"{what} carries a graph of its own, which is not allowed", operator=what)
    if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
        raise Rejected("model.onnx_type", f"{what} carries sparse weights, which are not allowed", operator=what)
    if attribute.ref_attr_name:
        raise Malformed("model.onnx", f"{what} refers to an attribute of a function, and there is none")
    for tensor in (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors):
        _check_tensor(tensor)


def _check_tensor(tensor: "TensorProto") -> None:
    """A tensor in the file holds exactly the elements that its dimensions say."""
    if tensor.data_location == _EXTERNAL or tensor.external_data:
        raise Rejected("model.onnx_external", f"the weights {tensor.name[:80]!r} lie in another file; put them inside")
    if tensor.data_type not in _DATATYPES:
        raise Rejected("model.onnx_type", f"the weights {tensor.name[:80]!r} have number format {tensor.data_type}")
    datatype, width = _DATATYPES[tensor.data_type]
    if any(side < 0 for side in tensor.dims):
        raise Malformed("model.onnx", f"the weights {tensor.name[:80]!r} have a negative dimension")
    elements = prod(tensor.dims)
    if tensor.HasField("raw_data"):
        fits = datatype != "BYTES" and len(tensor.raw_data) == elements * width
    else:
        stored = (
            len(tensor.float_data)
            + len(tensor.int32_data)
            + len(tensor.string_data)
            + len(tensor.int64_data)
            + len(tensor.double_data)
            + len(tensor.uint64_data)
        )
        fits = stored == elements
    if not fits:
        raise Malformed("model.onnx", f"the weights {tensor.name[:80]!r} do not hold {elements} elements of {datatype}")


def _constants(graph: "GraphProto") -> dict[str, tuple[int, ...]]:
    """The small whole-number tensors whose values stand in the file, by name: sizes come from these."""
    found: dict[str, tuple[int, ...]] = {}
    tensors: Iterable[tuple[str, TensorProto]] = [(tensor.name, tensor) for tensor in graph.initializer]
    for name, tensor in tensors:
        _keep(found, name, tensor)
    for node in graph.node:
        if node.op_type != "Constant" or not node.output:
            continue
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.HasField("t"):
                _keep(found, node.output[0], attribute.t)
            elif attribute.name == "value_ints" and len(attribute.ints) <= 16:
                found[node.output[0]] = tuple(attribute.ints)
            elif attribute.name == "value_int":
                found[node.output[0]] = (attribute.i,)
    return found


def _keep(found: dict[str, tuple[int, ...]], name: str, tensor: "TensorProto") -> None:
    if tensor.data_type not in (6, 7) or prod(tensor.dims) > 32:
        return
    if tensor.HasField("raw_data"):
        width = 8 if tensor.data_type == 7 else 4
        raw = tensor.raw_data
        found[name] = tuple(
            int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width)
        )
    else:
        found[name] = tuple(tensor.int64_data if tensor.data_type == 7 else tensor.int32_data)


def _check_size(node: "NodeProto", constants: Mapping[str, tuple[int, ...]], what: str) -> None:
    if node.op_type == "Range":
        bounds = [constants.get(name) for name in node.input]
        if len(bounds) != 3 or not all(bound is not None and len(bound) == 1 for bound in bounds):
            return
        start, limit, step = (bound[0] for bound in bounds if bound is not None)
        elements = 0 if step == 0 else max(0, -(-(limit - start) // step))
    else:
        place = SIZED_BY_INPUT[node.op_type]
        sizes = constants.get(node.input[place]) if len(node.input) > place else None
        if sizes is None:
            return
        # Minus one and zero stand for "as it is" in Reshape and Expand.
        elements = prod(abs(size) for size in sizes if size != 0)
        if node.op_type == "Pad":
            elements = sum(abs(size) for size in sizes)
    if elements > ELEMENTS_MAX:
        raise Rejected(
            "model.onnx_bomb",
            f"{what} asks for {elements} elements by a constant; at most {ELEMENTS_MAX}",
            operator=what,
            got=str(elements),
            limit=ELEMENTS_MAX,
        )


def _declared(value: "ValueInfoProto") -> Declared:
    if not value.type.HasField("tensor_type") or value.type.tensor_type.elem_type not in _DATATYPES:
        raise Rejected("model.onnx_type", f"{value.name[:80]!r} is not a tensor of a datatype known here")
    tensor = value.type.tensor_type
    shape = tuple(
        side.dim_value if side.HasField("dim_value") and side.dim_value >= 0 else -1 for side in tensor.shape.dim
    )
    return Declared(value.name, _DATATYPES[tensor.elem_type][0], shape)
