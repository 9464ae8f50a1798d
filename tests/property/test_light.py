"""Light blocks under any change: a byte, a member or a vote altered either does not verify or was not needed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sim.market import play
from tests.support.comet import CHAIN_ID, FOUR, anchor, header, history, members, sealed, validator
from tests.support.mutate import leaves, reshaped, respellings, swapped
from tests.support.strategies import damaged, json_values, outcome

from paraph.core.encode import Json, canonical, decode_exact
from paraph.core.errors import Malformed, Rejected, Unverified
from paraph.flows import light
from paraph.flows.effect import Effect, Rpc
from paraph.proofs.light.accuse import heights, judge
from paraph.proofs.light.conflict import Fork, attack, duplicate_votes, fork_from_json
from paraph.proofs.light.reading import anchor_from_json, light_block_from_json
from paraph.proofs.light.trim import trimmed
from paraph.proofs.light.types import ABSENT, Anchor, Flag, LightBlock, Validator
from paraph.proofs.light.verify import check, extend, signed, verify_chain

START = anchor()
FULL = sealed(header(9, FOUR), FOUR, nil=["dan"], round_=1)
SMALL = trimmed(START, sealed(header(9, FOUR), FOUR, round_=1), CHAIN_ID)
OTHER = sealed(header(9, FOUR, data_hash=header(1, FOUR).hash()), FOUR, nil=["dan"], round_=1)
FORK = Fork(
    FULL,
    OTHER,
    attack(START, FULL, OTHER, CHAIN_ID),
    attack(START, OTHER, FULL, CHAIN_ID),
    duplicate_votes(FULL, OTHER),
)


def passes(data: bytes, start: Anchor = START) -> bool:
    """True when the bytes verify. Any error but the two that are promised fails the test."""
    try:
        verify_chain(start, [light_block_from_json(decode_exact(data))], CHAIN_ID)
    except (Malformed, Unverified):
        return False
    return True


def test_every_leaf_of_a_trimmed_block_matters() -> None:
    """No leaf of a trimmed block has a second spelling or another value that verifies."""
    text, found = leaves(SMALL.as_json())
    assert passes(text.encode())

    unnoticed = [
        (leaf.path, other)
        for leaf in found
        for other in respellings(leaf)
        if passes((text[: leaf.start] + other + text[leaf.stop :]).encode())
    ]

    assert len(found) > 40
    assert unnoticed == []


@pytest.mark.parametrize("size", [42, 66, 132], ids=["addresses", "hashes", "signatures"])
def test_hashes_have_one_place(size: int) -> None:
    """Two hashes, keys or signatures in each other's place: a trimmed block does not verify."""
    text, found = leaves(SMALL.as_json())

    assert [(one, two) for one, two, other in swapped(text, found, size) if passes(other.encode())] == []


def test_every_member_of_a_trimmed_block_matters() -> None:
    """A member or item removed, repeated, swapped with its neighbour or added: a trimmed block does not verify."""
    assert [path for path, other in reshaped(SMALL.as_json()) if passes(canonical(other))] == []


def test_only_needless_votes_may_change() -> None:
    """In a whole block the vote for nothing may change, since it counts for nothing; no other leaf may."""
    text, found = leaves(FULL.as_json())
    places = [at for at, vote in enumerate(FULL.commit.signatures) if vote.flag is Flag.NIL]

    loose = {
        leaf.path[:3]
        for leaf in found
        for other in respellings(leaf)
        if passes((text[: leaf.start] + other + text[leaf.stop :]).encode())
    }

    assert loose == {("commit", "signatures", place) for place in places}


def test_every_pin_matters() -> None:
    """Every leaf of an anchor is looked at when it decides the next block; its time may only become earlier."""
    block = sealed(header(1, FOUR, time=replace(FULL.header.time, seconds=START.time_s)), FOUR)
    data = canonical(block.as_json())
    text, found = leaves(START.as_json())
    assert passes(data)

    def believed(other: str) -> Anchor | None:
        try:
            start = anchor_from_json(decode_exact(other.encode()))
        except Malformed:
            return None
        return start if passes(data, start) else None

    changed = [
        start
        for leaf in found
        for other in respellings(leaf)
        if (start := believed(text[: leaf.start] + other + text[leaf.stop :])) is not None
    ]

    assert changed
    assert all(replace(start, time_s=START.time_s) == START and start.time_s < START.time_s for start in changed)


@given(data=damaged(canonical(SMALL.as_json())))
def test_damaged_blocks_do_not_verify(data: bytes) -> None:
    """Whatever happens to the bytes of a trimmed block, it is refused, or still the same block."""
    try:
        found = light_block_from_json(decode_exact(data))
        verify_chain(START, [found], CHAIN_ID)
    except (Malformed, Unverified):
        return

    assert found == SMALL


@given(data=st.data())
def test_reports_convict_who_signed_twice(data: st.DataObject) -> None:
    """Whatever a report says, it convicts only who signed two blocks; nothing else is raised than `Malformed`."""
    reported = data.draw(st.sampled_from((canonical(FORK.as_json()), canonical(replace(FORK, votes=()).as_json()))))
    own = {height: sealed(header(height, FOUR), FOUR, round_=1) for height in range(1, 10)} | {9: FULL}
    try:
        fork = fork_from_json(decode_exact(data.draw(damaged(reported))))
        if not set(heights(fork)) <= own.keys():
            return
    except Malformed:
        return

    found = judge(fork, own, CHAIN_ID)

    # All four keys but Dan's, who voted for no block both times, signed both of the blocks that there are.
    both = {each.key for each in FULL.validators} - {validator("dan").key}
    assert {vote.key for vote in found.votes} <= both
    assert {each.key for attack in found.attacks for each in attack.byzantine} <= both


READERS: Mapping[str, tuple[Callable[[Json], object], Json]] = {
    "light block": (light_block_from_json, FULL.as_json()),
    "anchor": (anchor_from_json, START.as_json()),
    "fork": (fork_from_json, FORK.as_json()),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_json_is_read_or_refused(name: str, data: st.DataObject) -> None:
    """Any JSON, and a valid one with a little damage: a value that is written as it was read, or `Malformed`."""
    read, valid = READERS[name]
    if data.draw(st.booleans()):
        found, code = outcome(lambda: read(data.draw(json_values)))
    else:
        found, code = outcome(lambda: read(decode_exact(data.draw(damaged(canonical(valid))))))

    assert (found is None) != (code == "")
    assert code == "" or "." in code


names = st.sampled_from(["ann", "ben", "cat", "dan", "eve", "fay"])
powers = st.dictionaries(names, st.integers(1, 10), min_size=1)


@given(trusted=powers, own=powers, voted=st.sets(names))
def test_belief_is_counted_in_votes(trusted: dict[str, int], own: dict[str, int], voted: set[str]) -> None:
    """A skip is believed exactly when more than 2/3 of its own and more than 1/3 of the trusted power signed it."""
    voters = voted & own.keys()
    mine = sum(own[name] for name in voters)
    theirs = sum(trusted[name] for name in voters & trusted.keys())
    enough = 3 * mine > 2 * sum(own.values()) and 3 * theirs > sum(trusted.values())
    block = sealed(header(9, own), own, signers=voters)

    assert passes(canonical(block.as_json()), anchor(trusted)) == enough
    if enough:
        small = trimmed(anchor(trusted), block, CHAIN_ID)
        assert passes(canonical(small.as_json()), anchor(trusted))
        assert set(signed(small)) <= set(signed(block))


@given(sets=st.lists(powers, min_size=2, max_size=14), pick=st.data())
def test_following_finds_a_way(sets: list[dict[str, int]], pick: st.DataObject) -> None:
    """An honest server's history leads to any height, over no more blocks than there are, and each is needed."""
    chain = history(sets)
    target = pick.draw(st.integers(1, len(sets)))
    start = anchor(sets[0])

    def serve(effect: Effect[Any]) -> Json:
        assert isinstance(effect, Rpc)
        return chain[effect.params[0]].as_json()  # type: ignore[index]

    found = play(light.follow(start, CHAIN_ID, target), serve)

    assert verify_chain(start, found, CHAIN_ID) == chain[target]
    assert len(found) <= target
    for at, block in enumerate(found[2:]):
        with pytest.raises(Unverified):
            extend(found[at], check(block, CHAIN_ID))


@given(choices=st.lists(st.integers(0, 3), min_size=40, max_size=40))
def test_hostile_servers_find_an_end(choices: list[int]) -> None:
    """A server that shows true, forged, wrong or no blocks in any order ends in a true block or in a refusal."""
    sets = [{f"v{height // 2}": 1} for height in range(12)]
    chain = history(sets)
    forged = {height: sealed(header(height, {"mal": 1}), {"mal": 1}) for height in chain}
    turn = iter(choices)

    def serve(effect: Effect[Any]) -> Json:
        assert isinstance(effect, Rpc)
        height: int = effect.params[0]  # type: ignore[assignment]
        shown: tuple[LightBlock | None, ...] = (chain[height], chain[height], forged[height], chain.get(height + 1))
        block = shown[next(turn)]
        if block is None:
            raise Rejected("blocks.unknown", "none")
        return block.as_json()

    try:
        found = play(light.follow(anchor(sets[0]), CHAIN_ID, 12), serve)
    except (Unverified, Rejected):
        return

    assert found[-1] == chain[12]


@given(places=st.sets(st.integers(0, 3)))
def test_votes_left_out_are_absent(places: set[int]) -> None:
    """What a block loses in votes it loses in signers, and nothing else changes."""
    block = sealed(header(9, FOUR), FOUR)
    votes = tuple(ABSENT if at in places else vote for at, vote in enumerate(block.commit.signatures))
    fewer = replace(block, commit=replace(block.commit, signatures=votes))

    assert signed(fewer) == tuple(at for at in range(4) if at not in places)
    assert light_block_from_json(fewer.as_json()) == fewer


def test_keys_of_no_curve_are_nobodys() -> None:
    """A key that is no point signs nothing, and stops nobody else."""
    odd = Validator(b"\xff" * 32, 1)
    listed = tuple(sorted((*members(FOUR), odd), key=lambda each: each.address))
    assert odd in listed

    block = sealed(header(9, FOUR), FOUR)
    vote = block.commit.signatures[0]
    mixed = replace(
        block, validators=listed, commit=replace(block.commit, signatures=(replace(vote, validator=odd.address),) * 5)
    )

    assert signed(mixed) == ()
    assert extend(START, check(block, CHAIN_ID)) == block
