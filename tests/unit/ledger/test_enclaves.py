"""Enclaves on the ledger: what validators register, every reason for which they do not, and how one ends."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from tests.support import nitro, snp, tdx
from tests.support.nitro import MODULE, NOW_S, PCRS
from tests.support_ledger.enclaves import RELEASE, RELEASE_ID, ROOT, Shown, attest, believing
from tests.support_ledger.world import (
    ALICE,
    BOB,
    BOND,
    GOVERNOR,
    HOT,
    OPERATOR,
    OWNER,
    PROPOSER,
    World,
    call,
    code,
    events,
    genesis,
    model_arguments,
    node_arguments,
    person,
    receipt,
    request,
    signed,
)

from paraph.core.encode import canonical
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_DIGEST, Address, Digest
from paraph.ledger.block import Block, apply_block
from paraph.ledger.genesis import decode_genesis
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES_CONTRACT
from paraph.ledger.rooms.params.types import ENCLAVE_LIFE_S
from paraph.proofs.quotes import evidence
from paraph.proofs.quotes.binding import bound
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.evidence import Evidence
from paraph.proofs.quotes.policy import PINNED
from paraph.proofs.quotes.snp import GENOA
from paraph.proofs.records import Enclave, enclave_key, release_id
from paraph.proofs.request import Layer

SIGNER: Final = person("born in the enclave")


def record(world: World, signer: Address = SIGNER.address) -> Enclave:
    return Enclave.decode(world.state[enclave_key(signer)])


def tee(world: World, number: int = 1, signer: Any = SIGNER, **changes: Any) -> tuple[Any, ...]:
    """A signed request of the layer tee with its receipt, by the enclave; `changes` are of the receipt."""
    asked = request(number=number, now=world.now, layer=Layer.TEE)
    found = {
        "signer": signer.address,
        "evidence_digest": record(world).evidence,
        "height": record(world).height_first,
    } | changes
    return signed(asked, receipt(asked, world.now, **found), signer=signer)


def with_tee() -> World:
    """A world whose model offers the layer, with an enclave registered."""
    world = offering()
    assert Shown(world).register().error == ""
    return world


def offering() -> World:
    world = World.new(releases=(RELEASE,), simulated_root=ROOT)
    world.must(OWNER, "Models", "register", *model_arguments(layers=3))
    world.must(OPERATOR, "Nodes", "register", *node_arguments(), value=BOND)
    world.must(ALICE, "Escrow", "deposit", value=10**20)
    world.wait(NOW_S - world.now)
    return world


# --- registering --------------------------------------------------------------------------------------------------


def test_an_enclave_is_registered() -> None:
    """What validators verified stands in the record, and an event tells it; by the hot key as by the operator."""
    for sender in (OPERATOR, HOT):
        world = believing()
        world.send(OPERATOR, HOT.address, value=10**18)
        shown = Shown(world)
        attestation = shown.attestation

        result = shown.register(sender)

        found = record(world)
        assert (found.node, found.keyset, found.release) == (OPERATOR.address, attestation.keyset.encode(), RELEASE_ID)
        assert (found.platform, found.trust, found.module) == ("simulated", TrustClass.SIMULATED, MODULE)
        assert (found.time_s, found.height_first, found.height_last, found.closed_s) == (world.now, world.height, 0, 0)
        assert found.expires_s == world.now + ENCLAVE_LIFE_S.default
        assert found.evidence == attestation.digest()
        assert world.view("Nodes", "enclaveOf", OPERATOR.address) == (SIGNER.address, 1)
        assert world.view("Nodes", "enclave", SIGNER.address)[2:5] == (RELEASE_ID, "simulated", 1)
        assert events(result) == [
            ("EnclaveRegistered", (OPERATOR.address, SIGNER.address, RELEASE_ID, "simulated", 1, found.expires_s))
        ]


def test_keys_that_end_sooner_end_sooner() -> None:
    """The keyset's own end counts where it comes before the ledger's."""
    world = believing()

    Shown(world, keys={"not_after_s": NOW_S + 100}).register()

    assert record(world).expires_s == NOW_S + 100


REFUSED: Final[dict[str, tuple[Callable[[World], Any], str]]] = {
    "a stranger sends it": (lambda world: Shown(world).register(BOB), "nodes.attest_sender"),
    "no such node": (
        lambda world: Shown(world, node=BOB.address).register(BOB),
        "nodes.attest_sender",
    ),
    "keys of another node (B2)": (
        lambda world: Shown(world, keys={"node": BOB.address}).register(),
        "nodes.keyset",
    ),
    "keys of another network (B3)": (
        lambda world: Shown(world, keys={"chain_id": 1}).register(),
        "nodes.keyset",
    ),
    "a keyset that is none (B6)": (lambda world: Shown(world).register(keyset=b"\xc0"), "record.form"),
    "a keyset with short keys": (
        lambda world: Shown(world, keys={"hpke_key": b"h"}, said={"public_key": b"h"}).register(),
        "attestation.keyset",
    ),
    "a hot key": (lambda world: Shown(world, receipt_key=HOT).register(), "nodes.key_used"),
    "a nonce of a block to come (B5)": (
        lambda world: Shown(world).register(height=world.height + 1),
        "nodes.attest_block",
    ),
    "a nonce of another block": (
        lambda world: Shown(world, nonce=Digest(b"n" * 32)).register(),
        "binding.nonce",
    ),
    "a release that nobody approved": (
        lambda world: Shown(world).register(release=bytes(32)),
        "measurements.unknown",
    ),
    "evidence too large (B17)": (
        lambda world: Shown(world).register(evidence=bytes(70_000)),
        "evidence.size",
    ),
    "evidence of another platform (B16)": (
        lambda world: Shown(world, changes={"platform": "nitro"}).register(),
        "nodes.platform",
    ),
    "other measurements": (
        lambda world: Shown(world, said={"pcrs": {**PCRS, 0: b"x" * 48}}).register(),
        "policy.measurement",
    ),
    "debugged": (
        lambda world: Shown(world, said={"pcrs": {**PCRS, 1: bytes(48)}}).register(),
        "policy.debug",
    ),
    "stale": (lambda world: Shown(world, said={"timestamp": (NOW_S - 700) * 1000}).register(), "policy.stale"),
    "other keys than bound (B8)": (
        lambda world: Shown(world, said={"user_data": b"x" * 64}).register(),
        "binding.keys",
    ),
    "keys that ended (B7)": (
        lambda world: Shown(world, keys={"not_after_s": NOW_S - 9}).register(),
        "binding.expired",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    """Each fault alone is refused with its own code, and nothing is written."""
    broken, expected = REFUSED[what]
    world = believing()

    result = broken(world)

    assert code(result) == expected
    assert not any(key.startswith(b"nodes/enclave/") for key in world.state)


def test_without_a_root_nothing_simulated() -> None:
    """A network that has no simulated root believes no simulated enclave, whatever its releases say (B15)."""
    world = believing(simulated_root=b"", releases=(RELEASE,))

    assert code(Shown(world).register()) == "quote.root"


def test_old_blocks_make_no_nonce() -> None:
    """After a hundred blocks a nonce is too old (B5)."""
    world = believing()
    world.audited = False
    shown = Shown(world)
    old = shown.arguments()
    for _ in range(100):
        world.wait(0)

    assert code(attest(world, OPERATOR, old)) == "nodes.attest_block"


def test_a_document_counts_once() -> None:
    """The same document again is refused: its keys are known; other keys need another nonce (B4)."""
    world = believing()
    shown = Shown(world)
    arguments = shown.arguments()
    assert attest(world, OPERATOR, arguments).error == ""

    assert code(attest(world, OPERATOR, arguments)) == "nodes.key_used"
    again = replace(shown, receipt_key=person("another"), nonce=Digest(bytes(arguments[4].to_bytes(32, "big"))))
    assert code(again.register()) == "binding.nonce"


def test_a_node_that_left_attests_no_more() -> None:
    """Leaving closes the enclave, and none comes after it."""
    world = believing()
    Shown(world).register()

    world.must(OPERATOR, "Nodes", "deregister")

    assert record(world).height_last == world.height
    assert code(Shown(world, receipt_key=person("another")).register()) == "nodes.attest_sender"


def test_one_enclave_serves_one_node() -> None:
    """Another node cannot stand on an enclave that serves one already (B21), until that one has ended."""
    world = believing()
    Shown(world).register()
    world.must(BOB, "Nodes", "register", *node_arguments(person("bob's hot key"), BOB), value=BOND)

    other = Shown(world, node=BOB.address, receipt_key=person("bob's receipts"))
    taken = other.register(BOB)
    world.must(OPERATOR, "Nodes", "deregister")
    free = replace(other, world=world).register(BOB)

    assert (code(taken), free.error) == ("nodes.module", "")


def test_attesting_anew() -> None:
    """A new keyset closes the one before; the node has one enclave at a time."""
    world = believing()
    Shown(world).register()
    second = person("second")

    result = Shown(world, receipt_key=second).register()

    assert (record(world).height_last, record(world).closed_s) == (world.height, world.now)
    assert record(world, second.address).height_last == 0
    assert world.view("Nodes", "enclaveOf", OPERATOR.address) == (second.address, 2)
    assert [name for name, _ in events(result)] == ["EnclaveClosed", "EnclaveRegistered"]


# --- revocation and challenge --------------------------------------------------------------------------------------


def test_nothing_revoked_is_registered() -> None:
    """A revoked release, certificate or module registers no enclave, each with its code."""
    module = ("revokeModule", "simulated", MODULE)
    leaf = nitro.LEAF
    issuer = nitro.named(nitro.CHAIN[-1].name).public_bytes()
    for what, expected in (
        (("revoke", RELEASE_ID), "measurements.revoked"),
        (("revokeCertificate", issuer, leaf.serial), "measurements.certificate_revoked"),
        (module, "measurements.module_revoked"),
    ):
        world = believing()

        world.must(GOVERNOR, "Measurements", *what)

        assert code(Shown(world).register()) == expected


def test_a_challenge_closes_what_is_revoked() -> None:
    """Anyone closes an enclave whose release, certificate or module was revoked after it was registered, once."""
    issuer = nitro.named(nitro.CHAIN[-1].name).public_bytes()
    for what, reason in (
        (("revoke", RELEASE_ID), "release"),
        (("revokeCertificate", issuer, nitro.LEAF.serial), "certificate"),
        (("revokeModule", "simulated", MODULE), "module"),
    ):
        world = believing()
        Shown(world).register()

        early = world.call(BOB, "Nodes", "challenge", SIGNER.address)
        world.must(GOVERNOR, "Measurements", *what)
        result = world.call(BOB, "Nodes", "challenge", SIGNER.address)
        again = world.call(BOB, "Nodes", "challenge", SIGNER.address)

        assert code(early) == code(again) == "nodes.challenge"
        assert events(result) == [("EnclaveClosed", (OPERATOR.address, SIGNER.address, reason))]
        assert record(world).height_last == result_height(world)


def result_height(world: World) -> int:
    """The block of the challenge: one refused call came after it."""
    return world.height - 1


def test_unknown_enclaves() -> None:
    """Who asks for what is not there is told so."""
    world = believing()

    assert world.view("Nodes", "enclaveOf", BOB.address) == (Address(bytes(20)), 0)
    assert code(world.call(BOB, "Nodes", "enclave", BOB.address)) == "nodes.enclave_unknown"
    assert code(world.call(BOB, "Nodes", "challenge", BOB.address)) == "nodes.challenge"


def test_a_receipt_key_is_no_hot_key_later() -> None:
    """What an enclave signed with cannot become a node's hot key."""
    world = believing()
    Shown(world).register()

    refused = world.call(BOB, "Nodes", "register", *node_arguments(SIGNER, BOB), value=BOND)

    assert code(refused) == "nodes.key_used"


# --- settling ------------------------------------------------------------------------------------------------------


def test_receipts_of_the_enclave_settle() -> None:
    """A receipt of the layer tee by the enclave's key is paid, and one of the layer signature by the hot key, too."""
    world = with_tee()

    told, _ = world.settle(
        tee(world), signed(request(number=2, now=world.now), receipt(request(number=2, now=world.now), world.now))
    )

    assert told == ["", ""]


def test_keys_sign_their_own_layer() -> None:
    """The hot key signs no receipt of the layer tee, nor the enclave's one of the layer signature (B10)."""
    world = with_tee()
    plain = request(number=2, now=world.now)
    by_enclave = signed(plain, receipt(plain, world.now, signer=SIGNER.address, height=world.height), signer=SIGNER)

    assert world.settle(tee(world, signer=HOT))[0] == ["settlement.key"]
    assert world.settle(by_enclave)[0] == ["settlement.key"]


def test_an_enclave_promises_no_proofs() -> None:
    """The enclave's key signs no receipt of the layer zk: that is the hot key's."""
    world = with_tee()
    asked = request(now=world.now, layer=Layer.ZK)
    by_enclave = receipt(asked, world.now, signer=SIGNER.address, height=world.height)

    assert world.settle(signed(asked, by_enclave, signer=SIGNER))[0] == ["settlement.key"]


def test_other_evidence_beside_the_receipt() -> None:
    """A receipt that names other evidence than the enclave's is refused."""
    world = with_tee()

    assert world.settle(tee(world, evidence_digest=Digest(b"x" * 32)))[0] == ["settlement.evidence"]


def test_the_model_must_offer_it() -> None:
    """A model that does not offer the layer is not paid for it."""
    world = believing()
    Shown(world).register()

    assert world.settle(tee(world))[0] == ["settlement.layer"]


def test_an_expired_enclave_signs_nothing_new() -> None:
    """What began before the keys' end settles after it; what began after does not; long after, nothing does (B7)."""
    world = offering()
    Shown(world, keys={"not_after_s": NOW_S + 60}).register()
    before = tee(world, 1)
    world.wait(200)

    assert world.settle(tee(world, 2), seconds=1)[0] == ["settlement.key_expired"]
    assert world.settle(before)[0] == [""]
    late = tee(world, 3, started_ms=(NOW_S + 50) * 1000)
    world.wait(2 * 3_600 + 200)
    asked = request(number=4, now=world.now, layer=Layer.TEE)
    lying = receipt(
        asked,
        world.now,
        signer=SIGNER.address,
        evidence_digest=record(world).evidence,
        height=record(world).height_first,
        started_ms=(NOW_S + 50) * 1000,
    )
    assert world.settle(late)[0][0] in {"settlement.late", "settlement.key_closed"}
    assert world.settle(signed(asked, lying, signer=SIGNER))[0] == ["settlement.key_closed"]


def test_a_revoked_release_ends_its_enclaves() -> None:
    """What an enclave signed before its code was revoked settles; what it signs after does not, whatever it names."""
    world = with_tee()
    before = tee(world, 1)

    world.must(GOVERNOR, "Measurements", "revoke", RELEASE_ID)
    in_the_same_minute = tee(world, 4)
    world.wait(70)

    assert world.settle(tee(world, 2, height=world.height))[0] == ["settlement.key"]
    assert world.settle(tee(world, 3))[0] == ["settlement.key_expired"]
    assert world.settle(before, in_the_same_minute)[0] == ["", ""]


# --- genesis -------------------------------------------------------------------------------------------------------


def test_only_development_networks_simulate() -> None:
    """A genesis with a simulated root that is not a development network's is refused (B15)."""
    with pytest.raises(Malformed) as caught:
        genesis(simulated_root=ROOT, devnet=False).state()
    assert caught.value.code == "genesis.simulated"


def test_the_document_of_a_network() -> None:
    """Releases and root come back from the document's bytes, and another of either is another network."""
    made = genesis(releases=(RELEASE,), simulated_root=ROOT)

    assert decode_genesis(canonical(made.as_json())) == made
    assert made.trust().simulated_root == ROOT
    assert len({made.digest(), genesis().digest(), genesis(releases=(RELEASE,)).digest()}) == 3


def test_attesting_after_a_challenge() -> None:
    """What was closed stays closed as it was when the node attests anew."""
    world = believing()
    Shown(world).register()
    world.must(GOVERNOR, "Measurements", "revokeModule", "simulated", MODULE)
    world.must(BOB, "Nodes", "challenge", SIGNER.address)
    closed = record(world)

    result = Shown(world, receipt_key=person("second"), module=MODULE[:-1] + "0").register()

    assert (result.error, record(world)) == ("", closed)


def test_old_firmware_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chip on firmware below what the release names registers nothing; a release that names none is not approved."""
    made = snp.Made()
    chain = (snp.authority("ARK", "ARK", None), snp.authority("ASK", "ARK", 0), snp.chip(snp.EXTENSIONS))
    monkeypatch.setitem(evidence._PRODUCTS, chain[0], GENOA)
    measured = {"measurement": made.fields[0x90], "policy": made.fields[0x08]}
    floors = {"min_snp": b"\x18", "min_microcode": b"\x54"}
    world = believing(releases=(replace(RELEASE, platform="snp", measurements=measured | floors),))
    shown = Shown(world)
    report = made.but(0x50, bound(shown.keyset, shown.asked, ZERO_DIGEST)).report()
    arguments = shown.arguments(
        release=release_id("snp", measured | floors), evidence=Evidence("snp", report, chain).encode()
    )

    assert code(attest(world, OPERATOR, arguments)) == "policy.version"
    with pytest.raises(Rejected) as caught:
        believing(releases=(replace(RELEASE, platform="snp", measurements=measured),))
    assert caught.value.code == "measurements.floor"


def test_a_chip_serves_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enclaves of one chip serve several nodes: its name is not one enclave's. Their reports bind as documents do."""
    made = snp.Made()
    chain = (snp.authority("ARK", "ARK", None), snp.authority("ASK", "ARK", 0), snp.chip(snp.EXTENSIONS))
    monkeypatch.setitem(evidence._PRODUCTS, chain[0], GENOA)
    measured = {"measurement": made.fields[0x90], "policy": made.fields[0x08]}
    measured |= {"min_snp": b"\x17", "min_microcode": b"\x54"}
    release = replace(RELEASE, platform="snp", measurements=measured)
    world = believing(releases=(release,))
    world.must(BOB, "Nodes", "register", *node_arguments(person("bob's hot key"), BOB), value=BOND)

    for operator in (OPERATOR, BOB):
        shown = Shown(world, node=operator.address, receipt_key=person(f"of {operator.address.hex()}"))
        keyset, nonce = shown.keyset, shown.asked
        report = made.but(0x50, bound(keyset, nonce, ZERO_DIGEST)).report()
        arguments = shown.arguments(
            release=release_id("snp", measured), evidence=Evidence("snp", report, chain).encode()
        )
        assert attest(world, operator, arguments).error == ""

    assert record(world, person(f"of {BOB.address.hex()}").address).trust == TrustClass.HARDWARE


# --- newer collateral ----------------------------------------------------------------------------------------------


def _on_tdx(monkeypatch: pytest.MonkeyPatch) -> tuple[World, tuple[Any, ...]]:
    """A world with an enclave of TDX, and what challenges it: its receipt key, nonce and evidence."""
    monkeypatch.setattr(evidence, "INTEL_SGX", tdx.certificate("root"))
    pins = {name: tdx.TDX.fields.get(name, b"") for name in PINNED["tdx"]}
    claims = evidence.verify(Evidence("tdx", tdx.TDX.quote(), tdx.TDX.parts()), b"", NOW_S)
    release = replace(RELEASE, platform="tdx", measurements={name: claims.measurements[name] for name in pins})
    world = believing(releases=(release,))
    shown = Shown(world)
    keyset, nonce = shown.keyset, shown.asked
    quote = tdx.TDX.measuring(report_data=bound(keyset, nonce, ZERO_DIGEST)).quote()
    made = Evidence("tdx", quote, tdx.TDX.parts()).encode()
    arguments = shown.arguments(release=release_id("tdx", release.measurements), evidence=made)
    assert attest(world, OPERATOR, arguments).error == ""
    return world, (SIGNER.address, nonce, made)


def _challenged(world: World, *arguments: Any) -> Any:
    to = NODES_CONTRACT.address
    return world.send(BOB, to, call("Nodes", "challengeWith", *arguments), gas_limit=2_000_000)


def test_newer_collateral_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the platform's maker calls its version out of date, anyone has the enclave closed."""
    world, arguments = _on_tdx(monkeypatch)
    said = tdx.VERSIONS.saying(tcbLevels=[tdx.level("OutOfDate")])
    newer = tdx.TDX.but(versions=replace(said, issued_s=tdx.ISSUED_S + 60)).parts()

    result = _challenged(world, *arguments, newer)
    again = _challenged(world, *arguments, newer)

    assert events(result) == [("EnclaveClosed", (OPERATOR.address, SIGNER.address, "worth hardware-degraded"))]
    assert record(world).height_last == world.height - 1
    assert code(again) == "nodes.challenge"


def test_collateral_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same collateral, a forged one, or other evidence close nothing."""
    world, (signer, nonce, shown) = _on_tdx(monkeypatch)
    forged = tdx.VERSIONS.saying(tcbLevels=[tdx.level("OutOfDate")])

    same = _challenged(world, signer, nonce, shown, tdx.TDX.parts())
    forged = replace(forged, signer="chip", issued_s=tdx.ISSUED_S + 60)
    lie = _challenged(world, signer, nonce, shown, tdx.TDX.but(versions=forged).parts())
    healthy = tdx.TDX.but(versions=replace(tdx.VERSIONS, issued_s=tdx.ISSUED_S + 60))
    as_before = _challenged(world, signer, nonce, shown, healthy.parts())
    other = _challenged(world, signer, Digest(bytes(32)), shown, tdx.TDX.parts())

    assert [code(each) for each in (same, as_before, lie, other)] == [
        "nodes.challenge_old",
        "nodes.challenge",
        "quote.collateral_signature",
        "nodes.challenge_evidence",
    ]
    assert record(world).height_last == 0


# --- signatures looked at before ------------------------------------------------------------------------------------


def test_signatures_are_checked_by_whom_the_block_is_told() -> None:
    """A block asks its own `checks` of every signature of an enclave's evidence, and believes what they say."""
    world = believing()
    to, data = NODES_CONTRACT.address, NODES_CONTRACT.method("attest").call(*Shown(world).arguments())
    raw = world.tx(OPERATOR, to, data, gas_limit=2_000_000).sign(OPERATOR)
    block = Block(world.height + 1, world.now + 1, PROPOSER, (raw,), ZERO_DIGEST)
    asked: list[bytes] = []

    def looks(key: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(message)
        return p384_sha384(key, message, signature)

    (registered,) = apply_block(world.state.get, block, checks=evidence.Checks(looks)).results
    (refused,) = apply_block(world.state.get, block, checks=evidence.Checks(lambda *_: False)).results

    assert (registered.error, len(asked)) == ("", 5)
    assert code(refused) == "quote.chain.signature"
    assert apply_block(world.state.get, block).results == (registered,)
