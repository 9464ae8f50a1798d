"""The full node's configuration: what is written is read back, and what is unknown or makes no sense is refused."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable
from paraph.full_node.config import (
    FILE,
    FILE_BYTES_MAX,
    NUMBER_MAX,
    Config,
    Consensus,
    Store,
    address_of,
    decode_config,
    encode_config,
    load_config,
    purposes,
    with_settings,
)

ID = "ab" * 20
HASH = "6E2b" * 16


def test_defaults_are_written_and_read() -> None:
    """The file for people holds every default, and means them."""
    assert decode_config(encode_config(Config())) == Config()
    assert decode_config(b"") == Config()


def test_file_says_what_each_setting_is_for() -> None:
    """Above each setting stands its purpose, in the file as in the page."""
    lines = encode_config(Config()).decode().splitlines()

    for section in dataclasses.fields(Config):
        kind: Any = type(section.default)
        assert set(purposes(kind)) == {each.name for each in dataclasses.fields(kind)}
        for name, purpose in purposes(kind).items():
            assert purpose
            places = [index for index, line in enumerate(lines) if line.startswith(f"{name} = ")]
            assert any(lines[index - 1] == f"# {purpose}" for index in places)


def test_defaults_are_safe() -> None:
    """By default strangers reach nothing but the port of the other nodes."""
    config = Config()

    assert config.rpc.listen.startswith("127.0.0.1:")
    assert not any((config.rpc.produce, config.rpc.cors_origins, config.metrics.listen, config.consensus.rpc_listen))
    assert not any((config.consensus.private_network, config.consensus.signer_listen, config.limits.proxies_trusted))
    assert config.store.check_at_start


def test_a_part_leaves_the_rest() -> None:
    """A file names what differs."""
    found = decode_config(b'[consensus]\nmoniker = "ann"\n[store]\nindex = ""\n')

    assert found == Config(consensus=Consensus(moniker="ann"), store=Store(index=""))


BAD: dict[str, tuple[str, type[ParaphError], str]] = {
    "no toml": ("[", Malformed, "config.toml"),
    "twice": ("[rpc]\n[rpc]", Malformed, "config.toml"),
    "endless number": ("[store]\nhistory_blocks = " + "9" * 5000, Malformed, "config.toml"),
    "deep": ("a = " + "[" * 5000, Malformed, "config.toml"),
    "unknown section": ("[rcp]", Malformed, "config.unknown"),
    "unknown setting": ("[rpc]\nlissten = 1", Malformed, "config.unknown"),
    "setting outside": ('listen = "a:1"', Malformed, "config.unknown"),
    "no table": ("rpc = 1", Malformed, "config.type"),
    "list of tables": ("[[rpc]]", Malformed, "config.type"),
    "text for number": ('[store]\nhistory_blocks = "256"', Malformed, "config.type"),
    "boolean for number": ("[store]\nhistory_blocks = true", Malformed, "config.type"),
    "number for boolean": ("[rpc]\nsubmit = 1", Malformed, "config.type"),
    "fraction": ("[store]\nhistory_blocks = 2.0", Malformed, "config.type"),
    "date": ("[rpc]\nlisten = 2020-01-01", Malformed, "config.type"),
    "text for list": ('[consensus]\npeers = "a"', Malformed, "config.type"),
    "list of numbers": ("[consensus]\npeers = [1]", Malformed, "config.type"),
    "huge list item": ("[consensus]\npeers = [0x" + "f" * 9000 + "]", Malformed, "config.type"),
    "number that cannot be printed": ("[store]\nhistory_blocks = 0x" + "f" * 9000, Rejected, "config.value"),
    "limit that cannot be printed": ("[limits]\ncost_burst = 0x" + "f" * 9000, Rejected, "config.value"),
    "limit": ("[limits]\ncost_burst = 0", Rejected, "limits.value"),
    "no history": ("[store]\nhistory_blocks = 1", Rejected, "config.value"),
    "no snapshots kept": ("[store]\nsnapshots_kept = 0", Rejected, "config.value"),
    "negative": ("[store]\nsnapshot_blocks = -1", Rejected, "config.value"),
    "too long a pause": ("[consensus]\nblock_pause_ms = 2147483648", Rejected, "config.value"),
    "no wait": ("[consensus]\npropose_wait_ms = 0", Rejected, "config.value"),
    "no workers": ("[consensus]\nform_workers = -1", Rejected, "config.value"),
    "no address": ('[rpc]\nlisten = ""', Malformed, "config.address"),
    "no port": ('[rpc]\nlisten = "127.0.0.1"', Malformed, "config.address"),
    "port too high": ('[rpc]\nlisten = "127.0.0.1:65536"', Malformed, "config.address"),
    "no p2p address": ('[consensus]\nlisten = ""', Malformed, "config.address"),
    "metrics address": ('[metrics]\nlisten = "x"', Malformed, "config.address"),
    "engine's address": ('[consensus]\nrpc_listen = "x"', Malformed, "config.address"),
    "outer address": ('[consensus]\nexternal_address = "example.org"', Malformed, "config.address"),
    "moniker": ('[consensus]\nmoniker = "ann\\n"', Rejected, "config.value"),
    "moniker's script": ('[consensus]\nmoniker = "änn"', Rejected, "config.value"),
    "long moniker": (f'[consensus]\nmoniker = "{"a" * 65}"', Rejected, "config.value"),
    "peer without id": ('[consensus]\npeers = ["example.org:1"]', Rejected, "config.value"),
    "peer's id": (f'[consensus]\npeers = ["{ID[1:]}@example.org:1"]', Rejected, "config.value"),
    "two peers in one": (f'[consensus]\npeers = ["{ID}@a:1,{ID}@b:1"]', Rejected, "config.value"),
    "peer without port": (f'[consensus]\npeers = ["{ID}@example.org"]', Malformed, "config.address"),
    "seed": ('[consensus]\nseeds = ["example.org:1"]', Rejected, "config.value"),
    "signer": ('[consensus]\nsigner_listen = "127.0.0.1:1"', Rejected, "config.value"),
    "mempool": ('[consensus]\nmempool = "nop"', Rejected, "config.value"),
    "log level": ('[consensus]\nlog_level = "warning"', Rejected, "config.value"),
    "index": ('[store]\nindex = "mysql://x"', Rejected, "config.value"),
    "one server": (f'[sync]\nservers = ["a:1"]\ntrust_height = 1\ntrust_hash = "{HASH}"', Rejected, "config.value"),
    "server's form": ('[sync]\nservers = ["a", "b:1"]', Rejected, "config.value"),
    "no height": (f'[sync]\nservers = ["a:1", "b:1"]\ntrust_hash = "{HASH}"', Rejected, "config.value"),
    "no hash": ('[sync]\nservers = ["a:1", "b:1"]\ntrust_height = 1', Rejected, "config.value"),
    "hash that is none": (
        f'[sync]\nservers = ["a:1", "b:1"]\ntrust_height = 1\ntrust_hash = "{"x" * 64}"',
        Rejected,
        "config.value",
    ),
    "negative height": ("[sync]\ntrust_height = -1", Rejected, "config.value"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_refused(name: str) -> None:
    """Each is a typed error with its own code."""
    text, kind, code = BAD[name]

    with pytest.raises(kind) as caught:
        decode_config(text.encode())

    assert caught.value.code == code


def test_edges_are_taken() -> None:
    """The least and the most of a setting are meant, and so is every form of a text."""
    found = decode_config(
        f"""
        [consensus]
        block_pause_ms = 0
        propose_wait_ms = 2147483647
        moniker = "{"~" * 64}"
        peers = ["{ID}@[::1]:65535", "{ID}@example.org:1"]
        external_address = "example.org:26656"
        signer_listen = "unix:///run/signer.sock"
        mempool = "app"
        [sync]
        servers = ["a:1", "http://b:1"]
        trust_height = 1
        trust_hash = "{HASH}"
        [store]
        history_blocks = 2
        index = "postgresql://paraph@db:5432/paraph"
        [limits]
        cost_burst = {NUMBER_MAX}
        """.encode()
    )

    assert found.consensus.peers[0] == f"{ID}@[::1]:65535"
    assert found.store.history_blocks == 2


def test_size_has_its_limit() -> None:
    """The largest file is read; one byte more is refused before it is parsed."""
    largest = b"#" * FILE_BYTES_MAX

    assert decode_config(largest) == Config()
    with pytest.raises(Malformed) as caught:
        decode_config(largest + b"#")
    assert caught.value.code == "config.toml"


@given(st.binary(max_size=300))
def test_any_bytes_are_settings_or_a_typed_error(data: bytes) -> None:
    """Whatever is in the file, it is read or refused."""
    try:
        decode_config(data)
    except (Malformed, Rejected):
        return


KEYS = [f"{section.name}.{name}" for section in dataclasses.fields(Config) for name in purposes(type(section.default))]
VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["true", "false", "[]", '""', '"127.0.0.1:1"', '["a"]', "1.5", "nan", "{}", "1979-05-27", "[[]]"]),
    st.text(max_size=20),
)


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=4))
def test_settings_one_by_one_never_break(changes: list[tuple[str, str]]) -> None:
    """A setting is changed or refused; what is then there can be written and read back."""
    try:
        found = with_settings(Config(), [f"{name}={value}" for name, value in changes])
    except (Malformed, Rejected):
        return

    assert decode_config(encode_config(found)) == found


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_is_kept(name: str) -> None:
    """A text that settings may hold comes back from the file as it was."""
    config = Config(store=Store(index=f"postgresql://{name}"))

    assert decode_config(encode_config(config)) == config


def test_settings_are_changed_one_by_one() -> None:
    """Each changes one value and leaves the others."""
    found = with_settings(
        Config(),
        ["store.history_blocks=9", 'rpc.listen = "[::1]:1"', "rpc.submit=false", f'consensus.peers=["{ID}@a:1"]'],
    )

    assert (found.store.history_blocks, found.rpc.listen, found.rpc.submit) == (9, "[::1]:1", False)
    assert found.consensus.peers == (f"{ID}@a:1",)
    assert found.limits == Config().limits


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("store.history_blocks", "config.setting"),
        ("history_blocks=1", "config.setting"),
        (".history_blocks=1", "config.setting"),
        ("store.=1", "config.setting"),
        ("rpc.listen=127.0.0.1:1", "config.setting"),
        ("store.history_blocks=9\nsnapshots_kept=3", "config.setting"),
        ("store.history=9", "config.unknown"),
        ("stored.history=9", "config.unknown"),
        ("store.history_blocks='9'", "config.type"),
        ("store.history_blocks=1", "config.value"),
    ],
)
def test_setting_that_is_none(text: str, code: str) -> None:
    """A setting that cannot be read, is unknown or makes no sense is refused."""
    with pytest.raises((Malformed, Rejected)) as caught:
        with_settings(Config(), [text])

    assert caught.value.code == code


def test_home_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    """Nothing configured is the defaults; a file that cannot be read is an error."""
    assert load_config(tmp_path) == Config()

    (tmp_path / FILE).mkdir()
    with pytest.raises(Unavailable) as caught:
        load_config(tmp_path)

    assert caught.value.code == "config.file"


def test_file_of_the_home_is_read(tmp_path: Path) -> None:
    """`node.toml` says how the node runs."""
    (tmp_path / FILE).write_text("[store]\nhistory_blocks = 7\n")

    assert load_config(tmp_path).store.history_blocks == 7


@pytest.mark.parametrize(
    ("text", "address"), [("a:0", ("a", 0)), ("[::1]:65535", ("::1", 65_535)), ("0.0.0.0:80", ("0.0.0.0", 80))]
)
def test_address(text: str, address: tuple[str, int]) -> None:
    """Host and port are read apart; IPv6 stands in brackets."""
    assert address_of(text, "x") == address


def test_every_code_is_documented() -> None:
    """The codes of the configuration stand in the reference."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "errors.md").read_text()

    assert {code for _, _, code in BAD.values() if not re.search(rf"`{re.escape(code)}`", page)} == set()
