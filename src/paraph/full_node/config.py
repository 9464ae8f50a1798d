"""The full node's configuration: one frozen record, read once from `node.toml`. Unknown keys are refused.

Each setting says here what it is for; the file that `init` writes and the reference page are made from that.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.full_node.limits import Limits

FILE: Final = "node.toml"
FILE_BYTES_MAX: Final = 64 * 1024
NUMBER_MAX: Final = 2**53
"""A number that a setting may hold; what it means bounds it further."""
MONIKER_BYTES_MAX: Final = 64
LOG_LEVELS: Final = ("debug", "info", "error")
PEER: Final = re.compile(r"[0-9a-f]{40}@[^@\s,]+")
T = TypeVar("T")


def setting(default: T, purpose: str) -> T:
    """A field of a section: its default, and what it is for."""
    found: T = field(default=default, metadata={"purpose": purpose})
    return found


@dataclass(frozen=True, slots=True)
class Rpc:
    """The door where wallets and nodes ask: Ethereum JSON-RPC over HTTP and WebSocket."""

    listen: str = setting("127.0.0.1:8545", "address and port; port 0 takes a free one")
    submit: bool = setting(default=True, purpose="take signed transactions, not only questions")
    produce: bool = setting(default=False, purpose="let callers make a block by hand: on a solo devnet only")
    cors_origins: tuple[str, ...] = setting((), 'web pages that may ask, like "https://example.org"; ["*"] for all')


@dataclass(frozen=True, slots=True)
class Metrics:
    """Numbers for Prometheus."""

    listen: str = setting("", "address and port for /metrics; empty for none")


@dataclass(frozen=True, slots=True)
class Consensus:
    """The engine. A solo network has none of these but `interval_ms`."""

    interval_ms: int = setting(0, "solo: between blocks; 0 makes one when something waits")
    block_pause_ms: int = setting(1_000, "validators: to wait after a block, which sets the rhythm; alike on all nodes")
    propose_wait_ms: int = setting(3_000, "validators: to wait for a proposal before the next in turn proposes")
    moniker: str = setting("", "a name that other nodes see")
    listen: str = setting("0.0.0.0:26656", "address and port where other nodes connect")
    external_address: str = setting("", "host:port to tell other nodes, where it is not that")
    peers: tuple[str, ...] = setting((), 'nodes to stay connected to, "id@host:port"')
    seeds: tuple[str, ...] = setting((), "nodes to ask for others")
    private_network: bool = setting(
        default=False, purpose="peers may have private addresses, several on one: for tests on one machine"
    )
    signer_listen: str = setting("", 'where a remote signer connects, like "tcp://127.0.0.1:26659"; empty: key in home')
    rpc_listen: str = setting("", "address and port of the engine's own RPC, for others' state sync; empty for none")
    mempool: str = setting("flood", '"flood", or with engine 0.40 "app"')
    form_workers: int = setting(1, "processes that check signatures; 0 checks them in the node's own")
    log_level: str = setting("error", "of the engine: debug, info or error; its own failure is heard there")


@dataclass(frozen=True, slots=True)
class Sync:
    """Starting from another's snapshot instead of the first block. Acts only while the node has no state."""

    servers: tuple[str, ...] = setting((), "engine RPCs of two or more other nodes; empty: replay from genesis")
    trust_height: int = setting(0, "a height whose header you know to be right")
    trust_hash: str = setting("", "that header's hash, in hex")


@dataclass(frozen=True, slots=True)
class Store:
    """What is kept on disk."""

    history_blocks: int = setting(256, "blocks whose state can still be read")
    snapshot_blocks: int = setting(0, "a snapshot after each so many blocks; 0 for none")
    snapshots_kept: int = setting(2, "how many; the oldest goes. A joiner needs one for some minutes")
    check_at_start: bool = setting(default=True, purpose="work the state root out again; 15 s at a million keys")
    index: str = setting("sqlite", '"sqlite", or a postgresql:// URL, for events and account histories; "" for none')


@dataclass(frozen=True, slots=True)
class Config:
    """How a full node runs: one section each."""

    rpc: Rpc = Rpc()
    limits: Limits = Limits()  # noqa: RUF009  frozen
    metrics: Metrics = Metrics()
    consensus: Consensus = Consensus()
    sync: Sync = Sync()
    store: Store = Store()


def decode_config(data: bytes) -> Config:
    """Read a configuration.

    Raises:
        Malformed: `config.toml`, `config.unknown`, `config.type`; Rejected: `limits.value`, `config.value`.
    """
    if len(data) > FILE_BYTES_MAX:
        raise Malformed("config.toml", f"a configuration has at most {FILE_BYTES_MAX} bytes, not {len(data)}")
    try:
        found = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # TOML's own errors, text that is not UTF-8, endless numbers
        raise Malformed("config.toml", f"not TOML: {str(error)[:200]}") from error
    return _changed(Config(), found)


def with_settings(config: Config, given: Iterable[str]) -> Config:
    """The configuration with single settings changed, each `section.name=value`, the value as TOML writes it.

    Raises:
        As `decode_config`; `Malformed` (`config.setting`): it has no section, name or value.
    """
    for each in given:
        place, equals, value = each.partition("=")
        section, dot, name = place.strip().partition(".")
        if not (equals and dot and section and name):
            raise Malformed("config.setting", f"a setting is section.name=value, not {each[:80]!r}")
        try:
            found = tomllib.loads(f"value = {value}")
        except (ValueError, RecursionError) as error:
            raise Malformed(
                "config.setting", f"{each[:80]!r}: the value is not TOML; texts need quotes, lists brackets"
            ) from error
        if found.keys() != {"value"}:
            raise Malformed("config.setting", f"{each[:80]!r} is more than one setting")
        config = _changed(config, {section: {name: found["value"]}})
    return config


def load_config(home: Path) -> Config:
    """The configuration of a home; the defaults where it has none. Raises as `decode_config`, or `Unavailable`."""
    place = home / FILE
    try:
        return decode_config(place.read_bytes()) if place.exists() else Config()
    except OSError as error:
        raise Unavailable("config.file", f"{place} cannot be read: {error.strerror}") from error


def encode_config(config: Config) -> bytes:
    """The configuration as a file for people: every setting with what it is for."""
    lines = ["# A full node's configuration. Each line that begins with # says what the setting below it is for."]
    for section in fields(Config):
        values = getattr(config, section.name)
        lines += ["", f"[{section.name}]"]
        for name, purpose in purposes(type(values)).items():
            lines += [f"# {purpose}", f"{name} = {_toml(getattr(values, name))}"]
    return "\n".join((*lines, "")).encode()


def purposes(section: type[Any]) -> dict[str, str]:
    """What each setting of a section is for."""
    if section is Limits:
        return limit_purposes()
    return {each.name: each.metadata["purpose"] for each in fields(section)}


def limit_purposes() -> dict[str, str]:
    """What each limit is for, as its own docstring says."""
    found: dict[str, str] = {}
    name = ""
    names = {each.name for each in fields(Limits)}
    _, _, listed = (Limits.__doc__ or "").partition("Args:")
    for line in listed.partition("Raises:")[0].splitlines():
        head, colon, rest = line.strip().partition(": ")
        if colon and head in names:
            name, found[head] = head, rest.strip()
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


def address_of(text: str, what: str) -> tuple[str, int]:
    """Host and port of `host:port`. Raises `Malformed` (`config.address`)."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise Malformed("config.address", f"{what} must be host:port, not {text[:80]!r}")
    return host.strip("[]"), int(port)


def _need_known(found: dict[str, Any], known: dict[str, Any], where: str) -> None:
    unknown = sorted(found.keys() - known.keys())
    if unknown:
        raise Malformed(
            "config.unknown", f"{where} has no setting {', '.join(unknown)[:200]}; it has {', '.join(known)}"
        )


def _changed(config: Config, found: dict[str, Any]) -> Config:
    sections = {each.name: getattr(config, each.name) for each in fields(config)}
    _need_known(found, sections, FILE)
    changed = replace(config, **{name: _section(sections[name], name, value) for name, value in found.items()})
    _need_sense(changed)
    return changed


def _section(before: Any, name: str, value: object) -> Any:
    if not isinstance(value, dict):
        raise Malformed("config.type", f"[{name}] must be a table")
    hints = get_type_hints(type(before))
    _need_known(value, {each.name: None for each in fields(before)}, f"[{name}]")
    return replace(before, **{key: _value(hints[key], each, f"{name}.{key}") for key, each in value.items()})


def _value(kind: object, value: object, what: str) -> object:
    if kind == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Malformed("config.type", f"{what} must be a list of texts")
        return tuple(value)
    if type(value) is not kind:
        raise Malformed("config.type", f"{what} must be {KINDS[kind]}, not {type(value).__name__}")
    # Such a number may have more digits than Python prints.
    if isinstance(value, int) and abs(value) > NUMBER_MAX:
        raise Rejected("config.value", f"{what} is out of all proportion; the largest number is {NUMBER_MAX}")
    return value


KINDS: Final[dict[object, str]] = {str: "text in quotes", int: "a whole number", bool: "true or false"}


LEAST: Final = {
    "consensus.interval_ms": 0,
    "consensus.block_pause_ms": 0,
    "consensus.propose_wait_ms": 1,
    "consensus.form_workers": 0,
    "sync.trust_height": 0,
    "store.history_blocks": 2,
    "store.snapshot_blocks": 0,
    "store.snapshots_kept": 1,
}
"""The least that each number may be; those of `[limits]` are checked there."""
MOST: Final = 2**31 - 1


def _need_sense(config: Config) -> None:
    for name, least in LEAST.items():
        value = _at(config, name)
        if not least <= value <= MOST:
            raise Rejected("config.value", f"{name} is {value}; it must be {least} to {MOST}")
    for name in ("rpc.listen", "consensus.listen"):
        address_of(_at(config, name), name)
    for name in ("metrics.listen", "consensus.rpc_listen", "consensus.external_address"):
        if _at(config, name):
            address_of(_at(config, name), name)
    for name, (good, wanted) in FORMS.items():
        value = _at(config, name)
        for each in value if isinstance(value, tuple) else (value,):
            if not good(each):
                raise Rejected("config.value", f"{name} is {each[:100]!a}; it must be {wanted}")
    for name in ("consensus.peers", "consensus.seeds"):
        for each in _at(config, name):
            address_of(each.partition("@")[2], name)
    _need_sync(config.sync)


FORMS: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    "consensus.moniker": (
        lambda text: text.isascii() and text.isprintable() and len(text) <= MONIKER_BYTES_MAX,
        f"at most {MONIKER_BYTES_MAX} printable ASCII characters",
    ),
    "consensus.peers": (lambda text: PEER.fullmatch(text) is not None, "id@host:port, the id 40 hex digits"),
    "consensus.seeds": (lambda text: PEER.fullmatch(text) is not None, "id@host:port, the id 40 hex digits"),
    "consensus.signer_listen": (
        lambda text: not text or text.startswith(("tcp://", "unix://")),
        "empty, tcp://host:port or unix:///path",
    ),
    "sync.servers": (
        lambda text: re.fullmatch(r"[^\s,]+:\d+", text) is not None,
        "host:port, or http:// and that",
    ),
    "consensus.mempool": (lambda text: text in ("flood", "app"), '"flood" or "app"'),
    "consensus.log_level": (lambda text: text in LOG_LEVELS, f"one of {', '.join(LOG_LEVELS)}"),
    "store.index": (
        lambda text: text in ("", "sqlite") or text.startswith(("postgresql://", "postgres://")),
        '"sqlite", a postgresql:// URL, or ""',
    ),
}
"""What a text must look like, and how to say so."""


def _need_sync(sync: Sync) -> None:
    if not sync.servers:
        return
    if len(sync.servers) < 2:
        raise Rejected("config.value", "sync.servers names one node; it must be two or more, which check each other")
    if not (sync.trust_height and re.fullmatch("[0-9a-fA-F]{64}", sync.trust_hash)):
        raise Rejected("config.value", "sync.servers needs sync.trust_height and sync.trust_hash (64 hex digits)")


def _at(config: Config, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def _toml(value: object) -> str:
    # JSON and TOML are spelled alike, but for what JSON writes in pairs of escapes and what it leaves bare.
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False).replace("\x7f", "\\u007f")
