"""What a verifier hears: a proof's bytes in order, and values that in mode 2 are known up to pads only.

Specified in docs/spec/zk.md, sections 3, 7 and 9.
"""

from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NoReturn

import numpy as np

from paraph.adapters.provers.kernels import Words
from paraph.adapters.provers.speech import MINUS_ONE, Form, join, times
from paraph.core.errors import Unverified
from paraph.proofs.zk.field import ELEMENT_BYTES, EXTENSION_BYTES, ONE, ZERO, Ext, P, add, mul, sub
from paraph.proofs.zk.plan import Plan
from paraph.proofs.zk.statement import Mode
from paraph.proofs.zk.transcript import Transcript

_EXTENSION: Final = Struct("<4I")


def refuse(code: str, sentence: str) -> NoReturn:
    """End the verification. Raises `Unverified`."""
    raise Unverified(((code, sentence),))


@dataclass(frozen=True, slots=True)
class Value:
    """A value: what is known, and pads by number, each times a factor."""

    known: Ext
    pads: Form

    def plus(self, other: "Value", factor: Ext = ONE) -> "Value":
        """The sum with another value times a factor."""
        if not self.pads and not other.pads:
            return Value(add(self.known, mul(other.known, factor)), {})
        pads = dict(self.pads)
        join(pads, other.pads, factor)
        return Value(add(self.known, mul(other.known, factor)), pads)

    def minus(self, other: "Value") -> "Value":
        """The difference."""
        return self.plus(other, MINUS_ONE)

    def less(self, known: Ext) -> "Value":
        """The difference with what is known."""
        return Value(sub(self.known, known), self.pads)

    def times(self, factor: Ext) -> "Value":
        """The product with what is known."""
        return Value(mul(self.known, factor), times(self.pads, factor) if self.pads else {})


@dataclass(slots=True)
class Hearing:
    """One verification.

    Args:
        plan: the layout.
        transcript: already knows the statement.
        proof: all bytes.
    """

    plan: Plan
    transcript: Transcript
    proof: bytes
    equations: list[Value] = field(default_factory=list)
    """What must be zero, in mode 2."""
    products: list[tuple[int, int]] = field(default_factory=list)
    """The pads of each product's factors, in mode 2."""
    _at: int = 0
    _messages: int = 0

    @property
    def hiding(self) -> bool:
        """Whether messages come under pads."""
        return self.plan.mode is Mode.HIDING

    def take(self, size: int) -> bytes:
        """So many bytes. Raises `Unverified` (`zk.length`) when the proof ends before."""
        found = self.proof[self._at : self._at + size]
        if len(found) != size:
            refuse("zk.length", "the proof ends before all that its model and its requests need")
        self._at += size
        return found

    def end(self) -> None:
        """Nothing may be left. Raises `Unverified` (`zk.length`)."""
        if self._at != len(self.proof):
            refuse("zk.length", f"the proof is {len(self.proof) - self._at} bytes longer than it may be")

    def sent(self, label: bytes) -> Ext:
        """An element as it was sent. Raises `Unverified` (`zk.length`, `zk.encoding`)."""
        data = self.take(EXTENSION_BYTES)
        self.transcript.absorb(label, data)
        a, b, c, d = _EXTENSION.unpack(data)
        if a >= P or b >= P or c >= P or d >= P:
            refuse("zk.encoding", f"the message {label.decode()} is not a canonical field element")
        return a, b, c, d

    def elements(self, label: bytes, count: int) -> Words:
        """Elements that were sent as one, (4, count), plain. Raises as `sent` does."""
        data = self.take(count * EXTENSION_BYTES)
        self.transcript.absorb(label, data)
        return np.ascontiguousarray(canonical(data, label.decode()).reshape(count, 4).T)

    def message(self, label: bytes) -> Value:
        """A value that the prover says. Raises as `sent` does."""
        value = self.sent(label)
        if not self.hiding:
            return Value(value, {})
        self._messages += 1
        return Value(value, {self._messages - 1: MINUS_ONE})

    def challenge(self, label: bytes) -> Ext:
        """A coin."""
        return self.transcript.challenge(label)

    def product(self, x: Value, y: Value) -> Value:
        """The product of two messages."""
        known = mul(x.known, y.known)
        if not self.hiding:
            return Value(known, {})
        (left,), (right,) = x.pads, y.pads
        made = self.plan.messages + 3 * len(self.products)
        self.products.append((left, right))
        return Value(known, {right: sub(ZERO, x.known), left: sub(ZERO, y.known), made: ONE})

    def zero(self, value: Value, code: str, sentence: str) -> None:
        """What must be zero: checked now in mode 1, with all else in mode 2. Raises `Unverified`."""
        if self.hiding:
            self.equations.append(value)
        elif value.known != ZERO:
            refuse(code, sentence)


def canonical(data: bytes, what: str) -> Words:
    """Base elements. Raises `Unverified` (`zk.encoding`)."""
    found = np.frombuffer(data, "<u4", len(data) // ELEMENT_BYTES).astype(np.uint32)
    if (found >= P).any():
        refuse("zk.encoding", f"{what} holds what is not a canonical field element")
    return found
