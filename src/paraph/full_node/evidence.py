"""Evidence in the engine's own words: its JSON, in which numbers are texts and each kind of thing has a name.

The counterpart of `light_blocks.py`. What goes in has been judged; the engine judges it once more, as does every other.
"""

import base64
from datetime import UTC, datetime

from paraph.adapters.comet.keys import public_json
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import must
from paraph.proofs.light import wire
from paraph.proofs.light.conflict import Attack, DuplicateVote, Vote, total_power
from paraph.proofs.light.types import BlockId, CommitSignature, Flag, LightBlock, LightHeader, Timestamp, Validator


def duplicate_vote_evidence(pair: DuplicateVote, truth: LightBlock) -> JsonObject:
    """Two votes of one validator, with what this chain says of it: the block of that height that is true here."""
    place = next((place for place, each in enumerate(truth.validators) if each.key == pair.key), None)
    must(place is not None and pair.height == truth.header.height, "the pair is of a validator of that height")
    first, second = sorted((pair.first, pair.second), key=_order)
    validator = truth.validators[place or 0]
    value: JsonObject = {
        "vote_a": _vote(pair, first, validator, place or 0),
        "vote_b": _vote(pair, second, validator, place or 0),
        "TotalVotingPower": str(total_power(truth)),
        "ValidatorPower": str(validator.power),
        "Timestamp": _time(truth.header.time),
    }
    return {"type": "tendermint/DuplicateVoteEvidence", "value": value}


def attack_evidence(attack: Attack) -> JsonObject:
    """A false block that validators signed."""
    block = attack.conflicting
    validators: list[Json] = [_validator(each) for each in block.validators]
    byzantine: list[Json] = [_validator(each) for each in attack.byzantine]
    value: JsonObject = {
        "ConflictingBlock": {
            "signed_header": {"header": _header(block.header), "commit": _commit(block)},
            # Who would have proposed next is no part of a set's hash; the engine only wants somebody of the set.
            "validator_set": {"validators": validators, "proposer": validators[0]},
        },
        "CommonHeight": str(attack.common_height),
        "ByzantineValidators": byzantine,
        "TotalVotingPower": str(attack.total_power),
        "Timestamp": _time(attack.time),
    }
    return {"type": "tendermint/LightClientAttackEvidence", "value": value}


def _order(vote: Vote) -> bytes:
    """As the engine sorts the two votes: by the hash, then by the protobuf of the parts; no block comes first."""
    named = vote.block_id
    return b"" if named is None else named.hash + wire.number(1, named.parts_total) + wire.data(2, named.parts_hash)


def _vote(pair: DuplicateVote, vote: Vote, validator: Validator, place: int) -> JsonObject:
    return {
        "type": wire.PRECOMMIT,
        "height": str(pair.height),
        "round": pair.round,
        "block_id": _block_id(vote.block_id),
        "timestamp": _time(vote.time),
        "validator_address": _hex(validator.address),
        "validator_index": place,
        "signature": _base64(vote.signature),
    }


def _header(header: LightHeader) -> JsonObject:
    return {
        "version": {"block": str(header.version_block), "app": str(header.version_app)},
        "chain_id": header.chain_id,
        "height": str(header.height),
        "time": _time(header.time),
        "last_block_id": _block_id(header.last_block_id),
        "last_commit_hash": _hex(header.last_commit_hash),
        "data_hash": _hex(header.data_hash),
        "validators_hash": _hex(header.validators_hash),
        "next_validators_hash": _hex(header.next_validators_hash),
        "consensus_hash": _hex(header.consensus_hash),
        "app_hash": _hex(header.app_hash),
        "last_results_hash": _hex(header.last_results_hash),
        "evidence_hash": _hex(header.evidence_hash),
        "proposer_address": _hex(header.proposer),
    }


def _commit(block: LightBlock) -> JsonObject:
    commit = block.commit
    return {
        "height": str(commit.height),
        "round": commit.round,
        "block_id": _block_id(commit.block_id),
        "signatures": [_signature(vote) for vote in commit.signatures],
    }


def _signature(vote: CommitSignature) -> JsonObject:
    if vote.flag is Flag.ABSENT:
        # The year 1 is the engine's own zero of time.
        return {
            "block_id_flag": int(vote.flag),
            "validator_address": "",
            "timestamp": "0001-01-01T00:00:00Z",
            "signature": None,
        }
    return {
        "block_id_flag": int(vote.flag),
        "validator_address": _hex(vote.validator),
        "timestamp": _time(vote.time),
        "signature": _base64(vote.signature),
    }


def _validator(validator: Validator) -> JsonObject:
    return {
        "address": _hex(validator.address),
        "pub_key": public_json(validator.key),
        "voting_power": str(validator.power),
        "proposer_priority": "0",
    }


def _block_id(named: BlockId | None) -> JsonObject:
    if named is None:
        return {"hash": "", "parts": {"total": 0, "hash": ""}}
    return {"hash": _hex(named.hash), "parts": {"total": named.parts_total, "hash": _hex(named.parts_hash)}}


def _time(time: Timestamp) -> str:
    return f"{datetime.fromtimestamp(time.seconds, UTC):%Y-%m-%dT%H:%M:%S}.{time.nanos:09d}Z"


def _hex(value: bytes) -> str:
    return value.hex().upper()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
