"""The chain under the solo engine: one producer proposes, decides and signs every block."""

from typing import Final

from paraph.core.errors import Rejected
from paraph.core.ident import Address
from paraph.core.keys import PrivateKey
from paraph.full_node.chain import Chain, Decided
from paraph.ledger.block import Applied
from paraph.ledger.tx import SignedTx, check_form
from paraph.proofs.header import SignedHeader


class SoloApplication:
    """A chain as the solo engine drives it (`Application`, and `preview`).

    Args:
        chain: the chain.
        producer: the key that signs headers; one of the genesis's producers.

    Raises:
        Rejected: `chain.producer`: the key may not produce here.
    """

    def __init__(self, chain: Chain, producer: PrivateKey) -> None:
        if producer.address not in chain.genesis.producers:
            raise Rejected("chain.producer", "the genesis does not name this key as a producer")
        self.chain: Final = chain
        self.account: Final = producer.address
        self._producer = producer

    @property
    def height(self) -> int:
        """See `Application.height`."""
        return self.chain.height

    def check(self, raw: bytes) -> SignedTx:
        """See `Application.check`."""
        signed = check_form(raw, self.chain.genesis.chain_id, self.chain.recover)
        self.chain.check(signed)
        return signed

    def next_nonce(self, sender: Address) -> int:
        """See `Application.next_nonce`."""
        return self.chain.next_nonce(sender)

    def preview(self, time_s: int, transactions: tuple[bytes, ...]) -> Applied:
        """See `Proposable.preview`."""
        return self.chain.preview(Decided(time_s, self.account, transactions))

    def commit(self, time_s: int, transactions: tuple[bytes, ...]) -> Applied:
        """See `Application.commit`."""
        outcome = self.chain.finalize(Decided(time_s, self.account, transactions))
        self.chain.commit(self._producer.sign(outcome.header.hash()))
        return outcome.applied

    def sealed(self) -> SignedHeader:
        """The head with this producer's signature. Genesis has none in the store: anyone can make it."""
        found = self.chain.head.signed
        return found if found.signature else SignedHeader(found.header, self._producer.sign(found.header.hash()))
