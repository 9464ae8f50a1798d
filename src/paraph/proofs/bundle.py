"""The bundle: one JSON file with everything needed to verify one answer with no network.

Reading one checks form only; `proofs/check.py` says whether it is true. Every number must be spelled canonically and
every member known, so that no character of a leaf can change unnoticed. Specified in docs/spec/bundle.md.
"""

from dataclasses import dataclass

from paraph.core.encode import (
    Json,
    JsonObject,
    as_integer,
    as_list,
    as_object,
    canonical,
    decode_exact,
    take,
)
from paraph.core.errors import Malformed
from paraph.core.ident import Digest, digest_from_hex, from_hex, to_hex
from paraph.core.limits import MERKLE_DEPTH_MAX, RECORD_BYTES_MAX
from paraph.core.smt import StateProof, proof_from_json
from paraph.proofs.profile import EngineProfile, profile_from_json
from paraph.proofs.proven import ExactPart, exact_part_from_json
from paraph.proofs.receipt import SignedReceipt, receipt_from_json
from paraph.proofs.request import SignedRequest, request_from_json
from paraph.proofs.seal import Seal, seal_from_json

FORMAT = "paraph/bundle/1"
EXACT = "exact"
"""The one member that only bundles of the layer `zkml` have: so those of other layers are as they always were."""


@dataclass(frozen=True, slots=True)
class Proved:
    """A record's bytes in state, and the proof of them against a header's state root."""

    value: bytes
    proof: StateProof

    def as_json(self) -> dict[str, Json]:
        """The record and its proof as JSON."""
        return {"value": to_hex(self.value), "proof": self.proof.as_json()}


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the receipt was settled: batch number, its place there, the path to the batch root, and the batch."""

    batch: int
    index: int
    path: tuple[Digest, ...]
    record: Proved

    def as_json(self) -> dict[str, Json]:
        """The settlement as JSON."""
        path: list[Json] = [to_hex(each) for each in self.path]
        return {"batch": self.batch, "index": self.index, "path": path, "record": self.record.as_json()}


@dataclass(frozen=True, slots=True)
class Exactly:
    """What the ledger says of an exact model's answer.

    Args:
        record: what the model computes.
        proven: of the request's proof that the network took; None while there is none.
    """

    record: Proved
    proven: Proved | None

    def as_json(self) -> dict[str, Json]:
        """The part as JSON."""
        return {"record": self.record.as_json(), "proven": None if self.proven is None else self.proven.as_json()}


@dataclass(frozen=True, slots=True)
class Chain:
    """What the ledger says, all proved against one sealed state.

    Args:
        seal: why that state is believed.
        key: the key that signed: a node's hot key, or the enclave that vouched for it.
        release: the code that enclave runs; None where no enclave did.
        model, price: what answered, and the schedule that applied.
        settled: the settlement; None while there is none.
        exact: of the layer `zkml` only; None with every other.
    """

    seal: Seal
    key: Proved
    model: Proved
    price: Proved
    settled: Settled | None
    release: Proved | None = None
    exact: Exactly | None = None

    def as_json(self) -> dict[str, Json]:
        """The chain part as JSON."""
        return {
            **({} if self.exact is None else {"exact": self.exact.as_json()}),
            "seal": self.seal.as_json(),
            "key": self.key.as_json(),
            "release": None if self.release is None else self.release.as_json(),
            "model": self.model.as_json(),
            "price": self.price.as_json(),
            "settled": None if self.settled is None else self.settled.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node returns for a signed request: the response, its receipt, and what the receipt's digests stand for.

    Args:
        given: rendered text and token ids for text models; None for tensors, which the body already holds.
        response: the whole response, of kind `text`, `tensors` or `embeddings`.
        evidence: the layer's evidence; for the signature layer only its name.
    """

    given: Json
    response: JsonObject
    profile: EngineProfile
    evidence: JsonObject
    receipt: SignedReceipt

    def as_json(self) -> dict[str, Json]:
        """The answer as JSON."""
        return {
            "given": self.given,
            "response": self.response,
            "profile": self.profile.as_json(),
            "evidence": self.evidence,
            "receipt": self.receipt.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Bundle:
    """A request, its answer, and what the ledger says of both. Hostile until checked.

    Args:
        exact: graph and proof of an exact model's answer, of the layer `zkml` only; None with every other.
    """

    request: SignedRequest
    body: JsonObject
    answer: Answer
    chain: Chain
    exact: ExactPart | None = None

    def as_json(self) -> dict[str, Json]:
        """The bundle as JSON."""
        answer = self.answer.as_json()
        return {
            "format": FORMAT,
            "request": self.request.as_json(),
            "body": self.body,
            **answer,
            **({} if self.exact is None else {"exact": self.exact.as_json()}),
            "chain": self.chain.as_json(),
        }

    def encode(self) -> bytes:
        """The bundle's canonical bytes."""
        return canonical(self.as_json())


def answer_from_json(value: Json) -> Answer:
    """Read what `Answer.as_json` wrote. Raises `Malformed`."""
    given, response, profile, evidence, receipt = take(
        value, "answer", "given", "response", "profile", "evidence", "receipt"
    )
    return Answer(
        given,
        as_object(response, "response"),
        profile_from_json(profile),
        as_object(evidence, "evidence"),
        receipt_from_json(receipt),
    )


def decode_bundle(data: bytes) -> Bundle:
    """Read a bundle from untrusted bytes.

    Raises:
        Malformed: `bundle.format`, or what the JSON and each part raise.
    """
    found = as_object(decode_exact(data), "the bundle")
    if found.get("format") != FORMAT:
        raise Malformed("bundle.format", f"not a bundle: its format must be {FORMAT}")
    inside = ("given", "response", "profile", "evidence", "receipt")
    _, request, body, chain, *_ = take(
        {name: member for name, member in found.items() if name != EXACT},
        "bundle",
        "format",
        "request",
        "body",
        "chain",
        *inside,
    )
    answer = answer_from_json({name: found[name] for name in inside})
    exact = exact_part_from_json(found[EXACT]) if EXACT in found else None
    return Bundle(request_from_json(request), as_object(body, "body"), answer, _chain(chain), exact)


def _chain(value: Json) -> Chain:
    found = as_object(value, "chain")
    seal, key, release, model, price, settled = take(
        {name: member for name, member in found.items() if name != EXACT},
        "chain",
        "seal",
        "key",
        "release",
        "model",
        "price",
        "settled",
    )
    return Chain(
        seal_from_json(seal),
        proved_from_json(key, "chain.key"),
        proved_from_json(model, "chain.model"),
        proved_from_json(price, "chain.price"),
        None if settled is None else settled_from_json(settled),
        None if release is None else proved_from_json(release, "chain.release"),
        _exactly(found[EXACT]) if EXACT in found else None,
    )


def _exactly(value: Json) -> Exactly:
    record, proven = take(value, "chain.exact", "record", "proven")
    return Exactly(
        proved_from_json(record, "chain.exact.record"),
        None if proven is None else proved_from_json(proven, "chain.exact.proven"),
    )


def settled_from_json(value: Json) -> Settled:
    """Read what `Settled.as_json` wrote. Raises `Malformed`."""
    batch, index, path, record = take(value, "settled", "batch", "index", "path", "record")
    return Settled(
        as_integer(batch, "settled.batch"),
        as_integer(index, "settled.index"),
        tuple(
            digest_from_hex(each, "settled.path") for each in as_list(path, "settled.path", items_max=MERKLE_DEPTH_MAX)
        ),
        proved_from_json(record, "settled.record"),
    )


def proved_from_json(value: Json, what: str) -> Proved:
    """Read what `Proved.as_json` wrote. Raises `Malformed`."""
    data, proof = take(value, what, "value", "proof")
    record = from_hex(data, None, f"{what}.value")
    if len(record) > RECORD_BYTES_MAX:
        raise Malformed("bundle.record", f"{what}: {len(record)} bytes of a record; at most {RECORD_BYTES_MAX}")
    return Proved(record, proof_from_json(proof, f"{what}.proof"))
