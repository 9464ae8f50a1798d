"""Ethereum's shapes: places and sums within a block, blooms, and senders recovered once."""

import pytest
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID
from tests.unit.full_node.world import Desk, calling, transfer

from paraph.adapters.ethereum import shapes
from paraph.adapters.ethereum.shapes import (
    BLOOM_BYTES,
    KEPT_BYTES_MAX,
    Included,
    block_json,
    bloom,
    included,
    keeping,
    log_json,
    pending_json,
    placed_logs,
    receipt_json,
    transaction_json,
)
from paraph.core.ident import Address, to_hex
from paraph.full_node.tables import StoredBlock
from paraph.ledger.contract import Log
from paraph.ledger.tx import SignedTx, check_form


@pytest.fixture
def block() -> StoredBlock:
    """A block of a transfer, one that was skipped, one that reverted, and another transfer."""
    desk = Desk()
    reverting = calling(1, "Opg", "transferFrom", BOB.address, ALICE.address, 5)
    raws = (transfer(0), transfer(77), reverting, calling(2, "Opg", "transfer", BOB.address, 9))
    desk.application.commit(desk.clock.now_ms() // 1000, raws)
    return desk.chain.block(1)


def shown(block: StoredBlock) -> list[Included]:
    return list(included(block, check_form))


def test_places_and_sums(block: StoredBlock) -> None:
    """Those shown follow each other without a gap, each with the gas and logs of all before it."""
    found = shown(block)

    assert [each.index for each in found] == [0, 1, 2]
    assert [each.raw for each in found] == [block.transactions[place] for place in (0, 2, 3)]
    used = [each.result.gas_used for each in found]
    assert [each.gas_before for each in found] == [0, used[0], used[0] + used[1]]
    assert [each.logs_before for each in found] == [0, 1, 1]


def test_block_is_whole_or_by_hash(block: StoredBlock) -> None:
    """A block has the size it is given, and its transactions in either form."""
    whole, short = (block_json(block, shown(block), 77, full=full) for full in (True, False))

    assert (whole["size"], short["size"]) == ("0x4d", "0x4d")
    assert whole["transactions"] == [transaction_json(each) for each in shown(block)]
    assert short["transactions"] == [to_hex(each.result.hash) for each in shown(block)]
    assert {**whole, "transactions": []} == {**short, "transactions": []}


def test_receipt_has_the_revert_data_it_is_given(block: StoredBlock) -> None:
    """Only what failed has a reason."""
    receipts = [receipt_json(each, b"\x12") for each in shown(block)]

    assert [each["status"] for each in receipts] == ["0x1", "0x0", "0x1"]
    assert [each.get("revertReason") for each in receipts] == [None, "0x12", None]


def test_logs_have_their_places(block: StoredBlock) -> None:
    """A log counts through its block; its shape says where it stands."""
    placed = [each for one in shown(block) for each in placed_logs(one)]

    assert [(each.tx_index, each.index) for each in placed] == [(0, 0), (2, 1)]
    assert [each.log for each in placed] == [log for result in block.results for log in result.logs]
    assert [log_json(each) for each in placed] == [
        log
        for one in shown(block)
        for log in receipt_json(one, b"")["logs"]  # type: ignore[union-attr]
    ]
    assert {log_json(each)["blockHash"] for each in placed} == {to_hex(block.header.hash())}


def test_waiting_transaction_has_no_place(block: StoredBlock) -> None:
    """A transaction that waits is the same but for its place, and its price, which is the most it pays."""
    first = shown(block)[0]
    placed, waiting = transaction_json(first), pending_json(first.signed)

    assert {name for name in placed if placed[name] != waiting[name]} == {
        "blockHash",
        "blockNumber",
        "transactionIndex",
        "gasPrice",
    }
    assert placed.keys() == waiting.keys()


def test_senders_are_recovered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many small transactions are kept decoded, those used longest ago go first, and large ones are never kept."""
    decoded: list[bytes] = []

    def counting(raw: bytes, chain_id: int) -> SignedTx:
        decoded.append(raw)
        return check_form(raw, chain_id)

    monkeypatch.setattr(shapes, "check_form", counting)
    decode = keeping(2)
    first, second, third = (transfer(nonce) for nonce in range(3))
    large = transfer(3, data=bytes(KEPT_BYTES_MAX), gas=100_000)

    for raw in (first, second, first, third, first, second, large, large):
        assert decode(raw, CHAIN_ID).sender == ALICE.address

    assert decoded == [first, second, third, second, large, large]


def test_bloom_of_nothing_and_of_a_known_log() -> None:
    """No logs set no bit; an address sets the three bits that the Yellow Paper names."""
    # keccak256 of twenty zero bytes begins 5380 c7b7 ae81: bits 0x380, 0x7b7 and 0x681 of 2 048.
    found = int.from_bytes(bloom([Log(Address(bytes(20)), (), b"")]), "big")

    assert bloom([]) == bytes(BLOOM_BYTES)
    assert found == 1 << 0x380 | 1 << 0x7B7 | 1 << 0x681
