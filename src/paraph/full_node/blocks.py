"""The chain's past over JSON-RPC: blocks, transactions, receipts."""

from paraph.adapters.ethereum.rpc import Method
from paraph.adapters.ethereum.shapes import Included, pending_json, transaction_json
from paraph.adapters.ethereum.wire import quantity, read_flag, read_quantity
from paraph.core.encode import Json, JsonObject
from paraph.core.ident import Digest, to_hex
from paraph.flows.mempool import Mempool
from paraph.full_node.chain import Chain
from paraph.full_node.shapes import block_json, included, included_at, receipt_json
from paraph.full_node.tables import StoredBlock
from paraph.full_node.wire import Named, Tag, read_digest, read_tag
from paraph.ledger.block import BASE_FEE
from paraph.ledger.state import State


class Blocks:
    """Reads of blocks and what is in them.

    Args:
        chain: where they are kept.
        mempool: transactions that are in no block yet.
    """

    def __init__(self, chain: Chain, mempool: Mempool) -> None:
        self._chain = chain
        self._mempool = mempool

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        by_hash, by_number = (read_digest, read_flag), (read_tag, read_flag)
        return {
            "eth_blockNumber": Method(self.number),
            "eth_getBlockByHash": Method(self.block, by_hash, 1),
            "eth_getBlockByNumber": Method(self.block, by_number, 1),
            "eth_getBlockTransactionCountByHash": Method(self.count, by_hash[:1], 1),
            "eth_getBlockTransactionCountByNumber": Method(self.count, by_number[:1], 1),
            "eth_getUncleCountByBlockHash": Method(self.uncles, by_hash[:1], 1),
            "eth_getUncleCountByBlockNumber": Method(self.uncles, by_number[:1], 1),
            "eth_getBlockReceipts": Method(self.receipts, (read_tag,), 1),
            "eth_getTransactionByHash": Method(self.transaction, (read_digest,), 1),
            "eth_getTransactionByBlockHashAndIndex": Method(self.transaction_at, (read_digest, read_quantity), 2),
            "eth_getTransactionByBlockNumberAndIndex": Method(self.transaction_at, (read_tag, read_quantity), 2),
            "eth_getTransactionReceipt": Method(self.receipt, (read_digest,), 1),
        }

    def number(self) -> Json:
        """`eth_blockNumber`."""
        return quantity(self._chain.height)

    def block(self, tag: Tag, full: bool | None) -> Json:
        """`eth_getBlockBy…`. The pending block is the head's successor as it would be if nothing came."""
        if tag is Named.PENDING:
            return self._pending()
        found = find_block(self._chain, tag)
        return None if found is None else block_json(found, full=bool(full))

    def count(self, tag: Tag) -> Json:
        """`eth_getBlockTransactionCountBy…`."""
        found = find_block(self._chain, tag)
        return None if found is None else quantity(sum(1 for _ in included(found)))

    def uncles(self, tag: Tag) -> Json:
        """`eth_getUncleCountBy…`: there are none."""
        return None if find_block(self._chain, tag) is None else quantity(0)

    def receipts(self, tag: Tag) -> Json:
        """`eth_getBlockReceipts`."""
        found = find_block(self._chain, tag)
        return None if found is None else [receipt_json(each) for each in included(found)]

    def transaction(self, tx_hash: Digest) -> Json:
        """`eth_getTransactionByHash`: committed, or waiting."""
        found = self._find(tx_hash)
        if found is not None:
            return transaction_json(found)
        waiting = self._mempool.get(tx_hash)
        return None if waiting is None else pending_json(waiting)

    def transaction_at(self, tag: Tag, index: int) -> Json:
        """`eth_getTransactionByBlock…AndIndex`."""
        found = find_block(self._chain, tag)
        shown = [] if found is None else list(included(found))
        return transaction_json(shown[index]) if index < len(shown) else None

    def receipt(self, tx_hash: Digest) -> Json:
        """`eth_getTransactionReceipt`: null until the transaction is in a block."""
        found = self._find(tx_hash)
        return None if found is None else receipt_json(found)

    def _find(self, tx_hash: Digest) -> Included | None:
        found = self._chain.find(tx_hash)
        if found is None:
            return None
        height, place = found
        return included_at(self._chain.block(height), place)

    def _pending(self) -> JsonObject:
        head = self._chain.head
        shown = block_json(StoredBlock(head.signed, (), ()), full=False)
        return {
            **shown,
            "number": quantity(head.header.height + 1),
            "parentHash": to_hex(head.header.hash()),
            "baseFeePerGas": quantity(BASE_FEE.get(State(self._chain.read))),
            "gasUsed": quantity(0),
            "hash": None,
            "nonce": None,
        }


def find_block(chain: Chain, tag: Tag) -> StoredBlock | None:
    """The block meant, or None when there is none. Nothing pending has a block: the head stands for it."""
    if isinstance(tag, Named):
        return chain.block(0) if tag is Named.GENESIS else chain.head
    height = tag if isinstance(tag, int) else chain.height_of(tag)
    return chain.block(height) if height is not None and height <= chain.height else None
