"""The contracts' JSON ABIs, as the tools that wallets and scripts use read them."""

from typing import Any

import pytest
from eth_abi.abi import decode as eth_decode
from eth_utils.abi import event_signature_to_log_topic, function_signature_to_4byte_selector
from tests.support_ledger.world import ALICE, BOB, CAROL, OPERATOR, World, events, receipt, request, signed
from web3 import Web3

from paraph.core.abi import Field, Type, Value
from paraph.ledger.contract import Bound, Contract
from paraph.ledger.versions import BY_NAME, CONTRACTS

WEB3 = Web3()
ALL = [(contract, bound) for contract in CONTRACTS for bound in contract.methods]
NAMES = [f"{contract.name}.{bound.method.name}" for contract, bound in ALL]

# As published: EIP-20, EIP-2612, EIP-3009.
PUBLISHED = {
    "name": "06fdde03",
    "symbol": "95d89b41",
    "decimals": "313ce567",
    "totalSupply": "18160ddd",
    "balanceOf": "70a08231",
    "allowance": "dd62ed3e",
    "transfer": "a9059cbb",
    "approve": "095ea7b3",
    "transferFrom": "23b872dd",
    "DOMAIN_SEPARATOR": "3644e515",
    "version": "54fd4d50",
    "nonces": "7ecebe00",
    "permit": "d505accf",
    "authorizationState": "e94a0102",
    "transferWithAuthorization": "e3ee160e",
    "receiveWithAuthorization": "ef55bec6",
    "cancelAuthorization": "5a049a70",
}
TOPICS = {
    "Transfer": "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "Approval": "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925",
    "AuthorizationUsed": "98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5",
    "AuthorizationCanceled": "1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81",
}


def sample(kind: Type, seed: int) -> Value:
    """A value of that type, not zero."""
    match kind.kind:
        case "uint":
            return (seed * 2_654_435_761 + 1) % (1 << kind.size)
        case "address":
            return bytes((seed % 256,)) * 20
        case "fixed":
            return bytes((seed % 255 + 1,)) * kind.size
        case "bytes":
            return b"\x01\x02" * (seed % 40)
        case "string":
            return "té" * (seed % 30)
        case "tuple":
            return tuple(sample(field.type, seed + at) for at, field in enumerate(kind.items))
        case _:
            return tuple(sample(kind.items[0].type, seed + at) for at in range(seed % 4))


def as_web3(kind: Type, value: Value) -> Any:
    """The value as web3 takes it: addresses as checksummed text."""
    if kind.kind == "address":
        return Web3.to_checksum_address(value)
    if kind.kind == "tuple":
        return tuple(as_web3(field.type, each) for field, each in zip(kind.items, value, strict=True))
    if kind.kind == "array":
        return [as_web3(kind.items[0].type, each) for each in value]
    return value


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("contract", "bound"), ALL, ids=NAMES)
def test_web3_encodes_the_same(contract: Contract, bound: Bound, seed: int) -> None:
    """Web3, given the JSON ABI, makes the same calldata for every method."""
    foreign = WEB3.eth.contract(abi=contract.abi_json)
    values = [sample(field.type, seed + at) for at, field in enumerate(bound.method.inputs)]
    shown = [as_web3(field.type, value) for field, value in zip(bound.method.inputs, values, strict=True)]

    assert foreign.encode_abi(bound.method.name, shown) == "0x" + bound.method.call(*values).hex()


@pytest.mark.parametrize(("contract", "bound"), ALL, ids=NAMES)
def test_selectors_are_ethereums(contract: Contract, bound: Bound) -> None:
    """Every selector is the hash of the signature as eth_utils hashes it."""
    assert function_signature_to_4byte_selector(bound.method.signature) == bound.method.selector


def test_published_selectors() -> None:
    """OPG answers to the selectors and logs the topics that ERC-20, EIP-2612 and EIP-3009 publish, and no others."""
    found = BY_NAME["Opg"]

    assert {bound.method.name: bound.method.selector.hex() for bound in found.methods} == PUBLISHED
    assert {event.name: event.topic.hex() for event in found.events} == TOPICS


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_topics_are_ethereums(contract: Contract) -> None:
    """Every event's topic is the hash of its signature as eth_utils hashes it."""
    for event in contract.events:
        signature = event.name + "(" + ",".join(field.type.name for field in event.inputs) + ")"
        assert bytes(event_signature_to_log_topic(signature)) == event.topic


def test_web3_reads_our_logs() -> None:
    """Web3 decodes the events of a settlement, an approval and a deposit to the values we meant."""
    world = World.open()
    asked = request(now=world.now)
    results = [
        world.settle(signed(asked, receipt(asked, world.now)), signed(asked, receipt(asked, world.now)))[1],
        world.must(ALICE, "Opg", "approve", BOB.address, 5),
        world.must(ALICE, "Escrow", "depositFor", CAROL.address, value=6),
    ]
    seen = 0
    for result in results:
        for log, (name, values) in zip(result.logs, events(result), strict=True):
            contract = next(each for each in CONTRACTS if each.address == log.address)
            entry = {
                "address": Web3.to_checksum_address(log.address),
                "topics": list(log.topics),
                "data": log.data,
                "blockNumber": 1,
                "transactionHash": bytes(32),
                "transactionIndex": 0,
                "blockHash": bytes(32),
                "logIndex": 0,
            }
            decoded = WEB3.eth.contract(abi=contract.abi_json).events[name]().process_log(entry)
            event = next(each for each in contract.events if each.name == name)
            ours = {field.name: as_web3(field.type, value) for field, value in zip(event.inputs, values, strict=True)}
            assert dict(decoded["args"]) == ours
            seen += 1
    assert seen == 4 + 1 + 2


def test_outputs_are_decodable() -> None:
    """What a view returns is what eth_abi decodes by the types that the ABI declares."""
    world = World.open()
    for contract, method, arguments in [
        ("Nodes", "get", (OPERATOR.address,)),
        ("Params", "names", ()),
        ("Opg", "name", ()),
        ("Escrow", "account", (ALICE.address,)),
    ]:
        found = BY_NAME[contract].method(method)
        output = world.simulate(ALICE.address, BY_NAME[contract].address, found.call(*arguments)).output
        ours = world.view(contract, method, *arguments)

        foreign = eth_decode([field.type.name for field in found.outputs], output)

        whole = ours if len(found.outputs) > 1 else (ours,)
        assert [shown(field, value) for field, value in zip(found.outputs, whole, strict=True)] == list(foreign)


def shown(field: Field, value: Value) -> Any:
    """The value as eth_abi shows it."""
    return "0x" + value.hex() if field.type.kind == "address" else value
