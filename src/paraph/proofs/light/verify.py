"""The check of light blocks: a block agrees with itself, and follows from what is trusted.

 1. The block is of the chain, of block version 11, and of height 1 or more.
 2. Its validator set is one: not empty, no key twice, every power at least 1, in order, within the limits.
 3. The set is the one that the header names.
 4. The commit is for this header: its height, its hash, one place for each validator.
 5. Validators with more than two thirds of the set's power signed it.
 6. It is higher and later than what is trusted.
 7. Next in height: its set is the one that the trusted block names as next. Farther: validators with more than one
    third of the trusted set's power signed it.

A vote whose signature does not verify counts as absent. It is never an error: CometBFT accepts by ZIP-215 a few odd
signatures that are refused here, so one of them among enough good ones must not be able to stop anyone.

Not checked here: any clock (`period.py`), and that no second header of the same height exists (`conflict.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from paraph.core import ed25519
from paraph.core.errors import Unverified
from paraph.core.ident import to_hex
from paraph.proofs.light.limits import HOPS_MAX, POWER_MAX, VALIDATORS_MAX
from paraph.proofs.light.types import Anchor, Flag, LightBlock, Trusted, Validator, ordered, validators_hash

VERSION_BLOCK = 11
"""The engine's version of blocks whose hashes are specified here; CometBFT 0.38 writes it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A light block that agrees with itself, not yet trusted, and the places of its commit that count for it.

    Only `check` and `trim.py` make one.
    """

    block: LightBlock
    places: tuple[int, ...]

    @property
    def signers(self) -> tuple[Validator, ...]:
        """Who signed it, in the set's order."""
        return tuple(self.block.validators[place] for place in self.places)


def verify_chain(anchor: Trusted, blocks: Sequence[LightBlock], chain_id: str) -> LightBlock:
    """Follow blocks, lowest first, from what is trusted to the last of them, which is returned.

    Raises:
        Unverified: `light.hops`: no block, or more than 64; else as `check` and `extend`.
    """
    if not 0 < len(blocks) <= HOPS_MAX:
        raise _unverified("light.hops", f"{len(blocks)} light blocks in a chain; give from 1 to {HOPS_MAX}")
    trusted: Trusted = anchor
    for block in blocks:
        trusted = extend(trusted, check(block, chain_id))
    return blocks[-1]


def check(block: LightBlock, chain_id: str) -> Checked:
    """Check that a block agrees with itself: steps 1 to 5.

    Raises:
        Unverified: `light.chain`, `light.version`, `light.height`, `light.set`, `light.validators_hash`,
            `light.commit`, `light.power`.
    """
    header, commit = block.header, block.commit
    # 1
    if header.chain_id != chain_id:
        raise _unverified("light.chain", f"the block is of the chain {header.chain_id[:50]!r}, not {chain_id!r}")
    if header.version_block != VERSION_BLOCK:
        raise _unverified(
            "light.version", f"the block is of version {header.version_block}; this checks version {VERSION_BLOCK}"
        )
    if header.height < 1:
        raise _unverified("light.height", f"the block has height {header.height}; the first is 1")
    # 2
    check_set(block.validators)
    # 3
    if validators_hash(block.validators) != header.validators_hash:
        raise _unverified(
            "light.validators_hash", f"the set shown is not the one that the header of {header.height} names"
        )
    # 4
    if commit.height != header.height or commit.block_id.hash != header.hash():
        named = f"block {commit.height}, {to_hex(commit.block_id.hash)}"
        raise _unverified(
            "light.commit", f"the commit is for {named}, not for block {header.height}, {to_hex(header.hash())}"
        )
    if len(commit.signatures) != len(block.validators):
        places = f"{len(commit.signatures)} places for {len(block.validators)} validators"
        raise _unverified("light.commit", f"the commit of block {header.height} has {places}; it must have one each")
    # 5
    return decided(block, signed(block))


def decided(block: LightBlock, places: tuple[int, ...]) -> Checked:
    """Check that the votes in these places, known to verify, decide the block: step 5.

    Raises:
        Unverified: `light.power`.
    """
    found = Checked(block, places)
    power, total = (sum(each.power for each in group) for group in (found.signers, block.validators))
    if 3 * power <= 2 * total:
        reason = f"block {block.header.height} is signed by {power} of {total} votes; more than two thirds are needed"
        raise _unverified("light.power", reason)
    return found


def signed(block: LightBlock) -> tuple[int, ...]:
    """The places of the commit whose vote for the block verifies. The set and the commit are of one length."""
    votes = zip(block.commit.signatures, block.validators, strict=True)
    return tuple(
        index
        for index, (vote, validator) in enumerate(votes)
        if vote.flag is Flag.COMMIT
        and vote.validator == validator.address
        and ed25519.verify(validator.key, block.commit.message(index, block.header.chain_id), vote.signature)
    )


def check_set(validators: Sequence[Validator]) -> None:
    """Check that validators are a set, step 2.

    Raises:
        Unverified: `light.set`.
    """
    total = sum(each.power for each in validators)
    faults = (
        (not validators, "nobody is in it"),
        (len(validators) > VALIDATORS_MAX, f"{len(validators)} validators are in it; at most {VALIDATORS_MAX}"),
        (len({each.key for each in validators}) != len(validators), "a key is in it twice"),
        (any(each.power < 1 for each in validators), "a power in it is below 1"),
        (total > POWER_MAX, f"its power is {total}; at most {POWER_MAX}"),
        (ordered(validators) != tuple(validators), "it is not in order: most power first, then the lowest address"),
    )
    for fault, sentence in faults:
        if fault:
            raise _unverified("light.set", f"this is no validator set: {sentence}")


def extend(trusted: Trusted, checked: Checked) -> LightBlock:
    """Check that a block follows from what is trusted, steps 6 and 7, and return it.

    Raises:
        Unverified: `light.chain`, `light.height`, `light.time`, `light.next_set`, `light.overlap`; only the last may
            be cured by a block in between.
    """
    block, header = checked.block, checked.block.header
    # 6
    match trusted:
        case Anchor():
            check_set(trusted.validators)
            next_hash, later = validators_hash(trusted.validators), header.time.seconds >= trusted.time_s
        case LightBlock():
            next_hash, later = trusted.header.next_validators_hash, header.time > trusted.header.time
            if header.chain_id != trusted.header.chain_id:
                chains = f"{header.chain_id!r} and {trusted.header.chain_id!r}"
                raise _unverified("light.chain", f"the blocks are of two chains, {chains}")
        case _:
            assert_never(trusted)
    before = height_before(trusted)
    if header.height <= before:
        raise _unverified(
            "light.height", f"block {header.height} is not above block {before}, from which it should follow"
        )
    if not later:
        raise _unverified(
            "light.time", f"block {header.height} has the time {header.time}, not after what it should follow"
        )
    # 7
    if header.height == before + 1:
        if header.validators_hash != next_hash:
            sets = f"{to_hex(header.validators_hash)}; the set announced is {to_hex(next_hash)}"
            raise _unverified("light.next_set", f"block {header.height} is decided by the set {sets}")
        return block
    total = sum(each.power for each in trusted.validators)
    keys = {each.key for each in checked.signers}
    power = sum(each.power for each in trusted.validators if each.key in keys)
    if 3 * power <= total:
        reason = f"block {header.height} is signed by {power} of {total} votes trusted since block {before}"
        raise _unverified("light.overlap", f"{reason}; more than one third are needed, or a block in between")
    return block


def height_before(trusted: Trusted) -> int:
    """The height above which blocks follow: an anchor's set decides the block of the anchor's own height."""
    match trusted:
        case Anchor():
            return trusted.height - 1
        case LightBlock():
            return trusted.header.height
        case _:
            assert_never(trusted)


def _unverified(code: str, sentence: str) -> Unverified:
    return Unverified(((code, sentence),))
