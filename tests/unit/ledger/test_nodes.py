"""Nodes: registering with a bond and a proven key, turning the key, and leaving with the bond."""

from typing import Any

import pytest
from tests.support_ledger.world import (
    ALICE,
    BOB,
    BOND,
    CHAIN_ID,
    HOT,
    MODEL,
    OPERATOR,
    OPG,
    START_S,
    World,
    code,
    events,
    key_proof,
    node_arguments,
    person,
)

from paraph.core.ident import ModelId
from paraph.core.limits import ENDPOINT_BYTES_MAX, MODELS_PER_NODE_MAX
from paraph.ledger.rooms.nodes.keys import ADDRESS

NEW_HOT = person("new hot")
DAY_S = 86_400


def opened() -> World:
    world = World.new()
    world.must(OPERATOR, "Nodes", "register", *node_arguments(), value=BOND)
    return world


def test_register() -> None:
    """A registered node can be read, its key names it, and its bond is held."""
    world = World.new()

    result = world.must(OPERATOR, "Nodes", "register", *node_arguments(), value=BOND + 1)

    url = "http://127.0.0.1:8000"
    assert events(result)[1:] == [("NodeRegistered", (OPERATOR.address, HOT.address, url, BOND + 1))]
    assert world.view("Nodes", "get", OPERATOR.address) == (url, BOND + 1, HOT.address, 1, (MODEL,), START_S + 1, 0)
    assert world.view("Nodes", "keyOf", HOT.address) == (OPERATOR.address, 1, 0)
    assert world.view("Nodes", "count") == 1
    assert world.view("Nodes", "page", 0, 10) == (OPERATOR.address,)
    assert world.balance(ADDRESS) == BOND + 1


def ids(count: int) -> tuple[ModelId, ...]:
    return tuple(ModelId(number.to_bytes(32, "big")) for number in range(count))


@pytest.mark.parametrize(
    ("changes", "value", "refusal"),
    [
        ({}, BOND - 1, "nodes.bond"),
        ({}, 0, "nodes.bond"),
        ({"endpoint": "ftp://host"}, BOND, "nodes.endpoint"),
        ({"endpoint": ""}, BOND, "nodes.endpoint"),
        ({"endpoint": "http://a b"}, BOND, "nodes.endpoint"),
        ({"endpoint": "http://h\u00f6st"}, BOND, "nodes.endpoint"),
        ({"endpoint": "http://\x1b[31m"}, BOND, "nodes.endpoint"),
        ({"endpoint": "http://" + "a" * (ENDPOINT_BYTES_MAX - 6)}, BOND, "nodes.endpoint"),
        ({"layers": 0}, BOND, "nodes.layers"),
        ({"layers": 8}, BOND, "nodes.layers"),
        ({"models": (MODEL, MODEL)}, BOND, "nodes.models"),
        ({"models": ids(MODELS_PER_NODE_MAX + 1)}, BOND, "nodes.models"),
        ({"proof": key_proof(ALICE, OPERATOR.address)}, BOND, "nodes.key_proof"),
        ({"proof": key_proof(HOT, ALICE.address)}, BOND, "nodes.key_proof"),
        ({"proof": key_proof(HOT, OPERATOR.address, CHAIN_ID + 1)}, BOND, "nodes.key_proof"),
        ({"proof": b""}, BOND, "signature.length"),
    ],
)
def test_register_refused(changes: dict[str, Any], value: int, refusal: str) -> None:
    """A node with too small a bond, a malformed announcement or an unproven key is refused, and its bond comes back."""
    world = World.new()

    assert code(world.call(OPERATOR, "Nodes", "register", *node_arguments(**changes), value=value)) == refusal
    assert world.balance(ADDRESS) == 0


def test_the_edges_are_accepted() -> None:
    """The longest endpoint, the most models and all layers are accepted."""
    world = World.new()
    endpoint = "https://" + "a" * (ENDPOINT_BYTES_MAX - 8)
    found = node_arguments(endpoint=endpoint, models=ids(MODELS_PER_NODE_MAX), layers=7)

    world.must(OPERATOR, "Nodes", "register", *found, value=BOND)


def test_nobody_claims_a_key() -> None:
    """A hot key cannot be taken by copying its proof from another's transaction, nor be used twice."""
    world = World.new()
    stolen = (*node_arguments()[:2], key_proof(HOT, OPERATOR.address), *node_arguments()[3:])

    assert code(world.call(ALICE, "Nodes", "register", *stolen, value=BOND)) == "nodes.key_proof"
    world.must(OPERATOR, "Nodes", "register", *node_arguments(), value=BOND)
    again = node_arguments(HOT, ALICE)
    assert code(world.call(ALICE, "Nodes", "register", *again, value=BOND)) == "nodes.key_used"
    assert code(world.call(OPERATOR, "Nodes", "register", *node_arguments(NEW_HOT), value=BOND)) == "nodes.exists"


def test_update() -> None:
    """A node changes what it says of itself, and its key and bond stay."""
    world = opened()

    result = world.must(OPERATOR, "Nodes", "update", "https://new", 3, ())

    assert events(result) == [("NodeUpdated", (OPERATOR.address, "https://new", 3))]
    assert world.view("Nodes", "get", OPERATOR.address)[:5] == ("https://new", BOND, HOT.address, 3, ())
    assert code(world.call(OPERATOR, "Nodes", "update", "new", 3, ())) == "nodes.endpoint"
    assert code(world.call(ALICE, "Nodes", "update", "https://new", 3, ())) == "nodes.unknown"


def test_rotate_key() -> None:
    """After a rotation the new key is open and the old one closed, at the height of the rotation."""
    world = opened()

    result = world.must(OPERATOR, "Nodes", "rotateKey", NEW_HOT.address, key_proof(NEW_HOT, OPERATOR.address))

    assert events(result) == [("NodeKeyRotated", (OPERATOR.address, HOT.address, NEW_HOT.address))]
    assert world.view("Nodes", "keyOf", HOT.address) == (OPERATOR.address, 1, 2)
    assert world.view("Nodes", "keyOf", NEW_HOT.address) == (OPERATOR.address, 2, 0)
    again = (HOT.address, key_proof(HOT, OPERATOR.address))
    assert code(world.call(OPERATOR, "Nodes", "rotateKey", *again)) == "nodes.key_used"
    assert code(world.call(ALICE, "Nodes", "rotateKey", *again)) == "nodes.unknown"


def test_heartbeat() -> None:
    """The operator and the open hot key say that the node lives; a closed key and a stranger do not."""
    world = opened()
    for who in (HOT, NEW_HOT):
        world.send(ALICE, who.address, value=OPG)

    for who in (OPERATOR, HOT):
        result = world.must(who, "Nodes", "heartbeat")
        assert events(result) == [("NodeHeartbeat", (OPERATOR.address, world.now))]
        assert world.view("Nodes", "get", OPERATOR.address)[5] == world.now
    world.must(OPERATOR, "Nodes", "rotateKey", NEW_HOT.address, key_proof(NEW_HOT, OPERATOR.address))
    assert code(world.call(HOT, "Nodes", "heartbeat")) == "nodes.unknown"
    world.must(NEW_HOT, "Nodes", "heartbeat")
    assert code(world.call(ALICE, "Nodes", "heartbeat")) == "nodes.unknown"


def test_leave() -> None:
    """A node that leaves closes its key at once and takes its bond home after the delay, once."""
    world = opened()

    left = world.must(OPERATOR, "Nodes", "deregister")
    unlock = world.now + 14 * DAY_S
    assert events(left) == [("NodeLeaving", (OPERATOR.address, unlock))]
    assert world.view("Nodes", "keyOf", HOT.address) == (OPERATOR.address, 1, 2)
    assert world.view("Nodes", "get", OPERATOR.address)[3:5] == (0, ())
    world.wait(14 * DAY_S - 2)
    assert code(world.call(OPERATOR, "Nodes", "withdrawBond")) == "nodes.bonded"
    result = world.must(OPERATOR, "Nodes", "withdrawBond")

    assert events(result) == [
        ("Transfer", (ADDRESS, OPERATOR.address, BOND)),
        ("NodeLeft", (OPERATOR.address, BOND)),
    ]
    assert world.balance(ADDRESS) == 0
    assert code(world.call(OPERATOR, "Nodes", "withdrawBond")) == "nodes.bonded"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("update", ("https://new", 3, ())),
        ("rotateKey", (NEW_HOT.address, key_proof(NEW_HOT, OPERATOR.address))),
        ("deregister", ()),
    ],
)
def test_who_has_left_is_gone(method: str, arguments: tuple[Any, ...]) -> None:
    """A node that has left changes nothing any more: it cannot reopen a key or put off its leaving."""
    world = opened()
    world.must(OPERATOR, "Nodes", "deregister")

    assert code(world.call(OPERATOR, "Nodes", method, *arguments)) == "nodes.leaving"


def test_bond_stays_while_the_node_does() -> None:
    """A bond is not withdrawn while the node stays, nor by another account."""
    world = opened()

    assert code(world.call(OPERATOR, "Nodes", "withdrawBond")) == "nodes.bonded"
    assert code(world.call(ALICE, "Nodes", "withdrawBond")) == "nodes.unknown"
    assert code(world.call(ALICE, "Nodes", "deregister")) == "nodes.unknown"


def test_no_bond_where_none_is_asked() -> None:
    """Where the least bond is zero a node joins with none, and leaves with none."""
    world = World.new(parameters={"node_bond_min_wei": 0, "unbond_delay_s": 0})
    world.must(OPERATOR, "Nodes", "register", *node_arguments())
    world.must(OPERATOR, "Nodes", "deregister")

    assert code(world.call(OPERATOR, "Nodes", "withdrawBond")) == "nodes.bonded"


def test_unknown() -> None:
    """What was never registered cannot be read."""
    world = World.new()

    assert code(world.call(ALICE, "Nodes", "get", BOB.address)) == "nodes.unknown"
    assert code(world.call(ALICE, "Nodes", "keyOf", BOB.address)) == "nodes.key_unknown"


def test_pages_cost_what_they_read() -> None:
    """A page has at most a hundred rows, and its gas grows with the rows asked for."""
    world = opened()
    gas = [world.call(ALICE, "Nodes", "page", 0, limit).gas_used for limit in (1, 100, 2**256 - 1)]

    assert gas[1] - gas[0] == 99 * 2_000
    assert gas[2] - gas[1] == 31 * 12  # 31 more bytes of calldata that are not zero
    assert world.view("Nodes", "page", 2**256 - 1, 2**256 - 1) == ()
