"""Attestations: one form on the way in and out, bounded; what one proves, and each single reason why it does not."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import nitro, tdx
from tests.support.build import (
    ENCLAVE_NONCE,
    ENCLAVE_S,
    KEYSET,
    MEASURED,
    SIMULATED_ROOT,
    attestation,
)

from paraph.core import rlp
from paraph.core.digest import sha256
from paraph.core.encode import Json, JsonObject, canonical, decode_exact
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Address, to_hex
from paraph.proofs.attestation import KEYSET_BYTES_MAX, Attestation, attestation_from_json, keyset_of, prove
from paraph.proofs.quotes import evidence
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.evidence import (
    CHECKS,
    EVIDENCE_BYTES_MAX,
    NO_ROOT,
    PARTS_MAX,
    Evidence,
    decode_evidence,
)
from paraph.proofs.quotes.policy import AGE_MS_MAX, PINNED, Policy
from paraph.proofs.quotes.roots import AMD_GENOA
from paraph.proofs.receipt import evidence_digest

POLICY: Final = Policy((MEASURED,), TrustClass.SIMULATED)
LIE: Final = sha256(b"lie")


@cache
def good() -> Attestation:
    """A true one."""
    return attestation()


def refused(value: Json) -> str:
    """Why it is no attestation."""
    with pytest.raises(Malformed) as caught:
        attestation_from_json(value)
    return caught.value.code


# --- reading -----------------------------------------------------------------------------------------------------


def test_reads_back() -> None:
    """What is written reads back, through canonical JSON, and has the digest that receipts sign."""
    shown = good()

    again = attestation_from_json(decode_exact(canonical(shown.as_json())))

    assert again == shown
    assert again.digest() == evidence_digest(shown.as_json())


@pytest.mark.parametrize("name", ["layer", "release", "keyset", "nonce", "evidence"])
def test_members_are_all_there_is(name: str) -> None:
    """A member left out, one more, or one of another type is no attestation."""
    shown = good().as_json()
    others: tuple[Json, ...] = (None, 1, [], {}, "", "0x", "0X00")

    assert refused({key: value for key, value in shown.items() if key != name}) == "json.shape"
    assert refused({**shown, "more": shown[name]}) == "json.shape"
    for other in others:
        refused({**shown, name: other})


@pytest.mark.parametrize("value", [None, [], "tee", 2, {}])
def test_an_object_is_due(value: Json) -> None:
    """What is no object is no attestation."""
    assert refused(value) == "json.shape"


@pytest.mark.parametrize("layer", ["signature", "zk", "TEE", "tee ", 2])
def test_other_layers_have_other_evidence(layer: Json) -> None:
    """Evidence of another layer is none of this one."""
    assert refused({**good().as_json(), "layer": layer}) == "attestation.layer"


def test_every_member_matters() -> None:
    """Each member of an attestation changes its digest."""
    shown = good()
    others = (
        replace(shown, release=LIE),
        replace(shown, keyset=replace(KEYSET, not_after_s=1)),
        replace(shown, nonce=LIE),
        replace(shown, evidence=replace(shown.evidence, platform="nitro")),
    )

    assert len({each.digest() for each in (shown, *others)}) == 5


WRONG_KEYSETS: Final[Mapping[str, tuple[bytes, str]]] = {
    "nothing": (b"", "rlp.form"),
    "no list": (rlp.encode(b"keys"), "record.form"),
    "a field less": (rlp.encode([b"\x01"] * 5), "record.form"),
    "a field more": (rlp.encode([b"\x01"] * 7), "record.form"),
    "a chain id with a zero in front": (
        rlp.encode([b"\0\x01", bytes(20), LIE, LIE, bytes(20), b"\x01"]),
        "rlp.integer",
    ),
    "a node of 19 bytes": (replace(KEYSET, node=Address(bytes(19))).encode(), "attestation.keyset"),
    "a digest of 33 bytes": (replace(KEYSET, tls_key=LIE + b"\0").encode(), "attestation.keyset"),  # type: ignore[arg-type]
    "a sealing key of 31 bytes": (replace(KEYSET, hpke_key=bytes(31)).encode(), "attestation.keyset"),
    "a signer of 0 bytes": (replace(KEYSET, receipt_key=Address(b"")).encode(), "attestation.keyset"),
    "a byte after it": (KEYSET.encode() + b"\0", "rlp.form"),
    "one byte too long": (bytes(KEYSET_BYTES_MAX + 1), "attestation.keyset"),
}


@pytest.mark.parametrize("what", WRONG_KEYSETS)
def test_keysets_are_of_their_form(what: str) -> None:
    """Keys of another size, fields too many or few, and bytes beyond are no keyset."""
    data, code = WRONG_KEYSETS[what]

    with pytest.raises(Malformed) as caught:
        keyset_of(data)

    assert caught.value.code == code
    assert refused({**good().as_json(), "keyset": to_hex(data)}) == code


def test_limit_of_a_keyset_is_not_its_edge() -> None:
    """A keyset of the most bytes is looked at, whatever comes of it."""
    with pytest.raises(Malformed) as caught:
        keyset_of(bytes(KEYSET_BYTES_MAX))

    assert caught.value.code == "rlp.form"
    assert keyset_of(KEYSET.encode()) == KEYSET


def test_limits_of_evidence() -> None:
    """Evidence has so many bytes and parts at most; the most is read, and one more refused."""

    def code(data: bytes) -> str | None:
        try:
            decode_evidence(data)
        except Malformed as error:
            return error.code
        return None

    room = EVIDENCE_BYTES_MAX - len(Evidence("simulated", bytes(60_000)).encode())
    parts = (b"",) * PARTS_MAX
    assert code(Evidence("simulated", bytes(60_000 + room)).encode()) is None
    assert code(Evidence("simulated", bytes(60_001 + room)).encode()) == "evidence.size"
    assert code(Evidence("simulated", b"", parts, parts).encode()) is None
    assert code(Evidence("simulated", b"", (*parts, b"")).encode()) == "evidence.parts"
    assert code(Evidence("simulated", b"", (), (*parts, b"")).encode()) == "evidence.parts"
    assert code(rlp.encode([b"simulated", b"", []])) == "record.form"
    assert code(rlp.encode([b"simulated", b"", [], [[b""]]])) == "record.form"
    assert code(rlp.encode([b"simulated", [], [], []])) == "record.form"
    assert code(rlp.encode([b"\xff", b"", [], []])) == "record.form"


@given(st.dictionaries(st.sampled_from(["layer", "release", "keyset", "nonce", "evidence", "x"]), st.text(max_size=99)))
def test_any_texts(value: JsonObject) -> None:
    """Texts from anybody are refused as malformed, with no stumble."""
    assert refused(value)


@given(st.binary(max_size=300), st.sampled_from(["keyset", "evidence"]))
def test_any_bytes(data: bytes, name: str) -> None:
    """Bytes in place of keyset or evidence are read to nothing else than what writes them, or refused."""
    shown = {**good().as_json(), name: to_hex(data)}
    try:
        found = attestation_from_json(shown)
    except Malformed:
        return

    assert found.as_json() == shown


NAMES: Final = st.text(max_size=12)
BYTES: Final = st.binary(max_size=40)
PARTS: Final = st.lists(BYTES, max_size=4).map(tuple)


@given(
    st.builds(Evidence, NAMES, BYTES, st.lists(BYTES, max_size=4).map(tuple), st.lists(BYTES, max_size=4).map(tuple))
)
def test_any_evidence_reads_back(shown: Evidence) -> None:
    """Evidence of any content within bounds reads back as it was written."""
    assert decode_evidence(shown.encode()) == shown


# --- proving -----------------------------------------------------------------------------------------------------


def proved(shown: Attestation, **changed: Any) -> Claims:
    """What it proves; `changed` are other expectations."""
    found = {"expected": POLICY, "simulated": SIMULATED_ROOT, "now_s": ENCLAVE_S, **changed}
    return prove(shown, found["expected"], found["simulated"], found["now_s"], found.get("checks", CHECKS))


def code_of(shown: Attestation, **changed: Any) -> str:
    """Why it proves nothing."""
    with pytest.raises(Unverified) as caught:
        proved(shown, **changed)
    return caught.value.code


def test_proves() -> None:
    """A true attestation proves its keys and its code, and its signatures were asked of those who check them."""
    asked: list[bytes] = []

    def counted(key: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(key)
        return CHECKS.ecdsa(key, message, signature)

    found = proved(good(), checks=replace(CHECKS, ecdsa=counted))

    assert (found.platform, found.trust, found.module) == ("simulated", TrustClass.SIMULATED, nitro.MODULE)
    assert found.nonce == ENCLAVE_NONCE
    assert len(asked) == 5


def on(platform: str, **changed: Any) -> Attestation:
    """The attestation on another platform, or with other parts of its evidence."""
    return replace(good(), evidence=replace(good().evidence, platform=platform, **changed))


REFUSED: Final[Mapping[str, tuple[Callable[[], Attestation], Mapping[str, Any], str]]] = {
    "no simulated root": (good, {"simulated": NO_ROOT}, "quote.root"),
    "another simulated root": (good, {"simulated": SIMULATED_ROOT + b"\0"}, "quote.root"),
    "said to be of Nitro": (lambda: on("nitro"), {}, "quote.root"),
    "no platform": (lambda: on(""), {}, "envelope.platform"),
    "an unknown platform": (lambda: on("abacus"), {}, "envelope.platform"),
    "devices": (lambda: on("simulated", devices=(b"gpu",)), {}, "envelope.devices"),
    "collateral beside a document": (lambda: on("simulated", collateral=(b"c",)), {}, "envelope.collateral"),
    "SNP without its chain": (lambda: on("snp"), {}, "quote.root"),
    "SNP under another root": (lambda: on("snp", collateral=(b"root", b"leaf")), {}, "quote.root"),
    "SNP that is no report": (lambda: on("snp", collateral=(AMD_GENOA,)), {}, "envelope.size"),
    "TDX that is no quote": (lambda: on("tdx"), {}, "envelope.version"),
    "TDX that is of SGX": (lambda: on("tdx", document=tdx.SGX.quote()), {}, "envelope.platform"),
    "document cut off": (lambda: on("simulated", document=b"\x84"), {}, "envelope.cbor"),
    "worth too little": (good, {"expected": replace(POLICY, trust_min=TrustClass.VTPM)}, "policy.trust"),
    "another code": (good, {"expected": replace(POLICY, releases=({**MEASURED, "pcr2": LIE},))}, "policy.measurement"),
    "too old": (good, {"now_s": ENCLAVE_S + AGE_MS_MAX // 1000 + 1}, "policy.stale"),
    "before its time": (good, {"now_s": ENCLAVE_S - 61}, "policy.ahead"),
    "another nonce": (lambda: replace(good(), nonce=LIE), {}, "binding.nonce"),
    "another key for sealing": (
        lambda: replace(good(), keyset=replace(KEYSET, hpke_key=LIE)),
        {},
        "binding.hpke",
    ),
    "another key for TLS": (lambda: replace(good(), keyset=replace(KEYSET, tls_key=LIE)), {}, "binding.keys"),
    "keys that ended": (lambda: attestation(replace(KEYSET, not_after_s=ENCLAVE_S - 1)), {}, "binding.expired"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_one_fault(what: str) -> None:
    """An attestation with one fault proves nothing, for that reason."""
    make, changed, code = REFUSED[what]

    assert code_of(make(), **changed) == code


def test_each_platform_has_its_verifier() -> None:
    """Evidence of Intel's is verified by Intel's rules: a chip of another maker's proves nothing by them."""
    with pytest.raises(Unverified) as caught:
        evidence.verify(Evidence("tdx", tdx.TDX.quote(), tdx.TDX.parts()), NO_ROOT, tdx.NOW_S)

    assert caught.value.code.startswith("quote.")
    assert set(evidence.PLATFORMS) <= set(PINNED)


def test_empty_expectations_are_an_error() -> None:
    """Whoever expects nothing is told so, and proves nothing."""
    with pytest.raises(Malformed) as caught:
        proved(good(), expected=replace(POLICY, releases=({"pcr0": MEASURED["pcr0"]},)))

    assert caught.value.code == "policy.empty"


def test_edges_of_age() -> None:
    """A document is taken to the last second of its age, and as far ahead."""
    assert proved(good(), now_s=ENCLAVE_S + AGE_MS_MAX // 1000).time_ms == ENCLAVE_S * 1000
    assert proved(good(), now_s=ENCLAVE_S - 60).time_ms == ENCLAVE_S * 1000
