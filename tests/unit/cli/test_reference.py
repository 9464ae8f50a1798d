"""The reference page of the command line says what the commands say, and names every variable that they read."""

import re
from pathlib import Path

from tools.cli_reference import PAGE, page

SOURCE = Path(__file__).parents[3] / "src" / "paraph" / "cli"


def test_page_is_current() -> None:
    """The page is what its generator writes."""
    assert PAGE.read_text(encoding="utf-8") == page(), "run tools/cli_reference.py"


def test_every_variable_is_documented() -> None:
    """Each environment variable that the source names stands in the page."""
    text = "".join(file.read_text() for file in SOURCE.glob("*.py"))
    named = set(re.findall(r"\b(PARAPH_[A-Z_]+|NO_COLOR)\b", text))

    assert {name for name in named if f"`{name}`" not in page()} == set()
