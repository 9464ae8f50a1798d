"""The generated reference says what the code says: interfaces, ABIs, and the pages on contracts, parameters, errors."""

from tools import reference


def test_reference_is_up_to_date() -> None:
    """Every generated file holds what tools/reference.py writes; a new error code without its row fails here."""
    assert sorted(reference.differing()) == [], "run tools/reference.py"


def test_reference_finds_codes() -> None:
    """Codes of errors of each branch, of an error class of its own, and of claims are all found."""
    found = {(each.kind, each.code) for each in reference.found_codes()}

    assert {
        ("malformed", "json.duplicate"),
        ("rejected", "settlement.replay"),
        ("rejected", "gas.out"),
        ("unavailable", "blobs.missing"),
        ("claim", "registry.key"),
        ("claim", "settlement.batch"),
    } <= found
