"""The generated messages are what the compiler makes of abci.proto."""

from tools import abci


def test_generated_is_up_to_date() -> None:
    """Both generated files hold what tools/abci.py writes."""
    assert sorted(abci.differing()) == [], "run tools/abci.py"
