"""Comparing an answer with the same answer computed again: bit-equal, or where the two first differ.

Under an equal engine profile marked bit-exact, equal inputs give equal bits. A difference there means that the node did
not compute what it signed, or that its profile or ours is not what it says. Under another profile bits may differ in
good faith: so the profiles are compared first, and what differs in them is named.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core.encode import Json, JsonObject, canonical
from paraph.core.tensor import ELEMENT_BYTES, Tensor, tensor_from_json
from paraph.proofs.bundle import Bundle
from paraph.proofs.check import given_of
from paraph.proofs.profile import EngineProfile
from paraph.proofs.receipt import given_digest, response_digest

CANCELLED: Final = "cancelled"
SHOWN_MAX: Final = 40
"""Characters of each side that are shown."""
BEFORE: Final = 12
"""Characters of text shown before the place where it differs."""

TENSORS: Final = ("outputs", "embeddings")
PARTS: Final = ("kind", "token_ids", "text", "logprobs", "tool_calls", *TENSORS, "finish_reason", "usage")
"""Members of a response in the order in which they come about: what comes first caused the rest."""


@dataclass(frozen=True, slots=True)
class Again:
    """What came out this time: under which profile, what the model was given, and the whole response."""

    profile: EngineProfile
    given: Json
    response: JsonObject


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Args:
        part: what differs, as `token_ids` or `output probabilities`.
        place: index of the token, character, element or byte; None where the whole differs.
        signed, here: both sides there, shortened, as JSON or hex.
    """

    part: str
    place: int | None
    signed: str
    here: str

    @property
    def sentence(self) -> str:
        """The difference in words."""
        at = "" if self.place is None else f" at {self.place}"
        return f"{self.part}{at}: the file has {self.signed}, this run {self.here}"

    def as_json(self) -> dict[str, Json]:
        """The difference as JSON."""
        return {"part": self.part, "place": self.place, "signed": self.signed, "here": self.here}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a replay found.

    Args:
        profile: members of the engine profile that are not the same here.
        unsigned: parts of the file that are not what its receipt signs.
        first: where the answers first differ; None when every bit is equal.
        whole: False when the answer was cancelled, so that only what there was could be compared.
    """

    profile: tuple[Difference, ...]
    unsigned: tuple[str, ...]
    first: Difference | None
    whole: bool

    @property
    def equal(self) -> bool:
        """True when the answer that the receipt signs came out again, bit for bit."""
        return self.first is None and not self.unsigned

    def as_json(self) -> dict[str, Json]:
        """The comparison as JSON."""
        return {
            "equal": self.equal,
            "whole": self.whole,
            "profile_equal": not self.profile,
            "profile_differences": [each.as_json() for each in self.profile],
            "not_what_the_receipt_signs": list(self.unsigned),
            "first_difference": None if self.first is None else self.first.as_json(),
        }


def compare(bundle: Bundle, again: Again) -> Comparison:
    """Compare a saved answer with the same request computed again.

    Raises:
        Malformed: a tensor in the file cannot be read.
    """
    answer, receipt = bundle.answer, bundle.answer.receipt.receipt
    signs = {
        "given": (given_digest(given_of(bundle.body, answer.given)), receipt.given_digest),
        "response": (response_digest(answer.response), receipt.response_digest),
        "profile": (answer.profile.digest(), receipt.profile_digest),
    }
    cancelled = answer.response.get("finish_reason") == CANCELLED
    return Comparison(
        tuple(_profile(answer.profile, again.profile)),
        tuple(name for name, (found, signed) in signs.items() if found != signed),
        next(_differences(answer.given, answer.response, again, cancelled=cancelled), None),
        not cancelled,
    )


def _profile(signed: EngineProfile, here: EngineProfile) -> Iterator[Difference]:
    found = here.as_json()
    for name, value in signed.as_json().items():
        if value != found[name]:
            yield Difference(name, None, _shown(value), _shown(found[name]))


def _differences(given: Json, response: JsonObject, again: Again, *, cancelled: bool) -> Iterator[Difference]:
    for name, signed, here in _members("given", given, again.given):
        yield from _value(name, signed, here)
    others = sorted((response.keys() | again.response.keys()) - set(PARTS))
    for part in (*PARTS, *others):
        if cancelled and part in ("finish_reason", "usage"):
            # This run went on where that one was stopped.
            continue
        signed, here = response.get(part), again.response.get(part)
        if cancelled:
            here = _cut(signed, here)
        if part in TENSORS and isinstance(signed, list | tuple) and isinstance(here, list | tuple):
            yield from _tensors(part, signed, here)
        else:
            yield from _value(part, signed, here)


def _members(name: str, signed: Json, here: Json) -> Iterator[tuple[str, Json, Json]]:
    if isinstance(signed, dict) and isinstance(here, dict):
        for member in ("text", "token_ids"):
            yield f"{name} {member}", signed.get(member), here.get(member)
    yield name, signed, here


def _cut(signed: Json, here: Json) -> Json:
    """As much of `here` as the cancelled answer has."""
    if isinstance(signed, str) and isinstance(here, str):
        return here[: len(signed)]
    if isinstance(here, list | tuple):
        # Nothing at all is written as null, not as an empty list.
        return list(here[: len(signed)]) if isinstance(signed, list | tuple) else signed
    return here


def _value(part: str, signed: Json, here: Json) -> Iterator[Difference]:
    if canonical(signed) == canonical(here):
        return
    if isinstance(signed, str) and isinstance(here, str):
        place = _first(signed, here)
        start = max(place - BEFORE, 0)
        yield Difference(part, place, _shown(signed[start:]), _shown(here[start:]))
    elif isinstance(signed, list | tuple) and isinstance(here, list | tuple):
        place = _first([canonical(each) for each in signed], [canonical(each) for each in here])
        yield Difference(part, place, _at(signed, place), _at(here, place))
    else:
        yield Difference(part, None, _shown(signed), _shown(here))


def _tensors(part: str, signed: Sequence[Json], here: Sequence[Json]) -> Iterator[Difference]:
    if len(signed) != len(here):
        yield Difference(part, None, f"{len(signed)} tensors", f"{len(here)} tensors")
    else:
        for one, other in zip(signed, here, strict=True):
            yield from _tensor(tensor_from_json(one, part), tensor_from_json(other, part))


def _tensor(signed: Tensor, here: Tensor) -> Iterator[Difference]:
    name = f"output {signed.name}"
    if (signed.name, signed.datatype, signed.shape) != (here.name, here.datatype, here.shape):
        yield Difference(name, None, *(f"{each.name} {each.datatype} {list(each.shape)}" for each in (signed, here)))
    elif signed.data != here.data:
        byte = _first(signed.data, here.data)
        # Elements of BYTES have sizes of their own: there the place is that of the byte.
        size = ELEMENT_BYTES.get(signed.datatype, 1)
        place = byte // size
        sides = ("0x" + each.data[place * size : (place + 1) * size].hex() for each in (signed, here))
        yield Difference(f"{name} ({'element' if size > 1 else 'byte'})", place, *sides)


def _first(signed: Sequence[object], here: Sequence[object]) -> int:
    """The first index at which two unequal sequences differ; the length of the shorter when it begins the other."""
    pairs = enumerate(zip(signed, here, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(signed), len(here)))


def _at(values: Sequence[Json], place: int) -> str:
    return _shown(values[place]) if place < len(values) else "nothing more"


def _shown(value: Json) -> str:
    text = canonical(value).decode()
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"
