"""The verdict: every claim that was looked at, the four questions, and what was not checked."""

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from paraph.core.encode import Json
from paraph.proofs.quotes.claims import TrustClass

T = TypeVar("T")


class Outcome(Enum):
    """What became of a claim. SKIP means that nothing here speaks for it or against it."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim: a stable code, what became of it, and one sentence."""

    code: str
    outcome: Outcome
    sentence: str

    def as_json(self) -> dict[str, Json]:
        """The claim as JSON."""
        return {"code": self.code, "outcome": self.outcome.value, "sentence": self.sentence}


def claim(code: str, holds: bool, yes: str, no: str) -> Claim:
    """A claim that holds, or does not, with the sentence for either."""
    return Claim(code, Outcome.PASS if holds else Outcome.FAIL, yes if holds else no)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was found.

    Args:
        claims: in the order of checking.
        questions: the four questions, each answered as a claim; SKIP where the layer gives no evidence.
        not_checked: sentences, for the reader to know what is left to trust.
    """

    claims: tuple[Claim, ...]
    questions: tuple[Claim, ...]
    not_checked: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """True when no claim failed."""
        return all(claim.outcome is not Outcome.FAIL for claim in self.claims)

    @property
    def reasons(self) -> tuple[tuple[str, str], ...]:
        """Every claim that failed, as (code, sentence)."""
        return tuple((claim.code, claim.sentence) for claim in self.claims if claim.outcome is Outcome.FAIL)

    def as_json(self) -> dict[str, Json]:
        """The verdict as JSON."""
        return {
            "verified": self.verified,
            "questions": [question.as_json() for question in self.questions],
            "claims": [claim.as_json() for claim in self.claims],
            "not_checked": list(self.not_checked),
        }


MARKS = {Outcome.PASS: "✓", Outcome.FAIL: "✗", Outcome.SKIP: "–"}


def render(verdict: Verdict) -> tuple[str, ...]:
    """The verdict as plain lines for a person: the result, the four questions, why it failed, what was not checked."""
    return (
        "VERIFIED" if verdict.verified else "NOT VERIFIED",
        *(f"  {MARKS[question.outcome]} {question.sentence}" for question in verdict.questions),
        *(f"  failed: {sentence} [{code}]" for code, sentence in verdict.reasons),
        *(f"  not checked: {sentence}" for sentence in verdict.not_checked),
    )


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A thing that was verified, with the verdict, and what was demanded of an enclave. Only `proofs` makes one."""

    thing: T
    verdict: Verdict
    least: TrustClass = TrustClass.HARDWARE
