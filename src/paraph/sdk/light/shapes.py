"""Verified blocks, transactions, receipts and logs in the shapes that Ethereum clients read.

All is built from what the block's roots commit to, nothing from what a node wrote. Fields that Ethereum has and this
chain has not are there with their empty value, since clients demand them. Skipped transactions are not shown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from paraph.core import rlp
from paraph.core.digest import keccak256
from paraph.core.encode import Json, JsonObject
from paraph.core.ident import ZERO_DIGEST, to_hex
from paraph.flows.verified.blocks import SKIPPED, VerifiedBlock
from paraph.ledger.block import Result
from paraph.ledger.contract import REVERT, Log
from paraph.ledger.tx import SignedTx, check_form
from paraph.sdk.light.wire import quantity

BLOOM_BYTES: Final = 256

KEPT_BYTES_MAX: Final = 4_096
_kept = lru_cache(1_024)(check_form)
"""Small transactions kept decoded, some 10 MB at most: recovering a sender is what costs."""


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction in its block, with its place among those shown, and the gas and logs before it."""

    block: VerifiedBlock
    index: int
    raw: bytes
    result: Result
    gas_before: int
    logs_before: int

    @property
    def signed(self) -> SignedTx:
        """The transaction decoded, its sender recovered."""
        form = _kept if len(self.raw) <= KEPT_BYTES_MAX else check_form
        return form(self.raw, self.block.header.chain_id)


def included(block: VerifiedBlock) -> Iterator[Included]:
    """The transactions of a block that are shown, in order."""
    index = gas = logs = 0
    for raw, result in zip(block.transactions, block.results, strict=True):
        if result.status == SKIPPED:
            continue
        yield Included(block, index, raw, result, gas, logs)
        index += 1
        gas += result.gas_used
        logs += len(result.logs)


def block_json(block: VerifiedBlock, *, full: bool) -> JsonObject:
    """A block, with its transactions whole or by hash. `size` counts its transactions alone."""
    header = block.header
    shown: list[Json] = [transaction_json(each) if full else to_hex(each.result.hash) for each in included(block)]
    return {
        "number": quantity(header.height),
        "hash": to_hex(header.hash()),
        "parentHash": to_hex(header.parent),
        "timestamp": quantity(header.time_s),
        "miner": to_hex(header.proposer),
        "stateRoot": to_hex(header.state_root),
        "transactionsRoot": to_hex(header.transactions_root),
        "receiptsRoot": to_hex(header.results_root),
        "logsBloom": to_hex(bloom(log for result in block.results for log in result.logs)),
        "gasUsed": quantity(header.gas_used),
        "gasLimit": quantity(header.gas_limit),
        "baseFeePerGas": quantity(header.base_fee),
        **ABSENT,
        "size": quantity(sum(len(raw) for raw in block.transactions)),
        "transactions": shown,
        "uncles": [],
    }


ABSENT: Final[JsonObject] = {
    "nonce": "0x" + "00" * 8,
    "mixHash": to_hex(ZERO_DIGEST),
    "sha3Uncles": to_hex(keccak256(rlp.encode([]))),
    "difficulty": "0x0",
    "totalDifficulty": "0x0",
    "extraData": "0x",
}
"""What a block of proof of work had, and clients still ask for."""


def transaction_json(found: Included) -> JsonObject:
    """A committed transaction."""
    header = found.block.header
    return {
        **_fields(found.signed, found.result.gas_price),
        "blockHash": to_hex(header.hash()),
        "blockNumber": quantity(header.height),
        "transactionIndex": quantity(found.index),
    }


def pending_json(signed: SignedTx) -> JsonObject:
    """A transaction that waits for a block."""
    return {**_fields(signed, signed.tx.fee_max), "blockHash": None, "blockNumber": None, "transactionIndex": None}


def _fields(signed: SignedTx, gas_price: int) -> JsonObject:
    tx, signature = signed.tx, signed.signature
    parity = signature[64] - 27
    fields: dict[str, Json] = {
        "hash": to_hex(signed.hash),
        "type": quantity(tx.type),
        "chainId": quantity(tx.chain_id),
        "nonce": quantity(tx.nonce),
        "from": to_hex(signed.sender),
        "to": to_hex(tx.to),
        "value": quantity(tx.value),
        "gas": quantity(tx.gas_limit),
        "gasPrice": quantity(gas_price),
        "input": to_hex(tx.data),
        "v": quantity(parity if tx.type else tx.chain_id * 2 + 35 + parity),
        "r": quantity(int.from_bytes(signature[:32], "big")),
        "s": quantity(int.from_bytes(signature[32:64], "big")),
    }
    if tx.type:
        fields["yParity"] = quantity(parity)
        fields["accessList"] = [
            {"address": to_hex(address), "storageKeys": [to_hex(slot) for slot in slots]}
            for address, slots in tx.access_list
        ]
    if tx.type == 2:
        fields |= {"maxFeePerGas": quantity(tx.fee_max), "maxPriorityFeePerGas": quantity(tx.tip_max)}
    return fields


def receipt_json(found: Included) -> JsonObject:
    """The receipt of a committed transaction. A failed one has as `revertReason` its code alone: no more is proved."""
    signed, result = found.signed, found.result
    header = found.block.header
    receipt: dict[str, Json] = {
        "transactionHash": to_hex(result.hash),
        "transactionIndex": quantity(found.index),
        "blockHash": to_hex(header.hash()),
        "blockNumber": quantity(header.height),
        "from": to_hex(signed.sender),
        "to": to_hex(signed.tx.to),
        "type": quantity(signed.tx.type),
        "status": quantity(result.status),
        "gasUsed": quantity(result.gas_used),
        "cumulativeGasUsed": quantity(found.gas_before + result.gas_used),
        "effectiveGasPrice": quantity(result.gas_price),
        "contractAddress": None,
        "logs": [log for _, log in logs_json(found)],
        "logsBloom": to_hex(bloom(result.logs)),
    }
    return receipt if result.status else {**receipt, "revertReason": to_hex(REVERT.call(result.error))}


def logs_json(found: Included) -> Iterator[tuple[Log, JsonObject]]:
    """The logs of a committed transaction, in order, each beside its shape."""
    header = found.block.header
    for offset, log in enumerate(found.result.logs):
        yield (
            log,
            {
                "address": to_hex(log.address),
                "topics": [to_hex(topic) for topic in log.topics],
                "data": to_hex(log.data),
                "blockNumber": quantity(header.height),
                "blockHash": to_hex(header.hash()),
                "blockTimestamp": quantity(header.time_s),
                "transactionHash": to_hex(found.result.hash),
                "transactionIndex": quantity(found.index),
                "logIndex": quantity(found.logs_before + offset),
                "removed": False,
            },
        )


def bloom(logs: Iterable[Log]) -> bytes:
    """The bloom filter of logs' addresses and topics (Yellow Paper, section 4.3.1): three bits of 2 048 for each."""
    bits = 0
    for item in {item for log in logs for item in (log.address, *log.topics)}:
        digest = keccak256(item)
        for at in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits.to_bytes(BLOOM_BYTES, "big")
