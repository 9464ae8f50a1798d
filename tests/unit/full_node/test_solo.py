"""The chain under the solo engine: who may sign it, what is signed, and that its blocks mean the same elsewhere."""

from collections.abc import Callable

import pytest
from tests.sim.market import TEXT_ID, Hands, Market, chat_body, go
from tests.support_ledger.staking import LEAST, key, proof
from tests.support_ledger.world import ALICE, BOB, GOVERNOR, START_S, person
from tests.unit.full_node.world import PRODUCER, Desk, calling, genesis, transfer

from paraph.adapters.fakes.store import MemoryStore
from paraph.core.errors import Malformed, Rejected
from paraph.core.keys import recover
from paraph.flows.buy import Order, buy
from paraph.full_node.chain import Chain, Decided
from paraph.full_node.forms import Forms, Signatures
from paraph.full_node.solo import SoloApplication
from paraph.ledger.versions import RULES, Rules


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_stranger_may_not_produce() -> None:
    """Only a producer that the genesis names may make blocks."""
    with pytest.raises(Rejected) as caught:
        SoloApplication(Chain(MemoryStore(), genesis()), person("a stranger"))

    assert caught.value.code == "chain.producer"


def test_genesis_is_signed_when_asked(desk: Desk) -> None:
    """The seal of genesis is made when it is asked for; that of a block is the one it was kept with."""
    first = desk.application.sealed()
    desk.settle(transfer(0))
    second = desk.application.sealed()

    assert desk.chain.block(0).signed.signature == b""
    assert first.signed_by(PRODUCER.address)
    assert second == desk.chain.head.signed
    assert second.signed_by(PRODUCER.address)


def test_check_looks_at_bytes_and_state(desk: Desk) -> None:
    """What cannot be read and what cannot be paid is refused; what can is told by its sender."""
    assert desk.application.check(transfer(0)).sender == ALICE.address
    with pytest.raises(Malformed):
        desk.application.check(b"\x02")
    with pytest.raises(Rejected) as caught:
        desk.application.check(transfer(0, value=10**30))
    assert caught.value.code == "tx.funds"


def test_tips_go_to_the_producer(desk: Desk) -> None:
    """The producer is the proposer of its blocks."""
    desk.settle(transfer(0))

    assert desk.chain.head.header.proposer == PRODUCER.address
    assert (desk.application.height, desk.application.next_nonce(ALICE.address)) == (1, 1)


# --- two engines, same roots ---------------------------------------------------------------------------------------


def history() -> Chain:
    """A chain with something of everything: sales and their settlement, validators, parameters, failed calls."""
    market = Market()
    hands = Hands(market)
    for _ in range(2):
        hands.run(buy(market.ledger.trust, Order(ALICE.address, TEXT_ID, chat_body())))
    go(market.settler.settle_pending())
    ledger = market.ledger
    ledger.call(BOB, "Staking", "createValidator", key("bob"), proof("bob"), "bob", value=LEAST)
    ledger.call(GOVERNOR, "Params", "set", "treasury_bps", 0)
    ledger.call(GOVERNOR, "Params", "scheduleUpgrade", 2, 10**6)
    nonce = ledger.chain.next_nonce(ALICE.address)
    late = (transfer(nonce + 9), b"garbage", transfer(nonce))
    ledger.production._application.commit(START_S + 9_000, (calling(nonce, "Escrow", "withdraw"), *late))
    return ledger.chain


def plain(first: Chain) -> Chain:
    return Chain(MemoryStore(), first.genesis)


def remembering(first: Chain) -> Chain:
    signatures = Signatures()
    forms = Forms(first.genesis.chain_id, signatures, 0)
    for block in first.blocks(1, first.height):
        for raw in block.transactions:
            try:
                forms.check_now(raw)
            except (Malformed, Rejected):
                continue
    return Chain(MemoryStore(), first.genesis, 2, signatures)


def with_workers(first: Chain) -> Chain:
    signatures = Signatures()
    forms = Forms(first.genesis.chain_id, signatures, 1)
    forms.prepare([raw for block in first.blocks(1, first.height) for raw in block.transactions])
    forms.close()
    assert len(signatures._known) > 10
    return Chain(MemoryStore(), first.genesis, 0, signatures)


def knowing_more(first: Chain) -> Chain:
    versions = {**RULES, 2: Rules(2, RULES[1].contracts)}
    return Chain(MemoryStore(), first.genesis, 1, recover, versions)


@pytest.mark.parametrize("begun", [plain, remembering, with_workers, knowing_more])
def test_history_replays_elsewhere(begun: Callable[[Chain], Chain]) -> None:
    """A history made on solo, applied by another chain with other helpers, gives every header and result again."""
    first = history()
    second = begun(first)

    for block in first.blocks(1, first.height):
        header = block.header
        decided = Decided(header.time_s, header.proposer, block.transactions)
        outcome = second.finalize(decided)
        second.commit()
        assert outcome.header == header
        assert second.head.results == block.results

    assert second.height >= 10
    assert {result.status for block in first.blocks(1, first.height) for result in block.results} == {0, 1, 2}
    assert second.dump() == first.dump()
    second.audit()
