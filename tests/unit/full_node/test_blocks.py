"""Blocks, transactions and receipts over JSON-RPC."""

from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, START_S
from tests.unit.full_node.world import GWEI, PRODUCER, Desk, calling, native, text, transfer

from paraph.adapters.ethereum.shapes import KEPT_BYTES_MAX
from paraph.core.amount import Wei
from paraph.core.digest import keccak256
from paraph.core.ident import to_hex
from paraph.ledger.tx import Tx

REVERTING = calling(1, "Opg", "transferFrom", BOB.address, CAROL.address, 5)


@pytest.fixture
def desk() -> Desk:
    """One block: a transfer, a call that reverts, a transfer of ERC-20."""
    found = Desk()
    found.settle(transfer(0), REVERTING, calling(2, "Opg", "transfer", BOB.address, 9))
    return found


def test_block_has_what_clients_demand(desk: Desk) -> None:
    """A block has every field that web3.py, ethers and viem read."""
    block = desk.result("eth_getBlockByNumber", "latest", False)

    header = desk.chain.head.header
    assert block["number"] == "0x1"
    assert block["hash"] == to_hex(header.hash())
    assert block["parentHash"] == to_hex(header.parent)
    assert block["miner"] == text(PRODUCER)
    assert block["baseFeePerGas"] == hex(GWEI)
    assert int(block["gasUsed"], 16) == header.gas_used
    assert (block["nonce"], block["difficulty"], block["uncles"], block["extraData"]) == (
        "0x" + "0" * 16,
        "0x0",
        [],
        "0x",
    )
    assert block["sha3Uncles"] == "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
    assert len(block["logsBloom"]) == 2 + 512
    assert len(block["transactions"]) == 3


@pytest.mark.parametrize(("method", "by_hash"), [("eth_getBlockByNumber", False), ("eth_getBlockByHash", True)])
def test_block_with_transactions_whole(desk: Desk, method: str, by_hash: bool) -> None:
    """A block found either way holds the same whole transactions."""
    key = to_hex(desk.chain.head.header.hash()) if by_hash else "0x1"

    whole = desk.result(method, key, True)["transactions"]

    hashes = desk.result(method, key, False)["transactions"]
    assert [each["hash"] for each in whole] == hashes
    assert whole == [desk.result("eth_getTransactionByHash", each) for each in hashes]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ["0x2", False]),
        ("eth_getBlockByHash", ["0x" + "11" * 32, False]),
        ("eth_getTransactionByHash", ["0x" + "11" * 32]),
        ("eth_getTransactionReceipt", ["0x" + "11" * 32]),
        ("eth_getBlockReceipts", ["0x2"]),
        ("eth_getBlockTransactionCountByNumber", ["0x2"]),
        ("eth_getUncleCountByBlockNumber", ["0x2"]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x1", "0x3"]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x2", "0x0"]),
        ("eth_getTransactionByBlockHashAndIndex", ["0x" + "11" * 32, "0x0"]),
    ],
)
def test_unknown_is_null(desk: Desk, method: str, params: list[Any]) -> None:
    """What does not exist is null, not an error."""
    assert desk.result(method, *params) is None


def test_genesis_is_a_block(desk: Desk) -> None:
    """The first block is block 0, empty, at the genesis's time."""
    block = desk.result("eth_getBlockByNumber", "earliest", True)

    assert (block["number"], block["transactions"], block["timestamp"]) == ("0x0", [], hex(START_S))
    assert desk.result("eth_getBlockByNumber", "0x0", True) == block
    # web3.py refuses to send a first transaction where the last block has no gas.
    assert (block["gasLimit"], block["baseFeePerGas"]) == (hex(30_000_000), hex(GWEI))


def test_pending_block_follows_the_head(desk: Desk) -> None:
    """The pending block has the next number, no hash yet, and the next base fee."""
    block = desk.result("eth_getBlockByNumber", "pending", False)

    assert (block["number"], block["hash"], block["nonce"]) == ("0x2", None, None)
    assert block["parentHash"] == to_hex(desk.chain.head.header.hash())


def test_counts(desk: Desk) -> None:
    """Transactions are counted, uncles are none."""
    key = to_hex(desk.chain.head.header.hash())

    assert desk.result("eth_blockNumber") == "0x1"
    assert desk.result("eth_getBlockTransactionCountByNumber", "0x1") == "0x3"
    assert desk.result("eth_getBlockTransactionCountByHash", key) == "0x3"
    assert desk.result("eth_getUncleCountByBlockHash", key) == "0x0"


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_transaction_of_each_type(kind: int) -> None:
    """A transaction of each type is shown with the fields of its type and the signature it came with."""
    desk = Desk()
    listed = ((BOB.address, (bytes(32),)),) if kind else ()
    tx = Tx(kind, CHAIN_ID, 0, GWEI if kind == 2 else 3 * GWEI, 3 * GWEI, 50_000, BOB.address, Wei(5), b"\1", listed)
    raw = tx.sign(ALICE)
    (receipt,) = desk.settle(raw)

    shown = desk.result("eth_getTransactionByHash", receipt["transactionHash"])

    assert shown["hash"] == to_hex(keccak256(raw))
    assert (shown["type"], shown["from"], shown["to"]) == (hex(kind), text(ALICE), text(BOB))
    assert (shown["value"], shown["input"], shown["chainId"]) == ("0x5", "0x01", hex(CHAIN_ID))
    assert (shown["blockNumber"], shown["transactionIndex"]) == ("0x1", "0x0")
    price = 2 * GWEI if kind == 2 else 3 * GWEI
    assert int(shown["gasPrice"], 16) == int(receipt["effectiveGasPrice"], 16) == price
    v = int(shown["v"], 16)
    assert v in ((CHAIN_ID * 2 + 35, CHAIN_ID * 2 + 36) if kind == 0 else (0, 1))
    assert ("yParity" in shown, "accessList" in shown, "maxFeePerGas" in shown) == (kind > 0, kind > 0, kind == 2)
    signature = b"".join(int(shown[name], 16).to_bytes(32, "big") for name in ("r", "s"))
    again = tx.with_signature(signature + bytes((27 + (v - CHAIN_ID * 2 - 35 if kind == 0 else v),)))
    assert again == raw


def test_waiting_transaction_has_no_block() -> None:
    """A transaction that waits is shown without a block, and has no receipt."""
    desk = Desk()
    key = desk.send(transfer(0))

    shown = desk.result("eth_getTransactionByHash", key)

    assert (shown["blockHash"], shown["blockNumber"], shown["transactionIndex"]) == (None, None, None)
    assert int(shown["gasPrice"], 16) == 3 * GWEI
    assert desk.result("eth_getTransactionReceipt", key) is None


def test_receipts_add_up(desk: Desk) -> None:
    """Receipts count gas and logs through the block; one that reverted says why and has no logs."""
    receipts = desk.result("eth_getBlockReceipts", "0x1")

    assert [each["status"] for each in receipts] == ["0x1", "0x0", "0x1"]
    used = [int(each["gasUsed"], 16) for each in receipts]
    assert [int(each["cumulativeGasUsed"], 16) for each in receipts] == [used[0], used[0] + used[1], sum(used)]
    assert [len(each["logs"]) for each in receipts] == [1, 0, 1]
    assert [log["logIndex"] for each in receipts for log in each["logs"]] == ["0x0", "0x1"]
    assert [log["transactionIndex"] for each in receipts for log in each["logs"]] == ["0x0", "0x2"]
    assert ["revertReason" in each for each in receipts] == [False, True, False]
    assert receipts[1]["revertReason"].startswith("0x08c379a0")
    assert receipts == [desk.result("eth_getTransactionReceipt", each["transactionHash"]) for each in receipts]
    assert all(each["contractAddress"] is None for each in receipts)


def test_transaction_by_its_place(desk: Desk) -> None:
    """A transaction is found by its block and its place there."""
    key = to_hex(desk.chain.head.header.hash())
    hashes = desk.result("eth_getBlockByNumber", "0x1", False)["transactions"]

    assert desk.result("eth_getTransactionByBlockNumberAndIndex", "0x1", "0x1")["hash"] == hashes[1]
    assert desk.result("eth_getTransactionByBlockHashAndIndex", key, "0x2")["hash"] == hashes[2]


def test_skipped_transactions_are_not_shown(desk: Desk) -> None:
    """Transactions that a block skipped appear nowhere, and do not shift the places of the others."""
    skipped, shown = transfer(77), transfer(3)
    desk.application.commit(START_S + 99, (b"garbage", skipped, shown, shown))

    block = desk.result("eth_getBlockByNumber", "latest", True)

    assert [each["hash"] for each in block["transactions"]] == [to_hex(keccak256(shown))]
    assert block["transactions"][0]["transactionIndex"] == "0x0"
    assert desk.result("eth_getTransactionByHash", to_hex(keccak256(skipped))) is None
    assert desk.result("eth_getBlockTransactionCountByNumber", "latest") == "0x1"
    assert len(desk.result("eth_getBlockReceipts", "latest")) == 1


def test_bloom_holds_every_log(desk: Desk) -> None:
    """Block and receipt blooms hold each log's address and topics; the receipt without logs has an empty one."""
    block = desk.result("eth_getBlockByNumber", "0x1", False)
    receipts = desk.result("eth_getBlockReceipts", "0x1")

    blooms = [int(each["logsBloom"], 16) for each in receipts]

    assert int(block["logsBloom"], 16) == blooms[0] | blooms[1] | blooms[2]
    assert blooms[1] == 0
    for bloom, receipt in zip(blooms, receipts, strict=True):
        for log in receipt["logs"]:
            for item in (log["address"], *log["topics"]):
                digest = keccak256(bytes.fromhex(item[2:])).hex()
                bits = [int(digest[at : at + 4], 16) % 2048 for at in (0, 4, 8)]
                assert all(bloom >> bit & 1 for bit in bits)
    assert blooms[0].bit_count() <= 12


def test_large_transactions_are_shown_too() -> None:
    """A transaction too large to be kept decoded is shown the same."""
    desk = Desk()
    (receipt,) = desk.settle(transfer(0, data=bytes(KEPT_BYTES_MAX), gas=100_000))

    assert desk.result("eth_getTransactionByHash", receipt["transactionHash"])["from"] == text(ALICE)


def test_native_events_are_of_their_contract(desk: Desk) -> None:
    """A plain transfer leaves the ERC-20 event of the same coin."""
    (log,) = desk.result("eth_getBlockReceipts", "0x1")[0]["logs"]

    assert log["address"] == native("Opg")
    assert log["topics"][0] == "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert [topic[26:] for topic in log["topics"][1:]] == [text(ALICE)[2:], text(BOB)[2:]]
