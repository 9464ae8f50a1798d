"""Dispatch: what a contract answers to, and how it refuses."""

import pytest
from tests.support_ledger.world import ALICE, GAS, World, call, code, differing, sentence

from paraph.core.abi import Method
from paraph.core.errors import Malformed, Rejected
from paraph.ledger.contract import Bound, Contract, revert_data
from paraph.ledger.versions import BY_NAME, CONTRACTS

ALL = [(contract, bound) for contract in CONTRACTS for bound in contract.methods]
NAMES = [f"{contract.name}.{bound.method.name}" for contract, bound in ALL]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
@pytest.mark.parametrize(
    ("data", "refusal"),
    [(b"", "call.plain"), (b"\x00", "call.method"), (b"\xff\xff\xff\xff", "call.method"), (b"\0" * 36, "call.method")],
)
def test_unknown_calls_are_refused(contract: Contract, data: bytes, refusal: str) -> None:
    """A plain transfer, a short selector and an unknown one are refused; the value sent comes back."""
    world = World.new()

    result = world.send(ALICE, contract.address, data, value=1)

    assert (result.status, code(result)) == (0, refusal)
    assert world.balance(contract.address) == 0


def zeros(method: Method) -> bytes:
    """Calldata whose arguments are all zero or empty."""
    nothing = {"string": "", "bytes": b"", "address": bytes(20), "fixed": bytes(32), "array": ()}
    return method.call(*(nothing.get(field.type.kind, 0) for field in method.inputs))


@pytest.mark.parametrize(("contract", "bound"), ALL, ids=NAMES)
def test_value_is_refused_unless_payable(contract: Contract, bound: Bound) -> None:
    """Value sent to a method that takes none is refused before the method runs."""
    world = World.new()

    result = world.send(ALICE, contract.address, zeros(bound.method), value=1)

    assert (code(result) == "call.value") == (bound.method.mutability != "payable")


@pytest.mark.parametrize(("contract", "bound"), ALL, ids=NAMES)
def test_arguments_are_exact(contract: Contract, bound: Bound) -> None:
    """Bytes that are missing or too many revert the call, whatever the method."""
    world = World.new()
    data = zeros(bound.method)

    assert code(world.send(ALICE, contract.address, data + b"\x00", gas_limit=2 * GAS)) == "abi.form"
    assert code(world.send(ALICE, contract.address, data[:-1], gas_limit=2 * GAS)) in ("abi.form", "call.method")


@pytest.mark.parametrize(("contract", "bound"), ALL, ids=NAMES)
def test_gas_is_charged_first(contract: Contract, bound: Bound) -> None:
    """A method's gas is charged before its arguments are read."""
    world = World.new()

    with pytest.raises(Rejected) as caught:
        world.simulate(ALICE.address, contract.address, bound.method.selector, gas_limit=bound.gas - 1)

    assert caught.value.code == "gas.out"


@pytest.mark.parametrize(
    ("contract", "bound"),
    [pair for pair in ALL if pair[1].method.mutability == "view"],
    ids=[name for name, pair in zip(NAMES, ALL, strict=True) if pair[1].method.mutability == "view"],
)
def test_views_write_nothing(contract: Contract, bound: Bound) -> None:
    """A method declared as a view changes no key beyond what the transaction itself does."""
    world, other = World.open(), World.open()

    result = world.send(ALICE, contract.address, zeros(bound.method))
    other.send(ALICE, contract.address, b"\xff\xff\xff\xff")

    assert result.logs == ()
    own = (b"accounts/balance/", b"chain/base_fee", b"chain/head")
    assert all(key.startswith(own) for key in differing(world, other))


@pytest.mark.parametrize("error", [Rejected("a.b", "said “so”"), Malformed("c.d", "")])
def test_revert_data(error: Rejected | Malformed) -> None:
    """A refusal reverts with Solidity's Error(string): its selector, and code and sentence as text."""
    data = revert_data(error)

    assert data[:4].hex() == "08c379a0"
    assert data[4:36] == (32).to_bytes(32, "big")
    assert f"{error.code}: {error.message}".encode() in data


def test_revert_reaches_the_sender() -> None:
    """What a wallet decodes from the revert data is the error itself."""
    result = World.new().call(ALICE, "Escrow", "withdraw")

    assert sentence(result) == "escrow.amount: no withdrawal was asked for; call requestWithdrawal first"


def test_names_are_unique() -> None:
    """Contracts have names, addresses and selectors of their own."""
    assert len({contract.address for contract in CONTRACTS}) == len(BY_NAME) == len(CONTRACTS)
    for contract in CONTRACTS:
        assert len(contract.by_selector) == len(contract.methods)
        assert len({event.topic for event in contract.events}) == len(contract.events)


def test_a_method_by_name() -> None:
    """The method asked for is the one of that name."""
    assert call("Opg", "transfer", bytes(20), 0)[:4].hex() == "a9059cbb"
