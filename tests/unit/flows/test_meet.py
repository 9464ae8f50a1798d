"""Meeting an enclave: who passes may be spoken to, and whoever does not hears nothing but a nonce."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from tests.sim.market import play
from tests.support.build import Tree
from tests.support.nitro import MODULE, NOW_S, PCRS
from tests.support_ledger.enclaves import RELEASE, RELEASE_ID, ROOT
from tests.support_ledger.meetings import AT_MS, NONCE, PRODUCER, TRUST, live, met, registered
from tests.support_ledger.world import BOB, OPERATOR, person

from paraph.core.encode import Json, canonical, decode
from paraph.core.errors import ParaphError, Rejected, Unavailable, Unverified
from paraph.core.ident import Address, Digest, ModelId, from_hex, to_hex
from paraph.core.ohttp import NO_MODEL
from paraph.flows import registry
from paraph.flows.effect import Draw, Effect, Now, Post, Rpc, Wait
from paraph.flows.meet import PATH, REMEMBERED_MAX, REMEMBERED_MS, Known, Memory, Met, known, meet
from paraph.ledger.rooms.measurements.keys import REVOKED, stands_on
from paraph.ledger.rooms.nodes.keys import CURRENT, NODES
from paraph.ledger.rooms.nodes.types import Node
from paraph.proofs.attestation import Attestation
from paraph.proofs.header import SignedHeader
from paraph.proofs.meeting import AGE_MS_MAX, STATE_AGE_S_MAX, judge_meeting
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.evidence import NO_ROOT, Checks, Evidence
from paraph.proofs.records import Enclave, Release, enclave_key, release_key
from paraph.proofs.seal import ProducerSeal, Seal

ENDPOINT: Final = "https://enclave.test:8443"
SIMULATED: Final = TrustClass.SIMULATED
MODEL_ID: Final = ModelId(b"\x0d" * 32)
PLACE: Final = enclave_key(live().keyset.receipt_key)
CODE: Final = release_key(RELEASE_ID)


def state(
    enclave: Mapping[str, Any] | None = None, release: Mapping[str, Any] | None = None
) -> dict[bytes, bytes | None]:
    """The state in which the enclave is registered; what is given differs: its records by their fields."""
    found: dict[bytes, bytes | None] = dict(registered())
    found[PLACE] = replace(Enclave.decode(found[PLACE] or b""), **(enclave or {})).encode()
    found[CODE] = replace(Release.decode(found[CODE] or b""), **(release or {})).encode()
    return found


def without(*keys: bytes) -> dict[bytes, bytes | None]:
    """The same with nothing at these keys."""
    return state() | dict.fromkeys(keys)


def sealed(values: dict[bytes, bytes | None]) -> tuple[Seal, Tree]:
    """A state under the seal of the network's producer."""
    tree = Tree()
    tree.put(values)
    seal = met().meeting.seal
    assert isinstance(seal, ProducerSeal)
    header = replace(seal.signed.header, state_root=tree.root)
    return ProducerSeal(SignedHeader(header, PRODUCER.sign(header.hash()))), tree


@dataclass
class Stage:
    """Who answers a client that meets an enclave: the ledger, the clock, and whoever is at the node's address.

    Args:
        values: the ledger's state.
        shown: what the node's address answers; an error where it fails.
        now_ms: the client's clock.
        later: states that the ledger shows instead, from its second reading on.
    """

    values: dict[bytes, bytes | None] = field(default_factory=state)
    shown: Any = field(default_factory=live)
    now_ms: int = AT_MS
    later: tuple[dict[bytes, bytes | None], ...] = ()
    told: list[Effect[Any]] = field(default_factory=list)

    def __call__(self, effect: Effect[Any]) -> Any:
        self.told.append(effect)
        match effect:
            case Now():
                return self.now_ms
            case Draw(size=32):
                return bytes(NONCE)
            case Wait():
                return None
            case Rpc(method="paraph_getProof"):
                return self._proofs(effect)
            case Post():
                if isinstance(self.shown, ParaphError):
                    raise self.shown
                shown = self.shown.as_json() if isinstance(self.shown, Attestation) else self.shown
                return decode(canonical({"attestation": shown}))
            case _:
                raise AssertionError(f"nobody meets by {effect}")

    def _proofs(self, effect: Rpc) -> Json:
        values = self.values
        if self.later:
            values, *rest = self.values, *self.later
            self.values, self.later = rest[0], tuple(rest[1:])
        seal, tree = sealed(values)
        rows: list[Json] = []
        for name in effect.params[0]:  # type: ignore[union-attr]
            place = from_hex(name, None, "key")
            value = values.get(place)
            said = None if value is None else to_hex(value)
            rows.append({"key": name, "value": said, "proof": tree.prove(place).as_json()})
        return {"seal": seal.as_json(), "proofs": rows}

    @property
    def said(self) -> list[Post]:
        """All that was said to whoever is at the node's address."""
        return [effect for effect in self.told if isinstance(effect, Post)]

    def meet(
        self,
        memory: Memory | None = None,
        *,
        trust: Trust = TRUST,
        node: Address = OPERATOR.address,
        endpoint: str = ENDPOINT,
        least: TrustClass = SIMULATED,
        relay: str = "",
    ) -> Met:
        """Meet the node's enclave."""
        return play(meet(trust, node, endpoint, least, memory or Memory(), relay), self)


# --- whoever passes ------------------------------------------------------------------------------------------------


def test_an_enclave_is_met() -> None:
    """What is met is what the ledger registered; it was asked for a nonce alone, by its TLS key."""
    stage = Stage()

    found = stage.meet(endpoint=ENDPOINT + "/")

    assert (found.keyset, found.shown, found.at_ms) == (live().keyset, live(), AT_MS)
    assert (found.claims.trust, found.claims.module) == (SIMULATED, MODULE)
    assert found.known.release.measurements == RELEASE.measurements
    assert stage.said == [Post(ENDPOINT + PATH, {"nonce": to_hex(NONCE)}, live().keyset.tls_key)]


def test_nothing_is_asked_before_the_ledger() -> None:
    """The ledger is read, and the nonce drawn, before a word goes to the node's address."""
    stage = Stage()

    stage.meet()

    kinds = [type(effect) for effect in stage.told if not isinstance(effect, Now)]
    assert kinds == [Rpc, Rpc, Rpc, Draw, Post]


def test_a_meeting_is_kept() -> None:
    """Its document verifies offline, as what it was: simulated."""
    found = Stage().meet().document()

    assert judge_meeting(found, TRUST, SIMULATED).verified
    assert not judge_meeting(found, TRUST, TrustClass.HARDWARE).verified
    assert (found.node, found.at_ms) == (OPERATOR.address, AT_MS)


@pytest.mark.parametrize("sealed", [False, True])
def test_lines(sealed: bool) -> None:
    """It is asked by its TLS key, sealed where that is wanted; by a relay it is always sealed, and by its key alone."""
    found = Stage().meet()
    keyset = live().keyset

    straight, relayed = (found.line(MODEL_ID, relay, sealed=sealed) for relay in ("", "https://relay.test"))

    assert straight.tls_key == keyset.tls_key
    assert relayed.tls_key is None
    assert relayed.sealing is not None
    assert (relayed.sealing.key, relayed.sealing.relay) == (keyset.hpke_key, "https://relay.test")
    assert (straight.sealing is None) is not sealed
    for sealing in filter(None, (straight.sealing, relayed.sealing)):
        binding = sealing.binding
        assert (binding.chain_id, binding.node, binding.keyset) == (keyset.chain_id, keyset.node, keyset.digest())
        assert sealing.model_id == MODEL_ID


def test_met_by_a_relay() -> None:
    """The meeting goes sealed to the ledger's key, for no model, so that the node does not learn who asks."""
    stage = Stage()

    stage.meet(relay="https://relay.test")

    (post,) = stage.said
    assert post.tls_key is None
    assert post.sealing is not None
    assert (post.sealing.key, post.sealing.model_id) == (live().keyset.hpke_key, NO_MODEL)
    assert post.sealing.relay == "https://relay.test"


# --- refused before a word is said ---------------------------------------------------------------------------------


def _revocations() -> list[bytes]:
    """Where the ledger would have what the enclave stands on, if it was revoked."""
    return [REVOKED.prefix + name for name in stands_on(Enclave.decode(registered()[PLACE]))]


REFUSED: Final[dict[str, tuple[Callable[[], tuple[Stage, dict[str, Any]]], str]]] = {
    "no enclave": (lambda: (Stage(), {"node": BOB.address}), "meet.unknown"),
    "no record of the enclave": (lambda: (Stage(without(PLACE)), {}), "meet.unknown"),
    "no record of its code": (lambda: (Stage(without(CODE)), {}), "meet.unknown"),
    "an older state at last, without the enclave": (
        lambda: (Stage(later=(state(), without(PLACE))), {}),
        "meet.unknown",
    ),
    "an older state at last, without its code": (lambda: (Stage(later=(state(), without(CODE))), {}), "meet.unknown"),
    "another's enclave": (
        lambda: (
            Stage(state() | {CURRENT + BOB.address: registered()[CURRENT + OPERATOR.address]}),
            {"node": BOB.address},
        ),
        "meet.keyset",
    ),
    "closed": (lambda: (Stage(state({"height_last": 8, "closed_s": NOW_S})), {}), "meet.closed"),
    "revoked code": (lambda: (Stage(state(release={"height_last": 8, "revoked_s": NOW_S})), {}), "meet.closed"),
    "expired by a second": (lambda: (Stage(state({"expires_s": AT_MS // 1000 - 1})), {}), "meet.expired"),
    "a state too old to say": (
        lambda: (Stage(now_ms=(sealed(state())[0].time_s + STATE_AGE_S_MAX + 1) * 1000), {}),
        "meet.stale",
    ),
    "a revoked certificate": (lambda: (Stage(state() | {_revocations()[0]: b"\x08"}), {}), "meet.revoked"),
    "a revoked machine": (lambda: (Stage(state() | {_revocations()[-1]: b"\x08"}), {}), "meet.revoked"),
    "worth too little": (lambda: (Stage(), {"least": TrustClass.VTPM}), "meet.trust"),
    "worth too little for hardware": (lambda: (Stage(), {"least": TrustClass.HARDWARE_STRICT}), "meet.trust"),
    "not https": (lambda: (Stage(), {"endpoint": "http://enclave.test"}), "meet.plain"),
    "no scheme": (lambda: (Stage(), {"endpoint": "enclave.test"}), "meet.plain"),
    "a record of another node": (lambda: (Stage(state({"node": BOB.address})), {}), "meet.keyset"),
    "keys of another node": (
        lambda: (Stage(state({"keyset": replace(live().keyset, node=BOB.address).encode()})), {}),
        "meet.keyset",
    ),
    "keys of another network": (
        lambda: (Stage(state({"keyset": replace(live().keyset, chain_id=1).encode()})), {}),
        "meet.keyset",
    ),
    "keys that are none": (lambda: (Stage(state({"keyset": b"\xc0"})), {}), "record.form"),
    "a producer that is not pinned": (
        lambda: (Stage(), {"trust": replace(TRUST, producers=(BOB.address,))}),
        "header.signature",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_unheard(what: str) -> None:
    """What the ledger knows is enough to refuse: nothing at all is said to the node's address."""
    stage, how = REFUSED[what][0]()
    memory = Memory()

    with pytest.raises(ParaphError) as caught:
        stage.meet(memory, **how)

    assert caught.value.code == REFUSED[what][1]
    assert stage.said == []
    assert memory.met == {}


def test_what_is_wanted_is_said() -> None:
    """Who demands hardware is told that it is simulated, and what would accept it."""
    with pytest.raises(Unverified) as caught:
        Stage().meet(least=TrustClass.HARDWARE)

    assert "simulated" in caught.value.message
    assert "--min-trust simulated" in caught.value.message


def test_keys_hold_to_their_last_second() -> None:
    """An enclave is spoken to until its keys end, and no moment longer."""
    last = Stage(state({"expires_s": AT_MS // 1000}))
    late = Stage(state({"expires_s": AT_MS // 1000}), now_ms=AT_MS + 1)

    assert last.meet().known.enclave.expires_s == AT_MS // 1000
    with pytest.raises(Unverified) as caught:
        late.meet()
    assert caught.value.code == "meet.expired"


# --- refused after a nonce was said --------------------------------------------------------------------------------


def other_keyset(**changes: Any) -> Attestation:
    """Genuine evidence beside keys that differ."""
    return replace(live(), keyset=replace(live().keyset, **changes))


LIES: Final[dict[str, tuple[Callable[[], Any], str]]] = {
    "another nonce": (lambda: replace(live(), nonce=Digest(b"n" * 32)), "meet.nonce"),
    "an old document under our nonce": (lambda: live(nonce=b"n" * 32), "binding.nonce"),
    "an old document whose keys are bound to another nonce": (lambda: live(user_data=b"u" * 64), "binding.keys"),
    "another TLS key": (lambda: other_keyset(tls_key=Digest(b"m" * 32)), "meet.keyset"),
    "another key for sealing": (lambda: other_keyset(hpke_key=b"m" * 32), "meet.keyset"),
    "another receipt key": (lambda: other_keyset(receipt_key=BOB.address), "meet.keyset"),
    "another node's keys": (lambda: other_keyset(node=BOB.address), "meet.keyset"),
    "another network's keys": (lambda: other_keyset(chain_id=1), "meet.keyset"),
    "keys that live longer": (lambda: other_keyset(not_after_s=2**40), "meet.keyset"),
    "another release": (lambda: replace(live(), release=Digest(b"r" * 32)), "meet.keyset"),
    "other code": (lambda: live(pcrs={**PCRS, 0: b"x" * 48}), "policy.measurement"),
    "started for debugging": (lambda: live(pcrs={**PCRS, 1: bytes(48)}), "policy.debug"),
    "stale": (lambda: live(timestamp=AT_MS - AGE_MS_MAX - 1), "policy.stale"),
    "from a time to come": (lambda: live(timestamp=AT_MS + 61_000), "policy.ahead"),
    "another sealing key in the document": (lambda: live(public_key=b"m" * 32), "binding.hpke"),
    "a platform that is none": (lambda: replace(live(), evidence=Evidence("abacus", b"1")), "envelope.platform"),
    "called a Nitro document": (
        lambda: replace(live(), evidence=replace(live().evidence, platform="nitro")),
        "quote.root",
    ),
    "collateral that it needs none of": (
        lambda: replace(live(), evidence=replace(live().evidence, collateral=(b"1",))),
        "envelope.collateral",
    ),
    "devices": (lambda: replace(live(), evidence=replace(live().evidence, devices=(b"1",))), "envelope.devices"),
    "no attestation": (lambda: None, "json.shape"),
    "of another layer": (lambda: {**live().as_json(), "layer": "signature"}, "attestation.layer"),
    "one that holds another TLS key": (
        lambda: Unverified((("tls.key", "another answers at this address"),)),
        "tls.key",
    ),
    "nobody": (lambda: Unavailable("http.unreachable", "nobody answers"), "http.unreachable"),
}


@pytest.mark.parametrize("what", LIES)
def test_liars_hear_a_nonce_alone(what: str) -> None:
    """Whoever shows something else than was registered is refused, has heard a nonce alone, and is not remembered."""
    stage, memory = Stage(shown=LIES[what][0]()), Memory()

    with pytest.raises(ParaphError) as caught:
        stage.meet(memory)

    assert caught.value.code == LIES[what][1]
    assert all((post.body, post.tls_key) == ({"nonce": to_hex(NONCE)}, live().keyset.tls_key) for post in stage.said)
    assert len(stage.said) in {1, 2}  # who shows other keys is asked once more, after another look at the ledger
    assert memory.met == {}


def test_the_state_may_be_that_old() -> None:
    """A ledger's state may be ten minutes old, to the second: networks at rest make few blocks."""
    now_ms = (sealed(state())[0].time_s + STATE_AGE_S_MAX) * 1000 + 999

    assert Stage(shown=live(timestamp=now_ms), now_ms=now_ms).meet().at_ms == now_ms


def test_age_to_the_edge() -> None:
    """A document may be as old as is said, to the millisecond."""
    assert Stage(shown=live(timestamp=AT_MS - AGE_MS_MAX)).meet().at_ms == AT_MS


@pytest.mark.parametrize("record", [{"trust": int(TrustClass.HARDWARE)}, {"platform": "nitro"}], ids=str)
def test_the_record_and_the_silicon_agree(record: dict[str, Any]) -> None:
    """Where the ledger calls a simulated enclave hardware, or another platform's, what answers gives it away."""
    stage = Stage(state(record))

    with pytest.raises(Unverified) as caught:
        stage.meet()

    assert caught.value.code == "meet.platform"


def test_no_hardware_by_a_lying_ledger() -> None:
    """Hardware that the ledger only claims is refused: what must be worth more is verified to its own root."""
    stage = Stage(state({"trust": int(TrustClass.HARDWARE), "platform": "nitro"}))

    with pytest.raises(Unverified) as caught:
        stage.meet(least=TrustClass.HARDWARE)

    assert caught.value.code == "policy.trust"


def test_no_root_no_simulation() -> None:
    """A client whose trust file has no simulated root believes no simulated enclave, whatever the ledger says (B15)."""
    with pytest.raises(Unverified) as caught:
        Stage().meet(trust=replace(TRUST, simulated_root=NO_ROOT))

    assert caught.value.code == "quote.root"
    assert TRUST.simulated_root == ROOT


def before() -> dict[bytes, bytes | None]:
    """The state before the enclave's keys were renewed: an older keyset of it is the node's."""
    keys = replace(live().keyset, receipt_key=BOB.address).encode()
    place = enclave_key(BOB.address)
    return without(PLACE) | {
        CURRENT + OPERATOR.address: bytes(BOB.address),
        place: replace(Enclave.decode(registered()[PLACE] or b""), keyset=keys).encode(),
    }


def test_keys_renewed_after_the_ledger_was_read() -> None:
    """What the ledger has then is read: an enclave that shows newer keys is met by those, if they are registered."""
    stage = Stage(before(), later=(before(), before(), state()))

    found = stage.meet()

    assert found.keyset == live().keyset
    assert len(stage.said) == 2


def test_keys_renewed_while_the_ledger_is_read() -> None:
    """A keyset that was closed between two readings is not the end: the one that took its place is met."""
    place = enclave_key(BOB.address)
    closed = replace(Enclave.decode(before()[place] or b""), height_last=8, closed_s=NOW_S)
    stage = Stage(before(), later=(before(), state() | {place: closed.encode()}, state()))

    assert stage.meet().keyset == live().keyset
    assert len(stage.said) == 1


# --- memory --------------------------------------------------------------------------------------------------------


def test_who_was_met_is_remembered() -> None:
    """For five minutes nothing is asked again, neither of the ledger nor of the node; a moment later, all is."""
    memory = Memory()
    first = Stage().meet(memory)
    soon, late = Stage(now_ms=AT_MS + REMEMBERED_MS), Stage(now_ms=AT_MS + REMEMBERED_MS + 1)

    assert soon.meet(memory) is first
    assert [type(effect) for effect in soon.told] == [Now]
    with pytest.raises(Unverified) as caught:
        late.meet(memory)
    assert caught.value.code == "policy.stale"  # it was asked anew, and showed what it had shown before
    assert REMEMBERED_MS == 300_000


def test_keys_that_ended_are_not_remembered() -> None:
    """Not even for the five minutes."""
    memory = Memory()
    stage = Stage(state({"expires_s": AT_MS // 1000 + 60}))
    stage.meet(memory)
    stage.now_ms = AT_MS + 60_001

    with pytest.raises(Unverified) as caught:
        stage.meet(memory)

    assert caught.value.code == "meet.expired"


def test_a_clock_set_back_remembers_nobody() -> None:
    """A meeting that seems yet to come is none."""
    memory = Memory()
    Stage().meet(memory)
    back = Stage(now_ms=AT_MS - 1)

    back.meet(memory)

    assert len(back.said) == 1


@pytest.mark.parametrize(
    "how",
    [{"least": TrustClass.HARDWARE}, {"endpoint": "https://other.test"}, {"node": BOB.address}],
    ids=["more is wanted", "another address", "another node"],
)
def test_memory_is_of_what_was_demanded(how: dict[str, Any]) -> None:
    """Who wants more, or elsewhere, or another, must meet anew: a memory never answers for what it did not check."""
    memory = Memory()
    first = Stage().meet(memory)
    stage = Stage()

    if "endpoint" in how:
        assert stage.meet(memory, **how) is not first
        assert [post.url for post in stage.said] == [how["endpoint"] + PATH]
    else:
        with pytest.raises(Unverified) as caught:
            stage.meet(memory, **how)
        assert caught.value.code in {"meet.trust", "meet.unknown"}


def test_forgotten_is_met_anew() -> None:
    """Who is forgotten is met anew, at all of its addresses; others stay."""
    memory = Memory()
    for endpoint in (ENDPOINT, "https://other.test"):
        Stage().meet(memory, endpoint=endpoint)
    kept = memory.met[OPERATOR.address, ENDPOINT, SIMULATED]
    memory.keep(BOB.address, ENDPOINT, SIMULATED, kept)

    memory.forget(OPERATOR.address)

    assert (memory.holds(OPERATOR.address), memory.holds(BOB.address)) == (False, True)
    assert len(_asked(memory)) == 1


def _asked(memory: Memory) -> list[Post]:
    stage = Stage()
    stage.meet(memory)
    return stage.said


def test_memory_is_bounded() -> None:
    """However many are met, a thousand are remembered at most."""
    memory = Memory()
    found = Stage().meet(memory)
    for index in range(REMEMBERED_MAX - 1):
        memory.keep(person(str(index % 9)).address, f"https://{index}.test", SIMULATED, found)

    full = len(memory.met)
    memory.keep(BOB.address, "https://one-more.test", SIMULATED, found)

    assert (full, len(memory.met)) == (REMEMBERED_MAX, 1)


def test_known_is_proved_against_one_state() -> None:
    """What the ledger knows of an enclave and its code comes with its proofs, all of one seal."""
    found: Known = play(known(TRUST, OPERATOR.address), Stage())

    assert found.enclave.release == RELEASE_ID
    assert set(found.snapshot.values) == {CURRENT + OPERATOR.address, PLACE, CODE}


def test_a_node_is_looked_up() -> None:
    """The node whose enclave is to be met is read from the ledger; one that is none, or that left, is refused."""
    place = NODES.prefix + OPERATOR.address
    node = Node.decode(registered()[place])
    left = Stage(state() | {place: replace(node, leaving_s=NOW_S).encode()})

    assert play(registry.node(TRUST, OPERATOR.address), Stage()) == node
    for stage, operator in ((Stage(), BOB.address), (left, OPERATOR.address)):
        with pytest.raises(Rejected) as caught:
            play(registry.node(TRUST, operator), stage)
        assert caught.value.code == "nodes.unknown"


def test_signatures_are_checked_as_the_memory_has_it() -> None:
    """Every signature of an attestation is a question to the memory's `checks`; what they deny, nobody is met by."""
    asked: list[bytes] = []

    def looks(key: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(message)
        return p384_sha384(key, message, signature)

    found = Stage().meet(Memory(checks=Checks(looks)))

    assert (found.claims, len(asked)) == (Stage().meet().claims, 5)
    with pytest.raises(Unverified) as caught:
        Stage().meet(Memory(checks=Checks(lambda *_: False)))
    assert caught.value.code == "quote.chain.signature"
