"""A light block without the votes it can do without: smaller, and nothing left in it can change unnoticed.

A commit of a hundred validators has a hundred votes where sixty-seven decide. What travels in a saved answer carries
those; evidence against validators keeps them all.
"""

from dataclasses import replace

from paraph.core.errors import Unverified
from paraph.proofs.light.types import ABSENT, LightBlock, Trusted
from paraph.proofs.light.verify import check, decided, extend


def trimmed(trusted: Trusted, block: LightBlock, chain_id: str) -> LightBlock:
    """The block with votes enough to follow from `trusted`, the strongest; without any one of them it does not.

    Raises:
        Unverified: as `check` and `extend`, when it does not follow as it is.
    """
    checked = check(block, chain_id)
    extend(trusted, checked)
    kept = checked.places
    # From the least power up, so that the strongest stay. A vote that cannot go now cannot go later either.
    for place in reversed(checked.places):
        fewer = tuple(each for each in kept if each != place)
        try:
            extend(trusted, decided(block, fewer))
        except Unverified:
            continue
        kept = fewer
    votes = (vote if place in kept else ABSENT for place, vote in enumerate(block.commit.signatures))
    return replace(block, commit=replace(block.commit, signatures=tuple(votes)))
