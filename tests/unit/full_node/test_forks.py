"""Reports of forks at a node's door: what convicts is handed on, all else is refused and says why."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.sim.replicas import network
from tests.support.comet import FOUR, header, members, sealed, validator
from tests.support_ledger.staking import account
from tests.support_ledger.world import START_S
from tests.unit.full_node.world import Asker, Desk

from paraph.adapters.fakes.store import MemoryStore
from paraph.core.digest import sha256
from paraph.core.encode import JsonObject
from paraph.core.errors import Rejected, Unavailable
from paraph.core.ident import Digest, to_hex
from paraph.full_node.chain import Chain, Decided
from paraph.full_node.forks import Forks
from paraph.full_node.limits import COSTS, Limits
from paraph.full_node.rpc import answer
from paraph.ledger.rooms.bonds.types import Fault
from paraph.proofs.light.conflict import Attack, Fork, duplicate_votes
from paraph.proofs.light.types import LightBlock, LightHeader, validators_hash
from paraph.proofs.seal import engine_chain_id

DELAY_S = 60


class Court:
    """An engine that shows ten blocks of this chain, and keeps what it is handed."""

    def __init__(self, chain_id: str, time_s: int) -> None:
        self.chain_id = chain_id
        self.blocks = {height: self.seal(self.header(height, time_s + height)) for height in range(1, 11)}
        self.taken: list[Any] = []
        self.refuses: tuple[str, ...] = ()

    def header(self, height: int, seconds: int, **changes: Any) -> LightHeader:
        made = header(height, FOUR, chain_id=self.chain_id, **changes)
        return replace(made, time=replace(made.time, seconds=seconds))

    def seal(self, of: LightHeader, **changes: Any) -> LightBlock:
        return sealed(of, FOUR, **changes)

    async def decided(self, height: int) -> LightBlock:
        if height not in self.blocks:
            raise Unavailable("light.none_yet", f"no block follows {height} here yet")
        return self.blocks[height]

    async def accuse(self, evidence: JsonObject) -> Digest:
        if evidence["type"] in self.refuses:
            raise Rejected("comet.evidence", "the engine does not take this evidence: too old")
        self.taken.append(evidence)
        return Digest(sha256(json.dumps(evidence).encode()))


class Node(Asker):
    """A node's door for reports, behind which four validators agree whose consensus keys are those of `FOUR`."""

    def __init__(self, *faults: Fault) -> None:
        names = zip(network().validators, FOUR, strict=True)
        genesis = replace(
            network(),
            validators=tuple(replace(each, key=validator(name).key) for each, name in names),
            parameters={"unbond_delay_s": DELAY_S},
        )
        self.chain = Chain(MemoryStore(), genesis)
        self.wait(20, *faults)
        chain_id = engine_chain_id(genesis.chain_id, genesis.digest())
        self.court = Court(chain_id, START_S)
        methods = Forks(self.chain, self.court).methods()
        super().__init__(lambda body: asyncio.run(answer(methods, body)))

    def wait(self, seconds: int, *faults: Fault) -> None:
        """A block, so many seconds later, which brings these faults."""
        now_s = self.chain.head.header.time_s + seconds
        self.chain.finalize(Decided(now_s, account("one"), (), faults))
        self.chain.commit()

    def fork(self, common_height: int | None = 4, **changes: Any) -> Fork:
        """A report of a false block 9 beside the true one."""
        truth = self.court.blocks[9]
        state = {"app_hash": sha256(b"other state")}
        false = self.court.seal(self.court.header(9, truth.header.time.seconds, **state), **changes)
        against = None if common_height is None else Attack(false, common_height, (), 1, false.header.time)
        return Fork(truth, false, None, against, duplicate_votes(truth, false))


def hexed(*names: str) -> list[str]:
    return sorted(to_hex(validator(name).key) for name in names)


def test_pairs_of_votes_are_handed_on() -> None:
    """Each validator in a pair is accused by its own evidence, and the answer names it."""
    node = Node()
    fork = node.fork(signers=["ann", "ben", "cat"])

    found = node.result("paraph_reportFork", fork.as_json())

    assert found["height"] == 9
    assert sorted(each["validators"][0] for each in found["evidence"]) == hexed("ann", "ben", "cat")
    assert {each["kind"] for each in found["evidence"]} == {"duplicate_vote"}
    assert {each["type"] for each in node.court.taken} == {"tendermint/DuplicateVoteEvidence"}
    hashes = [to_hex(sha256(json.dumps(each).encode())) for each in node.court.taken]
    assert [each["hash"] for each in found["evidence"]] == hashes


def test_attack_is_handed_on() -> None:
    """A false block of another round is evidence of its own, with the powers of this chain."""
    node = Node()

    found = node.result("paraph_reportFork", node.fork(signers=["ann", "ben", "cat"], round_=1).as_json())

    ((one,), (taken,)) = found["evidence"], node.court.taken
    assert (one["kind"], sorted(one["validators"])) == ("light_client_attack", hexed("ann", "ben", "cat"))
    assert (taken["type"], taken["value"]["CommonHeight"]) == ("tendermint/LightClientAttackEvidence", "4")
    assert taken["value"]["TotalVotingPower"] == str(sum(each.power for each in members(FOUR)))


def test_what_the_engine_refuses_keeps_nothing_else_back() -> None:
    """Evidence that the engine refuses is told only when it takes no other."""
    node = Node()
    fork = node.fork(signers=["ann", "ben", "cat"])
    partly = replace(fork, votes=fork.votes[:1])

    node.court.refuses = ("tendermint/DuplicateVoteEvidence",)
    found = node.result("paraph_reportFork", partly.as_json())
    node.court.refuses += ("tendermint/LightClientAttackEvidence",)
    refused = node.error("paraph_reportFork", partly.as_json())

    assert [each["kind"] for each in found["evidence"]] == ["light_client_attack"]
    assert refused["data"]["code"] == "comet.evidence"


def refusal(node: Node, fork: Fork) -> tuple[str, str]:
    """The code and the sentence with which a report is refused; nothing of it goes on."""
    error = node.error("paraph_reportFork", fork.as_json())
    assert node.court.taken == []
    return error["data"]["code"], error["message"]


def test_the_truth_convicts_nobody() -> None:
    """This chain's own block, twice, is no fork."""
    node = Node()
    truth = node.court.blocks[9]

    code, message = refusal(node, Fork(truth, truth, None, None, ()))

    assert code == "fork.nobody"
    assert "is this chain's own" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"signers": ["ann", "ben"], "round_": 1}, "two thirds"), ({"signers": [], "round_": 0}, "0 of 4 votes")],
    ids=["few", "none"],
)
def test_what_does_not_verify_goes_no_further(changes: dict[str, Any], words: str) -> None:
    """A block that too few signed is not handed on, and the answer says so."""
    node = Node()

    code, message = refusal(node, node.fork(**changes))

    assert code == "fork.nobody"
    assert words in message


def test_another_chains_fork_goes_no_further() -> None:
    """Validators who signed two blocks of another chain did nothing against this one."""
    node, other = Node(), Court("another", START_S)
    truth = other.blocks[9]
    false = other.seal(other.header(9, truth.header.time.seconds, app_hash=sha256(b"x")))

    code, message = refusal(node, Fork(truth, false, None, None, duplicate_votes(truth, false)))

    assert code == "fork.nobody"
    assert "of the chain 'another'" in message
    assert "4 pairs of votes" in message


def test_old_crimes_go_no_further() -> None:
    """What bonds no longer answer for is refused from the second on in which the ledger would pass it over."""
    node = Node()
    fork = node.fork(signers=["ann", "ben", "cat"], round_=1)
    node.wait(DELAY_S - (node.chain.head.header.time_s - (START_S + 4)))
    last = node.result("paraph_reportFork", fork.as_json())
    node.court.taken.clear()
    node.wait(1)

    code, message = refusal(node, fork)

    assert len(last["evidence"]) == 1
    assert code == "fork.nobody"
    assert f"{DELAY_S + 1} s ago, and bonds answer for {DELAY_S} s" in message


def test_who_was_put_out_is_not_accused_again() -> None:
    """A validator that was struck already costs no more; one that was not is accused beside it."""
    fault = Fault(1, validator("ann").address, 1, START_S)
    node = Node(fault)
    fork = node.fork(signers=["ann", "ben", "cat"])

    found = node.result("paraph_reportFork", fork.as_json())
    node.court.taken.clear()
    ann = tuple(pair for pair in fork.votes if pair.key == validator("ann").key)
    code, message = refusal(node, Fork(fork.first, node.fork(signers=["ann"]).second, None, None, ann))

    assert sorted(each["validators"][0] for each in found["evidence"]) == hexed("ben", "cat")
    assert code == "fork.nobody"
    assert "put out already" in message


def test_keys_that_the_ledger_does_not_know_are_not_accused() -> None:
    """A voter that no bond stands behind loses nothing: the ledger would pass its fault over."""
    node = Node()
    mal = {"mal": 1}
    names_mal = validators_hash(members(mal))
    node.court.blocks[9] = sealed(node.court.header(9, START_S + 9, validators_hash=names_mal), mal)
    truth = node.court.blocks[9]
    false = sealed(replace(truth.header, data_hash=sha256(b"x")), mal)

    code, _ = refusal(node, Fork(truth, false, None, None, duplicate_votes(truth, false)))

    assert code == "fork.nobody"


def test_a_block_that_nothing_follows_is_judged_later() -> None:
    """Before the next block the votes on a block are not final: the answer is to ask again."""
    node = Node()
    truth = node.court.seal(node.court.header(11, START_S + 11))

    error = node.error("paraph_reportFork", Fork(truth, truth, None, None, ()).as_json())

    assert (error["code"], error["data"]["code"]) == (-32002, "light.none_yet")


@pytest.mark.parametrize("value", [{}, [], 5, {"first": 1}], ids=["empty", "list", "number", "part"])
def test_other_json_is_refused(value: Any) -> None:
    """A report of another shape is malformed."""
    assert Node().error("paraph_reportFork", value)["code"] == -32602


def test_a_producer_cannot_be_reported() -> None:
    """Where one producer signs there are no validators to accuse, and the answer says so."""
    node, desk = Node(), Desk()

    error = desk.error("paraph_reportFork", node.fork().as_json())

    assert error["data"]["code"] == "light.none"
    with pytest.raises(Rejected, match="no validators to accuse"):
        asyncio.run(desk.production.accuse({}))


def test_a_report_has_its_price() -> None:
    """A client can hand in a few reports a second, not many: a judgement may take a tenth of a second of a core."""
    limits = Limits()

    assert limits.cost_per_s / COSTS["paraph_reportFork"] <= 2
    assert limits.cost_burst / COSTS["paraph_reportFork"] <= 10
