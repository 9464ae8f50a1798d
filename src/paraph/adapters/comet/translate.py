"""Between the engine's messages and the plain values of an application; everything the engine says is checked here.

The engine is ours and still not believed: what it passes on came from other validators, and a wrong height or a
truncated address would otherwise surface far from here.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.message import DecodeError

from paraph.adapters.comet import abci_pb2 as pb
from paraph.adapters.comet.application import (
    Checked,
    Finalized,
    Found,
    Kept,
    Misbehaviour,
    Power,
    Proposed,
    Snapshot,
)
from paraph.core.errors import Malformed, must
from paraph.core.limits import TIME_S_MAX

HEIGHT_MAX: Final = 2**63 - 1
POWER_MAX: Final = 2**60 - 1
"""Votes in all: the engine stops at (2^63 − 1) // 8."""
EVIDENCE_BYTES_MAX: Final = 256 * 1024
"""Evidence in one block: some 500 double signatures."""
ADDRESS_BYTES: Final = 20
KEY_BYTES: Final = 32

OFFERED: Final[Mapping[str, pb.ResponseOfferSnapshot.Result]] = {
    "accept": pb.ResponseOfferSnapshot.ACCEPT,
    "abort": pb.ResponseOfferSnapshot.ABORT,
    "reject": pb.ResponseOfferSnapshot.REJECT,
    "reject_format": pb.ResponseOfferSnapshot.REJECT_FORMAT,
}
APPLIED: Final[Mapping[str, pb.ResponseApplySnapshotChunk.Result]] = {
    "accept": pb.ResponseApplySnapshotChunk.ACCEPT,
    "abort": pb.ResponseApplySnapshotChunk.ABORT,
    "retry": pb.ResponseApplySnapshotChunk.RETRY,
    "retry_snapshot": pb.ResponseApplySnapshotChunk.RETRY_SNAPSHOT,
    "reject_snapshot": pb.ResponseApplySnapshotChunk.REJECT_SNAPSHOT,
}

# --- requests ----------------------------------------------------------------------------------------------------


def request_of(message: bytes) -> tuple[str, pb.Request]:
    """A request and the name of its method.

    Raises:
        Malformed: `comet.message`: not a protobuf message. `comet.method`: of no method we know.
    """
    request = pb.Request()
    try:
        request.ParseFromString(message)
    except DecodeError as error:
        raise Malformed("comet.message", f"{len(message)} bytes from the engine are no ABCI request") from error
    name = request.WhichOneof("value")
    if name is None:
        raise Malformed("comet.method", "the engine asked for a method that ABCI 2.0 does not have")
    return name, request


def initial_of(request: pb.RequestInitChain) -> tuple[bytes, tuple[Power, ...]]:
    """The application's genesis state and the first validators."""
    _within("the first height", request.initial_height, 1, 1)
    return request.app_state_bytes, tuple(_power_of(update) for update in request.validators)


def to_prepare(request: pb.RequestPrepareProposal) -> tuple[Proposed, int]:
    """The block to prepare, and how many bytes its transactions may take."""
    votes = request.local_last_commit.votes
    block = Proposed(
        height=_height_of(request.height),
        time_s=_time_of(request.time),
        proposer=_address_of(request.proposer_address),
        transactions=tuple(request.txs),
        absent=_absent_of(votes),
        misbehaviour=tuple(_misbehaviour_of(item) for item in request.misbehavior),
        # Where vote extensions are off nobody signs one; where they are on, even an empty one is signed.
        extensions=tuple(
            (_address_of(vote.validator.address), vote.vote_extension)
            for vote in votes
            if vote.block_id_flag == pb.BLOCK_ID_FLAG_COMMIT and vote.extension_signature
        ),
    )
    return block, _within("the bytes of a block", request.max_tx_bytes, 0, HEIGHT_MAX)


def to_judge(request: pb.RequestProcessProposal) -> Proposed:
    """The block that another validator proposes."""
    return _block_of(request, request.proposed_last_commit)


def to_finalize(request: pb.RequestFinalizeBlock) -> Proposed:
    """The block that was decided."""
    return _block_of(request, request.decided_last_commit)


def to_extend(request: pb.RequestExtendVote) -> tuple[int, bytes]:
    """The height and the block's hash."""
    return _height_of(request.height), request.hash


def to_judge_extension(request: pb.RequestVerifyVoteExtension) -> tuple[int, bytes, bytes]:
    """The height, the validator's address, and its extension."""
    return _height_of(request.height), _address_of(request.validator_address), request.vote_extension


def to_check(request: pb.RequestCheckTx) -> tuple[bytes, bool]:
    """The raw transaction, and whether it was checked before."""
    _within("a kind of check", request.type, pb.CHECK_TX_TYPE_NEW, pb.CHECK_TX_TYPE_RECHECK)
    return request.tx, request.type == pb.CHECK_TX_TYPE_RECHECK


def to_query(request: pb.RequestQuery) -> tuple[str, bytes, int, bool]:
    """The path, data, height (0 is the newest), and whether a proof is wanted.

    Strangers write these, through the engine's RPC: a height that cannot be is the newest.
    """
    return request.path, request.data, max(request.height, 0), request.prove


def offered_of(request: pb.RequestOfferSnapshot) -> tuple[Snapshot, bytes]:
    """The snapshot offered, and the root that the engine's light client verified for its height."""
    snapshot = request.snapshot
    height = _height_of(snapshot.height)
    return Snapshot(height, snapshot.format, snapshot.chunks, snapshot.hash, snapshot.metadata), request.app_hash


def _block_of(request: pb.RequestProcessProposal | pb.RequestFinalizeBlock, last: pb.CommitInfo) -> Proposed:
    return Proposed(
        height=_height_of(request.height),
        time_s=_time_of(request.time),
        proposer=_address_of(request.proposer_address),
        transactions=tuple(request.txs),
        absent=_absent_of(last.votes),
        misbehaviour=tuple(_misbehaviour_of(item) for item in request.misbehavior),
    )


def _absent_of(votes: Iterable[pb.VoteInfo | pb.ExtendedVoteInfo]) -> tuple[bytes, ...]:
    absent = []
    for vote in votes:
        _within("a vote's flag", vote.block_id_flag, pb.BLOCK_ID_FLAG_ABSENT, pb.BLOCK_ID_FLAG_NIL)
        # A vote for nil is a vote: who casts it is there.
        if vote.block_id_flag == pb.BLOCK_ID_FLAG_ABSENT:
            absent.append(_address_of(vote.validator.address))
    return tuple(absent)


def _misbehaviour_of(item: pb.Misbehavior) -> Misbehaviour:
    first, last = pb.MISBEHAVIOR_TYPE_DUPLICATE_VOTE, pb.MISBEHAVIOR_TYPE_LIGHT_CLIENT_ATTACK
    return Misbehaviour(
        kind=_within("a kind of misbehaviour", item.type, first, last),
        validator=_address_of(item.validator.address),
        power=_within("a voting power", item.validator.power, 0, POWER_MAX),
        height=_height_of(item.height),
        time_s=_time_of(item.time),
        total=_within("the whole voting power", item.total_voting_power, 0, POWER_MAX),
    )


def _power_of(update: pb.ValidatorUpdate) -> Power:
    if update.pub_key.WhichOneof("sum") != "ed25519" or len(update.pub_key.ed25519) != KEY_BYTES:
        raise Malformed("comet.key", "a validator's key must be an ed25519 key of 32 bytes")
    return Power(update.pub_key.ed25519, _within("a voting power", update.power, 1, POWER_MAX))


def _time_of(time: pb.Timestamp) -> int:
    _within("a time's nanoseconds", time.nanos, 0, 999_999_999)
    return _within("a time", time.seconds, 0, TIME_S_MAX)


def _height_of(height: int) -> int:
    return _within("a height", height, 1, HEIGHT_MAX)


def _address_of(address: bytes) -> bytes:
    if len(address) != ADDRESS_BYTES:
        raise Malformed("comet.address", f"a validator's address is {ADDRESS_BYTES} bytes, not {len(address)}")
    return address


def _within(what: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise Malformed("comet.value", f"{what} must be from {low} to {high}, not {value}")
    return value


# --- responses ---------------------------------------------------------------------------------------------------


def failed(sentence: str) -> pb.Response:
    """What ends a connection: the engine logs the sentence and stops."""
    return pb.Response(exception=pb.ResponseException(error=sentence))


def info(kept: Kept) -> pb.Response:
    """Answer Info."""
    return pb.Response(
        info=pb.ResponseInfo(
            data="paraph",
            app_version=kept.version,
            last_block_height=kept.height,
            last_block_app_hash=kept.root,
        )
    )


def begun(root: bytes, version: int) -> pb.Response:
    """Answer InitChain. The version is said here too: the engine would go back to the genesis's at the next change."""
    return pb.Response(init_chain=pb.ResponseInitChain(consensus_params=_version(version), app_hash=root))


def proposal(transactions: tuple[bytes, ...]) -> pb.Response:
    """Answer PrepareProposal."""
    return pb.Response(prepare_proposal=pb.ResponsePrepareProposal(txs=transactions))


def judged(why_not: str) -> pb.Response:
    """Answer ProcessProposal."""
    kind = pb.ResponseProcessProposal
    return pb.Response(process_proposal=kind(status=kind.REJECT if why_not else kind.ACCEPT))


def finalized(block: Proposed, done: Finalized, before: int) -> pb.Response:
    """Answer FinalizeBlock. The engine's parameters go out only where they change; the version was as `before`.

    The engine would take them at every block, and store all of them anew each time.
    """
    must(len(done.results) == len(block.transactions), "a block has one result for each of its transactions")
    return pb.Response(
        finalize_block=pb.ResponseFinalizeBlock(
            tx_results=(
                pb.ExecTxResult(
                    code=result.code,
                    data=result.data,
                    log=result.log,
                    gas_wanted=result.gas_wanted,
                    gas_used=result.gas_used,
                )
                for result in done.results
            ),
            validator_updates=(
                pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=power.key), power=power.power) for power in done.powers
            ),
            consensus_param_updates=_changed(done, before),
            app_hash=done.root,
        )
    )


def committed(retain_height: int) -> pb.Response:
    """Answer Commit."""
    return pb.Response(commit=pb.ResponseCommit(retain_height=retain_height))


def extended(extension: bytes) -> pb.Response:
    """Answer ExtendVote."""
    return pb.Response(extend_vote=pb.ResponseExtendVote(vote_extension=extension))


def judged_extension(why_not: str) -> pb.Response:
    """Answer VerifyVoteExtension."""
    kind = pb.ResponseVerifyVoteExtension
    return pb.Response(verify_vote_extension=kind(status=kind.REJECT if why_not else kind.ACCEPT))


def checked(result: Checked) -> pb.Response:
    """Answer CheckTx."""
    return pb.Response(
        check_tx=pb.ResponseCheckTx(code=result.code, log=result.log, gas_wanted=result.gas_wanted),
    )


def inserted(result: Checked) -> pb.Response:
    """Answer InsertTx."""
    return pb.Response(insert_tx=pb.ResponseInsertTx(code=result.code))


def reaped(transactions: tuple[bytes, ...]) -> pb.Response:
    """Answer ReapTxs."""
    return pb.Response(reap_txs=pb.ResponseReapTxs(txs=transactions))


def found(result: Found) -> pb.Response:
    """Answer Query."""
    return pb.Response(
        query=pb.ResponseQuery(
            code=result.code,
            log=result.log,
            key=result.key,
            value=result.value,
            height=result.height,
            proof_ops=pb.ProofOps(ops=(pb.ProofOp(type=kind, key=key, data=data) for kind, key, data in result.proof)),
        )
    )


def listed(snapshots: tuple[Snapshot, ...]) -> pb.Response:
    """Answer ListSnapshots."""
    return pb.Response(
        list_snapshots=pb.ResponseListSnapshots(
            snapshots=(
                pb.Snapshot(
                    height=item.height,
                    format=item.format,
                    chunks=item.chunks,
                    hash=item.hash,
                    metadata=item.metadata,
                )
                for item in snapshots
            )
        )
    )


def loaded(chunk: bytes) -> pb.Response:
    """Answer LoadSnapshotChunk."""
    return pb.Response(load_snapshot_chunk=pb.ResponseLoadSnapshotChunk(chunk=chunk))


def offered(verdict: str) -> pb.Response:
    """Answer OfferSnapshot."""
    must(verdict in OFFERED, "a snapshot's verdict is one of the four")
    return pb.Response(offer_snapshot=pb.ResponseOfferSnapshot(result=OFFERED[verdict]))


def applied(verdict: str, index: int, sender: str) -> pb.Response:
    """Answer ApplySnapshotChunk. A chunk to retry is asked of others than the one who sent it."""
    must(verdict in APPLIED, "a chunk's verdict is one of the five")
    again = verdict == "retry"
    return pb.Response(
        apply_snapshot_chunk=pb.ResponseApplySnapshotChunk(
            result=APPLIED[verdict],
            refetch_chunks=(index,) if again else (),
            reject_senders=(sender,) if again and sender else (),
        )
    )


def _changed(done: Finalized, before: int) -> pb.ConsensusParams | None:
    if done.version == before and done.evidence_s_max is None:
        return None
    return pb.ConsensusParams(
        version=None if done.version == before else pb.VersionParams(app=done.version),
        evidence=None if done.evidence_s_max is None else _evidence(done.evidence_s_max),
    )


def _evidence(s_max: int) -> pb.EvidenceParams:
    # The engine takes all three or none: one left out would become zero.
    return pb.EvidenceParams(
        max_age_num_blocks=s_max, max_age_duration=pb.Duration(seconds=s_max), max_bytes=EVIDENCE_BYTES_MAX
    )


def _version(version: int) -> pb.ConsensusParams:
    return pb.ConsensusParams(version=pb.VersionParams(app=version))
