"""Upgrades: new rules come into force at a height that the ledger names, and who does not know them stops there."""

from collections.abc import Mapping
from typing import Final

import pytest
from tests.support_ledger.world import ALICE, GOVERNOR, PROPOSER, START_S, World, call, genesis

from paraph.adapters.fakes.store import MemoryStore
from paraph.core.errors import Rejected
from paraph.core.ident import ZERO_DIGEST, Address
from paraph.core.keys import recover
from paraph.full_node.chain import Chain, Decided
from paraph.ledger.block import Block, Result, apply_block
from paraph.ledger.contract import Call, Contract, bind
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.versions import BY_NAME, RULES, VERSION_LATEST, Rules

PLACE: Final = Address(bytes.fromhex("0000000000000000000000000000000000000aff"))


def _answer(_: Call) -> int:
    return 42


ANSWERS: Final = Contract(
    "Answers", PLACE, "New in version 2.", (bind("answer() returns (uint256 found)", _answer, 9),)
)
NEW: Final[Mapping[int, Rules]] = {
    **RULES,
    2: Rules(2, (*(each for each in RULES[1].contracts if each.name != "Escrow"), ANSWERS)),
}
"""A second version: one contract more, and one less."""
AT: Final = 4


def tried(world: World, versions: Mapping[int, Rules]) -> tuple[int, list[Result]]:
    """A block in which Alice calls the new contract and the old; the version that applied it, and the results."""
    nonce = world.nonce(ALICE.address)
    raw = (
        world.tx(ALICE, PLACE, ANSWERS.method("answer").call()).sign(ALICE),
        world.tx(ALICE, ESCROW, call("Escrow", "deposit"), 7, nonce=nonce + 1).sign(ALICE),
    )
    block = Block(world.height + 1, world.now, PROPOSER, raw, ZERO_DIGEST)
    applied = apply_block(world.state.get, block, recover, versions)
    world.commit(applied.changes)
    world.height += 1
    return applied.version, list(applied.results)


def scheduled(height: int = AT) -> World:
    """A world in which version 2 is to come."""
    world = World.new()
    world.must(GOVERNOR, "Params", "scheduleUpgrade", 2, height)
    return world


def test_new_rules_from_the_height_on() -> None:
    """Until the height the old rules apply, from it on the new ones, and the state says which."""
    world = scheduled()
    found = []
    for _ in range(4):
        version, (answered, deposited) = tried(world, NEW)
        found.append((world.height, version, int.from_bytes(answered.output, "big"), deposited.error.partition(":")[0]))

    assert found == [(2, 1, 0, ""), (3, 1, 0, ""), (4, 2, 42, "accounts.reserved"), (5, 2, 42, "accounts.reserved")]
    assert world.state[b"params/version"] == b"\2"
    assert not any(key.startswith(b"params/upgrade/") for key in world.state)


def test_unknown_version_stops_the_block() -> None:
    """Software that does not know the version refuses the block with its number, and the one before goes."""
    world = scheduled()
    while world.height + 1 < AT:
        world.wait(1)
    before = dict(world.state)

    with pytest.raises(Rejected) as caught:
        world.wait(1)

    assert caught.value.code == "block.version"
    assert caught.value.facts["needed"] == 2
    assert world.state == before


def test_simulation_runs_by_the_next_block_s_rules() -> None:
    """A call is simulated by the rules of the block it would be in; by rules unknown here, not at all."""
    world = scheduled()
    while world.height + 2 < AT:
        world.wait(1)
    assert world.view("Params", "upgrade") == (2, AT)
    world.wait(1)

    with pytest.raises(Rejected) as caught:
        world.view("Params", "upgrade")

    assert caught.value.code == "block.version"


def test_called_off_in_time() -> None:
    """An upgrade called off in the last block before it does not come."""
    world = scheduled()
    while world.height + 2 < AT:
        world.wait(1)
    world.must(GOVERNOR, "Params", "scheduleUpgrade", 0, 0)

    assert world.height == AT - 1
    assert [tried(world, NEW)[0] for _ in range(2)] == [1, 1]


def test_no_second_upgrade_to_what_is_in_force() -> None:
    """Once a version is in force, it and those below it cannot be scheduled."""
    world = scheduled(2)
    tried(world, NEW)

    for version, refusal in ((1, "params.upgrade"), (2, "params.upgrade"), (3, "")):
        raw = world.tx(GOVERNOR, BY_NAME["Params"].address, call("Params", "scheduleUpgrade", version, 99)).sign(
            GOVERNOR
        )
        block = Block(world.height + 1, world.now, PROPOSER, (raw,), ZERO_DIGEST)
        (result,) = apply_block(world.state.get, block, recover, NEW).results
        assert result.error.partition(":")[0] == refusal


def transactions(chain: Chain, height: int) -> tuple[bytes, ...]:
    """What stands in the block of that height: the schedule first, then calls of the new contract and the old."""
    world = World(chain.dump(), height=chain.height)
    if height == 1:
        data = call("Params", "scheduleUpgrade", 2, AT)
        return (world.tx(GOVERNOR, BY_NAME["Params"].address, data).sign(GOVERNOR),)
    nonce = world.nonce(ALICE.address)
    return (
        world.tx(ALICE, PLACE, ANSWERS.method("answer").call()).sign(ALICE),
        world.tx(ALICE, ESCROW, call("Escrow", "deposit"), 7, nonce=nonce + 1).sign(ALICE),
    )


def test_replay_over_an_upgrade() -> None:
    """From genesis over an upgrade the same blocks give the same headers; old software keeps all up to it."""
    first, second, old = (Chain(MemoryStore(), genesis(), 2, recover, known) for known in (NEW, NEW, RULES))
    for height in range(1, AT + 3):
        first.finalize(Decided(START_S + height, PROPOSER, transactions(first, height)))
        first.commit()

    for block in first.blocks(1, first.height):
        decided = Decided(block.header.time_s, PROPOSER, block.transactions)
        assert second.finalize(decided).header == block.header
        second.commit()
        if block.header.height < AT:
            assert old.finalize(decided).header == block.header
            old.commit()
            continue
        for refusing in (old.finalize, old.preview):
            with pytest.raises(Rejected) as caught:
                refusing(decided)
            assert caught.value.code == "block.version"

    assert (first.version, second.version, old.version) == (2, 2, 1)
    assert (second.height, old.height) == (AT + 2, AT - 1)
    assert second.dump() == first.dump()


def test_versions_are_numbered() -> None:
    """Each version in the table carries its own number, and genesis starts with one that is known."""
    assert all(rules.version == number for number, rules in RULES.items())
    assert RULES[VERSION_LATEST].by_address[ESCROW].name == "Escrow"
    assert World.new().state[b"params/version"] == b"\1"
