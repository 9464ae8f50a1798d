"""The node's end of an enclave: keys registered and renewed, no request lost meanwhile, none paid after their end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx
import pytest
from tests.sim.market import TENSOR_ID, TEXT_ID, chat_body, go, rows_body, until
from tests.support_ledger.world import ALICE, GOVERNOR, HOT, OPERATOR
from tests.unit.flows.test_attest import LAYERS, MEASURED, RELEASE_ID, House, village
from tests.unit.inference_node.engines import SlowText
from tests.unit.inference_node.test_node import config_in

from paraph.adapters.fakes.clock import FakeClock
from paraph.adapters.http.client import AsyncDriver, Done, Shown
from paraph.adapters.http.server import HttpServer
from paraph.adapters.http.tls import public_digest, serving
from paraph.adapters.system import random_bytes
from paraph.core.encode import JsonObject
from paraph.core.errors import ParaphError, Rejected, Unverified
from paraph.core.ident import ZERO_DIGEST, Digest, ModelId, to_hex
from paraph.flows.buy import Order, buy
from paraph.flows.meet import PATH, Memory
from paraph.inference_node import enclave as enclave_module
from paraph.inference_node.enclave import RETRY_S, WATCH_S, enclave_of
from paraph.proofs.attestation import attestation_from_json, prove
from paraph.proofs.bundle import Bundle
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.policy import Policy
from paraph.proofs.records import Enclave, enclave_key
from paraph.proofs.request import Layer
from paraph.proofs.verdict import Verified

NONCE: Final = Digest(b"\x07" * 32)


def order(body: JsonObject, **more: Any) -> Order:
    """Alice's order of the layer tee."""
    model_id = ModelId(bytes.fromhex(str(body["model"])[2:]))
    return Order(ALICE.address, model_id, body, Layer.TEE, least=TrustClass.SIMULATED, **more)


def slow_house() -> tuple[House, SlowText]:
    """A node whose language model gives one event each time it is let."""
    (house,) = village((OPERATOR, HOT), registered=False)
    engine = SlowText()
    house.market.text = engine
    house.market.restart()
    house.attested = house.born()
    return house, engine


@asynccontextmanager
async def served(house: House) -> AsyncIterator[AsyncDriver]:
    """The node answers over real TLS, with its enclave's key, at the address that the ledger has; Alice's driver."""
    now_s = house.ledger.clock.now_ms() // 1000
    server = HttpServer(house.market.app, tls=serving(house.attested.tls_key, now_s))
    url = await server.start()
    house.ledger.call(OPERATOR, "Nodes", "update", url, LAYERS, (TEXT_ID, TENSOR_ID))
    driver = house.market.driver(ALICE, {}, random_bytes)
    try:
        yield driver
    finally:
        await driver.close()
        await server.stop()
        await house.market.close()


def signer_of(house: House) -> bytes:
    """The key that the enclave signs with now."""
    return house.attested.standing.keyset.receipt_key


def record(house: House, signer: bytes) -> Enclave:
    return Enclave.decode(house.ledger.chain.read(enclave_key(signer)) or b"")  # type: ignore[arg-type]


# --- renewal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("private", [False, True])
def test_keys_are_renewed_during_a_stream(private: bool) -> None:
    """A stream that began before ends after two renewals: it is verified under the key of its beginning, and paid."""
    house, engine = slow_house()

    async def main() -> None:
        market, clock = house.market, house.ledger.clock
        await house.attested.register()
        first = signer_of(house)
        async with served(house) as driver:
            wanted = order(chat_body(), stream=True, sealed=private)
            playing = driver.play(buy(house.ledger.trust, wanted))
            engine.let(3)
            seen = [await anext(playing), await anext(playing)]
            for _ in range(2):
                clock.advance(1_000)
                await house.attested.register()
                clock.advance(1_000)
                other = await driver.run(buy(house.ledger.trust, order(rows_body())))
                assert other.thing.answer.receipt.receipt.signer == signer_of(house) != first
            engine.let(99)
            seen += [event async for event in playing]

            done = seen[-1]
            assert isinstance(done, Done)
            text = "".join(str(event.chunk["text"]) for event in seen if isinstance(event, Shown))
            assert text == done.value.thing.answer.response["text"] != ""
            assert done.value.thing.answer.receipt.receipt.signer == first
            assert record(house, first).height_last
            assert await market.settler.settle_pending() == 3
            outcomes = market.outbox.outcome(ALICE.address, done.value.thing.request.request.key)
            assert str(outcomes).startswith("settled")

    go(main())


@pytest.mark.parametrize("known", [True, False], ids=["met before", "met meanwhile"])
def test_no_request_is_lost_while_keys_turn(known: bool) -> None:
    """Requests that come while keys are renewed again and again are all answered, verified and settled."""
    (house,) = village((OPERATOR, HOT))

    async def main() -> None:
        market = house.market
        async with served(house) as driver:
            memory = Memory()
            if known:
                await driver.run(buy(house.ledger.trust, order(rows_body()), memory))

            async def one(number: int) -> Verified[Bundle]:
                await asyncio.sleep(0.01 * (number % 4))
                return await driver.run(
                    buy(house.ledger.trust, order(chat_body(f"number {number}")), memory if known else None)
                )

            async def turn() -> None:
                await asyncio.sleep(0.015)
                house.ledger.clock.advance(300)
                await house.attested.register()

            found: list[Verified[Bundle]] = []
            for first in range(0, 16, 4):
                # One renewal while four are asked: who meets the enclave meanwhile sees it once at most.
                *answers, _ = await asyncio.gather(*map(one, range(first, first + 4)), turn())
                found += filter(None, answers)
            done = 0
            while done < len(found) + known:
                done += await market.settler.settle_pending()

            requests = [each.thing.request.request for each in found]
            assert all(each.verdict.verified for each in found)
            assert len({each.thing.answer.receipt.receipt.signer for each in found}) > 1
            assert {str(market.outbox.outcome(each.payer, each.key))[:7] for each in requests} == {"settled"}
            assert market.promised == 0

    go(main())


@dataclass
class Watched:
    """A node that looks after its keys while time is played: each time it sleeps, what is given happens.

    Args:
        house: whose.
        events: one for each sleep; afterwards nothing more happens.
    """

    house: House
    events: list[Callable[[], object]]
    waits: list[float] = field(default_factory=list)

    def play(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Until all events happened, and the node slept twice more."""
        last = len(self.events) + 2
        yielding = asyncio.sleep

        async def sleep(seconds: float) -> None:
            if len(self.waits) < len(self.events):
                self.events[len(self.waits)]()
            self.waits.append(seconds)
            await yielding(0)

        async def main() -> None:
            task = asyncio.create_task(self.house.attested.run())
            await until(lambda: len(self.waits) >= last)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        played = SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread)
        with monkeypatch.context() as patched:
            patched.setattr(enclave_module, "asyncio", played)
            go(main())


def later(house: House, seconds: float) -> None:
    """So much later, with a block."""
    house.ledger.clock.advance(int(seconds * 1_000))
    house.ledger.engine.produce()


def test_keys_are_renewed_at_half_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a moment before it: then the node registers anew by itself."""
    (house,) = village((OPERATOR, HOT))
    first = signer_of(house)
    left_s = house.attested.standing.renew_s - house.ledger.clock.now_ms() / 1000
    seen: list[bytes] = []

    def soon() -> None:
        seen.append(signer_of(house))
        later(house, left_s - 2)

    def then() -> None:
        seen.append(signer_of(house))
        later(house, 3)

    watched = Watched(house, [soon, then])
    watched.play(monkeypatch)

    assert seen == [first, first]
    assert signer_of(house) != first
    assert record(house, first).height_last
    assert watched.waits[0] == WATCH_S


def test_a_closed_enclave_registers_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the ledger has closed the enclave, the node notices soon, and stands there with new keys."""
    (house,) = village((OPERATOR, HOT))
    first = signer_of(house)

    watched = Watched(house, [lambda: None])
    watched.play(monkeypatch)
    untouched = signer_of(house)
    other = house.born()
    go(other.register())
    closed = record(house, first).height_last
    Watched(house, [lambda: None]).play(monkeypatch)

    assert untouched == first
    assert closed
    assert signer_of(house) not in {first, other.standing.keyset.receipt_key}
    assert record(house, signer_of(house)).height_last == 0


def test_a_failed_renewal_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less and less often, whatever the failure, while the old keys go on; a ledger that is away closes nothing."""
    (house,) = village((OPERATOR, HOT))
    first = signer_of(house)
    down = partial(setattr, house.ledger, "down")
    register, failures = house.attested.register, [ValueError("ours"), Rejected("attest.release", "no")]

    async def failing() -> None:
        if house.ledger.down or not failures:
            await register()
        else:
            raise failures.pop()

    monkeypatch.setattr(house.attested, "register", failing)
    watched = Watched(
        house,
        [
            lambda: down(True),  # it cannot look
            lambda: later(house, 86_400 / 2 + 1),  # and it is time
            lambda: None,
            lambda: down(False),
            lambda: None,
            lambda: None,
        ],
    )
    watched.play(monkeypatch)

    retries = [each for each in watched.waits if each < WATCH_S]
    assert retries[:4] == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S, 8 * RETRY_S]
    assert signer_of(house) != first
    assert record(house, first).height_last


# --- what has ended signs nothing --------------------------------------------------------------------------------


def test_a_closed_enclave_is_not_paid() -> None:
    """What an enclave signs after another took its place verifies nowhere, and the settlement refuses it."""
    (house,) = village((OPERATOR, HOT))
    market = house.market
    old = market.service.identity

    async def main() -> None:
        house.ledger.clock.advance(5_000)
        await house.attested.register()
        closed = house.attested.standing
        house.ledger.clock.advance(5_000)
        async with served(house) as driver:
            market.service.identity = old
            with pytest.raises(Unverified) as caught:
                await driver.run(buy(house.ledger.trust, order(rows_body())))
            before = house.ledger.escrow(ALICE.address)
            (owed,) = market.outbox.pending(10)
            assert await market.settler.settle_pending() == 1
            request = owed.request.request
            assert str(market.outbox.outcome(request.payer, request.key)).startswith("refused settlement.key")

            assert "registry.key" in [code for code, _ in caught.value.reasons]
            assert house.ledger.escrow(ALICE.address) == before
            assert old.enclave is not None
            assert record(house, old.enclave.key.address).height_last
            assert closed == house.attested.standing

    go(main())


def test_a_node_that_left_is_not_met() -> None:
    """When the node leaves its enclave is closed: nothing is said to it any more."""
    (house,) = village((OPERATOR, HOT))

    async def main() -> None:
        async with served(house) as driver:
            house.ledger.call(OPERATOR, "Nodes", "deregister")
            with pytest.raises(Rejected) as caught:
                await driver.run(buy(house.ledger.trust, order(rows_body())))
            assert caught.value.code == "nodes.none"

    go(main())
    assert record(house, signer_of(house)).height_last


# --- the first time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [1, enclave_module.TRIES - 1])
def test_the_first_registration_is_tried_again(failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the full node is away, some times."""
    (house,) = village((OPERATOR, HOT), registered=False)
    monkeypatch.setattr(enclave_module, "RETRY_S", 0)
    register, left = house.attested.register, [failing]

    async def later() -> None:
        house.ledger.down = left[0] > 0
        left[0] -= 1
        await register()

    monkeypatch.setattr(house.attested, "register", later)

    go(house.attested.first())

    assert house.attested.standing.release == RELEASE_ID


def test_the_first_registration_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full node that stays away, and a ledger that refuses, end the start; nothing is signed by an enclave then."""
    monkeypatch.setattr(enclave_module, "RETRY_S", 0)
    (away,) = village((OPERATOR, HOT), registered=False)
    away.ledger.down = True
    (revoked,) = village((OPERATOR, HOT), registered=False)
    revoked.ledger.call(GOVERNOR, "Measurements", "revoke", RELEASE_ID)

    for house, code in ((away, "http.unreachable"), (revoked, "attest.release")):
        with pytest.raises(ParaphError) as caught:
            go(house.attested.first())
        assert caught.value.code == code
        assert Layer.TEE not in house.market.service.identity.layers(TEXT_ID)


def test_an_enclave_whose_evidence_does_not_hold() -> None:
    """The node checks its own evidence before it sends it: what strangers would refuse is not even paid for."""
    (house,) = village((OPERATOR, HOT), registered=False)
    house.attested._trust = replace(house.ledger.trust, simulated_root=b"")
    before = house.ledger.chain.height

    with pytest.raises(Unverified) as caught:
        house.register()

    assert caught.value.code == "quote.root"
    assert house.ledger.chain.height == before


# --- the door ----------------------------------------------------------------------------------------------------


def asked(house: House, body: Any) -> httpx.Response:
    """What the enclave's door answers."""

    async def main() -> httpx.Response:
        async with house.market.door() as http:
            return await http.post(PATH, content=body if isinstance(body, bytes) else json.dumps(body))

    return go(main())


def test_the_door_shows_what_is_registered() -> None:
    """For each nonce its own document, of the registered keys, which proves them to whoever asked."""
    (house,) = village((OPERATOR, HOT))
    trust, now_s = house.ledger.trust, house.ledger.clock.now_ms() // 1000
    replies = [asked(house, {"nonce": to_hex(nonce)}).json() for nonce in (NONCE, ZERO_DIGEST)]

    shown = [attestation_from_json(reply["attestation"]) for reply in replies]

    release = Policy((MEASURED,), TrustClass.SIMULATED)
    assert [each.nonce for each in shown] == [NONCE, ZERO_DIGEST]
    assert shown[0].evidence != shown[1].evidence
    for each in shown:
        assert (each.keyset, each.release) == (house.attested.standing.keyset, RELEASE_ID)
    assert prove(shown[0], release, trust.simulated_root, now_s).nonce == NONCE
    assert shown[0].keyset.tls_key == public_digest(house.attested.tls_key)


@pytest.mark.parametrize(
    "body",
    [b"", b"junk", {}, {"nonce": 7}, {"nonce": "0x12"}, {"nonce": "zz" * 32}, {"nonce": to_hex(NONCE), "more": 1}],
    ids=["empty", "junk", "no nonce", "a number", "short", "no hex", "more"],
)
def test_the_door_takes_a_nonce_alone(body: Any) -> None:
    """Anything else is refused as malformed, and the platform is not asked."""
    (house,) = village((OPERATOR, HOT))

    reply = asked(house, body)

    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "malformed"


def test_an_unregistered_enclave_shows_nothing() -> None:
    """Before its keys are registered the door says to come back, and no request of the layer is taken."""
    (house,) = village((OPERATOR, HOT), registered=False)
    market = house.market

    reply = asked(house, {"nonce": to_hex(NONCE)})

    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "enclave.unregistered"
    with pytest.raises(Rejected) as caught:
        market.service.start(market.sign(rows_body(), layer=Layer.TEE), rows_body())
    assert caught.value.code == "request.layer"


def test_requests_are_sealed_to_this_keyset_or_the_last() -> None:
    """What was sealed before a renewal still opens after it; before two, it does not."""
    (house,) = village((OPERATOR, HOT), registered=False)
    digests = []
    for _ in range(3):
        house.register()
        digests.append(house.attested.standing.keyset.digest())

    assert [each.keyset for each in house.attested.bindings()] == [digests[2], digests[1]]
    assert {each.node for each in house.attested.bindings()} == {OPERATOR.address}


def test_keys_are_born_anew() -> None:
    """Each registration has a receipt key of its own; TLS and sealing keep theirs; another process shares none."""
    (house,) = village((OPERATOR, HOT), registered=False)
    keysets = []
    for _ in range(2):
        house.register()
        keysets.append(house.attested.standing.keyset)
    other = house.born()

    one, two = keysets
    assert one.receipt_key != two.receipt_key
    assert (one.tls_key, one.hpke_key) == (two.tls_key, two.hpke_key)
    assert public_digest(other.tls_key) != one.tls_key
    assert other.sealing_key.public_key().public_bytes_raw() != one.hpke_key


@pytest.mark.parametrize(
    ("platform", "code"),
    [("abacus", "enclave.name"), ("", "enclave.name"), ("simulated", "enclave.root"), ("nitro", "enclave.nitro")],
)
def test_platforms_are_named(platform: str, code: str, tmp_path: Path) -> None:
    """A node runs in the enclave that its settings name, or it does not start: none takes another's place."""
    config = replace(config_in(tmp_path), enclave=platform)

    with pytest.raises(ParaphError) as caught:
        enclave_of(config, FakeClock(0))

    assert caught.value.code == code
