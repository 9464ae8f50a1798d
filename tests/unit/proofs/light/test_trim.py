"""Trimmed blocks hold the votes they need and no other."""

from dataclasses import replace

import pytest
from tests.support.comet import CHAIN_ID, FOUR, anchor, header, members, sealed

from paraph.core.errors import Unverified
from paraph.proofs.light.trim import trimmed
from paraph.proofs.light.types import ABSENT, Flag, LightBlock, Trusted
from paraph.proofs.light.verify import check, extend

WIDE = {"ann": 9, "ben": 7, "cat": 5, "dan": 3, "eve": 1}


def votes(block: LightBlock) -> list[bytes]:
    return [vote.validator for vote in block.commit.signatures if vote.flag is not Flag.ABSENT]


@pytest.mark.parametrize(
    ("start", "powers", "nil", "kept"),
    [
        (anchor(FOUR, 9), FOUR, (), 3),
        (anchor(FOUR), FOUR, (), 3),
        (anchor(FOUR), FOUR, ("ann",), 3),
        (anchor(WIDE, 9), WIDE, (), 3),  # 9 + 7 + 5 of 25
        (anchor({"eve": 1}), WIDE, (), 3),  # 9 + 7, and the one who is trusted
    ],
)
def test_needed_votes_stay(start: Trusted, powers: dict[str, int], nil: tuple[str, ...], kept: int) -> None:
    """A trimmed block follows, with fewer votes; without any one of those it does not."""
    block = sealed(header(9, powers), powers, nil=nil)

    small = trimmed(start, block, CHAIN_ID)

    assert len(votes(small)) == kept
    assert extend(start, check(small, CHAIN_ID)) == small
    assert (small.header, small.validators) == (block.header, block.validators)
    for place, vote in enumerate(small.commit.signatures):
        if vote is not ABSENT:
            fewer = (*small.commit.signatures[:place], ABSENT, *small.commit.signatures[place + 1 :])
            with pytest.raises(Unverified):
                extend(start, check(replace(small, commit=replace(small.commit, signatures=fewer)), CHAIN_ID))


def test_strongest_stay() -> None:
    """The weakest votes go first."""
    small = trimmed(anchor(WIDE, 9), sealed(header(9, WIDE), WIDE), CHAIN_ID)

    assert votes(small) == [each.address for each in members(WIDE)[:3]]


def test_odd_votes_go() -> None:
    """A vote that does not verify is not kept."""
    block = sealed(header(9, FOUR), FOUR)
    odd = replace(block.commit.signatures[0], signature=bytes(64))
    block = replace(block, commit=replace(block.commit, signatures=(odd, *block.commit.signatures[1:])))

    assert votes(trimmed(anchor(), block, CHAIN_ID)) == [each.address for each in block.validators[1:]]


def test_what_does_not_follow_is_not_trimmed() -> None:
    """A block that does not follow is refused as it is."""
    with pytest.raises(Unverified) as caught:
        trimmed(anchor({"eve": 1}), sealed(header(9, FOUR), FOUR), CHAIN_ID)

    assert caught.value.code == "light.overlap"
