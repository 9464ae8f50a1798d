"""Following light blocks: few requests, the fewest blocks, and servers that lie are caught by others."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.sim.market import play
from tests.support.comet import CHAIN_ID, FOUR, anchor, header, history, recorded, sealed

from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.errors import BrokenTruth, ParaphError, Rejected, Unavailable, Unverified
from paraph.flows import light
from paraph.flows.effect import Effect, Flow, Rpc
from paraph.proofs.light.conflict import Fork
from paraph.proofs.light.limits import HOPS_MAX
from paraph.proofs.light.types import LightBlock, Trusted
from paraph.proofs.light.verify import verify_chain

Server = Mapping[int, LightBlock]


class Servers:
    """Full nodes that show the blocks they have; a list of blocks is shown one at each asking."""

    def __init__(self, *servers: Server) -> None:
        self.servers = servers
        self.asked: list[tuple[int, int]] = []

    def __call__(self, effect: Effect[Any]) -> Json:
        assert isinstance(effect, Rpc)
        assert effect.method == "paraph_getLightBlock"
        (height,) = effect.params
        assert isinstance(height, int)
        self.asked.append((effect.server, height))
        found = self.servers[effect.server].get(height)
        if found is None:
            raise Rejected("blocks.unknown", f"no block {height}")
        return found.as_json()


def followed(start: Trusted, target: int, blocks: Server, chain_id: str = CHAIN_ID) -> tuple[list[int], int]:
    """The heights of the blocks that lead to the target, verified again, and how many were asked for."""
    servers = Servers(blocks)
    chain = play(light.follow(start, chain_id, target), servers)
    assert verify_chain(start, chain, chain_id) == blocks[target]
    return [block.header.height for block in chain], len(servers.asked)


def refused(flow: Flow[Any], servers: Servers) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        play(flow, servers)
    return caught.value


def turning(count: int, every: int = 1) -> list[dict[str, int]]:
    """Sets in which one of three leaves and one comes, every so many blocks."""
    return [{f"v{(height // every) + place}": 1 for place in range(3)} for height in range(count)]


def test_steady_set_needs_one_block() -> None:
    """While the set stays, any block follows at once, from an anchor and from a block."""
    chain = history([FOUR] * 20)

    assert followed(anchor(), 20, chain) == ([20], 1)
    assert followed(anchor(), 1, chain) == ([1], 1)
    assert followed(chain[3], 20, chain) == ([20], 1)


def test_changed_set_is_reached_over_few_blocks() -> None:
    """Where a skip is too far, blocks in between are found, and each of them is needed."""
    chain = history(turning(33, 4))

    heights, asked = followed(anchor(turning(1)[0]), 33, chain)

    assert (heights, asked) == ([8, 12, 16, 20, 24, 28, 30, 33], 8)
    for left_out in range(len(heights) - 1):
        fewer = [chain[height] for at, height in enumerate(heights) if at != left_out]
        with pytest.raises(Unverified):
            verify_chain(anchor(turning(1)[0]), fewer, CHAIN_ID)


def test_set_that_changes_at_once_needs_both_blocks() -> None:
    """Where all validators change at one block, the block before and the block after are the way."""
    chain = history([FOUR] * 10 + [{"eve": 1}] * 10)

    heights, _ = followed(anchor(), 20, chain)

    assert heights == [10, 11, 20]


def test_needless_blocks_are_left_out() -> None:
    """A block found on the way that a later one makes needless is left out."""
    chain = history([FOUR] * 15 + [{"eve": 1}] * 5)

    assert followed(anchor(), 20, chain) == ([15, 16, 20], 5)


def test_recorded_network_is_followed() -> None:
    """The real network's change of powers is followed over the blocks on both sides of it."""
    start, blocks, file = recorded("four")
    change = file["changed_in"][1]
    last = max(blocks)

    def known(effect: Effect[Any]) -> Json:
        assert isinstance(effect, Rpc)
        (height,) = effect.params
        assert isinstance(height, int)
        if height not in blocks:
            raise Unavailable("rpc.unreachable", f"block {height} was not recorded")
        return blocks[height].as_json()

    direct = play(light.follow(start, "paraph-four", change), known)
    over = play(light.follow(blocks[change + 1], "paraph-four", change + 2), known)
    end = play(light.follow(over[-1], "paraph-four", last), known)

    assert [block.header.height for block in (*direct, *over, *end)] == [change, change + 2, last]


def test_target_that_is_trusted_needs_nothing() -> None:
    """What is trusted already needs no block, and nobody is asked."""
    chain = history([FOUR] * 3)
    servers = Servers(chain)

    assert play(light.follow(chain[3], CHAIN_ID, 3), servers) == ()
    assert play(light.follow(anchor(height=4), CHAIN_ID, 3), servers) == ()
    assert servers.asked == []


def test_trust_leads_forward_only() -> None:
    """A target below what is trusted is refused before anyone is asked."""
    chain = history([FOUR] * 3)

    assert refused(light.follow(chain[3], CHAIN_ID, 2), Servers(chain)).code == "light.backwards"
    assert refused(light.follow(anchor(height=3), CHAIN_ID, 1), Servers(chain)).code == "light.backwards"


def test_hostile_blocks_end_the_search() -> None:
    """A block of another height, of another set, or that no one signed is refused by name, not searched around."""
    chain = history([FOUR] * 5 + [{"eve": 1}] * 5)
    lies: dict[str, Server] = {
        "light.reply": {10: chain[9]},
        "light.power": {10: sealed(chain[10].header, {"eve": 1}, signers=[])},
        "light.next_set": {
            10: chain[10],
            **{height: sealed(header(height, {"mal": 1}), {"mal": 1}) for height in range(1, 10)},
        },
        "light.chain": {10: sealed(replace(chain[10].header, chain_id="other"), {"eve": 1})},
        "light.time": {10: sealed(header(10, FOUR, time=chain[1].header.time), FOUR)},
        "blocks.unknown": {10: chain[10]},
    }
    for code, blocks in lies.items():
        assert refused(light.follow(chain[1], CHAIN_ID, 10), Servers(blocks)).code == code


@pytest.mark.parametrize("reply", [None, [], {}, {"header": {}, "commit": {}, "validators": []}, "0x"])
def test_garbage_is_malformed(reply: Json) -> None:
    """A reply that is no light block is malformed."""
    with pytest.raises(ParaphError) as caught:
        play(light.follow(anchor(), CHAIN_ID, 3), lambda _: reply)

    assert caught.value.branch == "malformed"


def test_search_ends() -> None:
    """A history that changes its whole set at every block is given up after 64 blocks, with no request too many."""
    chain = history([{f"v{height}": 1} for height in range(HOPS_MAX + 8)])
    servers = Servers(chain)

    error = refused(light.follow(anchor({"v0": 1}), CHAIN_ID, HOPS_MAX + 8), servers)

    assert error.code == "light.hops"
    assert len(servers.asked) <= HOPS_MAX + 53
    assert len(followed(anchor({"v0": 1}), HOPS_MAX, chain)[0]) == HOPS_MAX


# --- witnesses ---------------------------------------------------------------------------------------------------


SETS = [FOUR] * 10
CHAIN = history(SETS)


def forked(at: int, **changes: Any) -> dict[int, LightBlock]:
    """The same history up to a height, and another from there on, signed by the same validators."""
    made = {height: sealed(replace(CHAIN[height].header, **changes), FOUR) for height in range(at, 11)}
    return {**CHAIN, **made}


def compared(chain: tuple[LightBlock, ...], *servers: Server, start: Trusted | None = None) -> light.Witnessed:
    asked = Servers(CHAIN, *servers)
    return play(light.compare(start or anchor(), chain, CHAIN_ID, len(servers)), asked)


def forks(chain: tuple[LightBlock, ...], *servers: Server, start: Trusted | None = None) -> Fork:
    flow = light.compare(start or anchor(), chain, CHAIN_ID, len(servers) - 1)
    error = refused(flow, Servers(*servers))
    assert error.code == "light.fork"
    fork = error.facts["fork"]
    assert isinstance(fork, Fork)
    assert str(fork) in str(error.as_json())
    return fork


def test_witnesses_agree() -> None:
    """Each witness that shows the same block is counted; the first server is not asked again."""
    asked = Servers(CHAIN, CHAIN, CHAIN)

    found = play(light.compare(anchor(), (CHAIN[10],), CHAIN_ID, 2), asked)

    assert found == light.Witnessed((1, 2), ())
    assert asked.asked == [(1, 10), (2, 10)]


def test_without_witnesses_nobody_agrees() -> None:
    """No witness, no agreement; and there must be something to agree on."""
    assert compared((CHAIN[10],)) == light.Witnessed((), ())
    with pytest.raises(BrokenTruth):
        compared(())


def test_witness_that_cannot_contradict_is_noted() -> None:
    """A witness that has no block, garbage, or one that does not follow is a note, and the others still count."""
    strange = {**CHAIN, 10: sealed(header(10, {"mal": 1}), {"mal": 1})}
    unsigned = {**CHAIN, 10: sealed(replace(CHAIN[10].header, app_hash=sha256(b"x")), FOUR, signers=["ann"])}
    changing = Changing(forked(10, app_hash=sha256(b"x")), CHAIN)

    found = compared((CHAIN[10],), {}, strange, CHAIN, unsigned, changing)

    assert found.agreed == (3,)
    assert [(note.server, note.code) for note in found.notes] == [
        (1, "blocks.unknown"), (2, "light.next_set"), (4, "light.power"), (5, "light.reply"),
    ]  # fmt: skip


class Changing(dict[int, LightBlock]):
    """A server that shows one history at the first asking, and another from then on."""

    def __init__(self, first: Server, then: Server, after: int = 1) -> None:
        super().__init__(first)
        self.then, self.left = then, after

    def get(self, height: int, default: Any = None) -> Any:
        self.left -= 1
        return super().get(height) if self.left >= 0 else self.then.get(height)


def test_contradiction_is_not_taken_back() -> None:
    """Two signed blocks are a fork, even if the witness then shows the first's, or no longer what lies before."""
    false = forked(7, app_hash=sha256(b"x"))
    for witness in (Changing(false, CHAIN, after=2), Changing(false, CHAIN, after=3), {10: false[10]}):
        fork = forks((CHAIN[8], CHAIN[10]), CHAIN, witness)

        assert (fork.first, fork.second) == (CHAIN[10], false[10])
        assert (fork.against_first, fork.against_second) == (None, None)
        assert len(fork.votes) == 4


def test_second_history_is_a_fork() -> None:
    """Another block of the same height that follows from the same trust stops everything, with the evidence."""
    false = forked(10, app_hash=sha256(b"x"))

    fork = forks((CHAIN[10],), CHAIN, CHAIN, false)

    assert fork.against_first is not None
    assert fork.against_first.conflicting == CHAIN[10]
    assert fork.against_second is not None
    assert fork.against_second.conflicting == false[10]
    assert fork.against_first.byzantine == CHAIN[10].validators
    assert len(fork.votes) == 4
    assert all(vote.holds(CHAIN_ID) for vote in fork.votes)


def test_fork_is_followed_back_to_where_it_begins() -> None:
    """The evidence names the last common block and the first block beyond on each side."""
    false = forked(6, app_hash=sha256(b"x"))

    fork = forks((CHAIN[3], CHAIN[5], CHAIN[8], CHAIN[10]), CHAIN, false, start=CHAIN[1])

    assert (fork.first, fork.second) == (CHAIN[8], false[8])
    assert fork.against_first is not None
    assert fork.against_first.conflicting == CHAIN[8]
    assert fork.against_first.common_height == 5
    assert fork.against_second is not None
    assert fork.against_second.conflicting == false[8]


def test_history_with_more_steps_is_a_fork_too() -> None:
    """A witness whose history needs blocks in between forks where its own first step leaves the first server's."""
    other = [FOUR] * 4 + [{"ann": 2, "ben": 2, "eve": 3}] * 3 + [{"eve": 1}] * 3
    false = history(other)
    false = {height: block if height > 3 else CHAIN[height] for height, block in false.items()}

    fork = forks((CHAIN[10],), CHAIN, false, start=CHAIN[3])

    assert fork.against_first is not None
    assert fork.against_first.conflicting == CHAIN[10]
    assert fork.against_second is not None
    assert fork.against_second.conflicting.header.height < 10
    assert fork.votes == ()


def test_first_server_that_hides_is_still_accused() -> None:
    """When the first server shows no more, or suddenly the other's blocks, its own block is evidence all the same."""
    false = forked(10, app_hash=sha256(b"x"))

    for first in ({}, false):
        fork = forks((CHAIN[10],), first, false)

        assert fork.against_first is not None
        assert fork.against_first.conflicting == CHAIN[10]
        assert fork.against_second is None
