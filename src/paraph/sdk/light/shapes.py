"""Verified blocks in the shapes that Ethereum clients read: from what their roots commit to, not what a node wrote."""

from collections.abc import Iterator
from typing import Final

from paraph.adapters.ethereum import shapes
from paraph.adapters.ethereum.shapes import Included
from paraph.core.encode import JsonObject
from paraph.flows.verified.blocks import VerifiedBlock
from paraph.ledger.contract import REVERT

KEPT_MAX: Final = 1_024
"""Transactions kept decoded, some 10 MB at most."""

_decode: Final = shapes.keeping(KEPT_MAX)


def included(block: VerifiedBlock) -> Iterator[Included]:
    """The transactions of a block that are shown, in order."""
    return shapes.included(block, _decode)


def block_json(block: VerifiedBlock, *, full: bool) -> JsonObject:
    """A block, with its transactions whole or by hash. `size` counts its transactions alone."""
    return shapes.block_json(block, included(block), sum(len(raw) for raw in block.transactions), full=full)


def receipt_json(found: Included) -> JsonObject:
    """The receipt of a committed transaction. A failed one has as `revertReason` its code alone: no more is proved."""
    return shapes.receipt_json(found, REVERT.call(found.result.error))
