"""Bundles that must not verify: each is one lie told to a true bundle, and what a verifier must answer.

`failed` and `malformed` are written here by hand, from the specification; the generator checks that paraph agrees.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vectors import enclaves, forms, validators, world

from paraph.core.amount import UINT256_MAX, Wei
from paraph.core.encode import Json, JsonObject
from paraph.core.ident import ModelId, RequestKey, to_hex
from paraph.core.keys import CURVE_ORDER
from paraph.proofs import records
from paraph.proofs.bundle import Bundle, Proved
from paraph.proofs.check import given_of
from paraph.proofs.light.types import LightBlock, Timestamp
from paraph.proofs.receipt import evidence_digest, given_digest, response_digest
from paraph.proofs.request import Layer, body_digest
from paraph.proofs.seal import ProducerSeal, engine_chain_id
from paraph.proofs.verdict import Outcome

BASES: Final = {
    "text-settled": world.TEXT_SETTLED,
    "text-unsettled": world.TEXT_UNSETTLED,
    "tensor-settled": world.TENSOR_SETTLED,
    "text-validators": world.TEXT_VALIDATORS,
    "text-handed-over": world.TEXT_HANDED_OVER,
    "text-enclave": enclaves.text_enclave(),
}
SETTLED, UNSETTLED, TENSOR, VALIDATORS, HANDED_OVER, ENCLAVE = BASES
TRUSTS: Final = dict.fromkeys(BASES, "trust") | {
    VALIDATORS: "trust-validators",
    HANDED_OVER: "trust-validators",
    ENCLAVE: "trust-enclaves",
}
"""Under which trust file each is true."""
LEASTS: Final = dict.fromkeys(BASES, "hardware") | {ENCLAVE: "simulated"}
"""What is demanded of an enclave where each is true."""
SAID: Final = '"Answer in one line."'
"""A text that occurs once in the settled text bundle."""


@dataclass(frozen=True)
class Case:
    """One lie: the true bundle it is told to, how, and what must come of it.

    Args:
        edits: `set` and `remove` on the JSON, `replace` on the text, or `bytes` for the whole file.
        expect: `{"failed": [claim codes]}` or `{"malformed": code}`.
        trust: another trust file; None for the pinned one.
        least: another trust class that is demanded of an enclave; None for the base's.
    """

    name: str
    base: str
    edits: Mapping[str, Json]
    expect: Mapping[str, Json]
    trust: Json = None
    least: str | None = None

    def as_json(self) -> dict[str, Json]:
        """The case as JSON."""
        found: dict[str, Json] = {"name": self.name, "base": self.base, **self.edits, "expect": self.expect}
        others: dict[str, Json] = {"trust": self.trust, "least": self.least}
        return found | {name: other for name, other in others.items() if other is not None}


def difference(old: Json, new: Json, path: tuple[Json, ...] = ()) -> tuple[list[Json], list[Json]]:
    """What to set and what to remove to come from `old` to `new`: pairs of path and value, and paths."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        steps: list[tuple[str, bool, bool]] = [(name, name in old, name in new) for name in sorted({*old, *new})]
        sets: list[Json] = []
        removes: list[Json] = []
        for name, before, after in steps:
            if before and after:
                more, fewer = difference(old[name], new[name], (*path, name))
                sets, removes = sets + more, removes + fewer
            elif after:
                sets.append([[*path, name], new[name]])
            else:
                removes.append([*path, name])
        return sets, removes
    return ([], []) if old == new and type(old) is type(new) else ([[list(path), new]], [])


def lie(name: str, base: str, bundle: Bundle, *failed: str) -> Case:
    """A case made of a whole false bundle."""
    sets, removes = difference(BASES[base].as_json(), bundle.as_json())
    edits = {name: found for name, found in (("set", sets), ("remove", removes)) if found}
    return Case(name, base, edits, {"failed": list(failed)})


def put(name: str, path: str, value: Json, *failed: str, base: str = SETTLED) -> Case:
    """A case made by setting one value, where `path` is dotted."""
    return Case(name, base, {"set": [[_path(path), value]]}, {"failed": list(failed)})


def bad(name: str, path: str, value: Json, code: str, base: str = SETTLED) -> Case:
    """A malformed case made by setting one value."""
    return Case(name, base, {"set": [[_path(path), value]]}, {"malformed": code})


def text(name: str, old: str, new: str, code: str) -> Case:
    """A malformed case made by replacing text that occurs once."""
    return Case(name, SETTLED, {"replace": [[old, new]]}, {"malformed": code})


def raw(name: str, data: bytes, code: str) -> Case:
    """A malformed case of other bytes altogether."""
    return Case(name, SETTLED, {"bytes": to_hex(data)}, {"malformed": code})


def _path(path: str) -> list[Json]:
    return [int(step) if step.isdigit() else step for step in path.split(".")]


def cases() -> list[Case]:
    """Every case."""
    parts = (
        _unreadable(),
        _shapes(),
        _requests(),
        _receipts(),
        _shown(),
        _forms(),
        _headers(),
        _validators(),
        _registry(),
        _settlements(),
    )
    return [case for part in parts for case in part]


# --- not a bundle at all -----------------------------------------------------------------------------------------


def _unreadable() -> Iterator[Case]:
    yield raw("empty file", b"", "json.syntax")
    yield raw("not JSON", b"paraph", "json.syntax")
    yield raw("an array", b"[]", "json.shape")
    yield raw("an empty object", b"{}", "bundle.format")
    yield raw("truncated", b'{"format":"paraph/bundle/1","body"', "json.syntax")
    yield raw("not UTF-8", b'{"format":"\xff"}', "json.utf8")
    yield raw("a surrogate encoded in UTF-8", b'{"format":"\xed\xa0\x80"}', "json.utf8")
    yield raw("a byte-order mark", b'\xef\xbb\xbf{"format":"paraph/bundle/1"}', "json.syntax")
    yield raw("nested too deep", b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "json.depth")
    form = '"format":"paraph/bundle/1"'
    yield text("another format", form, '"format":"paraph/bundle/2"', "bundle.format")
    yield text("a format that is no text", form, '"format":1', "bundle.format")
    yield text("a name twice", form, f"{form},{form}", "json.duplicate")
    yield text("a name twice, spelled with an escape", form, f'{form},"f\\u006frmat":"x"', "json.duplicate")
    yield text("a trailing comma", form, f"{form},", "json.syntax")
    yield text("a comment", form, f"/* so */{form}", "json.syntax")
    yield text("single quotes", form, "'format':'paraph/bundle/1'", "json.syntax")
    yield text("a line break inside a string", SAID, '"Answer in\none line."', "json.syntax")
    yield text("an unknown escape", SAID, '"Answer in \\x20one line."', "json.syntax")
    yield text("a lone surrogate", SAID, '"\\ud83e"', "json.text")
    yield text("surrogates in the wrong order", SAID, '"\\udd50\\ud83e"', "json.text")
    spelling = "json.spelling"
    yield text("an escape where none is due", SAID, '"\\u0041nswer in one line."', spelling)
    yield text("an escaped slash", SAID, '"Answer in one line\\/."', spelling)
    yield text("an escape in capitals", SAID, '"Answer in one line.\\u001F"', spelling)
    yield text("a long escape for a short one", SAID, '"Answer in one line.\\u000a"', spelling)
    yield text("letters beyond the BMP as an escape", SAID, '"\\ud83e\\udd50"', spelling)
    tokens = '"max_tokens":32'
    yield text("an integer as 32.0", tokens, f"{tokens}.0", "json.spelling")
    yield text("an integer as 3.2e1", tokens, '"max_tokens":3.2e1', "json.spelling")
    yield text("a leading zero", tokens, '"max_tokens":032', "json.syntax")
    yield text("a plus sign", tokens, '"max_tokens":+32', "json.syntax")
    yield text("minus zero", tokens, '"max_tokens":-0', "json.spelling")
    yield text("minus zero, as a fraction", tokens, '"max_tokens":-0.0', "json.spelling")
    yield text("an integer beyond 2^53 - 1", tokens, '"max_tokens":9007199254740992', "json.number")
    yield text("a long integer", tokens, '"max_tokens":' + "9" * 400, "json.number")
    yield text("a number beyond double precision", tokens, '"max_tokens":1e400', "json.number")
    yield text("a number that is too small", tokens, '"max_tokens":1e-400', "json.spelling")
    yield text("NaN", tokens, '"max_tokens":NaN', "json.number")
    yield text("an infinity", tokens, '"max_tokens":-Infinity', "json.number")
    yield text("a trailing zero", '"temperature":0.7', '"temperature":0.70', "json.spelling")
    yield text("digits beyond the shortest", '"temperature":0.7', '"temperature":0.70000000000000001', "json.spelling")
    yield text("no exponent where one is due", '"min_p":1e-7', '"min_p":0.0000001', "json.spelling")
    yield text("a capital exponent", '"min_p":1e-7', '"min_p":1E-7', "json.spelling")
    yield text("an exponent with a zero", '"min_p":1e-7', '"min_p":1e-07', "json.spelling")


def _shapes() -> Iterator[Case]:
    yield bad("an unknown member", "note", "hello", "json.shape")
    yield bad("an unknown member in the request", "request.note", 1, "json.shape")
    yield bad("an unknown member in the settlement", "chain.settled.root", "0x", "json.shape")
    yield bad("an unknown member in a state proof", "chain.key.proof.path", "0x", "json.shape")
    for path in (
        "given",
        "chain.settled",
        "chain.release",
        "receipt.stream_digest",
        "profile.sampler",
        "chain.price.proof.other",
    ):
        edits: dict[str, Json] = {"remove": [_path(path)]}
        yield Case(f"{path} is missing", SETTLED, edits, {"malformed": "json.shape"})
    yield bad("a body that is no object", "body", [], "json.shape")
    yield bad("a response that is no object", "response", "text", "json.shape")
    yield bad("evidence that is no object", "evidence", None, "json.shape")
    yield bad("a settlement that is false", "chain.settled", False, "json.shape")
    key = to_hex(world.TEXT.request().request.key)
    yield bad("hex in capitals", "request.key", "0x" + key[2:].upper(), "ident.hex")
    yield bad("hex without 0x", "request.key", key[2:], "ident.hex")
    yield bad("hex that is short", "request.key", key[:-2], "ident.hex")
    yield bad("hex with half a byte", "chain.key.value", "0x0", "ident.hex")
    yield bad("hex with another letter", "request.key", key[:-1] + "g", "ident.hex")
    yield bad("a digest that is null", "receipt.stream_digest", None, "ident.hex")
    yield bad("an address of 21 bytes", "request.payer", to_hex(world.PAYER.address) + "00", "ident.hex")
    yield bad("a signature of 64 bytes", "receipt.signature", "0x" + "11" * 64, "ident.hex")
    for layer in (0, 4):
        yield bad(f"layer {layer}", "request.layer", layer, "request.layer")
    yield bad("a layer that is true", "receipt.layer", True, "json.shape")
    for price in ("", "01", "-1", "+1", "1e3", " 1", "0x1", "\u0661", str(UINT256_MAX + 1), 1):
        yield bad(f"a cap spelled {price!r}", "request.max_price", price, "json.shape")
    yield bad("a negative height", "receipt.height", -1, "json.shape")
    yield bad("a height as text", "chain.seal.header.height", "45", "json.shape")
    yield bad("a fraction of a millisecond", "receipt.ended_ms", 1.5, "json.shape")
    yield bad("a price version of 33 bits", "receipt.price_version", 2**32, "json.shape")
    yield bad("threads beyond 4096", "profile.threads", 4097, "json.shape")
    yield bad("a profile text of 257 bytes", "profile.isa", "é" * 128 + "x", "json.shape")
    yield bad("a path of 65 hashes", "chain.settled.path", ["0x" + "00" * 32] * 65, "json.shape")
    yield bad("a state proof of 257 hashes", "chain.key.proof.siblings", ["0x" + "00" * 32] * 257, "json.shape")
    yield bad("a state proof's other leaf of one byte", "chain.key.proof.other", "0x00", "ident.hex")
    yield bad("a record beyond 16 KiB", "chain.key.value", "0x" + "00" * (16 * 1024 + 1), "bundle.record")
    for name, code in (("format", "trust.format"), ("producers", "trust.producers"), ("devnet", "trust.producers")):
        wrong: dict[str, Json] = {"format": "paraph/trust/2", "producers": [], "devnet": 1}
        trust = world.TRUST.as_json() | {name: wrong[name]}
        yield Case(f"a trust file with a wrong {name}", SETTLED, {}, {"malformed": code}, trust)


# --- requests and receipts ---------------------------------------------------------------------------------------

BOUND: Final = ("receipt.request",)
UNPROVABLE: Final = ("evidence.layer", "registry.exact", "registry.model")
"""An answer of the layer zkml without graph and record, of a model that does not offer it."""


def _remade(base: str = UNSETTLED, chain_id: int = world.CHAIN_ID, **changed: object) -> Bundle:
    """The base with a changed receipt, signed again by the node's key."""
    bundle = BASES[base]
    changed_receipt: Any = replace(bundle.answer.receipt.receipt, **changed)  # type: ignore[arg-type]
    signed = world.sign_receipt(changed_receipt, chain_id=chain_id)
    return replace(bundle, answer=replace(bundle.answer, receipt=signed))


def _asked(key: Any = world.PAYER, chain_id: int = world.CHAIN_ID, **changed: object) -> Bundle:
    """The unsettled base with a changed request, signed again, and a receipt that answers that request."""
    asked: Any = replace(BASES[UNSETTLED].request.request, **changed)  # type: ignore[arg-type]
    same = {"request_key": asked.key, "payer": asked.payer, "node": asked.node, "model_id": asked.model_id}
    bundle = _remade(request_hash=asked.hash(), layer=asked.layer, **same)
    return replace(bundle, request=world.sign_request(asked, key, chain_id))


def _high_s(signature: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes((55 - signature[64],))


def _requests() -> Iterator[Case]:
    signed = BASES[SETTLED].request
    code = "request.signature"
    stranger = world.sign_request(signed.request, world.STRANGER)
    yield lie("a request signed by a stranger", SETTLED, replace(BASES[SETTLED], request=stranger), code)
    yield lie("a request for another chain", UNSETTLED, _asked(chain_id=1), code)
    yield put("a request said to be for another chain", "request.chain_id", 1, code)
    yield put("a request's signature with a high s", "request.signature", to_hex(_high_s(signed.signature)), code)
    for v in (0, 1, 29):
        yield put(
            f"a request's signature with v {v}", "request.signature", to_hex(signed.signature[:64] + bytes((v,))), code
        )
    yield put("a request's signature of zeros", "request.signature", to_hex(bytes(64) + b"\x1b"), code)
    r_high = CURVE_ORDER.to_bytes(32, "big") + signed.signature[32:]
    yield put("a request's signature with r at the order", "request.signature", to_hex(r_high), code)
    yield put("a cap raised after signing", "request.max_price", "50000000000000001", code, "receipt.request")
    yield put("a deadline moved after signing", "request.deadline", world.TIME_S + 701, code, "receipt.request")
    yield put("another key after signing", "request.key", "0x" + "01" * 32, code, "receipt.request")
    yield put("another body digest", "request.body_digest", "0x" + "01" * 32, code, "request.body", "receipt.request")
    yield put("another word in the body", "body.messages.0.content", "Answer in one line!", "request.body")
    yield put("another temperature", "body.temperature", 0.8, "request.body")
    yield put("one more member in the body", "body.user", None, "request.body")
    yield put("another order of messages", "body.messages", list(reversed(_messages())), "request.body")
    yield lie(
        "an answer to another question",
        UNSETTLED,
        _asked(body_digest=body_digest({"kind": "chat", "messages": []})),
        "request.body",
    )


def _messages() -> list[Json]:
    found = world.TEXT_BODY["messages"]
    return list(found) if isinstance(found, list) else []


def _receipts() -> Iterator[Case]:
    receipt = BASES[UNSETTLED].answer.receipt.receipt
    bundle = BASES[SETTLED]
    stranger = replace(bundle.answer, receipt=world.sign_receipt(bundle.answer.receipt.receipt, world.STRANGER))
    yield lie("a receipt signed by a stranger", SETTLED, replace(bundle, answer=stranger), "receipt.signature")
    high = to_hex(_high_s(bundle.answer.receipt.signature))
    yield put("a receipt's signature with a high s", "receipt.signature", high, "receipt.signature")
    yield lie("a receipt for another chain", UNSETTLED, _remade(chain_id=1), "receipt.signature")
    both = ("receipt.signature", "settlement.batch")
    yield put("another stream digest", "receipt.stream_digest", "0x" + "00" * 32, *both)
    yield put("another end", "receipt.ended_ms", receipt.ended_ms + 1, *both)
    yield put("an earlier height", "receipt.height", 39, *both)
    yield put("more units than signed", "receipt.output_units", 6, "receipt.signature", "registry.price", both[1])
    yield put("a lower price than signed", "receipt.price", "1", "receipt.signature", "registry.price", both[1])
    yield lie("a price above the cap", UNSETTLED, _asked(max_price=Wei(receipt.price - 1)), *BOUND)
    yield lie("work begun after the deadline", UNSETTLED, _asked(deadline=world.TIME_S + 401), *BOUND)
    yield lie("an end before the start", UNSETTLED, _remade(ended_ms=receipt.started_ms - 1), *BOUND)
    yield lie("a receipt of another request", UNSETTLED, _remade(request_hash=validators.seeded("other")), *BOUND)
    other_key = RequestKey(validators.seeded("other key"))
    yield lie("a receipt under another key", UNSETTLED, _remade(request_key=other_key), *BOUND)
    yield lie("a receipt for another payer", UNSETTLED, _remade(payer=world.STRANGER.address), *BOUND)
    yield lie("another node's receipt", UNSETTLED, _remade(node=world.STRANGER.address), *BOUND, "registry.key")
    other = ModelId(world.TENSOR_MODEL.model_id())
    failed = (*BOUND, "response.form", "registry.model", "registry.price")
    yield lie("another model than asked", UNSETTLED, _remade(model_id=other), *failed)
    yield lie("another layer than asked", UNSETTLED, _remade(layer=Layer.ZK), *BOUND, *UNPROVABLE)
    zk = _asked(layer=Layer.ZK)
    yield lie("an answer of the layer zkml without its parts", UNSETTLED, zk, *UNPROVABLE)
    tee = _asked(layer=Layer.TEE)
    yield lie("a node's key where an enclave's is due", UNSETTLED, tee, "evidence.layer", "registry.records")
    yield lie(
        "outside data that is not shown", UNSETTLED, _remade(sources_root=validators.seeded("data")), "receipt.digests"
    )
    more: JsonObject = {"layer": "signature", "note": "trust me"}
    told = _remade(evidence_digest=evidence_digest(more))
    told = replace(told, answer=replace(told.answer, evidence=more))
    yield lie("evidence with an unknown member", UNSETTLED, told, "evidence.layer")
    none = _remade(evidence_digest=evidence_digest({}))
    yield lie("no evidence", UNSETTLED, replace(none, answer=replace(none.answer, evidence={})), "evidence.layer")


def _shown() -> Iterator[Case]:
    digests = "receipt.digests"
    yield put("another word in the answer", "response.text", "About 0,60 €.", digests)
    yield put("another token", "response.token_ids.0", 1033, digests)
    yield put("another log-probability", "response.logprobs.0.logprob", -0.0001234567890123457, digests)
    yield put("another finish reason", "response.finish_reason", "length", digests)
    yield put("usage larger than signed", "response.usage.output_tokens", 6, digests, "response.form", "registry.price")
    yield put("another given text", "given.text", "<|user|>?", digests)
    yield put("no given", "given", None, digests, "response.form")
    yield put("another thread count", "profile.threads", 2, digests)
    yield put("a profile that promises less", "profile.bit_exact", "no", digests)
    yield put("other evidence", "evidence.layer", "tee", digests, "evidence.layer")
    yield put("another output tensor", "response.outputs.0.data", "AABAPwAAAD8=", digests, base=TENSOR)
    rows = ("request.body", digests, "registry.price")
    yield put("another input tensor", "body.inputs.0.data", "AAAAAA==", "request.body", digests, base=TENSOR)
    yield put("more rows than were signed", "body.inputs.0.shape.0", 3, *rows, base=TENSOR)
    yield put("given beside the inputs", "given", {}, digests, "response.form", base=TENSOR)


def _answered(body: JsonObject, given: Json, response: JsonObject, **changed: object) -> Bundle:
    """The unsettled bundle with another body, given and response, signed by payer and node."""
    asked = replace(BASES[UNSETTLED].request.request, body_digest=body_digest(body))
    told = _remade(
        request_hash=asked.hash(),
        given_digest=given_digest(given_of(body, given)),
        response_digest=response_digest(response),
        **changed,  # type: ignore[arg-type]
    )
    answer = replace(told.answer, given=given, response=response)
    return replace(told, request=world.sign_request(asked), body=body, answer=answer)


def _forms() -> Iterator[Case]:
    form, price = "response.form", "registry.price"
    story = world.TEXT
    yield lie(
        "a body of another model", UNSETTLED, _answered(forms.MODEL_OF_ANOTHER, story.given, story.response), form
    )
    shorter: JsonObject = {**story.body, "max_tokens": 4}
    yield lie("more tokens than asked for", UNSETTLED, _answered(shorter, story.given, story.response), form)
    embedded = _answered(story.body, None, forms.EMBEDDINGS)
    yield lie("a chat answered by embeddings", UNSETTLED, embedded, form, price)
    tensors = _answered(story.body, None, world.TENSOR_RESPONSE)
    yield lie("a chat answered by tensors", UNSETTLED, tensors, form)
    more: JsonObject = {**story.response, "usage": {"input_tokens": 5, "output_tokens": 6}}
    told = _answered(story.body, story.given, more, output_units=6, price=Wei(world.TEXT_PRICE.of(5, 6)))
    yield lie("more tokens paid for than shown", UNSETTLED, told, form)
    yield lie("nothing given to a chat", UNSETTLED, _answered(story.body, None, story.response), form)


# --- the ledger's word -------------------------------------------------------------------------------------------


def _headers() -> Iterator[Case]:
    code = "chain.seal"
    bundle, header = BASES[SETTLED], world.LEDGER.header

    def under(ledger: world.Ledger) -> Bundle:
        return replace(bundle, chain=replace(bundle.chain, seal=ProducerSeal(ledger.header)))

    yield lie("a header signed by a stranger", SETTLED, under(world.Ledger(world.LEDGER.state, world.STRANGER)), code)
    other_chain = world.Ledger(world.LEDGER.state, chain_id=1)
    yield lie("a header of another chain", SETTLED, under(other_chain), code)
    other_genesis = world.Ledger(world.LEDGER.state, genesis=validators.seeded("other"))
    yield lie("a header of another genesis", SETTLED, under(other_genesis), code)
    yield put(
        "a header's signature with a high s", "chain.seal.header.signature", to_hex(_high_s(header.signature)), code
    )
    yield put("another time", "chain.seal.header.time_s", header.header.time_s + 1, code)
    yield put("another base fee", "chain.seal.header.base_fee", 10**9 + 1, code)
    yield put("a lower height", "chain.seal.header.height", 39, code, "registry.key")
    all_records = (code, "registry.key", "registry.model", "registry.price", "settlement.batch")
    yield put("another state root", "chain.seal.header.state_root", "0x" + "00" * 32, *all_records)
    others: tuple[tuple[str, Json, list[Json]], ...] = (
        ("genesis", to_hex(validators.seeded("other")), [code]),
        ("producers", [to_hex(world.STRANGER.address)], [code]),
        ("chain_id", 1, ["request.signature", "receipt.signature", code]),
    )
    for name, value, failed in others:
        trust: dict[str, Json] = world.TRUST.as_json() | {name: value}
        yield Case(f"trust in another {name}", SETTLED, {}, {"failed": failed}, trust)


def _validators() -> Iterator[Case]:
    code = "chain.seal"
    state = ("registry.key", "registry.model", "registry.price")
    bundle, handed = BASES[VALIDATORS], BASES[HANDED_OVER]
    first, second = validators.FIRST, validators.SECOND
    at = "chain.seal.blocks.0"
    votes: Any = bundle.chain.seal.as_json()["blocks"][0]["commit"]["signatures"]  # type: ignore[index, call-overload]

    def seal(name: str, *blocks: LightBlock, failed: Sequence[str] = (code,)) -> Case:
        return lie(name, VALIDATORS, world.sealed(bundle, *blocks), *failed)

    def at_seal(name: str, path: str, value: Json, *failed: str) -> Case:
        return put(name, f"{at}.{path}", value, *failed, base=VALIDATORS)

    yield at_seal("a vote too few", "commit.signatures.0", None, code)
    yield at_seal("one vote twice", "commit.signatures.1", votes[0], code)
    yield at_seal("a vote for no block", "commit.signatures.0.flag", 3, code)
    yield at_seal("a vote at another time", "commit.signatures.0.time.nanos", 1, code)
    yield at_seal("a forged vote", "commit.signatures.0.signature", votes[1]["signature"], code)
    yield at_seal("another round", "commit.round", 1, code)
    yield at_seal("other parts", "commit.parts_hash", to_hex(validators.seeded("other")), code)
    yield at_seal("a validator's power raised", "validators.0.power", "400000", code)
    yield at_seal("a validator's key twice", "validators.1.key", to_hex(validators.public("ann")), code)
    yield at_seal("another application hash", "header.app_hash", "0x" + "00" * 32, code, *state, "settlement.batch")
    yield at_seal(
        "an application hash of 31 bytes",
        "header.app_hash",
        to_hex(world.LEDGER.root[1:]),
        code,
        *state,
        "settlement.batch",
    )
    yield at_seal("a lower height under the same votes", "header.height", 40, code, "registry.key")
    yield at_seal("another chain under the same votes", "header.chain_id", "paraph", code)
    yield seal("votes of another chain", world.light_block(first, chain_id="paraph-88001-0011223344556677"))
    solo = engine_chain_id(world.CHAIN_ID, world.GENESIS.digest())
    yield seal("votes of the network with another genesis", world.light_block(first, chain_id=solo))
    yield seal("votes of too little power", world.light_block(first, signers=("ben", "cat", "dan")))
    yield seal("strangers", world.light_block(validators.THIRD))
    yield seal("another set at the anchor's height", world.light_block(second, 1), failed=(code, "registry.key"))
    other = world.light_block(first, app_hash=validators.seeded("another state"))
    yield seal("another state, by true votes", other, failed=(*state, "settlement.batch"))
    lower = world.light_block(first, 40)
    yield seal("a state before the receipt's height, by true votes", lower, failed=("registry.key",))
    block = world.light_block(first)
    yield seal("the same block twice", block, block)
    yield seal("a block below the one before", world.light_block(first, 60), block)
    yield seal("a time before the anchor", world.light_block(first, time=Timestamp(world.TIME_S - 1, 0)))
    yield seal("version 10", world.light_block(first, version_block=10))
    blocks: Any = handed.chain.seal.as_json()["blocks"]

    def hops(name: str, shown: Sequence[Json]) -> Case:
        return put(name, "chain.seal.blocks", shown, code, base=HANDED_OVER)

    yield hops("no block between two sets", blocks[1:])
    yield hops("not the set that was announced", [blocks[1], blocks[2]])
    yield hops("blocks in another order", [blocks[1], blocks[0], blocks[2]])
    next_set = world.light_block(validators.SECOND, 21)
    yield lie(
        "a set that was not announced",
        HANDED_OVER,
        world.sealed(handed, world.HANDED_OVER[0], next_set),
        code,
        "registry.key",
    )
    yield bad("no blocks", "chain.seal.blocks", [], "seal.kind", VALIDATORS)
    yield bad("65 blocks", "chain.seal.blocks", blocks[:1] * 65, "json.shape", VALIDATORS)
    yield bad("a seal of no kind", "chain.seal.kind", None, "seal.kind", VALIDATORS)
    yield bad("a seal of another kind", "chain.seal.kind", "committee", "seal.kind", VALIDATORS)
    yield bad("validators called a producer", "chain.seal.kind", "producer", "json.shape", VALIDATORS)
    yield bad("a producer called validators", "chain.seal.kind", "validators", "json.shape")
    yield bad("a member more in a seal", "chain.seal.note", "", "json.shape", VALIDATORS)
    yield bad("a member more in a block", f"{at}.note", "", "json.shape", VALIDATORS)
    yield bad("a vote that says whose it is", f"{at}.commit.signatures.0.validator", "0x", "json.shape", VALIDATORS)
    yield bad("places too few", f"{at}.commit.signatures", votes[:3], "light.shape", VALIDATORS)
    yield bad("a vote called absent", f"{at}.commit.signatures.0.flag", 1, "json.shape", VALIDATORS)
    yield bad("a power as a number", f"{at}.validators.0.power", 40_000, "json.shape", VALIDATORS)
    yield bad("a block at height 0", f"{at}.header.height", 0, "json.shape", VALIDATORS)
    good = world.TRUST_VALIDATORS.as_json()
    anchor: Any = good["anchor"]
    third: list[Json] = [each.as_json() for each in validators.members(validators.THIRD)]
    pins: tuple[tuple[str, dict[str, Json], list[Json]], ...] = (
        ("a producer, for validators' blocks", world.TRUST.as_json(), [code]),
        ("validators of another network", good | {"anchor": anchor | {"validators": third}}, [code]),
        ("an anchor of nobody", good | {"anchor": anchor | {"validators": []}}, [code]),
        ("an anchor above the block", good | {"anchor": anchor | {"height": 47}}, [code]),
        ("an anchor after the block", good | {"anchor": anchor | {"time_s": world.TIME_S + 461}}, [code]),
        ("another genesis, for validators' blocks", good | {"genesis": to_hex(validators.seeded("other"))}, [code]),
        (
            "another chain id, for validators' blocks",
            good | {"chain_id": 1},
            ["request.signature", "receipt.signature", code],
        ),
    )
    for name, trust, failed in pins:
        yield Case(f"trust in {name}", VALIDATORS, {}, {"failed": failed}, trust)
    yield Case("trust in validators, for a producer's header", SETTLED, {}, {"failed": [code]}, good)


def _told(ledger: world.Ledger, bundle: Bundle, **changed: Any) -> Bundle:
    """The unsettled bundle under another state, its records read from there."""
    receipt = bundle.answer.receipt.receipt
    chain = ledger.chain(receipt.model_id, version=receipt.price_version)
    return replace(bundle, chain=replace(chain, **changed))


def _with(**changed: Any) -> world.Ledger:
    """The ledger with a changed record: `key`, `model` or `price`."""
    state = dict(world.LEDGER.state)
    model_id = world.TEXT_MODEL.model_id()
    places = {
        "key": records.node_key_key(world.SIGNER.address),
        "model": records.model_key(model_id),
        "price": records.price_key(model_id, 1),
    }
    for name, record in changed.items():
        state[places[name]] = record if isinstance(record, bytes) else record.encode()
    return world.Ledger(state)


def _used(usage: Json) -> Bundle:
    """The unsettled bundle whose response, signed, says it used so much."""
    response = {**world.TEXT_RESPONSE, "usage": usage}
    told = _remade(response_digest=response_digest(response))
    return replace(told, answer=replace(told.answer, response=response))


def _registry() -> Iterator[Case]:
    base, code = BASES[UNSETTLED], "registry.key"
    node = world.NODE.address
    for name, record in (
        ("a key of another node", records.NodeKey(world.OWNER.address, 10, 0)),
        ("a key that was not valid yet", records.NodeKey(node, 41, 0)),
        ("a key that was retired before", records.NodeKey(node, 10, 39)),
    ):
        yield lie(name, UNSETTLED, _told(_with(key=record), base), code)
    retired = world.sign_receipt(replace(base.answer.receipt.receipt, signer=world.STRANGER.address), world.STRANGER)
    chain = world.LEDGER.chain(world.TEXT_MODEL.model_id(), world.STRANGER)
    signed = replace(base, answer=replace(base.answer, receipt=retired), chain=chain)
    yield lie("a receipt signed by a retired key", UNSETTLED, signed, code)
    yield lie("a height beyond the header's", UNSETTLED, _remade(height=46), code)
    yield put("a key's record changed", "chain.key.value", _changed("key"), code)
    yield put("a key's proof changed", "chain.key.proof.siblings.0", "0x" + "00" * 32, code)
    siblings = list(BASES[SETTLED].chain.key.proof.siblings)
    shown: list[Json] = [to_hex(each) for each in siblings]
    yield put("a key's proof too short", "chain.key.proof.siblings", shown[1:], code)
    yield put("a key's proof too long", "chain.key.proof.siblings", ["0x" + "00" * 32, *shown], code)
    yield put("a key's proof out of order", "chain.key.proof.siblings", shown[::-1], code)
    yield put("a key's proof with an absence beside it", "chain.key.proof.other", "0x" + "00" * 64, code)
    other = world.LEDGER.prove(records.node_key_key(world.STRANGER.address))
    yield lie(
        "another key's record", SETTLED, replace(BASES[SETTLED], chain=replace(BASES[SETTLED].chain, key=other)), code
    )
    unreadable = {
        "no RLP": b"",
        "RLP that is truncated": b"\xc3\x01",
        "RLP with a byte after it": records.NodeKey(node, 10, 0).encode() + b"\x00",
        "RLP with a byte in long form": b"\xd8\x94" + node + b"\x81\x0a\x80",
        "RLP with a long length for a short list": b"\xf8\x17\x94" + node + b"\x0a\x80",
        "RLP with a leading zero": b"\xd9\x94" + node + b"\x82\x00\x0a\x80",
        "RLP with one field more": b"\xd8\x94" + node + b"\x0a\x80\x80",
        "RLP with a list for a number": b"\xd7\x94" + node + b"\xc0\x80",
        "RLP nested deep": world.nested_rlp(20),
    }
    for name, data in unreadable.items():
        yield put(f"a key's record that is {name}", "chain.key.value", to_hex(data), "registry.records")
    yield put("a model's name that is not UTF-8", "chain.model.value", _bad_name(), "registry.records")
    model = world.model_record(world.TEXT)
    yield lie(
        "a layer that is not offered", UNSETTLED, _told(_with(model=replace(model, layers=2)), base), "registry.model"
    )
    yield put("a model's record changed", "chain.model.value", _changed("model"), "registry.model")
    yield put("a price's record changed", "chain.price.value", _changed("price"), "registry.price")
    code = "registry.price"
    dear = replace(world.TEXT_PRICE, base=world.TEXT_PRICE.base + 1)
    yield lie("another price than the schedule's", UNSETTLED, _told(_with(price=dear), base), code)
    price = base.answer.receipt.receipt.price
    yield lie("a price of one wei more", UNSETTLED, _remade(price=Wei(price + 1)), code)
    dearer = _remade(output_units=6, price=Wei(world.TEXT_PRICE.of(5, 6)))
    yield lie("a price of more units than the response says", UNSETTLED, dearer, code)
    yield lie("a price of another schedule", UNSETTLED, _remade(price_version=2), code)
    usages: dict[str, Json] = {
        "missing": None,
        "text": {"input_tokens": "5", "output_tokens": 5},
        "negative": {"input_tokens": -5, "output_tokens": 5},
        "a fraction": {"input_tokens": 5, "output_tokens": 5.5},
        "true": {"input_tokens": True, "output_tokens": 5},
        "without output": {"input_tokens": 5},
    }
    for name, usage in usages.items():
        yield lie(f"usage that is {name}", UNSETTLED, _used(usage), "response.form")
    failed = ("request.body", "receipt.digests", "response.form")
    shapes: tuple[Json, ...] = ("2", {}, None, [True], [-1])
    for shape in shapes:
        yield put(f"a shape that is {shape!r}", "body.inputs.0.shape", shape, *failed, base=TENSOR)
    yield put("no tensors", "body.inputs", [], *failed, base=TENSOR)
    yield put("a response of no kind", "response", {}, "receipt.digests", "response.form")


def _changed(name: str) -> str:
    """A record of the settled bundle with its last field one higher."""
    proved: Proved = getattr(BASES[SETTLED].chain, name)
    last = proved.value[-1]
    return to_hex(proved.value[:-1] + bytes((1 if last == 0x80 else last + 1,)))


def _bad_name() -> str:
    value = BASES[SETTLED].chain.model.value
    return to_hex(value.replace(b"vectors/", b"vector\xff/"))


def _settlements() -> Iterator[Case]:
    code = "settlement.batch"
    bundle = BASES[SETTLED]
    path: list[Json] = [to_hex(each) for each in bundle.chain.settled.path] if bundle.chain.settled else []
    yield put("another index", "chain.settled.index", 0, code)
    yield put("an index beyond the batch", "chain.settled.index", 7, code)
    yield put("another batch", "chain.settled.batch", 4, code)
    yield put("a path that is empty", "chain.settled.path", [], code)
    yield put("a path too short", "chain.settled.path", path[:-1], code)
    yield put("a path too long", "chain.settled.path", [*path, "0x" + "00" * 32], code)
    yield put("a path out of order", "chain.settled.path", path[::-1], code)
    yield put("a path changed", "chain.settled.path.0", "0x" + "00" * 32, code)
    bigger = replace(world.BATCH, size=world.BATCH.size + 1).encode()
    yield put("a batch of another size", "chain.settled.record.value", to_hex(bigger), code)
    yield put("a batch of no size", "chain.settled.record.value", to_hex(replace(world.BATCH, size=0).encode()), code)
    yield put("a batch's record that is no RLP", "chain.settled.record.value", "0x", code)
    yield put("a batch's proof changed", "chain.settled.record.proof.siblings.0", "0x" + "00" * 32, code)
    elsewhere = world.LEDGER.settled(world.TENSOR.receipt().hash())
    yield lie(
        "the place of another receipt", SETTLED, replace(bundle, chain=replace(bundle.chain, settled=elsewhere)), code
    )
    late = BASES[UNSETTLED]
    chain = replace(late.chain, settled=bundle.chain.settled)
    yield lie("the settlement of another receipt", UNSETTLED, replace(late, chain=chain), code)


def outcome_of(claims: Any) -> list[str]:
    """The codes of the claims that failed, in order."""
    return [claim.code for claim in claims if claim.outcome is Outcome.FAIL]
