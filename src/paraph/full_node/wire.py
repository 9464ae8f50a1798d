"""What a full node reads of Ethereum JSON-RPC: how much of it, and which blocks have a name."""

from enum import Enum
from typing import Final, TypeAlias

from paraph.adapters.ethereum.wire import Reading
from paraph.core.encode import Json
from paraph.core.ident import Digest

READING: Final = Reading(number_max=2**64 - 1, access_list_max=10_000)

read_count, read_call = READING.count, READING.call
read_data, read_address, read_digest = READING.data, READING.address, READING.digest


class Named(Enum):
    """Blocks that have a name. `safe` and `finalized` are the head: what is committed is final."""

    HEAD = "latest"
    PENDING = "pending"
    GENESIS = "earliest"


_NAMES: Final = {
    "latest": Named.HEAD,
    "safe": Named.HEAD,
    "finalized": Named.HEAD,
    "pending": Named.PENDING,
    "earliest": Named.GENESIS,
}

Tag: TypeAlias = Named | int | Digest
"""Which block: by name, by height, or by hash."""


def read_tag(value: Json, what: str) -> Tag:
    """Read which block is meant: a name, a height, or an object with either a height or a hash (EIP-1898)."""
    if isinstance(value, dict):
        if "blockHash" in value:
            return read_digest(value["blockHash"], f"{what}.blockHash")
        return read_tag(value.get("blockNumber"), f"{what}.blockNumber")
    return READING.place(value, what, _NAMES)
