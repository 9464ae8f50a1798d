"""How Ethereum JSON-RPC writes numbers, bytes, blocks' names and calls: `0x` hex, in two forms, read strictly.

Quantities have no leading zeros, data has two digits a byte (execution-apis, "Hex value encoding"). How much is read is
said by who reads: a node that serves strangers has other bounds than a client that serves its own machine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from paraph.core.amount import UINT256_MAX, Wei
from paraph.core.encode import Json, JsonObject, as_list, as_object
from paraph.core.errors import Malformed
from paraph.core.ident import ZERO_ADDRESS, Address, Digest
from paraph.core.limits import TX_BYTES_MAX
from paraph.flows.verified.calls import CallRequest

T = TypeVar("T")

_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})", re.ASCII)
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


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


def read_flag(value: Json, what: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise _wrong(f"{what} must be true or false")
    return value


@dataclass(frozen=True, slots=True)
class Reading:
    """Readers of parameters, within the bounds of one door.

    Args:
        number_max: the largest height or count.
        access_list_max: entries of an access list, and keys of each of them.
        data_bytes_max: bytes written as data; None where the bound on a body is enough.
    """

    number_max: int
    access_list_max: int
    data_bytes_max: int | None = None

    def count(self, value: Json, what: str) -> int:
        """Read a small number, which some clients send as a JSON number and some as a quantity."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= self.number_max:
            return value
        return read_quantity(value, what, self.number_max)

    def data(self, value: Json, what: str, size: int | None = None) -> bytes:
        """Read bytes (of `size`)."""
        most = self.data_bytes_max
        too_long = most is not None and isinstance(value, str) and len(value) > 2 + 2 * most
        if not isinstance(value, str) or too_long or _DATA.fullmatch(value) is None:
            bound = "" if most is None else f", at most {most} bytes"
            raise _wrong(f"{what} must be hex data, 0x and two digits a byte{bound}")
        data = bytes.fromhex(value[2:])
        if size is not None and len(data) != size:
            raise _wrong(f"{what} must be {size} bytes, not {len(data)}")
        return data

    def address(self, value: Json, what: str) -> Address:
        """Read an address, in any case: checksums are the wallet's to check."""
        return Address(self.data(value, what, 20))

    def digest(self, value: Json, what: str) -> Digest:
        """Read a 32-byte hash."""
        return Digest(self.data(value, what, 32))

    def place(self, value: Json, what: str, names: Mapping[str, T]) -> T | int | Digest:
        """Read which block is meant: one of the `names`, a height, or a hash."""
        if isinstance(value, str) and value in names:
            return names[value]
        if isinstance(value, str) and len(value) == 66:
            return self.digest(value, what)
        return read_quantity(value, what, self.number_max)

    def call(self, value: Json, what: str) -> CallRequest:
        """Read a transaction object, as `eth_call` and `eth_estimateGas` take it."""
        found = as_object(value, what)
        to, fee = found.get("to"), found.get("maxFeePerGas") or found.get("gasPrice")
        return CallRequest(
            ZERO_ADDRESS if found.get("from") is None else self.address(found["from"], f"{what}.from"),
            None if to in (None, "0x") else self.address(to, f"{what}.to"),
            Wei(_optional(found, "value", what) or 0),
            self._calldata(found, what),
            _optional(found, "gas", what),
            0 if fee is None else read_quantity(fee, f"{what}.maxFeePerGas or gasPrice"),
            self._access_list(found.get("accessList"), f"{what}.accessList"),
        )

    def _calldata(self, found: JsonObject, what: str) -> bytes:
        given = [self.data(found[name], f"{what}.{name}") for name in ("input", "data") if found.get(name) is not None]
        if len(set(given)) > 1:
            raise _wrong(f"{what}: data and input differ; use input")
        if given and len(given[0]) > TX_BYTES_MAX:
            raise _wrong(f"{what}.input is larger than a transaction may be")
        return given[0] if given else b""

    def _access_list(self, value: Json, what: str) -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
        if value is None:
            return ()
        most, keys = self.access_list_max, f"{what}.storageKeys"
        entries = (as_object(entry, what) for entry in as_list(value, what, items_max=most))
        return tuple(
            (
                self.address(entry.get("address"), f"{what}.address"),
                tuple(self.digest(slot, keys) for slot in as_list(entry.get("storageKeys"), keys, items_max=most)),
            )
            for entry in entries
        )


def _optional(found: JsonObject, name: str, what: str) -> int | None:
    value = found.get(name)
    return None if value is None else read_quantity(value, f"{what}.{name}")


def _wrong(sentence: str) -> Malformed:
    return Malformed("rpc.params", sentence)
