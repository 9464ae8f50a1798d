"""Following a chain: each state that a node shows is believed by its seal, and has to continue the ones before.

A node can withhold and be behind. It cannot show a state that does not follow from what is pinned, nor go back, nor
show a history other than the one it showed: where somebody signed two, both are kept as evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from paraph.core.encode import Json, as_list, take
from paraph.core.errors import Malformed, Unavailable, Unverified
from paraph.core.ident import Digest, from_hex, to_hex
from paraph.core.smt import proof_from_json, proves
from paraph.flows.belief import led
from paraph.flows.effect import Flow, Now, Rpc, ask
from paraph.flows.light import Note, light_block, witnessed
from paraph.proofs.header import HASHES_KEPT, HEAD_KEY, Head, Header, hash_key
from paraph.proofs.light.period import check_period
from paraph.proofs.light.types import Anchor, LightBlock
from paraph.proofs.light.verify import check
from paraph.proofs.policy import Trust
from paraph.proofs.seal import ProducerSeal, Seal, ValidatorSeal, believe, engine_chain_id, seal_from_json

KEYS_PER_CALL: Final = 62
"""State keys asked for at once: a node takes 64, and two are for following."""
TRIES_MAX: Final = 5
"""How often many keys are asked for again because a block came in between."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest believed state: its seal, the header of its block, and why witnesses said nothing that counts."""

    seal: Seal
    header: Header
    notes: tuple[Note, ...]


@dataclass(slots=True)
class Follower:
    """How far a chain was followed. Mutable, and only ever forward: many reads may share one.

    Args:
        trust: what is pinned; its anchor moves on with the chain.
        newest: the newest believed state; None before the first.
    """

    trust: Trust
    newest: Newest | None = None

    def advance(self, found: Newest) -> None:
        """Go on from a believed state, unless a newer one is known already."""
        if self.newest is not None and found.header.height < self.newest.header.height:
            return
        self.newest = found
        if isinstance(found.seal, ValidatorSeal):
            self.trust = replace(self.trust, anchor=anchor_at(found.seal.blocks[-1]))


@dataclass(frozen=True, slots=True)
class View:
    """Values of one believed state; None where the state has none. Every key that was asked for is in it."""

    header: Header
    values: Mapping[bytes, bytes | None]

    def number(self, key: bytes) -> int:
        """The number at a key of a table of numbers (`Numbers`), 0 where there is none."""
        return int.from_bytes(self.values[key] or b"", "big")


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Evidence that two histories were signed: two seals, and the entry of the second state that denies the first.

    Args:
        first, second: the seals; each is believed by itself.
        entry: the second state's proved word for the block of the first; None where both are of one height.
    """

    first: Seal
    second: Seal
    entry: Json

    def as_json(self) -> dict[str, Json]:
        """The evidence as JSON."""
        return {"first": self.first.as_json(), "second": self.second.as_json(), "entry": self.entry}


def view(follower: Follower, keys: Sequence[bytes]) -> Flow[View]:
    """The values of keys, all of the newest state, and the follower led there.

    Raises:
        Unverified: `header.signature`, `light.…`, `verified.proof`, `verified.head`, `verified.rewritten`, the last
            and `light.fork` with the evidence as the fact `fork`.
        Unavailable: `verified.stale`: the node went back; `verified.moving`: blocks come faster than all of it is read.
    """
    for _ in range(TRIES_MAX):
        found = yield from _part(follower, keys[:KEYS_PER_CALL])
        values = dict(found.values)
        for start in range(KEYS_PER_CALL, len(keys), KEYS_PER_CALL):
            part = yield from _part(follower, keys[start : start + KEYS_PER_CALL])
            if part.header != found.header:
                break
            values |= part.values
        else:
            return View(found.header, values)
    raise Unavailable("verified.moving", f"{TRIES_MAX} times a block came while {len(keys)} keys were read; ask again")


def anchor_at(block: LightBlock) -> Anchor:
    """A believed block as where trust begins: its validators decide its height."""
    return Anchor(block.header.height, block.validators, block.header.time.seconds)


def pinned(trust: Trust, height: int, block_hash: Digest) -> Flow[Trust]:
    """Trust in the block of that height and hash, which somebody trusted told: the node only shows it.

    Raises:
        Unverified: `verified.anchor`: the node shows another block; `light.…`: the block does not agree with itself,
            or is too old to trust.
    """
    shown = yield from light_block(height)
    checked = check(shown, engine_chain_id(trust.chain_id, trust.genesis))
    if shown.header.hash() != block_hash:
        reason = f"the node shows {to_hex(shown.header.hash())} as block {height}, not {to_hex(block_hash)}"
        raise Unverified((("verified.anchor", f"{reason}: one of the two is of another chain"),))
    now_ms = yield from ask(Now())
    check_period(checked.block, trust.trusting_period_s, now_ms // 1000)
    return replace(trust, anchor=anchor_at(checked.block))


# --- one call ----------------------------------------------------------------------------------------------------


def _part(follower: Follower, keys: Sequence[bytes]) -> Flow[View]:
    # Others may lead the follower on meanwhile; this reply is judged by what was known when it was asked for.
    before, trust = follower.newest, follower.trust
    asked = [HEAD_KEY, *([] if before is None else [hash_key(before.header.height)]), *keys]
    shown, rows = _reading((yield from ask(Rpc("paraph_getProof", ([to_hex(key) for key in asked],)))), len(asked))
    if before is not None and shown.height < before.header.height:
        reason = f"the node shows block {shown.height}, and has shown block {before.header.height}"
        raise Unavailable("verified.stale", f"{reason}: it is behind itself; ask again", height=shown.height)
    if before is not None and shown == before.seal:
        seal, notes = shown, before.notes
    else:
        seal, notes = yield from _believed(trust, shown)
    values = {key: _value(seal.state_root, key, row) for key, row in zip(asked, rows, strict=True)}
    header = _header(trust, seal, values[HEAD_KEY])
    if before is not None:
        _continues(before, seal, header, values, rows[1])
    follower.advance(Newest(seal, header, notes))
    return View(header, values)


def _reading(reply: Json, count: int) -> tuple[Seal, Sequence[Json]]:
    seal, proofs = take(reply, "the reply to paraph_getProof", "seal", "proofs")
    rows = as_list(proofs, "proofs", items_max=count)
    if len(rows) != count:
        raise Malformed("verified.reply", f"the node answered {len(rows)} of {count} keys")
    return seal_from_json(seal), rows


def _value(state_root: Digest, key: bytes, row: Json) -> bytes | None:
    named, value, proof = take(row, "a proof of state", "key", "value", "proof")
    found = None if value is None else from_hex(value, None, "value")
    if named != to_hex(key) or not proves(state_root, key, found, proof_from_json(proof, "a proof of state")):
        raise Unverified((("verified.proof", f"the node's proof of {key!r} does not hold"),))
    return found


def _header(trust: Trust, seal: Seal, head: bytes | None) -> Header:
    """The header of the block after which the state is, from that state itself."""
    if head is not None:
        header = Head.decode(head).header(seal.state_root)
        if (header.height, header.chain_id, header.genesis) == (seal.height, trust.chain_id, trust.genesis):
            return header
    raise Unverified((("verified.head", f"the state sealed as that after block {seal.height} is of another block"),))


# --- belief ------------------------------------------------------------------------------------------------------


def _believed(trust: Trust, shown: Seal) -> Flow[tuple[Seal, tuple[Note, ...]]]:
    match shown:
        case ProducerSeal():
            believe(shown, trust)
            return shown, ()
        case ValidatorSeal():
            found = yield from led(trust, shown)
            said = yield from witnessed(found.anchor, found.seal.blocks, found.chain_id)
            return found.seal, said.notes
        case _:
            assert_never(shown)


def _continues(before: Newest, seal: Seal, header: Header, values: Mapping[bytes, bytes | None], entry: Json) -> None:
    """Check that a state comes after the one known before, and in its history."""
    known = before.header
    if header.height == known.height:
        same, told = _sealed(seal) == _sealed(before.seal), None
    else:
        # Beyond what a state remembers nothing can be said; the seals alone speak then.
        far = header.height - known.height > HASHES_KEPT
        same, told = far or values[hash_key(known.height)] == known.hash(), entry
    if not same:
        reason = f"two histories are signed: block {known.height} is not in that of block {header.height}"
        evidence = Rewritten(before.seal, seal, told)
        raise Unverified((("verified.rewritten", reason),), height=known.height, fork=evidence)


def _sealed(seal: Seal) -> Digest:
    """The hash that was signed."""
    match seal:
        case ProducerSeal(signed):
            return signed.header.hash()
        case ValidatorSeal(blocks):
            return blocks[-1].header.hash()
        case _:
            assert_never(seal)
