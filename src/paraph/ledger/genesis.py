"""Genesis: the document a network starts from, and the state it means. Its digest names the network.

The whole supply is allocated, to the wei, or the document is refused.
"""

from dataclasses import dataclass, field

from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.digest import tagged
from paraph.core.encode import (
    Json,
    as_decimal,
    as_integer,
    as_list,
    as_object,
    as_text,
    canonical,
    decode_exact,
    take,
)
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest, address_from_hex, to_hex
from paraph.core.limits import NAME_BYTES_MAX
from paraph.core.tags import Tag
from paraph.ledger.block import BASE_FEE, CHAIN_ID, TIME_S
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.accounts.rules import reserved
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.keys import GOVERNOR
from paraph.ledger.rooms.params.types import BASE_FEE_MIN_WEI, PARAMETERS
from paraph.ledger.state import State

FORMAT = "paraph/genesis/1"
ALLOCATIONS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Allocation:
    """A first balance: whose, how much in wei, and what for (for people)."""

    account: Address
    amount: Wei
    purpose: str


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a network starts from.

    Args:
        network: its name.
        chain_id: EIP-155 chain id; small enough for any wallet.
        time_s: Unix seconds; the first block is not earlier.
        producers: accounts that sign headers (one, for a solo network).
        governor: who may change parameters until governance exists; zero for nobody.
        devnet: true when nothing on it has value.
        allocations: the whole supply.
        parameters: those that differ from their defaults.
    """

    network: str
    chain_id: int
    time_s: int
    producers: tuple[Address, ...]
    governor: Address
    devnet: bool
    allocations: tuple[Allocation, ...]
    parameters: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """The document as JSON."""
        return {
            "format": FORMAT,
            "network": self.network,
            "chain_id": self.chain_id,
            "time_s": self.time_s,
            "producers": [to_hex(each) for each in self.producers],
            "governor": to_hex(self.governor),
            "devnet": self.devnet,
            "allocations": [
                {"account": to_hex(each.account), "amount": str(each.amount), "purpose": each.purpose}
                for each in self.allocations
            ],
            "parameters": {name: str(value) for name, value in self.parameters.items()},
        }

    def digest(self) -> Digest:
        """The 32 bytes that name the network."""
        return tagged(Tag.GENESIS, canonical(self.as_json()))

    def state(self) -> dict[bytes, bytes | None]:
        """The first state.

        Raises:
            Malformed: `genesis.supply`, `genesis.producers`, `genesis.reserved`; Rejected: `params.…`.
        """
        total = sum(each.amount for each in self.allocations)
        if total != SUPPLY_WEI:
            raise Malformed("genesis.supply", f"allocations add up to {total} wei; the supply is {SUPPLY_WEI}")
        if not self.producers:
            raise Malformed("genesis.producers", "a network needs at least one producer")
        paid = [*(each.account for each in self.allocations), *self.producers]
        if any(reserved(account) for account in paid):
            raise Malformed("genesis.reserved", "what is paid to a native contract's address would be lost")
        unknown = sorted(self.parameters.keys() - PARAMETERS.keys())
        if unknown:
            raise Malformed("genesis.parameters", f"unknown parameters: {', '.join(unknown)}")
        nothing: dict[bytes, bytes] = {}
        state = State(nothing.get)
        params.put(state, self.parameters)
        for each in self.allocations:
            BALANCES.add(state, each.account, each.amount)
        state.put(GOVERNOR, self.governor)
        CHAIN_ID.put(state, b"", self.chain_id)
        TIME_S.put(state, b"", self.time_s)
        BASE_FEE.put(state, b"", params.get(state, BASE_FEE_MIN_WEI))
        state.keep()
        return state.changes()


def decode_genesis(data: bytes) -> Genesis:
    """Read a genesis document. Raises `Malformed` (`genesis.format`, `json.…`)."""
    form, network, chain_id, time_s, producers, governor, devnet, allocations, parameters = take(
        decode_exact(data),
        "genesis",
        "format",
        "network",
        "chain_id",
        "time_s",
        "producers",
        "governor",
        "devnet",
        "allocations",
        "parameters",
    )
    if form != FORMAT or not isinstance(devnet, bool):
        raise Malformed("genesis.format", f"not a genesis document: its format must be {FORMAT}, devnet true or false")
    return Genesis(
        as_text(network, "network", bytes_max=NAME_BYTES_MAX),
        as_integer(chain_id, "chain_id", 1, 2**32),
        as_integer(time_s, "time_s"),
        tuple(address_from_hex(each, "producers") for each in as_list(producers, "producers", items_max=16)),
        address_from_hex(governor, "governor"),
        devnet,
        tuple(_allocation(each) for each in as_list(allocations, "allocations", items_max=ALLOCATIONS_MAX)),
        {name: as_decimal(value, name, 2**128) for name, value in as_object(parameters, "parameters").items()},
    )


def _allocation(value: Json) -> Allocation:
    account, amount, purpose = take(value, "allocation", "account", "amount", "purpose")
    return Allocation(
        address_from_hex(account, "allocation.account"),
        Wei(as_decimal(amount, "allocation.amount", SUPPLY_WEI)),
        as_text(purpose, "allocation.purpose", bytes_max=NAME_BYTES_MAX),
    )
