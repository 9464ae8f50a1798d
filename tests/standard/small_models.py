"""ONNX models of a few nodes, made on the spot."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

Value = tuple[str, int, Sequence[int | None]]


def onnx_bytes(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    weights: Sequence[onnx.TensorProto] = (),
    domains: Sequence[str] = (),
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs],
        initializer=weights,
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return made


def double(path: Path) -> Path:
    """Y = x + x, FP32, rows of 4; and the sum of each row."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["y"]),
        helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    outputs: list[Value] = [("y", TensorProto.FLOAT, [None, 4]), ("total", TensorProto.FLOAT, [None])]
    path.write_bytes(onnx_bytes(nodes, [("x", TensorProto.FLOAT, [None, 4])], outputs, [axes]))
    return path


def identity(path: Path, kind: int) -> Path:
    """Y = x of any shape of two sides."""
    node = helper.make_node("Identity", ["x"], ["y"])
    path.write_bytes(onnx_bytes([node], [("x", kind, [None, None])], [("y", kind, [None, None])]))
    return path


def filled(path: Path) -> Path:
    """Y = zeros of the shape that the input says: how much memory it takes is up to who asks."""
    node = helper.make_node("ConstantOfShape", ["shape"], ["y"])
    path.write_bytes(onnx_bytes([node], [("shape", TensorProto.INT64, [1])], [("y", TensorProto.FLOAT, [None])]))
    return path


def powers(path: Path, times: int) -> Path:
    """The square matrix of ones of the side that the input says, multiplied with itself again and again."""
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [0.001])
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["m0"], value=one)]
    nodes += [helper.make_node("MatMul", [f"m{i}", "m0"], [f"m{i + 1}"]) for i in range(times)]
    nodes.append(helper.make_node("ReduceMax", [f"m{times}"], ["y"], keepdims=0))
    path.write_bytes(onnx_bytes(nodes, [("shape", TensorProto.INT64, [2])], [("y", TensorProto.FLOAT, [])]))
    return path
