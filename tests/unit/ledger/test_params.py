"""Parameters: who changes them, within which bounds, and that they never contradict each other."""

import pytest
from tests.support_ledger.world import ALICE, GOVERNOR, World, code, events

from paraph.core.amount import BPS
from paraph.core.ident import ZERO_ADDRESS
from paraph.core.keys import PrivateKey
from paraph.core.limits import REQUEST_LIFETIME_S_MAX
from paraph.ledger.block import next_base_fee
from paraph.ledger.rooms.params.types import (
    CLOCK_DRIFT_S,
    GAS_LIMIT,
    GAS_PER_WORK,
    PARAMETERS,
    PROOF_WORK_BLOCK_MAX,
    ROYALTY_BPS_MAX,
    SETTLE_WINDOW_S,
    STAKERS_BPS,
    TREASURY_BPS,
    WITHDRAW_DELAY_S,
    inconsistencies,
)

DEFAULTS = {name: parameter.default for name, parameter in PARAMETERS.items()}


def test_defaults_are_in_force() -> None:
    """Every parameter that was never set has its default."""
    world = World.new()

    assert world.view("Params", "names") == tuple(PARAMETERS)
    assert {name: world.view("Params", "get", name) for name in PARAMETERS} == DEFAULTS
    assert inconsistencies(DEFAULTS) == []


def test_the_governor_sets() -> None:
    """The governor's change is in force for the next call, and an event says what it was before."""
    world = World.new()

    result = world.must(GOVERNOR, "Params", "set", "stakers_bps", 0)

    assert world.view("Params", "get", "stakers_bps") == 0
    assert events(result) == [("ParameterChanged", ("stakers_bps", 500, 0))]


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("unknown", 1, "params.name"),
        ("", 1, "params.name"),
        ("stakers_bps", 2_001, "params.bounds"),
        ("gas_limit", 999_999, "params.bounds"),
        ("settle_window_s", 86_400, "params.bounds"),
        ("gas_limit", 2**256 - 1, "params.bounds"),
    ],
)
def test_refused(name: str, value: int, refusal: str) -> None:
    """An unknown name, a value out of bounds and a contradiction are refused, and nothing changes."""
    world = World.new()

    assert code(world.call(GOVERNOR, "Params", "set", name, value)) == refusal
    assert {name: world.view("Params", "get", name) for name in PARAMETERS} == DEFAULTS


def test_nobody_else_sets() -> None:
    """No other account changes a parameter; where the governor is zero, nobody does."""
    assert code(World.new().call(ALICE, "Params", "set", "stakers_bps", 1)) == "params.governor"
    frozen = World.new(governor=ZERO_ADDRESS)
    assert code(frozen.call(GOVERNOR, "Params", "set", "stakers_bps", 1)) == "params.governor"
    assert frozen.view("Params", "governor") == ZERO_ADDRESS


def test_unknown_name_is_shown_in_ascii() -> None:
    """A refusal quotes the caller in ASCII: what else is printable differs between versions of Unicode."""
    world = World.new()

    result = world.call(ALICE, "Params", "get", "caf\u00e9\U0001fadc")

    assert code(result) == "params.name"
    assert r"'caf\xe9\U0001fadc'" in result.error
    assert result.error.isascii()


def test_what_clients_rely_on_only_grows() -> None:
    """The time that bonds stay may be raised, and set to what it is; never lowered, whatever the bounds allow."""
    world = World.new(parameters={"unbond_delay_s": 900})

    below = [code(world.call(GOVERNOR, "Params", "set", "unbond_delay_s", value)) for value in (899, 0)]
    world.must(GOVERNOR, "Params", "set", "unbond_delay_s", 900)
    world.must(GOVERNOR, "Params", "set", "unbond_delay_s", 901)
    back = code(world.call(GOVERNOR, "Params", "set", "unbond_delay_s", 900))

    assert (*below, back) == ("params.lowered",) * 3
    assert code(world.call(GOVERNOR, "Params", "set", "unbond_delay_s", 60 * 86_400 + 1)) == "params.bounds"
    assert world.view("Params", "get", "unbond_delay_s") == 901


def test_genesis_may_choose_any() -> None:
    """Before anybody relies on it, the time that bonds stay may be below its default."""
    assert World.new(parameters={"unbond_delay_s": 0}).view("Params", "get", "unbond_delay_s") == 0


# --- upgrades ------------------------------------------------------------------------------------------------------


def test_upgrade_is_scheduled_and_called_off() -> None:
    """The governor names a version and its height, may name another, and may call it off."""
    world = World.new()
    assert world.view("Params", "upgrade") == (0, 0)

    told = world.must(GOVERNOR, "Params", "scheduleUpgrade", 2, 50)
    first = world.view("Params", "upgrade")
    world.must(GOVERNOR, "Params", "scheduleUpgrade", 3, 40)
    second = world.view("Params", "upgrade")
    off = world.must(GOVERNOR, "Params", "scheduleUpgrade", 0, 99)

    assert events(told) == [("UpgradeScheduled", (2, 50))]
    assert events(off) == [("UpgradeScheduled", (0, 99))]
    assert (first, second, world.view("Params", "upgrade")) == ((2, 50), (3, 40), (0, 0))
    assert not any(key.startswith(b"params/upgrade/") for key in world.state)


@pytest.mark.parametrize(
    ("who", "version", "height", "refusal"),
    [
        (ALICE, 2, 50, "params.governor"),
        (ALICE, 0, 0, "params.governor"),
        (GOVERNOR, 1, 50, "params.upgrade"),
        (GOVERNOR, 2, 3, "params.upgrade"),
        (GOVERNOR, 2, 2, "params.upgrade"),
        (GOVERNOR, 2, 0, "params.upgrade"),
        (GOVERNOR, 2, 4, ""),
    ],
)
def test_upgrade_lies_ahead(who: PrivateKey, version: int, height: int, refusal: str) -> None:
    """Only the governor schedules, only a higher version, and only from the next block on."""
    world = World.new()
    world.wait(1)
    world.wait(1)

    assert code(world.call(who, "Params", "scheduleUpgrade", version, height)) == refusal


@pytest.mark.parametrize("name", PARAMETERS)
def test_bounds_are_inclusive(name: str) -> None:
    """Each bound is allowed and one past it is not."""
    parameter = PARAMETERS[name]
    others = DEFAULTS | {SETTLE_WINDOW_S.name: SETTLE_WINDOW_S.low, WITHDRAW_DELAY_S.name: WITHDRAW_DELAY_S.high}
    others[PROOF_WORK_BLOCK_MAX.name] = PROOF_WORK_BLOCK_MAX.high
    low = max(parameter.low, REQUEST_LIFETIME_S_MAX + 600 + 60 + 1 if name == WITHDRAW_DELAY_S.name else 0)

    for value in (low, parameter.high):
        assert inconsistencies(others | {name: value}) == []
    for value in (low - 1, parameter.high + 1):
        assert len(inconsistencies(others | {name: value})) >= 1


def test_escrow_outlives_every_receipt() -> None:
    """Escrow leaves only after the last second in which a receipt begun before could be settled."""
    most = REQUEST_LIFETIME_S_MAX + SETTLE_WINDOW_S.default + CLOCK_DRIFT_S.default

    assert len(inconsistencies(DEFAULTS | {WITHDRAW_DELAY_S.name: most})) == 1
    assert inconsistencies(DEFAULTS | {WITHDRAW_DELAY_S.name: most + 1}) == []


def test_work_that_fills_a_block_raises_the_price_of_gas() -> None:
    """Whoever fills a block's work with failing proofs uses more than half of its gas, above which the price rises."""
    least = GAS_LIMIT.high // 2 // GAS_PER_WORK
    wide = DEFAULTS | {GAS_LIMIT.name: GAS_LIMIT.high}

    assert len(inconsistencies(wide | {PROOF_WORK_BLOCK_MAX.name: least})) == 1
    assert inconsistencies(wide | {PROOF_WORK_BLOCK_MAX.name: least + 1}) == []
    assert next_base_fee(10**9, GAS_PER_WORK * (least + 1), GAS_LIMIT.high, 1) > 10**9


def test_parts_of_a_price_are_at_most_the_whole() -> None:
    """Even at all upper bounds the parts of a price leave the operator nothing less than nothing."""
    assert STAKERS_BPS.high + TREASURY_BPS.high + ROYALTY_BPS_MAX.high <= BPS
