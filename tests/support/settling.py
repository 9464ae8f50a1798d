"""Receipts to settle on a real network: one model, one node, one payer, and batches of what they truly signed."""

import time
from typing import Any, Final

from tests.support.member import Member
from tests.support.purse import Purse
from tests.support.validators import Network
from tests.support_ledger.world import (
    ALICE,
    BOND,
    OPERATOR,
    OPG,
    OWNER,
    Item,
    model_arguments,
    node_arguments,
    receipt,
    request,
    signed,
)

from paraph.core import abi
from paraph.core.ident import Address, to_hex
from paraph.ledger.versions import BY_NAME
from paraph.proofs.receipt import Receipt, receipt_from_values

SETTLE_GAS: Final = 100_000
GAS_PER_ITEM: Final = 55_000
"""Of a batch: the ledger's 20 000 a receipt, and its bytes."""
DEPOSIT: Final = 100 * OPG


class Market:
    """A network with a model, a node and a payer's deposit.

    Args:
        network: it runs.
    """

    def __init__(self, network: Network) -> None:
        self.network: Final = network
        self.operator: Final = Purse(OPERATOR)
        self.payer: Final = Purse(ALICE)
        self._number = 0
        network.must(calling(Purse(OWNER), "Models", "register", *model_arguments()))
        found = network.must(calling(self.operator, "Nodes", "register", *node_arguments(), value=BOND))
        network.must(calling(self.payer, "Escrow", "deposit", value=DEPOSIT))
        self._height = int(found["blockNumber"], 16)

    def items(self, count: int, **changes: Any) -> list[Item]:
        """So many requests and receipts, each signed by whom it names, or as `changes` for `signed` say."""
        now_s = int(time.time())
        found = []
        for _ in range(count):
            self._number += 1
            asked = request(number=self._number, now=now_s)
            found.append(signed(asked, receipt(asked, now_s, height=self._height), **changes))
        return found

    def batch(self, items: list[Item], purse: Purse | None = None) -> bytes:
        """A transaction that settles them."""
        gas = SETTLE_GAS + GAS_PER_ITEM * len(items)
        return calling(purse or self.operator, "Settlement", "settle", items, gas=gas)


def calling(
    purse: Purse, contract: str, method: str, *arguments: Any, value: int = 0, gas: int = 2_000_000, **changes: int
) -> bytes:
    """A transaction that calls a native contract."""
    found = BY_NAME[contract]
    return purse.sign(found.address, found.method(method).call(*arguments), value, gas, **changes)


def viewed(member: Member, contract: str, method: str, *arguments: Any) -> Any:
    """What a view says after a member's last block: a value, or a tuple of them."""
    found = BY_NAME[contract]
    declared = found.method(method)
    asked = {"to": to_hex(found.address), "input": to_hex(declared.call(*arguments))}
    output = bytes.fromhex(member.ask("eth_call", asked, "latest")[2:])
    values = abi.decode(declared.outputs, output)
    return values[0] if len(values) == 1 else values


def balance(member: Member, account: Address) -> int:
    """An account's balance after a member's last block."""
    return int(member.ask("eth_getBalance", to_hex(account), "latest"), 16)


def receipt_of(item: Item) -> Receipt:
    """The receipt of an item."""
    return receipt_from_values(item[2])
