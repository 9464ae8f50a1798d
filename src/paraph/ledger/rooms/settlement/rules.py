"""Settling a batch: every receipt is verified by its layer, its payer debited once, the price split.

For each receipt, in order (a bad one rejects itself alone, with its reason in an event):
 1. its request was not settled before;
 2. the payer signed the request; the receipt answers it, within cap and deadline;
 3. the receipt's signer signed it, and is the node's key for its layer (a hot key, or one that an enclave vouched
    for), valid at the height the receipt names; a closed key settles what it may have signed in time, and nothing
    later, whatever height its receipts name;
 4. it is in time: begun within a request's longest life before the deadline, settled within the settle window after
    it, and not from the future;
 5. the model offers the layer; where a proof is promised, it is registered what the model computes exactly, a bond
    stands for the promise, and the node has half of the window left to prove it;
 6. the price is the model's schedule, in force when the work began, applied to the units used;
 7. the payer's escrow covers it: debit, and split between owner, operator, stakers' pool and treasury; where a proof
    is promised, the price is held until it comes.
"""

from paraph.core import abi
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import Address, RequestKey
from paraph.core.limits import ENCLAVE_SLACK_S, RECEIPTS_PER_BATCH_MAX, REQUEST_LIFETIME_S_MAX
from paraph.core.merkle import root
from paraph.ledger.contract import Call
from paraph.ledger.rooms.escrow import rules as escrow
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.rooms.models import rules as models
from paraph.ledger.rooms.models.keys import EXACT
from paraph.ledger.rooms.models.payment import Payment, pay
from paraph.ledger.rooms.nodes import rules as nodes
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import CLOCK_DRIFT_S, PROOF_WINDOW, SETTLE_WINDOW_S
from paraph.ledger.rooms.proofs import rules as proofs
from paraph.ledger.rooms.proofs.types import Due
from paraph.ledger.rooms.settlement.keys import BATCH_COUNT, BATCHES, SETTLED
from paraph.ledger.rooms.settlement.types import Settlement
from paraph.proofs.receipt import Receipt, SignedReceipt, receipt_from_values
from paraph.proofs.records import Batch
from paraph.proofs.request import Layer, SignedRequest, request_from_values

SETTLED_EVENT = abi.event(
    "ReceiptSettled(bytes32 indexed requestKey, address indexed payer, address indexed node, bytes32 modelId,"
    " uint256 price, uint64 batch, uint32 index)"
)
REFUSED = abi.event(
    "ReceiptRejected(bytes32 indexed requestKey, address indexed payer, address indexed node, string code)"
)
BATCH_SETTLED = abi.event("BatchSettled(uint64 indexed batch, bytes32 root, uint32 size)")

GAS_PER_RECEIPT = 20_000
"""Gas for one receipt beyond its bytes: two recoveries of a signer (3 000 each on Ethereum) and six state writes."""


def settle(
    call: Call, items: tuple[tuple[tuple[object, ...], bytes, tuple[object, ...], bytes], ...]
) -> tuple[int, int]:
    """`settle`: anyone may bring a batch; the money goes where the receipts say.

    Returns:
        how many receipts were accepted, and the batch's number (0 when none was).
    """
    if not 0 < len(items) <= RECEIPTS_PER_BATCH_MAX:
        raise Rejected("settlement.size", f"a batch holds 1 to {RECEIPTS_PER_BATCH_MAX} receipts, not {len(items)}")
    call.charge(GAS_PER_RECEIPT * len(items))
    batch = BATCH_COUNT.get(call.state) + 1
    leaves: list[bytes] = []
    for item in items:
        key, payer, node = RequestKey(bytes(item[0][0])), Address(bytes(item[0][1])), Address(bytes(item[0][2]))  # type: ignore[call-overload]
        try:
            receipt = _verified(call, item)
            _pay(call, receipt, batch, len(leaves))
        except (Rejected, Malformed) as error:
            call.emit(call.to, REFUSED, key, payer, node, error.code)
            continue
        SETTLED.put(call.state, payer + key, Settlement(batch, len(leaves), receipt.price))
        place = (receipt.model_id, receipt.price, batch, len(leaves))
        call.emit(call.to, SETTLED_EVENT, key, payer, node, *place)
        leaves.append(receipt.hash())
    if not leaves:
        return 0, 0
    BATCH_COUNT.put(call.state, b"", batch)
    record = Batch(root(leaves), len(leaves), call.facts.height, call.facts.time_s)
    BATCHES.put(call.state, batch.to_bytes(8, "big"), record)
    call.emit(call.to, BATCH_SETTLED, batch, record.root, record.size)
    return len(leaves), batch


def _verified(call: Call, item: tuple[tuple[object, ...], bytes, tuple[object, ...], bytes]) -> Receipt:
    chain_id, now = call.facts.chain_id, call.facts.time_s
    request = SignedRequest(chain_id, request_from_values(item[0]), item[1])
    signed = SignedReceipt(receipt_from_values(item[2]), item[3])
    receipt, asked = signed.receipt, request.request
    # 1
    if SETTLED.get(call.state, asked.payer + asked.key) is not None:
        raise Rejected("settlement.replay", "this request was settled before")
    # 2
    if not receipt.answers(asked):
        raise Rejected("settlement.mismatch", "the receipt does not answer the request within its cap and deadline")
    if not request.signed_by_payer(call.recover):
        raise Rejected("settlement.request_signature", "the request is not signed by its payer")
    # 3
    signer = nodes.signer(call.state, receipt.signer, receipt.layer)
    known = signer is not None and signer.key.node == receipt.node and signer.key.valid_at(receipt.height)
    if signer is None or not known or receipt.height > call.facts.height:
        raise Rejected(
            "settlement.key", "the signer is not a key of the node for this layer, valid at the receipt's height"
        )
    if signer.evidence is not None and receipt.evidence_digest != signer.evidence:
        raise Rejected("settlement.evidence", "the evidence beside the receipt is not that of its signer")
    if not signed.signed_by_signer(chain_id, call.recover):
        raise Rejected("settlement.receipt_signature", "the receipt is not signed by its signer")
    window = params.get(call.state, SETTLE_WINDOW_S)
    if signer.ended_s and now > signer.ended_s + REQUEST_LIFETIME_S_MAX + window:
        reason = f"the signer ended at {signer.ended_s}; what it signed cannot be this new"
        raise Rejected("settlement.key_closed", reason)
    if receipt.layer is Layer.TEE and receipt.started_ms > (signer.ended_s + ENCLAVE_SLACK_S) * 1000:
        raise Rejected("settlement.key_expired", f"the enclave's keys ended at {signer.ended_s}, before this began")
    # 4
    first, last = asked.deadline - REQUEST_LIFETIME_S_MAX, asked.deadline + window
    if receipt.started_ms < first * 1000:
        raise Rejected("settlement.early", f"begun at {receipt.started_ms} ms; this deadline allows it from {first} s")
    if now > last:
        raise Rejected("settlement.late", f"too late: it could be settled until {last}; it is {now}", last=last)
    if receipt.ended_ms > (now + params.get(call.state, CLOCK_DRIFT_S)) * 1000:
        raise Rejected("settlement.future", f"the receipt ends at {receipt.ended_ms} ms, after now, {now} s")
    # 5
    model = models.find(call.state, receipt.model_id)
    if not model.layers >> (receipt.layer - 1) & 1:
        raise Rejected("settlement.layer", f"the model does not offer the layer {receipt.layer.word}")
    if receipt.layer is Layer.ZK:
        _need_provable(call, receipt)
    # 6
    price = models.price(call.state, receipt.model_id, receipt.price_version)
    if price.ended_s and receipt.started_ms > price.ended_s * 1000:
        raise Rejected("settlement.price_old", f"price schedule {receipt.price_version} ended at {price.ended_s}")
    due = price.of(receipt.input_units, receipt.output_units)
    if receipt.price != due:
        raise Rejected("settlement.price", f"the price is {receipt.price} wei; the schedule says {due}", expected=due)
    return receipt


def _need_provable(call: Call, receipt: Receipt) -> None:
    if EXACT.get(call.state, receipt.model_id) is None:
        raise Rejected("settlement.exact", "the model's owner has not registered what it computes exactly")
    # A bond goes home when nothing is owed: nothing may be owed after that.
    if not nodes.has_bond(call.state, receipt.node):
        raise Rejected("settlement.bond", "the node has no bond, so nothing stands for the proof that it promised")
    window = params.at(call.state, PROOF_WINDOW, receipt.height)
    # Who settles late must not be able to have an honest node slashed for a proof that it had no time to make.
    if call.facts.height > receipt.height + window // 2:
        raise Rejected(
            "settlement.proof_late",
            f"a receipt of block {receipt.height} whose proof is promised is settled within {window // 2} blocks;"
            f" it is {call.facts.height}",
        )


def _pay(call: Call, receipt: Receipt, batch: int, index: int) -> None:
    # 7
    price = receipt.price
    escrow.debit(call.state, receipt.payer, price)
    if receipt.layer is not Layer.ZK:
        pay(call, ESCROW, Payment(receipt.request_key, receipt.model_id, receipt.node, price))
        return
    due = Due(
        receipt.node,
        receipt.model_id,
        price,
        receipt.price_version,
        receipt.evidence_digest,
        receipt.height + params.at(call.state, PROOF_WINDOW, receipt.height),
        receipt.height,
        call.facts.height,
        batch,
        index,
    )
    proofs.hold(call, receipt.payer, receipt.request_key, due)


def read(call: Call, payer: Address, key: RequestKey) -> tuple[int, int, int]:
    """`settled`: where and for how much a request was settled. Raises `Rejected` (`settlement.unknown`)."""
    found = SETTLED.get(call.state, payer + key)
    if found is None:
        raise Rejected("settlement.unknown", "this request is not settled")
    return found.batch, found.index, found.price


def read_batch(call: Call, number: int) -> tuple[bytes, int, int, int]:
    """`batch`: a settled batch. Raises `Rejected` (`settlement.unknown`)."""
    found = BATCHES.get(call.state, number.to_bytes(8, "big"))
    if found is None:
        raise Rejected("settlement.unknown", f"there is no batch {number}")
    return found.root, found.size, found.height, found.time_s


def count(call: Call) -> int:
    """`batches`: how many were settled; they are numbered from 1."""
    return BATCH_COUNT.get(call.state)
