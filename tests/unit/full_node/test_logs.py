"""Searching logs, and filters that remember where a client stopped."""

from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB, CAROL
from tests.unit.full_node import world
from tests.unit.full_node.world import Desk, calling, native, text, transfer

from paraph.adapters.ethereum import rpc
from paraph.core.ident import to_hex
from paraph.full_node import filters, logs
from paraph.ledger.rooms.accounts.rules import APPROVAL, TRANSFER

TRANSFERRED, APPROVED = to_hex(TRANSFER.topic), to_hex(APPROVAL.topic)


def word(who: Any) -> str:
    return "0x" + "00" * 12 + text(who)[2:]


@pytest.fixture
def desk() -> Desk:
    """Block 1: Alice pays Bob. 2: she lets Carol spend, and deposits escrow. 3: nothing. 4: she pays Carol."""
    found = Desk()
    found.settle(transfer(0))
    found.settle(calling(1, "Opg", "approve", CAROL.address, 5), calling(2, "Escrow", "deposit", value=7))
    found.engine.produce()
    found.settle(transfer(3, to=CAROL.address))
    return found


@pytest.mark.parametrize(
    ("criteria", "heights"),
    [
        ({}, [4]),
        ({"fromBlock": "earliest"}, [1, 2, 2, 2, 4]),
        ({"fromBlock": "0x0", "toBlock": "0x2"}, [1, 2, 2, 2]),
        ({"fromBlock": "0x0", "toBlock": "0xff"}, [1, 2, 2, 2, 4]),
        ({"fromBlock": "0x5", "toBlock": "0x6"}, []),
        ({"fromBlock": "0x3", "toBlock": "0x3"}, []),
        ({"fromBlock": "0x0", "address": native("Opg")}, [1, 2, 2, 4]),
        ({"fromBlock": "0x0", "address": [native("Escrow"), native("Models")]}, [2]),
        ({"fromBlock": "0x0", "address": []}, [1, 2, 2, 2, 4]),
        ({"fromBlock": "0x0", "topics": [TRANSFERRED]}, [1, 2, 4]),
        ({"fromBlock": "0x0", "topics": [[TRANSFERRED, APPROVED]]}, [1, 2, 2, 4]),
        ({"fromBlock": "0x0", "topics": [None, word(ALICE)]}, [1, 2, 2, 2, 4]),
        ({"fromBlock": "0x0", "topics": [TRANSFERRED, None, word(CAROL)]}, [4]),
        ({"fromBlock": "0x0", "topics": [TRANSFERRED, [], [word(BOB), word(CAROL)]]}, [1, 4]),
        ({"fromBlock": "0x0", "topics": [TRANSFERRED, [word(BOB), None], word(BOB)]}, [1]),
        ({"fromBlock": "0x0", "topics": [None, None, None, None]}, []),
    ],
)
def test_search(desk: Desk, criteria: dict[str, Any], heights: list[int]) -> None:
    """Addresses, topics, alternatives and free positions choose as execution-apis says."""
    found = desk.result("eth_getLogs", criteria)

    assert [int(each["blockNumber"], 16) for each in found] == heights


def test_search_in_one_block(desk: Desk) -> None:
    """A block may be named by its hash."""
    key = to_hex(desk.chain.block(2).header.hash())

    found = desk.result("eth_getLogs", {"blockHash": key, "address": native("Escrow")})

    assert [each["blockHash"] for each in found] == [key]
    assert (found[0]["logIndex"], found[0]["transactionIndex"]) == ("0x2", "0x1")


@pytest.mark.parametrize(
    ("criteria", "number"),
    [
        ({"blockHash": "0x" + "11" * 32}, rpc.NOT_FOUND),
        ({"blockHash": "0x" + "11" * 32, "fromBlock": "0x1"}, rpc.INVALID_PARAMS),
        ({"fromBlock": "0x3", "toBlock": "0x2"}, rpc.INVALID_PARAMS),
        ({"fromBlock": "0x" + "11" * 32}, rpc.INVALID_PARAMS),
        ({"topics": [1]}, rpc.INVALID_PARAMS),
        ({"topics": ["0x12"]}, rpc.INVALID_PARAMS),
        ({"topics": [None] * 5}, rpc.INVALID_PARAMS),
        ({"address": ["0x12"]}, rpc.INVALID_PARAMS),
        ({"address": [text(ALICE)] * 1_001}, rpc.INVALID_PARAMS),
        ([], rpc.INVALID_PARAMS),
    ],
)
def test_bad_search(desk: Desk, criteria: Any, number: int) -> None:
    """Each mistake has its number."""
    assert desk.error("eth_getLogs", criteria)["code"] == number


def test_range_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search over too many blocks is refused; over as many as allowed it is not."""
    monkeypatch.setattr(logs, "BLOCKS_MAX", 4)

    assert len(desk.result("eth_getLogs", {"fromBlock": "0x1"})) == 5
    error = desk.error("eth_getLogs", {"fromBlock": "0x0"})
    assert (error["code"], error["message"][:32]) == (rpc.LIMIT_EXCEEDED, "query exceeds max block range 4:")


def test_results_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that finds too much is refused."""
    monkeypatch.setattr(logs, "RESULTS_MAX", 4)

    error = desk.error("eth_getLogs", {"fromBlock": "0x0"})

    assert (error["code"], error["message"][:34]) == (rpc.LIMIT_EXCEEDED, "query returned more than 4 results")


# --- filters -------------------------------------------------------------------------------------------------------


def test_log_filter_tells_once(desk: Desk) -> None:
    """A filter tells what is new since it was last asked, and nothing twice; its whole search stays."""
    key = desk.result("eth_newFilter", {"fromBlock": "0x0", "address": native("Opg")})
    assert desk.result("eth_getFilterChanges", key) == []

    desk.settle(transfer(4))

    assert [each["blockNumber"] for each in desk.result("eth_getFilterChanges", key)] == ["0x5"]
    assert desk.result("eth_getFilterChanges", key) == []
    assert len(desk.result("eth_getFilterLogs", key)) == 5


def test_log_filter_ends_at_its_last_block(desk: Desk) -> None:
    """A filter with a last block tells nothing of those after it."""
    key = desk.result("eth_newFilter", {"toBlock": "0x5"})
    other = desk.result("eth_newFilter", {"blockHash": to_hex(desk.chain.block(1).header.hash())})

    desk.settle(transfer(4))
    desk.settle(transfer(5))

    assert [each["blockNumber"] for each in desk.result("eth_getFilterChanges", key)] == ["0x5"]
    assert desk.result("eth_getFilterChanges", other) == []
    assert [each["blockNumber"] for each in desk.result("eth_getFilterLogs", other)] == ["0x1"]


def test_block_filter_tells_hashes(desk: Desk) -> None:
    """A block filter tells the hash of each new block."""
    key = desk.result("eth_newBlockFilter")

    desk.engine.produce()
    desk.engine.produce()

    hashes = [to_hex(desk.chain.block(height).header.hash()) for height in (5, 6)]
    assert desk.result("eth_getFilterChanges", key) == hashes
    assert desk.result("eth_getFilterChanges", key) == []
    assert desk.error("eth_getFilterLogs", key)["code"] == rpc.INVALID_INPUT


def test_pending_filter_tells_hashes(desk: Desk) -> None:
    """A filter of pending transactions tells each that came to wait, once."""
    key = desk.result("eth_newPendingTransactionFilter")

    sent = [desk.send(transfer(nonce)) for nonce in (4, 5)]

    assert desk.result("eth_getFilterChanges", key) == sent
    assert desk.result("eth_getFilterChanges", key) == []


def test_long_absence_comes_in_portions(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many blocks, each poll brings a portion, and together they bring all."""
    monkeypatch.setattr(filters, "STEP_BLOCKS_MAX", 2)
    key = desk.result("eth_newBlockFilter")
    for _ in range(5):
        desk.engine.produce()

    portions = [len(desk.result("eth_getFilterChanges", key)) for _ in range(4)]

    assert portions == [2, 2, 1, 0]


def test_uninstalled_is_gone(desk: Desk) -> None:
    """A closed filter is not found; closing it again says so."""
    key = desk.result("eth_newBlockFilter")

    assert desk.result("eth_uninstallFilter", key) is True
    assert desk.result("eth_uninstallFilter", key) is False
    assert desk.error("eth_getFilterChanges", key)["message"] == "filter not found"


def test_idle_filter_expires(desk: Desk) -> None:
    """A filter that is asked for stays; one that is not is closed."""
    kept, idle = desk.result("eth_newBlockFilter"), desk.result("eth_newBlockFilter")
    for _ in range(3):
        desk.clock.advance(filters.IDLE_MS_MAX // 2)
        desk.result("eth_getFilterChanges", kept)

    assert desk.error("eth_getFilterChanges", idle)["message"] == "filter not found"
    desk.clock.advance(filters.IDLE_MS_MAX)
    desk.result("eth_getFilterChanges", kept)


def test_filters_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many filters may be open; idle ones make room."""
    monkeypatch.setattr(filters, "FILTERS_MAX", 2)
    desk.result("eth_newBlockFilter")
    desk.result("eth_newFilter", {})

    assert desk.error("eth_newBlockFilter")["code"] == rpc.LIMIT_EXCEEDED

    desk.clock.advance(filters.IDLE_MS_MAX + 1)
    desk.result("eth_newPendingTransactionFilter")


def test_pending_hashes_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that nobody polls keeps so many hashes and no more."""
    monkeypatch.setattr(filters, "HASHES_MAX", 1)
    key = desk.result("eth_newPendingTransactionFilter")

    first, _ = (desk.send(world.transfer(nonce)) for nonce in (4, 5))

    assert desk.result("eth_getFilterChanges", key) == [first]
