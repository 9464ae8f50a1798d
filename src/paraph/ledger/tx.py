"""Ethereum transactions: legacy (EIP-155), access-list (EIP-2930) and dynamic-fee (EIP-1559), read strictly.

`check_form` needs the bytes alone and is the costly part (it recovers the sender); it may run anywhere, in parallel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from paraph.core import rlp
from paraph.core.amount import Wei
from paraph.core.digest import keccak256
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import Address, Digest
from paraph.core.keys import PrivateKey, Recover, recover
from paraph.core.limits import BLOCK_GAS_MAX, TX_BYTES_MAX

GAS_INTRINSIC: Final = 21_000
GAS_ZERO_BYTE: Final = 4
GAS_BYTE: Final = 16
GAS_ACCESS_ADDRESS: Final = 2_400
GAS_ACCESS_KEY: Final = 1_900


@dataclass(frozen=True, slots=True)
class Tx:
    """A transaction's fields, one shape for the three types.

    Args:
        type: 0 legacy, 1 EIP-2930, 2 EIP-1559.
        tip_max, fee_max: wei per gas; equal for types 0 and 1, whose single gas price is both.
        access_list: as RLP; charged for as EIP-2930 says and otherwise without effect.
    """

    type: int
    chain_id: int
    nonce: int
    tip_max: int
    fee_max: int
    gas_limit: int
    to: Address
    value: Wei
    data: bytes
    access_list: tuple[tuple[bytes, tuple[bytes, ...]], ...] = ()

    def price(self, base_fee: int) -> int:
        """The wei per gas that this transaction pays in a block with that base fee (EIP-1559)."""
        return min(self.fee_max, base_fee + self.tip_max)

    def intrinsic_gas(self) -> int:
        """Gas for the transaction's bytes alone."""
        zeros = self.data.count(0)
        keys = sum(len(slots) for _, slots in self.access_list)
        return (
            GAS_INTRINSIC
            + GAS_ZERO_BYTE * zeros
            + GAS_BYTE * (len(self.data) - zeros)
            + GAS_ACCESS_ADDRESS * len(self.access_list)
            + GAS_ACCESS_KEY * keys
        )

    def _fields(self) -> list[rlp.Rlp]:
        number = rlp.from_uint
        tail: list[rlp.Rlp] = [number(self.gas_limit), self.to, number(self.value), self.data]
        if self.type == 0:
            return [number(self.nonce), number(self.fee_max), *tail]
        fees = [number(self.fee_max)] if self.type == 1 else [number(self.tip_max), number(self.fee_max)]
        access: list[rlp.Rlp] = [[address, list(slots)] for address, slots in self.access_list]
        return [number(self.chain_id), number(self.nonce), *fees, *tail, access]

    def signing_digest(self) -> Digest:
        """The 32 bytes that the sender signs."""
        if self.type == 0:
            return keccak256(rlp.encode([*self._fields(), rlp.from_uint(self.chain_id), b"", b""]))
        return keccak256(bytes((self.type,)) + rlp.encode(self._fields()))

    def sign(self, key: PrivateKey) -> bytes:
        """The signed raw transaction."""
        return self.with_signature(key.sign(self.signing_digest()))

    def with_signature(self, signature: bytes) -> bytes:
        """The raw transaction with a signature (65 bytes) made elsewhere."""
        parity = signature[64] - 27
        v = self.chain_id * 2 + 35 + parity if self.type == 0 else parity
        parts = [v, int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")]
        body = rlp.encode([*self._fields(), *(rlp.from_uint(part) for part in parts)])
        return body if self.type == 0 else bytes((self.type,)) + body


@dataclass(frozen=True, slots=True)
class SignedTx:
    """A transaction whose form was checked: its fields, sender, hash, signature (65 bytes) and raw bytes."""

    tx: Tx
    sender: Address
    hash: Digest
    signature: bytes
    raw: bytes


Form: TypeAlias = Callable[[bytes, int], SignedTx]
"""What `check_form` does. Whoever has read a transaction before passes one that remembers."""


def check_form(raw: bytes, chain_id: int, recover: Recover = recover) -> SignedTx:
    """Everything that the bytes alone can tell.

    Args:
        raw: the transaction as wallets send it.
        chain_id: the only chain accepted.
        recover: finds the sender of a signature.

    Raises:
        Malformed: `tx.form`, `tx.size`, `tx.type`, and what RLP and signatures raise.
        Rejected: `tx.chain_id`, `tx.gas_limit`, `tx.fee`, `tx.create`.
    """
    if not 0 < len(raw) <= TX_BYTES_MAX:
        raise Malformed("tx.size", f"a transaction is 1 to {TX_BYTES_MAX} bytes, not {len(raw)}", got=len(raw))
    kind = raw[0] if raw[0] < 0x80 else 0
    if kind not in (0, 1, 2) or raw[0] == 0:
        raise Malformed("tx.type", f"transaction type {raw[0]} is none of legacy, 1 (EIP-2930), 2 (EIP-1559)")
    items = rlp.as_list(rlp.decode(raw if kind == 0 else raw[1:]), "a transaction")
    expected = (9, 11, 12)[kind]
    if len(items) != expected:
        raise Malformed("tx.form", f"a transaction of type {kind} is a list of {expected} items, not {len(items)}")
    tx, signature = (_legacy if kind == 0 else _typed)(kind, items)
    if tx.chain_id != chain_id:
        raise Rejected(
            "tx.chain_id",
            f"signed for chain {tx.chain_id}; this is chain {chain_id}",
            expected=chain_id,
            got=tx.chain_id,
        )
    if tx.tip_max > tx.fee_max:
        raise Rejected("tx.fee", "the tip per gas is above the most the sender pays per gas")
    if not tx.intrinsic_gas() <= tx.gas_limit <= BLOCK_GAS_MAX:
        needed = tx.intrinsic_gas()
        raise Rejected(
            "tx.gas_limit", f"gas limit {tx.gas_limit}; this needs {needed} to {BLOCK_GAS_MAX}", needed=needed
        )
    return SignedTx(tx, recover(tx.signing_digest(), signature), keccak256(raw), signature, raw)


def _address(item: rlp.Rlp) -> Address:
    if item == b"":
        raise Rejected("tx.create", "contracts cannot be created on this chain; name an account to call")
    return Address(rlp.as_bytes(item, "a transaction's recipient", 20))


def _legacy(kind: int, item: list[rlp.Rlp]) -> tuple[Tx, bytes]:
    nonce, price, gas, value, v = (
        rlp.to_uint(part, name) for part, name in zip((*item[:3], item[4], item[6]), _NAMES, strict=True)
    )
    if v < 35:
        raise Rejected("tx.chain_id", "a legacy transaction without a chain id (before EIP-155) could be replayed here")
    tx = Tx(kind, (v - 35) >> 1, nonce, price, price, gas, _address(item[3]), Wei(value), rlp.as_bytes(item[5], "data"))
    return _bounded(tx), _signature(item[7], item[8], (v - 35) & 1)


_NAMES = ("nonce", "gas price", "gas limit", "value", "v")


def _typed(kind: int, item: list[rlp.Rlp]) -> tuple[Tx, bytes]:
    numbers = item[:4] if kind == 1 else item[:5]
    rest = item[len(numbers) :]
    chain_id, nonce, *fees, gas = (rlp.to_uint(part, "a number in the transaction") for part in numbers)
    to, value, data, access, parity, r, s = rest
    y_parity = rlp.to_uint(parity, "y parity")
    if y_parity > 1:
        raise Malformed("tx.form", "a signature's y parity is 0 or 1")
    tx = Tx(
        kind,
        chain_id,
        nonce,
        fees[0],
        fees[-1],
        gas,
        _address(to),
        Wei(rlp.to_uint(value, "value")),
        rlp.as_bytes(data, "data"),
        _access_list(access),
    )
    return _bounded(tx), _signature(r, s, y_parity)


def _bounded(tx: Tx) -> Tx:
    if tx.nonce >= 2**64 or tx.gas_limit >= 2**64 or tx.fee_max >= 2**128:
        raise Malformed("tx.form", "nonce and gas limit have 64 bits, fees 128")
    return tx


def _access_list(item: rlp.Rlp) -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
    found = []
    for entry in rlp.as_list(item, "an access list"):
        parts = rlp.as_list(entry, "an entry of an access list")
        if len(parts) != 2:
            raise Malformed("tx.form", "an access list holds pairs of an address and storage keys")
        slots = tuple(rlp.as_bytes(slot, "a storage key", 32) for slot in rlp.as_list(parts[1], "storage keys"))
        found.append((rlp.as_bytes(parts[0], "an address", 20), slots))
    return tuple(found)


def _signature(r: rlp.Rlp, s: rlp.Rlp, parity: int) -> bytes:
    numbers = (rlp.to_uint(r, "r"), rlp.to_uint(s, "s"))
    return b"".join(number.to_bytes(32, "big") for number in numbers) + bytes((27 + parity,))
