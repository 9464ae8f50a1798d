"""Which network, and what is trusted of it: a small file that a network's operators publish and a client pins."""

from dataclasses import dataclass
from pathlib import Path

from paraph.core.encode import Json, as_text, canonical, decode, take
from paraph.core.errors import Malformed, Unavailable
from paraph.proofs.policy import Trust, decode_trust

FORMAT = "paraph/network/1"
FILE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Network:
    """A network.

    Args:
        rpc_url: a full node to ask; it is believed nothing that is not proved.
        trust: what is pinned.
    """

    rpc_url: str
    trust: Trust

    def as_json(self) -> dict[str, Json]:
        """The file as JSON."""
        return {"format": FORMAT, "rpc_url": self.rpc_url, "trust": self.trust.as_json()}


def load_network(path: Path | str) -> Network:
    """Read a network file. Raises `Malformed`, or `Unavailable` (`network.file`)."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise Unavailable("network.file", f"{path} cannot be read: {error.strerror}") from error
    form, rpc_url, trust = take(
        decode(data, bytes_max=FILE_BYTES_MAX), "the network file", "format", "rpc_url", "trust"
    )
    if form != FORMAT:
        raise Malformed("network.format", f"not a network file: its format must be {FORMAT}")
    return Network(as_text(rpc_url, "rpc_url", bytes_max=1024), decode_trust(canonical(trust)))
