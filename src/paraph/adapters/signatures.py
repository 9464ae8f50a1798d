"""Signatures checked before, remembered: one authority stands in many documents, and a document is looked at again.

What held once holds for ever, so remembering changes no answer, only how soon it comes. Who could write this memory
could forge signatures; it lives in its process, and takes in only what it checked itself.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final

from paraph.core.digest import sha256
from paraph.core.ident import Digest
from paraph.proofs.quotes.ecdsa import Signed, p384_sha384
from paraph.proofs.quotes.evidence import Checks
from paraph.proofs.quotes.rsa import pss_sha384

REMEMBERED_MAX: Final = 4_096
"""Signatures: of a thousand enclaves with three authorities each. Under a megabyte."""


class Remembering:
    """A check of signatures (`Signed`) that remembers what held, whatever was not asked for longest forgotten first.

    What did not hold is looked at again each time: anybody can send as much of that as they like. Threads may share it.

    Args:
        signed: looks at a signature.
        remembered_max: how many are remembered.
    """

    def __init__(self, signed: Signed, remembered_max: int = REMEMBERED_MAX) -> None:
        self._signed = signed
        self._remembered_max = remembered_max
        self._held: OrderedDict[Digest, None] = OrderedDict()
        self._lock = Lock()

    def __call__(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature holds."""
        name = _name(key, message, signature)
        with self._lock:
            if name in self._held:
                self._held.move_to_end(name)
                return True
        # Not under the lock: two threads may look at the same signature, and find the same.
        if not self._signed(key, message, signature):
            return False
        with self._lock:
            self._held[name] = None
            if len(self._held) > self._remembered_max:
                self._held.popitem(last=False)
        return True


def remembering() -> Checks:
    """Checks of what platforms sign, each with a memory of its own."""
    return Checks(Remembering(p384_sha384), Remembering(pss_sha384))


def _name(key: bytes, message: bytes, signature: bytes) -> Digest:
    """One name for the three, and for no other three: the lengths tell where each ends."""
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in (key, message, signature)))
