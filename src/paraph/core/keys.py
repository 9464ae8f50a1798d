"""secp256k1 signatures in Ethereum's form: 65 bytes, r ‖ s ‖ v, with v 27 or 28 and s in the lower half.

One message has one valid signature per key: the other half of s is refused, as EIP-2 refuses it in transactions.
Signing is deterministic (RFC 6979); no random number is drawn here.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import coincurve

from paraph.core.digest import keccak256
from paraph.core.errors import Malformed, must
from paraph.core.ident import Address, Digest

SIGNATURE_BYTES: Final = 65
CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER: Final = CURVE_ORDER // 2

Recover: TypeAlias = Callable[[Digest, bytes], Address]
"""What `recover` does. Who has checked signatures before, in other processes, passes one that remembers them."""


class PrivateKey:
    """A secp256k1 private key. Shows its address, never itself.

    Args:
        secret: 32 bytes, from 1 to the curve's order − 1.

    Raises:
        Malformed: `key.secret`: another length or range.
    """

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
            raise Malformed("key.secret", "a private key must be 32 bytes, from 1 to the order of secp256k1 less 1")
        self._key = coincurve.PrivateKey(secret)
        self.address: Final = _address_of(self._key.public_key)

    def sign(self, digest: Digest) -> bytes:
        """Sign a 32-byte digest. Returns r ‖ s ‖ v (65 bytes), low s."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes((27 + signature[64],))

    def dangerous_secret(self) -> bytes:
        """The 32 secret bytes themselves: for writing an encrypted key file, and nothing else."""
        return self._key.secret

    def __repr__(self) -> str:
        return f"PrivateKey(address={checksummed(self.address)})"


def recover(digest: Digest, signature: bytes) -> Address:
    """The address whose key made `signature` over `digest`.

    Raises:
        Malformed: `signature.length`, `signature.high_s`, `signature.form` (v, or r and s that no key gives).
    """
    must(len(digest) == 32, "what is signed is a 32-byte digest")
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed("signature.length", f"a signature is 65 bytes, not {len(signature)}", got=len(signature))
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        raise Malformed("signature.high_s", "the signature's s is in the upper half of the curve's order")
    if signature[64] not in (27, 28):
        raise Malformed("signature.form", f"the signature's last byte must be 27 or 28, not {signature[64]}")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes((signature[64] - 27,)), digest, hasher=None
        )
    except Exception as error:  # coincurve raises bare Exception for r or s out of range
        raise Malformed("signature.form", "no key makes this signature") from error
    return _address_of(key)


def checksummed(address: Address) -> str:
    """The address as text with EIP-55's mixed-case checksum."""
    plain = address.hex()
    digest = keccak256(plain.encode()).hex()
    letters = (letter.upper() if nibble >= "8" else letter for letter, nibble in zip(plain, digest, strict=False))
    return "0x" + "".join(letters)


def address_from_text(text: str, what: str) -> Address:
    """Read an address as people paste it: all lower, all upper, or mixed with a valid EIP-55 checksum.

    Raises:
        Malformed: `address.text`: not 20 bytes of hex, or a checksum that does not hold (a mistyped letter).
    """
    digits = text[2:]
    if len(text) != 42 or not text.startswith("0x") or not set(digits.lower()) <= set("0123456789abcdef"):
        raise Malformed("address.text", f"{what} must be 0x and 40 hex digits")
    address = Address(bytes.fromhex(digits))
    if digits not in (digits.lower(), digits.upper()) and checksummed(address) != text:
        raise Malformed("address.text", f"{what}: the checksum does not hold, so a letter is mistyped")
    return address


def _address_of(key: coincurve.PublicKey) -> Address:
    return Address(keccak256(key.format(compressed=False)[1:])[12:])
