"""`paraph full-node`: homes that found and join networks, a real node that is started and looked at, and its repair."""

import configparser
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import pytest
from click.testing import CliRunner, Result
from tests.support.cometbft import cometbft_binary, free_port
from tests.support_ledger.world import ALICE, BOB
from tests.unit.full_node.world import PRODUCER, genesis, live

from paraph.adapters.comet.engine import STOP_S_MAX as ENGINE_STOP_S_MAX
from paraph.adapters.comet.engine import VERSION
from paraph.adapters.http.server import CONNECTIONS_MAX
from paraph.adapters.http.server import STOP_S_MAX as HTTP_STOP_S_MAX
from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, save_key, write_private
from paraph.cli.program import paraph
from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG
from paraph.core.encode import canonical
from paraph.core.ident import ZERO_ADDRESS, to_hex
from paraph.core.keys import checksummed
from paraph.full_node.__main__ import KEY, PASSWORD, load_genesis
from paraph.full_node.config import Config, load_config
from paraph.full_node.setup import make_home, make_keys
from paraph.proofs.policy import decode_trust
from paraph.sdk.network import load_network

ANN: Final = checksummed(ALICE.address)
BEN: Final = checksummed(BOB.address)
FOUNDING: Final = ("--new", "ledgerville", "--chain-id", "31337", "--operator", ANN, "--bond", "20000")
PATIENCE_S: Final = 60


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    """`paraph full-node …`."""
    return CliRunner().invoke(paraph, ["full-node", *words])


def told(result: Result) -> Any:
    """What a command that succeeds prints as JSON."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(result: Result) -> str:
    """The code of a command's error."""
    assert result.exit_code != 0, result.output
    return result.stderr.rstrip().rpartition("[")[2].rstrip("]")


# --- making ------------------------------------------------------------------------------------------------------


def test_founding_writes_a_whole_home() -> None:
    """What was said is in the genesis; the files for clients follow from it; settings are as asked."""
    words = ("--allocate", f"{BEN}=100000", "--governor", BEN, "--parameter", "unbond_delay_s=60", "--devnet")
    made = told(run("init", "--home", "ann", *FOUNDING, *words, "--set", "store.snapshot_blocks=9", "--json"))

    found, own = load_genesis(Path("ann")), make_keys(Path("ann"))
    assert (found.network, found.chain_id, found.devnet, found.governor) == ("ledgerville", 31_337, True, BOB.address)
    assert found.parameters == {"unbond_delay_s": 60}
    assert [(each.operator, each.key, each.bond) for each in found.validators] == [
        (ALICE.address, own.validator_key, 20_000 * WEI_PER_OPG)
    ]
    assert [(each.account, each.amount) for each in found.allocations] == [
        (BOB.address, 100_000 * WEI_PER_OPG),
        (ALICE.address, SUPPLY_WEI - 120_000 * WEI_PER_OPG),
    ]
    assert made["genesis_digest"] == to_hex(found.digest())
    assert (made["node_id"], made["peer"]) == (own.node_id, f"{own.node_id}@HOST:26656")
    assert decode_trust(Path(made["trust_file"]).read_bytes().rstrip()) == found.trust()
    network = load_network(made["network_file"])
    assert (network.rpc_url, network.trust) == ("http://127.0.0.1:8545", found.trust())
    assert load_config(Path("ann")).store.snapshot_blocks == 9


def test_several_found_together() -> None:
    """Each sends its key; one writes the genesis; the others join with it, in the homes where their keys are."""
    own = told(run("init", "--home", "ben", "--keys-only", "--operator", BEN, "--moniker", "ben", "--json"))
    told(run("init", "--home", "ann", *FOUNDING, "--moniker", "ann", "--validator", own["file"], "--json"))
    joined = run("init", "--home", "ben", "--genesis", "ann/genesis.json", "--moniker", "ben")

    assert joined.exit_code == 0, joined.output
    found = load_genesis(Path("ben"))
    assert found == load_genesis(Path("ann"))
    assert [(each.moniker, each.operator) for each in found.validators] == [
        ("ann", ALICE.address),
        ("ben", BOB.address),
    ]
    assert to_hex(found.validators[1].key) == own["key"]
    assert make_keys(Path("ben")).validator_key == found.validators[1].key
    assert found.governor == ZERO_ADDRESS


def test_joining_by_url_needs_the_digest(tmp_path: Path) -> None:
    """A full node's word for the genesis is taken only when its digest is the one that was said."""
    digest = to_hex(genesis().digest())
    with live(tmp_path / "served") as node:
        unpinned = run("init", "--home", "a", "--genesis", node.url)
        other = run("init", "--home", "a", "--genesis", node.url, "--digest", "0x" + "11" * 32)
        assert not Path("a").exists()
        joined = run("init", "--home", "a", "--genesis", node.url, "--digest", digest)

    assert (refused(unpinned), refused(other)) == ("init.unpinned", "init.digest")
    assert digest in unpinned.stderr
    assert joined.exit_code == 0, joined.output
    assert load_genesis(Path("a")) == genesis()


def test_file_may_be_pinned_too() -> None:
    """A file with another digest than was said is refused."""
    Path("g.json").write_bytes(canonical(genesis().as_json()))

    assert refused(run("init", "--home", "a", "--genesis", "g.json", "--digest", "0x" + "11" * 32)) == "init.digest"
    assert run("init", "--home", "a", "--genesis", "g.json", "--digest", to_hex(genesis().digest())).exit_code == 0


def test_home_is_never_overwritten() -> None:
    """A second `init` in a home changes nothing."""
    told(run("init", "--home", "ann", *FOUNDING, "--json"))
    before = {path: path.read_bytes() for path in Path("ann").rglob("*") if path.is_file()}

    assert refused(run("init", "--home", "ann", *FOUNDING)) == "node.made"
    assert refused(run("init", "--home", "ann", "--keys-only", "--operator", ANN)) == "node.made"
    assert {path: path.read_bytes() for path in Path("ann").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "cli.usage"),
        (("--new", "x", "--genesis", "y"), "cli.usage"),
        (("--new", "x", "--keys-only"), "cli.usage"),
        (("--keys-only",), "cli.usage"),
        (("--new", "x", "--operator", ANN), "cli.usage"),
        (("--new", "x", "--chain-id", "1", "--bond", "20000"), "cli.usage"),
        (("--genesis", "g.json", "--bond", "1"), "cli.usage"),
        (("--genesis", "g.json", "--devnet"), "cli.usage"),
        (("--keys-only", "--operator", ANN, "--bond", "1"), "cli.usage"),
        ((*FOUNDING, "--digest", "0x00"), "cli.usage"),
        ((*FOUNDING, "--allocate", ANN), "cli.usage"),
        ((*FOUNDING, "--parameter", "gas_limit"), "cli.usage"),
        ((*FOUNDING, "--parameter", "gas_limit=-1"), "cli.usage"),
        ((*FOUNDING, "--parameter", "nothing=1"), "genesis.parameters"),
        ((*FOUNDING, "--allocate", f"{ANN}=1000000000"), "setup.supply"),
        ((*FOUNDING, "--allocate", f"{ANN}=much"), "amount.text"),
        ((*FOUNDING, "--bond", "1"), "bonds.bond"),
        ((*FOUNDING, "--governor", "ann"), "address.text"),
        ((*FOUNDING, "--set", "rpc.listen=1"), "config.type"),
        ((*FOUNDING, "--set", 'rpc.listen="127.0.0.1:0"'), "cli.usage"),
        ((*FOUNDING, "--peer", "example.org:1"), "config.value"),
        ((*FOUNDING, "--moniker", "änn"), "config.value"),
        (("--genesis", "none.json"), "cli.file"),
        (("--genesis", "http://127.0.0.1:9"), "http.unreachable"),
    ],
)
def test_misuse_of_init(words: tuple[str, ...], code: str) -> None:
    """What does not make a home is refused, and there is none."""
    result = run("init", "--home", "a", *words)

    assert refused(result) == code
    assert not (Path("a") / "genesis.json").exists()


# --- settings ----------------------------------------------------------------------------------------------------


def test_defaults_are_a_file_that_checks() -> None:
    """What `config` prints is a file that `config` accepts; a file that is wrong is refused with its code."""
    Path("node.toml").write_text(run("config").stdout)
    Path("wrong.toml").write_text("[rpc]\nlissten = 1\n")

    assert run("config", "node.toml").stdout.startswith("✓ node.toml")
    assert refused(run("config", "wrong.toml")) == "config.unknown"


# --- running -----------------------------------------------------------------------------------------------------


def until(holds: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
    """What `holds` returns once that is true, while the process lives."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"not within {PATIENCE_S} s")


def started(home: str, *words: str) -> subprocess.Popen[bytes]:
    """A node as `paraph full-node start` runs it."""
    return subprocess.Popen(
        [sys.executable, "-m", "paraph.cli", "full-node", "start", "--home", home, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PARAPH_COMETBFT": str(cometbft_binary())},
    )


def stopped(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a node that was asked to stop."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(30)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_validator_is_started_and_looked_at() -> None:
    """A founder alone makes blocks; `status` tells of its engine, votes and height, and code 0 that all is well."""
    ports = (f'rpc.listen="127.0.0.1:{free_port()}"', f'consensus.listen="127.0.0.1:{free_port()}"')
    words = [word for each in (*ports, "consensus.block_pause_ms=100") for word in ("--set", each)]
    made = told(run("init", "--home", "ann", *FOUNDING, *words, "--json"))
    process = started("ann")
    try:
        found = until(lambda: well(run("status", "--home", "ann", "--json")), process)
        shown = run("status", "--home", "ann").stdout
        busy = [run("snapshot", "--home", "ann"), run("reset", "--home", "ann", "--all", "--yes")]
    finally:
        code = stopped(process)

    assert (found["engine"]["power"], found["engine"]["validator_key"]) == (20_000, made["validator_key"])
    assert (found["peer"], found["genesis_digest"]) == (made["peer"], made["genesis_digest"])
    assert found["engine"]["pid"] not in (None, process.pid)
    assert "20000 votes" in shown
    assert shown.rstrip().endswith("✓ all is well")
    assert [refused(each) for each in busy] == ["node.running", "node.running"]
    assert code == 0
    assert refused(run("status", "--home", "ann")) == "node.unreachable"


def well(result: Result) -> Any:
    """The facts of a node that is well and has made a block; None while it is not."""
    found = json.loads(result.stdout) if result.exit_code == 0 else None
    return found if found and found["height"] > 1 else None


@pytest.mark.slow
def test_engine_that_cannot_start_is_told() -> None:
    """A node whose engine cannot listen stays up to say so; `status` has exit code 1, and says why."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = (f'rpc.listen="127.0.0.1:{free_port()}"', f'consensus.listen="127.0.0.1:{taken.getsockname()[1]}"')
        told(run("init", "--home", "ann", *FOUNDING, "--set", ports[0], "--set", ports[1], "--json"))
        process = started("ann")
        try:
            found = until(lambda: failed(run("status", "--home", "ann", "--json")), process)
            shown = run("status", "--home", "ann")
        finally:
            code = stopped(process)

    assert "address already in use" in found["failure"]
    assert (found["healthy"], found["engine"]) == (False, None)
    assert (shown.exit_code, code) == (1, 0)
    assert "✗ it keeps no more blocks" in shown.stdout


def failed(result: Result) -> Any:
    """The facts of a node that has failed; None while it has not."""
    found = json.loads(result.stdout) if result.stdout else None
    return found if found and found["failure"] else None


def test_solo_node_starts_from_its_file() -> None:
    """A setting on the command line comes before the file, which comes before the defaults."""
    port, home = free_port(), Path("solo")
    make_home(home, genesis(), Config())
    save_key(home / KEY, PRODUCER, "password", scrypt_n=SCRYPT_N_LIGHT)
    write_private(home / PASSWORD, b"password")
    process = started("solo", "--set", f'rpc.listen="127.0.0.1:{port}"', "--set", "store.index=''")
    try:
        found = until(lambda: solo_well(port), process)
    finally:
        code = stopped(process)

    assert (found["network"], found["engine"], found["index"], found["peer"]) == ("test", None, None, None)
    assert code == 0


def solo_well(port: int) -> Any:
    """The facts of a solo node that answers; None while it does not."""
    result = run("status", "--home", "solo", "--url", f"http://127.0.0.1:{port}", "--json")
    return json.loads(result.stdout) if result.exit_code == 0 else None


# --- repairing ---------------------------------------------------------------------------------------------------


def test_snapshot_and_reset() -> None:
    """A stopped node is snapshot and put back; what deletes asks first."""
    told(run("init", "--home", "ann", *FOUNDING, "--json"))

    written = told(run("snapshot", "--home", "ann", "--json"))
    listed = run("snapshot", "--home", "ann").stdout
    restored = told(run("reset", "--home", "ann", "--from-snapshot", written["folder"], "--json"))
    declined = CliRunner().invoke(paraph, ["full-node", "reset", "--home", "ann", "--all"], input="n\n")
    kept = (Path("ann") / "chain").exists()
    confirmed = CliRunner().invoke(paraph, ["full-node", "reset", "--home", "ann", "--all"], input="y\n")

    assert written["heights"] == [0]
    assert listed.splitlines()[-1].split()[-1] == "0"
    assert restored["height"] == 0
    assert (declined.exit_code, kept) == (130, True)
    assert confirmed.exit_code == 0, confirmed.output
    assert not (Path("ann") / "chain").exists()
    assert run("reset", "--home", "ann", "--replay", "--yes").exit_code == 0


@pytest.mark.parametrize("words", [(), ("--all", "--replay"), ("--from-snapshot", ".", "--all")])
def test_misuse_of_reset(words: tuple[str, ...]) -> None:
    """One way of repair at a time."""
    told(run("init", "--home", "ann", *FOUNDING, "--json"))

    assert refused(run("reset", "--home", "ann", *words, "--yes")) == "cli.usage"


# --- examples ----------------------------------------------------------------------------------------------------

EXAMPLES: Final = Path(__file__).parents[3] / "examples" / "operations"


def commands() -> dict[str, click.Command]:
    """The commands of `paraph full-node`."""
    group = paraph.get_command(click.Context(paraph), "full-node")
    assert isinstance(group, click.Group)
    return dict(group.commands)


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_examples_say_what_there_is(path: Path) -> None:
    """Commands, options, settings and programs that the examples for services name are there."""
    text = path.read_text().replace('", "', " ")

    said = re.findall(r"(?:paraph full-node|paraph-full-node|run --rm node) ((?:init|start|status)\b[^\n\"`]*)", text)
    for words in said:
        name, *rest = words.split()
        known = {option for each in commands()[name].params for option in each.opts}
        assert {word for word in rest if word.startswith("--")} <= known, words
    for setting in re.findall(r"\b((?:rpc|metrics|consensus)\.[a-z_]+) *=", text):
        assert f"`{setting.partition('.')[2]}`" in SETTINGS.read_text()
    for version in re.findall(r"cometbft-([0-9.]+[0-9])", text):
        assert version == VERSION
    assert bool(said) is (path.name in ("Containerfile", "compose.yaml", "paraph-full-node.service"))


def test_unit_gives_the_engine_its_time() -> None:
    """The service's stop takes longer than the node waits for its engine and its clients, and is for it alone."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(EXAMPLES / "paraph-full-node.service")
    service = unit["Service"]

    assert int(service["TimeoutStopSec"]) > ENGINE_STOP_S_MAX + HTTP_STOP_S_MAX
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "mixed")
    assert int(service["LimitNOFILE"]) > CONNECTIONS_MAX
    assert service["ExecStart"].split()[1:3] == ["full-node", "start"]


SETTINGS: Final = EXAMPLES.parents[1] / "docs" / "reference" / "full-node-settings.md"
