"""Replaying: the blocks that an engine decided, worked out again by a chain that has never heard of that engine."""

from datetime import datetime
from typing import Any

from paraph.adapters.fakes.store import MemoryStore
from paraph.full_node.chain import Chain, Decided
from paraph.ledger.genesis import Genesis
from paraph.ledger.rooms.bonds.types import DOUBLE_SIGN, Fault


def replayed(genesis: Genesis, kept: Chain, faults: dict[int, tuple[Fault, ...]]) -> Chain:
    """A chain in memory that was given the blocks of another, with the faults that were proved in each.

    What is compared, block by block, is the hash of the header: it covers the state root, results and fees.
    """
    fresh = Chain(MemoryStore(), genesis)
    for stored in kept.blocks(1, kept.height):
        header = stored.header
        decided = Decided(header.time_s, header.proposer, stored.transactions, faults.get(header.height, ()))
        fresh.finalize(decided)
        again = fresh.commit()
        assert again.header == header, f"block {header.height} is another the second time"
    return fresh


def faults_in(block: dict[str, Any]) -> tuple[Fault, ...]:
    """The double votes that a block proves, as the engine's RPC shows the block."""
    found = []
    for evidence in block["evidence"]["evidence"]:
        value = evidence["value"]
        assert evidence["type"] == "tendermint/DuplicateVoteEvidence"
        vote = value["vote_a"]
        time_s = int(datetime.fromisoformat(value["Timestamp"][:19] + "+00:00").timestamp())
        found.append(Fault(DOUBLE_SIGN, bytes.fromhex(vote["validator_address"]), int(vote["height"]), time_s))
    return tuple(found)
