"""Amounts: what a person types is read exactly or refused, and what is shown is exact."""

import pytest

from paraph.core.amount import BPS, SUPPLY_WEI, WEI_PER_OPG, Wei, format_opg, parse_opg, share
from paraph.core.errors import BrokenTruth, Malformed

SPELLED = [
    ("0", 0),
    ("12", 12 * 10**18),
    ("0.5", 5 * 10**17),
    ("0.000000000000000001", 1),
    ("1000000000", SUPPLY_WEI),
    ("999999999999.999999999999999999", 10**30 - 1),
]


@pytest.mark.parametrize(("text", "wei"), SPELLED)
def test_text_and_wei_are_one(text: str, wei: int) -> None:
    """An amount is read to the wei and written back as it was."""
    assert parse_opg(text) == wei
    assert format_opg(wei) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "-1",
        "1.",
        ".5",
        "1e3",
        "1_000",
        "1,5",
        "0x1",
        "\u0661",
        "1.0000000000000000001",
        "1" * 13,
    ],
)
def test_other_text_is_refused(text: str) -> None:
    """A sign, an exponent, a nineteenth decimal, another script: refused, never guessed."""
    with pytest.raises(Malformed) as caught:
        parse_opg(text)

    assert caught.value.code == "amount.text"


def test_refusal_shows_no_flood() -> None:
    """A refused megabyte is not repeated in the error."""
    with pytest.raises(Malformed) as caught:
        parse_opg("9" * 1_000_000)

    assert len(caught.value.message) < 200


def test_negative_amount_is_not_shown() -> None:
    """An amount below 0 has no text: whoever made it is wrong."""
    with pytest.raises(BrokenTruth):
        format_opg(-1)


def test_share_rounds_down() -> None:
    """A share is rounded down, in favour of who receives the rest; none and all are exact."""
    assert share(Wei(9_999), 1) == 0
    assert share(Wei(10_001), 5_000) == 5_000
    assert share(Wei(7), 0) == 0
    assert share(SUPPLY_WEI, BPS) == SUPPLY_WEI == 10**9 * WEI_PER_OPG
