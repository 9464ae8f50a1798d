"""The prover: brings a proof to the ledger for every settled answer that was promised one, before it is due.

1. Answers of one model that are due are gathered for a moment into a batch: a proof of many costs little more.
2. The beacon is the hash of a block that came after all of them were settled.
3. A process of its own makes the proof, one at a time, and checks it with the verifier.
4. The proof is kept on disk, and only then sent. A kill at any moment loses nothing but the work of one proof.
5. What the ledger takes is noted. What it does not take is looked at again: taken already, missed, or proven anew.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from paraph.core.amount import format_opg
from paraph.core.encode import Json
from paraph.core.errors import ParaphError, Rejected
from paraph.core.ident import Address, Digest, ModelId, RequestKey, to_hex
from paraph.flows.hand_in import Handed, Item, Standing
from paraph.flows.ports import Clock
from paraph.inference_node.offering import BATCH_MAX, LOOK_S, Offering, batch_max
from paraph.inference_node.outbox import place_of
from paraph.inference_node.promises import Batch, Promises, Provable, Unproven
from paraph.inference_node.proof_ledger import ProofLedger
from paraph.inference_node.proof_process import ProofProcess
from paraph.inference_node.service import Service
from paraph.proofs.exactness import seed_of
from paraph.proofs.promised import promise_from_json
from paraph.proofs.request import Layer
from paraph.proofs.zk.statement import Mode, Statement

BEACON_AGE_MAX: Final = 240
"""Blocks after which a refused proof is made anew: the ledger knows the hashes of the last 256."""
GROW_AFTER: Final = 32
"""Batches of the size that worked before a larger one is tried."""
REST_S_FIRST: Final = 1.0
REST_S_MAX: Final = 60.0
"""How long a model rests after a failure, longer each time: at most a minute of the hour or so until a proof is due."""

log = structlog.get_logger("paraph.prover")


@dataclass(slots=True)
class Rest:
    """How a model's proofs fare: the size of batch that is tried, and until when it rests after a failure."""

    size: int = BATCH_MAX
    made: int = 0
    """Batches made since the size was changed."""
    seconds: float = 0
    until_s: float = 0

    def failed(self, now_s: float) -> None:
        """Rest, longer each time."""
        self.seconds = min(max(2 * self.seconds, REST_S_FIRST), REST_S_MAX)
        self.until_s = now_s + self.seconds

    def succeeded(self) -> None:
        """Go on at once with what works; a larger batch is tried again after many, for each failure costs time."""
        self.seconds = self.until_s = 0
        self.made += 1
        if self.made == GROW_AFTER and self.size < BATCH_MAX:
            self.size, self.made = min(2 * self.size, BATCH_MAX), 0


@dataclass(slots=True)
class Prover:
    """Proves a service's answers.

    Args:
        ledger: where proofs are due.
        service: whose answers they are.
        promises: what is due.
        process: makes the proofs.
        offering: the models that can be proven.
        mode: what the proofs give away.
        gather_s: how long a settled answer waits for others.
        clock: stamps what is shown of the progress.
    """

    ledger: ProofLedger
    service: Service
    promises: Promises
    process: ProofProcess
    offering: Offering
    mode: Mode
    gather_s: float
    clock: Clock
    _proving: tuple[frozenset[bytes], int] = (frozenset(), 0)
    """The answers that are being proven, and since when, in Unix milliseconds."""
    _seen: dict[bytes, float] = field(default_factory=dict)
    """When each answer was first found due."""
    _rests: dict[ModelId, Rest] = field(default_factory=dict)
    _refused: dict[bytes, Rest] = field(default_factory=dict)
    """Proofs that the ledger refused and may take yet: until when each rests. Others go on meanwhile."""

    async def run(self, interval_s: float) -> None:
        """Prove until cancelled, looking every `interval_s` seconds. What fails is tried again, less and less often."""
        failed, looked_s = 0, asyncio.get_running_loop().time()
        while True:
            try:
                if asyncio.get_running_loop().time() - looked_s > LOOK_S:
                    looked_s = asyncio.get_running_loop().time()
                    await self.offering.look()
                busy = await self.step()
                failed = 0
            except ParaphError as error:
                busy, failed = False, failed + 1
                log.warning("not proven yet", code=error.code, reason=error.message)
            except Exception:
                # The fault is ours; a prover that dies of it would cost the bond.
                busy, failed = False, failed + 1
                log.exception("not proven yet")
            if not busy:
                await asyncio.sleep(min(interval_s * 2 ** min(failed, 10), max(interval_s, REST_S_MAX)))

    async def step(self) -> bool:
        """Bring one batch further; True when there may be more to do at once.

        Raises:
            Unavailable, Rejected: the ledger could not be used, or the process; everything is still due.
        """
        dues = self.promises.unproven()
        if not dues:
            self._seen.clear()
            return False
        now_s = asyncio.get_running_loop().time()
        self._seen = {each.place: self._seen.get(each.place, now_s) for each in dues}
        name = self._next_made(dues, now_s)
        if name is not None:
            await self._publish(name, [each for each in dues if each.batch == name])
            return True
        height, beacon = await self.ledger.beacon()
        late = [each for each in dues if each.due <= height]
        if late:
            await self._look_at(late, height)
            return True
        ready = self._ready([each for each in dues if each.settled <= height and each.batch is None])
        if ready is not None:
            await self._prove(*ready, height, beacon)
            return True
        if all(each.settled > height for each in dues) and self._waited_s(dues) >= self.gather_s:
            # Where blocks are made only for transactions, the one that a beacon is drawn from might not come.
            await self.ledger.nudge()
            return True
        return False

    # --- what it does ---

    async def _prove(self, model_id: ModelId, dues: Sequence[Unproven], height: int, beacon: Digest) -> None:
        provables = [self.promises.provable(each.place) for each in dues]
        identity = self.service.identity
        entries = tuple(each.entry for each in provables)
        statement = Statement(
            self.mode, self.offering.exact[model_id], identity.node, identity.chain_id, beacon, entries
        )
        places = tuple(each.place for each in dues)
        self._proving = frozenset(places), self.clock.now_ms()
        try:
            seeds = [_seed(each) for each in provables]
            proof = await self.process.prove(statement, model_id, [each.hidden for each in provables], seeds)
        except ParaphError:
            self._fail(model_id, len(places))
            raise
        else:
            batch = Batch(model_id, self.mode, height, beacon, places, entries)
            name = await self.promises.keep_proof(batch, proof, dues)
            took_ms = self.clock.now_ms() - self._proving[1]
            log.info("proof made", answers=len(places), bytes=len(proof), took_ms=took_ms, mode=self.mode.name.lower())
            self.service.load.measured(model_id, took_ms / 1000 / len(places))
            self._rests.setdefault(model_id, Rest()).succeeded()
        finally:
            self._proving = frozenset(), 0
        await self._publish(name, dues)

    async def _publish(self, name: bytes, dues: Sequence[Unproven]) -> None:
        batch = self.promises.batch(name)
        items = [
            Item(Address(place[:20]), RequestKey(place[20:]), entry.commitment)
            for place, entry in zip(batch.places, batch.entries, strict=True)
        ]
        handed = Handed(batch.model_id, batch.mode, batch.height, items, self.promises.proof(name))
        try:
            taken = await self.ledger.hand_in(handed)
        except Rejected as error:
            height, _ = await self.ledger.beacon()
            await self._look_at(dues, height)
            left = [each for each in self.promises.unproven() if each.batch == name]
            if not left:
                return
            log.warning(
                "a proof was refused, and is sent again",
                code=error.code,
                reason=error.message,
                answers=len(left),
                model=to_hex(batch.model_id),
                blocks_left=min(each.due for each in left) - height,
            )
            if len(left) < len(dues) or height - batch.height > BEACON_AGE_MAX:
                await self.promises.drop_proof(name, left)
                self._refused.pop(name, None)
            else:
                self._refused.setdefault(name, Rest()).failed(asyncio.get_running_loop().time())
            return
        self._refused.pop(name, None)
        await self._note_proven(name, [each.place for each in dues], taken)
        log.info("proven", answers=len(dues), height=taken)

    async def _note_proven(self, name: bytes, places: Sequence[bytes], height: int) -> None:
        await self.promises.note_proven(name, places, height)
        for place in places:
            self.service.load.done(self.promises.model_of(place))

    async def _look_at(self, dues: Sequence[Unproven], height: int) -> None:
        """Note what the ledger says of promises: taken already, or missed."""
        for each in dues:
            payer, key = Address(each.place[:20]), RequestKey(each.place[20:])
            standing = await self.ledger.standing(payer, key)
            if standing is Standing.PROVEN and each.batch is not None:
                await self._note_proven(each.batch, [each.place], height)
            elif standing is not Standing.DUE or each.due <= height:
                reason = f"the proof was due at block {each.due}, and the ledger holds it {standing.value} at {height}"
                await self.promises.note_missed(each.place, reason)
                self.service.load.done(self.promises.model_of(each.place))
                log.error(
                    "a promised proof was missed: its price is lost, and a part of the bond",
                    payer=payer.hex(),
                    key=key.hex(),
                    price=format_opg(self.promises.price_of(each.place)),
                    reason=reason,
                )

    # --- what is next ---

    def _ready(self, dues: Sequence[Unproven]) -> tuple[ModelId, list[Unproven]] | None:
        """The next batch: of the model whose proof is due first, once it is full or has waited; None to wait."""
        now_s = asyncio.get_running_loop().time()
        by_model: dict[ModelId, list[Unproven]] = {}
        for each in dues:
            by_model.setdefault(self.promises.model_of(each.place), []).append(each)
        for model_id, found in by_model.items():
            exact = self.offering.exact.get(model_id)
            if exact is None:
                continue
            rest = self._rests.get(model_id, Rest())
            size = min(rest.size, batch_max(exact.graph, self.mode))
            full = len(found) >= size or self._waited_s(found) >= self.gather_s
            if size and full and now_s >= rest.until_s:
                return model_id, found[:size]
        return None

    def _next_made(self, dues: Sequence[Unproven], now_s: float) -> bytes | None:
        """The proof that is sent next: that of the answer due first, of those that do not rest after a refusal."""
        for each in dues:
            if each.batch is not None and now_s >= self._refused.get(each.batch, Rest()).until_s:
                return each.batch
        return None

    def _waited_s(self, dues: Sequence[Unproven]) -> float:
        """For how long the first of them was seen to be due."""
        return asyncio.get_running_loop().time() - min(self._seen[each.place] for each in dues)

    def _fail(self, model_id: ModelId, size: int) -> None:
        """After a failure the next batch is half as large: what was too much for the process's limits may be less."""
        rest = self._rests.setdefault(model_id, Rest())
        rest.size, rest.made = max(1, size // 2), 0
        rest.failed(asyncio.get_running_loop().time())

    # --- what it shows ---

    def progress(self, payer: Address, key: RequestKey) -> dict[str, Json] | None:
        """How far the proof of an answer is, until the ledger has taken it; None where none was promised."""
        place = place_of(payer, key)
        reason = self.promises.missed(place)
        if reason is not None:
            return {"state": "failed", "reason": reason}
        dues = self.promises.unproven()
        for position, each in enumerate(dues):
            if each.place != place:
                continue
            found: dict[str, Json] = {"state": "waiting", "position": position, "due": each.due}
            places, since_ms = self._proving
            if each.batch is not None:
                found["state"] = "publishing"
            elif place in places:
                found |= {"state": "proving", "since_ms": since_ms, "batch": len(places)}
            return found
        return self._unsettled(payer, key, len(dues))

    def _unsettled(self, payer: Address, key: RequestKey, position: int) -> dict[str, Json] | None:
        answered = self.service.outbox.find(payer, key)
        if answered is None or answered.request.request.layer is not Layer.ZK:
            return None
        outcome = self.service.outbox.outcome(payer, key)
        if outcome is not None and outcome.startswith("refused"):
            return {"state": "failed", "reason": outcome}
        due = promise_from_json(answered.answer.evidence).due
        return {"state": "settling", "position": position, "due": due}


def _seed(each: Provable) -> bytes:
    """The seed of a request's rows in a hiding proof: its owner can derive it, and nobody else."""
    return seed_of(each.hidden.salt, each.entry.key)
