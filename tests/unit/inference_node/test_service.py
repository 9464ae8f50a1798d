"""The service: one key, one job, one charge; promises that add up; a queue that ends; nothing charged for nothing."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.sim.market import TEXT_ID, Hands, Market, chat_body, go, opened, price_of, rows_body, until
from tests.support_ledger.world import ALICE, BOB, HOT, OPG, OWNER, person
from tests.unit.inference_node.engines import (
    FULL,
    DyingText,
    FullStore,
    GreedyText,
    ManyRows,
    SlowTensor,
    SlowText,
)

from paraph.adapters.fakes.clock import FakeClock
from paraph.core.amount import Wei
from paraph.core.encode import JsonObject
from paraph.core.errors import ParaphError, Rejected, Unavailable
from paraph.core.ident import RequestKey
from paraph.flows import effective
from paraph.flows.buy import Order, buy
from paraph.inference_node.busy import Busy
from paraph.inference_node.jobs import Job
from paraph.inference_node.outbox import Entry
from paraph.inference_node.service import QUEUE_MAX, QUEUE_PAYER_MAX
from paraph.proofs.manifest import Manifest


def asking(market: Market, body: JsonObject, **changes: Any) -> Awaitable[Entry]:
    """The answer to a signed body."""
    return market.service.start(market.sign(body, **changes), body).result()


async def failing(waiting: Awaitable[Entry]) -> ParaphError:
    """What the answer failed with."""
    with pytest.raises(ParaphError) as caught:
        await waiting
    return caught.value


def run(test: Callable[[Market], Awaitable[None]], **parts: Any) -> Market:
    """Run a test in a market made inside its loop; afterwards no job is left over."""

    async def main() -> Market:
        market = Market(**{name: part() if callable(part) else part for name, part in parts.items()})
        await test(market)
        await market.close()
        assert market.service._jobs == {}
        assert market.service._jobs_of == {}
        assert all(served.waiting == served.running == 0 for served in market.service.models.values())
        return market

    return go(main())


# --- one key, one charge -----------------------------------------------------------------------------------------


def test_same_key_is_one_answer() -> None:
    """Asked again under its key, the kept answer comes back, byte for byte, and is promised once."""

    async def test(market: Market) -> None:
        first = await asking(market, chat_body())
        promised = market.promised
        second = await asking(market, chat_body())

        assert first.encode() == second.encode()
        assert market.promised == promised == first.answer.receipt.receipt.price
        assert len(market.outbox.pending(9)) == 1

    run(test)


def test_same_key_at_once_is_one_job() -> None:
    """Many connections that ask under one key at the same time wait for one job."""

    async def test(market: Market) -> None:
        engine = market.text
        assert isinstance(engine, SlowText)
        waiting = [asyncio.ensure_future(asking(market, chat_body())) for _ in range(9)]
        await until(lambda: engine.begun == 1)
        engine.let(99)
        found = await asyncio.gather(*waiting)

        assert engine.begun == 1
        assert len({entry.encode() for entry in found}) == 1
        assert len(market.outbox.pending(99)) == 1

    run(test, text=SlowText)


@pytest.mark.parametrize("restarted", [False, True])
def test_key_never_serves_another_request(restarted: bool) -> None:
    """A key that answered one request is refused to any other, and to another's signature, also after a restart."""

    async def test(market: Market) -> None:
        await asking(market, chat_body())
        if restarted:
            market.restart()

        for signed, body, code in (
            (market.sign(chat_body("other")), chat_body("other"), "request.key_reused"),
            (market.sign(chat_body(), max_price=Wei(7)), chat_body(), "request.key_reused"),
            (market.sign(chat_body(), chain_id=1), chat_body(), "request.key_reused"),
            (market.sign(chat_body(), signer=BOB), chat_body(), "request.signature"),
            (market.sign(chat_body()), chat_body("other"), "request.body"),
        ):
            with pytest.raises(Rejected) as caught:
                market.service.start(signed, body)
            assert caught.value.code == code

    run(test)


def test_two_payers_may_draw_one_key() -> None:
    """A key is one payer's; another payer's request under the same key is another request."""

    async def test(market: Market) -> None:
        market.ledger.call(BOB, "Escrow", "deposit", value=OPG)
        first = await asking(market, chat_body())
        second = await asking(market, chat_body(), payer=BOB, signer=BOB)

        assert first.request.request.payer != second.request.request.payer
        assert len(market.outbox.pending(9)) == 2

    run(test)


def test_same_key_to_two_nodes_is_debited_once() -> None:
    """Two nodes that answer under one key both settle; the payer is debited for the first alone."""
    other, hot = person("other operator"), person("other hot")
    ledger = opened(endpoints=((other, hot),))
    markets = (Market(ledger), Market(ledger, operator=other, hot=hot))

    async def test() -> None:
        prices = [(await asking(market, chat_body())).answer.receipt.receipt.price for market in markets]
        for market in markets:
            assert await market.settler.settle_pending() == 1
            assert market.promised == 0
            assert market.outbox.pending(9) == []
            await market.close()
        assert ledger.escrow(ALICE.address) == OPG - prices[0]

    go(test())


def test_expired_request_is_still_answered_from_what_is_kept() -> None:
    """What was answered in time is given out after the deadline; what was not is refused."""

    async def test(market: Market) -> None:
        signed = market.sign(chat_body())
        await market.service.start(signed, chat_body()).result()
        market.clock.advance(3600_000)

        assert (await market.service.start(signed, chat_body()).result()).request == signed
        with pytest.raises(Rejected) as caught:
            market.service.start(
                market.sign(chat_body(), key=b"late", deadline=market.clock.now_ms() // 1000 - 1), chat_body()
            )
        assert caught.value.code == "request.expired"

    run(test)


# --- nothing is charged for nothing ------------------------------------------------------------------------------


FAULTS: dict[str, Callable[[], Any]] = {
    "ends before anything": lambda: DyingText(0, None),
    "dies before anything": lambda: DyingText(0, Unavailable("engine.died", "killed")),
    "ends early": lambda: DyingText(3, None),
    "dies early": lambda: DyingText(3, Unavailable("engine.died", "killed")),
    "a fault of ours": lambda: DyingText(3, ZeroDivisionError()),
    "asks too much": GreedyText,
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.filterwarnings("error")
def test_failing_engine_costs_nothing(name: str) -> None:
    """However an engine fails, the caller gets a typed error, nothing is promised or kept, and the key stays free."""

    async def test(market: Market) -> None:
        found = await failing(asking(market, chat_body()))

        assert found.code in ("engine.died", "node.internal", "request.cap")
        assert market.promised == 0
        assert market.outbox.pending(9) == []

    run(test, text=FAULTS[name])


def test_more_rows_than_the_cap_covers() -> None:
    """A model that gives more rows than were paid for fails its request; no receipt beyond the cap is signed."""

    async def test(market: Market) -> None:
        found = await failing(asking(market, rows_body(1)))

        assert found.code == "request.cap"
        assert market.promised == 0

    run(test, tensor=ManyRows)


def test_deadline_that_passes_in_the_queue() -> None:
    """Work that would begin after the deadline, even in its last second, does not begin: no receipt could name it."""

    async def test(market: Market) -> None:
        deadline = market.clock.now_ms() // 1000
        market.clock.advance(1)
        found = [await failing(asking(market, body, deadline=deadline)) for body in (chat_body(), rows_body())]

        assert [each.code for each in found] == ["request.expired"] * 2
        assert market.promised == 0

    run(test)


def test_answer_too_large_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that could not be read again is not kept, and not charged: it must not stop the settling of others."""
    monkeypatch.setattr("paraph.inference_node.outbox.JSON_BYTES_MAX", 100)

    async def test(market: Market) -> None:
        found = await failing(asking(market, chat_body()))

        assert found.code == "node.answer_size"
        assert market.promised == 0

    run(test)


def test_layer_the_model_does_not_offer() -> None:
    """A model not offered with the layer is not run: the ledger would not pay."""

    async def test(market: Market) -> None:
        known = await market.service.ledger.offer(TEXT_ID)
        at_ms = market.clock.now_ms()
        market.service.ledger._offers[TEXT_ID] = (at_ms, replace(known, model=replace(known.model, layers=4)))

        assert (await failing(asking(market, chat_body()))).code == "models.layer"

    run(test)


# --- cap, escrow, promises ---------------------------------------------------------------------------------------


def test_no_escrow_no_work() -> None:
    """A payer without escrow, or who asked it back, is refused and told to deposit; a deposit is seen at once."""

    async def test(market: Market) -> None:
        first = await failing(asking(market, chat_body(), payer=BOB, signer=BOB))
        market.ledger.call(BOB, "Escrow", "deposit", value=OPG)
        second = await asking(market, chat_body(), payer=BOB, signer=BOB)
        market.ledger.call(ALICE, "Escrow", "requestWithdrawal", OPG)
        third = await failing(asking(market, chat_body()))

        assert (first.code, third.code) == ("escrow.empty", "escrow.empty")
        assert second.answer.receipt.receipt.price > 0

    run(test)


def test_withdrawal_does_not_outrun_settlement() -> None:
    """A payer who asks escrow back after the answer is debited all the same: it leaves later than it settles."""

    async def test(market: Market) -> None:
        price = (await asking(market, chat_body())).answer.receipt.receipt.price
        market.ledger.call(ALICE, "Escrow", "requestWithdrawal", OPG)

        assert await market.settler.settle_pending() == 1
        assert market.promised == 0
        market.clock.advance(4 * 3600_000)
        market.ledger.call(ALICE, "Escrow", "withdraw")
        assert price > 0

    run(test)


@pytest.mark.parametrize("kind", ["text", "rows", "both"])
def test_escrow_is_never_promised_twice(kind: str) -> None:
    """Requests at the same time share one escrow: only so many begin as it can pay, whatever the order of replies."""

    async def test(market: Market) -> None:
        # Enough for one answer of each kind, and not for two of a kind.
        most = {"text": 2000, "rows": 1400, "both": 2000}[kind]
        market.ledger.call(ALICE, "Escrow", "requestWithdrawal", OPG - most)
        bodies = {"text": [chat_body()] * 4, "rows": [rows_body()] * 4, "both": [chat_body(), rows_body()] * 2}[kind]
        jobs = [asking(market, body, key=bytes([number])) for number, body in enumerate(bodies)]
        found = await asyncio.gather(*jobs, return_exceptions=True)

        kept = market.outbox.pending(9)
        total = sum(entry.answer.receipt.receipt.price for entry in kept)
        assert len(kept) == 1 == sum(isinstance(each, Entry) for each in found)
        assert all(each.code == "escrow.empty" for each in found if isinstance(each, ParaphError))
        assert market.promised == total <= most

    run(test)


def test_promises_are_remembered_after_a_restart() -> None:
    """What is pending in the outbox is promised again by a node that starts anew."""

    async def test(market: Market) -> None:
        await asking(market, chat_body())
        promised = market.promised
        market.restart()

        assert market.promised == promised > 0

    run(test)


def test_clock_set_back_makes_reads_old() -> None:
    """A node whose clock was set back reads the ledger again, and does not wait until the clock catches up."""

    async def test(market: Market) -> None:
        await market.service.ledger.height()
        height = market.ledger.chain.height
        market.ledger.send(OWNER, BOB.address, value=1)
        market.clock.advance(-3600_000)

        assert await market.service.ledger.height() == height + 1

    run(test)


def test_escrows_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node remembers only so many payers' escrows."""
    monkeypatch.setattr("paraph.inference_node.ledger.PAYERS_KEPT", 2)

    async def test(market: Market) -> None:
        for name in "abc":
            await market.service.ledger.escrow(person(name).address)

        assert len(market.service.ledger._escrows) == 1

    run(test)


# --- the queue ---------------------------------------------------------------------------------------------------


def test_queue_is_bounded_from_the_first_moment() -> None:
    """A burst beyond the queue is refused with when to come back, and one payer fills only half of it."""

    async def test(market: Market) -> None:
        engine = market.text
        assert isinstance(engine, SlowText)
        payers = [person(f"payer {number}") for number in range(3)]
        for payer in payers:
            market.ledger.send(OWNER, payer.address, value=OPG)
            market.ledger.call(payer, "Escrow", "deposit", value=OPG // 2)
        jobs: list[Job] = []
        retries_s: list[int] = []
        for payer in payers:
            for number in itertools.count():
                signed = market.sign(chat_body(), key=bytes([number]), payer=payer, signer=payer)
                try:
                    jobs.append(market.service.start(signed, chat_body()))
                except Busy as busy:
                    retries_s.append(busy.retry_after_s)
                    break

        assert len(jobs) == 2 * QUEUE_PAYER_MAX == QUEUE_MAX
        assert min(retries_s) >= 1
        engine.let(100 * QUEUE_MAX)
        found = await asyncio.gather(*(job.result() for job in jobs))
        assert len({entry.place for entry in found}) == QUEUE_MAX

    run(test, text=SlowText, slots=2)


def test_ledger_that_is_down_fails_what_waits() -> None:
    """Without its full node a node answers nothing, keeps no place in the queue taken, and recovers."""

    async def test(market: Market) -> None:
        market.ledger.down = True
        down = await failing(asking(market, chat_body()))
        market.ledger.down = False

        assert down.branch == "unavailable"
        assert (await asking(market, chat_body())).request == market.sign(chat_body())

    run(test)


# --- cancelling --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [True, False])
def test_cancelled_answer_costs_what_was_generated(counts: bool) -> None:
    """When all who follow have gone, the engine is stopped; the charge is for what it generated and has counted."""

    async def test(market: Market) -> None:
        engine = market.text
        assert isinstance(engine, SlowText)
        body = chat_body(max_tokens=50)
        job = market.service.start(market.sign(body), body)
        engine.let(4)
        chunks = job.follow()
        seen = [await anext(chunks) for _ in range(3)]
        await chunks.aclose()  # type: ignore[attr-defined]
        engine.let(1)
        await market.service.drain()

        assert job.entry is not None
        receipt = job.entry.answer.receipt.receipt
        assert job.entry.answer.response["finish_reason"] == "cancelled"
        assert receipt.output_units == len(seen) + 1
        assert receipt.price == price_of(receipt.input_units, 4)
        assert (receipt.input_units > 0) is counts
        assert engine.cancelled == 1

    run(test, text=lambda: SlowText(counts=counts))


def test_retry_before_the_engine_noticed_keeps_the_whole_answer() -> None:
    """A client that lost its line and asks again at once gets the whole answer, not a cancelled one."""

    async def test(market: Market) -> None:
        engine = market.text
        assert isinstance(engine, SlowText)
        body = chat_body()
        job = market.service.start(market.sign(body), body)
        engine.let(2)
        chunks = job.follow()
        await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined]
        again = asyncio.ensure_future(asking(market, body))
        await asyncio.sleep(0)
        engine.let(99)

        assert (await again).answer.response["finish_reason"] == "length"

    run(test, text=SlowText)


def test_unwanted_before_its_turn_is_not_begun() -> None:
    """A request whose client went away while it waited takes no engine's time."""

    async def test(market: Market) -> None:
        engine = market.tensor
        assert isinstance(engine, SlowTensor)
        first = asyncio.ensure_future(asking(market, rows_body(), key=b"first"))
        await until(lambda: engine.begun == 1)
        second = asyncio.ensure_future(asking(market, rows_body(), key=b"second"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0.01)
        engine.lets.release()
        await first
        await market.service.drain()

        assert engine.begun == 1
        assert len(market.outbox.pending(9)) == 1

    run(test, tensor=SlowTensor, slots=1)


# --- the outbox --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [FULL, RuntimeError("the store is broken")], ids=["full", "broken"])
def test_full_disk_charges_nothing_and_recovers(error: Exception) -> None:
    """While answers cannot be kept none is given or charged; when there is room again the node serves again."""

    async def test(market: Market) -> None:
        store = market.store
        assert isinstance(store, FullStore)
        store.error = error
        first = await failing(asking(market, chat_body()))
        with pytest.raises(Unavailable) as caught:
            market.service.start(market.sign(chat_body()), chat_body())
        with pytest.raises(Unavailable):
            await market.outbox.probe()
        promised = market.promised
        store.error = None
        await market.outbox.probe()

        assert first.branch == "unavailable"
        assert caught.value.code == "node.outbox"
        assert promised == 0
        assert (await asking(market, chat_body())).request == market.sign(chat_body())

    run(test, store=FullStore)


def test_writes_are_grouped() -> None:
    """Answers that are ready while the disk is busy share its next flush."""

    async def test(market: Market) -> None:
        store = market.store
        assert isinstance(store, FullStore)
        await asyncio.gather(*(asking(market, rows_body(), key=bytes([number])) for number in range(30)))

        assert len(market.outbox.pending(99)) == 30
        assert store.writes < 30

    run(test, store=FullStore, slots=30)


def test_write_goes_on_when_its_waiter_goes() -> None:
    """A writer that is cancelled neither loses its rows nor spoils the group."""

    async def test(market: Market) -> None:
        entry = await asking(market, chat_body())
        closing = asyncio.ensure_future(market.outbox.close_entry(entry.place, "settled by hand"))
        await asyncio.sleep(0)
        closing.cancel()
        await market.outbox.flushed()

        payer, key = entry.request.request.payer, entry.request.request.key
        assert market.outbox.outcome(payer, key) == "settled by hand"
        assert market.outbox.outcome(payer, RequestKey(bytes(32))) is None
        assert market.outbox.pending(9) == []

    run(test)


def test_entries_come_back_as_they_were() -> None:
    """What is read from the outbox is what was kept, with its chunks."""

    async def test(market: Market) -> None:
        entry = await asking(market, chat_body(logprobs=True))
        found = market.outbox.find(entry.request.request.payer, entry.request.request.key)

        assert found is not None
        assert found.encode() == entry.encode()
        assert len(found.chunks) == 5
        assert market.outbox.pending(9, {entry.place}) == []

    run(test)


# --- other -------------------------------------------------------------------------------------------------------


def test_embeddings_are_served() -> None:
    """Embeddings cost their tokens, one vector a text."""

    async def test(market: Market) -> None:
        body = effective.embeddings({"input": ["a b", "c"]}, TEXT_ID)
        entry = await asking(market, body)

        assert entry.answer.receipt.receipt.price == price_of(3, 0)
        assert entry.chunks == ()

    run(test)


def test_model_is_found_by_name_and_id() -> None:
    """A model answers to its name and to its id; others are named in the refusal."""
    market = Market()

    assert market.service.model("test/words").model_id == TEXT_ID
    assert market.service.model("0x" + TEXT_ID.hex()).manifest == market.service.models[TEXT_ID].manifest
    with pytest.raises(Rejected) as caught:
        market.service.model("nobody's")
    assert "test/rows" in caught.value.message
    assert isinstance(market.service.models[TEXT_ID].manifest, Manifest)


def test_wrong_kind_and_unhonoured_are_refused_before_work() -> None:
    """Text for a tensor model, tensors for a language model, and what the engine cannot honour begin no job."""

    async def test(market: Market) -> None:
        tools = chat_body(tools=[{"type": "function", "function": {"name": "x"}}])
        swapped = {**chat_body(), "model": rows_body()["model"]}
        rows = {**rows_body(), "model": chat_body()["model"]}
        vectors = {"kind": "embeddings", "model": rows_body()["model"], "inputs": ["a"]}
        for body, code in (
            (tools, "request.unhonoured_parameter"),
            (swapped, "request.kind"),
            (rows, "request.kind"),
            (vectors, "request.kind"),
        ):
            with pytest.raises(Rejected) as caught:
                market.service.start(market.sign(body), body)
            with pytest.raises(Rejected):
                await market.service.quote(body)
            assert caught.value.code == code

    run(test)


def test_flow_and_service_agree_by_hand() -> None:
    """A flow driven by hand and the service make one bargain: what is promised is the receipt's price."""
    market = Market(opened(FakeClock(1_750_000_100_000)))

    found = Hands(market).run(buy(market.ledger.trust, Order(ALICE.address, TEXT_ID, chat_body())))

    assert market.promised == found.thing.answer.receipt.receipt.price
    assert found.thing.answer.receipt.receipt.signer == HOT.address
