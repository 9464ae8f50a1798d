"""Numbers that are not whole, in files: as decimal text that gives the same number again, spelled in one way only."""

from math import isfinite
from typing import Final

from paraph.core.encode import Json, as_text
from paraph.core.errors import Malformed

CHARACTERS_MAX: Final = 32
"""A double has at most 17 digits, a sign, a point and an exponent of four."""


def text_of(value: float) -> str:
    """The shortest digits that give the same double again."""
    return repr(float(value))


def number_from(value: Json, what: str) -> float:
    """A number from its text.

    Raises:
        Malformed: `json.shape`: no short text. `exact.number`: not a finite number, or spelled otherwise.
    """
    text = as_text(value, what, bytes_max=CHARACTERS_MAX)
    try:
        found = float(text)
    except ValueError as error:
        raise Malformed("exact.number", f"{what} is not a number") from error
    if not isfinite(found) or text_of(found) != text:
        raise Malformed("exact.number", f"{what} is not a finite number in its shortest form")
    return found
