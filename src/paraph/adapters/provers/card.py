"""What people need beside an exact model: how numbers become its integers, and what its integers mean.

A model's registration commits to the graph and the weights, not to this: a card that lies makes people ask another
question than they think, and read another answer. A manifest that holds the card's digest binds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraph.adapters.provers.certificate import Certificate, answers, certificate_from_json
from paraph.adapters.provers.decimals import number_from, text_of
from paraph.adapters.provers.network import Decision, Network
from paraph.adapters.provers.quantize import Quantised
from paraph.core.encode import Json, as_integer, as_list, as_text, canonical, decode_exact, take
from paraph.core.errors import Malformed, Rejected
from paraph.proofs.zk.graph import ELEMENTS_MAX

FORMAT: Final = "paraph/exact-card/1"
CARD_BYTES_MAX: Final = 2**22
"""Scale and offset of 2^16 features, at some 30 bytes each."""
FEATURES_MAX: Final = 2**16
LABELS_MAX: Final = 4096
NAME_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Card:
    """The card of an exact model.

    Args:
        input_name: in the original file.
        input: the shape, without the batch.
        scale: what one step is worth: one for all elements, one for each channel, or one for each element.
        offset: what zero stands for, likewise.
        output_scale: what one step of an output is worth.
        outputs: how many.
        decision: how the answer follows from the scores.
        labels: what each answer is called; empty where unknown.
        tensor: the scores' name in the original file.
        cut: operators of the file behind the scores, which the exact model leaves to the reader.
        certificate: how well it agrees with the original; None before it was compared.

    Raises:
        Malformed: `exact.card`: parts that do not fit together.
    """

    input_name: str
    input: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    output_scale: float
    outputs: int
    decision: Decision
    labels: tuple[str, ...]
    tensor: str
    cut: tuple[str, ...]
    certificate: Certificate | None

    def __post_init__(self) -> None:
        count = prod(self.input)
        for numbers in (self.scale, self.offset):
            if len(numbers) not in (1, self.input[0], count):
                raise Malformed("exact.card", "scales and offsets are one, one of each channel, or one of each element")
        if 0.0 in self.scale or self.output_scale == 0:
            raise Malformed("exact.card", "a scale is not zero")
        answers_count = {"argmax": self.outputs, "sign": 2, "none": self.outputs}[self.decision]
        if (self.labels and len(self.labels) != answers_count) or (self.decision == "sign" and self.outputs != 1):
            raise Malformed("exact.card", f"{len(self.labels)} labels do not fit {self.outputs} outputs")

    def to_int8(self, values: NDArray[Any]) -> NDArray[np.int8]:
        """Inputs as the model takes them: the nearest step, held within int8.

        Args:
            values: numbers of shape (batch, …).

        Raises:
            Rejected: `exact.input`: another shape, or not finite.
        """
        found = np.asarray(values, np.float64)
        count = prod(self.input)
        if found.ndim < 2 or not len(found) or found.size != len(found) * count or not np.isfinite(found).all():
            raise Rejected("exact.input", f"the model takes rows of {count} finite numbers, not {found.shape}")
        found = found.reshape(len(found), count)
        steps = (found - self._each(self.offset)) / self._each(self.scale)
        return np.clip(np.rint(steps), -128, 127).astype(np.int8)

    def from_int32(self, outputs: NDArray[np.int32]) -> NDArray[np.float64]:
        """The scores that the model's outputs stand for."""
        return outputs.astype(np.float64) * self.output_scale

    def answer(self, outputs: Sequence[int]) -> str | None:
        """The answer in a word: a label, or its number; None where scores are the answer."""
        if self.decision == "none":
            return None
        number = int(answers(np.array([outputs], np.int64))[0])
        return self.labels[number] if self.labels else str(number)

    def as_json(self) -> dict[str, Json]:
        """As JSON; numbers that are not whole are decimal text."""
        return {
            "format": FORMAT,
            "input": {
                "name": self.input_name,
                "shape": list(self.input),
                "scale": [text_of(each) for each in self.scale],
                "offset": [text_of(each) for each in self.offset],
            },
            "output": {
                "count": self.outputs,
                "scale": text_of(self.output_scale),
                "decision": self.decision,
                "labels": list(self.labels),
                "tensor": self.tensor,
                "cut": list(self.cut),
            },
            "certificate": None if self.certificate is None else self.certificate.as_json(),
        }

    @property
    def bytes(self) -> bytes:
        """The canonical bytes."""
        return canonical(self.as_json())

    def _each(self, numbers: tuple[float, ...]) -> NDArray[np.float64]:
        return np.repeat(np.array(numbers), prod(self.input) // len(numbers))


def card_of(network: Network, quantised: Quantised) -> Card:
    """The card of a model that was just made, without a certificate."""
    shape = network.shape
    factor, shift = (np.broadcast_to(each, shape).reshape(-1) for each in (network.input_scale, network.input_offset))
    # (factor · x + shift − offset) / scale, as one offset and one scale.
    scale = quantised.input.scale / factor
    offset = (quantised.input.offset - shift) / factor
    labels = tuple(each[:NAME_BYTES_MAX] for each in network.tail.labels)
    return Card(
        input_name=network.input_name,
        input=network.input,
        scale=_shortened(scale, shape[0]),
        offset=_shortened(offset, shape[0]),
        output_scale=quantised.output_scale,
        outputs=prod(quantised.graph.shapes[-1]),
        decision=network.tail.decision,
        labels=labels,
        tensor=network.tail.tensor,
        cut=network.tail.cut,
        certificate=None,
    )


def _shortened(numbers: NDArray[np.float64], channels: int) -> tuple[float, ...]:
    by_channel = numbers.reshape(channels, -1)
    if (numbers == numbers[0]).all():
        return (float(numbers[0]),)
    if (by_channel == by_channel[:, :1]).all():
        return tuple(by_channel[:, 0].tolist())
    return tuple(numbers.tolist())


def card_from_bytes(data: bytes) -> Card:
    """Read a card.

    Raises:
        Malformed: `json.…`, `exact.number`, `exact.card`; `exact.spelling` when the bytes are not canonical.
    """
    form, ins, outs, certificate = take(
        decode_exact(data, bytes_max=CARD_BYTES_MAX), "card", "format", "input", "output", "certificate"
    )
    if form != FORMAT:
        raise Malformed("exact.card", f"the card's format must be {FORMAT}")
    name, shape, scale, offset = take(ins, "card.input", "name", "shape", "scale", "offset")
    count, unit, decision, labels, tensor, cut = take(
        outs, "card.output", "count", "scale", "decision", "labels", "tensor", "cut"
    )
    sides = as_list(shape, "card.input.shape", items_max=3)
    found = Card(
        input_name=_name(name, "card.input.name"),
        input=_shape(tuple(as_integer(each, "card.input.shape", 1, ELEMENTS_MAX) for each in sides)),
        scale=_numbers(scale, "card.input.scale"),
        offset=_numbers(offset, "card.input.offset"),
        output_scale=number_from(unit, "card.output.scale"),
        outputs=as_integer(count, "card.output.count", 1, ELEMENTS_MAX),
        decision=_decision(decision),
        labels=_names(labels, "card.output.labels"),
        tensor=_name(tensor, "card.output.tensor"),
        cut=_names(cut, "card.output.cut"),
        certificate=None if certificate is None else certificate_from_json(certificate),
    )
    if found.bytes != data:
        raise Malformed("exact.spelling", "the card's bytes are not in canonical form")
    return found


def _shape(sides: tuple[int, ...]) -> tuple[int, ...]:
    if len(sides) not in (1, 3) or prod(sides) > ELEMENTS_MAX:
        raise Malformed("exact.card", f"an input is [n] or [C, H, W] of at most {ELEMENTS_MAX} elements")
    return sides


def _numbers(value: Json, what: str) -> tuple[float, ...]:
    return tuple(number_from(each, what) for each in as_list(value, what, items_max=FEATURES_MAX))


def _names(value: Json, what: str) -> tuple[str, ...]:
    return tuple(_name(each, what) for each in as_list(value, what, items_max=LABELS_MAX))


def _name(value: Json, what: str) -> str:
    return as_text(value, what, bytes_max=4 * NAME_BYTES_MAX)


def _decision(value: Json) -> Decision:
    match value:
        case "argmax" | "sign" | "none":
            return value
        case _:
            raise Malformed("exact.card", "a decision is argmax, sign or none")
