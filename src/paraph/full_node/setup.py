"""Making a full node's home: its keys, the network's genesis, its configuration. Nothing there is ever overwritten.

A network is founded once, by people who agree on one document; whoever comes later starts from that document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.adapters.comet.keys import identity
from paraph.adapters.keys.keystore import write_private
from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.encode import JsonObject, as_text, canonical, decode, take
from paraph.core.errors import Rejected, Unavailable
from paraph.core.ident import Address, address_from_hex, from_hex, to_hex
from paraph.core.limits import NAME_BYTES_MAX
from paraph.full_node.__main__ import GENESIS
from paraph.full_node.agreement import ENGINE
from paraph.full_node.config import FILE, Config, encode_config
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.bonds.types import GenesisValidator

FOUNDER_BYTES_MAX: Final = 4096
"""An address, a key and a name."""


@dataclass(frozen=True, slots=True)
class Made:
    """What others need to know of a node: its id among peers, and the key that its validator votes with (32 bytes)."""

    node_id: str
    validator_key: bytes


@dataclass(frozen=True, slots=True)
class Founder:
    """A validator of a network to be: what its operator sends to whoever writes the genesis.

    Args:
        operator: the account that its bond belongs to.
        key: the key that it votes with, 32 bytes.
        moniker: how people call it.
    """

    operator: Address
    key: bytes
    moniker: str

    def as_json(self) -> JsonObject:
        """The file as JSON."""
        return {"operator": to_hex(self.operator), "key": to_hex(self.key), "moniker": self.moniker}


def decode_founder(data: bytes) -> Founder:
    """Read a founder's file. Raises `Malformed` (`json.…`, `ident.…`)."""
    found = decode(data, bytes_max=FOUNDER_BYTES_MAX)
    operator, key, moniker = take(found, "a founder", "operator", "key", "moniker")
    return Founder(
        address_from_hex(operator, "founder.operator"),
        from_hex(key, 32, "founder.key"),
        as_text(moniker, "founder.moniker", bytes_max=NAME_BYTES_MAX),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """A network to be founded.

    Args:
        network: its name. chain_id: for wallets.
        time_s: Unix seconds; the first block is not earlier.
        founders: the first validators. bond: what each of them bonds.
        allocations: first balances. remainder: who gets what is left of the supply.
        governor: who may change parameters and schedule upgrades.
        devnet: true when nothing on it has value.
        parameters: those that differ from their defaults.
    """

    network: str
    chain_id: int
    time_s: int
    founders: Sequence[Founder]
    bond: Wei
    allocations: Sequence[tuple[Address, Wei]]
    remainder: Address
    governor: Address
    devnet: bool
    parameters: Mapping[str, int]

    def genesis(self) -> Genesis:
        """The document.

        Raises:
            Rejected: `setup.supply`: bonds and allocations are more than there is; and as `Genesis.state`.
            Malformed: as `Genesis.state`.
        """
        spent = self.bond * len(self.founders) + sum(amount for _, amount in self.allocations)
        if spent > SUPPLY_WEI:
            raise Rejected("setup.supply", f"bonds and allocations are {spent} wei; the supply is {SUPPLY_WEI}")
        parts = [Allocation(account, amount, "allocation") for account, amount in self.allocations]
        if spent < SUPPLY_WEI:
            parts.append(Allocation(self.remainder, Wei(SUPPLY_WEI - spent), "remainder"))
        made = Genesis(
            self.network,
            self.chain_id,
            self.time_s,
            (),
            self.governor,
            self.devnet,
            tuple(parts),
            dict(self.parameters),
            tuple(GenesisValidator(each.operator, each.key, self.bond, each.moniker) for each in self.founders),
        )
        made.state()
        return made


def make_keys(home: Path) -> Made:
    """Make a node's keys, or read those that are there. Raises as `paraph.adapters.comet.keys.identity`."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable("node.home", f"{home} cannot be made a folder: {error.strerror}") from error
    found = identity(home / ENGINE)
    return Made(found.node_id, found.validator_key)


def need_unmade(home: Path) -> None:
    """Refuse a home that has a genesis. Raises `Rejected` (`node.made`)."""
    if (home / GENESIS).exists():
        raise Rejected("node.made", f"{home} is a node's home already: choose another, or delete it")


def make_home(home: Path, genesis: Genesis, config: Config) -> None:
    """Write genesis and configuration into a home; the genesis comes last: a home that has it is whole.

    Raises:
        Rejected: `node.made`: this home has a genesis already. Malformed: the genesis means no state.
        Unavailable: `keystore.write`: it cannot be written.
    """
    need_unmade(home)
    genesis.state()
    (home / FILE).unlink(missing_ok=True)
    write_private(home / FILE, encode_config(config))
    write_private(home / GENESIS, canonical(genesis.as_json()))
