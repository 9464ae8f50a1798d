"""Light blocks with real ed25519 signatures, made here or recorded from a real CometBFT network.

Validators are named by a word, their keys come from it, and a set is a table of powers: {"ann": 2, "ben": 1}.
"""

import json
from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paraph.core.digest import sha256
from paraph.core.ident import Digest
from paraph.proofs.light.types import (
    ABSENT,
    Anchor,
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

CHAIN_ID: Final = "paraph-test"
START_S: Final = 1_800_000_000
RECORDED: Final = Path(__file__).parents[1] / "unit" / "proofs" / "light" / "recorded"
FOUR: Final = {"ann": 1, "ben": 1, "cat": 1, "dan": 1}

Powers = Mapping[str, int]


@cache
def key(name: str) -> Ed25519PrivateKey:
    """The private key of the validator of that name."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()))


def validator(name: str, power: int = 1) -> Validator:
    """The validator of that name."""
    return Validator(key(name).public_key().public_bytes_raw(), power)


def members(powers: Powers) -> tuple[Validator, ...]:
    """A set, in order."""
    return ordered([validator(name, power) for name, power in powers.items()])


def anchor(powers: Powers = FOUR, height: int = 1) -> Anchor:
    """Trust in a set from a height on."""
    return Anchor(height, members(powers), START_S)


def header(height: int, powers: Powers, following: Powers | None = None, **changes: Any) -> LightHeader:
    """A header that names the set and the next one; every other field has a value of its own."""
    last = BlockId(sha256(b"last"), 3, sha256(b"last parts")) if height > 1 else None
    made = LightHeader(
        11, 7, CHAIN_ID, height, Timestamp(START_S + height, 5), last,
        sha256(b"last commit"), sha256(b"data"), validators_hash(members(powers)),
        validators_hash(members(powers if following is None else following)), sha256(b"consensus"),
        sha256(b"app %d" % height), sha256(b"last results"), sha256(b"evidence"), members(powers)[0].address,
    )  # fmt: skip
    return replace(made, **changes)


def vote(name: str, commit: Commit, flag: Flag, chain_id: str, seconds: int = START_S) -> CommitSignature:
    """A validator's signed vote for what the commit decides, or for nothing."""
    made = CommitSignature(flag, validator(name).address, Timestamp(seconds, 9), bytes(64))
    message = replace(commit, signatures=(made,)).message(0, chain_id)
    return replace(made, signature=key(name).sign(message))


def sealed(
    found: LightHeader,
    powers: Powers,
    *,
    signers: Collection[str] | None = None,
    nil: Collection[str] = (),
    round_: int = 0,
    parts: int = 1,
) -> LightBlock:
    """The header with its set and a commit, signed by all or by `signers`; those in `nil` vote for no block."""
    yes = powers if signers is None else signers
    empty = Commit(found.height, round_, BlockId(found.hash(), parts, sha256(b"parts")), ())
    places = {validator(name).key: name for name in powers}
    votes = []
    for member in members(powers):
        name = places[member.key]
        flag = Flag.NIL if name in nil else Flag.COMMIT if name in yes else Flag.ABSENT
        votes.append(ABSENT if flag is Flag.ABSENT else vote(name, empty, flag, found.chain_id, START_S + found.height))
    return LightBlock(found, replace(empty, signatures=tuple(votes)), members(powers))


def history(sets: Sequence[Powers]) -> dict[int, LightBlock]:
    """A chain of blocks from height 1, all signed: block `h` is decided by `sets[h − 1]` and names the one after."""
    blocks: dict[int, LightBlock] = {}
    for height, powers in enumerate(sets, 1):
        found = header(height, powers, sets[min(height, len(sets) - 1)])
        if height > 1:
            found = replace(found, last_block_id=blocks[height - 1].commit.block_id)
        blocks[height] = sealed(found, powers)
    return blocks


# --- recorded ----------------------------------------------------------------------------------------------------


def recorded(name: str) -> tuple[Anchor, dict[int, LightBlock], dict[str, Any]]:
    """A recorded network: its genesis as an anchor, its blocks by height, and the file as it is."""
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    genesis = found["genesis"]
    start = Anchor(
        1, ordered([_validator(each) for each in genesis["validators"]]), _time(genesis["genesis_time"]).seconds
    )
    blocks = [from_rpc(each["commit"], each["validators"]) for each in found["blocks"]]
    return start, {block.header.height: block for block in blocks}, found


def from_rpc(signed_header: Mapping[str, Any], validators: Sequence[Mapping[str, Any]]) -> LightBlock:
    """The engine's own replies to /commit (its signed header) and /validators as a light block."""
    found, commit = signed_header["header"], signed_header["commit"]
    hashes = {
        name: bytes.fromhex(found[name])
        for name in (
            "last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash",
            "last_results_hash", "evidence_hash",
        )
    }  # fmt: skip
    return LightBlock(
        LightHeader(
            version_block=int(found["version"]["block"]),
            version_app=int(found["version"].get("app", 0)),
            chain_id=found["chain_id"],
            height=int(found["height"]),
            time=_time(found["time"]),
            last_block_id=_block_id(found["last_block_id"]) if found["last_block_id"]["hash"] else None,
            proposer=bytes.fromhex(found["proposer_address"]),
            **hashes,  # type: ignore[arg-type]
        ),
        Commit(
            int(commit["height"]),
            commit["round"],
            _block_id(commit["block_id"]),
            tuple(_signature(each) for each in commit["signatures"]),
        ),
        tuple(_validator(each) for each in validators),
    )


def _validator(found: Mapping[str, Any]) -> Validator:
    return Validator(b64decode(found["pub_key"]["value"]), int(found["voting_power"]))


def _block_id(found: Mapping[str, Any]) -> BlockId:
    parts = found["parts"]
    return BlockId(Digest(bytes.fromhex(found["hash"])), parts["total"], Digest(bytes.fromhex(parts["hash"])))


def _signature(found: Mapping[str, Any]) -> CommitSignature:
    if found["block_id_flag"] == Flag.ABSENT:
        return ABSENT
    address, signature = bytes.fromhex(found["validator_address"]), b64decode(found["signature"])
    return CommitSignature(Flag(found["block_id_flag"]), address, _time(found["timestamp"]), signature)


def _time(text: str) -> Timestamp:
    whole, _, part = text.removesuffix("Z").partition(".")
    return Timestamp(int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()), int(part.ljust(9, "0")))
