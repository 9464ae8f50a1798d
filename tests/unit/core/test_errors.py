"""Errors: four branches, stable codes, facts that survive a process boundary."""

import pickle

import pytest

from paraph.core.errors import BrokenTruth, Malformed, ParaphError, Rejected, Unavailable, Unverified, must


@pytest.mark.parametrize(
    ("kind", "branch"),
    [(Malformed, "malformed"), (Rejected, "rejected"), (Unavailable, "unavailable")],
)
def test_error_says_code_and_sentence(kind: type[ParaphError], branch: str) -> None:
    """An error shows its sentence and its code, and knows its branch."""
    error = kind("area.reason", "What was wrong.", got=3)

    assert str(error) == "What was wrong. [area.reason]"
    assert (error.code, error.message, error.facts, error.branch) == (
        "area.reason",
        "What was wrong.",
        {"got": 3},
        branch,
    )


def test_facts_become_json() -> None:
    """As JSON, a fact that is no integer and no text is shown as text."""
    error = Rejected("a.b", "No.", count=3, name="x", parts=(1, 2))

    assert error.as_json() == {
        "code": "a.b",
        "message": "No.",
        "facts": {"count": 3, "name": "x", "parts": "(1, 2)"},
    }


def test_unverified_keeps_every_reason() -> None:
    """`Unverified` takes the first reason as its own and says how many more there are."""
    one = Unverified((("a", "First."),))
    two = Unverified((("a", "First."), ("b", "Second.")), height=3)

    assert (one.code, one.message) == ("a", "First.")
    assert two.message == "First. (and 1 more)"
    assert two.reasons == (("a", "First."), ("b", "Second."))
    assert (two.branch, two.facts) == ("unverified", {"height": 3})


def test_unverified_needs_a_reason() -> None:
    """Nothing is unverified without a reason."""
    with pytest.raises(BrokenTruth):
        Unverified(())


@pytest.mark.parametrize(
    "error",
    [Malformed("a.b", "No.", got=1), Unverified((("a", "First."), ("b", "Second.")), height=3)],
    ids=["malformed", "unverified"],
)
def test_errors_cross_a_process(error: ParaphError) -> None:
    """An error that is pickled arrives whole."""
    arrived = pickle.loads(pickle.dumps(error))

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert arrived.as_json() == error.as_json()
    assert getattr(arrived, "reasons", ()) == getattr(error, "reasons", ())


def test_must_stops_at_a_broken_truth() -> None:
    """`must` lets the true pass and stops at the false; a broken truth is no `ParaphError` that a caller answers."""
    must(True, "the sky is up")

    with pytest.raises(BrokenTruth, match="the sky is up"):
        must(False, "the sky is up")
    assert not issubclass(BrokenTruth, ParaphError)
