"""The methods of ABCI, each as a row: what its request says, which call of the application it is, how it is answered.

A row translates at once, so that a bad request is known before anything is called, and returns the call still to make.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from paraph.adapters.comet import abci_pb2 as pb
from paraph.adapters.comet import translate
from paraph.adapters.comet.application import Application, Checked

T = TypeVar("T")

Work: TypeAlias = Callable[[], pb.Response]
Later: TypeAlias = Coroutine[Any, Any, pb.Response]


def _info(application: Application, _request: pb.Request) -> Work:
    return lambda: translate.info(application.kept())


def _init_chain(application: Application, request: pb.Request) -> Work:
    genesis, powers = translate.initial_of(request.init_chain)
    return lambda: translate.begun(application.begin(genesis, powers), application.kept().version)


def _prepare_proposal(application: Application, request: pb.Request) -> Work:
    block, bytes_max = translate.to_prepare(request.prepare_proposal)
    return lambda: translate.proposal(application.propose(block, bytes_max))


def _process_proposal(application: Application, request: pb.Request) -> Work:
    block = translate.to_judge(request.process_proposal)
    return lambda: translate.judged(application.judge(block))


def _finalize_block(application: Application, request: pb.Request) -> Work:
    block = translate.to_finalize(request.finalize_block)

    def work() -> pb.Response:
        before = application.kept().version
        return translate.finalized(block, application.finalize(block), before)

    return work


def _commit(application: Application, _request: pb.Request) -> Work:
    return lambda: translate.committed(application.commit())


def _extend_vote(application: Application, request: pb.Request) -> Work:
    height, block_hash = translate.to_extend(request.extend_vote)
    return lambda: translate.extended(application.extend(height, block_hash))


def _verify_vote_extension(application: Application, request: pb.Request) -> Work:
    height, validator, extension = translate.to_judge_extension(request.verify_vote_extension)
    return lambda: translate.judged_extension(application.judge_extension(height, validator, extension))


def _offer_snapshot(application: Application, request: pb.Request) -> Work:
    snapshot, root = translate.offered_of(request.offer_snapshot)
    return lambda: translate.offered(application.offer(snapshot, root))


def _apply_snapshot_chunk(application: Application, request: pb.Request) -> Work:
    chunk = request.apply_snapshot_chunk
    return lambda: translate.applied(
        application.apply(chunk.index, chunk.chunk, chunk.sender), chunk.index, chunk.sender
    )


def _query(application: Application, request: pb.Request) -> Work:
    path, data, height, prove = translate.to_query(request.query)
    return lambda: translate.found(application.query(path, data, height, prove))


def _list_snapshots(application: Application, _request: pb.Request) -> Work:
    return lambda: translate.listed(application.snapshots())


def _load_snapshot_chunk(application: Application, request: pb.Request) -> Work:
    wanted = request.load_snapshot_chunk
    return lambda: translate.loaded(application.load(wanted.height, wanted.format, wanted.chunk))


def _check_tx(application: Application, request: pb.Request) -> pb.Response | Later:
    raw, again = translate.to_check(request.check_tx)
    return _answer(application.check(raw, again), translate.checked)


def _insert_tx(application: Application, request: pb.Request) -> pb.Response | Later:
    return _answer(application.insert(request.insert_tx.tx), translate.inserted)


def _reap_txs(application: Application, request: pb.Request) -> Later:
    wanted = request.reap_txs
    return _translated(application.reap(wanted.max_bytes, wanted.max_gas), translate.reaped)


def _answer(found: Checked | Awaitable[Checked], answer: Callable[[Checked], pb.Response]) -> pb.Response | Later:
    # Most of what the engine asks again is known: an answer at once costs no task.
    return answer(found) if isinstance(found, Checked) else _translated(found, answer)


async def _translated(found: Awaitable[T], answer: Callable[[T], pb.Response]) -> pb.Response:
    return answer(await found)


DRIVING: Final[Mapping[str, Callable[[Application, pb.Request], Work]]] = {
    "init_chain": _init_chain,
    "prepare_proposal": _prepare_proposal,
    "process_proposal": _process_proposal,
    "finalize_block": _finalize_block,
    "commit": _commit,
    "extend_vote": _extend_vote,
    "verify_vote_extension": _verify_vote_extension,
}
"""In the consensus thread, and for one connection at a time: two engines must never drive one application."""

CHANGING: Final[Mapping[str, Callable[[Application, pb.Request], Work]]] = {
    "info": _info,
    "offer_snapshot": _offer_snapshot,
    "apply_snapshot_chunk": _apply_snapshot_chunk,
}
"""In the consensus thread, for any connection. Info reads; it stands here so that no commit is under way meanwhile: an
engine told of the height before would play that block again, into an application that has it."""

READING: Final[Mapping[str, Callable[[Application, pb.Request], Work]]] = {
    "query": _query,
    "list_snapshots": _list_snapshots,
    "load_snapshot_chunk": _load_snapshot_chunk,
}
"""In the reading thread: a slow query keeps no block waiting."""

POOL: Final[Mapping[str, Callable[[Application, pb.Request], pb.Response | Later]]] = {
    "check_tx": _check_tx,
    "insert_tx": _insert_tx,
    "reap_txs": _reap_txs,
}
"""In the event loop, many at once; answered at once where nothing must be waited for."""
