"""What is always so of settlements."""

from paraph.ledger.rooms.settlement.keys import BATCHES, SETTLED
from paraph.ledger.rooms.settlement.types import Settlement
from paraph.proofs.records import Batch


def batches_are_whole(dump: dict[bytes, bytes]) -> list[str]:
    """Every batch has exactly one settled request at each of its places."""
    places: dict[int, list[int]] = {}
    for key, value in sorted(dump.items()):
        if key.startswith(SETTLED.prefix):
            settled = Settlement.decode(value)
            places.setdefault(settled.batch, []).append(settled.index)
    wrong = []
    for key, value in sorted(dump.items()):
        if key.startswith(BATCHES.prefix):
            number, size = int.from_bytes(key[len(BATCHES.prefix) :], "big"), Batch.decode(value).size
            if sorted(places.pop(number, [])) != list(range(size)):
                wrong.append(f"batch {number} does not have its {size} requests")
    return wrong + [f"requests are settled in batch {number}, which is not there" for number in places]
