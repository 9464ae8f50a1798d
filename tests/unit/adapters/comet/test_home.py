"""The engine's home: values become its files, keys are made once, and nothing stands open to others."""

import base64
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.comet.home import (
    Genesis,
    Settings,
    StateSync,
    Validator,
    abci_socket,
    rpc_socket,
    sockets_folder,
    write_home,
)
from paraph.adapters.comet.keys import consensus_address, identity, sign_digest
from paraph.adapters.comet.server import SOCKET_PATH_BYTES_MAX
from paraph.core import ed25519
from paraph.core.digest import keccak256
from paraph.core.errors import Malformed, Rejected, Unavailable

GENESIS = Genesis(
    chain_id="test-1",
    time_s=1_750_000_000,
    validators=(Validator("one", bytes(32), 10),),
    root=b"\xab" * 32,
    state={"k": "v"},
    version=7,
    evidence_s_max=1_209_600,
    evidence_blocks_max=1_000_000,
)


def config_of(home: Path, settings: Settings) -> dict[str, object]:
    write_home(home, settings, GENESIS)
    return tomllib.loads((home / "config" / "config.toml").read_text())


def test_genesis_says_what_was_meant(tmp_path: Path) -> None:
    """Every value of the genesis stands where the engine reads it, in its spelling."""
    write_home(tmp_path, Settings("m"), GENESIS)

    document = json.loads((tmp_path / "config" / "genesis.json").read_text())

    assert document == {
        "genesis_time": "2025-06-15T15:06:40Z",
        "chain_id": "test-1",
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": "4194304", "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": "1000000",
                "max_age_duration": "1209600000000000",
                "max_bytes": "262144",
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "7"},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": [
            {
                "address": "66687AADF862BD776C8FC18B8E9F8E20089714856EE233B3902A591D0D5F2925"[:40],
                "pub_key": {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(bytes(32)).decode()},
                "power": "10",
                "name": "one",
            }
        ],
        "app_hash": "AB" * 32,
        "app_state": {"k": "v"},
    }


def test_config_says_what_was_meant(tmp_path: Path) -> None:
    """Settings stand in the tables where the engine reads them."""
    sync = StateSync(("http://a:1", "http://b:2"), 5, "AA" * 32, 3_600)
    settings = Settings(
        'a "quoted" name',
        p2p_listen="tcp://127.0.0.1:1",
        persistent_peers=("x@h:1", "y@h:2"),
        allow_duplicate_ip=True,
        addr_book_strict=False,
        rpc_listen="tcp://127.0.0.1:2",
        timeout_commit_ms=250,
        state_sync=sync,
        prometheus_listen="127.0.0.1:3",
    )

    config = config_of(tmp_path, settings)

    assert config["moniker"] == 'a "quoted" name'
    assert config["p2p"] == {
        "laddr": "tcp://127.0.0.1:1",
        "external_address": "",
        "persistent_peers": "x@h:1,y@h:2",
        "seeds": "",
        "addr_book_strict": False,
        "allow_duplicate_ip": True,
    }
    assert config["rpc"] == {
        "laddr": f"unix://{rpc_socket(tmp_path)},tcp://127.0.0.1:2".replace(f"{tmp_path}/", ""),
        "max_body_bytes": 2_097_152,
        "max_request_batch_size": 64,
    }
    assert config["statesync"] == {
        "enable": True,
        "rpc_servers": "http://a:1,http://b:2",
        "trust_height": 5,
        "trust_hash": "AA" * 32,
        "trust_period": "3600s",
        "discovery_time": "15s",
    }
    assert config["instrumentation"] == {"prometheus": True, "prometheus_listen_addr": "127.0.0.1:3"}


def test_defaults_are_closed(tmp_path: Path) -> None:
    """Without being asked for, nothing but the peers' port listens on TCP, and the pool is small."""
    config = config_of(tmp_path, Settings("m"))

    assert "tcp" not in str(config["rpc"])
    assert config["instrumentation"] == {"prometheus": False, "prometheus_listen_addr": ":26660"}
    assert config["statesync"] == {"enable": False}
    assert config["mempool"] == {
        "type": "flood",
        "recheck": True,
        "size": 5_000,
        "max_txs_bytes": 67_108_864,
        "max_tx_bytes": 1_049_600,
        "cache_size": 20_000,
    }


@given(st.text(max_size=40))
def test_any_name_is_kept_or_refused(name: str) -> None:
    """A name cannot break out of its place in the configuration."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        try:
            config = config_of(Path(folder), Settings(name))
        except Malformed:
            assert not (name.isascii() and name.isprintable())
            return

    assert (config["moniker"], config["abci"]) == (name, "socket")


def test_keys_are_made_once(tmp_path: Path) -> None:
    """The same home has the same keys for ever, and both are ed25519."""
    first = identity(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}

    assert identity(tmp_path) == first
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
    assert (len(first.node_id), len(first.validator_key), len(before)) == (40, 32, 3)


def test_validator_key_signs_a_digest(tmp_path: Path) -> None:
    """What the home's validator key signs verifies under it, and changes no file; without a key nothing is signed."""
    key = identity(tmp_path).validator_key
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    digest = keccak256(b"a proof")

    assert sign_digest(tmp_path, digest)[0] == key
    assert ed25519.verify(key, digest, sign_digest(tmp_path, digest)[1])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
    with pytest.raises(Unavailable) as caught:
        sign_digest(tmp_path / "none", digest)
    assert caught.value.code == "comet.home"


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    """Keys, configuration and folders are closed to other accounts, and no draft is left."""
    home = tmp_path / "home"
    identity(home)
    write_home(home, Settings("m"), GENESIS)

    open_to_others = [path for path in home.rglob("*") if path.stat().st_mode & 0o077]
    assert open_to_others == []
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == [
        "config.toml",
        "genesis.json",
        "node_key.json",
        "priv_validator_key.json",
        "priv_validator_state.json",
    ]


def test_key_without_its_record_is_refused(tmp_path: Path) -> None:
    """A validator's key whose record of signing is lost is not given a new record: it might sign twice."""
    identity(tmp_path)
    (tmp_path / "data" / "priv_validator_state.json").unlink()

    with pytest.raises(Rejected) as caught:
        identity(tmp_path)

    assert caught.value.code == "comet.signing_state"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"priv_key": {"type": "tendermint/PrivKeyEd25519", "value": "AAAA"}}',
        '{"priv_key": {"type": "tendermint/PrivKeyEd25519", "value": "' + "A" * 86 + '=="}}',
        '{"priv_key": {"type": "other", "value": "' + "A" * 86 + '=="}}',
        '{"priv_key": {"type": "tendermint/PrivKeyEd25519", "value": 5}}',
    ],
    ids=["empty", "list", "nothing", "short", "not its public key", "other kind", "number"],
)
def test_key_file_that_is_none(tmp_path: Path, text: str) -> None:
    """A key file that holds no key is named, and left as it is."""
    identity(tmp_path)
    (tmp_path / "config" / "node_key.json").write_text(text)

    with pytest.raises(Malformed) as caught:
        identity(tmp_path)

    assert caught.value.code == "comet.key_file"
    assert (tmp_path / "config" / "node_key.json").read_text() == text


def test_address_is_of_the_key() -> None:
    """An address is the first 20 bytes of SHA-256 of the key."""
    assert consensus_address(bytes(32)).hex() == "66687aadf862bd776c8fc18b8e9f8e2008971485"


def test_sockets_stand_in_the_home_if_short() -> None:
    """In a short home sockets are below it; in a long one in a private folder that is always the same."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(dir="/tmp") as folder:
        short, long = Path(folder), Path(folder) / ("x" * 80)

        assert abci_socket(short) == short.resolve() / "run" / "abci.sock"
        found = sockets_folder(long)
        assert found == sockets_folder(long)
        assert found.stat().st_mode & 0o777 == 0o700
        assert len(bytes(rpc_socket(long))) <= SOCKET_PATH_BYTES_MAX
        found.rmdir()


def test_settings_change_in_place(tmp_path: Path) -> None:
    """A later start writes its own settings and genesis."""
    config_of(tmp_path, Settings("first"))
    write_home(tmp_path, Settings("second"), replace(GENESIS, chain_id="other"))

    assert "second" in (tmp_path / "config" / "config.toml").read_text()
    assert "other" in (tmp_path / "config" / "genesis.json").read_text()


def test_home_that_cannot_be(tmp_path: Path) -> None:
    """A home below a file is unavailable, with its path."""
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable) as caught:
        identity(tmp_path / "file" / "home")

    assert caught.value.code == "comet.home"
