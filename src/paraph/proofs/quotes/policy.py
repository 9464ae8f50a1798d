"""Whether an enclave's claims suffice: code that was released, a root worth enough, recent, and not revoked.

A policy that expects nothing would believe anything, so it is no policy: an empty expectation is an error of whoever
made it, and never a check left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from paraph.core.errors import Malformed
from paraph.proofs.quotes.claims import Claims, TrustClass, refuse

PINNED: Final[Mapping[str, tuple[str, ...]]] = {
    "nitro": ("pcr0", "pcr1", "pcr2"),
    "simulated": ("pcr0", "pcr1", "pcr2"),
    "snp": ("measurement", "policy"),
    "tpm": ("pcr0", "pcr4", "pcr7"),
    "tdx": ("mr_td", "rtmr1", "rtmr2", "td_attributes", "xfam"),
    "sgx": ("mr_enclave", "mr_signer", "attributes"),
}
"""By platform: what a release must name at least. Of Nitro's, the first is of the whole image. Of TDX's they are the
firmware, the kernel, its command line and first disk, and what the machine may do; not what changes with the host:
`rtmr0` with its size and devices, `mr_seam` with each of Intel's modules, whose signer and version are checked anyway.
A release may name them, too, and where the firmware takes tables from the host that the kernel runs, it should.
Of a TPM's they are the firmware, what it started, and which keys may sign that."""
AGE_MS_MAX: Final = 10 * 60 * 1_000
AHEAD_MS_MAX: Final = 60 * 1_000


@dataclass(frozen=True, slots=True)
class Policy:
    """What is expected of an enclave.

    Args:
        releases: the measurements of each approved release, by name; every one that a release names must be equal.
        trust_min: what its root must be worth at least.
        age_ms_max, ahead_ms_max: how far the quote's time may lie behind and ahead of the verifier's, where it has one.
        versions_min: the lowest security versions of the platform's parts, by name.
        revoked_certificates: issuer (DER) and serial number.
        revoked_modules: enclaves by the platform's name.

    Raises:
        Malformed: `policy.empty`: nothing is expected, or a release leaves out what must be pinned.
    """

    releases: tuple[Mapping[str, bytes], ...]
    trust_min: TrustClass
    age_ms_max: int = AGE_MS_MAX
    ahead_ms_max: int = AHEAD_MS_MAX
    versions_min: Mapping[str, int] = field(default_factory=dict)
    revoked_certificates: frozenset[tuple[bytes, int]] = frozenset()
    revoked_modules: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.releases or not all(self.releases):
            raise Malformed("policy.empty", "a policy names at least one release, and a release its measurements")


def check(claims: Claims, policy: Policy, now_ms: int) -> Mapping[str, bytes]:
    """Check claims; returns the release that they are of.

    Args:
        claims: what a quote proves.
        policy: what is expected.
        now_ms: the verifier's clock, or a block's time, Unix milliseconds.

    Raises:
        Unverified: `policy.trust`, `policy.debug`, `policy.measurement`, `policy.version`, `policy.stale`,
            `policy.ahead`, `policy.revoked_certificate`, `policy.revoked_module`.
        Malformed: `policy.empty`: a release leaves out what must be pinned on this platform.
    """
    if claims.trust < policy.trust_min:
        refuse("policy.trust", f"the evidence is {claims.trust.word}; at least {policy.trust_min.word} is wanted")
    if claims.debug:
        refuse("policy.debug", "the enclave was started for debugging: its host can look into it")
    release = _release(claims, policy, PINNED[claims.platform])
    for name, least in policy.versions_min.items():
        found = claims.versions.get(name)
        if found is None or found < least:
            refuse("policy.version", f"the platform's {name} has the security version {found}; {least} is wanted")
    age_ms = 0 if claims.time_ms is None else now_ms - claims.time_ms
    if age_ms > policy.age_ms_max:
        refuse("policy.stale", f"the quote is {age_ms} ms old; at most {policy.age_ms_max} are taken")
    if -age_ms > policy.ahead_ms_max:
        refuse("policy.ahead", f"the quote is {-age_ms} ms ahead of time; at most {policy.ahead_ms_max} are taken")
    for issuer, serial in claims.certificates:
        if (issuer, serial) in policy.revoked_certificates:
            refuse("policy.revoked_certificate", f"the certificate {serial:#x} of its issuer is revoked")
    if claims.module in policy.revoked_modules:
        refuse("policy.revoked_module", f"the enclave {claims.module} is revoked")
    return release


def _release(claims: Claims, policy: Policy, pinned: tuple[str, ...]) -> Mapping[str, bytes]:
    if not all(release.get(name) for release in policy.releases for name in pinned):
        raise Malformed("policy.empty", f"each release for {claims.platform} names {', '.join(pinned)}")
    measured = claims.measurements.items()
    found = next((release for release in policy.releases if release.items() <= measured), None)
    if found is None:
        refuse("policy.measurement", f"no approved release has the measurements of the enclave {claims.module}")
    return found
