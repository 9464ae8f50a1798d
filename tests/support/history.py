"""A block history of every kind of call, applied once; prints each block's hash and state root.

Run as a program under different Pythons and environments (`tests/e2e/test_determinism.py`): what it prints must be the
same everywhere. It needs the base install alone.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support_ledger.world import ALICE, BOB, OPERATOR, PROPOSER, World, genesis, receipt, request, signed

from paraph.adapters.fakes.store import MemoryStore
from paraph.core.ident import Address
from paraph.full_node.chain import Chain, Decided
from paraph.ledger.block import Applied
from paraph.ledger.rooms.bonds.rules import active_set, consensus_address
from paraph.ledger.rooms.bonds.types import Fault
from paraph.ledger.state import State


@dataclass
class Recorder(World):
    """A world that remembers its blocks."""

    decided: list[Decided] = field(default_factory=list)

    def apply(self, *raw: bytes, seconds: int = 1, proposer: Address = PROPOSER) -> Applied:
        """As `World.apply`."""
        applied = super().apply(*raw, seconds=seconds, proposer=proposer)
        self.decided.append(Decided(self.now, proposer, raw))
        return applied


def history() -> list[Decided]:
    """Blocks in which every room is called, with failures, skipped garbage, a big settlement and a fault."""
    world = Recorder.whole()
    assert isinstance(world, Recorder)
    items = []
    for number in range(100, 130):
        asked = request(number=number, now=world.now - 3)
        items.append(signed(asked, receipt(asked, world.now - 3)))
    world.settle(*items, sender=OPERATOR)
    world.settle(items[0], items[1], sender=ALICE)
    world.apply(b"garbage", b"\xc0", world.tx(BOB, ALICE.address, value=7).sign(BOB))
    world.call(BOB, "Params", "get", "no such parameter: \u0130\u0131\u00df\u1e9e")
    world.wait(86_400)
    (validator,) = active_set(State(world.state.get))
    fault = Fault(1, consensus_address(validator.key), world.height, world.now)
    return [*world.decided, Decided(world.now + 5, PROPOSER, (), (fault,))]


def roots(blocks: list[Decided]) -> Iterator[str]:
    """The hash and state root of each block of a chain made of them."""
    chain = Chain(MemoryStore(), genesis())
    for decided in blocks:
        outcome = chain.finalize(decided)
        chain.commit()
        yield f"{outcome.header.height} {outcome.header.hash().hex()} {outcome.header.state_root.hex()}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(roots(history())) + "\n")
