"""Transactions: the same bytes, hashes and senders as Ethereum's own tools, and every refusal."""

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from tests.support_ledger.world import ALICE, CHAIN_ID

from paraph.core import rlp
from paraph.core.amount import Wei
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import Address
from paraph.core.keys import CURVE_ORDER
from paraph.core.limits import BLOCK_GAS_MAX, TX_BYTES_MAX
from paraph.ledger.tx import Tx, check_form

TO = Address(bytes.fromhex("00000000000000000000000000000000000000aa"))
SLOT = b"\x05" * 32
ACCESS = ((TO, (SLOT, bytes(32))), (Address(b"\x09" * 20), ()))


def plain(kind: int, **changes: Any) -> Tx:
    tip = 5 if kind == 2 else 9
    access = () if kind == 0 else ACCESS
    found = Tx(kind, CHAIN_ID, 3, tip, 9, 100_000, TO, Wei(10**18), b"\x00\x01data", access)
    return replace(found, **changes)


def as_eth(tx: Tx) -> dict[str, Any]:
    """The transaction as eth_account takes it."""
    found: dict[str, Any] = {
        "chainId": tx.chain_id,
        "nonce": tx.nonce,
        "gas": tx.gas_limit,
        "to": tx.to,
        "value": tx.value,
        "data": tx.data,
    }
    access = [
        {"address": "0x" + address.hex(), "storageKeys": ["0x" + slot.hex() for slot in slots]}
        for address, slots in tx.access_list
    ]
    fees = {"maxPriorityFeePerGas": tx.tip_max, "maxFeePerGas": tx.fee_max}
    match tx.type:
        case 0:
            return found | {"gasPrice": tx.fee_max}
        case 1:
            return found | {"gasPrice": tx.fee_max, "accessList": access, "type": 1}
        case _:
            return found | fees | {"accessList": access, "type": 2}


def refused(raw: bytes) -> str:
    with pytest.raises((Malformed, Rejected)) as caught:
        check_form(raw, CHAIN_ID)
    return caught.value.code


def parts(tx: Tx) -> list[Any]:
    """The signed transaction's items, to be changed and encoded again."""
    raw = tx.sign(ALICE)
    return list(rlp.as_list(rlp.decode(raw if tx.type == 0 else raw[1:]), "a transaction"))


def joined(kind: int, items: list[Any]) -> bytes:
    return (b"" if kind == 0 else bytes((kind,))) + rlp.encode(items)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_signed_as_ethereum_signs(kind: int) -> None:
    """The bytes we sign are those eth_account signs, to the last bit."""
    tx = plain(kind)

    assert tx.sign(ALICE) == bytes(Account.sign_transaction(as_eth(tx), ALICE.dangerous_secret()).raw_transaction)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_read_as_ethereum_reads(kind: int) -> None:
    """What eth_account signed is read back with its fields, its sender and its hash."""
    tx = plain(kind)
    foreign = Account.sign_transaction(as_eth(tx), ALICE.dangerous_secret())

    found = check_form(bytes(foreign.raw_transaction), CHAIN_ID)

    assert (found.tx, found.sender, found.hash) == (tx, ALICE.address, bytes(foreign.hash))
    assert found.raw == bytes(foreign.raw_transaction)
    assert int.from_bytes(found.signature[:32], "big") == foreign.r


@pytest.mark.parametrize("kind", [1, 2])
def test_signing_digest_is_ethereums(kind: int) -> None:
    """The digest that is signed is the one that the EIP defines."""
    tx = plain(kind)
    foreign = TypedTransaction.from_dict(as_eth(tx))

    assert tx.signing_digest() == bytes(HexBytes(foreign.hash()))


def test_eip155_example() -> None:
    """The example of EIP-155 has its published digest and sender."""
    to = Address(bytes.fromhex("3535353535353535353535353535353535353535"))
    tx = Tx(0, 1, 9, 20 * 10**9, 20 * 10**9, 21_000, to, Wei(10**18), b"")
    raw = bytes.fromhex(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe"
        "537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    )

    assert tx.signing_digest().hex() == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    assert check_form(raw, 1).sender.hex() == "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"


def test_intrinsic_gas() -> None:
    """The bytes alone cost what Ethereum charges: 4 and 16 per byte, 2400 and 1900 per access entry."""
    assert plain(2).intrinsic_gas() == 21_000 + 4 + 5 * 16 + 2 * 2_400 + 2 * 1_900


@pytest.mark.parametrize(
    ("base_fee", "price"), [(0, 5), (3, 8), (4, 9), (5, 9), (9, 9)], ids=["free", "tip", "exact", "capped", "no tip"]
)
def test_price_per_gas(base_fee: int, price: int) -> None:
    """A dynamic-fee transaction pays base fee and tip, and at most its cap."""
    assert plain(2).price(base_fee) == price


@pytest.mark.parametrize(
    ("tx", "code"),
    [
        (plain(0, chain_id=1), "tx.chain_id"),
        (plain(1, chain_id=CHAIN_ID + 1), "tx.chain_id"),
        (plain(2, chain_id=0), "tx.chain_id"),
        (plain(2, tip_max=10), "tx.fee"),
        (plain(2, gas_limit=plain(2).intrinsic_gas() - 1), "tx.gas_limit"),
        (plain(0, gas_limit=BLOCK_GAS_MAX + 1), "tx.gas_limit"),
        (plain(0, gas_limit=2**64), "tx.form"),
        (plain(0, nonce=2**64), "tx.form"),
        (plain(0, fee_max=2**128, tip_max=2**128), "tx.form"),
        (plain(0, value=Wei(2**256)), "rlp.integer"),
        (plain(0, to=Address(b"")), "tx.create"),
        (plain(2, to=Address(b"")), "tx.create"),
        (plain(2, to=Address(b"\x01" * 19)), "rlp.shape"),
        (plain(2, access_list=((b"\x01" * 19, ()),)), "rlp.shape"),
        (plain(2, access_list=((TO, (b"\x01" * 31,)),)), "rlp.shape"),
        (plain(2, data=bytes(TX_BYTES_MAX), gas_limit=BLOCK_GAS_MAX), "tx.size"),
    ],
)
def test_refused(tx: Tx, code: str) -> None:
    """Each fault of a well signed transaction is refused by its own code."""
    assert refused(tx.sign(ALICE)) == code


def test_the_edges_are_accepted() -> None:
    """The least gas limit and the greatest nonce, fee and gas limit are still accepted."""
    least = plain(2, gas_limit=plain(2).intrinsic_gas(), tip_max=9)
    most = plain(1, nonce=2**64 - 1, gas_limit=BLOCK_GAS_MAX, fee_max=2**128 - 1, tip_max=2**128 - 1)

    assert check_form(least.sign(ALICE), CHAIN_ID).tx == least
    assert check_form(most.sign(ALICE), CHAIN_ID).tx == most


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "tx.size"),
        (b"\x00", "tx.type"),
        (b"\x03" + rlp.encode([]), "tx.type"),
        (b"\x7f", "tx.type"),
        (b"\x80", "rlp.shape"),
        (b"\x02", "rlp.form"),
        (b"\x02\x80", "rlp.shape"),
        (b"\xc0", "tx.form"),
        (b"\x01\xc0", "tx.form"),
        (b"\x02" + rlp.encode([b""] * 11), "tx.form"),
        (b"\xff" * 100, "rlp.form"),
    ],
)
def test_bytes_that_are_none(raw: bytes, code: str) -> None:
    """What is no transaction at all is refused by its form."""
    assert refused(raw) == code


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_trailing_bytes_are_refused(kind: int) -> None:
    """A transaction fills its bytes: nothing may follow, nothing may be missing."""
    raw = plain(kind).sign(ALICE)

    assert refused(raw + b"\x00") == "rlp.form"
    assert refused(raw[:-1]) == "rlp.form"


@pytest.mark.parametrize(("v", "code"), [(27, "tx.chain_id"), (28, "tx.chain_id"), (0, "tx.chain_id")])
def test_before_eip155_is_refused(v: int, code: str) -> None:
    """A legacy signature without a chain id could be replayed here from anywhere."""
    items = parts(plain(0))
    items[6] = rlp.from_uint(v)

    assert refused(joined(0, items)) == code


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_high_s_is_refused(kind: int) -> None:
    """The other half of s, valid on the curve, is refused: one transaction has one hash."""
    items = parts(plain(kind))
    items[-1] = rlp.from_uint(CURVE_ORDER - int.from_bytes(items[-1], "big"))
    flip = int.from_bytes(items[-3], "big")
    items[-3] = rlp.from_uint(flip ^ 1 if kind else flip + (1 if flip % 2 else -1))

    assert refused(joined(kind, items)) == "signature.high_s"


@pytest.mark.parametrize(
    ("index", "item", "code"),
    [
        (-3, b"\x02", "tx.form"),
        (-3, b"\x1b", "tx.form"),
        (-2, b"", "signature.form"),
        (-1, b"", "signature.form"),
        (-2, b"\xff" * 32, "signature.form"),
        (-2, b"\x01" * 33, "rlp.integer"),
        (-2, b"\x00\x01", "rlp.integer"),
        (0, [], "rlp.integer"),
        (7, [b"data"], "rlp.shape"),
        (8, b"", "rlp.shape"),
        (8, [b""], "rlp.shape"),
        (8, [[TO]], "tx.form"),
        (8, [[TO, [], []]], "tx.form"),
        (8, [[TO, b""]], "rlp.shape"),
    ],
)
def test_malformed_items(index: int, item: Any, code: str) -> None:
    """Each item of a typed transaction has its shape, or the whole is refused."""
    items = parts(plain(2))
    items[index] = item

    assert refused(joined(2, items)) == code


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_every_field_is_signed(kind: int) -> None:
    """Whatever field is changed after signing, the sender is no longer Alice."""
    others: dict[str, Any] = {
        "nonce": 4,
        "fee_max": 10,
        "gas_limit": 100_001,
        "to": Address(b"\x01" * 20),
        "value": Wei(1),
        "data": b"other",
    }
    if kind:
        others["access_list"] = ACCESS[:1]
    if kind == 2:
        others["tip_max"] = 6
    for name, value in others.items():
        changes = {name: value} if kind == 2 or name != "fee_max" else {"fee_max": value, "tip_max": value}
        items = parts(plain(kind, **changes))
        items[-3:] = parts(plain(kind))[-3:]
        try:
            sender = check_form(joined(kind, items), CHAIN_ID).sender
        except Malformed:
            continue
        assert sender != ALICE.address, name
