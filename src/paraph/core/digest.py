"""The two hash functions: Keccak-256 where Ethereum fixes it, SHA-256 for everything that is ours.

Sources: the Keccak submission (the padding before FIPS 202) and FIPS 180-4.
"""

import hashlib
from typing import Final

from sha3 import keccak_256

from paraph.core.ident import Digest
from paraph.core.tags import Tag


def keccak256(data: bytes) -> Digest:
    """Keccak-256 of `data` (32 bytes), as Ethereum uses it."""
    return Digest(keccak_256(data).digest())


def sha256(data: bytes) -> Digest:
    """SHA-256 of `data` (32 bytes)."""
    return Digest(hashlib.sha256(data).digest())


def tagged(tag: Tag, data: bytes) -> Digest:
    """SHA-256 of `data` under a domain tag: no digest made for one purpose can serve another.

    The tag is hashed first and its digest put in front twice, as BIP-340 does, so that tag and data cannot be
    split in another place.
    """
    return Digest(hashlib.sha256(_PREFIXES[tag] + data).digest())


def tagged_64(tag: Tag, data: bytes) -> bytes:
    """SHA-512 of `data` under a domain tag, made as `tagged` makes its own: for hardware that signs 64 bytes."""
    return hashlib.sha512(_PREFIXES_64[tag] + data).digest()


_PREFIXES_64: Final = {tag: 2 * hashlib.sha512(tag.value.encode()).digest() for tag in Tag}
_PREFIXES: Final = {tag: 2 * hashlib.sha256(tag.value.encode()).digest() for tag in Tag}
