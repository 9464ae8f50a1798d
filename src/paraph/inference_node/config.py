"""The node's configuration: one frozen record, read once from `node.json`. Unknown keys are refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.core.encode import Json, as_integer, as_text, canonical, decode, take
from paraph.core.errors import Malformed, Unavailable
from paraph.core.ident import Address, address_from_hex, to_hex
from paraph.proofs.manifest import Manifest, manifest_from_json
from paraph.proofs.policy import Trust, decode_trust
from paraph.proofs.zk.statement import Mode

FILE: Final = "node.json"
KEY: Final = "hot.key.json"
PASSWORD: Final = "hot.password"  # noqa: S105  the name of a file
MANIFESTS: Final = "manifests"
NAMES: Final = (
    "rpc_url",
    "trust",
    "operator",
    "host",
    "port",
    "slots",
    "threads",
    "settle_interval_ms",
    "heartbeat_interval_s",
    "enclave",
    "proof_mode",
    "proof_gather_ms",
    "proof_memory_mb",
    "proof_time_s_max",
    "proof_backlog_s_max",
)
MODES: Final = {"hiding": Mode.HIDING, "succinct": Mode.SUCCINCT, "none": None}
"""What proofs give away, in words; `none`: it proves nothing."""


@dataclass(frozen=True, slots=True)
class Config:
    """How a node runs.

    Args:
        home: its folder: outbox, blobs, model files.
        rpc_url: the full node it asks; what it says is proved.
        trust: the network.
        operator: the account that registered the node.
        manifests: what to serve; files must be in the blob store.
        host: the address it listens on; the loopback one unless a proxy stands in front.
        port: where it listens; 0 takes a free one.
        slots: requests that each language model answers at the same time.
        threads: threads that compute, of each language model's engine.
        settle_interval_ms: how often it settles what it earned.
        heartbeat_interval_s: how often it tells the ledger that it lives.
        enclave: the platform of the enclave that it runs in (`simulated`, `nitro`, `snp`, `tdx`); empty for none.
        proof_mode: what its proofs give away: `hiding` (made to reveal nothing of a request) or `succinct` (smaller and
            sooner made, but parts of an input can be learnt from it); `none` to prove nothing.
        proof_gather_ms: how long a settled answer waits for others, to be proven together with them.
        proof_memory_mb: address space of the process that proves; it is killed beyond.
        proof_time_s_max: how long one proof may take; the process is killed after.
        proof_backlog_s_max: how many seconds of proving may be owed; beyond, no proof is promised. A part of the time
            until a proof is due: it is settled first, and a machine has bad days.
    """

    home: Path
    rpc_url: str
    trust: Trust
    operator: Address
    manifests: tuple[Manifest, ...]
    host: str = "127.0.0.1"
    port: int = 0
    slots: int = 4
    threads: int = 1
    settle_interval_ms: int = 1_000
    heartbeat_interval_s: int = 60
    enclave: str = ""
    proof_mode: str = "hiding"
    proof_gather_ms: int = 2_000
    proof_memory_mb: int = 8_192
    proof_time_s_max: int = 120
    proof_backlog_s_max: int = 120

    def as_json(self) -> dict[str, Json]:
        """The configuration as `node.json` holds it; manifests are files of their own beside it."""
        return {
            "rpc_url": self.rpc_url,
            "trust": self.trust.as_json(),
            "operator": to_hex(self.operator),
            "host": self.host,
            "port": self.port,
            "slots": self.slots,
            "threads": self.threads,
            "settle_interval_ms": self.settle_interval_ms,
            "heartbeat_interval_s": self.heartbeat_interval_s,
            "enclave": self.enclave,
            "proof_mode": self.proof_mode,
            "proof_gather_ms": self.proof_gather_ms,
            "proof_memory_mb": self.proof_memory_mb,
            "proof_time_s_max": self.proof_time_s_max,
            "proof_backlog_s_max": self.proof_backlog_s_max,
        }


def read_config(home: Path) -> Config:
    """Read `node.json` and the manifests in a node's home.

    Raises:
        Unavailable: `node.config`: a file cannot be read. Malformed: an unknown key, or a value out of range.
    """
    found = dict(zip(NAMES, take(decode(_read(home / FILE)), FILE, *NAMES), strict=True))
    manifests = tuple(manifest_from_json(decode(_read(path))) for path in sorted((home / MANIFESTS).glob("*.json")))
    if not manifests:
        raise Malformed("node.manifests", f"{home / MANIFESTS} holds no manifest: there is nothing to serve")
    return Config(
        home,
        as_text(found["rpc_url"], "rpc_url", bytes_max=1024),
        decode_trust(canonical(found["trust"])),
        address_from_hex(found["operator"], "operator"),
        manifests,
        as_text(found["host"], "host", bytes_max=256),
        as_integer(found["port"], "port", 0, 65_535),
        as_integer(found["slots"], "slots", 1, 256),
        as_integer(found["threads"], "threads", 1, 1024),
        as_integer(found["settle_interval_ms"], "settle_interval_ms", 10, 3_600_000),
        as_integer(found["heartbeat_interval_s"], "heartbeat_interval_s", 1, 86_400),
        as_text(found["enclave"], "enclave", bytes_max=32),
        _mode(found["proof_mode"]),
        as_integer(found["proof_gather_ms"], "proof_gather_ms", 0, 600_000),
        as_integer(found["proof_memory_mb"], "proof_memory_mb", 512, 1 << 20),
        as_integer(found["proof_time_s_max"], "proof_time_s_max", 1, 86_400),
        as_integer(found["proof_backlog_s_max"], "proof_backlog_s_max", 1, 86_400),
    )


def _mode(value: Json) -> str:
    word = as_text(value, "proof_mode", bytes_max=32)
    if word not in MODES:
        raise Malformed("node.proof_mode", f"proof_mode is one of {', '.join(MODES)}, not {word!r}")
    return word


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable("node.config", f"{path} cannot be read: {error.strerror}") from error
