"""The receipt: its hash is eth-account's, every field matters, and other JSON is refused."""

from dataclasses import fields, replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from tests.support.build import CHAIN_ID, HOT, KINDS, STRANGER, Kind, valid
from tests.support.change import varied

from paraph.core.amount import Wei
from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.ident import to_hex
from paraph.core.keys import CURVE_ORDER
from paraph.proofs.check import judge
from paraph.proofs.receipt import (
    RECEIPT_STRUCT,
    Receipt,
    SignedReceipt,
    evidence_digest,
    given_digest,
    receipt_from_json,
    receipt_from_values,
    response_digest,
    stream_next,
    stream_start,
)
from paraph.proofs.request import SETTLEMENT, Layer, body_digest

CASE = valid("text")
SIGNED = CASE.bundle.answer.receipt
RECEIPT = SIGNED.receipt
REQUEST = CASE.bundle.request.request


def test_wallets_sign_the_same_bytes() -> None:
    """eth-account, given the struct as typed data, makes the same signature."""
    members = [{"name": each.name, "type": each.type.name} for each in RECEIPT_STRUCT.items]
    names = [each["name"] for each in members]
    message = encode_typed_data(
        {"name": "paraph", "version": "1", "chainId": CHAIN_ID, "verifyingContract": to_hex(SETTLEMENT)},
        {"Receipt": members},
        dict(zip(names, RECEIPT.values(), strict=True)),
    )
    theirs = Account.sign_message(message, HOT.dangerous_secret())

    assert bytes(theirs.signature) == SIGNED.signature
    assert bytes(theirs.message_hash) == RECEIPT.signing_digest(CHAIN_ID)


def test_struct_has_every_field() -> None:
    """The EIP-712 struct and the record have the same members in the same order."""
    signed = [each.name.lower() for each in RECEIPT_STRUCT.items]

    assert signed == [each.name.replace("_", "") for each in fields(Receipt)]


def test_every_field_matters() -> None:
    """Any field changed changes the hash, and the node's signature no longer fits."""
    hashes = {RECEIPT.hash()}
    for name, other in varied(RECEIPT):
        assert other.hash() not in hashes, name
        hashes.add(other.hash())
        assert not SignedReceipt(other, SIGNED.signature).signed_by_signer(CHAIN_ID)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_checked(kind: Kind) -> None:
    """A receipt field that the node did not sign fails the bundle."""
    case = valid(kind)
    answer = case.bundle.answer
    for name, other in varied(answer.receipt.receipt):
        forged = replace(case.bundle, answer=replace(answer, receipt=replace(answer.receipt, receipt=other)))
        assert "receipt.signature" in {code for code, _ in judge(forged, case.trust).reasons}, name


def test_signature_is_for_one_chain() -> None:
    """The same signature on another chain is not the node's."""
    assert SIGNED.signed_by_signer(CHAIN_ID)
    assert not SIGNED.signed_by_signer(CHAIN_ID + 1)


def test_other_signatures_are_not_the_signers() -> None:
    """By another key, with high s, cut off, or with another v: not the signer's, and no stumble."""
    good = SIGNED.signature
    high = (CURVE_ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    forged = [
        STRANGER.sign(RECEIPT.signing_digest(CHAIN_ID)),
        good[:32] + high + bytes((55 - good[64],)),
        good[:64],
        good[:64] + b"\x00",
        bytes(65),
    ]

    assert not any(SignedReceipt(RECEIPT, each).signed_by_signer(CHAIN_ID) for each in forged)


def test_receipt_round_trips() -> None:
    """A receipt is read back from JSON and from its ABI values."""
    assert receipt_from_json(SIGNED.as_json()) == SIGNED
    assert receipt_from_values(RECEIPT.values()) == RECEIPT


BAD: list[tuple[str, Json]] = [
    ("request_key", "0x00"),
    ("payer", to_hex(RECEIPT.request_key)),
    ("signer", None),
    ("layer", 0),
    ("layer", 4),
    ("layer", 256),
    ("layer", True),
    ("input_units", -1),
    ("input_units", 2**53),
    ("output_units", 1.0),
    ("price_version", 2**32),
    ("price_version", -1),
    ("price", 5),
    ("price", "05"),
    ("price", str(2**256)),
    ("height", "1"),
    ("started_ms", None),
    ("ended_ms", 2**64),
    ("signature", to_hex(SIGNED.signature[:64])),
    ("more", 1),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=range(len(BAD)))
def test_other_json_is_refused(name: str, value: Json) -> None:
    """A member of another type, length or range is refused when read: no later step meets it."""
    with pytest.raises(Malformed):
        receipt_from_json({**SIGNED.as_json(), name: value})


def test_unknown_layer_in_values_is_refused() -> None:
    """The ABI's uint8 holds more than the three layers: the rest is refused."""
    values = list(RECEIPT.values())
    values[11] = 9

    with pytest.raises(Malformed) as caught:
        receipt_from_values(values)
    assert caught.value.code == "request.layer"


@pytest.mark.parametrize("name", ["key", "payer", "node", "model_id", "layer", "body_digest", "max_price", "deadline"])
def test_receipt_answers_one_request(name: str) -> None:
    """A receipt answers the very request whose hash it names: no field of it may differ."""
    assert RECEIPT.answers(REQUEST)

    assert all(not RECEIPT.answers(other) for changed, other in varied(REQUEST) if changed == name)


@pytest.mark.parametrize("name", ["request_key", "payer", "node", "model_id", "layer"])
def test_receipt_repeats_the_request(name: str) -> None:
    """What a receipt says again of its request is what the request says."""
    assert all(not other.answers(REQUEST) for changed, other in varied(RECEIPT) if changed == name)


def test_receipt_keeps_within_cap_and_deadline() -> None:
    """At the cap, at the deadline and in no time it answers; one beyond, or ended before begun, it does not."""
    last_ms = REQUEST.deadline * 1000
    fine = replace(RECEIPT, price=REQUEST.max_price, started_ms=last_ms, ended_ms=last_ms)

    assert fine.answers(REQUEST)
    assert not replace(fine, price=Wei(REQUEST.max_price + 1)).answers(REQUEST)
    assert not replace(fine, started_ms=last_ms + 1, ended_ms=last_ms + 1).answers(REQUEST)
    assert not replace(fine, ended_ms=last_ms - 1).answers(REQUEST)


def test_digests_are_apart() -> None:
    """The same JSON as body, given, response and evidence has four digests."""
    value = {"a": 1}

    assert len({body_digest(value), given_digest(value), response_digest(value), evidence_digest(value)}) == 4


def test_stream_commits_to_chunks_and_order() -> None:
    """A link depends on the request, on every chunk before it, and on their order."""
    start = stream_start(REQUEST.hash())
    one, two = {"text": "a"}, {"text": "b"}
    ends = {
        start,
        stream_start(RECEIPT.hash()),
        stream_next(start, one),
        stream_next(stream_next(start, one), two),
        stream_next(stream_next(start, two), one),
        stream_next(stream_next(start, one), one),
        stream_next(start, {"text": "ab"}),
    }

    assert len(ends) == 7


def test_layer_is_a_number_in_json() -> None:
    """JSON carries the layer as its number, and wei as text."""
    assert SIGNED.as_json()["layer"] == 1
    assert SIGNED.as_json()["price"] == str(RECEIPT.price)
    assert RECEIPT.layer is Layer.SIGNATURE
