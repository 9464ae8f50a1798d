"""Holding a price until its proof comes, taking the proof, and what happens when it does not come.

A proof is about up to 1024 requests of one model and one node. It is taken whole or not at all:
 1. it names 1 to 1024 requests, and a mode that is known;
 2. each is due: of the same node, of this model, promised with this commitment, and not past its last block;
 3. the beacon is the hash of a recent block, no earlier than any of them was settled;
 4. the work is paid for, and the block has room for it;
 5. the verifier accepts the proof of exactly this statement;
 6. each price is split as a settlement splits it, and a record says what was proven.

Not checked: on which inputs the model ran. They are hidden behind the commitments; who asked can check theirs.
"""

from typing import Final, TypeAlias

from paraph.core import abi
from paraph.core.amount import Wei
from paraph.core.errors import Malformed, Rejected, Unverified
from paraph.core.ident import Address, Digest, ModelId, RequestKey
from paraph.ledger.contract import Call
from paraph.ledger.rooms.accounts import rules as accounts
from paraph.ledger.rooms.escrow import rules as escrow
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.rooms.models import exact as exact_models
from paraph.ledger.rooms.models.keys import GRAPH_WORK
from paraph.ledger.rooms.models.payment import Payment, pay
from paraph.ledger.rooms.models.work import spend
from paraph.ledger.rooms.nodes import rules as nodes
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import PROOF_SLASH_BPS
from paraph.ledger.rooms.proofs.keys import (
    ADDRESS,
    COUNTS,
    DUE_COUNT,
    DUES,
    MISSED,
    MISSED_COUNT,
    PROVEN,
    PROVEN_COUNT,
)
from paraph.ledger.rooms.proofs.types import Due
from paraph.proofs.header import hash_key
from paraph.proofs.promised import Promise
from paraph.proofs.records import Proven
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import COUNT_MAX, Entry, Mode, Statement

PROMISED = abi.event(
    "ProofPromised(bytes32 indexed requestKey, address indexed payer, address indexed node, bytes32 modelId,"
    " uint64 due)"
)
ACCEPTED = abi.event(
    "ProofAccepted(bytes32 indexed batchRoot, address indexed node, bytes32 indexed modelId, uint8 mode, uint32 size)"
)
PROVEN_EVENT = abi.event("ReceiptProven(bytes32 indexed requestKey, address indexed payer, address indexed node)")
MISSED_EVENT = abi.event(
    "ProofMissed(bytes32 indexed requestKey, address indexed payer, address indexed node, uint256 refund,"
    " uint256 slashed)"
)

GAS_PER_ITEM: Final = 15_000
"""Of one request: a record read, one removed and one written, and what pays or refunds it. The most of a proof fit."""
BEACON_AGE_MAX: Final = 256
"""Blocks: as far back as Ethereum's BLOCKHASH looks."""

Item: TypeAlias = tuple[Address, RequestKey, Digest]
Place: TypeAlias = tuple[Address, RequestKey]


def hold(call: Call, payer: Address, key: RequestKey, due: Due) -> None:
    """Hold what a settlement debited until the proof comes. The escrow's account has been told already."""
    accounts.move(call.state, ESCROW, ADDRESS, due.price)
    nodes.count_promises(call.state, due.node, 1)
    DUES.put(call.state, payer + key, due)
    COUNTS.add(call.state, DUE_COUNT, 1)
    call.emit(ADDRESS, PROMISED, key, payer, due.node, due.model_id, due.due)


def prove(call: Call, model_id: ModelId, mode: int, height: int, items: tuple[Item, ...], proof: bytes) -> None:
    """`prove`: anyone may bring a proof; the money goes where the receipts say."""
    # 1
    _need_count(call, len(items))
    if mode not in tuple(Mode):
        raise Rejected("proofs.mode", f"a proof is of mode 1 (succinct) or 2 (hiding), not {mode}")
    record = exact_models.registered(call.state, model_id)
    # 2
    dues = [_awaited(call, model_id, item) for item in items]
    node = dues[0].node
    if any(due.node != node for due in dues):
        raise Rejected("proofs.node", "a proof is about requests of one node; these are of several")
    entries = tuple(Entry(Digest(key), commitment) for _, key, commitment in items)
    # 3
    beacon = _beacon(call, height, max(due.height for due in dues))
    exact = exact_models.whole(call.state, record)
    statement = Statement(Mode(mode), exact, node, call.facts.chain_id, beacon, entries)
    # 4: to lay a proof out takes work of its own, known from the registration and paid for before it is done
    planned = GRAPH_WORK.get(call.state, record.graph)
    spend(call, planned)
    spend(call, max(plan(exact.graph, len(entries), statement.mode).cost - planned, 0))
    # 5
    try:
        call.checks.zk(statement, proof)
    except (Unverified, Malformed) as error:
        # One sentence for whatever is wrong: verifiers may word it differently, and results are part of consensus.
        raise Rejected("proofs.unverified", "the proof does not hold: a verifier that has it says why") from error
    # 6
    taken = Proven(mode, record.id, statement.batch_root, len(entries), beacon, call.facts.height)
    for (payer, key, _), due in zip(items, dues, strict=True):
        DUES.remove(call.state, payer + key)
        PROVEN.put(call.state, payer + key, taken)
        pay(call, ADDRESS, Payment(key, model_id, node, Wei(due.price)))
        call.emit(call.to, PROVEN_EVENT, key, payer, node)
    nodes.count_promises(call.state, node, -len(items))
    COUNTS.add(call.state, DUE_COUNT, -len(items))
    COUNTS.add(call.state, PROVEN_COUNT, len(items))
    call.emit(call.to, ACCEPTED, taken.batch, node, model_id, mode, taken.size)


def expire(call: Call, places: tuple[Place, ...]) -> None:
    """`expire`: after the last block anyone may say so. The payer has everything back, the node's bond is smaller."""
    _need_count(call, len(places))
    for payer, key in places:
        due = _due(call, payer, key)
        if call.facts.height <= due.due:
            raise Rejected(
                "proofs.early", f"the proof is due until block {due.due}; it is {call.facts.height}", due=due.due
            )
        DUES.remove(call.state, payer + key)
        MISSED.put(call.state, payer + key, call.facts.height)
        nodes.count_promises(call.state, due.node, -1)
        accounts.move(call.state, ADDRESS, ESCROW, due.price)
        escrow.credit(call.state, payer, due.price)
        lost = nodes.slash(call, due.node, params.get(call.state, PROOF_SLASH_BPS))
        call.emit(call.to, MISSED_EVENT, key, payer, due.node, due.price, lost)
    COUNTS.add(call.state, DUE_COUNT, -len(places))
    COUNTS.add(call.state, MISSED_COUNT, len(places))


def _need_count(call: Call, count: int) -> None:
    if not 0 < count <= COUNT_MAX:
        raise Rejected("proofs.size", f"1 to {COUNT_MAX} requests are named at once, not {count}")
    call.charge(GAS_PER_ITEM * count)


def _due(call: Call, payer: Address, key: RequestKey) -> Due:
    found = DUES.get(call.state, payer + key)
    if found is None:
        raise Rejected("proofs.unknown", f"no proof is due for the request 0x{key.hex()} of 0x{payer.hex()}")
    return found


def _awaited(call: Call, model_id: ModelId, item: Item) -> Due:
    payer, key, commitment = item
    due = _due(call, payer, key)
    if due.model_id != model_id:
        raise Rejected("proofs.model", f"the request 0x{key.hex()} is of another model, 0x{due.model_id.hex()}")
    if Promise(commitment, due.due).digest() != due.evidence:
        raise Rejected("proofs.promise", f"the commitment for 0x{key.hex()} is not what its receipt promised to prove")
    if call.facts.height > due.due:
        raise Rejected("proofs.late", f"the proof of 0x{key.hex()} was due at block {due.due}", due=due.due)
    return due


def _beacon(call: Call, height: int, settled: int) -> Digest:
    """The hash of the block of that height. A block's own hash, and its parent's, are not known within it."""
    first, last = max(settled, call.facts.height - BEACON_AGE_MAX), call.facts.height - 2
    if not first <= height <= last:
        raise Rejected(
            "proofs.beacon",
            f"the beacon is of block {height}; it must be from {first}, where all were settled, to {last}",
            first=first,
            last=last,
        )
    return Digest(call.state.get(hash_key(height)) or b"")


def read_due(call: Call, payer: Address, key: RequestKey) -> tuple[object, ...]:
    """`due`: a proof that is due. Raises `Rejected` (`proofs.unknown`)."""
    found = _due(call, payer, key)
    return (
        found.node,
        found.model_id,
        found.price,
        found.price_version,
        found.evidence,
        found.due,
        found.receipt_height,
        found.height,
        found.batch,
        found.index,
    )


def read_proven(call: Call, payer: Address, key: RequestKey) -> tuple[object, ...]:
    """`proven`: what was proven of a request. Raises `Rejected` (`proofs.unknown`)."""
    found = PROVEN.get(call.state, payer + key)
    if found is None:
        raise Rejected("proofs.unknown", "no proof of this request was taken")
    return found.mode, found.exact, found.batch, found.size, found.beacon, found.height


def read_missed(call: Call, payer: Address, key: RequestKey) -> int:
    """`missed`: the block that noted that a request's proof did not come; 0 for none."""
    return MISSED.get(call.state, payer + key)


def counts(call: Call) -> tuple[int, int, int]:
    """`counts`: requests whose proofs are due, were taken, were missed."""
    due, proven, missed = (COUNTS.get(call.state, name) for name in (DUE_COUNT, PROVEN_COUNT, MISSED_COUNT))
    return due, proven, missed
