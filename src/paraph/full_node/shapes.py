"""A full node's blocks in the shapes that Ethereum clients read, and in those that the index keeps."""

from collections.abc import Iterator
from typing import Final

from paraph.adapters.ethereum import shapes
from paraph.adapters.ethereum.shapes import Included, PlacedLog, placed_logs
from paraph.adapters.index.port import BlockRows, LogRow, TransactionRow
from paraph.core import rlp
from paraph.core.encode import JsonObject
from paraph.full_node.tables import SKIPPED, StoredBlock
from paraph.ledger.contract import Log
from paraph.proofs.header import header_to_rlp

KEPT_MAX: Final = 4_096
"""Transactions kept decoded, some 40 MB at most."""

_decode: Final = shapes.keeping(KEPT_MAX)


def included(block: StoredBlock) -> Iterator[Included]:
    """The transactions of a block that are shown, in order."""
    return shapes.included(block, _decode)


def included_at(block: StoredBlock, place: int) -> Included:
    """The transaction at a place among all of a block, skipped ones counted; it is not skipped itself."""
    before = [result for result in block.results[:place] if result.status != SKIPPED]
    gas, logs = sum(result.gas_used for result in before), sum(len(result.logs) for result in before)
    return Included(block.header, len(before), block.transactions[place], block.results[place], gas, logs, _decode)


def block_json(block: StoredBlock, *, full: bool) -> JsonObject:
    """A block, with its transactions whole or by hash."""
    size = len(rlp.encode([header_to_rlp(block.signed), list(block.transactions)]))
    return shapes.block_json(block, included(block), size, full=full)


def receipt_json(found: Included) -> JsonObject:
    """The receipt of a committed transaction."""
    return shapes.receipt_json(found, found.result.output)


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
    logs = tuple(_row(placed) for each in shown for placed in placed_logs(each))
    return BlockRows(header.height, block_hash, header.time_s, transactions, logs)


def _row(at: PlacedLog) -> LogRow:
    log = at.log
    return LogRow(
        at.height, at.block_hash, at.time_s, at.tx_index, at.tx_hash, at.index, log.address, log.topics, log.data
    )


def placed_of(row: LogRow) -> PlacedLog:
    """A log that was found in the index."""
    log = Log(row.address, row.topics, row.data)
    return PlacedLog(row.height, row.block_hash, row.time_s, row.tx_index, row.tx_hash, row.index, log)
