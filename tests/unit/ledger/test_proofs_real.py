"""Real proofs on the ledger: taken and paid, or refused, in the same words whichever verifier looks at them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pytest
from tests.support import zk
from tests.support_ledger.promises import GAS, GRAPH, Answer, Node, exact_world, prove, refused
from tests.support_ledger.world import ALICE, CHAIN_ID, OPERATOR, OWNER, PROPOSER, World, differing

from paraph.adapters.provers import check
from paraph.core.digest import sha256
from paraph.core.ident import Digest
from paraph.ledger.block import Result
from paraph.ledger.rooms.accounts.keys import BALANCES, NONCES, TREASURY
from paraph.ledger.rooms.models.keys import WORK
from paraph.ledger.rooms.params.types import GAS_PER_WORK
from paraph.proofs.promised import Promise
from paraph.proofs.quotes.evidence import Checks, Verify
from paraph.proofs.zk.plan import plan
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement, commitment
from paraph.proofs.zk.verify import verify
from paraph.proofs.zk.weights import weight_root, weight_vector

NODE: Final = Node()
VERIFIERS: Final = {"reference": verify, "fast": check.verify}
INPUTS: Final = ([1, -2, 3, -4], [5, 6, -7, 127], [-128, 0, 1, 2])


def weights() -> bytes:
    """Small weights, and biases of zero."""
    parts = []
    for index, block in enumerate(GRAPH.blocks):
        drawn = np.random.default_rng(index).integers(-7, 8, block.outputs * block.inputs)
        parts += [drawn.astype(np.int8).tobytes(), bytes(4 * block.outputs)]
    return b"".join(parts)


WEIGHTS: Final = weights()
EXACT: Final = Exact(GRAPH, weight_root(GRAPH, WEIGHTS))


class Batch:
    """Answers settled in a world, and what proves them.

    Args:
        verifier: which verifier the world's validators have.
        count: how many answers.
        mode: what the proof gives away.
    """

    def __init__(self, verifier: Verify, count: int, mode: Mode) -> None:
        self.world = exact_world(weight_root=EXACT.weight_root)
        self.world.checks = Checks(zk=verifier)
        self.mode = mode
        self.layout = plan(GRAPH, count, mode)
        vector = weight_vector(GRAPH, WEIGHTS)
        rows = [*INPUTS[:count], *[[0] * 4] * ((1 << self.layout.batch_bits) - count)]
        self.runs = [zk.run(self.layout, vector, row, number, zk.Lies()) for number, row in enumerate(rows)]
        self.answers = [self._settled(number) for number in range(count)]
        self.world.apply()

    def _settled(self, number: int) -> Answer:
        x = b"".join(each.to_bytes(1, "little", signed=True) for each in INPUTS[number])
        y = zk.outputs_of(self.layout, self.runs[number].output)
        made = commitment(sha256(b"salt"), x, b"".join(each.to_bytes(4, "little", signed=True) for each in y))
        height = self.world.height
        promise = Promise(made, height + 600)
        found, reason = NODE.settle(self.world, number, height=height, evidence_digest=promise.digest())
        assert reason == ""
        return Answer(ALICE.address, found.key, made)

    def proof(self) -> bytes:
        """A real proof of all of them."""
        entries = tuple(Entry(Digest(each.key), each.commitment) for each in self.answers)
        statement = Statement(self.mode, EXACT, OPERATOR.address, CHAIN_ID, Digest(bytes(32)), entries)
        seeds: list[bytes] = [sha256(b"seed %d" % number) for number in range(len(self.runs))]
        vector = weight_vector(GRAPH, WEIGHTS)
        drawn = seeds if self.mode is Mode.HIDING else None
        return zk.Prover(self.layout, statement, vector, self.runs, drawn, zk.Lies(), b"").prove()

    def bring(self, proof: bytes, order: Sequence[int] | None = None) -> Result:
        """Bring a proof to the ledger."""
        answers = [self.answers[number] for number in order or range(len(self.answers))]
        return prove(self.world, *(each.item for each in answers), mode=self.mode, proof=proof, gas=GAS)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", VERIFIERS)
def test_a_real_proof_is_taken(name: str, mode: Mode) -> None:
    """Three answers, one proof, whoever verifies: all of them are proven and paid."""
    batch = Batch(VERIFIERS[name], 3, mode)

    assert batch.bring(batch.proof()).error == ""
    assert batch.world.view("Proofs", "counts") == (0, 3, 0)


def test_bad_proofs_in_the_same_words() -> None:
    """Of each way to spoil a proof, both verifiers make the same block: it is the same ledger with either."""
    made = {name: Batch(each, 2, Mode.SUCCINCT) for name, each in VERIFIERS.items()}
    proof = made["fast"].proof()
    middle = len(proof) // 2
    spoilt = {
        "nothing": b"",
        "cut": proof[:-1],
        "longer": proof + b"\0",
        "first byte": bytes((proof[0] ^ 1,)) + proof[1:],
        "a byte within": proof[:middle] + bytes((proof[middle] ^ 0x10,)) + proof[middle + 1 :],
        "zeros": bytes(len(proof)),
        "much too long": bytes(500_000),
    }
    for what, data in spoilt.items():
        results = {name: batch.bring(data) for name, batch in made.items()}
        assert {refused(each) for each in results.values()} == {"proofs.unverified"}, what
        assert results["fast"] == results["reference"], what
    swapped = {name: batch.bring(proof, (1, 0)) for name, batch in made.items()}

    assert swapped["fast"] == swapped["reference"]
    assert refused(swapped["fast"]) == "proofs.unverified"
    assert {_root(batch.world) for batch in made.values()} == {_root(made["fast"].world)}
    assert made["fast"].bring(proof).error == ""


@pytest.mark.parametrize("mode", Mode)
def test_a_forged_proof_costs_its_gas(mode: Mode) -> None:
    """A proof with one bit turned changes the sender's balance and nonce, whom gas pays, and the block's work alone."""
    batch = Batch(check.verify, 3, mode)
    proof = batch.proof()
    before = World(dict(batch.world.state))

    result = batch.bring(proof[:-1] + bytes((proof[-1] ^ 1,)))

    accounts = [prefix + each for prefix in (BALANCES.prefix, NONCES.prefix) for each in (OWNER.address, TREASURY)]
    changed = {key for key in differing(before, batch.world) if not key.startswith(b"chain/")}
    assert refused(result) == "proofs.unverified"
    assert result.gas_used > GAS_PER_WORK * batch.layout.cost
    assert WORK in changed
    assert changed <= {WORK, BALANCES.prefix + PROPOSER, *accounts}
    assert batch.bring(proof).error == ""


def _root(world: World) -> bytes:
    return sha256(repr(sorted(world.state.items())).encode())
