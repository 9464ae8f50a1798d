"""The room's records, and what passes between it, genesis and consensus."""

from dataclasses import dataclass
from typing import Final, Self

from paraph.core import rlp
from paraph.core.amount import WEI_PER_OPG, Wei
from paraph.core.errors import Malformed
from paraph.core.ident import Address
from paraph.proofs.records import Record

DOUBLE_SIGN: Final = 1
LIGHT_CLIENT_ATTACK: Final = 2
FAULT_KINDS: Final = (DOUBLE_SIGN, LIGHT_CLIENT_ATTACK)
"""What consensus proves of a validator: it signed two blocks of one height, or lied to light clients."""


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A validator that is there from the start.

    Args:
        operator: the account it answers to.
        key: ed25519 key with which it signs votes, 32 bytes.
        bond: its bond in wei, part of the fixed supply.
        moniker: how people call it.
    """

    operator: Address
    key: bytes
    bond: Wei
    moniker: str


@dataclass(frozen=True, slots=True)
class SetChange:
    """What consensus is told: this key has this power from now on; 0 takes it out of the set."""

    key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What consensus proved of a validator.

    Args:
        kind: one of `FAULT_KINDS`.
        validator: its consensus address: the first 20 bytes of SHA-256 of its key.
        height, time_s: when it did so.
    """

    kind: int
    validator: bytes
    height: int
    time_s: int


@dataclass(frozen=True, slots=True)
class Validator(Record):
    """A validator.

    Args:
        key: ed25519 key with which it signs votes.
        moniker: how people call it; not unique and not trusted.
        bond: wei held by the contract for it; 0 once it has left.
        tombstoned_s: when it was put out for ever, Unix seconds; 0 while it was not.
    """

    key: bytes
    moniker: str
    bond: int
    tombstoned_s: int

    @property
    def power(self) -> int:
        """Its votes: a vote for each whole OPG of its bond, none when tombstoned. All together stay below 2^30."""
        return 0 if self.tombstoned_s else self.bond // WEI_PER_OPG


@dataclass(frozen=True, slots=True)
class KeyOwner(Record):
    """Whose a consensus key is, for ever."""

    operator: Address


@dataclass(frozen=True, slots=True)
class Unbonding(Record):
    """Money that left a bond and waits.

    Args:
        amount: wei.
        height: the block in which it left.
        mature_s: when it may be withdrawn, Unix seconds.
    """

    amount: int
    height: int
    mature_s: int


@dataclass(frozen=True, slots=True)
class Seat(Record):
    """A place in the ranking: who, with which power."""

    operator: Address
    power: int

    @property
    def order(self) -> tuple[int, Address]:
        """Smaller is better: more power first, then the smaller address."""
        return -self.power, self.operator


@dataclass(frozen=True, slots=True)
class ActiveSet(Record):
    """The validator set as consensus was told: keys with their powers, sorted by key."""

    members: tuple[tuple[bytes, int], ...]

    def encode(self) -> bytes:
        """The record's bytes in state: a list of pairs."""
        return rlp.encode([[key, rlp.from_uint(power)] for key, power in self.members])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the record back. Raises `Malformed` (`record.form`, `rlp.…`)."""
        return cls(tuple(_member(item) for item in rlp.as_list(rlp.decode(data), "a validator set")))


def _member(item: rlp.Rlp) -> tuple[bytes, int]:
    pair = rlp.as_list(item, "a member")
    if len(pair) != 2:
        raise Malformed("record.form", f"a member of the set is a key and a power, not {len(pair)} items")
    return rlp.as_bytes(pair[0], "key", 32), rlp.to_uint(pair[1], "power")
