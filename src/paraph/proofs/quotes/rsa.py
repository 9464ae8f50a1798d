"""RSA-PSS with SHA-384 (RFC 8017), by which AMD's authorities sign: 4 096 bits, a salt of 48 bytes, nothing else."""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA384

from paraph.core import der
from paraph.core.errors import Malformed

KEY_BITS: Final = 4_096
EXPONENT: Final = 65_537
SALT_BYTES: Final = 48

RSA: Final = bytes.fromhex("300d06092a864886f70d0101010500")
"""A key's algorithm identifier, whole."""
PSS_SHA384: Final = (
    bytes.fromhex(
        "304106092a864886f70d01010a3034a00f300d06096086480165030402020500"
        "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130"
    ),
    bytes.fromhex(
        "304606092a864886f70d01010a3039a00f300d06096086480165030402020500"
        "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130a303020101"
    ),
)
"""Algorithm identifiers, whole: AMD writes the trailer's default out in some certificates and not in others."""


def pss_sha384(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature holds. Whatever the bytes are, this is an answer and never an error.

    Args:
        key: an RSAPublicKey (RFC 8017, A.1.1), as DER.
        message: what was signed.
        signature: the signature.
    """
    try:
        parts = der.sequence(der.read(key, "an RSA key"), "an RSA key")
        modulus, exponent = (der.integer(each, "an RSA key's number") for each in parts)
        if modulus.bit_length() != KEY_BITS or modulus < 0 or exponent != EXPONENT:
            return False
        public = RSAPublicNumbers(exponent, modulus).public_key()
        public.verify(signature, message, PSS(MGF1(SHA384()), SALT_BYTES), SHA384())
    except (Malformed, ValueError, InvalidSignature):
        return False
    return True
