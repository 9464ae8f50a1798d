"""Evidence names who signed two histories, in each of the ways that this can be done."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.comet import CHAIN_ID, FOUR, START_S, anchor, header, history, members, sealed

from paraph.core.digest import sha256
from paraph.core.encode import canonical, decode
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import to_hex
from paraph.proofs.light.conflict import (
    Fork,
    attack,
    attack_from_json,
    duplicate_vote_from_json,
    duplicate_votes,
    fork_from_json,
)
from paraph.proofs.light.types import LightBlock, Timestamp

COMMON = sealed(header(4, FOUR), FOUR)
TRUTH = sealed(header(9, FOUR), FOUR, signers=["ann", "ben", "cat"])
OTHER_DATA = header(9, FOUR, data_hash=sha256(b"other data"))
OTHER_STATE = header(9, FOUR, app_hash=sha256(b"other state"))


def names(block: LightBlock, keys: list[bytes]) -> set[str]:
    known = {each.key: name for name in FOUR for each in members({name: 1})}
    return {known[key] for key in keys}


def test_false_state_is_all_its_signers_doing() -> None:
    """When a block shows a state that cannot be, whoever of the common set signed it did it: no honest one can."""
    false = sealed(OTHER_STATE, FOUR, signers=["ben", "cat", "dan"])

    found = attack(COMMON, false, TRUTH, CHAIN_ID)

    assert names(false, [each.key for each in found.byzantine]) == {"ben", "cat", "dan"}
    assert (found.common_height, found.total_power, found.time) == (4, 4, COMMON.header.time)
    assert found.conflicting == false


def test_powers_are_those_of_the_common_set() -> None:
    """A false set's powers are its own invention: evidence counts what the common set says, in its order."""
    invented = {"ann": 9, "mal": 50}
    common = sealed(header(4, {"ann": 3, "ben": 2}), {"ann": 3, "ben": 2})
    found = attack(common, sealed(header(9, invented), invented), TRUTH, CHAIN_ID)

    assert found.byzantine == members({"ann": 3})
    assert found.total_power == 5


def test_two_lawful_blocks_are_the_doing_of_those_who_signed_both() -> None:
    """Two blocks of one round that differ in their votes and content only: who signed both did it."""
    false = sealed(OTHER_DATA, FOUR, signers=["ben", "cat", "dan"])

    found = attack(COMMON, false, TRUTH, CHAIN_ID)

    assert names(false, [each.key for each in found.byzantine]) == {"ben", "cat"}
    assert (found.common_height, found.total_power, found.time) == (9, 4, TRUTH.header.time)


def test_two_rounds_prove_nothing_of_anyone() -> None:
    """Two blocks of different rounds may be signed by one who was told to forget; nobody is named."""
    false = sealed(OTHER_DATA, FOUR, round_=1)

    found = attack(COMMON, false, TRUTH, CHAIN_ID)

    assert found.byzantine == ()
    assert duplicate_votes(false, TRUTH) == ()


def test_pinned_set_may_be_all_that_is_common() -> None:
    """When nothing but the anchor is common, its height and time stand in the evidence."""
    found = attack(anchor(), sealed(OTHER_STATE, FOUR), TRUTH, CHAIN_ID)

    assert (found.common_height, found.time) == (1, Timestamp(START_S, 0))


@pytest.mark.parametrize(
    ("false", "code"),
    [
        (TRUTH, "light.conflict"),
        (sealed(header(8, FOUR), FOUR), "light.conflict"),
        (sealed(OTHER_STATE, FOUR, signers=["ann"]), "light.power"),
        (sealed(header(9, {"mal": 1}), {"mal": 1}), "light.overlap"),
        (sealed(replace(OTHER_STATE, chain_id="other"), FOUR), "light.chain"),
    ],
    ids=["itself", "another height", "not decided", "not following", "another chain"],
)
def test_what_is_no_conflict_is_refused(false: LightBlock, code: str) -> None:
    """One block, two heights, or a block that does not follow is no attack."""
    with pytest.raises(Unverified) as caught:
        attack(COMMON, false, TRUTH, CHAIN_ID)

    assert caught.value.code == code


def test_double_votes_speak_for_themselves() -> None:
    """Each who voted for two blocks of one round is shown with both votes, and anyone can check them."""
    false = sealed(OTHER_DATA, FOUR, signers=["ben", "cat", "dan"])

    found = duplicate_votes(TRUTH, false)

    assert names(false, [each.key for each in found]) == {"ben", "cat"}
    assert all(each.holds(CHAIN_ID) and not each.holds("other") for each in found)
    for each in found:
        assert each.first.block_id is not None
        assert each.second.block_id is not None
        assert each.first.block_id.encode() < each.second.block_id.encode()


def test_votes_for_a_block_and_for_none_are_two() -> None:
    """Voting for no block besides is voting twice; voting for none in both is not."""
    first = sealed(header(9, FOUR), FOUR, nil=["dan", "ann"])
    second = sealed(OTHER_DATA, FOUR, nil=["dan"], signers=["ann"])

    found = duplicate_votes(first, second)

    assert names(first, [each.key for each in found]) == {"ann"}
    assert found[0].first.block_id is None
    assert found[0].holds(CHAIN_ID)


def test_one_vote_told_twice_is_one() -> None:
    """A vote beside itself, an unsigned one, or those of other heights and of other people prove nothing."""
    false = sealed(OTHER_DATA, FOUR)
    forged = tuple(replace(vote, signature=bytes(64)) for vote in false.commit.signatures)

    assert duplicate_votes(TRUTH, TRUTH) == ()
    assert duplicate_votes(TRUTH, replace(false, commit=replace(false.commit, signatures=forged))) == ()
    assert duplicate_votes(TRUTH, sealed(header(8, FOUR), FOUR)) == ()
    assert duplicate_votes(TRUTH, sealed(header(9, {"mal": 1}), {"mal": 1})) == ()
    vote = duplicate_votes(TRUTH, false)[0]
    assert not replace(vote, second=vote.first).holds(CHAIN_ID)
    assert not replace(vote, round=1).holds(CHAIN_ID)


def fork() -> Fork:
    false = sealed(OTHER_DATA, FOUR, nil=["dan"])
    return Fork(
        TRUTH,
        false,
        attack(COMMON, false, TRUTH, CHAIN_ID),
        attack(COMMON, TRUTH, false, CHAIN_ID),
        duplicate_votes(TRUTH, false),
    )


def test_evidence_is_carried_and_shown() -> None:
    """A fork is read back from JSON as it was, whole or with one side only, and shows in one line."""
    found = fork()
    nil = duplicate_votes(sealed(header(9, FOUR), FOUR, nil=["ann"]), sealed(OTHER_DATA, FOUR))

    assert fork_from_json(decode(canonical(found.as_json()))) == found
    for fewer in (replace(found, against_second=None), replace(found, against_first=None)):
        assert fork_from_json(fewer.as_json()) == fewer
    assert [duplicate_vote_from_json(each.as_json()) for each in nil] == list(nil)
    assert to_hex(found.first.header.hash()) in str(found)
    assert to_hex(found.second.header.hash()) in str(found)
    assert "3 validators voted twice" in str(found)


def test_other_evidence_is_refused() -> None:
    """Evidence of another shape is refused."""
    found: dict[str, Any] = fork().as_json()

    for change in ({"votes": None}, {"votes": found["votes"] * 201}, {"first": None}, {"more": 1}):
        with pytest.raises(Malformed):
            fork_from_json({**found, **change})
    for change in ({"common_height": 0}, {"total_power": 4}, {"byzantine": [None]}, {"time": 1}):
        with pytest.raises(Malformed):
            attack_from_json({**found["against_first"], **change})
    for change in ({"height": 0}, {"round": -1}, {"key": "0x"}, {"first": None}):
        with pytest.raises(Malformed):
            duplicate_vote_from_json({**found["votes"][0], **change})


def test_history_of_the_helper_is_one_history() -> None:
    """Blocks of one history share no double votes."""
    chain = history([FOUR, FOUR, FOUR])

    assert duplicate_votes(chain[2], chain[2]) == ()
    assert duplicate_votes(chain[2], chain[3]) == ()
