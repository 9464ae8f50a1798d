"""The index beside a chain: it keeps up, it is tried again, and what it does not have it does not answer."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.full_node import Doorstep, doorstep, sqlite_in
from tests.support_ledger.world import ALICE, BOB, CAROL, OWNER
from tests.unit.full_node.world import Desk, calling, native, text, transfer

from paraph.adapters.ethereum import rpc
from paraph.adapters.index.port import EventIndex, LogQuery
from paraph.core.errors import Unavailable
from paraph.full_node import index as index_module
from paraph.full_node import logs
from paraph.full_node.index import Index
from paraph.full_node.shapes import block_rows


def wait(true: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    for _ in range(1_000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it never came true")


def indexed(door: Doorstep) -> bool:
    assert door.index is not None
    return door.index.behind == 0


def grown() -> Desk:
    """Five blocks: a transfer; an approval and a deposit; nothing; transfers of two people; one that fails."""
    desk = Desk()
    desk.settle(transfer(0))
    desk.settle(calling(1, "Opg", "approve", CAROL.address, 5), calling(2, "Escrow", "deposit", value=7))
    desk.engine.produce()
    desk.settle(
        transfer(3, to=CAROL.address), transfer(0, sender=CAROL, to=ALICE.address), transfer(4, to=ALICE.address)
    )
    desk.settle(calling(5, "Opg", "transferFrom", CAROL.address, BOB.address, 5))
    return desk


SEARCHES: list[dict[str, Any]] = [
    {},
    {"fromBlock": "earliest"},
    {"fromBlock": "0x2", "toBlock": "0x3"},
    {"fromBlock": "0x0", "address": native("Opg")},
    {"fromBlock": "0x0", "address": [native("Escrow"), native("Models")]},
    {"fromBlock": "0x0", "topics": [None, "0x" + "00" * 12 + text(ALICE)[2:]]},
    {"fromBlock": "0x0", "topics": [None, None, None, None]},
    {"fromBlock": "0x0", "toBlock": "0xffffffffffffffff"},
]


def test_same_as_reading_blocks(tmp_path: Path) -> None:
    """A search by the index answers word for word what reading every block answers."""
    desk = grown()
    expected = [desk.result("eth_getLogs", each) for each in SEARCHES]

    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        wait(lambda: indexed(door))
        found = [door.result("eth_getLogs", each) for each in SEARCHES]

    assert found == expected
    assert len(found[1]) > 4


def test_range_is_free_with_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be too many blocks to read is no matter for the index, which waits for the newest block itself."""
    monkeypatch.setattr(logs, "BLOCKS_MAX", 2)
    desk = grown()

    assert desk.error("eth_getLogs", {"fromBlock": "0x0"})["code"] == rpc.LIMIT_EXCEEDED
    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        first = door.result("eth_getLogs", {"fromBlock": "0x0"})
        door.settle(transfer(6))
        second = door.result("eth_getLogs", {"fromBlock": "0x0"})

    assert len(second) == len(first) + 1


def test_results_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search by the index that finds too much is refused in the same words."""
    monkeypatch.setattr(logs, "RESULTS_MAX", 4)
    desk = grown()
    expected = desk.error("eth_getLogs", {"fromBlock": "0x0"})

    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        wait(lambda: indexed(door))
        found = door.error("eth_getLogs", {"fromBlock": "0x0"})

    assert found == expected


def test_catches_up_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new index reads old blocks in steps; opened again it goes on from where it was."""
    monkeypatch.setattr(index_module, "STEP_BLOCKS_MAX", 2)
    monkeypatch.setattr(index_module, "STEP_ITEMS_MAX", 1)
    desk = grown()

    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        wait(lambda: indexed(door))
        before = rows(door)
    desk.settle(transfer(6))
    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        wait(lambda: indexed(door))
        after = rows(door)

    assert after[: len(before)] == before
    assert len(after) == len(before) + 1


def rows(door: Doorstep) -> list[Any]:
    """Every event that is indexed."""
    assert door.index is not None
    query = LogQuery(0, door.desk.chain.height, None, (), 10_000)
    return door.run(door.index.logs(query))


def test_rebuilt_is_the_same(tmp_path: Path) -> None:
    """Dropped and filled again from the blocks, the index is the same row for row."""
    desk = grown()
    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        wait(lambda: indexed(door))
        before, page = rows(door), door.result("paraph_getTransactions", text(ALICE))
        assert door.index is not None

        door.run(door.index.rebuild())
        wait(lambda: indexed(door))

        assert rows(door) == before
        assert door.result("paraph_getTransactions", text(ALICE)) == page


def test_other_history_is_dropped(tmp_path: Path) -> None:
    """An index of blocks that this chain does not have, as after a restored backup, is filled anew."""
    longer, other = grown(), Desk()
    with doorstep(desk=longer, opened=sqlite_in(tmp_path, longer)) as door:
        wait(lambda: indexed(door))
    other.settle(transfer(0, to=OWNER.address))

    with doorstep(desk=other, opened=sqlite_in(tmp_path, other)) as door:
        wait(lambda: indexed(door))
        found = door.result("eth_getLogs", {"fromBlock": "0x0"})

    assert found == other.result("eth_getLogs", {"fromBlock": "0x0"})
    assert len(found) == 1


def test_broken_index_breaks_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an index that cannot be opened the chain goes on, near searches too; it is reported, and tried again."""
    monkeypatch.setattr(index_module, "RETRY_S", 0.05)
    monkeypatch.setattr(index_module, "WAIT_S_MAX", 0.05)
    (tmp_path / "index.sqlite").write_bytes(b"no database at all " * 100)
    desk = grown()

    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        index = door.index
        assert index is not None
        wait(lambda: index.failure != "")
        door.settle(transfer(6))
        assert len(door.result("eth_getLogs", {"fromBlock": "0x0"})) > 4
        assert index.health()["failure"] == index.failure
        assert (index.health()["height"], index.behind) == (None, 7)
        page = door.error("paraph_getTransactions", text(ALICE))
        with monkeypatch.context() as patched:
            patched.setattr(logs, "BLOCKS_MAX", 2)
            far = door.error("eth_getLogs", {"fromBlock": "0x0"})
        with pytest.raises(Unavailable):
            door.run(index.rebuild())

        (tmp_path / "index.sqlite").unlink()
        wait(lambda: indexed(door))

        assert index.failure == ""
        assert len(door.result("paraph_getTransactions", text(ALICE))["transactions"]) == 8
    assert page["code"] == rpc.UNAVAILABLE
    assert "index behind: empty of 6; the event index index.sqlite: file is not a database" in page["message"]
    assert far["code"] == rpc.LIMIT_EXCEEDED
    assert "index behind: empty of 6" in far["message"]


def test_fault_of_ours_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even what is no error of a database leaves the node running, and is said."""
    desk = grown()

    def opened() -> EventIndex:
        raise ValueError("a fault")

    with doorstep(desk=desk, opened=opened) as door:
        index = door.index
        assert index is not None
        wait(lambda: index.failure != "")

        assert index.failure == "ValueError: a fault"
        assert door.result("eth_blockNumber") == "0x5"


def test_slow_query_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that takes too long is cut off in the words of a limit."""
    monkeypatch.setattr("paraph.adapters.index.sqlite.QUERY_MS_MAX", -1)
    monkeypatch.setattr("paraph.adapters.index.sqlite.STEPS", 1)
    desk = grown()
    real = sqlite_in(tmp_path, desk)()
    real.write([block_rows(desk.chain.block(height)) for height in range(6)])
    index = Index(desk.chain, lambda: real)
    index._open = real

    with pytest.raises(rpc.RpcError) as caught:
        asyncio.run(index.logs(LogQuery(0, 5, None, (), 10)))
    asyncio.run(index.stop())

    assert (caught.value.number, caught.value.message[:22]) == (rpc.LIMIT_EXCEEDED, "query timeout exceeded")


# --- an account's transactions -------------------------------------------------------------------------------------


def test_pages_of_an_account(tmp_path: Path) -> None:
    """Pages hold each transaction from or to the account once, newest first, whatever their size."""
    desk = grown()
    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        whole = door.result("paraph_getTransactions", text(ALICE))
        found: list[Any] = []
        for size in (1, 2, 3, 500):
            cursor = None
            found = []
            while True:
                page = door.result("paraph_getTransactions", text(ALICE), cursor, hex(size))
                found += page["transactions"]
                cursor = page["cursor"]
                if cursor is None:
                    break
                assert len(page["transactions"]) == size
            assert found == whole["transactions"]
        places = [(int(each["blockNumber"], 16), int(each["transactionIndex"], 16)) for each in found]
        for each in found:
            shown = door.result("eth_getTransactionByHash", each["hash"])
            time_s = door.result("eth_getBlockByHash", each["blockHash"], False)["timestamp"]
            assert {**shown, **each} == {**shown, "blockTimestamp": time_s}

    assert places == sorted(places, reverse=True)
    assert len(set(places)) == len(places) == 7
    assert (whole["firstBlock"], whole["lastBlock"]) == ("0x0", "0x5")


@pytest.mark.parametrize(
    "params",
    [
        [],
        ["0x12"],
        [7],
        [text(ALICE), "0x"],
        [text(ALICE), "0x" + "00" * 13],
        [text(ALICE), None, 0],
        [text(ALICE), None, 501],
        [text(ALICE), None, "x"],
    ],
)
def test_bad_page(tmp_path_factory: pytest.TempPathFactory, params: list[Any]) -> None:
    """Each mistake has its number."""
    desk = Desk()
    with doorstep(desk=desk, opened=sqlite_in(tmp_path_factory.mktemp("index"), desk)) as door:
        assert door.error("paraph_getTransactions", *params)["code"] == rpc.INVALID_PARAMS


def test_any_cursor_is_answered(tmp_path: Path) -> None:
    """A cursor of the largest numbers is one like any other; that of the smallest leaves nothing."""
    desk = grown()
    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        all_of_it = door.result("paraph_getTransactions", text(ALICE), "0x" + "ff" * 12)
        nothing = door.result("paraph_getTransactions", text(ALICE), "0x" + "00" * 12)

    assert len(all_of_it["transactions"]) == 7
    assert (nothing["transactions"], nothing["cursor"]) == ([], None)


def test_after_state_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the chain begins late so does the index; what is older is refused, not left out."""
    desk = grown()
    desk.chain.first_height = 3
    desk.chain.block = lambda height, real=desk.chain.block: real(height) if height >= 3 else real(2**63)  # type: ignore[method-assign,misc]

    with doorstep(desk=desk, opened=sqlite_in(tmp_path, desk)) as door:
        wait(lambda: indexed(door))
        page = door.result("paraph_getTransactions", text(ALICE))
        near = door.result("eth_getLogs", {"fromBlock": "0x3"})
        far = door.error("eth_getLogs", {"fromBlock": "0x2"})

    assert page["firstBlock"] == "0x3"
    assert {each["blockNumber"] for each in near} == {"0x4"}
    assert (far["code"], far["message"][:26]) == (rpc.NOT_FOUND, "pruned history unavailable")
