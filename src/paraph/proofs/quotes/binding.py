"""What an enclave vouches for besides its code: its keys, for one node of one network, until a time.

The platform signs 64 bytes that the enclave chooses. They are a digest of the keyset, of the nonce that the enclave was
asked to include, and of the evidence of its devices: whoever relays a genuine quote relays those keys, and cannot put
his own beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core.digest import sha256, tagged, tagged_64
from paraph.core.ident import ZERO_DIGEST, Address, Digest
from paraph.core.tags import Tag
from paraph.proofs.quotes.claims import Claims, refuse
from paraph.proofs.records import Record

HPKE_KEY_BYTES: Final = 32
"""An X25519 key. The tag's version fixes the suite (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""


@dataclass(frozen=True, slots=True)
class Keyset(Record):
    """The keys that were born in one enclave, one for each purpose.

    Args:
        chain_id: the network's. node: whose keys they are.
        tls_key: SHA-256 of the TLS certificate's SubjectPublicKeyInfo, as DER.
        hpke_key: requests are sealed to it.
        receipt_key: receipts are signed by it, as an address.
        not_after_s: until when they are used, Unix seconds.
    """

    chain_id: int
    node: Address
    tls_key: Digest
    hpke_key: bytes
    receipt_key: Address
    not_after_s: int

    def digest(self) -> Digest:
        """What the keyset is named by: never a document's hash, of which there can be two."""
        return tagged(Tag.KEYSET, self.encode())


def bound(keyset: Keyset, nonce: Digest, devices: Digest) -> bytes:
    """The 64 bytes that the platform signs: Nitro's `user_data`, the report data of TDX and SNP."""
    return tagged_64(Tag.BINDING, keyset.digest() + nonce + devices)


def devices_digest(evidence: Sequence[bytes]) -> Digest:
    """What stands for the evidence of all devices, in any order; 32 zero bytes where there are none."""
    if not evidence:
        return ZERO_DIGEST
    return tagged(Tag.DEVICES, b"".join(sorted(sha256(each) for each in evidence)))


def device_nonce(keyset: Keyset, nonce: Digest) -> Digest:
    """What each device is asked to include: so its evidence is of these keys and this moment."""
    return tagged(Tag.DEVICE_NONCE, keyset.digest() + nonce)


def registration_nonce(block_hash: Digest, node: Address, sequence: int) -> Digest:
    """What an enclave is asked to include to be registered: a block that was recent, its node, and which time it is.

    Args:
        block_hash: of a block that nobody could have known long before.
        node: the operator's account.
        sequence: how many keysets the node has registered; below 2^64.
    """
    return tagged(Tag.ENCLAVE_NONCE, block_hash + node + sequence.to_bytes(8, "big"))


def check(claims: Claims, keyset: Keyset, nonce: Digest, devices: Sequence[bytes], now_s: int) -> None:
    """Check that a quote binds these keys.

    Args:
        claims: what the quote proves.
        keyset: what the enclave says are its keys; the caller has compared network and node with those it wants.
        nonce: what was asked.
        devices: the evidence of the enclave's devices.
        now_s: the verifier's clock, or a block's time, Unix seconds.

    Raises:
        Unverified: `binding.nonce`, `binding.hpke`, `binding.keys`, `binding.expired`.
    """
    if claims.nonce not in (None, nonce):
        refuse("binding.nonce", "the quote was not made for this question: its nonce is another")
    if len(keyset.hpke_key) != HPKE_KEY_BYTES or claims.key not in (None, keyset.hpke_key):
        refuse("binding.hpke", "the quote names another key for sealing than the keyset")
    if claims.data != bound(keyset, nonce, devices_digest(devices)):
        refuse("binding.keys", "the quote does not bind these keys, with this evidence of devices")
    if now_s > keyset.not_after_s:
        refuse("binding.expired", f"the enclave's keys ended at {keyset.not_after_s}; it is {now_s}")
