"""The signed request: what is asked, of which node, for at most how much, until when. It is also the payment.

The payer signs it by EIP-712 for one chain and the settlement contract. The same signature proves the question and
lets the ledger debit the payer's escrow once, up to the cap. Specified in docs/spec/request.md.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from paraph.core.abi import struct
from paraph.core.amount import UINT256_MAX, Wei
from paraph.core.digest import tagged
from paraph.core.eip712 import Typed, domain_separator, signing_digest
from paraph.core.encode import Json, JsonObject, as_decimal, as_integer, canonical, take
from paraph.core.errors import Malformed
from paraph.core.ident import (
    Address,
    Digest,
    ModelId,
    RequestKey,
    address_from_hex,
    digest_from_hex,
    from_hex,
    to_hex,
)
from paraph.core.keys import SIGNATURE_BYTES, Recover, recover
from paraph.core.tags import Tag

SETTLEMENT: Final = Address(bytes.fromhex("0000000000000000000000000000000000000a05"))
"""The settlement contract: every paraph signature names it as its EIP-712 verifying contract."""


class Layer(IntEnum):
    """How an answer is verified. The receipt is the same; the evidence beside it differs."""

    SIGNATURE = 1
    TEE = 2
    ZK = 3

    @property
    def word(self) -> str:
        """The layer as people say it, in commands, options and documents."""
        return {Layer.SIGNATURE: "signature", Layer.TEE: "tee", Layer.ZK: "zkml"}[self]


REQUEST_STRUCT = struct(
    "Request(bytes32 key, address payer, address node, bytes32 modelId, bytes32 bodyDigest,"
    " uint8 layer, uint256 maxPrice, uint64 deadline)"
)
_TYPED = Typed(REQUEST_STRUCT)


@lru_cache(8)
def domain(chain_id: int) -> Digest:
    """The EIP-712 domain of paraph's requests and receipts on one chain."""
    return domain_separator("paraph", "1", chain_id, SETTLEMENT)


@dataclass(frozen=True, slots=True)
class Request:
    """What the payer signs.

    Args:
        key: 32 bytes the client drew; one answer and one debit.
        payer: whose escrow pays, and who signs.
        node: the node asked, by its operator account.
        model_id: the model asked.
        body_digest: tagged digest of the effective request after defaults.
        layer: verification layer wanted.
        max_price: cap of the debit, in wei.
        deadline: Unix time, in seconds, after which no node may begin the work.
    """

    key: RequestKey
    payer: Address
    node: Address
    model_id: ModelId
    body_digest: Digest
    layer: Layer
    max_price: Wei
    deadline: int

    def values(self) -> tuple[object, ...]:
        """The members in the order of the EIP-712 struct."""
        return (
            self.key,
            self.payer,
            self.node,
            self.model_id,
            self.body_digest,
            self.layer,
            self.max_price,
            self.deadline,
        )

    def hash(self) -> Digest:
        """The EIP-712 struct hash, which the receipt names."""
        return _TYPED.hash(self.values())

    def signing_digest(self, chain_id: int) -> Digest:
        """The 32 bytes the payer signs."""
        return signing_digest(domain(chain_id), self.hash())


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request with the payer's signature, not yet checked."""

    chain_id: int
    request: Request
    signature: bytes

    def as_json(self) -> dict[str, Json]:
        """The signed request as JSON."""
        request = self.request
        return {
            "chain_id": self.chain_id,
            "key": to_hex(request.key),
            "payer": to_hex(request.payer),
            "node": to_hex(request.node),
            "model_id": to_hex(request.model_id),
            "body_digest": to_hex(request.body_digest),
            "layer": int(request.layer),
            "max_price": str(request.max_price),
            "deadline": request.deadline,
            "signature": to_hex(self.signature),
        }

    def signed_by_payer(self, recover: Recover = recover) -> bool:
        """True when the payer's key made the signature."""
        try:
            return recover(self.request.signing_digest(self.chain_id), self.signature) == self.request.payer
        except Malformed:
            return False


def body_digest(body: JsonObject) -> Digest:
    """The digest of an effective request: what `Request.body_digest` holds."""
    return tagged(Tag.REQUEST_BODY, canonical(body))


def request_from_values(values: tuple[object, ...]) -> Request:
    """Read the members as the ABI decodes them. Raises `Malformed` (`request.layer`)."""
    key, payer, node, model_id, digest, layer, max_price, deadline = values
    return Request(key, payer, node, model_id, digest, layer_from_int(layer), max_price, deadline)  # type: ignore[arg-type]


def layer_from_int(value: object) -> Layer:
    """The layer of that number. Raises `Malformed` (`request.layer`)."""
    if value not in (1, 2, 3):
        raise Malformed("request.layer", f"layer {value} is none of 1 (signature), 2 (tee), 3 (zk)")
    return Layer(value)


def request_from_json(value: Json) -> SignedRequest:
    """Read what `SignedRequest.as_json` wrote. Raises `Malformed`."""
    chain_id, key, payer, node, model_id, digest, layer, max_price, deadline, signature = take(
        value,
        "request",
        "chain_id",
        "key",
        "payer",
        "node",
        "model_id",
        "body_digest",
        "layer",
        "max_price",
        "deadline",
        "signature",
    )
    request = Request(
        RequestKey(digest_from_hex(key, "request.key")),
        address_from_hex(payer, "request.payer"),
        address_from_hex(node, "request.node"),
        ModelId(digest_from_hex(model_id, "request.model_id")),
        digest_from_hex(digest, "request.body_digest"),
        layer_from_int(as_integer(layer, "request.layer")),
        Wei(as_decimal(max_price, "request.max_price", UINT256_MAX)),
        as_integer(deadline, "request.deadline"),
    )
    return SignedRequest(
        as_integer(chain_id, "request.chain_id"), request, from_hex(signature, SIGNATURE_BYTES, "request.signature")
    )
