"""Settlement: every reason for which a receipt is refused, and that a refusal touches no other receipt."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support_ledger.world import (
    ALICE,
    BASE,
    BOB,
    BOND,
    CAROL,
    CHAIN_ID,
    GOVERNOR,
    HOT,
    MODEL,
    NODE_HEIGHT,
    OPERATOR,
    OWNER,
    PER_INPUT,
    PER_OUTPUT,
    ROYALTY_BPS,
    START_S,
    Item,
    World,
    call,
    code,
    events,
    key_proof,
    model_arguments,
    node_arguments,
    person,
    receipt,
    request,
    signed,
)

from paraph.core.abi import encode
from paraph.core.amount import Wei
from paraph.core.digest import keccak256
from paraph.core.ident import ZERO_DIGEST, Digest, ModelId, RequestKey
from paraph.core.keys import CURVE_ORDER
from paraph.core.limits import RECEIPTS_PER_BATCH_MAX
from paraph.core.merkle import inclusion_proof, root, root_from_inclusion
from paraph.ledger.rooms.accounts.keys import STAKERS, TREASURY
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.versions import BY_NAME
from paraph.proofs.receipt import Receipt, receipt_from_values
from paraph.proofs.request import Layer, Request

PRICE = BASE + 7 * PER_INPUT + 11 * PER_OUTPUT
OPENED_S = START_S + 3
"""The time at which `World.open` leaves its world."""
WINDOW_S = 3_600
LIFETIME_S = 3_600


def good(number: int = 1, now: int = OPENED_S, **changes: Any) -> Item:
    asked = request(number=number, now=now)
    return signed(asked, receipt(asked, now, **changes))


def test_accepted() -> None:
    """A receipt that keeps all rules is debited once and split, to the wei, and events say to whom."""
    world = World.open()
    who = (OWNER.address, OPERATOR.address, STAKERS, TREASURY, ESCROW)
    before = [world.balance(each) for each in who]

    reasons, result = world.settle(good(), sender=CAROL)

    royalty, stakers, treasury = PRICE * ROYALTY_BPS // 10_000, PRICE * 500 // 10_000, PRICE * 200 // 10_000
    operator = PRICE - royalty - stakers - treasury
    fees = result.gas_used * (result.gas_price - 1)
    gains = [world.balance(each) - was for each, was in zip(who, before, strict=True)]
    assert reasons == [""]
    assert gains == [royalty, operator, stakers, treasury + fees, -PRICE]
    key = request().key
    leaf = receipt_from_values(good()[2]).hash()
    assert events(result) == [
        ("ReceiptPaid", (key, OWNER.address, royalty, operator, stakers, treasury)),
        ("ReceiptSettled", (key, ALICE.address, OPERATOR.address, MODEL, PRICE, 1, 0)),
        ("BatchSettled", (1, root([leaf]), 1)),
    ]
    assert result.output == encode(BY_NAME["Settlement"].method("settle").outputs, (1, 1))
    assert world.view("Settlement", "settled", ALICE.address, key) == (1, 0, PRICE)
    assert world.view("Settlement", "batch", 1) == (root([leaf]), 1, world.height, world.now)
    assert world.view("Settlement", "batches") == 1


def broken_item(**changes: Any) -> Item:
    """An item whose request and receipt differ from good ones: `asked_…` in the request, others in the receipt."""
    asked = replace(request(now=OPENED_S), **{k[6:]: v for k, v in changes.items() if k.startswith("asked_")})
    answered = replace(
        receipt(asked, OPENED_S), **{k: v for k, v in changes.items() if not k.startswith(("asked_", "by_", "for_"))}
    )
    return signed(
        asked,
        answered,
        changes.get("by_payer", ALICE),
        changes.get("by_signer", HOT),
        changes.get("for_chain", CHAIN_ID),
    )


def high_s(signature: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes((55 - signature[64],))


GOOD = good()
OTHER_MODEL = ModelId(b"\x01" * 32)
DIGEST = Digest(b"\x02" * 32)

REFUSALS: dict[str, tuple[Item, str]] = {
    # 2: the receipt answers the request
    "other key": (broken_item(request_key=RequestKey(DIGEST)), "settlement.mismatch"),
    "other request": (broken_item(request_hash=DIGEST), "settlement.mismatch"),
    "other payer": (broken_item(payer=BOB.address), "settlement.mismatch"),
    "other node": (broken_item(node=BOB.address), "settlement.mismatch"),
    "other model": (broken_item(model_id=OTHER_MODEL), "settlement.mismatch"),
    "other layer": (broken_item(layer=Layer.TEE), "settlement.mismatch"),
    "above cap": (broken_item(asked_max_price=Wei(PRICE - 1)), "settlement.mismatch"),
    "after deadline": (
        broken_item(asked_deadline=OPENED_S, started_ms=OPENED_S * 1000 + 1, ended_ms=OPENED_S * 1000 + 1),
        "settlement.mismatch",
    ),
    "ends before it starts": (broken_item(ended_ms=OPENED_S * 1000 - 1), "settlement.mismatch"),
    "layer 0": (((*GOOD[0][:5], 0, *GOOD[0][6:]), *GOOD[1:]), "request.layer"),
    "layer 4": ((GOOD[0], GOOD[1], (*GOOD[2][:11], 4, *GOOD[2][12:]), GOOD[3]), "request.layer"),
    # 2: the payer signed
    "request by another": (broken_item(by_payer=BOB), "settlement.request_signature"),
    "request for another chain": (broken_item(for_chain=1), "settlement.request_signature"),
    "request unsigned": ((GOOD[0], b"", *GOOD[2:]), "settlement.request_signature"),
    "request long": ((GOOD[0], GOOD[1] + b"\0", *GOOD[2:]), "settlement.request_signature"),
    "request high s": ((GOOD[0], high_s(GOOD[1]), *GOOD[2:]), "settlement.request_signature"),
    # 3: the node's key
    "unknown signer": (broken_item(signer=BOB.address, by_signer=BOB), "settlement.key"),
    "operator signs": (broken_item(signer=OPERATOR.address, by_signer=OPERATOR), "settlement.key"),
    "another's key": (broken_item(asked_node=BOB.address), "settlement.key"),
    "before the key": (broken_item(height=NODE_HEIGHT - 1), "settlement.key"),
    "future height": (broken_item(height=5), "settlement.key"),
    "receipt by another": (broken_item(by_signer=BOB), "settlement.receipt_signature"),
    "receipt unsigned": ((*GOOD[:3], b""), "settlement.receipt_signature"),
    "receipt high s": ((*GOOD[:3], high_s(GOOD[3])), "settlement.receipt_signature"),
    # 4: in time
    "begun too early": (broken_item(asked_deadline=OPENED_S + LIFETIME_S + 1), "settlement.early"),
    "endless deadline": (broken_item(asked_deadline=2**64 - 1), "settlement.early"),
    "begun at the epoch": (broken_item(started_ms=0), "settlement.early"),
    "from the future": (broken_item(ended_ms=(OPENED_S + 1 + 60) * 1000 + 1), "settlement.future"),
    # 5: what the model offers
    "unknown model": (broken_item(asked_model_id=OTHER_MODEL), "models.unknown"),
    "layer of enclaves": (broken_item(asked_layer=Layer.TEE), "settlement.key"),
    "layer not offered": (broken_item(asked_layer=Layer.ZK), "settlement.layer"),
    "evidence of nothing": (broken_item(evidence_digest=ZERO_DIGEST), "settlement.evidence"),
    # 6: the price
    "unknown schedule": (broken_item(price_version=2), "models.price_unknown"),
    "schedule 0": (broken_item(price_version=0), "models.price_unknown"),
    "too dear": (broken_item(price=Wei(PRICE + 1)), "settlement.price"),
    "too cheap": (broken_item(price=Wei(PRICE - 1)), "settlement.price"),
    "free": (broken_item(price=Wei(0)), "settlement.price"),
    "units": (broken_item(input_units=8), "settlement.price"),
    "most units": (broken_item(input_units=2**64 - 1, output_units=2**64 - 1), "settlement.price"),
    # 7: the escrow
    "no escrow": (
        signed(asked := request(BOB, now=OPENED_S), receipt(asked, OPENED_S), BOB),
        "escrow.empty",
    ),
}


@pytest.mark.parametrize(("item", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_refused_alone(item: Item, reason: str) -> None:
    """A bad receipt is refused with its reason, and takes none of those around it with it."""
    world = World.open()

    reasons, result = world.settle(good(2), item, good(3))

    assert reasons == ["", reason, ""]
    refused = next(values for name, values in events(result) if name == "ReceiptRejected")
    assert refused[:3] == item[0][:3]
    assert result.output == encode(BY_NAME["Settlement"].method("settle").outputs, (2, 1))
    assert world.view("Escrow", "account", ALICE.address)[0] == 100 * 10**18 - 2 * PRICE


@pytest.mark.parametrize(("item", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_nothing_but_refusals_is_no_batch(item: Item, reason: str) -> None:
    """A batch of which nothing was accepted leaves no batch, and no state but the gas paid."""
    world, other = World.open(), World.open()

    reasons, result = world.settle(item)
    other.settle(item)

    assert reasons == [reason]
    assert result.output == encode(BY_NAME["Settlement"].method("settle").outputs, (0, 0))
    assert not [key for key in world.state if key.startswith(b"settlement/")]
    assert world.view("Settlement", "batches") == 0
    assert world.state == other.state


def test_replay_in_a_batch() -> None:
    """The same receipt twice in one batch is paid once."""
    world = World.open()

    assert world.settle(good(), good())[0] == ["", "settlement.replay"]
    assert world.view("Escrow", "account", ALICE.address)[0] == 100 * 10**18 - PRICE


def test_replay_across_batches() -> None:
    """A settled request is settled, whoever brings it again, with this receipt or another."""
    world = World.open()
    world.settle(good())

    assert world.settle(good(), sender=BOB)[0] == ["settlement.replay"]
    assert world.settle(good(response_digest=DIGEST))[0] == ["settlement.replay"]
    assert world.view("Settlement", "batches") == 1


def test_two_nodes_one_key() -> None:
    """A request key used with two nodes is debited once: the second node's receipt is a replay."""
    world = World.open()
    hot = person("bob's hot key")
    world.must(BOB, "Nodes", "register", *node_arguments(hot, BOB), value=BOND)
    now = world.now
    first, second = request(now=now), request(now=now, node=BOB.address)
    assert first.key == second.key

    reasons, _ = world.settle(
        signed(second, receipt(second, now, signer=hot.address, height=world.height), signer=hot),
        signed(first, receipt(first, now)),
    )

    assert reasons == ["", "settlement.replay"]


def test_two_payers_one_key() -> None:
    """A request key belongs to its payer: another payer's request of the same key is another request."""
    world = World.open()
    world.must(BOB, "Escrow", "deposit", value=PRICE)
    asked = request(BOB, now=OPENED_S)

    assert world.settle(good(), signed(asked, receipt(asked, OPENED_S), BOB))[0] == ["", ""]


def test_the_settle_window() -> None:
    """A receipt may be settled in the last second of the window and not in the one after."""
    for seconds, reason in ((0, ""), (1, "settlement.late")):
        world = World.open()
        asked = request(now=OPENED_S)
        world.wait(asked.deadline + WINDOW_S - world.now - 1 + seconds)

        assert world.settle(signed(asked, receipt(asked, OPENED_S)))[0] == [reason]


def test_the_edges_of_time() -> None:
    """Begun exactly a request's life before its deadline, or at it, ended exactly as far ahead as clocks may run."""
    world = World.open()
    longest = request(number=1, now=OPENED_S, deadline=OPENED_S + LIFETIME_S)
    shortest = request(number=2, now=OPENED_S, deadline=OPENED_S)
    ahead = request(number=3, now=OPENED_S)

    reasons, _ = world.settle(
        signed(longest, receipt(longest, OPENED_S)),
        signed(shortest, receipt(shortest, OPENED_S)),
        signed(ahead, receipt(ahead, OPENED_S, ended_ms=(OPENED_S + 1 + 60) * 1000)),
    )

    assert reasons == ["", "", ""]


def test_superseded_price() -> None:
    """Work begun before a new schedule settles by the old one; work begun after it does not."""
    world = World.open()
    world.must(OWNER, "Models", "setPrice", MODEL, 1, 0, 0)
    changed = world.now
    asked = [request(number=number, now=changed) for number in range(4)]

    def begun(at_ms: int, request_: Request, **changes: Any) -> Item:
        return signed(request_, receipt(request_, changed, started_ms=at_ms, **changes))

    reasons, _ = world.settle(
        begun(changed * 1000, asked[0]),
        begun(changed * 1000 + 1, asked[1]),
        begun(changed * 1000 + 1, asked[2], price_version=2, price=Wei(1)),
        begun(changed * 1000 + 1, asked[3], price_version=2),
    )

    assert reasons == ["", "settlement.price_old", "", "settlement.price"]


def test_an_old_price_does_not_come_back() -> None:
    """A node that sets its clock back does not bring back a schedule that ended before the request could begin."""
    world = World.open()
    world.must(OWNER, "Models", "setPrice", MODEL, 5_000, 0, 0)
    ended = world.now
    world.wait(LIFETIME_S + 1)
    asked = request(now=world.now, deadline=world.now)

    assert world.settle(signed(asked, receipt(asked, ended)))[0] == ["settlement.early"]


def test_a_free_answer() -> None:
    """A model that costs nothing is settled for nothing, without any escrow."""
    world = World.open()
    world.must(OWNER, "Models", "setPrice", MODEL, 0, 0, 0)
    asked = request(BOB, now=world.now, max_price=Wei(0))

    assert world.settle(signed(asked, receipt(asked, world.now, price_version=2, price=Wei(0)), BOB))[0] == [""]
    assert world.view("Settlement", "settled", BOB.address, asked.key) == (1, 0, 0)


def test_the_newest_height() -> None:
    """A receipt may name the height of the very block that settles it."""
    world = World.open()

    assert world.settle(good(height=world.height + 1))[0] == [""]


def test_a_chain_that_starts_at_zero() -> None:
    """At the first second of time what was closed then is closed, not open."""
    world = World.new(time_s=0)
    world.now = 0
    steps = [
        (OWNER, "Models", "register", model_arguments(), 0),
        (OPERATOR, "Nodes", "register", node_arguments(), BOND),
        (OWNER, "Models", "setPrice", (MODEL, 1, 2, 3), 0),
        (OPERATOR, "Nodes", "deregister", (), 0),
    ]
    for who, contract, method, arguments, value in steps:
        assert world.call(who, contract, method, *arguments, value=value, seconds=0).error == ""

    assert world.now == 0
    assert world.view("Models", "price", MODEL, 1)[3] == 1


def rotated(world: World) -> int:
    """Close the node's key. Returns when."""
    new = person("new hot")
    world.must(OPERATOR, "Nodes", "rotateKey", new.address, key_proof(new, OPERATOR.address))
    return world.now


def test_a_closed_key() -> None:
    """A closed key's receipts settle up to the height at which it was closed, and not above."""
    world = World.open()
    closed = rotated(world)
    height = world.height
    asked = [request(number=number, now=closed) for number in range(2)]
    world.wait(1)

    reasons, _ = world.settle(
        signed(asked[0], receipt(asked[0], closed, height=height)),
        signed(asked[1], receipt(asked[1], closed, height=height + 1)),
    )

    assert reasons == ["", "settlement.key"]


@pytest.mark.parametrize(("seconds", "reason"), [(0, ""), (1, "settlement.key_closed")])
def test_a_closed_key_dies(seconds: int, reason: str) -> None:
    """A closed key that names an old height settles what it could have signed in time, and nothing after that."""
    world = World.open()
    closed = rotated(world)
    world.wait(LIFETIME_S + WINDOW_S + closed - world.now - 1 + seconds)
    now = world.now
    asked = request(now=now)

    assert world.settle(signed(asked, receipt(asked, now, height=NODE_HEIGHT)))[0] == [reason]


def test_a_node_that_left() -> None:
    """A node that left is paid for what it did, and dies as its key does."""
    world = World.open()
    world.must(OPERATOR, "Nodes", "deregister")
    asked = request(now=world.now)
    assert world.settle(signed(asked, receipt(asked, world.now, height=world.height - 1)))[0] == [""]
    world.wait(LIFETIME_S + WINDOW_S)
    late = request(number=2, now=world.now)

    assert world.settle(signed(late, receipt(late, world.now)))[0] == ["settlement.key_closed"]


@pytest.mark.parametrize("count", [0, RECEIPTS_PER_BATCH_MAX + 1])
def test_size(count: int) -> None:
    """A batch of nothing and a batch of one too many are refused whole."""
    world = World.open()
    item: Item = ((bytes(32), *[bytes(20)] * 2, *[bytes(32)] * 2, 0, 0, 0), b"", empty(), b"")
    data = call("Settlement", "settle", (item,) * count)

    result = world.send(OPERATOR, BY_NAME["Settlement"].address, data, gas_limit=20_000_000)

    assert code(result) == "settlement.size"


def empty() -> tuple[object, ...]:
    """A receipt of zeros."""
    return (*[bytes(32)] * 2, *[bytes(20)] * 3, *[bytes(32)] * 6, 0, bytes(32), *[0] * 7)


def test_a_full_batch() -> None:
    """Five hundred receipts settle in one transaction that fits a block, and each is proved by the batch's root."""
    world = World.open()
    items = [good(number) for number in range(RECEIPTS_PER_BATCH_MAX)]

    reasons, result = world.settle(*items)

    leaves = [receipt_from_values(item[2]).hash() for item in items]
    batch_root = world.view("Settlement", "batch", 1)[0]
    assert reasons == [""] * RECEIPTS_PER_BATCH_MAX
    assert result.gas_used < 20_000_000
    for index in (0, 255, 499):
        path = inclusion_proof(leaves, index)
        assert root_from_inclusion(leaves[index], index, len(leaves), path) == batch_root
        assert world.view("Settlement", "settled", ALICE.address, request(number=index).key)[:2] == (1, index)


def test_gas_is_by_the_receipt() -> None:
    """A batch that does not carry gas for each of its receipts settles none."""
    world = World.open()
    data = call("Settlement", "settle", (good(1), good(2)))

    result = world.send(OPERATOR, BY_NAME["Settlement"].address, data, gas_limit=110_000)

    assert code(result) == "gas.out"
    assert world.view("Settlement", "batches") == 0


def test_parameters_split() -> None:
    """The parts follow the parameters in force when the batch settles; what rounding leaves is the operator's."""
    world = World.open()
    for name, value in (("stakers_bps", 2_000), ("treasury_bps", 2_000)):
        world.must(GOVERNOR, "Params", "set", name, value)
    asked = request(now=world.now)
    answered = receipt(asked, world.now, input_units=0, output_units=0, price=Wei(BASE))
    before = world.balance(STAKERS)

    _, result = world.settle(signed(asked, answered))

    assert events(result)[0][1][2:] == (100, 500, 200, 200)
    assert world.balance(STAKERS) - before == 200


def test_unknown() -> None:
    """What was not settled cannot be read."""
    world = World.open()

    assert code(world.call(ALICE, "Settlement", "settled", ALICE.address, bytes(32))) == "settlement.unknown"
    for number in (0, 1, 2**64 - 1):
        assert code(world.call(ALICE, "Settlement", "batch", number)) == "settlement.unknown"


def test_model_of_all_layers() -> None:
    """A layer that the model offers settles by its own keys alone; one that it does not offer settles by none."""
    world = World.open()
    other = ModelId(keccak256(b"other"))
    world.must(OWNER, "Models", "register", *model_arguments(model_id=other, layers=7))
    world.must(OWNER, "Models", "register", *model_arguments(model_id=ModelId(DIGEST), layers=6))
    reasons: list[str] = []
    for model_id, layer in ((other, Layer.TEE), (other, Layer.SIGNATURE), (ModelId(DIGEST), Layer.SIGNATURE)):
        asked = request(number=len(reasons), now=world.now, model_id=model_id, layer=layer)
        reasons += world.settle(signed(asked, receipt(asked, world.now)))[0]

    assert reasons == ["settlement.key", "", "settlement.layer"]


RECEIPT_FIELDS = Receipt.__slots__


@pytest.mark.parametrize("name", RECEIPT_FIELDS)
def test_every_field_of_a_receipt_matters(name: str) -> None:
    """Whatever field of a signed receipt is changed, it is refused."""
    index = RECEIPT_FIELDS.index(name)
    value = GOOD[2][index]
    changed = bytes((value[0] ^ 1,)) + value[1:] if isinstance(value, bytes) else int(value) ^ 3  # type: ignore[call-overload]
    item = (GOOD[0], GOOD[1], (*GOOD[2][:index], changed, *GOOD[2][index + 1 :]), GOOD[3])

    assert World.open().settle(item)[0] != [""]


@pytest.mark.parametrize("name", Request.__slots__)
def test_every_field_of_a_request_matters(name: str) -> None:
    """Whatever field of a signed request is changed, its receipt is refused."""
    index = Request.__slots__.index(name)
    value = GOOD[0][index]
    changed = bytes((value[0] ^ 1,)) + value[1:] if isinstance(value, bytes) else int(value) ^ 3  # type: ignore[call-overload]
    item = ((*GOOD[0][:index], changed, *GOOD[0][index + 1 :]), *GOOD[1:])

    assert World.open().settle(item)[0] != [""]
