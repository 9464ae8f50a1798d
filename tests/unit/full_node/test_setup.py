"""A node's home: made once, from a plan that adds up; and the files that founders send each other."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_ledger.staking import account, key

from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, Wei
from paraph.core.encode import canonical
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.core.ident import ZERO_ADDRESS
from paraph.full_node.__main__ import load_genesis
from paraph.full_node.config import Config, Consensus, load_config
from paraph.full_node.setup import FOUNDER_BYTES_MAX, Founder, Plan, decode_founder, make_home, make_keys
from paraph.ledger.genesis import decode_genesis

BOND = Wei(20_000 * WEI_PER_OPG)


def founder(name: str) -> Founder:
    """A founder, from the name alone."""
    return Founder(account(name), key(name), name)


PLAN = Plan(
    "ledgerville",
    31_337,
    1_750_000_000,
    (founder("ann"), founder("ben")),
    BOND,
    ((account("carol"), Wei(5)),),
    account("ann"),
    ZERO_ADDRESS,
    True,
    {"unbond_delay_s": 60},
)


def test_plan_spends_the_whole_supply() -> None:
    """Bonds, allocations and the remainder are the supply; the document says what was planned."""
    found = PLAN.genesis()

    assert decode_genesis(canonical(found.as_json())) == found
    assert [each.operator for each in found.validators] == [account("ann"), account("ben")]
    assert {each.bond for each in found.validators} == {BOND}
    assert [(each.account, each.amount) for each in found.allocations] == [
        (account("carol"), 5),
        (account("ann"), SUPPLY_WEI - 2 * BOND - 5),
    ]
    assert (found.producers, found.governor, found.parameters) == ((), ZERO_ADDRESS, {"unbond_delay_s": 60})


def test_plan_to_the_last_wei() -> None:
    """What is spent to the last wei leaves no remainder; a wei more is refused."""
    rest = Wei(SUPPLY_WEI - 2 * BOND)
    whole = replace(PLAN, allocations=((account("carol"), rest),))
    beyond = replace(PLAN, allocations=((account("carol"), Wei(rest + 1)),))

    assert [each.account for each in whole.genesis().allocations] == [account("carol")]
    with pytest.raises(Rejected) as caught:
        beyond.genesis()
    assert caught.value.code == "setup.supply"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"founders": ()}, "genesis.producers"),
        ({"founders": (founder("ann"), founder("ann"))}, "bonds.exists"),
        ({"founders": (founder("ann"), replace(founder("ben"), key=key("ann")))}, "bonds.key_used"),
        ({"founders": (replace(founder("ann"), moniker="änn"),)}, "bonds.moniker"),
        ({"founders": (replace(founder("ann"), key=bytes(32)),)}, "bonds.key"),
        ({"bond": Wei(1)}, "bonds.bond"),
        ({"parameters": {"nothing": 1}}, "genesis.parameters"),
        ({"parameters": {"gas_limit": 1}}, "params.bounds"),
    ],
)
def test_plan_that_makes_no_network(change: dict[str, Any], code: str) -> None:
    """What the ledger would refuse is refused before anything is written."""
    with pytest.raises(ParaphError) as caught:
        replace(PLAN, **change).genesis()

    assert caught.value.code == code


def test_founder_is_read_back() -> None:
    """What a founder sends is what was meant."""
    assert decode_founder(json.dumps(founder("ann").as_json(), indent=1).encode()) == founder("ann")


@pytest.mark.parametrize(
    "change", [{"key": "0x12"}, {"operator": "ann"}, {"moniker": 5}, {"moniker": "a" * 1000}, {"bond": "5"}]
)
def test_founder_that_is_none(change: dict[str, Any]) -> None:
    """A field that is wrong, or one too many, is refused."""
    with pytest.raises(Malformed):
        decode_founder(json.dumps({**founder("ann").as_json(), **change}).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_founder_or_malformed(data: bytes) -> None:
    """Whatever is sent is read or refused."""
    try:
        decode_founder(data)
    except Malformed:
        return


def test_founder_has_a_size() -> None:
    """A file too large is refused before it is parsed."""
    with pytest.raises(Malformed) as caught:
        decode_founder(b" " * FOUNDER_BYTES_MAX + canonical(founder("ann").as_json()))

    assert caught.value.code == "json.size"


def test_home_is_made_once(tmp_path: Path) -> None:
    """The home holds document and settings, for its owner alone; a second one is refused and changes nothing."""
    config = Config(consensus=Consensus(moniker="ann"))
    genesis = PLAN.genesis()
    make_home(tmp_path, genesis, config)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(Rejected) as caught:
        make_home(tmp_path, replace(genesis, network="other"), Config())

    assert caught.value.code == "node.made"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert (load_genesis(tmp_path), load_config(tmp_path)) == (genesis, config)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_keys_are_kept(tmp_path: Path) -> None:
    """Keys are made once: asked for again, they are the same."""
    assert make_keys(tmp_path / "a") == make_keys(tmp_path / "a")
    assert make_keys(tmp_path / "a") != make_keys(tmp_path / "b")


def test_home_that_cannot_be(tmp_path: Path) -> None:
    """A file in the place of the folder is an error with its path."""
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable) as caught:
        make_keys(tmp_path / "file" / "home")

    assert caught.value.code == "node.home"
