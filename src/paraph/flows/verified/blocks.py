"""Verified blocks: a header by the hashes that the believed state keeps, and all that it commits to, whole.

The node says where something is; that it is there, the block's own roots say. What no root can show is that something
is nowhere: where a node shows nothing, that is its own word.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from paraph.core import rlp
from paraph.core.encode import Json, as_list, as_object, as_text, take
from paraph.core.errors import Malformed, Rejected, Unavailable, Unverified
from paraph.core.ident import Digest, from_hex, to_hex
from paraph.core.limits import RLP_ITEMS_MAX
from paraph.core.merkle import root
from paraph.flows.effect import Flow, Rpc, ask
from paraph.flows.verified.follow import Follower, view
from paraph.ledger.block import Result, result_from_rlp
from paraph.proofs.header import HASHES_KEPT, Header, hash_key, header_from_rlp

NEWEST: Final = 2**63
"""The height by which the newest believed block is meant; none is ever so high."""
SKIPPED: Final = 2
"""The status of a transaction that left no trace."""
RANGE_MAX: Final = 100
"""Blocks read at once: each is read whole, which takes a call to the node."""
KEPT_MAX: Final = 256
KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
"""Verified blocks kept, by number and by the bytes of what is in them."""


@dataclass(frozen=True, slots=True)
class VerifiedBlock:
    """A block whose header was believed, and whose transactions and results are all that it commits to.

    Of a result that failed there is the code alone: sentences and revert data are committed to by nothing.
    """

    header: Header
    transactions: tuple[bytes, ...]
    results: tuple[Result, ...]


@dataclass(slots=True)
class Kept:
    """Verified blocks by height; those used longest ago are forgotten first."""

    blocks: OrderedDict[int, tuple[VerifiedBlock, int]] = field(default_factory=OrderedDict)
    size: int = 0

    def get(self, height: int, block_hash: Digest) -> VerifiedBlock | None:
        """The block of that height and hash, if it is kept."""
        found = self.blocks.get(height)
        if found is None or found[0].header.hash() != block_hash:
            return None
        self.blocks.move_to_end(height)
        return found[0]

    def put(self, block: VerifiedBlock, size: int) -> None:
        """Keep a block whose transactions and results are of that size in bytes."""
        if block.header.height in self.blocks:
            return
        self.blocks[block.header.height] = block, size
        self.size += size
        while len(self.blocks) > KEPT_MAX or self.size > KEPT_BYTES_MAX:
            _, (_, gone) = self.blocks.popitem(last=False)
            self.size -= gone


def blocks(follower: Follower, kept: Kept, first: int, last: int) -> Flow[tuple[VerifiedBlock, ...]]:
    """The blocks of those heights, in order, as far as the believed chain goes; `NEWEST` is its end.

    Raises:
        Rejected: `verified.range`: more than 100; `verified.too_old`: the state remembers their hashes no more.
        Unverified: `verified.block`, `verified.transactions`, `verified.results`.
        Unavailable: `verified.withheld`: the node does not show a block that is there. Else as `view`.
    """
    key = hash_key(last)
    seen = yield from view(follower, (key,))
    head = seen.header
    if head.height - last > HASHES_KEPT:
        oldest = head.height - HASHES_KEPT
        reason = f"block {last} is further back than the {HASHES_KEPT} blocks whose hashes the state keeps"
        raise Rejected("verified.too_old", f"{reason}; what is provable begins at block {oldest}", oldest=oldest)
    # The head's own state does not hold its hash.
    block_hash = head.hash() if last >= head.height else Digest(seen.values[key] or b"")
    first, last = head.height if first == NEWEST else first, min(last, head.height)
    if last - first >= RANGE_MAX:
        count = last - first + 1
        raise Rejected("verified.range", f"{count} blocks, each to be read whole: ask for at most {RANGE_MAX}")
    found: list[VerifiedBlock] = []
    for height in range(last, first - 1, -1):
        block = kept.get(height, block_hash) or (yield from _whole(kept, height, block_hash))
        found.append(block)
        # Each header names the one before it, so that the last alone needs a proof.
        block_hash = block.header.parent
    return tuple(reversed(found))


def block_at(follower: Follower, kept: Kept, height: int) -> Flow[VerifiedBlock | None]:
    """The block of that height, or None when the believed chain has not come so far. Raises as `blocks`."""
    found = yield from blocks(follower, kept, height, height)
    return found[0] if found else None


def block_named(follower: Follower, kept: Kept, block_hash: Digest) -> Flow[VerifiedBlock | None]:
    """The block of that hash; None when the node shows none, which is its own word. Raises as `blocks`."""
    height = yield from _told("eth_getBlockByHash", (to_hex(block_hash), False), "number")
    found = None if height is None else (yield from block_at(follower, kept, height))
    if found is not None and found.header.hash() != block_hash:
        reason = f"the node says that {to_hex(block_hash)} is block {found.header.height}, which has another hash"
        raise Unverified((("verified.block", reason),))
    return found


def including(follower: Follower, kept: Kept, tx_hash: Digest) -> Flow[VerifiedBlock | None]:
    """The block that a transaction is in; None when the node shows none.

    None is the node's own word, and is also said while the state after its block is not sealed yet.

    Raises:
        Unverified: `verified.transaction`: it is not in the block where the node says it is; else as `blocks`.
    """
    height = yield from _told("eth_getTransactionReceipt", (to_hex(tx_hash),), "blockNumber")
    found = None if height is None else (yield from block_at(follower, kept, height))
    if found is None:
        return None
    # A result's hash is that of its transaction: consensus took care of it.
    if any(result.status != SKIPPED and result.hash == tx_hash for result in found.results):
        return found
    reason = f"the node says that transaction {to_hex(tx_hash)} is in block {height}, where it is not"
    raise Unverified((("verified.transaction", reason),))


def _whole(kept: Kept, height: int, block_hash: Digest) -> Flow[VerifiedBlock]:
    reply = yield from ask(Rpc("paraph_getBlock", (height,)))
    if reply is None:
        raise Unavailable("verified.withheld", f"the node does not show block {height}, which is there; ask another")
    shown, transactions, results = take(reply, "the reply to paraph_getBlock", "header", "transactions", "results")
    header = header_from_rlp(rlp.decode(from_hex(shown, None, "header"))).header
    raws, leaves = _listed(transactions, "transactions"), _listed(results, "results")
    if header.hash() != block_hash:
        reason = f"the node shows {to_hex(header.hash())} as block {height}; the chain has {to_hex(block_hash)}"
        raise Unverified((("verified.block", reason),))
    if root(raws) != header.transactions_root:
        reason = f"the node shows other transactions than block {height} commits to"
        raise Unverified((("verified.transactions", reason),))
    if root(leaves) != header.results_root or len(leaves) != len(raws):
        raise Unverified((("verified.results", f"the node shows other results than block {height} commits to"),))
    found = VerifiedBlock(header, raws, tuple(result_from_rlp(leaf) for leaf in leaves))
    kept.put(found, sum(len(part) for part in (*raws, *leaves)))
    return found


def _listed(value: Json, what: str) -> tuple[bytes, ...]:
    return tuple(from_hex(each, None, what) for each in as_list(value, what, items_max=RLP_ITEMS_MAX))


def _told(method: str, params: Sequence[Json], member: str) -> Flow[int | None]:
    """The height at which the node says something is, from a member of its reply; None for nothing."""
    reply = yield from ask(Rpc(method, tuple(params)))
    if reply is None:
        return None
    told = as_object(reply, f"the reply to {method}").get(member)
    if told is None:
        return None
    text = as_text(told, member, bytes_max=18)
    try:
        return int(text, 16)
    except ValueError as error:
        raise Malformed("verified.reply", f"{member} of the reply to {method} is no number") from error
