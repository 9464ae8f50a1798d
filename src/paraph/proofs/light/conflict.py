"""Evidence that validators of a believed set decided two blocks of one height: who did, and how anyone can check it.

Which of the two blocks is false cannot be told from them. So an attack names the block held for false and the one held
for true; the side that believes the latter can punish by it. A duplicate vote needs no such side: it speaks for itself.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from paraph.core import ed25519
from paraph.core.encode import Json, as_decimal, as_integer, as_list, take
from paraph.core.errors import Unverified
from paraph.core.ident import from_hex, to_hex
from paraph.proofs.light import wire
from paraph.proofs.light.limits import POWER_MAX, ROUND_MAX, VALIDATORS_MAX
from paraph.proofs.light.reading import (
    block_id_from_json,
    light_block_from_json,
    timestamp_from_json,
    validators_from_json,
)
from paraph.proofs.light.types import (
    Anchor,
    BlockId,
    Flag,
    LightBlock,
    LightHeader,
    Timestamp,
    Trusted,
    Validator,
    ordered,
)
from paraph.proofs.light.verify import Checked, check, extend

DERIVED: Final = ("validators_hash", "next_validators_hash", "consensus_hash", "app_hash", "last_results_hash")
"""The fields that follow from the blocks before: where they differ, one of two blocks was no lawful next state."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A block that some validators decided against another, in the terms of CometBFT's evidence of such attacks.

    Args:
        conflicting: the block held for false, with its whole commit.
        common_height: where both histories are still one; the block's own height when only the votes differ.
        byzantine: who provably did it, in the set's order; nobody when the rounds differ, which proves nothing.
        total_power: of the set at the common height.
        time: of the common height.
    """

    conflicting: LightBlock
    common_height: int
    byzantine: tuple[Validator, ...]
    total_power: int
    time: Timestamp

    def as_json(self) -> dict[str, Json]:
        """The attack as JSON."""
        byzantine: list[Json] = [each.as_json() for each in self.byzantine]
        return {
            "conflicting": self.conflicting.as_json(),
            "common_height": self.common_height,
            "byzantine": byzantine,
            "total_power": str(self.total_power),
            "time": self.time.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Vote:
    """One precommit: the block it names, or None for no block; when it was cast; its signature."""

    block_id: BlockId | None
    time: Timestamp
    signature: bytes

    def as_json(self) -> dict[str, Json]:
        """The vote as JSON."""
        named = None if self.block_id is None else self.block_id.as_json()
        return {"block_id": named, "time": self.time.as_json(), "signature": to_hex(self.signature)}


@dataclass(frozen=True, slots=True)
class DuplicateVote:
    """Two votes of one validator in one round, for different things.

    Args:
        key: the validator's ed25519 key.
        height, round: where both votes stand.
        first, second: the votes; the lower block hash comes first, no block before any.
    """

    key: bytes
    height: int
    round: int
    first: Vote
    second: Vote

    def holds(self, chain_id: str) -> bool:
        """True when both votes are the key's, on that chain, and differ in what they name."""
        return self.first.block_id != self.second.block_id and all(
            ed25519.verify(self.key, self._message(vote, chain_id), vote.signature)
            for vote in (self.first, self.second)
        )

    def _message(self, vote: Vote, chain_id: str) -> bytes:
        named = None if vote.block_id is None else vote.block_id.encode()
        return wire.vote(self.height, self.round, named, vote.time.encode(), chain_id)

    def as_json(self) -> dict[str, Json]:
        """The two votes as JSON."""
        return {
            "key": to_hex(self.key),
            "height": self.height,
            "round": self.round,
            "first": self.first.as_json(),
            "second": self.second.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Fork:
    """All that is known of two blocks of one height that both follow from one trust.

    Args:
        first, second: the blocks.
        against_first: the attack, if the first's history is false: for whoever holds the second's.
        against_second: the other way round. Each is None when a server no longer showed where the histories part.
        votes: validators that voted twice in one round: proof by itself.
    """

    first: LightBlock
    second: LightBlock
    against_first: Attack | None
    against_second: Attack | None
    votes: tuple[DuplicateVote, ...]

    def __str__(self) -> str:
        blocks = f"{to_hex(self.first.header.hash())} and {to_hex(self.second.header.hash())}"
        return f"block {self.first.header.height} is {blocks}; {len(self.votes)} validators voted twice"

    def as_json(self) -> dict[str, Json]:
        """The fork as JSON."""
        votes: list[Json] = [vote.as_json() for vote in self.votes]
        attacks = (None if each is None else each.as_json() for each in (self.against_first, self.against_second))
        against_first, against_second = attacks
        return {
            "first": self.first.as_json(),
            "second": self.second.as_json(),
            "against_first": against_first,
            "against_second": against_second,
            "votes": votes,
        }


def attack(common: Trusted, conflicting: LightBlock, truth: LightBlock, chain_id: str) -> Attack:
    """The evidence against `conflicting`, which follows from `common`, for those who hold `truth` for true.

    That `truth` follows from `common` too, over however many blocks, is the caller's to know.

    Raises:
        Unverified: `light.conflict`: the blocks are one, or of two heights; else as `check` and `extend`.
    """
    false, true = check(conflicting, chain_id), check(truth, chain_id)
    extend(common, false)
    if conflicting.header.height != truth.header.height:
        heights = f"{conflicting.header.height} and {truth.header.height}"
        reason = f"blocks of the heights {heights} do not conflict; show two of one height"
        raise Unverified((("light.conflict", reason),))
    if conflicting.header.hash() == truth.header.hash():
        reason = f"both blocks are {to_hex(truth.header.hash())}; one block does not conflict with itself"
        raise Unverified((("light.conflict", reason),))
    byzantine = _byzantine(common, false, true)
    if not lunatic(conflicting.header, truth.header):
        return Attack(conflicting, truth.header.height, byzantine, total_power(truth), truth.header.time)
    match common:
        case Anchor():
            height, time = common.height, Timestamp(common.time_s, 0)
        case LightBlock():
            height, time = common.header.height, common.header.time
        case _:
            assert_never(common)
    return Attack(conflicting, height, byzantine, total_power(common), time)


def duplicate_votes(first: LightBlock, second: LightBlock) -> tuple[DuplicateVote, ...]:
    """Who voted twice in one round: for two blocks, or for a block and for none."""
    if (first.commit.height, first.commit.round) != (second.commit.height, second.commit.round):
        return ()
    one, other = _votes(first), _votes(second)
    return tuple(
        DuplicateVote(key, first.commit.height, first.commit.round, *_sorted(vote, other[key]))
        for key, vote in one.items()
        if key in other and vote.block_id != other[key].block_id
    )


def lunatic(conflicting: LightHeader, truth: LightHeader) -> bool:
    """True when a header is no lawful next state of what the true one follows from."""
    return any(getattr(conflicting, name) != getattr(truth, name) for name in DERIVED)


def _byzantine(common: Trusted, false: Checked, true: Checked) -> tuple[Validator, ...]:
    signers = {each.key for each in false.signers}
    if lunatic(false.block.header, true.block.header):
        return ordered([each for each in common.validators if each.key in signers])
    if false.block.commit.round == true.block.commit.round:
        return ordered([each for each in true.signers if each.key in signers])
    return ()


def total_power(trusted: Trusted) -> int:
    """The power of the whole set."""
    return sum(each.power for each in trusted.validators)


def _votes(block: LightBlock) -> dict[bytes, Vote]:
    commit = block.commit
    return {
        validator.key: Vote(commit.block_id if vote.flag is Flag.COMMIT else None, vote.time, vote.signature)
        for place, (vote, validator) in enumerate(zip(commit.signatures, block.validators, strict=True))
        if vote.flag is not Flag.ABSENT
        and ed25519.verify(validator.key, commit.message(place, block.header.chain_id), vote.signature)
    }


def _sorted(*votes: Vote) -> list[Vote]:
    return sorted(votes, key=lambda vote: b"" if vote.block_id is None else vote.block_id.encode())


# --- reading -----------------------------------------------------------------------------------------------------


def fork_from_json(value: Json) -> Fork:
    """Read what `Fork.as_json` wrote. Raises `Malformed`."""
    first, second, against_first, against_second, votes = take(
        value, "fork", "first", "second", "against_first", "against_second", "votes"
    )
    return Fork(
        light_block_from_json(first),
        light_block_from_json(second),
        None if against_first is None else attack_from_json(against_first),
        None if against_second is None else attack_from_json(against_second),
        tuple(duplicate_vote_from_json(each) for each in as_list(votes, "votes", items_max=VALIDATORS_MAX)),
    )


def attack_from_json(value: Json) -> Attack:
    """Read what `Attack.as_json` wrote. Raises `Malformed`."""
    conflicting, height, byzantine, power, time = take(
        value, "attack", "conflicting", "common_height", "byzantine", "total_power", "time"
    )
    return Attack(
        light_block_from_json(conflicting),
        as_integer(height, "attack.common_height", 1),
        validators_from_json(byzantine),
        as_decimal(power, "attack.total_power", POWER_MAX),
        timestamp_from_json(time, "attack.time"),
    )


def duplicate_vote_from_json(value: Json) -> DuplicateVote:
    """Read what `DuplicateVote.as_json` wrote. Raises `Malformed`."""
    key, height, round_, first, second = take(value, "duplicate vote", "key", "height", "round", "first", "second")
    return DuplicateVote(
        from_hex(key, ed25519.KEY_BYTES, "vote.key"),
        as_integer(height, "vote.height", 1),
        as_integer(round_, "vote.round", 0, ROUND_MAX),
        _vote(first),
        _vote(second),
    )


def _vote(value: Json) -> Vote:
    named, time, signature = take(value, "vote", "block_id", "time", "signature")
    return Vote(
        None if named is None else block_id_from_json(named, "vote.block_id"),
        timestamp_from_json(time, "vote.time"),
        from_hex(signature, ed25519.SIGNATURE_BYTES, "vote.signature"),
    )
