"""Whom a reported fork convicts, judged by one chain's own blocks: what its validators can be slashed for.

A report comes from anybody. Of it nothing counts but signatures: heights, times and powers are the chain's own, and so
is the word that a block is true. What remains is what CometBFT's engine takes as evidence (0.38, `evidence/verify.go`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from paraph.core.errors import Unverified
from paraph.core.ident import to_hex
from paraph.proofs.light.conflict import Attack, DuplicateVote, Fork, lunatic, total_power
from paraph.proofs.light.types import ABSENT, Flag, LightBlock, ordered
from paraph.proofs.light.verify import check, extend


@dataclass(frozen=True, slots=True)
class Suspect:
    """A block that may be false.

    Args:
        block: the block, whose signatures nobody has checked yet.
        common_height: the highest block below it that is said to be of both histories; 0 where there is none.
    """

    block: LightBlock
    common_height: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a report proves.

    Args:
        votes: pairs of votes that speak for themselves, one a validator.
        attacks: false blocks, each signed by somebody whom no pair of votes convicts.
        reasons: why other parts of the report prove nothing, as sentences.
    """

    votes: tuple[DuplicateVote, ...]
    attacks: tuple[Attack, ...]
    reasons: tuple[str, ...]


def suspects(fork: Fork) -> tuple[Suspect, ...]:
    """The blocks of a fork that may be false: those it calls so, or its two where it cannot say where they part."""
    found: list[Suspect] = []
    for block, against in ((fork.first, fork.against_first), (fork.second, fork.against_second)):
        false = block if against is None else against.conflicting
        below = false.header.height - 1
        # Where only votes differ the common height is the block's own; the histories are one before it.
        found.append(Suspect(false, below if against is None else min(against.common_height, below)))
    return tuple(found)


def heights(fork: Fork) -> tuple[int, ...]:
    """Of the chain's own blocks that `judge` needs: at most five, lowest first."""
    needed = {height for each in suspects(fork) for height in (each.block.header.height, each.common_height)}
    return tuple(sorted((needed | {fork.first.header.height}) - {0}))


def judge(fork: Fork, own: Mapping[int, LightBlock], chain_id: str) -> Judgement:
    """What a report proves against this chain's validators. At most 800 signatures are verified: 100 ms of one core.

    Args:
        fork: from anybody.
        own: this chain's blocks at all `heights`, with their final commits. They are true by definition.
        chain_id: the chain's name.
    """
    votes, odd = _votes(fork, own[fork.first.header.height], chain_id)
    reasons = [f"{odd} pairs of votes convict nobody who decided block {fork.first.header.height} here"] if odd else []
    convicted = {vote.key for vote in votes}
    attacks: list[Attack] = []
    for suspect in suspects(fork):
        try:
            found = _attack(suspect, own, chain_id)
        except Unverified as error:
            reasons.append(error.message)
            continue
        if not found.byzantine:
            reasons.append("the rounds of the two commits differ: that does not say who signed against the rules")
        elif {each.key for each in found.byzantine} - convicted:
            attacks.append(found)
    return Judgement(votes, tuple(attacks), tuple(reasons))


def _votes(fork: Fork, truth: LightBlock, chain_id: str) -> tuple[tuple[DuplicateVote, ...], int]:
    """The pairs that hold, the first of each validator; and how many convict nobody."""
    known = {each.key for each in truth.validators}
    found: dict[bytes, DuplicateVote] = {}
    odd = 0
    for vote in fork.votes:
        if vote.key in found:
            continue
        if vote.height == truth.header.height and vote.key in known and vote.holds(chain_id):
            found[vote.key] = vote
        else:
            odd += 1
    return tuple(found.values()), odd


def _attack(suspect: Suspect, own: Mapping[int, LightBlock], chain_id: str) -> Attack:
    """The evidence against a block, by the engine's rules.

    Raises:
        Unverified: `light.conflict`: the block is this chain's own, or nothing is common below it; else as `check` and
            `extend`.
    """
    block, height = suspect.block, suspect.block.header.height
    truth = own[height]
    if block.header.hash() == truth.header.hash():
        raise Unverified((("light.conflict", f"block {height}, {to_hex(truth.header.hash())}, is this chain's own"),))
    if not suspect.common_height:
        raise Unverified((("light.conflict", f"there is no common block below block {height}; show pairs of votes"),))
    common = own[suspect.common_height]
    checked = check(block, chain_id)
    extend(common, checked)
    # The engine refuses all of it for one signature that does not verify, and counts who signed by what is left.
    votes = (vote if place in checked.places else ABSENT for place, vote in enumerate(block.commit.signatures))
    shown = replace(block, commit=replace(block.commit, signatures=tuple(votes)))
    signers = {each.key for each in checked.signers}
    if lunatic(block.header, truth.header):
        byzantine = [each for each in common.validators if each.key in signers]
        return Attack(shown, common.header.height, ordered(byzantine), total_power(common), common.header.time)
    byzantine = []
    if block.commit.round == truth.commit.round:
        # The engine has verified these, and takes a few odd signatures that are refused here: its flags count.
        places = zip(truth.validators, truth.commit.signatures, strict=True)
        byzantine = [each for each, vote in places if vote.flag is Flag.COMMIT and each.key in signers]
    return Attack(shown, height, ordered(byzantine), total_power(truth), truth.header.time)
