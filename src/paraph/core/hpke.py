"""HPKE (RFC 9180), base mode, in the one suite that is used: bytes sealed to a public key, by anybody.

The suite is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. pyhpke does the work; here are its types turned into
ours, and its randomness into an argument. Base mode proves nothing about the sender: who pays signs the request inside.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyhpke import AEADId, CipherSuite, ContextInterface, KDFId, KEMId, KEMKey, PyHPKEError

from paraph.core.errors import Malformed, must

KEY_BYTES: Final = 32
"""Of a public key, of an encapsulated one, and of the randomness that one is made from."""
TAG_BYTES: Final = 16
"""What sealing adds."""
SUITE: Final = bytes.fromhex("002000010002")
"""The suite as it stands on the wire: KEM, KDF, AEAD, 16 bits each."""

_SUITE: Final = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)


@dataclass(frozen=True, slots=True)
class Sender:
    """Seals messages one after another; the receiver must open them in that order. It counts, so it is not a value.

    Args:
        encapsulated: what the receiver needs first.
    """

    encapsulated: bytes
    _context: ContextInterface

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """The next message, sealed together with `aad`, which is not sent."""
        return self._context.seal(plaintext, aad)

    def export(self, label: bytes, size: int) -> bytes:
        """A secret for another purpose, which both sides know."""
        return self._context.export(label, size)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Opens messages in the order in which they were sealed. It counts, so it is not a value."""

    _context: ContextInterface

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """The next message. Raises `Malformed` (`hpke.open`): other bytes, or `aad`, or key, or place."""
        try:
            return self._context.open(sealed, aad)
        except PyHPKEError as error:
            raise Malformed("hpke.open", "this was not sealed to this key, for this purpose, in this place") from error

    def export(self, label: bytes, size: int) -> bytes:
        """A secret for another purpose, which both sides know."""
        return self._context.export(label, size)


def sender(key: bytes, info: bytes, ephemeral: bytes) -> Sender:
    """Begin to seal.

    Args:
        key: the receiver's public key.
        info: what both sides must agree on.
        ephemeral: 32 random bytes, used for nothing else, ever: two messages under the same bytes lose their secrecy.

    Raises:
        Malformed: `hpke.key`: not a public key, or one that gives everybody the same secret.
    """
    must(len(ephemeral) == KEY_BYTES, "an ephemeral key is made from 32 random bytes")
    try:
        receiver = _SUITE.kem.deserialize_public_key(key)
        pair = _SUITE.kem.derive_key_pair(ephemeral)
        encapsulated, context = _SUITE.create_sender_context(receiver, info, eks=pair)
    except ValueError as error:
        raise _no_key() from error
    return Sender(encapsulated, context)


def receiver(secret: X25519PrivateKey, encapsulated: bytes, info: bytes) -> Receiver:
    """Begin to open. `encapsulated` came from the sender. Raises `Malformed` (`hpke.key`) as `sender` does."""
    try:
        own = KEMKey.from_pyca_cryptography_key(secret)
        return Receiver(_SUITE.create_recipient_context(encapsulated, own, info))
    except ValueError as error:
        raise _no_key() from error


def _no_key() -> Malformed:
    return Malformed("hpke.key", "not an X25519 public key, or one of small order")
