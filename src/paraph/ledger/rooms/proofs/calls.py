"""The room's ABI."""

from paraph.core.abi import struct
from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.models.payment import PAID
from paraph.ledger.rooms.proofs import keys, rules

PROVED_STRUCT = struct("ProvedRequest(address payer, bytes32 key, bytes32 commitment)")
PLACE_STRUCT = struct("RequestPlace(address payer, bytes32 key)")

CONTRACT = Contract(
    "Proofs",
    keys.ADDRESS,
    "Promised proofs of exact models. What was paid is held until the proof comes; without one it goes back, and the"
    " node's bond is slashed. Proofs are verified by every validator. Not audited.",
    (
        bind(
            "prove(bytes32 modelId, uint8 mode, uint64 beaconHeight, ProvedRequest[] items, bytes proof)",
            rules.prove,
            60_000,
            ProvedRequest=PROVED_STRUCT,
        ),
        bind("expire(RequestPlace[] items)", rules.expire, 30_000, RequestPlace=PLACE_STRUCT),
        bind(
            "due(address payer, bytes32 requestKey) view returns (address node, bytes32 modelId, uint256 price,"
            " uint32 priceVersion, bytes32 evidence, uint64 due, uint64 receiptHeight, uint64 height, uint64 batch,"
            " uint32 index)",
            rules.read_due,
            3_000,
        ),
        bind(
            "proven(address payer, bytes32 requestKey) view returns (uint8 mode, bytes32 exactId, bytes32 batchRoot,"
            " uint32 size, bytes32 beacon, uint64 height)",
            rules.read_proven,
            3_000,
        ),
        bind(
            "missed(address payer, bytes32 requestKey) view returns (uint64 height)",
            rules.read_missed,
            3_000,
        ),
        bind("counts() view returns (uint256 due, uint256 proven, uint256 missed)", rules.counts, 6_000),
    ),
    (rules.PROMISED, rules.ACCEPTED, rules.PROVEN_EVENT, rules.MISSED_EVENT, PAID),
)
