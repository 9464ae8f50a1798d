"""Which network, and what is trusted of it: a small file that a network's operators publish and a client pins."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from paraph.core.encode import Json, as_list, as_text, canonical, decode, take
from paraph.core.errors import Malformed, Unavailable
from paraph.proofs.policy import Trust, decode_trust

FORMAT = "paraph/network/1"
FILE_BYTES_MAX = 64 * 1024
WITNESSES_MAX = 8
"""Each is asked at every read."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network.

    Args:
        rpc_url: a full node to ask; it is believed nothing that is not proved.
        trust: what is pinned.
        witnesses: other full nodes, asked whether they hold the same chain.
    """

    rpc_url: str
    trust: Trust
    witnesses: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The file as JSON."""
        return {
            "format": FORMAT,
            "rpc_url": self.rpc_url,
            "witnesses": list(self.witnesses),
            "trust": self.trust.as_json(),
        }


def load_network(path: Path | str) -> Network:
    """Read a network file. Raises `Malformed`, or `Unavailable` (`network.file`)."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise Unavailable("network.file", f"{path} cannot be read: {error.strerror}") from error
    names = ("format", "rpc_url", "witnesses", "trust")
    form, rpc_url, witnesses, trust = take(decode(data, bytes_max=FILE_BYTES_MAX), "the network file", *names)
    if form != FORMAT:
        raise Malformed("network.format", f"not a network file: its format must be {FORMAT}")
    others = as_list(witnesses, "witnesses", items_max=WITNESSES_MAX)
    return Network(
        as_text(rpc_url, "rpc_url", bytes_max=1024),
        decode_trust(canonical(trust)),
        tuple(as_text(each, "witnesses", bytes_max=1024) for each in others),
    )


def save_network(network: Network, path: Path | str) -> None:
    """Write a network file, whole or not at all. Raises `Unavailable` (`network.write`): what stood there stays."""
    _replace(Path(path), canonical(network.as_json()))


def save_trust(trust: Trust, path: Path | str) -> None:
    """Write a trust file. Raises as `save_network`."""
    _replace(Path(path), trust.encode())


def _replace(path: Path, data: bytes) -> None:
    # A link stays a link: what it leads to is replaced.
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        # Who changes this file decides what verifies; anyone may read it.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Unavailable("network.write", f"{path} cannot be written: {error.strerror}") from error
