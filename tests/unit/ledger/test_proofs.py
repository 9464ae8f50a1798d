"""Promised proofs: held, proven and paid, or missed, refunded and slashed; and every reason to refuse one."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support_ledger.promises import (
    EXACT,
    GAS,
    PRICE,
    PROOF,
    WEIGHT_ROOT,
    WINDOW,
    Answer,
    Judge,
    Node,
    exact_world,
    expire,
    pass_blocks,
    prove,
    refused,
    register_exact,
    told,
)
from tests.support_ledger.world import (
    ALICE,
    BOB,
    BOND,
    CAROL,
    CHAIN_ID,
    GOVERNOR,
    HOT,
    MODEL,
    OPERATOR,
    OPG,
    OWNER,
    ROYALTY_BPS,
    World,
    call,
    code,
    differing,
    events,
    model_arguments,
    node_arguments,
    person,
    sentence,
)

from paraph.core.digest import keccak256
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Digest, ModelId, RequestKey
from paraph.ledger.rooms.accounts.keys import STAKERS, TREASURY
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.rooms.models.keys import GRAPH_WORK
from paraph.ledger.rooms.nodes.keys import ADDRESS as NODES_CONTRACT
from paraph.ledger.rooms.params.types import GAS_PER_WORK, PROOF_SLASH_BPS, PROOF_WORK_BLOCK_MAX
from paraph.ledger.rooms.proofs.keys import ADDRESS
from paraph.ledger.rooms.proofs.rules import BEACON_AGE_MAX, GAS_PER_ITEM
from paraph.ledger.state import State
from paraph.ledger.versions import BY_NAME
from paraph.proofs.header import hash_key
from paraph.proofs.promised import Promise
from paraph.proofs.quotes.evidence import Verify
from paraph.proofs.receipt import SIGNATURE_DIGEST
from paraph.proofs.records import Proven, due_key, missed_key, proven_key
from paraph.proofs.request import Layer
from paraph.proofs.zk.graph import Clip, Graph, Requant
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import COUNT_MAX, Mode, Statement
from paraph.proofs.zk.verify import Opened

NODE = Node()
OTHER_MODEL = ModelId(b"\x05" * 32)
OTHER_NODE = Node(CAROL, person("carol's hot key"))
DIGEST = Digest(b"\x02" * 32)


def promised(count: int = 1, judge: Judge | None = None) -> tuple[World, Judge, list[Answer]]:
    """A world in which so many proofs are due, and a judge who knows the statement about all of them."""
    judge = judge or Judge()
    world = exact_world(judge)
    answers = [NODE.due(world, number) for number in range(count)]
    judge.told.append((NODE.statement(world, *answers), PROOF))
    pass_blocks(world, 2)  # the hash of the block that settled the last is known two blocks later
    return world, judge, answers


def balances(world: World) -> list[int]:
    return [world.balance(each) for each in (OWNER.address, OPERATOR.address, STAKERS, ESCROW, ADDRESS)]


# --- settling ---


def test_a_promised_answer_is_held() -> None:
    """Settled, it is debited and held: nobody is paid, and the ledger knows what is due, from whom, and until when."""
    world = exact_world()
    before, escrow = balances(world), world.view("Escrow", "account", ALICE.address)[0]
    height = world.height

    answer = NODE.due(world)

    who = (NODE.operator.address, MODEL)
    evidence = Promise(answer.commitment, height + WINDOW).digest()
    assert [now - was for now, was in zip(balances(world), before, strict=True)][2:] == [0, -PRICE, PRICE]
    assert world.view("Escrow", "account", ALICE.address)[0] == escrow - PRICE
    assert world.view("Settlement", "settled", *answer.place) == (1, 0, PRICE)
    assert world.view("Proofs", "due", *answer.place) == (
        *who, PRICE, 1, evidence, height + WINDOW, height, world.height, 1, 0,
    )  # fmt: skip
    assert world.view("Proofs", "counts") == (1, 0, 0)
    assert due_key(ALICE.address, answer.key) in world.state


def test_settling_says_what_is_promised() -> None:
    """Events tell that the receipt is settled and that its proof is due; none that it is paid."""
    world = exact_world()
    height = world.height
    answer = NODE.due(world)

    assert world.last is not None
    named = [event[0] for event in events(world.last.results[0])]
    assert named == ["ProofPromised", "ReceiptSettled", "BatchSettled"]
    assert events(world.last.results[0])[0][1] == (
        answer.key, ALICE.address, OPERATOR.address, MODEL, height + WINDOW,
    )  # fmt: skip


def test_settled_once() -> None:
    """A request whose proof is due is not settled again."""
    world = exact_world()
    NODE.due(world)

    assert NODE.settle(world)[1] == "settlement.replay"


def test_its_place_in_a_batch_is_known() -> None:
    """What is due names the batch and the place of its receipt."""
    world = exact_world()
    NODE.due(world, 1)
    second = NODE.due(world, 2)

    assert world.view("Proofs", "due", *second.place)[-2:] == (2, 0)


SETTLING: dict[str, tuple[dict[str, Any], str]] = {
    "by the operator": ({"signer": OPERATOR.address}, "settlement.key"),
    "by nobody's key": ({"signer": BOB.address}, "settlement.key"),
    "before the key": ({"height": 0}, "settlement.key"),
    "from the future": ({"height": 99}, "settlement.key"),
    "a price that is not the schedule's": ({"price": 1}, "settlement.price"),
}


@pytest.mark.parametrize("name", SETTLING)
def test_a_promised_answer_keeps_all_rules(name: str) -> None:
    """The rules of receipts are those of the layer signature."""
    changes, refusal = SETTLING[name]
    world = exact_world()

    assert NODE.settle(world, **changes)[1] == refusal
    assert world.view("Proofs", "counts") == (0, 0, 0)


def test_an_empty_escrow_promises_nothing() -> None:
    """What cannot be debited is not due."""
    assert NODE.settle(exact_world(), payer=BOB)[1] == "escrow.empty"


def test_any_evidence_is_a_promise_of_its_own() -> None:
    """The ledger cannot look into a promise: a receipt with other evidence settles, and no proof of it is taken."""
    world = exact_world()
    answer, reason = NODE.settle(world, evidence_digest=SIGNATURE_DIGEST)
    pass_blocks(world, 2)

    assert reason == ""
    assert refused(prove(world, answer.item)) == "proofs.promise"


def test_of_exact_models_alone() -> None:
    """A model that offers the layer and is not registered as exact settles no such receipt."""
    world = exact_world()
    world.must(OWNER, "Models", "register", *model_arguments(model_id=OTHER_MODEL, kind="tensor", layers=4))

    assert NODE.settle(world, model=OTHER_MODEL)[1] == "settlement.exact"


def test_of_models_that_offer_it() -> None:
    """An exact model that does not offer the layer settles no such receipt."""
    world = exact_world()
    world.must(OWNER, "Models", "register", *model_arguments(model_id=OTHER_MODEL, kind="tensor", layers=1))
    assert register_exact(world, OTHER_MODEL).error == ""

    assert NODE.settle(world, model=OTHER_MODEL)[1] == "settlement.layer"


def test_half_of_the_window_is_the_nodes() -> None:
    """Whoever settles late, a node has half of the window to prove: later it is refused, and nothing is due."""
    world = exact_world()
    height = world.height
    pass_blocks(world, WINDOW // 2 - 1)

    assert NODE.settle(world, 1, height=height)[1] == ""
    assert world.height == height + WINDOW // 2
    assert NODE.settle(world, 2, height=height)[1] == "settlement.proof_late"


def test_the_window_is_that_of_the_receipts_block() -> None:
    """A promise is dated by the window in force after the block it names, however often it was changed since."""
    world = exact_world()
    first = world.height
    world.must(GOVERNOR, "Params", "set", "proof_window", 1_000)
    second = world.height
    world.must(GOVERNOR, "Params", "set", "proof_window", 40)

    answers = [NODE.settle(world, number, height=at) for number, at in enumerate((first, second, world.height))]

    assert [reason for _, reason in answers] == ["", "", ""]
    dues = [world.view("Proofs", "due", *answer.place)[5] for answer, _ in answers]
    assert dues == [first + WINDOW, second + 1_000, second + 1 + 40]


# --- proving ---


def test_proven_answers_are_paid() -> None:
    """A proof pays each price as a settlement splits it, and leaves a record; the judge heard the whole statement."""
    world, judge, answers = promised(3)
    before = balances(world)

    result = prove(world, *(each.item for each in answers), sender=CAROL)

    royalty, stakers, treasury = PRICE * ROYALTY_BPS // 10_000, PRICE * 500 // 10_000, PRICE * 200 // 10_000
    parts = (royalty, PRICE - royalty - stakers - treasury, stakers, treasury)
    batch = NODE.statement(world, *answers).batch_root
    assert result.error == ""
    assert [now - was for now, was in zip(balances(world), before, strict=True)] == [
        3 * royalty, 3 * parts[1], 3 * stakers, 0, -3 * PRICE,
    ]  # fmt: skip
    assert judge.heard == [(NODE.statement(world, *answers), PROOF)]
    assert events(result) == [
        *(
            event
            for each in answers
            for event in (
                ("ReceiptPaid", (each.key, OWNER.address, *parts)),
                ("ReceiptProven", (each.key, ALICE.address, OPERATOR.address)),
            )
        ),
        ("ProofAccepted", (batch, OPERATOR.address, MODEL, 1, 3)),
    ]
    assert world.view("Proofs", "counts") == (0, 3, 0)
    for each in answers:
        record = Proven(1, EXACT.id, batch, 3, Digest(bytes(32)), world.height)
        assert world.state[proven_key(ALICE.address, each.key)] == record.encode()
        assert world.view("Proofs", "proven", *each.place) == (1, EXACT.id, batch, 3, bytes(32), world.height)
        assert due_key(ALICE.address, each.key) not in world.state


def test_the_price_is_the_receipts() -> None:
    """What is paid is what was debited, whatever the model costs by then; the owner of today has the royalty."""
    world, _, answers = promised()
    world.must(OWNER, "Models", "setPrice", MODEL, 1, 2, 3)
    world.must(OWNER, "Models", "transfer", MODEL, BOB.address)
    before = world.balance(BOB.address)

    assert prove(world, answers[0].item).error == ""
    assert world.balance(BOB.address) - before == PRICE * ROYALTY_BPS // 10_000


def test_hiding() -> None:
    """The mode is part of the statement and of the record."""
    world, judge, answers = promised()
    judge.told = [(NODE.statement(world, *answers, mode=Mode.HIDING), PROOF)]

    assert refused(prove(world, answers[0].item, mode=Mode.SUCCINCT)) == "proofs.unverified"
    assert prove(world, answers[0].item, mode=Mode.HIDING).error == ""
    assert world.view("Proofs", "proven", *answers[0].place)[0] == 2


def test_the_statement_has_the_beacons_hash() -> None:
    """The beacon is the hash of the block that was named, and of no other."""
    world, judge, answers = promised()
    heights = range(world.height - 1)
    for height in heights:
        world.state[hash_key(height)] = keccak256(b"block %d" % height)
    named = heights[-1]
    judge.told = [(replace(NODE.statement(world, *answers), beacon=keccak256(b"block %d" % named)), PROOF)]

    assert refused(prove(world, answers[0].item, beacon=named + 1)) == "proofs.unverified"
    assert prove(world, answers[0].item, beacon=named).error == ""
    assert world.view("Proofs", "proven", *answers[0].place)[4] == keccak256(b"block %d" % named)


def test_one_after_the_other() -> None:
    """Requests of a batch may be proven by several proofs, in any order; each once."""
    world, judge, answers = promised(3)
    one, two = NODE.statement(world, answers[1]), NODE.statement(world, answers[2], answers[0])
    judge.told = [(one, PROOF), (two, PROOF)]

    assert prove(world, answers[1].item).error == ""
    assert refused(prove(world, *(each.item for each in answers))) == "proofs.unknown"
    assert prove(world, answers[2].item, answers[0].item).error == ""
    assert world.view("Proofs", "counts") == (0, 3, 0)


def test_two_payers_in_one_proof() -> None:
    """A proof is about requests of one node and model, whoever asked."""
    judge = Judge()
    world = exact_world(judge)
    world.must(BOB, "Escrow", "deposit", value=OPG)
    answers = [NODE.due(world, 1), NODE.due(world, 2, BOB)]
    judge.told.append((NODE.statement(world, *answers), PROOF))
    pass_blocks(world, 2)

    assert prove(world, *(each.item for each in answers)).error == ""


def test_in_the_last_block() -> None:
    """In the block by which it is due a proof is taken, and cannot be called missed; one later it is the other way."""
    world, _, answers = promised(2)
    first, last = (world.view("Proofs", "due", *each.place)[5] for each in answers)
    world.checks = replace(world.checks, zk=told(*(NODE.statement(world, each) for each in answers)))
    pass_blocks(world, first - 1 - world.height)

    assert (world.height, last) == (first - 1, first + 1)
    assert prove(world, answers[0].item).error == ""
    assert refused(expire(world, answers[1].place)) == "proofs.early"
    assert refused(prove(world, answers[1].item)) == "proofs.late"
    assert expire(world, answers[1].place).error == ""


Changed = dict[str, Any]


def item(answer: Answer, **changes: Any) -> tuple[bytes, bytes, bytes]:
    return replace(answer, **changes).item


def test_refused_and_nothing_changes() -> None:
    """Each fault alone refuses the whole proof, before the verifier is asked; then the good one is taken."""
    world, judge, (first, second) = promised(2)
    good = (first.item, second.item)
    cases: list[tuple[tuple[tuple[bytes, ...], ...], dict[str, Any], str]] = [
        ((), {}, "proofs.size"),
        ((item(first, payer=BOB.address), second.item), {}, "proofs.unknown"),
        ((item(first, key=RequestKey(DIGEST)), second.item), {}, "proofs.unknown"),
        ((item(first, commitment=DIGEST), second.item), {}, "proofs.promise"),
        ((item(first, commitment=second.commitment), item(second, commitment=first.commitment)), {}, "proofs.promise"),
        ((first.item, first.item), {}, "zk.repeated"),
        ((first.item, second.item, first.item), {}, "zk.repeated"),
        (good, {"mode": 0}, "proofs.mode"),
        (good, {"mode": 3}, "proofs.mode"),
        (good, {"mode": 255}, "proofs.mode"),
        (good, {"model": OTHER_MODEL}, "models.not_exact"),
        (good, {"beacon": world.view("Proofs", "due", *second.place)[7] - 1}, "proofs.beacon"),
        (good, {"beacon": 0}, "proofs.beacon"),
        (good, {"beacon": 2**64 - 1}, "proofs.beacon"),
    ]
    for items, changes, refusal in cases:
        before = World(dict(world.state))

        result = prove(world, *items, **changes)

        assert refused(result) == refusal, (refusal, result.error)
        touched = {b"chain", b"accounts/balance", b"accounts/nonce"}
        assert {key.rpartition(b"/")[0] if key.startswith(b"accounts") else key.partition(b"/")[0]
                for key in differing(before, world)} <= touched | {b"accounts"}  # fmt: skip
    assert judge.heard == []
    assert prove(world, *good).error == ""


def test_the_beacon_is_recent() -> None:
    """Beacons are the last 256 blocks' but the two newest, whose hashes no block knows while it is made."""
    world, judge, answers = promised()
    settled = world.view("Proofs", "due", *answers[0].place)[7]

    assert refused(prove(world, answers[0].item, beacon=world.height)) == "proofs.beacon"
    pass_blocks(world, settled + BEACON_AGE_MAX - world.height)
    assert refused(prove(world, answers[0].item, beacon=settled)) == "proofs.beacon"
    assert f"it must be from {settled + 2}" in sentence(prove(world, answers[0].item, beacon=settled))
    assert prove(world, answers[0].item, beacon=world.height + 1 - BEACON_AGE_MAX).error == ""
    assert len(judge.heard) == 1


def test_the_beacon_came_after_all_of_them() -> None:
    """The block that settled the last request may be the beacon; the one before may not."""
    world, _, answers = promised(2)
    last = max(world.view("Proofs", "due", *each.place)[7] for each in answers)

    assert refused(prove(world, *(each.item for each in answers), beacon=last - 1)) == "proofs.beacon"
    assert prove(world, *(each.item for each in answers), beacon=last).error == ""


@pytest.fixture
def second_node() -> tuple[World, Judge]:
    """A world with a second node."""
    judge = Judge()
    world = exact_world(judge)
    arguments = node_arguments(OTHER_NODE.hot, OTHER_NODE.operator, layers=4)
    world.must(OTHER_NODE.operator, "Nodes", "register", *arguments, value=BOND)
    return world, judge


def test_of_one_node(second_node: tuple[World, Judge]) -> None:
    """A proof names its node: requests of two nodes are two proofs, and each is paid to its own."""
    world, judge = second_node
    mine, theirs = NODE.due(world, 1), OTHER_NODE.due(world, 2)
    pass_blocks(world, 2)
    judge.told = [(NODE.statement(world, mine), PROOF), (NODE.statement(world, theirs), PROOF)]

    assert refused(prove(world, mine.item, theirs.item)) == "proofs.node"
    assert refused(prove(world, theirs.item)) == "proofs.unverified"
    judge.told.append((OTHER_NODE.statement(world, theirs), PROOF))
    before = world.balance(CAROL.address)
    assert prove(world, theirs.item).error == ""
    assert world.balance(CAROL.address) > before


def test_of_one_model() -> None:
    """Requests of two models are two proofs."""
    judge = Judge()
    world = exact_world(judge)
    world.must(OWNER, "Models", "register", *model_arguments(model_id=OTHER_MODEL, kind="tensor", layers=4))
    assert register_exact(world, OTHER_MODEL, weight_root=DIGEST).error == ""
    one, two = NODE.due(world, 1), NODE.due(world, 2, model=OTHER_MODEL)
    pass_blocks(world, 2)
    judge.told = [(NODE.statement(world, two), PROOF)]

    assert refused(prove(world, one.item, two.item)) == "proofs.model"
    assert refused(prove(world, two.item, model=OTHER_MODEL)) == "proofs.unverified"
    other = replace(EXACT, weight_root=DIGEST)
    judge.told = [(replace(NODE.statement(world, two), exact=other), PROOF)]
    assert prove(world, two.item, model=OTHER_MODEL).error == ""


def test_a_bad_proof_changes_nothing() -> None:
    """What does not hold is refused whole, in the same words whatever the verifier saw; the dues stand."""
    world, judge, answers = promised(2)
    before = balances(world)[2:]

    result = prove(world, *(each.item for each in answers), proof=PROOF + b"\0")

    assert refused(result) == "proofs.unverified"
    assert "judge" not in sentence(result)
    assert balances(world)[2:] == before
    assert world.view("Proofs", "counts") == (2, 0, 0)
    assert len(judge.heard) == 1
    assert prove(world, *(each.item for each in answers)).error == ""


def saying(error: Malformed | Unverified) -> Verify:
    """In the verifier's place: finds this wrong with everything."""

    def verifier(_: Statement, __: bytes) -> Opened:
        raise error

    return verifier


def test_whatever_a_verifier_says_is_said_alike() -> None:
    """A verifier that finds a proof ill formed, or not true, in whatever words: the result's bytes are the same."""
    errors = (Malformed("zk.size", "too large"), Malformed("zk.other", "so"), Unverified((("zk.sum", "not zero"),)))
    results = set()
    for error in errors:
        world, _, answers = promised()
        world.checks = replace(world.checks, zk=saying(error))
        results.add(prove(world, answers[0].item))

    assert {refused(each) for each in results} == {"proofs.unverified"}
    assert len(results) == 1


def test_a_batch_beyond_the_proof_system() -> None:
    """More requests than the proof system takes of a model are refused before a verifier is asked; fewer are not."""
    judge = Judge()
    world = exact_world(judge)
    wide = Graph((1, 256, 256), (Requant(0, 1, 0, -128, 127, Clip(-64, 63)),))
    world.must(OWNER, "Models", "register", *model_arguments(model_id=OTHER_MODEL, kind="tensor", layers=4))
    assert register_exact(world, OTHER_MODEL, graph=wide.bytes).error == ""
    answers = [NODE.due(world, number, model=OTHER_MODEL) for number in range(17)]
    pass_blocks(world, 2)

    assert refused(prove(world, *(each.item for each in answers), model=OTHER_MODEL)) == "zk.size"
    assert judge.heard == []
    assert refused(prove(world, answers[0].item, model=OTHER_MODEL)) == "proofs.unverified"
    assert len(judge.heard) == 1


def test_absurd_sizes() -> None:
    """More requests than a proof has, a proof of nothing, one that fills a transaction: refused or judged, no more."""
    world, _, answers = promised()
    many = [(ALICE.address, bytes(31) + b"\1", bytes(32))] * (COUNT_MAX + 1)

    assert refused(prove(world, *many)) == "proofs.size"
    assert refused(expire(world, *(each[:2] for each in many))) == "proofs.size"
    assert refused(expire(world)) == "proofs.size"
    assert refused(prove(world, answers[0].item, proof=b"")) == "proofs.unverified"
    assert refused(prove(world, answers[0].item, proof=bytes(900_000), gas=25_000_000)) == "proofs.unverified"


# --- what it costs ---


def test_work_is_paid_before_it_is_done() -> None:
    """A transaction that cannot pay for all of the work is out of gas before the verifier is asked."""
    world, judge, answers = promised(2)
    items = tuple(each.item for each in answers)
    data = call("Proofs", "prove", MODEL, 1, world.height - 1, items, PROOF)
    enough = world.simulate(OWNER.address, BY_NAME["Proofs"].address, data).gas_used
    intrinsic = world.tx(OWNER, BY_NAME["Proofs"].address, data).intrinsic_gas()
    judge.heard.clear()

    assert refused(prove(world, *items, gas=intrinsic + enough - 1, beacon=world.height - 1)) == "gas.out"
    assert judge.heard == []
    assert enough == 60_000 + 2 * GAS_PER_ITEM + GAS_PER_WORK * plan(EXACT.graph, 2, Mode.SUCCINCT).cost


def test_planning_is_paid_before_it_is_done() -> None:
    """What the registration says that planning takes is charged before anything is planned."""
    world, judge, answers = promised()
    GRAPH_WORK.put(state := State(world.state.get), EXACT.graph.digest, 6_000_000)
    state.keep()
    world.commit(state.changes())

    assert refused(prove(world, answers[0].item, gas=6_000_000 * GAS_PER_WORK)) == "gas.out"
    assert judge.heard == []


def test_a_proof_beyond_a_block() -> None:
    """A proof that takes more work than any block may hold is refused for good."""
    world, judge, answers = promised()
    GRAPH_WORK.put(state := State(world.state.get), EXACT.graph.digest, PROOF_WORK_BLOCK_MAX.default + 1)
    state.keep()
    world.commit(state.changes())

    assert refused(prove(world, answers[0].item, gas=29_000_000)) == "proofs.work"
    assert judge.heard == []


def test_bad_proofs_fill_a_block_as_well() -> None:
    """Work of proofs that do not hold counts: when the block may hold no more, the next is not looked at."""
    world, judge, answers = promised()
    GRAPH_WORK.put(state := State(world.state.get), EXACT.graph.digest, PROOF_WORK_BLOCK_MAX.low // 2)
    state.keep()
    world.commit(state.changes())
    gas = 9_000_000
    data = call("Proofs", "prove", MODEL, 1, world.height - 1, (answers[0].item,), b"bad")
    first = world.nonce(OWNER.address)
    to = BY_NAME["Proofs"].address
    world.must(GOVERNOR, "Params", "set", "proof_work_block_max", PROOF_WORK_BLOCK_MAX.low)

    results = world.apply(
        *(world.tx(OWNER, to, data, nonce=first + number, gas_limit=gas).sign(OWNER) for number in range(3))
    ).results

    assert [code(each) for each in results] == ["proofs.unverified", "proofs.unverified", "proofs.block_full"]
    assert len(judge.heard) == 2
    assert prove(world, answers[0].item).error == ""


# --- missing ---


def test_a_missed_proof() -> None:
    """After its block anybody may say so: the payer has everything back, and a part of the node's bond is gone."""
    world, judge, answers = promised()
    escrow, treasury = world.view("Escrow", "account", ALICE.address)[0], world.balance(TREASURY)
    pass_blocks(world, WINDOW)

    result = expire(world, answers[0].place, sender=BOB)

    lost = BOND * PROOF_SLASH_BPS.default // 10_000
    assert events(result) == [
        ("Transfer", (NODES_CONTRACT, TREASURY, lost)),
        ("NodeSlashed", (OPERATOR.address, lost)),
        ("ProofMissed", (answers[0].key, ALICE.address, OPERATOR.address, PRICE, lost)),
    ]
    assert world.view("Escrow", "account", ALICE.address)[0] == escrow + PRICE
    assert world.view("Nodes", "get", OPERATOR.address)[1] == BOND - lost
    assert world.balance(NODES_CONTRACT) == BOND - lost
    assert world.balance(TREASURY) >= treasury + lost
    assert world.balance(ADDRESS) == 0
    assert world.view("Proofs", "counts") == (0, 0, 1)
    assert world.view("Proofs", "missed", *answers[0].place) == world.height
    assert int.from_bytes(world.state[missed_key(ALICE.address, answers[0].key)], "big") == world.height
    assert judge.heard == []


def test_each_miss_costs() -> None:
    """Each proof that is missed costs a part of what is left; a part of all is refused when one is not due."""
    world, _, answers = promised(2)
    pass_blocks(world, WINDOW)
    everything = [each.place for each in answers]

    assert refused(expire(world, *everything, (BOB.address, answers[0].key))) == "proofs.unknown"
    assert refused(expire(world, *everything, everything[0])) == "proofs.unknown"
    assert expire(world, *everything).error == ""
    left = BOND - BOND // 100
    assert world.view("Nodes", "get", OPERATOR.address)[1] == left - left // 100


def test_not_before() -> None:
    """While there is time nothing is missed."""
    world, _, answers = promised()

    result = expire(world, answers[0].place)

    assert refused(result) == "proofs.early"
    assert world.view("Proofs", "missed", *answers[0].place) == 0


def test_missed_is_not_proven() -> None:
    """After it was missed, the best proof comes too late; and nobody is refunded twice."""
    world, _, answers = promised()
    pass_blocks(world, WINDOW)
    assert expire(world, answers[0].place).error == ""

    assert refused(prove(world, answers[0].item)) == "proofs.unknown"
    assert refused(expire(world, answers[0].place)) == "proofs.unknown"


def test_proven_is_not_missed() -> None:
    """What was proven stays so, whatever time passes; and is not proven again."""
    world, _, answers = promised()
    assert prove(world, answers[0].item).error == ""
    assert refused(prove(world, answers[0].item)) == "proofs.unknown"
    pass_blocks(world, WINDOW)

    assert refused(expire(world, answers[0].place)) == "proofs.unknown"


def test_settled_once_whatever_became_of_it() -> None:
    """A request whose proof was missed or taken is never settled again."""
    world, _, answers = promised(2)
    world.checks = replace(world.checks, zk=told(NODE.statement(world, answers[1])))
    assert prove(world, answers[1].item).error == ""
    pass_blocks(world, WINDOW)
    assert expire(world, answers[0].place).error == ""

    assert [NODE.settle(world, number)[1] for number in range(2)] == ["settlement.replay"] * 2


def test_a_refund_is_escrow() -> None:
    """What comes back is available to the payer again, beside what is leaving."""
    world, _, answers = promised()
    world.must(ALICE, "Escrow", "requestWithdrawal", 99 * OPG)
    available, leaving, unlock = world.view("Escrow", "account", ALICE.address)
    pass_blocks(world, WINDOW)
    assert expire(world, answers[0].place).error == ""

    assert world.view("Escrow", "account", ALICE.address) == (available + PRICE, leaving, unlock)


def test_who_left_still_answers() -> None:
    """A node that leaves is slashed while its bond stays, and has no more than what is left of it."""
    world, _, answers = promised()
    world.must(OPERATOR, "Nodes", "deregister")
    pass_blocks(world, WINDOW)
    assert expire(world, answers[0].place).error == ""
    world.wait(15 * 86_400)

    result = world.must(OPERATOR, "Nodes", "withdrawBond")
    assert events(result)[-1] == ("NodeLeft", (OPERATOR.address, BOND - BOND // 100))


def test_a_bond_stays_while_proofs_are_due() -> None:
    """However slow blocks are, a bond goes home when the last proof is taken or missed, not before."""
    world, judge, answers = promised(2)
    judge.told = [(NODE.statement(world, answers[0]), PROOF)]
    world.must(OPERATOR, "Nodes", "deregister")
    world.wait(15 * 86_400)

    assert code(world.call(OPERATOR, "Nodes", "withdrawBond")) == "nodes.promises"
    assert prove(world, answers[0].item).error == ""
    assert code(world.call(OPERATOR, "Nodes", "withdrawBond")) == "nodes.promises"
    pass_blocks(world, WINDOW)
    assert code(world.call(OPERATOR, "Nodes", "withdrawBond")) == "nodes.promises"
    assert expire(world, answers[1].place, sender=OPERATOR).error == ""
    result = world.must(OPERATOR, "Nodes", "withdrawBond")
    assert events(result)[-1] == ("NodeLeft", (OPERATOR.address, BOND - BOND // 100))


def test_nothing_is_promised_without_a_bond() -> None:
    """What a node signed before it left is not settled once its bond is home: nothing would stand for its proof."""
    world = exact_world(parameters={"unbond_delay_s": 0})
    height, escrow = world.height, world.view("Escrow", "account", ALICE.address)
    world.must(OPERATOR, "Nodes", "deregister")
    world.must(OPERATOR, "Nodes", "withdrawBond")

    assert NODE.settle(world, height=height)[1] == "settlement.bond"
    assert world.view("Escrow", "account", ALICE.address) == escrow
    assert world.view("Proofs", "counts") == (0, 0, 0)


def test_what_is_settled_after_leaving_is_owed() -> None:
    """A delay of nothing lets no bond go home before the proof of an answer that was settled meanwhile."""
    world = exact_world(parameters={"unbond_delay_s": 0})
    height = world.height
    world.must(OPERATOR, "Nodes", "deregister")

    assert NODE.settle(world, height=height)[1] == ""
    assert code(world.call(OPERATOR, "Nodes", "withdrawBond")) == "nodes.promises"


def test_all_of_a_bond() -> None:
    """At a rate of all, the first miss takes the bond and the second nothing; each payer has everything back."""
    world, _, answers = promised(2)
    world.must(GOVERNOR, "Params", "set", "proof_slash_bps", 10_000)
    pass_blocks(world, WINDOW)

    result = expire(world, *(each.place for each in answers))

    lost = [arguments[-1] for name, arguments in events(result) if name == "ProofMissed"]
    assert lost == [BOND, 0]
    assert world.balance(ADDRESS) == 0
    assert NODE.settle(world, 3)[1] == "settlement.bond"


def test_who_left_can_still_prove() -> None:
    """A node that leaves can still prove what it promised, and is paid."""
    world, _, answers = promised()
    world.must(OPERATOR, "Nodes", "deregister")

    assert prove(world, answers[0].item).error == ""


def test_a_rate_of_nothing() -> None:
    """With a rate of zero a missed proof costs the node its price alone."""
    world, _, answers = promised()
    world.must(GOVERNOR, "Params", "set", "proof_slash_bps", 0)
    pass_blocks(world, WINDOW)
    assert expire(world, answers[0].place).error == ""

    assert world.view("Nodes", "get", OPERATOR.address)[1] == BOND


# --- reading ---


def test_unknown() -> None:
    """Of a request that promised nothing there is nothing to read."""
    world = exact_world()
    place = (ALICE.address, bytes(32))

    for method in ("due", "proven"):
        result = world.send(ALICE, ADDRESS, call("Proofs", method, *place), gas_limit=GAS)
        assert code(result) == "proofs.unknown"
    assert world.view("Proofs", "missed", *place) == 0


def test_a_hot_key_signs_promises_of_its_node_alone(second_node: tuple[World, Judge]) -> None:
    """A node's receipt signed by another node's key is refused."""
    world, _ = second_node

    assert Node(OPERATOR, OTHER_NODE.hot).settle(world)[1] == "settlement.key"
    assert NODE.settle(world, layer=Layer.SIGNATURE)[1] == "settlement.mismatch"
    assert HOT.address != OTHER_NODE.hot.address


def test_what_is_registered_is_what_is_proven() -> None:
    """The exact id in the record is that of the registered graph and weight root, on this chain."""
    world, judge, answers = promised()
    assert prove(world, answers[0].item).error == ""
    statement = judge.heard[0][0]

    assert (statement.exact.weight_root, statement.chain_id, statement.prover) == (
        WEIGHT_ROOT, CHAIN_ID, OPERATOR.address,
    )  # fmt: skip
    assert world.view("Proofs", "proven", *answers[0].place)[1] == statement.exact.id
