"""Handing in transactions: refusals in the words that wallets look for, with our code beside them."""

import pytest
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID, person
from tests.unit.full_node.world import GWEI, Desk, transfer

from paraph.adapters.ethereum import rpc
from paraph.core import rlp
from paraph.core.amount import Wei
from paraph.core.digest import keccak256
from paraph.core.ident import to_hex
from paraph.flows import mempool
from paraph.ledger.tx import Tx


@pytest.fixture
def desk() -> Desk:
    """Alice has sent one transaction, and another waits."""
    found = Desk()
    found.settle(transfer(0))
    found.send(transfer(1))
    return found


def create(nonce: int) -> bytes:
    """A signed transaction that would create a contract."""
    number = rlp.from_uint
    fields: list[rlp.Rlp] = [
        number(CHAIN_ID),
        number(nonce),
        b"",
        number(3 * GWEI),
        number(90_000),
        b"",
        b"",
        b"\0",
        [],
    ]
    signature = ALICE.sign(keccak256(b"\2" + rlp.encode(fields)))
    parts = [number(signature[64] - 27), *(signature[at : at + 32].lstrip(b"\0") for at in (0, 32))]
    return b"\2" + rlp.encode([*fields, *parts])


def before_eip155() -> bytes:
    """A legacy transaction that names no chain."""
    tx = Tx(0, CHAIN_ID, 2, GWEI, GWEI, 21_000, BOB.address, Wei(1), b"")
    item = rlp.as_list(rlp.decode(tx.sign(ALICE)), "a transaction")
    return rlp.encode([*item[:6], b"\x1b", *item[7:]])


def test_accepted_returns_its_hash(desk: Desk) -> None:
    """What is taken is answered with its hash."""
    raw = transfer(2)

    assert desk.send(raw) == to_hex(keccak256(raw))


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (transfer(0), "tx.nonce", "nonce too low"),
        (transfer(70), "tx.nonce", "nonce too high"),
        (transfer(1), "mempool.known", "already known"),
        (transfer(1, value=2), "mempool.underpriced", "replacement transaction underpriced"),
        (transfer(2, gas=20_999), "tx.gas_limit", "intrinsic gas too low"),
        (transfer(2, gas=60_000_001), "tx.gas_limit", "above the most any block holds"),
        (transfer(2, gas=30_000_001), "tx.gas_block", "exceeds block gas limit"),
        (transfer(2, value=10**30), "tx.funds", "insufficient funds for gas * price + value"),
        (transfer(0, sender=person("a beggar")), "tx.funds", "insufficient funds for gas * price + value"),
        (transfer(2, fee=GWEI - 1, tip=1), "tx.fee", "max fee per gas less than block base fee"),
        (transfer(2, fee=GWEI, tip=GWEI + 1), "tx.fee", "max priority fee per gas higher than max fee per gas"),
        (transfer(2, chain_id=1), "tx.chain_id", "invalid chain id for signer"),
        (b"\3" + transfer(2)[1:], "tx.type", "transaction type not supported"),
        (b"", "tx.size", "oversized data"),
        (bytes(2**20 + 1), "tx.size", "oversized data"),
        (transfer(2) + b"\0", "rlp.form", "follow the RLP item"),
        (transfer(2)[:-1], "rlp.form", "RLP"),
        (create(2), "tx.create", "contracts cannot be created"),
        (before_eip155(), "tx.chain_id", "before EIP-155"),
    ],
)
def test_refusal_has_words_and_code(desk: Desk, raw: bytes, code: str, words: str) -> None:
    """Each refusal has geth's words in its message and our code in its data."""
    error = desk.error("eth_sendRawTransaction", to_hex(raw))

    assert error["data"]["code"] == code
    assert words in error["message"]
    assert error["code"] in (rpc.INVALID_INPUT, rpc.REFUSED)


def test_refusal_of_our_own(desk: Desk) -> None:
    """What geth has no words for is a transaction rejected."""
    assert desk.error("eth_sendRawTransaction", to_hex(create(2)))["code"] == rpc.REFUSED


@pytest.mark.parametrize("raw", ["0x123", "02", 5, {}, "0xzz"])
def test_what_is_no_data_is_a_bad_parameter(desk: Desk, raw: object) -> None:
    """What is not even hex is a bad parameter."""
    assert desk.error("eth_sendRawTransaction", raw)["code"] == rpc.INVALID_PARAMS


def test_high_s_is_refused(desk: Desk) -> None:
    """The other signature of the same transaction (EIP-2) is refused."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    tx = Tx(2, CHAIN_ID, 2, GWEI, 3 * GWEI, 21_000, BOB.address, Wei(1), b"")
    signature = ALICE.sign(tx.signing_digest())
    high = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    raw = tx.with_signature(signature[:32] + high + bytes((55 - signature[64],)))

    error = desk.error("eth_sendRawTransaction", to_hex(raw))

    assert (error["data"]["code"], error["message"][:13]) == ("signature.high_s", "invalid trans")


def test_replacement_takes_the_place(desk: Desk) -> None:
    """A replacement that offers more goes into the block instead."""
    raw = transfer(1, value=9, tip=2 * GWEI, fee=4 * GWEI)

    (receipt,) = desk.settle(raw)

    assert receipt["transactionHash"] == to_hex(keccak256(raw))
    assert desk.result("eth_getTransactionByHash", to_hex(keccak256(transfer(1)))) is None


def test_full_pool_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pool, and a sender with all its places taken, are told in geth's words."""
    monkeypatch.setattr(mempool, "POOL_MAX", 1)
    assert desk.error("eth_sendRawTransaction", to_hex(transfer(2)))["message"].startswith("txpool is full")

    monkeypatch.setattr(mempool, "SENDER_MAX", 1)
    error = desk.error("eth_sendRawTransaction", to_hex(transfer(2)))
    assert error["message"].startswith("account limit exceeded")


def test_stopped_node_takes_nothing(desk: Desk) -> None:
    """A node that makes no more blocks refuses transactions and says why; reads go on."""
    desk.production.failure = "Unavailable: the disk is full"

    error = desk.error("eth_sendRawTransaction", to_hex(transfer(2)))

    assert (error["code"], error["data"]["code"]) == (rpc.UNAVAILABLE, "node.stopped")
    assert desk.error("paraph_produceBlock")["data"]["code"] == "node.stopped"
    assert desk.result("eth_blockNumber") == "0x1"
