"""The signed request: its hash is eth-account's, every field matters, and other JSON is refused."""

from dataclasses import fields, replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from tests.support.build import CHAIN_ID, KINDS, PAYER, STRANGER, Kind, build, valid
from tests.support.change import varied

from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.core.ident import to_hex
from paraph.core.keys import CURVE_ORDER
from paraph.proofs.check import judge
from paraph.proofs.request import (
    REQUEST_STRUCT,
    SETTLEMENT,
    Layer,
    Request,
    SignedRequest,
    body_digest,
    layer_from_int,
    request_from_json,
    request_from_values,
)

SIGNED = valid("text").bundle.request
REQUEST = SIGNED.request


def test_wallets_sign_the_same_bytes() -> None:
    """eth-account, given the struct as typed data, makes the same signature."""
    members = [{"name": each.name, "type": each.type.name} for each in REQUEST_STRUCT.items]
    names = [each["name"] for each in members]
    message = encode_typed_data(
        {"name": "paraph", "version": "1", "chainId": CHAIN_ID, "verifyingContract": to_hex(SETTLEMENT)},
        {"Request": members},
        dict(zip(names, REQUEST.values(), strict=True)),
    )
    theirs = Account.sign_message(message, PAYER.dangerous_secret())

    assert bytes(theirs.signature) == SIGNED.signature
    assert bytes(theirs.message_hash) == REQUEST.signing_digest(CHAIN_ID)


def test_struct_has_every_field() -> None:
    """The EIP-712 struct and the record have the same members in the same order."""
    signed = [each.name.lower() for each in REQUEST_STRUCT.items]

    assert signed == [each.name.replace("_", "") for each in fields(Request)]


def test_every_field_matters() -> None:
    """Any field changed changes the hash, and the payer's signature no longer fits."""
    hashes = {REQUEST.hash()}
    for name, other in varied(REQUEST):
        assert other.hash() not in hashes, name
        hashes.add(other.hash())
        assert not SignedRequest(CHAIN_ID, other, SIGNED.signature).signed_by_payer()


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_checked(kind: Kind) -> None:
    """A request field that the payer did not sign fails the bundle, even where the receipt agrees with it."""
    case = valid(kind)
    for name, other in varied(case.bundle.request.request):
        forged = replace(case.bundle, request=replace(case.bundle.request, request=other))
        codes = {code for code, _ in judge(forged, case.trust).reasons}
        assert {"request.signature", "receipt.request"} <= codes, name


def test_signature_is_for_one_chain() -> None:
    """The same signature on another chain is not the payer's."""
    assert SIGNED.signed_by_payer()
    assert not SignedRequest(CHAIN_ID + 1, REQUEST, SIGNED.signature).signed_by_payer()


def test_other_signatures_are_not_the_payers() -> None:
    """By another key, with high s, cut off, or with another v: not the payer's, and no stumble."""
    good = SIGNED.signature
    high = (CURVE_ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    forged = [
        STRANGER.sign(REQUEST.signing_digest(CHAIN_ID)),
        good[:32] + high + bytes((55 - good[64],)),
        good[:64],
        good + b"\0",
        good[:64] + bytes((good[64] - 27,)),
        bytes(65),
        b"",
    ]

    assert not any(SignedRequest(CHAIN_ID, REQUEST, each).signed_by_payer() for each in forged)


def test_request_round_trips() -> None:
    """A request is read back from JSON and from its ABI values."""
    assert request_from_json(SIGNED.as_json()) == SIGNED
    assert request_from_values(REQUEST.values()) == REQUEST


BAD: list[tuple[str, Json]] = [
    ("chain_id", -1),
    ("chain_id", "31337"),
    ("chain_id", 2**53),
    ("key", "0x00"),
    ("key", to_hex(REQUEST.key).upper()),
    ("key", None),
    ("payer", to_hex(REQUEST.key)),
    ("node", ""),
    ("model_id", 1),
    ("body_digest", []),
    ("layer", 0),
    ("layer", 4),
    ("layer", True),
    ("layer", "1"),
    ("max_price", 1),
    ("max_price", "01"),
    ("max_price", str(2**256)),
    ("deadline", -1),
    ("deadline", 1.5),
    ("deadline", None),
    ("signature", "0x"),
    ("signature", to_hex(SIGNED.signature[:64])),
    ("signature", to_hex(SIGNED.signature + b"\0")),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=range(len(BAD)))
def test_other_json_is_refused(name: str, value: Json) -> None:
    """A member of another type, length or range is refused when read."""
    with pytest.raises(Malformed):
        request_from_json({**SIGNED.as_json(), name: value})


@pytest.mark.parametrize("value", [0, 4, -1, None, "1", 256])
def test_unknown_layers_are_refused(value: object) -> None:
    """There are three layers."""
    with pytest.raises(Malformed) as caught:
        layer_from_int(value)

    assert caught.value.code == "request.layer"
    assert [layer_from_int(each) for each in (1, 2, 3)] == list(Layer)


def test_body_digest_is_of_the_canonical_form() -> None:
    """The order of members does not matter to the body's digest; every value does."""
    assert body_digest({"a": 1, "b": 2.5}) == body_digest({"b": 2.5, "a": 1}) != body_digest({"a": 1, "b": 2.6})


def test_changed_request_may_be_signed() -> None:
    """The builder signs what it changes, so that later tests fail for one reason only."""
    case = build(request={"deadline": REQUEST.deadline + 1})

    assert case.bundle.request.signed_by_payer()
