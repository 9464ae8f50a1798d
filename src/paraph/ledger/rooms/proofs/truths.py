"""What is always so of promised proofs."""

from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.models.keys import EXACT
from paraph.ledger.rooms.nodes.keys import PROMISES
from paraph.ledger.rooms.proofs.keys import (
    ADDRESS,
    COUNTS,
    DUE_COUNT,
    DUES,
    MISSED,
    MISSED_COUNT,
    PROVEN,
    PROVEN_COUNT,
)
from paraph.ledger.rooms.proofs.types import Due
from paraph.ledger.state import State


def prices_are_held(dump: dict[bytes, bytes]) -> list[str]:
    """The proofs contract holds exactly the prices of all proofs that are due."""
    total = sum(Due.decode(value).price for key, value in dump.items() if key.startswith(DUES.prefix))
    held = BALANCES.get(State(dump.get), ADDRESS)
    return [] if total == held else [f"proofs due hold {total} wei; the contract holds {held}"]


def promises_end_once(dump: dict[bytes, bytes]) -> list[str]:
    """A request's proof is due, taken or missed, one of the three, and counted there."""
    wrong = []
    ends: dict[bytes, int] = {}
    for table, name in ((DUES, DUE_COUNT), (PROVEN, PROVEN_COUNT), (MISSED, MISSED_COUNT)):
        places = [key[len(table.prefix) :] for key in dump if key.startswith(table.prefix)]
        counted = COUNTS.get(State(dump.get), name)
        if counted != len(places):
            wrong.append(f"{counted} proofs are counted as {name.decode()}; there are {len(places)}")
        for place in places:
            ends[place] = ends.get(place, 0) + 1
    return wrong + [
        f"the proof of {place.hex()} stands {times} times" for place, times in sorted(ends.items()) if times > 1
    ]


def promises_are_of_exact_models(dump: dict[bytes, bytes]) -> list[str]:
    """Proofs are due of exact models alone."""
    dues = (Due.decode(value) for key, value in sorted(dump.items()) if key.startswith(DUES.prefix))
    return [f"model {due.model_id.hex()} is not exact" for due in dues if EXACT.prefix + due.model_id not in dump]


def promises_are_counted_by_node(dump: dict[bytes, bytes]) -> list[str]:
    """Each node owes as many proofs as are counted of it, no more and no fewer."""
    owed: dict[bytes, int] = {}
    for key, value in dump.items():
        if key.startswith(DUES.prefix):
            node = Due.decode(value).node
            owed[node] = owed.get(node, 0) + 1
    counted = {
        key[len(PROMISES.prefix) :]: int.from_bytes(value, "big")
        for key, value in dump.items()
        if key.startswith(PROMISES.prefix)
    }
    return [
        f"node {node.hex()} owes {owed.get(node, 0)} proofs; {counted.get(node, 0)} are counted"
        for node in sorted(owed.keys() | counted.keys())
        if owed.get(node, 0) != counted.get(node, 0)
    ]
