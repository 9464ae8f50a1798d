"""A reported fork convicts who signed two histories of this chain, and nobody else, whatever it says."""

from dataclasses import replace

import pytest
from tests.support.comet import CHAIN_ID, FOUR, anchor, header, members, sealed, validator

from paraph.core.digest import sha256
from paraph.proofs.light.accuse import Judgement, Suspect, heights, judge, suspects
from paraph.proofs.light.conflict import Attack, DuplicateVote, Fork, attack, duplicate_votes
from paraph.proofs.light.types import ABSENT, Flag, LightBlock, Timestamp
from paraph.proofs.light.verify import check

OWN = {height: sealed(header(height, FOUR), FOUR) for height in range(1, 11)}
TRUTH = OWN[9]
OTHER_DATA = header(9, FOUR, data_hash=sha256(b"other data"))
OTHER_STATE = header(9, FOUR, app_hash=sha256(b"other state"))


def fork(false: LightBlock, common_height: int | None = None, votes: tuple[DuplicateVote, ...] = ()) -> Fork:
    """A report of a false block beside the true one; with a height, as an attack from there."""
    if common_height is None:
        return Fork(TRUTH, false, None, None, votes)
    # What it says of who did it is its own word, and wrong.
    said = Attack(false, common_height, members({"mal": 1}), 1, Timestamp(0, 0))
    return Fork(TRUTH, false, None, said, votes)


def judged(report: Fork) -> Judgement:
    return judge(report, OWN, CHAIN_ID)


def names(found: Attack) -> list[str]:
    known = {validator(name).key: name for name in FOUR}
    return sorted(known[each.key] for each in found.byzantine)


def test_false_state_convicts_its_signers() -> None:
    """Who of the common set signed a state that cannot be, is convicted, with this chain's own powers and times."""
    false = sealed(OTHER_STATE, FOUR, signers=["ben", "cat", "dan"], round_=1)

    found = judged(fork(false, 4))

    (one,) = found.attacks
    assert names(one) == ["ben", "cat", "dan"]
    assert (one.conflicting, one.common_height, one.total_power, one.time) == (false, 4, 4, OWN[4].header.time)
    assert found.votes == ()
    assert found.reasons == (f"block 9, 0x{TRUTH.header.hash().hex()}, is this chain's own",)


def test_same_as_the_light_client_says() -> None:
    """What a node finds is what an honest light client says, where every signature verifies."""
    false = sealed(OTHER_STATE, FOUR, signers=["ben", "cat", "dan"], round_=1)

    assert judged(fork(false, 4)).attacks == (attack(OWN[4], false, TRUTH, CHAIN_ID),)


def test_invented_set_convicts_who_lent_a_signature() -> None:
    """Of an invented set only those count who were in the common one, with the power they had there."""
    invented = {"ann": 9, "ben": 9, "mal": 5}
    false = sealed(header(9, invented, app_hash=sha256(b"x")), invented)

    (one,) = judged(fork(false, 7)).attacks

    assert one.byzantine == members({"ann": 1, "ben": 1})
    assert one.total_power == 4


def test_two_lawful_blocks_convict_who_signed_both() -> None:
    """Two blocks of one round: who signed both; the height is the block's own, from wherever the report counts."""
    false = sealed(OTHER_DATA, FOUR, signers=["ben", "cat", "dan"])
    truth = sealed(header(9, FOUR), FOUR, signers=["ann", "ben", "cat"])
    own = OWN | {9: truth}

    for common in (None, 9, 4):
        (one,) = judge(fork(false, common), own, CHAIN_ID).attacks
        assert names(one) == ["ben", "cat"]
        assert (one.common_height, one.total_power, one.time) == (9, 4, TRUTH.header.time)


def test_odd_signatures_in_this_chain_hide_nobody() -> None:
    """The engine takes a few signatures that are refused here: in this chain's own block its word counts."""
    odd = tuple(replace(vote, signature=bytes(64)) for vote in TRUTH.commit.signatures)
    own = OWN | {9: replace(TRUTH, commit=replace(TRUTH.commit, signatures=odd))}

    (one,) = judge(fork(sealed(OTHER_DATA, FOUR)), own, CHAIN_ID).attacks

    assert names(one) == sorted(FOUR)


def test_two_rounds_convict_nobody() -> None:
    """Two lawful blocks of two rounds: it cannot be told who signed against the rules."""
    found = judged(fork(sealed(OTHER_DATA, FOUR, round_=1)))

    assert (found.votes, found.attacks) == ((), ())
    assert "rounds of the two commits differ" in found.reasons[1]


def test_pairs_of_votes_convict_by_themselves() -> None:
    """Each pair that holds convicts its validator, once; the block that the same people signed adds nothing."""
    false = sealed(OTHER_DATA, FOUR, signers=["ben", "cat", "dan"])
    pairs = duplicate_votes(TRUTH, false)

    found = judged(fork(false, None, (*pairs, *pairs)))

    assert found.votes == pairs
    assert len(pairs) == 3
    assert found.attacks == ()


def test_attack_stays_where_it_convicts_one_more() -> None:
    """A block is evidence beside the pairs of votes when one who signed it is in no pair."""
    false = sealed(OTHER_DATA, FOUR, signers=["ben", "cat", "dan"])
    pairs = duplicate_votes(TRUTH, false)

    found = judged(fork(false, None, pairs[:2]))

    assert found.votes == pairs[:2]
    assert [names(each) for each in found.attacks] == [["ben", "cat", "dan"]]


def strange(pair: DuplicateVote) -> dict[str, DuplicateVote]:
    mal = {"mal": 1}
    other = header(9, mal, data_hash=sha256(b"more"))
    (outside,) = duplicate_votes(sealed(header(9, mal), mal), sealed(other, mal))
    eight = sealed(header(8, FOUR, data_hash=sha256(b"more")), FOUR)
    return {
        "one vote twice": replace(pair, second=pair.first),
        "forged": replace(pair, second=replace(pair.second, signature=bytes(64))),
        "another round": replace(pair, round=1),
        "no validator of ours": outside,
        "another height": duplicate_votes(OWN[8], eight)[0],
    }


PAIR = duplicate_votes(TRUTH, sealed(OTHER_DATA, FOUR))[0]


@pytest.mark.parametrize("name", strange(PAIR))
def test_strange_pairs_convict_nobody(name: str) -> None:
    """A pair that does not hold, or of another height, or of somebody who decides nothing here, is not counted."""
    found = judged(fork(sealed(OTHER_DATA, FOUR, signers=["dan"]), None, (strange(PAIR)[name],)))

    assert (found.votes, found.attacks) == ((), ())
    assert "1 pairs of votes convict nobody" in found.reasons[0]


def test_a_bad_pair_hides_no_good_one() -> None:
    """A validator's pair counts also where a forged one of the same key stands before it."""
    found = judged(fork(sealed(OTHER_DATA, FOUR, signers=["dan"]), None, (strange(PAIR)["forged"], PAIR)))

    assert found.votes == (PAIR,)


def test_false_blocks_must_be_signed() -> None:
    """A block without two thirds of its set, or without a third of the common set, convicts nobody."""
    few = judged(fork(sealed(OTHER_STATE, FOUR, signers=["ben", "cat"], round_=1), 4))
    mal = {"mal": 1}
    strangers = judged(fork(sealed(header(9, mal, app_hash=sha256(b"x")), mal), 4))

    assert few.attacks == strangers.attacks == ()
    assert "two thirds" in few.reasons[1]
    assert "one third" in strangers.reasons[1]


def test_false_first_block_has_no_common_one() -> None:
    """Below the first block nothing is common: pairs of votes alone convict there."""
    false = sealed(header(1, FOUR, app_hash=sha256(b"x")), FOUR, round_=1)

    found = judged(Fork(OWN[1], false, None, None, ()))

    assert found.attacks == ()
    assert "no common block below block 1" in found.reasons[1]


def test_signatures_that_do_not_verify_are_left_out() -> None:
    """What is handed on carries only votes for the block that verify: the engine refuses all for one that does not."""
    good = sealed(OTHER_STATE, FOUR, signers=["ann", "ben", "cat"], nil=["dan"], round_=1)
    flags = [vote.flag for vote in good.commit.signatures]

    (one,) = judged(fork(good, 4)).attacks

    votes = one.conflicting.commit.signatures
    assert [vote for vote in votes if vote == ABSENT] == [ABSENT]
    assert flags.index(Flag.NIL) == votes.index(ABSENT)
    assert check(one.conflicting, CHAIN_ID).places == check(good, CHAIN_ID).places


def test_both_sides_false() -> None:
    """A chain that holds neither block convicts the signers of both."""
    other = header(9, FOUR, app_hash=sha256(b"third"))
    first = sealed(OTHER_STATE, FOUR, signers=["ann", "ben", "cat"], round_=1)
    second = sealed(other, FOUR, signers=["ben", "cat", "dan"], round_=2)

    found = judged(Fork(first, second, None, None, ()))

    assert [names(each) for each in found.attacks] == [["ann", "ben", "cat"], ["ben", "cat", "dan"]]


def test_own_blocks_needed() -> None:
    """Named are the heights of the false blocks, of what is common below them, and of the pairs of votes."""
    lower = sealed(header(7, FOUR, app_hash=sha256(b"x")), FOUR)
    high = sealed(OTHER_STATE, FOUR)
    report = Fork(
        high,
        TRUTH,
        attack(anchor(FOUR, 3), high, TRUTH, CHAIN_ID),
        attack(OWN[5], lower, OWN[7], CHAIN_ID),
        (),
    )

    assert suspects(report) == (Suspect(high, 3), Suspect(lower, 5))
    assert heights(report) == (3, 5, 7, 9)
    assert heights(Fork(OWN[1], OWN[1], None, None, ())) == (1,)
