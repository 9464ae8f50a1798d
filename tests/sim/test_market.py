"""A market in virtual time: messages are lost, late and doubled, processes die; money and answers always agree.

Each seed is a world. Buyers run the real flows against real services and a real ledger; after every step all truths of
the ledger are checked, and at the end every payer was debited exactly once for each answer, and for nothing else.
"""

import random
from typing import Any

import pytest
from tests.sim.market import Hands, Market, chat_body, go, opened, rows_body
from tests.support_ledger.world import ALICE, BOB, OPG, person

from paraph.adapters.fakes.store import MemoryStore
from paraph.core.digest import sha256
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected, Unavailable, Unverified
from paraph.core.ident import ModelId
from paraph.core.keys import PrivateKey
from paraph.flows.buy import Order, buy, prove_settled
from paraph.flows.effect import Effect, Flow, Hear, Listen, Post, Rpc
from paraph.ledger.rooms.settlement.keys import SETTLED
from paraph.ledger.rooms.settlement.types import Settlement
from paraph.proofs.bundle import Bundle

STEPS = 40
LOSS = 0.12


class Weather(Hands):
    """A network between a buyer and the market that loses, delays and doubles what it carries."""

    def __init__(self, chance: random.Random, *markets: Market, key: PrivateKey, draw: bytes) -> None:
        super().__init__(*markets, key=key, draw=lambda size: draw[:size])
        self._chance = chance
        self._clock = markets[0].clock

    def _do(self, effect: Effect[Any]) -> Any:
        if not isinstance(effect, Rpc | Post | Listen | Hear):
            return super()._do(effect)
        self._clock.advance(self._chance.randrange(50))
        fate = self._chance.random()
        if fate < LOSS:
            raise Unavailable("http.unreachable", "lost on the way there")
        if fate > 1 - LOSS and isinstance(effect, Post | Listen):
            super()._do(effect)  # it arrives twice
        reply = super()._do(effect)
        if self._chance.random() < LOSS:
            raise Unavailable("http.unreachable", "lost on the way back")
        return reply


class World:
    """Two nodes, two payers, and what is known of every request."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        other, hot = person("other operator"), person("other hot")
        self.ledger = opened(endpoints=((other, hot),))
        self.ledger.call(BOB, "Escrow", "deposit", value=OPG)
        self.markets = [
            Market(self.ledger, MemoryStore()),
            Market(self.ledger, MemoryStore(), operator=other, hot=hot),
        ]
        self.answered: dict[bytes, Bundle] = {}
        self.open: list[tuple[PrivateKey, bytes, JsonObject, bool]] = []

    def step(self) -> None:
        """One thing happens."""
        kind = self.chance.choices(("ask", "again", "settle", "restart", "outage", "prove"), (8, 6, 4, 2, 1, 2))[0]
        market = self.chance.choice(self.markets)
        if kind == "ask":
            body = self.chance.choice((chat_body(str(self.chance.random())), rows_body(self.chance.randrange(1, 4))))
            stream = body["kind"] == "chat" and self.chance.random() < 0.5
            key = sha256(self.chance.randbytes(8))
            self.ask(self.chance.choice((ALICE, BOB)), key, body, stream)
        elif kind == "again" and self.open:
            self.ask(*self.open.pop(self.chance.randrange(len(self.open))))
        elif kind == "settle":
            go(market.settler.settle_pending())
        elif kind == "restart":
            market.restart()
        elif kind == "outage":
            self.ledger.down = True
            if self.open:
                self.ask(*self.open.pop())
            with pytest.raises(Unavailable):
                Hands(market).run(buy(self.ledger.trust, order(ALICE, chat_body(), False)))
            self.ledger.down = False
        elif kind == "prove" and self.answered:
            self.prove(self.chance.choice(list(self.answered)))
        self.ledger.audit()

    def ask(self, payer: PrivateKey, key: bytes, body: JsonObject, stream: bool) -> None:
        """Buy, or buy again under the same key; what fails is asked again later."""
        hands = Weather(self.chance, *self.markets, key=payer, draw=key)
        try:
            found = hands.run(buy(self.ledger.trust, order(payer, body, stream)))
        except (Unavailable, Rejected) as error:
            # Another deadline makes another request under the old key, which a node that answered it refuses.
            if error.code not in ("http.unreachable", "node.stream_ended", "request.key_reused"):
                raise
            if error.code != "request.key_reused":
                self.open.append((payer, key, body, stream))
            return
        assert found.verdict.verified
        self.answered[payer.address + key] = found.thing

    def prove(self, place: bytes) -> None:
        """A settlement that is shown verifies, or is of the other node's answer under the same key."""
        bundle = self.answered[place]
        found = Hands(self.markets[0]).run(settlement(self.ledger.trust, bundle))
        assert found is None or found.thing.answer == bundle.answer

    def end(self) -> None:
        """Everything is settled; then the books are balanced."""
        for market in self.markets:
            market.restart()
            while go(market.settler.settle_pending()):
                self.ledger.audit()
            assert market.outbox.pending(1) == []
            assert market.service._promised == {}
        entries = [
            (entry.request.request, entry.answer.receipt.receipt) for market in self.markets for entry in kept(market)
        ]
        prices: dict[bytes, set[int]] = {}
        for request, receipt in entries:
            prices.setdefault(request.payer + request.key, set()).add(receipt.price)
        settled = self.settled()
        # Settled is exactly what was answered, each key once, for the price of one of its answers.
        assert settled.keys() == prices.keys() >= self.answered.keys()
        assert all(price in prices[place] for place, price in settled.items())
        for payer in (ALICE, BOB):
            due = sum(price for place, price in settled.items() if place.startswith(payer.address))
            assert OPG - self.ledger.escrow(payer.address) == due

    def settled(self) -> dict[bytes, int]:
        """Price by payer and key, as the ledger has it."""
        dump = self.ledger.chain.dump().items()
        cut = len(SETTLED.prefix)
        return {key[cut:]: Settlement.decode(value).price for key, value in dump if key.startswith(SETTLED.prefix)}


def settlement(trust: Any, bundle: Bundle) -> Flow[Any]:
    """The proof of settlement, or nothing where another node's answer under this key was settled."""
    try:
        return (yield from prove_settled(trust, bundle))
    except Unverified as error:
        if error.code != "settlement.batch":
            raise
        return None


def order(payer: PrivateKey, body: JsonObject, stream: bool) -> Order:
    return Order(payer.address, ModelId(bytes.fromhex(str(body["model"])[2:])), body, stream=stream)


def kept(market: Market) -> list[Any]:
    """Every answer that a node ever kept."""
    places = [place for place, _ in market.store.items("answers")]
    return [entry for place in places if (entry := market.outbox.find(place[:20], place[20:])) is not None]  # type: ignore[arg-type]


@pytest.mark.parametrize("number", range(36))
def test_money_and_answers_agree(number: int) -> None:
    """In each world, whatever is lost: all truths after each step; each answer is paid once, and nothing else."""
    # pytest-randomly seeds `random` for each run anew and prints the seed of the run.
    seed = random.randrange(2**32) + number
    print(f"seed {seed}")
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    world.end()


def test_worlds_are_not_empty() -> None:
    """The weather leaves something to check: answers, retries that succeed, and settlements."""
    world = World(7)
    for _ in range(2 * STEPS):
        world.step()
    settled = len(world.settled())
    world.end()

    assert len(world.answered) > 5
    assert settled > 0
