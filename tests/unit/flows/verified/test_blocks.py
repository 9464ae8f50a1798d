"""Verified blocks: each is the chain's own, whole, or it is refused; where it is, the node only says."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.sim.market import PRODUCER
from tests.support_ledger.world import ALICE, BOB, OPG
from tests.unit.flows.verified.nodes import SoloNode, ValidatorNode, forged
from tests.unit.full_node.world import transfer

from paraph.core import rlp
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified
from paraph.core.ident import Digest, from_hex, to_hex
from paraph.core.merkle import root
from paraph.flows.effect import Flow, Rpc
from paraph.flows.verified.blocks import (
    KEPT_BYTES_MAX,
    KEPT_MAX,
    NEWEST,
    RANGE_MAX,
    Kept,
    VerifiedBlock,
    block_at,
    block_named,
    blocks,
    including,
)
from paraph.flows.verified.follow import view
from paraph.proofs.header import HASHES_KEPT, SignedHeader, hash_key, header_from_rlp, header_to_rlp


@pytest.fixture
def node() -> SoloNode:
    found = SoloNode()
    found.ledger.send(ALICE, BOB.address, value=OPG)
    found.grow(3)
    return found


def refused(node: SoloNode, flow: Flow[Any]) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        node.play(flow)
    return caught.value


def with_transaction(node: SoloNode) -> tuple[int, Digest]:
    """The height of Alice's transfer, and its hash."""
    height = node.header().height - 3
    return height, node.ledger.chain.block(height).results[0].hash


def changed(node: SoloNode, method: str, change: Callable[[Any], Any]) -> None:
    """From here on the node's replies to a method are changed."""
    node.lie = lambda effect, reply: (change(reply) or reply) if effect.method == method else reply


# --- what is there -----------------------------------------------------------------------------------------------


def test_blocks_are_the_chains() -> None:
    """Genesis, the head and all between come as the chain has them; beyond the head there is none."""
    for node in (SoloNode(), ValidatorNode()):
        chain, follower, kept = node.ledger.chain, node.follower(), Kept()

        found = node.play(blocks(follower, kept, 0, NEWEST))

        assert [block.header for block in found] == [chain.header(height) for height in range(chain.height + 1)]
        assert [block.transactions for block in found] == [each.transactions for each in chain.blocks(0, chain.height)]
        assert [result.leaf() for block in found for result in block.results] == [
            result.leaf() for each in chain.blocks(0, chain.height) for result in each.results
        ]
        assert node.play(block_at(follower, kept, NEWEST)) == found[-1]
        assert node.play(block_at(follower, kept, chain.height + 1)) is None
        assert node.play(blocks(follower, kept, 5, 3)) == ()


def test_block_by_hash_and_by_transaction(node: SoloNode) -> None:
    """A block is found by its hash and by what is in it; what the node does not know is nothing."""
    height, tx_hash = with_transaction(node)
    follower, kept = node.follower(), Kept()
    wanted = node.ledger.chain.header(height)

    named, holding = (
        node.play(block_named(follower, kept, wanted.hash())),
        node.play(including(follower, kept, tx_hash)),
    )

    assert named is not None
    assert named.header == wanted
    assert named == holding
    assert node.play(block_named(follower, kept, Digest(bytes(32)))) is None
    assert node.play(including(follower, kept, Digest(bytes(32)))) is None


def test_transaction_in_a_block_not_yet_sealed(node: SoloNode) -> None:
    """While the state after its block is not sealed a transaction is nowhere yet."""
    follower, kept = node.follower(), Kept()
    _, tx_hash = with_transaction(node)
    changed(node, "eth_getTransactionReceipt", lambda reply: reply.update(blockNumber=hex(node.header().height + 1)))

    assert node.play(including(follower, kept, tx_hash)) is None


def test_transaction_that_waits(node: SoloNode) -> None:
    """A reply without a block is no block."""
    follower, kept = node.follower(), Kept()
    _, tx_hash = with_transaction(node)
    changed(node, "eth_getTransactionReceipt", lambda reply: reply.update(blockNumber=None))

    assert node.play(including(follower, kept, tx_hash)) is None


def test_blocks_are_asked_for_once(node: SoloNode) -> None:
    """A verified block is kept, and only while it is the chain's."""
    follower, kept = node.follower(), Kept()
    first = node.play(blocks(follower, kept, 1, NEWEST))
    node.asked.clear()

    assert node.play(blocks(follower, kept, 1, NEWEST)) == first
    assert [each.method for each in node.asked] == ["paraph_getProof"]
    assert kept.get(1, Digest(bytes(32))) is None


def test_kept_blocks_are_bounded(node: SoloNode) -> None:
    """Blocks used longest ago go first, by their number and by their bytes; one kept twice counts once."""
    block = VerifiedBlock(node.header(), (), ())
    many, large = Kept(), Kept()

    def of(height: int) -> VerifiedBlock:
        return replace(block, header=replace(block.header, height=height))

    for height in range(KEPT_MAX):
        many.put(of(height), 1)
    many.put(of(0), 1)
    assert many.get(0, of(0).header.hash()) is not None
    many.put(of(KEPT_MAX), 1)
    for height in range(3):
        large.put(of(height), KEPT_BYTES_MAX // 2)

    assert (many.size, len(many.blocks), 0 in many.blocks, 1 in many.blocks) == (KEPT_MAX, KEPT_MAX, True, False)
    assert sorted(large.blocks) == [1, 2]


# --- limits ------------------------------------------------------------------------------------------------------


def test_range_is_bounded(node: SoloNode) -> None:
    """A hundred blocks at once and not one more."""
    node.grow(RANGE_MAX)
    follower, kept = node.follower(), Kept()
    head = node.header().height

    found = node.play(blocks(follower, kept, head - RANGE_MAX + 1, NEWEST))
    error = refused(node, blocks(follower, kept, head - RANGE_MAX, NEWEST))

    assert len(found) == RANGE_MAX
    assert isinstance(error, Rejected)
    assert error.code == "verified.range"


def test_block_beyond_memory(node: SoloNode) -> None:
    """A block whose hash the state has forgotten cannot be proved; the oldest remembered one can."""
    state = node.ledger.chain.dump()
    old = node.ledger.chain.header(1)
    header = replace(node.header(), height=HASHES_KEPT + 1)
    state[b"chain/head"] = header.head().encode()
    state[hash_key(1)] = old.hash()
    node.lie = forged(state, header)
    follower = node.follower()

    error = refused(node, blocks(follower, Kept(), 0, 0))
    found = node.play(block_at(follower, Kept(), 1))

    assert (error.code, error.facts["oldest"]) == ("verified.too_old", 1)
    assert found is not None
    assert found.header == old


# --- lies --------------------------------------------------------------------------------------------------------


def other_header(reply: Any) -> None:
    header = header_from_rlp(rlp.decode(from_hex(reply["header"], None, "header")))
    made = SignedHeader(replace(header.header, gas_used=1), header.signature)
    reply["header"] = to_hex(rlp.encode(header_to_rlp(made)))


def no_transaction(reply: Any) -> None:
    reply["transactions"].clear()


def other_transaction(reply: Any) -> None:
    reply["transactions"][0] = to_hex(transfer(0, value=7))


def no_results(reply: Any) -> None:
    reply["results"].clear()


def other_result(reply: Any) -> None:
    leaf = rlp.as_list(rlp.decode(from_hex(reply["results"][0], None, "a result")), "a result")
    reply["results"][0] = to_hex(rlp.encode([b"", *leaf[1:]]))


def other_log(reply: Any) -> None:
    leaf = rlp.as_list(rlp.decode(from_hex(reply["results"][0], None, "a result")), "a result")
    reply["results"][0] = to_hex(rlp.encode([*leaf[:-1], []]))


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (other_header, "verified.block"),
        (no_transaction, "verified.transactions"),
        (other_transaction, "verified.transactions"),
        (no_results, "verified.results"),
        (other_result, "verified.results"),
        (other_log, "verified.results"),
    ],
)
def test_changed_block_is_refused(node: SoloNode, lie: Callable[[Any], None], code: str) -> None:
    """No transaction, result or event can be changed, added or left out, nor anything in the header."""
    height, _ = with_transaction(node)
    changed(node, "paraph_getBlock", lie)

    error = refused(node, block_at(node.follower(), Kept(), height))

    assert isinstance(error, Unverified)
    assert error.code == code


def test_block_in_the_place_of_another(node: SoloNode) -> None:
    """A true block of another height is not the one that was asked for."""
    other = node.shown(Rpc("paraph_getBlock", (2,)))
    node.lie = lambda effect, reply: other if effect.method == "paraph_getBlock" else reply

    assert refused(node, block_at(node.follower(), Kept(), 3)).code == "verified.block"


def test_withheld_block(node: SoloNode) -> None:
    """A block that is there and is not shown is unavailable: another node may show it."""
    node.lie = lambda effect, reply: None if effect.method == "paraph_getBlock" else reply

    error = refused(node, block_at(node.follower(), Kept(), 1))

    assert isinstance(error, Unavailable)
    assert error.code == "verified.withheld"


def test_results_without_transactions(node: SoloNode) -> None:
    """A sealed header whose two roots do not fit each other is refused all the same."""
    height, _ = with_transaction(node)
    true = node.ledger.chain.block(height)
    header = replace(node.header(), results_root=root([]), transactions_root=true.header.transactions_root)
    state = {**node.ledger.chain.dump(), b"chain/head": header.head().encode()}
    forging = forged(state, header)

    def lie(effect: Rpc, reply: Any) -> Any:
        if effect.method == "paraph_getBlock":
            signed = SignedHeader(node_header[0], PRODUCER.sign(node_header[0].hash()))
            raws = [to_hex(raw) for raw in true.transactions]
            return {"header": to_hex(rlp.encode(header_to_rlp(signed))), "transactions": raws, "results": []}
        return forging(effect, reply)

    node.lie = lie
    follower = node.follower()
    node_header = [node.play(view(follower, ())).header]

    assert refused(node, block_at(follower, Kept(), NEWEST)).code == "verified.results"


def test_hash_of_another_block(node: SoloNode) -> None:
    """The node may say that a hash is some block's: that block's own hash decides."""
    changed(node, "eth_getBlockByHash", lambda reply: reply.update(number="0x1"))

    assert refused(node, block_named(node.follower(), Kept(), node.header().hash())).code == "verified.block"


def test_transaction_that_is_not_there(node: SoloNode) -> None:
    """A receipt for a block that does not hold the transaction is refused."""
    _, tx_hash = with_transaction(node)
    changed(node, "eth_getTransactionReceipt", lambda reply: reply.update(blockNumber="0x1"))

    assert refused(node, including(node.follower(), Kept(), tx_hash)).code == "verified.transaction"


@pytest.mark.parametrize("number", ["yes", "0xzz", 5, [], "0x" + "1" * 99])
def test_number_that_is_none(node: SoloNode, number: Any) -> None:
    """A place that is no number is malformed, whatever it is."""
    _, tx_hash = with_transaction(node)
    changed(node, "eth_getTransactionReceipt", lambda reply: reply.update(blockNumber=number))

    with pytest.raises(Malformed):
        node.play(including(node.follower(), Kept(), tx_hash))
