"""Our own methods: proofs that a client can check alone, and where receipts were settled."""

import json
from typing import Any

import pytest
from tests.support_ledger.world import (
    ALICE,
    BOND,
    CAROL,
    HOT,
    OPERATOR,
    OPG,
    OWNER,
    START_S,
    model_arguments,
    node_arguments,
    receipt,
    request,
    signed,
)
from tests.unit.full_node.world import PRODUCER, Desk, calling, genesis, text, transfer

from paraph.adapters.ethereum import rpc
from paraph.core.ident import digest_from_hex, from_hex, to_hex
from paraph.core.merkle import root_from_inclusion
from paraph.core.smt import proof_from_json, proves
from paraph.full_node.proofs import KEY_BYTES_MAX, KEYS_MAX
from paraph.ledger.genesis import decode_genesis
from paraph.proofs.header import header_from_json
from paraph.proofs.records import Batch

NOW = START_S + 10


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_proof_is_checked_by_the_client(desk: Desk) -> None:
    """Values and absences come with proofs that hold against the producer's signed header, and against no other."""
    desk.settle(transfer(0))
    there, absent = b"accounts/nonce/" + ALICE.address, b"accounts/nonce/" + CAROL.address

    found = desk.result("paraph_getProof", [to_hex(there), to_hex(absent), to_hex(there)])

    assert found["seal"]["kind"] == "producer"
    signed_header = header_from_json(found["seal"]["header"])
    root = signed_header.header.state_root
    assert signed_header.signed_by(PRODUCER.address)
    assert signed_header.header.height == 1
    assert [each["key"] for each in found["proofs"]] == [to_hex(there), to_hex(absent), to_hex(there)]
    for each in found["proofs"]:
        key = from_hex(each["key"], None, "key")
        value = None if each["value"] is None else from_hex(each["value"], None, "value")
        proof = proof_from_json(each["proof"], "proof")
        assert proves(root, key, value, proof)
        assert not proves(root, key, b"\2", proof)


@pytest.mark.parametrize("keys", [["0x" + "aa" * (KEY_BYTES_MAX + 1)], ["0x00"] * (KEYS_MAX + 1), "0x00", [5], [None]])
def test_keys_are_bounded(desk: Desk, keys: Any) -> None:
    """So many keys, each so long, and nothing else."""
    assert desk.error("paraph_getProof", keys)["code"] == rpc.INVALID_PARAMS
    assert len(desk.result("paraph_getProof", ["0x" + "aa" * KEY_BYTES_MAX] * KEYS_MAX)["proofs"]) == KEYS_MAX


def test_genesis_document_names_the_network(desk: Desk) -> None:
    """The genesis document reads back to the same network."""
    document = json.dumps(desk.result("paraph_getGenesis")).encode()

    assert decode_genesis(document).digest() == desk.chain.head.header.genesis


def test_block_by_hand_on_a_devnet_only(desk: Desk) -> None:
    """A devnet makes a block when asked; another network has no such method."""
    desk.send(transfer(0))

    assert desk.result("paraph_produceBlock") == "0x1"
    assert desk.result("paraph_produceBlock") == "0x0"
    assert desk.result("eth_blockNumber") == "0x2"
    assert Desk(genesis(devnet=False)).error("paraph_produceBlock")["code"] == rpc.METHOD_NOT_FOUND


# --- settlement ----------------------------------------------------------------------------------------------------


@pytest.fixture
def market(desk: Desk) -> Desk:
    """A model, a node, and Alice's escrow."""
    receipts = desk.settle(
        calling(0, "Models", "register", *model_arguments(), sender=OWNER),
        calling(0, "Nodes", "register", *node_arguments(), sender=OPERATOR, value=BOND),
        calling(0, "Escrow", "deposit", value=100 * OPG),
    )
    assert [each["status"] for each in receipts] == ["0x1"] * 3
    return desk


def item(number: int, *, payer: Any = ALICE, signer: Any = HOT) -> Any:
    asked = request(number=number, now=NOW)
    return signed(asked, receipt(asked, NOW, height=1), payer, signer)


def settle(desk: Desk, nonce: int, *batches: tuple[Any, ...]) -> None:
    """Each batch in a transaction, all in one block."""
    raw = [calling(nonce + at, "Settlement", "settle", batch, sender=OPERATOR) for at, batch in enumerate(batches)]
    assert [each["status"] for each in desk.settle(*raw)] == ["0x1"] * len(batches)


def place(desk: Desk, number: int) -> Any:
    """Where a request was settled; the path is checked against the batch's proved record."""
    asked = request(number=number, now=NOW)
    found = desk.result("paraph_getSettled", text(asked.payer), to_hex(asked.key))
    if found is None:
        return None
    (proved,) = desk.result("paraph_getProof", [found["key"]])["proofs"]
    batch = Batch.decode(from_hex(proved["value"], None, "value"))
    path = tuple(digest_from_hex(each, "path") for each in found["path"])
    leaf = receipt(asked, NOW, height=1).hash()
    assert root_from_inclusion(leaf, found["index"], batch.size, path) == batch.root
    return found["batch"], found["index"]


def test_settled_receipt_has_its_path(market: Desk) -> None:
    """Each receipt of a batch has a path to the batch's root; one that is not settled has none."""
    settle(market, 1, tuple(item(number) for number in range(5)))

    assert [place(market, number) for number in range(6)] == [*((1, index) for index in range(5)), None]


def test_rejected_receipts_have_no_place(market: Desk) -> None:
    """Places count accepted receipts alone, even where the same request came first with a bad signature."""
    batch = (item(1, signer=CAROL), item(2, payer=CAROL), item(1), item(3), item(3), item(2))

    settle(market, 1, batch)

    assert [place(market, number) for number in (1, 2, 3)] == [(1, 0), (1, 2), (1, 1)]


def test_batches_of_one_block_are_told_apart(market: Desk) -> None:
    """Several batches in one block, one of them of nothing but rejected receipts, keep their own places."""
    settle(market, 1, (item(1), item(2)), (item(1),), (item(2), item(3)))
    settle(market, 4, (item(4),))

    assert [place(market, number) for number in (1, 2, 3, 4)] == [(1, 0), (1, 1), (2, 0), (3, 0)]
