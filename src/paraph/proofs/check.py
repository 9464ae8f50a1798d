"""The check of a bundle: numbered steps from bytes to a verdict, the same for a client, an auditor and a page.

 1. The request is the payer's: its EIP-712 signature recovers to the payer, on the pinned chain.
 2. The body is what was signed: its digest is the request's.
 3. The receipt answers this request: same key, payer, node, model and layer, within cap and deadline.
 4. The receipt is its signer's: its EIP-712 signature recovers to the key that it names.
 5. The digests in the receipt are those of what is shown: given, response, profile, evidence; no outside data unseen.
 6. The layer's evidence holds. (The signature layer has none beyond the receipt's signature.)
 7. The price is the model's schedule applied to the units used.
 8. The header is believable: pinned chain, genesis and producer.
 9. The ledger knows the key, the model and the price: each record is proved against the header's state root.
10. The receipt is settled: it stands in a batch whose root is proved. SKIP while it is not settled yet.

Not checked here, and said so in every verdict: that the machine ran that model (the signature layer carries the
operator's word only), that the engine is what the profile says, and that the producer signed no second header.
"""

from collections.abc import Iterator

from paraph.core.amount import format_opg
from paraph.core.encode import Json, JsonObject, as_list
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import to_hex
from paraph.core.keys import checksummed
from paraph.core.limits import TENSOR_RANK_MAX
from paraph.core.merkle import root_from_inclusion
from paraph.core.smt import proves
from paraph.proofs import records
from paraph.proofs.bundle import Bundle, Chain, Proved
from paraph.proofs.policy import Trust
from paraph.proofs.receipt import NO_SOURCES, NO_STREAM, Receipt, evidence_digest, given_digest, response_digest
from paraph.proofs.request import Layer, body_digest
from paraph.proofs.verdict import Claim, Outcome, Verdict, Verified

SIGNATURE_EVIDENCE: JsonObject = {"layer": "signature"}
"""The evidence of the signature layer: its name; the receipt's own signature is all there is."""


def verify(bundle: Bundle, trust: Trust) -> Verified[Bundle]:
    """Check a bundle against what is pinned.

    Raises:
        Unverified: with every claim that failed.
    """
    verdict = judge(bundle, trust)
    if not verdict.verified:
        raise Unverified(verdict.reasons)
    return Verified(bundle, verdict)


def judge(bundle: Bundle, trust: Trust) -> Verdict:
    """As `verify`, but returns the verdict whatever it is, for showing it whole."""
    claims = tuple(_claims(bundle, trust))
    failed = frozenset(claim.code for claim in claims if claim.outcome is Outcome.FAIL)
    return Verdict(claims, tuple(_questions(bundle, failed)), tuple(_not_checked(bundle, trust)))


def units(body: JsonObject, response: JsonObject) -> tuple[int, int]:
    """Units in and out that the price counts: tokens of a text answer, rows of a tensor answer.

    Raises:
        Malformed: `response.units`: the response has no such counts.
    """
    try:
        if response["kind"] == "tensors":
            return _rows(body["inputs"]), _rows(response["outputs"])
        usage = response["usage"]
        counts = usage["input_tokens"], usage["output_tokens"]  # type: ignore[index, call-overload]
    except (KeyError, IndexError, TypeError) as error:
        raise Malformed("response.units", "the response does not say how many units it used") from error
    if not all(type(count) is int and count >= 0 for count in counts):
        raise Malformed("response.units", "units used must be whole numbers")
    return counts  # type: ignore[return-value]


def _rows(tensors: Json) -> int:
    shape = as_list(tensors[0]["shape"], "a tensor's shape", items_max=TENSOR_RANK_MAX)  # type: ignore[index, call-overload]
    rows = shape[0] if shape else 1
    if type(rows) is not int or rows < 0:
        raise Malformed("response.units", "rows of a tensor must be a whole number")
    return rows


def given_of(body: JsonObject, given: Json) -> Json:
    """What the receipt's given digest covers: what the engine was given, or a tensor request's own inputs."""
    return body.get("inputs") if given is None else given


# --- the claims --------------------------------------------------------------------------------------------------


def _claim(code: str, holds: bool, yes: str, no: str) -> Claim:
    return Claim(code, Outcome.PASS if holds else Outcome.FAIL, yes if holds else no)


def _claims(bundle: Bundle, trust: Trust) -> Iterator[Claim]:
    signed, answer, receipt = bundle.request, bundle.answer, bundle.answer.receipt.receipt
    request = signed.request
    # 1
    yield _claim(
        "request.signature",
        signed.chain_id == trust.chain_id and signed.signed_by_payer(),
        f"the payer {checksummed(request.payer)} signed the request",
        "the request's signature is not the payer's, or is for another chain",
    )
    # 2
    yield _claim(
        "request.body",
        body_digest(bundle.body) == request.body_digest,
        "the body is the one the payer signed",
        "the body is not the one the payer signed",
    )
    # 3
    yield _claim(
        "receipt.request",
        receipt.answers(request),
        "the receipt answers this request, within its cap and deadline",
        "the receipt does not answer this request",
    )
    # 4
    yield _claim(
        "receipt.signature",
        answer.receipt.signed_by_signer(trust.chain_id),
        f"the key {checksummed(receipt.signer)} signed the receipt",
        "the receipt's signature is not its signer's",
    )
    # 5
    yield _digests(bundle, receipt)
    # 6
    yield _evidence(bundle, receipt)
    # 8
    chain, header = bundle.chain, bundle.chain.header.header
    believed = (header.chain_id, header.genesis) == (trust.chain_id, trust.genesis)
    yield _claim(
        "header.signature",
        believed and any(chain.header.signed_by(producer) for producer in trust.producers),
        f"block {header.height} is signed by a producer pinned for {trust.network}",
        "the header is not of the pinned network, or no pinned producer signed it",
    )
    # 9 and 7
    yield from _registry(bundle, chain, receipt)
    # 10
    yield _settlement(chain, receipt)


def _digests(bundle: Bundle, receipt: Receipt) -> Claim:
    answer = bundle.answer
    shown = {
        "given": (given_digest(given_of(bundle.body, answer.given)), receipt.given_digest),
        "response": (response_digest(answer.response), receipt.response_digest),
        "profile": (answer.profile.digest(), receipt.profile_digest),
        "evidence": (evidence_digest(answer.evidence), receipt.evidence_digest),
        "outside data": (NO_SOURCES, receipt.sources_root),
    }
    wrong = [name for name, (found, signed) in shown.items() if found != signed]
    return _claim(
        "receipt.digests",
        not wrong,
        "what was given, the response, the profile and the evidence are those the receipt signs",
        f"not what the receipt signs: {', '.join(wrong)}",
    )


def _evidence(bundle: Bundle, receipt: Receipt) -> Claim:
    if receipt.layer is not Layer.SIGNATURE:
        name = receipt.layer.name.lower()
        return Claim("evidence.layer", Outcome.FAIL, f"this version cannot check evidence of the layer {name}")
    return _claim(
        "evidence.layer",
        bundle.answer.evidence == SIGNATURE_EVIDENCE,
        "layer signature: the receipt's signature is the evidence",
        "the evidence is not of the layer that the receipt names",
    )


def _record_claim(code: str, bundle: Bundle, key: bytes, proved: Proved, holds: bool, sentence: str) -> Claim:
    root = bundle.chain.header.header.state_root
    proven = proves(root, key, proved.value, proved.proof)
    return _claim(code, proven and holds, sentence, f"not shown by the ledger: {sentence}")


def _registry(bundle: Bundle, chain: Chain, receipt: Receipt) -> Iterator[Claim]:
    height = chain.header.header.height
    try:
        key = records.NodeKey.decode(chain.key.value)
        model = records.Model.decode(chain.model.value)
        price = records.Price.decode(chain.price.value)
        input_units, output_units = units(bundle.body, bundle.answer.response)
    except Malformed as error:
        yield Claim("registry.records", Outcome.FAIL, f"a record of the ledger cannot be read: {error.message}")
        return
    yield _record_claim(
        "registry.key",
        bundle,
        records.node_key_key(receipt.signer),
        chain.key,
        key.node == receipt.node and key.valid_at(receipt.height) and receipt.height <= height,
        f"the key is registered for node {checksummed(receipt.node)} at block {receipt.height}",
    )
    yield _record_claim(
        "registry.model",
        bundle,
        records.model_key(receipt.model_id),
        chain.model,
        bool(model.layers >> (receipt.layer - 1) & 1),
        f"model {to_hex(receipt.model_id)[:18]}… is registered as {model.name!r}, and offers this layer",
    )
    due = price.of(input_units, output_units)
    yield _record_claim(
        "registry.price",
        bundle,
        records.price_key(receipt.model_id, receipt.price_version),
        chain.price,
        due == receipt.price and (input_units, output_units) == (receipt.input_units, receipt.output_units),
        f"the price {format_opg(receipt.price)} OPG is schedule {receipt.price_version} for the units used:"
        f" {format_opg(price.base)} + {input_units} in × {format_opg(price.per_input_unit)}"
        f" + {output_units} out × {format_opg(price.per_output_unit)}",
    )


def _settlement(chain: Chain, receipt: Receipt) -> Claim:
    settled = chain.settled
    if settled is None:
        return Claim("settlement.batch", Outcome.SKIP, "not settled yet, or saved before it was")
    header = chain.header.header
    try:
        batch = records.Batch.decode(settled.record.value)
    except Malformed as error:
        return Claim("settlement.batch", Outcome.FAIL, f"the batch's record cannot be read: {error.message}")
    key = records.batch_key(settled.batch)
    holds = (
        proves(header.state_root, key, settled.record.value, settled.record.proof)
        and root_from_inclusion(receipt.hash(), settled.index, batch.size, settled.path) == batch.root
    )
    return _claim(
        "settlement.batch",
        holds,
        f"settled in batch {settled.batch} at block {batch.height}, receipt {settled.index + 1} of {batch.size}",
        "the receipt is not in the batch that it names",
    )


# --- the four questions ------------------------------------------------------------------------------------------


def _questions(bundle: Bundle, failed: frozenset[str]) -> Iterator[Claim]:
    model = to_hex(bundle.answer.receipt.receipt.model_id)
    word = "the layer signature carries the operator's word, no hardware or mathematical evidence"
    answers = (
        ("which_model", "Which model generated it?", Outcome.PASS, f"{model}, signs the node's registered key"),
        ("modified", "Was the model modified?", Outcome.SKIP, f"not shown: {word}"),
        (
            "processed",
            "Was the data processed correctly?",
            Outcome.SKIP,
            f"the input is bound to the receipt; for the rest, {word}",
        ),
        (
            "altered",
            "Was the output altered before delivery?",
            Outcome.PASS,
            "no: it is, byte for byte, what was signed",
        ),
    )
    for code, question, outcome, sentence in answers:
        if failed:
            yield Claim(code, Outcome.FAIL, f"{question} Not shown: {', '.join(sorted(failed))}")
        else:
            yield Claim(code, outcome, f"{question} {sentence}")


def _not_checked(bundle: Bundle, trust: Trust) -> Iterator[str]:
    yield "that the node's machine ran this model: the signature layer proves who answered, not what computed"
    if bundle.answer.given is not None:
        yield "that the chat template turned the messages into the given text (`paraph receipt replay` does)"
    yield "that the units counted are those of the text or tensors shown, and of the kind asked for: the node's word"
    if bundle.answer.profile.bit_exact != "yes":
        yield "whether the answer can be computed again: its engine promises no equal bits"
    if bundle.answer.receipt.receipt.stream_digest != NO_STREAM:
        yield "the order of the pieces, if it was streamed: its reader checked it; the file holds the whole"
    if bundle.chain.settled is None:
        yield "settlement: neither the debit is shown nor that the price schedule was in force; the ledger checks both"
    yield "that the block producer signed no second chain: a solo network trusts its one producer"
    if trust.devnet:
        yield f"anything of value: {trust.network} is a development network"
