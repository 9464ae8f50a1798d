"""The rules in force: which contracts answer, by version. A new version is added; an old one stays for replay."""

from paraph.ledger.contract import Contract
from paraph.ledger.rooms.accounts.calls import CONTRACT as ACCOUNTS
from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW
from paraph.ledger.rooms.models.calls import CONTRACT as MODELS
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.params.calls import CONTRACT as PARAMS
from paraph.ledger.rooms.settlement.calls import CONTRACT as SETTLEMENT

CONTRACTS: tuple[Contract, ...] = (PARAMS, ACCOUNTS, NODES, MODELS, ESCROW, SETTLEMENT)
BY_ADDRESS = {contract.address: contract for contract in CONTRACTS}
BY_NAME = {contract.name: contract for contract in CONTRACTS}
