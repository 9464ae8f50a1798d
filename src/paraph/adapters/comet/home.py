"""The engine's home folder: its configuration and its genesis, written from plain values.

Both are written anew at each start, so that there is one place to change them: ours. Its keys are in `keys.py`.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias

from paraph.adapters.comet.files import make_private, replace
from paraph.adapters.comet.keys import consensus_address, public_json
from paraph.adapters.comet.server import SOCKET_PATH_BYTES_MAX
from paraph.adapters.comet.translate import EVIDENCE_BYTES_MAX
from paraph.core.encode import JsonObject
from paraph.core.errors import Malformed
from paraph.core.limits import TX_BYTES_MAX

BLOCK_BYTES_MAX: Final = 4 * 1024 * 1024
"""A block must reach two thirds of all validators within `timeout_propose`; the engine's own 21 MB did not."""
TX_BYTES_SLACK: Final = 1024
"""Above our own limit, so that the refusal is ours, with its reason, and not the engine's."""
POOL_TX_MAX: Final = 5_000
"""Transactions that wait. All are checked again after each block; with 100 000 that took 14 s, with 5 000 under 1 s."""
POOL_BYTES_MAX: Final = 64 * 1024 * 1024
CACHE_TX_MAX: Final = 20_000
"""Transactions the engine remembers to have seen: four pools."""
RPC_BODY_BYTES_MAX: Final = 2 * 1024 * 1024
"""A request to the engine's RPC: one transaction in base64. The engine's own limit of 1 MB would refuse large ones."""
RPC_BATCH_MAX: Final = 64
"""Calls in one request to it."""

Toml: TypeAlias = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Validator:
    """A validator of the genesis: a name for people, an ed25519 key of 32 bytes, and its votes."""

    name: str
    key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class Genesis:
    """What all nodes of a network must agree on before its first block.

    Args:
        chain_id: the engine's name of the network, up to 50 characters.
        time_s: not before this time is the first block; Unix seconds.
        validators: who votes at first.
        root: the root of the first state, which `begin` must reach too.
        state: the application's own genesis.
        version: the application version of the first block.
        evidence_s_max: how long misbehaviour can be proved: as long as stakes stay locked.
        evidence_blocks_max: the same in blocks; both must have passed before evidence is too old.
        extensions_from: the first height with vote extensions; 0 for none.
    """

    chain_id: str
    time_s: int
    validators: tuple[Validator, ...]
    root: bytes
    state: JsonObject
    version: int
    evidence_s_max: int
    evidence_blocks_max: int
    extensions_from: int = 0


@dataclass(frozen=True, slots=True)
class StateSync:
    """How a new node starts from a snapshot instead of the first block.

    Args:
        rpc_servers: two or more RPC addresses of others; they are cross-checked, and none is believed alone.
        trust_height, trust_hash: a header that is known to be right, by its height and hash (hexadecimal).
        trust_s: how long such a header is to be trusted: less than stakes stay locked.
        discovery_s: how long to look for snapshots; the engine's least is 5.
    """

    rpc_servers: tuple[str, ...]
    trust_height: int
    trust_hash: str
    trust_s: int
    discovery_s: int = 15


@dataclass(frozen=True, slots=True)
class Settings:
    """What one node may choose. Addresses are the engine's: `tcp://host:port`; peers `id@host:port`.

    Args:
        moniker: a name for people.
        p2p_listen: where other nodes connect.
        external_address: `host:port` to tell other nodes, where it is not that.
        persistent_peers: nodes to stay connected to. seeds: nodes to ask for others.
        addr_book_strict: False lets addresses that are not public into the address book: for a network of one machine.
        allow_duplicate_ip: True lets two nodes of one address connect: for a network of one machine.
        rpc_listen: a TCP address for the RPC too, for others' state sync; empty: the socket alone.
        validator_listen: where a remote signer connects; empty: the key is in the home.
        mempool: `flood`, or from 0.40 on `app`.
        timeout_propose_ms: to wait for a proposal. timeout_commit_ms: to wait after a block, which sets their rhythm.
        state_sync: start from a snapshot if there is no state yet.
        prometheus_listen: `host:port` or `:port` for the engine's metrics; empty: none.
        discard_responses: False keeps the results of every block, for `block_results` of the past.
        log_level: `debug`, `info`, `error` or `none`, or by module, `consensus:debug,*:error`.
    """

    moniker: str
    p2p_listen: str = "tcp://0.0.0.0:26656"
    external_address: str = ""
    persistent_peers: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    addr_book_strict: bool = True
    allow_duplicate_ip: bool = False
    rpc_listen: str = ""
    validator_listen: str = ""
    mempool: str = "flood"
    timeout_propose_ms: int = 3_000
    timeout_commit_ms: int = 1_000
    state_sync: StateSync | None = None
    prometheus_listen: str = ""
    discard_responses: bool = True
    log_level: str = "error"


# --- sockets -----------------------------------------------------------------------------------------------------


def sockets_folder(home: Path) -> Path:
    """The private folder of the home's sockets, made when absent.

    It is `run` in the home; where that makes paths too long for sockets, a folder of the system's for temporary files,
    whose name is a hash of the home's, so that it is the same at each start.

    Raises:
        Malformed: `comet.socket_path`: both are too long. Unavailable: `comet.home`.
    """
    home = home.resolve()
    named = f"paraph-{os.getuid()}-{sha256(bytes(home)).hexdigest()[:16]}"
    for folder in (home / "run", Path(tempfile.gettempdir()) / named):
        if len(bytes(folder / "abci.sock")) <= SOCKET_PATH_BYTES_MAX:
            make_private(folder)
            return folder
    raise Malformed("comet.socket_path", f"{folder} is too long for sockets; set TMPDIR to a shorter path")


def abci_socket(home: Path) -> Path:
    """Where the application listens."""
    return sockets_folder(home) / "abci.sock"


def rpc_socket(home: Path) -> Path:
    """Where the engine's RPC listens."""
    return sockets_folder(home) / "rpc.sock"


# --- configuration and genesis -----------------------------------------------------------------------------------


def write_home(home: Path, settings: Settings, genesis: Genesis) -> None:
    """Write `config/config.toml` and `config/genesis.json`.

    Raises:
        Malformed: `comet.setting`: a value that the configuration cannot hold. Unavailable: `comet.home`.
    """
    config, data = _config(home, settings), _genesis(genesis)
    make_private(home)
    make_private(home / "config")
    make_private(home / "data")
    replace(home / "config" / "config.toml", config)
    replace(home / "config" / "genesis.json", data)


def _config(home: Path, settings: Settings) -> bytes:
    sync = settings.state_sync
    tables: Mapping[str, Mapping[str, Toml]] = {
        "": {
            "proxy_app": _address(home, abci_socket(home)),
            "abci": "socket",
            "moniker": settings.moniker,
            "db_backend": "goleveldb",
            "log_level": settings.log_level,
            "log_format": "json",
            "priv_validator_laddr": settings.validator_listen,
        },
        "rpc": {
            "laddr": ",".join(filter(None, (_address(home, rpc_socket(home)), settings.rpc_listen))),
            "max_body_bytes": RPC_BODY_BYTES_MAX,
            "max_request_batch_size": RPC_BATCH_MAX,
        },
        "p2p": {
            "laddr": settings.p2p_listen,
            "external_address": settings.external_address,
            "persistent_peers": ",".join(settings.persistent_peers),
            "seeds": ",".join(settings.seeds),
            "addr_book_strict": settings.addr_book_strict,
            "allow_duplicate_ip": settings.allow_duplicate_ip,
        },
        "mempool": {
            "type": settings.mempool,
            "recheck": True,
            "size": POOL_TX_MAX,
            "max_txs_bytes": POOL_BYTES_MAX,
            "max_tx_bytes": TX_BYTES_MAX + TX_BYTES_SLACK,
            "cache_size": CACHE_TX_MAX,
        },
        "statesync": {"enable": False}
        if sync is None
        else {
            "enable": True,
            "rpc_servers": ",".join(sync.rpc_servers),
            "trust_height": sync.trust_height,
            "trust_hash": sync.trust_hash,
            "trust_period": f"{sync.trust_s}s",
            "discovery_time": f"{sync.discovery_s}s",
        },
        "blocksync": {"version": "v0"},
        "consensus": {
            "timeout_propose": f"{settings.timeout_propose_ms}ms",
            "timeout_commit": f"{settings.timeout_commit_ms}ms",
            "create_empty_blocks": True,
        },
        "storage": {"discard_abci_responses": settings.discard_responses},
        "tx_index": {"indexer": "null"},
        "instrumentation": {
            "prometheus": bool(settings.prometheus_listen),
            "prometheus_listen_addr": settings.prometheus_listen or ":26660",
        },
    }
    lines = ["# Generated at each start of the node; edits are lost. What is not set here has the engine's default."]
    for name, table in tables.items():
        lines += ["", f"[{name}]"] if name else [""]
        lines += [f"{key} = {_toml(key, value)}" for key, value in table.items()]
    return "\n".join((*lines, "")).encode()


def _toml(key: str, value: Toml) -> str:
    if isinstance(value, str) and not (value.isascii() and value.isprintable()):
        raise Malformed("comet.setting", f"{key} must be printable ASCII, not {value!r}", key=key)
    # For these, JSON and TOML are spelled alike.
    return json.dumps(value)


def _address(home: Path, socket: Path) -> str:
    # Relative to the home, in which the engine runs: it tells its peers where its RPC listens, and need not tell them
    # where on this disk.
    home = home.resolve()
    return f"unix://{socket.relative_to(home) if socket.is_relative_to(home) else socket}"


def _genesis(genesis: Genesis) -> bytes:
    document: JsonObject = {
        "genesis_time": datetime.fromtimestamp(genesis.time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chain_id": genesis.chain_id,
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": str(BLOCK_BYTES_MAX), "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": str(genesis.evidence_blocks_max),
                "max_age_duration": str(genesis.evidence_s_max * 10**9),
                "max_bytes": str(EVIDENCE_BYTES_MAX),
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": str(genesis.version)},
            "abci": {"vote_extensions_enable_height": str(genesis.extensions_from)},
        },
        "validators": [
            {
                "address": consensus_address(validator.key).hex().upper(),
                "pub_key": public_json(validator.key),
                "power": str(validator.power),
                "name": validator.name,
            }
            for validator in genesis.validators
        ],
        "app_hash": genesis.root.hex().upper(),
        "app_state": genesis.state,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
