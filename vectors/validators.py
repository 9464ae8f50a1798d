"""Validators of the vectors' network: their keys, and light blocks that they sign with real votes.

Signatures of ed25519 are deterministic, so the same bytes come out on every machine.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paraph.core.digest import sha256
from paraph.core.ident import Digest
from paraph.proofs.light.limits import SECONDS_MAX
from paraph.proofs.light.types import (
    ABSENT,
    BlockId,
    Commit,
    CommitSignature,
    Flag,
    LightBlock,
    LightHeader,
    Timestamp,
    Validator,
    ordered,
    validators_hash,
)

Powers: TypeAlias = Mapping[str, int]
"""A set: names and powers."""

FIRST: Final[Powers] = {"ann": 40_000, "ben": 30_000, "cat": 20_000, "dan": 10_000}
SECOND: Final[Powers] = {"ann": 15_000, "cat": 20_000, "dan": 10_000, "eve": 40_000, "fay": 5_000}
"""Who came after: enough of the first are still there to be believed for their votes."""
THIRD: Final[Powers] = {"eve": 7, "fay": 5, "gil": 2}
"""Nobody of the first is left: it is believed by way of the second alone."""


def seeded(name: str) -> Digest:
    """32 bytes that a name stands for."""
    return sha256(b"paraph vectors: " + name.encode())


def key(name: str) -> Ed25519PrivateKey:
    """The private key of the validator of that name."""
    return Ed25519PrivateKey.from_private_bytes(seeded("validator " + name))


def public(name: str) -> bytes:
    """Its public key."""
    return key(name).public_key().public_bytes_raw()


def members(powers: Powers) -> tuple[Validator, ...]:
    """The set, in order."""
    return ordered([Validator(public(name), power) for name, power in powers.items()])


def header(
    chain_id: str, height: int, time_s: int, powers: Powers, following: Powers | None = None, **changes: object
) -> LightHeader:
    """A header that names the set and the next one; every other field has a value of its own."""
    made = LightHeader(
        version_block=11,
        version_app=1,
        chain_id=chain_id,
        height=height,
        time=Timestamp(time_s, 250_000_000),
        last_block_id=BlockId(seeded("last block"), 2, seeded("last parts")) if height > 1 else None,
        last_commit_hash=seeded("last commit"),
        data_hash=seeded("data"),
        validators_hash=validators_hash(members(powers)),
        next_validators_hash=validators_hash(members(following or powers)),
        consensus_hash=seeded("consensus"),
        app_hash=seeded("app"),
        last_results_hash=seeded("last results"),
        evidence_hash=sha256(b""),
        proposer=members(powers)[0].address,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def signed(
    found: LightHeader,
    powers: Powers,
    signers: Collection[str] | None = None,
    nil: Collection[str] = (),
    round_: int = 0,
) -> LightBlock:
    """The header with its set and a commit, signed by all or by `signers`; those in `nil` vote for no block."""
    names = {public(name): name for name in powers}
    commit = Commit(found.height, round_, BlockId(found.hash(), 1, seeded("parts")), ())
    votes: list[CommitSignature] = []
    for seconds, member in enumerate(members(powers)):
        name = names[member.key]
        flag = Flag.NIL if name in nil else Flag.COMMIT if signers is None or name in signers else Flag.ABSENT
        time = Timestamp(min(found.time.seconds + seconds, SECONDS_MAX), 7 * seconds)
        votes.append(ABSENT if flag is Flag.ABSENT else vote(name, commit, flag, found.chain_id, time))
    return LightBlock(found, replace(commit, signatures=tuple(votes)), members(powers))


def vote(name: str, commit: Commit, flag: Flag, chain_id: str, time: Timestamp) -> CommitSignature:
    """A validator's vote for what the commit decides, or for nothing."""
    made = CommitSignature(flag, Validator(public(name), 1).address, time, bytes(64))
    message = replace(commit, signatures=(made,)).message(0, chain_id)
    return replace(made, signature=key(name).sign(message))


def with_votes(block: LightBlock, *votes: CommitSignature) -> LightBlock:
    """The block with other votes."""
    return replace(block, commit=replace(block.commit, signatures=votes))
