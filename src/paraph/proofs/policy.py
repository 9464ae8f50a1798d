"""The trust file: the few facts a verifier pins, from which everything else is proved. Specified in docs/spec/trust.md.

Who swaps this file decides what verifies; keep it as you keep a root certificate.
"""

from dataclasses import dataclass

from paraph.core.encode import Json, as_integer, as_list, as_text, canonical, decode_exact, take
from paraph.core.errors import Malformed
from paraph.core.ident import Address, Digest, address_from_hex, digest_from_hex, to_hex
from paraph.core.limits import NAME_BYTES_MAX

FORMAT = "paraph/trust/1"
PRODUCERS_MAX = 16


@dataclass(frozen=True, slots=True)
class Trust:
    """What is pinned of one network.

    Args:
        network: its name, shown with every verdict.
        chain_id: EIP-155 chain id.
        genesis: digest of the genesis document.
        producers: accounts whose signature makes a header believable.
        devnet: true when nothing on the network has value; verdicts say so.
    """

    network: str
    chain_id: int
    genesis: Digest
    producers: tuple[Address, ...]
    devnet: bool

    def as_json(self) -> dict[str, Json]:
        """The trust file as JSON."""
        return {
            "format": FORMAT,
            "network": self.network,
            "chain_id": self.chain_id,
            "genesis": to_hex(self.genesis),
            "producers": [to_hex(producer) for producer in self.producers],
            "devnet": self.devnet,
        }

    def encode(self) -> bytes:
        """The trust file's canonical bytes."""
        return canonical(self.as_json())


def decode_trust(data: bytes) -> Trust:
    """Read a trust file. Raises `Malformed` (`trust.format`, `trust.producers` when it pins nobody)."""
    form, network, chain_id, genesis, producers, devnet = take(
        decode_exact(data), "trust file", "format", "network", "chain_id", "genesis", "producers", "devnet"
    )
    if form != FORMAT:
        raise Malformed("trust.format", f"not a trust file: its format must be {FORMAT}")
    listed = as_list(producers, "producers", items_max=PRODUCERS_MAX)
    if not listed or not isinstance(devnet, bool):
        raise Malformed("trust.producers", "a trust file pins at least one producer, and devnet is true or false")
    return Trust(
        as_text(network, "network", bytes_max=NAME_BYTES_MAX),
        as_integer(chain_id, "chain_id"),
        digest_from_hex(genesis, "genesis"),
        tuple(address_from_hex(each, "producers") for each in listed),
        devnet,
    )
