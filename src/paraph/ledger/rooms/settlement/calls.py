"""The room's ABI."""

from paraph.core.abi import Field, Type
from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.models.payment import PAID
from paraph.ledger.rooms.settlement import rules
from paraph.proofs.receipt import RECEIPT_STRUCT
from paraph.proofs.request import REQUEST_STRUCT, SETTLEMENT

ITEM_STRUCT = Type(
    "tuple",
    0,
    (
        Field("request", REQUEST_STRUCT),
        Field("requestSignature", Type("bytes")),
        Field("receipt", RECEIPT_STRUCT),
        Field("receiptSignature", Type("bytes")),
    ),
    "Item",
)

CONTRACT = Contract(
    "Settlement",
    SETTLEMENT,
    "Receipts become payments. Each receipt of a batch is verified; a bad one rejects itself alone.",
    (
        bind("settle(Item[] items) returns (uint256 accepted, uint64 batch)", rules.settle, 30_000, Item=ITEM_STRUCT),
        bind(
            "settled(address payer, bytes32 requestKey) view returns (uint64 batch, uint32 index, uint256 price)",
            rules.read,
            3_000,
        ),
        bind(
            "batch(uint64 number) view returns (bytes32 root, uint32 size, uint64 height, uint64 time)",
            rules.read_batch,
            3_000,
        ),
        bind("batches() view returns (uint64 count)", rules.count, 3_000),
    ),
    (rules.SETTLED_EVENT, PAID, rules.REFUSED, rules.BATCH_SETTLED),
)
