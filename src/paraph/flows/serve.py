"""Serving one paid request: whether to admit it, what to say when it carries no authority, and its receipt.

All decisions are here, as functions of what is known; the inference node does the asking and the storing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from paraph.core.amount import Wei, format_opg
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Rejected, must
from paraph.core.ident import Address, Digest, ModelId, to_hex
from paraph.core.keys import PrivateKey
from paraph.core.limits import REQUEST_LIFETIME_S_MAX
from paraph.core.tensor import Tensor
from paraph.flows.ports import Finish, Given, Piece, TextEvent
from paraph.flows.registry import Offer
from paraph.ledger.rooms.escrow.types import Account
from paraph.proofs.bundle import Answer
from paraph.proofs.check import given_of, units
from paraph.proofs.exactness import SALT, row_of
from paraph.proofs.profile import EngineProfile
from paraph.proofs.promised import Promise
from paraph.proofs.receipt import (
    NO_SOURCES,
    NO_STREAM,
    SIGNATURE_EVIDENCE,
    Receipt,
    SignedReceipt,
    evidence_digest,
    given_digest,
    response_digest,
    stream_next,
    stream_start,
)
from paraph.proofs.request import REQUEST_STRUCT, SETTLEMENT, Layer, SignedRequest, body_digest
from paraph.proofs.zk.statement import commitment

DOMAIN_TYPE = (("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"))
"""The members of our EIP-712 domain."""


@dataclass(frozen=True, slots=True)
class Signer:
    """What signs receipts of one layer: a key, the evidence that stands beside them, and the first block they name.

    Of the layer `zk` each receipt has evidence of its own, a promise.
    """

    key: PrivateKey
    evidence: JsonObject
    height_first: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the node is.

    Args:
        chain_id: the network's.
        node: the operator's account.
        key: the hot key, which signs receipts of the layers `signature` and `zk` and pays for transactions.
        enclave: signs receipts of the layer `tee`; None where no enclave is registered.
        provable: the exact models whose answers it can prove.
    """

    chain_id: int
    node: Address
    key: PrivateKey
    enclave: Signer | None = None
    provable: frozenset[ModelId] = frozenset()

    def layers(self, model_id: ModelId) -> Mapping[Layer, Signer]:
        """What signs, by the layers with which the node can serve that model; the strongest last."""
        found = {Layer.SIGNATURE: Signer(self.key, SIGNATURE_EVIDENCE)}
        if self.enclave is not None:
            found[Layer.TEE] = self.enclave
        if model_id in self.provable:
            found[Layer.ZK] = Signer(self.key, {})
        return found


def admit(identity: Identity, signed: SignedRequest, body: JsonObject, now_s: int) -> None:
    """What the signed request itself must be, before anything is looked up or done.

    Raises:
        Rejected: `request.chain_id`, `request.node`, `request.expired`, `request.deadline`, `request.layer`,
            `request.salt`, `request.body`, `request.model`, `request.signature`.
    """
    request = signed.request
    if signed.chain_id != identity.chain_id:
        raise Rejected("request.chain_id", f"signed for chain {signed.chain_id}; this node is on {identity.chain_id}")
    if request.node != identity.node:
        raise Rejected("request.node", f"signed for node {to_hex(request.node)}; this is {to_hex(identity.node)}")
    if now_s > request.deadline:
        raise Rejected("request.expired", f"the deadline {request.deadline} has passed; it is {now_s}")
    if request.deadline > now_s + REQUEST_LIFETIME_S_MAX:
        raise Rejected("request.deadline", f"the deadline is more than {REQUEST_LIFETIME_S_MAX} seconds away")
    if request.layer not in identity.layers(request.model_id):
        raise Rejected("request.layer", f"this node does not serve the layer {request.layer.word}")
    if (request.layer is Layer.ZK) != (SALT in body):
        raise Rejected(
            "request.salt",
            f"a body has a member {SALT!r} when its answer is to be proven (layer zk), and only then; this one is for"
            f" the layer {request.layer.word}",
        )
    if body_digest(body) != request.body_digest:
        raise Rejected("request.body", "the body, after defaults, is not the one that was signed; sign the quoted body")
    if body.get("model") != to_hex(request.model_id):
        raise Rejected("request.model", "the body names another model than the signed request")
    if not signed.signed_by_payer():
        raise Rejected("request.signature", "the signature is not the payer's")


def admit_price(signed: SignedRequest, most: int, escrow: Account, promised: int) -> None:
    """Whether the work can be paid.

    Args:
        signed: the request.
        most: the most the work can cost, in wei, now that its input is counted.
        escrow: the payer's escrow as the ledger has it.
        promised: wei of this payer's already promised to this node and not settled yet.

    Raises:
        Rejected: `request.cap`, `escrow.empty`.
    """
    cap = signed.request.max_price
    if most > cap:
        raise Rejected(
            "request.cap",
            f"this can cost {format_opg(most)} OPG; the signed cap is {format_opg(cap)}: sign for more or ask for less",
            needed=most,
            cap=cap,
        )
    if escrow.available < promised + most:
        raise Rejected(
            "escrow.empty",
            f"the payer's escrow has {format_opg(escrow.available)} OPG available, {format_opg(promised)} promised;"
            f" {format_opg(most)} more is needed: deposit first",
            available=escrow.available,
            needed=promised + most,
        )


def quote(identity: Identity, offer: Offer, body: JsonObject, cap: Wei, now_s: int) -> dict[str, Json]:
    """What a 402 answer says: exactly what to sign, and the EIP-712 document a wallet can sign as it is.

    Raises:
        Rejected: `request.salt`: a proof is asked for that this node cannot give.
    """
    offered = identity.layers(offer.model_id)
    if SALT in body and Layer.ZK not in offered:
        raise Rejected("request.salt", f"a {SALT!r} asks for a proof, and this node proves no answers of this model")
    # A salt says that a proof is wanted; without one the strongest of the other layers is proposed.
    layer = Layer.ZK if SALT in body else max(offered.keys() - {Layer.ZK})
    schedule: dict[str, Json] = {
        "version": offer.model.price_version,
        "base": str(offer.price.base),
        "per_input_unit": str(offer.price.per_input_unit),
        "per_output_unit": str(offer.price.per_output_unit),
    }
    message: dict[str, Json] = {
        "key": "<32 bytes of your own, 0x hex; one answer and one debit>",
        "payer": "<the account whose escrow pays>",
        "node": to_hex(identity.node),
        "modelId": to_hex(offer.model_id),
        "bodyDigest": to_hex(body_digest(body)),
        "layer": int(layer),
        "maxPrice": str(cap),
        "deadline": now_s + REQUEST_LIFETIME_S_MAX // 6,
    }
    types: list[Json] = [{"name": each.name, "type": each.type.name} for each in REQUEST_STRUCT.items]
    # Wallets hash the domain by its declared type: without it they would sign another domain.
    domain: list[Json] = [{"name": name, "type": kind} for name, kind in DOMAIN_TYPE]
    return {
        "body": body,
        "price": schedule,
        "sign": {
            "primaryType": "Request",
            "domain": {
                "name": "paraph",
                "version": "1",
                "chainId": identity.chain_id,
                "verifyingContract": to_hex(SETTLEMENT),
            },
            "types": {"EIP712Domain": domain, "Request": types},
            "message": message,
        },
        "send": "the same call with a header PARAPH-REQUEST: base64 of the signed request JSON (docs/spec/request.md)",
    }


@dataclass(slots=True)
class TextAnswer:
    """Gathers an engine's events into chunks and, at the end, the whole response. Grows in one direction.

    Args:
        request_hash: where the stream's chain begins.
    """

    request_hash: Digest
    link: Digest = field(init=False)
    given: Given | None = None
    finish: Finish | None = None
    _pieces: list[Piece] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link = stream_start(self.request_hash)

    def take(self, event: TextEvent) -> dict[str, Json] | None:
        """Take one event; returns the chunk to send, if it is one."""
        match event:
            case Given():
                self.given = event
                return None
            case Finish():
                self.finish = event
                return None
            case Piece():
                self._pieces.append(event)
                chunk: dict[str, Json] = {"text": event.text, "token_ids": list(event.token_ids)}
                if event.logprobs:
                    chunk["logprobs"] = list(event.logprobs)
                if event.tool_calls:
                    chunk["tool_calls"] = list(event.tool_calls)
                self.link = stream_next(self.link, chunk)
                return chunk
            case _:
                assert_never(event)

    @property
    def output_tokens(self) -> int:
        """Tokens generated so far."""
        return sum(len(piece.token_ids) or 1 for piece in self._pieces)

    def stop(self, reason: str, input_tokens: int) -> None:
        """End an answer that was cut short: what was generated is what counts."""
        if self.finish is None:
            self.finish = Finish(reason, input_tokens, self.output_tokens)

    def response(self) -> dict[str, Json]:
        """The whole response."""
        must(self.finish is not None, "a response is made after its end")
        finish = self.finish or Finish("", 0, 0)
        logprobs = [entry for piece in self._pieces for entry in piece.logprobs]
        tool_calls = merge_tool_calls([delta for piece in self._pieces for delta in piece.tool_calls])
        ids: list[Json] = [token for piece in self._pieces for token in piece.token_ids]
        return {
            "kind": "text",
            "text": "".join(piece.text for piece in self._pieces),
            "token_ids": ids or None,
            "logprobs": list(logprobs) or None,
            "tool_calls": tool_calls,
            "finish_reason": finish.reason,
            "usage": {"input_tokens": finish.input_tokens, "output_tokens": finish.output_tokens},
        }

    def given_json(self) -> dict[str, Json]:
        """What the model was given, as the receipt commits to it."""
        given = self.given or Given("", None)
        return {"text": given.text, "token_ids": None if given.token_ids is None else list(given.token_ids)}


def merge_tool_calls(deltas: list[JsonObject]) -> list[Json]:
    """OpenAI's streamed tool-call deltas as whole calls, in order of their index."""
    calls: dict[int, dict[str, str]] = {}
    for delta in deltas:
        index = delta.get("index", 0)
        call = calls.setdefault(index if isinstance(index, int) else 0, {"id": "", "name": "", "arguments": ""})
        function = delta.get("function")
        parts = {"id": delta.get("id")} | (dict(function) if isinstance(function, dict) else {})
        for name in call:
            value = parts.get(name)
            call[name] += value if isinstance(value, str) else ""
    return [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for _, call in sorted(calls.items())
    ]


def tensor_response(outputs: tuple[Tensor, ...]) -> dict[str, Json]:
    """The response of a tensor model."""
    return {"kind": "tensors", "outputs": [tensor.as_json() for tensor in outputs]}


def proven_response(outputs: tuple[Tensor, ...], body: JsonObject) -> dict[str, Json]:
    """The response of an exact model whose answer is to be proven.

    It holds the request's salt too: of what it is the digest, the response's digest on the ledger does not tell then.
    """
    return {**tensor_response(outputs), SALT: body[SALT]}


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a proof hides of a request: its input, under its salt."""

    salt: bytes
    inputs: bytes


def hidden(body: JsonObject) -> Hidden:
    """What of an effective request a proof is about. Looked at before the work: what cannot be proven is not done.

    Raises:
        Malformed: `exact.request`: not one row of one input, each is proven alone; the shapes of the parts.
    """
    salt, row = row_of(body)
    return Hidden(salt, row.data)


def promise(asked: Hidden, output: Tensor, due: int) -> Promise:
    """What a node promises of an answer: to prove, at the latest in block `due`, that it is the model's."""
    return Promise(commitment(asked.salt, asked.inputs, output.data), due)


def embedding_response(vectors: tuple[Tensor, ...], tokens: int) -> dict[str, Json]:
    """The response to an embeddings request: one FP32 vector a text."""
    usage: dict[str, Json] = {"input_tokens": tokens, "output_tokens": 0}
    return {"kind": "embeddings", "embeddings": [vector.as_json() for vector in vectors], "usage": usage}


@dataclass(frozen=True, slots=True)
class Work:
    """What was done for a request, all that a receipt is made of.

    Args:
        identity: who the node was when it began.
        body, given, response, profile: what was asked, what the engine was given, what it answered, what it is.
        link: the last of a streamed answer's chain; None where nothing was streamed.
        height: a recent block when it began.
        started_ms, ended_ms: Unix time in milliseconds.
        promise: to prove the answer; of the layer `zk` only.
    """

    identity: Identity
    body: JsonObject
    given: Json
    response: JsonObject
    profile: EngineProfile
    link: Digest | None
    height: int
    started_ms: int
    ended_ms: int
    promise: Promise | None = None


def receipt(signed: SignedRequest, offer: Offer, work: Work) -> Answer:
    """The answer with its signed receipt."""
    request, identity = signed.request, work.identity
    signer = identity.layers(request.model_id)[request.layer]
    must((work.promise is None) == (request.layer is not Layer.ZK), "a proof is promised where one is paid for")
    evidence = signer.evidence if work.promise is None else work.promise.as_json()
    input_units, output_units = units(work.body, work.response)
    made = Receipt(
        request_key=request.key,
        request_hash=request.hash(),
        payer=request.payer,
        node=identity.node,
        signer=signer.key.address,
        model_id=ModelId(request.model_id),
        given_digest=given_digest(given_of(work.body, work.given)),
        response_digest=response_digest(work.response),
        stream_digest=NO_STREAM if work.link is None else work.link,
        profile_digest=work.profile.digest(),
        sources_root=NO_SOURCES,
        layer=request.layer,
        evidence_digest=evidence_digest(evidence),
        input_units=input_units,
        output_units=output_units,
        price_version=offer.model.price_version,
        price=Wei(offer.price.of(input_units, output_units)),
        height=work.height,
        started_ms=work.started_ms,
        ended_ms=max(work.ended_ms, work.started_ms),
    )
    must(made.answers(request), "a node signs no receipt that its own request does not cover")
    signature = signer.key.sign(made.signing_digest(identity.chain_id))
    return Answer(work.given, work.response, work.profile, evidence, SignedReceipt(made, signature))
