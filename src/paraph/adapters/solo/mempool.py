"""Transactions that wait for a block: bounded, ordered by tip, by nonce within a sender.

Lost on restart, as mempools are: a sender sends again until it sees a receipt.
"""

import heapq
from collections.abc import Callable

from paraph.core.errors import Rejected, Unavailable
from paraph.core.ident import Address, Digest
from paraph.ledger.tx import SignedTx

POOL_MAX = 5_000
"""Waiting transactions in all: some seconds of work, and a few MB."""
SENDER_MAX = 65
"""Waiting transactions of one sender: its next and those queued ahead."""
REPLACE_BPS = 11_000
"""A replacement must offer at least 10 % more, tip and cap, so that replacing cannot be done for free."""


class Mempool:
    """Waiting transactions by sender and nonce."""

    def __init__(self) -> None:
        self._waiting: dict[Address, dict[int, SignedTx]] = {}
        self._by_hash: dict[Digest, SignedTx] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def get(self, tx_hash: bytes) -> SignedTx | None:
        """A waiting transaction by hash, or None."""
        return self._by_hash.get(Digest(tx_hash))

    def next_nonce(self, sender: Address, committed: int) -> int:
        """The nonce after the sender's unbroken run of waiting transactions."""
        waiting = self._waiting.get(sender, {})
        while committed in waiting:
            committed += 1
        return committed

    def add(self, signed: SignedTx) -> None:
        """Take a checked transaction.

        Raises:
            Rejected: `mempool.known`, `mempool.underpriced` for a replacement that offers too little,
                `mempool.sender_full`. Unavailable: `mempool.full`: come back later.
        """
        if signed.hash in self._by_hash:
            raise Rejected("mempool.known", "already known: this transaction waits for a block")
        mine = self._waiting.setdefault(signed.sender, {})
        before = mine.get(signed.tx.nonce)
        if before is not None:
            offers = ((signed.tx.tip_max, before.tx.tip_max), (signed.tx.fee_max, before.tx.fee_max))
            if any(now * 10_000 < then * REPLACE_BPS for now, then in offers):
                raise Rejected("mempool.underpriced", "replacement transaction underpriced: offer 10 % more")
            del self._by_hash[before.hash]
        elif len(mine) >= SENDER_MAX:
            raise Rejected("mempool.sender_full", f"this sender has {SENDER_MAX} transactions waiting")
        elif len(self._by_hash) >= POOL_MAX:
            raise Unavailable("mempool.full", f"{POOL_MAX} transactions wait; try again in a few seconds")
        mine[signed.tx.nonce] = signed
        self._by_hash[signed.hash] = signed

    def select(self, next_nonce: Callable[[Address], int], gas_limit: int) -> tuple[SignedTx, ...]:
        """The best transactions for a block: highest tip first, each sender in order, within the gas."""
        ready: list[tuple[int, bytes, SignedTx]] = []

        def offer(sender: Address, nonce: int) -> None:
            signed = self._waiting[sender].get(nonce)
            if signed is not None:
                # Equal tips go by hash, so that the order depends on nothing but the transactions.
                heapq.heappush(ready, (-signed.tx.tip_max, signed.hash, signed))

        for sender in self._waiting:
            offer(sender, next_nonce(sender))
        chosen: list[SignedTx] = []
        while ready:
            *_, signed = heapq.heappop(ready)
            if signed.tx.gas_limit <= gas_limit:
                gas_limit -= signed.tx.gas_limit
                chosen.append(signed)
                offer(signed.sender, signed.tx.nonce + 1)
        return tuple(chosen)

    def forget(self, next_nonce: Callable[[Address], int]) -> None:
        """Drop what a block has included or made impossible: everything below each sender's next nonce."""
        for sender in list(self._waiting):
            mine, committed = self._waiting[sender], next_nonce(sender)
            for nonce in [nonce for nonce in mine if nonce < committed]:
                del self._by_hash[mine.pop(nonce).hash]
            if not mine:
                del self._waiting[sender]

    def drop(self, signed: SignedTx) -> None:
        """Drop one transaction, which a block skipped."""
        self._by_hash.pop(signed.hash, None)
        self._waiting.get(signed.sender, {}).pop(signed.tx.nonce, None)
