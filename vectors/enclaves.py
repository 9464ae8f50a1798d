"""The vectors' network of enclaves: a simulated one with its keys, registered, and an answer that it signed.

Its genesis differs from the other's: it approves a release, and believes the root of simulated enclaves.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from vectors import world
from vectors.certificates import MACHINE, ROOT, subject
from vectors.documents import LEAF, MODULE, PCRS, Document
from vectors.validators import seeded
from vectors.world import CHAIN_ID, NODE, TIME_S

from paraph.core.encode import JsonObject
from paraph.core.ident import ZERO_DIGEST
from paraph.core.merkle import inclusion_proof, root
from paraph.ledger.rooms.measurements.keys import certificate_name
from paraph.ledger.rooms.measurements.rules import GenesisRelease
from paraph.proofs import records
from paraph.proofs.attestation import Attestation
from paraph.proofs.bundle import Answer, Bundle, Chain, Settled
from paraph.proofs.quotes.binding import Keyset, bound, registration_nonce
from paraph.proofs.quotes.evidence import Evidence
from paraph.proofs.receipt import Receipt, evidence_digest, stream_next, stream_start
from paraph.proofs.request import Layer, Request
from paraph.proofs.seal import ProducerSeal

SIMULATED_ROOT: Final = ROOT.made(ROOT)
MEASURED: Final = {f"pcr{index}": PCRS[index] for index in range(3)}
RELEASE_ID: Final = records.release_id("simulated", MEASURED)
GENESIS_RELEASE: Final = GenesisRelease(
    "simulated", "vectors node 1", MEASURED, "commit 0123456789abcdef", seeded("provenance")
)
GENESIS: Final = replace(
    world.GENESIS, network="vectors-enclaves", releases=(GENESIS_RELEASE,), simulated_root=SIMULATED_ROOT
)
TRUST: Final = GENESIS.trust()

SIGNER: Final = world.key_of("born in the enclave")
REGISTERED_S: Final = TIME_S + 300
REGISTERED: Final = 30
"""The time and the height of the block that verified the enclave."""
CERTIFICATES: Final = ((ROOT.name, MACHINE.serial), (MACHINE.name, LEAF.serial))
"""Below the root: issuer and serial number."""
EXPIRES_S: Final = TIME_S + 342
"""Of the enclave by its record: 59 seconds before the receipt's work began, which clocks that differ are allowed."""
NONCE: Final = registration_nonce(seeded("block 29"), NODE.address, 0)
KEYSET: Final = Keyset(CHAIN_ID, NODE.address, seeded("tls"), seeded("hpke"), SIGNER.address, REGISTERED_S + 7 * 86_400)


def attestation(keyset: Keyset = KEYSET, document: Document | None = None, **said: Any) -> Attestation:
    """What the enclave shows; `said` stands in its document in place of what it says otherwise."""
    told = {"public_key": keyset.hpke_key, "nonce": NONCE, "user_data": bound(keyset, NONCE, ZERO_DIGEST), **said}
    made = (document or Document()).saying(**told).made()
    return Attestation(RELEASE_ID, keyset, NONCE, Evidence("simulated", made))


ATTESTATION: Final = attestation()


def enclave_record(shown: Attestation = ATTESTATION) -> records.Enclave:
    """What the ledger wrote when it verified it."""
    return records.Enclave(
        NODE.address,
        shown.keyset.encode(),
        RELEASE_ID,
        "simulated",
        1,
        MODULE,
        tuple(certificate_name(subject(issuer), serial) for issuer, serial in CERTIFICATES),
        shown.digest(),
        REGISTERED_S,
        REGISTERED,
        0,
        0,
        EXPIRES_S,
    )


def release_record() -> records.Release:
    """The release as genesis wrote it."""
    names = sorted(MEASURED)
    return records.Release(
        "simulated",
        GENESIS_RELEASE.name,
        tuple(name.encode() for name in names),
        tuple(MEASURED[name] for name in names),
        GENESIS_RELEASE.source,
        GENESIS_RELEASE.provenance,
        0,
        0,
        0,
    )


def asked() -> Request:
    """The request: the text story's, of the layer tee."""
    return replace(world.TEXT.request().request, key=seeded("enclave key"), layer=Layer.TEE)  # type: ignore[arg-type]


def receipt(evidence: JsonObject, **changes: Any) -> Receipt:
    """The receipt that the enclave signs."""
    request = asked()
    link = stream_start(request.hash())
    for chunk in world.CHUNKS:
        link = stream_next(link, chunk)
    made = replace(
        world.TEXT.receipt(),
        request_key=request.key,
        request_hash=request.hash(),
        signer=SIGNER.address,
        layer=Layer.TEE,
        evidence_digest=evidence_digest(evidence),
        stream_digest=link,
    )
    return replace(made, **changes)


def bundle(
    shown: Attestation = ATTESTATION,
    *,
    evidence: JsonObject | None = None,
    enclave: Mapping[str, Any] = {},
    release: Mapping[str, Any] = {},
    layers: int = 0b011,
    settled: bool = False,
    **changes: Any,
) -> Bundle:
    """An answer of the enclave, true in every part but what is changed, which is registered, proved and signed.

    `shown` is what the enclave was registered with, `evidence` what stands in the bundle in its place; `enclave` and
    `release` are fields of the ledger's records, `changes` of the receipt.
    """
    evidence = shown.as_json() if evidence is None else evidence
    made = receipt(evidence, **changes)
    leaves = (*world.OTHERS[:2], made.hash(), *world.OTHERS[2:])
    batch = records.Batch(root(leaves), len(leaves), 44, TIME_S + 440)
    model_id = world.TEXT_MODEL.model_id()
    record = replace(enclave_record(shown), **{"evidence": evidence_digest(evidence), **enclave})
    places = {
        "key": records.enclave_key(SIGNER.address),
        "release": records.release_key(RELEASE_ID),
        "model": records.model_key(model_id),
        "price": records.price_key(model_id, 1),
        "batch": records.batch_key(world.BATCH_NUMBER),
    }
    state = {
        **world.LEDGER.state,
        places["key"]: record.encode(),
        places["release"]: replace(release_record(), **release).encode(),
        places["model"]: replace(world.model_record(world.TEXT), layers=layers).encode(),
        places["batch"]: batch.encode(),
    }
    ledger = world.Ledger(state, genesis=GENESIS.digest())
    proved = {name: ledger.prove(place) for name, place in places.items()}
    place = Settled(world.BATCH_NUMBER, 2, inclusion_proof(leaves, 2), proved["batch"])
    signed = world.sign_receipt(made, SIGNER)
    story = world.TEXT
    return Bundle(
        world.sign_request(asked()),
        story.body,
        Answer(story.given, story.response, story.profile, evidence, signed),
        Chain(
            ProducerSeal(ledger.header),
            proved["key"],
            proved["model"],
            proved["price"],
            place if settled else None,
            proved["release"],
        ),
    )


@cache
def text_enclave() -> Bundle:
    """The bundle that verifies where a simulated enclave is asked for."""
    return bundle(settled=True)
