"""Calls worked out on proved state: what a full node would say, without its word, and within limits."""

from dataclasses import replace
from typing import Any

import pytest
from tests.sim.market import TEXT_ID, Ledger
from tests.support_ledger.world import ALICE, BOB, OPERATOR, OPG, OWNER, model_arguments, person
from tests.unit.flows.verified.nodes import SoloNode, ValidatorNode, forged

from paraph.adapters.fakes.clock import FakeClock
from paraph.core import abi
from paraph.core.amount import Wei
from paraph.core.errors import BrokenTruth, ParaphError, Rejected, Unverified
from paraph.core.ident import ModelId, to_hex
from paraph.flows.effect import Flow, Rpc
from paraph.flows.verified import calls
from paraph.flows.verified.calls import CallRequest, Done, Refused, call, estimate
from paraph.ledger.block import simulate
from paraph.ledger.contract import OutOfGas
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.params.keys import VERSION
from paraph.ledger.rooms.params.types import GAS_LIMIT
from paraph.ledger.versions import BY_NAME


def asking(contract: str, method: str, *arguments: Any, **more: Any) -> CallRequest:
    """Alice's call of a native contract's method."""
    found = BY_NAME[contract]
    return CallRequest(ALICE.address, found.address, Wei(0), found.method(method).call(*arguments), **more)


def outputs(node: SoloNode, contract: str, method: str, *arguments: Any) -> Any:
    """What a call returns, decoded."""
    found = node.play(call(node.follower(), asking(contract, method, *arguments)))
    assert isinstance(found, Done)
    return abi.decode(BY_NAME[contract].method(method).outputs, found.output)


def refused(node: SoloNode, flow: Flow[Any]) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        node.play(flow)
    return caught.value


def as_object(asked: CallRequest) -> dict[str, Any]:
    """The request as JSON-RPC has it."""
    gas = {} if asked.gas is None else {"gas": hex(asked.gas)}
    to = {} if asked.to is None else {"to": to_hex(asked.to)}
    fee = {"gasPrice": hex(asked.fee)} if asked.fee else {}
    return {"from": to_hex(asked.sender), "value": hex(asked.value), "data": to_hex(asked.data), **to, **gas, **fee}


REQUESTS = {
    "balance": asking("Opg", "balanceOf", BOB.address),
    "name": asking("Opg", "name"),
    "parameters": asking("Params", "names"),
    "a parameter": asking("Params", "get", "gas_limit"),
    "a model": asking("Models", "get", TEXT_ID),
    "no model": asking("Models", "get", ModelId(bytes(32))),
    "models": asking("Models", "page", 0, 10),
    "nodes": asking("Nodes", "page", 0, 10),
    "transfer": asking("Opg", "transfer", BOB.address, OPG),
    "transfer of too much": asking("Opg", "transfer", BOB.address, 10**40),
    "plain transfer": CallRequest(ALICE.address, BOB.address, Wei(1), b""),
    "enough gas": asking("Opg", "transfer", BOB.address, OPG, gas=500_000),
    "affordable fee": asking("Opg", "transfer", BOB.address, OPG, gas=500_000, fee=10**9),
    "no method": replace(asking("Opg", "name"), data=b"\1\2\3\4"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_same_as_a_full_node(name: str) -> None:
    """Outputs, gas and refusals are those of an honest full node."""
    asked = REQUESTS[name]
    for node in (SoloNode(), ValidatorNode()):
        found = node.play(call(node.follower(), asked))
        used = node.play(estimate(node.follower(), asked))

        if isinstance(found, Done):
            assert isinstance(used, Done)
            assert to_hex(found.output) == node.ledger.rpc(Rpc("eth_call", (as_object(asked),)))
            assert hex(used.gas_used) == node.ledger.rpc(Rpc("eth_estimateGas", (as_object(asked),)))
        else:
            with pytest.raises(Rejected, match="execution reverted") as caught:
                node.ledger.rpc(Rpc("eth_call", (as_object(asked),)))
            assert f"{found.error.code}: {found.error.message}" in caught.value.message
            assert isinstance(used, Refused)
            assert used.error.code == found.error.code


def test_pages_take_a_few_rounds() -> None:
    """A page of a list is proved in a few calls, not in one for each row."""
    node = SoloNode()
    for number in range(40):
        model_id = ModelId(bytes([number + 1]) * 32)
        node.ledger.call(OWNER, "Models", "register", *model_arguments(model_id=model_id, name=f"m{number}"))

    (listed,) = outputs(node, "Models", "page", 0, 50)

    assert len(listed) == 42
    assert len(node.asked) <= 6


def test_time_of_a_call_is_ours_and_never_before_the_heads() -> None:
    """A call runs at our clock's time, or at the head's if ours is behind."""
    node = SoloNode()
    node.ledger.clock.advance(-(10**6))

    assert isinstance(node.play(call(node.follower(), asking("Opg", "name"))), Done)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (CallRequest(ALICE.address, None, Wei(0), b""), "call.create"),
        (CallRequest(person("poor").address, BOB.address, Wei(1), b""), "call.funds"),
        (asking("Opg", "name", gas=10**6, fee=10**30), "call.funds"),
        (asking("Opg", "name", gas=21_000), "call.gas"),
    ],
)
def test_calls_that_cannot_be_made(asked: CallRequest, code: str) -> None:
    """No creation, no spending of what is not there, no gas below the intrinsic."""
    assert refused(SoloNode(), call(SoloNode().follower(), asked)).code == code


def test_out_of_gas() -> None:
    """A call with too little gas is refused; an estimate of it says how much is needed."""
    node = SoloNode()
    used = node.play(estimate(node.follower(), REQUESTS["transfer"]))
    assert isinstance(used, Done)
    short = replace(REQUESTS["transfer"], gas=used.gas_used - 1)

    found = node.play(call(node.follower(), short))
    error = refused(node, estimate(node.follower(), short))

    assert isinstance(found, Refused)
    assert isinstance(found.error, OutOfGas)
    assert error.code == "call.gas"
    assert node.play(estimate(node.follower(), replace(short, gas=used.gas_used))) == used


def test_more_than_a_block_has() -> None:
    """What needs more gas than a block has can be sent by nobody."""
    node = SoloNode()
    key = b"params/value/" + GAS_LIMIT.name.encode()
    used = node.play(estimate(node.follower(), REQUESTS["transfer"]))
    assert isinstance(used, Done)
    # A parameter is kept as its value and one: a block has one gas too little.
    state = {**node.ledger.chain.dump(), key: used.gas_used.to_bytes(4, "big")}
    node.lie = forged(state, node.header())

    assert refused(node, estimate(node.follower(), REQUESTS["transfer"])).code == "call.gas"


def test_lie_within_a_call() -> None:
    """A changed value of what a call reads is refused, in whichever round it comes."""
    node = SoloNode()
    wanted = BALANCES.prefix + BOB.address

    def richer(_effect: Rpc, reply: Any) -> Any:
        for row in reply["proofs"]:
            if row["key"] == to_hex(wanted):
                row["value"] = "0x7fffffff"
        return reply

    node.lie = richer
    error = refused(node, call(node.follower(), asking("Opg", "balanceOf", BOB.address)))

    assert isinstance(error, Unverified)
    assert error.code == "verified.proof"
    assert len(node.asked) == 2


def test_rules_of_another_version() -> None:
    """Where the network's rules are newer than this software, nothing is worked out by older ones."""
    node = SoloNode()
    node.lie = forged({**node.ledger.chain.dump(), VERSION.prefix: b"\x09"}, node.header())

    error = refused(node, call(node.follower(), asking("Opg", "name")))

    assert (error.code, error.facts["needed"]) == ("verified.rules", 9)


@pytest.mark.parametrize(("limit", "value"), [("ROUNDS_MAX", 1), ("KEYS_MAX", 5)])
def test_limits_of_a_call(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that reads too much, or too deep, is refused."""
    monkeypatch.setattr(calls, limit, value)
    node = SoloNode()

    assert refused(node, call(node.follower(), asking("Models", "page", 0, 10))).code == "verified.call"


def test_faults_on_half_a_state_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run raises while it lacks keys is not told; with all of them it is."""
    real = simulate

    def strict(read: Any, *rest: Any) -> Any:
        if read(BALANCES.prefix + BOB.address) is None:
            raise BrokenTruth("everybody has something")
        return real(read, *rest)

    monkeypatch.setattr(calls, "simulate", strict)
    rich, poor = SoloNode(), SoloNode(Ledger(FakeClock(1_760_000_000_000)))
    state = poor.ledger.chain.dump()
    del state[BALANCES.prefix + BOB.address]
    poor.lie = forged(state, poor.header())

    assert isinstance(rich.play(call(rich.follower(), asking("Opg", "name"))), Done)
    with pytest.raises(BrokenTruth):
        poor.play(call(poor.follower(), asking("Opg", "name")))


def test_operators_are_found() -> None:
    """A record of several keys is read whole."""
    node = SoloNode()

    assert outputs(node, "Nodes", "get", OPERATOR.address)
