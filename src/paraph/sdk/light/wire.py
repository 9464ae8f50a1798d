"""What the light client reads of Ethereum JSON-RPC: how much of it, and which block is meant by a name."""

from typing import Final

from paraph.adapters.ethereum.wire import Reading
from paraph.core.encode import Json
from paraph.core.errors import Rejected
from paraph.core.ident import Digest
from paraph.core.limits import TX_BYTES_MAX
from paraph.flows.verified.blocks import NEWEST

NAMES: Final = {"latest": NEWEST, "safe": NEWEST, "finalized": NEWEST, "pending": NEWEST, "earliest": 0}
"""Blocks by name. What is committed is final, and nothing pending is verified: the newest block stands for it."""
READING: Final = Reading(number_max=NEWEST - 1, access_list_max=1_000, data_bytes_max=TX_BYTES_MAX)

read_count, read_call = READING.count, READING.call
read_data, read_address, read_digest = READING.data, READING.address, READING.digest


def read_block(value: Json, what: str) -> int | Digest:
    """Read which block is meant: a name, a height, or an object with either a height or a hash (EIP-1898)."""
    if isinstance(value, dict):
        if "blockHash" in value:
            return read_digest(value["blockHash"], f"{what}.blockHash")
        value = value.get("blockNumber")
    return READING.place(value, what, NAMES)


def read_nothing(value: Json, what: str) -> None:
    """Read state or block overrides, of which only none can be honoured. Raises `Rejected` (`rpc.overrides`)."""
    if value != {}:
        raise Rejected("rpc.overrides", f"{what}: overrides are not supported: a call runs on the chain's own state")
