"""A small world of promises: exact models, settled answers, a ledger that takes proofs, a slow prover of real ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from tests.support import zk
from tests.support_ledger.world import ALICE, CHAIN_ID, HOT, OPERATOR

from paraph.adapters.fakes.clock import FakeClock
from paraph.adapters.fakes.store import MemoryStore
from paraph.adapters.provers.engine import PROFILE
from paraph.adapters.provers.execute import Exact as Executor
from paraph.core.amount import Wei
from paraph.core.digest import sha256
from paraph.core.encode import JsonObject
from paraph.core.errors import ParaphError, Rejected
from paraph.core.ident import Address, Digest, ModelId, RequestKey, to_hex
from paraph.core.tensor import Tensor
from paraph.flows import serve
from paraph.flows.hand_in import Handed, Standing
from paraph.flows.ports import KeyValue
from paraph.flows.registry import Offer
from paraph.flows.serve import Identity, Work
from paraph.inference_node.offering import Offering
from paraph.inference_node.outbox import Entry as Answered
from paraph.inference_node.outbox import Outbox, place_of
from paraph.inference_node.promises import Promises, rows_of_answer, rows_of_outcome
from paraph.inference_node.proof_load import ProofLoad
from paraph.inference_node.prover import Prover
from paraph.proofs.exactness import SALT
from paraph.proofs.promised import Promise, promise_from_json
from paraph.proofs.records import ExactModel, Price
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest
from paraph.proofs.zk.graph import Clip, Gemm, Graph, Requant
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import VERSION, Entry, Exact, Mode, Statement
from paraph.proofs.zk.verify import verify
from paraph.proofs.zk.weights import weight_root, weight_vector

GRAPH: Final = Graph((4,), (Gemm(0, 3), Requant(1, 1, 4, -4096, 4096, Clip(-128, 127)), Gemm(2, 2)))
DUE_FIRST: Final = 110
"""The block by which answer number 0 is due; number n's is n later."""
MODELS: Final = tuple(ModelId(sha256(b"exact model %d" % number)) for number in range(2))


def weights_of(number: int) -> bytes:
    """Small weights, and biases of zero."""
    parts = []
    for index, block in enumerate(GRAPH.blocks):
        drawn = np.random.default_rng(10 * number + index).integers(-7, 8, block.outputs * block.inputs)
        parts += [drawn.astype(np.int8).tobytes(), bytes(4 * block.outputs)]
    return b"".join(parts)


EXACT: Final = {
    model_id: Exact(GRAPH, weight_root(GRAPH, weights_of(number))) for number, model_id in enumerate(MODELS)
}


def prove(statement: Statement, weights: bytes, inputs: Sequence[bytes], seeds: Sequence[bytes] | None) -> bytes:
    """A real proof, by the prover that tests use; blocks beyond the requests get seeds of their own."""
    layout = plan(statement.exact.graph, len(inputs), statement.mode)
    vector = weight_vector(statement.exact.graph, weights)
    count = 1 << layout.batch_bits
    rows = [[each - 256 if each > 127 else each for each in row] for row in inputs]
    rows += [[0] * layout.inputs] * (count - len(rows))
    lies = zk.Lies()
    runs = [zk.run(layout, vector, row, number, lies) for number, row in enumerate(rows)]
    whole = None
    if seeds is not None:
        whole = [*seeds, *(sha256(b"blank %d" % number) for number in range(count - len(seeds)))]
    return zk.Prover(layout, statement, vector, runs, whole, lies, b"").prove()


@dataclass
class SlowProcess:
    """A `ProofProcess` without a process: real proofs, made here; or the errors that it is told to fail with."""

    failures: list[ParaphError] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """How many answers each proof was about, failed ones too."""
    during: Any = None
    """Called while a proof is being made."""

    async def prove(
        self, statement: Statement, model_id: ModelId, requests: Sequence[serve.Hidden], seeds: Sequence[bytes]
    ) -> bytes:
        """As `ProofProcess.prove`."""
        inputs = [each.inputs for each in requests]
        self.sizes.append(len(inputs))
        if self.during is not None:
            self.during()
        if self.failures:
            raise self.failures.pop(0)
        hiding = statement.mode is Mode.HIDING
        return prove(statement, weights_of(MODELS.index(model_id)), inputs, seeds if hiding else None)

    async def close(self) -> None:
        """Nothing to end."""


@dataclass
class Court:
    """A `ProofLedger` in memory, with the rules of the real one: it verifies what it is handed.

    Args:
        height: the newest block.
        dues: by place: the answer's model, commitment and last block.
        settled: by place: the block of its settlement.
        registered_: the exact models.
    """

    height: int = 10
    dues: dict[bytes, tuple[ModelId, Promise]] = field(default_factory=dict)
    settled: dict[bytes, int] = field(default_factory=dict)
    taken: dict[bytes, int] = field(default_factory=dict)
    registered_: dict[ModelId, ExactModel] = field(
        default_factory=lambda: {
            model_id: ExactModel(exact.graph.digest, exact.weight_root, VERSION) for model_id, exact in EXACT.items()
        }
    )
    failures: list[ParaphError] = field(default_factory=list)
    """What `hand_in` fails with instead of looking."""
    lost: list[ParaphError] = field(default_factory=list)
    """What `hand_in` fails with after it has taken the proof."""

    def hash_of(self, height: int) -> Digest:
        """A block's hash."""
        return sha256(b"block %d" % height)

    async def beacon(self) -> tuple[int, Digest]:
        """As the port says."""
        return self.height - 1, self.hash_of(self.height - 1)

    async def nudge(self) -> None:
        """As the port says."""
        self.height += 1

    async def standing(self, payer: Address, key: RequestKey) -> Standing:
        """As the port says."""
        place = place_of(payer, key)
        if place in self.taken:
            return Standing.PROVEN
        return Standing.DUE if place in self.dues else Standing.NEITHER

    async def registered(self, model_id: ModelId) -> ExactModel:
        """As the port says."""
        if model_id not in self.registered_:
            raise Rejected("models.not_exact", "not registered as an exact model")
        return self.registered_[model_id]

    async def hand_in(self, handed: Handed) -> int:
        """As the port says."""
        if self.failures:
            raise self.failures.pop(0)
        places = [place_of(item.payer, item.key) for item in handed.items]
        if not self.height - 256 < handed.height < self.height:
            raise Rejected("proofs.beacon", "the beacon is too old")
        for place, item in zip(places, handed.items, strict=True):
            if place not in self.dues or handed.height < self.settled[place]:
                raise Rejected("proofs.due", "no proof is due")
            model_id, promised = self.dues[place]
            if (model_id, promised.commitment) != (handed.model_id, item.commitment) or self.height >= promised.due:
                raise Rejected("proofs.due", "another promise, or too late")
        entries = tuple(Entry(Digest(item.key), item.commitment) for item in handed.items)
        exact, beacon = EXACT[handed.model_id], self.hash_of(handed.height)
        verify(Statement(handed.mode, exact, OPERATOR.address, CHAIN_ID, beacon, entries), handed.proof)
        self.height += 1
        for place in places:
            del self.dues[place]
            self.taken[place] = self.height
        if self.lost:
            raise self.lost.pop(0)
        return self.height


class World:
    """A node that has promised proofs.

    Args:
        store: where its outbox is.
        mode: what its proofs give away.
        gather_s: how long a settled answer waits for others.
    """

    def __init__(self, store: KeyValue | None = None, mode: Mode = Mode.SUCCINCT, gather_s: float = 0) -> None:
        self.store = store or MemoryStore()
        self.clock = FakeClock(1_800_000_000_000)
        self.court = Court()
        self.process = SlowProcess()
        self._mode, self._gather_s = mode, gather_s
        self.restart()

    def restart(self) -> None:
        """The node's process ends and starts again: only its store is as it was."""
        self.outbox = Outbox(self.store)
        identity = Identity(CHAIN_ID, OPERATOR.address, HOT, None, frozenset(EXACT))
        self.service = SimpleNamespace(identity=identity, unprovable={}, outbox=self.outbox, load=ProofLoad())
        self.promises = Promises(self.store, self.outbox)
        parts: Any = self.process
        service: Any = self.service
        self.offering = Offering(self.court, service, EXACT, self._mode)
        self.prover = Prover(
            self.court, service, self.promises, parts, self.offering, self._mode, self._gather_s, self.clock
        )

    async def answer(self, number: int, *, model: int = 0, layer: Layer = Layer.ZK) -> Answered:
        """An answer that is kept, and not settled."""
        data = bytes((7 * number + at) % 256 for at in range(4))
        salt: JsonObject = {SALT: to_hex(sha256(b"salt %d" % number))} if layer is Layer.ZK else {}
        body: JsonObject = {
            "kind": "infer",
            "model": to_hex(MODELS[model]),
            "inputs": [Tensor("input", "INT8", (1, 4), data).as_json()],
            "outputs": [],
            **salt,
        }
        found = Executor(GRAPH, weights_of(model)).run(np.frombuffer(data, np.int8).reshape(1, 4))
        output = Tensor("output", "INT32", (1, 2), found.astype("<i4").tobytes())
        response = serve.proven_response((output,), body) if salt else serve.tensor_response((output,))
        promise = serve.promise(serve.hidden(body), output, DUE_FIRST + number) if salt else None
        request = Request(
            RequestKey(sha256(b"key %d" % number)),
            ALICE.address,
            OPERATOR.address,
            MODELS[model],
            body_digest(body),
            layer,
            Wei(10**6),
            self.clock.now_ms() // 1000 + 600,
        )
        signed = SignedRequest(CHAIN_ID, request, ALICE.sign(request.signing_digest(CHAIN_ID)))
        registered: Any = SimpleNamespace(price_version=1)
        offer = Offer(MODELS[model], registered, Price(Wei(5), Wei(0), Wei(0), 0))
        now_ms = self.clock.now_ms()
        work = Work(
            self.service.identity, body, None, response, PROFILE, None, self.court.height, now_ms, now_ms, promise
        )
        answered = Answered(signed, serve.receipt(signed, offer, work), ())
        return await self.outbox.keep(answered, rows_of_answer(answered, body))

    async def settled(self, number: int, *, model: int = 0, followed: bool = True) -> bytes:
        """An answer that is kept and settled, and a block that followed; returns its place."""
        answered = await self.answer(number, model=model)
        promised = promise_from_json(answered.answer.evidence)
        height = self.court.height
        self.court.dues[answered.place], self.court.settled[answered.place] = (MODELS[model], promised), height
        await self.outbox.close_entry(answered.place, "settled batch 1", rows_of_outcome(answered, height))
        self.court.height += followed
        return answered.place

    async def run(self, steps_max: int = 50) -> None:
        """Let the prover do all that it can do now."""
        for _ in range(steps_max):
            if not await self.prover.step():
                return
        raise AssertionError("the prover finds no end")
