"""A complete, valid bundle and its trust file, made from fixed keys with no server, no clock and no chance.

`build("text")` is an answer that verifies. Every part can be replaced before it is signed, so a test says what is
false in its world and everything else stays true: `build(receipt={"price": 1})` is an honestly signed wrong price.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Literal, TypeAlias

from tests.support import comet, nitro

from paraph.core import merkle
from paraph.core.amount import Wei
from paraph.core.digest import sha256
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Malformed
from paraph.core.ident import ZERO_DIGEST, Digest, RequestKey, to_hex
from paraph.core.keys import PrivateKey
from paraph.core.smt import EMPTY, StateProof
from paraph.core.tensor import Tensor
from paraph.ledger.tree import prove, update
from paraph.proofs.attestation import Attestation
from paraph.proofs.bundle import Answer, Bundle, Chain, Exactly, Proved, Settled
from paraph.proofs.check import given_of, units
from paraph.proofs.header import Header, SignedHeader
from paraph.proofs.light.trim import trimmed
from paraph.proofs.light.types import LightBlock
from paraph.proofs.manifest import Manifest, ModelFile
from paraph.proofs.policy import Trust
from paraph.proofs.profile import EngineProfile
from paraph.proofs.proven import ExactPart
from paraph.proofs.quotes.binding import Keyset, bound
from paraph.proofs.quotes.evidence import Evidence
from paraph.proofs.receipt import (
    NO_SOURCES,
    NO_STREAM,
    SIGNATURE_EVIDENCE,
    Receipt,
    SignedReceipt,
    evidence_digest,
    given_digest,
    response_digest,
)
from paraph.proofs.records import (
    Batch,
    Enclave,
    Model,
    NodeKey,
    Price,
    Release,
    batch_key,
    enclave_key,
    exact_key,
    model_key,
    node_key_key,
    price_key,
    proven_key,
    release_id,
    release_key,
)
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest
from paraph.proofs.seal import ProducerSeal, ValidatorSeal, engine_chain_id

Kind: TypeAlias = Literal["text", "tensor"]
KINDS: Final[tuple[Kind, ...]] = ("text", "tensor")
SealKind: TypeAlias = Literal["producer", "validators"]
SEALS: Final[tuple[SealKind, ...]] = ("producer", "validators")


def key_of(name: str) -> PrivateKey:
    """The private key that a name stands for in tests: anyone can know it."""
    return PrivateKey(sha256(b"paraph test key of " + name.encode()))


PAYER: Final = key_of("payer")
OPERATOR: Final = key_of("operator")
HOT: Final = key_of("hot")
PRODUCER: Final = key_of("producer")
OWNER: Final = key_of("owner")
STRANGER: Final = key_of("stranger")

CHAIN_ID: Final = 31_337
GENESIS: Final = sha256(b"the genesis of tests")
NOW_S: Final = 1_750_000_000
HEIGHT: Final = 12
BATCH: Final = 3
TRUST: Final = Trust("test", CHAIN_ID, GENESIS, (PRODUCER.address,), devnet=True)
ENGINE_CHAIN_ID: Final = engine_chain_id(CHAIN_ID, GENESIS)
ANCHOR: Final = comet.anchor()
TRUST_VALIDATORS: Final = replace(TRUST, producers=(), anchor=ANCHOR, trusting_period_s=14 * 86_400)


@dataclass(slots=True)
class Tree:
    """A state tree with its nodes in memory, as a store would keep them."""

    root: Digest = EMPTY
    nodes: dict[bytes, bytes] = field(default_factory=dict)

    def put(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Apply one block's changes."""
        done = update(self.nodes.get, self.root, changes)
        for node in done.stale:
            del self.nodes[node]
        self.nodes.update(done.added)
        self.root = done.root

    def prove(self, key: bytes) -> StateProof:
        """The proof of what `key` holds, or that it holds nothing."""
        return prove(self.nodes.get, self.root, key)


def manifest_of(kind: Kind) -> Manifest:
    """The manifest of the model that answers."""
    name = "model.gguf" if kind == "text" else "model.onnx"
    files = (ModelFile("README.md", 120, sha256(b"readme")), ModelFile(name, 4096, sha256(name.encode())))
    return Manifest(f"test/{kind}", kind, "invariant", files)


def body_of(kind: Kind) -> dict[str, Json]:
    """An effective request."""
    model = to_hex(manifest_of(kind).model_id())
    if kind == "tensor":
        tensor = Tensor("x", "FP32", (2, 3), bytes(range(24)))
        return {"kind": "infer", "model": model, "inputs": [tensor.as_json()], "outputs": ["label"]}
    messages: list[Json] = [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": 'Où est la "tour"?\n\x0b🗼'},
    ]
    return {
        "kind": "chat",
        "model": model,
        "messages": messages,
        "max_tokens": 16,
        "temperature": 0.7,
        "seed": 42,
        "stop": [],
        "logprobs": True,
    }


def given_of_kind(kind: Kind) -> Json:
    """What the engine was given: text and token ids, or nothing beyond the tensors of the body."""
    if kind == "tensor":
        return None
    return {"text": "<|system|>Answer in one word.<|user|>Où est …", "token_ids": [1, 15, 2048, 7]}


def response_of(kind: Kind) -> dict[str, Json]:
    """The whole response."""
    if kind == "tensor":
        label = Tensor("label", "INT64", (2,), (7).to_bytes(8, "little") * 2)
        return {"kind": "tensors", "outputs": [label.as_json()]}
    return {
        "kind": "text",
        "text": "Paris.",
        "token_ids": [9, 10],
        "logprobs": [{"token": "Paris", "logprob": -0.25, "top_logprobs": []}],
        "tool_calls": [],
        "finish_reason": "stop",
        "usage": {"input_tokens": 4, "output_tokens": 2},
    }


def profile_of(kind: Kind) -> EngineProfile:
    """The engine profile."""
    text = kind == "text"
    return EngineProfile(
        engine="llama.cpp" if text else "onnxruntime",
        engine_version="1.2.3",
        isa="x86_64-avx2",
        threads=4,
        optimisation="" if text else "extended",
        batch_class="invariant",
        flash_attention="off" if text else "",
        kv_type="f16" if text else "",
        chat_template_digest=to_hex(sha256(b"template")) if text else "",
        sampler="top_k;top_p;min_p;temperature" if text else "",
        bit_exact="yes",
    )


@dataclass(frozen=True, slots=True)
class Case:
    """A bundle, the trust file that it verifies under, and the state it is proved against."""

    bundle: Bundle
    trust: Trust
    tree: Tree
    batch: tuple[Receipt, ...]


def light_block(
    root: Digest,
    powers: comet.Powers = comet.FOUR,
    *,
    height: int = HEIGHT + 1,
    following: comet.Powers | None = None,
    signers: Collection[str] | None = None,
    **header: object,
) -> LightBlock:
    """A block of the tests' own network whose header names `root`, signed by all of the set or by `signers`."""
    changed = {"chain_id": ENGINE_CHAIN_ID, "app_hash": root, **header}
    return comet.sealed(comet.header(height, powers, following, **changed), powers, signers=signers)


def seal_of(root: Digest) -> ValidatorSeal:
    """The seal of that state by validators: one block after it, with no vote that is not needed."""
    return ValidatorSeal((trimmed(ANCHOR, light_block(root), ENGINE_CHAIN_ID),))


def resealed(case: Case, *blocks: LightBlock) -> Case:
    """The case under other light blocks."""
    return replace(case, bundle=replace(case.bundle, chain=replace(case.bundle.chain, seal=ValidatorSeal(blocks))))


def build(
    kind: Kind = "text",
    *,
    seal: SealKind = "producer",
    settled: bool = True,
    body: JsonObject | None = None,
    given: Json = "as usual",
    response: JsonObject | None = None,
    profile: EngineProfile | None = None,
    evidence: JsonObject = SIGNATURE_EVIDENCE,
    request: Mapping[str, object] = {},
    receipt: Mapping[str, object] = {},
    node_key: Mapping[str, object] = {},
    model: Mapping[str, object] = {},
    price: Mapping[str, object] = {},
    vouched: Mapping[bytes, bytes] = {},
    proofs: Mapping[bytes, bytes] = {},
    exact: ExactPart | None = None,
    header: Mapping[str, object] = {},
    trust: Mapping[str, object] = {},
    payer: PrivateKey = PAYER,
    hot: PrivateKey = HOT,
    producer: PrivateKey = PRODUCER,
) -> Case:
    """A bundle in which everything is true but for what is changed here; what is changed is signed all the same.

    `kind` is what is asked and answered; `seal` is who makes the state believable, to whom the trust file fits;
    `settled` is False for an answer that is not in a batch yet. `body`, `given`, `response`, `profile` and `evidence`
    are replaced whole, and their digests and units follow. `request`, `receipt` and `header` (the producer's) are
    fields replaced before signing, `node_key`, `model` and `price` fields of the ledger's records before the state is
    made, `trust` fields of the trust file. `vouched` are records by their keys: the enclave's and its release's, which
    stand for the key that signs in place of a node key's record; `proofs` those of an exact model and of the proof that
    was taken, and `exact` the part that goes with them. `payer`, `hot` and `producer` are who signs the
    request, the receipt and the header.
    """
    body = body_of(kind) if body is None else body
    given = given_of_kind(kind) if given == "as usual" else given
    response = response_of(kind) if response is None else response
    profile = profile or profile_of(kind)
    model_id = manifest_of(kind).model_id()
    schedule = replace(Price(10**15, 2 * 10**12, 5 * 10**12, 0), **price)  # type: ignore[arg-type]

    asked = Request(
        key=RequestKey(sha256(b"request key of " + kind.encode())),
        payer=PAYER.address,
        node=OPERATOR.address,
        model_id=model_id,
        body_digest=body_digest(body),
        layer=Layer.SIGNATURE,
        max_price=Wei(10**16),
        deadline=NOW_S + 600,
    )
    asked = replace(asked, **request)  # type: ignore[arg-type]
    signed = SignedRequest(CHAIN_ID, asked, payer.sign(asked.signing_digest(CHAIN_ID)))

    input_units, output_units = _units(body, response)
    made = Receipt(
        request_key=asked.key,
        request_hash=asked.hash(),
        payer=asked.payer,
        node=asked.node,
        signer=HOT.address,
        model_id=asked.model_id,
        given_digest=given_digest(given_of(body, given)),
        response_digest=response_digest(response),
        stream_digest=NO_STREAM,
        profile_digest=profile.digest(),
        sources_root=NO_SOURCES,
        layer=asked.layer,
        evidence_digest=evidence_digest(evidence),
        input_units=input_units,
        output_units=output_units,
        price_version=1,
        price=Wei(schedule.of(input_units, output_units)),
        height=HEIGHT - 2,
        started_ms=NOW_S * 1000,
        ended_ms=NOW_S * 1000 + 250,
    )
    made = replace(made, **receipt)  # type: ignore[arg-type]
    answer = Answer(given, response, profile, evidence, SignedReceipt(made, hot.sign(made.signing_digest(CHAIN_ID))))

    others = [replace(made, request_key=RequestKey(sha256(name))) for name in (b"before", b"after")]
    batch = (others[0], made, others[1])
    leaves = [each.hash() for each in batch]
    key_record = replace(NodeKey(OPERATOR.address, 2, 0), **node_key)  # type: ignore[arg-type]
    model_record = Model(OWNER.address, manifest_of(kind).digest(), f"test/{kind}", kind, 500, 0b001, 1, 4)
    model_record = replace(model_record, **model)  # type: ignore[arg-type]
    state: dict[bytes, bytes | None] = {b"accounts/" + bytes((each,)): bytes((each, 1)) for each in range(12)}
    signers = vouched or {node_key_key(HOT.address): key_record.encode()}
    state |= {
        **signers,
        **proofs,
        model_key(model_id): model_record.encode(),
        price_key(model_id, 1): schedule.encode(),
        batch_key(BATCH): Batch(merkle.root(leaves), len(leaves), HEIGHT - 1, NOW_S + 5).encode(),
    }
    tree = Tree()
    tree.put(state)

    def proved(key: bytes) -> Proved:
        return Proved(state[key] or b"", tree.prove(key))

    head = Header(
        chain_id=CHAIN_ID,
        genesis=GENESIS,
        height=HEIGHT,
        time_s=NOW_S + 6,
        parent=sha256(b"parent"),
        proposer=PRODUCER.address,
        state_root=tree.root,
        transactions_root=sha256(b"transactions"),
        results_root=sha256(b"results"),
        gas_used=21_000,
        gas_limit=60_000_000,
        base_fee=10**9,
    )
    head = replace(head, **header)  # type: ignore[arg-type]
    key_place, *release_place = signers
    place = Settled(BATCH, 1, merkle.inclusion_proof(leaves, 1), proved(batch_key(BATCH)))
    by_producer = ProducerSeal(SignedHeader(head, producer.sign(head.hash())))
    chain = Chain(
        by_producer if seal == "producer" else seal_of(tree.root),
        proved(key_place),
        proved(model_key(model_id)),
        proved(price_key(model_id, 1)),
        place if settled else None,
        proved(release_place[0]) if release_place else None,
        _exactly(made, proofs, proved),
    )
    pinned = replace(TRUST if seal == "producer" else TRUST_VALIDATORS, **trust)  # type: ignore[arg-type]
    return Case(Bundle(signed, body, answer, chain, exact), pinned, tree, batch)


def _exactly(made: Receipt, proofs: Mapping[bytes, bytes], proved: Callable[[bytes], Proved]) -> Exactly | None:
    record, proven = exact_key(made.model_id), proven_key(made.payer, made.request_key)
    return Exactly(proved(record), proved(proven) if proven in proofs else None) if record in proofs else None


# --- enclaves ----------------------------------------------------------------------------------------------------

ENCLAVE_S: Final = nitro.NOW_S
"""When the tests' enclave was registered, and its document made."""
ENCLAVE_NONCE: Final = sha256(b"what the enclave was asked to include")
SIMULATED_ROOT: Final = nitro.Document().certificates()[0]
MEASURED: Final = {f"pcr{index}": nitro.PCRS[index] for index in range(3)}
RELEASE: Final = Release(
    "simulated",
    "node 1",
    tuple(name.encode() for name in MEASURED),
    tuple(MEASURED.values()),
    "commit 1",
    ZERO_DIGEST,
    1,
    0,
    0,
)
RELEASE_ID: Final = release_id("simulated", MEASURED)
KEYSET: Final = Keyset(CHAIN_ID, OPERATOR.address, sha256(b"tls"), sha256(b"hpke"), HOT.address, ENCLAVE_S + 864_000)


def attestation(keyset: Keyset = KEYSET, **said: object) -> Attestation:
    """What the enclave shows; `said` stands in its document in place of what it says otherwise."""
    told = {
        "public_key": keyset.hpke_key,
        "nonce": ENCLAVE_NONCE,
        "user_data": bound(keyset, ENCLAVE_NONCE, ZERO_DIGEST),
        **said,
    }
    return Attestation(RELEASE_ID, keyset, ENCLAVE_NONCE, Evidence("simulated", nitro.Document(said=told).made()))


@cache
def _attestation() -> Attestation:
    return attestation()


def build_attested(
    *,
    shown: Attestation | None = None,
    evidence: JsonObject | None = None,
    enclave: Mapping[str, object] = {},
    release: Mapping[str, object] = {},
    receipt: Mapping[str, object] = {},
    model: Mapping[str, object] = {},
    trust: Mapping[str, object] = {},
    **changed: object,
) -> Case:
    """A bundle of the layer tee in which everything is true but for what is changed here.

    `shown` is what the enclave showed, `evidence` what stands in the bundle in place of it, `enclave` and `release`
    fields of the ledger's records; the rest as `build` has it.
    """
    shown = shown or _attestation()
    record = Enclave(
        OPERATOR.address,
        shown.keyset.encode(),
        RELEASE_ID,
        "simulated",
        1,
        nitro.MODULE,
        (),
        shown.digest(),
        ENCLAVE_S,
        HEIGHT - 8,
        0,
        0,
        ENCLAVE_S + 86_400,
    )
    vouched = {
        enclave_key(HOT.address): replace(record, **enclave).encode(),  # type: ignore[arg-type]
        release_key(RELEASE_ID): replace(RELEASE, **release).encode(),  # type: ignore[arg-type]
    }
    times = {"started_ms": (ENCLAVE_S + 60) * 1000, "ended_ms": (ENCLAVE_S + 61) * 1000}
    return build(
        evidence=shown.as_json() if evidence is None else evidence,
        request={"layer": Layer.TEE, "deadline": ENCLAVE_S + 600},
        receipt={**times, **receipt},
        model={"layers": 0b011, **model},
        trust={"simulated_root": SIMULATED_ROOT, **trust},
        vouched=vouched,
        **changed,  # type: ignore[arg-type]
    )


@cache
def valid_attested() -> Case:
    """`build_attested()`, made once."""
    return build_attested()


def _units(body: JsonObject, response: JsonObject) -> tuple[int, int]:
    """Units as the response tells them; none where it does not, for tests of that."""
    try:
        return units(body, response)
    except Malformed:
        return 0, 0


@cache
def valid(kind: Kind = "text", *, settled: bool = True, seal: SealKind = "producer") -> Case:
    """`build(kind, settled=settled, seal=seal)`, made once: for tests that only read it."""
    return build(kind, settled=settled, seal=seal)
