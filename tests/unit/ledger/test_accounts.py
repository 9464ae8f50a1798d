"""OPG: one balance with two faces, and what may be done with a signature instead of a transaction."""

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, START_S, World, code, events, person
from web3 import Web3

from paraph.core.amount import SUPPLY_WEI, UINT256_MAX
from paraph.core.errors import Rejected
from paraph.core.ident import ZERO_ADDRESS
from paraph.core.keys import CURVE_ORDER, PrivateKey
from paraph.ledger.rooms.accounts.keys import OPG as OPG_CONTRACT
from paraph.ledger.rooms.accounts.rules import move
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.state import State

FAR = START_S + 1_000_000
KEY = b"\x42" * 32
AUTHORIZATION = [
    ("from", "address"),
    ("to", "address"),
    ("value", "uint256"),
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
]
STRUCTS = {
    "Permit": [
        ("owner", "address"),
        ("spender", "address"),
        ("value", "uint256"),
        ("nonce", "uint256"),
        ("deadline", "uint256"),
    ],
    "TransferWithAuthorization": AUTHORIZATION,
    "ReceiveWithAuthorization": AUTHORIZATION,
    "CancelAuthorization": [("authorizer", "address"), ("nonce", "bytes32")],
}


def wallet(kind: str, who: PrivateKey, *values: Any, chain_id: int = CHAIN_ID) -> tuple[int, bytes, bytes]:
    """v, r, s of typed data as a wallet signs it."""
    members = STRUCTS[kind]
    domain = {
        "name": "paraph OPG",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": Web3.to_checksum_address(OPG_CONTRACT),
    }
    shown = [
        Web3.to_checksum_address(value) if type_ == "address" else value
        for (_, type_), value in zip(members, values, strict=True)
    ]
    message = encode_typed_data(
        domain,
        {kind: [{"name": name, "type": type_} for name, type_ in members]},
        {name: value for (name, _), value in zip(members, shown, strict=True)},
    )
    made = Account.sign_message(message, who.dangerous_secret())
    return made.v, made.r.to_bytes(32, "big"), made.s.to_bytes(32, "big")


def test_metadata() -> None:
    """Wallets read the coin's name, symbol, decimals and fixed supply."""
    world = World.new()

    assert [world.view("Opg", name) for name in ("name", "symbol", "decimals", "totalSupply", "version")] == [
        "paraph OPG",
        "OPG",
        18,
        SUPPLY_WEI,
        "1",
    ]


def test_one_balance_two_faces() -> None:
    """What is sent as value and what is transferred as a token is the same money, and both leave a Transfer."""
    world, new = World.new(), person("new").address

    native = world.send(ALICE, new, value=5)
    token = world.must(ALICE, "Opg", "transfer", new, 6)

    assert world.balance(new) == world.view("Opg", "balanceOf", new) == 11
    assert events(native) == [("Transfer", (ALICE.address, new, 5))]
    assert events(token) == [("Transfer", (ALICE.address, new, 6))]
    assert token.output == (1).to_bytes(32, "big")


@pytest.mark.parametrize("to", [ZERO_ADDRESS, ESCROW, OPG_CONTRACT])
def test_tokens_are_not_sent_into_the_void(to: Any) -> None:
    """A token transfer to zero or to a contract is refused."""
    assert code(World.new().call(ALICE, "Opg", "transfer", to, 1)) == "accounts.reserved"


def test_a_balance_is_the_limit() -> None:
    """No more is transferred than is held, and a transfer to oneself makes nothing."""
    world = World.new()
    world.send(ALICE, person("poor").address, value=10**16)
    before = world.balance(BOB.address)

    assert code(world.call(person("poor"), "Opg", "transfer", BOB.address, 10**16)) == "accounts.balance"
    world.send(ALICE, ALICE.address, value=world.balance(ALICE.address) // 2)
    world.must(ALICE, "Opg", "transfer", ALICE.address, world.balance(ALICE.address) // 2)
    assert world.balance(BOB.address) == before


def test_move_to_oneself() -> None:
    """Moving money to its own account changes nothing."""
    state = State(World.new().state.get)
    before = state.get(b"accounts/balance/" + ALICE.address)

    move(state, ALICE.address, ALICE.address, 7)

    assert state.get(b"accounts/balance/" + ALICE.address) == before
    with pytest.raises(Rejected):
        move(state, person("nobody").address, ALICE.address, 1)


def test_allowance() -> None:
    """A spender takes up to what was approved, and each take leaves less."""
    world = World.new()
    approved = world.must(ALICE, "Opg", "approve", BOB.address, 10)

    taken = world.must(BOB, "Opg", "transferFrom", ALICE.address, CAROL.address, 7)

    assert events(approved) == [("Approval", (ALICE.address, BOB.address, 10))]
    assert events(taken) == [("Transfer", (ALICE.address, CAROL.address, 7))]
    assert world.view("Opg", "allowance", ALICE.address, BOB.address) == 3
    assert code(world.call(BOB, "Opg", "transferFrom", ALICE.address, CAROL.address, 4)) == "accounts.allowance"
    assert code(world.call(CAROL, "Opg", "transferFrom", ALICE.address, CAROL.address, 1)) == "accounts.allowance"
    world.must(BOB, "Opg", "transferFrom", ALICE.address, CAROL.address, 3)


def test_endless_allowance() -> None:
    """An allowance of 2^256 − 1 is never used up, but the balance is still the limit."""
    world = World.new()
    world.must(ALICE, "Opg", "approve", BOB.address, UINT256_MAX)

    world.must(BOB, "Opg", "transferFrom", ALICE.address, CAROL.address, 7)

    assert world.view("Opg", "allowance", ALICE.address, BOB.address) == UINT256_MAX
    assert code(world.call(BOB, "Opg", "transferFrom", ALICE.address, BOB.address, SUPPLY_WEI)) == "accounts.balance"


def test_approval_is_replaced() -> None:
    """A later approval replaces the earlier one, and zero takes it back."""
    world = World.new()
    for amount in (10, 4, 0):
        world.must(ALICE, "Opg", "approve", BOB.address, amount)
        assert world.view("Opg", "allowance", ALICE.address, BOB.address) == amount
    assert not [key for key in world.state if key.startswith(b"accounts/allowance/")]


# --- EIP-2612 ----------------------------------------------------------------------------------------------------


def permit(value: int = 9, used: int = 0, deadline: int = FAR, **kind: Any) -> tuple[Any, ...]:
    signature = wallet("Permit", kind.pop("who", ALICE), ALICE.address, BOB.address, value, used, deadline, **kind)
    return (ALICE.address, BOB.address, value, deadline, *signature)


def test_permit() -> None:
    """A wallet's permit, brought by anyone, approves once."""
    world = World.new()

    result = world.must(CAROL, "Opg", "permit", *permit())

    assert events(result) == [("Approval", (ALICE.address, BOB.address, 9))]
    assert world.view("Opg", "allowance", ALICE.address, BOB.address) == 9
    assert world.view("Opg", "nonces", ALICE.address) == 1
    assert code(world.call(CAROL, "Opg", "permit", *permit())) == "accounts.signature"
    world.must(CAROL, "Opg", "permit", *permit(3, 1))
    assert world.view("Opg", "allowance", ALICE.address, BOB.address) == 3


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (permit(deadline=START_S), "accounts.expired"),
        (permit(used=1), "accounts.signature"),
        (permit(who=BOB), "accounts.signature"),
        (permit(chain_id=CHAIN_ID + 1), "accounts.signature"),
        ((*permit()[:2], 10, *permit()[3:]), "accounts.signature"),
        ((*permit()[:3], FAR + 1, *permit()[4:]), "accounts.signature"),
        ((ALICE.address, CAROL.address, *permit()[2:]), "accounts.signature"),
        ((BOB.address, *permit()[1:]), "accounts.signature"),
        ((ZERO_ADDRESS, *permit()[1:]), "accounts.signature"),
        ((*permit()[:4], 0, *permit()[5:]), "signature.form"),
        ((*permit()[:4], 27, bytes(32), bytes(32)), "signature.form"),
        ((*permit()[:6], (CURVE_ORDER - int.from_bytes(permit()[6], "big")).to_bytes(32, "big")), "signature.high_s"),
    ],
)
def test_permit_refused(arguments: tuple[Any, ...], refusal: str) -> None:
    """A permit that is expired, out of turn, for other values or by another key approves nothing."""
    world = World.new()

    assert code(world.call(CAROL, "Opg", "permit", *arguments)) == refusal
    assert world.view("Opg", "allowance", ALICE.address, BOB.address) == 0


def test_permit_in_its_last_second() -> None:
    """A permit is good up to and including its deadline."""
    world = World.new()

    world.must(CAROL, "Opg", "permit", *permit(deadline=world.now + 1))


# --- EIP-3009 ----------------------------------------------------------------------------------------------------


def authorized(kind: str = "Transfer", value: int = 9, after: int = 0, before: int = FAR, **more: Any) -> Any:
    to, key, who = more.pop("to", BOB.address), more.pop("key", KEY), more.pop("who", ALICE)
    values = (ALICE.address, to, value, after, before, key)
    return (*values, *wallet(f"{kind}WithAuthorization", who, *values, **more))


def cancelled(who: PrivateKey = ALICE, key: bytes = KEY) -> tuple[Any, ...]:
    return (ALICE.address, key, *wallet("CancelAuthorization", who, ALICE.address, key))


def test_transfer_with_authorization() -> None:
    """A wallet's authorization, brought by anyone, moves the money once."""
    world = World.new()
    before = world.balance(BOB.address)

    result = world.must(CAROL, "Opg", "transferWithAuthorization", *authorized())

    assert events(result) == [
        ("AuthorizationUsed", (ALICE.address, KEY)),
        ("Transfer", (ALICE.address, BOB.address, 9)),
    ]
    assert world.balance(BOB.address) == before + 9
    assert world.view("Opg", "authorizationState", ALICE.address, KEY) is True
    assert world.view("Opg", "authorizationState", BOB.address, KEY) is False
    assert code(world.call(CAROL, "Opg", "transferWithAuthorization", *authorized())) == "accounts.used"


def test_receive_with_authorization() -> None:
    """An authorization to receive is brought by its payee alone, and shares its nonces with the other kind."""
    world = World.new()
    arguments = authorized("Receive")

    assert code(world.call(CAROL, "Opg", "receiveWithAuthorization", *arguments)) == "accounts.payee"
    world.must(BOB, "Opg", "receiveWithAuthorization", *arguments)
    assert code(world.call(BOB, "Opg", "receiveWithAuthorization", *arguments)) == "accounts.used"
    assert code(world.call(BOB, "Opg", "transferWithAuthorization", *authorized())) == "accounts.used"


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (authorized(before=START_S + 1), "accounts.expired"),
        (authorized(after=START_S + 1), "accounts.expired"),
        (authorized(who=BOB), "accounts.signature"),
        (authorized(chain_id=1), "accounts.signature"),
        (authorized("Receive"), "accounts.signature"),
        (authorized(to=ESCROW), "accounts.reserved"),
        (authorized(value=SUPPLY_WEI), "accounts.balance"),
        ((ALICE.address, CAROL.address, *authorized()[2:]), "accounts.signature"),
        ((*authorized()[:5], bytes(32), *authorized()[6:]), "accounts.signature"),
    ],
)
def test_authorization_refused(arguments: tuple[Any, ...], refusal: str) -> None:
    """An authorization out of its time, for another payee, chain or purpose, or by another key moves nothing."""
    world = World.new()
    before = world.balance(ALICE.address)

    assert code(world.call(CAROL, "Opg", "transferWithAuthorization", *arguments)) == refusal
    assert world.balance(ALICE.address) == before
    assert world.view("Opg", "authorizationState", ALICE.address, KEY) is False


def test_receipt_is_no_transfer() -> None:
    """A signature to transfer does not serve to receive."""
    assert code(World.new().call(BOB, "Opg", "receiveWithAuthorization", *authorized())) == "accounts.signature"


def test_authorization_in_its_time() -> None:
    """The bounds of validity are exclusive on both sides, as EIP-3009 says."""
    world = World.new()

    world.must(CAROL, "Opg", "transferWithAuthorization", *authorized(after=START_S, before=START_S + 2))


def test_cancel() -> None:
    """A cancelled authorization moves nothing, and is cancelled once."""
    world = World.new()

    result = world.must(CAROL, "Opg", "cancelAuthorization", *cancelled())

    assert events(result) == [("AuthorizationCanceled", (ALICE.address, KEY))]
    assert world.view("Opg", "authorizationState", ALICE.address, KEY) is True
    assert code(world.call(CAROL, "Opg", "transferWithAuthorization", *authorized())) == "accounts.used"
    assert code(world.call(CAROL, "Opg", "cancelAuthorization", *cancelled())) == "accounts.used"


def test_nobody_cancels_for_another() -> None:
    """A cancellation signed by another key is refused."""
    assert code(World.new().call(BOB, "Opg", "cancelAuthorization", *cancelled(BOB))) == "accounts.signature"


def test_domain_is_the_wallets() -> None:
    """The domain separator that the contract shows is the one that wallets sign under."""
    domain = {
        "name": "paraph OPG",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": Web3.to_checksum_address(OPG_CONTRACT),
    }
    types = {"CancelAuthorization": [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}]}
    message = {"authorizer": Web3.to_checksum_address(ALICE.address), "nonce": KEY}

    assert World.new().view("Opg", "DOMAIN_SEPARATOR") == encode_typed_data(domain, types, message).header
