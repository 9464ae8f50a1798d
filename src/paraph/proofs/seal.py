"""What makes a state root believable: a pinned producer's signature, or validators that follow from a pinned set.

A seal stands beside every proof of state. Its height and root are its own word until `believe` has checked it.
"""

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from paraph.core.encode import Json, as_list, as_object, take
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Digest
from paraph.proofs.header import SignedHeader, header_from_json
from paraph.proofs.light.limits import HOPS_MAX
from paraph.proofs.light.reading import light_block_from_json
from paraph.proofs.light.trim import trimmed
from paraph.proofs.light.types import Anchor, LightBlock, Trusted
from paraph.proofs.light.verify import verify_chain
from paraph.proofs.policy import Trust

PRODUCER, VALIDATORS = "producer", "validators"


@dataclass(frozen=True, slots=True)
class ProducerSeal:
    """The header after which the state is, signed by its producer."""

    signed: SignedHeader

    @property
    def height(self) -> int:
        """The block after which the state is."""
        return self.signed.header.height

    @property
    def time_s(self) -> int:
        """The time of the block that seals it, Unix seconds."""
        return self.signed.header.time_s

    @property
    def state_root(self) -> Digest:
        """The root of that state."""
        return self.signed.header.state_root

    def as_json(self) -> dict[str, Json]:
        """The seal as JSON."""
        return {"kind": PRODUCER, "header": self.signed.as_json()}


@dataclass(frozen=True, slots=True)
class ValidatorSeal:
    """Light blocks, lowest first; the last one's header names the state root of the block before it."""

    blocks: tuple[LightBlock, ...]

    @property
    def height(self) -> int:
        """The block after which the state is."""
        return self.blocks[-1].header.height - 1

    @property
    def time_s(self) -> int:
        """The time of the block that seals it, Unix seconds."""
        return self.blocks[-1].header.time.seconds

    @property
    def state_root(self) -> Digest:
        """The root of that state."""
        return Digest(self.blocks[-1].header.app_hash)

    def as_json(self) -> dict[str, Json]:
        """The seal as JSON."""
        return {"kind": VALIDATORS, "blocks": [block.as_json() for block in self.blocks]}


Seal: TypeAlias = ProducerSeal | ValidatorSeal


def seal_from_json(value: Json) -> Seal:
    """Read what `as_json` of a seal wrote. Raises `Malformed` (`seal.kind`, and as headers and light blocks do)."""
    kind = as_object(value, "seal").get("kind")
    if kind == PRODUCER:
        _, header = take(value, "seal", "kind", "header")
        return ProducerSeal(header_from_json(header))
    if kind != VALIDATORS:
        raise Malformed("seal.kind", f"a seal is of the kind {PRODUCER} or {VALIDATORS}")
    _, blocks = take(value, "seal", "kind", "blocks")
    listed = as_list(blocks, "seal.blocks", items_max=HOPS_MAX)
    if not listed:
        raise Malformed("seal.kind", "a seal by validators has at least one light block")
    return ValidatorSeal(tuple(light_block_from_json(each) for each in listed))


def engine_chain_id(chain_id: int, genesis: Digest) -> str:
    """What the validators' engine calls the network: votes name it, so that none counts on another."""
    return f"paraph-{chain_id}-{genesis[:16].hex()}"


def believe(seal: Seal, trust: Trust) -> str:
    """Check a seal against what is pinned. Returns a sentence that says what was found.

    Raises:
        Unverified: `header.signature` where a producer signs, `light.…` where validators do.
    """
    match seal:
        case ProducerSeal(signed):
            header = signed.header
            known = (header.chain_id, header.genesis) == (trust.chain_id, trust.genesis)
            if not known or not any(signed.signed_by(producer) for producer in trust.producers):
                reason = f"no producer pinned for {trust.network} signed the header of block {header.height}"
                raise Unverified((("header.signature", reason),))
            return f"block {header.height} is signed by a producer pinned for {trust.network}"
        case ValidatorSeal(blocks):
            last = verify_chain(_anchor(trust), blocks, engine_chain_id(trust.chain_id, trust.genesis))
            return (
                f"the state after block {seal.height} is in block {last.header.height}; more than two thirds of its"
                f" {len(last.validators)} validators' votes signed it, and they follow from those pinned for"
                f" {trust.network} in {len(blocks)} {'step' if len(blocks) == 1 else 'steps'}"
            )
        case _:
            assert_never(seal)


def slim(seal: Seal, trust: Trust) -> Seal:
    """A believed seal without the votes it can do without: what travels in a file, where nothing may change unnoticed.

    Raises:
        Unverified: as `believe`.
    """
    match seal:
        case ProducerSeal():
            return seal
        case ValidatorSeal(blocks):
            chain_id = engine_chain_id(trust.chain_id, trust.genesis)
            trusted: Trusted = _anchor(trust)
            kept: list[LightBlock] = []
            for block in blocks:
                kept.append(trimmed(trusted, block, chain_id))
                trusted = block
            return ValidatorSeal(tuple(kept))
        case _:
            assert_never(seal)


def _anchor(trust: Trust) -> Anchor:
    if trust.anchor is None:
        reason = f"no validators are pinned for {trust.network}, so none of their votes can be believed"
        raise Unverified((("light.anchor", reason),))
    return trust.anchor
