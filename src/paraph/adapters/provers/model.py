"""An exact model with its card: made from an ONNX file, kept as a folder, checked against the file again.

A folder holds `graph.json`, `weights.bin` and `card.json`. Whoever can write there can put another model in: its
identity, the exact id that a registration holds, would be another.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.card import CARD_BYTES_MAX, Card, card_from_bytes, card_of
from paraph.adapters.provers.certificate import Certificate, Compared, certify, need_same, original_scores
from paraph.adapters.provers.execute import Exact
from paraph.adapters.provers.importing import import_onnx
from paraph.adapters.provers.quantize import quantize
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.proofs.zk.graph import GRAPH_BYTES_MAX, Graph
from paraph.proofs.zk.graph_json import graph_from_bytes

GRAPH: Final = "graph.json"
WEIGHTS: Final = "weights.bin"
CARD: Final = "card.json"
FILES: Final = (GRAPH, WEIGHTS, CARD)


@dataclass(frozen=True, slots=True)
class ExactModel:
    """An exact model and its card.

    Raises:
        Malformed: `exact.card`: the card is of a model with other inputs or outputs.
    """

    graph: Graph
    weights: bytes
    card: Card

    def __post_init__(self) -> None:
        shape = self.graph.shapes[-1]
        if self.card.input != self.graph.input or self.card.outputs != shape[0] * shape[1] * shape[2]:
            raise Malformed("exact.card", "the card is of a model with other inputs or outputs")


def make(onnx: bytes, calibration: NDArray[Any]) -> ExactModel:
    """An exact model from an ONNX file, without a certificate.

    Args:
        onnx: the file.
        calibration: typical inputs, the batch first.

    Raises:
        Malformed: as `import_onnx` and `quantize` do.
    """
    network = import_onnx(onnx)
    found = quantize(network, calibration)
    return ExactModel(found.graph, found.weights, card_of(network, found))


def certified(model: ExactModel, onnx: bytes, data: NDArray[Any], first: int) -> ExactModel:
    """The model with a certificate about the rows of `data` from `first` on.

    Raises:
        Malformed: `exact.onnx`. Rejected: `exact.holdout`, `exact.input`.
    """
    return replace(model, card=replace(model.card, certificate=_compared(model, onnx, data[first:], first)))


def recheck(model: ExactModel, onnx: bytes, data: NDArray[Any]) -> Certificate:
    """Compute a model's certificate again, from the original file and the data.

    Returns:
        What was found.

    Raises:
        Rejected: `exact.certificate`: the card has none, or the data has not its rows.
        Unverified: `certificate.…`: every part that is not as the certificate says.
        Malformed: `exact.onnx`.
    """
    claimed = model.card.certificate
    if claimed is None:
        raise Rejected("exact.certificate", "the model's card has no certificate")
    end = claimed.first + claimed.inputs
    if len(data) < end:
        raise Rejected("exact.certificate", f"the certificate is about rows up to {end}; the data has {len(data)}")
    found = _compared(model, onnx, data[claimed.first : end], claimed.first)
    need_same(claimed, found)
    return found


def _compared(model: ExactModel, onnx: bytes, rows: NDArray[Any], first: int) -> Certificate:
    if not len(rows):
        raise Rejected("exact.holdout", "no rows are left to compare with: give more data, or a file of its own")
    card = model.card
    # What the original is given is what is hashed: single precision.
    inputs = np.asarray(rows, np.float32)
    outputs = Exact(model.graph, model.weights).run(card.to_int8(inputs))
    shaped = inputs.reshape(len(inputs), *card.input)
    original = original_scores(onnx, card.tensor, card.input_name, shaped)
    parts = outputs, card.from_int32(outputs), original
    return certify(Compared(onnx, model.graph.bytes, model.weights, first, shaped, *parts))


def save(model: ExactModel, folder: Path) -> None:
    """Write the three files.

    Raises:
        Rejected: `exact.exists`: one of them is there already. Malformed: `exact.card`: the card is too large.
    """
    parts = {GRAPH: model.graph.bytes, WEIGHTS: model.weights, CARD: model.card.bytes}
    if len(parts[CARD]) > CARD_BYTES_MAX:
        raise Malformed("exact.card", f"the card has {len(parts[CARD])} bytes; at most {CARD_BYTES_MAX}")
    there = [name for name in parts if (folder / name).exists()]
    if there:
        raise Rejected("exact.exists", f"{folder / there[0]} is there already: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in parts.items():
        part = folder / f"{name}.part"
        part.write_bytes(data)
        part.replace(folder / name)


def load(folder: Path) -> ExactModel:
    """Read the three files.

    Raises:
        Unavailable: `exact.files`: one is missing. Malformed: `graph.…`, `json.…`, `exact.…`.
    """
    graph = graph_from_bytes(_read(folder / GRAPH, GRAPH_BYTES_MAX))
    weights = _read(folder / WEIGHTS, graph.weights_size)
    Exact(graph, weights)
    return ExactModel(graph, weights, card_from_bytes(_read(folder / CARD, CARD_BYTES_MAX)))


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise Unavailable("exact.files", f"{path} cannot be read: {error.strerror}") from error
    if len(data) > bytes_max:
        raise Malformed("exact.files", f"{path} is larger than {bytes_max} bytes")
    return data
