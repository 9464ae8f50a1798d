"""The rules in force, by version: which contracts answer. A new version is added; an old one stays for replay.

A version comes into force at a height that the ledger itself names (room `params`). A node whose software does not know
it stops before that block: it never guesses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from paraph.core.ident import Address
from paraph.ledger.contract import Contract
from paraph.ledger.rooms.accounts.calls import CONTRACT as ACCOUNTS
from paraph.ledger.rooms.bonds.calls import CONTRACT as STAKING
from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW
from paraph.ledger.rooms.measurements.calls import CONTRACT as MEASUREMENTS
from paraph.ledger.rooms.models.calls import CONTRACT as MODELS
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.params.calls import CONTRACT as PARAMS
from paraph.ledger.rooms.proofs.calls import CONTRACT as PROOFS
from paraph.ledger.rooms.settlement.calls import CONTRACT as SETTLEMENT

CONTRACTS: Final[tuple[Contract, ...]] = (
    PARAMS,
    ACCOUNTS,
    STAKING,
    MEASUREMENTS,
    NODES,
    MODELS,
    ESCROW,
    SETTLEMENT,
    PROOFS,
)


@dataclass(frozen=True)
class Rules:
    """The rules of one version: its contracts, by the address where each answers."""

    version: int
    contracts: tuple[Contract, ...]

    @cached_property
    def by_address(self) -> Mapping[Address, Contract]:
        """The contracts by address."""
        return {contract.address: contract for contract in self.contracts}


RULES: Final[Mapping[int, Rules]] = {1: Rules(1, CONTRACTS)}
"""Every version that this software can apply."""
VERSION_LATEST: Final = max(RULES)
BY_ADDRESS: Final = RULES[VERSION_LATEST].by_address
BY_NAME: Final = {contract.name: contract for contract in CONTRACTS}
