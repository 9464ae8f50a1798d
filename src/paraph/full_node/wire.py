"""How Ethereum JSON-RPC writes numbers, bytes and blocks' names: `0x` hex, in two forms, read strictly.

Quantities have no leading zeros, data has two digits a byte (execution-apis, "Hex value encoding").
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from paraph.core.amount import UINT256_MAX, Wei
from paraph.core.encode import Json, JsonObject, as_list, as_object
from paraph.core.errors import Malformed
from paraph.core.ident import ZERO_ADDRESS, Address, Digest
from paraph.core.limits import TX_BYTES_MAX

_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})", re.ASCII)
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)
ACCESS_LIST_MAX: Final = 10_000


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


@dataclass(frozen=True, slots=True)
class CallObject:
    """A call to simulate: the members of a transaction object that matter here."""

    sender: Address
    to: Address | None
    value: Wei
    data: bytes
    gas: int | None
    fee: int
    access_list: tuple[tuple[bytes, tuple[bytes, ...]], ...]


def quantity(number: int) -> str:
    """A number as a quantity."""
    return hex(number)


def read_quantity(value: Json, what: str, high: int = UINT256_MAX) -> int:
    """Read a quantity of at most `high`."""
    if not isinstance(value, str) or _QUANTITY.fullmatch(value) is None:
        raise Malformed("rpc.params", f"{what} must be a hex quantity, 0x without leading zeros")
    number = int(value, 16)
    if number > high:
        raise Malformed("rpc.params", f"{what} is above {high:#x}")
    return number


def read_count(value: Json, what: str) -> int:
    """Read a small number, which some clients send as a JSON number and some as a quantity."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return read_quantity(value, what, 2**64 - 1)


def read_data(value: Json, what: str, size: int | None = None) -> bytes:
    """Read bytes (of `size`)."""
    if not isinstance(value, str) or _DATA.fullmatch(value) is None:
        raise Malformed("rpc.params", f"{what} must be hex data, 0x and two digits a byte")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise Malformed("rpc.params", f"{what} must be {size} bytes, not {len(data)}")
    return data


def read_address(value: Json, what: str) -> Address:
    """Read an address, in any case: checksums are the wallet's to check."""
    return Address(read_data(value, what, 20))


def read_digest(value: Json, what: str) -> Digest:
    """Read a 32-byte hash."""
    return Digest(read_data(value, what, 32))


def read_flag(value: Json, what: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise Malformed("rpc.params", f"{what} must be true or false")
    return value


def read_tag(value: Json, what: str) -> Tag:
    """Read which block is meant: a name, a height, or an object with either a height or a hash (EIP-1898)."""
    if isinstance(value, dict):
        if "blockHash" in value:
            return read_digest(value["blockHash"], f"{what}.blockHash")
        return read_tag(value.get("blockNumber"), f"{what}.blockNumber")
    if isinstance(value, str) and value in _NAMES:
        return _NAMES[value]
    if isinstance(value, str) and len(value) == 66:
        return read_digest(value, what)
    return read_quantity(value, what, 2**64 - 1)


def read_call(value: Json, what: str) -> CallObject:
    """Read a transaction object, as `eth_call` and `eth_estimateGas` take it."""
    found = as_object(value, what)
    to = found.get("to")
    fee = found.get("maxFeePerGas") or found.get("gasPrice")
    return CallObject(
        ZERO_ADDRESS if found.get("from") is None else read_address(found["from"], f"{what}.from"),
        None if to in (None, "0x") else read_address(to, f"{what}.to"),
        Wei(_optional(found, "value", what) or 0),
        _calldata(found, what),
        _optional(found, "gas", what),
        0 if fee is None else read_quantity(fee, f"{what}.maxFeePerGas or gasPrice"),
        _access_list(found.get("accessList"), f"{what}.accessList"),
    )


def _optional(found: JsonObject, name: str, what: str) -> int | None:
    value = found.get(name)
    return None if value is None else read_quantity(value, f"{what}.{name}")


def _calldata(found: JsonObject, what: str) -> bytes:
    given = [read_data(found[name], f"{what}.{name}") for name in ("input", "data") if found.get(name) is not None]
    if len(set(given)) > 1:
        raise Malformed("rpc.params", f"{what}: data and input differ; use input")
    if given and len(given[0]) > TX_BYTES_MAX:
        raise Malformed("rpc.params", f"{what}.input is larger than a transaction may be")
    return given[0] if given else b""


def _access_list(value: Json, what: str) -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
    if value is None:
        return ()
    entries = (as_object(entry, what) for entry in as_list(value, what, items_max=ACCESS_LIST_MAX))
    return tuple(
        (
            read_address(entry.get("address"), f"{what}.address"),
            tuple(
                read_digest(slot, f"{what}.storageKeys")
                for slot in as_list(entry.get("storageKeys"), f"{what}.storageKeys", items_max=ACCESS_LIST_MAX)
            ),
        )
        for entry in entries
    )
