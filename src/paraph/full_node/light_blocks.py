"""Light blocks from the engine's own words: its JSON, in which numbers are texts and hashes are bare hexadecimal.

What comes out is verified by whoever uses it; here only the form is read.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from paraph.core.encode import Json, JsonObject, as_decimal, as_integer, as_list, as_object, as_text
from paraph.core.errors import Malformed
from paraph.core.ident import DIGEST_BYTES, Digest
from paraph.proofs.light.limits import CHAIN_ID_BYTES_MAX, POWER_MAX, VALIDATORS_MAX
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
)

HEIGHT_MAX: Final = 2**63 - 1
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)


def light_block_from_engine(signed_header: JsonObject, validators: Sequence[JsonObject]) -> LightBlock:
    """Read what the engine's `/commit` and `/validators` say of one height. Raises `Malformed` (`comet.rpc_answer`)."""
    commit = as_object(signed_header.get("commit"), "commit")
    votes = as_list(commit.get("signatures"), "signatures", items_max=VALIDATORS_MAX)
    return LightBlock(
        _header(as_object(signed_header.get("header"), "header")),
        Commit(
            as_decimal(commit.get("height"), "commit.height", HEIGHT_MAX),
            as_integer(commit.get("round"), "commit.round"),
            _block_id(as_object(commit.get("block_id"), "commit.block_id")),
            tuple(_vote(as_object(vote, "vote")) for vote in votes),
        ),
        tuple(_validator(each) for each in validators),
    )


def _header(found: JsonObject) -> LightHeader:
    version = as_object(found.get("version"), "version")
    last = as_object(found.get("last_block_id"), "last_block_id")
    hashes = {name: Digest(_hex(found.get(name), name, DIGEST_BYTES)) for name in _HASHES}
    return LightHeader(
        version_block=as_decimal(version.get("block"), "version.block", HEIGHT_MAX),
        # The engine leaves a zero out.
        version_app=as_decimal(version.get("app", "0"), "version.app", HEIGHT_MAX),
        chain_id=as_text(found.get("chain_id"), "chain_id", bytes_max=CHAIN_ID_BYTES_MAX),
        height=as_decimal(found.get("height"), "height", HEIGHT_MAX),
        time=_time(found.get("time")),
        last_block_id=_block_id(last) if last.get("hash") else None,
        proposer=_hex(found.get("proposer_address"), "proposer_address", 20),
        **hashes,
    )


_HASHES: Final = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
)


def _vote(found: JsonObject) -> CommitSignature:
    flag = as_integer(found.get("block_id_flag"), "block_id_flag", Flag.ABSENT, Flag.NIL)
    if flag == Flag.ABSENT:
        return ABSENT
    address = _hex(found.get("validator_address"), "validator_address", 20)
    return CommitSignature(Flag(flag), address, _time(found.get("timestamp")), _base64(found.get("signature"), 64))


def _validator(found: JsonObject) -> Validator:
    key = as_object(found.get("pub_key"), "pub_key")
    if key.get("type") != "tendermint/PubKeyEd25519":
        raise Malformed("comet.rpc_answer", f"a validator's key is of the type {str(key.get('type'))[:60]}")
    return Validator(_base64(key.get("value"), 32), as_decimal(found.get("voting_power"), "voting_power", POWER_MAX))


def _block_id(found: JsonObject) -> BlockId:
    parts = as_object(found.get("parts"), "parts")
    total = as_integer(parts.get("total"), "parts.total")
    hashes = (Digest(_hex(each.get("hash"), "hash", DIGEST_BYTES)) for each in (found, parts))
    return BlockId(next(hashes), total, next(hashes))


def _time(value: Json) -> Timestamp:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Malformed("comet.rpc_answer", f"not a time in UTC: {str(value)[:60]}")
    whole, part = found.groups()
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return Timestamp(seconds, int((part or "").ljust(9, "0")))


def _hex(value: Json, what: str, size: int) -> bytes:
    try:
        found = bytes.fromhex(as_text(value, what, bytes_max=2 * size))
    except ValueError as error:
        raise Malformed("comet.rpc_answer", f"{what} is not hexadecimal") from error
    if len(found) != size:
        raise Malformed("comet.rpc_answer", f"{what} is {size} bytes, not {len(found)}")
    return found


def _base64(value: Json, size: int) -> bytes:
    try:
        found = base64.b64decode(as_text(value, "base64", bytes_max=2 * size), validate=True)
    except (ValueError, binascii.Error) as error:
        raise Malformed("comet.rpc_answer", "a key or a signature is not base64") from error
    if len(found) != size:
        raise Malformed("comet.rpc_answer", f"a key or a signature is {size} bytes, not {len(found)}")
    return found
