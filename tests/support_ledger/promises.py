"""A world in which proofs are promised: an exact model, a node, answers settled, and a judge in the verifier's place.

The judge accepts exactly the statements that it was told of, so that a test of the room sees which statement the room
made. The real verifier has tests of its own, and one here.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.support_ledger.world import (
    ALICE,
    BASE,
    BOND,
    CHAIN_ID,
    HOT,
    MODEL,
    OPERATOR,
    OPG,
    OWNER,
    PER_INPUT,
    PER_OUTPUT,
    World,
    call,
    code,
    model_arguments,
    node_arguments,
    receipt,
    request,
    signed,
)

from paraph.core.digest import keccak256
from paraph.core.errors import Unverified
from paraph.core.ident import Address, Digest, ModelId, RequestKey
from paraph.core.keys import PrivateKey
from paraph.ledger.block import Result
from paraph.ledger.versions import BY_NAME
from paraph.proofs.promised import Promise
from paraph.proofs.quotes.evidence import Checks
from paraph.proofs.request import Layer
from paraph.proofs.zk.graph import Clip, Gemm, Graph, Requant
from paraph.proofs.zk.statement import VERSION, Entry, Exact, Mode, Statement
from paraph.proofs.zk.verify import Opened

GRAPH: Final = Graph((4,), (Gemm(0, 3), Requant(1, 1, 4, -4096, 4096, Clip(-128, 127)), Gemm(2, 2)))
WEIGHT_ROOT: Final = Digest(keccak256(b"a commitment to weights"))
EXACT: Final = Exact(GRAPH, WEIGHT_ROOT)
WINDOW: Final = 600
PRICE: Final = BASE + 7 * PER_INPUT + 11 * PER_OUTPUT
PROOF: Final = b"a proof"
GAS: Final = 20_000_000


@dataclass
class Judge:
    """In the verifier's place: accepts the statements it was told of, with the proof that was told with each.

    Args:
        told: statements and their proofs.
        heard: what it was asked, in order.
    """

    told: list[tuple[Statement, bytes]] = field(default_factory=list)
    heard: list[tuple[Statement, bytes]] = field(default_factory=list)

    def __call__(self, statement: Statement, proof: bytes) -> Opened:
        """As `paraph.proofs.zk.verify.verify`."""
        self.heard.append((statement, proof))
        if (statement, proof) not in self.told:
            raise Unverified((("zk.sum", "not what the judge was told"),))
        return Opened(statement, b"", {})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose proof is promised: who asked, by which key, and the commitment."""

    payer: Address
    key: RequestKey
    commitment: Digest

    @property
    def place(self) -> tuple[bytes, bytes]:
        """By what the ledger names it."""
        return self.payer, self.key

    @property
    def item(self) -> tuple[bytes, bytes, bytes]:
        """As `prove` names it."""
        return self.payer, self.key, self.commitment


def exact_world(judge: Judge | None = None, weight_root: Digest = WEIGHT_ROOT, **changes: Any) -> World:
    """A world with an exact model, a node that proves it, and Alice's escrow of 100 OPG."""
    world = World.new(**changes)
    if judge is not None:
        world.checks = Checks(zk=judge)
    world.must(OWNER, "Models", "register", *model_arguments(kind="tensor", layers=5))
    assert register_exact(world, weight_root=weight_root).error == ""
    world.must(OPERATOR, "Nodes", "register", *node_arguments(layers=5), value=BOND)
    world.must(ALICE, "Escrow", "deposit", value=100 * OPG)
    return world


def register_exact(world: World, model: ModelId = MODEL, owner: PrivateKey = OWNER, **changes: Any) -> Result:
    """A call of `registerExact`; `changes` are arguments that differ."""
    found = {"graph": GRAPH.bytes, "weight_root": WEIGHT_ROOT, "version": VERSION} | changes
    data = call("Models", "registerExact", model, *found.values())
    return world.send(owner, BY_NAME["Models"].address, data, gas_limit=GAS)


@dataclass
class Node:
    """A node that promises proofs, by its operator's and its hot key."""

    operator: PrivateKey = OPERATOR
    hot: PrivateKey = HOT

    def settle(
        self,
        world: World,
        number: int = 1,
        payer: PrivateKey = ALICE,
        model: ModelId = MODEL,
        *,
        height: int | None = None,
        window: int = WINDOW,
        **changes: Any,
    ) -> tuple[Answer, str]:
        """Settle an answer; returns it, and the code of its refusal, empty when it was accepted."""
        at = world.height if height is None else height
        commitment = Digest(keccak256(b"commitment %d" % number))
        asked = request(payer, number, world.now, layer=Layer.ZK, model_id=model, node=self.operator.address)
        given = {
            "signer": self.hot.address,
            "height": at,
            "evidence_digest": Promise(commitment, at + window).digest(),
        }
        answered = receipt(asked, world.now, **(given | changes))
        (reason,), _ = world.settle(signed(asked, answered, payer, self.hot))
        return Answer(payer.address, asked.key, commitment), reason

    def due(self, world: World, number: int = 1, payer: PrivateKey = ALICE, model: ModelId = MODEL) -> Answer:
        """As `settle`, and it is accepted."""
        found, reason = self.settle(world, number, payer, model)
        assert reason == ""
        return found

    def statement(self, world: World, *answers: Answer, mode: Mode = Mode.SUCCINCT) -> Statement:
        """What a proof of these answers claims; beacons of these worlds are zero, as `World.apply` makes its blocks."""
        entries = tuple(Entry(Digest(each.key), each.commitment) for each in answers)
        return Statement(mode, EXACT, self.operator.address, CHAIN_ID, Digest(bytes(32)), entries)


def prove(
    world: World,
    *items: tuple[bytes, ...],
    model: ModelId = MODEL,
    mode: int = Mode.SUCCINCT,
    beacon: int | None = None,
    proof: bytes = PROOF,
    sender: PrivateKey = OWNER,
    gas: int = GAS,
) -> Result:
    """A call of `prove`, with the newest beacon that it can name unless another is given."""
    height = world.height - 1 if beacon is None else beacon
    data = call("Proofs", "prove", model, int(mode), height, items, proof)
    return world.send(sender, BY_NAME["Proofs"].address, data, gas_limit=gas)


def expire(world: World, *places: tuple[bytes, bytes], sender: PrivateKey = ALICE) -> Result:
    """A call of `expire`."""
    return world.send(sender, BY_NAME["Proofs"].address, call("Proofs", "expire", places), gas_limit=GAS)


def pass_blocks(world: World, count: int) -> None:
    """So many empty blocks, audited at their end."""
    audited, world.audited = world.audited, False
    for _ in range(count - 1):
        world.apply()
    world.audited = audited
    world.apply()


def refused(result: Result) -> str:
    """The code of a refusal, and that the transaction changed nothing but its gas."""
    assert result.logs == ()
    return code(result)


def told(*statements: Statement) -> Judge:
    """A judge who knows these statements."""
    return Judge([(replace(each), PROOF) for each in statements])
