"""Following a chain of light blocks: from what is trusted to a height, over as few blocks as can be found.

No server is believed: each block is verified from the one before. What one server alone can do is show a history that
enough validators signed beside the true one; `compare` asks others for theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paraph.core.errors import ParaphError, Rejected, Unavailable, Unverified, must
from paraph.core.ident import to_hex
from paraph.flows.effect import Flow, Rpc, Wait, Witnesses, ask
from paraph.proofs.light.conflict import Fork, attack, duplicate_votes
from paraph.proofs.light.limits import HOPS_MAX
from paraph.proofs.light.reading import light_block_from_json
from paraph.proofs.light.types import LightBlock, Trusted
from paraph.proofs.light.verify import Checked, check, extend, height_before

WITNESS_TRIES: Final = 8
WITNESS_PAUSE_MS: Final = 500
"""Together four seconds: some blocks' time."""


@dataclass(frozen=True, slots=True)
class Note:
    """Why a witness said nothing that counts: the server's number, the code and the sentence of what went wrong."""

    server: int
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What the witnesses said: the servers that showed the same block, and a note on each of the others.

    Nobody contradicted; whether enough agreed is for the caller to say.
    """

    agreed: tuple[int, ...]
    notes: tuple[Note, ...]


def follow(start: Trusted, chain_id: str, target_height: int, server: int = 0) -> Flow[tuple[LightBlock, ...]]:
    """The blocks that lead from `start` to the target, the target last; none when `start` is the target.

    A server is asked for at most 64 + 53 blocks, since each that does not follow at once halves the distance.
    Not checked here: that `start` may still be trusted, and that the target is not from the future (`period.py`).

    Raises:
        Rejected: `light.backwards`: the target lies below `start`.
        Unverified: `light.reply` for a block of another height, `light.hops` when more than 64 blocks are needed; else
            as `check` and `extend`.
    """
    if target_height < height_before(start):
        sentence = f"height {target_height} lies before {height_before(start)}, from where trust leads forward only"
        raise Rejected("light.backwards", f"{sentence}; pin an earlier anchor")
    if target_height == height_before(start):
        return ()
    trusted = start
    found: list[Checked] = []
    waiting = [check((yield from light_block(target_height, server)), chain_id)]
    while waiting:
        if len(found) == HOPS_MAX:
            reason = f"more than {HOPS_MAX} blocks lead from {height_before(start)} to {target_height}"
            raise Unverified((("light.hops", f"{reason}; pin a newer anchor"),))
        if _follows(trusted, waiting[-1]):
            found.append(waiting.pop())
            trusted = found[-1].block
        else:
            # Only a block that is not next can fail so: there is a height in between, and it is nearer.
            middle = (height_before(trusted) + waiting[-1].block.header.height) // 2
            waiting.append(check((yield from light_block(middle, server)), chain_id))
    return _shortest(start, found)


def compare(start: Trusted, chain: Sequence[LightBlock], chain_id: str, witnesses: int) -> Flow[Witnessed]:
    """Ask witnesses, the servers 1 to `witnesses`, for the block to which `chain`, from `follow`, leads.

    Raises:
        Unverified: `light.fork`: a witness has another block of that height, and it follows from `start` as well. The
            error's fact `fork` is the evidence, a `Fork`, in which the first server's block is the first.
    """
    must(len(chain) > 0, "there is a block to compare")
    agreed: list[int] = []
    notes: list[Note] = []
    for server in range(1, witnesses + 1):
        try:
            other = yield from _contradiction(start, chain[-1], chain_id, server)
        except ParaphError as error:
            notes.append(Note(server, error.code, error.message))
            continue
        if other is None:
            agreed.append(server)
            continue
        fork = yield from _fork(start, chain, other, chain_id, server)
        shown = f"{to_hex(fork.first.header.hash())} and {to_hex(fork.second.header.hash())}"
        reason = f"two blocks of height {fork.first.header.height} are signed, {shown}"
        reason = f"{reason}; believe neither, and show the evidence to both sides"
        raise Unverified((("light.fork", reason),), height=fork.first.header.height, witness=server, fork=fork)
    return Witnessed(tuple(agreed), tuple(notes))


def witnessed(start: Trusted, chain: Sequence[LightBlock], chain_id: str) -> Flow[Witnessed]:
    """As `compare` with all witnesses there are; where there are any, at least one must agree.

    A witness may be a block behind, and is asked again for a while. That it says nothing is no agreement: who shows a
    block that nobody else has yet must not be believed for it.

    Raises:
        Unverified: as `compare`. Unavailable: `light.witness`: none agreed.
    """
    count = yield from ask(Witnesses())
    found = yield from compare(start, chain, chain_id, count)
    for _ in range(WITNESS_TRIES):
        if found.agreed or not count:
            return found
        yield from ask(Wait(WITNESS_PAUSE_MS))
        found = yield from compare(start, chain, chain_id, count)
    said = "; ".join(f"witness {note.server}: {note.sentence}" for note in found.notes)
    height = chain[-1].header.height
    raise Unavailable("light.witness", f"no witness has confirmed block {height} ({said}); try again, or name others")


def light_block(height: int, server: int = 0) -> Flow[LightBlock]:
    """The block of that height as the server shows it, not checked. Raises `Unverified` (`light.reply`)."""
    found = light_block_from_json((yield from ask(Rpc("paraph_getLightBlock", (height,), server))))
    if found.header.height != height:
        reason = f"the server was asked for block {height} and showed block {found.header.height}"
        raise Unverified((("light.reply", reason),))
    return found


def _follows(trusted: Trusted, checked: Checked) -> bool:
    """False when a block in between may help; any other fault is the server's, and raised."""
    try:
        extend(trusted, checked)
    except Unverified as error:
        if error.code != "light.overlap":
            raise
        return False
    return True


def _shortest(start: Trusted, found: Sequence[Checked]) -> tuple[LightBlock, ...]:
    """The fewest of the blocks that still lead from `start` to the last of them."""
    chains: list[tuple[LightBlock, ...]] = []
    for checked in found:
        before = [chain for chain in ((), *chains) if _follows(chain[-1] if chain else start, checked)]
        chains.append((*min(before, key=len), checked.block))
    return chains[-1]


# --- witnesses ---------------------------------------------------------------------------------------------------


def _contradiction(start: Trusted, mine: LightBlock, chain_id: str, server: int) -> Flow[LightBlock | None]:
    """The server's block in the place of mine, verified from `start` over its own history; None when it is mine."""
    height = mine.header.height
    if _same((yield from light_block(height, server)), mine):
        return None
    other = (yield from follow(start, chain_id, height, server))[-1]
    if _same(other, mine):
        reason = f"the server showed two different blocks of height {height}, one after the other"
        raise Unverified((("light.reply", reason),))
    return other


def _fork(start: Trusted, chain: Sequence[LightBlock], other: LightBlock, chain_id: str, server: int) -> Flow[Fork]:
    """The evidence, as far as both servers still support their blocks; that there are two blocks stands in any case."""
    split = yield from _split(start, chain, chain_id, server)
    if split is None:
        return Fork(chain[-1], other, None, None, duplicate_votes(chain[-1], other))
    back = yield from _split(split.common, split.theirs, chain_id, 0)
    mine, theirs = split.mine, split.theirs[-1]
    against_first = attack(split.common, mine, theirs, chain_id)
    against_second = None if back is None else attack(back.common, back.mine, back.theirs[-1], chain_id)
    return Fork(mine, theirs, against_first, against_second, duplicate_votes(mine, theirs))


@dataclass(frozen=True, slots=True)
class _Split:
    """Where two histories part: the last trust in common, my next block, and the blocks that lead to theirs."""

    common: Trusted
    mine: LightBlock
    theirs: tuple[LightBlock, ...]


def _split(start: Trusted, chain: Sequence[LightBlock], chain_id: str, server: int) -> Flow[_Split | None]:
    """Where the server's history, verified from `start`, leaves the chain; None when it does not show where."""
    common = start
    try:
        for block in chain:
            height = block.header.height
            if not _same((yield from light_block(height, server)), block):
                theirs = yield from follow(common, chain_id, height, server)
                if not _same(theirs[-1], block):
                    return _Split(common, block, theirs)
            common = block
    except ParaphError:
        return None
    return None


def _same(one: LightBlock, other: LightBlock) -> bool:
    return one.header.hash() == other.header.hash()
