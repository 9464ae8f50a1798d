"""Cases of attestations: documents with one fault each, what binds them to keys, and the digests beside them.

The codes are written here by hand, from the specification; the generator checks that paraph gives the same.
"""

import base64
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from vectors import enclaves
from vectors.certificates import (
    BASIC_CONSTRAINTS,
    CERTIFICATES,
    ECDSA_SHA256,
    EVIDENCE,
    KEY_USAGE,
    MACHINE,
    NOTHING,
    P256,
    ROOT,
    Certificate,
    der,
    extension,
    integer,
)
from vectors.documents import LEAF, MADE_S, MODULE, PCRS, PROTECTED, Document, sealed
from vectors.enclaves import ATTESTATION, KEYSET, MEASURED, SIMULATED_ROOT, attestation
from vectors.validators import seeded
from vectors.world import NODE, OWNER

from paraph.core import cbor
from paraph.core.encode import Json
from paraph.core.errors import Malformed, Unverified, must
from paraph.core.ident import ZERO_DIGEST, to_hex
from paraph.proofs.attestation import Attestation, prove
from paraph.proofs.quotes import binding, nitro
from paraph.proofs.quotes.claims import Claims, trust_class
from paraph.proofs.quotes.ecdsa import ORDER, p384_sha384
from paraph.proofs.quotes.evidence import NO_ROOT
from paraph.proofs.quotes.policy import Policy
from paraph.proofs.records import release_id

GOOD: Final = Document()
CHAIN, SIGNATURE, CERTIFICATE = "quote.chain.", "quote.signature", "quote.certificate"


def attestations() -> Json:
    """Every case."""
    return {
        "root": to_hex(SIMULATED_ROOT),
        "now_s": MADE_S,
        "documents": [*_true_documents(), *_false_documents()],
        "attestations": list(_attestations()),
        "bindings": _bindings(),
        "registration_nonces": [
            {
                "block_hash": to_hex(seeded(block)),
                "node": to_hex(node),
                "sequence": sequence,
                "nonce": to_hex(binding.registration_nonce(seeded(block), node, sequence)),
            }
            for block, node, sequence in (("block 29", NODE.address, 0), ("block 30", OWNER.address, 2**40))
        ],
        "releases": [
            {
                "platform": platform,
                "measurements": {name: to_hex(value) for name, value in measured.items()},
                "release": to_hex(release_id(platform, measured)),
            }
            for platform, measured in (
                ("simulated", MEASURED),
                ("nitro", MEASURED),
                (
                    "tdx",
                    {"xfam": b"\xe7\2", "mr_td": bytes(48), "td_attributes": bytes(8), "rtmr1": b"1"},
                ),
            )
        ],
    }


# --- documents that prove ----------------------------------------------------------------------------------------


def _document(name: str, data: bytes, now_s: int | None = None, trust: str | None = None) -> dict[str, Json]:
    others: dict[str, Json] = {"now_s": now_s, "trust": trust}
    return {"name": name, "document": to_hex(data)} | {key: each for key, each in others.items() if each is not None}


def _claims(data: bytes, now_s: int = MADE_S, trust: str = "simulated") -> Claims:
    return nitro.verify(nitro.read(data), nitro.Root(SIMULATED_ROOT, trust_class(trust)), now_s, p384_sha384)


def _shown(claims: Claims) -> Json:
    return {
        "platform": claims.platform,
        "trust": claims.trust.word,
        "time_ms": claims.time_ms,
        "debug": claims.debug,
        "measurements": {name: to_hex(value) for name, value in claims.measurements.items()},
        "data": to_hex(claims.data),
        "nonce": to_hex(claims.nonce or b""),
        "key": to_hex(claims.key or b""),
        "module": claims.module,
        "certificates": [[to_hex(issuer), str(serial)] for issuer, serial in claims.certificates],
    }


def _twin(signature: bytes) -> bytes:
    """The other signature that holds: (r, n - s)."""
    return signature[:48] + (ORDER - int.from_bytes(signature[48:], "big")).to_bytes(48, "big")


def _true_documents() -> Iterator[Json]:
    payload = GOOD.payload()
    open_ended = b"\xbf" + payload[1:] + b"\xff"
    found: dict[str, bytes] = {
        "a document": GOOD.made(),
        "with COSE's tag in front": b"\xd2" + GOOD.made(),
        "a map without a length": sealed(open_ended, GOOD.signature(open_ended)),
        "with the twin of its signature": sealed(payload, _twin(GOOD.signature(payload))),
        "with a field that nobody knows": GOOD.saying(later={"x": [1, -1, "é", None, False]}).made(),
        "that carries nothing": GOOD.saying(public_key=None, user_data=b"", nonce=...).made(),
        "with fields of the greatest size": GOOD.saying(public_key=bytes(1_024), user_data=bytes(1_024)).made(),
        "of an enclave started for debugging": GOOD.saying(pcrs={**PCRS, 0: bytes(48), 1: bytes(48)}).made(),
        "without one measurement of its image": GOOD.saying(pcrs={0: PCRS[0], 1: PCRS[1]}).made(),
        "with an extension that may be left unread": GOOD.with_leaf(
            more=(extension(bytes.fromhex("551d0e"), b"\4\0", critical=b""),)
        ).made(),
        "of a leaf with the greatest number": GOOD.with_leaf(serial=(1 << 160) - 1).made(),
        "of authorities that say no path length": GOOD.with_machine(length=None).made(),
    }
    for name, data in found.items():
        yield {**_document(name, data), "claims": _shown(_claims(data))}
    for name, now_s in (("in its first second", LEAF.not_before_s), ("in its last second", LEAF.not_after_s)):
        yield {**_document(name, GOOD.made(), now_s), "claims": _shown(_claims(GOOD.made(), now_s))}
    real = _named(MODULE.removeprefix("sim-"))
    claims = _claims(real, trust="hardware")
    yield {**_document("of hardware", real, trust="hardware"), "claims": _shown(claims)}


def _named(module: str) -> bytes:
    return GOOD.saying(module_id=module).with_leaf(names=(f"{module}.machine.sim",)).made()


# --- documents that do not ---------------------------------------------------------------------------------------


def _false_documents() -> Iterator[Json]:
    for name, (data, code) in {**_envelopes(), **_payloads(), **_signatures(), **_chains()}.items():
        yield _refused(name, data, code)
    for name, now_s in (("before its first second", LEAF.not_before_s - 1), ("after its last", LEAF.not_after_s + 1)):
        yield _refused(name, GOOD.made(), f"{CHAIN}time", now_s)
    yield _refused("a simulated enclave under a root of hardware", GOOD.made(), "quote.simulated", trust="hardware")
    yield _refused("an enclave of hardware under a simulated root", _named(MODULE[4:]), "quote.simulated")


def _refused(name: str, data: bytes, code: str, now_s: int = MADE_S, trust: str = "simulated") -> Json:
    found = None
    try:
        _claims(data, now_s, trust)
    except Unverified as error:
        found = error.code
    must(found == code, f"{name}: expected {code}, found {found}")
    now = None if now_s == MADE_S else now_s
    return {**_document(name, data, now, None if trust == "simulated" else trust), "refused": code}


def _resealed(payload: bytes) -> bytes:
    """A document of that payload, signed."""
    return sealed(payload, GOOD.signature(payload))


def _swapped(old: bytes, new: bytes) -> bytes:
    """A document with bytes of its payload replaced, signed."""
    payload = GOOD.payload()
    must(payload.count(old) == 1, f"{old.hex()} occurs once")
    return _resealed(payload.replace(old, new))


def _envelopes() -> dict[str, tuple[bytes, str]]:
    made = GOOD.made()
    signature = GOOD.signature(GOOD.payload())
    pair = [int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")]
    return {
        "nothing": (b"", "envelope.size"),
        "too large": (bytes(16_897), "envelope.size"),
        "cut off": (made[:-1], "envelope.cbor"),
        "a byte after it": (made + b"\0", "envelope.cbor"),
        "in base64": (base64.b64encode(made), "envelope.cbor"),
        "under another tag": (b"\xd1" + made, "envelope.cbor"),
        "under the tag twice": (b"\xd2\xd2" + made, "envelope.cbor"),
        "lists in one another": (b"\x81" * 9_000, "envelope.cbor"),
        "more items than may be": (b"\x98\xff" + b"\0" * 255 + b"\0", "envelope.cbor"),
        "a length beyond the end": (b"\x84\x5b" + b"\xff" * 8, "envelope.cbor"),
        "no array": (cbor.encode({1: 2}), "envelope.cose"),
        "an array of three": (cbor.encode([PROTECTED, {}, b"x"]), "envelope.cose"),
        "a payload that is elsewhere": (sealed(None, bytes(96)), "envelope.cose"),
        "an empty payload": (sealed(b"", bytes(96)), "envelope.cose"),
        "an unprotected header": (GOOD.but(unprotected={4: b"k"}).made(), "envelope.unprotected"),
        "an unprotected header that is a list": (GOOD.but(unprotected=[]).made(), "envelope.unprotected"),
        "ES256": (GOOD.but(protected=cbor.encode({1: -7})).made(), "envelope.algorithm"),
        "no protected header": (GOOD.but(protected=b"").made(), "envelope.algorithm"),
        "a protected header more": (GOOD.but(protected=cbor.encode({1: -35, 2: [1]})).made(), "envelope.algorithm"),
        "a signature of 64 bytes": (sealed(GOOD.payload(), bytes(64)), "envelope.signature"),
        "a signature in DER": (sealed(GOOD.payload(), der(0x30, *map(integer, pair))), "envelope.signature"),
        "a signature in text": (sealed(GOOD.payload(), "s" * 96), "envelope.signature"),
    }


def _payloads() -> dict[str, tuple[bytes, str]]:
    time = cbor.encode(MADE_S * 1_000)
    payload = GOOD.payload()
    first = cbor.encode(0) + cbor.encode(PCRS[0])
    said: dict[str, tuple[Mapping[str, Any], str]] = {
        "no module": ({"module_id": ...}, "envelope.module"),
        "a module of a TPM": ({"module_id": "sim-i-0123456789abcdef0-tpm0123"}, "envelope.module"),
        "a module with a line break": ({"module_id": MODULE + "\n"}, "envelope.module"),
        "a module as bytes": ({"module_id": MODULE.encode()}, "envelope.module"),
        "SHA256": ({"digest": "SHA256"}, "envelope.digest"),
        "time zero": ({"timestamp": 0}, "envelope.time"),
        "time that is true": ({"timestamp": True}, "envelope.time"),
        "time in text": ({"timestamp": "1767225890000"}, "envelope.time"),
        "time beyond 2^53": ({"timestamp": 2**53}, "envelope.time"),
        "no measurements": ({"pcrs": ...}, "envelope.pcrs"),
        "measurements that are none": ({"pcrs": {}}, "envelope.pcrs"),
        "measurements in a list": ({"pcrs": list(PCRS.values())}, "envelope.pcrs"),
        "measurement 32": ({"pcrs": {**PCRS, 32: bytes(48)}}, "envelope.pcrs"),
        "measurement -1": ({"pcrs": {**PCRS, -1: bytes(48)}}, "envelope.pcrs"),
        "measurement 0 as text": ({"pcrs": {**PCRS, "0": bytes(48)}}, "envelope.pcrs"),
        "a measurement of 32 bytes": ({"pcrs": {**PCRS, 1: bytes(32)}}, "envelope.pcrs"),
        "no certificate": ({"certificate": ...}, "envelope.certificate"),
        "a certificate of 1025 bytes": ({"certificate": bytes(1_025)}, "envelope.certificate"),
        "no authorities": ({"cabundle": []}, "envelope.authorities"),
        "authorities that are no list": ({"cabundle": SIMULATED_ROOT}, "envelope.authorities"),
        "nine authorities": ({"cabundle": [SIMULATED_ROOT] * 9}, "envelope.authorities"),
        "a key of 1025 bytes": ({"public_key": bytes(1_025)}, "envelope.field"),
        "data in text": ({"user_data": "bound"}, "envelope.field"),
        "a nonce that is a number": ({"nonce": 5}, "envelope.field"),
        "measurements of a NitroTPM": ({"pcrs": ..., "nitrotpm_pcrs": dict(PCRS)}, "envelope.tpm"),
        "measurements of both kinds": ({"nitrotpm_pcrs": dict(PCRS)}, "envelope.tpm"),
    }
    return {name: (GOOD.saying(**changed).made(), code) for name, (changed, code) in said.items()} | {
        "a payload that is a list": (_resealed(cbor.encode([1])), "envelope.payload"),
        "time as a fraction": (_swapped(time, b"\xfb" + struct.pack(">d", MADE_S * 1_000)), "envelope.cbor"),
        "a length in a longer form": (_swapped(b"\x66SHA384", b"\x78\x06SHA384"), "envelope.cbor"),
        "measurements twice": (
            _resealed(b"\xaa" + payload[1:] + cbor.encode("pcrs") + cbor.encode({0: bytes(48)})),
            "envelope.cbor",
        ),
        "one measurement twice": (_swapped(b"\xa5" + first, b"\xa6" + 2 * first), "envelope.cbor"),
        "bytes in pieces": (_swapped(cbor.encode(b"bound"), b"\x5f\x45bound\xff"), "envelope.cbor"),
        "text that is not UTF-8": (_swapped(b"x+sim-i", b"x+si\xff-i"), "envelope.cbor"),
        "true as a name": (_resealed(b"\xaa" + payload[1:] + b"\xf5\x00"), "envelope.cbor"),
        "bytes as a name": (_resealed(b"\xaa" + payload[1:] + b"\x41a\x00"), "envelope.cbor"),
        "NaN under a name that nobody knows": (
            _resealed(b"\xaa" + payload[1:] + b"\x61x\xfb\x7f\xf8" + bytes(6)),
            "envelope.cbor",
        ),
    }


def _signatures() -> dict[str, tuple[bytes, str]]:
    payload = GOOD.payload()
    signature = GOOD.signature(payload)
    order = ORDER.to_bytes(48, "big")
    changed: dict[str, bytes] = {
        "a signature of zeros": bytes(96),
        "a signature with one bit turned": signature[:-1] + bytes((signature[-1] ^ 1,)),
        "r of zero": bytes(48) + signature[48:],
        "s of zero": signature[:48] + bytes(48),
        "r at the order": order + signature[48:],
        "s at the order": signature[:48] + order,
        "r and s exchanged": signature[48:] + signature[:48],
    }
    found = {name: sealed(payload, each) for name, each in changed.items()} | {
        "a measurement changed after signing": sealed(payload.replace(PCRS[0], PCRS[1], 1), signature),
        "signed in another context": GOOD.but(context="Signature").made(),
        "signed with data from outside": GOOD.but(outside=b"x").made(),
        "signed by a stranger": GOOD.but(signer="stranger").made(),
        "signed by the authority": GOOD.but(signer=MACHINE.name).made(),
    }
    return {name: (data, SIGNATURE) for name, data in found.items()}


def _leaf(change: bytes) -> bytes:
    """The document with those bytes for a leaf."""
    return GOOD.but(certificate=change).made()


def _chains() -> dict[str, tuple[bytes, str]]:
    root, machine, leaf = GOOD.certificates()
    long = (ROOT, MACHINE.but(length=5), LEAF)
    basic = extension(BASIC_CONSTRAINTS, der(0x30))
    found: dict[str, tuple[Document, str]] = {
        "another root": (GOOD.but(chain=(ROOT.but(name="thief.sim"), MACHINE)), "quote.root"),
        "a root of the same name and key": (GOOD.but(chain=(ROOT.but(serial=9), MACHINE)), "quote.root"),
        "authorities in reverse": (GOOD.but(bundle=(machine, root)), "quote.root"),
        "the root before another's chain": (GOOD.with_machine(signer="thief.sim"), f"{CHAIN}signature"),
        "an authority left out": (GOOD.but(bundle=(root,)), f"{CHAIN}name"),
        "an authority that had ended": (GOOD.with_machine(not_after_s=MADE_S - 1), f"{CHAIN}time"),
        "an authority that is none": (GOOD.with_machine(authority=False, length=None), f"{CHAIN}authority"),
        "an authority without a word": (GOOD.with_machine(authority=None, length=None), f"{CHAIN}authority"),
        "an authority that may not certify": (GOOD.with_machine(usage=EVIDENCE), f"{CHAIN}usage"),
        "an authority without a usage": (GOOD.with_machine(usage=b""), f"{CHAIN}usage"),
        "an authority of another issuer": (GOOD.with_machine(issuer="other.sim"), f"{CHAIN}name"),
        "a path too long": (GOOD.but(chain=(ROOT, MACHINE, Certificate("more.sim", 5))), f"{CHAIN}length"),
        "the leaf as an issuer": (
            GOOD.but(chain=long, leaf=Certificate(f"{MODULE}.x", 6, authority=False, usage=EVIDENCE)),
            f"{CHAIN}authority",
        ),
        "an authority as the leaf": (GOOD.but(chain=(ROOT,), leaf=MACHINE), f"{CHAIN}authority"),
        "a leaf that is an authority": (GOOD.with_leaf(authority=True), f"{CHAIN}authority"),
        "a leaf that may sign certificates alone": (GOOD.with_leaf(usage=CERTIFICATES), f"{CHAIN}usage"),
        "a leaf that may sign nothing": (GOOD.with_leaf(usage=NOTHING), f"{CHAIN}usage"),
        "a leaf by a stranger": (GOOD.with_leaf(signer="stranger"), f"{CHAIN}signature"),
        "a leaf of another enclave": (GOOD.with_leaf(names=(f"{MODULE}0.machine.sim",)), "quote.name"),
        "a leaf of two names": (GOOD.with_leaf(names=(LEAF.name, LEAF.name)), "quote.name"),
        "a leaf without a name": (GOOD.with_leaf(names=()), "quote.name"),
        "an extension that must be understood": (
            GOOD.with_leaf(more=(extension(bytes.fromhex("2a0304"), b"\5\0"),)),
            f"{CHAIN}critical",
        ),
        "an extension twice": (GOOD.with_leaf(more=(basic,)), CERTIFICATE),
        "an extension that says FALSE": (
            GOOD.with_leaf(more=(extension(bytes.fromhex("551d0e"), b"\4\0", critical=b"\0"),)),
            CERTIFICATE,
        ),
        "a negative path length": (
            GOOD.but(chain=(ROOT, MACHINE.but(authority=None, more=(extension(BASIC_CONSTRAINTS, _negative()),)))),
            CERTIFICATE,
        ),
        "a usage with loose padding": (GOOD.with_leaf(usage=bytes.fromhex("0781")), CERTIFICATE),
        "a usage that is none": (GOOD.with_leaf(usage=b"", more=(extension(KEY_USAGE, b"\5\0"),)), CERTIFICATE),
        "a leaf of a number of 21 bytes": (GOOD.with_leaf(serial=1 << 160), CERTIFICATE),
        "an extension of a name beyond 64 bits": (
            GOOD.with_leaf(more=(extension(b"\x2a" + b"\xff" * 9 + b"\x7f", b"\5\0", critical=b""),)),
            CERTIFICATE,
        ),
        "a leaf of version 1": (GOOD.with_leaf(version=0), CERTIFICATE),
        "a leaf of two algorithms": (GOOD.with_leaf(algorithm_again=ECDSA_SHA256), CERTIFICATE),
        "a leaf over SHA-256": (GOOD.with_leaf(algorithm=ECDSA_SHA256), CERTIFICATE),
        "a leaf of another curve": (GOOD.with_leaf(key_algorithm=P256), CERTIFICATE),
    }
    return {name: (document.made(), code) for name, (document, code) in found.items()} | {
        "a byte after the leaf": (_leaf(leaf + b"\0"), CERTIFICATE),
        "a leaf of a length without end": (_leaf(b"\x30\x80" + leaf[4:] + b"\0\0"), CERTIFICATE),
        "a leaf of a length too long": (_leaf(b"\x30\x83\0" + leaf[2:]), CERTIFICATE),
        "a leaf that is no certificate": (_leaf(b"\x30\0"), CERTIFICATE),
    }


def _negative() -> bytes:
    return der(0x30, der(0x01, b"\xff"), der(0x02, b"\xff"))


# --- attestations ------------------------------------------------------------------------------------------------


def _attestations() -> Iterator[Json]:
    now_s = enclaves.REGISTERED_S
    yield _proved("an attestation", ATTESTATION, None)
    yield _proved("ten minutes after it was made", ATTESTATION, None, now_s=MADE_S + 600)
    yield _proved("a minute before it was made", attestation(timestamp=(now_s + 60) * 1_000), None)
    more = {**MEASURED, "pcr3": PCRS[3]}
    yield _proved("of a release that names more", ATTESTATION, None, measurements=more)
    yield _proved("no root that is believed", ATTESTATION, "quote.root", root=NO_ROOT)
    yield _proved("a class that its root does not give", ATTESTATION, "policy.trust", least="vtpm")
    debug = attestation(pcrs={**PCRS, 2: bytes(48)})
    yield _proved("started for debugging", debug, "policy.debug")
    zeros = {**MEASURED, "pcr2": bytes(48)}
    yield _proved("started for debugging, as expected", debug, "policy.debug", measurements=zeros)
    for name in MEASURED:
        other = {**MEASURED, name: PCRS[8]}
        yield _proved(f"another {name} than expected", ATTESTATION, "policy.measurement", measurements=other)
        fewer = {each: value for each, value in MEASURED.items() if each != name}
        yield _proved(f"nothing expected of {name}", ATTESTATION, "policy.empty", measurements=fewer)
        yield _proved(f"an empty {name} expected", ATTESTATION, "policy.empty", measurements={**MEASURED, name: b""})
    yield _proved(
        "a measurement expected that is not there",
        ATTESTATION,
        "policy.measurement",
        measurements={**MEASURED, "pcr4": bytes(48)},
    )
    yield _proved("nothing expected", ATTESTATION, "policy.empty", measurements={})
    yield _proved("eleven minutes after it was made", ATTESTATION, "policy.stale", now_s=MADE_S + 601)
    early = attestation(timestamp=(now_s + 61) * 1_000)
    yield _proved("61 seconds before it was made", early, "policy.ahead")
    yield _proved("another nonce", replace(ATTESTATION, nonce=seeded("nonce")), "binding.nonce")
    yield _proved("part of the nonce", attestation(nonce=enclaves.NONCE[:16]), "binding.nonce")
    yield _proved("no nonce", attestation(nonce=None), "binding.nonce")
    yield _proved("another sealing key", attestation(public_key=seeded("other")), "binding.hpke")
    yield _proved("no sealing key", attestation(public_key=None), "binding.hpke")
    yield _proved("no data", attestation(user_data=None), "binding.keys")
    half = binding.bound(KEYSET, enclaves.NONCE, ZERO_DIGEST)[:32]
    yield _proved("half of the data", attestation(user_data=half), "binding.keys")
    others: dict[str, dict[str, Any]] = {
        "network": {"chain_id": 1},
        "node": {"node": OWNER.address},
        "TLS key": {"tls_key": seeded("other")},
        "receipt key": {"receipt_key": OWNER.address},
        "end": {"not_after_s": KEYSET.not_after_s + 1},
    }
    for name, changed in others.items():
        told = replace(ATTESTATION, keyset=replace(KEYSET, **changed))
        yield _proved(f"another {name} than bound", told, "binding.keys")
    ended = attestation(replace(KEYSET, not_after_s=now_s - 1))
    yield _proved("keys that ended", ended, "binding.expired")
    found = ATTESTATION.evidence
    for name, changed, code in (
        ("collateral beside a document", {"collateral": (b"x",)}, "envelope.collateral"),
        ("a device", {"devices": (b"x",)}, "envelope.devices"),
        ("a platform that nobody knows", {"platform": "abacus"}, "envelope.platform"),
        ("a simulated enclave called Nitro's", {"platform": "nitro"}, "quote.root"),
    ):
        yield _proved(name, replace(ATTESTATION, evidence=replace(found, **changed)), code)


def _proved(
    name: str,
    shown: Attestation,
    code: str | None,
    *,
    measurements: Mapping[str, bytes] = MEASURED,
    root: bytes = SIMULATED_ROOT,
    now_s: int = enclaves.REGISTERED_S,
    least: str = "simulated",
) -> Json:
    said = None
    try:
        prove(shown, Policy((measurements,), trust_class(least)), root, now_s)
    except (Malformed, Unverified) as error:
        said = error.code
    must(said == code, f"{name}: expected {code}, found {said}")
    return {
        "name": name,
        "attestation": shown.as_json(),
        "measurements": {each: to_hex(value) for each, value in measurements.items()},
        "simulated_root": to_hex(root),
        "now_s": now_s,
        "least": least,
        "refused": code,
    }


# --- digests -----------------------------------------------------------------------------------------------------


def _bindings() -> list[Json]:
    devices: tuple[tuple[bytes, ...], ...] = (
        (),
        (b"one gpu",),
        (b"one gpu", b"another gpu"),
        (b"another gpu", b"one gpu"),
    )
    large = replace(KEYSET, chain_id=2**32, not_after_s=2**40)
    return [
        {
            "fields": {
                "chain_id": str(keyset.chain_id),
                "node": to_hex(keyset.node),
                "tls_key": to_hex(keyset.tls_key),
                "hpke_key": to_hex(keyset.hpke_key),
                "receipt_key": to_hex(keyset.receipt_key),
                "not_after_s": str(keyset.not_after_s),
            },
            "keyset": to_hex(keyset.encode()),
            "digest": to_hex(keyset.digest()),
            "nonce": to_hex(enclaves.NONCE),
            "devices": [to_hex(each) for each in shown],
            "devices_digest": to_hex(binding.devices_digest(shown)),
            "device_nonce": to_hex(binding.device_nonce(keyset, enclaves.NONCE)),
            "bound": to_hex(binding.bound(keyset, enclaves.NONCE, binding.devices_digest(shown))),
        }
        for keyset in (KEYSET, large)
        for shown in devices
    ]
