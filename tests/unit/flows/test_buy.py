"""Buying: what a client does with good answers, failing nodes, and servers that lie."""

import functools
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.sim.market import (
    TENSOR_ID,
    TEXT_ID,
    Drawn,
    Hands,
    Market,
    Tape,
    chat_body,
    endpoint_of,
    go,
    opened,
    play,
    price_of,
    rows_body,
)
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID, GOVERNOR, HOT, OPERATOR, OWNER, person
from tests.unit.flows.test_attest import House, Wire, place_of, village

from paraph.core.amount import Wei
from paraph.core.encode import Json, JsonObject, canonical, decode
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable, Unverified
from paraph.core.ident import Digest, ModelId, to_hex
from paraph.core.limits import JSON_BYTES_MAX
from paraph.flows.buy import (
    ANSWER_PATH,
    Order,
    Unanswered,
    ask_again,
    await_settled,
    buy,
    gathered,
    price_cap,
    prove_settled,
)
from paraph.flows.effect import Effect, Hear, Listen, Post, Rpc, Show, Sign, Wait
from paraph.flows.meet import PATH, Memory
from paraph.flows.registry import offer, serving
from paraph.inference_node.enclave import Standing
from paraph.proofs.attestation import Attestation, attestation_from_json
from paraph.proofs.bundle import Bundle, answer_from_json
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.evidence import Checks
from paraph.proofs.receipt import stream_next, stream_start
from paraph.proofs.request import Layer, request_from_json
from paraph.proofs.verdict import Verified


def order(body: JsonObject, **more: Any) -> Order:
    """Alice's order for a body."""
    return Order(ALICE.address, ModelId(bytes.fromhex(str(body["model"])[2:])), body, **more)


def bought(market: Market, body: JsonObject, **more: Any) -> tuple[Verified[Bundle], Hands]:
    """A verified answer and how it was got."""
    hands = Hands(market)
    return hands.run(buy(market.ledger.trust, order(body, **more))), hands


def settled(market: Market) -> None:
    """The node settles what it is owed."""
    go(market.settler.settle_pending())


class Bent:
    """Hands that bend some replies.

    Args:
        hands: who really does it.
        bend: makes another reply of (effect, reply), or raises.
    """

    def __init__(self, hands: Hands, bend: Callable[[Effect[Any], Any], Any]) -> None:
        self.hands = hands
        self.bend = bend

    def __call__(self, effect: Effect[Any]) -> Any:
        return self.bend(effect, self.hands(effect))


def with_answer(change: Callable[[dict[str, Any]], None]) -> Callable[[Effect[Any], Any], Any]:
    """Bends the node's whole answer."""

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Post):
            reply = decode(canonical(reply))
            change(reply)
        return reply

    return bend


@pytest.mark.parametrize("stream", [False, True])
def test_text_is_bought(stream: bool) -> None:
    """A text answer verifies, costs its units, and where it is streamed the pieces are the answer."""
    market = Market()

    found, hands = bought(market, chat_body(), stream=stream)

    receipt = found.thing.answer.receipt.receipt
    assert found.verdict.verified
    assert receipt.price == price_of(receipt.input_units, 5)
    text = found.thing.answer.response["text"] if stream else ""
    assert "".join(str(chunk["text"]) for chunk in hands.shown) == text


def test_rows_are_bought() -> None:
    """A tensor answer verifies and costs a unit in and out for each row."""
    found, _ = bought(Market(), rows_body(3))

    assert found.verdict.verified
    assert found.thing.answer.receipt.receipt.price == price_of(3, 3)


def test_cap_covers_the_most() -> None:
    """The default cap is the schedule times the most units that a request can use."""
    ledger = opened()
    found = Hands(Market(ledger)).run(offer(ledger.trust, TEXT_ID))

    assert price_cap(found, rows_body(7)) == price_of(7, 7)
    assert price_cap(found, {"kind": "infer", "inputs": [], "outputs": []}) == price_of(1, 1)
    assert price_cap(found, chat_body("x" * 100)) > price_of(100, 5)


def test_price_above_cap_is_refused() -> None:
    """A node refuses what costs more than the payer's own cap, and nothing is charged."""
    market = Market()

    with pytest.raises(Rejected) as caught:
        bought(market, chat_body(), max_price=Wei(1))

    assert caught.value.code == "request.cap"
    assert market.promised == 0


def test_layer_not_offered_is_refused() -> None:
    """A layer that the model is not offered with is refused before anything is signed."""
    with pytest.raises(Rejected) as caught:
        bought(Market(), chat_body(), layer=Layer.ZK)

    assert caught.value.code == "models.layer"


def two_nodes() -> tuple[Market, Market]:
    """Two nodes on one ledger."""
    other, other_hot = person("other operator"), person("other hot")
    ledger = opened(endpoints=((other, other_hot),))
    return Market(ledger), Market(ledger, operator=other, hot=other_hot)


def test_dead_node_gives_way_under_the_same_key() -> None:
    """When a node cannot be reached the next is asked, under the same key, so that at most one of them is paid."""
    first, second = two_nodes()
    hands = Hands(first, second)
    hands.dead = {endpoint_of(second.operator)}

    found = hands.run(buy(first.ledger.trust, order(chat_body())))

    keys = {effect.body["request"]["key"] for effect, _ in hands.told if isinstance(effect, Post)}  # type: ignore[index, call-overload]
    posts = [effect.url for effect, _ in hands.told if isinstance(effect, Post)]
    assert found.verdict.verified
    assert len(keys) == 1
    assert posts == [f"{endpoint_of(second.operator)}/paraph/v1/answer"] * 3 + [
        f"{endpoint_of(first.operator)}/paraph/v1/answer"
    ]


@pytest.mark.parametrize("refusal", [Rejected("node.whim", "no"), Malformed("http.junk", "?")], ids=["rejects", "junk"])
def test_refusing_node_gives_way(refusal: ParaphError) -> None:
    """A node that refuses, or answers with junk, keeps nobody from buying elsewhere."""
    first, second = two_nodes()

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Post) and effect.url.startswith(endpoint_of(second.operator)):
            raise refusal
        return reply

    found = play(buy(first.ledger.trust, order(chat_body())), Bent(Hands(first, second), bend))

    assert found.thing.request.request.node == first.operator.address


def test_no_node_answers() -> None:
    """When one node refuses and another is gone, the caller hears that asking again may help."""
    first, second = two_nodes()
    hands = Hands(first, second)
    hands.dead = {endpoint_of(first.operator)}

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Post):
            raise Rejected("node.whim", "no")
        return reply

    with pytest.raises(Unavailable):
        play(buy(first.ledger.trust, order(chat_body())), Bent(hands, bend))


@pytest.mark.parametrize("stream", [False, True])
def test_lost_answer_is_had_again(stream: bool) -> None:
    """What did not come back is asked for again by the very same signed request: one answer, one debit."""
    market = Market()
    hands = Hands(market)
    lose = Bent(hands, _lost)
    with pytest.raises(Unanswered) as caught:
        play(buy(market.ledger.trust, order(chat_body(), stream=stream)), lose)
    lost = pickle.loads(pickle.dumps(caught.value))

    found = hands.run(ask_again(market.ledger.trust, lost.asked))
    settled(market)

    assert lost.code == "http.unreachable"
    assert found.thing.request == caught.value.asked.signed
    assert len(market.outbox.pending(10)) == 0
    with pytest.raises(Unanswered):
        play(ask_again(market.ledger.trust, lost.asked), lose)


def _lost(effect: Effect[Any], reply: Any) -> Any:
    """Every reply of a node is lost after the node has answered."""
    if isinstance(effect, Post | Listen):
        raise Unavailable("http.unreachable", "the reply is lost")
    return reply


def test_named_node_only() -> None:
    """A named node is the only one asked; one that serves no such model is refused by name."""
    first, second = two_nodes()

    found = Hands(first, second).run(buy(first.ledger.trust, order(chat_body(), node=first.operator.address)))
    with pytest.raises(Rejected) as caught:
        Hands(first).run(buy(first.ledger.trust, order(chat_body(), node=BOB.address)))

    assert found.thing.request.request.node == first.operator.address
    assert caught.value.code == "nodes.unknown"


def test_lost_reply_is_asked_again() -> None:
    """When the reply is lost the same signed request is sent again; the kept answer comes back, charged once."""
    market = Market()
    lost = [Unavailable("http.unreachable", "the line broke")] * 2

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Post) and lost:
            raise lost.pop()
        return reply

    hands = Hands(market)
    found = play(buy(market.ledger.trust, order(chat_body())), Bent(hands, bend))

    bodies = {repr(effect.body) for effect, _ in hands.told if isinstance(effect, Post)}
    assert found.verdict.verified
    assert len(bodies) == 1
    assert market.promised == found.thing.answer.receipt.receipt.price


def test_late_full_node_is_waited_for() -> None:
    """An answer that is paid for is not given up because the full node is away for a moment."""
    market = Market()
    hands = Hands(market)
    failing = [2]

    def bend(effect: Effect[Any], reply: Any) -> Any:
        answered = any(isinstance(told, Post) for told, _ in hands.told)
        if isinstance(effect, Rpc) and answered and failing[0]:
            failing[0] -= 1
            raise Unavailable("http.unreachable", "restarting")
        return reply

    assert play(buy(market.ledger.trust, order(chat_body())), Bent(hands, bend)).verdict.verified


def test_away_full_node_is_given_up() -> None:
    """A full node that stays away after the answer ends in `Unavailable`, never in an unverified answer."""
    market = Market()
    hands = Hands(market)

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Rpc) and any(isinstance(told, Post) for told, _ in hands.told):
            raise Unavailable("http.unreachable", "gone")
        return reply

    with pytest.raises(Unavailable):
        play(buy(market.ledger.trust, order(chat_body())), Bent(hands, bend))


def test_full_node_behind_the_node_is_waited_for() -> None:
    """A server that does not know the receipt's block yet is asked again; if it never does, nothing is verified."""
    market = Market()
    behind = Hands(market)
    behind.run(buy(market.ledger.trust, order(chat_body())))
    stale = {repr(effect): reply for effect, reply in behind.told if isinstance(effect, Rpc)}
    market.ledger.send(OPERATOR, BOB.address, value=1)
    market.clock.advance(10_000)

    def old(times: int) -> Callable[[Effect[Any], Any], Any]:
        left = [times]

        def bend(effect: Effect[Any], reply: Any) -> Any:
            if isinstance(effect, Rpc) and len(effect.params[0]) == 3 and left[0]:  # type: ignore[arg-type]
                left[0] -= 1
                return stale[repr(effect)]
            return reply

        return bend

    trust = market.ledger.trust
    found = play(buy(trust, order(chat_body("other"))), Bent(Hands(market, draw=lambda size: b"1" * size), old(2)))
    with pytest.raises(Unverified) as caught:
        play(buy(trust, order(chat_body("third"))), Bent(Hands(market, draw=lambda size: b"2" * size), old(99)))

    assert found.verdict.verified
    assert caught.value.code == "registry.key"


# --- streams -----------------------------------------------------------------------------------------------------


def broken_after(count: int, error: ParaphError | None) -> Callable[[Effect[Any], Any], Any]:
    """Bends a stream so that it breaks after so many events; with no error it just ends."""
    heard = [0]

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Hear):
            heard[0] += 1
            if heard[0] == count + 1:
                if error is not None:
                    raise error
                return None
        return reply

    return bend


@pytest.mark.parametrize("count", [0, 1, 3, 5])
@pytest.mark.parametrize("error", [None, Unavailable("http.unreachable", "broke")], ids=["ends", "breaks"])
def test_broken_stream_is_continued(count: int, error: ParaphError | None) -> None:
    """A stream that breaks is asked for again, and the pieces shown are still the answer, each once."""
    market = Market()
    hands = Hands(market)

    found = play(buy(market.ledger.trust, order(chat_body(), stream=True)), Bent(hands, broken_after(count, error)))

    assert "".join(str(chunk["text"]) for chunk in hands.shown) == found.thing.answer.response["text"]


def test_half_shown_answer_is_not_taken_elsewhere() -> None:
    """When a node dies for good after showing something, no other node's story is told after its beginning."""
    first, second = two_nodes()
    hands = Hands(first, second)

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Show):
            hands.dead = {endpoint_of(second.operator)}
        elif isinstance(effect, Hear) and hands.dead:
            raise Unavailable("http.unreachable", "killed")
        return reply

    with pytest.raises(Unavailable):
        play(buy(first.ledger.trust, order(chat_body(), stream=True)), Bent(hands, bend))

    assert not any(
        isinstance(told, Listen) and told.url.startswith(endpoint_of(first.operator)) for told, _ in hands.told
    )


def test_other_answer_after_break_is_refused() -> None:
    """After a broken stream, an answer that does not begin with what was shown is refused."""
    market = Market()
    cut = broken_after(2, Unavailable("http.unreachable", "broke"))
    changed = with_answer(lambda answer: answer["response"].update(text="quite another"))

    with pytest.raises(Unverified) as caught:
        play(
            buy(market.ledger.trust, order(chat_body(), stream=True)),
            Bent(Hands(market), lambda effect, reply: changed(effect, cut(effect, reply))),
        )

    assert caught.value.code == "stream.digest"


def streamed(events: Callable[[list[Any]], list[Any]]) -> tuple[Verified[Bundle], Tape]:
    """Play back a good stream with its events changed."""
    market = Market()
    hands = Hands(market)
    flow = buy(market.ledger.trust, order(chat_body(logprobs=True), stream=True))
    hands.run(flow)
    heard = [reply for effect, reply in hands.told if isinstance(effect, Hear)]
    others = [told for told in hands.told if not isinstance(told[0], Hear)]
    tape = Tape([*others, *((Hear(), event) for event in events(decode(canonical(heard))))])  # type: ignore[arg-type]
    return play(buy(market.ledger.trust, order(chat_body(logprobs=True), stream=True)), tape), tape


def without(index: int) -> Callable[[list[Any]], list[Any]]:
    return lambda events: events[:index] + events[index + 1 :]


def swap(events: list[Any]) -> list[Any]:
    return [events[1], events[0], *events[2:]]


def twice(events: list[Any]) -> list[Any]:
    return [events[0], *events]


def alter(events: list[Any]) -> list[Any]:
    events[1]["chunk"]["text"] += "!"
    return events


def alter_ids(events: list[Any]) -> list[Any]:
    events[1]["chunk"]["token_ids"] = [77]
    return events


def digest_of_another(events: list[Any]) -> list[Any]:
    events[1]["digest"] = events[0]["digest"]
    return events


CHANGES = {
    "first dropped": without(0),
    "one dropped": without(2),
    "last dropped": without(4),
    "swapped": swap,
    "doubled": twice,
    "text": alter,
    "ids": alter_ids,
    "digest": digest_of_another,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_changed_chunks_are_refused(change: Callable[[list[Any]], list[Any]]) -> None:
    """A chunk dropped, doubled, moved or altered does not follow from those before it."""
    with pytest.raises(Unverified) as caught:
        streamed(change)

    assert caught.value.code == "stream.digest"


def relinked(change: Callable[[list[Any]], None]) -> Callable[[list[Any]], list[Any]]:
    """A liar who also makes the running digests of his chunks right."""

    def make(events: list[Any]) -> list[Any]:
        *chunks, last = events
        change(chunks)
        # The tape's request is the recorded one: its hash starts the chain.
        receipt = last["answer"]["receipt"]
        link = stream_start(bytes.fromhex(receipt["request_hash"][2:]))  # type: ignore[arg-type]
        for event in chunks:
            link = stream_next(link, event["chunk"])
            event["digest"] = to_hex(link)
        return [*chunks, last]

    return make


@pytest.mark.parametrize(
    "change",
    [
        lambda chunks: chunks[0]["chunk"].update(text="No"),
        lambda chunks: chunks[0]["chunk"].update(token_ids=[1]),
        lambda chunks: chunks[0]["chunk"].update(tool_calls=[{"index": 0, "function": {"name": "pay"}}]),
        lambda chunks: chunks.pop(),
    ],
    ids=["text", "ids", "tool_calls", "short"],
)
def test_shown_chunks_must_be_the_signed_ones(change: Callable[[list[Any]], None]) -> None:
    """Chunks that hang together but are not those that the receipt signs are refused at the end."""
    with pytest.raises(Unverified) as caught:
        streamed(relinked(change))

    assert caught.value.code == "stream.digest"


def test_signed_chunks_that_are_not_the_answer() -> None:
    """A node that signs a chain over chunks which are not its response is refused: what is shown is the answer."""

    def change(chunks: list[Any]) -> None:
        chunks[0]["chunk"]["text"] = "Yes"

    def sign(events: list[Any]) -> list[Any]:
        *chunks, last = relinked(change)(events)
        answer = answer_from_json(last["answer"])
        receipt = replace(answer.receipt.receipt, stream_digest=bytes.fromhex(chunks[-1]["digest"][2:]))  # type: ignore[arg-type]
        signature = HOT.sign(receipt.signing_digest(CHAIN_ID))
        signed = replace(answer, receipt=replace(answer.receipt, receipt=receipt, signature=signature))
        return [*chunks, {"answer": signed.as_json()}]

    with pytest.raises(Unverified) as caught:
        streamed(sign)

    assert caught.value.code == "stream.digest"


def test_chunks_add_up() -> None:
    """Chunks add up to the members of a response, and junk in them is malformed."""
    assert gathered([{"text": "a", "token_ids": [1]}, {"text": "b", "logprobs": [{"token": "b"}]}]) == {
        "text": "ab",
        "token_ids": [1],
        "logprobs": [{"token": "b"}],
        "tool_calls": [],
    }
    with pytest.raises(Malformed):
        gathered([{"text": "a", "token_ids": {"no": "list"}}])


def test_endless_stream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream longer than any whole answer may be is refused, and no memory is filled with it."""
    monkeypatch.setattr("paraph.flows.buy.JSON_BYTES_MAX", 100)
    assert JSON_BYTES_MAX > 100

    with pytest.raises(Malformed) as caught:
        streamed(lambda events: events)

    assert caught.value.code == "stream.size"


@pytest.mark.parametrize("event", [7, {}, {"chunk": 7}, {"chunk": {"text": 7}, "digest": "0x"}, {"answer": 7}], ids=str)
def test_malformed_event_is_refused(event: Json) -> None:
    """An event that is no event of ours is malformed."""
    with pytest.raises(Malformed):
        streamed(lambda events: [event, *events])


# --- lies --------------------------------------------------------------------------------------------------------


def test_receipt_for_another_request_is_refused() -> None:
    """A true answer to one request does not pass as the answer to another."""
    market = Market()
    other, _ = bought(market, chat_body("something else"))
    stolen = decode(canonical(other.thing.answer.as_json()))

    with pytest.raises(Unverified) as caught:
        play(
            buy(market.ledger.trust, order(chat_body())),
            Bent(
                Hands(market, draw=lambda size: b"7" * size),
                lambda effect, reply: stolen if isinstance(effect, Post) else reply,
            ),
        )

    assert "receipt.request" in [code for code, _ in caught.value.reasons]


def resigned(market: Market, signer: Any = HOT, **changes: Any) -> Callable[[Effect[Any], Any], Any]:
    """Bends the receipt and signs it anew."""

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if not isinstance(effect, Post):
            return reply
        answer = answer_from_json(reply)
        receipt = replace(answer.receipt.receipt, signer=signer.address, **changes)
        signature = signer.sign(receipt.signing_digest(market.identity.chain_id))
        return replace(answer, receipt=replace(answer.receipt, receipt=receipt, signature=signature)).as_json()

    return bend


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": Wei(10**12)}, "receipt.request"),
        ({"price": Wei(1001)}, "registry.price"),
        ({"output_units": 6}, "registry.price"),
        ({"height": 10**6}, "registry.key"),
        ({"price_version": 2}, "registry.price"),
        ({"model_id": TENSOR_ID}, "receipt.request"),
        ({"signer": person("nobody")}, "registry.key"),
        ({"signer": OWNER}, "registry.key"),
    ],
    ids=str,
)
def test_false_receipts_are_refused(changes: dict[str, Any], code: str) -> None:
    """A receipt honestly signed and false is refused for what is false in it."""
    market = Market()

    with pytest.raises(Unverified) as caught:
        play(
            buy(market.ledger.trust, order(chat_body())),
            Bent(Hands(market), resigned(market, changes.pop("signer", HOT), **changes)),
        )

    assert code in [each for each, _ in caught.value.reasons]


# --- settlement --------------------------------------------------------------------------------------------------


def test_settlement_is_proved() -> None:
    """Before settlement there is no proof; after it the bundle carries one that verifies."""
    market = Market()
    found, hands = bought(market, chat_body())

    before = hands.run(prove_settled(market.ledger.trust, found.thing))
    settled(market)
    after = hands.run(prove_settled(market.ledger.trust, found.thing))

    assert before is None
    assert after is not None
    assert after.thing.chain.settled is not None
    assert after.verdict.verified


def test_settlement_is_awaited() -> None:
    """Awaiting asks until it is settled, and gives up with a typed error when patience ends."""
    market = Market()
    found, hands = bought(market, chat_body())
    waits = [0]

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Wait):
            waits[0] += 1
            if waits[0] == 3:
                settled(market)
        return reply

    with pytest.raises(Unavailable) as caught:
        hands.run(await_settled(market.ledger.trust, found.thing, 150))
    waits[0] = 0
    done = play(await_settled(market.ledger.trust, found.thing, 5_000), Bent(hands, bend))

    assert caught.value.code == "settlement.pending"
    assert done.thing.chain.settled is not None


def test_settlement_of_another_batch_is_refused() -> None:
    """Another batch, a place in it that is another's, or a batch that is none, does not pass."""
    market = Market()
    first, hands = bought(market, chat_body("one"))
    settled(market)
    Hands(market, draw=lambda size: b"3" * size).run(buy(market.ledger.trust, order(chat_body("two"))))
    settled(market)

    def told(**changes: Json) -> Callable[[Effect[Any], Any], Any]:
        return lambda effect, reply: (
            {**reply, **changes} if isinstance(effect, Rpc) and effect.method == "paraph_getSettled" else reply
        )

    for changes in ({"batch": 2}, {"batch": 9}, {"index": 1}, {"path": ["0x" + "11" * 32]}):
        with pytest.raises(Unverified) as caught:
            play(prove_settled(market.ledger.trust, first.thing), Bent(hands, told(**changes)))
        assert caught.value.code == "settlement.batch"


def test_request_was_signed_by_the_payer() -> None:
    """What is sent is the payer's: the signed request reads back and its signature is hers."""
    _, hands = bought(Market(), chat_body())
    sent = next(effect for effect, _ in hands.told if isinstance(effect, Post))

    assert request_from_json(sent.body["request"]).signed_by_payer()


# --- the layer tee -----------------------------------------------------------------------------------------------


NEIGHBOUR, NEIGHBOUR_HOT = person("neighbour"), person("neighbour's hot key")
RELAY = "https://relay.test"


def enclaved(body: JsonObject | None = None, **more: Any) -> Order:
    """Alice's order for an answer by an enclave, which may be simulated."""
    return order(chat_body() if body is None else body, **{"layer": Layer.TEE, "least": TrustClass.SIMULATED, **more})


def neighbours() -> tuple[House, House]:
    """Two nodes in enclaves on one ledger; the neighbour is asked first."""
    first, second = village((OPERATOR, HOT), (NEIGHBOUR, NEIGHBOUR_HOT))
    found = Hands(first.market).run(serving(first.ledger.trust, TEXT_ID, Layer.TEE, None))
    return (first, second) if found[0][0] == NEIGHBOUR.address else (second, first)


def at(house: House) -> str:
    """Where a house is asked for an answer."""
    return f"{place_of(house.market.operator)}{ANSWER_PATH}"


@pytest.mark.parametrize("body", [chat_body(), rows_body(2)], ids=["text", "rows"])
@pytest.mark.parametrize("how", [{}, {"sealed": True}, {"relay": RELAY}], ids=["straight", "sealed", "by a relay"])
def test_an_enclave_answers(body: JsonObject, how: dict[str, Any]) -> None:
    """What an attested key signed verifies and is settled; it was met before anything was signed or said."""
    (house,) = village((OPERATOR, HOT))
    wire = Wire(house)

    found = wire.run(buy(house.ledger.trust, enclaved(body, **how)))
    settled(house.market)
    after = wire.run(prove_settled(house.ledger.trust, found.thing, TrustClass.SIMULATED))

    kinds = [type(effect) for effect, _ in wire.told]
    posts = [effect for effect, _ in wire.told if isinstance(effect, Post)]
    assert found.thing.answer.receipt.receipt.signer == house.attested.standing.keyset.receipt_key
    assert found.verdict.verified
    assert after is not None
    assert after.thing.chain.settled is not None
    assert kinds.index(Post) < kinds.index(Sign)
    assert (wire.meetings, wire.prompts) == ([place_of(OPERATOR) + PATH], [at(house)])
    assert {post.tls_key for post in posts} == {None if "relay" in how else house.attested.standing.keyset.tls_key}
    assert [post.sealing is not None for post in posts] == ([True] * 2 if "relay" in how else [False, bool(how)])


def test_a_streamed_answer_of_an_enclave() -> None:
    """A stream goes to the holder of the attested TLS key alone, and its pieces are the answer."""
    (house,) = village((OPERATOR, HOT))
    wire = Wire(house)

    found = wire.run(buy(house.ledger.trust, enclaved(stream=True)))

    listened = [effect for effect, _ in wire.told if isinstance(effect, Listen)]
    assert [effect.tls_key for effect in listened] == [house.attested.standing.keyset.tls_key]
    assert "".join(str(chunk["text"]) for chunk in wire.shown) == found.thing.answer.response["text"]


@pytest.mark.parametrize("how", [{"sealed": True}, {"relay": RELAY}], ids=str)
def test_only_enclaves_are_sealed_to(how: dict[str, Any]) -> None:
    """Who wants privacy with another layer is refused: it is never quietly left out."""
    market = Market()
    hands = Hands(market)

    with pytest.raises(Rejected) as caught:
        hands.run(buy(market.ledger.trust, order(chat_body(), **how)))

    assert caught.value.code == "request.private"
    assert not any(isinstance(effect, Post | Listen | Sign) for effect, _ in hands.told)


def lie_about(change: Callable[[dict[str, Any]], Any], at_first: str = "") -> Callable[[Effect[Any], Any], Any]:
    """Bends what is shown at meetings, at the address that begins so."""

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Post) and set(effect.body) == {"nonce"} and effect.url.startswith(at_first):
            reply = decode(canonical(reply))
            change(reply["attestation"])
        return reply

    return bend


def _two_days_later(house: House) -> None:
    house.ledger.clock.advance(2 * 86_400_000)
    house.ledger.engine.produce()


FAILINGS: dict[str, tuple[Callable[[House], Any], str]] = {
    "hardware is wanted": (lambda house: {"least": TrustClass.HARDWARE}, "meet.trust"),
    "another nonce": (lambda house: lie_about(lambda shown: shown.update(nonce="0x" + "11" * 32)), "meet.nonce"),
    "another release": (lambda house: lie_about(lambda shown: shown.update(release="0x" + "11" * 32)), "meet.keyset"),
    "evidence of nothing": (lambda house: lie_about(lambda shown: shown.update(evidence="0x")), "rlp.form"),
    "code revoked": (
        lambda house: house.ledger.call(GOVERNOR, "Measurements", "revoke", house.attested.standing.release),
        "meet.closed",
    ),
    "keys ended": (_two_days_later, "meet.expired"),
    "a ledger that stands still": (lambda house: house.ledger.clock.advance(601_000), "meet.stale"),
    "another TLS key": (
        lambda house: setattr(house.attested, "_standing", _with_other_key(house)),
        "tls.key",
    ),
}


def _with_other_key(house: House) -> Standing:
    """What stands there is another server than the one that was registered."""
    standing = house.attested.standing
    return replace(standing, keyset=replace(standing.keyset, tls_key=Digest(b"m" * 32)))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", FAILINGS)
def test_no_answer_without_a_meeting(what: str, stream: bool) -> None:
    """Whatever fails when an enclave is met: no prompt leaves, nothing is signed, no lesser layer takes its place."""
    (house,) = village((OPERATOR, HOT))
    broken, code = FAILINGS[what]
    wire = Wire(house)
    found = broken(house)
    how = found if isinstance(found, dict) else {}
    memory = Memory()

    flow = buy(house.ledger.trust, enclaved(stream=stream, **how), memory)

    with pytest.raises(ParaphError) as caught:
        play(flow, Bent(wire, found) if callable(found) else wire)

    assert caught.value.code == code
    assert (wire.prompts, wire.signed, memory.met, wire.shown) == ([], 0, {}, [])
    assert house.market.promised == 0


def test_another_enclave_may_be_met_instead() -> None:
    """An enclave that fails its meeting hears nothing; one that passes answers; the first is not counted as asked."""
    liar, honest = neighbours()
    wire = Wire(liar, honest)
    lie = lie_about(lambda shown: shown.update(nonce="0x" + "11" * 32), place_of(liar.market.operator))

    found = play(buy(liar.ledger.trust, enclaved()), Bent(wire, lie))

    assert found.thing.request.request.node == honest.market.operator.address
    assert wire.prompts == [at(honest)]
    assert wire.signed == 1


def test_the_first_failing_is_told() -> None:
    """Where no enclave passes, the caller hears why the first did not."""
    first, second = neighbours()
    wire = Wire(first, second)
    first.ledger.call(first.market.operator, "Nodes", "update", "http://plain.test", 3, (TEXT_ID,))

    with pytest.raises(Unverified) as caught:
        play(
            buy(first.ledger.trust, enclaved()),
            Bent(wire, lie_about(lambda shown: shown.update(nonce="0x" + "11" * 32))),
        )

    assert caught.value.code in {"meet.plain", "meet.nonce"}
    assert (wire.prompts, wire.signed) == ([], 0)


def test_who_was_met_is_asked_again_without_meeting() -> None:
    """For some minutes one meeting is enough; another client's memory is its own."""
    (house,) = village((OPERATOR, HOT))
    memory = Memory()
    wires = []
    for seed in (b"1", b"2"):
        wire = Wire(house, draw=Drawn(seed))
        wire.run(buy(house.ledger.trust, enclaved(chat_body(seed.decode())), memory))
        wires.append(wire)
    fresh = Wire(house, draw=Drawn(b"3"))
    fresh.run(buy(house.ledger.trust, enclaved(chat_body("3"))))

    assert [len(wire.meetings) for wire in (*wires, fresh)] == [1, 0, 1]


def test_a_failed_request_is_forgotten() -> None:
    """After a failure an enclave must be met again, whatever it was that failed."""
    (house,) = village((OPERATOR, HOT))
    memory = Memory()
    wire = Wire(house)
    with pytest.raises(Unanswered):
        play(buy(house.ledger.trust, enclaved(), memory), Bent(wire, _lose_answers))

    assert len(wire.meetings) == 1
    assert memory.met == {}


def _lose_answers(effect: Effect[Any], reply: Any) -> Any:
    if isinstance(effect, Post | Listen) and "request" in effect.body:
        raise Unavailable("http.unreachable", "the reply is lost")
    return reply


@pytest.mark.parametrize("code", ["tls.key", "seal.key"])
def test_other_keys_than_remembered_are_met_anew(code: str) -> None:
    """An enclave that restarted has other keys: nothing was heard by anybody, so it is met anew, once, and asked."""
    (house,) = village((OPERATOR, HOT))
    memory = Memory()
    Wire(house).run(buy(house.ledger.trust, enclaved(), memory))
    wire = Wire(house, draw=Drawn(b"again"))
    kind = Unverified(((code, "other keys"),)) if code == "tls.key" else Rejected(code, "other keys")
    left = [kind]

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Post) and "request" in effect.body and left:
            raise left.pop()
        return reply

    found = play(buy(house.ledger.trust, enclaved(chat_body("again")), memory), Bent(wire, bend))

    assert found.verdict.verified
    assert len(wire.meetings) == 1


def test_other_keys_than_just_met_are_refused() -> None:
    """One that has other keys than it had a moment ago, when it was met, is not met again and again."""
    (house,) = village((OPERATOR, HOT))
    wire = Wire(house)

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Post) and "request" in effect.body:
            raise Unverified((("tls.key", "other keys"),))
        return reply

    with pytest.raises(Unverified) as caught:
        play(buy(house.ledger.trust, enclaved()), Bent(wire, bend))

    assert caught.value.code == "tls.key"
    assert len(wire.meetings) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_answered_by_another_enclave(stream: bool) -> None:
    """An answer that another enclave of the same node signed is refused: it is not the one that was met."""
    (house,) = village((OPERATOR, HOT))
    wire = Wire(house)
    shown = with_evidence(
        lambda evidence: replace(evidence, keyset=replace(evidence.keyset, tls_key=Digest(b"o" * 32)))
    )

    with pytest.raises(Unverified) as caught:
        play(buy(house.ledger.trust, enclaved(stream=stream)), Bent(wire, shown))

    assert caught.value.code == "meet.signer"


def with_evidence(change: Callable[[Attestation], Attestation]) -> Callable[[Effect[Any], Any], Any]:
    """Bends the attestation that stands beside an answer."""

    def bend(effect: Effect[Any], reply: Any) -> Any:
        answer = reply.get("answer", reply) if isinstance(effect, Post | Hear) and isinstance(reply, dict) else {}
        if "evidence" in answer:
            changed = change(attestation_from_json(answer["evidence"])).as_json()
            answer = answer | {"evidence": changed}
            return {"answer": answer} if "answer" in reply else answer
        return reply

    return bend


@pytest.mark.parametrize("signer", [HOT, person("nobody")], ids=["the hot key", "nobody"])
def test_only_the_attested_key_signs(signer: Any) -> None:
    """A receipt of the layer tee that the node's hot key signed, or nobody the ledger knows, is refused."""
    (house,) = village((OPERATOR, HOT))
    sign = resigned(house.market, signer)

    def bend(effect: Effect[Any], reply: Any) -> Any:
        return sign(effect, reply) if isinstance(effect, Post) and "request" in effect.body else reply

    with pytest.raises(Unverified) as caught:
        play(buy(house.ledger.trust, enclaved()), Bent(Wire(house), bend))

    assert "registry.key" in [code for code, _ in caught.value.reasons]


def test_a_server_hides_the_enclave() -> None:
    """A receipt whose release the ledger does not show is not verified."""
    (house,) = village((OPERATOR, HOT))
    other = with_evidence(lambda evidence: replace(evidence, release=Digest(b"r" * 32)))

    with pytest.raises(Unverified) as caught:
        play(buy(house.ledger.trust, enclaved()), Bent(Wire(house), other))

    assert caught.value.code == "registry.release"


def test_a_lost_answer_of_an_enclave_goes_to_it_alone() -> None:
    """Asking again goes by the same TLS key, and comes back as the answer of the enclave that was met."""
    (house,) = village((OPERATOR, HOT))
    with pytest.raises(Unanswered) as caught:
        play(buy(house.ledger.trust, enclaved(sealed=True)), Bent(Wire(house), _lose_answers))
    wire = Wire(house)

    found = wire.run(ask_again(house.ledger.trust, pickle.loads(pickle.dumps(caught.value)).asked))

    posts = [effect for effect, _ in wire.told if isinstance(effect, Post)]
    assert [post.tls_key for post in posts] == [house.attested.standing.keyset.tls_key]
    assert all(post.sealing is not None for post in posts)
    assert found.verdict.verified


def anew(house: House) -> None:
    """The node's process ends and starts again, in a new enclave with new keys."""
    house.market.restart()
    house.attested = house.born()
    house.register()


def test_an_enclave_that_began_anew_returns_the_answer() -> None:
    """What one enclave answered before it ended is returned by the next, which is met first; nothing is paid twice."""
    (house,) = village((OPERATOR, HOT))
    with pytest.raises(Unanswered) as caught:
        play(buy(house.ledger.trust, enclaved()), Bent(Wire(house), _lose_answers))
    before = house.attested.standing.keyset
    anew(house)
    wire = Wire(house)

    found = wire.run(ask_again(house.ledger.trust, caught.value.asked))

    posts = [effect.tls_key for effect, _ in wire.told if isinstance(effect, Post)]
    now = house.attested.standing.keyset.tls_key
    assert found.thing.answer.receipt.receipt.signer == before.receipt_key
    assert posts == [before.tls_key, now, now]
    assert wire.meetings == [place_of(OPERATOR) + PATH]
    assert wire.signed == 0


def test_who_took_the_place_of_an_enclave_is_not_asked() -> None:
    """Asking again meets whoever is there now: one that fails that hears no request."""
    (house,) = village((OPERATOR, HOT))
    with pytest.raises(Unanswered) as caught:
        play(buy(house.ledger.trust, enclaved()), Bent(Wire(house), _lose_answers))
    house.attested._standing = _with_other_key(house)
    wire = Wire(house)

    with pytest.raises(Unverified) as refused:
        wire.run(ask_again(house.ledger.trust, caught.value.asked))

    heard = [effect for effect, reply in wire.told if isinstance(effect, Post) and not isinstance(reply, ParaphError)]
    assert refused.value.code == "tls.key"
    assert heard == []


def test_asking_again_hears_other_refusals() -> None:
    """What is refused for another reason is refused when it is asked again, and nobody is met for it."""
    (house,) = village((OPERATOR, HOT))
    with pytest.raises(Unanswered) as caught:
        play(buy(house.ledger.trust, enclaved()), Bent(Wire(house), _lose_answers))
    wire = Wire(house)

    def bend(effect: Effect[Any], reply: Any) -> Any:
        if isinstance(effect, Post):
            raise Rejected("node.whim", "no")
        return reply

    with pytest.raises(Rejected) as refused:
        play(ask_again(house.ledger.trust, caught.value.asked), Bent(wire, bend))

    assert refused.value.code == "node.whim"
    assert wire.meetings == []


def test_a_receipt_of_a_simulated_enclave_is_not_hardware() -> None:
    """Who demands hardware does not get a settled answer verified as it, either."""
    (house,) = village((OPERATOR, HOT))
    wire = Wire(house)
    found = wire.run(buy(house.ledger.trust, enclaved()))
    settled(house.market)

    with pytest.raises(Unverified) as caught:
        wire.run(prove_settled(house.ledger.trust, found.thing))

    assert [code for code, _ in caught.value.reasons] == ["evidence.trust"]


def test_a_memory_looks_at_evidence_once() -> None:
    """What a client's memory checked when it met the enclave, and of the first answer, is not looked at again."""
    (house,) = village((OPERATOR, HOT))
    asked: list[bytes] = []

    @functools.cache
    def looks(key: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(message)
        return p384_sha384(key, message, signature)

    memory, counts = Memory(checks=Checks(looks)), []
    for seed in (b"1", b"2"):
        wire = Wire(house, draw=Drawn(seed))
        wire.run(buy(house.ledger.trust, enclaved(chat_body(seed.decode())), memory))
        counts.append(len(asked))

    # Four of the chain, and two documents: the live one, and the one that was registered.
    assert counts == [6, 6]
