"""Reports of forks: what a light client caught is judged by this node's own chain, and handed to consensus.

Whoever signed two histories loses a part of a bond only once a block carries the evidence. Anybody may bring it here;
nothing of it goes on that does not convict a validator of this chain who has not been put out yet.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from paraph.adapters.ethereum.rpc import Group, Method
from paraph.core.encode import Json, JsonObject
from paraph.core.errors import Rejected
from paraph.core.ident import Digest, to_hex
from paraph.full_node.chain import Chain
from paraph.full_node.evidence import attack_evidence, duplicate_vote_evidence
from paraph.ledger.rooms.bonds import rules as bonds
from paraph.ledger.rooms.bonds.keys import VALIDATORS
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.types import UNBOND_DELAY_S
from paraph.ledger.state import State
from paraph.proofs.light.accuse import Judgement, heights, judge
from paraph.proofs.light.conflict import Fork, fork_from_json
from paraph.proofs.light.types import LightBlock, Validator
from paraph.proofs.seal import engine_chain_id


class Court(Protocol):
    """Where evidence against validators goes; each engine has its own."""

    async def decided(self, height: int) -> LightBlock:
        """This chain's block of a height, with the votes that the next block keeps.

        Raises:
            Rejected: `light.none`: no validators vote here. Unavailable: `light.none_yet`: no block follows it yet.
        """
        ...

    async def accuse(self, evidence: JsonObject) -> Digest:
        """Hand evidence to consensus; its hash. Handing it in twice is handing it in once.

        Raises:
            Rejected: `light.none`, `comet.evidence`: the engine does not take it. Unavailable: it does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Charge:
    """One piece of evidence, in the engine's words, and whom it convicts of what, when."""

    kind: str
    validators: tuple[Validator, ...]
    time_s: int
    evidence: JsonObject


class Forks:
    """The door for reports.

    Args:
        chain: judges how old a crime may be, and who is out already.
        court: shows this chain's own blocks, and takes evidence.
    """

    def __init__(self, chain: Chain, court: Court) -> None:
        self._chain = chain
        self._court = court
        # One judgement at a time: that of 200 validators takes a tenth of a second of a core.
        self._turn: Final = asyncio.Lock()

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {"paraph_reportFork": Method(self.report, (_read_fork,), 1, Group.SUBMIT)}

    async def report(self, fork: Fork) -> Json:
        """`paraph_reportFork`: takes evidence that validators decided two blocks of one height.

        Raises:
            Rejected: `fork.nobody`: nobody can be slashed for it; `light.none`, `comet.evidence`. Unavailable:
                `light.none_yet`: ask again after a block; the engine does not answer.
        """
        own = {height: await self._court.decided(height) for height in heights(fork)}
        chain = self._chain
        chain_id = engine_chain_id(chain.genesis.chain_id, chain.genesis_digest)
        async with self._turn:
            judged = await asyncio.to_thread(judge, fork, own, chain_id)
        height = fork.first.header.height
        reasons = list(judged.reasons)
        charges = [each for each in _charges(judged, own[height]) if self._counts(each, reasons)]
        if not charges:
            why = "; ".join(reasons)
            raise Rejected("fork.nobody", f"nobody can be slashed for this on this chain: {why}", height=height)
        taken: list[Json] = []
        refused: list[Rejected] = []
        for each in charges:
            named: list[Json] = [to_hex(validator.key) for validator in each.validators]
            try:
                found = await self._court.accuse(each.evidence)
            except Rejected as error:
                refused.append(error)
                continue
            taken.append({"kind": each.kind, "validators": named, "hash": to_hex(found)})
        if not taken:
            raise refused[0]
        return {"height": height, "evidence": taken}

    def _counts(self, charge: _Charge, reasons: list[str]) -> bool:
        """Whether it would cost anybody anything: the same rules as `bonds.strike`. Why not is added to the reasons."""
        state, now_s = State(self._chain.read), self._chain.head.header.time_s
        delay_s = params.get(state, UNBOND_DELAY_S)
        if now_s - charge.time_s > delay_s:
            reasons.append(f"it happened {now_s - charge.time_s} s ago, and bonds answer for {delay_s} s")
            return False
        if all(_out(state, each) for each in charge.validators):
            reasons.append("whom it convicts was put out already")
            return False
        return True


def _charges(judged: Judgement, truth: LightBlock) -> Iterator[_Charge]:
    by_key = {each.key: each for each in truth.validators}
    for pair in judged.votes:
        evidence = duplicate_vote_evidence(pair, truth)
        yield _Charge("duplicate_vote", (by_key[pair.key],), truth.header.time.seconds, evidence)
    for attack in judged.attacks:
        yield _Charge("light_client_attack", attack.byzantine, attack.time.seconds, attack_evidence(attack))


def _out(state: State, validator: Validator) -> bool:
    operator = bonds.operator_of(state, validator.address)
    found = None if operator is None else VALIDATORS.get(state, operator)
    return found is None or found.tombstoned_s > 0


def _read_fork(value: Json, _what: str) -> Fork:
    return fork_from_json(value)
