"""The node's configuration: one frozen record, read once from `node.json`. Unknown keys are refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.core.encode import Json, as_integer, as_text, canonical, decode, take
from paraph.core.errors import Malformed, Unavailable
from paraph.core.ident import Address, address_from_hex, to_hex
from paraph.proofs.manifest import Manifest, manifest_from_json
from paraph.proofs.policy import Trust, decode_trust

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
)


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
        }


def read_config(home: Path) -> Config:
    """Read `node.json` and the manifests in a node's home.

    Raises:
        Unavailable: `node.config`: a file cannot be read. Malformed: an unknown key, or a value out of range.
    """
    rpc_url, trust, operator, host, port, slots, threads, settle_ms, heartbeat_s, enclave = take(
        decode(_read(home / FILE)), FILE, *NAMES
    )
    manifests = tuple(manifest_from_json(decode(_read(path))) for path in sorted((home / MANIFESTS).glob("*.json")))
    if not manifests:
        raise Malformed("node.manifests", f"{home / MANIFESTS} holds no manifest: there is nothing to serve")
    return Config(
        home,
        as_text(rpc_url, "rpc_url", bytes_max=1024),
        decode_trust(canonical(trust)),
        address_from_hex(operator, "operator"),
        manifests,
        as_text(host, "host", bytes_max=256),
        as_integer(port, "port", 0, 65_535),
        as_integer(slots, "slots", 1, 256),
        as_integer(threads, "threads", 1, 1024),
        as_integer(settle_ms, "settle_interval_ms", 10, 3_600_000),
        as_integer(heartbeat_s, "heartbeat_interval_s", 1, 86_400),
        as_text(enclave, "enclave", bytes_max=32),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable("node.config", f"{path} cannot be read: {error.strerror}") from error
