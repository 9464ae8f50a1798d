"""Verdicts for programs: no tier is better than the evidence, and what did not verify is contraindicated."""

import pytest

from paraph.proofs.ear import ear
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.verdict import Claim, Outcome, Verdict

GOOD = Verdict((Claim("a.b", Outcome.PASS, "so"),), (), ())
BAD = Verdict((Claim("a.b", Outcome.FAIL, "not so"),), (), ())


@pytest.mark.parametrize(
    ("trust", "status"),
    [
        (None, "warning"),
        (TrustClass.SIMULATED, "contraindicated"),
        (TrustClass.VTPM, "warning"),
        (TrustClass.HARDWARE_DEGRADED, "warning"),
        (TrustClass.HARDWARE, "affirming"),
        (TrustClass.HARDWARE_STRICT, "affirming"),
    ],
    ids=str,
)
def test_tiers(trust: TrustClass | None, status: str) -> None:
    """Only hardware in order is affirmed; a verdict that failed never is."""
    good, bad = (ear(each, trust, "paraph 1", 7) for each in (GOOD, BAD))

    assert good["submods"]["enclave"]["ear.status"] == status  # type: ignore[index, call-overload]
    assert bad["submods"]["enclave"]["ear.status"] == "contraindicated"  # type: ignore[index, call-overload]
    assert (good["iat"], good["ear.verifier-id"]["build"]) == (7, "paraph 1")  # type: ignore[index, call-overload]
