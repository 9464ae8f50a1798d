"""A block's header, and what makes it believable.

The header commits to the whole state after its block, and all of it but the state root stands in that state as the
`Head` record: whoever believes a state root believes the block, and through the hashes of earlier headers kept beside
it (EIP-2935) the chain behind it.

On a solo network the one producer named in the genesis signs headers; whoever pins that producer can check any state
proof offline. What that signature does not show: that no second header of the same height exists, since a lone producer
can sign two. On a network of validators `proofs/light` says which state root to believe.
"""

from dataclasses import dataclass, fields
from typing import Final

from paraph.core import rlp
from paraph.core.digest import keccak256
from paraph.core.encode import Json, as_integer, take
from paraph.core.errors import Malformed
from paraph.core.ident import (
    ADDRESS_BYTES,
    DIGEST_BYTES,
    Address,
    Digest,
    address_from_hex,
    digest_from_hex,
    from_hex,
    to_hex,
)
from paraph.core.keys import SIGNATURE_BYTES, recover
from paraph.proofs.records import Record

HEAD_KEY: Final = b"chain/head"
"""The state key of the `Head` record."""
HASHES_KEPT: Final = 8_191
"""Hashes of earlier headers kept in state: as many as EIP-2935 keeps."""


def hash_key(height: int) -> bytes:
    """The state key where the hash of the header of `height` stands, until a later one takes its place."""
    return b"chain/hash/" + (height % HASHES_KEPT).to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Header:
    """One block's header.

    Args:
        chain_id: EIP-155 chain id.
        genesis: digest of the genesis document.
        height: 0 for genesis.
        time_s: Unix time in seconds; never before the parent's.
        parent: hash of the previous header; zero at genesis.
        proposer: account that made the block and receives its tips.
        state_root: root of the state after this block.
        transactions_root: RFC 6962 root of the raw transactions.
        results_root: RFC 6962 root of the encoded results.
        gas_used, gas_limit: gas of the block.
        base_fee: EIP-1559 base fee of the block, in wei per gas.
    """

    chain_id: int
    genesis: Digest
    height: int
    time_s: int
    parent: Digest
    proposer: Address
    state_root: Digest
    transactions_root: Digest
    results_root: Digest
    gas_used: int
    gas_limit: int
    base_fee: int

    def hash(self) -> Digest:
        """Keccak-256 of the tagged RLP of all fields: the block's hash."""
        values = (getattr(self, name) for name in self.__slots__)
        items = [value if isinstance(value, bytes) else rlp.from_uint(value) for value in values]
        return keccak256(rlp.encode([b"paraph/header/1", *items]))

    def head(self) -> "Head":
        """What of this header stands in the state it commits to."""
        return Head(*(getattr(self, name) for name in Head.__slots__))


@dataclass(frozen=True, slots=True)
class Head(Record):
    """The last block as its own state tells it: its header without the state root, which no state can hold."""

    chain_id: int
    genesis: Digest
    height: int
    time_s: int
    parent: Digest
    proposer: Address
    transactions_root: Digest
    results_root: Digest
    gas_used: int
    gas_limit: int
    base_fee: int

    def header(self, state_root: Digest) -> Header:
        """The whole header."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return Header(**values, state_root=state_root)


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header with its producer's signature over its hash, not yet checked."""

    header: Header
    signature: bytes

    def signed_by(self, producer: Address) -> bool:
        """True when that producer's key signed the header."""
        try:
            return recover(self.header.hash(), self.signature) == producer
        except Malformed:
            return False

    def as_json(self) -> dict[str, Json]:
        """The signed header as JSON."""
        values = ((name, getattr(self.header, name)) for name in Header.__slots__)
        found: dict[str, Json] = {name: to_hex(value) if isinstance(value, bytes) else value for name, value in values}
        return found | {"signature": to_hex(self.signature)}


def header_from_json(value: Json) -> SignedHeader:
    """Read what `SignedHeader.as_json` wrote. Raises `Malformed`."""
    *members, signature = take(value, "header", *Header.__slots__, "signature")
    readers = {Digest: digest_from_hex, Address: address_from_hex, int: as_integer}
    values = [
        readers[field.type](member, f"header.{field.name}")  # type: ignore[index, operator]
        for field, member in zip(fields(Header), members, strict=True)
    ]
    return SignedHeader(Header(*values), from_hex(signature, SIGNATURE_BYTES, "header.signature"))


def header_to_rlp(signed: SignedHeader) -> rlp.Rlp:
    """The signed header as a block store keeps it."""
    values = [getattr(signed.header, name) for name in Header.__slots__]
    return [*(value if isinstance(value, bytes) else rlp.from_uint(value) for value in values), signed.signature]


def header_from_rlp(item: rlp.Rlp) -> SignedHeader:
    """Read what `header_to_rlp` wrote. Raises `Malformed` (`rlp.shape`, `rlp.integer`)."""
    members = rlp.as_list(item, "a header")
    if len(members) != len(Header.__slots__) + 1:
        raise Malformed("rlp.shape", f"a header has {len(Header.__slots__)} members and a signature")
    sizes = {Digest: DIGEST_BYTES, Address: ADDRESS_BYTES}
    values = [
        rlp.to_uint(member, field.name) if field.type is int else rlp.as_bytes(member, field.name, sizes[field.type])  # type: ignore[index]
        for field, member in zip(fields(Header), members[:-1], strict=True)
    ]
    signature = rlp.as_bytes(members[-1], "a signature")
    if len(signature) not in (0, SIGNATURE_BYTES):
        raise Malformed("rlp.shape", f"a signature is {SIGNATURE_BYTES} bytes, or none where validators agree")
    return SignedHeader(Header(*values), signature)  # type: ignore[arg-type]
