"""Bundles of the layer tee that must not verify: each is one lie about an enclave, registered and signed all the same.

What must come of each is written here by hand, from the specification; the generator checks that paraph agrees.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from vectors import certificates, enclaves, mutations, world
from vectors.documents import LEAF, MADE_S, MODULE, PCRS, Document
from vectors.enclaves import ATTESTATION, KEYSET, RELEASE_ID, attestation, bundle
from vectors.mutations import ENCLAVE, SETTLED, Case, bad, put
from vectors.validators import seeded
from vectors.world import TIME_S

from paraph.core.encode import Json
from paraph.core.ident import to_hex
from paraph.proofs.attestation import Attestation
from paraph.proofs.bundle import Bundle
from paraph.proofs.quotes.evidence import Evidence

EVIDENCE, TRUST, KEY, RELEASE, RECORDS = (
    "evidence.layer",
    "evidence.trust",
    "registry.key",
    "registry.release",
    "registry.records",
)
ENDED_S: Final = TIME_S + 341
"""The end of an enclave, 60 seconds and 7 ms before the work of the receipt began: 7 ms too early."""


def cases() -> list[Case]:
    """Every case."""
    return [case for part in (_demands(), _records(), _keys(), _documents(), _shapes()) for case in part]


def _lie(name: str, told: Bundle, *failed: str) -> Case:
    return mutations.lie(f"of an enclave: {name}", ENCLAVE, told, *failed)


def _demands() -> Iterator[Case]:
    """What is demanded and pinned."""
    for least in ("vtpm", "hardware-degraded", "hardware", "hardware-strict"):
        yield Case(f"a simulated enclave where {least} is wanted", ENCLAVE, {}, {"failed": [TRUST]}, least=least)
    good = enclaves.TRUST.as_json()
    other = to_hex(certificates.ROOT.but(serial=3).made(certificates.ROOT))
    for name, root in (("no simulated root", "0x"), ("a root of the same name and key", other)):
        trust = good | {"simulated_root": root}
        yield Case(f"trust in {name}", ENCLAVE, {}, {"failed": [EVIDENCE]}, trust)
    wrong: dict[str, Json] = good | {"devnet": False}
    yield Case("trust in a simulated root where value is", ENCLAVE, {}, {"malformed": "trust.simulated"}, wrong)


def _records() -> Iterator[Case]:
    """What the ledger says of the enclave and of its code."""
    yield _lie("of another node's", bundle(enclave={"node": world.OWNER.address}), KEY)
    yield _lie("registered after the receipt's block", bundle(enclave={"height_first": 41}), KEY)
    yield _lie("closed before the receipt's block", bundle(enclave={"height_last": 39, "closed_s": TIME_S + 500}), KEY)
    yield _lie("closed before the work began", bundle(enclave={"height_last": 40, "closed_s": ENDED_S}), KEY)
    yield _lie("expired before the work began", bundle(enclave={"expires_s": ENDED_S}), KEY)
    yield _lie("without any end", bundle(enclave={"expires_s": 0}), KEY)
    yield _lie("registered with other evidence", bundle(enclave={"evidence": seeded("other evidence")}), KEY)
    yield _lie("a height beyond the header's", bundle(height=46), KEY)
    yield _lie("of another platform", bundle(enclave={"platform": "nitro"}, release={"platform": "nitro"}), EVIDENCE)
    yield _lie("of a better class", bundle(enclave={"trust": 4}), EVIDENCE)
    yield _lie("of no class", bundle(enclave={"trust": 6}), EVIDENCE)
    yield _lie("of another module", bundle(enclave={"module": "sim-i-00000000-enc0"}), EVIDENCE)
    keys = replace(KEYSET, tls_key=seeded("other tls")).encode()
    yield _lie("registered with other keys", bundle(enclave={"keyset": keys}), EVIDENCE)
    yield _lie("a release approved after the receipt's block", bundle(release={"height_first": 41}), RELEASE)
    ended = {"height_last": 39, "revoked_s": TIME_S + 500}
    yield _lie("a release revoked before the receipt's block", bundle(release=ended), RELEASE)
    yield _lie("a release revoked before the work began", bundle(release={"revoked_s": ENDED_S}), KEY)
    yield _lie("a release for another platform", bundle(release={"platform": "nitro"}), RELEASE)
    other = tuple(bytes(value[::-1]) for value in enclaves.release_record().values)
    yield _lie("code that is not the release's", bundle(release={"values": other}), EVIDENCE)
    yield _lie("a release that names a measurement more", bundle(release=_more("pcr4", bytes(48))), EVIDENCE)
    yield _lie("a release that names too little", bundle(release=_fewer()), EVIDENCE)
    yield _lie("a model that does not offer the layer", bundle(layers=0b101), "registry.model")


def _more(name: str, value: bytes) -> dict[str, tuple[bytes, ...]]:
    record = enclaves.release_record()
    return {"names": (*record.names, name.encode()), "values": (*record.values, value)}


def _fewer() -> dict[str, tuple[bytes, ...]]:
    record = enclaves.release_record()
    return {"names": record.names[:2], "values": record.values[:2]}


def _keys() -> Iterator[Case]:
    """What the enclave vouches for."""
    changes: dict[str, dict[str, Any]] = {
        "keys for another network": {"chain_id": 1},
        "keys for another node": {"node": world.OWNER.address},
        "keys for another signer": {"receipt_key": world.STRANGER.address},
        "keys that ended before they were registered": {"not_after_s": enclaves.REGISTERED_S - 1},
    }
    for name, changed in changes.items():
        yield _lie(name, bundle(attestation(replace(KEYSET, **changed))), EVIDENCE)
    yield _lie("another release shown", bundle(replace(ATTESTATION, release=seeded("release"))), EVIDENCE)
    yield _lie("another nonce shown", bundle(replace(ATTESTATION, nonce=seeded("nonce"))), EVIDENCE)
    yield _lie("a document of another nonce", bundle(attestation(nonce=seeded("nonce"))), EVIDENCE)
    yield _lie("a document of another sealing key", bundle(attestation(public_key=seeded("hpke 2"))), EVIDENCE)
    yield _lie("a document that binds other keys", bundle(attestation(user_data=bytes(64))), EVIDENCE)
    swapped = replace(KEYSET, tls_key=KEYSET.hpke_key, hpke_key=KEYSET.tls_key)  # type: ignore[arg-type]
    shown = replace(attestation(public_key=swapped.hpke_key), keyset=swapped)
    yield _lie("keys exchanged for one another", bundle(shown), EVIDENCE)
    told = replace(KEYSET, tls_key=seeded("tls of another")).encode()
    yield _lie("other keys shown than registered", bundle(evidence=_showing(keyset=to_hex(told))), EVIDENCE)


def _showing(**changed: Json) -> dict[str, Json]:
    """The attestation with members changed."""
    return {**ATTESTATION.as_json(), **changed}


def _evidence(**changed: Any) -> Attestation:
    return replace(ATTESTATION, evidence=replace(ATTESTATION.evidence, **changed))


def _documents() -> Iterator[Case]:
    """What the platform signed."""
    made = ATTESTATION.evidence.document
    turned = made[:-1] + bytes((made[-1] ^ 1,))
    debug = {**PCRS, 0: bytes(48)}
    found: dict[str, Attestation] = {
        "a document's signature with one bit turned": _evidence(document=turned),
        "a document cut off": _evidence(document=made[:-1]),
        "started for debugging": attestation(pcrs=debug),
        "a document of eleven minutes before": attestation(timestamp=(enclaves.REGISTERED_S - 660) * 1_000),
        "a document of two minutes after": attestation(timestamp=(enclaves.REGISTERED_S + 120) * 1_000),
        "a certificate that had ended": attestation(document=Document().with_leaf(not_after_s=MADE_S)),
        "a certificate that was to come": attestation(document=Document().with_leaf(not_before_s=TIME_S + 301)),
        "a certificate of a stranger's": attestation(document=Document().with_leaf(signer="stranger")),
        "a document that names no simulated enclave": attestation(
            document=Document().with_leaf(names=(LEAF.name.removeprefix("sim-"),)),
            module_id=MODULE.removeprefix("sim-"),
        ),
        "a simulated document called Nitro's": _evidence(platform="nitro"),
        "a platform that nobody knows": _evidence(platform="abacus"),
        "a chip's report without its chain": replace(ATTESTATION, evidence=Evidence("snp", bytes(1_184))),
        "evidence of devices": _evidence(devices=(b"gpu",)),
        "collateral beside a document": _evidence(collateral=(b"certificate",)),
    }
    for name, shown in found.items():
        yield _lie(name, bundle(shown), EVIDENCE)


def _shapes() -> Iterator[Case]:
    """The form of the evidence, and of what the ledger says."""
    document = ATTESTATION.evidence.encode()
    shown: dict[str, dict[str, Json]] = {
        "evidence with a member more": _showing(more=1),
        "evidence without a nonce": {name: each for name, each in _showing().items() if name != "nonce"},
        "evidence of the layer signature": _showing(layer="signature"),
        "evidence with its release in capitals": _showing(release="0x" + to_hex(RELEASE_ID)[2:].upper()),
        "evidence with a keyset too long": _showing(keyset="0x" + "00" * 513),
        "evidence with a keyset that is no record": _showing(keyset="0xc0"),
        "evidence with a byte after its list": _showing(evidence=to_hex(document + b"\0")),
        "evidence too large": _showing(evidence="0x" + "00" * (64 * 1024 + 1)),
        "evidence of 17 devices": _showing(evidence=to_hex(Evidence("simulated", b"", (), (b"",) * 17).encode())),
        "evidence in an object": _showing(evidence={}),
    }
    for name, evidence in shown.items():
        yield _lie(name, bundle(evidence=evidence), EVIDENCE)
    yield put("an enclave's evidence with a member more", "evidence.more", 1, "receipt.digests", EVIDENCE, base=ENCLAVE)
    zeros = "0x" + "00" * 32
    yield put("an enclave's proof changed", "chain.key.proof.siblings.0", zeros, KEY, base=ENCLAVE)
    yield put("a release's proof changed", "chain.release.proof.siblings.0", zeros, RELEASE, base=ENCLAVE)
    yield put("no release", "chain.release", None, EVIDENCE, RECORDS, base=ENCLAVE)
    yield put("a release's record that is no RLP", "chain.release.value", "0x", EVIDENCE, RECORDS, base=ENCLAVE)
    yield put("an enclave's record that is no RLP", "chain.key.value", "0x", EVIDENCE, RECORDS, base=ENCLAVE)
    key = to_hex(mutations.BASES[SETTLED].chain.key.value)
    yield put("a node's record for an enclave's", "chain.key.value", key, EVIDENCE, RECORDS, base=ENCLAVE)
    release: Any = mutations.BASES[ENCLAVE].chain.as_json()["release"]
    yield put("a release beside a node's own word", "chain.release", release, EVIDENCE)
    yield put(
        "the word of a node for an enclave's",
        "evidence",
        {"layer": "signature"},
        "receipt.digests",
        EVIDENCE,
        base=ENCLAVE,
    )
    yield bad("a release that is false", "chain.release", False, "json.shape", base=ENCLAVE)
    yield bad("a member more beside a release", "chain.release.more", 1, "json.shape", base=ENCLAVE)
    yield bad(
        "a release's record too large", "chain.release.value", "0x" + "00" * 16_385, "bundle.record", base=ENCLAVE
    )
    strange = replace(mutations.BASES[ENCLAVE], request=world.sign_request(enclaves.asked(), world.STRANGER))
    yield _lie("asked by a stranger", strange, "request.signature")
    signed = bundle().answer.receipt.receipt
    lent = replace(bundle(), answer=replace(bundle().answer, receipt=world.sign_receipt(signed, world.SIGNER)))
    yield _lie("signed by the node's own key", lent, "receipt.signature")
