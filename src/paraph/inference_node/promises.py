"""What the node has promised to prove: kept on disk from an answer's settlement until its proof is on the ledger.

A kill at any moment loses nothing: what is settled and not proven is found again, and a proof that was made is sent
again instead of being made again. Who owns the disk can lose promises, and so the node's bond; not forge proofs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from paraph.core.digest import sha256
from paraph.core.encode import JsonObject, as_integer, as_list, canonical, decode, take
from paraph.core.errors import must
from paraph.core.ident import Address, Digest, ModelId, RequestKey, digest_from_hex, from_hex, to_hex
from paraph.flows import serve
from paraph.flows.ports import KeyValue
from paraph.inference_node.outbox import NOTHING, Outbox, Rows
from paraph.inference_node.outbox import Entry as Answered
from paraph.proofs.exactness import SALT, salt_of
from paraph.proofs.promised import promise_from_json
from paraph.proofs.request import Layer
from paraph.proofs.zk.statement import COUNT_MAX, Entry, Mode

INPUTS: Final = "inputs"
"""By place: the input of an answer whose proof is promised, until it is proven."""
UNPROVEN: Final = "unproven"
"""By place: when the proof is due, by when the answer was settled, and the batch of its proof, if one was made."""
BATCHES: Final = "batches"
"""By batch: what was proven."""
PROOFS: Final = "proofs"
"""By batch: the proof."""
PROVEN: Final = "proven"
"""By place: its batch, its number there, and the block that took it."""
MISSED: Final = "missed"
"""By place: why there will be no proof."""

PLACE_BYTES: Final = 20 + 32
HEIGHT_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Answers of one model that one proof is about.

    Args:
        model_id: the model.
        mode: what the proof gives away.
        height: the block whose hash is the beacon.
        beacon: its hash.
        places: whose answers, in the proof's order.
        entries: as the proof names them.
    """

    model_id: ModelId
    mode: Mode
    height: int
    beacon: Digest
    places: tuple[bytes, ...]
    entries: tuple[Entry, ...]

    def encode(self) -> bytes:
        """The batch as it is kept."""
        return canonical(
            {
                "model_id": to_hex(self.model_id),
                "mode": int(self.mode),
                "height": self.height,
                "beacon": to_hex(self.beacon),
                "entries": [
                    [to_hex(place), to_hex(entry.commitment)]
                    for place, entry in zip(self.places, self.entries, strict=True)
                ],
            }
        )


@dataclass(frozen=True, slots=True)
class Unproven:
    """A settled answer whose proof is due.

    Args:
        place: where the answer is kept.
        due: the last block in which the proof counts.
        settled: a block by which the answer was settled: the beacon is no earlier one.
        batch: of which proof that was made it is part; None while there is none.
    """

    place: bytes
    due: int
    settled: int
    batch: bytes | None

    @property
    def row(self) -> bytes:
        """As it is kept."""
        heights = self.due.to_bytes(HEIGHT_BYTES, "big") + self.settled.to_bytes(HEIGHT_BYTES, "big")
        return heights + (self.batch or b"")


@dataclass(frozen=True, slots=True)
class Proven:
    """An answer whose proof the ledger has taken: the batch, the answer's number in it, and the block."""

    batch: Batch
    index: int
    height: int
    proof: bytes


@dataclass(frozen=True, slots=True)
class Provable:
    """One answer as a prover needs it.

    Args:
        entry: what the proof names.
        hidden: its input, and the salt, of which the seed of a hiding proof's rows comes.
    """

    entry: Entry
    hidden: serve.Hidden


def rows_of_answer(answered: Answered, body: JsonObject) -> Rows:
    """What is written with an answer whose proof is promised: its input, which the answer does not hold."""
    if answered.request.request.layer is not Layer.ZK:
        return NOTHING
    return {(INPUTS, answered.place): serve.hidden(body).inputs}


def rows_of_outcome(answered: Answered, height: int | None) -> Rows:
    """What is written when an answer's outcome is known: that its proof is due, or that it is not wanted any more.

    Args:
        answered: the answer.
        height: a block by which it was settled; None where the ledger refused it.
    """
    if answered.request.request.layer is not Layer.ZK:
        return NOTHING
    if height is None:
        return {(INPUTS, answered.place): None}
    due = promise_from_json(answered.answer.evidence).due
    return {(UNPROVEN, answered.place): Unproven(answered.place, due, height, None).row}


class Promises:
    """The promises in an outbox's store.

    Args:
        store: the outbox's.
        outbox: writes, and has the answers.
    """

    def __init__(self, store: KeyValue, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox

    def unproven(self) -> list[Unproven]:
        """Every settled answer whose proof is due, the earliest first."""
        found = [
            Unproven(place, int.from_bytes(row[:8], "big"), int.from_bytes(row[8:16], "big"), row[16:] or None)
            for place, row in self._store.items(UNPROVEN)
        ]
        return sorted(found, key=lambda each: (each.due, each.place))

    def owed(self) -> list[ModelId]:
        """The model of each answer whose proof is promised, settled or not, and neither taken nor missed."""
        return [self.model_of(place) for place, _ in self._store.items(INPUTS)]

    def model_of(self, place: bytes) -> ModelId:
        """The model that answered."""
        return self._answered(place).request.request.model_id

    def price_of(self, place: bytes) -> int:
        """What an answer costs, in wei."""
        return self._answered(place).answer.receipt.receipt.price

    def provable(self, place: bytes) -> Provable:
        """What is proven of an answer."""
        answered = self._answered(place)
        salt = salt_of(answered.answer.response[SALT])
        inputs = self._store.get(INPUTS, place)
        must(inputs is not None, "the input of an answer is kept until its proof is on the ledger")
        commitment = promise_from_json(answered.answer.evidence).commitment
        return Provable(Entry(Digest(place[20:]), commitment), serve.Hidden(salt, inputs or b""))

    def batch(self, name: bytes) -> Batch:
        """A batch that was proven."""
        found = self._store.get(BATCHES, name)
        must(found is not None, "a batch is kept before anything names it")
        return decode_batch(found or b"")

    def proof(self, name: bytes) -> bytes:
        """A batch's proof."""
        return self._store.get(PROOFS, name) or b""

    def proven(self, place: bytes) -> Proven | None:
        """The proof of an answer that is on the ledger, or None."""
        row = self._store.get(PROVEN, place)
        if row is None:
            return None
        index, height, name = int.from_bytes(row[:4], "big"), int.from_bytes(row[4:12], "big"), row[12:]
        return Proven(self.batch(name), index, height, self.proof(name))

    def missed(self, place: bytes) -> str | None:
        """Why there will be no proof of an answer; None while there may be."""
        row = self._store.get(MISSED, place)
        return None if row is None else row.decode()

    def counts(self) -> dict[str, int]:
        """How many proofs are due, were taken, and were missed."""
        return {table: sum(1 for _ in self._store.items(table)) for table in (UNPROVEN, PROVEN, MISSED)}

    async def keep_proof(self, batch: Batch, proof: bytes, dues: Sequence[Unproven]) -> bytes:
        """Keep a proof before it is sent; returns the batch's name. Raises `Unavailable`."""
        encoded = batch.encode()
        name = sha256(encoded + proof)
        rows: dict[tuple[str, bytes], bytes | None] = {(BATCHES, name): encoded, (PROOFS, name): proof}
        rows |= {(UNPROVEN, each.place): replace(each, batch=name).row for each in dues}
        await self._outbox.write(rows)
        return name

    async def drop_proof(self, name: bytes, dues: Sequence[Unproven]) -> None:
        """Forget a proof that the ledger does not take: its answers are to be proven anew. Raises `Unavailable`."""
        rows: dict[tuple[str, bytes], bytes | None] = {(BATCHES, name): None, (PROOFS, name): None}
        rows |= {(UNPROVEN, each.place): replace(each, batch=None).row for each in dues}
        await self._outbox.write(rows)

    async def note_proven(self, name: bytes, places: Sequence[bytes], height: int) -> None:
        """Note that the ledger has taken a proof; inputs are kept no longer. Raises `Unavailable`."""
        indices = {place: index for index, place in enumerate(self.batch(name).places)}
        rows: dict[tuple[str, bytes], bytes | None] = {}
        for place in places:
            row = indices[place].to_bytes(4, "big") + height.to_bytes(8, "big") + name
            rows |= {(UNPROVEN, place): None, (INPUTS, place): None, (PROVEN, place): row}
        await self._outbox.write(rows)

    async def note_missed(self, place: bytes, reason: str) -> None:
        """Note that there will be no proof of an answer. Raises `Unavailable`."""
        await self._outbox.write(
            {(UNPROVEN, place): None, (INPUTS, place): None, (MISSED, place): reason.encode("utf-8", "replace")}
        )

    def _answered(self, place: bytes) -> Answered:
        found = self._outbox.find(Address(place[:20]), RequestKey(place[20:]))
        must(found is not None, "an answer is kept for ever, and before its proof is due")
        return found  # type: ignore[return-value]


def decode_batch(data: bytes) -> Batch:
    """Read what `Batch.encode` wrote. Raises `Malformed`."""
    model_id, mode, height, beacon, entries = take(
        decode(data), "a batch", "model_id", "mode", "height", "beacon", "entries"
    )
    places, found = [], []
    for row in as_list(entries, "entries", items_max=COUNT_MAX):
        place, commitment = as_list(row, "an entry", items_max=2)
        places.append(from_hex(place, PLACE_BYTES, "a place"))
        found.append(Entry(Digest(places[-1][20:]), digest_from_hex(commitment, "a commitment")))
    return Batch(
        ModelId(digest_from_hex(model_id, "model_id")),
        Mode(as_integer(mode, "mode", 1, 2)),
        as_integer(height, "height"),
        digest_from_hex(beacon, "beacon"),
        tuple(places),
        tuple(found),
    )
