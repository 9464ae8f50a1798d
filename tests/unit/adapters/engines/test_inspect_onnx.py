"""An ONNX file without bombs, code or strings to other files; anything else is refused before the runtime sees it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tests.standard.real_models import tensor_model
from tests.standard.small_models import double, onnx_bytes
from tests.unit.adapters.engines.small_files import code_of

from paraph.adapters.engines.inspect_onnx import ELEMENTS_MAX, Declared, parse_onnx, read_onnx
from paraph.core.errors import Malformed, ParaphError, Rejected

X = ("x", TensorProto.FLOAT, [None, 4])
Y = ("y", TensorProto.FLOAT, [None, 4])


def whole(values: Sequence[int], name: str = "s") -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def one(
    node: str, inputs: Sequence[str] = ("x",), weights: Sequence[onnx.TensorProto] = (), **attributes: Any
) -> bytes:
    made = helper.make_node(node, inputs, ["y"], **attributes)
    return onnx_bytes([made], [X], [Y], weights)


def fails(data: bytes) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        parse_onnx(data)
    return caught.value


def external(place: str) -> bytes:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", place), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    return one("Add", ["x", "w"], [weight])


def subgraph() -> onnx.GraphProto:
    node = helper.make_node("Identity", ["x"], ["z"])
    return helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [None, 4])])


def loop() -> bytes:
    """A loop of 2^62 rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [None, 4]),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [None, 4]),
        ],
    )
    rounds = helper.make_tensor("rounds", TensorProto.INT64, [], [2**62])
    go = helper.make_tensor("go", TensorProto.BOOL, [], [True])
    return onnx_bytes([helper.make_node("Loop", ["rounds", "go", "x"], ["y"], body=body)], [X], [Y], [rounds, go])


def bomb() -> bytes:
    """The shortest spelling of a model that asks for 8 GB."""
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["s"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializer=[whole([2**31])],
    )
    data: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=8).SerializeToString()
    return data


def test_real_models_are_read() -> None:
    """magika, as published."""
    model = read_onnx(tensor_model())

    assert model.inputs == (Declared("bytes", "INT32", (-1, 2048)),)
    assert model.outputs == (Declared("target_label", "FP32", (-1, 214)),)


def test_weights_are_no_inputs(tmp_path: Path) -> None:
    """Initialisers listed among the inputs, as old exporters do, need not be given."""
    model = read_onnx(double(tmp_path / "double.onnx"))
    listed = onnx_bytes(
        [helper.make_node("Reshape", ["x", "s"], ["y"])], [X, ("s", TensorProto.INT64, [2])], [Y], [whole([-1, 4])]
    )

    assert [each.name for each in model.outputs] == ["y", "total"]
    assert [each.name for each in parse_onnx(listed).inputs] == ["x"]


def test_a_few_bytes_that_ask_for_much_are_refused() -> None:
    """A model of less than 100 bytes that wants 8 GB."""
    assert len(bomb()) < 100
    assert fails(bomb()).code == "model.onnx_bomb"


def test_a_loop_is_refused() -> None:
    """Control flow does not enter, least of all 2^62 rounds of it."""
    assert fails(loop()).code == "model.onnx_operator"


@pytest.mark.parametrize("place", ["../w.bin", "/etc/passwd", "w.bin", "sub/../../w.bin"])
def test_weights_in_another_file_are_refused(place: str) -> None:
    """Inside the folder or out of it: a model is one file."""
    assert fails(external(place)).code == "model.onnx_external"


@pytest.mark.parametrize(
    ("node", "inputs", "weights", "attributes"),
    [
        ("Expand", ["x", "s"], [whole([2**20, 2**20])], {}),
        ("Tile", ["x", "s"], [whole([2**30, 1])], {}),
        ("Reshape", ["x", "s"], [whole([2**40, 4])], {}),
        ("Pad", ["x", "s"], [whole([0, 0, 2**40, 0])], {}),
        ("OneHot", ["x", "s", "x"], [whole([2**40])], {}),
        ("Range", ["a", "b", "c"], [whole([0], "a"), whole([2**40], "b"), whole([1], "c")], {}),
        ("ConstantOfShape", ["s"], [whole([ELEMENTS_MAX + 1])], {}),
    ],
    ids=["expand", "tile", "reshape", "pad", "onehot", "range", "one past"],
)
def test_a_constant_size_above_the_limit_is_refused(
    node: str, inputs: list[str], weights: list[onnx.TensorProto], attributes: dict[str, Any]
) -> None:
    """Sizes that stand in the file are computed, not allocated."""
    assert fails(one(node, inputs, weights, **attributes)).code == "model.onnx_bomb"


def test_a_constant_node_is_a_constant_too() -> None:
    """Sizes from Constant nodes count as those from weights."""
    for attributes in ({"value": whole([2**40])}, {"value_ints": [2**40]}):
        nodes = [
            helper.make_node("Constant", [], ["s"], **attributes),
            helper.make_node("ConstantOfShape", ["s"], ["y"]),
        ]

        assert fails(onnx_bytes(nodes, [], [Y])).code == "model.onnx_bomb"


@pytest.mark.parametrize(
    "data",
    [
        one("Expand", ["x", "s"], [whole([8, 4])]),
        one("Reshape", ["x", "s"], [whole([0, -1])]),
        one("ConstantOfShape", ["s"], [whole([ELEMENTS_MAX])]),
        one("Reshape", ["x", "x"]),
        one("Dropout", ["x"]),
    ],
    ids=["expand", "reshape", "largest", "from data", "dropout"],
)
def test_sensible_sizes_pass(data: bytes) -> None:
    """The limit itself is allowed, and what the data decides is left to the sandbox."""
    assert parse_onnx(data).outputs == (Declared("y", "FP32", (-1, 4)),)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (one("Nonsense"), "model.onnx_operator"),
        (one("RandomNormalLike"), "model.onnx_operator"),
        (one("SequenceConstruct"), "model.onnx_operator"),
        (one("ZipMap", domain="ai.onnx.ml"), "model.onnx_operator"),
        (one("Attention", domain="com.microsoft"), "model.onnx_operator"),
        (one("Add", ["x", "x"], domain="my.own"), "model.onnx_operator"),
        (one("Dropout", ["x", "r", "t"]), "model.onnx_operator"),
        (one("If", ["x"], then_branch=subgraph(), else_branch=subgraph()), "model.onnx_operator"),
        (one("Identity", ["x"], body=subgraph()), "model.onnx_subgraph"),
        (onnx_bytes([helper.make_node("Identity", ["x"], ["y"])], [X], [Y], domains=["my.own"]), "model.onnx_domain"),
        (onnx_bytes([helper.make_node("Identity", ["x"], ["y"])], [("x", 14, [1])], [Y]), "model.onnx_type"),
    ],
    ids=[
        "unknown",
        "random",
        "sequence",
        "zipmap",
        "microsoft",
        "domain",
        "dropout",
        "if",
        "hidden",
        "import",
        "complex",
    ],
)
def test_what_is_not_on_the_list_is_refused(data: bytes, code: str) -> None:
    """Operators, domains and datatypes are allow-lists."""
    error = fails(data)

    assert (type(error), error.code) == (Rejected, code)


def test_functions_training_and_sparse_weights_are_refused() -> None:
    """Parts of the format that no served model needs."""
    function, training, sparse = (onnx.ModelProto.FromString(one("Identity")) for _ in range(3))
    function.functions.add(name="f", domain="d")
    training.training_info.add()
    sparse.graph.sparse_initializer.add()

    codes = [fails(model.SerializeToString()).code for model in (function, training, sparse)]
    assert codes == ["model.onnx_subgraph", "model.onnx_subgraph", "model.onnx_type"]


@pytest.mark.parametrize(
    "weight",
    [
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**40]),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], raw_data=bytes(15)),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4], raw_data=bytes(16)),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], float_data=[1.0]),
        TensorProto(name="w", data_type=TensorProto.STRING, dims=[1], raw_data=bytes(1)),
    ],
    ids=["none", "short", "negative", "few", "string"],
)
def test_weights_hold_what_their_dimensions_say(weight: onnx.TensorProto) -> None:
    """In a weight list or in an attribute."""
    assert isinstance(fails(one("Add", ["x", "w"], [weight])), Malformed)
    nodes = [helper.make_node("Constant", [], ["w"], value=weight), helper.make_node("Add", ["x", "w"], ["y"])]
    assert isinstance(fails(onnx_bytes(nodes, [X], [Y])), Malformed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not protobuf",
        b"\x08\x09",
        onnx_bytes([helper.make_node("Identity", ["x"], ["y"])], [X], []),
        onnx_bytes([helper.make_node("Identity", ["x"], ["y"])], [X, X], [Y]),
    ],
    ids=["empty", "noise", "no graph", "no output", "name twice"],
)
def test_what_is_no_model_is_malformed(data: bytes) -> None:
    """Broken files have their own code."""
    error = fails(data)

    assert (type(error), error.code) == (Malformed, "model.onnx")


@given(st.integers(0, 1000), st.binary(max_size=6), st.integers(0, 6))
def test_only_typed_errors_leave_the_reader(at: int, put: bytes, drop: int) -> None:
    """A good model with a few bytes replaced, dropped or put in."""
    good = one("Expand", ["x", "s"], [whole([8, 4])])
    at %= len(good)

    assert code_of(lambda: parse_onnx(good[:at] + put + good[at + drop :])).startswith(("fine", "model.onnx"))
