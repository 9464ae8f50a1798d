"""Attestation documents of the vectors' simulated enclaves: Nitro's form, every part of which can be wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vectors.certificates import EVIDENCE, MACHINE, ROOT, Certificate, numbers
from vectors.validators import seeded
from vectors.world import TIME_S

from paraph.core import cbor

MODULE: Final = "sim-i-0123456789abcdef0-enc0123456789abcdef"
MADE_S: Final = TIME_S + 290
"""When the document was made that the enclave was registered with."""
PROTECTED: Final = bytes.fromhex("a1013822")
"""{1: -35}: the algorithm is ES384."""
LEAF: Final = Certificate(f"{MODULE}.machine.sim", 99, MADE_S - 60, MADE_S + 3 * 3_600, authority=False, usage=EVIDENCE)


def measurement(name: str) -> bytes:
    """48 bytes that a name stands for."""
    return (seeded(name) + seeded(name + " again"))[:48]


PCRS: Final[Mapping[int, bytes]] = {
    **{index: measurement(f"pcr{index}") for index in range(3)},
    3: bytes(48),
    8: measurement("pcr8"),
}


@dataclass(frozen=True)
class Document:
    """A document to be made.

    Args:
        chain: the authorities, root first; `leaf` the certificate of the enclave.
        said: what it says in place of what it says otherwise; `...` leaves it out.
        bundle: the authorities that it names, in place of those made.
        certificate: the leaf that it names, in place of the one made.
        protected, unprotected: the headers. context, outside: of what is signed.
        signer: whose key signs, in place of the leaf's.
    """

    chain: tuple[Certificate, ...] = (ROOT, MACHINE)
    leaf: Certificate = LEAF
    said: Mapping[Any, Any] = field(default_factory=dict)
    bundle: Sequence[bytes] | None = None
    certificate: bytes | None = None
    protected: bytes = PROTECTED
    unprotected: Any = field(default_factory=dict)
    context: str = "Signature1"
    outside: bytes = b""
    signer: str = ""

    def certificates(self) -> list[bytes]:
        """The chain, root first, and the leaf."""
        places = (*self.chain, self.leaf)
        return [each.made(places[max(place - 1, 0)]) for place, each in enumerate(places)]

    def payload(self) -> bytes:
        """What is signed over."""
        *authorities, leaf = self.certificates()
        said: dict[Any, Any] = {
            "module_id": MODULE,
            "digest": "SHA384",
            "timestamp": MADE_S * 1_000,
            "pcrs": dict(PCRS),
            "certificate": leaf if self.certificate is None else self.certificate,
            "cabundle": authorities if self.bundle is None else list(self.bundle),
            "public_key": b"a key",
            "user_data": b"bound",
            "nonce": b"asked",
        } | dict(self.said)
        return cbor.encode({name: value for name, value in said.items() if value is not ...})

    def signature(self, payload: bytes) -> bytes:
        """The signature over a payload, as r ‖ s."""
        message = cbor.encode([self.context, self.protected, self.outside, payload])
        return b"".join(number.to_bytes(48, "big") for number in numbers(self.signer or self.leaf.name, message))

    def made(self) -> bytes:
        """The document."""
        payload = self.payload()
        return sealed(payload, self.signature(payload), self.protected, self.unprotected)

    def but(self, **changes: Any) -> "Document":
        """The same with other parts."""
        return replace(self, **changes)

    def saying(self, **said: Any) -> "Document":
        """The same that says otherwise."""
        return replace(self, said={**self.said, **said})

    def with_leaf(self, **changes: object) -> "Document":
        """The same with another leaf."""
        return replace(self, leaf=self.leaf.but(**changes))

    def with_machine(self, **changes: object) -> "Document":
        """The same with another authority between root and leaf."""
        return replace(self, chain=(self.chain[0], self.chain[1].but(**changes)))


def sealed(payload: Any, signature: Any, protected: Any = PROTECTED, unprotected: Any = None) -> bytes:
    """The COSE structure of those parts."""
    return cbor.encode([protected, {} if unprotected is None else unprotected, payload, signature])
