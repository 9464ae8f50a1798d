"""A node's record."""

from dataclasses import dataclass

from paraph.core.ident import Address, ModelId
from paraph.proofs.records import Record


@dataclass(frozen=True, slots=True)
class Node(Record):
    """An inference node.

    Args:
        endpoint: base URL where it answers.
        bond: wei held by the nodes contract for it.
        hot_key: the key that signs its receipts now.
        layers: bit n−1 set when it offers layer n.
        models: what it serves.
        heartbeat_s: when it last said it lives, Unix seconds.
        leaving_s: when its bond may be withdrawn; 0 while it stays.
    """

    endpoint: str
    bond: int
    hot_key: Address
    layers: int
    models: tuple[ModelId, ...]
    heartbeat_s: int
    leaving_s: int
