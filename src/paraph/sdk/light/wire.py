"""What wallets write in JSON-RPC, read strictly: quantities, bytes, addresses, calls and which block is meant.

Quantities have no leading zeros, data has two digits a byte (execution-apis, "Hex value encoding").
"""

import re
from typing import Final

from paraph.core.amount import UINT256_MAX, Wei
from paraph.core.encode import Json, JsonObject, as_list, as_object
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_ADDRESS, Address, Digest
from paraph.core.limits import TX_BYTES_MAX
from paraph.flows.verified.blocks import NEWEST
from paraph.flows.verified.calls import CallRequest

_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})", re.ASCII)
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)
NAMES: Final = {"latest": NEWEST, "safe": NEWEST, "finalized": NEWEST, "pending": NEWEST, "earliest": 0}
"""Blocks by name. What is committed is final, and nothing pending is verified: the newest block stands for it."""
ACCESS_LIST_MAX: Final = 1_000


def quantity(number: int) -> str:
    """A number as a quantity."""
    return hex(number)


def read_quantity(value: Json, what: str, high: int = UINT256_MAX) -> int:
    """Read a quantity of at most `high`. Raises `Malformed` (`rpc.params`), as all readers here."""
    if not isinstance(value, str) or _QUANTITY.fullmatch(value) is None:
        raise _wrong(f"{what} must be a hex quantity, 0x without leading zeros")
    number = int(value, 16)
    if number > high:
        raise _wrong(f"{what} is above {high:#x}")
    return number


def read_count(value: Json, what: str) -> int:
    """Read a small number, which some clients send as a JSON number and some as a quantity."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < NEWEST:
        return value
    return read_quantity(value, what, NEWEST - 1)


def read_data(value: Json, what: str, size: int | None = None) -> bytes:
    """Read bytes (of `size`)."""
    if not isinstance(value, str) or len(value) > 2 + 2 * TX_BYTES_MAX or _DATA.fullmatch(value) is None:
        raise _wrong(f"{what} must be hex data, 0x and two digits a byte, at most {TX_BYTES_MAX} bytes")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise _wrong(f"{what} must be {size} bytes, not {len(data)}")
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
        raise _wrong(f"{what} must be true or false")
    return value


def read_block(value: Json, what: str) -> int | Digest:
    """Read which block is meant: a name, a height, or an object with either a height or a hash (EIP-1898)."""
    if isinstance(value, dict):
        if "blockHash" in value:
            return read_digest(value["blockHash"], f"{what}.blockHash")
        value = value.get("blockNumber")
    if isinstance(value, str) and value in NAMES:
        return NAMES[value]
    if isinstance(value, str) and len(value) == 66:
        return read_digest(value, what)
    return read_quantity(value, what, NEWEST - 1)


def read_call(value: Json, what: str) -> CallRequest:
    """Read a transaction object, as `eth_call` and `eth_estimateGas` take it."""
    found = as_object(value, what)
    to, fee = found.get("to"), found.get("maxFeePerGas") or found.get("gasPrice")
    return CallRequest(
        ZERO_ADDRESS if found.get("from") is None else read_address(found["from"], f"{what}.from"),
        None if to in (None, "0x") else read_address(to, f"{what}.to"),
        Wei(_optional(found, "value", what) or 0),
        _calldata(found, what),
        _optional(found, "gas", what),
        0 if fee is None else read_quantity(fee, f"{what}.maxFeePerGas or gasPrice"),
        _access_list(found.get("accessList"), f"{what}.accessList"),
    )


def read_nothing(value: Json, what: str) -> None:
    """Read state or block overrides, of which only none can be honoured. Raises `Rejected` (`rpc.overrides`)."""
    if value != {}:
        raise Rejected("rpc.overrides", f"{what}: overrides are not supported: a call runs on the chain's own state")


def _optional(found: JsonObject, name: str, what: str) -> int | None:
    value = found.get(name)
    return None if value is None else read_quantity(value, f"{what}.{name}")


def _calldata(found: JsonObject, what: str) -> bytes:
    given = [read_data(found[name], f"{what}.{name}") for name in ("input", "data") if found.get(name) is not None]
    if len(set(given)) > 1:
        raise _wrong(f"{what}: data and input differ; use input")
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


def _wrong(sentence: str) -> Malformed:
    return Malformed("rpc.params", sentence)
