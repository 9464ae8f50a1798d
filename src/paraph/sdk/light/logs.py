"""Which logs are asked for: addresses and topics, and a range of blocks that is read whole."""

from dataclasses import dataclass
from typing import Final

from paraph.core.encode import Json, as_list, as_object
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest
from paraph.flows.verified.blocks import NEWEST
from paraph.ledger.contract import Log
from paraph.sdk.light.wire import read_address, read_block, read_digest

ALTERNATIVES_MAX: Final = 1_000
TOPICS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class LogSearch:
    """Logs of these addresses, with these topics, None meaning any; in one block, or from a height to a height."""

    addresses: frozenset[Address] | None
    topics: tuple[frozenset[bytes] | None, ...]
    block: Digest | None
    first: int
    last: int

    def match(self, log: Log) -> bool:
        """True when the log is asked for."""
        if self.addresses is not None and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(wanted is None or topic in wanted for wanted, topic in zip(self.topics, log.topics, strict=False))


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
        _addresses(found.get("address"), what),
        _topics(found.get("topics"), what),
        None if block is None else read_digest(block, f"{what}.blockHash"),
        lowest,
        highest,
    )


def _height(value: Json, what: str) -> int:
    found = NEWEST if value is None else read_block(value, what)
    if not isinstance(found, int):
        raise Malformed("rpc.params", f"{what} is a height or a name; use blockHash for one block")
    return found


def _addresses(value: Json, what: str) -> frozenset[Address] | None:
    if value is None or value == []:
        return None
    listed = [value] if isinstance(value, str) else as_list(value, f"{what}.address", items_max=ALTERNATIVES_MAX)
    return frozenset(read_address(each, f"{what}.address") for each in listed)


def _topics(value: Json, what: str) -> tuple[frozenset[bytes] | None, ...]:
    listed = () if value is None else as_list(value, f"{what}.topics", items_max=TOPICS_MAX)
    return tuple(_topic(each, f"{what}.topics") for each in listed)


def _topic(value: Json, what: str) -> frozenset[bytes] | None:
    if value is None or value == []:
        return None
    listed = [value] if isinstance(value, str) else as_list(value, what, items_max=ALTERNATIVES_MAX)
    # An alternative that is null makes the whole position free.
    return None if None in listed else frozenset(read_digest(each, what) for each in listed)
