"""TDX and SGX: what chips signed verifies, and every single fault has its own refusal."""

import functools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import dcap_qvl  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import tdx as support
from tests.support.tdx import (
    ENCLAVE,
    IDENTITY,
    ISSUED_S,
    MODULE,
    NOW_S,
    PPID,
    SERIALS,
    SGX,
    TDX,
    TDX_1_5,
    VERSIONS,
    Made,
    Statement,
    certificate,
    enclave_level,
    level,
    revocations,
)

from paraph.core import der
from paraph.core.errors import Malformed, Unavailable, Unverified
from paraph.proofs.quotes import pem
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.evidence import NO_ROOT, Evidence
from paraph.proofs.quotes.evidence import verify as verify_evidence
from paraph.proofs.quotes.intel_collateral import AGE_S_MAX, PARTS, parts_of
from paraph.proofs.quotes.policy import Policy, check
from paraph.proofs.quotes.roots import INTEL_SGX
from paraph.proofs.quotes.tdx import LIBRARY_VERSION, Root, check_library, read, size_of, verify

RECORDED: Final = Path(__file__).parents[5] / "shared" / "vectors" / "attestation"
INTEL: Final = Root(INTEL_SGX, TrustClass.HARDWARE)
DAY_S: Final = 86_400


def claims(made: Made, quote: bytes | None = None, now_s: int = NOW_S) -> Claims:
    """What a quote proves."""
    root = Root(certificate("root"), TrustClass.HARDWARE)
    return verify(read(made.quote() if quote is None else quote), made.parts(), root, now_s)


def at(data: bytes, place: int, value: bytes) -> bytes:
    """Bytes with others in their place."""
    return data[:place] + value + data[place + len(value) :]


def attributes(value: int) -> Made:
    return TDX.measuring(td_attributes=value.to_bytes(8, "little"))


def levels(*found: object) -> Made:
    return TDX.but(versions=VERSIONS.saying(tcbLevels=list(found)))


def module_levels(*found: object) -> Made:
    identities = [{"id": "TDX_01", **MODULE, "tcbLevels": list(found)}]
    return TDX.but(versions=VERSIONS.saying(tdxModuleIdentities=identities))


def chain(*names: bytes) -> bytes:
    return b"".join(map(pem.written, names))


def own(*, chip: bytes = b"", authority: bytes = b"", root: bytes = b"") -> tuple[bytes, ...]:
    """A quote's chain with another certificate in it."""
    names = {"chip": chip, "authority": authority, "root": root}
    return tuple(found or certificate(name) for name, found in names.items())


def signed_by(name: str) -> dict[str, bytes]:
    """Chains of statements that somebody else signs."""
    found = chain(certificate(name), certificate("root"))
    return {"tcb_info_issuer_chain": found, "qe_identity_issuer_chain": found}


ENVELOPES: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "T1 nothing": (lambda: b"", "envelope.size"),
    "T1 header alone": (lambda: TDX.quote()[:48], "envelope.size"),
    "T1 no signature": (lambda: TDX.quote()[:632], "envelope.size"),
    "T1 cut off": (lambda: TDX.quote()[:-1], "envelope.size"),
    "T2 trailing byte": (lambda: TDX.quote() + b"\0", "envelope.size"),
    "T2 too large": (lambda: TDX.quote() + bytes(20_000), "envelope.size"),
    "T3 version 2": (TDX.but(version=2).quote, "envelope.version"),
    "T3 version 6": (lambda: at(TDX.quote(), 0, b"\6"), "envelope.version"),
    "T3 SGX in version 4": (lambda: at(TDX.quote(), 4, b"\0"), "envelope.version"),
    "T3 TDX in version 3": (lambda: at(SGX.quote(), 4, b"\x81"), "envelope.version"),
    "T3 TEE of another kind": (lambda: at(TDX.quote(), 4, b"\x82"), "envelope.version"),
    "T3 P-384": (TDX.but(algorithm=3).quote, "envelope.algorithm"),
    "T3 other vendor": (TDX.but(vendor=b"v" * 16).quote, "envelope.vendor"),
    "T22 1.5 said to be 1.0": (TDX.but(version=5, body=(2, 648)).quote, "envelope.body"),
    "T22 1.0 said to be 1.5": (TDX.but(version=5, body=(3, 584)).quote, "envelope.body"),
    "T22 SGX said to be TDX": (TDX.but(version=5, body=(1, 584)).quote, "envelope.body"),
    "other certification": (TDX.but(certification=(5, 5)).quote, "envelope.signature"),
    "other certificates": (TDX.but(certification=(6, 4)).quote, "envelope.signature"),
    "certification too short": (lambda: at(TDX.quote(), 48 + 584 + 4 + 130, b"\0"), "envelope.signature"),
    "chain too short": (lambda: at(TDX.quote(), 48 + 584 + 4 + 618, b"\0"), "envelope.signature"),
    "authentication": (TDX.but(authentication=bytes(31)).quote, "envelope.signature"),
    "two zeros": (TDX.but(tail=b"\0\0").quote, "envelope.certificates"),
    "text behind": (TDX.but(tail=b"text").quote, "envelope.certificates"),
    "one certificate": (TDX.but(chain=own()[:1]).quote, "envelope.certificates"),
    "four certificates": (TDX.but(chain=(*own(), certificate("signer"))).quote, "envelope.certificates"),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_envelope(name: str) -> None:
    """Bytes with one fault are no quote, for that."""
    make, code = ENVELOPES[name]

    with pytest.raises(Unverified) as caught:
        read(make())

    assert caught.value.code == code


FAULTS: Final[dict[str, tuple[Made, str]]] = {
    "T4 signed by another": (TDX.but(quote_signer="thief"), "quote.signature"),
    "T5 key that the quoting enclave did not make": (TDX.but(bound=b"b" * 32), "quote.qe_key"),
    "T6 other root": (TDX.but(chain=own(root=certificate("other", "other"))), "quote.root"),
    "T6 authority of another root": (TDX.but(chain=own(authority=certificate("authority", signer="x"))), "quote.chain"),
    "T6 chip of another authority": (TDX.but(chain=own(chip=certificate("chip", signer="x"))), "quote.chain"),
    "T6 authority as chip": (TDX.but(chain=own(chip=certificate("authority"))), "quote.chain"),
    "T6 statement's chain of another root": (
        TDX.beside(tcb_info_issuer_chain=chain(certificate("signer"), certificate("other", "other"))),
        "quote.collateral",
    ),
    "T6 statement's chain without root": (
        TDX.beside(qe_identity_issuer_chain=pem.written(certificate("signer"))),
        "quote.collateral",
    ),
    "T6 statement by the chip": (
        TDX.but(versions=Statement(VERSIONS.said, signer="chip")).beside(
            tcb_info_issuer_chain=chain(certificate("chip"), certificate("authority"), certificate("root"))
        ),
        "quote.collateral",
    ),
    "T6 statement by the authority": (
        TDX.but(versions=Statement(VERSIONS.said, signer="authority"), pieces=signed_by("authority")),
        "quote.chain",
    ),
    "no certificate": (TDX.but(chain=own(chip=b"\x30\0")), "quote.certificate"),
    "negative number": (
        TDX.but(chain=own(authority=certificate("authority").replace(b"\2\2\0\xa1", b"\2\2\x80\xa1"))),
        "quote.certificate",
    ),
    "number zero": (
        TDX.but(chain=own(authority=certificate("other").replace(b"\2\1\t", b"\2\1\0", 1))),
        "quote.certificate",
    ),
    "no certificate of the signer": (
        TDX.beside(tcb_info_issuer_chain=chain(b"\x30\0", certificate("root"))),
        "quote.certificate",
    ),
    "unknown critical extension": (TDX.but(chain=own(chip=certificate("chip", critical="1.2.3"))), "quote.certificate"),
    "chip expired": (TDX.but(chain=own(chip=certificate("chip", after_s=-1))), "quote.chain"),
    "chip without its name": (TDX.but(chain=own(chip=certificate("other", "authority"))), "quote.certificate"),
    "T7 chip revoked": (TDX.beside(pck_crl=revocations("authority", SERIALS["chip"])), "quote.revoked"),
    "T7 authority revoked": (TDX.beside(root_ca_crl=revocations("root", SERIALS["authority"])), "quote.revoked"),
    "T7 signer revoked": (TDX.beside(root_ca_crl=revocations("root", SERIALS["signer"])), "quote.revoked"),
    "T7 root revoked": (TDX.beside(root_ca_crl=revocations("root", SERIALS["root"])), "quote.revoked"),
    "T8 list empty": (TDX.beside(pck_crl=b""), "quote.collateral"),
    "T8 list that is none": (TDX.beside(root_ca_crl=b"\x30\0"), "quote.collateral"),
    "T8 list by another": (TDX.beside(pck_crl=revocations("authority", signer="thief")), "quote.chain"),
    "T8 list of another authority": (TDX.beside(pck_crl=revocations("root")), "quote.chain"),
    "T8 list expired": (TDX.beside(pck_crl=revocations("authority", next_s=1_800)), "quote.collateral_time"),
    "T8 root's list expired": (TDX.beside(root_ca_crl=revocations("root", next_s=1_800)), "quote.collateral_time"),
    "T8 list of another chain": (
        TDX.beside(pck_crl_issuer_chain=chain(certificate("signer"), certificate("root"))),
        "quote.collateral",
    ),
    "T9 versions altered": (
        TDX.beside(tcb_info=VERSIONS.saying(tcbEvaluationDataNumber=20).text()),
        "quote.collateral_signature",
    ),
    "T9 identity altered": (
        TDX.beside(qe_identity=IDENTITY.saying(isvprodid=3).text()),
        "quote.collateral_signature",
    ),
    "T9 nextUpdate stretched": (
        TDX.beside(tcb_info=Statement(VERSIONS.said, next_s=10**7).text()),
        "quote.collateral_signature",
    ),
    "T9 versions by another": (
        TDX.but(versions=Statement(VERSIONS.said, signer="thief")),
        "quote.collateral_signature",
    ),
    "T9 identity by another": (
        TDX.but(identity=Statement(IDENTITY.said, signer="thief")),
        "quote.collateral_signature",
    ),
    "T9 versions that are none": (
        TDX.but(versions=Statement({"id": "TDX", "pceId": "0000", "tcbType": 0})),
        "quote.collateral",
    ),
    "T9 versions without a date": (levels({**level("UpToDate"), "tcbDate": "today"}), "quote.collateral"),
    "T9 versions of fewer parts": (
        levels({**level("UpToDate"), "tcb": {**level("UpToDate")["tcb"], "tdxtcbcomponents": []}}),
        "quote.collateral",
    ),
    "T10 other chip": (TDX.but(versions=VERSIONS.saying(fmspc="00906ED50000")), "quote.collateral_platform"),
    "T10 other provisioning engine": (TDX.but(versions=VERSIONS.saying(pceId="0001")), "quote.collateral_platform"),
    "T10 versions compared otherwise": (TDX.but(versions=VERSIONS.saying(tcbType=1)), "quote.collateral"),
    "T10 versions of SGX": (TDX.but(versions=VERSIONS.saying(id="SGX")), "quote.collateral_platform"),
    "T10 versions of TDX": (SGX.but(versions=VERSIONS), "quote.collateral_platform"),
    "T10 identity of SGX": (TDX.but(identity=IDENTITY.saying(id="QE")), "quote.collateral_platform"),
    "T11 versions expired": (
        TDX.but(versions=Statement(VERSIONS.said, next_s=1_800)),
        "quote.collateral_time",
    ),
    "T11 identity expired": (
        TDX.but(identity=Statement(IDENTITY.said, next_s=1_800)),
        "quote.collateral_time",
    ),
    "T11 versions of tomorrow": (
        TDX.but(versions=Statement(VERSIONS.said, issued_s=NOW_S + 1)),
        "quote.collateral_time",
    ),
    "T11 identity of tomorrow": (
        TDX.but(identity=Statement(IDENTITY.said, issued_s=NOW_S + 1)),
        "quote.collateral_time",
    ),
    "T11 list of tomorrow": (
        TDX.beside(pck_crl=revocations("authority", issued_s=NOW_S + 1)),
        "quote.collateral_time",
    ),
    "T12 versions of last week": (
        TDX.but(versions=Statement(VERSIONS.said, issued_s=NOW_S - AGE_S_MAX - 1)),
        "quote.collateral_age",
    ),
    "T12 identity of last week": (
        TDX.but(identity=Statement(IDENTITY.said, issued_s=NOW_S - AGE_S_MAX - 1)),
        "quote.collateral_age",
    ),
    "T12 list of last week": (
        TDX.beside(pck_crl=revocations("authority", issued_s=NOW_S - AGE_S_MAX - 1)),
        "quote.collateral_age",
    ),
    "T13 revoked version": (levels(level("Revoked")), "quote.tcb"),
    "T13 revoked module": (module_levels(enclave_level("Revoked")), "quote.tcb"),
    "T13 revoked quoting enclave": (
        TDX.but(identity=IDENTITY.saying(tcbLevels=[enclave_level("Revoked")])),
        "quote.tcb",
    ),
    "T14 no level": (levels(level("UpToDate", svn=9)), "quote.tcb"),
    "T14 no level of the microcode": (levels(level("UpToDate", microcode_svn=9)), "quote.tcb"),
    "T14 module too old": (module_levels(enclave_level("UpToDate", 7)), "quote.seam"),
    "T14 module unknown": (TDX.measuring(tee_tcb_svn=b"\6\2" + bytes(14)), "quote.seam"),
    "T13 out of date for long": (levels(level("OutOfDate", days=731)), "quote.tcb"),
    "T15 machine for debugging": (attributes(0x10000001), "quote.debug"),
    "T15 enclave for debugging": (SGX.measuring(attributes=b"\7" + bytes(15)), "quote.debug"),
    "enclave unfinished": (SGX.measuring(attributes=b"\4" + bytes(15)), "quote.attributes"),
    "T16 module's signer": (TDX.measuring(mr_signer_seam=b"s" * 48), "quote.seam"),
    "T16 module's attributes": (TDX.measuring(seam_attributes=b"\1" + bytes(7)), "quote.seam"),
    "T17 counted": (attributes(0x10000000 | 1 << 63), "quote.attributes"),
    "T17 may be moved": (attributes(0x30000000), "quote.attributes"),
    "T17 interrupted": (attributes(0), "quote.attributes"),
    "T22 another machine": (TDX_1_5.measuring(mr_service_td=b"m" * 48), "quote.service_td"),
    "quoting enclave by another": (TDX.but(qe_signer="thief"), "quote.qe_signature"),
    "quoting enclave of another": (TDX.but(qe={"mr_signer": b"x" * 32}), "quote.qe_identity"),
    "quoting enclave for debugging": (TDX.but(qe={"attributes": b"\x13" + bytes(15)}), "quote.qe_identity"),
    "quoting enclave too old": (TDX.but(qe={"isv_svn": b"\3\0"}), "quote.qe_identity"),
    "other product": (TDX.but(qe={"isv_prod_id": b"\3\0"}), "quote.qe_identity"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name: str) -> None:
    """A quote with one fault is refused for that."""
    made, code = FAULTS[name]

    with pytest.raises(Unverified) as caught:
        claims(made)

    assert caught.value.code == code


@pytest.mark.parametrize("made", [TDX, TDX_1_5, SGX, TDX.but(tail=b""), TDX.but(version=5, body=(2, 584))])
def test_genuine(made: Made) -> None:
    """A quote of each form verifies."""
    assert claims(made).data == b"bound".ljust(64, b"\0")


def test_claims_of_a_machine() -> None:
    """A quote of TDX proves its measurements and versions, and what was bound; it tells no time."""
    found = claims(TDX_1_5)

    assert (found.platform, found.trust, found.debug) == ("tdx", TrustClass.HARDWARE, False)
    assert (found.time_ms, found.nonce, found.key) == (None, None, None)
    measured = found.measurements
    assert [measured[name][:1] for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2", "mr_seam")] == [
        b"f",
        *b"0 1 2 s".split(),
    ]
    assert measured["td_attributes"].hex() + measured["xfam"].hex() == "0000001000000000e702060000000000"
    assert not measured.keys() & {"report_data"}
    expected = {"tcb_evaluation_number": 18, "pce_svn": 11, "qe_svn": 6, "module": 1, "module_svn": 6}
    assert found.versions == expected
    assert found.module == PPID.hex()
    authority, root = (
        der.sequence(der.sequence(der.read(certificate(name), ""), "")[0], "")[5].raw for name in ("authority", "root")
    )
    assert found.certificates == ((authority, SERIALS["chip"]), (root, SERIALS["authority"]))


def test_claims_of_an_enclave() -> None:
    """A quote of SGX proves the enclave's measurements and its own version."""
    found = claims(SGX)

    assert (found.platform, found.versions["isv_svn"]) == ("sgx", 3)
    named = ("mr_enclave", "mr_signer", "attributes", "isv_prod_id")
    assert [found.measurements[name] for name in named] == [ENCLAVE[name] for name in named]


@pytest.mark.parametrize(
    ("made", "trust"),
    [
        (levels(level("UpToDate", svn=9), level("UpToDate", svn=0)), TrustClass.HARDWARE),
        (levels(level("SWHardeningNeeded", advisories=("INTEL-SA-00615",))), TrustClass.HARDWARE_DEGRADED),
        (levels(level("ConfigurationNeeded")), TrustClass.HARDWARE_DEGRADED),
        (levels(level("ConfigurationAndSWHardeningNeeded")), TrustClass.HARDWARE_DEGRADED),
        (levels(level("OutOfDate", days=729)), TrustClass.HARDWARE_DEGRADED),
        (levels(level("OutOfDateConfigurationNeeded")), TrustClass.HARDWARE_DEGRADED),
        (module_levels(enclave_level("OutOfDate")), TrustClass.HARDWARE_DEGRADED),
        (
            TDX.but(identity=IDENTITY.saying(tcbLevels=[enclave_level("OutOfDate")])),
            TrustClass.HARDWARE_DEGRADED,
        ),
    ],
)
def test_trust_follows_the_status(made: Made, trust: TrustClass) -> None:
    """Evidence of a chip that Intel has a reservation about is worth less, whichever part it is about."""
    assert claims(made).trust is trust


def test_trust_never_rises() -> None:
    """A root that is worth less stays so, whatever the chip's state."""
    made = levels(level("OutOfDate"))
    root = Root(certificate("root"), TrustClass.SIMULATED)

    found = verify(read(made.quote()), made.parts(), root, NOW_S)

    assert found.trust is TrustClass.SIMULATED


def test_age_is_the_callers() -> None:
    """How old Intel's word may be is an argument; a second more is too much."""
    root = Root(certificate("root"), TrustClass.HARDWARE)
    quote = read(TDX.quote())

    assert verify(quote, TDX.parts(), root, NOW_S, NOW_S - ISSUED_S).platform == "tdx"
    with pytest.raises(Unverified) as caught:
        verify(quote, TDX.parts(), root, NOW_S, NOW_S - ISSUED_S - 1)
    assert caught.value.code == "quote.collateral_age"


RELEASE: Final = {name: TDX.fields[name] for name in ("mr_td", "rtmr1", "rtmr2", "td_attributes", "xfam")}


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (TDX.measuring(xfam=bytes.fromhex("e742060000000000")), "policy.measurement"),  # T17
        (TDX.measuring(rtmr1=b"x" * 48), "policy.measurement"),  # T18
        (TDX.measuring(rtmr2=b"x" * 48), "policy.measurement"),  # T18
        (TDX.measuring(mr_td=b"x" * 48), "policy.measurement"),
        (TDX.but(versions=VERSIONS.saying(tcbEvaluationDataNumber=17)), "policy.version"),  # T12
        (TDX.but(identity=IDENTITY.saying(tcbEvaluationDataNumber=17)), "policy.version"),  # T12
        (levels(level("OutOfDate")), "policy.trust"),  # T13
    ],
)
def test_policy(made: Made, code: str) -> None:
    """Of a quote that verifies, a policy refuses what it does not expect."""
    policy = Policy((RELEASE,), TrustClass.HARDWARE, versions_min={"tcb_evaluation_number": 18})

    assert check(claims(TDX), policy, NOW_S * 1_000) == RELEASE
    with pytest.raises(Unverified) as caught:
        check(claims(made), policy, NOW_S * 1_000)
    assert caught.value.code == code


def test_policy_of_an_enclave() -> None:
    """A release for SGX names the enclave, its signer and its attributes, and one for TDX is none (T21)."""
    release = {name: ENCLAVE[name] for name in ("mr_enclave", "mr_signer", "attributes")}

    assert check(claims(SGX), Policy((release,), TrustClass.HARDWARE), NOW_S * 1_000) == release
    with pytest.raises(Malformed) as caught:
        check(claims(SGX), Policy((RELEASE,), TrustClass.HARDWARE), NOW_S * 1_000)
    assert caught.value.code == "policy.empty"


@pytest.mark.parametrize(
    ("platform", "made", "code"),
    [
        ("tdx", SGX, "envelope.platform"),  # T21
        ("sgx", TDX, "envelope.platform"),
        ("tdx", TDX, "quote.root"),
        ("sgx", SGX, "quote.root"),
    ],
)
def test_evidence(platform: str, made: Made, code: str) -> None:
    """Evidence says of which platform it is, and only Intel's own root is believed."""
    with pytest.raises(Unverified) as caught:
        verify_evidence(Evidence(platform, made.quote(), made.parts()), NO_ROOT, NOW_S)

    assert caught.value.code == code


@pytest.mark.parametrize("made", [TDX, TDX_1_5, SGX])
def test_size(made: Made) -> None:
    """A driver's buffer is longer than the quote in it; a quote says where it ends."""
    quote = made.quote()

    assert size_of(quote + bytes(99)) == len(quote)


def test_library() -> None:
    """The library that is installed is the one that validators agree with; no other is taken for it."""
    check_library()

    with pytest.raises(Unavailable) as caught:
        check_library("0.7.1")
    assert caught.value.code == "quote.library"
    assert dcap_qvl.__version__ == LIBRARY_VERSION


class PanicException(BaseException):
    """As the library's panics are called."""


@pytest.mark.parametrize(("broken", "expected"), [(PanicException, Unverified), (KeyboardInterrupt, KeyboardInterrupt)])
def test_panic(monkeypatch: pytest.MonkeyPatch, broken: type[BaseException], expected: type[BaseException]) -> None:
    """If the library breaks off, the quote is refused and the process goes on; what is no panic is let through."""

    def verifier(_root: bytes) -> None:
        raise broken

    monkeypatch.setattr(dcap_qvl, "QuoteVerifier", verifier)

    with pytest.raises(expected):
        claims(TDX)


# --- any bytes ---


@functools.cache
def quotes() -> tuple[tuple[Made, bytes], ...]:
    """One quote of each form."""
    return tuple((made, made.quote()) for made in (TDX, TDX_1_5, SGX))


@given(st.binary(max_size=2_000))
def test_any_bytes(data: bytes) -> None:
    """Random bytes are no quote, and no error."""
    with pytest.raises(Unverified):
        read(data)


@given(st.binary(max_size=6_000), st.sampled_from([0, 1, 2]))
def test_any_bytes_behind_a_header(data: bytes, form: int) -> None:
    """A true header makes them none either, whatever length they claim."""
    head = quotes()[form][1][: (48, 54, 48)[form]]
    with pytest.raises(Unverified):
        read(head + data)


@pytest.mark.parametrize("form", [0, 1, 2])
def test_truncated_anywhere(form: int) -> None:
    """A quote that is cut off anywhere is refused (T1)."""
    _, quote = quotes()[form]

    for size in range(len(quote)):
        with pytest.raises(Unverified):
            read(quote[:size])


@settings(max_examples=150)
@given(st.integers(0, 2), st.integers(0))
def test_any_bit(form: int, place: int) -> None:
    """No bit of a quote can be turned."""
    made, quote = quotes()[form]

    with pytest.raises(Unverified):
        claims(made, turned(quote, place % (8 * len(quote))))


@settings(max_examples=150)
@given(st.sampled_from(PARTS), st.integers(0))
def test_any_bit_of_the_collateral(name: str, place: int) -> None:
    """No bit of Intel's word can be turned."""
    part = dict(zip(PARTS, TDX.parts(), strict=True))[name]

    with pytest.raises(Unverified):
        claims(TDX.beside(**{name: turned(part, place % (8 * len(part)))}))


@settings(max_examples=100)
@given(st.sampled_from(PARTS), st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_collateral(name: str, part: bytes) -> None:
    """Whatever stands in the place of a piece of Intel's word is refused, and no error."""
    with pytest.raises(Unverified):
        claims(TDX.beside(**{name: part}))


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=150)
@given(st.sampled_from(sorted(VERSIONS.said)), JSON)
def test_any_statement(name: str, value: object) -> None:
    """Even what Intel itself would sign is believed or refused, and never an error."""
    try:
        found = claims(TDX.but(versions=VERSIONS.saying(**{name: value})))
    except Unverified:
        return
    assert found.platform == "tdx"


def test_other_signature_of_the_same() -> None:
    """Of every ECDSA signature there is a second one, (r, n − s): the quote has other bytes, and proves the same."""
    quote = TDX.quote()
    place = 48 + 584 + 4
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    s = int.from_bytes(quote[place + 32 : place + 64], "big")

    other = at(quote, place + 32, (order - s).to_bytes(32, "big"))

    assert claims(TDX, other) == claims(TDX)


def turned(data: bytes, place: int) -> bytes:
    """Bytes with one bit turned."""
    found = bytearray(data)
    found[place // 8] ^= 1 << place % 8
    return bytes(found)


# --- recorded quotes ---


def recorded(name: str) -> bytes:
    """A recorded quote, without what its driver or its finder left behind it."""
    data = (RECORDED / name).read_bytes()
    if name.endswith(".hex"):
        data = bytes.fromhex(data.decode().strip().removeprefix("0x"))
    return data[: size_of(data)]


def word(name: str) -> tuple[bytes, ...]:
    """Intel's word of the time: in one file, or put together from several."""
    if name.endswith(".json"):
        return parts_of(dcap_qvl.QuoteCollateralV3.from_json((RECORDED / "dcap" / name).read_text()))
    folder = RECORDED / "tdx"
    statements = []
    for file, member in ((f"coll_tcb_info_{name}.json", "tcbInfo"), ("coll_td_qe_identity.json", "enclaveIdentity")):
        text = (folder / file).read_text()
        said = text.removeprefix(f'{{"{member}":').rpartition(',"signature"')[0]
        statements.append((said.encode(), bytes.fromhex(json.loads(text)["signature"])))
    signers = (folder / "coll_tcb_signing_chain.pem").read_bytes().strip() + b"\n"
    authority = chain(*read(recorded("tdx/google_quote_v5_sample.dat")).chain[1:])
    lists = ((folder / file).read_bytes() for file in ("coll_root_ca_crl.der", "coll_pck_crl_platform.der"))
    return (authority, *lists, signers, *statements[0], signers, *statements[1])


def issued_s(parts: tuple[bytes, ...]) -> int:
    """When the statement on versions was made."""
    date = json.loads(parts[PARTS.index("tcb_info")])["issueDate"]
    digits = "".join(letter for letter in date if letter.isdigit())
    return der.time_s(der.Value(der.GENERALIZED_TIME, digits.encode() + b"Z", b""), "it")


SAMPLES: Final = [
    ("dcap/sgx_quote", "sgx_quote_collateral.json", "hardware-degraded"),
    ("dcap/tdx_quote", "tdx_quote_collateral.json", "hardware"),
    ("dcap/near_quote.hex", "near_quote_collateral.json", "hardware"),
    ("tdx/google_quote_v5_sample.dat", "90c06f000000", "hardware"),
    ("dcap/tdx_quote_outdated", "tdx_quote_outdated_collateral.json", "quote.tcb"),
    ("tdx/lunal_tdx_quote_4.dat", "50806f000000", "quote.debug"),
    ("tdx/lunal_tdx_quote_5.dat", "90c06f000000", "quote.service_td"),
    ("tdx/google_tdx_prod_quote_SPR_E4.dat", "50806f000000", "quote.attributes"),
    # Intel's word on these chips was not recorded: another chip's, or of another time, does not hold for them.
    ("dcap/quote-from-tappd.hex", "tdx_quote_collateral.json", "quote.tcb"),
    ("dcap/tdx-quote.hex", "tdx_quote_collateral.json", "quote.tcb"),
    ("tdx/google_cos113_quote.dat", "50806f000000", "quote.collateral_platform"),
    ("tdx/lunal_tdx_quote_live.dat", "90c06f000000", "quote.chain"),
]
here = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded evidence is not here")


@here
@pytest.mark.parametrize(("quote", "collateral", "expected"), SAMPLES)
def test_recorded(quote: str, collateral: str, expected: str) -> None:
    """Genuine quotes verify at their own time, by Intel's root; debug ones are refused as such."""
    parts = word(collateral)
    try:
        found = verify(read(recorded(quote)), parts, INTEL, issued_s(parts) + DAY_S).trust.word
    except Unverified as error:
        found = error.code

    assert found == expected


@here
@pytest.mark.parametrize(("quote", "collateral", "_"), SAMPLES)
def test_recorded_as_the_library_reads_them(quote: str, collateral: str, _: str) -> None:
    """What is read here is what the library reads, and so what it checks."""
    del collateral
    data = recorded(quote)
    names = {"misc_select", "isv_prod_id", "isv_svn", "config_id", "config_svn"}

    theirs = dcap_qvl.parse_quote(data).report
    ours = {name.replace("rtmr", "rt_mr"): value for name, value in read(data).fields.items() if name not in names}

    assert {name: getattr(theirs, name) for name in ours} == ours


@here
def test_recorded_evidence() -> None:
    """A recorded quote verifies through the one door, and no other piece of evidence passes for it."""
    parts = word("tdx_quote_collateral.json")
    now_s = issued_s(parts) + DAY_S
    evidence = Evidence("tdx", recorded("dcap/tdx_quote"), parts)

    assert verify_evidence(evidence, NO_ROOT, now_s).trust is TrustClass.HARDWARE
    with pytest.raises(Unverified) as caught:
        verify_evidence(Evidence("tdx", recorded("dcap/near_quote.hex"), parts), NO_ROOT, now_s)
    assert caught.value.code == "quote.chain"


def flips(data: bytes, count: int) -> Iterator[bytes]:
    """That many single-bit flips, spread over all of it."""
    for place in random.Random(7).sample(range(8 * len(data)), min(count, 8 * len(data))):
        yield turned(data, place)


@here
@pytest.mark.slow
@pytest.mark.parametrize(("quote", "collateral", "_"), SAMPLES[:4])
def test_recorded_with_a_bit_turned(quote: str, collateral: str, _: str) -> None:
    """Of 10 000 single-bit flips of each real quote that verifies, none is believed."""
    parts = word(collateral)
    now_s = issued_s(parts) + DAY_S
    believed = []

    for found in flips(recorded(quote), 10_000):
        try:
            believed.append(verify(read(found), parts, INTEL, now_s))
        except Unverified:
            continue

    assert believed == []


@here
@pytest.mark.slow
def test_recorded_word_with_a_bit_turned() -> None:
    """Of 10 000 single-bit flips of Intel's word on a chip, none is believed."""
    parts = word("tdx_quote_collateral.json")
    now_s = issued_s(parts) + DAY_S
    quote = read(recorded("dcap/tdx_quote"))
    believed = []

    for place, part in enumerate(parts):
        for found in flips(part, 10_000 * len(part) // sum(map(len, parts)) + 1):
            try:
                believed.append(verify(quote, (*parts[:place], found, *parts[place + 1 :]), INTEL, now_s))
            except Unverified:
                continue

    assert believed == []


def test_support_is_not_intel() -> None:
    """What tests make is believed by nobody who believes Intel."""
    assert support.certificate("root") != INTEL_SGX
