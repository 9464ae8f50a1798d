"""Which logs are asked for: of which contracts, with which topics, as the filters of `eth_getLogs` say it."""

from dataclasses import dataclass
from typing import Final

from paraph.adapters.ethereum.wire import Reading
from paraph.core.encode import Json, JsonObject, as_list
from paraph.core.ident import Address
from paraph.ledger.contract import Log

ALTERNATIVES_MAX: Final = 1_000
TOPICS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which logs: of these addresses, with these topics; None means any."""

    addresses: frozenset[Address] | None
    topics: tuple[frozenset[bytes] | None, ...]

    def match(self, log: Log) -> bool:
        """True when the log is asked for."""
        if self.addresses is not None and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(wanted is None or topic in wanted for wanted, topic in zip(self.topics, log.topics, strict=False))


def read_criteria(found: JsonObject, what: str, read: Reading) -> Criteria:
    """Read the criteria of a filter object. Raises `Malformed`."""
    return Criteria(
        _addresses(found.get("address"), f"{what}.address", read), _topics(found.get("topics"), f"{what}.topics", read)
    )


def _addresses(value: Json, what: str, read: Reading) -> frozenset[Address] | None:
    if value is None or value == []:
        return None
    listed = [value] if isinstance(value, str) else as_list(value, what, items_max=ALTERNATIVES_MAX)
    return frozenset(read.address(each, what) for each in listed)


def _topics(value: Json, what: str, read: Reading) -> tuple[frozenset[bytes] | None, ...]:
    listed = () if value is None else as_list(value, what, items_max=TOPICS_MAX)
    return tuple(_topic(each, what, read) for each in listed)


def _topic(value: Json, what: str, read: Reading) -> frozenset[bytes] | None:
    if value is None or value == []:
        return None
    listed = [value] if isinstance(value, str) else as_list(value, what, items_max=ALTERNATIVES_MAX)
    # An alternative that is null makes the whole position free.
    return None if None in listed else frozenset(read.digest(each, what) for each in listed)
