"""A small fixed world that the vectors are taken from: keys, two models, answers, state, a signed header, bundles.

Everything follows from the seeds below, so that the same bytes come out on every machine.
"""

import base64
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from vectors import validators
from vectors.validators import seeded

from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, Wei
from paraph.core.encode import Json, JsonObject
from paraph.core.ident import ZERO_ADDRESS, Digest, ModelId, RequestKey, to_hex
from paraph.core.keys import PrivateKey
from paraph.core.merkle import inclusion_proof, root
from paraph.core.smt import EMPTY
from paraph.ledger import tree
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.bonds.types import GenesisValidator
from paraph.proofs import records
from paraph.proofs.bundle import Answer, Bundle, Chain, Proved, Settled
from paraph.proofs.check import given_of, units
from paraph.proofs.header import Header, SignedHeader
from paraph.proofs.light.types import LightBlock
from paraph.proofs.manifest import Manifest, ModelFile
from paraph.proofs.profile import EngineProfile
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
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest
from paraph.proofs.seal import ProducerSeal, ValidatorSeal, engine_chain_id, slim

CHAIN_ID: Final = 88_001
TIME_S: Final = 1_767_225_600
"""2026-01-01T00:00:00Z, when the vectors' network starts."""


def key_of(name: str) -> PrivateKey:
    """The private key of one who plays in the vectors."""
    return PrivateKey(seeded(name))


PAYER, NODE, SIGNER, OWNER, PRODUCER, STRANGER = (
    key_of(name) for name in ("payer", "node", "signer", "owner", "producer", "stranger")
)

TEXT_MODEL: Final = Manifest(
    "vectors/small-language-model",
    "text",
    "single",
    (ModelFile("model.gguf", 144_811_520, seeded("gguf")), ModelFile("tokenizer/vocab.json", 801, seeded("vocab"))),
)
TENSOR_MODEL: Final = Manifest(
    "vectors/classifier", "tensor", "invariant", (ModelFile("model.onnx", 4_096, seeded("onnx")),)
)
TEXT_PRICE: Final = records.Price(10**15, 2 * 10**12, 5 * 10**12, 0)
TENSOR_PRICE: Final = records.Price(3 * 10**14, 10**11, 0, 0)

TEXT_PROFILE: Final = EngineProfile(
    engine="llama.cpp",
    engine_version="1.2.3",
    isa="x86_64-avx2",
    threads=1,
    optimisation="",
    batch_class="single",
    flash_attention="on",
    kv_type="f16",
    chat_template_digest=to_hex(seeded("template")),
    sampler="top_k;top_p;min_p;temperature",
    bit_exact="yes",
)
TENSOR_PROFILE: Final = EngineProfile(
    engine="onnxruntime",
    engine_version="1.23.0",
    isa="x86_64-avx2",
    threads=1,
    optimisation="extended",
    batch_class="invariant",
    flash_attention="",
    kv_type="",
    chat_template_digest="",
    sampler="",
    bit_exact="yes",
)

GENESIS: Final = Genesis(
    network="vectors",
    chain_id=CHAIN_ID,
    time_s=TIME_S,
    producers=(PRODUCER.address,),
    governor=ZERO_ADDRESS,
    devnet=True,
    allocations=(
        Allocation(PAYER.address, Wei(1_000 * WEI_PER_OPG), "the payer"),
        Allocation(OWNER.address, Wei(SUPPLY_WEI - 1_000 * WEI_PER_OPG), "all else"),
    ),
    parameters={"settle_window_s": 7_200, "withdraw_delay_s": 14_400},
)
TRUST: Final = GENESIS.trust()

BONDED: Final = tuple(
    GenesisValidator(key_of(f"operator of {name}").address, validators.public(name), Wei(power * WEI_PER_OPG), name)
    for name, power in validators.FIRST.items()
)
GENESIS_VALIDATORS: Final = replace(
    GENESIS,
    network="vectors-validators",
    producers=(),
    validators=BONDED,
    allocations=(
        GENESIS.allocations[0],
        Allocation(
            OWNER.address,
            Wei(SUPPLY_WEI - GENESIS.allocations[0].amount - sum(each.bond for each in BONDED)),
            "all else",
        ),
    ),
)
"""A network like the other, but that validators decide."""
TRUST_VALIDATORS: Final = GENESIS_VALIDATORS.trust()
ENGINE_CHAIN_ID: Final = engine_chain_id(CHAIN_ID, GENESIS_VALIDATORS.digest())


# --- requests and answers ----------------------------------------------------------------------------------------


def fp32(name: str, shape: tuple[int, ...], numbers: tuple[float, ...]) -> dict[str, Json]:
    """A tensor of FP32 as JSON."""
    data = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    return {"name": name, "datatype": "FP32", "shape": list(shape), "data": data}


TEXT_BODY: Final[JsonObject] = {
    "kind": "chat",
    "model": to_hex(TEXT_MODEL.model_id()),
    "messages": [
        {"role": "system", "content": "Answer in one line."},
        {"role": "user", "content": "Was kostet ein Brötchen? 🥐 \u2028 “x”"},
    ],
    "max_tokens": 32,
    "temperature": 0.7,
    "top_p": 0.95,
    "min_p": 1e-7,
    "seed": 7,
    "stop": [],
}
CHUNKS: Final[tuple[JsonObject, ...]] = (
    {"text": "About ", "token_ids": [1032, 7]},
    {"text": "0,50 €.", "token_ids": [32, 28, 5]},
)
TEXT_GIVEN: Final[JsonObject] = {
    "text": "<|system|>Answer in one line.<|user|>Was kostet ein Brötchen? 🥐 \u2028 “x”<|assistant|>",
    "token_ids": [1, 9690, 198, 2, 40],
}
TEXT_RESPONSE: Final[JsonObject] = {
    "kind": "text",
    "text": "About 0,50 €.",
    "token_ids": [1032, 7, 32, 28, 5],
    "logprobs": [{"token": "About ", "logprob": -0.00012345678901234567}],
    "tool_calls": [],
    "finish_reason": "stop",
    "usage": {"input_tokens": 5, "output_tokens": 5},
}
TENSOR_BODY: Final[JsonObject] = {
    "kind": "infer",
    "model": to_hex(TENSOR_MODEL.model_id()),
    "inputs": [fp32("features", (2, 3), (0.5, -1.25, 3.0, 0.1, 2.5, -0.0))],
    "outputs": [],
}
TENSOR_RESPONSE: Final[JsonObject] = {
    "kind": "tensors",
    "outputs": [fp32("probability", (2, 1), (0.75, 0.125))],
}


def nested_rlp(depth: int) -> bytes:
    """Empty RLP lists within one another, so many."""
    data = b""
    for _ in range(depth):
        data = bytes((0xC0 + len(data),)) + data
    return data


@dataclass(frozen=True)
class Story:
    """One answer in the making: what was asked, given and answered, of which model and at what price."""

    name: str
    model: Manifest
    price: records.Price
    body: JsonObject
    given: Json
    response: JsonObject
    profile: EngineProfile
    chunks: tuple[JsonObject, ...] = ()

    def request(self) -> SignedRequest:
        """The signed request."""
        request = Request(
            RequestKey(seeded(self.name + " key")),
            PAYER.address,
            NODE.address,
            self.model.model_id(),
            body_digest(self.body),
            Layer.SIGNATURE,
            Wei(WEI_PER_OPG // 20),
            TIME_S + 700,
        )
        return sign_request(request)

    def receipt(self) -> Receipt:
        """The receipt, unsigned."""
        request = self.request().request
        link = stream_start(request.hash())
        for chunk in self.chunks:
            link = stream_next(link, chunk)
        units_in, units_out = units(self.body, self.response)
        return Receipt(
            request_key=request.key,
            request_hash=request.hash(),
            payer=request.payer,
            node=request.node,
            signer=SIGNER.address,
            model_id=request.model_id,
            given_digest=given_digest(given_of(self.body, self.given)),
            response_digest=response_digest(self.response),
            stream_digest=link if self.chunks else NO_STREAM,
            profile_digest=self.profile.digest(),
            sources_root=NO_SOURCES,
            layer=request.layer,
            evidence_digest=evidence_digest(SIGNATURE_EVIDENCE),
            input_units=units_in,
            output_units=units_out,
            price_version=1,
            price=Wei(self.price.of(units_in, units_out)),
            height=40,
            started_ms=(TIME_S + 401) * 1000 + 7,
            ended_ms=(TIME_S + 402) * 1000 + 250,
        )


def sign_request(request: Request, key: PrivateKey = PAYER, chain_id: int = CHAIN_ID) -> SignedRequest:
    """The request with a signature."""
    return SignedRequest(chain_id, request, key.sign(request.signing_digest(chain_id)))


def sign_receipt(receipt: Receipt, key: PrivateKey = SIGNER, chain_id: int = CHAIN_ID) -> SignedReceipt:
    """The receipt with a signature."""
    return SignedReceipt(receipt, key.sign(receipt.signing_digest(chain_id)))


def sign_header(header: Header, key: PrivateKey = PRODUCER) -> SignedHeader:
    """The header with a signature."""
    return SignedHeader(header, key.sign(header.hash()))


TEXT: Final = Story("text", TEXT_MODEL, TEXT_PRICE, TEXT_BODY, TEXT_GIVEN, TEXT_RESPONSE, TEXT_PROFILE, CHUNKS)
TENSOR: Final = Story("tensor", TENSOR_MODEL, TENSOR_PRICE, TENSOR_BODY, None, TENSOR_RESPONSE, TENSOR_PROFILE)
LATE: Final = replace(TEXT, name="late")
"""The text story again under another key: answered, and not settled yet."""


# --- the ledger --------------------------------------------------------------------------------------------------

OTHERS: Final = tuple(seeded(f"another receipt {index}") for index in range(5))
"""Receipts of others, by their hashes, that were settled in the same batch."""

LEAVES: Final = (OTHERS[0], TEXT.receipt().hash(), OTHERS[1], OTHERS[2], TENSOR.receipt().hash(), *OTHERS[3:])
BATCH: Final = records.Batch(root(LEAVES), len(LEAVES), 44, TIME_S + 440)
BATCH_NUMBER: Final = 3


def model_record(story: Story) -> records.Model:
    """A model as the ledger has it."""
    model = story.model
    return records.Model(OWNER.address, model.digest(), model.name, model.kind, 1_000, 1, 1, 12)


def ledger_state() -> dict[bytes, bytes]:
    """The state after the vectors' block: the records that the bundles need, among others."""
    state = {
        records.node_key_key(SIGNER.address): records.NodeKey(NODE.address, 10, 0).encode(),
        records.node_key_key(STRANGER.address): records.NodeKey(NODE.address, 10, 39).encode(),
        records.batch_key(BATCH_NUMBER): BATCH.encode(),
    }
    for story in (TEXT, TENSOR):
        model_id = story.model.model_id()
        state[records.model_key(model_id)] = model_record(story).encode()
        state[records.price_key(model_id, 1)] = story.price.encode()
    for index in range(30):
        state[b"accounts/balance/" + seeded(f"account {index}")[:20]] = bytes((index + 1,))
    return state


def tree_of(state: Mapping[bytes, bytes]) -> tuple[dict[bytes, bytes], Digest]:
    """The nodes and the root of the tree over a state."""
    update = tree.update(dict[bytes, bytes]().get, EMPTY, state)
    return update.added, update.root


class Ledger:
    """The state with its tree, and the producer's header over it."""

    def __init__(self, state: Mapping[bytes, bytes], signer: PrivateKey = PRODUCER, **changed: object) -> None:
        self.state = state
        self.nodes, self.root = tree_of(state)
        header = Header(
            CHAIN_ID,
            GENESIS.digest(),
            45,
            TIME_S + 450,
            seeded("parent"),
            PRODUCER.address,
            self.root,
            root([b"a transaction", b"another"]),
            root([b"a result", b"another"]),
            123_456,
            30_000_000,
            10**9,
        )
        self.header = sign_header(replace(header, **changed), signer)  # type: ignore[arg-type]

    def prove(self, key: bytes) -> Proved:
        """A record with its proof."""
        return Proved(self.state[key], tree.prove(self.nodes.get, self.root, key))

    def chain(self, model_id: ModelId, signer: PrivateKey = SIGNER, version: int = 1) -> Chain:
        """What the ledger says of an answer, without a settlement."""
        return Chain(
            ProducerSeal(self.header),
            self.prove(records.node_key_key(signer.address)),
            self.prove(records.model_key(model_id)),
            self.prove(records.price_key(model_id, version)),
            None,
        )

    def settled(self, leaf: Digest, number: int = BATCH_NUMBER) -> Settled:
        """Where a receipt stands in the batch."""
        index = LEAVES.index(leaf)
        return Settled(number, index, inclusion_proof(LEAVES, index), self.prove(records.batch_key(number)))


LEDGER: Final = Ledger(ledger_state())


def bundle_of(story: Story, *, settled: bool) -> Bundle:
    """The bundle of a story, true in every part."""
    receipt = story.receipt()
    answer = Answer(story.given, story.response, story.profile, SIGNATURE_EVIDENCE, sign_receipt(receipt))
    chain = LEDGER.chain(story.model.model_id())
    if settled:
        chain = replace(chain, settled=LEDGER.settled(receipt.hash()))
    return Bundle(story.request(), story.body, answer, chain)


TEXT_SETTLED: Final = bundle_of(TEXT, settled=True)
TEXT_UNSETTLED: Final = bundle_of(LATE, settled=False)
TENSOR_SETTLED: Final = bundle_of(TENSOR, settled=True)


# --- the same ledger, decided by validators ----------------------------------------------------------------------

HEIGHT: Final = 45
"""Of the block after which the state is, on both networks."""


def light_block(
    powers: validators.Powers,
    height: int = HEIGHT + 1,
    following: validators.Powers | None = None,
    signers: Collection[str] | None = None,
    **changes: object,
) -> LightBlock:
    """A light block of the network, whose header names the state."""
    changed = {"app_hash": LEDGER.root, **changes}
    chain_id = str(changed.pop("chain_id", ENGINE_CHAIN_ID))
    found = validators.header(chain_id, height, TIME_S + 10 * height, powers, following, **changed)
    return validators.signed(found, powers, signers)


def sealed(bundle: Bundle, *blocks: LightBlock) -> Bundle:
    """The bundle under a seal of these blocks."""
    return replace(bundle, chain=replace(bundle.chain, seal=ValidatorSeal(blocks)))


def slimmed(bundle: Bundle) -> Bundle:
    """The bundle under the same seal without the votes that it does not need."""
    return replace(bundle, chain=replace(bundle.chain, seal=slim(bundle.chain.seal, TRUST_VALIDATORS)))


HANDED_OVER: Final = (
    light_block(validators.SECOND, 20, validators.THIRD),
    light_block(validators.THIRD, 21),
    light_block({**validators.THIRD, "hal": 6}),
)
"""From the first set to the second, to the third in the next block, and on to one that hal has joined."""

TEXT_VALIDATORS: Final = slimmed(sealed(TEXT_SETTLED, light_block(validators.FIRST)))
TEXT_HANDED_OVER: Final = slimmed(sealed(TEXT_UNSETTLED, *HANDED_OVER))
