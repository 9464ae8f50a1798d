"""Transactions and settlements: sent once, awaited with patience, and their servers' words read strictly."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.sim.market import Hands, Ledger, Market, chat_body, go, local, opened, play
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID, HOT, OPG

from paraph.core.amount import Wei
from paraph.core.encode import Json
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.ident import ModelId, to_hex
from paraph.flows.buy import Order, buy
from paraph.flows.effect import Effect, Rpc
from paraph.flows.settle import Owed, settle
from paraph.flows.transact import PATIENCE_MS, quantity, transact
from paraph.ledger.rooms.settlement import rules
from paraph.ledger.rooms.settlement.calls import CONTRACT


def bent(ledger: Ledger, method: str, reply: Callable[[Any], Any], key: Any = ALICE) -> Callable[[Effect[Any]], Any]:
    """A server whose reply to one method is another."""
    do = local(ledger, key)

    def answer(effect: Effect[Any]) -> Any:
        found = do(effect)
        return reply(found) if isinstance(effect, Rpc) and effect.method == method else found

    return answer


def one_wei() -> Any:
    return transact(CHAIN_ID, ALICE.address, BOB.address, Wei(1), b"")


def test_transaction_is_included() -> None:
    """A transaction is signed, sent, and its receipt awaited."""
    ledger = opened()

    sent = play(one_wei(), local(ledger))

    assert sent.height == ledger.chain.height
    assert sent.gas_used == 21_000
    assert [log.topics[1][12:] for log in sent.logs] == [ALICE.address]


def test_pending_transaction_is_given_up() -> None:
    """A transaction that is in no block in time ends in `Unavailable`: it may still be included."""
    ledger = opened()
    began = ledger.clock.now_ms()

    with pytest.raises(Unavailable) as caught:
        play(one_wei(), bent(ledger, "eth_getTransactionReceipt", lambda reply: None))

    assert caught.value.code == "tx.pending"
    assert PATIENCE_MS <= ledger.clock.now_ms() - began < PATIENCE_MS + 100


@pytest.mark.parametrize("reason", ["escrow.amount: none", None])
def test_reverted_transaction(reason: str | None) -> None:
    """A reverted transaction is refused with its reason, or with the fact that none was given."""

    def reverted(reply: Any) -> Any:
        return {**reply, "status": "0x0", "revertReason": reason}

    with pytest.raises(Rejected) as caught:
        play(one_wei(), bent(opened(), "eth_getTransactionReceipt", reverted))

    assert caught.value.code == "tx.reverted"
    assert (reason or "no reason given") in caught.value.message


@pytest.mark.parametrize(
    ("method", "value"),
    [("eth_gasPrice", hex(10**18)), ("eth_maxPriorityFeePerGas", hex(10**18)), ("eth_estimateGas", hex(10**15))],
)
def test_absurd_fee_is_not_signed(method: str, value: str) -> None:
    """A server that asks for an absurd fee, which it may earn itself, gets no signature."""
    ledger = opened()
    height = ledger.chain.height

    with pytest.raises(Rejected) as caught:
        play(one_wei(), bent(ledger, method, lambda reply: value))

    assert caught.value.code == "tx.fee_absurd"
    assert ledger.chain.height == height


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("eth_gasPrice", None),
        ("eth_gasPrice", "-0x1"),
        ("eth_estimateGas", "12"),
        ("eth_getTransactionCount", "0x"),
        ("eth_maxPriorityFeePerGas", 7),
        ("eth_sendRawTransaction", 7),
        ("eth_getTransactionReceipt", 7),
        ("eth_getTransactionReceipt", {"status": "0x1"}),
        ("eth_getTransactionReceipt", {"status": "0x1", "logs": [], "transactionHash": "0xzz"}),
        ("eth_getTransactionReceipt", {"status": "0x1", "logs": [7]}),
    ],
)
def test_junk_from_the_server_is_malformed(method: str, value: Json) -> None:
    """A reply of another shape is malformed, and nothing more is done."""
    with pytest.raises(Malformed):
        play(one_wei(), bent(opened(), method, lambda reply: value))


@pytest.mark.parametrize("text", ["0x0", "0xff"])
def test_quantity(text: str) -> None:
    """Hex quantities are read."""
    assert quantity(text) == int(text, 16)


# --- settling ----------------------------------------------------------------------------------------------------


def owed(market: Market, *texts: str) -> list[Owed]:
    """What the node is owed for answers to these questions."""
    for number, text in enumerate(texts):
        body = chat_body(text)
        order = Order(ALICE.address, ModelId(bytes.fromhex(str(body["model"])[2:])), body)
        Hands(market, draw=bytes([number + 1]).__mul__).run(buy(market.ledger.trust, order))
    return [Owed(entry.request, entry.answer.receipt) for entry in market.outbox.pending(99)]


def settling(due: list[Owed]) -> Any:
    return settle(CHAIN_ID, HOT.address, due)


def test_batch_is_settled_once() -> None:
    """A batch is settled; the same batch again is settled already, and nobody is debited twice."""
    market = Market()
    due = owed(market, "one", "two")
    price = sum(each.receipt.receipt.price for each in due)

    first = play(settling(due), local(market.ledger, HOT))
    second = play(settling(due), local(market.ledger, HOT))

    assert [(each.settled, each.final, each.reason) for each in first] == [(True, True, "batch 1")] * 2
    assert [(each.settled, each.final) for each in second] == [(True, True)] * 2
    assert all(each.reason.startswith("settlement.replay") for each in second)
    assert market.ledger.escrow(ALICE.address) == OPG - price


def test_late_refusal_is_final() -> None:
    """A receipt that the ledger refuses for good is not tried again."""
    market = Market()
    due = owed(market, "one")
    market.ledger.clock.advance(4 * 3600 * 1000)

    late = play(settling(due), local(market.ledger, HOT))

    assert [(each.settled, each.final, each.reason.split(":")[0]) for each in late] == [
        (False, True, "settlement.late")
    ]


def logs(reply: Any, change: Callable[[dict[str, Any]], Any]) -> Any:
    """The reply with the one event of a settled receipt changed."""
    found = [
        dict(log) for log in reply["logs"] if len(log["topics"]) == 4 and log["address"] == to_hex(CONTRACT.address)
    ]
    change(found[0])
    return {**reply, "logs": found}


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log["topics"].__setitem__(1, "0x" + "11" * 32),
        lambda log: log["topics"].__setitem__(2, "0x" + "11" * 32),
        lambda log: log.update(data="0x01"),
        lambda log: log.update(topics=7),
        lambda log: log.update(address=7),
    ],
    ids=["key", "payer", "data", "topics", "address"],
)
def test_other_events_are_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    """What a server tells of a receipt that was not sent, or cannot be read, settles nothing here."""
    market = Market()
    due = owed(market, "one")

    with pytest.raises(Malformed):
        play(settling(due), bent(market.ledger, "eth_getTransactionReceipt", lambda reply: logs(reply, change), HOT))


def test_hidden_events_settle_nothing() -> None:
    """A receipt of which the server says nothing stays owed; events of others are passed over."""
    market = Market()
    due = owed(market, "one")
    noise = {"address": to_hex(CONTRACT.address), "topics": [], "data": "0x"}

    found = play(
        settling(due), bent(market.ledger, "eth_getTransactionReceipt", lambda reply: {**reply, "logs": [noise]}, HOT)
    )

    assert found == ()


@pytest.mark.parametrize("code", ["escrow.empty", "settlement.future"])
def test_what_passes_is_waited_for(code: str) -> None:
    """An escrow that another node emptied may be filled, and a clock ahead is caught up with: the receipt waits."""
    market = Market()
    due = owed(market, "one")
    ledger = market.ledger
    real = local(ledger, HOT)
    refused = f"{code}: not now"

    def emptied(reply: Any) -> Any:
        topics, data = rules.REFUSED.log(
            due[0].request.request.key, ALICE.address, due[0].request.request.node, refused
        )
        log = {"address": to_hex(CONTRACT.address), "topics": [to_hex(each) for each in topics], "data": to_hex(data)}
        return {**reply, "logs": [log]}

    found = play(settling(due), bent(ledger, "eth_getTransactionReceipt", emptied, HOT))

    assert [(each.settled, each.final, each.reason) for each in found] == [(False, False, refused)]
    assert play(settling(due), real)[0].settled
    go(market.close())
