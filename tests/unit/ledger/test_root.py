"""The root of state: the same on every machine, and different for any difference."""

import os
import subprocess
import sys

import pytest
from tests.support_ledger.world import World, tree_of

from paraph.core.smt import proves
from paraph.ledger.tree import prove

PRINT_ROOT = (
    "from tests.support_ledger.world import World, tree_of\n"
    "world = World.whole()\n"
    "results = [result.encode().hex() for result in world.last.results]\n"
    "print(tree_of(world.state).root.hex(), results)\n"
)


@pytest.mark.parametrize("flags", [[], ["-O"]], ids=["plain", "optimised"])
def test_hash_seed_is_of_no_account(flags: list[str]) -> None:
    """Interpreters with other hash seeds reach the same root and the same results from the same blocks."""
    found = set()
    for seed in ("0", "1", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, *flags, "-c", PRINT_ROOT],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=True,
        )
        found.add(done.stdout.split()[0] if flags else done.stdout)

    assert len(found) == 1
    assert next(iter(found)).startswith(tree_of(World.whole().state).root.hex())


def test_every_value_is_under_the_root() -> None:
    """Whatever value of state is changed, removed or added, the root is another."""
    state = World.whole().state
    seen = {tree_of(state).root}
    for key, value in sorted(state.items()):
        seen.add(tree_of(state | {key: bytes((value[0] ^ 1,)) + value[1:]}).root)
        seen.add(tree_of({other: each for other, each in state.items() if other != key}).root)
        seen.add(tree_of(state | {key + b"\0": value}).root)

    assert len(seen) == 1 + 3 * len(state)


def test_every_key_is_provable() -> None:
    """Each key has a proof of its value, which proves no other value and no absence; an absent key has a proof too."""
    state = World.whole().state
    made = tree_of(state)
    for key, value in sorted(state.items()):
        proof = prove(made.added.get, made.root, key)
        assert proves(made.root, key, value, proof)
        assert not proves(made.root, key, value + b"\0", proof)
        assert not proves(made.root, key, None, proof)
        absent = prove(made.added.get, made.root, key + b"\0")
        assert proves(made.root, key + b"\0", None, absent)
        assert not proves(made.root, key + b"\0", value, absent)


TABLES = (
    b"accounts/allowance/ accounts/authorization/ accounts/balance/ accounts/nonce/ accounts/permit/ bonds/active"
    b" bonds/key/ bonds/list/ bonds/place/ bonds/seat/ bonds/seats bonds/settled bonds/unbonding/ bonds/validator/"
    b" chain/base_fee chain/hash/ chain/head escrow/account/ models/list/ models/price/ models/record/ nodes/closed/"
    b" nodes/key/ nodes/list/ nodes/node/ params/governor params/upgrade/height params/upgrade/version params/value/"
    b" params/version settlement/batch/ settlement/count settlement/request/"
).split()


def test_the_state_has_every_kind_of_key() -> None:
    """The state that these tests go through holds a key of every table, and none of a table unknown here."""
    state = World.whole().state

    for table in TABLES:
        assert any(key.startswith(table) for key in state), table
    assert [key for key in state if not key.startswith(tuple(TABLES))] == []
