"""What a verifier hears and asks: a proof's bytes read in order, and values that may be known only up to pads.

In mode 1 a message is its value. In mode 2 it is its value plus a committed pad, so a value is an affine form in pads,
and what the verifier would check becomes an equation between pads, proven at the end. Specified in docs/spec/zk.md,
sections 7 and 9.
"""

from dataclasses import dataclass, field
from typing import NoReturn

from paraph.core.errors import Unverified, must
from paraph.proofs.zk.field import EXTENSION_BYTES, ONE, ZERO, Ext, add, from_bytes, mul, scale, sub
from paraph.proofs.zk.plan import Plan
from paraph.proofs.zk.statement import Mode
from paraph.proofs.zk.transcript import Transcript

MINUS_ONE: Ext = sub(ZERO, ONE)


def refuse(code: str, sentence: str) -> NoReturn:
    """End the verification. Raises `Unverified`."""
    raise Unverified(((code, sentence),))


@dataclass(frozen=True, slots=True)
class Form:
    """A value: a constant, and pads by number, each times a factor."""

    constant: Ext
    pads: tuple[tuple[int, Ext], ...] = ()

    def __add__(self, other: "Form") -> "Form":
        return Form(add(self.constant, other.constant), _merged(self.pads, other.pads))

    def __sub__(self, other: "Form") -> "Form":
        return self + other.times(MINUS_ONE)

    def times(self, factor: Ext) -> "Form":
        """The value times a known element."""
        return Form(mul(self.constant, factor), tuple((pad, mul(each, factor)) for pad, each in self.pads))

    def scaled(self, factor: int) -> "Form":
        """The value times an integer."""
        return Form(scale(self.constant, factor), tuple((pad, scale(each, factor)) for pad, each in self.pads))


def known(value: Ext) -> Form:
    """A value that everyone knows."""
    return Form(value)


def _merged(a: tuple[tuple[int, Ext], ...], b: tuple[tuple[int, Ext], ...]) -> tuple[tuple[int, Ext], ...]:
    if not a or not b:
        return a or b
    found = dict(a)
    for pad, factor in b:
        found[pad] = add(found[pad], factor) if pad in found else factor
    return tuple(found.items())


@dataclass(slots=True)
class Channel:
    """One verification.

    Args:
        plan: the layout.
        transcript: already knows the statement.
        proof: all bytes.
    """

    plan: Plan
    transcript: Transcript
    proof: bytes
    equations: list[Form] = field(default_factory=list)
    """Forms that must be zero, in mode 2."""
    products: list[tuple[int, int]] = field(default_factory=list)
    """The pads of each product's factors, in mode 2."""
    _at: int = 0
    _messages: int = 0

    def take(self, size: int) -> bytes:
        """So many bytes of the proof. Raises `Unverified` (`zk.length`) when it ends before."""
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
        found = from_bytes(data)
        if found is None:
            refuse("zk.encoding", f"the message {label.decode()} is not a canonical field element")
        return found

    def elements(self, label: bytes, count: int) -> list[Ext]:
        """Elements that were sent as one. Raises as `sent` does."""
        data = self.take(count * EXTENSION_BYTES)
        self.transcript.absorb(label, data)
        found = []
        for at in range(0, len(data), EXTENSION_BYTES):
            element = from_bytes(data[at : at + EXTENSION_BYTES])
            if element is None:
                refuse("zk.encoding", f"{label.decode()} holds what is not a canonical field element")
            found.append(element)
        return found

    def message(self, label: bytes) -> Form:
        """A value that the prover says. Raises as `sent` does."""
        value = self.sent(label)
        if self.plan.mode is Mode.SUCCINCT:
            return Form(value)
        pad = self._messages
        self._messages += 1
        return Form(value, ((pad, MINUS_ONE),))

    def challenge(self, label: bytes) -> Ext:
        """A coin."""
        return self.transcript.challenge(label)

    def product(self, x: Form, y: Form) -> Form:
        """The product of two messages."""
        constant = mul(x.constant, y.constant)
        if self.plan.mode is Mode.SUCCINCT:
            return Form(constant)
        must(len(x.pads) == len(y.pads) == 1, "only messages are multiplied")
        left, right = x.pads[0][0], y.pads[0][0]
        committed = self.plan.messages + 3 * len(self.products)
        self.products.append((left, right))
        pads = ((right, sub(ZERO, x.constant)), (left, sub(ZERO, y.constant)), (committed, ONE))
        return Form(constant, pads)

    def zero(self, value: Form, code: str, sentence: str) -> None:
        """What must be zero: checked now in mode 1, with all else in mode 2. Raises `Unverified`."""
        if self.plan.mode is Mode.HIDING:
            self.equations.append(value)
        elif value.constant != ZERO:
            refuse(code, sentence)
