"""The verdict: one failure fails it, a skip does not, and it is shown whole."""

from paraph.proofs.verdict import Claim, Outcome, Verdict, render

PASSED, FAILED, SKIPPED = (Claim(each.value.lower(), each, f"{each.value}.") for each in Outcome)


def test_one_failure_fails() -> None:
    """A verdict is verified when nothing failed; what was skipped neither helps nor hurts."""
    assert Verdict((PASSED, SKIPPED), (), ()).verified
    assert not Verdict((PASSED, FAILED, SKIPPED), (), ()).verified


def test_reasons_are_the_failures() -> None:
    """The reasons are the claims that failed, in order."""
    assert Verdict((FAILED, PASSED, FAILED), (), ()).reasons == (("fail", "FAIL."),) * 2
    assert Verdict((PASSED, SKIPPED), (FAILED,), ()).reasons == ()


def test_verdict_is_shown_whole() -> None:
    """As JSON it has every claim, every question and what was not checked."""
    assert Verdict((PASSED, FAILED), (SKIPPED,), ("that.",)).as_json() == {
        "verified": False,
        "questions": [{"code": "skip", "outcome": "SKIP", "sentence": "SKIP."}],
        "claims": [
            {"code": "pass", "outcome": "PASS", "sentence": "PASS."},
            {"code": "fail", "outcome": "FAIL", "sentence": "FAIL."},
        ],
        "not_checked": ["that."],
    }


def test_verdict_is_read_by_people() -> None:
    """As lines it has the result first, every question, every failure with its code, and what was not checked."""
    assert render(Verdict((PASSED, FAILED), (SKIPPED,), ("that.",))) == (
        "NOT VERIFIED",
        "  – SKIP.",
        "  failed: FAIL. [fail]",
        "  not checked: that.",
    )
    assert render(Verdict((PASSED,), (PASSED,), ())) == ("VERIFIED", "  ✓ PASS.")
