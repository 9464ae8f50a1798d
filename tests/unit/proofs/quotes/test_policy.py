"""The policy: every expectation is one that can fail, and none can be left out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from paraph.core.errors import Malformed, Unverified
from paraph.proofs.quotes.claims import Claims, TrustClass
from paraph.proofs.quotes.policy import AGE_MS_MAX, AHEAD_MS_MAX, Policy, check

NOW_MS: Final = 1_760_000_000_000
MEASURED: Final = {f"pcr{index}": bytes((index + 1,)) * 48 for index in range(16)}
RELEASE: Final = {name: MEASURED[name] for name in ("pcr0", "pcr1", "pcr2")}
CLAIMS: Final = Claims(
    platform="nitro",
    trust=TrustClass.HARDWARE,
    time_ms=NOW_MS,
    debug=False,
    measurements=MEASURED,
    versions={"microcode": 7},
    data=b"",
    nonce=b"",
    key=b"",
    module="i-0123456789abcdef0-enc0123456789abcdef",
    certificates=((b"region", 1), (b"zone", 2)),
)
POLICY: Final = Policy((RELEASE,), TrustClass.HARDWARE)


def measuring(**changes: Any) -> Claims:
    """Claims with other measurements; None leaves one out."""
    found = {name: value for name, value in (MEASURED | changes).items() if value is not None}
    return replace(CLAIMS, measurements=found)


def test_release_is_found() -> None:
    """What is measured is one of the releases; it may name more than it must."""
    other: Mapping[str, bytes] = {**RELEASE, "pcr2": b"other" * 9}
    named = {**RELEASE, "pcr8": MEASURED["pcr8"]}

    assert check(CLAIMS, replace(POLICY, releases=(other, RELEASE)), NOW_MS) == RELEASE
    assert check(CLAIMS, replace(POLICY, releases=(named,)), NOW_MS) == named


@pytest.mark.parametrize(
    ("claims", "policy", "code"),
    [
        (replace(CLAIMS, trust=TrustClass.HARDWARE_DEGRADED), POLICY, "policy.trust"),
        (replace(CLAIMS, trust=TrustClass.SIMULATED, platform="simulated"), POLICY, "policy.trust"),
        (replace(CLAIMS, debug=True), POLICY, "policy.debug"),
        (measuring(pcr1=None), POLICY, "policy.measurement"),
        (measuring(pcr0=b"\x01" * 47 + b"\x02"), POLICY, "policy.measurement"),
        (measuring(pcr1=MEASURED["pcr2"], pcr2=MEASURED["pcr1"]), POLICY, "policy.measurement"),
        (measuring(pcr8=None), replace(POLICY, releases=({**RELEASE, "pcr8": b"8"},)), "policy.measurement"),
        (CLAIMS, replace(POLICY, versions_min={"microcode": 8}), "policy.version"),
        (CLAIMS, replace(POLICY, versions_min={"microcode": 7, "loader": 0}), "policy.version"),
        (replace(CLAIMS, time_ms=NOW_MS - AGE_MS_MAX - 1), POLICY, "policy.stale"),
        (replace(CLAIMS, time_ms=NOW_MS // 1_000), POLICY, "policy.stale"),
        (replace(CLAIMS, time_ms=NOW_MS + AHEAD_MS_MAX + 1), POLICY, "policy.ahead"),
        (CLAIMS, replace(POLICY, revoked_certificates=frozenset({(b"zone", 2)})), "policy.revoked_certificate"),
        (CLAIMS, replace(POLICY, revoked_modules=frozenset({CLAIMS.module})), "policy.revoked_module"),
    ],
    ids=["degraded", "simulated", "debug", "none", "one bit", "swapped", "not there",
         "old version", "no version", "old", "in seconds", "ahead", "certificate", "module"],
)  # fmt: skip
def test_refusals(claims: Claims, policy: Policy, code: str) -> None:
    """Each expectation, failed alone."""
    with pytest.raises(Unverified) as caught:
        check(claims, policy, NOW_MS)

    assert caught.value.code == code


def test_limits_are_included() -> None:
    """A quote is taken up to the limits of its time; a serial number is another issuer's, too."""
    others = frozenset({(b"zone", 1), (b"region", 2)})
    policy = replace(POLICY, revoked_certificates=others, versions_min={"microcode": 7})

    assert check(replace(CLAIMS, time_ms=NOW_MS - AGE_MS_MAX), policy, NOW_MS)
    assert check(replace(CLAIMS, time_ms=NOW_MS + AHEAD_MS_MAX), policy, NOW_MS)
    assert check(replace(CLAIMS, time_ms=None), policy, NOW_MS)


@pytest.mark.parametrize(
    "releases",
    [(), ({},), (RELEASE, {}), ({"pcr0": MEASURED["pcr0"]},), ({**RELEASE, "pcr1": b""},), (RELEASE, {"pcr8": b"8"})],
    ids=["no release", "empty release", "one empty", "one name", "empty measurement", "other name"],
)
def test_empty_expectations(releases: tuple[Mapping[str, bytes], ...]) -> None:
    """A policy that leaves out what must be pinned is an error, whatever the claims."""
    with pytest.raises(Malformed) as caught:
        check(CLAIMS, Policy(releases, TrustClass.HARDWARE), NOW_MS)

    assert caught.value.code == "policy.empty"
