"""Hostile transactions: whatever bytes a block carries, it applies, every truth holds, and no money comes or goes."""

from contextlib import suppress
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support_ledger.world import (
    ALICE,
    BOB,
    CHAIN_ID,
    GOVERNOR,
    HOT,
    MANIFEST,
    MODEL,
    OPERATOR,
    OWNER,
    START_S,
    World,
    differing,
    receipt,
    request,
    signed,
)

from paraph.core import rlp
from paraph.core.abi import Type, Value
from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_ADDRESS, Address
from paraph.core.keys import PrivateKey
from paraph.ledger.block import result_from_rlp
from paraph.ledger.contract import Bound, Contract
from paraph.ledger.rooms.accounts.keys import STAKERS, TREASURY
from paraph.ledger.tx import Tx, check_form
from paraph.ledger.versions import CONTRACTS

SENDERS = (ALICE, BOB, OWNER, OPERATOR, GOVERNOR)
ADDRESSES = (*(who.address for who in (*SENDERS, HOT)), *(each.address for each in CONTRACTS), ZERO_ADDRESS, STAKERS)
NAMES = ("gas_limit", "stakers_bps", "withdraw_delay_s", "text", "tensor", "http://a", "", "a/b")
EDGES = (0, 1, 2, 27, 28, 500, 10**18, SUPPLY_WEI, START_S, START_S + 600, (START_S + 3) * 1000)


@cache
def template() -> World:
    """A world in which every room holds something, built once and copied for each example."""
    return World.whole()


def world() -> World:
    made = template()
    return World(dict(made.state), height=made.height, now=made.now)


def value_of(kind: Type) -> st.SearchStrategy[Value]:
    """Values of an ABI type: those that mean something here, its edges, and any."""
    match kind.kind:
        case "uint":
            top = (1 << kind.size) - 1
            return st.one_of(st.sampled_from([*(each for each in EDGES if each <= top), top]), st.integers(0, top))
        case "address":
            return st.one_of(st.sampled_from(ADDRESSES), st.binary(min_size=20, max_size=20))
        case "fixed":
            return st.one_of(
                st.sampled_from([MODEL, MANIFEST, bytes(32), request().key]), st.binary(min_size=32, max_size=32)
            )
        case "bytes":
            return st.one_of(st.binary(max_size=70), st.binary(min_size=65, max_size=65))
        case "string":
            return st.one_of(st.sampled_from(NAMES), st.text(max_size=140))
        case "tuple":
            return st.tuples(*(value_of(field.type) for field in kind.items))
        case _:
            return st.lists(value_of(kind.items[0].type), max_size=3).map(tuple)


METHODS = [(contract, bound) for contract in CONTRACTS for bound in contract.methods]


@st.composite
def calls(draw: st.DrawFn) -> tuple[Contract, bytes]:
    """A contract and calldata for it: well formed, or changed in a byte, cut or lengthened."""
    contract, bound = draw(st.sampled_from(METHODS))
    data = bound.method.call(*(draw(value_of(field.type)) for field in bound.method.inputs))
    match draw(st.sampled_from(["as it is", "as it is", "flip", "cut", "more"])):
        case "flip":
            at = draw(st.integers(0, len(data) - 1))
            return contract, data[:at] + bytes((data[at] ^ draw(st.integers(1, 255)),)) + data[at + 1 :]
        case "cut":
            return contract, data[: draw(st.integers(0, len(data)))]
        case "more":
            return contract, data + draw(st.binary(max_size=40))
        case _:
            return contract, data


@given(
    drawn=st.lists(
        st.tuples(
            st.sampled_from(SENDERS), calls(), st.sampled_from([0, 0, 1, 10**21, 2**255]), st.sampled_from(ADDRESSES)
        ),
        min_size=1,
        max_size=5,
    ),
    seconds=st.sampled_from([0, 1, 20_000, 10**8]),
    gas_limit=st.sampled_from([60_000, 130_000, 3_000_000]),
)
def test_any_call(
    drawn: list[tuple[PrivateKey, tuple[Contract, bytes], int, Address]], seconds: int, gas_limit: int
) -> None:
    """Whatever is called with whatever arguments, in whatever order, the block applies and all truths hold."""
    found = world()
    nonces = {who.address: found.nonce(who.address) for who in SENDERS}
    raw = []
    for who, (contract, data), value, stray in drawn:
        to = stray if value == 1 else contract.address
        tx = found.tx(who, to, data, value, nonce=nonces[who.address], gas_limit=gas_limit)
        funded = value < 10**22 and tx.intrinsic_gas() <= gas_limit
        nonces[who.address] += funded
        raw.append(tx.sign(who))

    applied = found.apply(*raw, seconds=seconds)

    for result in applied.results:
        assert result_from_rlp(result.encode()) == result
        assert result.status == 1 or result.error
        assert result.status != 2 or result.gas_used == 0
    again = world().apply(*raw, seconds=seconds)
    assert again == applied


@given(data=st.data())
def test_any_settlement(data: st.DataObject) -> None:
    """Receipts of which any members are replaced by any values reject themselves, and nothing else happens."""
    found = world()
    asked = request(number=7, now=found.now)
    items = []
    for _ in range(data.draw(st.integers(1, 3))):
        item: list[Any] = list(signed(asked, receipt(asked, found.now, height=found.height), signer=HOT))
        for part, kinds in ((0, request_kinds()), (2, receipt_kinds())):
            members = list(item[part])
            for at in data.draw(st.lists(st.integers(0, len(members) - 1), max_size=2)):
                members[at] = data.draw(value_of(kinds[at]))
            item[part] = tuple(members)
        items.append(tuple(item))

    reasons, result = found.settle(*items)

    # The hot key that signed was closed below this height, so that not one can be good.
    assert result.status == 1
    assert all(reasons)


def request_kinds() -> list[Type]:
    return [field.type for field in settle().method.inputs[0].type.items[0].type.items[0].type.items]


def receipt_kinds() -> list[Type]:
    return [field.type for field in settle().method.inputs[0].type.items[0].type.items[2].type.items]


def settle() -> Bound:
    return next(bound for contract, bound in METHODS if bound.method.name == "settle")


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes(raw: list[bytes]) -> None:
    """Any bytes at all are skipped; but for the head that commits to them, the block is as an empty one."""
    found, empty = world(), world()

    applied = found.apply(*raw)
    empty.apply()

    assert [result.status for result in applied.results] == [2] * len(raw)
    assert differing(found, empty) <= {b"chain/head"}


@given(data=st.data(), kind=st.sampled_from([0, 1, 2]))
def test_any_changed_transaction(data: st.DataObject, kind: int) -> None:
    """A signed transaction with any byte changed, cut or added is refused, or is somebody else's who cannot pay."""
    found = world()
    tx = Tx(kind, CHAIN_ID, found.nonce(ALICE.address), 10**10, 10**10, 100_000, BOB.address, Wei(5), b"\0data")
    raw = tx.sign(ALICE)
    at = data.draw(st.integers(0, len(raw) - 1))
    change = data.draw(st.sampled_from(["flip", "cut", "add"]))
    flipped = raw[:at] + bytes((raw[at] ^ data.draw(st.integers(1, 255)),)) + raw[at + 1 :]
    changed = {"flip": flipped, "cut": raw[:at], "add": raw + b"\0"}[change]

    applied = found.apply(changed)

    assert applied.results[0].status == 2
    assert found.balance(TREASURY) == template().balance(TREASURY)


trees: st.SearchStrategy[Any] = st.recursive(
    st.binary(max_size=33), lambda inner: st.lists(inner, max_size=12), max_leaves=20
)


@given(kind=st.sampled_from([b"", b"\x01", b"\x02"]), items=st.lists(trees, max_size=13))
def test_any_shape(kind: bytes, items: list[Any]) -> None:
    """Any RLP in the place of a transaction is read or refused, never a crash."""
    with suppress(Malformed, Rejected):
        check_form(kind + rlp.encode(items), CHAIN_ID)


@given(st.one_of(st.binary(max_size=100), trees.map(rlp.encode)))
def test_any_result_bytes(data: bytes) -> None:
    """Any bytes in the place of a result are read to what encodes to them again, or refused as malformed."""
    with suppress(Malformed):
        assert result_from_rlp(data).encode() == data
