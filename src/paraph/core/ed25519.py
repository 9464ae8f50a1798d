"""ed25519 signatures (RFC 8032), verified only: the keys with which validators sign their votes.

Every machine must give the same answer, whatever library is below. So the two places where libraries differ are decided
here, before one is asked: a key that is not spelled canonically, and a key of small order, under which anyone can make
signatures without a secret. Both are refused.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_FIELD: Final = 2**255 - 19
_ORDER_8_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8_Y, _FIELD - _ORDER_8_Y})
"""The y of all eight points whose order divides 8: of order 4, 1, 2, and 8."""


def usable(key: bytes) -> bool:
    """True for 32 bytes that spell a point's y canonically and are not of small order. The point may yet not exist."""
    y = int.from_bytes(key, "little") & (2**255 - 1)
    return len(key) == KEY_BYTES and y < _FIELD and y not in _SMALL_ORDER_Y


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """True when `key` made `signature` over `message`. Any bytes may be passed; what is malformed verifies nothing."""
    if not usable(key) or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):  # some libraries refuse a point that is not on the curve with a ValueError
        return False
    return True
