"""Transactions for a real network, signed in the order of their nonces."""

from typing import Final

from tests.support_ledger.world import CHAIN_ID

from paraph.core.amount import Wei
from paraph.core.ident import Address
from paraph.core.keys import PrivateKey
from paraph.ledger.tx import Tx

GWEI: Final = 10**9


class Purse:
    """An account that signs transactions in order.

    Args:
        key: whose.
        nonce: of its next transaction.
    """

    def __init__(self, key: PrivateKey, nonce: int = 0) -> None:
        self.key: Final = key
        self.nonce = nonce

    def pay(self, to: Address, amount: int = 1) -> bytes:
        """A transfer."""
        return self.sign(to, value=amount, gas=21_000)

    def sign(self, to: Address, data: bytes = b"", value: int = 0, gas: int = 1_000_000, **changes: int) -> bytes:
        """Any transaction; `changes` are fields that differ."""
        nonce = changes.pop("nonce", None)
        if nonce is None:
            nonce, self.nonce = self.nonce, self.nonce + 1
        fields = {"tip_max": GWEI, "fee_max": 100 * GWEI} | changes
        return Tx(2, CHAIN_ID, nonce, fields["tip_max"], fields["fee_max"], gas, to, Wei(value), data).sign(self.key)
