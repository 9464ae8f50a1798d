"""The service: from a signed request to a kept, signed answer. Every door of the node leads here.

1. An answer kept under this key is returned as it is; a job under this key is joined. The key never serves another
request.
2. The request must be in order (`flows/serve.admit`), the parameters honoured, the price within cap and escrow.
3. The queue is bounded; whoever does not fit is told when to come back.
4. The engine answers; the receipt is made of the very values that are delivered.
5. The answer is kept on disk, and only then is its receipt given out.
"""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from paraph.core.encode import Json, JsonObject
from paraph.core.errors import ParaphError, Rejected, Unavailable, must
from paraph.core.ident import Address, ModelId, to_hex
from paraph.core.tensor import Tensor
from paraph.flows import effective, serve
from paraph.flows.buy import price_cap
from paraph.flows.ports import Clock, Given
from paraph.flows.registry import Offer
from paraph.flows.serve import Identity, TextAnswer, Work
from paraph.inference_node.busy import Busy
from paraph.inference_node.jobs import Job
from paraph.inference_node.ledger import LedgerView
from paraph.inference_node.models import Served
from paraph.inference_node.outbox import Entry, Outbox, place_of
from paraph.inference_node.promises import rows_of_answer
from paraph.inference_node.proof_load import ProofLoad
from paraph.proofs.check import units
from paraph.proofs.request import Layer, Request, SignedRequest, body_digest

QUEUE_MAX: Final = 64
"""Requests that wait for one model: at a second each, a minute's patience."""
QUEUE_PAYER_MAX: Final = QUEUE_MAX // 2
"""Requests of one payer in work or waiting, of all models: nobody fills a queue alone."""

log = structlog.get_logger("paraph.service")


class Service:
    """Answers signed requests.

    Args:
        identity: who the node is.
        models: what it serves.
        ledger: what it knows of prices and escrows.
        outbox: where answers are kept.
        clock: stamps receipts.
    """

    def __init__(
        self, identity: Identity, models: dict[ModelId, Served], ledger: LedgerView, outbox: Outbox, clock: Clock
    ) -> None:
        self.identity = identity
        self.models = models
        self.ledger = ledger
        self.outbox = outbox
        self.turning: Final = asyncio.Lock()
        """Held while the enclave's keys are turned: what begins meanwhile waits, and begins with the new ones."""
        self.unprovable: dict[ModelId, ParaphError] = {}
        """Of exact models that are not offered with the layer `zk`: why."""
        self.load: Final = ProofLoad()
        """The proofs that are owed."""
        self._clock = clock
        self._jobs: dict[bytes, Job] = {}
        self._jobs_of: Counter[Address] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._promised: dict[Address, int] = {}
        for payer, price in outbox.pending_prices():
            self._promise(payer, price)

    def model(self, name: str) -> Served:
        """The served model of that id (hex) or name. Raises `Rejected` (`models.not_served`)."""
        for model_id, served in self.models.items():
            if name in (to_hex(model_id), served.manifest.name):
                return served
        names = ", ".join(sorted(served.manifest.name for served in self.models.values()))
        raise Rejected("models.not_served", f"this node does not serve {name[:80]!r}; it serves: {names}")

    async def quote(self, body: JsonObject) -> dict[str, Json]:
        """What to sign for an effective request. Raises `Rejected` for what the model's engine cannot honour."""
        served = self.model(str(body["model"]))
        _honoured(served, body)
        offer = await self.ledger.offer(served.model_id)
        return serve.quote(self.identity, offer, body, price_cap(offer, body), self._clock.now_ms() // 1000)

    def start(self, signed: SignedRequest, body: JsonObject) -> Job:
        """Begin to answer, or join what was begun or done under this key.

        Raises:
            Rejected: `request.key_reused`: the key served another request; what `admit` refuses; what the engine cannot
                honour. Unavailable: the outbox cannot be written; `Busy`.
        """
        request = signed.request
        place = place_of(request.payer, request.key)
        job = self._jobs.get(place)
        if job is None:
            kept = self.outbox.find(request.payer, request.key)
            if kept is not None:
                job = Job(kept.request)
                job.chunks.extend(kept.chunks)
                job.finish(kept)
        if job is not None:
            if (job.request.chain_id, job.request.request.hash()) != (signed.chain_id, request.hash()):
                raise Rejected("request.key_reused", "this key was used for another request; draw a new one")
            if body_digest(body) != request.body_digest:
                raise Rejected("request.body", "the body, after defaults, is not the one that was signed")
            if not signed.signed_by_payer():
                raise Rejected("request.signature", "the signature is not the payer's")
            return job
        if request.layer is Layer.ZK and request.model_id in self.unprovable:
            raise self.unprovable[request.model_id]
        serve.admit(self.identity, signed, body, self._clock.now_ms() // 1000)
        served = self.model(to_hex(request.model_id))
        _honoured(served, body)
        if served.waiting >= QUEUE_MAX or self._jobs_of[request.payer] >= QUEUE_PAYER_MAX:
            raise Busy(1 + served.waiting // max(served.slots, 1))
        if self.outbox.failure is not None:
            raise Unavailable("node.outbox", f"answers cannot be kept now: {self.outbox.failure.message}")
        if request.layer is Layer.ZK:
            self.load.promise(request.model_id)
        job = Job(signed)
        self._jobs[place] = job
        self._jobs_of[request.payer] += 1
        # Counted here and not when the task first runs: a burst must not slip past the limit.
        served.waiting += 1
        task = asyncio.create_task(self._work(job, served, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def settled(self, payer: Address, price: int) -> None:
        """A promise was settled or refused: it counts no more."""
        self._promise(payer, -price)
        self.ledger.forget_escrow(payer)

    async def drain(self) -> None:
        """Wait for the jobs that run, telling none to stop."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- one job ---

    async def _work(self, job: Job, served: Served, body: JsonObject) -> None:
        request = job.request.request
        held, kept = Hold(request.payer), None
        try:
            async with self._turn(job, served):
                # Read when its turn has come: a schedule read before a long wait may have ended meanwhile.
                offer = await self.ledger.offer(request.model_id)
                if not offer.model.layers >> (request.layer - 1) & 1:
                    raise Rejected("models.layer", f"{offer.model.name} is not offered with this layer")
                work = await self._answer(job, served, body, offer, held)
            due = offer.price.of(*units(body, work.response))
            if due > request.max_price:
                raise Rejected("request.cap", f"the answer would cost {due} wei, above the cap; nothing is charged")
            entry = Entry(job.request, serve.receipt(job.request, offer, work), tuple(job.chunks))
            # What was held becomes the price: at no moment is the same escrow free for another request.
            self._hold(held, due)
            kept = await self.outbox.keep(entry, rows_of_answer(entry, body))
            held.amount = 0
            # What is kept is what is given out: asked again, the same bytes.
            job.finish(kept)
        except ParaphError as error:
            job.fail(error)
        except Exception:
            # The fault is ours. The caller hears that much and no more; what it was goes to the log.
            log.exception("answer failed", key=request.key.hex())
        finally:
            self._hold(held, 0)
            if kept is None and request.layer is Layer.ZK:
                self.load.done(request.model_id)
            if not job.ended:
                job.fail(Unavailable("node.internal", "the node failed while answering; nothing is charged"))
            del self._jobs[place_of(request.payer, request.key)]
            self._jobs_of[request.payer] -= 1
            if not self._jobs_of[request.payer]:
                del self._jobs_of[request.payer]

    async def _answer(self, job: Job, served: Served, body: JsonObject, offer: Offer, held: "Hold") -> Work:
        kind = body["kind"]
        if kind == "infer":
            return await self._infer(job, served, body, offer, held)
        if kind == "embeddings":
            return await self._embed(job, served, body, offer, held)
        return await self._generate(job, served, body, offer, held)

    async def _infer(self, job: Job, served: Served, body: JsonObject, offer: Offer, held: "Hold") -> Work:
        inputs, outputs = effective.tensors_of(body)
        rows = inputs[0].rows
        proven = job.request.request.layer is Layer.ZK
        asked = serve.hidden(body) if proven else None
        identity, height = await self._standing(job.request.request)
        await self._reserve(job.request, offer.price.of(rows, max(rows, 1)), held)
        started = self._begun(job)
        found = await served.tensor.infer(inputs, outputs)
        response = serve.tensor_response(found) if asked is None else serve.proven_response(found, body)
        promise = None
        if asked is not None:
            promise = serve.promise(asked, found[0], height + await self.ledger.proof_window(height))
        ended = self._clock.now_ms()
        return Work(identity, body, None, response, served.engine.profile, None, height, started, ended, promise)

    async def _embed(self, job: Job, served: Served, body: JsonObject, offer: Offer, held: "Hold") -> Work:
        texts = tuple(str(text) for text in body["inputs"])  # type: ignore[union-attr]
        identity, height = await self._standing(job.request.request)
        await self._reserve(job.request, offer.price.of(*effective.tokens_most(body)), held)
        started = self._begun(job)
        vectors, tokens = await served.text.embed(texts)
        rows = tuple(
            Tensor(f"embedding-{index}", "FP32", (len(vector),), struct.pack(f"<{len(vector)}f", *vector))
            for index, vector in enumerate(vectors)
        )
        response = serve.embedding_response(rows, tokens)
        return Work(identity, body, None, response, served.engine.profile, None, height, started, self._clock.now_ms())

    async def _generate(self, job: Job, served: Served, body: JsonObject, offer: Offer, held: "Hold") -> Work:
        engine = served.text
        honoured = effective.honourable(body, engine.parameters)
        most_in, most_out = effective.tokens_most(body)
        gathered = TextAnswer(job.request.request.hash())
        identity, height = await self._standing(job.request.request)
        started = self._begun(job)
        counted = 0
        async with aclosing(engine.generate(honoured)) as events:  # type: ignore[type-var]
            first = await anext(events, None)
            must(isinstance(first, Given), "an engine first says what the model was given")
            gathered.take(first)  # type: ignore[arg-type]
            if gathered.given is not None and gathered.given.token_ids is not None:
                most_in = counted = len(gathered.given.token_ids)
            await self._reserve(job.request, offer.price.of(most_in, most_out), held)
            async for event in events:
                chunk = gathered.take(event)
                if chunk is not None:
                    job.add(chunk)
                if job.unwanted.is_set():
                    # An engine that has not counted the input is not believed to have read any of it.
                    gathered.stop("cancelled", counted)
                    break
        if gathered.finish is None:
            raise Unavailable("engine.died", "the engine ended without finishing its answer; nothing is charged")
        link = gathered.link
        response, given = gathered.response(), gathered.given_json()
        return Work(identity, body, given, response, engine.profile, link, height, started, self._clock.now_ms())

    async def _standing(self, request: Request) -> tuple[Identity, int]:
        """Who the node is when work begins, and a block at which its key is valid."""
        async with self.turning:
            height = await self.ledger.height()
        return self.identity, max(height, self.identity.layers(request.model_id)[request.layer].height_first)

    # --- promises and turns ---

    def _begun(self, job: Job) -> int:
        """When the work begins, in milliseconds. Raises `Rejected` after the deadline: no receipt could answer then."""
        now_ms, deadline = self._clock.now_ms(), job.request.request.deadline
        if now_ms > deadline * 1000:
            raise Rejected("request.expired", f"the deadline {deadline} passed while the request waited its turn")
        return now_ms

    async def _reserve(self, signed: SignedRequest, most: int, held: "Hold") -> None:
        """Hold `most` wei of the payer's escrow until the answer is kept or failed. Raises as `admit_price` does."""
        payer = held.payer
        # What is promised is looked at after the ledger answered: others may have been promised something meanwhile.
        escrow = await self.ledger.escrow(payer)
        if escrow.available < self._promised.get(payer, 0) + most:
            escrow = await self.ledger.escrow(payer, fresh=True)
        serve.admit_price(signed, most, escrow, self._promised.get(payer, 0))
        self._hold(held, most)

    def _hold(self, held: "Hold", amount: int) -> None:
        self._promise(held.payer, amount - held.amount)
        held.amount = amount

    @asynccontextmanager
    async def _turn(self, job: Job, served: Served) -> AsyncIterator[None]:
        try:
            await served.turn.acquire()
        finally:
            served.waiting -= 1
        served.running += 1
        try:
            if job.unwanted.is_set():
                raise Unavailable("node.cancelled", "nobody waits for this answer any more; nothing is charged")
            yield
        finally:
            served.running -= 1
            served.turn.release()

    def _promise(self, payer: Address, amount: int) -> None:
        total = self._promised.get(payer, 0) + amount
        if total > 0:
            self._promised[payer] = total
        else:
            self._promised.pop(payer, None)


@dataclass(slots=True)
class Hold:
    """Wei of a payer's escrow that one job holds: first the most it can cost, then its price, until it is kept."""

    payer: Address
    amount: int = 0


def _honoured(served: Served, body: JsonObject) -> None:
    """Refuse what the model's engine cannot do, before anything is quoted, queued or charged."""
    if body["kind"] == "infer":
        served.tensor  # noqa: B018  refuses a language model
    elif body["kind"] == "embeddings":
        served.text  # noqa: B018  refuses a tensor model
    else:
        effective.honourable(body, served.text.parameters)
