"""People of the benchmarks and what they sign: fixed keys, the founding of a network, transactions, answers, batches.

What is signed here goes to a chain in this process and to networks of real validators alike.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, Wei
from paraph.core.digest import keccak256
from paraph.core.encode import JsonObject
from paraph.core.ident import Address, Digest, ModelId, RequestKey
from paraph.core.keys import PrivateKey
from paraph.core.tensor import Tensor
from paraph.flows import effective, serve
from paraph.flows.registry import Offer
from paraph.flows.serve import Identity, Work
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.bonds.types import GenesisValidator
from paraph.ledger.rooms.nodes.rules import key_proof_digest
from paraph.ledger.rooms.settlement.calls import CONTRACT as SETTLEMENT
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_NAME
from paraph.proofs.bundle import Answer
from paraph.proofs.profile import EngineProfile
from paraph.proofs.records import Model, Price
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest

CHAIN_ID: Final = 20_826
FEE_MAX: Final = 10**15
"""A hundred full blocks multiply the base fee by 130 000, and this still pays it."""
TRANSFER_GAS: Final = 21_000
BATCH_GAS: Final = 30_000_000
"""Half a block: the largest batch, of 500 receipts, takes 27 million."""
MODEL: Final = ModelId(keccak256(b"a model's files"))
MANIFEST: Final = Digest(keccak256(b"a manifest"))
ROYALTY_BPS, LAYERS, BASE, PER_INPUT, PER_OUTPUT = 1_000, 1, 1_000, 10, 30
PROFILE: Final = EngineProfile("onnxruntime", "1", "x86_64-avx2", 1, "extended", "single", "", "", "", "", "yes")
OPG: Final = WEI_PER_OPG


def person(name: str) -> PrivateKey:
    """The key of a person, from the name alone."""
    return PrivateKey(keccak256(b"a benchmark's person called " + name.encode()))


PRODUCER, PAYER, OPERATOR, HOT, OWNER = (person(name) for name in ("producer", "payer", "operator", "hot", "owner"))
SENDERS: Final = tuple(person(f"sender {index}") for index in range(500))
OFFER: Final = Offer(
    MODEL,
    Model(OWNER.address, MANIFEST, "bench/model", "tensor", ROYALTY_BPS, LAYERS, 1, 1),
    Price(BASE, PER_INPUT, PER_OUTPUT, 0),
)
"""The one model with its price, as the node knows them."""


def founding(start_s: int, validators: Sequence[GenesisValidator] = ()) -> Genesis:
    """A network's genesis: of these validators, or of one producer. Everybody has a share of the supply."""
    people = (OPERATOR, OWNER, PAYER, *SENDERS)
    free = SUPPLY_WEI - sum(each.bond for each in validators)
    share = free // len(people)
    parts = [free - share * (len(people) - 1)] + [share] * (len(people) - 1)
    return Genesis(
        network="bench",
        chain_id=CHAIN_ID,
        time_s=start_s,
        producers=() if validators else (PRODUCER.address,),
        governor=OWNER.address,
        devnet=True,
        allocations=tuple(Allocation(who.address, Wei(part), "bench") for who, part in zip(people, parts, strict=True)),
        parameters={"gas_limit": 60_000_000},
        validators=tuple(validators),
    )


@dataclass(frozen=True, slots=True)
class Owed:
    """An answered request: what was signed, its body, and the answer with the receipt."""

    request: SignedRequest
    body: JsonObject
    answer: Answer


class Wallets:
    """Everybody's next nonce, and the next request's number."""

    def __init__(self) -> None:
        self._nonces: dict[Address, int] = {}
        self._requests = 0

    def tx(self, sender: PrivateKey, to: Address, data: bytes = b"", value: int = 0, gas: int = 1_000_000) -> bytes:
        """The sender's next transaction, signed."""
        nonce = self._nonces.get(sender.address, 0)
        self._nonces[sender.address] = nonce + 1
        return Tx(2, CHAIN_ID, nonce, 1, FEE_MAX, gas, to, Wei(value), data).sign(sender)

    def openings(self) -> tuple[bytes, ...]:
        """What opens the market: a model, a node that offers it, a payer's escrow."""
        proof = HOT.sign(key_proof_digest(CHAIN_ID, OPERATOR.address))
        prices = (BASE, PER_INPUT, PER_OUTPUT)
        model = (MODEL, MANIFEST, "bench/model", "tensor", ROYALTY_BPS, LAYERS, *prices)
        node = ("http://127.0.0.1:8000", HOT.address, proof, 1, (MODEL,))
        return (
            self._call(OWNER, "Models", "register", *model),
            self._call(OPERATOR, "Nodes", "register", *node, value=10_000 * OPG),
            self._call(PAYER, "Escrow", "deposit", value=1_000_000 * OPG),
        )

    def transfers(self, accounts: Sequence[Address]) -> tuple[bytes, ...]:
        """One wei to each account, from all senders in turn."""
        return tuple(
            self.tx(SENDERS[index % len(SENDERS)], to, value=1, gas=TRANSFER_GAS) for index, to in enumerate(accounts)
        )

    def owed(self, count: int, now_s: int, height: int = 1) -> list[Owed]:
        """New requests with their answers and receipts, as an inference node makes them for a small classifier."""
        identity = Identity(CHAIN_ID, OPERATOR.address, HOT)
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
                now_s + 600,
            )
            signed = SignedRequest(CHAIN_ID, request, PAYER.sign(request.signing_digest(CHAIN_ID)))
            outputs = (
                Tensor("diagnosis", "INT64", (1,), struct.pack("<q", self._requests % 2)),
                Tensor("probabilities", "FP32", (1, 2), struct.pack("<2f", 0.25, 0.75)),
            )
            times = (now_s * 1000, now_s * 1000 + 1)
            work = Work(identity, body, None, serve.tensor_response(outputs), PROFILE, None, height, *times)
            made.append(Owed(signed, body, serve.receipt(signed, OFFER, work)))
        return made

    def batch(self, owed: Sequence[Owed], sender: PrivateKey = OPERATOR) -> bytes:
        """A transaction that settles a batch."""
        return self.tx(sender, SETTLEMENT.address, calldata(owed), gas=BATCH_GAS)

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
