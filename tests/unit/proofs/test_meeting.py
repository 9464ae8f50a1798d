"""Meetings with enclaves: what is kept verifies offline, and each lie fails its own claim."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.nitro import NOW_S, PCRS
from tests.support_ledger.enclaves import RELEASE
from tests.support_ledger.meetings import AT_MS, Case, live, met
from tests.support_ledger.world import BOB

from paraph.core.encode import canonical
from paraph.core.errors import Malformed
from paraph.core.ident import Digest
from paraph.proofs.meeting import decode_meeting, judge_meeting
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.evidence import NO_ROOT
from paraph.proofs.verdict import Outcome, render


def failed(case: Case, least: TrustClass = TrustClass.SIMULATED) -> list[str]:
    """The claims that fail."""
    verdict = judge_meeting(case.meeting, case.trust, least)
    return [claim.code for claim in verdict.claims if claim.outcome is Outcome.FAIL]


def test_a_meeting_verifies() -> None:
    """What was kept is what verifies, after its bytes as before."""
    case = met()

    again = decode_meeting(case.meeting.encode())

    assert again == case.meeting
    assert failed(case) == []
    assert judge_meeting(again, case.trust, TrustClass.SIMULATED).verified


def test_simulated_is_said() -> None:
    """Every line that could be taken for a verdict on hardware says that there is none."""
    case = met()
    shown = render(judge_meeting(case.meeting, case.trust, TrustClass.SIMULATED))

    assert shown[0] == "VERIFIED"
    assert sum("SIMULATED" in line for line in shown) == 2
    assert failed(case, TrustClass.HARDWARE) == ["evidence.trust"]
    assert failed(case, TrustClass.VTPM) == ["evidence.trust"]


LIES: Final[dict[str, tuple[Callable[[], Case], list[str]]]] = {
    "another network's root": (
        lambda: replace(met(), trust=replace(met().trust, simulated_root=NO_ROOT)),
        ["evidence.layer"],
    ),
    "another producer": (
        lambda: replace(met(), trust=replace(met().trust, producers=(BOB.address,))),
        ["chain.seal"],
    ),
    "another node was looked for": (lambda: met(node=BOB.address), ["registry.key", "evidence.layer"]),
    "another network's keys": (
        lambda: replace(met(), trust=replace(met().trust, chain_id=1)),
        ["chain.seal", "evidence.layer"],
    ),
    "closed": (lambda: met(enclave={"height_last": 8, "closed_s": NOW_S}), ["registry.key"]),
    "ended": (lambda: met(enclave={"expires_s": NOW_S}), ["registry.key"]),
    "another's record": (lambda: met(enclave={"node": BOB.address}), ["registry.key"]),
    "revoked": (lambda: met(release={"height_last": 8, "revoked_s": NOW_S}), ["registry.release"]),
    "other code": (
        lambda: met(release={"values": tuple(bytes((9,)) * 48 for _ in RELEASE.measurements)}),
        ["evidence.layer"],
    ),
    "other keys registered": (
        lambda: met(enclave={"keyset": replace(live().keyset, tls_key=Digest(b"x" * 32)).encode()}),
        ["evidence.layer"],
    ),
    "a class that the root does not give": (lambda: met(enclave={"trust": 4}), ["evidence.layer"]),
    "another platform": (lambda: met(enclave={"platform": "nitro"}), ["evidence.layer"]),
    "a class of none": (lambda: met(enclave={"trust": 9}), ["evidence.layer"]),
    "stale": (lambda: met(shown=live(timestamp=AT_MS - 61_000)), ["evidence.layer"]),
    "another nonce": (lambda: met(shown=replace(live(), nonce=Digest(b"n" * 32))), ["evidence.layer"]),
    "debugged": (lambda: met(shown=live(pcrs={**PCRS, 0: bytes(48)})), ["evidence.layer"]),
    "another time": (lambda: met(at_ms=AT_MS + 4 * 3_600_000), ["chain.fresh", "evidence.layer"]),
    "an old state": (
        lambda: met(at_ms=AT_MS + 700_000, shown=live(timestamp=AT_MS + 700_000)),
        ["chain.fresh"],
    ),
}


@pytest.mark.parametrize("what", LIES)
def test_each_lie_fails(what: str) -> None:
    """One thing that is not so fails the claim that it is of, and the verdict says so in words."""
    make, codes = LIES[what]
    case = make()

    assert failed(case) == codes
    verdict = judge_meeting(case.meeting, case.trust, TrustClass.SIMULATED)
    assert verdict.questions[0].sentence == f"Who was met? Not shown: {', '.join(sorted(codes))}"


def test_records_that_are_not_the_ledgers() -> None:
    """A record without its proof fails; one that cannot be read fails, and nothing else is said of it."""
    case = met()
    other = met(enclave={"module": "another"})
    unproved = replace(
        case, meeting=replace(case.meeting, enclave=replace(case.meeting.enclave, value=other.meeting.enclave.value))
    )
    unread = [
        replace(case, meeting=replace(case.meeting, **{name: replace(getattr(case.meeting, name), value=b"\x00")}))
        for name in ("enclave", "release")
    ]

    assert failed(unproved) == ["registry.key"]
    for each in unread:
        assert failed(each) == ["registry.records"]


@pytest.mark.parametrize("name", ["format", "node", "at_ms", "attestation", "seal", "enclave", "release"])
def test_members_are_all_there_is(name: str) -> None:
    """A member left out, another one added, or another format is no meeting."""
    shown = met().meeting.as_json()

    for found in (
        {**shown, "more": 1},
        {key: value for key, value in shown.items() if key != name},
        {**shown, name: None},
    ):
        with pytest.raises(Malformed):
            decode_meeting(canonical(found))


@given(st.binary(max_size=200))
def test_bytes_from_anybody(data: bytes) -> None:
    """Whatever is no meeting is refused as malformed."""
    with pytest.raises(Malformed):
        decode_meeting(data)
