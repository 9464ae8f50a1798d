"""Blocks, transactions, receipts and logs in the shapes that Ethereum clients read.

Fields that Ethereum has and this chain has not are there with their empty value, since clients demand them. The two
roots are RFC 6962 roots of ours, and a block's hash is the hash of our header. Skipped transactions, which left no
trace in state, are not shown at all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from paraph.adapters.index.port import BlockRows, LogRow, TransactionRow
from paraph.core import rlp
from paraph.core.digest import keccak256
from paraph.core.encode import Json, JsonObject
from paraph.core.ident import ZERO_DIGEST, to_hex
from paraph.full_node.tables import SKIPPED, StoredBlock
from paraph.full_node.wire import quantity
from paraph.ledger.block import Result
from paraph.ledger.contract import Log
from paraph.ledger.tx import SignedTx, check_form
from paraph.proofs.header import header_to_rlp

BLOOM_BYTES: Final = 256
EMPTY_UNCLES: Final = keccak256(rlp.encode([]))
KEPT_MAX: Final = 4_096
KEPT_BYTES_MAX: Final = 4_096
"""Small transactions kept decoded, some 40 MB at most: recovering senders is the costly part of showing a block."""


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction in its block, with its place among those shown."""

    block: StoredBlock
    index: int
    raw: bytes
    result: Result
    gas_before: int
    logs_before: int

    @property
    def signed(self) -> SignedTx:
        """The transaction decoded, its sender recovered: only for those that are looked at."""
        keep = len(self.raw) <= KEPT_BYTES_MAX
        return (_kept if keep else check_form)(self.raw, self.block.header.chain_id)


def included(block: StoredBlock) -> Iterator[Included]:
    """The transactions of a block that are shown, in order."""
    index = gas = logs = 0
    for raw, result in zip(block.transactions, block.results, strict=True):
        if result.status == SKIPPED:
            continue
        yield Included(block, index, raw, result, gas, logs)
        index += 1
        gas += result.gas_used
        logs += len(result.logs)


def included_at(block: StoredBlock, place: int) -> Included:
    """The transaction at a place among all of a block, skipped ones counted; it is not skipped itself."""
    before = [result for result in block.results[:place] if result.status != SKIPPED]
    gas, logs = sum(result.gas_used for result in before), sum(len(result.logs) for result in before)
    return Included(block, len(before), block.transactions[place], block.results[place], gas, logs)


_kept = lru_cache(KEPT_MAX)(check_form)


def block_json(block: StoredBlock, *, full: bool) -> JsonObject:
    """A block, with its transactions whole or by hash."""
    shown = list(included(block))
    transactions: list[Json] = [transaction_json(each) if full else to_hex(each.result.hash) for each in shown]
    size = len(rlp.encode([header_to_rlp(block.signed), list(block.transactions)]))
    return {**header_json(block), "size": quantity(size), "transactions": transactions, "uncles": []}


def header_json(block: StoredBlock) -> JsonObject:
    """A block without its transactions: what is told of each new one."""
    header = block.header
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
    }


ABSENT: Final[JsonObject] = {
    "nonce": "0x" + "00" * 8,
    "mixHash": to_hex(ZERO_DIGEST),
    "sha3Uncles": to_hex(EMPTY_UNCLES),
    "difficulty": "0x0",
    "totalDifficulty": "0x0",
    "extraData": "0x",
}
"""What a block of proof of work had, and clients still ask for."""


def transaction_json(found: Included) -> JsonObject:
    """A committed transaction."""
    place: dict[str, Json] = {
        "blockHash": to_hex(found.block.header.hash()),
        "blockNumber": quantity(found.block.header.height),
        "transactionIndex": quantity(found.index),
    }
    return {**_fields(found.signed, found.result.gas_price), **place}


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
    """The receipt of a committed transaction; a failed one carries its revert data as `revertReason`."""
    signed, result = found.signed, found.result
    receipt: dict[str, Json] = {
        "transactionHash": to_hex(result.hash),
        "transactionIndex": quantity(found.index),
        "blockHash": to_hex(found.block.header.hash()),
        "blockNumber": quantity(found.block.header.height),
        "from": to_hex(signed.sender),
        "to": to_hex(signed.tx.to),
        "type": quantity(signed.tx.type),
        "status": quantity(result.status),
        "gasUsed": quantity(result.gas_used),
        "cumulativeGasUsed": quantity(found.gas_before + result.gas_used),
        "effectiveGasPrice": quantity(result.gas_price),
        "contractAddress": None,
        "logs": list(logs_json(found)),
        "logsBloom": to_hex(bloom(result.logs)),
    }
    return receipt if result.status else {**receipt, "revertReason": to_hex(result.output)}


def logs_json(found: Included) -> Iterator[JsonObject]:
    """The logs of a committed transaction, in order."""
    return (log_json(row) for row in log_rows(found))


def log_rows(found: Included) -> Iterator[LogRow]:
    """The logs of a committed transaction, in order, as the index keeps them."""
    header = found.block.header
    block_hash = header.hash()
    for offset, log in enumerate(found.result.logs):
        yield LogRow(
            header.height,
            block_hash,
            header.time_s,
            found.index,
            found.result.hash,
            found.logs_before + offset,
            log.address,
            log.topics,
            log.data,
        )


def log_json(row: LogRow) -> JsonObject:
    """A log: the same whether it was found in its block or in the index."""
    return {
        "address": to_hex(row.address),
        "topics": [to_hex(topic) for topic in row.topics],
        "data": to_hex(row.data),
        "blockNumber": quantity(row.height),
        "blockHash": to_hex(row.block_hash),
        "blockTimestamp": quantity(row.time_s),
        "transactionHash": to_hex(row.tx_hash),
        "transactionIndex": quantity(row.tx_index),
        "logIndex": quantity(row.index),
        "removed": False,
    }


def block_rows(block: StoredBlock) -> BlockRows:
    """A block as the index keeps it."""
    header, shown = block.header, list(included(block))
    block_hash = header.hash()
    transactions = tuple(
        TransactionRow(
            header.height,
            block_hash,
            header.time_s,
            each.index,
            each.result.hash,
            each.signed.sender,
            each.signed.tx.to,
        )
        for each in shown
    )
    logs = tuple(row for each in shown for row in log_rows(each))
    return BlockRows(header.height, block_hash, header.time_s, transactions, logs)


def bloom(logs: Iterable[Log]) -> bytes:
    """The bloom filter of logs' addresses and topics (Yellow Paper, section 4.3.1): three bits of 2 048 for each."""
    bits = 0
    for item in {item for log in logs for item in (log.address, *log.topics)}:
        digest = keccak256(item)
        for at in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits.to_bytes(BLOOM_BYTES, "big")
