"""An ONNX file as a network in floating point, or the reason why it cannot be one.

What only words the scores at the end (Softmax, ArgMax, labels) is cut off: it changes nothing of which score is the
largest, and anyone can compute it from them.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np

from paraph.adapters.provers.folding import folded
from paraph.adapters.provers.network import Decision, Network, Tail
from paraph.adapters.provers.onnx_file import OnnxFile, Operator, read_file
from paraph.adapters.provers.operators import READERS, linear_classifier
from paraph.adapters.provers.scene import Scene, refuse
from paraph.adapters.provers.signals import Building, Signal, Value, Worded, stored
from paraph.core.errors import Malformed

WORDING: Final = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "Hardmax", "Normalizer"})
"""What may begin a wording, if nothing but wording follows."""
AFTER: Final = WORDING | frozenset(
    "ArrayFeatureExtractor Cast Concat Flatten Identity LabelEncoder Reshape Squeeze Sub Unsqueeze ZipMap".split()
)
"""What may follow, reading nothing but the wording and constants: a comparison may not, for its threshold says more."""
TREES: Final = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"})
CLASSES: Final = frozenset({"Softmax", "LogSoftmax", "ArgMax", "Hardmax", "ZipMap", "LinearClassifier", "Normalizer"})
"""Operators that say that one score for each class stands before them."""


def import_onnx(data: bytes) -> Network:
    """Read an ONNX file.

    Raises:
        Malformed: `exact.onnx`: not an ONNX model. `exact.op`: an operator, or a use of one, that has no exact form;
            the sentence names it. `exact.shape`: shapes that do not fit, or of too many sides. `exact.output`: several
            outputs.
    """
    return _Importing(read_file(data)).network()


class _Importing:
    def __init__(self, file: OnnxFile) -> None:
        if len(file.inputs) != 1:
            raise Malformed("exact.onnx", f"an exact model has one input; the file has {len(file.inputs)}")
        self._file = file
        name, shape = file.inputs[0]
        self._input = shape[1:]
        self._building = Building(stored(self._input))
        self._values: dict[str, Value] = {**file.constants, name: Signal(0, self._input)}
        self._words = _wordings(file.operators, file.constants)

    def network(self) -> Network:
        """All of it."""
        for number, operator in enumerate(self._file.operators):
            found = self._read(operator, words=number in self._words)
            self._values.update(zip(filter(None, operator.outputs), found, strict=False))
        tail, tensor = self._tail()
        shape = self._input if len(self._input) == 1 else self._building.input
        network = Network(self._file.inputs[0][0], shape, tuple(self._building.steps), tail)
        return folded(network, tensor)

    def _read(self, operator: Operator, *, words: bool) -> tuple[Value, ...]:
        missing = [name for name in operator.inputs if name and name not in self._values]
        if missing:
            raise Malformed("exact.onnx", f"{operator} reads {missing[0][:80]!r}, which nothing makes")
        values = tuple(self._values[name] if name else None for name in operator.inputs)
        worded = next((each for each in values if isinstance(each, Worded)), None)
        if worded is not None:
            if operator.name not in AFTER:
                why = "it works on probabilities in the middle of the network, which has no exact form here"
                raise refuse(operator, why)
            return (_and_then(worded, operator, values),) * len(operator.outputs)
        first = values[0] if values else None
        if operator.name == "LinearClassifier":
            return self._classified(Scene(self._building, operator, values))
        if words and isinstance(first, Signal):
            start = Worded(first, operator.inputs[0], ())
            return (_and_then(start, operator, values),) * len(operator.outputs)
        if operator.name in TREES:
            why = "trees of decisions have no exact form yet; a linear model or a network of the same data has"
            raise refuse(operator, why)
        reader = READERS.get((operator.domain, operator.name))
        if reader is None:
            known = ", ".join(sorted({name for _, name in READERS} | {"LinearClassifier"}))
            raise refuse(operator, f"it has no exact form here. Supported: {known}; at the end also Softmax and labels")
        try:
            return (reader(Scene(self._building, operator, values)),)
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            raise refuse(operator, f"its attributes and inputs do not fit together ({error})") from error

    def _classified(self, scene: Scene) -> tuple[Value, ...]:
        operator = scene.operator
        scores = linear_classifier(scene)
        labels = _labels(operator.attributes.get("classlabels_ints") or operator.attributes["classlabels_strings"])
        worded = Worded(scores, operator.outputs[-1], ("LinearClassifier",), labels)
        return worded, worded

    def _tail(self) -> tuple[Tail, int]:
        """How the outputs come from one tensor."""
        cut: list[str] = []
        labels: tuple[str, ...] = ()
        scores = ""
        found: dict[tuple[int, str], Signal] = {}
        for name in self._file.outputs:
            value = self._values.get(name)
            if isinstance(value, Worded):
                cut += [each for each in value.cut if each not in cut]
                labels = labels or value.labels
                found.setdefault((value.scores.tensor, _curve_name(value.scores)), value.scores)
                scores = value.name
            elif isinstance(value, Signal):
                found.setdefault((value.tensor, _curve_name(value)), value)
                scores = scores or name
            else:
                raise Malformed("exact.output", f"the output {name[:80]!r} does not depend on the input")
        if len(found) != 1:
            raise Malformed("exact.output", "the file gives several different tensors: export it with one output")
        signal = next(iter(found.values()))
        tensor = self._building.settled(signal)
        count = int(np.prod(self._building.shape(tensor)))
        if labels and len(labels) != (2 if count == 1 else count):
            labels = ()
        decision = _decision(cut, count) if len(signal.shape) == 1 else "none"
        return Tail(scores, tuple(cut), decision, labels), tensor


def _curve_name(signal: Signal) -> str:
    return "" if signal.curve is None else f"{id(signal.curve)}"


def _decision(cut: list[str], count: int) -> Decision:
    if count == 1:
        return "sign" if cut else "none"
    return "argmax" if CLASSES.intersection(cut) else "none"


def _and_then(worded: Worded, operator: Operator, values: tuple[Value | None, ...]) -> Worded:
    """One more operator of a wording, and the labels it names."""
    labels = worded.labels
    if operator.name == "ArrayFeatureExtractor" and isinstance(values[0], np.ndarray):
        labels = _labels(values[0].ravel().tolist())
    if operator.name == "LabelEncoder":
        labels = ()  # it gives them other names
    for name in ("classlabels_int64s", "classlabels_strings"):
        labels = _labels(operator.attributes.get(name, ())) or labels
    return Worded(worded.scores, worded.name, (*worded.cut, operator.name), labels)


def _labels(found: Any) -> tuple[str, ...]:
    return tuple(each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in found)


def _wordings(operators: tuple[Operator, ...], constants: Collection[str]) -> frozenset[int]:
    """The operators that begin a wording: all that follows words it, and reads nothing else of the network."""
    readers: dict[str, list[int]] = {}
    for number, operator in enumerate(operators):
        for name in operator.inputs:
            readers.setdefault(name, []).append(number)
    known = {name for operator in operators if operator.name == "Constant" for name in operator.outputs}.union(
        constants
    )
    starts = (number for number, operator in enumerate(operators) if operator.name in WORDING)
    return frozenset(number for number in starts if _only_words(operators, readers, known, number))


def _only_words(
    operators: tuple[Operator, ...], readers: Mapping[str, list[int]], constants: Collection[str], start: int
) -> bool:
    reached, left = {start}, [start]
    while left:
        for name in operators[left.pop()].outputs:
            fresh = set(readers.get(name, ())) - reached
            reached |= fresh
            left += fresh
    made = {name for number in reached for name in operators[number].outputs}.union(constants, ("",))
    for number in reached - {start}:
        operator = operators[number]
        # One minus a probability is a wording; what is left of a difference otherwise is not looked into.
        counts_down = operator.name != "Sub" or operator.input(0) in constants
        if operator.name not in AFTER or not made.issuperset(operator.inputs) or not counts_down:
            return False
    return True
