"""Light blocks read from untrusted JSON: form only, strictly, one spelling for each value.

What can be derived is not written, so it cannot disagree: the commit's height and block hash are the header's, and the
vote in a place is that of the validator in the same place.
"""

from paraph.core.ed25519 import KEY_BYTES, SIGNATURE_BYTES
from paraph.core.encode import Json, as_decimal, as_integer, as_list, as_text, take
from paraph.core.errors import Malformed
from paraph.core.ident import ADDRESS_BYTES, Digest, digest_from_hex, from_hex
from paraph.proofs.light.limits import (
    APP_HASH_BYTES_MAX,
    CHAIN_ID_BYTES_MAX,
    PARTS_MAX,
    POWER_MAX,
    ROUND_MAX,
    SECONDS_MAX,
    VALIDATORS_MAX,
)
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
)


def light_block_from_json(value: Json) -> LightBlock:
    """Read what `LightBlock.as_json` wrote.

    Raises:
        Malformed: `light.shape` when the commit has not one place for each validator; else as each part.
    """
    header, commit, validators = take(value, "a light block", "header", "commit", "validators")
    found = header_from_json(header)
    listed = validators_from_json(validators)
    round_, parts_total, parts_hash, votes = take(commit, "commit", "round", "parts_total", "parts_hash", "signatures")
    places = as_list(votes, "commit.signatures", items_max=VALIDATORS_MAX)
    if len(places) != len(listed):
        raise Malformed("light.shape", f"a commit of {len(places)} places for {len(listed)} validators; write one each")
    block_id = BlockId(found.hash(), *_parts(parts_total, parts_hash, "commit"))
    signatures = tuple(_signature(place, each) for place, each in zip(places, listed, strict=True))
    return LightBlock(
        found, Commit(found.height, as_integer(round_, "commit.round", 0, ROUND_MAX), block_id, signatures), listed
    )


def header_from_json(value: Json) -> LightHeader:
    """Read what `LightHeader.as_json` wrote. Raises `Malformed`."""
    (version_block, version_app, chain_id, height, time, last_block_id, *hashes, proposer) = take(
        value, "header", *LightHeader.__slots__
    )
    last_commit, content, validators, following, consensus, app, results, evidence = hashes
    return LightHeader(
        as_integer(version_block, "header.version_block"),
        as_integer(version_app, "header.version_app"),
        as_text(chain_id, "header.chain_id", bytes_max=CHAIN_ID_BYTES_MAX),
        as_integer(height, "header.height", 1),
        timestamp_from_json(time, "header.time"),
        None if last_block_id is None else block_id_from_json(last_block_id, "header.last_block_id"),
        digest_from_hex(last_commit, "header.last_commit_hash"),
        digest_from_hex(content, "header.data_hash"),
        digest_from_hex(validators, "header.validators_hash"),
        digest_from_hex(following, "header.next_validators_hash"),
        digest_from_hex(consensus, "header.consensus_hash"),
        _app_hash(app),
        digest_from_hex(results, "header.last_results_hash"),
        digest_from_hex(evidence, "header.evidence_hash"),
        from_hex(proposer, ADDRESS_BYTES, "header.proposer"),
    )


def anchor_from_json(value: Json) -> Anchor:
    """Read what `Anchor.as_json` wrote. Raises `Malformed`. Whether the set is one, `verify.check_set` says."""
    height, validators, time_s = take(value, "anchor", "height", "validators", "time_s")
    return Anchor(
        as_integer(height, "anchor.height", 1),
        validators_from_json(validators),
        as_integer(time_s, "anchor.time_s", 0, SECONDS_MAX),
    )


def validators_from_json(value: Json) -> tuple[Validator, ...]:
    """Read a validator set. Raises `Malformed`."""
    return tuple(validator_from_json(each) for each in as_list(value, "validators", items_max=VALIDATORS_MAX))


def validator_from_json(value: Json) -> Validator:
    """Read what `Validator.as_json` wrote. Raises `Malformed`."""
    key, power = take(value, "validator", "key", "power")
    return Validator(from_hex(key, KEY_BYTES, "validator.key"), as_decimal(power, "validator.power", POWER_MAX))


def timestamp_from_json(value: Json, what: str) -> Timestamp:
    """Read what `Timestamp.as_json` wrote. Raises `Malformed`."""
    seconds, nanos = take(value, what, "seconds", "nanos")
    return Timestamp(
        as_integer(seconds, f"{what}.seconds", 0, SECONDS_MAX), as_integer(nanos, f"{what}.nanos", 0, 999_999_999)
    )


def block_id_from_json(value: Json, what: str) -> BlockId:
    """Read what `BlockId.as_json` wrote. Raises `Malformed`."""
    named, parts_total, parts_hash = take(value, what, "hash", "parts_total", "parts_hash")
    return BlockId(digest_from_hex(named, f"{what}.hash"), *_parts(parts_total, parts_hash, what))


def _parts(total: Json, root: Json, what: str) -> tuple[int, Digest]:
    return as_integer(total, f"{what}.parts_total", 1, PARTS_MAX), digest_from_hex(root, f"{what}.parts_hash")


def _app_hash(value: Json) -> bytes:
    if isinstance(value, str) and len(value) > 2 + 2 * APP_HASH_BYTES_MAX:
        raise Malformed("light.shape", f"header.app_hash is longer than {APP_HASH_BYTES_MAX} bytes; ours has 32")
    return from_hex(value, None, "header.app_hash")


def _signature(value: Json, validator: Validator) -> CommitSignature:
    if value is None:
        return ABSENT
    flag, time, signature = take(value, "vote", "flag", "time", "signature")
    return CommitSignature(
        Flag(as_integer(flag, "vote.flag", Flag.COMMIT, Flag.NIL)),
        validator.address,
        timestamp_from_json(time, "vote.time"),
        from_hex(signature, SIGNATURE_BYTES, "vote.signature"),
    )
