"""The receipt: one signed statement that binds a request, every byte the model was given, and the whole response.

Every verification layer carries the same receipt; only the evidence beside it differs. Nothing a user pays for or
relies on stands outside it. Specified in docs/spec/receipt.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from paraph.core.abi import struct
from paraph.core.amount import UINT256_MAX, Wei
from paraph.core.digest import sha256, tagged
from paraph.core.eip712 import Typed, signing_digest
from paraph.core.encode import Json, JsonObject, as_decimal, as_integer, canonical, take
from paraph.core.errors import Malformed
from paraph.core.ident import (
    ZERO_DIGEST,
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
from paraph.proofs.request import Layer, Request, domain, layer_from_int

RECEIPT_STRUCT = struct(
    "Receipt(bytes32 requestKey, bytes32 requestHash, address payer, address node, address signer, bytes32 modelId,"
    " bytes32 givenDigest, bytes32 responseDigest, bytes32 streamDigest, bytes32 profileDigest, bytes32 sourcesRoot,"
    " uint8 layer, bytes32 evidenceDigest, uint64 inputUnits, uint64 outputUnits, uint32 priceVersion, uint256 price,"
    " uint64 height, uint64 startedMs, uint64 endedMs)"
)
_TYPED = Typed(RECEIPT_STRUCT)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the node signs.

    Args:
        request_key, request_hash, payer, node, model_id, layer: the request answered, again.
        signer: the hot key that signs, registered for the node.
        given_digest: every byte the model was given: rendered text and token ids, or tensors.
        response_digest: the whole response: content or tensors, tool calls, token ids, usage, finish reason.
        stream_digest: the last link of the chain over streamed chunks; zero for tensors and embeddings.
        profile_digest: the engine profile, so that the answer can be computed again.
        sources_root: Merkle root of outside data used; zero for none.
        evidence_digest: the layer's evidence.
        input_units, output_units: tokens in and out, or rows of tensors: what the price counts.
        price_version: which of the model's price schedules applied.
        price: what the payer is debited, in wei.
        height: latest block the node knew when it began; its key must be valid at that height.
        started_ms, ended_ms: the node's clock, Unix time in milliseconds.
    """

    request_key: RequestKey
    request_hash: Digest
    payer: Address
    node: Address
    signer: Address
    model_id: ModelId
    given_digest: Digest
    response_digest: Digest
    stream_digest: Digest
    profile_digest: Digest
    sources_root: Digest
    layer: Layer
    evidence_digest: Digest
    input_units: int
    output_units: int
    price_version: int
    price: Wei
    height: int
    started_ms: int
    ended_ms: int

    def values(self) -> tuple[object, ...]:
        """The members in the order of the EIP-712 struct."""
        found: tuple[object, ...] = _VALUES(self)
        return found

    def hash(self) -> Digest:
        """The EIP-712 struct hash: the leaf of a settlement batch."""
        return _TYPED.hash(self.values())

    def signing_digest(self, chain_id: int) -> Digest:
        """The 32 bytes the node's hot key signs."""
        return signing_digest(domain(chain_id), self.hash())

    def answers(self, request: Request) -> bool:
        """True when this receipt names exactly that request and stays within its cap and deadline."""
        return (
            self.request_hash == request.hash()
            and (self.request_key, self.payer, self.node, self.model_id, self.layer)
            == (request.key, request.payer, request.node, request.model_id, request.layer)
            and self.price <= request.max_price
            and self.started_ms <= self.ended_ms
            and self.started_ms <= request.deadline * 1000
        )


_VALUES = attrgetter(*Receipt.__slots__)


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt with the node's signature, not yet checked."""

    receipt: Receipt
    signature: bytes

    def as_json(self) -> dict[str, Json]:
        """The signed receipt as JSON."""
        found: dict[str, Json] = {}
        for name, value in zip(Receipt.__slots__, self.receipt.values(), strict=True):
            if isinstance(value, bytes):
                found[name] = to_hex(value)
            else:
                found[name] = str(value) if name == "price" else int(value)  # type: ignore[call-overload]
        return found | {"signature": to_hex(self.signature)}

    def signed_by_signer(self, chain_id: int, recover: Recover = recover) -> bool:
        """True when the key the receipt names made the signature."""
        try:
            return recover(self.receipt.signing_digest(chain_id), self.signature) == self.receipt.signer
        except Malformed:
            return False


def receipt_from_values(values: Sequence[object]) -> Receipt:
    """Read the members as the ABI decodes them. Raises `Malformed` (`request.layer`)."""
    found = list(values)
    found[11] = layer_from_int(found[11])
    return Receipt(*found)  # type: ignore[arg-type]


def receipt_from_json(value: Json) -> SignedReceipt:
    """Read what `SignedReceipt.as_json` wrote. Raises `Malformed`."""
    *members, signature = take(value, "receipt", *Receipt.__slots__, "signature")
    readers: dict[str, Callable[[Json, str], object]] = {
        "bytes32": digest_from_hex,
        "address": address_from_hex,
        "uint256": lambda text, what: as_decimal(text, what, UINT256_MAX),
        "uint32": lambda number, what: as_integer(number, what, 0, 2**32 - 1),
    }
    values = [
        readers.get(field.type.name, as_integer)(member, f"receipt.{name}")
        for field, name, member in zip(RECEIPT_STRUCT.items, Receipt.__slots__, members, strict=True)
    ]
    return SignedReceipt(receipt_from_values(values), from_hex(signature, SIGNATURE_BYTES, "receipt.signature"))


def response_digest(response: Json) -> Digest:
    """The digest of a whole response."""
    return tagged(Tag.RESPONSE_BODY, canonical(response))


def given_digest(given: Json) -> Digest:
    """The digest of everything the model was given."""
    return tagged(Tag.GIVEN, canonical(given))


def evidence_digest(evidence: Json) -> Digest:
    """The digest of a layer's evidence."""
    return tagged(Tag.EVIDENCE, canonical(evidence))


def stream_start(request_hash: Digest) -> Digest:
    """The first link of a stream's chain: no chunk of one answer fits another."""
    return tagged(Tag.STREAM, request_hash)


def stream_next(link: Digest, chunk: Json) -> Digest:
    """The link after `chunk`: commits to every chunk so far and their order."""
    return tagged(Tag.STREAM, link + sha256(canonical(chunk)))


SIGNATURE_EVIDENCE: JsonObject = {"layer": "signature"}
"""The evidence of the signature layer: its name; the receipt's own signature is all there is."""
SIGNATURE_DIGEST: Final = evidence_digest(SIGNATURE_EVIDENCE)
NO_STREAM = ZERO_DIGEST
NO_SOURCES = ZERO_DIGEST
