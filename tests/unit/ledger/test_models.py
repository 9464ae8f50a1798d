"""Models: who owns them, what they cost, and that no schedule is ever rewritten."""

from typing import Any

import pytest
from tests.support_ledger.world import (
    ALICE,
    BASE,
    MANIFEST,
    MODEL,
    OWNER,
    PER_INPUT,
    PER_OUTPUT,
    ROYALTY_BPS,
    World,
    code,
    events,
    model_arguments,
)

from paraph.core.amount import SUPPLY_WEI
from paraph.core.ident import ZERO_ADDRESS, ZERO_DIGEST, ModelId
from paraph.core.limits import NAME_BYTES_MAX
from paraph.ledger.rooms.accounts.keys import STAKERS
from paraph.ledger.rooms.escrow.keys import ADDRESS as ESCROW
from paraph.ledger.rooms.nodes.keys import ADDRESS as NODES


def opened() -> World:
    world = World.new()
    world.must(OWNER, "Models", "register", *model_arguments())
    return world


def test_register() -> None:
    """A registered model can be read, with its first schedule in force."""
    world = World.new()

    result = world.must(OWNER, "Models", "register", *model_arguments())

    assert events(result) == [
        ("ModelRegistered", (MODEL, OWNER.address, "test/model", ROYALTY_BPS)),
        ("ModelPriced", (MODEL, 1, BASE, PER_INPUT, PER_OUTPUT)),
    ]
    found = (OWNER.address, MANIFEST, "test/model", "text", ROYALTY_BPS, 1, 1, 1)
    assert world.view("Models", "get", MODEL) == found
    assert world.view("Models", "price", MODEL, 1) == (BASE, PER_INPUT, PER_OUTPUT, 0)
    assert world.view("Models", "count") == 1
    assert world.view("Models", "page", 0, 9) == (MODEL,)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"model_id": ZERO_DIGEST}, "models.form"),
        ({"manifest": ZERO_DIGEST}, "models.form"),
        ({"kind": "audio"}, "models.form"),
        ({"layers": 0}, "models.form"),
        ({"layers": 8}, "models.form"),
        ({"royalty_bps": 5_001}, "models.royalty"),
        ({"name": ""}, "models.name"),
        ({"name": "n" * (NAME_BYTES_MAX + 1)}, "models.name"),
        ({"name": "a\nb"}, "models.name"),
        ({"name": "a\x1b[31mb"}, "models.name"),
        ({"base": SUPPLY_WEI + 1}, "models.price"),
        ({"per_input": 2**256 - 1}, "models.price"),
        ({"per_output": SUPPLY_WEI + 1}, "models.price"),
    ],
)
def test_register_refused(changes: dict[str, Any], refusal: str) -> None:
    """A model with no id, of unknown kind or layers, of a name that cannot be shown or too dear for all is refused."""
    world = World.new()

    assert code(world.call(OWNER, "Models", "register", *model_arguments(**changes))) == refusal
    assert world.view("Models", "count") == 0


@pytest.mark.parametrize("name", ["\U0001fadc", "caf\u00e9", "a\u202eb"])
def test_names_are_the_same_on_every_machine(name: str) -> None:
    """A name beyond ASCII is refused: whether it is printable depends on the Unicode version that Python knows."""
    assert code(World.new().call(OWNER, "Models", "register", *model_arguments(name=name))) == "models.name"


def test_the_edges_are_accepted() -> None:
    """The longest name, the highest royalty, all layers and the dearest price are accepted."""
    found = {"name": "n" * NAME_BYTES_MAX, "royalty_bps": 5_000, "layers": 7, "base": SUPPLY_WEI}

    World.new().must(OWNER, "Models", "register", *model_arguments(**found))


def test_first_come() -> None:
    """A model is registered once, whoever comes second."""
    world = opened()

    assert code(world.call(ALICE, "Models", "register", *model_arguments())) == "models.exists"
    assert world.view("Models", "get", MODEL)[0] == OWNER.address


def test_set_price() -> None:
    """A new schedule supersedes the old one, which keeps its prices and learns when it ended."""
    world = opened()

    result = world.must(OWNER, "Models", "setPrice", MODEL, 1, 2, 3)

    assert events(result) == [("ModelPriced", (MODEL, 2, 1, 2, 3))]
    assert world.view("Models", "price", MODEL, 1) == (BASE, PER_INPUT, PER_OUTPUT, world.now)
    assert world.view("Models", "price", MODEL, 2) == (1, 2, 3, 0)
    assert world.view("Models", "get", MODEL)[6] == 2
    assert code(world.call(OWNER, "Models", "setPrice", MODEL, SUPPLY_WEI + 1, 2, 3)) == "models.price"


def test_transfer() -> None:
    """The new owner alone may price the model, and give it on."""
    world = opened()

    result = world.must(OWNER, "Models", "transfer", MODEL, ALICE.address)

    assert events(result) == [("ModelTransferred", (MODEL, OWNER.address, ALICE.address))]
    assert code(world.call(OWNER, "Models", "setPrice", MODEL, 1, 2, 3)) == "models.owner"
    world.must(ALICE, "Models", "setPrice", MODEL, 1, 2, 3)
    world.must(ALICE, "Models", "transfer", MODEL, OWNER.address)


@pytest.mark.parametrize("to", [ZERO_ADDRESS, ESCROW, NODES, STAKERS])
def test_a_model_is_given_to_an_account(to: bytes) -> None:
    """A model is not given to zero or to a contract: its royalties would be lost there, and upset what it holds."""
    assert code(opened().call(OWNER, "Models", "transfer", MODEL, to)) == "accounts.reserved"


def test_unknown() -> None:
    """What was never registered cannot be read, priced or given away."""
    world = opened()
    other = ModelId(b"\x01" * 32)

    assert code(world.call(OWNER, "Models", "get", other)) == "models.unknown"
    assert code(world.call(OWNER, "Models", "setPrice", other, 1, 2, 3)) == "models.unknown"
    assert code(world.call(OWNER, "Models", "transfer", other, ALICE.address)) == "models.unknown"
    assert code(world.call(OWNER, "Models", "price", MODEL, 2)) == "models.price_unknown"
    assert code(world.call(OWNER, "Models", "price", MODEL, 2**32 - 1)) == "models.price_unknown"


def test_pages_are_bounded() -> None:
    """A page costs at most a hundred rows."""
    world = opened()

    assert world.call(ALICE, "Models", "page", 0, 2**256 - 1).gas_used < 300_000
    assert world.view("Models", "page", 1, 1) == ()
