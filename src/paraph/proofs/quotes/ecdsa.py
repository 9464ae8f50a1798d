"""ECDSA over P-384 with SHA-384 (FIPS 186-5), which the certificates and quotes of enclaves are signed with.

The library does the arithmetic. What a signature may look like is decided here, so that all validators agree on it.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from paraph.core import der
from paraph.core.errors import Malformed

Signed: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""Whether a signature (r ‖ s) is a key's (its point, uncompressed) over a message. One that remembers saves the cost
of looking twice at the authorities that many documents share."""

POINT_BYTES: Final = 97
NUMBER_BYTES: Final = 48
ORDER: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)
"""Of the curve's group."""


def p384_sha384(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds (`Signed`). Whatever the bytes are, this is an answer and never an error."""
    numbers = (signature[:NUMBER_BYTES], signature[NUMBER_BYTES:])
    r, s = (int.from_bytes(number, "big") for number in numbers)
    if len(signature) != 2 * NUMBER_BYTES or not 0 < r < ORDER or not 0 < s < ORDER:
        return False
    if len(key) != POINT_BYTES or key[0] != 4:
        return False
    try:
        public = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), key)
        public.verify(encode_dss_signature(r, s), message, ECDSA(SHA384()))
    except (ValueError, InvalidSignature):
        return False
    return True


def raw_signature(signature: bytes, size: int) -> bytes:
    """A signature as certificates hold it, a DER sequence of r and s, as r ‖ s of `size` bytes each.

    Raises:
        Malformed: `der.…`; `ecdsa.form`: not two positive numbers of that size.
    """
    numbers = [
        der.integer(each, "a signature's number") for each in der.sequence(der.read(signature, "a signature"), "it")
    ]
    if len(numbers) != 2 or not all(0 < number < 1 << 8 * size for number in numbers):
        raise Malformed("ecdsa.form", f"a signature is two positive numbers of at most {size} bytes")
    return b"".join(number.to_bytes(size, "big") for number in numbers)
