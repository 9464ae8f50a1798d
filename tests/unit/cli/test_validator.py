"""`paraph validator` on a real ledger: bonds go in and out, and what is shown is proved."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support_ledger.world import ALICE, BOB, CHAIN_ID
from tests.unit.full_node.world import genesis, live

from paraph.adapters.comet.keys import identity
from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, save_key
from paraph.cli.program import paraph
from paraph.core import ed25519
from paraph.core.ident import from_hex, to_hex
from paraph.core.keys import checksummed
from paraph.full_node.agreement import ENGINE
from paraph.ledger.genesis import Genesis
from paraph.ledger.rooms.bonds.rules import key_proof_digest
from paraph.sdk.network import Network

Run = Callable[..., Result]


def quick() -> Genesis:
    """A network where what is unbonded may be withdrawn at once."""
    return replace(genesis(), parameters={"unbond_delay_s": 0})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`paraph validator …` with Alice's wallet on a network of its own, and a node's home in `home`."""
    for name, key in (("wallet", ALICE), ("bob", BOB)):
        save_key(tmp_path / f"{name}.json", key, "password", scrypt_n=SCRYPT_N_LIGHT)
    (tmp_path / "password").write_text("password\n")
    identity(tmp_path / "home" / ENGINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARAPH_HOME", str(tmp_path))
    monkeypatch.setenv("PARAPH_PASSWORD_FILE", str(tmp_path / "password"))
    with live(tmp_path / "node", quick()) as node:
        network = Network(node.url, quick().trust())
        (tmp_path / "network.json").write_text(json.dumps(network.as_json()))
        yield lambda *words: CliRunner().invoke(paraph, ["validator", *words])


def told(result: Result) -> Any:
    """What a command that succeeds prints as JSON."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def code_of(result: Result) -> str:
    """The code of a command's error."""
    assert result.exit_code != 0, result.output
    return str(json.loads(result.stderr)["error"]["code"])


def test_bond_from_beginning_to_end(run: Run) -> None:
    """A validator bonds, adds, takes some out, leaves, and has its money again."""
    key = identity(Path("home") / ENGINE).validator_key
    created = told(run("create", "--home", "home", "--moniker", "alice", "--bond", "10000.5", "--json"))

    assert created["height_effective"] == created["height"] + 2
    shown = told(run("show", "--json"))
    assert {name: shown[name] for name in ("operator", "moniker", "key", "bond_opg", "power", "unbonding")} == {
        "operator": to_hex(ALICE.address),
        "moniker": "alice",
        "key": to_hex(key),
        "bond_opg": "10000.5",
        "power": 10_000,
        "unbonding": [],
    }

    told(run("bond", "99.5", "--json"))
    told(run("unbond", "100", "--json"))
    assert told(run("show", to_hex(ALICE.address), "--json"))["unbonding"][0]["amount_wei"] == str(100 * 10**18)
    assert "100 OPG, from" in run("show").stdout
    assert run("withdraw").stdout.startswith("✓ withdrawn")
    assert told(run("show", "--json"))["unbonding"] == []

    assert "votes from block" in run("unbond", "--everything").stdout
    told(run("withdraw", "--json"))
    assert [(each["bond_wei"], each["unbonding"]) for each in told(run("list", "--json"))] == [("0", [])]
    assert run("list").stdout.splitlines()[1].split()[-1] == "left"


def test_proof_travels(run: Run) -> None:
    """What `prove` prints on the node's machine lets the wallet's machine create; no other wallet can use it."""
    proved = run("prove", "--home", "home", "--operator", checksummed(ALICE.address))
    found = told(proved)
    Path("proof.json").write_text(proved.stdout)
    key, proof = from_hex(found["key"], 32, "key"), from_hex(found["proof"], 64, "proof")

    stranger = run(
        "create", "--proof-file", "proof.json", "--moniker", "x", "--bond", "10000", "--wallet", "bob.json", "--json"
    )
    created = run("create", "--proof-file", "proof.json", "--moniker", "alice", "--bond", "10000")

    assert ed25519.verify(key, key_proof_digest(CHAIN_ID, ALICE.address), proof)
    assert code_of(stranger) == "cli.usage"
    assert created.exit_code == 0, created.output
    assert told(run("list", "--json"))[0]["key"] == found["key"]


def test_list_says_who_is_in_the_set(run: Run) -> None:
    """For people it is a table: operator, moniker, bond, votes, state."""
    told(run("create", "--home", "home", "--moniker", "alice", "--bond", "10000", "--json"))

    lines = run("list").stdout.splitlines()

    assert lines[0].split() == ["operator", "moniker", "bond", "votes", "state"]
    assert lines[1].split() == [checksummed(ALICE.address), "alice", "10000", "10000", "in", "the", "set"]


def test_what_the_ledger_refuses_is_told(run: Run) -> None:
    """Each refusal is one line with its reason."""
    told(run("create", "--home", "home", "--moniker", "alice", "--bond", "10000", "--json"))

    again = run("create", "--home", "home", "--moniker", "alice", "--bond", "10000")
    too_much = run("unbond", "1")
    unknown = run("show", to_hex(BOB.address), "--json")

    assert "bonds.exists" in again.stderr
    assert "bonds.bond" in too_much.stderr
    assert code_of(unknown) == "bonds.unknown"
    assert {again.exit_code, too_much.exit_code, unknown.exit_code} == {1}


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--moniker", "a", "--bond", "1"),
        ("create", "--home", "home", "--proof-file", "network.json", "--moniker", "a", "--bond", "1"),
        ("create", "--home", "home", "--moniker", "a", "--bond", "much"),
        ("create", "--proof-file", "network.json", "--moniker", "a", "--bond", "1"),
        ("create", "--home", "node", "--moniker", "a", "--bond", "1", "--wallet", "none.json"),
        ("unbond",),
        ("unbond", "1", "--everything"),
        ("bond", "-1"),
        ("show", "alice"),
        ("prove", "--home", "home", "--operator", "0x12"),
    ],
)
def test_misuse(run: Run, words: tuple[str, ...]) -> None:
    """What cannot be meant is refused, and no money moves."""
    result = run(*words)

    assert result.exit_code in (1, 2)
    assert result.stderr.startswith(("error: ", "Usage: "))
    assert told(run("list", "--json")) == []


def test_home_without_a_key(run: Run, tmp_path: Path) -> None:
    """Where the key is not in the home, as with a remote signer, that is said."""
    (tmp_path / "empty").mkdir()

    result = run("prove", "--home", "empty", "--operator", to_hex(ALICE.address))

    assert result.exit_code == 1
    assert "priv_validator_key.json" in result.stderr
