"""What a prover says and hears; in mode 2 each message under a pad, and what then holds between pads.

A verifier of mode 2 knows a message as what was sent less its pad. So each equation that it would check becomes one
between pads: factors of pads by number, whose sum with what is known is zero. Specified in docs/spec/zk.md, sections 3,
7 and 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from paraph.adapters.provers.elements import packed
from paraph.core.errors import must
from paraph.proofs.zk.field import ONE, ZERO, Ext, add, mul, sub
from paraph.proofs.zk.plan import Plan
from paraph.proofs.zk.transcript import Transcript

Form: TypeAlias = dict[int, Ext]
"""Pads by number, each times a factor."""
MINUS_ONE: Ext = sub(ZERO, ONE)


@dataclass(slots=True)
class Speech:
    """One proof as it is made.

    Args:
        plan: the layout.
        transcript: what was said so far.
        pads: of the messages; empty in mode 1.
    """

    plan: Plan
    transcript: Transcript
    pads: Sequence[Ext]
    data: bytearray = field(default_factory=bytearray)
    """The proof so far."""
    equations: list[Form] = field(default_factory=list)
    """In mode 2, in the order in which a verifier meets them."""
    products: list[tuple[int, int]] = field(default_factory=list)
    """The pads of each product's factors, in mode 2."""
    _said: list[Ext] = field(default_factory=list)

    def put(self, label: bytes, value: Ext) -> None:
        """Send an element as it is."""
        data = packed(value)
        self.data += data
        self.transcript.absorb(label, data)

    def put_all(self, label: bytes, data: bytes) -> None:
        """Send elements as one."""
        self.data += data
        self.transcript.absorb(label, data)

    def say(self, label: bytes, value: Ext) -> int:
        """Send a message; its number."""
        number = len(self._said)
        must(number < self.plan.messages, "the plan knows how many messages there are")
        if self.pads:
            value = add(value, self.pads[number])
        self._said.append(value)
        self.put(label, value)
        return number

    def hear(self, label: bytes) -> Ext:
        """Draw a challenge."""
        return self.transcript.challenge(label)

    def product(self, x: int, y: int) -> Form:
        """The product of two messages, in mode 2."""
        made = self.plan.messages + 3 * len(self.products)
        self.products.append((x, y))
        return {y: sub(ZERO, self._said[x]), x: sub(ZERO, self._said[y]), made: ONE}

    @property
    def ended(self) -> bool:
        """Whether all messages were said."""
        return len(self._said) == self.plan.messages


def message(number: int) -> Form:
    """A message's own form."""
    return {number: MINUS_ONE}


def join(form: Form, other: Form, factor: Ext = ONE) -> None:
    """Add a form times a factor to a form."""
    for pad, each in other.items():
        found = mul(each, factor)
        form[pad] = add(form[pad], found) if pad in form else found


def times(form: Form, factor: Ext) -> Form:
    """A form times a factor."""
    return {pad: mul(each, factor) for pad, each in form.items()}
