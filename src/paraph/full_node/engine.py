"""What a node needs of its engine, whichever it is: solo (`production.py`) or CometBFT (`agreement.py`)."""

from typing import Protocol

from paraph.core.ident import Digest
from paraph.flows.mempool import Mempool
from paraph.full_node.forks import Court
from paraph.full_node.proofs import Seals


class Engine(Seals, Court, Protocol):
    """Takes transactions, has blocks made of them, shows what makes their state believable, and punishes who cheats."""

    @property
    def mempool(self) -> Mempool:
        """What waits for a block."""
        ...

    @property
    def peers(self) -> int:
        """Other nodes connected."""
        ...

    @property
    def syncing(self) -> bool:
        """True while others have blocks that this node lacks."""
        ...

    @property
    def failure(self) -> str:
        """Why no more blocks are kept; empty while all is well."""
        ...

    async def submit(self, raw: bytes) -> Digest:
        """Take a raw transaction; returns its hash.

        Raises:
            Malformed, Rejected: it can never or not now be included. Unavailable: the pool is full, or `node.stopped`.
        """
        ...

    async def run(self) -> None:
        """Work until cancelled, or until a failure, which is then told."""
        ...

    async def close(self) -> None:
        """Finish the call under way and release what is held. Closing twice is closing once."""
        ...
