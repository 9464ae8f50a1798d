"""Transactions that wait for a block: bounded, ordered by tip, by nonce within a sender; the same under every engine.

A full pool lets the lowest tip go for a higher one. Lost on restart, as mempools are: a sender sends again until it
sees a receipt.
"""

import heapq
from collections.abc import Callable, Iterator

from paraph.core.errors import Rejected, Unavailable
from paraph.core.ident import Address, Digest
from paraph.ledger.tx import SignedTx

POOL_MAX = 5_000
"""Waiting transactions in all: some seconds of work."""
POOL_BYTES_MAX = 64 * 1024 * 1024
"""Their bytes in all: settlements take up to 1 MiB each, so that counting alone bounds little."""
SENDER_MAX = 65
"""Waiting transactions of one sender: its next and those queued ahead."""
GAPPED_MAX = 1_000
"""Those that wait for an earlier one of their sender, which may never come: they must not keep out what can pay now."""
REPLACE_BPS = 11_000
"""A replacement must offer at least 10 % more, tip and cap, so that replacing cannot be done for free."""


class Mempool:
    """Waiting transactions by sender and nonce."""

    def __init__(self) -> None:
        self._waiting: dict[Address, dict[int, SignedTx]] = {}
        self._by_hash: dict[Digest, SignedTx] = {}
        # Oldest first; a dictionary for its order.
        self._gapped: dict[Digest, SignedTx] = {}
        self._bytes = 0
        # Lowest tip first, newest first among equals; holds what has left the pool until it comes up. What left and
        # came back stands there twice, of which only its last arrival counts.
        self._cheapest: list[tuple[int, int, Digest]] = []
        self._arrivals: dict[Digest, int] = {}
        self._arrived = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def __iter__(self) -> Iterator[SignedTx]:
        return iter(tuple(self._by_hash.values()))

    @property
    def size_bytes(self) -> int:
        """The size of all that waits."""
        return self._bytes

    def get(self, tx_hash: bytes) -> SignedTx | None:
        """A waiting transaction by hash, or None."""
        return self._by_hash.get(Digest(tx_hash))

    def next_nonce(self, sender: Address, committed: int) -> int:
        """The nonce after the sender's unbroken run of waiting transactions."""
        waiting = self._waiting.get(sender, {})
        while committed in waiting:
            committed += 1
        return committed

    def add(self, signed: SignedTx, committed: int) -> None:
        """Take a checked transaction.

        Args:
            signed: the transaction.
            committed: its sender's next nonce in committed state.

        Raises:
            Rejected: `mempool.known`, `mempool.underpriced` for a replacement that offers too little,
                `mempool.sender_full`. Unavailable: `mempool.full`: all that waits tips as much; come back later.
        """
        if signed.hash in self._by_hash:
            raise Rejected("mempool.known", "this transaction waits for a block already")
        mine = self._waiting.get(signed.sender, {})
        before = mine.get(signed.tx.nonce)
        if before is not None:
            offers = ((signed.tx.tip_max, before.tx.tip_max), (signed.tx.fee_max, before.tx.fee_max))
            if any(now * 10_000 < then * REPLACE_BPS for now, then in offers):
                raise Rejected("mempool.underpriced", "to replace a waiting transaction, offer 10 % more tip and fee")
        elif len(mine) >= SENDER_MAX:
            raise Rejected("mempool.sender_full", f"this sender has {SENDER_MAX} transactions waiting")
        for each in self._to_evict(signed, before):
            self._leave_gap(each)
        if before is not None:
            self._remove(before)
        self._put(signed, committed)

    def _to_evict(self, signed: SignedTx, before: SignedTx | None) -> list[SignedTx]:
        """What must go for `signed` to fit: the lowest tips, each below its own. Raises `Unavailable`."""
        places = POOL_MAX - len(self._by_hash) - (before is None)
        room = POOL_BYTES_MAX - self._bytes - len(signed.raw) + (0 if before is None else len(before.raw))
        going: list[SignedTx] = []
        looked_at: list[tuple[int, int, Digest]] = []
        try:
            while places < 0 or room < 0:
                if not self._cheapest or self._cheapest[0][0] >= signed.tx.tip_max:
                    raise Unavailable(
                        "mempool.full",
                        f"{len(self._by_hash)} transactions, {self._bytes} bytes, wait, and none tips less than"
                        f" {signed.tx.tip_max} wei per gas; tip more, or try again in a few seconds",
                    )
                looked_at.append(heapq.heappop(self._cheapest))
                found = self._by_hash[looked_at[-1][2]] if self._holds(looked_at[-1]) else signed
                if found.sender != signed.sender:
                    going.append(found)
                    places, room = places + 1, room + len(found.raw)
        finally:
            # What goes is found gone when it comes up again.
            for entry in looked_at:
                heapq.heappush(self._cheapest, entry)
        return going

    def select(self, next_nonce: Callable[[Address], int], gas_limit: int, base_fee: int) -> tuple[SignedTx, ...]:
        """The best transactions for a block: highest tip first, each sender in order, within the gas.

        Counted is the gas that each uses at least. What it declares beyond that comes back to it unused, and must not
        keep others out; what then does not fit is found when the block is worked out.
        What pays less than `base_fee` stays, and what follows it with it.
        """
        ready: list[tuple[int, bytes, SignedTx]] = []

        def offer(sender: Address, nonce: int) -> None:
            signed = self._waiting[sender].get(nonce)
            if signed is not None and signed.tx.fee_max >= base_fee:
                # Equal tips go by hash, so that the order depends on nothing but the transactions.
                heapq.heappush(ready, (base_fee - signed.tx.price(base_fee), signed.hash, signed))

        for sender in self._waiting:
            offer(sender, next_nonce(sender))
        chosen: list[SignedTx] = []
        while ready:
            *_, signed = heapq.heappop(ready)
            used = signed.tx.intrinsic_gas()
            if used <= gas_limit:
                gas_limit -= used
                chosen.append(signed)
                offer(signed.sender, signed.tx.nonce + 1)
        return tuple(chosen)

    def forget(self, next_nonce: Callable[[Address], int]) -> None:
        """Drop what a block has included or made impossible: everything below each sender's next nonce."""
        for sender in list(self._waiting):
            committed = next_nonce(sender)
            for signed in [each for nonce, each in self._waiting[sender].items() if nonce < committed]:
                self._remove(signed)

    def next_in_turn(self, next_nonce: Callable[[Address], int]) -> list[SignedTx]:
        """Each sender's transaction whose turn it is, where it is here."""
        turns = ((waiting, next_nonce(sender)) for sender, waiting in self._waiting.items())
        return [waiting[nonce] for waiting, nonce in turns if nonce in waiting]

    def drop(self, signed: SignedTx) -> None:
        """Drop one transaction, which a block could not take: those behind it now wait behind a gap."""
        if signed.hash in self._by_hash:
            self._leave_gap(signed)
            self._trim()

    def _leave_gap(self, signed: SignedTx) -> None:
        self._remove(signed)
        behind = self._waiting.get(signed.sender, {}).values()
        self._gapped |= {each.hash: each for each in behind if each.tx.nonce > signed.tx.nonce}

    def _trim(self) -> None:
        while len(self._gapped) > GAPPED_MAX:
            self._remove(next(iter(self._gapped.values())))

    def _holds(self, entry: tuple[int, int, Digest]) -> bool:
        _, arrival, tx_hash = entry
        return self._arrivals.get(tx_hash) == -arrival

    def _remove(self, signed: SignedTx) -> None:
        del self._by_hash[signed.hash]
        del self._arrivals[signed.hash]
        self._bytes -= len(signed.raw)
        self._gapped.pop(signed.hash, None)
        mine = self._waiting[signed.sender]
        del mine[signed.tx.nonce]
        if not mine:
            del self._waiting[signed.sender]

    def _put(self, signed: SignedTx, committed: int) -> None:
        mine = self._waiting.setdefault(signed.sender, {})
        mine[signed.tx.nonce] = signed
        self._by_hash[signed.hash] = signed
        self._bytes += len(signed.raw)
        self._arrived += 1
        self._arrivals[signed.hash] = self._arrived
        heapq.heappush(self._cheapest, (signed.tx.tip_max, -self._arrived, signed.hash))
        if len(self._cheapest) > 2 * POOL_MAX:
            self._cheapest = [entry for entry in self._cheapest if self._holds(entry)]
            heapq.heapify(self._cheapest)
        end = self.next_nonce(signed.sender, committed)
        if signed.tx.nonce > end:
            self._gapped[signed.hash] = signed
        # It may have filled the gap that others waited behind; one that a block made stale meanwhile fills none.
        for nonce in range(max(signed.tx.nonce, committed), end):
            self._gapped.pop(mine[nonce].hash, None)
        self._trim()
