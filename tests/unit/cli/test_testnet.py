"""`paraph testnet` before anything runs: what is asked for, what is written, and what is refused."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paraph.cli.program import paraph
from paraph.cli.testnet import VALIDATORS_MAX
from paraph.core.amount import SUPPLY_WEI
from paraph.core.errors import Malformed, Rejected
from paraph.devnet import shape as shapes
from paraph.devnet.folder import Folder
from paraph.devnet.making import VALIDATOR_BOND, make
from paraph.devnet.network import Devnet
from paraph.devnet.shape import SOLO, Shape, decode_shape
from paraph.full_node.__main__ import load_genesis
from paraph.full_node.config import load_config
from paraph.proofs.policy import decode_trust
from paraph.sdk.network import load_network


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, on a machine without the engine."""
    monkeypatch.setenv("PARAPH_HOME", str(tmp_path))
    monkeypatch.setenv("PARAPH_COMETBFT", str(tmp_path / "none"))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(paraph, ["testnet", *words])


@pytest.mark.parametrize(
    "words", [("--validators", "4"), ("up", "--validators", "4"), ("--follower",), ("up",), ("--json",)], ids=" ".join
)
def test_options_alone_mean_up(words: tuple[str, ...], folder: Path) -> None:
    """With or without `up` it starts; without the engine it says what to do, before anything is written."""
    result = run(*words)

    assert result.exit_code == 1
    assert "comet.missing" in result.output
    assert "make engine" in result.output
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("words", "code"), [((), 2), (("-h",), 0), (("--help",), 0)])
def test_help(words: tuple[str, ...], code: int) -> None:
    """Without a word, and asked for help, it lists its commands and does nothing."""
    result = run(*words)

    assert result.exit_code == code
    assert all(f"  {name} " in result.output for name in ("up", "down", "status"))


@pytest.mark.parametrize("count", [0, VALIDATORS_MAX + 1])
def test_number_is_bounded(count: int) -> None:
    """One to forty; the same in the command line, which imports no network to know it, as in the network."""
    result = run("--validators", str(count))

    assert result.exit_code == 2
    assert shapes.VALIDATORS_MAX == VALIDATORS_MAX


def test_nothing_there(folder: Path) -> None:
    """Nothing to stop and nothing to look at; looking says how to make one, and fails."""
    stopped, looked, facts = run("down"), run("status"), run("status", "--json")

    assert (stopped.exit_code, looked.exit_code, facts.exit_code) == (0, 1, 1)
    assert f"there is no devnet in {folder / 'testnet'}" in stopped.output
    assert "`paraph testnet --validators 4` makes one" in looked.output
    assert json.loads(facts.stdout)["made"] is False


def test_another_shape_is_refused(folder: Path) -> None:
    """What was made with some validators is not started with others: its genesis names them."""
    make(Folder(folder / "testnet"), Shape(1))

    result = run("--validators", "2", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["code"] == "devnet.shape"


def test_stopped_network_is_shown_and_forgotten(folder: Path) -> None:
    """Every process of what was made is listed, stopped; forgetting deletes the folder."""
    make(Folder(folder / "testnet"), Shape(2, follower=True))

    looked, gone = run("status", "--json"), run("down", "--forget")

    facts = json.loads(looked.stdout)
    assert (facts["made"], facts["validators"], looked.exit_code) == (True, 2, 1)
    names = ["full-node-1", "full-node-2", "full-node-follower", "inference-node", "enclave-node"]
    assert [name for name, each in facts["processes"].items() if not each["running"]] == names
    assert "nothing was running" in gone.output
    assert list(folder.iterdir()) == []


def test_made_network_is_one_network(folder: Path) -> None:
    """Every home has the same genesis, which allocates the whole supply; each node is told where the validators are."""
    place, shape = Folder(folder / "testnet"), Shape(3, follower=True, block_pause_ms=200)

    make(place, shape)

    homes = [place.node_home(name) for name in shape.full_nodes]
    genesis = load_genesis(homes[0])
    assert {load_genesis(home).digest() for home in homes} == {genesis.digest()}
    assert sum(each.amount for each in genesis.allocations) + 3 * VALIDATOR_BOND == SUPPLY_WEI
    assert [each.operator for each in genesis.validators] == [place.key(name).address for name in shape.operators]
    assert not genesis.producers
    configs = [load_config(home) for home in homes]
    assert {config.consensus.block_pause_ms for config in configs} == {200}
    places = [config.consensus.listen for config in configs]
    for own, config in zip(places, configs, strict=True):
        told = [peer.partition("@")[2] for peer in config.consensus.peers]
        assert told == [each for each in places[:3] if each != own]


def test_pinned_trust_is_the_genesis(folder: Path) -> None:
    """The trust file says what follows from the genesis alone; the first node is asked, the others are witnesses."""
    place, shape = Folder(folder / "testnet"), Shape(3)

    make(place, shape)

    trust = load_genesis(place.node_home("full-node-1")).trust()
    network = load_network(place.network_file)
    assert decode_trust(place.trust_file.read_bytes()) == network.trust == trust
    assert (network.rpc_url, *network.witnesses) == tuple(place.url(name) for name in shape.full_nodes)


def test_half_a_devnet_is_not_touched(folder: Path) -> None:
    """A folder with keys and no whole devnet is refused, and what is in it stays."""
    (folder / "keys").mkdir()

    with pytest.raises(Rejected) as caught:
        Devnet(folder).up(lambda _: None, SOLO)

    assert caught.value.code == "devnet.half_made"
    assert [each.name for each in folder.iterdir()] == ["keys"]


@pytest.mark.parametrize("shape", [SOLO, Shape(1), Shape(40, follower=True, block_pause_ms=0)], ids=str)
def test_shape_is_remembered(shape: Shape) -> None:
    """What is written is read again."""
    assert decode_shape(json.dumps(shape.as_json()).encode()) == shape


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"validators": 41}, Malformed),
        ({"follower": 1}, Malformed),
        ({"follower": True, "validators": 0}, Rejected),
        ({"block_pause_ms": -1}, Malformed),
        ({"more": 1}, Malformed),
    ],
    ids=str,
)
def test_bad_shape_is_refused(changed: dict[str, object], kind: type[Exception]) -> None:
    """A remembered shape that cannot be is no shape."""
    with pytest.raises(kind):
        decode_shape(json.dumps({**Shape(1).as_json(), **changed}).encode())
