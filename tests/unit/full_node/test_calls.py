"""State and simulated calls over JSON-RPC."""

from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB, CAROL, call, person
from tests.unit.full_node.world import GWEI, Desk, calling, native, text, transfer

from paraph.adapters.ethereum import rpc
from paraph.core.keys import checksummed
from paraph.ledger.versions import CONTRACTS


@pytest.fixture
def desk() -> Desk:
    return Desk()


def hexed(contract: str, method: str, *arguments: Any) -> str:
    return "0x" + call(contract, method, *arguments).hex()


@pytest.mark.parametrize(
    "tag", [[], ["latest"], ["safe"], ["finalized"], ["pending"], ["0x1"], [{"blockNumber": "0x1"}]]
)
def test_state_is_read_at_the_head(desk: Desk, tag: list[Any]) -> None:
    """Every way to name the head reads the same balance."""
    desk.settle(transfer(0, value=7))
    before = Desk().result("eth_getBalance", text(BOB))

    assert int(desk.result("eth_getBalance", text(BOB), *tag), 16) == int(before, 16) + 7


def test_head_by_its_hash(desk: Desk) -> None:
    """The head may be named by its hash (EIP-1898)."""
    (receipt,) = desk.settle(transfer(0))

    assert desk.result("eth_getTransactionCount", text(ALICE), {"blockHash": receipt["blockHash"]}) == "0x1"


@pytest.mark.parametrize("tag", ["earliest", "0x0", {"blockNumber": "0x0"}])
def test_state_of_an_earlier_block(desk: Desk, tag: Any) -> None:
    """State of a block some way back is read as it was then, by reads and by calls."""
    before = desk.result("eth_getBalance", text(BOB))
    desk.settle(transfer(0, value=7))
    held = {"to": native("Opg"), "data": hexed("Opg", "balanceOf", BOB.address)}

    assert desk.result("eth_getBalance", text(BOB), tag) == before
    assert desk.result("eth_getTransactionCount", text(ALICE), tag) == "0x0"
    assert int(desk.result("eth_call", held, tag), 16) == int(before, 16)
    assert int(desk.result("eth_call", held), 16) == int(before, 16) + 7


def test_call_of_an_earlier_block_has_its_time(desk: Desk) -> None:
    """A call on an earlier state runs in the block after it, at no later time than that block's own."""
    desk.settle(calling(0, "Escrow", "deposit", value=5), calling(1, "Escrow", "requestWithdrawal", 5))
    desk.clock.advance(2 * 86_400_000)
    desk.engine.produce()
    asked = {"from": text(ALICE), "to": native("Escrow"), "data": hexed("Escrow", "withdraw")}

    assert desk.error("eth_call", asked, "0x1")["code"] == rpc.REVERTED
    assert desk.result("eth_call", asked, "0x2") == "0x"


@pytest.mark.parametrize(("tag", "says"), [("0x0", "this node keeps that of block 1 on"), ("0x9", "not found")])
@pytest.mark.parametrize("method", ["eth_getBalance", "eth_getTransactionCount", "eth_getCode", "eth_call"])
def test_state_that_is_not_kept_is_refused(method: str, tag: str, says: str) -> None:
    """State of a block too far back, or to come, is refused, and the error says what is there."""
    desk = Desk(history_blocks=2)
    for nonce in range(3):
        desk.settle(transfer(nonce))
    what: Any = {"to": text(BOB)} if method == "eth_call" else text(BOB)

    error = desk.error(method, what, tag)

    assert error["code"] == rpc.NOT_FOUND
    assert says in error["message"]


def test_checksummed_address_is_read(desk: Desk) -> None:
    """Addresses come in any case."""
    assert desk.result("eth_getBalance", checksummed(ALICE.address)) == desk.result("eth_getBalance", text(ALICE))


def test_pending_nonce_counts_what_waits(desk: Desk) -> None:
    """`pending` counts the unbroken run of waiting transactions, `latest` what is committed."""
    for nonce in (0, 1, 3):
        desk.send(transfer(nonce))

    assert desk.result("eth_getTransactionCount", text(ALICE), "latest") == "0x0"
    assert desk.result("eth_getTransactionCount", text(ALICE), "pending") == "0x2"


def test_native_contracts_have_code(desk: Desk) -> None:
    """Every native contract shows code, so that clients dare to call it; people show none."""
    assert {desk.result("eth_getCode", text(contract.address)) for contract in CONTRACTS} == {"0xfe"}
    assert desk.result("eth_getCode", text(ALICE)) == "0x"


@pytest.mark.parametrize("slot", ["0x0", "0x00", "0x1f", "0x" + "00" * 32])
def test_there_is_no_storage(desk: Desk, slot: str) -> None:
    """Storage reads as zero, however the slot is spelled."""
    assert desk.result("eth_getStorageAt", native("Opg"), slot, "latest") == "0x" + "00" * 32


@pytest.mark.parametrize("member", ["data", "input"])
def test_call_returns_output(desk: Desk, member: str) -> None:
    """A call reads calldata from either member that clients use."""
    found = desk.result("eth_call", {"to": native("Opg"), member: hexed("Opg", "decimals")}, "latest")

    assert int(found, 16) == 18


def test_call_to_a_person_returns_nothing(desk: Desk) -> None:
    """An account without code answers a call with nothing."""
    assert desk.result("eth_call", {"to": text(BOB), "data": "0x1234"}, "latest") == "0x"


def test_call_changes_nothing(desk: Desk) -> None:
    """A simulated transfer leaves the balance as it was."""
    before = desk.chain.dump()

    desk.result(
        "eth_call", {"from": text(ALICE), "to": native("Opg"), "data": hexed("Opg", "transfer", BOB.address, 5)}
    )

    assert desk.chain.dump() == before


def test_revert_is_error_three(desk: Desk) -> None:
    """A revert is error 3 with Solidity's `Error(string)` as data, its sentence beginning with our code."""
    asked = {
        "from": text(ALICE),
        "to": native("Opg"),
        "data": hexed("Opg", "transferFrom", BOB.address, CAROL.address, 5),
    }

    for method in ("eth_call", "eth_estimateGas"):
        error = desk.error(method, asked)
        assert error["code"] == 3
        assert error["message"].startswith("execution reverted: accounts.allowance: ")
        assert error["data"].startswith("0x08c379a0")


@pytest.mark.parametrize(
    ("asked", "number", "says"),
    [
        ({"data": "0x00"}, rpc.INVALID_INPUT, "contracts cannot be created"),
        ({"to": text(BOB), "gas": "0x5207"}, rpc.INVALID_INPUT, "intrinsic gas too low"),
        ({"to": native("Opg"), "data": "0x313ce567", "gas": "0x5300"}, rpc.INVALID_INPUT, "out of gas"),
        ({"from": text(ALICE), "to": text(BOB), "value": hex(10**30)}, rpc.INVALID_INPUT, "insufficient funds"),
        ({"to": text(BOB), "value": "0x1"}, rpc.INVALID_INPUT, "insufficient funds"),
        ({"to": text(BOB), "data": "0x12", "input": "0x34"}, rpc.INVALID_PARAMS, "differ"),
        ({"to": text(BOB), "value": "0x01"}, rpc.INVALID_PARAMS, "without leading zeros"),
        ({"to": text(BOB), "value": 1}, rpc.INVALID_PARAMS, "hex quantity"),
        ({"to": text(BOB)[:-1]}, rpc.INVALID_PARAMS, "hex data"),
        ({"to": text(BOB)[:-2]}, rpc.INVALID_PARAMS, "20 bytes"),
        ({"to": text(BOB), "data": "0x1"}, rpc.INVALID_PARAMS, "hex data"),
        ({"to": text(BOB), "data": "0x" + "00" * (2**20 + 1)}, rpc.INVALID_PARAMS, "larger"),
        ("0x", rpc.INVALID_PARAMS, "object"),
    ],
)
def test_call_that_cannot_be_made(desk: Desk, asked: Any, number: int, says: str) -> None:
    """Each mistake in a call is named."""
    error = desk.error("eth_call", asked, "latest")

    assert error["code"] == number
    assert says in error["message"]


def test_overrides_are_refused(desk: Desk) -> None:
    """State overrides are refused, not ignored; empty ones are none."""
    asked = {"to": text(BOB)}

    assert desk.result("eth_call", asked, "latest", {}) == "0x"
    assert desk.error("eth_call", asked, "latest", {text(BOB): {"balance": "0x1"}})["code"] == rpc.INVALID_PARAMS


@pytest.mark.parametrize(
    ("contract", "method", "arguments", "value"),
    [
        ("Opg", "transfer", (BOB.address, 5), 0),
        ("Opg", "approve", (BOB.address, 2**255), 0),
        ("Escrow", "deposit", (), 10**18),
        ("Models", "register", (b"\1" * 32, b"\2" * 32, "a/model", "tensor", 100, 1, 5, 6, 7), 0),
    ],
)
def test_estimate_is_exact(desk: Desk, contract: str, method: str, arguments: tuple[Any, ...], value: int) -> None:
    """What is estimated is what is used; one gas less does not suffice."""
    data = call(contract, method, *arguments)
    asked = {"from": text(ALICE), "to": native(contract), "data": "0x" + data.hex(), "value": hex(value)}

    gas = int(desk.result("eth_estimateGas", asked), 16)

    to = bytes.fromhex(native(contract)[2:])
    enough = transfer(0, to=to, value=value, data=data, gas=gas)  # type: ignore[arg-type]
    short = transfer(1, to=to, value=value, data=data, gas=gas - 1)  # type: ignore[arg-type]
    first, second = desk.settle(enough, short)
    assert (first["status"], int(first["gasUsed"], 16)) == ("0x1", gas)
    assert second["status"] == "0x0"


def test_estimate_of_a_transfer(desk: Desk) -> None:
    """A plain transfer takes 21 000 gas, an access list what EIP-2930 says."""
    plain = {"from": text(ALICE), "to": text(BOB), "value": "0x1"}
    listed = {**plain, "accessList": [{"address": text(BOB), "storageKeys": ["0x" + "00" * 32]}]}

    assert desk.result("eth_estimateGas", plain) == hex(21_000)
    assert desk.result("eth_estimateGas", listed) == hex(21_000 + 2_400 + 1_900)


def test_estimate_beyond_the_allowance(desk: Desk) -> None:
    """A call that needs more than it may take says so."""
    asked = {"to": native("Opg"), "data": hexed("Opg", "decimals"), "gas": "0x5300"}

    assert "gas required exceeds allowance (21248)" in desk.error("eth_estimateGas", asked)["message"]


def test_call_that_names_a_fee_must_afford_it(desk: Desk) -> None:
    """As in geth, a call with gas and fee needs the money for both."""
    poor = text(person("a beggar"))

    assert desk.result("eth_call", {"from": poor, "to": text(BOB)}) == "0x"
    asked = {"from": poor, "to": text(BOB), "gas": "0x5208", "maxFeePerGas": hex(GWEI)}
    assert "insufficient funds" in desk.error("eth_call", asked)["message"]


def test_calls_see_the_next_block(desk: Desk) -> None:
    """A call runs in the block to come: its height and the clock's time."""
    desk.settle(calling(0, "Escrow", "deposit", value=5), calling(1, "Escrow", "requestWithdrawal", 5))
    asked = {"from": text(ALICE), "to": native("Escrow"), "data": hexed("Escrow", "withdraw")}
    assert desk.error("eth_call", asked)["code"] == 3

    desk.clock.advance(2 * 86_400_000)

    assert desk.result("eth_call", asked) == "0x"


def test_sha3(desk: Desk) -> None:
    """`web3_sha3` is Keccak-256."""
    assert desk.result("web3_sha3", "0x") == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
