"""Evidence in the engine's words; that the engine takes it, `tests/e2e/faults/test_forks.py` shows with a real one."""

from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import pytest
from tests.support.comet import FOUR, START_S, header, members, recorded, sealed, validator

from paraph.core.digest import sha256
from paraph.core.errors import BrokenTruth
from paraph.full_node.evidence import attack_evidence, duplicate_vote_evidence
from paraph.full_node.light_blocks import light_block_from_engine
from paraph.proofs.light.conflict import Attack, DuplicateVote, Vote, duplicate_votes
from paraph.proofs.light.types import BlockId, LightBlock, Timestamp

SET = {"ann": 3, "ben": 2, "cat": 2, "dan": 2}
TRUTH = sealed(header(9, SET), SET, nil=["dan"])
OTHER = sealed(header(9, SET, data_hash=sha256(b"other data")), SET)
PAIRS = {pair.key: pair for pair in duplicate_votes(TRUTH, OTHER)}


def engines(pair: DuplicateVote) -> Any:
    found: Any = duplicate_vote_evidence(pair, TRUTH)
    assert found["type"] == "tendermint/DuplicateVoteEvidence"
    return found["value"]


def test_pair_of_votes() -> None:
    """Both votes with their place, and what this chain knows of the validator, the set and the time."""
    ben = validator("ben", 2)
    pair = PAIRS[ben.key]

    found = engines(pair)

    assert (found["TotalVotingPower"], found["ValidatorPower"]) == ("9", "2")
    assert found["Timestamp"] == "2027-01-15T08:00:09.000000005Z"
    for name, of in (("vote_a", pair.first), ("vote_b", pair.second)):
        assert found[name] == {
            "type": 2,
            "height": "9",
            "round": 0,
            "block_id": {
                "hash": of.block_id.hash.hex().upper(),  # type: ignore[union-attr]
                "parts": {"total": 1, "hash": sha256(b"parts").hex().upper()},
            },
            "timestamp": "2027-01-15T08:00:09.000000009Z",
            "validator_address": ben.address.hex().upper(),
            "validator_index": members(SET).index(ben),
            "signature": b64encode(of.signature).decode(),
        }


def test_vote_for_nothing_comes_first() -> None:
    """A vote for no block has an empty one, and stands before any other."""
    found = engines(PAIRS[validator("dan").key])

    assert found["vote_a"]["block_id"] == {"hash": "", "parts": {"total": 0, "hash": ""}}
    assert found["vote_b"]["block_id"]["hash"] == OTHER.header.hash().hex().upper()


@pytest.mark.parametrize(("lower", "higher"), [(127, 128), (16_384, 255), (1, 300)])
def test_votes_are_in_the_engines_order(lower: int, higher: int) -> None:
    """Of one block in two sizes the engine's order is that of the bytes of the parts, whatever ours is."""
    block = TRUTH.header.hash()
    votes = [Vote(BlockId(block, total, sha256(b"p")), Timestamp(0, 0), bytes(64)) for total in (lower, higher)]

    for first, second in (votes, reversed(votes)):
        found = engines(DuplicateVote(validator("ann").key, 9, 0, first, second))
        totals = [found[name]["block_id"]["parts"]["total"] for name in ("vote_a", "vote_b")]
        assert totals == [lower, higher]


def test_pair_of_a_stranger_is_never_written() -> None:
    """Only a validator of that height has a place and a power."""
    pair = PAIRS[validator("ben").key]

    with pytest.raises(BrokenTruth):
        duplicate_vote_evidence(replace(pair, key=validator("mal").key), TRUTH)
    with pytest.raises(BrokenTruth):
        duplicate_vote_evidence(replace(pair, height=8), TRUTH)


def through(block: LightBlock) -> LightBlock:
    """A block written as evidence and read again as what the engine shows is read."""
    made: Any = attack_evidence(Attack(block, 4, (), 1, Timestamp(START_S, 0)))["value"]
    shown = made["ConflictingBlock"]
    return light_block_from_engine(shown["signed_header"], shown["validator_set"]["validators"])


def test_false_block_is_written_whole() -> None:
    """A block written for the engine is the same when it is read back: with absent votes, at height 1, real ones."""
    _, blocks, _ = recorded("four")
    # The recorded network's application had a shorter root than ours, which is all that is read.
    real = [replace(each, header=replace(each.header, app_hash=sha256(b"root"))) for each in blocks.values()]

    for block in (sealed(header(9, FOUR), FOUR, signers=["ann", "ben", "cat"]), sealed(header(1, SET), SET), *real):
        assert through(block) == block


def test_attack() -> None:
    """Who did it, from where, and an absent vote with the engine's zero of time."""
    block = sealed(header(9, SET), SET, signers=["ann", "ben", "cat"])

    found: Any = attack_evidence(Attack(block, 4, members({"ben": 2}), 9, Timestamp(START_S, 0)))

    value = found["value"]
    ben = validator("ben")
    assert found["type"] == "tendermint/LightClientAttackEvidence"
    assert (value["CommonHeight"], value["TotalVotingPower"]) == ("4", "9")
    assert value["Timestamp"] == "2027-01-15T08:00:00.000000000Z"
    (one,) = value["ByzantineValidators"]
    assert (one["address"], one["voting_power"]) == (ben.address.hex().upper(), "2")
    assert (one["pub_key"]["type"], b64decode(one["pub_key"]["value"])) == ("tendermint/PubKeyEd25519", ben.key)
    shown = value["ConflictingBlock"]
    assert shown["validator_set"]["proposer"] in shown["validator_set"]["validators"]
    absent = [each for each in shown["signed_header"]["commit"]["signatures"] if each["block_id_flag"] == 1]
    nothing = {"block_id_flag": 1, "validator_address": "", "timestamp": "0001-01-01T00:00:00Z", "signature": None}
    assert absent == [nothing]
