"""Exact models: registered once, by the model's owner, if it can be read and proven; and the work that this may be."""

from typing import Any

import pytest
from tests.support_ledger.promises import EXACT, GAS, GRAPH, WEIGHT_ROOT, Judge, exact_world, prove, register_exact
from tests.support_ledger.world import (
    ALICE,
    GOVERNOR,
    MODEL,
    OWNER,
    World,
    call,
    code,
    events,
    model_arguments,
    sentence,
)

from paraph.core.digest import sha256
from paraph.core.ident import Digest, ModelId
from paraph.ledger.rooms.models.exact import GAS_PER_BYTE, PLANNING, whole
from paraph.ledger.rooms.models.keys import EXACT as RECORDS
from paraph.ledger.rooms.models.keys import GRAPH_WORK, GRAPHS
from paraph.ledger.rooms.models.work import Spent
from paraph.ledger.rooms.params.types import GAS_PER_WORK, PROOF_WORK_BLOCK_MAX
from paraph.ledger.state import State
from paraph.ledger.versions import BY_NAME
from paraph.proofs.records import ExactModel, exact_key
from paraph.proofs.zk.graph import GRAPH_BYTES_MAX, Clip, Gemm, Graph, MaxPool, Requant
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import VERSION, Mode

OTHER = ModelId(b"\x05" * 32)
MODELS = BY_NAME["Models"].address


def opened() -> World:
    world = World.new()
    world.must(OWNER, "Models", "register", *model_arguments(kind="tensor", layers=4))
    return world


def test_registered() -> None:
    """The record, provable under its key, has the graph's digest, the weight root and the version; all may read it."""
    world = opened()

    result = register_exact(world)

    record = ExactModel(GRAPH.digest, WEIGHT_ROOT, VERSION)
    assert result.error == ""
    assert events(result) == [("ExactModelRegistered", (MODEL, EXACT.id, GRAPH.digest, WEIGHT_ROOT, VERSION))]
    assert world.state[exact_key(MODEL)] == record.encode()
    assert world.view("Models", "exact", MODEL) == (EXACT.id, GRAPH.digest, WEIGHT_ROOT, VERSION)
    assert world.view("Models", "graph", MODEL) == GRAPH.bytes
    state = State(world.state.get)
    assert whole(state, record) == EXACT
    assert GRAPH_WORK.get(state, GRAPH.digest) == plan(GRAPH, 1, Mode.SUCCINCT).cost


def test_gas_is_by_bytes() -> None:
    """A graph pays for each of its bytes, and for the planning of a proof."""
    longer = Graph((4,), (*GRAPH.nodes[:2], Gemm(2, 3)))
    table = Graph((4,), (Gemm(0, 3), Requant(1, 1, 4, -4096, 4096, Clip(-100, 100)), Gemm(2, 2)))
    used = [register_exact(opened(), graph=graph.bytes).gas_used for graph in (GRAPH, table, longer)]

    data = [call("Models", "registerExact", MODEL, graph.bytes, WEIGHT_ROOT, VERSION) for graph in (GRAPH, table)]
    spread = sum(16 if each else 4 for each in data[1]) - sum(16 if each else 4 for each in data[0])
    assert min(used) > GAS_PER_WORK * PLANNING
    assert used[1] - used[0] == spread + GAS_PER_BYTE * (len(table.bytes) - len(GRAPH.bytes))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no JSON": ({"graph": b"{"}, "json.syntax"),
    "nothing": ({"graph": b""}, "json.syntax"),
    "no graph": ({"graph": b"{}"}, "json.shape"),
    "not canonical": ({"graph": GRAPH.bytes.replace(b'"op":"gemm"', b'"op": "gemm"', 1)}, "graph.spelling"),
    "a node that cannot be": ({"graph": GRAPH.bytes.replace(b'"outputs":3', b'"outputs":0')}, "graph.node"),
    "too long": ({"graph": b" " * (GRAPH_BYTES_MAX + 1)}, "models.exact_size"),
    "no version": ({"version": 0}, "models.exact_form"),
    "a later version": ({"version": VERSION + 1}, "models.exact_form"),
    "by another": ({"owner": ALICE}, "models.owner"),
    "of no model": ({"model": OTHER}, "models.unknown"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """What is no graph, too long, of another version, or not the owner's: nothing is registered."""
    world = opened()
    changes, refusal = REFUSED[name]

    result = register_exact(world, **changes)

    assert code(result) == refusal, result.error
    assert exact_key(MODEL) not in world.state
    assert not [key for key in world.state if key.startswith(GRAPHS)]


def test_a_graph_at_the_most_bytes_is_read() -> None:
    """The limit of bytes refuses nothing that is within it: what is wrong with such a graph is another thing."""
    assert code(register_exact(opened(), graph=b"0" * GRAPH_BYTES_MAX)) != "models.exact_size"


def test_a_sentence_says_what_is_wrong() -> None:
    """The refusal carries what the reader of graphs found."""
    assert "this is no graph of an exact model" in sentence(register_exact(opened(), graph=b"{}"))


def test_what_cannot_be_proven_is_not_registered() -> None:
    """A model beyond the limits of the proof system, or whose proof no transaction carries, is refused."""
    layers = Graph((1, 64, 64), tuple(MaxPool(0, (64, 64), (1, 1)) for _ in range(2)))
    wide = Graph((2**16,), tuple(Requant(0, 1, 0, -128, 127, Clip(0, 127)) for _ in range(8)))

    assert code(register_exact(opened(), graph=layers.bytes)) == "zk.size"
    result = register_exact(opened(), graph=wide.bytes)
    assert (code(result), "a transaction has at most" in sentence(result)) == ("models.exact_size", True)


def test_once() -> None:
    """What a model computes never changes, not by its owner, and not by a new one; another model may compute it too."""
    world = opened()
    assert register_exact(world).error == ""
    world.must(OWNER, "Models", "transfer", MODEL, ALICE.address)
    again = register_exact(world, owner=ALICE, weight_root=sha256(b"others"))
    world.must(OWNER, "Models", "register", *model_arguments(model_id=OTHER, kind="tensor"))

    assert code(again) == "models.exact_exists"
    assert world.view("Models", "exact", MODEL)[2] == WEIGHT_ROOT
    assert register_exact(world, OTHER, weight_root=sha256(b"others")).error == ""
    assert world.view("Models", "exact", OTHER)[2] == sha256(b"others")


def test_text_models_are_not_exact() -> None:
    """Tensors alone are exact."""
    world = World.new()
    world.must(OWNER, "Models", "register", *model_arguments(kind="text"))

    assert code(register_exact(world)) == "models.exact_form"


def test_unregistered() -> None:
    """A model that was never registered as exact has neither record nor graph, and no proof of it is looked at."""
    judge = Judge()
    world = exact_world(judge)
    world.must(OWNER, "Models", "register", *model_arguments(model_id=OTHER, kind="tensor", layers=4))

    for method in ("exact", "graph"):
        result = world.send(ALICE, MODELS, call("Models", method, OTHER), gas_limit=GAS)
        assert code(result) == "models.not_exact"
    assert code(prove(world, (bytes(20), bytes(32), bytes(32)), model=OTHER)) == "models.not_exact"
    assert judge.heard == []


def little_work() -> World:
    """A world whose blocks hold as little work as may be: the planning of one model."""
    return World.new(parameters={"proof_work_block_max": PROOF_WORK_BLOCK_MAX.low})


def registrations(world: World, *owners: Any, gas: int = 12_000_000) -> list[str]:
    """Registrations of as many models in one block, by those who do not own them where None; the codes."""
    data = [call("Models", "registerExact", each, GRAPH.bytes, WEIGHT_ROOT, VERSION) for each in owners]
    first = world.nonce(OWNER.address)
    raw = [
        world.tx(OWNER, MODELS, each, nonce=first + number, gas_limit=gas).sign(OWNER)
        for number, each in enumerate(data)
    ]
    return [code(result) for result in world.apply(*raw).results]


def test_a_block_holds_so_much_work() -> None:
    """Beyond what a block may hold, work is refused before it is done; the next block begins anew."""
    world = little_work()
    ids = [ModelId(bytes((number,)) * 32) for number in range(1, 4)]
    for each in ids:
        world.must(OWNER, "Models", "register", *model_arguments(model_id=each, kind="tensor"))

    assert registrations(world, *ids[:2]) == ["", "proofs.block_full"]
    assert world.state[b"models/work"] == Spent(world.height, PLANNING).encode()
    assert registrations(world, *ids[1:]) == ["", "proofs.block_full"]
    assert RECORDS.get(State(world.state.get), ids[-1]) is None


def test_work_counts_whatever_comes_of_it() -> None:
    """What was refused after the work was done has used up the block's work as well: failures are not free of it."""
    world = little_work()
    ids = [ModelId(bytes((number,)) * 32) for number in range(1, 3)]
    for each in ids:
        world.must(OWNER, "Models", "register", *model_arguments(model_id=each, kind="tensor"))
    layers = Graph((1, 64, 64), tuple(MaxPool(0, (64, 64), (1, 1)) for _ in range(2)))
    first = world.nonce(OWNER.address)
    raw = [
        world.tx(
            OWNER,
            MODELS,
            call("Models", "registerExact", each, layers.bytes, WEIGHT_ROOT, VERSION),
            nonce=first + number,
            gas_limit=12_000_000,
        ).sign(OWNER)
        for number, each in enumerate(ids)
    ]

    assert [code(result) for result in world.apply(*raw).results] == ["zk.size", "proofs.block_full"]


def test_unpaid_work_is_not_done() -> None:
    """Whoever cannot pay for the work takes nothing of what the block may hold."""
    world = opened()

    assert registrations(world, MODEL, gas=GAS_PER_WORK * PLANNING) == ["gas.out"]
    assert b"models/work" not in world.state


def test_the_governor_sets_the_most() -> None:
    """How much work a block may hold is a parameter."""
    world = little_work()
    ids = [ModelId(bytes((number,)) * 32) for number in range(1, 3)]
    for each in ids:
        world.must(OWNER, "Models", "register", *model_arguments(model_id=each, kind="tensor"))
    world.must(GOVERNOR, "Params", "set", "proof_work_block_max", 2 * PLANNING)

    assert registrations(world, *ids) == ["", ""]


def test_a_digest_is_of_the_bytes() -> None:
    """The graph is kept under the SHA-256 of its canonical bytes, which anybody can compute."""
    world = opened()
    register_exact(world)

    assert world.state[GRAPHS + Digest(sha256(GRAPH.bytes))] == GRAPH.bytes
