"""Which logs are asked for: addresses and topics, and a range of blocks that is read whole."""

from dataclasses import dataclass

from paraph.adapters.ethereum.logs import Criteria, read_criteria
from paraph.core.encode import Json, as_object
from paraph.core.errors import Malformed
from paraph.core.ident import Digest
from paraph.flows.verified.blocks import NEWEST
from paraph.sdk.light.wire import READING, read_block, read_digest


@dataclass(frozen=True, slots=True)
class LogSearch:
    """Criteria, and where to look: in one block, or from a height to a height."""

    criteria: Criteria
    block: Digest | None
    first: int
    last: int


def read_search(value: Json, what: str) -> LogSearch:
    """Read a filter object. Raises `Malformed`."""
    found = as_object(value, what)
    block, first, last = (found.get(name) for name in ("blockHash", "fromBlock", "toBlock"))
    if block is not None and (first is not None or last is not None):
        raise Malformed("rpc.params", f"{what}: give either blockHash or fromBlock and toBlock")
    lowest, highest = _height(first, f"{what}.fromBlock"), _height(last, f"{what}.toBlock")
    if lowest > highest:
        raise Malformed("rpc.params", f"{what}: fromBlock lies after toBlock")
    return LogSearch(
        read_criteria(found, what, READING),
        None if block is None else read_digest(block, f"{what}.blockHash"),
        lowest,
        highest,
    )


def _height(value: Json, what: str) -> int:
    found = NEWEST if value is None else read_block(value, what)
    if not isinstance(found, int):
        raise Malformed("rpc.params", f"{what} is a height or a name; use blockHash for one block")
    return found
