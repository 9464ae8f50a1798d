"""Registering enclaves: what one must include, which release it runs, and that the ledger is waited for, not believed.

Here, too, is the market's node in an enclave: the real keys and the real simulated enclave, over the market's ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from starlette.applications import Starlette
from tests.sim.market import (
    PRODUCER,
    TENSOR,
    TENSOR_ID,
    TEXT,
    TEXT_ID,
    Hands,
    Ledger,
    Market,
    go,
    local,
    play,
)
from tests.support_ledger.world import (
    ALICE,
    BOND,
    GOVERNOR,
    HOT,
    OPERATOR,
    OPG,
    OWNER,
    START_S,
    key_proof,
    model_arguments,
    node_arguments,
    person,
)
from tests.support_ledger.world import genesis as ledger_genesis

from paraph.adapters.enclaves.simulated import SimulatedEnclave, make_root
from paraph.adapters.fakes.clock import FakeClock
from paraph.adapters.fakes.store import MemoryStore
from paraph.adapters.system import random_bytes
from paraph.core.errors import Rejected, Unavailable, Unverified
from paraph.core.ident import ZERO_DIGEST, Address, Digest, from_hex
from paraph.core.keys import PrivateKey
from paraph.flows import attest
from paraph.flows.effect import Effect, Listen, Post, Rpc, Sign, Wait
from paraph.full_node.chain import Chain
from paraph.full_node.ethereum import methods
from paraph.full_node.production import Production
from paraph.full_node.solo import SoloApplication
from paraph.inference_node.enclave import Attested
from paraph.inference_node.sealed import sealed_route
from paraph.ledger.rooms.measurements.rules import GenesisRelease
from paraph.ledger.rooms.params.types import ENCLAVE_LIFE_S
from paraph.proofs.attestation import Attestation
from paraph.proofs.header import hash_key
from paraph.proofs.quotes import evidence
from paraph.proofs.quotes.binding import Keyset, bound, registration_nonce
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.records import Enclave, enclave_key, release_id

MEASURED: Final[Mapping[str, bytes]] = {f"pcr{index}": bytes((0x50 + index,)) * 48 for index in range(3)}
RELEASE: Final = GenesisRelease("simulated", "node 1", MEASURED, "commit 1")
RELEASE_ID: Final = release_id("simulated", MEASURED)
BORN: Final = person("born in the enclave")
LAYERS: Final = 3
"""The layers signature and tee."""


def place_of(operator: PrivateKey) -> str:
    """Where an operator's enclave answers."""
    return f"https://{operator.address.hex()[:8]}.test"


class Believing(Ledger):
    """A market's ledger that believes simulated enclaves and has approved one release.

    Args:
        clock: gives blocks their time.
        root: of simulated enclaves.
        releases: that are approved.
    """

    def __init__(self, clock: FakeClock, root: bytes, releases: tuple[GenesisRelease, ...] = (RELEASE,)) -> None:
        super().__init__(clock)
        self.genesis = ledger_genesis(producers=(PRODUCER.address,), simulated_root=root, releases=releases)
        self.trust = self.genesis.trust()
        self.chain = Chain(MemoryStore(), self.genesis)
        self.production = Production(SoloApplication(self.chain, PRODUCER), clock)
        self.engine = self.production.engine
        self.methods = methods(self.chain, self.production, clock)

    def join(self, operator: PrivateKey, hot: PrivateKey) -> None:
        """A node of that operator, of all layers and models."""
        if operator != OPERATOR:
            self.send(OPERATOR, operator.address, value=BOND + OPG)
        proof = key_proof(hot, operator.address)
        models = (TEXT_ID, TENSOR_ID)
        arguments = node_arguments(
            hot, operator, endpoint=place_of(operator), models=models, layers=LAYERS, proof=proof
        )
        self.call(operator, "Nodes", "register", *arguments, value=BOND)
        self.send(OPERATOR, hot.address, value=OPG)


@dataclass
class House:
    """A node of the market, with the keys of its enclave."""

    market: Market
    enclave: SimulatedEnclave

    def __post_init__(self) -> None:
        self.attested = self.born()

    @property
    def ledger(self) -> Ledger:
        return self.market.ledger

    def born(self) -> Attested:
        """Keys born in the enclave, whose door is the market's from now on; they are not registered yet."""
        market, ledger = self.market, self.ledger
        driver = market.driver(market.hot, {})
        found = Attested(self.enclave, ledger.trust, market.service, driver, ledger.clock)
        market.app.routes.extend(found.routes())
        opened = Starlette(routes=list(market.app.routes))
        sealed = sealed_route(opened, found.sealing_key, found.bindings, ledger.clock, random_bytes)
        market.app.routes.append(sealed)
        return found

    def register(self) -> None:
        """Register a keyset, and sign with it from now on."""
        go(self.attested.register())


def enclaves(clock: FakeClock, count: int, measured: Mapping[str, bytes] = MEASURED) -> tuple[bytes, list[Any]]:
    """A root of simulated enclaves, and enclaves under it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        root = make_root(folder, clock)
        return root, [SimulatedEnclave(folder, measured, clock) for _ in range(count)]


def village(*seats: tuple[PrivateKey, PrivateKey], registered: bool = True) -> list[House]:
    """Nodes in enclaves on one ledger, by their operators and hot keys; Alice's escrow has one OPG.

    Args:
        seats: operator and hot key of each.
        registered: register their enclaves.
    """
    clock = FakeClock((START_S + 10) * 1000)
    root, made = enclaves(clock, len(seats))
    ledger = Believing(clock, root)
    for manifest in (TEXT, TENSOR):
        names = {"model_id": manifest.model_id(), "manifest": manifest.digest(), "name": manifest.name}
        ledger.call(OWNER, "Models", "register", *model_arguments(**names, kind=manifest.kind, layers=LAYERS))
    for operator, hot in seats:
        ledger.join(operator, hot)
    ledger.call(ALICE, "Escrow", "deposit", value=OPG)
    found = [
        House(Market(ledger, operator=operator, hot=hot), enclave)
        for enclave, (operator, hot) in zip(made, seats, strict=True)
    ]
    for house in found if registered else []:
        house.register()
    return found


class Wire(Hands):
    """Hands that reach nodes in enclaves: each by its TLS key, as a real connection does, or by a relay.

    What is sealed comes to the node opened, if it was sealed to the key it has.
    """

    def __init__(self, *houses: House, **more: Any) -> None:
        super().__init__(*(house.market for house in houses), **more)
        self._markets = {place_of(house.market.operator): house.market for house in houses}
        self._houses = {place_of(house.market.operator): house for house in houses}

    def _do(self, effect: Effect[Any]) -> Any:
        if isinstance(effect, Post | Listen):
            endpoint = next(each for each in self._houses if effect.url.startswith(each))
            keys = self._houses[endpoint].attested.standing.keyset
            carried = effect.sealing is not None and effect.sealing.relay != ""
            if effect.tls_key is None and not carried:
                raise Unavailable("http.unreachable", "no authority knows who answers")
            if effect.tls_key not in (None, keys.tls_key):
                raise Unverified((("tls.key", "another answers at this address"),))
            if effect.sealing is not None and effect.sealing.key != keys.hpke_key:
                raise Rejected("seal.key", "sealed to another key")
        return super()._do(effect)

    @property
    def signed(self) -> int:
        """How often the payer signed."""
        return sum(isinstance(effect, Sign) for effect, _ in self.told)

    @property
    def meetings(self) -> list[str]:
        """Where a nonce was sent, and nothing else, in order."""
        return [effect.url for effect in self._sent if set(effect.body) == {"nonce"}]

    @property
    def prompts(self) -> list[str]:
        """Where anything else was sent, in order."""
        return [effect.url for effect in self._sent if set(effect.body) != {"nonce"}]

    @property
    def _sent(self) -> list[Post | Listen]:
        return [effect for effect, _ in self.told if isinstance(effect, Post | Listen)]


# --- the question --------------------------------------------------------------------------------------------------


def test_the_question_is_of_a_recent_block() -> None:
    """The nonce is of the block before the last, the node, and how many keysets it registered before."""
    (house,) = village((OPERATOR, HOT), registered=False)
    ledger = house.ledger
    nonces = []
    for count in range(2):
        nonce, height = play(attest.question(ledger.trust, OPERATOR.address), local(ledger))
        block_hash = Digest(ledger.chain.read(hash_key(height)) or b"")

        assert height == ledger.chain.height - 1
        assert nonce == registration_nonce(block_hash, OPERATOR.address, count)
        nonces.append(nonce)
        house.register()
    assert nonces[0] != nonces[1]


def test_the_first_block_is_waited_for() -> None:
    """Before there is a block whose hash is known, whoever asks is told to come back."""
    clock = FakeClock(START_S * 1000)
    ledger = Believing(clock, enclaves(clock, 0)[0])

    with pytest.raises(Unavailable) as caught:
        play(attest.question(ledger.trust, OPERATOR.address), local(ledger))

    assert caught.value.code == "attest.early"


def test_a_server_behind_itself() -> None:
    """A second server behind the same name, which has not the block yet, is waited for and no nonce is made of it."""
    (house,) = village((OPERATOR, HOT), registered=False)
    ledger = house.ledger
    young = Believing(ledger.clock, ledger.genesis.simulated_root)
    young.engine.produce()
    do, behind = local(ledger), local(young)
    asked = [0]

    def two_servers(effect: Effect[Any]) -> Any:
        asked[0] += isinstance(effect, Rpc)
        return do(effect) if asked[0] < 2 else behind(effect)

    with pytest.raises(Unavailable) as caught:
        play(attest.question(ledger.trust, OPERATOR.address), two_servers)

    assert caught.value.code == "attest.early"


# --- the release ---------------------------------------------------------------------------------------------------


def claims_of(house: House) -> Claims:
    """What the house's enclave proves."""
    shown = house.enclave.attest(b"d" * 64, ZERO_DIGEST, b"k")
    return evidence.verify(shown, house.ledger.trust.simulated_root, house.ledger.clock.now_ms() // 1000)


def test_the_release_is_found_by_its_measurements() -> None:
    """The approved release whose every measurement the enclave has; others that it has besides do not matter."""
    (house,) = village((OPERATOR, HOT), registered=False)

    found = play(attest.release_of(house.ledger.trust, claims_of(house)), local(house.ledger))

    assert found == RELEASE_ID


@pytest.mark.parametrize("what", ["other code", "another platform", "revoked"])
def test_no_such_release(what: str) -> None:
    """Code that nobody approved, on that platform, or any more, is refused, and its measurements are said."""
    (house,) = village((OPERATOR, HOT), registered=False)
    claims = claims_of(house)
    match what:
        case "other code":
            claims = replace(claims, measurements={**claims.measurements, "pcr2": b"\xee" * 48})
        case "another platform":
            claims = replace(claims, platform="nitro")
        case _:
            house.ledger.call(GOVERNOR, "Measurements", "revoke", RELEASE_ID)

    with pytest.raises(Rejected) as caught:
        play(attest.release_of(house.ledger.trust, claims), local(house.ledger))

    assert caught.value.code == "attest.release"
    assert MEASURED["pcr0"].hex()[:16] in caught.value.message


# --- registering ---------------------------------------------------------------------------------------------------


def test_registered() -> None:
    """What was asked for is registered by the hot key's transaction, and the ledger says until when it holds."""
    (house,) = village((OPERATOR, HOT), registered=False)
    ledger = house.ledger
    do = local(ledger, HOT)
    nonce, height = play(attest.question(ledger.trust, OPERATOR.address), do)
    shown = made(house, nonce)

    sent = play(attest.register(ledger.trust, HOT.address, shown, height), do)

    assert sent.height == ledger.chain.height
    expires_s = play(attest.expiry(ledger.trust, shown.keyset.receipt_key), do)
    found = record(house, shown.keyset.receipt_key)
    assert expires_s == found.expires_s == found.time_s + ENCLAVE_LIFE_S.default
    assert (found.node, found.trust) == (OPERATOR.address, TrustClass.SIMULATED)


def record(house: House, receipt_key: Address | None = None) -> Enclave:
    """What the ledger has of the house's enclave, or of the one with that key."""
    place = enclave_key(receipt_key or house.attested.standing.keyset.receipt_key)
    return Enclave.decode(house.ledger.chain.read(place) or b"")


def made(
    house: House, nonce: Digest, receipt_key: Address = ALICE.address, release: Digest = RELEASE_ID
) -> Attestation:
    """What the house's enclave shows for a nonce, of keys that it is given."""
    key = b"h" * 32
    ends = house.ledger.clock.now_ms() // 1000 + 10 * 86_400
    keyset = Keyset(house.ledger.trust.chain_id, OPERATOR.address, Digest(b"t" * 32), key, BORN.address, ends)
    found = house.enclave.attest(bound(keyset, nonce, ZERO_DIGEST), nonce, key)
    return Attestation(release, keyset, nonce, found)


def test_the_ledger_refuses_by_itself() -> None:
    """A node that names a release whose code it does not run is refused by every validator, not by its own honesty."""
    (house,) = village((OPERATOR, HOT), registered=False)
    ledger = house.ledger
    other = GenesisRelease("simulated", "node 2", dict.fromkeys(MEASURED, b"\x0e" * 48), "commit 2")
    names = tuple(sorted(other.measurements))
    values = tuple(other.measurements[name] for name in names)
    ledger.call(
        GOVERNOR, "Measurements", "approve", other.platform, other.name, names, values, other.source, ZERO_DIGEST
    )
    do = local(ledger, HOT)
    nonce, height = play(attest.question(ledger.trust, OPERATOR.address), do)
    lie = made(house, nonce, release=release_id("simulated", other.measurements))

    with pytest.raises(Rejected) as caught:
        play(attest.register(ledger.trust, HOT.address, lie, height), do)

    assert "policy.measurement" in caught.value.message


def test_a_late_ledger_is_waited_for() -> None:
    """A server that does not show the enclave yet is asked again for ten seconds, and then given up."""
    (house,) = village((OPERATOR, HOT))
    ledger = house.ledger
    key = house.attested.standing.keyset.receipt_key
    young = Believing(ledger.clock, ledger.genesis.simulated_root)
    behind, do = local(young), local(ledger)
    waits = [0]

    def late(effect: Effect[Any]) -> Any:
        waits[0] += isinstance(effect, Wait)
        return behind(effect) if isinstance(effect, Rpc) and waits[0] < 3 else do(effect)

    assert play(attest.expiry(ledger.trust, key), late) == record(house).expires_s
    assert waits[0] == 3
    began_ms = ledger.clock.now_ms()
    with pytest.raises(Unavailable) as caught:
        play(attest.expiry(ledger.trust, Address(from_hex("0x" + "9" * 40, 20, "key"))), do)
    assert caught.value.code == "attest.pending"
    assert ledger.clock.now_ms() - began_ms == attest.TRIES * attest.WAIT_MS


# --- what is open ------------------------------------------------------------------------------------------------


def test_open_until_something_ends_it() -> None:
    """An enclave is open until another takes its place or its code is revoked; one that nobody registered never was."""
    (house,) = village((OPERATOR, HOT))
    ledger = house.ledger
    first = house.attested.standing.keyset.receipt_key

    def is_open(key: Address) -> bool:
        return play(attest.is_open(ledger.trust, key), local(ledger))

    before = is_open(first)
    house.register()
    second = house.attested.standing.keyset.receipt_key
    replaced = is_open(first), is_open(second)
    ledger.call(GOVERNOR, "Measurements", "revoke", RELEASE_ID)

    assert before
    assert replaced == (False, True)
    assert not is_open(second)
    assert not is_open(BORN.address)
