"""A verdict as an EAT Attestation Result (EAR, draft-ietf-rats-ear), for programs that speak it.

It is unsigned: it says what was found here, and is worth what its bearer is. The tier is never better than the trust
class of the evidence: what is simulated is `contraindicated`, however well it verified.
"""

from typing import Final

from paraph.core.encode import Json
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.verdict import Verdict

PROFILE: Final = "tag:ietf.org,2026:rats/ear#04"
AFFIRMING, WARNING, CONTRAINDICATED = "affirming", "warning", "contraindicated"
TIERS: Final = {
    TrustClass.SIMULATED: CONTRAINDICATED,
    TrustClass.VTPM: WARNING,
    TrustClass.HARDWARE_DEGRADED: WARNING,
    TrustClass.HARDWARE: AFFIRMING,
    TrustClass.HARDWARE_STRICT: AFFIRMING,
}


def ear(verdict: Verdict, trust: TrustClass | None, verifier: str, at_s: int) -> dict[str, Json]:
    """The verdict as an EAR claims-set, in JSON.

    Args:
        verdict: what was found.
        trust: of the enclave's evidence; None where there was no enclave: then nothing is affirmed of one.
        verifier: which software looked, with its version.
        at_s: when, Unix seconds.
    """
    tier = CONTRAINDICATED if not verdict.verified else WARNING if trust is None else TIERS[trust]
    return {
        "eat_profile": PROFILE,
        "iat": at_s,
        "ear.verifier-id": {"developer": "https://github.com/paraph/paraph", "build": verifier},
        "submods": {
            "enclave": {
                "ear.status": tier,
                "ear.appraisal-policy-id": "https://github.com/paraph/paraph/blob/main/docs/spec/attestation.md",
                "paraph.trust-class": "none" if trust is None else trust.word,
                "paraph.verdict": verdict.as_json(),
            }
        },
    }
