"""What gas costs over JSON-RPC."""

from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB, CAROL
from tests.unit.full_node.world import GWEI, Desk, transfer

from paraph.adapters.ethereum import rpc


@pytest.fixture
def desk() -> Desk:
    """Three blocks: empty, three transactions with tips of 1, 2 and 3 gwei, empty."""
    found = Desk()
    found.engine.produce()
    people = (ALICE, BOB, CAROL)
    found.settle(*(transfer(0, sender=who, tip=tip * GWEI, fee=9 * GWEI) for tip, who in enumerate(people, 1)))
    found.engine.produce()
    return found


def test_prices_suffice(desk: Desk) -> None:
    """The gas price covers the next base fee, one full rise of it, and the tip."""
    price, tip = (int(desk.result(name), 16) for name in ("eth_gasPrice", "eth_maxPriorityFeePerGas"))

    assert tip == GWEI // 10
    assert price == GWEI + GWEI // 8 + tip


def test_history(desk: Desk) -> None:
    """The history has one base fee more than blocks, how full each was, and tips by share of gas."""
    found = desk.result("eth_feeHistory", "0x3", "latest", [0, 33, 34, 66.7, 100])

    assert found["oldestBlock"] == "0x1"
    assert found["baseFeePerGas"] == [hex(GWEI)] * 4
    assert found["gasUsedRatio"] == [0, 63_000 / 30_000_000, 0]
    tips = [[int(tip, 16) // GWEI for tip in block] for block in found["reward"]]
    assert tips == [[0] * 5, [1, 1, 2, 3, 3], [0] * 5]


@pytest.mark.parametrize(
    ("params", "first", "blocks"),
    [
        ([2, "latest"], 2, 2),
        (["0x2", "0x2", []], 1, 2),
        ([99, "latest", None], 0, 4),
        ([2**50, "earliest"], 0, 1),
        ([1, "pending"], 3, 1),
    ],
)
def test_history_is_cut_to_what_there_is(desk: Desk, params: list[Any], first: int, blocks: int) -> None:
    """Counts come as numbers or quantities, and no further back than genesis."""
    found = desk.result("eth_feeHistory", *params)

    assert int(found["oldestBlock"], 16) == first
    assert (len(found["baseFeePerGas"]), len(found["gasUsedRatio"])) == (blocks + 1, blocks)
    assert "reward" not in found


def test_history_of_nothing(desk: Desk) -> None:
    """No blocks have no history."""
    assert desk.result("eth_feeHistory", 0, "latest", [50])["gasUsedRatio"] == []


@pytest.mark.parametrize(
    ("params", "number"),
    [
        ([1, "0x9", []], rpc.NOT_FOUND),
        ([1, "latest", [60, 50]], rpc.INVALID_PARAMS),
        ([1, "latest", [101]], rpc.INVALID_PARAMS),
        ([1, "latest", [-1]], rpc.INVALID_PARAMS),
        ([1, "latest", [True]], rpc.INVALID_PARAMS),
        ([1, "latest", ["50"]], rpc.INVALID_PARAMS),
        ([1, "latest", [50] * 101], rpc.INVALID_PARAMS),
        ([-1, "latest"], rpc.INVALID_PARAMS),
        (["0x01", "latest"], rpc.INVALID_PARAMS),
        ([1], rpc.INVALID_PARAMS),
    ],
)
def test_bad_questions(desk: Desk, params: list[Any], number: int) -> None:
    """Each mistake has its number."""
    assert desk.error("eth_feeHistory", *params)["code"] == number
