"""What is always so of settlements."""

from paraph.ledger.rooms.proofs.keys import DUES, MISSED, PROVEN
from paraph.ledger.rooms.settlement.keys import BATCH_COUNT, BATCHES, SETTLED
from paraph.ledger.rooms.settlement.types import Settlement
from paraph.ledger.state import State
from paraph.proofs.records import Batch


def batches_are_whole(dump: dict[bytes, bytes]) -> list[str]:
    """Batches are numbered from 1 to their count, and each has exactly one settled request at each of its places."""
    places: dict[int, list[int]] = {}
    for key, value in sorted(dump.items()):
        if key.startswith(SETTLED.prefix):
            settled = Settlement.decode(value)
            places.setdefault(settled.batch, []).append(settled.index)
    wrong = []
    numbers = []
    for key, value in sorted(dump.items()):
        if key.startswith(BATCHES.prefix):
            number, size = int.from_bytes(key[len(BATCHES.prefix) :], "big"), Batch.decode(value).size
            numbers.append(number)
            if sorted(places.pop(number, [])) != list(range(size)):
                wrong.append(f"batch {number} does not have its {size} requests")
    count = BATCH_COUNT.get(State(dump.get))
    if numbers != list(range(1, count + 1)):
        wrong.append(f"{count} batches were settled; there are {numbers}")
    return wrong + [f"requests are settled in batch {number}, which is not there" for number in places]


def promises_are_settled(dump: dict[bytes, bytes]) -> list[str]:
    """Each proof that is due, was taken or was missed is of a request that was settled."""
    prefixes = (DUES.prefix, PROVEN.prefix, MISSED.prefix)
    places = sorted(key[len(prefix) :] for prefix in prefixes for key in dump if key.startswith(prefix))
    return [f"the request {place.hex()} is not settled" for place in places if SETTLED.prefix + place not in dump]
