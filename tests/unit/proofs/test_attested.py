"""The layer tee: an answer of an enclave verifies, each of its claims fails alone, and SIMULATED is always said."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from tests.support import nitro
from tests.support.build import (
    ENCLAVE_NONCE,
    ENCLAVE_S,
    HEIGHT,
    KEYSET,
    OPERATOR,
    OWNER,
    STRANGER,
    Case,
    attestation,
    build,
    build_attested,
    valid,
    valid_attested,
)

from paraph.core.digest import sha256
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import ZERO_DIGEST, to_hex
from paraph.core.limits import ENCLAVE_SLACK_S
from paraph.proofs.attested import answers, described, worth, worth_of
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import judge, verify
from paraph.proofs.policy import decode_trust
from paraph.proofs.quotes.binding import bound
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.evidence import NO_ROOT, Checks, Evidence
from paraph.proofs.records import Enclave
from paraph.proofs.request import Layer
from paraph.proofs.verdict import Outcome, render

SIMULATED: Final = TrustClass.SIMULATED
LIE: Final = sha256(b"lie")
LATER: Final = {"started_ms": (ENCLAVE_S + 86_461) * 1000, "ended_ms": (ENCLAVE_S + 86_461) * 1000}
BEFORE: Final = ENCLAVE_S - 1
"""So long before the work began that no difference of clocks accounts for it."""


def codes(case: Case, least: TrustClass = SIMULATED) -> list[str]:
    """The claims that failed."""
    return [code for code, _ in judge(case.bundle, case.trust, least).reasons]


def test_truth_passes() -> None:
    """An enclave's answer passes every claim where a simulated one is asked for, after its bytes as before."""
    case = valid_attested()

    found = verify(case.bundle, case.trust, SIMULATED)

    assert {claim.outcome for claim in found.verdict.claims} == {Outcome.PASS}
    assert [claim.code for claim in found.verdict.claims][5:12] == [
        "evidence.layer",
        "evidence.trust",
        "response.form",
        "chain.seal",
        "registry.key",
        "registry.release",
        "registry.model",
    ]
    assert found.least is SIMULATED
    assert decode_bundle(case.bundle.encode()) == case.bundle


@pytest.mark.parametrize("least", list(TrustClass)[1:])
def test_simulated_must_be_asked_for(least: TrustClass) -> None:
    """A simulated enclave fails wherever more is wanted, and by default."""
    case = valid_attested()

    assert codes(case, least) == ["evidence.trust"]
    with pytest.raises(Unverified) as caught:
        verify(case.bundle, case.trust)
    assert [code for code, _ in caught.value.reasons] == ["evidence.trust"]


def with_evidence(**changed: Any) -> Case:
    """The evidence with members changed, honestly signed and registered."""
    shown = {**attestation().as_json(), **changed}
    case = build_attested(evidence={name: value for name, value in shown.items() if value is not ...})
    digest = case.bundle.answer.receipt.receipt.evidence_digest
    return build_attested(evidence=case.bundle.answer.evidence, enclave={"evidence": digest})


def shown_as(**changed: Any) -> Case:
    """An enclave that showed another attestation, which is registered so."""
    return build_attested(shown=replace(attestation(), **changed))


def keyset(**changed: Any) -> Case:
    """An enclave that vouches for another keyset, which is registered so."""
    return build_attested(shown=attestation(replace(KEYSET, **changed)))


def without_release() -> Case:
    case = valid_attested()
    chain = replace(case.bundle.chain, release=None)
    return replace(case, bundle=replace(case.bundle, chain=chain))


def chain_part(part: str, **changed: Any) -> Case:
    """The bundle with a part of its chain changed, unproved."""
    case = valid_attested()
    chain = case.bundle.chain
    found = replace(chain, **{part: replace(getattr(chain, part), **changed)})
    return replace(case, bundle=replace(case.bundle, chain=found))


def own_proof(part: str) -> Case:
    """The record of that part under the proof of another."""
    return chain_part(part, proof=valid_attested().bundle.chain.price.proof)


def certified_until(seconds: int) -> Case:
    """An enclave whose leaf ended so many seconds after its registration."""
    said = {
        "public_key": KEYSET.hpke_key,
        "nonce": ENCLAVE_NONCE,
        "user_data": bound(KEYSET, ENCLAVE_NONCE, ZERO_DIGEST),
    }
    made = nitro.Document(said=said).with_leaf(after_s=seconds).made()
    return shown_as(evidence=Evidence("simulated", made))


def forged() -> Case:
    """A document with one bit of its signature turned."""
    made = attestation().evidence.document
    return shown_as(evidence=Evidence("simulated", made[:-1] + bytes((made[-1] ^ 1,))))


KEY, RELEASE, EVIDENCE, RECORDS = "registry.key", "registry.release", "evidence.layer", "registry.records"
LIES: Final[Mapping[str, tuple[Callable[[], Case], tuple[str, ...]]]] = {
    "another node's enclave": (lambda: build_attested(enclave={"node": OWNER.address}), (KEY,)),
    "registered after the receipt": (lambda: build_attested(enclave={"height_first": HEIGHT - 1}), (KEY,)),
    "closed before the receipt": (lambda: build_attested(enclave={"height_last": HEIGHT - 3}), (KEY,)),
    "closed before the work began": (
        lambda: build_attested(enclave={"height_last": HEIGHT, "closed_s": BEFORE}),
        (KEY,),
    ),
    "ended before the work began": (lambda: build_attested(enclave={"expires_s": BEFORE}), (KEY,)),
    "ended never": (lambda: build_attested(enclave={"expires_s": 0}), (KEY,)),
    "work begun after its end": (
        lambda: build_attested(receipt=LATER),
        ("receipt.request", KEY),
    ),
    "registered with other evidence": (lambda: build_attested(enclave={"evidence": LIE}), (KEY,)),
    "a height beyond the state's": (lambda: build_attested(receipt={"height": HEIGHT + 1}), (KEY,)),
    "an enclave's record not proved": (lambda: own_proof("key"), (KEY,)),
    "a release's record not proved": (lambda: own_proof("release"), (RELEASE,)),
    "a release for another platform": (lambda: build_attested(release={"platform": "nitro"}), (RELEASE,)),
    "a release approved later": (lambda: build_attested(release={"height_first": HEIGHT - 1}), (RELEASE,)),
    "a release revoked before": (lambda: build_attested(release={"height_last": HEIGHT - 3}), (RELEASE,)),
    "a release revoked before the work began": (
        lambda: build_attested(release={"height_last": HEIGHT, "revoked_s": BEFORE}),
        (KEY,),
    ),
    "a record naming another release": (lambda: build_attested(enclave={"release": LIE}), (EVIDENCE, RELEASE)),
    "another release shown": (lambda: shown_as(release=LIE), (EVIDENCE,)),
    "no release": (without_release, (EVIDENCE, RECORDS)),
    "a node key's record for an enclave's": (
        lambda: chain_part("key", value=valid().bundle.chain.key.value),
        (EVIDENCE, RECORDS),
    ),
    "a release's record that is none": (lambda: chain_part("release", value=b""), (EVIDENCE, RECORDS)),
    "evidence of the other layer": (lambda: with_evidence(layer="signature"), (EVIDENCE,)),
    "evidence with a member more": (lambda: with_evidence(more=1), (EVIDENCE,)),
    "evidence with a member less": (lambda: with_evidence(nonce=...), (EVIDENCE,)),
    "keys for another network": (lambda: keyset(chain_id=1), (EVIDENCE,)),
    "keys for another node": (lambda: keyset(node=OWNER.address), (EVIDENCE,)),
    "keys for another signer": (lambda: keyset(receipt_key=STRANGER.address), (EVIDENCE,)),
    "keys that ended before": (lambda: keyset(not_after_s=ENCLAVE_S - 1), (EVIDENCE,)),
    "other keys than the record's": (
        lambda: build_attested(enclave={"keyset": replace(KEYSET, tls_key=LIE).encode()}),
        (EVIDENCE,),
    ),
    "another nonce": (lambda: shown_as(nonce=LIE), (EVIDENCE,)),
    "a signature forged": (forged, (EVIDENCE,)),
    "a certificate that had ended": (lambda: certified_until(-1), (EVIDENCE,)),
    "no root that is believed": (lambda: build_attested(trust={"simulated_root": NO_ROOT}), (EVIDENCE,)),
    "another code": (lambda: build_attested(release={"values": (LIE * 2,) * 3}), (EVIDENCE,)),
    "a release that names too little": (lambda: build_attested(release={"values": ()}), (EVIDENCE,)),
    "started for debugging": (
        lambda: build_attested(shown=attestation(pcrs={**nitro.PCRS, 0: bytes(48)})),
        (EVIDENCE,),
    ),
    "another platform than the record's": (lambda: build_attested(enclave={"platform": "nitro"}), (EVIDENCE, RELEASE)),
    "a class that the root does not give": (lambda: build_attested(enclave={"trust": 4}), (EVIDENCE,)),
    "another module than the record's": (lambda: build_attested(enclave={"module": "i-1"}), (EVIDENCE,)),
    "a layer that the model does not offer": (lambda: build_attested(model={"layers": 1}), ("registry.model",)),
    "an enclave beside a node's word": (
        lambda: replace(
            valid(),
            bundle=replace(
                valid().bundle, chain=replace(valid().bundle.chain, release=valid_attested().bundle.chain.release)
            ),
        ),
        (EVIDENCE,),
    ),
    "a layer of which this is no evidence": (
        lambda: build(request={"layer": Layer.ZK}, model={"layers": 4}),
        (EVIDENCE, "registry.exact"),
    ),
}


@pytest.mark.parametrize("what", LIES)
def test_each_lie_fails(what: str) -> None:
    """One thing that is not so fails the claims that it is of, and no question is answered."""
    make, expected = LIES[what]
    case = make()

    assert tuple(codes(case)) == expected
    assert {each.outcome for each in judge(case.bundle, case.trust, SIMULATED).questions} == {Outcome.FAIL}


def test_edges_of_time_pass() -> None:
    """Work begun a minute after an end still counts, as clocks differ; so does the last height."""
    started = {"started_ms": (ENCLAVE_S + 60 + ENCLAVE_SLACK_S) * 1000, "ended_ms": (ENCLAVE_S + 200) * 1000}
    for enclave in ({"expires_s": ENCLAVE_S + 60}, {"closed_s": ENCLAVE_S + 60, "height_last": HEIGHT - 2}):
        assert codes(build_attested(enclave=enclave, receipt=started)) == []
    assert codes(build_attested(release={"height_last": HEIGHT - 2, "revoked_s": ENCLAVE_S})) == []
    late = {"started_ms": started["started_ms"] + 1, "ended_ms": started["ended_ms"]}
    assert codes(build_attested(enclave={"expires_s": ENCLAVE_S + 60}, receipt=late)) == [KEY]
    assert codes(build_attested(enclave={"height_first": HEIGHT - 2}, release={"height_first": HEIGHT - 2})) == []


def test_reasons_are_told() -> None:
    """Why an attestation does not hold is in the sentence, with its code."""
    case = keyset(node=OWNER.address)

    (sentence,) = (reason for code, reason in judge(case.bundle, case.trust, SIMULATED).reasons)

    assert sentence.endswith("[binding.keyset]")
    assert "another node" in sentence


def test_simulated_root_is_of_development_networks() -> None:
    """A trust file pins a simulated root only where nothing has value, and only one of a certificate's size."""
    trust = valid_attested().trust
    longest = replace(trust, simulated_root=bytes(1_024))

    assert decode_trust(trust.encode()) == trust
    assert decode_trust(longest.encode()) == longest
    for wrong in (replace(trust, devnet=False), replace(trust, simulated_root=bytes(1_025))):
        with pytest.raises(Malformed) as caught:
            decode_trust(wrong.encode())
        assert caught.value.code == "trust.simulated"


# --- what is said ------------------------------------------------------------------------------------------------


def test_what_is_left_to_trust() -> None:
    """Of an answer that is not settled, that its time is the signer's word; of a degraded platform, that it is."""

    def left(case: Case) -> str:
        return " ".join(judge(case.bundle, case.trust, SIMULATED).not_checked)

    settled, unsettled = valid_attested(), build_attested(settled=False)
    degraded = build_attested(enclave={"trust": TrustClass.HARDWARE_DEGRADED})
    assert codes(unsettled) == []
    assert ["own word" in left(case) for case in (settled, unsettled)] == [False, True]
    assert ["out of date" in left(case) for case in (settled, degraded)] == [False, True]


def test_simulated_is_said() -> None:
    """Whoever reads the verdict of a simulated enclave reads that it is SIMULATED, in answers and in what is left."""
    case = valid_attested()
    verdict = judge(case.bundle, case.trust, SIMULATED)
    outcomes = {each.code: each.outcome for each in verdict.questions}

    assert outcomes == {
        "which_model": Outcome.PASS,
        "modified": Outcome.SKIP,
        "processed": Outcome.SKIP,
        "altered": Outcome.PASS,
    }
    assert all("SIMULATED" in each.sentence for each in verdict.questions[:3])
    assert "SIMULATED" in verdict.not_checked[0]
    assert any("SIMULATED" in each.sentence for each in verdict.claims if each.code == "evidence.layer")
    assert sum("SIMULATED" in line for line in render(verdict)) >= 4


def test_simulated_is_said_where_it_fails() -> None:
    """That it is SIMULATED is said, too, where the verdict is no."""
    case = valid_attested()

    shown = render(judge(case.bundle, case.trust, TrustClass.HARDWARE))

    assert shown[0] == "NOT VERIFIED"
    assert any("SIMULATED" in line for line in shown)


def hardware() -> Case:
    """A record that says that hardware vouched: its evidence, of a simulated root, does not bear it out."""
    return build_attested(enclave={"platform": "nitro", "trust": 4}, release={"platform": "nitro"})


def test_questions_of_hardware() -> None:
    """Of hardware, the answers name platform, class and release, and no word says that it is simulated."""
    case = hardware()
    enclave = Enclave.decode(case.bundle.chain.key.value)

    assert described(enclave) == "an enclave of AWS Nitro (hardware)"
    assert [outcome for outcome, _ in answers(case.bundle)] == [Outcome.PASS] * 4
    assert all("an enclave of AWS Nitro (hardware)" in sentence for _, sentence in list(answers(case.bundle))[:3])
    assert not any("SIMULATED" in sentence for _, sentence in answers(case.bundle))
    assert not any("SIMULATED" in each for each in judge(case.bundle, case.trust).not_checked)
    assert described(replace(enclave, platform="abacus", trust=9)) == "an enclave of abacus (of no known class, 9)"


def test_what_a_record_is_worth() -> None:
    """The class follows from the ledger's record of the enclave; where there is none, or none to be read, from none."""
    chain = valid_attested().bundle.chain

    assert worth(chain) is SIMULATED
    assert worth(valid().bundle.chain) is None
    assert worth(hardware().bundle.chain) is TrustClass.HARDWARE
    assert worth_of(b"") is None
    assert worth_of(build_attested(enclave={"trust": 9}).bundle.chain.key.value) is None


def test_the_operator_is_named() -> None:
    """Of the key it is said whose node's enclave it is of, and what the release is built from."""
    case = valid_attested()
    said = {each.code: each.sentence for each in judge(case.bundle, case.trust, SIMULATED).claims}

    assert to_hex(OPERATOR.address) in said[KEY].lower()
    assert "'node 1'" in said[RELEASE]
    assert "commit 1" in said[RELEASE]


def test_signatures_are_checked_by_whom_the_caller_names() -> None:
    """The evidence's signatures are questions to the caller's `checks`: answered alike, the verdict is the same."""
    case, asked = valid_attested(), list[bytes]()

    def looks(key: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(message)
        return p384_sha384(key, message, signature)

    found = verify(case.bundle, case.trust, SIMULATED, Checks(looks))

    assert (found, len(asked)) == (verify(case.bundle, case.trust, SIMULATED), 5)
    denied = judge(case.bundle, case.trust, SIMULATED, Checks(lambda *_: False))
    assert [code for code, _ in denied.reasons] == ["evidence.layer"]
