"""Full nodes for tests of verified reads: a real chain behind its real RPC, sealed by a producer or by validators.

Every reply passes through `lie`, so that a test can change what it likes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from tests.sim.market import PRODUCER, Ledger, local, opened, play
from tests.support.comet import FOUR, START_S, Powers, anchor, header, sealed

from paraph.adapters.fakes.clock import FakeClock
from paraph.core.encode import Json, canonical, decode
from paraph.core.errors import Unavailable
from paraph.core.ident import digest_from_hex, to_hex
from paraph.core.smt import EMPTY, StateProof
from paraph.flows.effect import Effect, Flow, Now, Rpc, Witnesses
from paraph.flows.verified.follow import Follower
from paraph.ledger import tree
from paraph.proofs.header import Header, SignedHeader
from paraph.proofs.light.types import LightBlock, Timestamp
from paraph.proofs.policy import Trust
from paraph.proofs.seal import ProducerSeal, ValidatorSeal, engine_chain_id

T = TypeVar("T")
Lie = Callable[[Rpc, Any], Any]


def honest(_effect: Rpc, reply: Any) -> Any:
    return reply


class SoloNode:
    """A node of a network that one producer signs."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.ledger = ledger or opened()
        self.trust: Trust = self.ledger.trust
        self.lie: Lie = honest
        self.asked: list[Rpc] = []

    def follower(self) -> Follower:
        return Follower(self.trust)

    def play(self, flow: Flow[T]) -> T:
        return play(flow, self._do)

    def grow(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.ledger.engine.produce()

    def header(self) -> Header:
        return self.ledger.chain.head.header

    def shown(self, effect: Rpc) -> Any:
        """The honest reply."""
        return self.ledger.rpc(effect)

    def _do(self, effect: Effect[Any]) -> Any:
        if not isinstance(effect, Rpc):
            return self.local(effect)
        self.asked.append(effect)
        reply: Any = decode(canonical(self.shown(effect)))
        return self.lie(effect, reply)

    def local(self, effect: Effect[Any]) -> Any:
        return local(self.ledger)(effect)


class ValidatorNode(SoloNode):
    """A node of a network that four validators sign: the state after block h is in the engine's block h + 1.

    Args:
        sets: who decides the engine's block of each height; the last set stays.
        witnesses: other nodes that are asked.
    """

    def __init__(
        self,
        ledger: Ledger | None = None,
        sets: tuple[Powers, ...] = (FOUR,),
        witnesses: tuple["ValidatorNode", ...] = (),
    ) -> None:
        super().__init__(ledger)
        self.sets = sets
        self.witnesses = witnesses
        self.trust = replace(self.ledger.trust, producers=(), anchor=anchor(sets[0]), trusting_period_s=14 * 86_400)
        self.now_s = START_S + 100

    def light_block(self, height: int) -> LightBlock:
        """The engine's block of a height: it names the state after the one before."""
        at = [self.sets[min(place, len(self.sets)) - 1] for place in (height, height + 1)]
        chain_id = engine_chain_id(self.trust.chain_id, self.trust.genesis)
        root = self.ledger.chain.header(height - 1).state_root
        changes: dict[str, Any] = {"app_hash": root, "chain_id": chain_id, "time": Timestamp(START_S + height, 5)}
        return sealed(header(height, at[0], at[1], **changes), at[0])

    def shown(self, effect: Rpc) -> Any:
        if effect.method == "paraph_getLightBlock":
            (height,) = effect.params
            assert isinstance(height, int)
            return self.light_block(height).as_json()
        reply: Any = self.ledger.rpc(effect)
        if effect.method == "paraph_getProof":
            seal = ValidatorSeal((self.light_block(self.ledger.chain.height + 1),))
            return {**reply, "seal": seal.as_json()}
        return reply

    def local(self, effect: Effect[Any]) -> Any:
        match effect:
            case Now():
                return self.now_s * 1000
            case Witnesses():
                return len(self.witnesses)
            case _:
                return super().local(effect)

    def _do(self, effect: Effect[Any]) -> Any:
        if isinstance(effect, Rpc) and effect.server:
            return self.witnesses[effect.server - 1]._do(replace(effect, server=0))
        return super()._do(effect)


def down(_effect: Rpc, _reply: Any) -> Any:
    """The node does not answer."""
    raise Unavailable("http.unreachable", "nobody there")


def forged(state: dict[bytes, bytes], header: Header) -> Lie:
    """A lie of the producer itself: it signs a header of its own over a state of its own, and proves from that."""
    update = tree.update(lambda _: None, EMPTY, state)
    made = replace(header, state_root=update.root)
    seal = ProducerSeal(SignedHeader(made, PRODUCER.sign(made.hash())))

    def lie(effect: Rpc, reply: Any) -> Any:
        if effect.method != "paraph_getProof":
            return reply
        return {"seal": seal.as_json(), "proofs": [row(each["key"]) for each in reply["proofs"]]}

    def row(key: str) -> Json:
        name = bytes.fromhex(key[2:])
        value, proof = state.get(name), tree.prove(update.added.get, update.root, name)
        assert isinstance(proof, StateProof)
        return {"key": key, "value": None if value is None else to_hex(value), "proof": proof.as_json()}

    return lie


def fork(node: SoloNode) -> SoloNode:
    """Another history of the same network: the same genesis and key, and other blocks."""
    other = Ledger(FakeClock(node.ledger.clock.now_ms() + 7_000))
    assert digest_from_hex(to_hex(other.trust.genesis), "genesis") == node.trust.genesis
    return SoloNode(other)
