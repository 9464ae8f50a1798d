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
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from paraph.core.encode import Json, JsonObject
from paraph.core.errors import ParaphError, Rejected, Unavailable, must
from paraph.core.ident import Address, ModelId, to_hex
from paraph.core.tensor import Tensor
from paraph.flows import effective, serve
from paraph.flows.buy import price_cap
from paraph.flows.ports import Clock, Given
from paraph.flows.registry import Offer
from paraph.flows.serve import Identity, TextAnswer, Work
from paraph.inference_node.jobs import Job
from paraph.inference_node.ledger import LedgerView
from paraph.inference_node.models import Served
from paraph.inference_node.outbox import Entry, Outbox, place_of
from paraph.proofs.request import SignedRequest

QUEUE_MAX: Final = 64
"""Requests that wait for one model: at a second each, a minute's patience."""


class Busy(Unavailable):
    """The queue is full; `retry_after_s` says when to come back."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("node.busy", f"the queue is full; come back in {retry_after_s} s", retry_after_s=retry_after_s)
        self.retry_after_s: Final = retry_after_s


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
        self._clock = clock
        self._jobs: dict[bytes, Job] = {}
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
        """What to sign for an effective request."""
        offer = await self.ledger.offer(self.model(str(body["model"])).model_id)
        return serve.quote(self.identity, offer, body, price_cap(offer, body), self._clock.now_ms() // 1000)

    def start(self, signed: SignedRequest, body: JsonObject) -> Job:
        """Begin to answer, or join what was begun or done under this key.

        Raises:
            Rejected: `request.key_reused`: the key served another request; and what `admit` refuses.
            Unavailable: the outbox cannot be written.
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
            if job.request.request.hash() != request.hash():
                raise Rejected("request.key_reused", "this key was used for another request; draw a new one")
            if not signed.signed_by_payer():
                raise Rejected("request.signature", "the signature is not the payer's")
            return job
        serve.admit(self.identity, signed, body, self._clock.now_ms() // 1000)
        served = self.model(to_hex(request.model_id))
        if served.waiting >= QUEUE_MAX:
            raise Busy(1 + served.waiting // max(served.slots, 1))
        if self.outbox.failure is not None:
            raise Unavailable("node.outbox", f"answers cannot be kept now: {self.outbox.failure.message}")
        job = Job(signed)
        self._jobs[place] = job
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
        try:
            offer = await self.ledger.offer(request.model_id)
            async with self._turn(job, served):
                if self._clock.now_ms() // 1000 > request.deadline:
                    raise Rejected("request.expired", "the deadline passed while the request waited in the queue")
                work = await self._answer(job, served, body, offer)
            answer = serve.receipt(self.identity, job.request, offer, work)
            price = answer.receipt.receipt.price
            entry = Entry(job.request, answer, tuple(job.chunks) if work.link else ())
            await self._keep(entry, price)
            job.finish(entry)
        except ParaphError as error:
            job.fail(error)
        except Exception:
            job.fail(Unavailable("node.internal", "the node failed while answering; nothing is charged"))
            raise
        finally:
            del self._jobs[place_of(request.payer, request.key)]

    async def _keep(self, entry: Entry, price: int) -> None:
        payer = entry.request.request.payer
        self._promise(payer, price)
        try:
            await self.outbox.keep(entry)
        except Unavailable:
            self._promise(payer, -price)
            raise

    async def _answer(self, job: Job, served: Served, body: JsonObject, offer: Offer) -> Work:
        kind = body["kind"]
        if kind == "infer":
            return await self._infer(job, served, body, offer)
        if kind == "embeddings":
            return await self._embed(job, served, body, offer)
        return await self._generate(job, served, body, offer)

    async def _infer(self, job: Job, served: Served, body: JsonObject, offer: Offer) -> Work:
        inputs, outputs = effective.tensors_of(body)
        rows = inputs[0].rows
        height = await self.ledger.height()
        async with self._reserve(job.request, offer.price.of(rows, max(rows, 1))):
            started = self._clock.now_ms()
            found = await served.tensor.infer(inputs, outputs)
        response = serve.tensor_response(found)
        return Work(body, None, response, served.engine.profile, None, height, started, self._clock.now_ms())

    async def _embed(self, job: Job, served: Served, body: JsonObject, offer: Offer) -> Work:
        texts = tuple(str(text) for text in body["inputs"])  # type: ignore[union-attr]
        height = await self.ledger.height()
        async with self._reserve(job.request, offer.price.of(*effective.tokens_most(body))):
            started = self._clock.now_ms()
            vectors, tokens = await served.text.embed(texts)
        rows = tuple(
            Tensor(f"embedding-{index}", "FP32", (len(vector),), struct.pack(f"<{len(vector)}f", *vector))
            for index, vector in enumerate(vectors)
        )
        response = serve.embedding_response(rows, tokens)
        return Work(body, None, response, served.engine.profile, None, height, started, self._clock.now_ms())

    async def _generate(self, job: Job, served: Served, body: JsonObject, offer: Offer) -> Work:
        engine = served.text
        honoured = effective.honourable(body, engine.parameters)
        most_in, most_out = effective.tokens_most(body)
        gathered = TextAnswer(job.request.request.hash())
        height = await self.ledger.height()
        started = self._clock.now_ms()
        async with aclosing(engine.generate(honoured)) as events:  # type: ignore[type-var]
            first = await anext(events)
            must(isinstance(first, Given), "an engine first says what the model was given")
            gathered.take(first)
            if gathered.given is not None and gathered.given.token_ids is not None:
                most_in = len(gathered.given.token_ids)
            async with self._reserve(job.request, offer.price.of(most_in, most_out)):
                async for event in events:
                    chunk = gathered.take(event)
                    if chunk is not None:
                        job.add(chunk)
                    if job.unwanted.is_set():
                        gathered.stop("cancelled", most_in)
                        break
        if gathered.finish is None:
            raise Unavailable("engine.died", "the engine ended without finishing its answer; nothing is charged")
        due = offer.price.of(gathered.finish.input_tokens, gathered.finish.output_tokens)
        if due > job.request.request.max_price:
            raise Rejected("request.cap", f"the answer would cost {due} wei, above the cap; nothing is charged")
        link = gathered.link
        response, given = gathered.response(), gathered.given_json()
        return Work(body, given, response, engine.profile, link, height, started, self._clock.now_ms())

    # --- promises and turns ---

    @asynccontextmanager
    async def _reserve(self, signed: SignedRequest, most: int) -> AsyncIterator[None]:
        """Hold `most` wei of the payer's escrow while the work runs."""
        payer = signed.request.payer
        promised = self._promised.get(payer, 0)
        try:
            serve.admit_price(signed, most, await self.ledger.escrow(payer), promised)
        except Rejected:
            promised = self._promised.get(payer, 0)
            serve.admit_price(signed, most, await self.ledger.escrow(payer, fresh=True), promised)
        self._promise(payer, most)
        try:
            yield
        finally:
            self._promise(payer, -most)

    @asynccontextmanager
    async def _turn(self, job: Job, served: Served) -> AsyncIterator[None]:
        served.waiting += 1
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
