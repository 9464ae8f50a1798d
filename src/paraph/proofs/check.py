"""The check of a bundle: numbered steps from bytes to a verdict, the same for a client, an auditor and a page.

 1. The request is the payer's: its EIP-712 signature recovers to the payer, on the pinned chain.
 2. The body is what was signed: its digest is the request's.
 3. The receipt answers this request: same key, payer, node, model and layer, within cap and deadline.
 4. The receipt is its signer's: its EIP-712 signature recovers to the key that it names.
 5. The digests in the receipt are those of what is shown: given, response, profile, evidence; no outside data unseen.
 6. The layer's evidence holds. (The signature layer has none beyond the receipt's signature; of an enclave, the
    platform's signature, the code it runs and the keys it vouches for are verified, as of when it was registered; of an
    exact model the promise of a proof is about this very answer.)
 7. The response is of the form that the request asked for, and shows the units that it counts, where it can.
 8. The price is the model's schedule applied to the units used.
 9. The state is believable: a pinned producer signed its header, or validators that follow from those pinned voted
    for it.
10. The ledger knows the key, the model and the price: each record is proved against that state's root.
11. The receipt is settled: it stands in a batch whose root is proved. SKIP while it is not settled yet.
12. The promised proof holds, and the ledger took it. SKIP while there is none. Only an exact model's answer has one.

Not checked here, and said so in every verdict: what the layer gives no evidence for (the signature layer carries the
operator's word only), that the engine is what the profile says, and that the producer signed no second header.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, assert_never

from paraph.core.amount import format_opg
from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_text, take
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import to_hex
from paraph.core.keys import checksummed
from paraph.core.limits import JSON_BYTES_MAX, TENSOR_RANK_MAX, TENSORS_MAX
from paraph.core.merkle import root_from_inclusion
from paraph.core.smt import proves
from paraph.core.tensor import Tensor, tensor_from_json
from paraph.proofs import attested, exactness, records
from paraph.proofs.bundle import Answer, Bundle, Chain, Proved
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.evidence import CHECKS, Checks
from paraph.proofs.receipt import (
    NO_SOURCES,
    NO_STREAM,
    SIGNATURE_EVIDENCE,
    Receipt,
    evidence_digest,
    given_digest,
    response_digest,
)
from paraph.proofs.request import Layer, body_digest
from paraph.proofs.seal import ProducerSeal, Seal, ValidatorSeal, believe
from paraph.proofs.verdict import Claim, Outcome, Verdict, Verified, claim


def verify(
    bundle: Bundle, trust: Trust, least: TrustClass = TrustClass.HARDWARE, checks: Checks = CHECKS
) -> Verified[Bundle]:
    """Check a bundle against what is pinned.

    Args:
        bundle: from anybody.
        trust: what is pinned.
        least: what an enclave's word must be worth at least; a simulated one must be asked for.
        checks: of what an enclave's platform signed; ones that remember save the cost of looking twice.

    Raises:
        Unverified: with every claim that failed.
    """
    verdict = judge(bundle, trust, least, checks)
    if not verdict.verified:
        raise Unverified(verdict.reasons)
    return Verified(bundle, verdict, least)


def judge(bundle: Bundle, trust: Trust, least: TrustClass = TrustClass.HARDWARE, checks: Checks = CHECKS) -> Verdict:
    """As `verify`, but returns the verdict whatever it is, for showing it whole."""
    claims = tuple(_claims(bundle, trust, least, checks))
    # 12
    if bundle.answer.receipt.receipt.layer is Layer.ZK:
        claims += tuple(_proof(bundle, trust, checks, claims))
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


CANCELLED = "cancelled"
"""The finish reason of a text answer that its caller cut short."""


def given_of(body: JsonObject, given: Json) -> Json:
    """What the receipt's given digest covers: what the engine was given, or a tensor request's own inputs.

    With a salt where there is one: the digest is public, and would tell an input that can be guessed.
    """
    if given is not None:
        return given
    inputs = body.get("inputs")
    return {"inputs": inputs, exactness.SALT: body[exactness.SALT]} if exactness.SALT in body else inputs


# --- the form of a response ---------------------------------------------------------------------------------------


def check_form(body: JsonObject, given: Json, response: JsonObject) -> None:
    """Check that a response is what the body asks for, as far as the two and what was given show it.

    Not checked: that a text is the one its token ids stand for, and a count of tokens beside which no ids are shown.

    Raises:
        Malformed: `response.form`, `response.units`, or what is wrong with the shape of a part.
    """
    match body.get("kind"), response.get("kind"):
        case ("chat" | "completion", "text"):
            _check_text(body, given, response)
        case ("embeddings", "embeddings"):
            _check_embeddings(body, given, response)
        case ("infer", "tensors"):
            _check_tensors(body, given, response)
        case kinds:
            asked, found = (str(kind)[:40] for kind in kinds)
            raise Malformed("response.form", f"a body of the kind {asked!r} is answered by the kind {found!r}")


def _check_text(body: JsonObject, given: Json, response: JsonObject) -> None:
    text, ids_in = take(given, "given", "text", "token_ids")
    as_text(text, "given.text")
    as_text(response.get("text"), "response.text")
    tokens_in, tokens_out = units(body, response)
    most = as_integer(body.get("max_tokens"), "max_tokens")
    if tokens_out > most:
        raise Malformed("response.form", f"{tokens_out} tokens came out; at most {most} were asked for")
    shown_in, shown_out = _count(ids_in, "given.token_ids"), _count(response.get("token_ids"), "response.token_ids")
    if shown_in not in (None, tokens_in):
        raise Malformed("response.form", f"{shown_in} token ids were given, and {tokens_in} are counted")
    # An engine may show ids later than text: of an answer that was cut short, some may never have come.
    complete = response.get("finish_reason") != CANCELLED
    if shown_out is not None and (shown_out > tokens_out or (complete and shown_out < tokens_out)):
        raise Malformed("response.form", f"{shown_out} token ids came out, and {tokens_out} are counted")


def _check_embeddings(body: JsonObject, given: Json, response: JsonObject) -> None:
    _check_nothing_given(given)
    texts = as_list(body.get("inputs"), "inputs", items_max=JSON_BYTES_MAX)
    vectors = _tensors(response, "embeddings", len(texts))
    if len(vectors) != len(texts):
        raise Malformed("response.form", f"{len(vectors)} vectors for {len(texts)} texts")
    if any((vector.datatype, len(vector.shape)) != ("FP32", 1) for vector in vectors):
        raise Malformed("response.form", "an embedding is a list of FP32 numbers")
    if units(body, response)[1]:
        raise Malformed("response.form", "embeddings have no tokens out")


def _check_tensors(body: JsonObject, given: Json, response: JsonObject) -> None:
    _check_nothing_given(given)
    units(body, response)
    asked = list(as_list(body.get("outputs"), "outputs", items_max=TENSORS_MAX))
    names = [tensor.name for tensor in _tensors(response, "outputs", TENSORS_MAX)]
    if len(set(names)) != len(names):
        raise Malformed("response.form", "two tensors have one name")
    if asked and asked != names:
        raise Malformed(
            "response.form", f"the tensors are {', '.join(names)[:200]}, not those asked for, in their order"
        )


def _check_nothing_given(given: Json) -> None:
    if given is not None:
        raise Malformed("response.form", "the model was given what the body holds, so nothing stands beside it")


def _tensors(response: JsonObject, name: str, items_max: int) -> list[Tensor]:
    """The tensors shown, each with as much data as its shape says: their rows cannot be inflated."""
    return [tensor_from_json(each, name) for each in as_list(response.get(name), name, items_max=items_max)]


def _count(ids: Json, what: str) -> int | None:
    """How many token ids are shown; None where none are."""
    if ids is None:
        return None
    return len([as_integer(each, what) for each in as_list(ids, what, items_max=JSON_BYTES_MAX)])


# --- the claims --------------------------------------------------------------------------------------------------


def _claims(bundle: Bundle, trust: Trust, least: TrustClass, checks: Checks) -> Iterator[Claim]:
    signed, answer, receipt = bundle.request, bundle.answer, bundle.answer.receipt.receipt
    request = signed.request
    # 1
    yield claim(
        "request.signature",
        signed.chain_id == trust.chain_id and signed.signed_by_payer(),
        f"the payer {checksummed(request.payer)} signed the request",
        "the request's signature is not the payer's, or is for another chain",
    )
    # 2
    yield claim(
        "request.body",
        body_digest(bundle.body) == request.body_digest,
        "the body is the one the payer signed",
        "the body is not the one the payer signed",
    )
    # 3
    yield claim(
        "receipt.request",
        receipt.answers(request),
        "the receipt answers this request, within its cap and deadline",
        "the receipt does not answer this request",
    )
    # 4
    yield claim(
        "receipt.signature",
        answer.receipt.signed_by_signer(trust.chain_id),
        f"the key {checksummed(receipt.signer)} signed the receipt",
        "the receipt's signature is not its signer's",
    )
    # 5
    yield _digests(bundle, receipt)
    # 6
    yield from _evidence(bundle, trust, least, checks)
    # 7
    yield _form(bundle, receipt)
    # 9
    chain = bundle.chain
    yield _sealed(chain.seal, trust)
    # 10 and 8
    yield from _registry(bundle, chain, receipt)
    # 11
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
    return claim(
        "receipt.digests",
        not wrong,
        "what was given, the response, the profile and the evidence are those the receipt signs",
        f"not what the receipt signs: {', '.join(wrong)}",
    )


def _evidence(bundle: Bundle, trust: Trust, least: TrustClass, checks: Checks) -> Iterator[Claim]:
    match bundle.answer.receipt.receipt.layer:
        case Layer.SIGNATURE:
            yield claim(
                "evidence.layer",
                bundle.answer.evidence == SIGNATURE_EVIDENCE and bundle.chain.release is None and not _exact(bundle),
                "layer signature: the receipt's signature is the evidence",
                "the evidence is not of the layer that the receipt names",
            )
        case Layer.TEE if _exact(bundle):
            yield Claim(
                "evidence.layer", Outcome.FAIL, "what belongs to the layer zkml stands beside an enclave's answer"
            )
        case Layer.TEE:
            yield from attested.evidence(bundle, trust, least, checks)
        case Layer.ZK:
            yield exactness.evidence(bundle)
        case unknown:
            assert_never(unknown)


def _exact(bundle: Bundle) -> bool:
    """True where a bundle has a part that only those of the layer `zkml` have."""
    return bundle.exact is not None or bundle.chain.exact is not None


def _proof(bundle: Bundle, trust: Trust, checks: Checks, before: Sequence[Claim]) -> Iterator[Claim]:
    if any(claim.outcome is Outcome.FAIL for claim in before):
        yield Claim("proof.verified", Outcome.SKIP, "not looked at: what it stands on failed already")
        return
    yield from exactness.proof(bundle, trust, checks)


def _form(bundle: Bundle, receipt: Receipt) -> Claim:
    model = to_hex(receipt.model_id)
    try:
        if bundle.body.get("model", model) != model:
            raise Malformed("response.form", "the body names another model than the receipt")
        check_form(bundle.body, bundle.answer.given, bundle.answer.response)
    except Malformed as error:
        return Claim("response.form", Outcome.FAIL, f"the response is not of the form asked for: {error.message}")
    return Claim("response.form", Outcome.PASS, "the response is of the form that the body asks for")


def _sealed(seal: Seal, trust: Trust) -> Claim:
    try:
        return Claim("chain.seal", Outcome.PASS, believe(seal, trust))
    except Unverified as error:
        return Claim("chain.seal", Outcome.FAIL, f"the state shown is not believable: {error.message}")


def _record_claim(code: str, bundle: Bundle, key: bytes, proved: Proved, holds: bool, sentence: str) -> Claim:
    proven = proves(bundle.chain.seal.state_root, key, proved.value, proved.proof)
    return claim(code, proven and holds, sentence, f"not shown by the ledger: {sentence}")


def _registry(bundle: Bundle, chain: Chain, receipt: Receipt) -> Iterator[Claim]:
    try:
        keys = tuple(_signer(bundle, chain, receipt))
        model = records.Model.decode(chain.model.value)
        price = records.Price.decode(chain.price.value)
    except Malformed as error:
        yield Claim("registry.records", Outcome.FAIL, f"a record of the ledger cannot be read: {error.message}")
        return
    yield from keys
    yield _record_claim(
        "registry.model",
        bundle,
        records.model_key(receipt.model_id),
        chain.model,
        bool(model.layers >> (receipt.layer - 1) & 1),
        f"model {to_hex(receipt.model_id)[:18]}… is registered as {model.name!r}, and offers this layer",
    )
    try:
        input_units, output_units = units(bundle.body, bundle.answer.response)
    except Malformed:
        # `response.form` says so; there is no price of what cannot be counted.
        return
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


def _signer(bundle: Bundle, chain: Chain, receipt: Receipt) -> Iterator[Claim]:
    """What the ledger knows of the key that signed. Raises `Malformed` (`record.…`)."""
    if receipt.layer is Layer.TEE:
        yield from attested.registered(chain, receipt, *attested.records_of(chain))
        return
    if receipt.layer is Layer.ZK:
        yield exactness.registered(bundle)
    key = records.NodeKey.decode(chain.key.value)
    yield _record_claim(
        "registry.key",
        bundle,
        records.node_key_key(receipt.signer),
        chain.key,
        key.node == receipt.node and key.valid_at(receipt.height) and receipt.height <= chain.seal.height,
        f"the key is registered for node {checksummed(receipt.node)} at block {receipt.height}",
    )


def _settlement(chain: Chain, receipt: Receipt) -> Claim:
    settled = chain.settled
    if settled is None:
        return Claim("settlement.batch", Outcome.SKIP, "not settled yet, or saved before it was")
    try:
        batch = records.Batch.decode(settled.record.value)
    except Malformed as error:
        return Claim("settlement.batch", Outcome.FAIL, f"the batch's record cannot be read: {error.message}")
    key = records.batch_key(settled.batch)
    holds = (
        proves(chain.seal.state_root, key, settled.record.value, settled.record.proof)
        and root_from_inclusion(receipt.hash(), settled.index, batch.size, settled.path) == batch.root
    )
    return claim(
        "settlement.batch",
        holds,
        f"settled in batch {settled.batch} at block {batch.height}, receipt {settled.index + 1} of {batch.size}",
        "the receipt is not in the batch that it names",
    )


QUESTIONS: Final = {
    "which_model": "Which model generated it?",
    "modified": "Was the model modified?",
    "processed": "Was the data processed correctly?",
    "altered": "Was the output altered before delivery?",
}


# --- the four questions ------------------------------------------------------------------------------------------


def _questions(bundle: Bundle, failed: frozenset[str]) -> Iterator[Claim]:
    if failed:
        for code, question in QUESTIONS.items():
            yield Claim(code, Outcome.FAIL, f"{question} Not shown: {', '.join(sorted(failed))}")
        return
    answers = _ANSWERS[bundle.answer.receipt.receipt.layer](bundle)
    for (code, question), (outcome, sentence) in zip(QUESTIONS.items(), answers, strict=True):
        yield Claim(code, outcome, f"{question} {sentence}")


def _answers(bundle: Bundle) -> Iterator[tuple[Outcome, str]]:
    """The answers of the signature layer, in the order of `QUESTIONS`."""
    word = "the layer signature carries the operator's word, no hardware or mathematical evidence"
    model = to_hex(bundle.answer.receipt.receipt.model_id)
    yield Outcome.PASS, f"{model}, signs the node's registered key"
    yield Outcome.SKIP, f"not shown: {word}"
    yield Outcome.SKIP, f"the input is bound to the receipt; for the rest, {word}"
    yield Outcome.PASS, attested.UNALTERED


_ANSWERS: Final[Mapping[Layer, Callable[[Bundle], Iterator[tuple[Outcome, str]]]]] = {
    Layer.SIGNATURE: _answers,
    Layer.TEE: attested.answers,
    Layer.ZK: exactness.answers,
}


def _uncounted(answer: Answer) -> Iterator[str]:
    """What the file does not show of the units counted. Rows of tensors it shows."""
    given, response = answer.given, answer.response
    if response.get("kind") == "tensors":
        return
    shown_in = isinstance(given, Mapping) and given.get("token_ids") is not None
    shown_out = response.get("token_ids") is not None and response.get("finish_reason") != CANCELLED
    none_out = response.get("kind") == "embeddings"
    hidden = [way for way, shown in (("in", shown_in), ("out", shown_out or none_out)) if not shown]
    if hidden:
        yield f"how many tokens went {' and '.join(hidden)}: not all of their ids are shown, so it is the node's word"
    if shown_in or shown_out:
        yield "that the token ids are those of the texts: only the model's tokenizer can tell"


def _not_checked(bundle: Bundle, trust: Trust) -> Iterator[str]:
    match bundle.answer.receipt.receipt.layer:
        case Layer.SIGNATURE:
            yield "that the node's machine ran this model: the signature layer proves who answered, not what computed"
        case Layer.TEE:
            with suppress(Malformed):  # then a claim failed, and says so
                yield from attested.not_checked(bundle)
        case Layer.ZK:
            with suppress(Malformed):  # likewise
                yield from exactness.not_checked(bundle)
        case unknown:
            assert_never(unknown)
    if bundle.answer.given is not None:
        yield "that the chat template turned the messages into the given text (`paraph receipt replay` does)"
    yield from _uncounted(bundle.answer)
    if bundle.answer.profile.bit_exact != "yes":
        yield "whether the answer can be computed again: its engine promises no equal bits"
    if bundle.answer.receipt.receipt.stream_digest != NO_STREAM:
        yield "the order of the pieces, if it was streamed: its reader checked it; the file holds the whole"
    if bundle.chain.settled is None:
        yield "settlement: neither the debit is shown nor that the price schedule was in force; the ledger checks both"
    match bundle.chain.seal:
        case ProducerSeal():
            yield "that the block producer signed no second chain: a solo network trusts its one producer"
        case ValidatorSeal():
            yield (
                "that the pinned validators did not sell their keys after leaving: a file has no clock; pin a set from"
                f" less than {trust.trusting_period_s // 86_400} days before the answer to be sure"
            )
        case _:
            assert_never(bundle.chain.seal)
    if trust.devnet:
        yield f"anything of value: {trust.network} is a development network"
