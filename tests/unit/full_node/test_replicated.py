"""The chain under CometBFT, asked by its methods directly: strangers stop nothing, and the pool stays honest."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.sim.replicas import Replica, network, told
from tests.support_ledger.staking import key as consensus_key
from tests.support_ledger.world import (
    ALICE,
    BOB,
    CAROL,
    CHAIN_ID,
    GOVERNOR,
    OPERATOR,
    START_S,
    call,
    genesis,
    person,
    receipt,
    request,
    signed,
)

from paraph.adapters.comet.application import Power, Proposed
from paraph.core.amount import Wei
from paraph.core.encode import canonical, decode
from paraph.core.errors import Malformed, Rejected
from paraph.core.keys import PrivateKey
from paraph.core.smt import proof_from_json, proves
from paraph.full_node.replicated import app_state, evidence_s_max, first_powers
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.bonds.rules import consensus_address
from paraph.ledger.state import State
from paraph.ledger.tx import Tx
from paraph.ledger.versions import BY_NAME

GWEI = 10**9


@pytest.fixture
def node(tmp_path: Path) -> Replica:
    """A validator's application at genesis."""
    return Replica("one", tmp_path)


def transfer(who: PrivateKey, nonce: int = 0, value: int = 1, tip: int = 1, gas: int = 21_000) -> bytes:
    """A signed transfer to Carol."""
    return Tx(2, CHAIN_ID, nonce, tip, 20 * GWEI, gas, CAROL.address, Wei(value), b"").sign(who)


def block_of(node: Replica, *raw: bytes, name: str = "one") -> Proposed:
    """The next block."""
    height = node.chain.height + 1
    return Proposed(height, START_S + 10 + height, consensus_address(consensus_key(name)), raw)


def keep(node: Replica, *raw: bytes) -> None:
    """Finalize and commit a block of these."""
    node.application.finalize(block_of(node, *raw))
    node.application.commit()


def admitted(node: Replica, raw: bytes) -> int:
    """The code of CheckTx for a new transaction."""
    return asyncio.run(told(node.application.check(raw, again=False))).code


def test_begins_from_its_own_genesis_only(node: Replica) -> None:
    """InitChain gives the first root; another document or another first set is refused."""
    state = canonical(app_state(network()))
    powers = first_powers(network())

    assert node.application.begin(state, powers) == node.chain.header(0).state_root
    for other, set_of in ((canonical({"paraph_genesis": "0x00"}), powers), (state, (*powers[1:], Power(bytes(32), 1)))):
        with pytest.raises(Rejected) as caught:
            node.application.begin(other, set_of)
        assert caught.value.code == "chain.genesis"


@pytest.mark.parametrize(
    ("path", "data", "height"),
    [
        ("/state", b"", 0),
        ("/state", bytes(257), 0),
        ("/state", b"\xff" * 300_000, 0),
        ("/state", b"key", -1),
        ("/state", b"key", 2**62),
        ("/store/acc", b"key", 0),
        ("", b"", -(2**63)),
    ],
)
def test_no_query_raises(node: Replica, path: str, data: bytes, height: int) -> None:
    """Whatever strangers ask through the engine is answered."""
    found = node.application.query(path, data, height, prove=True)

    assert found.value == b""


def test_query_survives_a_broken_store(node: Replica) -> None:
    """A fault of ours under a query is a code, not an end."""
    node.chain._recent.clear()
    node.store.write({("blocks", bytes(8)): b"\xc0"})

    found = node.application.query("/state", b"chain/head", 0, prove=True)

    assert found.code == 1
    assert "query.failed" in found.log


def test_query_with_its_proof(node: Replica) -> None:
    """A key's value comes with a proof against the root of the height."""
    key = BALANCES.prefix + ALICE.address

    found = node.application.query("/state", key, 0, prove=True)

    ((_, named, proof),) = found.proof
    assert (found.code, named) == (0, key)
    assert proves(node.chain.header(0).state_root, key, found.value, proof_from_json(decode(proof), "proof"))


def test_proposal_is_by_tip_and_fits(node: Replica) -> None:
    """The better tip comes first; what does not fit in bytes is passed over, and smaller ones still go in."""
    low, high = transfer(ALICE, tip=1), transfer(BOB, tip=2)
    for raw in (low, high):
        assert admitted(node, raw) == 0

    assert node.application.propose(block_of(node), 1 << 20) == (high, low)
    assert node.application.propose(block_of(node), len(high) + 3) == (high,)


def test_declared_gas_starves_nobody(node: Replica) -> None:
    """A transaction that declares the whole block's gas, and uses little, leaves the others their room."""
    greedy = transfer(OPERATOR, tip=10**6, gas=30_000_000)
    honest = [transfer(person(name), tip=1) for name in ("two", "three", "four")]
    for raw in (greedy, *honest):
        assert admitted(node, raw) == 0

    chosen = node.application.propose(block_of(node), 1 << 20)

    assert set(chosen) == {greedy, *honest}
    assert node.application.judge(replace(block_of(node), transactions=chosen)) == ""


def test_what_can_no_longer_pay_leaves_the_pool(node: Replica) -> None:
    """An account emptied by a block of another's making keeps no places in the pool of one that never proposes."""
    held = int.from_bytes(node.chain.read(BALANCES.prefix + BOB.address) or b"", "big")
    fee = 20 * GWEI * 21_000
    waiting = [transfer(BOB, nonce) for nonce in range(1, 20)]
    for raw in waiting:
        assert admitted(node, raw) == 0

    keep(node, transfer(BOB, 0, value=held - fee))

    assert admitted(node, transfer(BOB, 1, value=2)) == 1
    assert asyncio.run(told(node.application.check(waiting[0], again=True))).code == 1


@pytest.mark.parametrize("spoilt", ["garbage", "poor", "twice", "forged"])
def test_spoilt_blocks_are_judged(node: Replica, spoilt: str) -> None:
    """A block with what would leave no trace, or with a forged receipt, is refused with a reason."""
    asked = request(number=1, now=START_S)
    forged = call("Settlement", "settle", (signed(asked, receipt(asked), payer=BOB),))
    address = BY_NAME["Settlement"].address
    raw = {
        "garbage": (b"garbage",),
        "poor": (transfer(person("a stranger")),),
        "twice": (transfer(ALICE), transfer(ALICE)),
        "forged": (Tx(2, CHAIN_ID, 0, 1, 20 * GWEI, 900_000, address, Wei(0), forged).sign(OPERATOR),),
    }[spoilt]

    assert node.application.judge(block_of(node, *raw)) != ""
    assert node.application.judge(block_of(node, transfer(ALICE))) == ""


def test_a_stranger_cannot_propose(node: Replica) -> None:
    """A proposer that is no validator is refused."""
    assert "block.proposer" in node.application.judge(block_of(node, name="nobody"))


def test_reaped_once(node: Replica) -> None:
    """What was told to others is not told again; bytes bound what is told at once."""
    raws = [transfer(who) for who in (ALICE, BOB)]
    for raw in raws:
        assert asyncio.run(told(node.application.insert(raw))).code == 0

    first = asyncio.run(node.application.reap(len(raws[0]) + 3, 0))
    rest = asyncio.run(node.application.reap(0, 0))

    assert len(first) == len(rest) == 1
    assert {*first, *rest} == set(raws)
    assert asyncio.run(node.application.reap(0, 0)) == ()


def test_extensions_are_not_expected(node: Replica) -> None:
    """Nothing is reported by votes yet; whoever adds something is refused."""
    assert node.application.extend(1, bytes(32)) == b""
    assert node.application.judge_extension(1, bytes(20), b"") == ""
    assert node.application.judge_extension(1, bytes(20), b"x") != ""


def test_a_genesis_has_producers_or_validators() -> None:
    """Both would let a lone producer speak for validators."""
    with pytest.raises(Malformed) as caught:
        replace(network(), producers=genesis().producers).state()

    assert caught.value.code == "genesis.producers"


def setting(nonce: int, name: str, value: int) -> bytes:
    """A transaction by which the governor sets a parameter."""
    to, data = BY_NAME["Params"].address, call("Params", "set", name, value)
    return Tx(2, CHAIN_ID, nonce, 1, 20 * GWEI, 200_000, to, Wei(0), data).sign(GOVERNOR)


def test_evidence_lasts_as_long_as_bonds_stay(node: Replica) -> None:
    """The engine is told in the block that raises the time that bonds stay, however often it asks; in no other."""
    told = []
    for raw in ((), (setting(0, "unbond_delay_s", 61),), (setting(1, "stakers_bps", 1),)):
        block = block_of(node, *raw)
        told.append([node.application.finalize(block).evidence_s_max for _ in range(2)])
        node.application.commit()

    assert told == [[None, None], [61, 61], [None, None]]


def test_evidence_lasts_a_minute_at_least() -> None:
    """Where bonds come back at once the engine still keeps evidence, since it must keep some."""
    assert evidence_s_max(State(replace(network(), parameters={"unbond_delay_s": 0}).state().get)) == 60
    assert evidence_s_max(State(replace(network(), parameters={"unbond_delay_s": 61}).state().get)) == 61
