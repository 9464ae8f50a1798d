"""Registry reads where validators agree: a state is believed if votes lead to it and witnesses hold the same."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from tests.sim.market import play
from tests.support.build import Tree
from tests.support.comet import FOUR, START_S, Powers, anchor, header, sealed

from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.errors import ParaphError, Rejected, Unavailable, Unverified
from paraph.core.ident import Digest, to_hex
from paraph.flows import belief, registry
from paraph.flows.effect import Effect, Now, Rpc, Wait, Witnesses
from paraph.proofs.light.conflict import Fork
from paraph.proofs.light.types import LightBlock
from paraph.proofs.policy import Trust
from paraph.proofs.seal import ValidatorSeal, engine_chain_id

GENESIS: Final = sha256(b"a genesis")
TRUST: Final = Trust("test", 31_337, GENESIS, (), True, anchor(), 1_000)
NAME: Final = engine_chain_id(TRUST.chain_id, TRUST.genesis)
STATE: Final[dict[bytes, bytes | None]] = {b"key %d" % at: b"value %d" % at for at in range(9)}
HERE, NOT_HERE = b"key 3", b"key 99"
NOW_S: Final = START_S + 500

Blocks = Mapping[int, LightBlock]


def tree_of(state: dict[bytes, bytes | None]) -> Tree:
    found = Tree()
    found.put(state)
    return found


TREE: Final = tree_of(STATE)


def chain(
    sets: Sequence[Powers], root: bytes = TREE.root, signers: Sequence[str] | None = None
) -> dict[int, LightBlock]:
    """Blocks from height 1, each of which names the same state; block `h` is decided by `sets[h − 1]`."""
    blocks: dict[int, LightBlock] = {}
    for height, powers in enumerate(sets, 1):
        following = sets[min(height, len(sets) - 1)]
        found = header(height, powers, following, chain_id=NAME, app_hash=root)
        if height > 1:
            found = replace(found, last_block_id=blocks[height - 1].commit.block_id)
        blocks[height] = sealed(found, powers, signers=signers)
    return blocks


SAME: Final = chain([FOUR] * 5)
SETS: Final[list[dict[str, int]]] = [
    *[dict(FOUR)] * 3,
    {"ann": 1, "ben": 1, "cat": 1, "eve": 1},
    *[{"eve": 1, "fay": 1, "cat": 1, "gil": 1}] * 2,
    *[{"fay": 1, "gil": 1, "hal": 1, "ida": 1}] * 3,
]
TURNING: Final = chain(SETS)
"""From the fourth block on validators leave; of the anchor's, none is left at the end."""


class Servers:
    """Full nodes: the first shows state with the seal of `shown`; all show the light blocks they have."""

    def __init__(self, *nodes: Blocks, shown: Sequence[int] = (), now_s: int = NOW_S, tree: Tree = TREE) -> None:
        self.nodes = nodes
        self.shown = shown or (max(nodes[0]),)
        self.now_s = now_s
        self.tree = tree
        self.asked: list[tuple[str, int]] = []

    def __call__(self, effect: Effect[Any]) -> Any:
        match effect:
            case Now():
                return self.now_s * 1000
            case Witnesses():
                return len(self.nodes) - 1
            case Wait():
                return None
            case Rpc("paraph_getLightBlock", (height,), server):
                self.asked.append(("block", server))
                found = self.nodes[server].get(height)  # type: ignore[arg-type]
                if found is None:
                    raise Rejected("light.none", f"no block {height}")
                return found.as_json()
            case Rpc("paraph_getProof", (keys,), 0):
                self.asked.append(("proof", 0))
                return self.proof(keys)  # type: ignore[arg-type]
            case Rpc("paraph_reportFork", (_,), server):
                self.asked.append(("report", server))
                raise Rejected("rpc.error", "nobody can be slashed for this on this chain")
            case _:
                raise AssertionError(f"nobody answers {effect}")

    def proof(self, keys: Sequence[str]) -> Json:
        seal = ValidatorSeal(tuple(self.nodes[0][height] for height in self.shown))
        rows: list[Json] = []
        for key in keys:
            place = bytes.fromhex(key[2:])
            value = STATE.get(place)
            rows.append(
                {
                    "key": key,
                    "value": None if value is None else to_hex(value),
                    "proof": self.tree.prove(place).as_json(),
                }
            )
        return {"seal": seal.as_json(), "proofs": rows}


def read(servers: Servers, trust: Trust = TRUST) -> registry.Snapshot:
    return play(registry.read(trust, HERE, NOT_HERE), servers)


def refused(servers: Servers, trust: Trust = TRUST) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        read(servers, trust)
    return caught.value


def test_believed_at_once() -> None:
    """Where enough of the pinned validators signed, the block is believed as shown, and nothing more is asked."""
    servers = Servers(SAME)

    found = read(servers)

    assert (found.seal.height, found.seal.state_root) == (4, TREE.root)
    assert {key: each.value for key, each in found.values.items()} == {HERE: STATE[HERE]}
    assert servers.asked == [("proof", 0)]


def test_believed_over_blocks_that_the_server_adds() -> None:
    """A seal may bring the blocks in between itself."""
    servers = Servers(TURNING, shown=(4, 5, 7, 9))

    assert read(servers).seal.height == 8
    assert servers.asked == [("proof", 0)]


def test_believed_over_blocks_that_are_fetched() -> None:
    """Where too many have left since, the blocks in between are fetched, and the seal is what leads there."""
    servers = Servers(TURNING)

    seal = read(servers).seal

    assert isinstance(seal, ValidatorSeal)
    assert (seal.height, len(seal.blocks) > 1) == (8, True)
    assert ("block", 0) in servers.asked


def test_seal_that_skips_too_far() -> None:
    """A seal whose blocks do not lead from one to the next is led to anew from the anchor."""
    servers = Servers(TURNING, shown=(1, 9))

    assert read(servers).seal.height == 8


def test_hidden_blocks() -> None:
    """A server that shows the end but not the way is not believed."""
    servers = Servers({9: TURNING[9]})

    assert refused(servers).code == "light.none"


class TwoFaced(Servers):
    """A server whose seal is of another history than its blocks."""

    def proof(self, keys: Sequence[str]) -> Json:
        shown: Any = super().proof(keys)
        other = chain(SETS, root=sha256(b"another state"))
        return {**shown, "seal": ValidatorSeal((other[9],)).as_json()}


def test_two_states_of_a_server() -> None:
    """A server whose seal and whose own blocks name two states is caught."""
    assert refused(TwoFaced(TURNING)).code == "light.reply"


@pytest.mark.parametrize(
    ("servers", "trust", "refusal"),
    [
        (Servers(SAME), replace(TRUST, anchor=None), "light.anchor"),
        (Servers(SAME), replace(TRUST, chain_id=1), "light.chain"),
        (Servers(SAME), replace(TRUST, genesis=Digest(bytes(32))), "light.chain"),
        (Servers(SAME), replace(TRUST, anchor=anchor({"zed": 1})), "light.next_set"),
        (Servers(chain([FOUR] * 5, signers=("ann", "ben"))), TRUST, "light.power"),
        (Servers(SAME, tree=tree_of({**STATE, b"more": b"1"})), TRUST, "registry.proof"),
    ],
)
def test_not_believed(servers: Servers, trust: Trust, refusal: str) -> None:
    """No anchor, another network, strangers, too few votes, proofs under another root: none is believed."""
    error = refused(servers, trust)

    assert isinstance(error, Unverified)
    assert error.code == refusal


@pytest.mark.parametrize(
    ("now_s", "refusal"),
    [
        (START_S + 5 + registry.AGE_S_MAX, ""),
        (START_S + 5 + registry.AGE_S_MAX + 1, "light.stale"),
        (START_S + 999, "light.stale"),
        (START_S + 1_000, "light.expired"),
        (START_S + 10**9, "light.expired"),
        (START_S + 5 - belief.CLOCK_DRIFT_S + 1, ""),
        (START_S + 5 - belief.CLOCK_DRIFT_S, "light.future"),
    ],
)
def test_times(now_s: int, refusal: str) -> None:
    """An anchor is believed for its period and not a second more; a block may be ahead by less than the drift."""
    servers = Servers(SAME, now_s=now_s)

    found = refused(servers).code if refusal else read(servers).seal.height

    assert found == (refusal or 4)


# --- witnesses -----------------------------------------------------------------------------------------------------


def test_witness_that_agrees() -> None:
    """Witnesses with the same block let the read pass; each was asked."""
    servers = Servers(SAME, SAME, SAME)

    assert read(servers).seal.height == 4
    assert {server for kind, server in servers.asked if kind == "block"} == {1, 2}


def test_witness_that_has_nothing() -> None:
    """A witness that is away says nothing, and does not stop the read while another agrees."""
    assert read(Servers(SAME, {}, SAME)).seal.height == 4


def test_no_witness_has_it() -> None:
    """Silence is no agreement: a block that no witness has yet is not believed, whoever signed it."""
    servers = Servers(SAME, {}, {1: SAME[1]})

    error = refused(servers)

    assert error.code == "light.witness"
    assert "witness 1" in error.message


def test_witness_a_block_behind() -> None:
    """A witness that catches up meanwhile is asked again."""
    late: dict[int, LightBlock] = {}

    class Late(Servers):
        def __call__(self, effect: Effect[Any]) -> Any:
            if isinstance(effect, Wait):
                late.update(SAME)
            return super().__call__(effect)

    assert read(Late(SAME, late)).seal.height == 4


def test_witness_of_a_fork() -> None:
    """A witness with another block signed by the same validators stops the read; all are told of the evidence."""
    other = chain([FOUR] * 5, root=sha256(b"another state"))
    servers = Servers(SAME, SAME, other)

    error = refused(servers)

    assert error.code == "light.fork"
    assert "0 of 3 nodes took the evidence" in error.message
    assert servers.asked[-3:] == [("report", server) for server in range(3)]
    assert (error.facts["height"], error.facts["witness"]) == (5, 2)
    fork = error.facts["fork"]
    assert isinstance(fork, Fork)
    assert fork.first == SAME[5]
    assert len(fork.votes) == len(FOUR)


def test_witness_that_lies_alone() -> None:
    """A witness whose other block nobody signed proves nothing, and does not stop the read while another agrees."""
    other = chain([{"zed": 1}] * 5, root=sha256(b"another state"))

    assert read(Servers(SAME, other, SAME)).seal.height == 4
    assert refused(Servers(SAME, other)).code == "light.witness"


def test_server_that_is_away() -> None:
    """Nothing is believed of a server that does not answer."""

    class Away(Servers):
        def proof(self, keys: Sequence[str]) -> Json:
            raise Unavailable("http.unreachable", "nobody answers")

    assert refused(Away(SAME)).code == "http.unreachable"
