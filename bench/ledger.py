"""A small real ledger for benchmarks: a chain in a store on disk, one node, one model, one payer with escrow.

Everything is made from fixed keys, and goes through the same code as in a full node and an inference node.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, Wei
from paraph.core.digest import keccak256
from paraph.core.encode import JsonObject
from paraph.core.ident import Address, Digest, ModelId, RequestKey
from paraph.core.keys import PrivateKey
from paraph.core.merkle import inclusion_proof
from paraph.core.tensor import Tensor
from paraph.flows import effective, serve
from paraph.flows.registry import Offer
from paraph.flows.serve import Identity, Work
from paraph.full_node.chain import Chain
from paraph.ledger.block import Applied
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.nodes.rules import key_proof_digest
from paraph.ledger.rooms.settlement.calls import CONTRACT as SETTLEMENT
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_NAME
from paraph.proofs.bundle import Answer, Bundle, Proved, Settled
from paraph.proofs.bundle import Chain as ChainPart
from paraph.proofs.policy import Trust
from paraph.proofs.profile import EngineProfile
from paraph.proofs.records import Model, Price, batch_key, model_key, node_key_key, price_key
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest

CHAIN_ID: Final = 20_826
START_S: Final = 1_750_000_000
FEE_MAX: Final = 10**15
GAS_BATCH: Final = 25_000_000
MODEL: Final = ModelId(keccak256(b"a model's files"))
PROFILE: Final = EngineProfile("onnxruntime", "1", "x86_64-avx2", 1, "extended", "single", "", "", "", "", "yes")
OPG: Final = WEI_PER_OPG


def person(name: str) -> PrivateKey:
    """The key of a person, from the name alone."""
    return PrivateKey(keccak256(b"a benchmark's person called " + name.encode()))


PRODUCER, PAYER, OPERATOR, HOT, OWNER = (person(name) for name in ("producer", "payer", "operator", "hot", "owner"))
SENDERS: Final = tuple(person(f"sender {index}") for index in range(50))


@dataclass(frozen=True, slots=True)
class Owed:
    """An answered request: what was signed, its body, and the answer with the receipt."""

    request: SignedRequest
    body: JsonObject
    answer: Answer


class Ledger:
    """A chain with one of everything.

    Args:
        folder: where its store is; empty.
    """

    def __init__(self, folder: Path) -> None:
        people = (OPERATOR, OWNER, PAYER, *SENDERS)
        share = SUPPLY_WEI // len(people)
        parts = [share] * (len(people) - 1) + [SUPPLY_WEI - share * (len(people) - 1)]
        allocations = tuple(
            Allocation(who.address, Wei(part), "bench") for who, part in zip(people, parts, strict=True)
        )
        producers = (PRODUCER.address,)
        genesis = Genesis("bench", CHAIN_ID, START_S, producers, OWNER.address, True, allocations)
        self.trust = Trust("bench", CHAIN_ID, genesis.digest(), producers, devnet=True)
        self.store = LmdbStore(folder)
        self.chain = Chain(self.store, genesis, PRODUCER)
        self._nonces: dict[Address, int] = {}
        self._requests = 0
        proof = HOT.sign(key_proof_digest(CHAIN_ID, OPERATOR.address))
        model = (MODEL, Digest(keccak256(b"a manifest")), "bench/model", "tensor", 1_000, 1, 1_000, 10, 30)
        node = ("http://127.0.0.1:8000", HOT.address, proof, 1, (MODEL,))
        self.commit(
            self._call(OWNER, "Models", "register", *model),
            self._call(OPERATOR, "Nodes", "register", *node, value=10_000 * OPG),
            self._call(PAYER, "Escrow", "deposit", value=1_000_000 * OPG),
        )

    def commit(self, *raw: bytes) -> Applied:
        """A committed block of these transactions, all of which succeed."""
        applied = self.chain.commit(START_S + 1, raw)
        for result in applied.results:
            assert result.status == 1, result.error
        return applied

    def tx(self, sender: PrivateKey, to: Address, data: bytes = b"", value: int = 0, gas: int = 1_000_000) -> bytes:
        """The sender's next transaction, signed."""
        nonce = self._nonces.get(sender.address, 0)
        self._nonces[sender.address] = nonce + 1
        return Tx(2, CHAIN_ID, nonce, 1, FEE_MAX, gas, to, Wei(value), data).sign(sender)

    def owed(self, count: int) -> list[Owed]:
        """New requests with their answers and receipts, as an inference node makes them for a small classifier."""
        identity = Identity(CHAIN_ID, OPERATOR.address, HOT)
        offer = self.offer()
        made = []
        for _ in range(count):
            self._requests += 1
            row = struct.pack("<30f", *(float(self._requests % (place + 2)) for place in range(30)))
            body = effective.infer((Tensor("measurements", "FP32", (1, 30), row),), (), MODEL)
            request = Request(
                RequestKey(keccak256(b"request %d" % self._requests)),
                PAYER.address,
                OPERATOR.address,
                MODEL,
                body_digest(body),
                Layer.SIGNATURE,
                Wei(10_000),
                START_S + 600,
            )
            signed = SignedRequest(CHAIN_ID, request, PAYER.sign(request.signing_digest(CHAIN_ID)))
            outputs = (
                Tensor("diagnosis", "INT64", (1,), struct.pack("<q", self._requests % 2)),
                Tensor("probabilities", "FP32", (1, 2), struct.pack("<2f", 0.25, 0.75)),
            )
            times = (START_S * 1000, START_S * 1000 + 1)
            work = Work(body, None, serve.tensor_response(outputs), PROFILE, None, 1, *times)
            made.append(Owed(signed, body, serve.receipt(identity, signed, offer, work)))
        return made

    def batch(self, owed: Sequence[Owed]) -> bytes:
        """A transaction that settles a batch."""
        return self.tx(OPERATOR, SETTLEMENT.address, calldata(owed), gas=GAS_BATCH)

    def offer(self) -> Offer:
        """The model with its price, as the node knows it."""
        record, price = self.chain.read(model_key(MODEL)), self.chain.read(price_key(MODEL, 1))
        return Offer(MODEL, Model.decode(record or b""), Price.decode(price or b""))

    def bundles(self, owed: Sequence[Owed], batch: int) -> list[Bundle]:
        """The bundles of a settled batch, with every proof."""
        leaves = [each.answer.receipt.receipt.hash() for each in owed]
        record = self._proved(batch_key(batch))
        key, model, price = (
            self._proved(place) for place in (node_key_key(HOT.address), model_key(MODEL), price_key(MODEL, 1))
        )
        made = []
        for index, each in enumerate(owed):
            settled = Settled(batch, index, inclusion_proof(leaves, index), record)
            part = ChainPart(self.chain.head.signed, key, model, price, settled)
            made.append(Bundle(each.request, each.body, each.answer, part))
        return made

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    def _proved(self, key: bytes) -> Proved:
        found = self.chain.prove(key)
        assert found is not None
        return found

    def _call(self, sender: PrivateKey, contract: str, method: str, *arguments: object, value: int = 0) -> bytes:
        found = BY_NAME[contract]
        return self.tx(sender, found.address, found.method(method).call(*arguments), value)


def calldata(owed: Sequence[Owed]) -> bytes:
    """The call that settles a batch."""
    items = []
    for each in owed:
        receipt = each.answer.receipt
        items.append(
            (each.request.request.values(), each.request.signature, receipt.receipt.values(), receipt.signature)
        )
    return SETTLEMENT.method("settle").call(tuple(items))
