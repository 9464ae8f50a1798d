"""Chains with a large state: a genesis, and as many more accounts as are asked for, taken over as from a snapshot."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from bench.wallets import founding
from paraph.adapters.store.lmdb import LmdbStore
from paraph.core.ident import Address
from paraph.core.smt import EMPTY
from paraph.full_node.chain import Chain
from paraph.ledger import tree
from paraph.ledger.block import head_of
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.state import State
from paraph.proofs.header import Header

START_S: Final = 1_750_000_000
PART: Final = 20_000
"""Rows that a chain takes over at once, as from a chunk of a snapshot."""
Row = tuple[bytes, bytes]


def account(index: int) -> Address:
    """One of the many accounts."""
    return Address(sha256(b"account %d" % index).digest()[:20])


def opened(folder: Path) -> tuple[LmdbStore, Chain]:
    """The chain in a folder; at genesis when it is new."""
    store = LmdbStore(folder)
    return store, Chain(store, founding(START_S))


def fill(chain: Chain, keys: int) -> None:
    """Give the chain a state of so many keys."""
    chain.fill(header_over(chain, keys), parts(chain, keys))


def header_over(chain: Chain, keys: int) -> Header:
    """The header of such a state: of the genesis block, but for the root."""
    leaves = sorted(sha256(key).digest() + sha256(value).digest() for part in parts(chain, keys) for key, value in part)
    root = EMPTY
    for node, _ in tree.build((leaf[:32], leaf[32:]) for leaf in leaves):
        root = node
    return head_of(State(chain.genesis.state().get)).header(root)


def parts(chain: Chain, keys: int) -> Iterator[list[Row]]:
    """The rows of such a state: those of genesis, and one wei for each of the other accounts."""
    rows = [(key, value) for key, value in chain.genesis.state().items() if value is not None]
    for index in range(keys - len(rows)):
        rows.append((BALANCES.prefix + account(index), b"\x01"))
        if len(rows) == PART:
            yield rows
            rows = []
    yield rows
