"""Blocks, transactions, receipts and logs in the shapes that Ethereum clients read.

Fields that Ethereum has and this chain has not are there with their empty value, since clients demand them. The two
roots are RFC 6962 roots of ours, and a block's hash is the hash of our header. Skipped transactions, which left no
trace in state, are not shown at all.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from paraph.adapters.ethereum.wire import quantity
from paraph.core import rlp
from paraph.core.digest import keccak256
from paraph.core.encode import Json, JsonObject
from paraph.core.ident import ZERO_DIGEST, Digest, to_hex
from paraph.flows.verified.blocks import SKIPPED
from paraph.ledger.block import Result
from paraph.ledger.contract import Log
from paraph.ledger.tx import SignedTx, check_form
from paraph.proofs.header import Header

BLOOM_BYTES: Final = 256
KEPT_BYTES_MAX: Final = 4_096
"""A transaction that is kept decoded; with all that it holds, some 10 KB of memory."""

Decode: TypeAlias = Callable[[bytes, int], SignedTx]
"""Decodes a transaction of a chain, and recovers its sender."""


class Block(Protocol):
    """A block with all that its header commits to."""

    @property
    def header(self) -> Header: ...
    @property
    def transactions(self) -> tuple[bytes, ...]: ...
    @property
    def results(self) -> tuple[Result, ...]: ...


def keeping(count_max: int) -> Decode:
    """A decoder that keeps so many small transactions: recovering senders is the costly part of showing a block."""
    kept = lru_cache(count_max)(check_form)

    def decode(raw: bytes, chain_id: int) -> SignedTx:
        return (kept if len(raw) <= KEPT_BYTES_MAX else check_form)(raw, chain_id)

    return decode


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction in its block, with its place among those shown, and the gas and logs before it."""

    header: Header
    index: int
    raw: bytes
    result: Result
    gas_before: int
    logs_before: int
    decode: Decode

    @property
    def signed(self) -> SignedTx:
        """The transaction decoded, its sender recovered: only for those that are looked at."""
        return self.decode(self.raw, self.header.chain_id)


def included(block: Block, decode: Decode) -> Iterator[Included]:
    """The transactions of a block that are shown, in order."""
    index = gas = logs = 0
    for raw, result in zip(block.transactions, block.results, strict=True):
        if result.status == SKIPPED:
            continue
        yield Included(block.header, index, raw, result, gas, logs, decode)
        index += 1
        gas += result.gas_used
        logs += len(result.logs)


def block_json(block: Block, shown: Iterable[Included], size: int, *, full: bool) -> JsonObject:
    """A block of a size, with the transactions that are shown, whole or by hash."""
    transactions: list[Json] = [transaction_json(each) if full else to_hex(each.result.hash) for each in shown]
    return {**header_json(block), "size": quantity(size), "transactions": transactions, "uncles": []}


def header_json(block: Block) -> JsonObject:
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
    "sha3Uncles": to_hex(keccak256(rlp.encode([]))),
    "difficulty": "0x0",
    "totalDifficulty": "0x0",
    "extraData": "0x",
}
"""What a block of proof of work had, and clients still ask for."""


def transaction_json(found: Included) -> JsonObject:
    """A committed transaction."""
    return {
        **_fields(found.signed, found.result.gas_price),
        "blockHash": to_hex(found.header.hash()),
        "blockNumber": quantity(found.header.height),
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


def receipt_json(found: Included, revert_data: bytes) -> JsonObject:
    """The receipt of a committed transaction; a failed one carries the revert data as `revertReason`."""
    signed, result, header = found.signed, found.result, found.header
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
        "logs": [log_json(each) for each in placed_logs(found)],
        "logsBloom": to_hex(bloom(result.logs)),
    }
    return receipt if result.status else {**receipt, "revertReason": to_hex(revert_data)}


@dataclass(frozen=True, slots=True)
class PlacedLog:
    """A log with its place: its block, its transaction, and its index among the logs of the block."""

    height: int
    block_hash: Digest
    time_s: int
    tx_index: int
    tx_hash: Digest
    index: int
    log: Log


def placed_logs(found: Included) -> Iterator[PlacedLog]:
    """The logs of a committed transaction, in order."""
    header, block_hash, tx_hash = found.header, found.header.hash(), found.result.hash
    for index, log in enumerate(found.result.logs, found.logs_before):
        yield PlacedLog(header.height, block_hash, header.time_s, found.index, tx_hash, index, log)


def log_json(placed: PlacedLog) -> JsonObject:
    """A log: the same whether it was found in its block or in an index."""
    return {
        "address": to_hex(placed.log.address),
        "topics": [to_hex(topic) for topic in placed.log.topics],
        "data": to_hex(placed.log.data),
        "blockNumber": quantity(placed.height),
        "blockHash": to_hex(placed.block_hash),
        "blockTimestamp": quantity(placed.time_s),
        "transactionHash": to_hex(placed.tx_hash),
        "transactionIndex": quantity(placed.tx_index),
        "logIndex": quantity(placed.index),
        "removed": False,
    }


def bloom(logs: Iterable[Log]) -> bytes:
    """The bloom filter of logs' addresses and topics (Yellow Paper, section 4.3.1): three bits of 2 048 for each."""
    bits = 0
    for item in {item for log in logs for item in (log.address, *log.topics)}:
        digest = keccak256(item)
        for at in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits.to_bytes(BLOOM_BYTES, "big")
