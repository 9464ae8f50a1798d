"""The tree of errors: four branches, named for what the caller can do.

Every error carries a `code` that never changes, a sentence for a person, and the facts that failed.
"""

from typing import ClassVar, Final


class ParaphError(Exception):
    """The root of every error paraph raises on purpose.

    Args:
        code: stable machine name, `area.reason`; callers branch on it, never on the message.
        message: one sentence: what was wrong, what was expected, what to do.
        facts: the numbers and names that failed, safe to show and to log.
    """

    branch: ClassVar[str] = "error"

    def __init__(self, code: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.code: Final = code
        self.message: Final = message
        self.facts: Final = facts

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.facts))

    def as_json(self) -> dict[str, object]:
        """The error as a JSON object: `code`, `message`, `facts` (every fact as text unless an integer)."""
        facts = {name: fact if isinstance(fact, int | str) else str(fact) for name, fact in self.facts.items()}
        return {"code": self.code, "message": self.message, "facts": facts}


class Malformed(ParaphError):
    """The bytes are not what they claim to be. Nothing was done; send other bytes."""

    branch = "malformed"


class Rejected(ParaphError):
    """Well formed, and refused by a rule. Nothing was done; change the request."""

    branch = "rejected"


class Unavailable(ParaphError):
    """Something needed is not there now. Trying again with the same key is safe."""

    branch = "unavailable"


class Unverified(ParaphError):
    """A claim did not verify. `reasons` holds every reason, each as (code, sentence)."""

    branch = "unverified"

    def __init__(self, reasons: tuple[tuple[str, str], ...], **facts: object) -> None:
        must(len(reasons) > 0, "Unverified needs at least one reason")
        code, sentence = reasons[0]
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        super().__init__(code, sentence + more, **facts)
        self.reasons: Final = reasons

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_unverified, (self.reasons, self.facts))


class BrokenTruth(AssertionError):
    """Something that is always true was false: the fault is ours, and stopping is the kindest thing."""


def must(condition: bool, truth: str) -> None:
    """State what must be true here.

    Raises:
        BrokenTruth: it is false.
    """
    if not condition:
        raise BrokenTruth(truth)


def _rebuild(kind: type[ParaphError], code: str, message: str, facts: dict[str, object]) -> ParaphError:
    return kind(code, message, **facts)


def _rebuild_unverified(reasons: tuple[tuple[str, str], ...], facts: dict[str, object]) -> Unverified:
    return Unverified(reasons, **facts)
