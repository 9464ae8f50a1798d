"""The settler: everything owed is settled once, whatever the ledger, the disk and the other payers do."""

import asyncio
from typing import Any

import pytest
from tests.sim.market import Market, go, opened, rows_body, until
from tests.support_ledger.world import ALICE, BOB, HOT, OPG, OWNER, person
from tests.unit.inference_node.engines import FULL, FullStore

from paraph.adapters.fakes.store import MemoryStore
from paraph.core.errors import Malformed, ParaphError, Unavailable
from paraph.core.ident import RequestKey
from paraph.flows.settle import Outcome
from paraph.inference_node import settler as settling
from paraph.inference_node.outbox import Entry


async def answered(market: Market, count: int, payer: Any = ALICE) -> list[Entry]:
    """So many answers that are not settled yet."""
    body = rows_body()
    jobs = [
        market.service.start(market.sign(body, key=b"%d" % number, payer=payer, signer=payer), body)
        for number in range(count)
    ]
    return [await job.result() for job in jobs]


def test_everything_is_settled_once() -> None:
    """What is pending is settled, the promises end, the escrow is debited by exactly the prices; nothing is left."""

    async def test() -> None:
        market = Market()
        entries = await answered(market, 5)

        assert await market.settler.settle_pending() == 5
        assert await market.settler.settle_pending() == 0
        assert market.promised == 0
        assert market.ledger.escrow(ALICE.address) == OPG - sum(each.answer.receipt.receipt.price for each in entries)
        request = entries[0].request.request
        assert market.outbox.outcome(request.payer, request.key) == "settled batch 1"
        await market.close()

    go(test())


def test_killed_between_settling_and_noting() -> None:
    """A node killed after the ledger settled and before it noted so, settles again and finds it was done."""

    async def test() -> None:
        market = Market(store=FullStore())
        store = market.store
        assert isinstance(store, FullStore)
        entries = await answered(market, 3)
        store.error = FULL
        with pytest.raises(Unavailable):
            await market.settler.settle_pending()
        store.error = None
        market.restart()

        assert len(market.outbox.pending(9)) == 3
        assert await market.settler.settle_pending() == 3
        assert market.outbox.pending(9) == []
        request = entries[0].request.request
        assert str(market.outbox.outcome(request.payer, request.key)).startswith("settled settlement.replay")
        assert market.ledger.escrow(ALICE.address) == OPG - sum(each.answer.receipt.receipt.price for each in entries)
        await market.close()

    go(test())


def test_refused_receipt_is_closed() -> None:
    """A receipt that the ledger refuses for good leaves the outbox with its reason, and promises nothing any more."""

    async def test() -> None:
        market = Market()
        (entry,) = await answered(market, 1)
        market.clock.advance(4 * 3600_000)

        assert await market.settler.settle_pending() == 1
        request = entry.request.request
        assert str(market.outbox.outcome(request.payer, request.key)).startswith("refused settlement.late")
        assert market.promised == 0
        await market.close()

    go(test())


def test_empty_escrow_waits_and_starves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts of a payer whose escrow is gone stand aside, without a transaction each second; others are settled."""
    monkeypatch.setattr(settling, "BATCH_MAX", 2)
    other, hot = person("other operator"), person("other hot")

    async def test() -> None:
        ledger = opened(endpoints=((other, hot),))
        market, faster = Market(ledger), Market(ledger, operator=other, hot=hot)
        payers = sorted((person(f"poor {number}") for number in range(2)), key=lambda key: key.address)
        poor, rich = payers
        for payer in payers:
            ledger.send(OWNER, payer.address, value=OPG)
        ledger.call(poor, "Escrow", "deposit", value=2 * 1040)
        ledger.call(rich, "Escrow", "deposit", value=OPG // 2)
        await answered(faster, 2, poor)
        owed = [*await answered(market, 2, rich)]
        body = rows_body()
        for number in range(2):
            signed = market.sign(body, key=b"own %d" % number, payer=poor, signer=poor)
            owed.append(await market.service.start(signed, body).result())
        assert await faster.settler.settle_pending() == 2

        first = await market.settler.settle_pending()
        sent = ledger.asked.count("eth_sendRawTransaction")
        second = await market.settler.settle_pending()
        third = await market.settler.settle_pending()

        assert (first, second, third) == (0, 2, 0)
        assert ledger.asked.count("eth_sendRawTransaction") == sent + 1
        assert len(market.outbox.pending(9)) == 2
        ledger.call(poor, "Escrow", "deposit", value=OPG // 4)
        market.settler._resting = {place: (0, rest[1]) for place, rest in market.settler._resting.items()}
        assert await market.settler.settle_pending() == 2
        assert market.settler._resting == {}
        await market.close()
        await faster.close()

    go(test())


def test_rests_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt that waits for a deposit rests longer each time, up to a limit."""
    monkeypatch.setattr(settling, "settle", lambda *_: _refusing())
    market = Market()

    def _refusing() -> Any:
        entry = market.outbox.pending(1)[0]
        request = entry.request.request
        return (Outcome(request.payer, request.key, False, False, "escrow.empty: gone", 1),)
        yield

    async def test() -> None:
        (entry,) = await answered(market, 1)
        rests = []
        for _ in range(7):
            await market.settler.settle_pending()
            rests.append(market.settler._resting[entry.place][1])
            market.settler._resting[entry.place] = (0, rests[-1])
        assert rests == [30, 60, 120, 240, 480, 600, 600]
        await market.close()

    go(test())


@pytest.mark.parametrize("error", [Malformed("rpc.data", "junk"), ZeroDivisionError("ours")], ids=["typed", "ours"])
def test_settler_goes_on_after_any_failure(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever goes wrong in a round, the settler tries again, later and later; it never dies unnoticed."""
    monkeypatch.setattr(settling, "BACKOFF_S_MAX", 0.01)
    tries: list[float] = []

    async def test() -> None:
        market = Market()
        await answered(market, 1)
        real = market.settler.settle_pending

        async def flaky() -> int:
            tries.append(asyncio.get_running_loop().time())
            if len(tries) < 4:
                raise error
            return await real()

        monkeypatch.setattr(market.settler, "settle_pending", flaky)
        running = asyncio.ensure_future(market.settler.run())
        await until(lambda: not market.outbox.pending(1))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await market.close()

    go(test())
    assert len(tries) >= 4


def test_ledger_down_settles_later() -> None:
    """While the full node is down everything stays pending."""

    async def test() -> None:
        market = Market()
        await answered(market, 2)
        market.ledger.down = True
        with pytest.raises(ParaphError):
            await market.settler.settle_pending()
        market.ledger.down = False

        assert len(market.outbox.pending(9)) == 2
        assert await market.settler.settle_pending() == 2
        await market.close()

    go(test())


def test_heartbeat_and_settlement_do_not_take_one_nonce() -> None:
    """Of a heartbeat and a settlement begun at the same moment both are included: one waits for the other."""

    async def test() -> None:
        market = Market()
        await answered(market, 2)
        before = market.ledger.chain.next_nonce(HOT.address)
        settlement = asyncio.ensure_future(market.settler.settle_pending())
        beating = asyncio.ensure_future(market.settler.heartbeat(3600))
        assert await settlement == 2
        await asyncio.sleep(0.1)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)

        assert market.ledger.chain.next_nonce(HOT.address) == before + 2
        await market.close()

    go(test())


def test_heartbeat_goes_on_after_a_failure() -> None:
    """A heartbeat that fails is no end of heartbeats."""

    async def test() -> None:
        market = Market()
        await answered(market, 2)
        market.ledger.down = True
        beating = asyncio.ensure_future(market.settler.heartbeat(0.005))
        await asyncio.sleep(0.02)
        market.ledger.down = False
        before = market.ledger.chain.next_nonce(HOT.address)
        assert await market.settler.settle_pending() == 2
        await until(lambda: market.ledger.chain.next_nonce(HOT.address) >= before + 3)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await market.close()

    go(test())


def test_unknown_outcome() -> None:
    """Of what the node never answered it says nothing."""
    market = Market(store=MemoryStore())

    assert market.outbox.outcome(BOB.address, RequestKey(bytes(32))) is None
    assert market.outbox.find(BOB.address, RequestKey(bytes(32))) is None
