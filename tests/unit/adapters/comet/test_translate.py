"""The engine's messages: every field arrives where it belongs, and a wrong one is refused where it enters."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.comet import abci_pb2 as pb
from paraph.adapters.comet import translate
from paraph.adapters.comet.application import Executed, Finalized, Found, Misbehaviour, Power, Proposed
from paraph.adapters.comet.methods import CHANGING, DRIVING, POOL, READING
from paraph.core.errors import Malformed
from paraph.core.limits import TIME_S_MAX

A, B, C = bytes(19) + b"a", bytes(19) + b"b", bytes(19) + b"c"
TIME = pb.Timestamp(seconds=1_700_000_000, nanos=999_999_999)


def vote(address: bytes, flag: pb.BlockIDFlag) -> pb.VoteInfo:
    return pb.VoteInfo(validator=pb.Validator(address=address, power=1), block_id_flag=flag)


def offence(**changed: object) -> pb.Misbehavior:
    fields: dict[str, object] = {
        "type": pb.MISBEHAVIOR_TYPE_DUPLICATE_VOTE,
        "validator": pb.Validator(address=B, power=3),
        "height": 4,
        "time": TIME,
        "total_voting_power": 9,
    }
    return pb.Misbehavior(**fields | changed)  # type: ignore[arg-type]


def decided(**changed: object) -> pb.RequestFinalizeBlock:
    fields: dict[str, object] = {
        "txs": [b"1", b"2"],
        "decided_last_commit": pb.CommitInfo(
            votes=[
                vote(A, pb.BLOCK_ID_FLAG_COMMIT),
                vote(B, pb.BLOCK_ID_FLAG_ABSENT),
                vote(C, pb.BLOCK_ID_FLAG_NIL),
            ]
        ),
        "misbehavior": [offence()],
        "height": 5,
        "time": TIME,
        "proposer_address": A,
    }
    return pb.RequestFinalizeBlock(**fields | changed)  # type: ignore[arg-type]


def test_block_arrives_whole() -> None:
    """Each part of a decided block stands in its place; a vote for nil is no absence; time is rounded down."""
    assert translate.to_finalize(decided()) == Proposed(
        height=5,
        time_s=1_700_000_000,
        proposer=A,
        transactions=(b"1", b"2"),
        absent=(B,),
        misbehaviour=(Misbehaviour(1, B, 3, 4, 1_700_000_000, 9),),
    )


def test_proposal_is_read_as_a_decided_block() -> None:
    """A proposed block and the same block decided are the same to the application."""
    block = decided()
    proposed = pb.RequestProcessProposal(
        txs=block.txs,
        proposed_last_commit=block.decided_last_commit,
        misbehavior=block.misbehavior,
        height=block.height,
        time=block.time,
        proposer_address=block.proposer_address,
    )

    assert translate.to_judge(proposed) == translate.to_finalize(block)


def test_extensions_of_those_who_voted() -> None:
    """Extensions come from signed votes for the block alone; an empty one that is signed counts."""
    commit, nil, absent = pb.BLOCK_ID_FLAG_COMMIT, pb.BLOCK_ID_FLAG_NIL, pb.BLOCK_ID_FLAG_ABSENT
    votes = [
        pb.ExtendedVoteInfo(
            validator=pb.Validator(address=address),
            vote_extension=extension,
            extension_signature=signature,
            block_id_flag=flag,
        )
        for address, extension, signature, flag in [
            (A, b"x", b"s", commit),
            (B, b"", b"s", commit),
            (C, b"y", b"", commit),
            (A, b"z", b"s", nil),
            (B, b"", b"", absent),
        ]
    ]
    request = pb.RequestPrepareProposal(
        max_tx_bytes=100, height=2, time=TIME, proposer_address=A, local_last_commit={"votes": votes}
    )

    block, bytes_max = translate.to_prepare(request)

    assert (block.extensions, block.absent, bytes_max) == (((A, b"x"), (B, b"")), (B,), 100)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"height": 0}, "comet.value"),
        ({"height": -1}, "comet.value"),
        ({"time": pb.Timestamp(seconds=-1)}, "comet.value"),
        ({"time": pb.Timestamp(seconds=TIME_S_MAX + 1)}, "comet.value"),
        ({"time": pb.Timestamp(seconds=1, nanos=1_000_000_000)}, "comet.value"),
        ({"time": pb.Timestamp(seconds=1, nanos=-1)}, "comet.value"),
        ({"proposer_address": A[:-1]}, "comet.address"),
        ({"decided_last_commit": pb.CommitInfo(votes=[vote(A, pb.BLOCK_ID_FLAG_UNKNOWN)])}, "comet.value"),
        ({"decided_last_commit": pb.CommitInfo(votes=[vote(b"", pb.BLOCK_ID_FLAG_ABSENT)])}, "comet.address"),
        ({"misbehavior": [offence(type=pb.MISBEHAVIOR_TYPE_UNKNOWN)]}, "comet.value"),
        ({"misbehavior": [offence(height=0)]}, "comet.value"),
        ({"misbehavior": [offence(total_voting_power=-1)]}, "comet.value"),
        ({"misbehavior": [offence(validator=pb.Validator(address=A, power=-1))]}, "comet.value"),
        ({"misbehavior": [offence(validator=pb.Validator(address=A + b"x", power=1))]}, "comet.address"),
    ],
    ids=[
        *("no height", "negative height", "time before", "time beyond", "nanoseconds beyond", "nanoseconds below"),
        *("proposer", "flag", "voter", "kind", "offence height", "total", "power", "offender"),
    ],
)
def test_wrong_field_is_refused(changed: dict[str, object], code: str) -> None:
    """A block with one field out of its range is malformed."""
    with pytest.raises(Malformed) as caught:
        translate.to_finalize(decided(**changed))

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("first", "key", "power", "code"),
    [
        (2, pb.PublicKey(ed25519=bytes(32)), 1, "comet.value"),
        (1, pb.PublicKey(ed25519=bytes(31)), 1, "comet.key"),
        (1, pb.PublicKey(secp256k1=bytes(32)), 1, "comet.key"),
        (1, pb.PublicKey(), 1, "comet.key"),
        (1, pb.PublicKey(ed25519=bytes(32)), 0, "comet.value"),
        (1, pb.PublicKey(ed25519=bytes(32)), 2**60, "comet.value"),
    ],
    ids=["height", "short key", "other key", "no key", "no votes", "too many votes"],
)
def test_wrong_beginning_is_refused(first: int, key: pb.PublicKey, power: int, code: str) -> None:
    """A chain begins at height 1, with ed25519 validators that have votes."""
    request = pb.RequestInitChain(initial_height=first, validators=[pb.ValidatorUpdate(pub_key=key, power=power)])

    with pytest.raises(Malformed) as caught:
        translate.initial_of(request)

    assert caught.value.code == code


def test_validators_of_the_beginning() -> None:
    """The genesis state and the first validators arrive as they are."""
    update = pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=bytes(32)), power=2**60 - 1)

    state, powers = translate.initial_of(
        pb.RequestInitChain(initial_height=1, app_state_bytes=b"{}", validators=[update])
    )

    assert (state, powers) == (b"{}", (Power(bytes(32), 2**60 - 1),))


READS: dict[str, Callable[[pb.Request], object]] = {
    "init_chain": lambda request: translate.initial_of(request.init_chain),
    "prepare_proposal": lambda request: translate.to_prepare(request.prepare_proposal),
    "process_proposal": lambda request: translate.to_judge(request.process_proposal),
    "finalize_block": lambda request: translate.to_finalize(request.finalize_block),
    "offer_snapshot": lambda request: translate.offered_of(request.offer_snapshot),
    "query": lambda request: translate.to_query(request.query),
    "check_tx": lambda request: translate.to_check(request.check_tx),
    "extend_vote": lambda request: translate.to_extend(request.extend_vote),
    "verify_vote_extension": lambda request: translate.to_judge_extension(request.verify_vote_extension),
}


@given(st.binary(max_size=400))
def test_any_bytes_are_a_request_or_malformed(data: bytes) -> None:
    """Arbitrary bytes are a request of a known method, or malformed; its translation too."""
    with suppress(Malformed):
        name, request = translate.request_of(data)
        if name in READS:
            READS[name](request)


@given(st.data())
def test_broken_messages_are_malformed(data: st.DataObject) -> None:
    """A real message with some bytes changed still gives a request or Malformed, nothing else."""
    whole = bytearray(pb.Request(finalize_block=decided()).SerializeToString())
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))

    with suppress(Malformed):
        name, request = translate.request_of(bytes(whole))
        if name in READS:
            READS[name](request)


def test_every_method_has_a_row() -> None:
    """Each method of the interface is answered by one row, except the two that the server answers itself."""
    rows = [*DRIVING, *CHANGING, *READING, *POOL, "echo", "flush"]

    assert sorted(rows) == sorted(field.name for field in pb.Request.DESCRIPTOR.fields)


NUMBERS = {  # of the specification: method, in Request, in Response
    "echo": (1, 2),
    "flush": (2, 3),
    "info": (3, 4),
    "init_chain": (5, 6),
    "query": (6, 7),
    "check_tx": (8, 9),
    "commit": (11, 12),
    "list_snapshots": (12, 13),
    "offer_snapshot": (13, 14),
    "load_snapshot_chunk": (14, 15),
    "apply_snapshot_chunk": (15, 16),
    "prepare_proposal": (16, 17),
    "process_proposal": (17, 18),
    "extend_vote": (18, 19),
    "verify_vote_extension": (19, 20),
    "finalize_block": (20, 21),
    "insert_tx": (21, 22),
    "reap_txs": (22, 23),
}


def test_methods_have_their_numbers() -> None:
    """The numbers of the methods are those of the specification."""
    requests = {field.name: field.number for field in pb.Request.DESCRIPTOR.fields}
    responses = {field.name: field.number for field in pb.Response.DESCRIPTOR.fields}

    assert {name: (requests[name], responses[name]) for name in requests} == NUMBERS
    assert responses.keys() - requests.keys() == {"exception"}


BLOCK = Proposed(1, 1, A, (b"t",))
RESULT = Executed(3, b"d", "l", 5, 4)


def test_finalized_says_the_version_when_it_changes() -> None:
    """The application version goes out with the block that changes it, and with no other."""
    done = Finalized((RESULT,), (Power(bytes(32), 0),), b"r", 8)

    changed = translate.finalized(BLOCK, done, 7).finalize_block
    same = translate.finalized(BLOCK, done, 8).finalize_block

    assert changed.consensus_param_updates.version.app == 8
    assert not same.HasField("consensus_param_updates")
    assert (same.app_hash, same.validator_updates[0].power, same.tx_results[0].data) == (b"r", 0, b"d")


def test_finalized_says_how_long_evidence_lasts_when_it_changes() -> None:
    """A new age of evidence goes out whole, its size with it: the engine would take what is left out for zero."""
    done = Finalized((RESULT,), (), b"r", 8, 7_200)

    alone = translate.finalized(BLOCK, done, 8).finalize_block.consensus_param_updates
    both = translate.finalized(BLOCK, done, 7).finalize_block.consensus_param_updates

    evidence = alone.evidence
    assert (evidence.max_age_num_blocks, evidence.max_age_duration.seconds) == (7_200, 7_200)
    assert evidence.max_bytes == translate.EVIDENCE_BYTES_MAX
    assert not alone.HasField("version")
    assert (both.version.app, both.evidence) == (8, evidence)


def test_results_are_as_many_as_transactions() -> None:
    """A block with a result missing is our fault and is never answered."""
    with pytest.raises(AssertionError):
        translate.finalized(BLOCK, Finalized((), (), b"r", 1), 1)


def test_verdicts_are_named() -> None:
    """A verdict that the engine does not know is our fault, not sent as its zero, which aborts."""
    with pytest.raises(AssertionError):
        translate.offered("perhaps")
    with pytest.raises(AssertionError):
        translate.applied("perhaps", 0, "")


def test_retry_asks_another() -> None:
    """A chunk to retry is fetched again, and not from who sent it."""
    answer = translate.applied("retry", 3, "peer").apply_snapshot_chunk

    assert (answer.result, list(answer.refetch_chunks), list(answer.reject_senders)) == (3, [3], ["peer"])


def test_found_carries_its_proof() -> None:
    """A query's proof operations arrive in their order."""
    answer = translate.found(Found(0, "", b"k", b"v", 9, (("a", b"1", b"2"), ("b", b"3", b"4")))).query

    assert [(op.type, op.key, op.data) for op in answer.proof_ops.ops] == [("a", b"1", b"2"), ("b", b"3", b"4")]
