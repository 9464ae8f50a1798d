"""Leading from a pinned anchor to the light block that a server shows, within the times in which that can be believed.

Registry reads and the light client both begin so; what each then asks of witnesses and of age is its own.
"""

from dataclasses import dataclass
from typing import Final

from paraph.core.errors import BrokenTruth, Unverified
from paraph.flows.effect import Flow, Now, ask
from paraph.flows.light import follow
from paraph.proofs.light.period import check_clock, check_period
from paraph.proofs.light.types import Anchor
from paraph.proofs.policy import Trust
from paraph.proofs.seal import ValidatorSeal, believe, engine_chain_id

CLOCK_DRIFT_S: Final = 60
"""How far ahead of ours the clocks of validators may be; more is a forgery or a clock to be set."""


@dataclass(frozen=True, slots=True)
class Led:
    """Where an anchor leads: the seal, with the blocks in between where they are needed, and by what it was judged."""

    seal: ValidatorSeal
    anchor: Anchor
    chain_id: str
    now_s: int


def led(trust: Trust, shown: ValidatorSeal) -> Flow[Led]:
    """A seal of the state that the server shows, which follows from what is pinned.

    Raises:
        Unverified: `light.…`: none does, the anchor is too old, the block is from the future, or the blocks in between
            lead to another state.
    """
    anchor = trust.anchor
    if anchor is None:
        believe(shown, trust)
        raise BrokenTruth("without an anchor no validators are believed")
    now_s = (yield from ask(Now())) // 1000
    check_period(anchor, trust.trusting_period_s, now_s)
    chain_id = engine_chain_id(trust.chain_id, trust.genesis)
    seal = shown
    try:
        believe(shown, trust)
    except Unverified as error:
        if error.code not in ("light.overlap", "light.next_set"):
            raise
        # Too much has changed since: the blocks in between lead there.
        seal = ValidatorSeal((yield from follow(anchor, chain_id, shown.blocks[-1].header.height)))
        if seal.state_root != shown.state_root:
            reason = f"the server shows two states after block {shown.height}"
            raise Unverified((("light.reply", reason),)) from error
    check_clock(seal.blocks[-1], CLOCK_DRIFT_S, now_s)
    return Led(seal, anchor, chain_id, now_s)
