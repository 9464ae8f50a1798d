"""Promised proofs beside a plain dictionary: whatever is done in whatever order, both agree, and all truths hold."""

from dataclasses import dataclass, replace
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support_ledger.promises import PRICE, PROOF, Answer, Judge, Node, exact_world, expire, pass_blocks, prove
from tests.support_ledger.world import ALICE, BOB, BOND, CAROL, HOT, OPERATOR, World, code, node_arguments, person

from paraph.core.digest import keccak256
from paraph.core.ident import Digest
from paraph.ledger.rooms.params.types import PROOF_SLASH_BPS
from paraph.ledger.rooms.proofs.keys import ADDRESS
from paraph.proofs.zk.statement import Mode

WINDOW: Final = 20
DEPOSITS: Final = {ALICE: 100 * 10**18, BOB: 3 * PRICE}
"""Bob's escrow is soon empty."""
NODES: Final = (Node(OPERATOR, HOT), Node(CAROL, person("carol's hot key")))

numbers = st.integers(0, 4)
chosen = st.lists(st.tuples(numbers, st.sampled_from(tuple(DEPOSITS))), min_size=0, max_size=3)
faults = st.sampled_from(("",) * 6 + ("proof", "commitment", "mode", "beacon before", "beacon after", "node"))


@dataclass
class Promised:
    """What is known of one settled answer."""

    answer: Answer
    node: Node
    due: int
    settled: int
    state: str = "due"


class Machine(RuleBasedStateMachine):
    """The ledger, and a dictionary that says what it must be."""

    @initialize()
    def begin(self) -> None:
        self.judge = Judge()
        self.world: World = exact_world(self.judge, parameters={"proof_window": WINDOW, "unbond_delay_s": 0})
        self.world.must(BOB, "Escrow", "deposit", value=DEPOSITS[BOB])
        self.world.must(CAROL, "Nodes", "register", *node_arguments(NODES[1].hot, CAROL, layers=4), value=BOND)
        self.registered = self.world.height
        self.promised: dict[tuple[int, bytes], Promised] = {}
        self.escrow = {payer.address: amount for payer, amount in DEPOSITS.items()}
        self.left = 0
        self.home = False
        self.bonds = {node.operator.address: BOND for node in NODES}

    @rule(number=numbers, payer=st.sampled_from(tuple(DEPOSITS)), node=st.sampled_from(NODES), age=st.integers(0, 12))
    def settle(self, number: int, payer: object, node: Node, age: int) -> None:
        """An answer is settled, whose receipt names a block that many before the newest."""
        assert payer in (ALICE, BOB)
        who = ALICE if payer is ALICE else BOB
        place = (number, bytes(who.address))
        height = max(self.world.height - age, self.registered)
        answer, reason = node.settle(self.world, number, who, height=height, window=WINDOW)
        if place in self.promised:
            assert reason == "settlement.replay"
        elif node is NODES[1] and self.left and height > self.left:
            assert reason == "settlement.key"
        elif node is NODES[1] and self.home:
            assert reason == "settlement.bond"
        elif self.world.height > height + WINDOW // 2:
            assert reason == "settlement.proof_late"
        elif self.escrow[who.address] < PRICE:
            assert reason == "escrow.empty"
        else:
            assert reason == ""
            self.escrow[who.address] -= PRICE
            self.promised[place] = Promised(answer, node, height + WINDOW, self.world.height)

    @rule(places=chosen, fault=faults, back=st.integers(0, 8), mode=st.sampled_from(tuple(Mode)))
    def prove(self, places: list[tuple[int, object]], fault: str, back: int, mode: Mode) -> None:
        """A proof about some answers, known or not, with one fault or none."""
        found = [self.promised.get((number, self._address(payer))) for number, payer in places]
        answers = [
            self._unknown(number, payer) if each is None else each.answer
            for each, (number, payer) in zip(found, places, strict=True)
        ]
        known = [each for each in found if each is not None]
        height = self.world.height + 1
        beacon = max(height - 2 - back, 0)
        if fault == "beacon after":
            beacon = height - 1
        if fault == "beacon before" and known:
            beacon = max(each.settled for each in known) - 1
        node = next((each.node for each in known), NODES[0])
        if fault == "node":
            node = NODES[1] if node is NODES[0] else NODES[0]
        self.judge.told.clear()
        if answers and len({answer.key for answer in answers}) == len(answers):
            self.judge.told.append((node.statement(self.world, *answers, mode=mode), PROOF))
        items = [answer.item for answer in answers]
        if fault == "commitment" and items:
            items[-1] = replace(answers[-1], commitment=Digest(bytes(32))).item
        said = prove(
            self.world,
            *items,
            mode=3 if fault == "mode" else mode,
            beacon=beacon,
            proof=PROOF + b"!" if fault == "proof" else PROOF,
            sender=BOB,
        )
        dues = [each for each in known if each.state == "due"]
        whole = len(dues) == len(places) > 0
        good = (
            whole
            and fault not in ("proof", "commitment", "mode", "node")
            and len({each.answer.key for each in dues}) == len(dues)
            and len({id(each.node) for each in dues}) == 1
            and all(height <= each.due and each.settled <= beacon for each in dues)
            and beacon <= height - 2
        )
        assert (said.error == "") is good, said.error
        for each in dues if good else ():
            each.state = "proven"

    @rule(places=chosen)
    def expire(self, places: list[tuple[int, object]]) -> None:
        """Some answers are called missed."""
        found = [self.promised.get((number, self._address(payer))) for number, payer in places]
        named = [(self._address(payer), self._unknown(number, payer).key) for number, payer in places]
        said = expire(self.world, *named)
        dues = [each for each in found if each is not None and each.state == "due"]
        late = all(each.due < self.world.height for each in dues)
        good = len({id(each) for each in dues}) == len(places) > 0 and late
        assert (said.error == "") is good, said.error
        assert good or code(said) in ("proofs.size", "proofs.unknown", "proofs.early")
        for each in dues if good else ():
            each.state = "missed"
            self.escrow[each.answer.payer] += PRICE
            bond = self.bonds[each.node.operator.address]
            self.bonds[each.node.operator.address] = bond - bond * PROOF_SLASH_BPS.default // 10_000

    @precondition(lambda self: not self.left and self._owed(NODES[1]) > 0)
    @rule()
    def leave(self) -> None:
        """The second node leaves while it owes proofs."""
        self.world.must(CAROL, "Nodes", "deregister")
        self.left = self.world.height

    @precondition(lambda self: self.left > 0)
    @rule()
    def withdraw(self) -> None:
        """The second node wants its bond: it goes home once, when no proof is owed."""
        owed = self._owed(NODES[1])
        said = code(self.world.call(CAROL, "Nodes", "withdrawBond"))
        if owed:
            assert said == "nodes.promises"
        elif self.home:
            assert said == "nodes.bonded"
        else:
            assert said == ""
            self.home = True
            self.bonds[CAROL.address] = 0

    @rule(count=st.integers(1, 12))
    def wait(self, count: int) -> None:
        """Time passes."""
        pass_blocks(self.world, count)

    @invariant()
    def agrees(self) -> None:
        """Money, bonds, counts and every answer's state are what the dictionary says."""
        states = [each.state for each in self.promised.values()]
        counts = tuple(states.count(name) for name in ("due", "proven", "missed"))
        assert self.world.view("Proofs", "counts") == counts
        assert self.world.balance(ADDRESS) == counts[0] * PRICE
        for payer, amount in self.escrow.items():
            assert self.world.view("Escrow", "account", payer)[0] == amount
        for operator, bond in self.bonds.items():
            assert self.world.view("Nodes", "get", operator)[1] == bond

    def _owed(self, node: Node) -> int:
        return sum(each.node is node and each.state == "due" for each in self.promised.values())

    def _address(self, payer: object) -> bytes:
        return ALICE.address if payer is ALICE else BOB.address

    def _unknown(self, number: int, payer: object) -> Answer:
        """The answer of that number, settled or not: keys and commitments follow from numbers."""
        who = ALICE if payer is ALICE else BOB
        key = Digest(keccak256(b"request %d" % number))
        return Answer(who.address, key, Digest(keccak256(b"commitment %d" % number)))  # type: ignore[arg-type]


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=25)
