"""Having an answer proven: how far its proof is, waiting for it, fetching it, and the price back where none came.

The proof comes from the node that made it, or from the block that took it: so a node that is gone withholds nothing.
Neither is believed; whatever comes is verified against the answer before it is returned.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from paraph.core import abi
from paraph.core.amount import Wei
from paraph.core.encode import Json, JsonObject, as_list, as_object, as_text
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import Address, Digest, RequestKey, from_hex, to_hex
from paraph.core.limits import TX_BYTES_MAX
from paraph.flows import registry
from paraph.flows.buy import await_settled
from paraph.flows.effect import Flow, Get, Now, Rpc, Show, Wait, ask
from paraph.flows.transact import Sent, transact
from paraph.ledger.rooms.proofs.calls import CONTRACT as PROOFS
from paraph.ledger.rooms.proofs.rules import PROVEN_EVENT
from paraph.proofs.bundle import Bundle
from paraph.proofs.check import verify
from paraph.proofs.policy import Trust
from paraph.proofs.promised import Promise, promise_from_json
from paraph.proofs.proven import MODES, BatchProof, batch_proof_from_json
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.evidence import CHECKS, Checks
from paraph.proofs.receipt import Receipt
from paraph.proofs.records import Proven, due_key, missed_key, proven_key
from paraph.proofs.request import Layer
from paraph.proofs.verdict import Verified
from paraph.proofs.zk.statement import Entry

PATH: Final = "/v1/proofs"
WAIT_MS_FIRST: Final = 100
WAIT_MS_MAX: Final = 2_000


class Stage(Enum):
    """How the ledger holds the promise of a proof."""

    UNSETTLED = "not settled yet"
    DUE = "due"
    OVERDUE = "overdue"
    PROVEN = "proven"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the proof of an answer is.

    Args:
        stage: what the ledger says, proved.
        due: the last block in which the ledger takes the proof.
        height: the newest block.
        node: what the node says of it; nobody proves that. None where it was not asked, or says nothing.
    """

    stage: Stage
    due: int
    height: int
    node: JsonObject | None

    def as_json(self) -> dict[str, Json]:
        """The progress as JSON."""
        left = max(self.due - self.height, 0)
        shown = None if self.node is None else dict(self.node)
        return {"stage": self.stage.value, "due": self.due, "height": self.height, "blocks_left": left, "node": shown}


def promised(bundle: Bundle) -> tuple[Receipt, Promise]:
    """The receipt of a bundle, and the promise of its proof.

    Raises:
        Rejected: `proof.none`: no proof of this answer was promised. Malformed: the promise cannot be read.
    """
    receipt = bundle.answer.receipt.receipt
    if receipt.layer is not Layer.ZK:
        raise Rejected(
            "proof.none", f"no proof of this answer was promised: it was asked with the layer {receipt.layer.word}"
        )
    return receipt, promise_from_json(bundle.answer.evidence)


def progress(trust: Trust, bundle: Bundle) -> Flow[Progress]:
    """How far the proof of an answer is, by the ledger and, while it is awaited, by the node. Raises as `promised`."""
    receipt, promise = promised(bundle)
    due, proven, missed = (place(receipt.payer, receipt.request_key) for place in (due_key, proven_key, missed_key))
    snapshot = yield from registry.read(trust, due, proven, missed)
    height = snapshot.seal.height
    if proven in snapshot.values:
        stage = Stage.PROVEN
    elif missed in snapshot.values:
        stage = Stage.MISSED
    elif due not in snapshot.values:
        stage = Stage.UNSETTLED
    else:
        # The next block is the first that could still take it.
        stage = Stage.DUE if height < promise.due else Stage.OVERDUE
    asked = stage in (Stage.UNSETTLED, Stage.DUE)
    return Progress(stage, promise.due, height, (yield from _told(trust, receipt)) if asked else None)


def await_proven(
    trust: Trust, bundle: Bundle, patience_ms: int, least: TrustClass = TrustClass.HARDWARE, checks: Checks = CHECKS
) -> Flow[Verified[Bundle]]:
    """The same bundle with its settlement, its proof, and the ledger's word that it took it. All of it is verified.

    Shows how far it is each time it has asked (`Progress.as_json`).

    Raises:
        Rejected: `proof.none`; `proof.missed`: none came in time, and the price went back to the escrow;
            `proof.overdue`: none came in time, and the price can be taken back.
        Unavailable: `proof.pending`: not proven within the patience.
        Unverified: what the node and the ledger give out as the proof does not hold.
    """
    began = yield from ask(Now())
    wait_ms = WAIT_MS_FIRST
    while True:
        found = yield from progress(trust, bundle)
        yield from ask(Show(found.as_json()))
        if found.stage is Stage.PROVEN:
            settled = yield from await_settled(trust, bundle, patience_ms, least, checks)
            return (yield from _fetched(trust, settled.thing, least, checks))
        _need_hope(found)
        if (yield from ask(Now())) - began > patience_ms:
            raise Unavailable(
                "proof.pending",
                f"not proven within {patience_ms} ms ({found.stage.value}); it is due by block {found.due}, and now is"
                f" block {found.height}: ask again later",
            )
        yield from ask(Wait(wait_ms))
        wait_ms = min(2 * wait_ms, WAIT_MS_MAX)


def refund(trust: Trust, sender: Address, bundle: Bundle) -> Flow[Sent]:
    """Have the price of an answer back whose proof did not come in time. Anyone may send this; the payer is paid.

    Raises:
        Rejected: `proof.early`: it may still come, or was never settled; `proof.proven`; `proof.missed`: it was sent
            back already; and as `transact`.
    """
    found = yield from progress(trust, bundle)
    receipt, _ = promised(bundle)
    if found.stage is Stage.PROVEN:
        raise Rejected("proof.proven", "the network took a proof of this answer: it is paid for rightly")
    if found.stage is Stage.MISSED:
        raise Rejected("proof.missed", "the price of this answer went back to the payer's escrow already")
    if found.stage is not Stage.OVERDUE:
        raise Rejected(
            "proof.early",
            f"its proof ({found.stage.value}) may come until block {found.due}; now is block {found.height}",
            due=found.due,
        )
    data = PROOFS.method("expire").call(((receipt.payer, receipt.request_key),))
    return (yield from transact(trust.chain_id, sender, PROOFS.address, Wei(0), data))


def _need_hope(found: Progress) -> None:
    if found.stage is Stage.MISSED:
        raise Rejected(
            "proof.missed",
            f"no proof came by block {found.due}: the price went back to the payer's escrow, and the node's bond was"
            " slashed",
        )
    if found.stage is Stage.OVERDUE:
        raise Rejected(
            "proof.overdue",
            f"no proof came by block {found.due}, and now is block {found.height}: `paraph proof refund` takes the"
            " price back and has the node's bond slashed",
        )


# --- where proofs are had from -------------------------------------------------------------------------------------


def _fetched(trust: Trust, bundle: Bundle, least: TrustClass, checks: Checks) -> Flow[Verified[Bundle]]:
    if bundle.exact is None or bundle.chain.exact is None or bundle.chain.exact.proven is None:
        raise Malformed("registry.proven", "the server showed that a proof was taken, and does not any more; ask again")
    receipt = bundle.answer.receipt.receipt
    record = Proven.decode(bundle.chain.exact.proven.value)
    failures: list[ParaphError] = []
    for source in (_of_node, _of_ledger):
        try:
            proof = yield from source(trust, receipt, record)
            return verify(replace(bundle, exact=replace(bundle.exact, proof=proof)), trust, least, checks)
        except ParaphError as error:
            failures.append(error)
    raise failures[-1]


def _of_node(trust: Trust, receipt: Receipt, _: Proven) -> Flow[BatchProof]:
    said = yield from _asked(trust, receipt)
    return batch_proof_from_json(said.get("proof"))


def _told(trust: Trust, receipt: Receipt) -> Flow[JsonObject | None]:
    """What the node says of a proof that is not there yet; None where it cannot be asked, which is nothing new."""
    try:
        said = yield from _asked(trust, receipt)
    except ParaphError:
        return None
    return {name: each for name, each in said.items() if name != "proof"}


def _asked(trust: Trust, receipt: Receipt) -> Flow[JsonObject]:
    endpoint = (yield from registry.node(trust, receipt.node)).endpoint.rstrip("/")
    url = f"{endpoint}{PATH}/{to_hex(receipt.payer)}/{to_hex(receipt.request_key)}"
    return as_object((yield from ask(Get(url))), "what the node says of a proof")


def _of_ledger(_: Trust, receipt: Receipt, record: Proven) -> Flow[BatchProof]:
    """The proof out of the transaction that brought it."""
    height = hex(record.height)
    topics: list[Json] = [to_hex(PROVEN_EVENT.topic), to_hex(receipt.request_key), to_hex(bytes(12) + receipt.payer)]
    wanted: JsonObject = {
        "address": to_hex(PROOFS.address),
        "topics": topics,
        "fromBlock": height,
        "toBlock": height,
    }
    logs = as_list((yield from ask(Rpc("eth_getLogs", (wanted,)))), "logs", items_max=1)
    if not logs:
        raise Unavailable("proof.gone", f"the server does not have the transaction of block {record.height} any more")
    tx_hash = as_text(as_object(logs[0], "a log").get("transactionHash"), "a transaction hash")
    found = as_object((yield from ask(Rpc("eth_getTransactionByHash", (tx_hash,)))), "a transaction")
    return batch_proof_from_call(from_hex(found.get("input"), None, "input"), receipt, record)


def batch_proof_from_call(data: bytes, receipt: Receipt, record: Proven) -> BatchProof:
    """The proof that a call of `prove` brought, for one of its requests.

    Args:
        data: calldata.
        receipt: of the request.
        record: what the ledger noted of it, which has the beacon.

    Raises:
        Malformed: `proof.form`: it brings no proof of this request; `abi.…`.
    """
    method = PROOFS.method("prove")
    if data[:4] != method.selector or len(data) > TX_BYTES_MAX:
        raise Malformed("proof.form", "the transaction that the server shows brings no proof")
    _, mode, _, items, proof = abi.decode(method.inputs, data[4:])
    entries = tuple(Entry(Digest(key), Digest(commitment)) for _, key, commitment in items)
    keys = [(payer, RequestKey(key)) for payer, key, _ in items]
    if mode not in MODES or (receipt.payer, receipt.request_key) not in keys:
        raise Malformed("proof.form", "the transaction that the server shows brings no proof of this request")
    return BatchProof(MODES[mode], record.beacon, entries, keys.index((receipt.payer, receipt.request_key)), proof)
