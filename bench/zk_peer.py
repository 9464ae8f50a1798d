"""The same network by ezkl, where the user has installed it: what its prover and its verifier take, in this run.

It is no part of paraph and not among what is installed: its packages carry no licence. It proves another thing: a
network of fixed-point numbers, by a proof of constant size, after a set-up that must be trusted; here the set-up is a
local one, good for measuring alone.
"""

import importlib.util
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.rounds import again, alternate

NAME: Final = "ezkl"
LOGROWS: Final = 15
SETTINGS: Final = {"decomp_base": 128, "decomp_legs": 4, "input_scale": 7, "param_scale": 7, "num_inner_cols": 4}
"""Those with which it is fastest on this network."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Processor time of proving and verifying one run, in ms, and the bytes of the proof."""

    prove_ms: float
    verify_ms: float
    proof_bytes: int


def installed() -> bool:
    """Whether there is anything to compare with."""
    return importlib.util.find_spec(NAME) is not None


def measure(folder: Path, sides: tuple[int, ...]) -> Peer:
    """Prove and verify one run of a dense network of these sides, once set up."""
    ezkl: Any = importlib.import_module(NAME)
    names = ("model.onnx", "settings.json", "compiled", "kzg.srs", "vk", "pk", "witness.json", "proof.json")
    model, settings, compiled, srs, vk, pk, witness, proof = (str(folder / name) for name in names)
    _export(Path(model), sides)
    data = folder / "input.json"
    data.write_text(json.dumps({"input_data": [np.linspace(-1, 1, sides[0]).tolist()]}))
    wanted = ezkl.PyRunArgs()
    for name, value in SETTINGS.items():
        setattr(wanted, name, value)
    wanted.logrows = LOGROWS
    wanted.input_visibility = wanted.output_visibility = "public"
    wanted.param_visibility = "fixed"
    ezkl.gen_settings(model, settings, py_run_args=wanted)
    ezkl.compile_circuit(model, compiled, settings)
    ezkl.gen_srs(srs, LOGROWS)
    ezkl.setup(compiled, vk, pk, srs)
    ezkl.gen_witness(str(data), compiled, witness)
    proving = alternate(1, prove=again(lambda: ezkl.prove(witness, compiled, pk, proof, srs)))
    checking = alternate(3, verify=again(lambda: ezkl.verify(proof, settings, vk, srs)))
    size = len(bytes.fromhex(json.loads(Path(proof).read_text())["hex_proof"].removeprefix("0x")))
    return Peer(1000 * proving["prove"].cpu_s, 1000 * checking["verify"].cpu_s, size)


def _export(place: Path, sides: tuple[int, ...]) -> None:
    """The network as ONNX, with random weights: dense layers, rectified between."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415  only where there is something to compare with

    rng = np.random.default_rng(5)
    nodes, weights, tensor = [], [], "input"
    for number, (inputs, outputs) in enumerate(pairwise(sides)):
        for name, shape in (("w", (outputs, inputs)), ("b", (outputs,))):
            drawn = rng.normal(0, 1 / np.sqrt(inputs), shape).astype(np.float32)
            weights.append(numpy_helper.from_array(drawn, f"{name}{number}"))
        last = number == len(sides) - 2
        sums = "output" if last else f"sums{number}"
        nodes.append(helper.make_node("Gemm", [tensor, f"w{number}", f"b{number}"], [sums], transB=1))
        if not last:
            tensor = f"rectified{number}"
            nodes.append(helper.make_node("Relu", [sums], [tensor]))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, sides[0]])
    found = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, sides[-1]])
    graph = helper.make_graph(nodes, "dense", [given], [found], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    place.write_bytes(made.SerializeToString())
