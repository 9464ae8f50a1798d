"""All that a transaction's bytes can tell: its own form, and the signatures it carries inside.

A settlement carries receipts. Whether they are signed by whom they name needs no state, is most of its cost, and can be
found in parallel before the block. Applying a block checks it again; here it keeps forgeries out of pools and blocks.
"""

from typing import Any

from paraph.core import abi
from paraph.core.errors import Malformed, Rejected
from paraph.core.keys import Recover, recover
from paraph.ledger.rooms.settlement.calls import CONTRACT as SETTLEMENT
from paraph.ledger.tx import SignedTx, check_form
from paraph.proofs.receipt import SignedReceipt, receipt_from_values
from paraph.proofs.request import SignedRequest, request_from_values

SETTLE = SETTLEMENT.method("settle")


def check_whole(raw: bytes, chain_id: int, recover: Recover = recover) -> SignedTx:
    """As `check_form`; and of a settlement, every receipt and every request is signed by whom it names.

    Raises:
        Malformed, Rejected: as `check_form`; `tx.receipts`: one in it is forged, or cannot be read.
    """
    signed = check_form(raw, chain_id, recover)
    if signed.tx.to == SETTLEMENT.address and signed.tx.data[:4] == SETTLE.selector:
        _check_receipts(signed, chain_id, recover)
    return signed


def _check_receipts(signed: SignedTx, chain_id: int, recover: Recover) -> None:
    try:
        (items,) = abi.decode(SETTLE.inputs, signed.tx.data[4:])
        for index, item in enumerate(items):
            _check_receipt(item, index, chain_id, recover)
    except Malformed as error:
        raise Rejected("tx.receipts", f"the settlement cannot be read: {error.message}") from error


def _check_receipt(item: Any, index: int, chain_id: int, recover: Recover) -> None:
    request = SignedRequest(chain_id, request_from_values(item[0]), item[1])
    receipt = SignedReceipt(receipt_from_values(item[2]), item[3])
    if not request.signed_by_payer(recover):
        raise Rejected("tx.receipts", f"request {index} of the settlement is not signed by its payer", index=index)
    if not receipt.signed_by_signer(chain_id, recover):
        raise Rejected("tx.receipts", f"receipt {index} of the settlement is not signed by its signer", index=index)
