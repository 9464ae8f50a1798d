"""Light blocks: a header, the votes that decided it, and who could vote. Nothing here is believed yet.

Values only, with the hashes that CometBFT defines over them; `reading.py` reads them from JSON, `verify.py` judges.
Specified in docs/spec/light.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from paraph.core import merkle
from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.ident import Digest, to_hex
from paraph.proofs.light import wire


@dataclass(frozen=True, slots=True)
class Validator:
    """Who may vote.

    Args:
        key: ed25519 public key, 32 bytes.
        power: its votes, 1 or more.
    """

    key: bytes
    power: int

    @property
    def address(self) -> bytes:
        """How the engine names it: the first 20 bytes of the SHA-256 of its key."""
        return sha256(self.key)[:20]

    def as_json(self) -> dict[str, Json]:
        """The validator as JSON; the power as text, since it may exceed what JSON numbers carry."""
        return {"key": to_hex(self.key), "power": str(self.power)}


@dataclass(frozen=True, slots=True)
class BlockId:
    """What a vote names: a header's hash, and the number and Merkle root of the parts the block was sent in."""

    hash: Digest
    parts_total: int
    parts_hash: Digest

    def encode(self) -> bytes:
        """Its protobuf."""
        return wire.block_id(self.hash, self.parts_total, self.parts_hash)

    def as_json(self) -> dict[str, Json]:
        """The block id as JSON."""
        return {"hash": to_hex(self.hash), "parts_total": self.parts_total, "parts_hash": to_hex(self.parts_hash)}


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A time since 1970, to the nanosecond; times compare."""

    seconds: int
    nanos: int

    def encode(self) -> bytes:
        """Its protobuf."""
        return wire.timestamp(self.seconds, self.nanos)

    def as_json(self) -> dict[str, Json]:
        """The time as JSON."""
        return {"seconds": self.seconds, "nanos": self.nanos}

    def __str__(self) -> str:
        return f"{self.seconds}.{self.nanos:09d}"


@dataclass(frozen=True, slots=True)
class LightHeader:
    """One block's header, as CometBFT has it.

    Args:
        version_block: the engine's version of blocks; the hash here is that of version 11.
        version_app: the application's own version.
        chain_id: the chain's name, as text.
        height: from 1.
        time: agreed by the validators; later than the previous block's.
        last_block_id: the previous block; None at the first.
        last_commit_hash: of the votes that decided the previous block.
        data_hash: of the transactions.
        validators_hash, next_validators_hash: of who votes on this block, and on the next.
        consensus_hash: of the engine's parameters.
        app_hash: the application's root after the PREVIOUS block.
        last_results_hash: of the previous block's results.
        evidence_hash: of the evidence in this block.
        proposer: address of the validator that proposed it, 20 bytes.
    """

    version_block: int
    version_app: int
    chain_id: str
    height: int
    time: Timestamp
    last_block_id: BlockId | None
    last_commit_hash: Digest
    data_hash: Digest
    validators_hash: Digest
    next_validators_hash: Digest
    consensus_hash: Digest
    app_hash: bytes
    last_results_hash: Digest
    evidence_hash: Digest
    proposer: bytes

    def hash(self) -> Digest:
        """The Merkle root of the fourteen fields, each in its protobuf: the block's name."""
        last = wire.block_id(b"", 0, b"") if self.last_block_id is None else self.last_block_id.encode()
        return merkle.root(
            (
                wire.number(1, self.version_block) + wire.number(2, self.version_app),
                wire.data(1, self.chain_id.encode()),
                wire.number(1, self.height),
                self.time.encode(),
                last,
                wire.data(1, self.last_commit_hash),
                wire.data(1, self.data_hash),
                wire.data(1, self.validators_hash),
                wire.data(1, self.next_validators_hash),
                wire.data(1, self.consensus_hash),
                wire.data(1, self.app_hash),
                wire.data(1, self.last_results_hash),
                wire.data(1, self.evidence_hash),
                wire.data(1, self.proposer),
            )
        )

    def as_json(self) -> dict[str, Json]:
        """The header as JSON."""
        values = ((name, getattr(self, name)) for name in LightHeader.__slots__)
        return {name: _as_json(value) for name, value in values}


class Flag(IntEnum):
    """What became of a validator's vote. ABSENT: it came too late or never. NIL: it voted for no block."""

    ABSENT = 1
    COMMIT = 2
    NIL = 3


@dataclass(frozen=True, slots=True)
class CommitSignature:
    """One validator's vote in a commit.

    Args:
        flag: what it voted for.
        validator: its address; empty when ABSENT.
        time: when it voted, by its own clock; zero when ABSENT.
        signature: ed25519, 64 bytes; empty when ABSENT.
    """

    flag: Flag
    validator: bytes
    time: Timestamp
    signature: bytes

    def as_json(self) -> Json:
        """The vote as JSON: null when absent. The validator is the one in the same place of the set, not written."""
        if self.flag is Flag.ABSENT:
            return None
        return {"flag": int(self.flag), "time": self.time.as_json(), "signature": to_hex(self.signature)}


ABSENT = CommitSignature(Flag.ABSENT, b"", Timestamp(0, 0), b"")
"""No vote."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The votes that decided a block, one place for each validator of its set, in the set's order."""

    height: int
    round: int
    block_id: BlockId
    signatures: tuple[CommitSignature, ...]

    def message(self, index: int, chain_id: str) -> bytes:
        """The bytes that the vote in place `index`, COMMIT or NIL, signs."""
        signature = self.signatures[index]
        named = self.block_id.encode() if signature.flag is Flag.COMMIT else None
        return wire.vote(self.height, self.round, named, signature.time.encode(), chain_id)


@dataclass(frozen=True, slots=True)
class LightBlock:
    """A header with its commit and its validator set: all that is needed to verify it. Hostile until checked."""

    header: LightHeader
    commit: Commit
    validators: tuple[Validator, ...]

    def as_json(self) -> dict[str, Json]:
        """The light block as JSON. The commit's height and block hash are the header's own, and are not written."""
        return {
            "header": self.header.as_json(),
            "commit": {
                "round": self.commit.round,
                "parts_total": self.commit.block_id.parts_total,
                "parts_hash": to_hex(self.commit.block_id.parts_hash),
                "signatures": [signature.as_json() for signature in self.commit.signatures],
            },
            "validators": [validator.as_json() for validator in self.validators],
        }


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where trust begins: "this set decides the block of this height". Pinned, never verified.

    Args:
        height: of the first block that the set decides; a genesis's initial height, mostly 1.
        validators: the set, in the engine's order (`ordered`).
        time_s: Unix time of which that block is not earlier; a genesis's time.
    """

    height: int
    validators: tuple[Validator, ...]
    time_s: int

    def as_json(self) -> dict[str, Json]:
        """The anchor as JSON."""
        validators: list[Json] = [validator.as_json() for validator in self.validators]
        return {"height": self.height, "validators": validators, "time_s": self.time_s}


Trusted: TypeAlias = Anchor | LightBlock
"""What the next block is verified from: a pinned set, or a block verified before."""


def validators_hash(validators: Sequence[Validator]) -> Digest:
    """The Merkle root of a set in the order given, as headers name it."""
    return merkle.root([wire.validator(each.key, each.power) for each in validators])


def ordered(validators: Sequence[Validator]) -> tuple[Validator, ...]:
    """A set in the engine's order: the most power first, then the lowest address."""
    return tuple(sorted(validators, key=lambda each: (-each.power, each.address)))


def _as_json(value: object) -> Json:
    match value:
        case bytes():
            return to_hex(value)
        case Timestamp() | BlockId():
            return value.as_json()
        case _:
            return value  # type: ignore[return-value]
