"""The verifier's coins, drawn from all that was said before (Fiat and Shamir).

Every value goes in under a label and with its length, so that no two conversations give the same bytes. Specified in
docs/spec/zk.md, section 3.
"""

from hashlib import sha256
from typing import Final

from paraph.core.errors import must
from paraph.proofs.zk.field import Ext, P

START: Final = sha256(b"paraph/zk/1").digest()


class Transcript:
    """One conversation; both sides keep one and must say the same."""

    def __init__(self) -> None:
        self._state = START

    def absorb(self, label: bytes, data: bytes) -> None:
        """Take in what the prover sent, or what both know."""
        self._state = sha256(self._state + b"\0" + _named(label) + len(data).to_bytes(8, "little") + data).digest()

    def challenge(self, label: bytes) -> Ext:
        """An element of the extension that depends on all that was absorbed."""
        block = sha256(self._state + b"\1" + _named(label)).digest()
        self._turn(label)
        words = [int.from_bytes(block[at : at + 8], "little") % P for at in range(0, 32, 8)]
        return (words[0], words[1], words[2], words[3])

    def indices(self, label: bytes, count: int, below: int) -> list[int]:
        """So many numbers below a power of two; some may be equal."""
        must(below & below - 1 == 0, "the numbers of a power of two are drawn without bias")
        found: list[int] = []
        number = 0
        while len(found) < count:
            block = sha256(self._state + b"\3" + _named(label) + number.to_bytes(4, "little")).digest()
            found += [int.from_bytes(block[at : at + 4], "little") % below for at in range(0, 32, 4)]
            number += 1
        self._turn(label)
        return found[:count]

    def _turn(self, label: bytes) -> None:
        self._state = sha256(self._state + b"\2" + _named(label)).digest()


def _named(label: bytes) -> bytes:
    return len(label).to_bytes(1, "little") + label
