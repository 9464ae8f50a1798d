"""Settling what a node is owed: one batch from the outbox to the ledger, and what became of each receipt.

Sending a receipt twice is sending it once: the ledger refuses a request key that was settled, so a node that was
killed at any moment just settles again.

Not checked: that the full node tells the truth of what became of a receipt. A node's own full node can make it forget
what it is owed; nobody else loses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core.abi import decode
from paraph.core.amount import Wei
from paraph.core.errors import Malformed
from paraph.core.ident import Address, RequestKey
from paraph.flows.effect import Flow
from paraph.flows.transact import transact
from paraph.ledger.rooms.settlement import rules
from paraph.ledger.rooms.settlement.calls import CONTRACT
from paraph.proofs.receipt import SignedReceipt
from paraph.proofs.request import SignedRequest

WAIT_CODES: Final = ("escrow.empty", "settlement.future")
"""Refusals that pass: a payer may deposit until the settle window closes; time catches up with a clock ahead of it."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A request and its receipt, to be settled."""

    request: SignedRequest
    receipt: SignedReceipt


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one receipt.

    Args:
        payer, key: which request.
        settled: True when it is settled, by this batch or an earlier one.
        final: False when it is worth trying again.
        reason: `batch N` or the ledger's reason.
        height: the block that said so; a receipt settled by an earlier batch stands in that block or before.
    """

    payer: Address
    key: RequestKey
    settled: bool
    final: bool
    reason: str
    height: int


def settle(chain_id: int, sender: Address, owed: Sequence[Owed]) -> Flow[tuple[Outcome, ...]]:
    """Settle a batch.

    Args:
        chain_id: of the network.
        sender: who pays the gas.
        owed: at most `RECEIPTS_PER_BATCH_MAX`.

    Raises:
        Rejected, Unavailable, Malformed: as `transact` does, and `settlement.reply`; nothing is lost, try again.
    """
    items = [
        (each.request.request.values(), each.request.signature, each.receipt.receipt.values(), each.receipt.signature)
        for each in owed
    ]
    data = CONTRACT.method("settle").call(tuple(items))
    sent = yield from transact(chain_id, sender, CONTRACT.address, Wei(0), data)
    asked = {(each.request.request.payer, each.request.request.key) for each in owed}
    found: list[Outcome] = []
    for log in sent.logs:
        told = log.topics[0] if len(log.topics) == 4 and log.address == CONTRACT.address else b""
        if told not in (rules.SETTLED_EVENT.topic, rules.REFUSED.topic):
            continue
        key, payer = RequestKey(log.topics[1]), Address(log.topics[2][12:])
        if (payer, key) not in asked:
            raise Malformed("settlement.reply", "the server tells of a receipt that was not in the batch")
        event = rules.SETTLED_EVENT if told == rules.SETTLED_EVENT.topic else rules.REFUSED
        values = decode([field for field in event.inputs if not field.indexed], log.data)
        if event is rules.SETTLED_EVENT:
            found.append(Outcome(payer, key, settled=True, final=True, reason=f"batch {values[2]}", height=sent.height))
            continue
        code = values[0].partition(":")[0]
        replayed = code == "settlement.replay"
        final = code not in WAIT_CODES
        found.append(Outcome(payer, key, settled=replayed, final=final, reason=values[0], height=sent.height))
    return tuple(found)
